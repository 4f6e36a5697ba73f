/* A source that never rests. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Sql } from 'postgres';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Major } from '../../runner/embedded/releases.ts';
import { dropPair, freshRows, liveRows, migrate, preparePair, rowsRead } from '../migrate.ts';
import type { TestPair } from '../pair.ts';
import { lastLine, open, sameDump, succeed, touches } from '../runner.ts';

const RUNS = 3;

/** What the application does, a transaction each; $n is another number every time. */
const WRITES = [
  `update dispatch_task set text = 'text $n' where id = (
     select id from dispatch_task order by md5(concat(id, $n)) limit 1)`,
  `update dispatch_task set text = concat('text ', $n) where id % 500 = $n % 500`,
  `insert into dispatch_task (template_id, instruction_id, actor_id, jaw, checked, text)
   select template_id, instruction_id, actor_id, jaw, checked, 'inserted $n' from dispatch_task
   order by md5(concat(id, $n)) limit 3`,
  `delete from dispatch_task where id = (
     select id from dispatch_task order by md5(concat(id, $n)) limit 1)`,
  `begin; update dispatch_file set name = 'B' where id % 700 = $n % 700;
   update dispatch_file set name = 'A' where id % 700 = $n % 700; commit`,
  `insert into dispatch_file (uid, name, ext, size, type, instruction_id, created_at, parameters,
     status)
   select md5('file $n')::uuid, 'file $n', ext, size, type, instruction_id, created_at, parameters,
     status
   from dispatch_file order by md5(concat(id, $n)) limit 1`,
  `delete from dispatch_file where name like 'file%' and id % 3 = 0`,
  `update auth_user set first_name = 'name $n' where id % 20 = $n % 20`,
  `update dispatch_instruction set notes = 'note $n' where id % 50 = $n % 50`,
  `update dispatch_patient set office_id = (select min(id) + $n % 3 from dispatch_office)
   where id % 30 = $n % 30`,
  // the same pair again under another id
  `with gone as (delete from dispatch_template_view_roles where id = (
       select id from dispatch_template_view_roles order by md5(concat(id, $n)) limit 1)
     returning template_id, role_id)
   insert into dispatch_template_view_roles (template_id, role_id)
   select template_id, role_id from gone`,
  `insert into dispatch_record (target_type_id, target_id, type, created_at, text, author_id)
   select target_type_id, target_id, type, now(), 'record $n', author_id from dispatch_record
   order by md5(concat(id, $n)) limit 1`,
  `update dispatch_category set parent_id = (select min(id) from dispatch_category)
   where id = (select max(id) from dispatch_category where $n % 2 = 0)`,
];

/** Adds the test as a suite; the source is of this release, phases are counted from the first. */
export function writerTests(sourceMajor: Major, phases: number): void {
  const test = suite<{ pair: TestPair; source: Sql; target: Sql }>(`writer, source ${sourceMajor}`);

  test.before(async (context) => {
    Object.assign(context, await preparePair({ name: 'writer', source: 'sample', sourceMajor }));
    await context.source.unsafe(`
      select setval(format('%I_id_seq', c.relname), 1000000) from pg_class as c
      where c.relname in ('dispatch_task', 'dispatch_file', 'dispatch_record',
        'dispatch_template_view_roles')`);
  });

  test.after(dropPair);

  test('runs while the source is written to; one more after it: both sides agree', async ({
    pair,
    target,
  }) => {
    const writing = startWriter(pair.sourceAdminUrl);
    try {
      for (let run = 0; run < RUNS; run += 1) await migrate(pair, { phases, removeMany: true });
    } finally {
      assert.ok((await writing.stop()) > 50, 'the source was written to all the time');
    }
    await migrate(pair, { phases, removeMany: true });
    const verified = lastLine<{ differences: number; entities: { entity: string }[] }>(
      await succeed(pair, ['verify', '--json']),
    );
    assert.is(verified.differences, 0);
    const gone = await target`select legacy_id from migration.gone`;
    assert.ok(gone.length > 0);
    sameDump(await liveRows(target), await freshRows(pair, undefined, { phases }));
    const before = await touches(target);
    assert.equal(await rowsRead(target, await migrate(pair, { phases })), {});
    sameDump(await touches(target), before);
  });

  test.run();
}

/** Writes until it is stopped; returns the number of transactions. */
function startWriter(url: string): { stop(): Promise<number> } {
  const state = { go: true };
  let count = 0;
  const writing = (async () => {
    const source = open(url);
    try {
      while (state.go) {
        const write = WRITES[count % WRITES.length] ?? '';
        await source.unsafe(write.replaceAll('$n', String(count))).simple();
        count += 1;
        await sleep(10);
      }
    } finally {
      await source.end();
    }
  })();
  writing.catch(() => {});
  return {
    stop: async () => {
      state.go = false;
      await writing;
      return count;
    },
  };
}
