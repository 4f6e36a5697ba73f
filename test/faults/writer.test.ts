// deadline 600
import { writerTests } from '../project/writer.ts';

writerTests(17, 7);
