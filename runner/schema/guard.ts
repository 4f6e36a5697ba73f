import type { ClientBase } from 'pg';

import { question } from '../engine/question.ts';
import { ROLLED_BACK, SchemaChangeError } from './error.ts';
import type { ProtectedColumn } from './files.ts';

/** Watches the protected columns around one change, however often it is tried. */
export interface Guard {
  /** Right after BEGIN: notes what is there. The first note of all attempts counts. */
  note: () => Promise<void>;
  /** Right before COMMIT: throws unless everything is as noted. */
  refuse: () => Promise<void>;
  /** After COMMIT: throws `lost` unless everything is as noted, `unseen` when nobody can say. */
  confirm: () => Promise<void>;
  /** After ROLLBACK: the error to report. One that says `lost` when ROLLBACK did not undo it all. */
  truth: (reason: SchemaChangeError) => Promise<SchemaChangeError>;
}

/** A protected column as a transaction sees it; all but `name` are NULL where it is not there. */
interface Column {
  name: string;
  relation: string | null;
  position: number | null;
  type: string | null;
  /** Number of values and a sum of hashes over table, key and value, children included. */
  values: string | null;
}

/** Something that can change a protected column when somebody writes the table. */
interface Code {
  name: string;
  definition: string;
  /** Cannot change the row, and runs code of the runner only: it may come. */
  harmless: boolean;
}

interface Sight {
  columns: Column[];
  code: Code[];
}

/**
 * The law: a protected column stays where and what it is, and keeps its values, whoever writes them
 * while the change runs. And no trigger, rule or foreign key that could change it comes to its
 * table, nor is one altered, be it by its function. The exception are triggers that run after the
 * write and call a function of schema `migration`; these functions are not for a schema change.
 */
export function guardOf(client: ClientBase, protectedColumns: ProtectedColumn[]): Guard {
  let before: Sight | undefined;

  const changes = async (): Promise<Changes> =>
    compare(before, await look(client, protectedColumns));
  // in a transaction of its own
  const changesAfterwards = async (lockTimeout: string): Promise<Changes> => {
    try {
      await client.query(`begin isolation level read committed read only;
        set local lock_timeout = '${lockTimeout}';
        ${OWN_PATH}`);
      return await changes();
    } finally {
      await client.query('rollback').catch(() => {});
    }
  };

  return {
    note: async () => {
      before ??= await look(client, protectedColumns);
      const absent = before.columns.filter(({ position }) => position === null);
      if (absent.length === 0) return;
      throw new SchemaChangeError(
        'protected',
        `${namesOf(absent)} does not exist: is this the right database? ${ROLLED_BACK}`,
      );
    },
    refuse: async () => {
      // what is deferred would run inside COMMIT, behind the look
      await client.query(`set constraints all immediate; ${OWN_PATH}`);
      const { found } = await changes();
      if (found === '') return;
      throw new SchemaChangeError(
        'protected',
        `With this change ${found}; the column is protected (schema-changes/protected.json). ` +
          ROLLED_BACK,
      );
    },
    confirm: async () => {
      const seen = await changesAfterwards('15s').catch(() => undefined);
      if (seen === undefined) {
        throw new SchemaChangeError(
          'unseen',
          `The schema change is committed, but ${namesOf(before?.columns ?? [])} could not be ` +
            'looked at afterwards: the connection or the table was not to be had. Just before ' +
            'COMMIT all was well; compare the values with a backup.',
        );
      }
      if (seen.found === '') return;
      throw new SchemaChangeError(
        'lost',
        `The schema change is committed, and ${seen.found}. It came inside COMMIT or from another ` +
          `connection, so nothing rolls it back. ${seen.remedy}`,
      );
    },
    truth: async (reason) => {
      if (before === undefined) return reason;
      // another one's lock is no reason to wait: there may be nothing to say
      const seen = await changesAfterwards('500ms').catch(() => undefined);
      if (seen === undefined || seen.found === '') return reason;
      const first = reason.code === 'protected' ? '' : reason.message.replace(ROLLED_BACK, '');
      return new SchemaChangeError(
        'lost',
        `${first}The schema change is rolled back, but ${seen.found}. That came from another ` +
          'connection (the change itself over dblink, or another program), so no ROLLBACK ' +
          `undoes it. ${seen.remedy}`,
        reason.at,
      );
    },
  };
}

/** What is no longer as noted, in words, and what to do; `found` is empty when all is well. */
interface Changes {
  found: string;
  remedy: string;
}

function compare(before: Sight | undefined, now: Sight): Changes {
  if (before === undefined) return { found: '', remedy: '' };
  const lost = now.columns.flatMap((column, index) => {
    const then = before.columns[index];
    if (then === undefined) return [];
    if ((['relation', 'position', 'type'] as const).some((key) => column[key] !== then[key])) {
      return [`${column.name} is dropped, renamed, moved or retyped`];
    }
    if (column.values === then.values) return [];
    const [had, has] = [then, column].map(({ values }) => values?.split(':')[0] ?? '0');
    return [`${column.name} has other values or other places for them (${had} before, ${has} now)`];
  });
  const known = new Set(before.code.map(({ definition }) => definition));
  const armed = now.code
    .filter(({ definition, harmless }) => !harmless && !known.has(definition))
    .map(({ name }) => name);
  const columns = namesOf(now.columns);
  const remedy = [];
  if (lost.length > 0) {
    remedy.push(
      'Unless somebody meant it: stop what writes there and restore the column from a backup that ' +
        'was taken before.',
    );
  }
  if (armed.length > 0) remedy.push('Put back what is new or altered before the next write.');
  return {
    found: [
      ...lost,
      ...armed.map((name) => `${name} is new or altered and may change ${columns} at a write`),
    ].join('; '),
    remedy: remedy.join(' '),
  };
}

function namesOf(list: { name: string }[]): string {
  return list.map(({ name }) => name).join(', ');
}

// ------------------------------------------------------------------------------- the look --

// definitions are written as the search path asks for, and a file may have set it
const OWN_PATH = 'set local search_path = pg_catalog, pg_temp';

async function look(client: ClientBase, wanted: ProtectedColumn[]): Promise<Sight> {
  const names = [
    wanted.map(({ schema }) => schema),
    wanted.map(({ table }) => table),
    wanted.map(({ column }) => column),
  ];
  const { rows } = await client.query<LookedFor>(question('protected_columns'), names);
  const columns: Column[] = [];
  for (const { query, ...column } of rows) {
    // hashes are compared, never values: 10,000 rows take some 10 ms
    const values =
      query === null ? null : (await client.query<{ values: string }>(query)).rows[0]?.values;
    columns.push({ ...column, values: values ?? null });
  }
  const { rows: code } = await client.query<Code>(question('protected_code'), names);
  return { columns, code };
}

type LookedFor = Omit<Column, 'values'> & { query: string | null };
