/* Sections 6, 7, 8 and 10 of a report: what was proved, edits, timeline, evidence. */
import {
  type Block,
  type Cell,
  counted,
  duration,
  keysOf,
  moment,
  type Section,
  shown,
  sqlOf,
} from './document.ts';
import type { CheckFact, Facts } from './facts.ts';

/** Runs that are listed, and entities that took longest. */
const RUNS = 20;
const SLOWEST = 10;

export function proofs(facts: Facts): Section {
  const { verified, checks, accepted } = facts;
  const blocks: Block[] = [];
  if (verified.length === 0) {
    blocks.push({
      kind: 'text',
      tone: 'warn',
      text: '`verify` has never run. Run `runner verify`.',
    });
  } else {
    blocks.push({
      kind: 'table',
      caption: 'verify: the rows of the views against the rows that are stored',
      columns: [
        { title: 'When', tight: true },
        { title: 'After', tight: true },
        { title: 'By' },
        { title: 'Rows compared', right: true },
        { title: 'Differences', right: true },
        { title: 'Rewritten by triggers', right: true },
        { title: 'Known rejects', right: true },
        { title: 'Holds', tight: true },
      ],
      rows: verified
        .slice(0, 5)
        .map((v) => [
          moment(v.at) + (v.names.length === 0 ? '' : ` (only ${v.names.join(', ')})`),
          v.run === null ? '' : `run ${v.run}`,
          v.who,
          v.compared,
          v.differences === 0 ? 0 : { tone: 'bad', text: shown(v.differences) },
          v.rewritten,
          v.rejected,
          holds(v),
        ]),
    });
  }
  blocks.push({
    kind: 'table',
    caption: 'Checks, and what each said when it ran last',
    columns: [
      { title: 'Check' },
      { title: 'What holds when it passes' },
      { title: 'When', tight: true },
      { title: 'After', tight: true },
      { title: 'Result', tight: true },
      ...(accepted.length === 0 ? [] : [{ title: 'Accepted', right: true }]),
      { title: 'Holds', tight: true },
    ],
    rows: checks.map((c) => [
      c.name,
      c.title,
      c.at === null ? 'never' : moment(c.at),
      c.run === null ? '' : `run ${c.run}`,
      resultOf(c),
      ...(accepted.length === 0 ? [] : [c.acknowledged]),
      c.at === null ? '' : holds(c),
    ]),
  });
  if (accepted.length > 0) {
    blocks.push({
      kind: 'table',
      caption: 'Findings that a person has accepted',
      columns: [
        { title: 'Check' },
        { title: 'Reason' },
        { title: 'Findings', right: true },
        { title: 'By' },
        { title: 'When' },
      ],
      rows: accepted.map((a) => [a.checkName, a.reason, a.findings, a.who, moment(a.at)]),
    });
  }
  blocks.push(
    { kind: 'text', text: 'What neither `verify` nor the checks can see:' },
    { kind: 'list', items: unseen(facts) },
  );
  return { id: 'proofs', title: 'Verification and checks', blocks };
}

function holds({ stands, sameFiles }: { stands: boolean; sameFiles: boolean }): Cell {
  if (!stands) return { tone: 'warn', text: 'no: written since' };
  return sameFiles ? 'yes' : { tone: 'warn', text: 'no: other files' };
}

function resultOf({ at, failed, findings, severity }: CheckFact): Cell {
  if (at === null) return { tone: 'warn', text: 'not run' };
  if (failed) return { tone: 'bad', text: 'could not be run' };
  if (findings === 0) return { tone: 'good', text: 'nothing found' };
  return { tone: severity === 'error' ? 'bad' : 'warn', text: counted(findings, 'finding') };
}

