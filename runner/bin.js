#!/usr/bin/env node
// The command `runner`.
import { setFlagsFromString } from 'node:v8';

// the work is in the database: a small heap is enough (.npmrc says the same to npx)
setFlagsFromString('--max-semi-space-size=1');
// Where Node reads TypeScript itself (22.18 and later), nothing stands between; it does not in
// node_modules, and there tsx does; child.ts sees to our children.
const reads = process.features.typescript && !import.meta.url.includes('/node_modules/');
if (!reads) (await import('tsx/esm/api')).register();
await import('./index.ts');
