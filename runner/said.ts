/** An entity the engine is at, and how many of its rows are done; null before it is planned. */
export interface Said {
  entity: string;
  done: number | null;
  total: number | null;
}

export type Hear = (said: Said) => void;

/** What `migration.tell` says, in a notice; undefined where somebody else gives one. */
export function saidIn({ code, message }: Record<string, string>): Said | undefined {
  return code === 'MIG00' && message !== undefined ? (JSON.parse(message) as Said) : undefined;
}
