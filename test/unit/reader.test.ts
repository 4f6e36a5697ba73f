/* What the reader of views follows, and what it does not. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readCatalog } from '../../runner/engine/catalog.ts';
import { loadGrammar } from '../../runner/engine/grammar.ts';
import { definitionsOf } from '../../runner/engine/ledger.ts';
import { keyText } from '../../runner/engine/keys.ts';
import { readView } from '../../runner/engine/reader.ts';
import { type Reading, settled } from '../../runner/engine/reading.ts';
import { readInChild } from '../../runner/engine/reader-child.ts';
import { NEUTRAL } from '../pair.ts';

const catalog = readCatalog(NEUTRAL);
const entities = catalog.phases.flatMap((phase) => phase.entities);

test.before(loadGrammar);

/** A view over job with these joins. */
function read(from: string, columns = 't.id as legacy_key', more: object = {}): Reading {
  return readView({
    name: 'tasks',
    source: 'job',
    key: ['id'],
    readWhole: false,
    text: `create view transform.tasks as select ${columns} from legacy.job as t ${from};`,
    ...more,
  });
}

/** Paths of the look-ups that are followed, as `table: column > column`. */
function pathsOf(...parameters: Parameters<typeof read>): string[] {
  const reading = read(...parameters);
  const keys = new Map(reading.lookups.map(({ table }) => [table, 'id']));
  return followedBy(reading, keys);
}

function followedBy(reading: Reading, keys: Map<string, string>): string[] {
  const [{ lookups } = reading] = settled([reading], keys);
  return lookups.flatMap(({ table, followed, path }) =>
    followed ? [`${table}: ${path.map(({ column }) => column).join(' > ')}`] : [],
  );
}

const ORDER = 'left join legacy.request as i on i.id = t.request_id';

test('a join by id leads from the look-up to the driving table, over several steps', () => {
  assert.equal(pathsOf(ORDER), ['request: request_id']);
  assert.equal(
    pathsOf(`${ORDER}
      left join legacy.person as p on i.person_id = p.id
      left join ids.orders as o on o.legacy_id = i.id`),
    ['person: request_id > person_id', 'request: request_id'],
  );
  assert.equal(pathsOf('left join "legacy"."request" i on (i.id) = "t"."request_id"'), [
    'request: request_id',
  ]);
});

test('anything else does not', () => {
  for (const from of [
    'join legacy.request as i on i.id = t.request_id',
    'left join legacy.request as i on i.person_id = t.request_id',
    `${ORDER} and i.deleted`,
    'left join legacy.request as i on i.id <> t.request_id',
    'left join legacy.request as i on i.id operator(public.=) t.request_id',
    'left join legacy.request as i on i.id = coalesce(t.request_id, 1)',
    'left join legacy.request as i (a, id) on i.id = t.request_id',
    'left join legacy.request as i using (id)',
    'natural left join legacy.request as i',
    'left join (select id from legacy.request as i) as i on i.id = t.request_id',
    `${ORDER} left join legacy.request as j on j.id = t.id`,
    `${ORDER} left join "legacy".request as j on j.id = t.id`,
    `${ORDER} left join (select max(id) from legacy.request) as m on true`,
    'left join legacy.request as i on i.id = x.request_id',
    `-- ${ORDER}\n`,
    `, (select 1) as x ${ORDER.replace('t.', 'x.')}`,
    `full join legacy.x as x on true ${ORDER}`,
  ]) {
    assert.equal(pathsOf(from), [], from);
  }
});

test('a look-up is followed by its key, whatever that is called, and all that lead to it are', () => {
  const reading = read(`left join legacy.film as f on f.film_id = t.film_id
    left join legacy.language as l on f.language_id = l.language_id`);
  const by = (film: string, language: string) =>
    followedBy(
      reading,
      new Map([
        ['film', film],
        ['language', language],
      ]),
    );
  assert.equal(by('film_id', 'language_id'), ['film: film_id', 'language: film_id > language_id']);
  assert.equal(by('film_id', 'code'), ['film: film_id']);
  assert.equal(by('code', 'language_id'), []);
  // no key that is one whole number
  assert.equal(followedBy(reading, new Map([['language', 'language_id']])), []);
});

