// Tokens: one text cut by up to three tokenizers. `meta` holds their rules; `surprise`, in bits, is
// a model's of one text, which only Python knows.

const [MOST_SHOWN, MOST_BITS, IMPOSSIBLE, WIDE] = [1000, 12, 1e6, 2 ** 26];
const SIGNS = { " ": "␣", "\n": "⏎", "\t": "⇥", "\r": "␍", "\u3000": "␣␣" };
// Where GPT-2 cuts before any merge; white space is Unicode's, which is not quite \s here. Letters
// younger than Unicode 14 may be cut otherwise than in Python, which may not know them.
const CONTRACTION = "'s|'t|'re|'ve|'m|'ll|'d";
const WORD = " ?\\p{L}+| ?\\p{N}+| ?[^\\p{White_Space}\\p{L}\\p{N}]+";
const SPACE = "\\p{White_Space}+(?!\\P{White_Space})|\\p{White_Space}+";
const PIECES = new RegExp(`${CONTRACTION}|${WORD}|${SPACE}`, "gu");
const toBytes = (text) => [...new TextEncoder().encode(text)];
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const count = (n, one) => `${n.toLocaleString("en")} ${one}${n === 1 ? "" : "s"}`;
const LOOK = `
.lk textarea { font: inherit; color: inherit; background: transparent; width: 100%;
  box-sizing: border-box; border: 1px solid currentColor; border-radius: 3px; resize: vertical; }
.lk .panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(280px, 1fr));
  gap: 2px 20px; }
.lk .panels .bar { gap: 4px; }
.lk .panels input { width: 124px; padding: 0; vertical-align: middle; }
.lk .box { position: relative; overflow-y: auto; max-height: 178px; padding: 3px; }
.lk .box.ids { max-height: 94px; }
.lk .token, .lk .parts { display: inline-block; vertical-align: top; margin: 0 2px 2px 0; }
.lk .token { unicode-bidi: isolate; border: 1px solid; border-radius: 3px; padding: 0 2px;
  line-height: 1.4; overflow-wrap: anywhere;
  font-family: var(--jp-code-font-family, monospace); }
.lk .accent { font-family: inherit; }
.lk .on { outline: 2px solid #d55e00; font-weight: 700; }
.lk .with { outline: 2px dashed #d55e00; }
.lk .parts { text-align: center; }
.lk .parts b { display: block; border: 2px solid; border-top: 0; line-height: 1.25;
  margin: 0 2px 1px 0; unicode-bidi: isolate; font-weight: 400; }
.lk h5 { margin: 6px 0 0; font-size: 14px; color: inherit; }
.lk .bar code { overflow: hidden; text-overflow: ellipsis; white-space: nowrap;
  max-width: 760px; }`;

// As Python's charts.visible: white space as signs, what does not print as an escape.
function visible(text) {
  return Array.from(text, (c) => {
    if (SIGNS[c] || !/[\p{C}\p{Z}]/u.test(c)) return SIGNS[c] ?? c;
    const code = c.codePointAt(0).toString(16);
    if (code.length < 3) return `\\x${code.padStart(2, "0")}`;
    return code.length < 5 ? `\\u${code.padStart(4, "0")}` : `\\U${code.padStart(8, "0")}`;
  }).join("");
}

// Whole characters as they are; a byte that is only a part of one in hexadecimal.
function label(bytes) {
  let shown = "";
  for (let at = 0; at < bytes.length; ) {
    const size = bytes[at] < 0x80 ? 1 : bytes[at] < 0xe0 ? 2 : bytes[at] < 0xf0 ? 3 : 4;
    try {
      shown += visible(decoder.decode(Uint8Array.from(bytes.slice(at, at + size))));
      at += size;
    } catch {
      shown += `⟨${hex(bytes[at++])}⟩`;
    }
  }
  return shown;
}

// An accent that would be drawn on what stands before it gets a dotted circle to stand on.
function standing(shown) {
  return /^\p{M}/u.test(shown) ? `◌${shown}` : shown;
}

function hex(byte) {
  return byte.toString(16).toUpperCase().padStart(2, "0");
}

// A tokenizer: how it cuts a text into ids, and which bytes an id stands for.
class Rules {
  constructor(rule) {
    Object.assign(this, rule);
    this.places = new Map(Array.from(rule.alphabet ?? "", (c, id) => [c, id]));
    this.known = new Map(rule.bytes?.map((id, byte) => [id, [byte]]));
    const { merges } = rule;
    this.pairs = new Map(merges.map(([left, right], rank) => [left * WIDE + right, rank]));
    this.halves = new Map(merges.map(([left, right, made]) => [made, [left, right]]));
  }

  bytesOf(id) {
    const half = (part) => this.bytesOf(part);
    if (!this.known.has(id)) this.known.set(id, this.halves.get(id).flatMap(half));
    return this.known.get(id);
  }

