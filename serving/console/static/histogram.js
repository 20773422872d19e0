// Counts per bucket: differences, sums, percentiles.

export const subtract = (after, before) => after.map((count, index) => count - before[index]);

export const addCounts = (histograms) => histograms.reduce((sum, one) => sum.map((count, index) => count + one[index]));

/**
 * The value below which a share of the observations lies, taken as evenly spread within a bucket; null without any.
 * `counts` has one more entry than `bounds`; what lies beyond the last bound counts as lying on it.
 */
export function percentile(counts, bounds, share) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (!(total > 0)) return null;
  let left = share * total;
  for (let index = 0; index < bounds.length; index += 1) {
    if (counts[index] > 0 && left <= counts[index]) {
      const low = index ? bounds[index - 1] : 0;
      return low + (bounds[index] - low) * (left / counts[index]);
    }
    left -= counts[index];
  }
  return bounds.at(-1);
}
