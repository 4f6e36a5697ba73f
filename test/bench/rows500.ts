import type { Sql } from 'postgres';
import { readPlan } from './elt/plan.ts';
import { runElt, targetsOf } from './elt/run.ts';
import { countRows, session, type Place } from './place.ts';

/** Id maps in memory: legacy id to UUID, per entity. */
type Maps = Record<string, Map<number, string>>;
type Row = Record<string, unknown>;

/** How a script written with an ORM would do one table. */
interface Script {
  source: string;
  target: string;
  parents: string[];
  /** The new row, or null for one that is left out. */
  convert(row: Row, maps: Maps): Row | null;
}

const BATCH = 500;
/** Rows read per table at most: the speed is known by then. */
const SAMPLE = 20_000;

/** What was measured, and what that would be for all rows. */
export interface Rows500 {
  /** Rows stored, those left out not counted. */
  rows: number;
  rowsPerSecond: number;
  /** Rows of all target tables: what the script would have to store. */
  all: number;
}

/**
 * Reads the five largest source tables in batches of 500 with a cursor, looks up parents in maps in
 * memory, inserts with one statement of many rows. Everything they refer to is there before.
 */
export async function runRows500(place: Place, jobs: number): Promise<Rows500> {
  await runElt(place, { jobs, dropKeys: false, left: [] });
  const counts = await countRows(place.targetAdminUrl, targetsOf(readPlan()));
  const all = [...counts.values()].reduce((total, each) => total + each, 0);
  const source = session(place.sourceUrl);
  const target = session(place.targetUrl);
  for (const { target: table } of SCRIPTS) await target.unsafe(`truncate ${table} cascade`);
  const maps: Maps = {};
  for (const name of new Set(SCRIPTS.flatMap(({ parents }) => parents))) {
    const ids = await target<{ key: number; id: string }[]>`
      select legacy_id::integer as key, id from ${target(`elt_ids.${name}`)}`;
    maps[name] = new Map(ids.map(({ key, id }) => [key, id]));
  }
  const began = performance.now();
  let rows = 0;
  for (const script of SCRIPTS) rows += await load(source, target, script, maps);
  const seconds = (performance.now() - began) / 1000;
  await Promise.all([source.end(), target.end()]);
  return { rows, rowsPerSecond: rows / seconds, all };
}

async function load(source: Sql, target: Sql, script: Script, maps: Maps): Promise<number> {
  let [seen, stored] = [0, 0];
  await source.begin(async (own) => {
    for await (const batch of own`select * from ${own(script.source)} order by id`.cursor(BATCH)) {
      const rows = batch.flatMap((row) => script.convert(row, maps) ?? []);
      if (rows.length > 0)
        await target`insert into ${target(script.target)} ${target(rows as Record<string, string>[])}`;
      seen += batch.length;
      stored += rows.length;
      if (seen >= SAMPLE) break;
    }
  });
  return stored;
}

const text = (value: unknown): string | null => (typeof value === 'string' ? value.trim() : null);
const parent = (maps: Maps, name: string, key: unknown): string | null =>
  maps[name]?.get(Number(key)) ?? null;
const json = (value: unknown): unknown => {
  try {
    if (typeof value !== 'string' || value.trim() === '') return null;
    // jsonb holds neither the character 0 nor half of a pair
    return /\\u(0000|d[89a-f])/i.test(value) ? { raw: value } : JSON.parse(value);
  } catch {
    return { raw: value };
  }
};
const legacy = (row: Row, ...names: string[]): Row => ({
  legacy: Object.fromEntries(names.map((name) => [name, row[name] ?? null])),
});

const SCRIPTS: Script[] = [
  {
    source: 'dispatch_task',
    target: 'public.tasks',
    parents: ['orders', 'templates', 'profiles'],
    convert(row, maps) {
      const order = parent(maps, 'orders', row['instruction_id']);
      if (order === null) return null;
      return {
        legacy_task_id: row['id'],
        order_id: order,
        template_id: parent(maps, 'templates', row['template_id']),
        assigned_to: parent(maps, 'profiles', row['actor_id']),
        template_name: '',
        description: row['text'],
        status: row['checked'] === true ? 'completed' : row['done_at'] ? 'in_progress' : 'pending',
        jaw_specification: row['jaw'],
        checked: row['checked'],
        completed_at: row['done_at'],
        assigned_at: null,
        metadata: legacy(row, 'instruction_id', 'template_id', 'plan_id', 'file_id', 'actor_id'),
      };
    },
  },
  {
    source: 'dispatch_file',
    target: 'public.files',
    parents: ['orders'],
    convert: (row, maps) => ({
      legacy_file_id: row['id'],
      order_id: parent(maps, 'orders', row['instruction_id']),
      file_uid: row['uid'],
      filename: text(row['name']) || `${text(row['uid']) ?? ''}${text(row['ext']) ?? ''}`,
      file_type: text(row['ext']),
      file_size_bytes: row['size'],
      uploaded_at: row['created_at'],
      metadata: {
        ...legacy(row, 'type', 'status', 'description', 'product_id', 'record_id', 'name'),
        parameters: json(row['parameters']),
      },
    }),
  },
  {
    source: 'dispatch_notification',
    target: 'public.system_messages',
    parents: ['profiles'],
    convert(row, maps) {
      if (row['send'] !== true) return null;
      return {
        legacy_record_id: row['id'],
        recipient_id: parent(maps, 'profiles', row['recipient_id']),
        message_type: 'notification',
        message_code: row['template_name'],
        message_data: json(row['template_context']) ?? {},
        source_system: 'dispatch_notification',
        processed: row['sent'],
        created_at: row['created_at'],
        metadata: legacy(row, 'sender', 'item_type_id', 'item_id', 'recipient_id', 'read', 'sent'),
      };
    },
  },
  {
    source: 'dispatch_record',
    target: 'public.messages',
    parents: ['patients', 'profiles'],
    convert: (row, maps) => ({
      legacy_record_id: row['id'],
      sender_id: parent(maps, 'profiles', row['author_id']),
      recipient_id: parent(maps, 'patients', row['target_id']),
      message_type: 'general',
      content: row['text'],
      recipient_type: 'patient',
      created_at: row['created_at'],
      metadata: legacy(row, 'type', 'target_type_id', 'target_id', 'author_id', 'group_id'),
    }),
  },
  {
    source: 'dispatch_action',
    target: 'public.user_actions',
    parents: ['profiles'],
    convert: (row, maps) => ({
      legacy_action_id: row['id'],
      legacy_user_id: row['user_id'],
      user_id: parent(maps, 'profiles', row['user_id']),
      action: row['action'],
      item_id: row['item_id'],
      owner_id: row['owner_id'],
      action_data: row['data'],
      action_date: row['date'],
      metadata: legacy(row, 'item_type_id', 'owner_type_id'),
    }),
  },
];
