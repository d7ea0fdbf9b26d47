// Attention, three linked views of one selection: all heads, one head's matrix, and its lines.
// `meta` says what there is; `weights` holds them packed, as attention.py describes. Heads that did
// not fit are asked of Python one by one. Head -1 is the mean over the heads of a layer.

const SCALES = {
  root: "colour: √weight, 0 to 1",
  linear: "colour: weight, 0 to 1",
  row: "colour: weight ÷ its row's largest",
};
const SIGNED = {
  root: "colour: √change; red: less",
  linear: "colour: change, -1 to 1; red: less",
};

class Viewer {
  constructor(model, el) {
    this.model = model;
    this.meta = model.get("meta");
    this.cell = { i: this.meta.T - 1, j: this.meta.S - 1 };
    Object.assign(this, { scale: "root", sink: false, order: "place", view: "matrix" });
    this.heads = new Heads(model, () => this.draw());
    this.root = begin(el, model.get("title"));
    this.root.append(this.makeControls(), this.makeViews(this.makeWords()));
    this.select = () => this.draw();
    model.on("change:layer", this.select);
    model.on("change:head", this.select);
    model.on("change:queries", this.select);
    this.forget = onTheme(this.select);
    this.images = new Map();
    onceShown(this.root, this.select);
  }

  get layer() {
    return this.model.get("layer");
  }

  get head() {
    return this.model.get("head");
  }

  get queries() {
    return this.model.get("queries");
  }

  set(changes) {
    for (const [name, value] of Object.entries(changes)) this.model.set(name, value);
    this.model.save_changes();
  }

  makeControls() {
    const { scores, signed } = this.meta;
    const orders = { place: "heads by place" };
    for (const name of Object.keys(scores)) orders[name] = `heads by ${name}`;
    const then = (name) => (value) => {
      this[name] = value;
      this.draw();
    };
    const mean = tick("mean over heads", this.head === MEAN, (on) => {
      this.set({ head: on ? MEAN : 0 });
    });
    this.meanBox = mean.querySelector("input");
    this.tabs = ["matrix", "lines"].map((name) => button(name, () => then("view")(name)));
    const isMany = this.meta.layers * this.meta.heads > 1;
    const controls = [
      node("span", { role: "group", "aria-label": "view of the head" }, ...this.tabs),
      choice("", orders, this.order, then("order")),
      choice("", signed ? SIGNED : SCALES, this.scale, then("scale")),
      tick("hide first token", this.sink, then("sink")),
      mean,
    ];
    controls[1].firstElementChild.setAttribute("aria-label", "order of heads");
    controls[2].firstElementChild.setAttribute("aria-label", "scale of colours");
    if (!isMany) [4, 1].forEach((place) => controls.splice(place, 1));
    return node("div", { class: "bar controls" }, ...controls);
  }

  makeViews(words) {
    this.map = node("canvas", { tabindex: 0, role: "img" });
    this.map.addEventListener("click", (event) => this.clickMap(event));
    this.matrix = node("canvas", { tabindex: 0, role: "img" });
    this.matrix.addEventListener("mousemove", (event) => this.point(event));
    this.matrix.addEventListener("click", (event) => this.point(event) && this.lock());
    this.lines = node("div", { tabindex: 0, role: "img" });
    this.lines.style = "overflow-y: auto; max-height: 520px; width: 460px";
    for (const place of [this.map, this.matrix, this.lines]) onKeys(place, this.keys());
    const style = "display: flex; gap: 18px; align-items: flex-start; flex-wrap: wrap";
    const left = node("div", { style: "width: 346px" }, this.map, words);
    return node("div", { style, class: "views" }, left, this.matrix, this.lines);
  }

  makeWords() {
    this.told = node("div", { class: "told", role: "status", "aria-live": "polite" });
    this.does = node("div", { class: "told does" });
    this.wrong = node("div", { class: "told wrong", role: "alert" });
    this.chosen = pasted("the selection");
    const files = node(
      "div",
      { class: "bar controls" },
      this.chosen.place,
      button("PNG", () => this.savePng()),
      button("SVG", () => save("attention.svg", svgText(this.asSvg()), "image/svg+xml")),
      ...(this.model.send ? [button("HTML", () => this.model.send({ ask: "html" }))] : []),
    );
    const keys = "arrows: cell · [ ] layer · , . head · Enter: keep a query · Esc: let all go";
    return node("div", {}, this.told, this.does, this.wrong, files, node("small", {}, keys));
  }

