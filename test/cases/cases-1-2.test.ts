import { test } from 'uvu';
import { caseTests } from './harness.ts';

caseTests(test, ['1-foundation', '2-core']);

test.run();
