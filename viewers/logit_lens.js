// What each layer would say next, and the path of one token through the layers. `cells` holds of
// each layer and position: the top ids, their log probabilities, the entropy in bits, and the log
// probability and rank of what followed. Python is asked for other paths.

const FOLLOWED = -1;
const CHOSEN = ["layer", "position", "tracked"];
const SCALES = { logp: "log probability, nats", rank: "rank, 1 is the highest" };
const NEEDS = "a token other than what followed needs the notebook";
const LEGEND =
  "last row: the model · shade: probability, 0 to 1 · bold, underlined: it followed";
const LOOK = `
.lens { overflow: auto; max-height: 301px; scroll-padding: 22px 4px 22px 92px; }
.lens table { border-collapse: separate; border-spacing: 1px; table-layout: fixed; width: 0; }
.lens :is(th, td), .top button { overflow: hidden; text-overflow: ellipsis; white-space: pre; }
.lens :is(th, td) { width: 72px; height: 19px; box-sizing: border-box; padding: 0 5px;
  text-align: center; font-size: 12px; font-weight: 400;
  background: var(--base); color: var(--ink); }
.lens th { position: sticky; z-index: 1; }
.lens tr :first-child { width: 88px; left: 0; text-align: left; }
.lens :is(thead, tfoot) th { top: 0; bottom: 0; z-index: 2; font-weight: 700; }
.lens :is(thead, tfoot) :first-child { z-index: 3; }
.lens .hit { font-weight: 700; text-decoration: underline; }
.lens [aria-selected="true"] { outline: 3px solid rgb(${RED}); outline-offset: -3px; }
.parts { display: flex; flex-wrap: wrap; gap: 0 28px; }
.parts > * { width: 520px; max-width: 100%; }
.parts .top { width: 300px; max-height: 190px; overflow-y: auto; }
.top button { max-width: 180px; }
.top td { padding: 1px 8px 1px 0; }
.top td:last-child { width: 100px; padding: 0;
  background: linear-gradient(rgb(${BLUE}), rgb(${BLUE})) left bottom no-repeat; }`;

function share(logp) {
  const p = Math.exp(logp);
  return p < 1e-4 ? p.toExponential(1) : p.toFixed(4);
}

const written = (value) => Math.round(value * 100) / 100 || 0; // no -0
const layerName = (l) => (l ? `${l} block${l > 1 ? "s" : ""}` : "embedding");

class Lens {
  constructor(model, el) {
    this.model = model;
    Object.assign(this, model.get("meta")); // ids, names, top, layers
    this.numbers = asNumbers(model.get("cells"), Float32Array);
    this.paths = new Map();
    this.scale = "logp";
    this.told = node("div", { class: "told", role: "status", "aria-live": "polite" });
    const parts = node("div", { class: "parts" }, this.makeTop(), this.makePath());
    const grid = [node("style", {}, LOOK), this.makeGrid(), node("small", {}, LEGEND)];
    begin(el, model.get("title")).append(...grid, this.told, parts, this.makeFoot());
    const heard = CHOSEN.map((name) => [`change:${name}`, () => this.draw()]);
    heard.push(["msg:custom", (...answer) => this.take(...answer)]);
    heard.forEach(([event, then]) => model.on(event, then));
    const forget = onTheme(() => this.paint());
    this.stop = () => {
      heard.forEach(([event, then]) => model.off?.(event, then));
      forget();
    };
    this.draw();
    onceShown(this.grid, () => {
      this.paint();
      this.bringIntoSight();
    });
  }

  // Scrolls the grid alone: the page stays where its reader is.
  bringIntoSight() {
    const pane = this.grid.parentElement;
    pane.scrollTop = 1e6; // to the last layer
    pane.scrollLeft = this.box.offsetLeft - pane.clientWidth / 2;
  }

  set(changes) {
    for (const [name, value] of Object.entries(changes)) this.model.set(name, value);
    this.model.save_changes();
  }

  cell(layer, position) {
    const { top, ids, numbers } = this;
    const start = (layer * ids.length + position) * (2 * top + 3);
    const [best, logps] = [0, top].map((k) => numbers.subarray(start + k, start + k + top));
    const [entropy, ...followed] = numbers.subarray(start + 2 * top, start + 2 * top + 3);
    return { best, logps, entropy, followed };
  }

