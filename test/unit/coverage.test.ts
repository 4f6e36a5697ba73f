import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readLineage } from '../../checks/coverage/files.ts';
import { readCoverage } from '../../checks/coverage/index.ts';
import { readLists } from '../../checks/coverage/lists.ts';
import { byTable } from '../../checks/coverage/finding.ts';
import { liveProblems, type LiveFacts } from '../../checks/coverage/live.ts';
import { mermaid } from '../../checks/coverage/mermaid.ts';
import { NEUTRAL } from '../pair.ts';

const ACTORS = 'sql/1-catalogue/40_actors.sql';
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
      cpSync(join(NEUTRAL, folder), join(root, folder), { recursive: true });
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
    add('sql/2-customers/99_x.sql', `${header}create view transform.x as\n${select};\n`);
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
  const { links } = await readLineage(NEUTRAL);
  return links
    .filter((link) => link.entity === entity)
    .map(({ source, target, how }) => {
      return `${target.table}.${target.column} <- ${source.table}.${source.column} ${how}`;
    });
}

test('the project is covered, and every source column is counted once', async () => {
  const { problems, counts } = await readCoverage(NEUTRAL);
  assert.equal(problems, []);
  const { carried, archived, leftOut, open } = counts;
  assert.is(carried + archived + leftOut, readLists(NEUTRAL).sourceColumns.length);
  assert.is(open, 0);
});

test('a column dropped from a view is found', async () => {
  assert.equal(await found(({ edit }) => edit(ACTORS, /,\n *a\.born .*$/m, '')), [
    `${SOURCE}: actor.born is lost: no target column carries it, and it is not archived`,
  ]);
});

test('a column used only in a join is found', async () => {
  const messages = await found(({ edit }) => {
    edit(ACTORS, /,\n *a\.born .*$/m, '');
    const from = 'from legacy.actor as a';
    const lookup = `${from}\nleft join ids.films as f on f.legacy_id = extract(year from a.born)`;
    edit(ACTORS, from, lookup);
  });
  assert.equal(messages, [
    `${SOURCE}: actor.born is lost: no target column carries it, and it is not archived (only looked at by actors)`,
  ]);
});

for (const [where, column] of [
  ['in reject', "case when a.born > 'today' then 'unborn' end as reject"],
  ['in a condition of a case', "case when a.born > 'today' then 1 else 2 end as born"],
  ['in a null test', 'a.born is not null as born'],
  ['as a length', 'length(a.born::text) as born'],
] as const) {
  test(`a column used only ${where} is found`, async () => {
    const messages = await found(({ edit }) => {
      edit(ACTORS, /^ *a\.born .*$/m, column);
    });
    assert.is(messages.length, 1);
    assert.match(messages.join(), 'actor.born is lost');
    assert.match(messages.join(), '(only looked at by actors)');
  });
}

test('an archived column that is no longer copied, and a lost archive, are found', async () => {
  const column = await found(({ edit }) => {
    edit('sql/archive/price_list.sql', /^ +price +numeric.*\n/m, '');
  });
  assert.match(column.join(), /^[^,]*price_list\.price is lost/);
  const table = await found(({ remove }) => remove('sql/archive/price_list.sql'));
  assert.ok(table.length > 0 && table.every((line) => line.includes('price_list.')));
});

test('entries of left-out.txt that are not true are found', async () => {
  const messages = await found(({ add }) => {
    add(
      LEFT_OUT,
      [
        'legacy.actor.born  it is carried, though',
        'legacy.price_list.price  it is archived, though',
        'legacy.actor.gone  there is none',
        'legacy.gone  there is none',
        'legacy.actor  most of it is carried',
        'public.actors  it is filled, though',
        'public.gone  there is none',
        'legacy.film.rating  said twice',
        'public.shelves  nobody needs them',
        'public.shelves  said twice',
        'somewhere  over the rainbow',
        'somewhere.over.the.rainbow  too long',
        'public.films',
      ].join('\n'),
    );
    add(TARGET, 'public.shelves\n');
  });
  assert.equal(messages.toSorted(), [
    `${LEFT_OUT}: legacy.actor is not left out: ids.actors.legacy_id has it`,
    `${LEFT_OUT}: legacy.actor.born is not left out: public.actors.born has it`,
    `${LEFT_OUT}: legacy.actor.gone is not in the source`,
    `${LEFT_OUT}: legacy.film.rating stands twice`,
    `${LEFT_OUT}: legacy.gone is not in the source`,
    `${LEFT_OUT}: legacy.price_list.price is not left out: legacy_archive.price_list.price has it`,
    `${LEFT_OUT}: public.actors is not left out: ${ACTORS} fills it`,
    `${LEFT_OUT}: public.films has no reason`,
    `${LEFT_OUT}: public.films is not left out: sql/1-catalogue/30_films.sql fills it`,
    `${LEFT_OUT}: public.gone is not in the target`,
    `${LEFT_OUT}: public.shelves stands twice`,
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
        'legacy.actor.b*  all carried\npublic.act*  filled\n',
    ),
    [
      `${LEFT_OUT}: legacy.nothing_* matches nothing in the source`,
      `${LEFT_OUT}: legacy.actor.b* leaves nothing out: all that it matches has a place`,
      `${LEFT_OUT}: public.nothing_* matches nothing in the target`,
      `${LEFT_OUT}: public.act* leaves nothing out: all that it matches has a place`,
    ],
  );
});