  // Tokens as [id, number of bytes], by the first m merges; `used` gathers the ranks of those made.
  cut(text, m = Infinity, used = new Set()) {
    if (this.kind === "bytes") return toBytes(text).map((byte) => [byte, 1]);
    if (this.kind === "characters") {
      return Array.from(text, (c) => [this.places.get(c) ?? this.refuse(c), toBytes(c).length]);
    }
    return (text.match(PIECES) ?? []).flatMap((piece) => {
      const ids = this.merge(toBytes(piece).map((byte) => this.bytes[byte]), m, used);
      return ids.map((id) => [id, this.bytesOf(id).length]);
    });
  }

  refuse(c) {
    const code = c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    throw new RangeError(`${visible(c)} (U+${code}) is none of its ${this.places.size} characters`);
  }

  // Of all neighbours that have a merge, the pair that was learned first, from the left.
  merge(ids, m, used) {
    for (;;) {
      let [best, at] = [m, 0];
      for (let i = 0; i + 1 < ids.length; i++) {
        const rank = this.pairs.get(ids[i] * WIDE + ids[i + 1]);
        if (rank < best) [best, at] = [rank, i];
      }
      if (best === m) return ids;
      used.add(best);
      ids.splice(at, 2, this.merges[best][2]);
    }
  }
}

// Tokens that share characters, together: runs of [first, one after the last].
function groups(tokens, bytes) {
  const runs = [];
  let [start, at] = [0, 0];
  tokens.forEach(([, size], k) => {
    at += size;
    if (at < bytes.length && (bytes[at] & 0xc0) === 0x80) return;
    runs.push([start, k + 1]);
    start = k + 1;
  });
  return runs;
}

// One tokenizer's view of the text.
class Panel {
  constructor(viewer, rule, index) {
    Object.assign(this, { viewer, index, rules: new Rules(rule), at: 0, m: rule.merges.length });
    this.counts = node("div");
    this.problem = node("div", { class: "told wrong", role: "alert" });
    this.shown = this.makeBox("text");
    this.ids = this.makeBox("ids");
    const parts = [node("h5", {}, rule.name), this.counts];
    if (rule.kind === "bpe") parts.push(this.makeScrubber());
    this.place = node("div", { role: "group", "aria-label": rule.name });
    this.place.append(...parts, this.problem, this.shown, this.ids);
  }

  makeBox(kind) {
    const name = { role: "listbox", "aria-label": `${kind}, ${this.rules.name}` };
    const box = node("div", { class: `box ${kind}`, tabindex: 0, ...name });
    const to = (place) => () => this.viewer.point(this, place(this.at), true);
    box.addEventListener("focus", () => this.viewer.point(this, this.at));
    for (const event of ["mouseover", "click"]) {
      box.addEventListener(event, ({ target }) => {
        const token = target.closest(".token");
        if (token) this.viewer.point(this, Number(token.dataset.k));
      });
    }
    onKeys(box, {
      ArrowLeft: to((k) => k - 1),
      ArrowUp: to((k) => k - 1),
      ArrowRight: to((k) => k + 1),
      ArrowDown: to((k) => k + 1),
      Home: to(() => 0),
      End: to(() => this.tokens.length - 1),
    });
    return box;
  }

  makeScrubber() {
    const { name, merges } = this.rules;
    const n = merges.length;
    const bar = slider("merges", { min: 0, max: n, step: 1 }, n, (m) => this.scrub(m));
    [this.range, this.number] = [bar.querySelector("input"), bar.querySelector("output")];
    this.range.setAttribute("aria-label", `merges of ${name} that are made`);
    const ranks = () => [...this.used].sort((a, b) => a - b);
    const step = (sign, words, next) => {
      return button(sign, () => this.scrub(next()), { "aria-label": `${words}, ${name}` });
    };
    const back = step("◀", "undo a merge", () => ranks().findLast((r) => r < this.m) ?? 0);
    const on = step("▶", "next merge", () => (ranks().find((r) => r >= this.m) ?? n - 1) + 1);
    this.step = node("div", { class: "told", "aria-live": "polite" });
    return node("div", {}, node("div", { class: "bar" }, bar, back, on), this.step);
  }

  scrub(m) {
    this.m = m;
    this.range.value = this.number.textContent = m;
    this.viewer.draw(this);
  }

  draw() {
    const { text, meta, surprise } = this.viewer;
    this.problem.textContent = "";
    [this.tokens, this.used] = [[], new Set()];
    try {
      this.tokens = this.rules.cut(text, Infinity, this.used);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.problem.textContent = error.message;
    }
    const isWhole = this.m === this.rules.merges.length;
    if (!isWhole) this.tokens = this.rules.cut(text, this.m);
    const isScored = this.viewer.colours && this.index === meta.scored && surprise.text === text;
    this.bits = isScored && isWhole && this.tokens.length ? surprise.bits : null;
    this.problem.hidden = !this.problem.textContent;
    this.tell();
    this.fill();
  }

