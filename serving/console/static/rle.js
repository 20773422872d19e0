// COCO's compressed run lengths: a mask column by column, lengths of zeros and ones in turn, each number in groups of
// five bits with a sign, from the third on as the difference to the number two before.

/** The run lengths that a text holds. */
export function runLengths(text) {
  const runs = [];
  for (let at = 0; at < text.length;) {
    let number = 0, shift = 0, more = true;
    while (more) {
      const code = text.charCodeAt(at) - 48;
      number |= (code & 0x1f) << shift;
      more = (code & 0x20) !== 0;
      at += 1;
      shift += 5;
      if (!more && (code & 0x10)) number |= -1 << shift;
    }
    if (runs.length > 2) number += runs[runs.length - 2];
    runs.push(number);
  }
  return runs;
}

/** Calls `paint(x, y)` for every pixel of the region. `size`: [height, width]. */
export function eachPixel({size: [height], counts}, paint) {
  let at = 0, isInside = false;
  for (const length of runLengths(counts)) {
    if (isInside) for (let pixel = at; pixel < at + length; pixel += 1) paint(Math.floor(pixel / height), pixel % height);
    at += length;
    isInside = !isInside;
  }
}
