/* A report as a reader of its HTML finds it: parsed, without a browser and without a network. */
import { type DefaultTreeAdapterMap, parse } from 'parse5';

export type Element = DefaultTreeAdapterMap['element'];
type Node = DefaultTreeAdapterMap['node'];

/** All elements of a page, in its order; of one name where one is named. */
export function elements(page: string | Element, name?: string): Element[] {
  const found: Element[] = [];
  const visit = (node: Node): void => {
    if ('tagName' in node && (name === undefined || node.tagName === name)) found.push(node);
    if ('childNodes' in node) for (const child of node.childNodes) visit(child);
  };
  visit(typeof page === 'string' ? parse(page) : page);
  return found;
}

export function attribute(element: Element, name: string): string | undefined {
  return element.attrs.find((each) => each.name === name)?.value;
}

/** Its text, blanks as a reader sees them. */
export function textOf(node: Node): string {
  const visit = (each: Node): string => {
    if (each.nodeName === '#text' && 'value' in each) return each.value;
    return 'childNodes' in each ? each.childNodes.map(visit).join('') : '';
  };
  return visit(node).replace(/\s+/g, ' ').trim();
}

/** The cells of the table with this caption, row by row, its head first. Throws where there is none. */
export function tableOf(page: string, caption: string): string[][] {
  const table = elements(page, 'table').find((each) => {
    const [first] = elements(each, 'caption');
    return first !== undefined && textOf(first) === caption;
  });
  if (table === undefined) throw new Error(`no table ${caption}`);
  return elements(table, 'tr').map((row) =>
    row.childNodes.filter((cell) => 'tagName' in cell).map((cell) => textOf(cell)),
  );
}

/** The facts that the page carries. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the caller knows the shape
export function factsIn<Facts>(page: string): Facts {
  const [script, ...more] = elements(page, 'script');
  if (script === undefined || more.length > 0) throw new Error('not one script element');
  const [text] = script.childNodes;
  if (text === undefined || !('value' in text)) throw new Error('the script is empty');
  return JSON.parse(text.value) as Facts;
}
