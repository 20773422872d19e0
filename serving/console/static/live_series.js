// Counters since the server's start → rates, percentiles and levels over time.

import {addCounts, percentile, subtract} from "./histogram.js";

const KEPT_MS = 15 * 60 * 1000;
/** Percentiles are of the requests of so many seconds: those of a single poll are too few to say much. */
const PERCENTILE_S = 10;

export class LiveSeries {
  /** Key of a model → points {from, to, version, …}, oldest first. Times in milliseconds of the browser's clock. */
  points = new Map();
  #before = new Map();
  #recent = new Map();

  /** One answer of /console/api/live. What happened since the one before becomes one point, however long that is. */
  add(counters, now) {
    const earlier = this.#before.get(counters.instance);
    this.#before.set(counters.instance, {counters, now});
    if (!earlier) return;
    const seconds = counters.at - earlier.counters.at;
    if (seconds <= 0) return;
    for (const [key, model] of Object.entries(counters.models)) {
      const known = earlier.counters.models[key];
      if (known && known.version === model.version) this.#addPoint(key, known, model, seconds, now, counters.stage_bounds_s);
    }
  }

  #addPoint(key, before, after, seconds, now, bounds) {
    const recent = this.#remember(key, {
      to: now,
      version: after.version,
      total: subtract(after.total.counts, before.total.counts),
      first: after.generation ? subtract(after.generation.first_token.counts, before.generation.first_token.counts) : null,
    });
    const total = addCounts(recent.map((one) => one.total));
    const rate = (name) => (after[name] - before[name]) / seconds;
    const batches = subtract(after.batch.counts, before.batch.counts).reduce((sum, one) => sum + one, 0);
    const point = {
      from: now - seconds * 1000,
      to: now,
      version: after.version,
      answered: rate("answered"),
      failed: rate("failed"),
      refused: rate("refused"),
      p50: milli(percentile(total, bounds, 0.5)),
      p95: milli(percentile(total, bounds, 0.95)),
      p99: milli(percentile(total, bounds, 0.99)),
      batch: batches ? (after.batch.total - before.batch.total) / batches : null,
      waiting: after.waiting,
      inFlight: after.in_flight,
      ...(after.generation ? generationPoint(before.generation, after.generation, seconds, recent, bounds) : {}),
    };
    const points = this.points.get(key) || [];
    points.push(point);
    while (points[0].to < now - KEPT_MS) points.shift();
    this.points.set(key, points);
  }

  /** The histograms of the last seconds, this one among them; of this version alone. */
  #remember(key, latest) {
    const kept = (this.#recent.get(key) || []).filter(
      (one) => one.version === latest.version && one.to > latest.to - PERCENTILE_S * 1000);
    kept.push(latest);
    this.#recent.set(key, kept);
    return kept;
  }

  /** The newest point of a model, if there is one. */
  last(key) {
    return (this.points.get(key) || []).at(-1) || null;
  }
}

function generationPoint(before, after, seconds, recent, bounds) {
  const first = addCounts(recent.map((one) => one.first));
  return {
    tokens: (after.completion_tokens - before.completion_tokens) / seconds,
    promptTokens: (after.prompt_tokens - before.prompt_tokens) / seconds,
    first50: milli(percentile(first, bounds, 0.5)),
    first95: milli(percentile(first, bounds, 0.95)),
    running: after.running,
  };
}

const milli = (seconds) => seconds === null ? null : seconds * 1000;
