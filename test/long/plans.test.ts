// deadline 1500
import { testPlans } from '../plan-laws.ts';

testPlans('1');
