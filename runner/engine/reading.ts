import type { Reference } from './references.ts';

/*
 * What is said of a view by who reads it with the grammar (reader.ts), for those who do not load that.
 */

/** What the reader has to know of an entity file. */
export interface Readable {
  name: string;
  text: string;
  source: string | null;
  key: string[];
  readWhole: boolean;
}

/** A column of the driving table, or of the look-up before, that holds the id of a look-up's row. */
export interface Step {
  table: string;
  column: string;
}

/** A table an entity looks things up in, and how its rows lead to the entity's own, if they do. */
export interface LookUp {
  table: string;
  /** As far as the view goes: the column it is joined by has to be its key, too (`settled`). */
  followed: boolean;
  path: Step[];
  /** That column. */
  by?: string;
}

/** What a view reads. All lists are sorted. */
export interface Reading {
  /** Tables of schema legacy. */
  reads: string[];
  /** Id maps; its own, too. */
  idMaps: string[];
  /** The driving table is among them where one of its rows may change what another one says. */
  lookups: LookUp[];
  /**
   * Id maps, without its own, whose new rows may change rows of the entity that neither name the map in
   * `missing` nor are rejected.
   */
  opaqueMaps: string[];
  /** Which columns hold ids of which map, where that is certain. */
  references: Reference[];
  /** `legacy_key` is the key of the driving table, by which changes are found; true without a source. */
  keyed: boolean;
  /** It is a number made of it. */
  numbered: boolean;
}

/** The reading of a text that does not parse. */
export const NOTHING: Reading = {
  reads: [],
  idMaps: [],
  lookups: [],
  opaqueMaps: [],
  references: [],
  keyed: true,
  numbered: false,
};

/**
 * Readings where the keys of the source tables are known, by table: look-ups are followed by a key that is one
 * whole number, and by nothing else.
 */
export function settled(readings: readonly Reading[], keys: Map<string, string>): Reading[] {
  return readings.map((reading) => {
    const isKey = (table: string) => {
      const by = reading.lookups.find((other) => other.table === table)?.by;
      return by !== undefined && by === keys.get(table);
    };
    return {
      ...reading,
      lookups: reading.lookups.map(({ by, ...lookup }) => {
        const tables = [...lookup.path.slice(1).map(({ table }) => table), lookup.table];
        return lookup.followed && tables.every(isKey)
          ? { ...lookup, ...(by === undefined ? {} : { by }) }
          : { ...lookup, followed: false, path: [] };
      }),
    };
  });
}
