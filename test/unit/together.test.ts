/* Which entities travel in one message. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Entity } from '../../runner/engine/entity-file.ts';
import { type RunContext, takeTogether } from '../../runner/engine/entity.ts';
import { saidIn } from '../../runner/said.ts';

/** Entities by name, with the id maps they read; those in capitals have something to read. */
function project(maps: Record<string, string[]>): { context: RunContext; entities: Entity[] } {
  const entities = Object.entries(maps).map(([name, idMaps]) => ({ name, idMaps }) as Entity);
  const plans = new Map(
    entities.map(({ name }) => [name, { open: name === name.toUpperCase() }] as const),
  );
  return { context: { plans, grown: new Set() } as unknown as RunContext, entities };
}

/** The messages, each as the names in it; `grows`: of these there are new ids then. */
function messages(maps: Record<string, string[]>, grows: string[] = []): string[] {
  const { context, entities } = project(maps);
  const sent: string[] = [];
  while (entities.length > 0) {
    const names = takeTogether(context, entities).map(({ name }) => name);
    if (names.length > 0) sent.push(names.join(' '));
    for (const name of names) if (grows.includes(name)) context.grown.add(name);
  }
  return sent;
}

test('those with work are one message, whatever they read of each other', () => {
  assert.equal(messages({ A: [], B: ['A'], C: ['A', 'B'] }), ['A B C']);
});

test('those without are left out, also behind one they do not read', () => {
  assert.equal(messages({ a: [], B: ['a'], c: ['a'], D: [] }), ['B D']);
  assert.equal(messages({ a: [], b: ['a'] }), []);
});

test('one without work of its own waits for the ids of the message before it', () => {
  const maps = { A: [], b: ['A'], C: ['b'] };
  assert.equal(messages(maps), ['A', 'C']);
  assert.equal(messages(maps, ['A']), ['A', 'b C']);
});

test('what reads its own id map does not wait for itself', () => {
  assert.equal(messages({ A: ['A'], b: ['b'], C: [] }), ['A C']);
});

test('only the notices of the engine say anything', () => {
  const message = '{"entity": "orders", "done": 1, "total": null}';
  assert.equal(saidIn({ code: 'MIG00', message }), { entity: 'orders', done: 1, total: null });
  assert.is(saidIn({ code: '00000', message }), undefined);
  assert.is(saidIn({ code: '42P07', message: 'relation "scope" does not exist' }), undefined);
});

test.run();
