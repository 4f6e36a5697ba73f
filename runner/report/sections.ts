/* Sections 1 to 5 of a report: verdict, account, money, rejects, what is left out. */
import {
  type Block,
  type Cell,
  counted,
  type Document,
  duration,
  keysOf,
  moment,
  percent,
  type Section,
  shown,
  sqlOf,
  type Tone,
} from './document.ts';
import type { Account, AmountFact, Facts } from './facts.ts';
import { lineage } from './dictionary.ts';
import { edits, evidence, proofs, timeline } from './proof-sections.ts';

/** The ten sections. `certificate`: that is what it is called, and there are no obstacles. */
export function reportOf(facts: Facts, certificate: boolean): Document {
  return {
    title: certificate ? 'Certificate of migration' : 'Migration report',
    subtitle: `${facts.from.database} at ${facts.from.place} → ${facts.to.database} at ${facts.to.place}`,
    verdict: verdictOf(facts),
    sections: [
      verdict(facts),
      account(facts),
      money(facts),
      rejects(facts),
      leftOut(facts),
      proofs(facts),
      edits(facts),
      timeline(facts),
      lineage(facts),
      evidence(facts),
    ],
  };
}

function verdictOf({ complete, account: { unaccounted }, verdict: said, obstacles }: Facts): {
  tone: Tone;
  text: string;
} {
  if (!complete || unaccounted !== 0) return { tone: 'bad', text: said };
  return obstacles.length === 0
    ? { tone: 'good', text: `${said} Verified and checked since the last change.` }
    : { tone: 'warn', text: `${said} What is open is said below.` };
}

function verdict(facts: Facts): Section {
  const { account: all, maker, from, to, runs, lastWrite, obstacles } = facts;
  const [first] = runs;
  const last = runs.at(-1);
  const seconds = runs.reduce((sum, run) => sum + (run.seconds ?? 0), 0);
  const commit = maker.commit === null ? 'not known' : maker.commit.slice(0, 12);
  const files = maker.dirty === true ? `${commit}, and files that are not committed` : commit;
  const rows: [string, Cell][] = [
    ['From', `${from.database} at ${from.place}`],
    ['To', `${to.database} at ${to.place}, PostgreSQL ${to.server}`],
    ['Source rows', shown(all.source)],
    ['Stored', `${shown(all.stored)} (${percent(shareStored(all))} of those not left out)`],
    ['First run', first === undefined ? 'none' : `${moment(first.started)}, by ${first.who}`],
    [
      'Last run',
      last === undefined
        ? 'none'
        : `run ${last.run} (${last.command}, ${last.status}), ${moment(last.started)}, by ${last.who}`,
    ],
    ['Time of all runs', duration(seconds)],
    [
      'Last change',
      lastWrite === null
        ? 'none'
        : `${moment(lastWrite.at)}: ${lastWrite.what}${lastWrite.run === null ? '' : `, run ${lastWrite.run}`}`,
    ],
    ['Toolkit', `${maker.version}, commit ${files}`],
    ['Report', `${moment(facts.madeAt)}, by ${maker.who}`],
  ];
  return {
    id: 'verdict',
    title: 'Verdict',
    blocks: [
      { kind: 'facts', rows },
      ...(obstacles.length === 0
        ? [
            {
              kind: 'text' as const,
              tone: 'good' as const,
              text:
                'Since the last change `verify` has compared every row, and every check has run; ' +
                'nothing was found that is not accepted by name below.',
            },
          ]
        : [
            {
              kind: 'text' as const,
              tone: 'warn' as const,
              text: 'No certificate is given, since:',
            },
            { kind: 'list' as const, items: obstacles },
          ]),
    ],
  };
}

function shareStored({ source, stored, leftOut: out }: Account): number {
  return source === out ? 1 : stored / (source - out);
}

