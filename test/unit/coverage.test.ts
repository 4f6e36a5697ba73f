import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadModule, parseSync } from 'libpg-query';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readLineage } from '../../checks/coverage/files.ts';
import { readCoverage } from '../../checks/coverage/index.ts';
import { readLists } from '../../checks/coverage/lists.ts';
import { byTable } from '../../checks/coverage/finding.ts';
import { liveProblems, type LiveFacts } from '../../checks/coverage/live.ts';
import { mermaid } from '../../checks/coverage/mermaid.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const OFFICES = 'sql/1-foundation/10_offices.sql';
const SOURCE = 'checks/coverage/source-columns.txt';
const TARGET = 'checks/coverage/target-tables.txt';
const LEFT_OUT = 'checks/coverage/left-out.txt';

interface Project {
  root: string;
  edit: (file: string, from: string | RegExp, to: string) => void;
  add: (file: string, text: string) => void;
  remove: (file: string) => void;
}

/** Works on a copy of what the proof reads, gone afterwards. */
async function inCopy<T>(work: (project: Project) => Promise<T>): Promise<T> {
  const root = mkdtempSync(join(tmpdir(), 'coverage-'));
  try {
    for (const folder of ['sql', 'checks/coverage']) {
      cpSync(join(ROOT, folder), join(root, folder), { recursive: true });
    }
    return await work({
      root,
      edit: (file, from, to) => {
        const text = readFileSync(join(root, file), 'utf8');
        const edited = text.replace(from, to);
        assert.is.not(edited, text, `${file} has no ${from}`);
        writeFileSync(join(root, file), edited);
      },
      add: (file, text) => appendFileSync(join(root, file), text),
      remove: (file) => rmSync(join(root, file)),
    });
  } finally {
    rmSync(root, { recursive: true });
  }
}

/** Finds in a copy, edited: `file: message`. */
async function found(plant: (project: Project) => void): Promise<string[]> {
  return inCopy(async (project) => {
    plant(project);
    const { problems } = await readCoverage(project.root);
    assert.ok(problems.every(({ rule, fix }) => rule === 'coverage' && fix !== ''));
    return problems.map(({ file, message }) => `${file}: ${message}`);
  });
}

/** Sources of a view `transform.x`, written after `create view transform.x as`: `column <- table.column how`. */
async function sources(select: string): Promise<string[]> {
  return inCopy(async ({ root, add }) => {
    const header = '-- X.\n--\n-- target   public.x\n-- source   a\n-- adopt    none\n\n';
    add('sql/2-core/99_x.sql', `${header}create view transform.x as\n${select};\n`);
    const { links, problems } = await readLineage(root);
    return [
      ...links
        .filter(({ entity }) => entity === 'x')
        .map(({ source, target, how }) => {
          return `${target.column} <- ${source.table}.${source.column} ${how}`;
        }),
      ...problems.map(({ line, message }) => `${line}: ${message}`),
    ];
  });
}

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

test('a column dropped from a view is found', async () => {
  assert.equal(await found(({ edit }) => edit(OFFICES, /^ *btrim\(o\.apt\).*\n/m, '')), [
    `${SOURCE}: dispatch_office.apt is lost: no target column carries it, and it is not archived`,
  ]);
});

test('a column used only in a join is found', async () => {
  const messages = await found(({ edit }) => {
    edit(OFFICES, /^ *btrim\(o\.apt\).*\n/m, '');
    const lookup = 'left join ids.roles as r on r.legacy_id = o.apt::bigint;\n';
    edit(
      OFFICES,
      'from legacy.dispatch_office as o;\n',
      `from legacy.dispatch_office as o\n${lookup}`,
    );
  });
  assert.equal(messages, [
    `${SOURCE}: dispatch_office.apt is lost: no target column carries it, and it is not archived (only looked at by offices)`,
  ]);
});

for (const [where, column] of [
  ['in reject', "case when o.apt = '' then 'no_apartment' end as reject"],
  ['in a condition of a case', "case when o.apt = '' then 1 else 2 end as apartment"],
  ['in a null test', 'o.apt is not null as apartment'],
  ['as a length', 'length(o.apt) as apartment'],
] as const) {
  test(`a column used only ${where} is found`, async () => {
    const messages = await found(({ edit }) => {
      edit(OFFICES, /^ *btrim\(o\.apt\).*$/m, `${column},`);
    });
    assert.is(messages.length, 1);
    assert.match(messages.join(), 'dispatch_office.apt is lost');
    assert.match(messages.join(), '(only looked at by offices)');
  });
}