  keys() {
    const { T, S, layers, heads } = this.meta;
    const move = (down, right) => () => {
      const i = Math.min(Math.max(this.cell.i + down, 0), T - 1);
      const j = Math.min(Math.max(this.cell.j + right, 0), S - 1);
      this.cell = { i, j };
      this.draw();
    };
    const turn = (name, by, n) => () => {
      this.set({ [name]: (Math.max(this[name], 0) + by + n) % n });
    };
    return {
      ArrowUp: move(-1, 0),
      ArrowDown: move(1, 0),
      ArrowLeft: move(0, -1),
      ArrowRight: move(0, 1),
      "[": turn("layer", -1, layers),
      "]": turn("layer", 1, layers),
      ",": turn("head", -1, heads),
      ".": turn("head", 1, heads),
      Enter: () => this.lock(),
      Escape: () => this.set({ queries: [] }),
    };
  }

  lock() {
    const { i } = this.cell;
    const kept = this.queries.filter((query) => query !== i);
    const more = kept.length === this.queries.length ? [...kept, i] : kept;
    this.set({ queries: more.sort((a, b) => a - b) });
  }

  draw() {
    const full = this.heads.get(this.layer, this.head);
    this.tabs.forEach((tab) => {
      tab.setAttribute("aria-pressed", String(tab.textContent === this.view));
    });
    this.meanBox.checked = this.head === MEAN;
    this.map.hidden = this.meta.layers * this.meta.heads === 1;
    if (!this.map.hidden) this.drawMap();
    this.matrix.hidden = this.view !== "matrix";
    this.lines.hidden = this.view !== "lines";
    if (full && this.view === "matrix") this.drawMatrix(full);
    if (full && this.view === "lines") this.drawLines(full);
    this.tell(full);
  }

  // Heads in reading order: by place, a row is a layer; by a score, the highest comes first.
  ordered() {
    const { layers, heads, scores } = this.meta;
    const all = Array.from({ length: layers * heads }, (_, k) => k);
    const score = scores[this.order];
    if (score) all.sort((a, b) => (score[b] ?? -Infinity) - (score[a] ?? -Infinity) || a - b);
    return all;
  }

  drawMap() {
    const { layers, heads, T, S } = this.meta;
    const colours = hues(this.map);
    const now = JSON.stringify([this.layer, this.head, this.order, this.sink, colours]);
    if (now === this.mapDrawn) return;
    this.mapDrawn = now;
    this.side = Math.min(Math.max(Math.floor(320 / Math.max(heads, layers)), 12), 72);
    const [left, top] = [26, 18];
    const pen = paper(this.map, left + heads * this.side + 2, top + layers * this.side + 2);
    pen.font = pen.font.replace("12px", "11px");
    const [rows, columns] = [Math.min(T, THUMB), Math.min(S, THUMB)];
    const byPlace = this.order === "place";
    this.ordered().forEach((k, place) => {
      const [layer, head] = [Math.floor(k / heads), k % heads];
      const x = left + (place % heads) * this.side;
      const y = top + Math.floor(place / heads) * this.side;
      const look = { scale: "root", sink: this.sink, ...colours };
      const image = this.image([layer, head, "thumb"], look, () => {
        return picture(this.heads.thumb(layer, head), rows, columns, look);
      });
      pen.imageSmoothingEnabled = false;
      pen.drawImage(image, x + 1, y + 1, this.side - 2, this.side - 2);
      const isChosen = layer === this.layer && (head === this.head || this.head === MEAN);
      pen.lineWidth = isChosen ? 2.5 : 1;
      pen.strokeStyle = isChosen ? `rgb(${RED})` : FAINT;
      pen.strokeRect(x + 1, y + 1, this.side - 2, this.side - 2);
    });
    const every = Math.ceil(16 / this.side);
    for (let n = 0; byPlace && n < heads; n += every) pen.fillText(n, left + n * this.side + 3, 13);
    for (let n = 0; byPlace && n < layers; n += every) {
      pen.fillText(n, 4, top + n * this.side + this.side / 2 + 4);
    }
    if (!byPlace) pen.fillText(`most ${this.order} first`, left, 13);
    const name = `${layers} layers of ${heads} heads; chosen: layer ${this.layer}`;
    this.map.setAttribute("aria-label", `${name}, ${this.headName()}`);
  }

