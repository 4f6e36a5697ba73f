import { testPair } from '../pair.ts';
import { startProxy } from './proxy.ts';
import { readCatalog } from '../../runner/catalog.ts';
import { runUp } from '../../runner/run.ts';
import { parseUrl } from '../../runner/config.ts';
import { changeSchema, ROOT, open } from '../runner.ts';
import { loadSource, grantReader } from '../../runner/embedded.ts';
const scale = process.argv[2] ?? '0.001';
const pair = await testPair({ source: 'empty', target: 'schema' });
console.time('load');
await loadSource(pair.sourceAdminUrl, { scale, seed: '1' });
await grantReader(pair.sourceAdminUrl);
console.timeEnd('load');
const s = open(pair.sourceAdminUrl);
await s`analyze`;
const t = await s`select relname, reltuples from pg_class where relkind='r' and relnamespace='public'::regnamespace order by reltuples desc`;
console.log(t.map((r) => `${r.relname} ${r.reltuples}`).join(', '));
await changeSchema(pair);
const url = new URL(pair.targetUrl);
const proxy = await startProxy({ port: Number(url.port) });
url.port = String(proxy.port);
const catalog = readCatalog(ROOT);
for (let i = 0; i < 3; i++) {
  proxy.pass();
  const t0 = Date.now();
  await runUp({
    root: ROOT, config: { source: parseUrl(pair.sourceUrl) as any, target: parseUrl(url.href) as any, jobs: 1, rejectTolerance: 0.2 },
    catalog, phases: catalog.phases, archive: true, dryRun: false, full: false, jobs: 1, policy: 'source', removeMany: false,
    applySchema: async () => [], report: () => {}, remark: console.log, interrupt: { requested: false, cancel: () => {} },
  });
  console.log(Date.now() - t0, proxy.counts());
}
await s.end();
await proxy.stop();
await pair.drop();
