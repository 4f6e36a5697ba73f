// deadline 900
import { suite } from 'uvu';
import { type Context, incrementalTests } from '../project/incremental.ts';
import { majorsOfRun } from './pairs.ts';

const majors = majorsOfRun();
const test = suite<Context>(`incremental, source ${majors.sourceMajor}`);

incrementalTests(test, majors);

test.run();
