// The sampling explorer: the next token's distribution under settings, and the texts tried so far.
// `logits` are those of the first text; Python is asked for those of each text that is stepped to.
// What the settings do to them is in filters.js, which comes before.

const [SHOWN, DRAWS] = [20, 100];
// From a setting to its smallest and largest value, its step, and the value that means none.
const RANGES = {
  repetition_penalty: [1, 2, 0.05, 1],
  temperature: [0, 2, 0.05],
  top_k: [0, 100, 1, 0],
  top_p: [0.01, 1, 0.01, 1],
  min_p: [0, 1, 0.01, 0],
};
const ALONE = "To step on, the model is needed: open the notebook. The settings work here too.";
const HELP =
  "outline: before the cuts; hatched: cut; filled: now; red mark: drawn. " +
  "List: ↑ ↓, Enter takes. Texts: ← back, → on, ↑ ↓ another.";
const LOOK = `
.lk input { vertical-align: middle; width: 110px; }
.lk .sides { display: flex; gap: 22px; align-items: flex-start; flex-wrap: wrap; }
.lk .sides > div { flex: 1 1 380px; min-width: 0; }
.lk :is(td, th) { padding: 0 5px; font-size: 12px; line-height: 16px; text-align: right; }
.lk :is(td, th):nth-child(-n + 2) { text-align: left; }
.lk td:first-child { min-width: 110px; max-width: 130px; }
.lk :is(td, li) button { border-color: transparent; padding: 0 3px; max-width: 100%;
  overflow: hidden; text-overflow: ellipsis; white-space: pre; vertical-align: bottom; }
.lk :is(tr:hover, li) button:hover { border-color: currentColor; }
.lk .track { position: relative; width: 180px; height: 13px; }
.lk .track div { position: absolute; height: 100%; box-sizing: border-box; }
.lk .now { background: rgb(${BLUE}); }
.lk .before { border: 1px solid currentColor; }
.lk .cut { border-style: dashed;
  background: repeating-linear-gradient(135deg, transparent 0 4px, currentColor 4px 5px); }
.lk .count { border-right: 3px solid rgb(${RED}); }
.lk :is(.text, .tree, code) { max-height: 6em; overflow-y: auto; white-space: pre-wrap; }
.lk .tree { max-height: 200px; margin-bottom: 8px; }
.lk ul { margin: 2px 0 2px 14px; padding: 0; list-style: "↳ "; }
.lk [aria-current] { font-weight: 600; box-shadow: inset 0 -3px 0 rgb(${BLUE}); }`;

function percent(p) {
  return p > 0 && p < 1e-4 ? "< 0.01 %" : `${(100 * p).toFixed(p < 0.0995 ? 2 : 1)} %`;
}

class Explorer {
  constructor(model, el) {
    this.model = model;
    this.meta = model.get("meta");
    this.settings = { ...OFF, ...model.get("settings") };
    this.texts = new Map();
    const { start, text, seed } = this.meta;
    this.first = this.keep({ ids: start, text }, model.get("logits"));
    Object.assign(this, { round: 0, one: chance(seed), at: 0, here: this.first });
    this.root = begin(el, model.get("title"));
    this.root.append(node("style", {}, LOOK), this.makeControls(), ...this.makeViews());
    this.hear = (message, buffers) => {
      if (message.html) save(message.file, message.html, "text/html");
      if (message.ids) this.keep(message, buffers[0]);
      if (this.waits && this.waits === String(message.ids)) this.visit(message.ids);
    };
    this.follow = () => {
      if (String(model.get("ids")) !== String(this.here.ids)) this.visit(model.get("ids"));
    };
    model.on("msg:custom", this.hear);
    model.on("change:ids", this.follow);
    this.draw();
    this.follow();
  }

  // A text that was looked at has all it needs, so that going back asks nobody.
  keep({ ids, text }, bytes) {
    const name = String(ids);
    if (this.texts.has(name)) return this.texts.get(name);
    let parent = this.first;
    for (let n = 1; n < ids.length; n++) parent = this.texts.get(String(ids.slice(0, n))) ?? parent;
    const made = { ids, text, parent, children: [], logits: asNumbers(bytes, Float32Array) };
    this.texts.set(name, made);
    parent?.children.push(made);
    return made;
  }

