import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runCase } from './harness.ts';

type Json = Record<string, Record<string, unknown>>;

/** The expectation of a case with something changed in it. */
function planted(folder: string, change: (expected: Json) => void): string {
  const file = new URL(`${folder}/expected.json`, import.meta.url);
  const expected = JSON.parse(readFileSync(file, 'utf8')) as Json;
  change(expected);
  return JSON.stringify(expected);
}

function places(findings: string[]): string[] {
  return findings.map((finding) => finding.split('\n')[0] ?? '');
}

test('every wrong line of an expectation is found', async () => {
  const expected = planted('patients_doctors_offices', ({ each, rows, ...parts }) => {
    const [first, second] = [rows?.['101'] as Json, rows?.['102'] as Json];
    Object.assign(first, { patient_id: 'patients:102', surplus: 1 });
    Object.assign(first['metadata']?.['legacy'] ?? {}, { office_id: 4 });
    Object.assign(second, { office_id: 'offices:99', created_at: '2024-05-06T05:08:09Z' });
    Object.assign(rows ?? {}, { '103': undefined, '900': {} });
    Object.assign(parts['rejected'] ?? {}, { '104': 'orphan_patient', '105': undefined });
    Object.assign(parts['filtered'] ?? {}, { '901': 'no_doctor' });
    Object.assign(parts['missing'] ?? {}, { '103': 'doctors' });
    delete each?.['doctor_id'];
  });
  assert.equal(places(await runCase('patients_doctors_offices', { expected })), [
    '101  doctor_id',
    '101  metadata.legacy.office_id',
    '101  patient_id',
    '101  surplus',
    '102  created_at',
    '102  doctor_id',
    '102  office_id',
    '103  row',
    '900  row',
    '104  rejected',
    '105  rejected',
    '901  filtered',
    '103  missing',
  ]);
});

test('a numeric is compared to the last digit', async () => {
  const expected = planted('offices', ({ rows }) => {
    Object.assign(rows?.['1'] ?? {}, { tax_rate: '0.1025' });
  });
  assert.equal(await runCase('offices', { expected }), [
    '1  tax_rate\n    expected  "0.1025"\n    actual    "0.102500"',
  ]);
});

test('a part that does not exist is refused', async () => {
  const expected = planted('teams-adoption', (parts) => Object.assign(parts, { reject: {} }));
  const findings = await runCase('teams-adoption', { expected }).catch(String);
  assert.match(String(findings), 'reject is none of');
});

test('what a run must not touch is watched', async () => {
  const findings = await runCase('teams-adoption', {
    meddle: (target) => target`
      do $$ begin
        update teams set description = 'changed' where name in ('Doctor', 'Lab');
        delete from teams where name = 'Kitchen';
        insert into teams (id, name) values ('00000000-0000-4000-8000-000000000009', 'Strange');
      end $$`,
  });
  assert.equal(places(findings).toSorted(), [
    '00000000-0000-4000-8000-000000000001  description',
    '00000000-0000-4000-8000-000000000002  description',
    '00000000-0000-4000-8000-000000000003  description',
    '00000000-0000-4000-8000-000000000004  description',
    '00000000-0000-4000-8000-000000000005  is gone from the table',
    '00000000-0000-4000-8000-000000000009  is in the table and in no id map',
  ]);
});

test('a row the ledger lost is an imbalance', async () => {
  const findings = await runCase('role_permissions', {
    meddle: (target) => target`
      do $$ begin
        delete from migration.rejects where entity = 'role_permissions' and legacy_id = 4;
        update migration.rejects set source_row = null where legacy_id = 5;
      end $$`,
  });
  assert.equal(places(findings), [
    '4  rejected',
    'does not balance: 6 source rows, in the ledger [6,6,5]',
    '1 rejects are without their source row',
  ]);
});

test.run();
