// Embeddings: points of a plane (`points`, x and y), and for each point its nearest in the whole
// space (`near`) with their cosines. Neighbours that were not sent are asked of Python.

const [WIDTH, HEIGHT, MARGIN, MOST_LABELS] = [560, 400, 24, 120];
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const LOOK = `
.lk .views { display: flex; flex-wrap: wrap; gap: 18px; align-items: flex-start; }
.lk .side { width: 320px; }
.lk td { padding: 0 10px 0 0; text-align: left; }
.lk td button { max-width: 240px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap;
  unicode-bidi: isolate; }`;

// Neighbours of points: [place, cosine], nearest first.
class Neighbours {
  constructor(model, onArrival) {
    Object.assign(this, { model, k: model.get("meta").k, known: new Map() });
    this.keep(0, model.get("near"), model.get("cosines"));
    this.hear = (message, buffers) => {
      if (message.html) save(message.file, message.html, "text/html");
      if (message.of === undefined) return;
      this.keep(message.of, ...buffers);
      onArrival();
    };
    model.on("msg:custom", this.hear);
  }

  keep(first, near, cosines) {
    const [places, values] = [asNumbers(near, Int32Array), asNumbers(cosines, Float32Array)];
    const rows = this.k ? places.length / this.k : this.model.get("meta").labels.length;
    for (let row = 0; row < rows; row++) {
      const pair = (_, j) => [places[row * this.k + j], values[row * this.k + j]];
      this.known.set(first + row, Array.from({ length: this.k }, pair));
    }
  }

  of(point) {
    if (!this.known.has(point)) this.model.send?.({ ask: point });
    return this.known.get(point);
  }

  stop() {
    this.model.off?.("msg:custom", this.hear);
  }
}

// Places whose label holds what is sought: the same, then those that begin with it, then the rest.
function matches(labels, sought) {
  const small = sought.toLowerCase().replaceAll(" ", "␣");
  const rank = (label) => {
    const at = label.toLowerCase().indexOf(small);
    return at < 0 ? 3 : label.toLowerCase() === small ? 0 : at === 0 ? 1 : 2;
  };
  const ranked = labels.map((label, place) => [rank(label), place]).filter(([found]) => found < 3);
  return small ? ranked.sort((a, b) => a[0] - b[0]).map(([, place]) => place) : [];
}

// The nearest point to the right (1, 0), left, up or down, within a quarter of a turn.
function towards(points, from, [right, down]) {
  let [best, least] = [from, Infinity];
  for (let i = 0; i < points.length / 2; i++) {
    const x = points[2 * i] - points[2 * from];
    const y = points[2 * from + 1] - points[2 * i + 1];
    const [along, across] = [x * right + y * down, Math.abs(x * down) + Math.abs(y * right)];
    const far = along + 2 * across;
    if (i !== from && along > 0 && across <= along && far < least) [best, least] = [i, far];
  }
  return best;
}

class Viewer {
  constructor(model, el) {
    Object.assign(this, { model, meta: model.get("meta"), zoom: 1, pointed: -1 });
    this.points = asNumbers(model.get("points"), Float32Array);
    this.near = new Neighbours(model, () => this.draw());
    this.root = begin(el, model.get("title"));
    this.root.before(node("style", {}, LOOK));
    this.root.append(this.makeControls());
    this.root.append(node("div", { class: "views" }, this.makeCanvas(), this.makeSide()));
    this.redraw = () => this.draw();
    model.on("change:chosen", this.redraw);
    this.forget = onTheme(this.redraw);
    onceShown(this.root, this.redraw);
  }

  get chosen() {
    return Math.min(Math.max(this.model.get("chosen"), 0), this.meta.labels.length - 1);
  }

  choose(point) {
    const n = this.meta.labels.length;
    this.model.set("chosen", (point + n) % n);
    this.model.save_changes();
    this.draw();
  }

  // The button goes with the list it stands in, so the picture takes the focus.
  follow(point) {
    this.choose(point);
    this.canvas.focus();
  }

  makeControls() {
    this.field = node("input", { type: "search", size: 14, ...OWN_KEYS });
    this.field.addEventListener("input", () => this.seek(0));
    onKeys(this.field, { Enter: () => this.seek(1) });
    this.hits = node("span", { class: "told", "aria-live": "polite" });
    return node(
      "div",
      { class: "bar" },
      node("label", {}, "find ", this.field),
      this.hits,
      button("zoom in", () => this.magnify(1.5)),
      button("zoom out", () => this.magnify(1 / 1.5)),
    );
  }

