// Models side by side: each text token by token, with a bar below that grows with its surprise.
// Python writes `texts`; of each token it gives a label and the surprise, -log2 P, in bits.

const MOST = 10; // bits, of the longest bar
const LOOK = `
.lk .texts { display: flex; flex-wrap: wrap; gap: 10px 24px; align-items: flex-start; }
.lk .texts > div { flex: 1 1 270px; min-width: 0; }
.lk .written { white-space: pre-wrap; overflow-wrap: anywhere; line-height: 30px; padding: 2px;
  max-height: 366px; overflow-y: auto; font-size: 14px; }
.lk .token { unicode-bidi: isolate; padding-bottom: 12px;
  box-shadow: inset 1px 0 ${FAINT}; cursor: default; }
.lk .token:is(:hover, :focus) { outline: 2px solid currentColor; }
.lk .scale span { display: inline-block; padding: 0 8px 12px; }`;

function percent(p) {
  return `${p < 1e-4 ? (100 * p).toExponential(1) : (100 * p).toFixed(p < 0.1 ? 2 : 1)} %`;
}

class Comparison {
  constructor(model, el) {
    this.model = model;
    this.root = begin(el, model.get("title"));
    this.told = node("div", { class: "told", role: "status", "aria-live": "polite" });
    this.texts = node("div", { class: "texts" });
    const shown = [1, 0.25, 0.03, 0.001].map((p) => {
      return node("span", { style: this.bar(-Math.log2(p)) }, `${100 * p} %`);
    });
    const scale = node("span", { class: "scale" }, "probability: ", ...shown);
    const again = () => {
      this.told.textContent = "the models write …";
      model.send({ ask: "again" });
    };
    const tools = [
      ...(model.send ? [button("write again", again)] : []),
      scale,
      ...(model.send ? [button("HTML", () => model.send({ ask: "html" }))] : []),
    ];
    const help = node("small", {}, "← → Home End: token; Tab: next model. P is the model's own.");
    const bar = node("div", { class: "bar" }, ...tools);
    const prompt = node("div", {}, node("b", {}, "prompt: "), node("bdi", {}, model.get("prompt")));
    this.root.append(node("style", {}, LOOK), bar, prompt, this.told, this.texts, help);
    this.hear = (message) => message.html && save(message.file, message.html, "text/html");
    this.draw = () => this.drawAll();
    model.on("msg:custom", this.hear);
    model.on("change:texts", this.draw);
    this.draw();
  }

  drawAll() {
    this.texts.replaceChildren(...this.model.get("texts").map((text) => this.drawText(text)));
    this.told.textContent = `written with seed ${this.model.get("seed")}; point at a token`;
  }

  // As tall as the surprise and as strong: the more, the less likely.
  bar(bits) {
    const share = Math.min(bits / MOST, 1);
    const colour = `rgba(${RED}, ${0.35 + 0.65 * share})`;
    const tall = 1 + 10 * share;
    const place = `0 calc(100% - ${11 - tall}px) / 100% ${tall}px no-repeat`;
    return `background: linear-gradient(${colour}, ${colour}) ${place}`;
  }

  drawText({ name, tokens, surprise, chars, bits }) {
    const list = node("div", { class: "written", role: "listbox", "aria-label": name });
    const spans = tokens.map((token, i) => {
      const says = `${token}: ${percent(2 ** -surprise[i])}, ${surprise[i].toFixed(2)} bits`;
      const tell = () => (this.told.textContent = `${name}, token ${i + 1}, ${says}`);
      const style = this.bar(surprise[i]);
      const attributes = { class: "token", role: "option", "aria-label": says, style };
      const hear = { onmouseenter: tell, onfocus: () => (tell(), (at = i)) };
      return node("span", { ...attributes, ...hear, tabindex: i ? -1 : 0 }, token);
    });
    let at = 0;
    const move = (to) => () => {
      spans[at].setAttribute("tabindex", -1);
      at = Math.min(Math.max(to(), 0), spans.length - 1);
      spans[at].setAttribute("tabindex", 0);
      spans[at].focus();
    };
    const [on, back] = [move(() => at + 1), move(() => at - 1)];
    const ends = { Home: move(() => 0), End: move(() => spans.length - 1) };
    onKeys(list, { ArrowRight: on, ArrowDown: on, ArrowLeft: back, ArrowUp: back, ...ends });
    list.append(...spans);
    const mean = `${bits.toFixed(2)} bits per character`;
    const over = ` over ${chars} characters in ${tokens.length} tokens`;
    const heading = node("b", {}, node("bdi", {}, name));
    return node("div", {}, heading, list, node("div", {}, node("b", {}, mean), over));
  }

  stop() {
    this.model.off?.("msg:custom", this.hear);
    this.model.off?.("change:texts", this.draw);
  }
}

export default {
  render({ model, el }) {
    const comparison = new Comparison(model, el);
    return () => comparison.stop();
  },
};