test('an archived column that is no longer copied, and a lost archive, are found', async () => {
  const column = await found(({ edit }) => {
    edit('sql/archive/dispatch_storage.sql', /^ +name .*\n/m, '');
  });
  assert.match(column.join(), /^[^,]*dispatch_storage\.name is lost/);
  const table = await found(({ remove }) => remove('sql/archive/dispatch_master.sql'));
  assert.ok(table.length > 0 && table.every((line) => line.includes('dispatch_master.')));
});

test('entries of left-out.txt that are not true are found', async () => {
  const messages = await found(({ add }) => {
    add(
      LEFT_OUT,
      [
        'legacy.dispatch_office.apt  it is carried, though',
        'legacy.dispatch_agent.name  it is archived, though',
        'legacy.dispatch_office.gone  there is none',
        'legacy.dispatch_gone  there is none',
        'legacy.dispatch_office  most of it is carried',
        'public.offices  it is filled, though',
        'public.gone  there is none',
        'public.audit_log  said twice',
        'legacy.auth_permission.id  said twice',
        'somewhere  over the rainbow',
        'somewhere.over.the.rainbow  too long',
        'public.profiles',
      ].join('\n'),
    );
  });
  assert.equal(messages.toSorted(), [
    `${LEFT_OUT}: legacy.auth_permission.id stands twice`,
    `${LEFT_OUT}: legacy.dispatch_agent.name is not left out: legacy_archive.dispatch_agent.name has it`,
    `${LEFT_OUT}: legacy.dispatch_gone is not in the source`,
    `${LEFT_OUT}: legacy.dispatch_office is not left out: ids.offices.legacy_id has it`,
    `${LEFT_OUT}: legacy.dispatch_office.apt is not left out: public.offices.apartment has it`,
    `${LEFT_OUT}: legacy.dispatch_office.gone is not in the source`,
    `${LEFT_OUT}: public.audit_log stands twice`,
    `${LEFT_OUT}: public.gone is not in the target`,
    `${LEFT_OUT}: public.offices is not left out: ${OFFICES} fills it`,
    `${LEFT_OUT}: public.profiles has no reason`,
    `${LEFT_OUT}: public.profiles is not left out: sql/1-foundation/30_system_profile.sql fills it`,
    `${LEFT_OUT}: somewhere is not in the source`,
    `${LEFT_OUT}: somewhere.over.the.rainbow names nothing`,
  ]);
});

test('a wildcard leaves out what is not decided otherwise, and has to match something', async () => {
  const plant = (entries: string) =>
    found(({ add }) => {
      add(SOURCE, 'audit_log\n  id at created_by\naudit_mail\n  id\n');
      add(TARGET, 'billing.run_2023\nbilling.run_2024\n');
      add(LEFT_OUT, entries);
    });
  assert.is((await plant('')).length, 6);
  assert.equal(
    await plant('legacy.audit_*  what the old application did\nbilling.run_*  closed years\n'),
    [],
  );
  // a name without a schema is one of the source; a part of its own for the columns
  const columns = 'audit_*.id  numbers\n*.created_by  nobody asks\naudit_log.a?  x\n';
  assert.equal(await plant(`${columns}billing.run_*.*  closed years\n`), [
    `${SOURCE}: audit_log.at is lost: no target column carries it, and it is not archived`,
    `${LEFT_OUT}: audit_log.a? is not in the source`,
  ]);
  assert.equal(
    await plant(
      'legacy.audit*  all of them\nbilling.*  all of them\nlegacy.nothing_*  none\npublic.nothing_*  none\n' +
        'legacy.dispatch_office.a*  all carried\npublic.off*  filled\n',
    ),
    [
      `${LEFT_OUT}: legacy.nothing_* matches nothing in the source`,
      `${LEFT_OUT}: legacy.dispatch_office.a* leaves nothing out: all that it matches has a place`,
      `${LEFT_OUT}: public.nothing_* matches nothing in the target`,
      `${LEFT_OUT}: public.off* leaves nothing out: all that it matches has a place`,
    ],
  );
});

test('an entity of another schema fills its own table and no other', async () => {
  const messages = await found(({ edit, add }) => {
    edit('sql/4-financial/20_discounts.sql', 'public.discounts', 'billing.discounts');
    add(TARGET, 'billing.discounts\n');
  });
  assert.equal(messages, [`${TARGET}: no entity fills public.discounts`]);
});