  // What was drawn of a head is kept while it looks the same: a step only moves the marks.
  image(head, look, make) {
    const name = JSON.stringify([head, look]);
    if (this.images.size > 2 * this.meta.layers * this.meta.heads + 8) this.images.clear();
    if (!this.images.has(name)) this.images.set(name, make());
    return this.images.get(name);
  }

  clickMap(event) {
    const { heads } = this.meta;
    const [x, y] = [event.offsetX - 26, event.offsetY - 18].map((v) => Math.floor(v / this.side));
    const k = this.ordered()[y * heads + x];
    if (x < 0 || x >= heads || k === undefined) return;
    this.set({ layer: Math.floor(k / heads), head: k % heads });
  }

  // Tokens beside the rows and above the columns while they can be read, else a few.
  drawMatrix(full) {
    const { T, S, queries, keys } = this.meta;
    const cell = Math.min(440 / Math.max(T, S), 36);
    const margin = 16 + Math.min(longest([...queries, ...keys]), 96);
    Object.assign(this, { cellSide: cell, margin });
    const pen = paper(this.matrix, margin + S * cell + 8, margin + T * cell + 8);
    const [rows, columns] = [Math.min(T, 880), Math.min(S, 880)];
    const look = { scale: this.scale, sink: this.sink, ...hues(this.matrix) };
    const image = this.image([this.layer, this.head], look, () => {
      const shown = rows < T || columns < S ? pool(full, T, S, rows, columns) : full;
      return picture(shown, rows, columns, look, this.meta.triangle);
    });
    pen.imageSmoothingEnabled = false;
    pen.drawImage(image, margin, margin, S * cell, T * cell);
    if (cell >= 26) this.drawNumbers(pen, full);
    this.drawMarks(pen);
    this.drawTokens(pen, queries, this.cell.i, (token, at) => {
      pen.textAlign = "right";
      pen.fillText(token, margin - 4, margin + (at + 0.5) * cell + 4);
    });
    const isUpright = cell >= 16 && keys.every((key) => [...key].length < 3);
    this.drawTokens(pen, keys, this.cell.j, (token, at) => {
      if (isUpright) {
        pen.textAlign = "center";
        pen.fillText(token, margin + (at + 0.5) * cell, margin - 6);
        return;
      }
      pen.save();
      pen.translate(margin + (at + 0.5) * cell + 4, margin - 4);
      pen.rotate(-Math.PI / 2);
      pen.textAlign = "left";
      pen.fillText(token, 0, 0);
      pen.restore();
    });
    const name = `${this.headName()} of layer ${this.layer}, ${T} × ${S}`;
    this.matrix.setAttribute("aria-label", name);
  }

  drawNumbers(pen, full) {
    const { T, S } = this.meta;
    const [cell, margin, colour] = [this.cellSide, this.margin, pen.fillStyle];
    [pen.textAlign, pen.lineJoin] = ["center", "round"];
    for (let i = 0; i < T; i++) {
      for (let j = 0; j < S; j++) {
        const weight = full[i * S + j];
        if (!this.heads.mayLook(i, j) || (this.sink && j === 0)) continue;
        const isDark = seen(Math.abs(weight), largestOf(full, S, i), this.scale) > 0.4;
        const told = weight === 0 ? "·" : weight.toFixed(2).replace(/^(-?)0\./, "$1.");
        const place = [told, margin + (j + 0.5) * cell, margin + (i + 0.5) * cell + 4];
        // White with a dark edge is read on every blue, whatever the page behind it.
        [pen.fillStyle, pen.strokeStyle, pen.lineWidth] = [isDark ? "#fff" : colour, "#123", 2.5];
        if (isDark) pen.strokeText(...place);
        pen.fillText(...place);
      }
    }
    pen.fillStyle = colour;
    pen.lineJoin = "miter";
  }