  tell() {
    const { length } = this.tokens;
    const { text, bytes } = this.viewer;
    const letters = [...text].length;
    const size = `${count(letters, "character")}, ${count(bytes.length, "byte")}`;
    const each = length ? `: ${(letters / length).toFixed(2)} characters per token` : "";
    this.counts.textContent = `${size}, ${count(length, "token")}${each}`;
    if (this.rules.kind !== "bpe") return;
    const done = [...this.used].filter((rank) => rank < this.m);
    const last = Math.max(...done);
    const halves = this.rules.merges[last]?.slice(0, 2).map((id) => label(this.rules.bytesOf(id)));
    const words = halves ? `the last, number ${last + 1}: ${halves.join(" + ")}` : "single bytes";
    const here = `${done.length} of the ${this.used.size} merges that this text needs`;
    const all = this.rules.merges.length.toLocaleString("en");
    this.step.textContent = `${here}, of ${all} in all; ${words}`;
  }

  fill() {
    const { bytes } = this.viewer;
    const paint = this.viewer.paint();
    const [chips, numbers] = [[], []];
    let at = 0;
    this.spans = this.tokens.map(([, size]) => [at, (at += size)]);
    this.tokens.slice(0, MOST_SHOWN).forEach(([id], k) => {
      const look = paint(this.bits ? this.bits[k] / MOST_BITS : k % 2 ? 0.8 : 0.25);
      const both = { class: "token", role: "option", "data-k": k, style: look };
      const here = (kind) => ({ ...both, id: `lk-${this.viewer.tag}-${this.index}-${kind}-${k}` });
      const shown = standing(label(bytes.slice(...this.spans[k])));
      const chip = node("span", here("t"), shown);
      chip.classList.toggle("accent", shown.startsWith("◌")); // not every monospace joins the two
      chips.push(chip);
      const bits = this.bits ? [node("small", {}, ` ${toldBits(this.bits[k])}`)] : [];
      numbers.push(node("span", here("i"), String(id), ...bits));
    });
    [this.chips, this.numbers] = [chips, numbers];
    this.ids.replaceChildren(...numbers);
    const runs = groups(this.tokens, bytes).flatMap((run) => this.bracket(...run));
    this.shown.replaceChildren(...runs);
    const more = this.tokens.length - MOST_SHOWN;
    if (more > 0) this.shown.append(`… and ${count(more, "token")} more`);
    this.at = Math.min(this.at, Math.max(this.tokens.length - 1, 0));
  }

  // One bracket around the pieces of a character; after a new line, one.
  bracket(first, last) {
    const chips = this.chips.slice(first, last);
    if (!chips.length) return [];
    const bytes = this.viewer.bytes.slice(this.spans[first][0], this.spans[last - 1][1]);
    const whole = standing(label(bytes));
    const name = { class: "parts", role: "group", "aria-label": whole };
    const made = chips.length < 2 ? chips[0] : node("span", name, ...chips, node("b", {}, whole));
    return bytes.at(-1) === 10 ? [made, node("br")] : [made];
  }

  // The token itself, or in the other panels those that share bytes with it.
  mark(from, to, kind, scroll) {
    this.spans.slice(0, MOST_SHOWN).forEach(([start, end], k) => {
      const isIt = kind === "on" ? k === this.at : start < to && end > from;
      for (const [box, token] of [[this.shown, this.chips[k]], [this.ids, this.numbers[k]]]) {
        token.classList.remove("on", "with");
        if (isIt) token.classList.add(kind);
        token.setAttribute("aria-selected", String(isIt && kind === "on"));
        if (!isIt || kind === "with") continue;
        box.setAttribute("aria-activedescendant", token.id);
        const y = token.offsetTop - box.scrollTop;
        if (scroll && (y < 0 || y + 24 > box.clientHeight)) box.scrollTop = token.offsetTop - 30;
      }
    });
  }

  told() {
    const [id, size] = this.tokens[this.at] ?? [];
    if (size === undefined) return "";
    const bytes = this.viewer.bytes.slice(...this.spans[this.at]);
    const bits = this.bits ? `; surprise ${toldBits(this.bits[this.at])} bits` : "";
    const where = `${this.rules.name}: my_tokens[${this.at}] = ${id} is ${standing(label(bytes))}`;
    return `${where}; ${size === 1 ? "byte" : "bytes"} ${bytes.map(hex).join(" ")}${bits}`;
  }
}

function toldBits(bits) {
  return bits >= IMPOSSIBLE ? "∞" : bits.toFixed(2);
}

