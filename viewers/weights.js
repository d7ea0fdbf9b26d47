// Attention weights in a page: unpacked when they are needed, added up, pooled and coloured.
// (T, S) is one array, row by row.

const MEAN = -1;
const THUMB = 32;

class Heads {
  constructor(model, onArrival) {
    this.model = model;
    this.meta = model.get("meta");
    this.known = new Map();
    this.thumbs = new Map();
    this.onArrival = onArrival;
    const { kind, thumbs } = this.meta;
    this.packed = asNumbers(model.get("weights"), kind === "f4" ? Float32Array : Uint16Array);
    this.small = asNumbers(model.get("thumbs"), Int8Array);
    this.hear = (message, buffers) => {
      if (message.html) save(message.file, message.html, "text/html");
      if (!message.head) return;
      this.keep(...message.head, asNumbers(buffers[0], kind === "f4" ? Float32Array : Uint16Array));
      onArrival();
    };
    model.on("msg:custom", this.hear);
    if (thumbs) this.keep(...this.meta.first, this.packed);
  }

  keep(layer, head, packed) {
    this.known.set(`${layer},${head}`, this.unpack(packed));
  }

  // u2: 65535 is 1. With `triangle`, the rows hold only the keys that a query may look at.
  unpack(packed) {
    const { T, S, kind, triangle } = this.meta;
    const full = new Float32Array(T * S);
    const unit = kind === "f4" ? 1 : 65535;
    let at = 0;
    for (let i = 0; i < T; i++) {
      const n = triangle ? i + 1 : S;
      for (let j = 0; j < n; j++) full[i * S + j] = packed[at++] / unit;
    }
    return full;
  }

  get(layer, head) {
    const name = `${layer},${head}`;
    if (this.known.has(name)) return this.known.get(name);
    if (this.meta.thumbs) {
      this.model.send?.({ ask: [layer, head] });
      return null;
    }
    const one = this.packed.length / (this.meta.layers * this.meta.heads);
    const start = (layer * this.meta.heads + head) * one;
    if (head === MEAN) this.known.set(name, this.mean(layer));
    else this.keep(layer, head, this.packed.subarray(start, start + one));
    return this.known.get(name);
  }

  mean(layer) {
    const { T, S, heads } = this.meta;
    const total = new Float32Array(T * S);
    for (let head = 0; head < heads; head++) {
      const one = this.get(layer, head);
      for (let k = 0; k < total.length; k++) total[k] += one[k] / heads;
    }
    return total;
  }

  // At most THUMB × THUMB numbers, the largest of what falls together; -1 to 1.
  thumb(layer, head) {
    const name = `${layer},${head}`;
    if (!this.thumbs.has(name)) this.thumbs.set(name, this.makeThumb(layer, head));
    return this.thumbs.get(name);
  }

  makeThumb(layer, head) {
    const { T, S, heads, thumbs } = this.meta;
    const [rows, columns] = [Math.min(T, THUMB), Math.min(S, THUMB)];
    if (thumbs) {
      const start = (layer * heads + head) * rows * columns;
      return Float32Array.from(this.small.subarray(start, start + rows * columns), (v) => v / 127);
    }
    return pool(this.get(layer, head), T, S, rows, columns);
  }

  mayLook(i, j) {
    return !this.meta.triangle || j <= i;
  }

  stop() {
    this.model.off?.("msg:custom", this.hear);
  }
}

// The number furthest from zero of each rectangle of cells.
function pool(full, T, S, rows, columns) {
  const small = new Float32Array(rows * columns);
  for (let i = 0; i < T; i++) {
    const to = Math.floor((i * rows) / T) * columns;
    for (let j = 0; j < S; j++) {
      const k = to + Math.floor((j * columns) / S);
      if (Math.abs(full[i * S + j]) > Math.abs(small[k])) small[k] = full[i * S + j];
    }
  }
  return small;
}

// What a weight looks like, -1 to 1, on the chosen scale.
function seen(weight, largest, scale) {
  if (scale === "root") return Math.sign(weight) * Math.sqrt(Math.abs(weight));
  return scale === "row" ? weight / (largest || 1) : weight;
}

// For each key, what the chosen queries take of it together; for each query, what the row adds to.
function takenTogether(full, S, queries) {
  const sums = new Float32Array(S);
  for (const i of queries) for (let j = 0; j < S; j++) sums[j] += full[i * S + j];
  return sums;
}

function rowSum(full, S, i) {
  let sum = 0;
  for (let j = 0; j < S; j++) sum += full[i * S + j];
  return sum;
}

function largestOf(full, S, i) {
  let largest = 0;
  for (let j = 0; j < S; j++) largest = Math.max(largest, Math.abs(full[i * S + j]));
  return largest;
}

// One pixel for each number; of a triangle, cells that are masked are grey, which no weight is.
function picture(full, rows, columns, { scale, sink, more, less }, triangle) {
  const canvas = node("canvas", { width: columns, height: rows });
  const pen = canvas.getContext("2d");
  const image = pen.createImageData(columns, rows);
  const pixels = new Uint32Array(image.data.buffer); // alpha, blue, green, red
  const [plus, minus] = [more, less].map(([r, g, b]) => (b << 16) | (g << 8) | r);
  for (let i = 0; i < rows; i++) {
    const largest = scale === "row" ? largestOf(full, columns, i) : 1;
    for (let j = 0; j < columns; j++) {
      const k = i * columns + j;
      const share = sink && j === 0 ? 0 : seen(full[k], largest, scale);
      const alpha = Math.round(255 * Math.min(Math.abs(share), 1));
      pixels[k] = ((alpha << 24) | (share < 0 ? minus : plus)) >>> 0;
      if (triangle && j > i) pixels[k] = 0x2e808080;
    }
  }
  pen.putImageData(image, 0, 0);
  return canvas;
}
