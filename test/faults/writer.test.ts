// deadline 600
import { writerTests } from '../writer.ts';

writerTests(17, 7);