class Viewer {
  constructor(model, el) {
    Object.assign(this, { model, meta: model.get("meta"), colours: true });
    this.tag = Math.random().toString(36).slice(2); // ids of nodes are the whole page's
    this.root = begin(el, model.get("title"));
    this.root.before(node("style", {}, LOOK));
    this.field = node("textarea", { rows: 2, dir: "auto", spellcheck: "false", ...OWN_KEYS });
    this.field.addEventListener("input", () => this.take(this.field.value.toWellFormed()));
    this.told = node("div", { class: "told", role: "status", "aria-live": "polite" });
    this.scale = node("div", { class: "told" });
    this.chosen = pasted("the tokens");
    this.panels = this.meta.rules.map((rule, index) => new Panel(this, rule, index));
    this.active = this.panels[0];
    this.root.append(
      node("label", {}, "text ", this.field),
      ...(this.meta.scored < 0 ? [] : [this.makeScale()]),
      node("div", { class: "panels" }, ...this.panels.map((panel) => panel.place)),
      this.told,
      node("div", { class: "bar" }, this.chosen.place, ...this.makeFile()),
      node("small", {}, "Tab: from box to box · arrows, Home, End: token"),
    );
    this.hear = (message) => message.html && save(message.file, message.html, "text/html");
    this.fill = () => this.open(model.get("text"));
    model.on("msg:custom", this.hear);
    model.on("change:text", this.fill);
    model.on("change:surprise", this.fill);
    this.forget = onTheme(() => this.draw());
    onceShown(this.root, this.fill);
  }

  makeScale() {
    const box = tick("colour by surprise", true, (on) => {
      this.colours = on;
      this.draw();
    });
    return node("div", { class: "bar" }, box, this.scale);
  }

  makeFile() {
    return this.model.send ? [button("HTML", () => this.model.send({ ask: "html" }))] : [];
  }

  get surprise() {
    return this.model.get("surprise");
  }

  // What is typed is cut at once, and told to Python when the typing rests.
  take(text) {
    clearTimeout(this.resting);
    this.show(text);
    this.resting = setTimeout(() => {
      this.resting = null;
      this.model.set("text", text);
      this.model.save_changes();
    }, 250);
  }

  open(text) {
    if (this.resting) return;
    if (this.field.value !== text) this.field.value = text;
    this.show(text);
  }

  show(text) {
    Object.assign(this, { text, bytes: toBytes(text) });
    this.draw();
  }

  // On a page: 0 is the page's colour. Letters are dark on light and light on dark, in print too.
  paint() {
    const { more } = hues(this.root);
    const [page, ink] = more === BLUE ? [255, "#222"] : [24, "#eee"];
    return (share) => {
      const full = Math.min(Math.max(share, 0), 1) / 2;
      const mixed = more.map((part) => Math.round(page + (part - page) * full));
      return `background: rgb(${mixed}); color: ${ink}; border-color: rgb(${more})`;
    };
  }

  draw(only) {
    for (const panel of only ? [only] : this.panels) panel.draw();
    this.point(only ?? this.active, (only ?? this.active).at);
    this.tellScale();
  }

  tellScale() {
    const { bits } = this.panels[this.meta.scored] ?? {};
    const sum = bits?.reduce((total, value) => total + value, 0);
    const mean = `${toldBits(sum / [...this.text].length)} bits per character`;
    const scale = `0 bits: the page's colour; ${MOST_BITS} bits and more: full colour; ${mean}`;
    const alone = "this page holds the surprise of its first text; a notebook, of every text";
    const waits = this.model.send ? "asking Python for the surprise …" : alone;
    const why = this.surprise.text === this.text ? "surprise: only after all merges" : waits;
    const isOff = !this.colours || !this.panels[this.meta.scored]?.tokens.length;
    this.scale.textContent = isOff ? "" : bits ? scale : why;
  }

  point(panel, k, scroll = false) {
    this.active = panel;
    panel.at = Math.min(Math.max(k, 0), Math.max(panel.tokens.length - 1, 0));
    const [from, to] = panel.spans[panel.at] ?? [0, 0];
    for (const one of this.panels) one.mark(from, to, one === panel ? "on" : "with", scroll);
    this.told.textContent = panel.told();
    const ids = panel.tokens.map(([id]) => id);
    this.chosen.set(`my_tokens = [${ids.join(", ")}]`);
    this.model.set("ids", ids);
    this.model.save_changes();
  }

  stop() {
    clearTimeout(this.resting);
    this.model.off?.("msg:custom", this.hear);
    this.model.off?.("change:text", this.fill);
    this.model.off?.("change:surprise", this.fill);
    this.forget();
  }
}

export default {
  render({ model, el }) {
    const viewer = new Viewer(model, el);
    return () => viewer.stop();
  },
};
