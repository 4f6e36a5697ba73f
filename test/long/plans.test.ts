// deadline 1500
import { testPlans } from '../project/plan-laws.ts';

testPlans('1');