  makeControls() {
    const sliders = Object.entries(RANGES).map(([name, [min, max, step, off]]) => {
      const tell = (value) => {
        const words = value === off ? "off" : String(value);
        label.querySelector("output").textContent = words;
        label.querySelector("input").setAttribute("aria-valuetext", words);
      };
      const value = this.settings[name] ?? off;
      const words = name.replace("_", name.length < 6 ? "-" : " ");
      const label = slider(words, { min, max, step }, value, (chosen) => {
        tell(chosen);
        this.set({ [name]: chosen === off ? OFF[name] : chosen });
      });
      tell(value);
      return label;
    });
    const reset = button("all off", () => {
      this.set(OFF);
      controls.replaceWith(this.makeControls());
      this.root.querySelector("button").focus();
    });
    const controls = node("div", { class: "bar" }, ...sliders, reset);
    return controls;
  }

  makeViews() {
    const live = { class: "told", role: "status", "aria-live": "polite" };
    [this.sum, this.told] = [node("div", live), node("div", live)];
    this.rows = node("tbody");
    const heads = ["next token", "probability", "model", "now", `of ${DRAWS}`];
    const cells = heads.map((words) => node("th", { scope: "col" }, words));
    const table = node("table", {}, node("thead", {}, node("tr", {}, ...cells)), this.rows);
    const move = (by) => () => this.point(this.at + by, true);
    onKeys(this.rows, { ArrowUp: move(-1), ArrowDown: move(1) });
    this.text = node("div", { class: "text" });
    this.tree = node("ul", { class: "tree", "aria-label": "texts tried" });
    const go = (find) => () => this.visit((find(this.here) ?? this.here).ids);
    const beside = (by) => go((at) => {
      const all = at.parent?.children ?? [];
      return all[all.indexOf(at) + by];
    });
    const back = go((at) => at.parent);
    const on = go((at) => at.children.at(-1));
    const keys = { ArrowLeft: back, ArrowRight: on, ArrowUp: beside(-1), ArrowDown: beside(1) };
    onKeys(this.tree, keys);
    this.line = pasted("text and settings");
    const tools = node(
      "div",
      { class: "bar" },
      button("draw one, go on", () => this.take(draw(this.seen, this.one()))),
      button("go back", back),
      button(`draw ${DRAWS} again`, () => {
        this.round += 1;
        this.draw();
      }),
    );
    const { model } = this;
    if (model.send) tools.append(button("HTML", () => model.send({ ask: "html" })));
    const right = node("div", {}, tools, this.text, this.tree, this.line.place);
    if (!model.send) right.append(ALONE);
    const sides = node("div", { class: "sides" }, table, right);
    return [this.sum, this.told, sides, node("small", {}, HELP)];
  }

  set(changes) {
    this.settings = { ...this.settings, ...changes };
    this.model.set("settings", this.settings);
    this.model.save_changes();
    this.draw();
  }

  take(token) {
    this.visit([...this.here.ids, token]);
  }

  // Go to a text: at once if it is known, else when Python has said what may follow it.
  visit(ids) {
    const known = this.texts.get(String(ids));
    this.waits = known ? "" : String(ids);
    if (!known) {
      this.told.textContent = this.model.send ? "asking the model …" : ALONE;
      this.model.send?.({ ask: ids });
      return;
    }
    Object.assign(this, { here: known, at: 0 });
    this.model.set("ids", ids);
    this.model.save_changes();
    this.draw();
  }