test('on a screen the findings of a table are one line, all of them only where they are few', async () => {
  await inCopy(async ({ root, add }) => {
    const columns = Array.from({ length: 50 }, (_, at) => `c${at}`).join(' ');
    add(SOURCE, `wide\n  ${columns}\nnarrow\n  id\n`);
    const { problems } = await readCoverage(root);
    assert.is(problems.length, 51);
    assert.equal(
      byTable(problems).map(({ message }) => message),
      [
        'wide: 50 columns are lost: c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11 … and 38 more',
        'narrow.id is lost: no target column carries it, and it is not archived',
      ],
    );
  });
});

test('a name with capitals and blanks', async () => {
  assert.equal(
    await found(({ add }) => {
      add(SOURCE, 'Old Customer\n  id "First Name" eMail\n');
      add(LEFT_OUT, 'legacy.Old Customer.First Name  nobody asks\nOld Customer.id  a number\n');
    }),
    [`${SOURCE}: Old Customer.eMail is lost: no target column carries it, and it is not archived`],
  );
});

test('a reason for a whole table covers its columns', async () => {
  const plant = (project: Project) => project.add(SOURCE, 'django_session\n  id session_key\n');
  assert.is((await found(plant)).length, 2);
  assert.equal(
    await found((project) => {
      plant(project);
      project.add(LEFT_OUT, 'legacy.django_session  log-ins of the old application\n');
    }),
    [],
  );
});

test('a new source column is found in the list and in the live source', async () => {
  assert.equal(await found(({ edit }) => edit(SOURCE, '  id doctor_id', '  id fax doctor_id')), [
    `${SOURCE}: dispatch_office.fax is lost: no target column carries it, and it is not archived`,
  ]);
  assert.equal(await live(({ sourceColumns }) => sourceColumns.push('dispatch_office.fax')), [
    `${SOURCE}: dispatch_office.fax is new in the source: nobody decided on it`,
  ]);
  assert.equal(await live(({ sourceColumns }) => sourceColumns.splice(0, 1)), [
    `${SOURCE}: auth_group.id is not in the source`,
  ]);
});

test('a column that the source does not have is found', async () => {
  const plant = ({ edit }: Project) => edit(OFFICES, 'btrim(o.apt)', 'btrim(o.apartment)');
  assert.ok(
    (await found(plant)).includes(
      `${OFFICES}: legacy.dispatch_office.apartment is not in ${SOURCE}`,
    ),
  );
});

test('a target table without an entity is found', async () => {
  assert.equal(
    await found(({ remove }) => remove('sql/4-financial/20_discounts.sql')).then(ofTarget),
    [`${TARGET}: no entity fills public.discounts`],
  );
  assert.equal(await found(({ edit }) => edit(LEFT_OUT, /^public\.ware .*\n/m, '')), [
    `${TARGET}: no entity fills public.ware`,
  ]);
  assert.equal(await live(({ targetTables }) => targetTables.push('billing.invoices')), [
    `${TARGET}: billing.invoices is new in the target: nobody decided on it`,
  ]);
  assert.equal(await found(({ edit }) => edit(TARGET, /^public\.offices\n/m, '')), [
    `${OFFICES}: public.offices is not in ${TARGET}`,
  ]);
});

