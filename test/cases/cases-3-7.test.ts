import { test } from 'uvu';
import { caseTests } from './harness.ts';

// deadline 600
caseTests(test, ['3-operations', '4-financial', '5-clinical', '6-supporting', '7-state']);

test.run();
