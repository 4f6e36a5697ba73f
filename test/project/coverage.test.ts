// deadline 120
/* What of this project's source is carried where: its files, its lists and its databases agree. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadModule, parseSync } from 'libpg-query';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readLineage } from '../../checks/coverage/files.ts';
import { readCoverage } from '../../checks/coverage/index.ts';
import { readLists } from '../../checks/coverage/lists.ts';
import { mermaid } from '../../checks/coverage/mermaid.ts';
import { migratedPair } from '../pair.ts';
import { lastLine, ROOT, succeed } from '../runner.ts';

async function lineageOf(entity: string): Promise<string[]> {
  const { links } = await readLineage(ROOT);
  return links
    .filter((link) => link.entity === entity)
    .map(({ source, target, how }) => {
      return `${target.table}.${target.column} <- ${source.table}.${source.column} ${how}`;
    });
}

function tablesOf(file: string): Map<string, string[]> {
  const tables = new Map<string, string[]>();
  for (const { stmt } of parseSync(readFileSync(join(ROOT, file), 'utf8')).stmts ?? []) {
    if (stmt === undefined || !('CreateStmt' in stmt)) continue;
    const { relation, tableElts } = stmt.CreateStmt;
    const columns = (tableElts ?? []).flatMap((each) =>
      'ColumnDef' in each ? [each.ColumnDef.colname ?? ''] : [],
    );
    tables.set(relation?.relname ?? '', columns);
  }
  return tables;
}

test('the project is covered, and every source column is counted once', async () => {
  const { problems, counts } = await readCoverage(ROOT);
  assert.equal(problems, []);
  const { carried, archived, leftOut, open } = counts;
  assert.is(carried + archived + leftOut, readLists(ROOT).sourceColumns.length);
  assert.is(open, 0);
});

test('the reviewed lists are the schemas of the sample', async () => {
  await loadModule();
  const lists = readLists(ROOT);
  const columns = [...tablesOf('test/sample/source.sql')].flatMap(([table, names]) =>
    names.map((name) => `${table}.${name}`),
  );
  assert.equal(lists.sourceColumns.map(({ name }) => name).toSorted(), columns.toSorted());
  const tables = [
    'test/sample/target.sql',
    'schema-changes/additive/20260101000000004_new-tables.sql',
  ].flatMap((file) => [...tablesOf(file).keys()]);
  assert.equal(
    lists.targetTables.map(({ name }) => name),
    tables.map((name) => `public.${name}`).toSorted(),
  );
});

test('the parser finds what pg_depend knows, and the reviewed lists are those of the databases', async () => {
  const pair = await migratedPair();
  const ended = await succeed(pair, ['check', 'coverage', '--json']);
  assert.equal(lastLine<{ problems: object[] }>(ended).problems, []);
  await pair.drop();
});

test('lineage of an entity: values, references through id maps, translated codes', async () => {
  assert.equal(await lineageOf('payment_operations').then((all) => all.slice(0, 5)), [
    'ids.payment_operations.legacy_id <- dispatch_operation.id value',
    'public.payment_operations.legacy_operation_id <- dispatch_operation.id value',
    'public.payment_operations.payment_id <- dispatch_operation.payment_id reference',
    'public.payment_operations.operation_type <- dispatch_operation.type value',
    'public.payment_operations.amount <- dispatch_operation.price value',
  ]);
  assert.equal(await lineageOf('template_view_groups'), [
    'ids.template_view_groups.legacy_id <- dispatch_template_view_groups.id value',
    'public.template_view_groups.template_id <- dispatch_template_view_groups.template_id reference',
    'public.template_view_groups.group_name <- auth_group.name value',
  ]);
});

test('lineage through sub-selects, unions and aggregates', async () => {
  const jaws = (await lineageOf('jaws')).filter((line) => line.includes('dispatch_instruction'));
  assert.equal(jaws, [
    'public.jaws.order_id <- dispatch_instruction.id reference',
    'public.jaws.metadata.legacy.instruction_id <- dispatch_instruction.id value',
    'public.jaws.metadata.legacy.instruction_ids <- dispatch_instruction.id value',
  ]);
  const states = (await lineageOf('order_states')).filter((line) =>
    /from_status|to_status/.test(line),
  );
  assert.equal(states, [
    'public.order_states.from_status <- dispatch_state.status value',
    'public.order_states.to_status <- dispatch_state.status value',
  ]);
  const links = (await lineageOf('external_links')).filter((line) =>
    line.includes('internal_entity'),
  );
  assert.equal(links, [
    'public.external_links.internal_entity_id <- dispatch_link.item_id reference',
    'public.external_links.internal_entity_type <- dispatch_link.item_id decides',
  ]);
});

test('a flowchart: columns of few entities, tables of many', async () => {
  const { links } = await readLineage(ROOT);
  const chart = mermaid(links.filter(({ entity }) => entity === 'template_view_groups'));
  assert.equal(chart.split('\n'), [
    'flowchart LR',
    '  subgraph g__legacy_dispatch_template_view_groups["legacy.dispatch_template_view_groups"]',
    '    s__dispatch_template_view_groups__id["id"]',
    '    s__dispatch_template_view_groups__template_id["template_id"]',
    '  end',
    '  subgraph g__legacy_auth_group["legacy.auth_group"]',
    '    s__auth_group__name["name"]',
    '  end',
    '  subgraph g__ids_template_view_groups["ids.template_view_groups"]',
    '    t__template_view_groups__ids_template_view_groups__legacy_id["legacy_id"]',
    '  end',
    '  subgraph g__public_template_view_groups["public.template_view_groups"]',
    '    t__template_view_groups__public_template_view_groups__template_id["template_id"]',
    '    t__template_view_groups__public_template_view_groups__group_name["group_name"]',
    '  end',
    '  s__dispatch_template_view_groups__id --> t__template_view_groups__ids_template_view_groups__legacy_id',
    '  s__dispatch_template_view_groups__template_id ==> t__template_view_groups__public_template_view_groups__template_id',
    '  s__auth_group__name --> t__template_view_groups__public_template_view_groups__group_name',
  ]);
  const all = mermaid(links).split('\n');
  assert.ok(all.includes('  s__dispatch_ware -->|16| e__4_financial__payment_items'));
  assert.ok(all.includes('  subgraph g__7_state["7-state"]'));
  // a renderer refuses more
  assert.ok(all.filter((line) => line.includes('-->')).length < 500);
});

test.run();
