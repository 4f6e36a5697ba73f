// deadline 240
import { testPlans } from './plan-laws.ts';

testPlans('0.01');
