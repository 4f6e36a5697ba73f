import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readCatalog } from '../../runner/engine/catalog.ts';
import { loadOrphans, orphansOf } from '../../runner/engine/orphans.ts';
import { ROOT } from '../runner.ts';

await loadOrphans();

const view = (reject: string, from: string) =>
  orphansOf(
    `create view transform.x as select i.id as legacy_key, ${reject} as reject from ${from}`,
  );

test('the column of the driving table that leads nowhere, over several steps, too', () => {
  assert.equal(
    view(
      `case when o.id is null then 'orphan_order' when c.id is null then 'orphan_case'
         when i.name is null then 'no_name' end`,
      `legacy.file as i
       left join ids.orders as o on o.legacy_id = i.order_id
       left join legacy.instruction as p on p.id = i.instruction_id
       left join ids.cases as c on c.legacy_id = p.customer_id`,
    ),
    { orphan_order: ['order_id'], orphan_case: ['instruction_id'] },
  );
});

test('of two that may lead nowhere both are named', () => {
  assert.equal(
    view(
      `case when a.id is null or b.id is null then 'orphan_both' end`,
      `legacy.link as i left join ids.a as a on i.from_id = a.legacy_id
       left join ids.a as b on b.legacy_id = i.to_id`,
    ),
    { orphan_both: ['from_id', 'to_id'] },
  );
});

test('nothing is said where it is not certain', () => {
  const from = `legacy.link as i left join ids.a as a on a.legacy_id = i.x and a.legacy_id = i.y
    cross join lateral (select i.z as id) as l`;
  assert.equal(view(`case when a.id is null then 'orphan_a' end`, from), {});
  assert.equal(view(`case when l.id is null then 'orphan_l' end`, from), {});
  assert.equal(view(`case when coalesce(a.id, l.id) is null then 'orphan_a' end`, from), {});
  assert.equal(orphansOf('select 1'), {});
});

test('in this project only links to rows of several kinds have no one column', () => {
  const without = readCatalog(ROOT)
    .phases.flatMap(({ entities }) => entities)
    .flatMap(({ name, text, reasons }) => {
      const columns = orphansOf(text);
      return reasons
        .filter(({ name: reason }) => reason.startsWith('orphan_') && columns[reason] === undefined)
        .map((reason) => `${name} ${reason.name}`);
    });
  assert.equal(without, ['external_links orphan_item']);
});

test.run();