/** The limits of the proof, those of this migration with their numbers. */
function unseen({ account, omitted, verified, checks }: Facts): string[] {
  const whole = verified.find(({ names }) => names.length === 0);
  return [
    'Whether a rule of the mapping is what was meant. The target is compared with the SQL files: a rule ' +
      'that is wrong is wrong on both sides. Section 9 is there to be read by people who know the data.',
    'Whether what the source says is true. It is moved as it stands there.',
    `What is in the ${counted(account.rejected, 'rejected row')} and the ` +
      `${counted(account.leftOut, 'row')} left out: they are counted, and not in the new database.`,
    ...(omitted.length === 0
      ? []
      : [
          `The ${counted(omitted.length, 'column or table', 'columns and tables')} listed in section 5: ` +
            'nothing carries them, so nothing compares them.',
        ]),
    'Source rows written since the last run read them' +
      (whole === undefined ? '' : `, or while \`verify\` was at work until ${moment(whole.at)}`) +
      '; the next run brings them, and only a source that nobody writes to any more ends this.',
    'Whether an edit that the application made to a migrated row is right: it is reported as a change, ' +
      'not judged.',
    'Rows that are in the new database and did not come from this migration, unless they claim the key of ' +
      'a row that did.',
    'Two different rows with the same hash of 64 bits; rows are compared by hash first. Amounts, codes, ' +
      'texts and times are compared by value besides, where a check names them.',
    'Anything outside both databases: stored files, caches, search indexes, queues, sessions, the ' +
      'application itself.',
    ...(checks.some(({ at }) => at === null)
      ? ['Whatever the checks look at that are listed above as not run.']
      : []),
  ];
}

export function edits(facts: Facts): Section {
  const { edits: rows, checks, entities } = facts;
  const sum = (of: number[]) => shown(of.reduce((total, n) => total + n, 0));
  const blocks: Block[] = [
    {
      kind: 'facts',
      rows: [
        ['Rows that were there before, and recognised', sum(entities.map((e) => e.adopted))],
        ['Rows with an optional reference that leads nowhere', sum(entities.map((e) => e.lacking))],
      ],
    },
  ];
  if (rows.length === 0) {
    const text = 'No row of the application was written over, and no conflict was met.';
    blocks.push({ kind: 'text', text });
  } else {
    blocks.push(
      {
        kind: 'text',
        text:
          'Rows that both sides had changed, and images of rows of the application as they were before a run ' +
          'wrote over them (adopted: the row was there before the migration). `runner down` gives them back.',
      },
      {
        kind: 'table',
        caption: 'Edits and images',
        columns: [
          { title: 'Entity' },
          { title: 'What' },
          { title: 'Rows', right: true },
          { title: 'Keys (at most 20)' },
        ],
        rows: rows.map((e) => [e.entity, e.what, e.rowCount, keysOf(e.keys, e.rowCount)]),
      },
    );
  }
  const remarks = checks.filter(({ severity }) => severity === 'warning');
  const spoke = remarks.filter(({ findings, acknowledged, failed }) => {
    return findings + acknowledged > 0 || failed;
  });
  const silent = remarks.filter((c) => c.at !== null && !spoke.includes(c));
  const open = remarks.filter(({ at }) => at === null);
  for (const check of spoke) {
    const accepted = check.acknowledged > 0 ? [`${shown(check.acknowledged)} accepted`] : [];
    const found = [counted(check.findings, 'finding'), ...accepted].join(', ');
    const failed = check.failed ? 'the check could not be run' : found;
    const caption = `${check.name}: not so: ${check.title} (${failed})`;
    if (check.sample.length === 0) {
      blocks.push({ kind: 'text', text: caption });
      continue;
    }
    blocks.push({
      kind: 'code',
      caption,
      text: [...check.sample, ...(check.findings > check.sample.length ? ['…'] : [])].join('\n'),
    });
  }
  if (silent.length > 0) {
    const names = silent.map(({ name }) => name).join(', ');
    blocks.push({ kind: 'text', text: `Looked for, and nothing found, by ${names}.` });
  }
  if (open.length > 0) {
    const names = open.map(({ name }) => name).join(', ');
    blocks.push({
      kind: 'text',
      tone: 'warn',
      text: `Not looked for yet: ${names}. Run \`runner check\`.`,
    });
  }
  blocks.push(sqlOf('select * from migration.report_edits();'));
  return { id: 'edits', title: 'What the application and the new schema have to know', blocks };
}

