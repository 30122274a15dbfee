// From stored values to grey: one table a window, inverted (dark where counts are high).

const STRETCH = 99; // of the logarithm: a hundredth of the window becomes 15 % grey

export const CURVES = {
  linear: (share) => share,
  root: (share) => Math.sqrt(share),
  logarithm: (share) => Math.log1p(STRETCH * share) / Math.log1p(STRETCH),
};

/** The grey of each stored value from 0 to `greatest`, 0 black to 255 white. */
export function greyTable(low, high, curve, greatest) {
  const table = new Uint8Array(greatest + 1);
  const width = Math.max(high - low, 1e-9);
  const shape = CURVES[curve];
  for (let value = 0; value <= greatest; value += 1) {
    const share = Math.min(1, Math.max(0, (value - low) / width));
    table[value] = Math.round(255 - 255 * shape(share));
  }
  return table;
}

/** The four windows that every reader has, from the case's own figures. */
export function presetWindow(preset, figures) {
  if (preset === "percentile") return { low: figures.low, high: figures.high, curve: "linear" };
  const whole = { low: figures.min, high: Math.max(figures.max, figures.min + 1) };
  return { ...whole, curve: preset };
}

/** A window after a drag. Its speed follows a percentile of the bone, not a hot bladder. */
export function draggedWindow(from, across, down, figures) {
  const step = (figures.high - figures.low) / 250;
  const least = (figures.high - figures.low) / 200;
  // On a window far wider than the bone's, the drag keeps pace with the window.
  const pace = step * Math.max(1, (from.high - from.low) / (4 * (figures.high - figures.low)));
  const low = Math.max(0, from.low + across * pace);
  const high = from.high + down * pace;
  return { ...from, low: Math.min(low, Math.max(high, least) - least), high: Math.max(high, least) };
}