test('legacy_key is the key of the driving table, or a number made of it', () => {
  const keyOf = (columns: string, key: string[]) => {
    const { keyed, numbered } = read('', columns, { key });
    return [keyed, numbered];
  };
  const both = 'migration.key_number(row(t.a, t.b)) as legacy_key';
  assert.equal(keyOf(both, ['a', 'b']), [true, true]);
  assert.equal(keyOf(both, ['b', 'a']), [false, true]);
  assert.equal(keyOf(both, ['a']), [false, true]);
  assert.equal(keyOf('migration.key_number(t.a) as legacy_key', ['a']), [true, true]);
  assert.equal(keyOf('t.a as legacy_key', ['a']), [true, false]);
  assert.equal(keyOf('t.id as legacy_key', ['a']), [false, false]);
  assert.equal(keyOf('migration.key_number(row(t.a, lower(t.b))) as legacy_key', ['a', 'b']), [
    false,
    true,
  ]);
  assert.equal(keyOf('other.key_number(t.a) as legacy_key', ['a']), [false, false]);
  const inside = `left join ids.x as x on x.legacy_id = s.b`;
  const text = `create view transform.tasks as select migration.key_number(row(s.one, s.b)) as legacy_key
    from (select t.a as one, t.b from legacy.job as t) as s ${inside}`;
  assert.equal(read('', '', { key: ['a', 'b'], text }).keyed, true);
  assert.equal(read('', '', { key: ['one', 'b'], text }).keyed, false);
});

test('a key is written with the names that need it quoted', () => {
  assert.is(keyText('t', ['order', 'Id'], false), 'migration.key_number(row(t."order", t."Id"))');
  assert.is(keyText('t', ['code'], false), 'migration.key_number(t.code)');
  assert.is(keyText('t', ['user'], true), 't."user"');
});

test('where one row may change another, nothing is followed, and the driving table is a look-up', () => {
  for (const [columns, from] of [
    ['t.id, row_number() over (partition by i.person_id)', ORDER],
    ['t.id, coalesce(sum(i.id) over w, 0)', `${ORDER} window w as (order by t.id)`],
    ['max(t.id) as legacy_key', ORDER],
    ['t.id', `${ORDER} group by t.id`],
    ['t.id', `${ORDER} union all select 1`],
    ['t.id', `${ORDER} where t.id > 1`],
    ['distinct t.id', ORDER],
    ['t.id', `${ORDER} limit 5`],
    ['t.id', `${ORDER} left join "legacy".job as o on o.id = t.id + 1`],
    ['t.id, (select max(o.id) from legacy.job as o)', ORDER],
    ['*', ORDER],
  ]) {
    assert.equal(pathsOf(from ?? '', columns), [], columns);
    assert.ok(
      read(from ?? '', columns).lookups.some(({ table }) => table === 'job'),
      `${columns} ${from}`,
    );
  }
});

test('the driving table may stand in sub-selects and common tables, once', () => {
  const drivenBy = (text: string) =>
    readView({
      name: 'tasks',
      source: 'job',
      key: ['id'],
      readWhole: false,
      text: `create view transform.tasks as ${text}`,
    }).lookups.map(({ table }) => table);
  const inner = 'select d.id, d.name from legacy.job as d';
  assert.equal(drivenBy(`select s.id from (${inner}) as s`), []);
  assert.equal(drivenBy(`with s as (${inner}) select s.id from s`), []);
  const twice = `with s as (${inner}) select s.id from s left join s as o on o.id = s.id + 1`;
  assert.equal(drivenBy(twice), ['job']);
  const numbered = inner.replace('d.name', 'lag(d.name) over (order by d.id)');
  assert.equal(drivenBy(`select s.id from (${numbered}) as s`), ['job']);
  assert.equal(drivenBy(`with s as (${numbered}) select s.id from s`), ['job']);
  const beside = `select t.id from legacy.job as t
    left join (select row_number() over () as id from legacy.x) as x on x.id = t.id`;
  assert.equal(drivenBy(beside), ['x'], 'numbers of another table');
});

/** The columns of a view with these values, and what is opaque in it. */
function opaque(columns: Record<string, string>, from: string): string[] {
  const list = Object.entries(columns).map(([name, value]) => `${value} as ${name}`);
  return read(from, ['t.id as legacy_key', ...list].join(', ')).opaqueMaps;
}

const KIND = 'left join ids.kinds as k on k.legacy_id = t.kind_id';
const MISSING = "case when t.kind_id is not null and k.id is null then 'kinds' end";

