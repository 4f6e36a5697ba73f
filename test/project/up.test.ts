// deadline 300
import { suite } from 'uvu';
import { downTests, onWhole, upTests, type Whole } from '../db/whole.ts';
import { ROOT } from '../runner.ts';

/* One migration of the sample, from the first run to the last row taken back: in this order. */

const test = suite<Whole>('up');

onWhole(test, ROOT, { name: 'up', source: 'sample' });
upTests(test, ROOT);
downTests(test, ROOT);

test.run();