  draw() {
    const { ids, logits, text } = this.here;
    this.seen = underSettings(logits, ids, this.settings);
    this.counts = new Map();
    const random = chance(this.meta.seed + this.round);
    for (let i = 0; i < DRAWS; i++) {
      const token = draw(this.seen, random());
      this.counts.set(token, this.count(token) + 1);
    }
    const { n, mass, own, now } = this.seen;
    const [kept, V] = [n, logits.length].map((count) => count.toLocaleString("en"));
    this.sum.textContent =
      `kept: ${kept} of ${V} tokens, ${percent(mass)} before the cuts; ` +
      `entropy: ${bits(own).toFixed(2)} bits of the model → ${bits(now).toFixed(2)} now`;
    this.drawRows();
    this.text.textContent = text;
    this.text.scrollTop = this.text.scrollHeight;
    this.drawTree();
    const told = Object.entries(this.settings).map(([name, value]) => `${name}=${value ?? "None"}`);
    this.line.set(`my_text = ${JSON.stringify(text)}; my_settings = dict(${told.join(", ")})`);
  }

  count(token) {
    return this.counts.get(token) ?? 0;
  }

  drawRows() {
    const hadFocus = this.rows.contains(document.activeElement);
    const { order, own, before, now } = this.seen;
    this.shown = [...order.subarray(0, SHOWN)];
    const most = Math.max(
      ...this.shown.flatMap((token) => [before[token], now[token], this.count(token) / DRAWS]),
    );
    const bar = (name, p) => node("div", { class: name, style: `width: ${(100 * p) / most}%` });
    const rows = this.shown.map((token, r) => {
      const [cut, count] = [this.cutOf(r), this.count(token)];
      const bars = node("div", { class: "track" }, bar("now", now[token]));
      bars.append(bar(cut ? "before cut" : "before", before[token]));
      if (count) bars.append(bar("count", count / DRAWS));
      const name = button(this.meta.labels[token], () => {}, { "aria-label": this.says(r) });
      const numbers = [percent(own[token]), cut ?? percent(now[token]), String(count)];
      const point = () => this.point(r);
      const hear = { onclick: () => this.take(token), onmouseenter: point, onfocusin: point };
      return node("tr", hear, ...[name, bars, ...numbers].map((cell) => node("td", {}, cell)));
    });
    this.rows.replaceChildren(...rows);
    this.point(this.at, hadFocus);
  }

  cutOf(r) {
    return this.seen.cuts.find(([kept]) => r >= kept)?.[1];
  }

  says(r) {
    const [{ own, before, now }, token] = [this.seen, this.shown[r]];
    const ends = this.cutOf(r) ? `cut: ${this.cutOf(r)}` : `now ${percent(now[token])}`;
    const told = `model ${percent(own[token])}, before the cuts ${percent(before[token])}, ${ends}`;
    return `${this.meta.labels[token]}: ${told}, drawn ${this.count(token)} of ${DRAWS}`;
  }

  // One row takes part in tabbing, the one that was pointed at last.
  point(r, focus = false) {
    this.at = Math.min(Math.max(r, 0), this.shown.length - 1);
    const names = this.rows.querySelectorAll("button");
    names.forEach((name, i) => name.setAttribute("tabindex", i === this.at ? 0 : -1));
    this.told.textContent = this.says(this.at);
    if (focus) names[this.at].focus();
  }

  // A text is its tokens in a row; where it branches, each branch is a list below.
  drawTree() {
    const hadFocus = this.tree.contains(document.activeElement);
    const run = (at) => {
      const line = node("li", {}, this.textButton(at));
      while (at.children.length === 1) line.append(this.textButton((at = at.children[0])));
      if (at.children.length) line.append(node("ul", {}, ...at.children.map(run)));
      return line;
    };
    this.tree.replaceChildren(run(this.first));
    const shown = this.tree.querySelector("[aria-current]");
    if (hadFocus) shown.focus();
    this.tree.scrollTop = shown.offsetTop - this.tree.offsetTop - 80;
  }

  textButton(at) {
    const more = at.ids.slice(at.parent?.ids.length ?? Infinity);
    const words = more.map((id) => this.meta.labels[id]).join("") || "prompt";
    const isHere = at === this.here;
    const state = { tabindex: isHere ? 0 : -1, "aria-current": isHere && "true" };
    return button(words, () => this.visit(at.ids), state);
  }

  stop() {
    this.model.off?.("msg:custom", this.hear);
    this.model.off?.("change:ids", this.follow);
  }
}

export default {
  render({ model, el }) {
    const explorer = new Explorer(model, el);
    return () => explorer.stop();
  },
};
