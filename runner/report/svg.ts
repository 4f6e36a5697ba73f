/* Bars and timeline, drawn by hand: what a reader of the screen hears is their title and description. */
import { type Block, shown } from './document.ts';
import { html, type Html } from './html.ts';

type Bar = Extract<Block, { kind: 'bar' }>;
type Timeline = Extract<Block, { kind: 'timeline' }>;

/** Of a thousand: so that one row in a million is seen. */
const LEAST = 4;

/** A bar as wide as the page; its numbers stand in the legend below. */
export function barSvg(title: string, parts: Bar['parts']): Html {
  const there = parts.filter(({ rows }) => rows > 0);
  const total = there.reduce((sum, { rows }) => sum + rows, 0);
  const shares = there.map(({ rows }) => Math.max((rows / total) * 1000, LEAST));
  const scale = 1000 / shares.reduce((sum, share) => sum + share, 0);
  const said = parts.map(({ name, rows }) => `${shown(rows)} ${name}`).join(', ');
  let left = 0;
  const boxes = there.map(({ tone }, index) => {
    const width = (shares[index] ?? 0) * scale;
    left += width;
    return html`<rect
      class="${tone}"
      x="${to(left - width)}"
      y="0"
      width="${to(width)}"
      height="28"
    />`;
  });
  return html`<svg
    class="bar"
    viewBox="0 0 1000 28"
    preserveAspectRatio="none"
    role="img"
    aria-label="${title}: ${said}"
  >
    <title>${title}: ${said}</title>
    ${boxes}
  </svg>`;
}

const NAMES = 130;
const PLOT = 430;
const SAID = 190;
const LINE = 26;
const TOP = 24;

/** Rows with a piece of a common axis of seconds. */
export function timelineSvg({ caption, rows, seconds }: Timeline): Html {
  const width = NAMES + PLOT + SAID;
  const height = TOP + rows.length * LINE + 6;
  const x = (second: number) => NAMES + (seconds === 0 ? 0 : (second / seconds) * PLOT);
  const ticks = ticksOf(seconds);
  const said = rows.map(({ name, said: how }) => `${name} ${how}`).join('; ');
  return html`<svg
    class="timeline"
    viewBox="0 0 ${width} ${height}"
    width="${width}"
    height="${height}"
    role="img"
    aria-label="${caption}: ${said}"
  >
    <title>${caption}</title>
    ${ticks.map(
      (tick) =>
        html`<line
            class="tick"
            x1="${to(x(tick.at))}"
            x2="${to(x(tick.at))}"
            y1="${TOP - 6}"
            y2="${height}"
          /><text class="quiet" x="${to(x(tick.at))}" y="12" text-anchor="middle"
            >${tick.label}</text
          >`,
    )}
    ${rows.map((row, index) => {
      const top = TOP + index * LINE;
      const wide = Math.max(x(row.began + row.seconds) - x(row.began), 2);
      return html`<text x="0" y="${top + 16}">${row.name}</text
        ><rect
          class="line"
          x="${to(x(row.began))}"
          y="${top + 4}"
          width="${to(wide)}"
          height="${LINE - 9}"
          rx="2"
        /><text class="quiet" x="${NAMES + PLOT + 12}" y="${top + 16}">${row.said}</text>`;
    })}
  </svg>`;
}

/** Four to eight marks at round times. */
function ticksOf(seconds: number): { at: number; label: string }[] {
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200];
  const step = steps.find((each) => seconds / each <= 6) ?? 86400;
  const count = Math.max(Math.floor(seconds / step), 0);
  return Array.from({ length: count + 1 }, (_, index) => {
    const at = index * step;
    const label =
      step < 60
        ? `${at} s`
        : step < 3600
          ? `${at / 60} min`
          : `${Number((at / 3600).toFixed(1))} h`;
    return { at, label };
  });
}

function to(value: number): string {
  return value.toFixed(1);
}
