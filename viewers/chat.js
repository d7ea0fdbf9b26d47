// A conversation: what was said is text, whatever it holds; each piece of an answer is asked for.
const WHO = { user: "You", assistant: "Model" };
const CHAT_STYLE = `
.lk .said { max-width: 760px; margin: 4px 0; padding: 5px 10px; border-radius: 8px;
  white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid ${FAINT}; }
.lk .said.user { margin-left: 60px; border-left: 4px solid rgb(${BLUE}); }
.lk .said.assistant { margin-right: 60px; border-left: 4px solid rgb(${GREEN}); }
.lk .said b { display: block; font-size: 11px; opacity: 0.8; }
.lk textarea { font: inherit; color: inherit; background: transparent; width: 100%;
  max-width: 760px; border: 1px solid currentColor; border-radius: 4px; padding: 4px 8px; }`;

function render({ model, el }) {
  const root = begin(el, model.get("title"));
  root.prepend(node("style", {}, CHAT_STYLE));
  const settings = { ...model.get("settings") };
  const log = node("div", { role: "log", "aria-label": "what was said", "aria-live": "polite" });
  const told = node("div", { class: "told", role: "status" });
  let open = null; // the message that is being written

  function bubble({ role, content }) {
    const text = node("span", {}, content);
    log.append(node("div", { class: `said ${role}` }, node("b", {}, WHO[role]), text));
    return text;
  }

  function drawAll() {
    log.replaceChildren();
    model.get("messages").forEach(bubble);
    if (open) open.text = bubble({ role: "assistant", content: open.content });
    log.lastChild?.scrollIntoView?.({ block: "nearest" });
  }

  function say() {
    const text = entry.value.trim();
    if (!text || open) return;
    entry.value = "";
    open = { content: "", text: null };
    switchTo(true);
    model.send({ ask: "say", text, ...settings });
  }

  function end(words) {
    if (!open) return;
    open = null;
    switchTo(false);
    told.textContent = words;
    model.send({ ask: "keep" });
    entry.focus();
  }

  function switchTo(writing) {
    stop.disabled = !writing;
    send.disabled = forget.disabled = writing;
    told.textContent = writing ? "writing …" : "";
  }

  function hear(message) {
    if (!open || message.text === undefined) return;
    if (!open.text) drawAll();
    open.content = message.text;
    open.text.textContent = message.text;
    if (message.done) end("");
    else model.send({ ask: "more" });
  }

  function exported() {
    const system = settings.system ? [{ role: "system", content: settings.system }] : [];
    return JSON.stringify([...system, ...model.get("messages")], null, 2);
  }

  const entry = node("textarea", {
    rows: 2,
    "aria-label": "your message",
    placeholder: "Your message: Enter sends, Shift+Enter begins a line, Escape stops",
  });
  const systemEntry = node("input", {
    value: settings.system,
    size: 40,
    oninput: (event) => (settings.system = event.target.value),
    ...OWN_KEYS,
  });
  const send = button("send", say);
  const stop = button("stop", () => end("stopped"));
  const forget = button("forget all", () => model.send({ ask: "forget" }));
  const keep = button("export", () => save("chat.json", exported(), "application/json"));
  onKeys(entry, { Enter: (event) => (event.shiftKey ? line() : say()), Escape: () => end("stopped") });

  function line() {
    entry.setRangeText("\n", entry.selectionStart, entry.selectionEnd, "end");
  }

  const heat = { min: 0, max: 1.5, step: 0.1 };
  const controls = node("div", { class: "controls" });
  controls.append(
    entry,
    node("div", { class: "bar" }, send, stop, forget, keep, told),
    node(
      "div",
      { class: "bar" },
      slider("temperature", heat, settings.temperature, (value) => (settings.temperature = value)),
      node("label", {}, "system prompt ", systemEntry),
      tick("remember what was said", settings.remembers, (on) => (settings.remembers = on)),
    ),
  );
  root.append(log);
  if (model.send) root.append(controls); // a page by itself has nobody to answer
  switchTo(false);
  drawAll();
  model.on("change:messages", drawAll);
  model.on("msg:custom", hear);
  return () => {
    model.off("change:messages", drawAll);
    model.off("msg:custom", hear);
  };
}

export default { render };
