// Figures as people read them.

const GROUPED = new Intl.NumberFormat("en", {maximumFractionDigits: 0});
const DATE = new Intl.DateTimeFormat("en-GB", {dateStyle: "medium", timeStyle: "short"});

/** Three significant digits; two and a power of ten of what is tiny. */
export function figure(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 0.001) return scientific(value, 1).replace("-", "−");
  const digits = Math.max(0, 2 - Math.floor(Math.log10(size)));
  return `${value < 0 ? "−" : ""}${size >= 1000 ? GROUPED.format(size) : size.toFixed(digits)}`;
}

export const count = (value) => GROUPED.format(value);

export const percent = (share, digits = 1) => Number.isFinite(share) ? `${(share * 100).toFixed(digits)} %` : "–";

/** A difference with its sign. */
export function signed(difference, digits) {
  const shown = Math.abs(difference).toFixed(digits);
  return `${Number(shown) === 0 ? "±" : difference > 0 ? "+" : "−"}${shown}`;
}

/** A difference of shares in percentage points. */
export const points = (difference) => signed(difference * 100, 1);

export function bytes(number) {
  if (number < 1000) return `${number} B`;
  const power = Math.min(4, Math.floor(Math.log10(number) / 3));
  return `${figure(number / 1000 ** power)} ${["B", "kB", "MB", "GB", "TB"][power]}`;
}

export const milliseconds = (number) => Number.isFinite(number) ? `${figure(number)} ms` : "–";

/** An ISO time in the reader's own zone. */
export const moment = (text) => text ? DATE.format(new Date(text)) : "–";

const NAMES = {ap: "AP", miou: "Mean IoU", ap50: "AP50", ap75: "AP75"};

/** A name of the code as words, with a capital. */
export function words(name) {
  const text = NAMES[name] ?? name.replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** A metric's value: shares in percent where higher is better, anything else as it is. */
export const metric = (value, better) => better === "higher" ? percent(value) : figure(value);

/** The bins of numbers, as the server names them: "below 3", "3 to 4.5", "from 4.5". */
export const RANGE = /^(?:(below|from) )?(-?[\d.]+(?:e[+-]?\d+)?)(?: to (-?[\d.]+(?:e[+-]?\d+)?))?$/;

/** The edge of a bin, short enough to stand under a bar. */
export function edgeText(text) {
  const value = Number(text);
  const isTiny = value !== 0 && Math.abs(value) < 0.001;
  return (isTiny ? scientific(value, 1) : String(+value.toPrecision(3))).replace("-", "−");
}

/** The same with as many digits as anybody reads; names of classes as they are. */
export function binName(name) {
  const range = RANGE.exec(name);
  if (!range || (!range[1] && !range[3])) return name;
  return range[3] ? `${edgeText(range[2])} to ${edgeText(range[3])}` : `${range[1]} ${edgeText(range[2])}`;
}

export function chance(p) {
  if (p >= 0.001) return p.toFixed(3);
  if (p === 0) return "below 10⁻³⁰⁰";
  return scientific(p, 0).replace("×", " × ");
}

function scientific(value, digits) {
  const [mantissa, power] = value.toExponential(digits).split("e");
  return `${mantissa}×10${superscript(power)}`;
}

const superscript = (power) => String(power).replace("-", "⁻").replace(/\d/g, (digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]);
