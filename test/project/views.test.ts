/* What the reader of views makes of the views of this project. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readCatalog } from '../../runner/engine/catalog.ts';
import { definitionsOf } from '../../runner/engine/ledger.ts';
import { loadGrammar } from '../../runner/engine/grammar.ts';
import { readView } from '../../runner/engine/reader.ts';
import { readInChild } from '../../runner/engine/reader-child.ts';
import { ROOT } from '../runner.ts';

const catalog = readCatalog(ROOT);
const entities = catalog.phases.flatMap((phase) => phase.entities);

test.before(() => loadGrammar());

test('of the views of this project', async () => {
  const readings = await readInChild(entities);
  assert.equal(
    entities.filter((_, index) => readings[index]?.keyed !== true),
    [],
  );
  for (const [index, { name, reads, idMaps }] of entities.entries()) {
    assert.equal(readings[index]?.reads, reads, name);
    assert.equal(readings[index]?.idMaps, idMaps, name);
  }
  const followed = readings.filter(({ lookups }) => lookups.some((lookup) => lookup.followed));
  assert.ok(followed.length > 15);
  const jaws = readings[entities.findIndex(({ name }) => name === 'jaws')];
  assert.ok(
    jaws?.lookups.every((lookup) => !lookup.followed),
    'orders lead to jaws, not back',
  );
  // compared whole whenever one of these maps grows: what is more here costs time
  const opaqueIn = Object.fromEntries(
    (definitionsOf(catalog, readings) as { entity: string; opaque_maps: string[] }[]).flatMap(
      ({ entity, opaque_maps: maps }) => (maps.length > 0 ? [[entity, maps.join()]] : []),
    ),
  );
  assert.equal(opaqueIn, {
    doctor_offices: 'offices',
    doctors: 'offices',
    external_links: 'offices,orders,patients,payments,products,profiles',
    projects: 'system_profile',
  });
});

test('the views of this project say what their columns refer to', () => {
  const found = entities.flatMap((entity) =>
    readView(entity).references.map(({ column, map }) => `${entity.name}.${column} ${map}`),
  );
  assert.ok(found.length > 80, `${found.length} references`);
  assert.ok(found.includes('messages.recipient_id patients'));
  assert.ok(found.includes('messages.recipient_id profiles'));
});

test.run();
