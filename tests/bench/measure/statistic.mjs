// What several rounds say about one figure.

/** Rounds that differ by more than this part of their median are said to disagree. */
export const DISAGREEMENT = 0.2;

/** @param {readonly number[]} values of the rounds, at least one */
export function summary(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const [least = Number.NaN, most = Number.NaN] = [sorted[0], sorted.at(-1)];
  const median = percentile(sorted, 50);
  return { median, least, most, disagrees: most - least > DISAGREEMENT * median };
}

/** Between two values if none stands at that place. @param {readonly number[]} sorted @param {number} percent */
export function percentile(sorted, percent) {
  const place = ((sorted.length - 1) * percent) / 100;
  const [low = Number.NaN, high = Number.NaN] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
  return low + (high - low) * (place - Math.floor(place));
}
