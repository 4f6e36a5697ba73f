import { setTimeout as sleep } from 'node:timers/promises';

import { type Command, UsageError } from './command.ts';
import { embeddedPair, pairOf } from './context.ts';
import { say, sayJson } from '../terminal/terminal.ts';

export const embedded: Command = {
  options: {
    scale: { text: 'size of the sample data when it is made: 0.01 (default), 1, full', value: 'n' },
    seed: { text: 'another seed gives other rows with the same defects', value: 'n' },
    fresh: { text: 'throw the data of the pair away first' },
  },
  run: async (context) => {
    const { removePair, startPair } = await embeddedPair(context.root);
    const directory = pairOf(context.root);
    const scale = context.value('scale');
    if (scale !== undefined && scale !== 'full' && !(Number(scale) > 0)) {
      throw new UsageError('--scale takes a number such as 0.01 or 1, or full');
    }
    if (context.has('fresh')) removePair(directory);
    const seed = context.value('seed');
    const pair = await startPair({
      directory,
      project: context.root,
      ...(scale === undefined ? {} : { scale }),
      ...(seed === undefined ? {} : { seed }),
    });
    context.onEnd(() => pair.stop());
    const urls = { SOURCE_DATABASE_URL: pair.sourceUrl, TARGET_DATABASE_URL: pair.targetUrl };
    if (context.has('json')) sayJson(urls);
    else {
      for (const [name, url] of Object.entries(urls)) say(`${name}=${url}`);
      say(
        'in another terminal: `npx tsx runner up --embedded`, or psql with one of the URLs; Ctrl-C stops',
      );
    }
    while (!context.interrupt.requested) await sleep(200);
    return 0;
  },
};
