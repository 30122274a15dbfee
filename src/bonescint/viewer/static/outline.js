// The outline of a mask, as lines between its pixels and those beside it.

import { bytesOf } from "./viewer.js";

/**
 * Lines [fromRow, fromColumn, toRow, toColumn] around the pixels of an area, in places of the
 * image, where whole numbers are the middles of pixels.
 *
 * @param {{top: number, left: number, rows: number, columns: number, bits: string}} area one bit
 *   for each pixel, row after row, the first in the highest bit of a byte; base64
 */
export function outlineOf({ top, left, rows, columns, bits }) {
  const bytes = bytesOf(bits);
  const inside = (row, column) => {
    if (row < 0 || row >= rows || column < 0 || column >= columns) return false;
    const place = row * columns + column;
    return ((bytes[place >> 3] >> (7 - (place & 7))) & 1) === 1;
  };
  const across = runs(rows, columns, (row, column) => inside(row - 1, column) !== inside(row, column));
  const down = runs(columns, rows, (column, row) => inside(row, column - 1) !== inside(row, column));
  const at = (row, column) => [top + row - 0.5, left + column - 0.5];
  return [
    ...across.map(([row, from, to]) => [...at(row, from), ...at(row, to)]),
    ...down.map(([column, from, to]) => [...at(from, column), ...at(to, column)]),
  ];
}

/** Stretches [line, from, to] in which an edge goes on, on each line between two rows of pixels. */
function runs(lines, length, isEdge) {
  const found = [];
  for (let line = 0; line <= lines; line += 1) {
    let from = -1;
    for (let place = 0; place <= length; place += 1) {
      const edge = place < length && isEdge(line, place);
      if (edge && from < 0) from = place;
      if (!edge && from >= 0) { found.push([line, from, place]); from = -1; }
    }
  }
  return found;
}
