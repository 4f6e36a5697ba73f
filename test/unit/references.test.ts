/* Which id map a column of a view takes its value from, where that is certain. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { loadGrammar } from '../../runner/engine/grammar.ts';
import { readView } from '../../runner/engine/reader.ts';

test.before(() => loadGrammar());

const FROM = `from legacy.tasks as t
  left join ids.people as p on p.legacy_id = t.person_id
  left join ids.firms as f on f.legacy_id = t.firm_id`;

function read(columns: string, from = FROM, before = ''): string[] {
  const text = `create view transform.tasks as ${before} select t.id as legacy_key, ${columns} ${from};`;
  const { references } = readView({
    name: 'tasks',
    source: 'tasks',
    key: ['id'],
    readWhole: false,
    text,
  });
  return references.map(({ column, map }) => `${column} ${map}`);
}

test('a plain reference, and one inside coalesce, case, nullif or a cast', () => {
  assert.equal(read('p.id as a'), ['a people']);
  assert.equal(read('coalesce(p.id, f.id) as a'), ['a people', 'a firms']);
  assert.equal(read('case t.kind when 1 then p.id else f.id end as a'), ['a people', 'a firms']);
  assert.equal(read("nullif(p.id, '0'::uuid)::uuid as a, f.id as b"), ['a people', 'b firms']);
});

test('through a sub-select and a CTE, by the names they give', () => {
  const sub = 'from (select x.id as one, t.id from legacy.tasks as t, ids.people as x) as t';
  assert.equal(read('t.one as a', sub), ['a people']);
  const cte = 'with c as (select x.id as one from ids.firms as x)';
  assert.equal(read('c.one as a', 'from legacy.tasks as t, c', cte), ['a firms']);
});

test('everything else is left out', () => {
  assert.equal(read('p.legacy_id as a, (array[p.id])[1] as b, max(p.id) as c, id as d'), []);
  assert.equal(read('p.one as a', 'from legacy.tasks as t, ids.people as p (one)'), []);
  const own = 'with c as (select c.id from c)';
  assert.equal(read('c.id as a', 'from legacy.tasks as t, c', own), []);
  const both = '(select x.id from ids.people as x union all select y.id from ids.firms as y)';
  assert.equal(read('b.id as a', `from legacy.tasks as t, ${both} as b`), []);
});

test.run();
