/* What is left out of a screen before it is compared with one that is kept: what differs between two equal runs. */

/** Of a run: times, speeds, processes, names of databases. */
export function settledRun(screen: string): string {
  return `${screen
    .replace(/screens_[0-9a-f]{8}/g, 'app')
    .replace(/( {3}[\d,]+ rows\/s)?( {3}about [\d.]+ (s|min))?$/gm, '')
    .replace(/ · about [\d.]+ (s|min) left/g, '')
    .replace(/, about [\d.]+ (s|min) left/g, '')
    // it breaks the line elsewhere
    .replace(/another runner [^]*?was changed/g, (text) => text.replace(/\s+/g, ' '))
    .replace(/ eta \d+s/g, '')
    .replace(/\d\d:\d\d:\d\d/g, 'HH:MM:SS')
    .replace(/ ·\s+since /g, ' · since ')
    .replace(/ ·\s+\S+@\S+,\s+pid\s+\d+/g, ' · user@host, pid N')
    .replace(/changed {2}\d+\.\d s$/gm, 'changed  N s')
    .replace(
      /( +)((?:‹\d+›)?)(\d+\.\d s|\d+ min \d+ s)((?:‹\d+›)?)$/gm,
      (_, blanks: string, before: string, time: string, after: string) =>
        `${' '.repeat(blanks.length + time.length - 3)}${before}N s${after}`,
    )
    .trim()}\n`;
}

/** Of a look before or after one: times, sizes, names of databases. */
export function settledLook(screen: string): string {
  const measured =
    /^(‹\d+›)?ok {4}(‹\d+›)? (target tables|size of the source tables|space): .*(\n {7}(?!fix).*)*/gm;
  return `${screen
    .replace(measured, (text) => text.replace(/\n {7}/g, ' '))
    .replace(/(looks|screens)_[0-9a-f]{8}/g, 'app')
    .replace(/127\.0\.0\.1:\d+/g, '127.0.0.1:N')
    .replace(/port \d+ failed/g, 'port N failed')
    .replace(/20\d\d-\d\d-\d\d \d\d:\d\d/g, 'YYYY-MM-DD HH:MM')
    .replace(/\d+(\.\d+)? (MB|GB)/g, 'N MB')
    .replace(/[\d,]+ rows\/s/g, 'N rows/s')
    .replace(/\d+\.\d ms/g, 'N ms')
    .replace(/\d+\.\d s apart/g, 'N s apart')
    .replace(/PostgreSQL \d+(\.\d+)?/g, 'PostgreSQL N')
    .replace(
      /( {2,})(\d+\.\d s)( {2}changed)?$/gm,
      (_, blanks: string, time: string, rest = '') => {
        return `${' '.repeat(blanks.length + time.length - 3)}N s${rest}`;
      },
    )
    .replace(/(about|up to|,) \d+(\.\d)? s/g, '$1 N s')
    .trim()}\n`;
}
