import { type Command, type Context, UsageError } from '../command.ts';
import type { Endpoint } from '../config.ts';
import { tlsOf } from '../database.ts';
import type { Connection, Folder } from '../schema.ts';
import { say, sayJson, table } from '../terminal.ts';

export const schema: Command = {
  name: 'schema',
  summary: 'the schema changes: additive ones, and the column removal one phase at a time',
  usage: 'schema up|down|status',
  options: {
    folder: { text: 'additive (default) or removal', value: 'folder' },
    to: { text: 'number of files to apply or take back', value: 'n' },
  },
  run: runCommand,
};

async function runCommand(context: Context): Promise<number> {
  const [verb] = context.positionals;
  if (verb !== 'up' && verb !== 'down' && verb !== 'status') {
    throw new UsageError('say up, down or status');
  }
  const folder = context.value('folder') ?? 'additive';
  if (!isFolder(folder)) throw new UsageError('--folder takes additive or removal');
  const { target } = await context.config();
  const { applySchemaChanges, schemaStatus } = await import('../schema.ts');
  const where = { connection: connectionOf(target), root: context.root, folder };
  if (verb !== 'status') {
    const count = context.value('to');
    const applied = await applySchemaChanges({
      ...where,
      direction: verb,
      ...(count === undefined ? {} : { count: Number(count) }),
    });
    if (context.has('json')) sayJson({ folder, direction: verb, files: applied });
    else if (applied.length === 0) say(`${folder}: nothing to do`);
    else for (const { name, direction } of applied) say(`${direction}  ${name}`);
    return 0;
  }
  const status = await schemaStatus(where);
  if (context.has('json')) sayJson(status);
  else {
    table(
      ['file', 'state'],
      [
        ...status.applied.map(({ name }) => [
          name,
          status.edited.includes(name) ? 'applied, EDITED since' : 'applied',
        ]),
        ...status.missing.map((name) => [name, 'applied, file is GONE']),
        ...status.pending.map((name) => [name, 'pending']),
      ],
    );
  }
  return status.edited.length + status.missing.length > 0 ? 1 : 0;
}

/** An endpoint in the form node-pg-migrate's driver takes. */
export function connectionOf(endpoint: Endpoint): Connection {
  return {
    host: endpoint.host,
    port: endpoint.port,
    user: endpoint.user,
    password: endpoint.password.reveal(),
    database: endpoint.database,
    ssl: tlsOf(endpoint),
  };
}

function isFolder(word: string): word is Folder {
  return word === 'additive' || word === 'removal';
}
