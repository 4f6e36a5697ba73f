// deadline 300
import { suite } from 'uvu';
import { type Context, incrementalTests } from './incremental.ts';

const test = suite<Context>('incremental, source 17');

incrementalTests(test, { sourceMajor: 17 });

test.run();
