/* Statements that the source and the application may send, each without looking at what is there. */
import type { Below } from './operations.ts';
import { ADOPTS, type Table } from './world.ts';

type Kind = () => string;

/** A key; of two one is among the first eight, where the source and the application meet. */
function keys(below: Below): Below {
  return (limit) => (below(2) === 0 ? below(8) : below(limit));
}

/** Changes of rows; `mixed`: unique values stay away from the rows that the application edits. */
export function sourceChanges(below: Below, mixed: boolean): Kind[] {
  const word = () => below(100_000);
  const key = keys(below);
  const pick = (...values: string[]) => values[below(values.length)] ?? '';
  const person = () => 1 + key(70);
  const free = (limit: number) => {
    const found = 1 + key(limit);
    return mixed && found % 3 === 0 ? found + 1 : found;
  };
  const row =
    (table: string, limit: number, what: string): Kind =>
    () =>
      `update ${table} set ${what} where id = ${1 + key(limit)}`;
  const set =
    (table: string, limit: number, what: () => string): Kind =>
    () =>
      `update ${table} set ${what()} where id = ${1 + key(limit)}`;
  const scale = (column: string) =>
    `${column} = (${column}::text || case when ${column}::text like '%.%' then '0' else '.0' end)::numeric`;
  return [
    // the smallest change of every type
    row('person', 70, 'amount = -amount'),
    row('person', 70, 'amount = amount + 0.01'),
    row('person', 70, scale('amount')),
    row('person', 70, 'mail = upper(mail)'),
    row('person', 70, `mail = concat(mail, ' ')`),
    row('person', 70, 'mail = null'),
    row('person', 70, `at = at + interval '1 microsecond'`),
    row('person', 70, `at = at at time zone 'UTC' at time zone 'UTC+1'`),
    set('person', 70, () => `facts = '{"b": 1.0, "a": ${word()}}'`),
    row('person', 70, `facts = jsonb_set(facts, '{a}', '1.00')`),
    row('person', 70, `facts = jsonb_set(facts, '{a}', '1.0')`),
    row('person', 70, 'born = null'),
    row('person', 70, 'born = born + 1'),
    row('staff', 50, `ratio = case ratio::text when '0' then '-0' else '0' end::float8`),
    row('staff', 50, 'ratio = ratio * (1 + 2.3e-16::float8)'),
    set(
      'staff',
      50,
      () => `span = '${pick('1 day', '24:00', '30 days', '1 mon', '-00:00:00.000001')}'`,
    ),
    set(
      'staff',
      50,
      () => `tags = '${pick('{a,b}', '{b,a}', '{a,NULL}', '{}', '[0:1]={a,b}', '{{a,b}}')}'`,
    ),
    set('staff', 50, () => `raw = '${pick('\\x', '\\x00', '\\x0000', '\\x01')}'`),
    row('staff', 50, 'flag = not coalesce(flag, true)'),
    row('staff', 50, `hour = case hour when '24:00' then '00:00' else '24:00' end::time`),
    set('staff', 50, () => `mood = '${pick('calm', 'glad', 'sad')}'`),
    row(
      'staff',
      50,
      'first = case first when upper(first) then lower(first) else upper(first) end',
    ),
    row('staff', 50, `last = case when last like '% ' then rtrim(last) else concat(last, ' ') end`),
    row('staff', 50, `extra = case extra when '' then null else '' end`),
    set('staff', 50, () => `code = 'code ${word()}'`),
    row('tag', 50, 'name = case name when upper(name) then lower(name) else upper(name) end'),
    row('tag', 50, scale('amount')),
    row('tag', 50, 'amount = -amount'),
    // rows that come and go
    () =>
      `insert into staff (id, first, mood, span) values (${1 + key(50)}, 'First ${word()}', 'sad', '1 day')`,
    () => `delete from staff where id = ${1 + key(50)}`,
    () => `insert into tag values (${1 + key(50)}, 'Tag ${word()}', 1.0)`,
    () => `delete from tag where id = ${1 + key(50)}`,
    () =>
      `insert into person (id, login, mail) values (${person()}, 'login ${word()}', 'mail ${word()}')`,
    () =>
      `insert into person (id, login, mail) values (${free(70)}, 'login ${free(70)}', 'mail ${free(70)}')`,
    () => `delete from person where id = ${person()}`,
    () => moved(free(70), free(70)),
    () => returned(free(70)),
    () => `insert into plan values (${1 + key(140)}, ${person()}, 'plan ${word()}')`,
    () => `delete from plan where id = ${1 + key(140)}`,
    () => `insert into pair values (${1 + key(80)}, ${person()}, ${person()}, 'pair ${word()}')`,
    () => `delete from pair where id = ${1 + key(80)}`,
    () => `insert into box values (${1 + key(40)}, ${1 + key(40)}, 'box ${word()}')`,
    () => `delete from box where id = ${1 + key(40)}`,
    // look-ups
    () => `update person set kind_id = ${below(7)} where id = ${person()}`,
    () => `update kind set name = 'kind ${word()}' where id = ${1 + below(6)}`,
    () => `update kind set name = 'kind ${below(2)}' where id = ${1 + below(6)}`,
    () => `delete from kind where id = ${1 + below(6)}`,
    () => `insert into kind values (${1 + below(6)}, 'kind ${word()}', 'spare ${word()}')`,
    // references and words
    () => `update plan set person_id = ${person()} where id = ${1 + key(130)}`,
    () => `update plan set person_id = null where id = ${1 + key(130)}`,
    () => `update plan set name = 'plan ${word()}' where id % 10 = ${below(10)}`,
    () => `update pair set note = 'pair ${word()}' where id = ${1 + key(80)}`,
    () => `update box set name = 'box ${word()}' where id = ${1 + key(40)}`,
    () => `update box set parent_id = ${1 + key(40)} where id = ${1 + key(40)}`,
    // unique values that move
    () => `update person set login = 'login ${word()}' where id = ${person()}`,
    () => `update person set login = 'login ${free(90)}' where id = ${free(70)}`,
    () => swap([free(70), free(70)], word()),
    () => swap([free(70), free(70), free(70)], word()),
    () => swapPairs(free(60), free(60)),
  ];
}