  // The pointed cell, the queries that were kept, and rows whose numbers cannot be right.
  drawMarks(pen) {
    const { T, S } = this.meta;
    const [cell, margin] = [this.cellSide, this.margin];
    const frame = (i, colour, width) => {
      pen.strokeStyle = colour;
      pen.lineWidth = width;
      pen.strokeRect(margin, margin + i * cell, S * cell, cell);
    };
    for (const i of this.queries) frame(i, `rgb(${GREEN})`, 2);
    for (let i = 0; i < T; i++) {
      if (!this.isBad(i)) continue;
      frame(i, `rgb(${RED})`, 2);
      for (let x = 0; x < S * cell; x += 6) pen.strokeRect(margin + x, margin + i * cell, 1, cell);
    }
    pen.strokeStyle = getComputedStyle(this.matrix).color;
    pen.lineWidth = 1;
    pen.strokeRect(margin, margin + this.cell.i * cell, S * cell, cell);
    pen.strokeRect(margin + this.cell.j * cell, margin, cell, T * cell);
  }

  isBad(i) {
    return this.meta.bad.some(([layer, head, query]) => {
      const isShown = layer === this.layer && (head === this.head || this.head === MEAN);
      return isShown && query === i;
    });
  }

  drawTokens(pen, tokens, pointed, write) {
    const every = Math.ceil(11 / this.cellSide);
    tokens.forEach((token, at) => {
      const isPointed = at === pointed;
      const isNear = Math.abs(at - pointed) < every;
      if (!isPointed && (isNear || at % every)) return;
      pen.font = pen.font.replace(/^(bold )?/, isPointed ? "bold " : "");
      pen.fillStyle = getComputedStyle(this.matrix).color;
      write(shortened(token), at);
    });
  }

  point(event) {
    const { T, S } = this.meta;
    const [j, i] = [event.offsetX, event.offsetY].map((v) => {
      return Math.floor((v - this.margin) / this.cellSide);
    });
    if (i < 0 || j < 0 || i >= T || j >= S) return false;
    if (i !== this.cell.i || j !== this.cell.j) {
      this.cell = { i, j };
      this.draw();
    }
    return true;
  }

  drawLines(full) {
    const svg = this.linesSvg(full);
    this.lines.replaceChildren(svg);
    this.lines.setAttribute("aria-label", svg.getAttribute("aria-label"));
  }

  // Queries on the left, keys on the right; of a long text the hundred tokens around the query.
  linesSvg(full) {
    const { T, S, queries, keys } = this.meta;
    const asked = this.queries.length ? this.queries : [this.cell.i];
    const first = Math.max(Math.min(asked[0] - 50, Math.max(T, S) - 100), 0);
    const [rows, last] = [18, Math.min(first + 100, Math.max(T, S))];
    const label = `lines from ${asked.map((i) => queries[i]).join(", ")}`;
    const size = { width: 440, height: (last - first) * rows + 8 };
    const svg = drawn("svg", { ...size, role: "img", "aria-label": label });
    const y = (at) => (at - first) * rows + 16;
    const colours = hues(this.lines);
    const opaque = (weight) => Math.abs(seen(weight, 1, this.scale === "root" ? "root" : "linear"));
    for (const i of asked) {
      for (let j = first; j < Math.min(last, S); j++) {
        const weight = full[i * S + j];
        const isHidden = !this.heads.mayLook(i, j) || (this.sink && j === 0);
        if (isHidden || Math.abs(weight) < 0.002) continue;
        const colour = shade(Math.sign(weight), colours);
        const stroke = { stroke: colour, "stroke-opacity": opaque(weight) };
        const ends = { x1: 168, x2: 272, y1: y(i) - 4, y2: y(j) - 4, "stroke-width": 3 };
        svg.append(drawn("line", { ...ends, ...stroke }));
      }
    }
    for (let at = first; at < last; at++) {
      const side = (tokens, place) => {
        if (at >= tokens.length) return;
        const isAsked = tokens === queries && place.x < 200 && asked.includes(at);
        const weight = { "font-weight": isAsked ? "bold" : "normal", fill: "currentColor" };
        svg.append(drawn("text", { ...place, y: y(at), ...weight }, shortened(tokens[at])));
      };
      side(queries, { x: 160, "text-anchor": "end" });
      side(keys, { x: 280, "text-anchor": "start" });
    }
    return svg;
  }