  // Log probability and rank of a token, where they are known.
  of(token, layer, position) {
    const k = 2 * (layer * this.ids.length + position);
    if (token === this.ids[position + 1]) return this.cell(layer, position).followed;
    return this.paths.get(token)?.subarray(k, k + 2);
  }

  take({ html, file, says, token, name, found }, buffers) {
    if (html) save(file, html, "text/html");
    if (says) this.told.textContent = says;
    if (token === undefined) return;
    this.names[token] = name;
    this.paths.set(token, asNumbers(buffers[0], Float32Array));
    if (found) this.set({ tracked: token });
    this.draw();
  }

  makeGrid() {
    const { ids, names, layers } = this;
    const row = (name, cells) => node("tr", {}, node("th", { scope: "row" }, name), ...cells);
    const heads = (list) => list.map((id) => node("th", { scope: "col" }, names[id] ?? "…"));
    const label = `lens${Math.random()}`; // two lenses may share a page
    this.boxes = Array.from({ length: layers }, (_, layer) => ids.map((_, position) => {
      const [first] = this.cell(layer, position).best;
      const id = `${label}-${layer}-${position}`;
      const onclick = () => this.set({ layer, position });
      const hit = first === ids[position + 1] && "hit";
      return node("td", { id, onclick, class: hit }, names[first]);
    }));
    const name = { "aria-label": "most probable next token by layer and position" };
    this.grid = node("table", { role: "grid", tabindex: 0, ...name },
      node("thead", {}, row("read", heads(ids))),
      node("tbody", {}, ...this.boxes.map((boxes, layer) => row(layerName(layer), boxes))),
      node("tfoot", {}, row("followed", heads([...ids.slice(1), null]))));
    onKeys(this.grid, this.keys());
    return node("div", { class: "lens" }, this.grid);
  }

  keys() {
    const go = (down, right) => () => {
      const layer = Math.min(Math.max(this.layer + down, 0), this.layers - 1);
      const position = Math.min(Math.max(this.position + right, 0), this.ids.length - 1);
      this.set({ layer, position });
      this.box.scrollIntoView({ block: "nearest", inline: "nearest" });
    };
    return {
      ArrowUp: go(-1, 0),
      ArrowDown: go(1, 0),
      ArrowLeft: go(0, -1),
      ArrowRight: go(0, 1),
      Home: go(0, -Infinity),
      End: go(0, Infinity),
      Escape: () => this.set({ tracked: FOLLOWED }),
    };
  }

  makeTop() {
    this.rows = Array.from({ length: this.top }, (_, k) => {
      return [button("", () => this.set({ tracked: this.best[k] })), node("td")];
    });
    const rows = this.rows.map(([name, number], k) => {
      return node("tr", {}, node("td", {}, k + 1), node("td", {}, name), number);
    });
    const label = { "aria-label": "most probable here: choose to track" };
    return node("div", { class: "top" }, node("table", label, ...rows));
  }

  makePath() {
    const draw = (scale) => this.draw((this.scale = scale));
    const sought = node("input", { type: "search", size: 9 });
    const find = () => {
      if (this.model.send) this.model.send({ text: sought.value });
      else this.told.textContent = NEEDS;
    };
    onKeys(sought, { Enter: find });
    this.follow = button("what followed", () => this.set({ tracked: FOLLOWED }));
    const controls = [choice("draw", SCALES, "logp", draw), node("label", {}, "track ", sought)];
    const bar = node("div", { class: "bar" }, ...controls, this.follow);
    this.title = node("div");
    this.chart = drawn("svg", { viewBox: "0 0 520 136", role: "img", "font-size": 12 });
    return node("div", {}, bar, this.title, this.chart);
  }

  makeFoot() {
    this.chosen = pasted("the selection");
    const keys = node("small", {}, "arrows, Home, End: cell · Esc: what followed");
    const foot = node("div", { class: "bar" }, this.chosen.place, keys);
    if (this.model.send) foot.append(button("HTML", () => this.model.send({ ask: "html" })));
    return foot;
  }

  // Black is read on all shades of a bright ground, and of a dark one on those above 0.63.
  paint() {
    const { more } = hues(this.told);
    const base = more === BLUE ? 255 : 17;
    const ink = (p) => (base === 17 && p < 0.63 ? "#fff" : "#000");
    this.grid.style = `--base: rgb(${base}, ${base}, ${base}); --ink: ${ink(0)}`;
    this.boxes.forEach((boxes, layer) => boxes.forEach((box, position) => {
      const p = Math.exp(this.cell(layer, position).logps[0]);
      box.style.background = `rgb(${more.map((full) => base + (full - base) * p)})`;
      box.style.color = ink(p);
    }));
  }