test('a difference between the parser and pg_depend is found', async () => {
  assert.equal(
    await live(({ dependencies }) => dependencies.get('roles')?.add('auth_user.email')),
    [
      'sql/1-foundation/70_roles.sql: pg_depend says that the view reads legacy.auth_user.email, the parser does not',
    ],
  );
  assert.equal(
    await live(({ dependencies }) => dependencies.get('teams')?.delete('auth_group.id')),
    [
      'sql/1-foundation/40_teams.sql: the parser says that the view reads legacy.auth_group.id, pg_depend does not',
    ],
  );
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

test('the rule, one expression after the other', async () => {
  const select = `select
    a.id as legacy_key,
    case a.code when 1 then 'one' else a.other end as simple_case,
    case when a.code = 1 then a.b when a.c then a.d end as searched_case,
    coalesce(nullif(a.b, a.c), greatest(a.d, 0)) as functions,
    a.b + a.c as computed,
    a.b <> a.c as compared,
    not a.flag as negated,
    a.flag and a.other as both,
    a.b = any (a.c) as any_of,
    count(a.b) over (partition by a.c) as counted,
    lag(a.b) over (partition by a.c order by a.d) as previous,
    (array_agg(a.b order by a.c) filter (where a.d))[1] as first,
    jsonb_build_object('x', jsonb_build_object('y', a.b), 'z', array[a.c]) as object,
    (select l.name from legacy.l as l where l.id = a.l_id) as looked_up,
    exists (select 1 from legacy.l as l where l.id = a.l_id) as known,
    a.b::text collate "C" as casted,
    case when a.code = 1 then 'x' end as filter,
    case when a.code = 2 then 'y' end as missing,
    case when a.code = 3 then 'z' end as reject
  from legacy.a as a`;
  assert.equal(await sources(select), [
    'legacy_id <- a.id value',
    'simple_case <- a.code value',
    'simple_case <- a.other value',
    'searched_case <- a.b value',
    'searched_case <- a.d value',
    'searched_case <- a.code decides',
    'searched_case <- a.c decides',
    'functions <- a.b value',
    'functions <- a.d value',
    'functions <- a.c decides',
    'computed <- a.b value',
    'computed <- a.c value',
    'compared <- a.b decides',
    'compared <- a.c decides',
    'negated <- a.flag value',
    'both <- a.flag decides',
    'both <- a.other decides',
    'any_of <- a.b decides',
    'any_of <- a.c decides',
    'counted <- a.b decides',
    'previous <- a.b value',
    'first <- a.b value',
    'object.x.y <- a.b value',
    'object.z <- a.c value',
    'looked_up <- l.name value',
    'casted <- a.b value',
  ]);
});

test('the scope: CTEs, laterals, unions, VALUES, aliases of columns, id maps in sub-selects', async () => {
  const select = `with
    clean as (select c.id, btrim(c.name) as name from legacy.c as c),
    twice (key, label) as (
      select x.id, x.name from clean as x union all select d.id, d.name from legacy.d as d
    )
  select
    a.id as legacy_key,
    t.label as label,
    up.word as word,
    v.k as constant,
    first.id as first_id,
    own.legacy_id as own_legacy_id
  from legacy.a as a
  left join twice as t on t.key = a.t_id
  cross join lateral (select upper(a.word)) as up (word)
  left join (values (1, 2)) as v (i, k) on v.i = a.n
  left join (
    select m.a_id, min(m.o_id) as o_id
    from legacy.m as m
    inner join ids.offices as f on f.legacy_id = m.o_id
    group by m.a_id
  ) as lowest on lowest.a_id = a.id
  left join ids.offices as first on lowest.o_id = first.legacy_id
  left join ids.x as own on a.kind = 'x' and own.legacy_id = a.own`;
  assert.equal(await sources(select), [
    'legacy_id <- a.id value',
    'label <- c.name value',
    'label <- d.name value',
    'word <- a.word value',
    'first_id <- m.o_id reference',
    'own_legacy_id <- a.own value',
  ]);
});

test('what cannot be followed is a finding, not a guess', async () => {
  assert.equal(
    await sources(`select a.id as legacy_key, to_jsonb(a) as whole, q.x as x
from legacy.a as a
left join legacy.b as b using (id)
left join nowhere as n on n.id = a.id`),
    [
      'legacy_id <- a.id value',
      '10: a join without ON: its source columns cannot be followed',
      '11: nowhere is no table of legacy or ids: its source columns cannot be followed',
      '8: a: its source columns cannot be followed',
      '8: q.x: its source columns cannot be followed',
      '11: n.id: its source columns cannot be followed',
    ],
  );
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

/** Findings against databases that agree with the files but for one thing. */
async function live(change: (facts: LiveFacts) => unknown): Promise<string[]> {
  const { lineage, lists } = await readCoverage(ROOT);
  const facts: LiveFacts = {
    sourceColumns: lists.sourceColumns.map(({ name }) => name),
    targetTables: lists.targetTables.map(({ name }) => name),
    dependencies: new Map(
      [...lineage.reads].map(([entity, { columns }]) => [entity, new Set(columns)]),
    ),
  };
  assert.equal(liveProblems(lineage, lists, facts), []);
  change(facts);
  return liveProblems(lineage, lists, facts).map(({ file, message }) => `${file}: ${message}`);
}

function ofTarget(messages: string[]): string[] {
  return messages.filter((message) => message.startsWith(TARGET));
}

test.run();