  // Typing goes to the first match, Enter to the next one.
  seek(step) {
    const found = matches(this.meta.labels, this.field.value);
    const at = step && found.length ? (found.indexOf(this.chosen) + step) % found.length : 0;
    const none = this.field.value ? "no label holds this" : "";
    const enter = found.length > 1 ? "; Enter: next" : "";
    this.hits.textContent = found.length ? `${at + 1} of ${found.length}${enter}` : none;
    if (found.length) this.choose(found[at]);
  }

  makeCanvas() {
    this.canvas = node("canvas", { tabindex: 0, role: "img" });
    this.canvas.addEventListener("mousemove", (event) => this.hover(this.under(event)));
    this.canvas.addEventListener("mouseleave", () => this.hover(-1));
    this.canvas.addEventListener("click", (event) => {
      if (this.under(event) >= 0) this.choose(this.under(event));
    });
    const go = (...way) => () => this.choose(towards(this.points, this.chosen, way));
    onKeys(this.canvas, {
      ArrowRight: go(1, 0),
      ArrowLeft: go(-1, 0),
      ArrowUp: go(0, -1),
      ArrowDown: go(0, 1),
      ",": () => this.choose(this.chosen - 1),
      ".": () => this.choose(this.chosen + 1),
      "+": () => this.magnify(1.5),
      "-": () => this.magnify(1 / 1.5),
    });
    return this.canvas;
  }

  makeSide() {
    this.told = node("div", { class: "told", role: "status", "aria-live": "polite" });
    this.list = node("table", { "aria-label": "nearest by cosine" });
    this.line = pasted("the chosen point");
    const { shares, D } = this.meta;
    const held = `The plane holds ${percent(shares[0] + shares[1])} of the variance: what is near `;
    const plane = `${held}in it may be far in all ${D} dimensions, of which the cosines are.`;
    const keys = "arrows: to the next point that way · , . place before, after · + - zoom";
    const file = this.model.send ? [button("HTML", () => this.model.send({ ask: "html" }))] : [];
    const parts = [this.told, this.list, node("p", {}, plane)];
    parts.push(node("div", { class: "bar" }, this.line.place, ...file), node("small", {}, keys));
    return node("div", { class: "side" }, ...parts);
  }

  magnify(by) {
    this.zoom = Math.min(Math.max(this.zoom * by, 1), 200);
    this.draw();
  }

  hover(point) {
    if (point === this.pointed) return;
    this.pointed = point;
    this.draw();
  }

  // All points at first; then the chosen one in the middle. One unit is as long on both axes.
  measure() {
    const [xs, ys] = [0, 1].map((axis) => this.points.filter((_, i) => i % 2 === axis));
    const end = (values, which) => values.reduce((a, b) => which(a, b));
    const ends = [xs, ys].map((values) => [end(values, Math.min), end(values, Math.max)]);
    const [wide, high] = ends.map(([low, top]) => top - low);
    const room = [WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN];
    this.unit = Math.min(room[0] / (wide || 1), room[1] / (high || 1)) * this.zoom;
    const whole = ends.map(([low, top]) => (low + top) / 2);
    this.middle = this.zoom > 1 ? this.points.slice(2 * this.chosen, 2 * this.chosen + 2) : whole;
  }

  at(point) {
    const [x, y] = [0, 1].map((axis) => this.points[2 * point + axis] - this.middle[axis]);
    return [WIDTH / 2 + x * this.unit, HEIGHT / 2 - y * this.unit];
  }

  under({ offsetX, offsetY }) {
    let [best, least] = [-1, 12];
    for (let i = 0; i < this.meta.labels.length; i++) {
      const [x, y] = this.at(i);
      const far = Math.hypot(x - offsetX, y - offsetY);
      if (far < least) [best, least] = [i, far];
    }
    return best;
  }

  draw() {
    this.measure();
    const near = this.near.of(this.chosen);
    this.drawPoints(near?.map(([place]) => place) ?? []);
    this.tell(near);
  }