/** Changes after which rows say something else, and have no new version. */
export function definitionChanges(below: Below): Kind[] {
  const swapped = (table: string, one: string, other: string) =>
    `alter table ${table} rename column ${one} to turning;
    alter table ${table} rename column ${other} to ${one};
    alter table ${table} rename column turning to ${other}`;
  const again = (what: string) =>
    `alter table staff drop column extra; alter table staff add column extra text${what}`;
  return [
    () => again(''),
    () => again(` default 'extra ${below(3)}'`),
    () =>
      `${again(` not null default 'extra ${below(3)}'`)}; alter table staff alter column extra drop not null`,
    () => swapped('staff', 'first', 'last'),
    () => swapped('kind', 'name', 'spare'),
    () => `alter table kind rename to turning;
    create table kind (id integer primary key, name text, spare text);
    insert into kind select id, concat(name, '${below(2) === 0 ? '' : '!'}'), spare from turning;
    drop table turning; grant select on kind to legacy_reader`,
    () => `alter table staff alter column code type varchar(${20 + below(200)})`,
    () => `alter type mood rename value 'glad' to 'turning';
    alter type mood rename value 'sad' to 'glad'; alter type mood rename value 'turning' to 'sad'`,
  ];
}

/** What the application does with rows of ours and of its own. */
export function edits(below: Below, mixed: boolean): Kind[] {
  const key = keys(below);
  const update =
    (table: Table, what: string, limit = 60): Kind =>
    () => {
      const found = 1 + key(limit);
      const whose =
        mixed && (table === 'people' || table === 'pairs') ? found - (found % 3) : found;
      return `update public.${table} set ${what} where id = (select id from ids.${table} where legacy_id = ${whose})`;
    };
  const gone =
    (table: Table): Kind =>
    () =>
      `delete from public.${table} where id = (select id from ids.${table} where legacy_id = ${1 + key(60)})`;
  const own = (table: Table): Kind[] => [
    // never a second row for a key that we hold, or whose row comes back with `down`
    () => {
      const [mine, word] = [1 + below(55), below(100_000)];
      return `insert into public.${table} (id, legacy_id, private)
    select md5('${table} ${mine} ${word}')::uuid, ${mine}, 'their own' where ${mine} not in (
      select legacy_id from ids.${table} union all
      select legacy_id from migration.before_images where entity = '${table}')`;
    },
    () => `update public.${table} set private = 'own, edited' where legacy_id = ${1 + key(55)}`,
    () => `delete from public.${table} where legacy_id = ${1 + below(55)}
      and id not in (select id from ids.${table})`,
  ];
  return [
    update('people', 'amount = coalesce(amount, 0) + 1000'),
    update('people', 'amount = -amount'),
    update('people', `private = 'theirs'`),
    update('people', 'private = private'),
    update('plans', `name = concat(name, ' edited')`, 130),
    update('plans', `private = 'theirs'`, 130),
    gone('plans'),
    update('pairs', `note = concat(note, ' edited')`),
    update('pairs', `private = 'theirs'`),
    update('boxes', `name = concat(name, ' edited')`, 40),
    update('boxes', `private = 'theirs'`, 40),
    update('staff', `first = concat(first, ' ')`, 50),
    update('staff', `ratio = -ratio, span = span * 2`, 50),
    update('staff', `private = 'theirs'`, 50),
    gone('staff'),
    update('tags', 'name = upper(name::text)', 50),
    update(
      'tags',
      `amount = (amount::text || '.0')::numeric`.replace(
        `amount::text || '.0'`,
        `trunc(amount)::text || '.0'`,
      ),
      50,
    ),
    update('tags', `private = 'theirs'`, 50),
    gone('tags'),
    ...ADOPTS.flatMap(own),
  ];
}

function swap(ids: number[], word: number): string {
  const list = ids.join(', ');
  const turned = ids.map((id, n) => `when ${id} then ${ids[(n + 1) % ids.length]}`).join(' ');
  return `create temporary table was on commit drop as
      select id, login as value from person where id in (${list});
    update person set login = concat('turning ${word} ', id) where id in (${list});
    update person as t set login = w.value from was as w
    where t.id in (${list}) and w.id = case t.id ${turned} end`;
}

function swapPairs(one: number, other: number): string {
  return `create temporary table was on commit drop as select * from pair where id in (${one}, ${other});
    delete from pair where id in (${one}, ${other});
    insert into pair select case id when ${one} then ${other} else ${one} end, one_id, other_id, note from was`;
}

/** An account is made again under another id, all its values with it. */
function moved(from: number, to: number): string {
  return `create temporary table was on commit drop as select * from person where id = ${from};
    delete from person where id = ${from};
    update was set id = ${to}; insert into person select * from was`;
}

/** The account of the first number, whoever has its login, is the row of that number again. */
function returned(id: number): string {
  return `update person set login = concat('left ', id), mail = concat('left ', id)
    where id <> ${id} and (login = 'login ${id}' or mail = 'mail ${id}');
    delete from person where id = ${id};
    insert into person values (${id}, 'login ${id}', 'mail ${id}', ${id % 6}, ${id} / 7.0,
      timestamptz '2024-01-01' + ${id} * interval '1 hour', jsonb_build_object('a', ${id}),
      date '2000-01-01' + ${id})`;
}
