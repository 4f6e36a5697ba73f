import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Endpoint, parseUrl, readConfig, secret } from '../../runner/config.ts';

const HARD = [
  'plain',
  'with@at',
  'two@at@signs',
  'slash/slash',
  'hash#hash',
  'question?mark',
  'colon:colon',
  '100%',
  '%zz',
  'a b',
  `'single' "double"`,
  'back\\slash',
  'ampersand&a=b',
  'üñí',
  '@',
  'p@host:5432/other',
];

function parsed(url: string): Endpoint {
  const found = parseUrl(url);
  if (typeof found === 'string') throw new Error(found);
  return found;
}

for (const password of HARD) {
  test(`the password ${password}, as it is and encoded`, () => {
    for (const text of [password, encodeURIComponent(password)]) {
      const found = parsed(`postgresql://user:${text}@db.example:6543/app`);
      assert.is(found.password.reveal(), password);
      assert.is(found.user, 'user');
      assert.is(found.host, 'db.example');
      assert.is(found.port, 6543);
      assert.is(found.database, 'app');
    }
  });
}

test('a password that looks encoded is decoded: %40 is @', () => {
  assert.is(parsed('postgres://u:a%40b@h/d').password.reveal(), 'a@b');
});

test('user and database are decoded, the port has a default', () => {
  const found = parsed('postgres://postgres.abc%2Fdef:x@h/my%20db');
  assert.is(found.user, 'postgres.abc/def');
  assert.is(found.database, 'my db');
  assert.is(found.port, 5432);
});

test('the target may see the source elsewhere; this machine goes where the URL says', () => {
  const folder = mkdtempSync(join(tmpdir(), 'config-'));
  const urls = { target: 'postgres://u:x@t/d' };
  writeFileSync(
    join(folder, '.env'),
    `SOURCE_DATABASE_URL=postgres://u:x@here/d\nSOURCE_HOST_FROM_TARGET=10.0.0.5\nSOURCE_PORT_FROM_TARGET=7\n`,
  );
  const { source, sourceFromHere } = readConfig(folder, { urls });
  rmSync(folder, { recursive: true });
  assert.equal([source.host, source.port], ['10.0.0.5', 7]);
  assert.equal([sourceFromHere?.host, sourceFromHere?.port], ['here', 5432]);
});

test('an address of IPv6 is taken out of its [ ]', () => {
  const found = parsed('postgres://u:x@[::1]:5433/d');
  assert.is(found.host, '::1');
  assert.is(found.port, 5433);
  assert.is(found.sslMode, 'disable');
});

test('encrypted unless it is this machine, or said otherwise', () => {
  const modes = {
    'postgres://u:x@localhost/d': 'disable',
    'postgres://u:x@127.0.0.1/d': 'disable',
    'postgres://u:x@db.example/d': 'require',
    'postgres://u:x@127.example.com/d': 'require',
    'postgres://u:x@db.example/d?sslmode=disable': 'disable',
    'postgres://u:x@localhost/d?sslmode=verify-full&sslrootcert=/tmp/ca.pem': 'verify-full',
  };
  for (const [url, mode] of Object.entries(modes)) assert.is(parsed(url).sslMode, mode, url);
  assert.is(
    parsed('postgres://u:x@h/d?sslmode=verify-ca&sslrootcert=/tmp/ca.pem').sslRootCert,
    '/tmp/ca.pem',
  );
});

const REFUSED = {
  'mysql://user:hunter2@host/db': /not of the form/,
  'postgres://host/db': /not of the form/,
  'postgres://user:hunter2@host': /not of the form/,
  'postgres://user:hunter2@host/': /not of the form/,
  'postgres://user:hunter2@host:port/db': /not of the form/,
  'postgres://user@host/db': /holds no password/,
  'postgres://user:@host/db': /holds no password/,
  'postgres://user:hunter2@host/db?sslmode=prefer': /sslmode other than/,
  hunter2: /not of the form/,
};

for (const [url, sentence] of Object.entries(REFUSED)) {
  test(`refused without an echo: ${url}`, () => {
    const found = parseUrl(url);
    if (typeof found !== 'string') throw new Error('it is taken');
    assert.match(found, sentence);
    assert.not.match(found, 'hunter2');
  });
}

test('a secret shows itself only when asked', () => {
  const hidden = secret('hunter2');
  const found = parsed('postgres://user:hunter2@host/db');
  const shown = [
    'a text: '.concat(hidden as unknown as string),
    JSON.stringify({ hidden }),
    inspect(hidden),
    inspect({ deep: { hidden } }, { depth: 9, showHidden: true }),
    inspect(found, { showHidden: true }),
    JSON.stringify(found),
    Object.values(hidden).map(String).join(' '),
  ];
  for (const text of shown) assert.not.match(text, 'hunter2');
  assert.is(hidden.reveal(), 'hunter2');
});

test.run();
