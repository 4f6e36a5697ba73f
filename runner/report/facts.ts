/* What a report knows: one object, of which HTML, Markdown and JSON are three renderings. */

/** A row of `migration.report_runs`; `seconds` is null while the run has no end. */
export interface RunFact {
  run: number;
  command: string;
  status: string;
  started: string;
  seconds: number | null;
  who: string;
  client: string | null;
  rowsRead: number;
  inserted: number;
  updated: number;
  kept: number;
  gone: number;
}

/** When a phase was at work in a run; seconds. */
export interface PhaseFact {
  run: number;
  phase: string;
  began: number;
  seconds: number;
  rowsRead: number;
}

/** A row of `migration.report_entities`; rows, unless it says otherwise. */
export interface EntityFact {
  entity: string;
  phase: string;
  target: string;
  sourceTable: string | null;
  source: number;
  stored: number;
  rejected: number;
  leftOut: number;
  gone: number;
  adopted: number;
  /** With an optional reference that leads nowhere. */
  lacking: number;
  rules: number;
  rulesAllowed: number;
  errors: number;
  errorsAllowed: number;
  busiestRun: number | null;
  busiestRows: number | null;
  busiestSeconds: number | null;
  /** sha256 over its id map; null of the archive. */
  digest: string | null;
  /** The statement that counts what is stored. */
  countedBy: string;
}

/** Source rows and where they are. */
export interface Account {
  source: number;
  stored: number;
  rejected: number;
  leftOut: number;
  /** source - stored - rejected - leftOut: 0, or rows are lost. */
  unaccounted: number;
}

export interface RejectFact {
  entity: string;
  kind: 'rule' | 'error';
  reason: string;
  sqlstate: string | null;
  constraintName: string | null;
  columnName: string | null;
  rowCount: number;
  keys: number[];
  firstRun: number;
  firstSeen: string | null;
  /** What the reason means. */
  sentence: string;
  /** Share of the rows of the entity that are not left out, and rows that may be refused. */
  share: number;
  allowed: number;
}

export interface LeftOutFact {
  entity: string;
  reason: string;
  rowCount: number;
  sentence: string;
}

/** Rows of an entity by what is so of them, with the first keys. */
export interface KeysFact {
  entity: string;
  what: string;
  rowCount: number;
  keys: number[];
}

/** A `verify` of the past. */
export interface VerifiedFact {
  at: string;
  who: string;
  run: number | null;
  /** Nothing was written since it began. */
  stands: boolean;
  /** It compared with the files of this checkout. */
  sameFiles: boolean;
  /** Of these entities only; none = all. */
  names: string[];
  compared: number;
  differences: number;
  rewritten: number;
  rejected: number;
}

/** What a check said when it ran last. */
export interface CheckFact {
  name: string;
  title: string;
  severity: 'error' | 'warning';
  /** null: it has never run. */
  at: string | null;
  who: string | null;
  run: number | null;
  stands: boolean;
  sameFiles: boolean;
  findings: number;
  acknowledged: number;
  sample: string[];
  failed: boolean;
}

export interface AcceptedFact {
  checkName: string;
  reason: string;
  who: string;
  at: string;
  findings: number;
}

/** A total of both sides; in_group null: over all groups. Amounts are decimal text. */
export interface AmountFact {
  entity: string;
  amount: string;
  inGroup: string | null;
  sourceRows: number;
  targetRows: number;
  rejectedRows: number;
  source: string;
  target: string;
  rejected: string;
  difference: string;
}

/** An entity, or a table of the archive, as its file defines it. */
export interface DefinitionFact {
  entity: string;
  phase: string;
  file: string;
  hash: string;
  /** First sentence of the file. */
  purpose: string;
  target: string;
  source: string | null;
  deletes: 'keep' | 'remove' | null;
  /** Id maps it reads: entities that stand before it. */
  idMaps: string[];
  reasons: { kind: 'reject' | 'filter'; name: string; sentence: string }[];
  columns: { source: string; target: string; how: 'value' | 'reference' | 'decides' }[];
}

/** What is left out of the mapping on purpose: a column, a table; with the reason. */
export interface OmittedFact {
  name: string;
  reason: string;
}

/** What the files say: all there is to a data dictionary. */
export interface FileFacts {
  definitions: DefinitionFact[];
  omitted: OmittedFact[];
  files: { file: string; hash: string }[];
  filesHash: string;
}

/** Who and what made it. */
export interface Maker {
  version: string;
  commit: string | null;
  /** Files differ from the commit; null: not known. */
  dirty: boolean | null;
  who: string;
}

export interface Facts extends FileFacts {
  report: 1;
  madeAt: string;
  maker: Maker;
  from: { place: string; database: string; history: string | null };
  to: { place: string; database: string; server: string; edition: number };
  verdict: string;
  /** All phases are complete, by the files of this checkout. */
  complete: boolean;
  /** Why there is no certificate; none = there is one. */
  obstacles: string[];
  lastWrite: { at: string; run: number | null; what: string } | null;
  account: Account;
  byPhase: (Account & { phase: string; entities: number; status: string })[];
  entities: EntityFact[];
  amounts: AmountFact[];
  /** Why there are no amounts; null = there are, or no check compares any. */
  amountsMissing: string | null;
  rejects: RejectFact[];
  leftOut: LeftOutFact[];
  gone: KeysFact[];
  edits: KeysFact[];
  verified: VerifiedFact[];
  checks: CheckFact[];
  accepted: AcceptedFact[];
  runs: RunFact[];
  phases: PhaseFact[];
  wal: string;
  /** sha256 over the digests of all entities. */
  root: string;
}
