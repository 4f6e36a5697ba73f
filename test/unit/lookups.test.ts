import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readCatalog } from '../../runner/catalog.ts';
import { lookupPaths } from '../../runner/lookups.ts';
import { ROOT } from '../runner.ts';

const entities = readCatalog(ROOT).phases.flatMap((phase) => phase.entities);
const tasks = entities.find(({ name }) => name === 'tasks');

/** Paths of a view over dispatch_task with these joins, as `table: column > column`. */
function pathsOf(from: string, columns = 't.id as legacy_key'): string[] {
  assert.ok(tasks);
  const text = `create view transform.tasks as select ${columns} from legacy.dispatch_task as t ${from};`;
  return [...lookupPaths({ ...tasks, text })].map(
    ([table, steps]) => `${table}: ${steps.map(({ column }) => column).join(' > ')}`,
  );
}

const ORDER = 'left join legacy.dispatch_instruction as i on i.id = t.instruction_id';

test('a join by id leads from the look-up to the driving table, over several steps', () => {
  assert.equal(pathsOf(ORDER), ['dispatch_instruction: instruction_id']);
  assert.equal(
    pathsOf(`${ORDER}
      left join legacy.dispatch_patient as p on p.id = i.patient_id
      left join ids.orders as o on o.legacy_id = i.id`),
    ['dispatch_instruction: instruction_id', 'dispatch_patient: instruction_id > patient_id'],
  );
});

test('anything else does not', () => {
  for (const from of [
    'join legacy.dispatch_instruction as i on i.id = t.instruction_id',
    'left join legacy.dispatch_instruction as i on i.patient_id = t.instruction_id',
    `${ORDER} and i.deleted`,
    'left join legacy.dispatch_instruction as i on i.id = coalesce(t.instruction_id, 1)',
    'left join (select id from legacy.dispatch_instruction as i) as i on i.id = t.instruction_id',
    `${ORDER} left join legacy.dispatch_instruction as j on j.id = t.id`,
    `${ORDER} left join (select max(id) from legacy.dispatch_instruction) as m on true`,
    `left join legacy.dispatch_instruction as i on i.id = x.instruction_id`,
    `-- ${ORDER}\n`,
  ]) {
    assert.equal(pathsOf(from), [], from);
  }
});

test('where one row may change another, nothing does', () => {
  assert.equal(pathsOf(ORDER, 't.id, row_number() over (partition by i.patient_id)'), []);
  assert.equal(pathsOf(ORDER, 't.id, coalesce(sum(i.id) over w, 0)'), []);
  assert.equal(pathsOf(`${ORDER} group by t.id`), []);
  assert.equal(pathsOf(`${ORDER} union all select 1`), []);
  assert.equal(pathsOf(`${ORDER} where exists (select from ids.tasks as s group by s.id)`), [
    'dispatch_instruction: instruction_id',
  ]);
});

test('of the views of this project', () => {
  const followed = entities.filter((entity) => lookupPaths(entity).size > 0);
  assert.ok(followed.length > 15);
  const jaws = entities.find(({ name }) => name === 'jaws');
  assert.ok(jaws);
  assert.is(lookupPaths(jaws).size, 0, 'orders lead to jaws, not the other way round');
});

test.run();
