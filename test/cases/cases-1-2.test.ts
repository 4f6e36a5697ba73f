import { test } from 'uvu';
import { caseTests } from './harness.ts';

// deadline 300
caseTests(test, ['1-foundation', '2-core']);

test.run();