test('an entity of another schema fills its own table and no other', async () => {
  const messages = await found(({ edit, add }) => {
    edit('sql/2-customers/20_contacts.sql', 'public.contacts', 'billing.contacts');
    add(TARGET, 'billing.contacts\n');
  });
  assert.equal(messages, [`${TARGET}: no entity fills public.contacts`]);
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
  const plant = (project: Project) => project.add(SOURCE, 'web_session\n  id session_key\n');
  assert.is((await found(plant)).length, 2);
  assert.equal(
    await found((project) => {
      plant(project);
      project.add(LEFT_OUT, 'legacy.web_session  log-ins of the old application\n');
    }),
    [],
  );
});

test('a new source column is found in the list and in the live source', async () => {
  assert.equal(
    await found(({ edit }) => edit(SOURCE, '  actor_id first', '  actor_id fax first')),
    [`${SOURCE}: actor.fax is lost: no target column carries it, and it is not archived`],
  );
  assert.equal(await live(({ sourceColumns }) => sourceColumns.push('actor.fax')), [
    `${SOURCE}: actor.fax is new in the source: nobody decided on it`,
  ]);
  assert.equal(await live(({ sourceColumns }) => sourceColumns.splice(0, 1)), [
    `${SOURCE}: Customer.CustomerId is not in the source`,
  ]);
});

test('a column that the source does not have is found', async () => {
  const plant = ({ edit }: Project) => edit(ACTORS, 'a.born ', 'a.birthday ');
  assert.ok((await found(plant)).includes(`${ACTORS}: legacy.actor.birthday is not in ${SOURCE}`));
});

test('a target table without an entity is found', async () => {
  assert.equal(
    await found(({ remove }) => remove('sql/2-customers/20_contacts.sql')).then(ofTarget),
    [`${TARGET}: no entity fills public.contacts`],
  );
  assert.equal(await found(({ add }) => add(TARGET, 'public.shelves\n')), [
    `${TARGET}: no entity fills public.shelves`,
  ]);
  assert.equal(await live(({ targetTables }) => targetTables.push('billing.invoices')), [
    `${TARGET}: billing.invoices is new in the target: nobody decided on it`,
  ]);
  assert.equal(await found(({ edit }) => edit(TARGET, /^public\.actors\n/m, '')), [
    `${ACTORS}: public.actors is not in ${TARGET}`,
  ]);
});

test('a difference between the parser and pg_depend is found', async () => {
  assert.equal(
    await live(({ dependencies }) => dependencies.get('actors')?.add('Customer.EMail')),
    [`${ACTORS}: pg_depend says that the view reads legacy.Customer.EMail, the parser does not`],
  );
  assert.equal(await live(({ dependencies }) => dependencies.get('actors')?.delete('actor.born')), [
    `${ACTORS}: the parser says that the view reads legacy.actor.born, pg_depend does not`,
  ]);
});

test('lineage of an entity: values, references through id maps, translated codes, numbers made of keys', async () => {
  assert.equal(await lineageOf('payments'), [
    'ids.payments.legacy_id <- payment.payment_id value',
    'ids.payments.legacy_id <- payment.paid_on value',
    'billing.payments.rental_id <- payment.rental_id reference',
    'billing.payments.number <- payment.payment_id value',
    'billing.payments.paid_on <- payment.paid_on value',
    'billing.payments.amount <- payment.amount value',
    'billing.payments.method <- payment.method value',
  ]);
  const audience = (await lineageOf('films')).filter((line) => line.includes('audience'));
  assert.equal(audience, ['public.films.audience <- film.rating decides']);
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
    inner join ids.films as f on f.legacy_id = m.o_id
    group by m.a_id
  ) as lowest on lowest.a_id = a.id
  left join ids.films as first on lowest.o_id = first.legacy_id
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
  const { links } = await readLineage(NEUTRAL);
  const chart = mermaid(links.filter(({ entity }) => entity === 'countries'));
  assert.equal(chart.split('\n'), [
    'flowchart LR',
    '  subgraph g__legacy_country["legacy.country"]',
    '    s__country__code["code"]',
    '    s__country__name["name"]',
    '    s__country__part_of["part_of"]',
    '  end',
    '  subgraph g__ids_countries["ids.countries"]',
    '    t__countries__ids_countries__legacy_id["legacy_id"]',
    '  end',
    '  subgraph g__public_countries["public.countries"]',
    '    t__countries__public_countries__code["code"]',
    '    t__countries__public_countries__name["name"]',
    '    t__countries__public_countries__part_of["part_of"]',
    '  end',
    '  s__country__code --> t__countries__ids_countries__legacy_id',
    '  s__country__code --> t__countries__public_countries__code',
    '  s__country__name --> t__countries__public_countries__name',
    '  s__country__part_of ==> t__countries__public_countries__part_of',
  ]);
  const all = mermaid(links).split('\n');
  assert.ok(all.includes('  s__film_activity -->|2| e__1_catalogue__films'));
  assert.ok(all.includes('  subgraph g__3_rentals["3-rentals"]'));
  // a renderer refuses more
  assert.ok(all.filter((line) => line.includes('-->')).length < 500);
});

/** Findings against databases that agree with the files but for one thing. */
async function live(change: (facts: LiveFacts) => unknown): Promise<string[]> {
  const { lineage, lists } = await readCoverage(NEUTRAL);
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
