// The runner for programs, in every Node: `import { up } from 'legacy-to-supabase'`. What each function takes and
// returns is in api.ts.
// As in bin.js: where Node does not read TypeScript itself, tsx does, for these files only.
const reads = process.features.typescript && !import.meta.url.includes('/node_modules/');
const load = async () => (await import('tsx/esm/api')).tsImport('./api.ts', import.meta.url);

export const { up, plan, status, verify, report } = await (reads ? import('./api.ts') : load());