function account(facts: Facts): Section {
  const { account: all, byPhase, entities } = facts;
  const line = (of: Omit<Account, 'unaccounted'>): Cell[] => {
    const unaccounted = of.source - of.stored - of.rejected - of.leftOut;
    const open: Cell = unaccounted === 0 ? 0 : { tone: 'bad', text: shown(unaccounted) };
    return [of.source, of.stored, of.rejected, of.leftOut, open];
  };
  const columns = ['Source rows', 'Stored', 'Rejected', 'Left out', 'Not accounted for'];
  const head = (...names: string[]) => [
    ...names.map((title) => ({ title })),
    ...columns.map((title) => ({ title, right: true })),
  ];
  return {
    id: 'account',
    title: 'Account of all rows',
    blocks: [
      {
        kind: 'text',
        text:
          'Every source row is in exactly one place: stored in the new database, rejected with a reason ' +
          '(section 4), or left out on purpose (section 5). The rows are counted where they are kept.',
      },
      {
        kind: 'bar',
        caption: `${counted(all.source, 'source row')}: where they are`,
        parts: [
          { name: 'stored', rows: all.stored, tone: 'good' },
          { name: 'rejected', rows: all.rejected, tone: 'bad' },
          { name: 'left out', rows: all.leftOut, tone: 'warn' },
        ],
      },
      {
        kind: 'table',
        caption: 'The account by phase',
        columns: [{ title: 'Phase' }, { title: 'Entities', right: true }, ...head()],
        rows: byPhase.map((phase) => [
          phase.status === 'complete' ? phase.phase : `${phase.phase} (${phase.status})`,
          phase.entities,
          ...line(phase),
        ]),
        total: ['All', entities.length, ...line(all)],
      },
      {
        kind: 'more',
        summary: `The account of each of ${counted(entities.length, 'entity', 'entities')}`,
        printed: true,
        blocks: [
          {
            kind: 'table',
            caption: 'The account by entity',
            columns: head('Entity', 'Table'),
            rows: entities.map((e) => [e.entity, { code: e.target }, ...line(e)]),
          },
        ],
      },
      {
        kind: 'more',
        summary: 'How each number is counted (SQL, for the target database)',
        blocks: [
          {
            kind: 'code',
            caption: 'The whole account',
            text: 'select * from migration.report_entities();',
          },
          {
            kind: 'code',
            caption: 'What is stored, entity by entity',
            text: entities.map((e) => `-- ${e.entity}\n${e.countedBy};`).join('\n'),
          },
        ],
      },
    ],
  };
}

function money(facts: Facts): Section {
  const { amounts, amountsMissing } = facts;
  const unequal = amounts.filter(isUnequal);
  const blocks: Block[] = [
    {
      kind: 'text',
      text:
        'Every amount, added up on both sides when this report was made: what the source holds is what ' +
        'the new database holds, plus what was rejected. Source rows that have changed since they were ' +
        'migrated are on neither side.',
    },
  ];
  if (amountsMissing !== null) {
    return {
      id: 'money',
      title: 'Money',
      blocks: [
        { kind: 'text', tone: 'warn', text: `The amounts are not known: ${amountsMissing}` },
      ],
    };
  }
  if (amounts.length === 0) {
    const text = 'No check of this project compares amounts, or nothing is migrated that has any.';
    return { id: 'money', title: 'Money', blocks: [{ kind: 'text', text }] };
  }
  blocks.push(
    unequal.length === 0
      ? { kind: 'text', tone: 'good', text: 'All differences are 0.00.' }
      : { kind: 'text', tone: 'bad', text: `${counted(unequal.length, 'total')} differ.` },
    {
      kind: 'table',
      caption: 'Amounts by entity',
      columns: amountColumns('Entity', 'Amount'),
      rows: amounts
        .filter(({ inGroup }) => inGroup === null)
        .map((a) => [a.entity, ...amountCells(a)]),
    },
  );
  for (const entity of new Set(amounts.map((a) => a.entity))) {
    const groups = amounts.filter((a) => a.entity === entity && a.inGroup !== null);
    if (groups.length === 0) continue;
    blocks.push({
      kind: 'more',
      summary: `${entity}: ${counted(groups.length, 'amount')} by status and time`,
      printed: true,
      blocks: [
        {
          kind: 'table',
          caption: `Amounts of ${entity} by group`,
          columns: amountColumns('Group', 'Amount'),
          rows: groups.map((a) => [a.inGroup ?? '', ...amountCells(a)]),
        },
      ],
    });
  }
  return { id: 'money', title: 'Money', blocks };
}

function amountColumns(...names: string[]) {
  return [
    ...names.map((title) => ({ title })),
    ...['Rows', 'Source', 'Target', 'Rejected', 'Difference'].map((title) => ({
      title,
      right: true,
    })),
  ];
}

