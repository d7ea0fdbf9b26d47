// From a model's scores to a token under `generate`'s settings: what labkit.generation does, again,
// where it must answer at once. Scores and probabilities are arrays over the whole vocabulary.

// The settings that change nothing, by the names that `generate` gives them.
const OFF = { temperature: 1, top_k: null, top_p: null, min_p: null, repetition_penalty: 1 };

// The scores after penalty and temperature, as labkit.generation computes them: in 32 bits, so that
// numbers that are equal there are equal here. A temperature of 0 is a cut and changes no score.
function shaped(logits, ids, settings) {
  const values = Float32Array.from(logits);
  const penalty = Math.fround(settings.repetition_penalty);
  const temperature = Math.fround(settings.temperature || 1);
  for (const id of new Set(ids)) {
    values[id] = values[id] > 0 ? values[id] / penalty : values[id] * penalty;
  }
  return values.map((value) => value / temperature);
}

// Probabilities over the first n tokens of an order, 0 for all others.
function softmax(values, order, n = values.length) {
  const probs = new Float64Array(values.length);
  let [largest, sum] = [-Infinity, 0];
  for (let r = 0; r < n; r++) largest = Math.max(largest, values[order[r]]);
  for (let r = 0; r < n; r++) sum += probs[order[r]] = Math.exp(values[order[r]] - largest);
  return probs.map((p) => p / sum);
}

function bits(probs) {
  return probs.reduce((sum, p) => (p > 0 ? sum - p * Math.log2(p) : sum), 0);
}

// What a distribution is under some settings. Each cut keeps the first n of `order`.
function underSettings(logits, ids, settings) {
  const { temperature, top_k, top_p, min_p } = settings;
  const values = shaped(logits, ids, settings);
  const order = Uint32Array.from(values.keys()).sort((a, b) => values[b] - values[a] || a - b);
  const before = softmax(values, order);
  const cuts = [];
  let n = values.length;
  const keep = (name, isKept) => {
    let kept = 0;
    while (kept < n && isKept(kept)) kept++;
    if (kept < n) cuts.push([kept, name]);
    n = kept;
  };
  keep("impossible", (r) => values[order[r]] > -Infinity);
  if (temperature === 0) keep("temperature 0", (r) => r < 1);
  if (top_k !== null) keep("top-k", (r) => r < top_k);
  if (top_p !== null) {
    const probs = softmax(values, order, n);
    let upTo = 0;
    keep("top-p", (r) => (upTo += probs[order[r]]) - probs[order[r]] < top_p);
  }
  if (min_p !== null) {
    const border = Math.fround(values[order[0]] + Math.fround(Math.log(min_p)));
    keep("min-p", (r) => values[order[r]] >= border);
  }
  const mass = order.subarray(0, n).reduce((sum, token) => sum + before[token], 0);
  const own = softmax(logits, order);
  return { own, before, now: softmax(values, order, n), order, n, mass, cuts };
}

// Numbers in [0, 1) from a seed: xorshift (Marsaglia 2003) from a start that mixes the seed's bits.
function chance(seed) {
  let x = Math.imul(seed + 1, 0x9e3779b1) || 1;
  const next = () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < 16; i++) next();
  return next;
}

function draw({ now, order, n }, u) {
  let [r, sum] = [0, now[order[0]]];
  while (sum <= u && r < n - 1) sum += now[order[++r]];
  return order[r];
}