  drawPoints(near) {
    const { labels, D } = this.meta;
    const pen = paper(this.canvas, WIDTH, HEIGHT);
    const { more, less } = hues(this.canvas);
    const ink = pen.fillStyle;
    this.drawAxes(pen);
    const size = labels.length > 2000 ? 1.5 : 2.5;
    pen.fillStyle = `rgba(${more}, ${Math.min(0.6, 0.1 + 1000 / labels.length)})`;
    for (let i = 0; i < labels.length; i++) {
      const [x, y] = this.at(i);
      pen.beginPath();
      pen.arc(x, y, size, 0, 7);
      pen.fill();
    }
    pen.strokeStyle = `rgb(${less})`;
    for (const i of [this.chosen, ...near]) this.ring(pen, i, i === this.chosen ? 7 : 5);
    pen.fillStyle = ink;
    this.drawLabels(pen, [this.pointed, this.chosen, ...near]);
    const name = `${labels.length} points in a plane of ${D} dimensions`;
    this.canvas.setAttribute("aria-label", `${name}; chosen: ${labels[this.chosen]}`);
  }

  drawAxes(pen) {
    const [first, second] = this.meta.shares.map(percent);
    pen.strokeStyle = FAINT;
    pen.strokeRect(0.5, 0.5, WIDTH - 1, HEIGHT - 1);
    pen.fillText(`↑ second axis: ${second} of the variance, same scale`, 6, 15);
    pen.textAlign = "right";
    pen.fillText(`first axis: ${first} of the variance →`, WIDTH - 6, HEIGHT - 7);
    pen.textAlign = "left";
  }

  // Neighbours have a ring, the chosen point a larger one with a cross.
  ring(pen, i, radius) {
    const [x, y] = this.at(i);
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(x, y, radius, 0, 7);
    if (i === this.chosen) {
      for (const [a, b] of [[radius, 0], [0, radius]]) {
        for (const side of [-1, 1]) {
          pen.moveTo(x + side * a, y + side * b);
          pen.lineTo(x + 1.7 * side * a, y + 1.7 * side * b);
        }
      }
    }
    pen.stroke();
  }

  // As many labels as there is room for; those of the chosen point and its neighbours come first.
  drawLabels(pen, first) {
    const { labels } = this.meta;
    const taken = [];
    const done = new Set([-1]);
    pen.direction = "ltr";
    for (const i of [...first, ...labels.keys()]) {
      if (done.has(i) || taken.length > MOST_LABELS) continue;
      const [x, y] = this.at(i);
      if (x < 0 || y < 0 || x > WIDTH || y > HEIGHT) continue;
      const isBold = i === this.chosen || i === this.pointed;
      pen.font = pen.font.replace(/^(bold )?/, isBold ? "bold " : "");
      const wide = pen.measureText(shortened(labels[i])).width;
      const gap = i === this.chosen ? 14 : 9;
      const sides = [x + gap, x - gap - wide].filter((left) => left > 0 && left + wide < WIDTH);
      const isFree = (left) => taken.every(([l, top, r]) => {
        return left + wide < l || left > r || Math.abs(y - top) > 14;
      });
      const left = sides.find(isFree) ?? (isBold ? sides[0] : undefined);
      if (left === undefined) continue;
      done.add(i);
      taken.push([left, y, left + wide]);
      pen.fillText(shortened(labels[i]), left, y + 4);
    }
  }

  tell(near) {
    const { labels } = this.meta;
    const name = (i) => `${labels[i]} (${i})`;
    this.line.set(`my_point = ${this.chosen}`);
    const alone = "this page holds no neighbours of it; in the notebook they are fetched";
    const waits = this.model.send ? "fetching its neighbours …" : alone;
    const told = near?.map(([place, cosine]) => `${name(place)} ${cosine.toFixed(4)}`);
    const list = told?.slice(0, 3).join(", ") || "nothing";
    this.told.textContent = `${name(this.chosen)}: ${told ? `nearest by cosine: ${list}` : waits}`;
    const rows = (near ?? []).map(([place, cosine]) => {
      const go = button(labels[place], () => this.follow(place), { "aria-label": name(place) });
      return node("tr", {}, node("td", {}, go), node("td", {}, cosine.toFixed(4)));
    });
    this.list.replaceChildren(...rows);
  }

  stop() {
    this.model.off?.("change:chosen", this.redraw);
    this.near.stop();
    this.forget();
  }
}

function shortened(label) {
  const letters = [...label];
  return letters.length > 16 ? `${letters.slice(0, 15).join("")}…` : label;
}

export default {
  render({ model, el }) {
    const viewer = new Viewer(model, el);
    return () => viewer.stop();
  },
};