test('an id map is followed where a row without it says so', () => {
  const others = `case when t.a is null then 'x' end, case when t.b is null then 'y' end`;
  for (const columns of [
    { missing: MISSING },
    { missing: "case when k.id is null then 'kinds'::text end" },
    { missing: "case when k.legacy_id is null then 'kinds' when t.a then 'x' end" },
    { missing: `nullif(concat_ws(',', ${others}, ${MISSING}), '')` },
    { missing: "case when t.a or k.id is null then 'kinds' end" },
    { reject: "case when t.a then 'x' when k.id is null then 'orphan' end" },
    { reject: "coalesce(case when t.a then 'x' end, case when k.id is null then 'y' end)" },
    { missing: MISSING, filter: "case when t.kind_id is null then 'no_kind' end" },
  ]) {
    assert.equal(opaque(columns, KIND), [], JSON.stringify(columns));
  }
  const narrow = 'left join ids.kinds as k on t.type = 4 and k.legacy_id = t.item';
  const says = "case when t.type = 4 and t.item is not null and k.id is null then 'kinds' end";
  assert.equal(opaque({ missing: says }, narrow), []);
  assert.equal(opaque({ missing: MISSING }, `${KIND} and t.type = 4`), [], 'waits in vain');
});

test('anything else is opaque', () => {
  for (const columns of [
    { kind_id: 'k.id' },
    { missing: "case when k.id is null then 'things' end" },
    { missing: 'case when k.id is null then t.name end' },
    { missing: "case when k.id is not null then 'kinds' end" },
    { missing: "case when k.version is null then 'kinds' end" },
    { missing: "case when t.a and k.id is null then 'kinds' end" },
    { missing: "case when t.other_id is not null and k.id is null then 'kinds' end" },
    { missing: "case when not (k.id is null) then 'kinds' end" },
    { missing: "case when t.a then 'x' when k.id is null then 'kinds' end" },
    { missing: "case k.id when null then 'kinds' end" },
    { missing: `coalesce(case when t.a then 'x' end, ${MISSING})` },
    { missing: `upper(${MISSING})` },
    { missing: `concat_ws(';', 'x', ${MISSING})` },
    { missing: `nullif(${MISSING}, 'kinds')` },
    { reject: "case when t.a then null when k.id is null then 'orphan' end" },
    { missing: MISSING, filter: "case when k.id is null then 'no_kind' end" },
    { missing: MISSING, filter: "case when id is null then 'no_kind' end" },
    { missing: MISSING, other: '(select max(m.legacy_id) from ids.kinds as m)' },
    { missing: MISSING, other: '(select max(m.legacy_id) from "ids".kinds as m)' },
    { missing: MISSING, other: 'row_number() over ()' },
  ]) {
    assert.equal(opaque(columns, KIND), ['kinds'], JSON.stringify(columns));
  }
  for (const from of [
    'left join ids.kinds as k on k.id = t.kind_id',
    'left join ids.kinds as k on k.legacy_id >= t.kind_id',
    'inner join ids.kinds as k on k.legacy_id = t.kind_id',
    'left join (select m.id, m.legacy_id from ids.kinds as m) as k on k.legacy_id = t.kind_id',
    `${KIND} left join ids.kinds as l on l.legacy_id = t.other_id`,
    `${KIND} where t.id > 1`,
  ]) {
    assert.equal(opaque({ missing: MISSING }, from), ['kinds'], from);
  }
});

test('a filter depends on what is joined to a map, too', () => {
  const filter = (text: string) => ({ missing: MISSING, filter: text });
  const lateral = `${KIND} cross join lateral (select k.id is null as none) as x`;
  assert.equal(opaque(filter("case when x.none then 'no' end"), lateral), ['kinds']);
  const joined = `${KIND} left join legacy.y as y on y.id = k.legacy_id`;
  assert.equal(opaque(filter("case when y.id is null then 'no' end"), joined), ['kinds']);
  assert.equal(opaque(filter("case when t.id is null then 'no' end"), joined), []);
});

test('its own map is never opaque: it grows only when its rows are read', () => {
  assert.equal(opaque({ parent: '(select max(m.legacy_id) from ids.tasks as m)' }, ''), []);
});