  draw() {
    const [layer, position, tracked] = CHOSEN.map((name) => this.model.get(name));
    const token = tracked === FOLLOWED ? this.ids[position + 1] : tracked;
    this.box?.setAttribute("aria-selected", "false");
    this.box = this.boxes[layer][position];
    this.box.setAttribute("aria-selected", "true");
    this.grid.setAttribute("aria-activedescendant", this.box.id);
    const { best, logps } = this.cell(layer, position);
    Object.assign(this, { layer, position, best });
    this.rows.forEach(([name, number], k) => {
      name.textContent = this.names[best[k]];
      name.setAttribute("aria-pressed", String(best[k] === token));
      number.textContent = share(logps[k]);
      number.style.backgroundSize = `${100 * Math.exp(logps[k])}% 3px`;
    });
    this.follow.setAttribute("aria-pressed", String(tracked === FOLLOWED));
    this.chosen.set(`my_layer, my_position = ${layer}, ${position}`);
    this.tell(layer, position, token);
    this.drawPath(layer, position, token);
    if (tracked === FOLLOWED || this.paths.has(token)) return;
    this.paths.set(token, undefined); // asked once
    this.model.send?.({ token });
  }

  name(token) {
    return token === undefined ? "nothing" : (this.names[token] ?? token);
  }

  tell(layer, position, token) {
    const { best, logps, entropy } = this.cell(layer, position);
    const name = (id) => node("span", {}, "“", node("bdi", {}, this.name(id)), "”");
    const says = (id) => {
      const [logp, rank] = this.of(id, layer, position) ?? [];
      return [name(id), rank ? ` ${share(logp)}, rank ${written(rank)}` : ""];
    };
    const next = this.ids[position + 1];
    const parts = [`${layerName(layer)}, position ${position}, read `, name(this.ids[position])];
    parts.push(": most probable ", name(best[0]), ` ${share(logps[0])}`);
    parts.push(`; entropy ${written(entropy)} bits; followed: `, ...says(next));
    if (token !== next) parts.push("; tracked: ", ...says(token));
    this.told.replaceChildren(...parts);
  }

  // The best, log probability 0 or rank 1, stands at the top.
  drawPath(layer, position, token) {
    const isRank = this.scale === "rank";
    const path = this.boxes.map((_, l) => this.of(token, l, position)?.[Number(isRank)]);
    const isKnown = token !== undefined && path[0] !== undefined;
    this.chart.replaceChildren();
    if (isKnown) this.drawCurve(path, isRank, layer);
    const told = isKnown
      ? `${written(path[0])} at first, ${written(path.at(-1))} at the end`
      : this.model.send ? "…" : NEEDS;
    this.title.textContent = `“${this.name(token)}” after position ${position}: ${told}`;
    this.chart.setAttribute("aria-label", this.title.textContent);
  }

  drawCurve(path, isRank, layer) {
    const height = (value) => (isRank ? -Math.log10(value) : value);
    const low = Math.min(-1, ...path.map((value) => Math.floor(height(value))));
    const ticks = isRank ? Array.from({ length: 1 - low }, (_, k) => 10 ** k) : [0, low / 2, low];
    const y = (value) => 10 + (height(value) / low) * 104;
    const x = (l) => 60 + (l / (path.length - 1)) * 440;
    const add = (kind, where, text = "") => {
      this.chart.append(drawn(kind, { fill: "currentColor", ...where }, text));
    };
    for (const tick of ticks) {
      add("line", { x1: 56, x2: 504, y1: y(tick), y2: y(tick), stroke: FAINT });
      add("text", { x: 50, y: y(tick) + 4, "text-anchor": "end" }, written(tick));
    }
    const points = path.map((value, l) => `${x(l)},${y(value)}`).join(" ");
    add("polyline", { points, fill: "none", stroke: `rgb(${BLUE})`, "stroke-width": 2 });
    add("text", { x: 0, y: 132 }, "blocks");
    const every = Math.ceil(path.length / 13);
    path.forEach((value, l) => {
      if (l % every === 0) add("text", { x: x(l), y: 132, "text-anchor": "middle" }, l);
      add("circle", { cx: x(l), cy: y(value), r: l === layer ? 7 : 3.5, fill: `rgb(${BLUE})` });
    });
  }
}

export default { render: ({ model, el }) => new Lens(model, el).stop };
