// deadline 300
import { writerTests } from './writer.ts';

writerTests(10, 3);
