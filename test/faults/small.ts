/* A migration small enough to be killed at each of its protocol messages: part of the entities. */
import { randomBytes } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Catalog, readCatalog } from '../../runner/catalog.ts';
import { type Endpoint, parseUrl } from '../../runner/config.ts';
import { install } from '../../runner/ledger.ts';
import { connect } from '../../runner/database.ts';
import { grantReader, loadSource } from '../../runner/embedded.ts';
import { runUp, type UpOptions } from '../../runner/run.ts';
import { testPair, type TestPair } from '../pair.ts';
import { changeSchema, type Databases, open, ROOT } from '../runner.ts';

/** Three phases and the archive; the third commits range by range. Closed under `ids.<entity>`. */
const ENTITIES = [
  ...['offices', 'profiles', 'categories'],
  ...['doctors', 'doctor_offices', 'patients', 'orders'],
  ...['files', 'order_files', 'messages'],
];
const ARCHIVE = ['legacy_archive.auth_user_password', 'legacy_archive.dispatch_agent'];
/** Data checks that look only at what these entities write. */
const CHECKS = ['balance.sql', 'foreign_keys.sql', 'no_secrets.sql', 'private_schemas.sql'];
/** Keys per range: the batch phase has several ranges, and with pieceRows 1 as many commits. */
const WIDTHS = { dispatch_file: 120, dispatch_record: 40 };

/** What a process needs to run the small migration. */
export interface Job extends Databases {
  root: string;
  jobs: number;
}

/** Prepared databases, to be copied: see `prepare`. */
export interface Templates {
  pair: TestPair;
  root: string;
  /** Makes a target database from a template; its URLs. */
  target(template: string): Promise<{ targetUrl: string; targetAdminUrl: string }>;
  /** Drops a target database, ending the sessions in it. */
  drop(targetAdminUrl: string): Promise<void>;
  remove(): Promise<void>;
}

/** The small migration, in this process. Returns the number of the run. */
export function upSmall(job: Job, interrupt = { requested: false, cancel: () => {} }) {
  const catalog = smallCatalog();
  const options: UpOptions = {
    root: job.root,
    config: Object.freeze({
      source: endpoint(job.sourceUrl),
      target: endpoint(job.targetUrl),
      jobs: job.jobs,
      rejectTolerance: 0.5,
    }),
    catalog,
    phases: catalog.phases,
    archive: true,
    dryRun: false,
    full: false,
    jobs: job.jobs,
    policy: 'source',
    removeMany: true,
    pieceRows: 1,
    applySchema: () => Promise.resolve([]),
    report: () => {},
    remark: () => {},
    interrupt,
  };
  return runUp(options);
}

/** Names of the tables of schema `ids` that the small migration has. */
export function smallEntities(): string[] {
  return ENTITIES;
}

function smallCatalog(): Catalog {
  const { phases, archive, ...rest } = readCatalog(ROOT);
  return {
    ...rest,
    phases: phases
      .map((phase) => ({
        ...phase,
        entities: phase.entities.filter(({ name }) => ENTITIES.includes(name)),
      }))
      .filter(({ entities }) => entities.length > 0),
    archive: archive.filter(({ name }) => ARCHIVE.includes(name)),
  };
}

function endpoint(url: string): Endpoint {
  const found = parseUrl(url);
  if (typeof found === 'string') throw new Error(found);
  return found;
}
