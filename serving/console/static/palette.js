// One colour per class, far from those of its neighbours, on pictures and in legends alike.

const GOLDEN_ANGLE = 137.508;

/** [red, green, blue] of a class, 0 … 255. */
export function colourOf(classId) {
  const hue = (classId * GOLDEN_ANGLE + 195) % 360;
  const lightness = [0.52, 0.62, 0.45][classId % 3];
  return hslToRgb(hue, 0.78, lightness);
}

export const cssColour = (classId) => `rgb(${colourOf(classId).join(" ")})`;

function hslToRgb(hue, saturation, lightness) {
  const spread = saturation * Math.min(lightness, 1 - lightness);
  const channel = (n) => {
    const k = (n + hue / 30) % 12;
    return Math.round(255 * (lightness - spread * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return [channel(0), channel(8), channel(4)];
}

/** Black or white, whichever can be read on the colour. */
export function inkOn(classId) {
  const [red, green, blue] = colourOf(classId);
  return (red * 299 + green * 587 + blue * 114) / 1000 > 140 ? "#10161b" : "#ffffff";
}