  headName() {
    return this.head === MEAN ? "mean of all heads" : `head ${this.head}`;
  }

  tell(full) {
    const { S, heads, queries, keys, does, problems, signed } = this.meta;
    const { i, j } = this.cell;
    const line = `my_head = (${this.layer}, ${this.head === MEAN ? '"mean"' : this.head})`;
    const kept = this.queries.length ? `; my_tokens = [${this.queries.join(", ")}]` : "";
    this.chosen.set(line + kept);
    this.does.textContent = this.head === MEAN ? "" : (does[this.layer * heads + this.head] ?? "");
    this.wrong.textContent = problems;
    this.wrong.hidden = !problems;
    if (!full) {
      const alone = "this page holds only thumbnails of it; in the notebook it is fetched";
      this.told.textContent = this.model.send ? "fetching the head …" : alone;
      return;
    }
    const [query, key] = [`${queries[i]} (${i})`, `${keys[j]} (${j})`];
    const head = this.map.hidden ? "" : `layer ${this.layer}, ${this.headName()}: `;
    const where = `${head}${query} → ${key}: `;
    const weight = this.heads.mayLook(i, j) ? full[i * S + j].toFixed(4) : "masked";
    // 16 bits a weight: the sum of a long row is told as exactly as it travelled.
    const digits = this.isBad(i) ? 4 : 2;
    const sum = signed ? "" : `; the row adds to ${rowSum(full, S, i).toFixed(digits)}`;
    const together = this.queries.length > 1
      ? `; the ${this.queries.length} kept queries take ` +
        `${takenTogether(full, S, this.queries)[j].toFixed(4)} of it together`
      : "";
    this.told.textContent = where + weight + sum + together;
  }

  savePng() {
    const shown = this.view === "matrix" ? this.matrix : this.map;
    shown.toBlob((blob) => save("attention.png", blob, "image/png"));
  }

  // The lines as they are; the matrix as squares, or as one picture where there are too many.
  asSvg() {
    const full = this.heads.get(this.layer, this.head);
    if (this.view === "lines") return this.linesSvg(full);
    const { T, S, queries, keys } = this.meta;
    const [side, margin] = [14, 110];
    const size = { width: margin + S * side + 8, height: margin + T * side + 8 };
    const svg = drawn("svg", { ...size, "font-size": 11, "font-family": "sans-serif" });
    for (let i = 0; i < T && T * S <= 16384; i++) {
      for (let j = 0; j < S; j++) {
        const share = seen(full[i * S + j], largestOf(full, S, i), this.scale);
        if (!share || (this.sink && j === 0)) continue;
        const square = { x: margin + j * side, y: margin + i * side, width: side, height: side };
        const fill = shade(Math.sign(share), { more: BLUE, less: RED });
        svg.append(drawn("rect", { ...square, fill, opacity: Math.abs(share) }));
      }
    }
    const [x, y] = [margin - 4, (at) => margin + (at + 0.7) * side];
    queries.forEach((token, at) => {
      svg.append(drawn("text", { x, y: y(at), "text-anchor": "end" }, shortened(token)));
    });
    keys.forEach((token, at) => {
      const turned = `translate(${y(at)} ${margin - 4}) rotate(-90)`;
      svg.append(drawn("text", { transform: turned }, shortened(token)));
    });
    return svg;
  }

  stop() {
    for (const name of ["layer", "head", "queries"]) {
      this.model.off?.(`change:${name}`, this.select);
    }
    this.heads.stop();
    this.forget();
  }
}

function shortened(token) {
  const letters = [...token];
  return letters.length > 12 ? `${letters.slice(0, 11).join("")}…` : token;
}

// About how many pixels the longest token takes.
function longest(tokens) {
  let most = 0;
  for (const token of tokens) {
    const wide = [...shortened(token)].reduce((sum, c) => sum + (c > "\u2e80" ? 13 : 7), 0);
    most = Math.max(most, wide);
  }
  return most;
}

export default {
  render({ model, el }) {
    const viewer = new Viewer(model, el);
    return () => viewer.stop();
  },
};