function amountCells(a: AmountFact): Cell[] {
  return [
    { code: a.amount.replace(/^t\./, '') },
    a.sourceRows,
    { number: grouped(a.source) },
    { number: grouped(a.target) },
    { number: grouped(a.rejected) },
    isUnequal(a) ? { tone: 'bad', text: grouped(a.difference) } : { number: a.difference },
  ];
}

function isUnequal({ difference, sourceRows, targetRows, rejectedRows }: AmountFact): boolean {
  return Number(difference) !== 0 || sourceRows !== targetRows + rejectedRows;
}

/** Decimal text with thousands separated; no float is made of it. */
function grouped(amount: string): string {
  return amount.replace(/\B(?<!\.\d*)(?=(\d{3})+(?!\d))/g, ',');
}

function rejects(facts: Facts): Section {
  const { rejects: all, account: total } = facts;
  const byKind = (kind: 'rule' | 'error') => all.filter((each) => each.kind === kind);
  const blocks: Block[] = [];
  if (all.length === 0) blocks.push({ kind: 'text', tone: 'good', text: 'No row is rejected.' });
  else {
    blocks.push({
      kind: 'text',
      text:
        `${counted(total.rejected, 'source row')} cannot be stored honestly. Each is kept with its reason ` +
        'and is tried again by every run that could change that. The limit is the number of rows of the ' +
        'entity that may be refused; a run that would refuse more fails.',
    });
  }
  for (const kind of ['rule', 'error'] as const) {
    const rows = byKind(kind);
    if (rows.length === 0) continue;
    blocks.push({
      kind: 'table',
      caption:
        kind === 'rule'
          ? 'Refused by a rule of the mapping'
          : 'Refused by the database, or unreadable',
      columns: [
        { title: 'Entity' },
        { title: 'Reason' },
        { title: 'Rows', right: true },
        { title: 'Share', right: true },
        { title: 'Limit', right: true },
        { title: 'First seen', tight: true },
        { title: 'Keys (at most 20)' },
      ],
      rows: rows.map((r) => [
        r.entity,
        r.sentence === '' ? { code: r.reason } : `${r.reason}: ${r.sentence}`,
        r.rowCount,
        { number: percent(r.share) },
        r.allowed,
        r.firstSeen === null ? '' : `${r.firstSeen.slice(0, 10)}, run ${r.firstRun}`,
        keysOf(r.keys, r.rowCount),
      ]),
    });
  }
  if (all.length > 0) {
    blocks.push(sqlOf('select * from migration.report_rejects();'));
  }
  return { id: 'rejects', title: 'Rejected rows', blocks };
}

function leftOut(facts: Facts): Section {
  const { leftOut: rows, omitted, gone } = facts;
  const blocks: Block[] = [];
  if (rows.length === 0)
    blocks.push({ kind: 'text', text: 'No source row is left out on purpose.' });
  else {
    blocks.push({
      kind: 'table',
      caption: 'Rows that are left out on purpose',
      columns: [{ title: 'Entity' }, { title: 'Reason' }, { title: 'Rows', right: true }],
      rows: rows.map((r) => [
        r.entity,
        r.sentence === '' ? { code: r.reason } : `${r.reason}: ${r.sentence}`,
        r.rowCount,
      ]),
      total: ['All', '', facts.account.leftOut],
    });
  }
  if (omitted.length > 0) {
    blocks.push({
      kind: 'table',
      caption: 'Columns and tables that are left out on purpose',
      columns: [{ title: 'What' }, { title: 'Reason' }],
      rows: omitted.map(({ name, reason }) => [{ code: name }, reason]),
    });
  }
  if (gone.length > 0) {
    blocks.push({
      kind: 'table',
      caption: 'Rows that were migrated and whose source row is gone; they are kept',
      columns: [
        { title: 'Entity' },
        { title: 'The source row is' },
        { title: 'Rows', right: true },
        { title: 'Keys (at most 20)' },
      ],
      rows: gone.map((g) => [g.entity, g.what, g.rowCount, keysOf(g.keys, g.rowCount)]),
    });
  }
  if (rows.length > 0) blocks.push(sqlOf('select * from migration.report_left_out();'));
  return { id: 'left-out', title: 'Left out on purpose', blocks };
}