export function timeline(facts: Facts): Section {
  const { runs, phases, entities } = facts;
  const busiest = runs.toSorted((a, b) => b.rowsRead - a.rowsRead)[0];
  const blocks: Block[] = [];
  if (busiest !== undefined && busiest.rowsRead > 0) {
    const own = phases.filter(({ run }) => run === busiest.run);
    blocks.push({
      kind: 'timeline',
      caption:
        `Run ${busiest.run}, which read most: ${counted(busiest.rowsRead, 'row')}, ` +
        moment(busiest.started),
      rows: own.map((p) => ({
        name: p.phase,
        began: p.began,
        seconds: p.seconds,
        said: `${duration(p.seconds)}, ${counted(p.rowsRead, 'row')}`,
      })),
      seconds: Math.max(busiest.seconds ?? 0, ...own.map((p) => p.began + p.seconds)),
    });
  }
  blocks.push({
    kind: 'text',
    text: 'Read are rows that can be stored; those that are rejected or left out are not counted here.',
  });
  blocks.push({
    kind: 'table',
    caption: runs.length > RUNS ? `The last ${RUNS} of ${runs.length} runs` : 'All runs',
    columns: [
      { title: 'Run' },
      { title: 'Command' },
      { title: 'Began', tight: true },
      { title: 'Ended' },
      { title: 'By' },
      { title: 'Time', right: true },
      { title: 'Read', right: true },
      { title: 'Inserted', right: true },
      { title: 'Updated', right: true },
      { title: 'Rows/s', right: true },
    ],
    rows: runs
      .slice(-RUNS)
      .map((r) => [
        String(r.run),
        r.command,
        moment(r.started),
        r.status === 'done' ? r.status : { tone: 'warn', text: r.status },
        r.client === null ? r.who : `${r.who}, ${r.client}`,
        { number: r.seconds === null ? '' : duration(r.seconds) },
        r.rowsRead,
        r.inserted,
        r.updated,
        rate(r.rowsRead, r.seconds),
      ]),
  });
  const slowest = entities
    .filter((e) => e.busiestSeconds !== null)
    .toSorted((a, b) => (b.busiestSeconds ?? 0) - (a.busiestSeconds ?? 0))
    .slice(0, SLOWEST);
  if (slowest.length > 0) {
    blocks.push({
      kind: 'table',
      caption: 'The entities that took longest, in the run that read most of each',
      columns: [
        { title: 'Entity' },
        { title: 'Run' },
        { title: 'Time', right: true },
        { title: 'Rows', right: true },
        { title: 'Rows/s', right: true },
      ],
      rows: slowest.map((e) => [
        e.entity,
        String(e.busiestRun ?? ''),
        { number: duration(e.busiestSeconds ?? 0) },
        e.busiestRows,
        rate(e.busiestRows ?? 0, e.busiestSeconds),
      ]),
    });
  }
  return { id: 'timeline', title: 'Timeline', blocks };
}

function rate(rows: number, seconds: number | null): Cell {
  return seconds === null || seconds <= 0 || rows === 0 ? '' : Math.round(rows / seconds);
}

export function evidence(facts: Facts): Section {
  const { files, entities, wal, root, filesHash, maker, to, from } = facts;
  const rows: [string, Cell][] = [
    ['Root hash of the rows', { code: root }],
    ['Hash of all SQL files', { code: filesHash }],
    ['Position in the WAL of the target', { code: wal }],
    ['Commit', { code: maker.commit ?? 'not known' }],
    ['History of the source', { code: from.history ?? 'not known' }],
    ['Ledger', `edition ${to.edition}`],
  ];
  return {
    id: 'evidence',
    title: 'Evidence and signatures',
    blocks: [
      { kind: 'facts', rows },
      {
        kind: 'text',
        text:
          'The root hash is the sha256 of the digests of all entities; the digest of an entity is that over key, ' +
          'new id and row hash of every row in its id map. Another row, another id, another value: another root.',
      },
      {
        kind: 'more',
        summary: 'Digest of each entity',
        blocks: [
          {
            kind: 'table',
            caption: 'Digests of the entities',
            columns: [{ title: 'Entity' }, { title: 'SHA-256' }],
            rows: entities.map((e) => [
              e.entity,
              { code: e.digest ?? 'archive: copied, not hashed' },
            ]),
          },
          sqlOf('select entity, digest from migration.report_entities();'),
        ],
      },
      {
        kind: 'more',
        summary: `SHA-256 of ${counted(files.length, 'SQL file')}`,
        blocks: [
          {
            kind: 'table',
            caption: 'SQL files: schema changes, engine and mapping, checks',
            columns: [{ title: 'File' }, { title: 'SHA-256' }],
            rows: files.map(({ file, hash }) => [{ code: file }, { code: hash }]),
          },
        ],
      },
      {
        kind: 'signatures',
        lines: ['Carried out by', 'Checked by', 'Accepted by'],
        hash: '',
      },
    ],
  };
}
