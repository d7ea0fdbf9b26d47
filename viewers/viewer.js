// What all viewers share: nodes that never read markup, controls with names, keys that stay in the
// viewer, colours for light and dark pages, and files to keep. Python puts this before each script.

const TEXT = "var(--jp-content-font-color1, #797979)";
const FAINT = "rgba(128, 128, 128, 0.28)";
const [BLUE, RED, GREEN] = [[31, 127, 196], [213, 94, 0], [10, 144, 105]];
const STYLE = `
.lk { color: ${TEXT}; font: 13px/1.45 var(--jp-content-font-family, system-ui, sans-serif);
  max-width: 980px; }
.lk h4 { font-size: 16px; margin: 2px 0 6px; color: inherit; }
.lk .bar { display: flex; flex-wrap: wrap; gap: 4px 14px; align-items: center; margin: 4px 0; }
.lk button, .lk select, .lk input { font: inherit; color: inherit; background: transparent;
  border: 1px solid currentColor; border-radius: 3px; padding: 1px 7px; }
.lk input[type="range"] { padding: 0; }
.lk option { color: #222; background: #fff; }
.lk button[aria-pressed="true"] { box-shadow: inset 0 -3px 0 rgb(${BLUE}); font-weight: 600; }
.lk :focus-visible { outline: 2px solid rgb(${BLUE}); outline-offset: 1px; }
.lk [hidden] { display: none; }
.lk .told { min-height: 1.45em; overflow-wrap: anywhere; }
.lk .wrong { color: #d55e00; font-weight: 600; }
.lk code { font-family: var(--jp-code-font-family, monospace); color: inherit; background: none; }
.lk table { border-collapse: collapse; color: inherit; font: inherit; }
.lk canvas { touch-action: manipulation; }`;

function node(kind, attributes = {}, ...children) {
  const made = document.createElement(kind);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children); // strings become text: a token may hold a tag
  return made;
}

function drawn(kind, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", kind);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// Letters that a notebook would take for commands stay with the control that has the focus.
const OWN_KEYS = { "data-lm-suppress-shortcuts": "true" };

function begin(el, title) {
  const root = node("section", { class: "lk", "aria-label": title });
  el.replaceChildren(node("style", {}, STYLE), root);
  if (title) root.append(node("h4", {}, title));
  return root;
}

function button(words, then, more = {}) {
  return node("button", { type: "button", onclick: then, ...OWN_KEYS, ...more }, words);
}

function choice(words, options, chosen, then) {
  const listed = Object.entries(options).map(([value, name]) => {
    return node("option", { value, selected: value === String(chosen) }, name);
  });
  const select = node("select", { onchange: () => then(select.value), ...OWN_KEYS }, ...listed);
  return node("label", {}, `${words} `, select);
}

function tick(words, on, then) {
  const attributes = { type: "checkbox", checked: on, ...OWN_KEYS };
  const box = node("input", { ...attributes, onchange: () => then(box.checked) });
  return node("label", {}, box, ` ${words}`);
}

function slider(words, { min, max, step }, value, then) {
  const attributes = { type: "range", min, max, step, value, ...OWN_KEYS };
  const told = node("output", {}, String(value));
  const range = node("input", {
    ...attributes,
    oninput: () => {
      told.textContent = range.value;
      then(Number(range.value));
    },
  });
  return node("label", {}, `${words} `, range, " ", told);
}

// Handlers are named after keys; a key without one does what it always does.
function onKeys(target, handlers) {
  for (const [name, value] of Object.entries(OWN_KEYS)) target.setAttribute(name, value);
  target.addEventListener("keydown", (event) => {
    const handle = handlers[event.key];
    if (!handle || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    handle(event);
  });
}

// A canvas of so many page pixels, sharp on every screen; returns what draws on it.
function paper(canvas, width, height) {
  const scale = window.devicePixelRatio || 1;
  [canvas.width, canvas.height] = [Math.ceil(width * scale), Math.ceil(height * scale)];
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  const style = getComputedStyle(canvas);
  pen.fillStyle = pen.strokeStyle = style.color;
  pen.font = `12px ${style.fontFamily}`;
  return pen;
}

// Colours for more and for less: brighter where the text is bright, as it is on dark pages.
function hues(el) {
  const colour = getComputedStyle(el).color || "rgb(0, 0, 0)"; // empty before el is in the page
  const bright = Math.min(...colour.match(/\d+/g).slice(0, 3)) > 150;
  return bright ? { more: [92, 184, 255], less: [255, 142, 60] } : { more: BLUE, less: RED };
}

// Zero is the page itself and one the full colour.
function shade(share, { more, less }) {
  return `rgba(${share < 0 ? less : more}, ${Math.min(Math.abs(share), 1)})`;
}

// A notebook may ask for a view before it is in the page, where nothing has a colour yet.
function onceShown(el, draw) {
  const watcher = new ResizeObserver(() => {
    if (!el.isConnected) return;
    watcher.disconnect();
    draw();
  });
  if (el.isConnected) draw();
  else watcher.observe(el);
}

function onTheme(redraw) {
  const watcher = new MutationObserver(redraw);
  watcher.observe(document.body, { attributeFilter: ["data-jp-theme-light"] });
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", redraw);
  return () => {
    watcher.disconnect();
    dark.removeEventListener("change", redraw);
  };
}

function save(name, content, type) {
  const blob = content instanceof Blob ? content : new Blob([content], { type });
  const link = node("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function svgText(svg) {
  svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  return new XMLSerializer().serializeToString(svg);
}

// Bytes from Python as numbers; they may begin anywhere, which typed arrays do not allow.
function asNumbers(bytes, Kind) {
  const { buffer, byteOffset, byteLength } = bytes;
  return new Kind(buffer.slice(byteOffset, byteOffset + byteLength));
}

// A line that can be pasted into an answer.
function pasted(label) {
  const code = node("code", {});
  const copy = button("copy", () => navigator.clipboard?.writeText(code.textContent), {
    "aria-label": `copy ${label}`,
  });
  const place = node("span", { class: "bar" }, code, copy);
  return { place, set: (text) => (code.textContent = text) };
}