test('changes are found by the id of the driving table, under whatever name it comes', () => {
  const task = 'legacy.job';
  for (const text of [
    `select t.id as legacy_key from ${task} as t ${ORDER}`,
    `select t.id::integer::bigint as legacy_key from ${task} as t`,
    `select cast(t.id as int8) as legacy_key from ${task} as t`,
    `select id as legacy_key from ${task}`,
    `select job.id as legacy_key from ${task}`,
    `select s.n as legacy_key from (select d.id as n from ${task} as d) as s ${KIND}`,
    `with s as (select d.id as n from ${task} as d) select s.n as legacy_key from s`,
    `with s as (select d.id from ${task} as d), r as (select s.id from s)
     select x.id as legacy_key from (select r.id from r) as x`,
  ]) {
    assert.ok(keyed(text), text);
  }
  for (const text of [
    `select t.code as legacy_key from ${task} as t`,
    `select i.id as legacy_key from ${task} as t ${ORDER}`,
    // of another table, though they are equal wherever both are there
    `select i.id as legacy_key from ${task} as t left join legacy.i as i on i.id = t.id`,
    `select -t.id as legacy_key from ${task} as t`,
    `select t.id::numeric::bigint as legacy_key from ${task} as t`,
    `select coalesce(t.code, t.id) as legacy_key from ${task} as t`,
    `select (select t.id) as legacy_key from ${task} as t`,
    `select id as legacy_key from ${task} as t ${ORDER}`,
    `select t.id as legacy_key from ${task} as t (code, id)`,
    `select s.id as legacy_key from (select d.code as id from ${task} as d) as s`,
    `select s.id as legacy_key from (select d.code, d.id from ${task} as d) as s (id, code)`,
    `select s.id as legacy_key from (select d.* from ${task} as d) as s`,
    `with s (id) as (select d.code from ${task} as d) select s.id as legacy_key from s`,
    `select i.id as legacy_key from legacy.request as i`,
    `select t.id as legacy_key from ${task} as t union all select 1`,
    `select t.id from ${task} as t`,
  ]) {
    assert.not(keyed(text), text);
  }
  assert.ok(keyed('select 1::bigint as legacy_key', null), 'a view without a source');
});

/** Whether a view over job has the key by which its changes are found. */
function keyed(text: string, source: string | null = 'job'): boolean {
  const view = `create view transform.tasks as ${text};`;
  return readView({ name: 'tasks', source, key: ['id'], readWhole: false, text: view }).keyed;
}

test('of the views of a project: what they read, and by what its changes are found', async () => {
  const readings = await readInChild(entities);
  for (const [index, { name, reads, idMaps, key, readWhole }] of entities.entries()) {
    const reading = readings[index];
    assert.is(reading?.keyed, true, name);
    assert.equal(reading?.reads, reads, name);
    assert.equal(reading?.idMaps, idMaps, name);
    if (key.length > 1) assert.ok(reading?.numbered && readWhole, name);
  }
  const opaqueIn = (definitionsOf(catalog, readings) as { entity: string; opaque_maps: string[] }[])
    .filter(({ opaque_maps: maps }) => maps.length > 0)
    .map(({ entity, opaque_maps: maps }) => `${entity}: ${maps.join()}`);
  // countries are known by a text: the number made of it is no column that could say so
  assert.equal(opaqueIn, ['customers: countries']);
});

test('a map from which rows are removed is opaque', () => {
  const [first, second] = entities;
  assert.ok(first && second);
  const readings = [first, second].map(() => ({
    reads: [],
    idMaps: [first.name],
    lookups: [],
    opaqueMaps: [],
    references: [],
    keyed: true,
    numbered: false,
  }));
  const two = (deletes: 'keep' | 'remove') => ({
    ...catalog,
    phases: [{ name: '1-x', entities: [{ ...first, deletes }, second] }],
  });
  const maps = (deletes: 'keep' | 'remove') =>
    (definitionsOf(two(deletes), readings) as { opaque_maps: string[] }[]).map(
      ({ opaque_maps: names }) => names.join(),
    );
  assert.equal(maps('keep'), ['', '']);
  assert.equal(maps('remove'), ['', first.name]);
});

test('what does not parse reads nothing', () => {
  const nothing = {
    reads: [],
    idMaps: [],
    lookups: [],
    opaqueMaps: [],
    references: [],
    keyed: true,
    numbered: false,
  };
  for (const text of ['', 'create view x as select', 'select 1; drop table x', 'drop table x']) {
    const reading = readView({ name: 'x', source: 'x', key: ['id'], readWhole: false, text });
    assert.equal({ ...reading, keyed: true, numbered: false }, nothing, text);
  }
});

test.run();
