// deadline 300
import { suite } from 'uvu';
import { type Context, incrementalTests } from '../project/incremental.ts';

const test = suite<Context>('incremental, source 10');

incrementalTests(test, { sourceMajor: 10 });

test.run();
