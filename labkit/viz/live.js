// A loss curve that grows. Python appends rows by messages; each message redraws the SVG, and
// nothing moves between messages. Rows are [x, first curve, second curve, ...strips]; null is a
// gap. The state `look` holds { title, x, y, names, strips, colors, dashes, width, height }. A
// message may bring a `sample`, a text of the model, and in `sampled` the words above it.

const SVG = "http://www.w3.org/2000/svg";
const TEXT = "var(--jp-content-font-color1, #797979)";
const FAINT = "var(--jp-border-color2, rgba(128, 128, 128, 0.28))";
const FONT = "var(--jp-content-font-family, system-ui, sans-serif)";
const MARGIN = { left: 72, right: 24, top: 48, bottom: 56 };
const STRIP = 40;

function add(parent, kind, attributes, text) {
  const node = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text; // never markup: a title may hold "<"
  parent.append(node);
  return node;
}

// Round numbers around low … high, about `count` of them; the first and last are the axis's ends.
function ticksAround(low, high, count) {
  const raw = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((times) => times * power >= raw * 0.999) * power;
  const first = Math.floor(low / step + 1e-9);
  const last = Math.max(Math.ceil(high / step - 1e-9), first + 1);
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

function written(value) {
  return value.toLocaleString("en-US", { maximumSignificantDigits: 4 });
}

function makeAxis(values, count, from, to) {
  const known = values.filter(Number.isFinite);
  const empty = known.length === 0;
  const ticks = empty ? [0, 1] : ticksAround(Math.min(...known), Math.max(...known), count);
  const [low, high] = [ticks[0], ticks[ticks.length - 1]];
  return { ticks, empty, place: (value) => from + ((value - low) / (high - low)) * (to - from) };
}

function drawAxes(svg, look, x, y) {
  const [right, bottom] = [look.width - MARGIN.right, look.height - MARGIN.bottom];
  for (const tick of y.ticks) {
    const at = y.place(tick);
    add(svg, "line", { x1: MARGIN.left, x2: right, y1: at, y2: at, stroke: FAINT });
    if (y.empty) continue;
    const place = { x: MARGIN.left - 8, y: at + 5, "text-anchor": "end" };
    add(svg, "text", { ...place, class: "y-tick" }, written(tick));
  }
  for (const tick of x.empty ? [] : x.ticks) {
    const at = x.place(tick);
    add(svg, "line", { x1: at, x2: at, y1: bottom, y2: bottom + 5, stroke: TEXT });
    const place = { x: at, y: bottom + 22, "text-anchor": "middle" };
    add(svg, "text", { ...place, class: "x-tick" }, written(tick));
  }
  add(svg, "line", { x1: MARGIN.left, x2: right, y1: bottom, y2: bottom, stroke: TEXT });
  const [middle, centre] = [(MARGIN.left + right) / 2, (MARGIN.top + bottom) / 2];
  add(svg, "text", { x: middle, y: look.height - 10, "text-anchor": "middle" }, look.x);
  const turned = { transform: `translate(18 ${centre}) rotate(-90)`, "text-anchor": "middle" };
  add(svg, "text", turned, look.y);
  add(svg, "text", { x: 8, y: 26, "font-size": 16 }, look.title);
}

// Draws a line through what is finite; returns the places of its points.
function drawLine(svg, points, x, y, look) {
  const places = [];
  let path = "";
  let pen = "M";
  for (const [across, up] of points) {
    if (!Number.isFinite(up)) {
      pen = "M";
      continue;
    }
    const [left, top] = [x.place(across).toFixed(1), y.place(up).toFixed(1)];
    path += `${pen}${left} ${top}`;
    pen = "L";
    places.push([left, top]);
  }
  if (path) add(svg, "path", { d: path, fill: "none", "stroke-width": 2, ...look });
  return places;
}

function drawCurve(svg, look, points, i, x, y) {
  const [fill, width, height] = [look.colors[i], 6, 6];
  const stroke = { class: "curve", stroke: fill, "stroke-dasharray": look.dashes[i] };
  for (const [left, top] of drawLine(svg, points, x, y, stroke)) {
    if (i === 0) add(svg, "circle", { cx: left, cy: top, r: 3.5, fill });
    else add(svg, "rect", { x: left - 3, y: top - 3, width, height, fill });
  }
}

// The last finite value of each curve, in words.
function latest(look, rows) {
  return look.names.map((name, i) => {
    const known = rows.map((row) => row[i + 1]).filter(Number.isFinite);
    return known.length ? `${name} ${written(known[known.length - 1])}` : name;
  });
}

function drawLegend(svg, look, told) {
  told.forEach((text, i) => {
    const [left, top] = [look.width - 190, MARGIN.top + 18 + 24 * i];
    const line = { x1: left, x2: left + 34, y1: top - 5, y2: top - 5, "stroke-width": 2 };
    add(svg, "line", { ...line, stroke: look.colors[i], "stroke-dasharray": look.dashes[i] });
    add(svg, "text", { x: left + 42, y: top, class: "legend" }, text);
  });
}

function makeSvg(el, look, height, size) {
  const style = "display: block; width: 100%; height: auto";
  return add(el, "svg", {
    role: "img",
    viewBox: `0 0 ${look.width} ${height}`,
    style: `${style}; max-width: ${look.width}px; font: ${size}px ${FONT}; fill: ${TEXT}`,
  });
}

function draw(svg, look, rows) {
  svg.replaceChildren();
  const [right, bottom] = [look.width - MARGIN.right, look.height - MARGIN.bottom];
  const x = makeAxis(rows.map((row) => row[0]), 8, MARGIN.left, right);
  const y = makeAxis(rows.flatMap((row) => row.slice(1, 3)), 5, bottom, MARGIN.top);
  drawAxes(svg, look, x, y);
  look.names.forEach((_, i) => {
    drawCurve(svg, look, rows.map((row) => [row[0], row[i + 1]]), i, x, y);
  });
  const told = latest(look, rows);
  drawLegend(svg, look, told);
  const state = rows.length
    ? `${told.join(", ")} at ${written(rows[rows.length - 1][0])} ${look.x}`
    : "waiting for the first evaluation";
  if (!rows.length) {
    const place = { x: (MARGIN.left + right) / 2, y: look.height / 2, "text-anchor": "middle" };
    add(svg, "text", place, state);
  }
  svg.setAttribute("aria-label", `${look.title} (${look.y} against ${look.x}): ${state}`);
}

// Below the loss and along its x axis, a thin line for each further number, from zero to its
// highest; in words, how much it was last.
function drawStrips(svg, look, rows) {
  svg.replaceChildren();
  const right = look.width - MARGIN.right;
  const x = makeAxis(rows.map((row) => row[0]), 8, MARGIN.left, right);
  const told = look.strips.flatMap((name, i) => {
    const points = rows.map((row) => [row[0], row[i + 3]]);
    const known = points.map(([, value]) => value).filter(Number.isFinite);
    if (!known.length) return [];
    const [high, top, bottom] = [Math.max(...known), i * STRIP + 18, (i + 1) * STRIP - 4];
    const place = (value) => bottom - (value / (high || 1)) * (bottom - top);
    add(svg, "line", { x1: MARGIN.left, x2: right, y1: bottom, y2: bottom, stroke: FAINT });
    const line = { class: "strip", stroke: TEXT, "stroke-linecap": "round" };
    drawLine(svg, points, x, { place }, line);
    const last = `${name} ${written(known[known.length - 1])}`;
    add(svg, "text", { x: MARGIN.left, y: top - 5 }, last);
    const most = `highest ${written(high)}`;
    add(svg, "text", { x: right, y: top - 5, "text-anchor": "end" }, most);
    return [last];
  });
  svg.style.display = told.length ? "block" : "none";
  svg.setAttribute("aria-label", told.join(", "));
}

// A bar for how far training is, and its pace in words. A screen reader hears the curve's label.
function makeStatus(el) {
  const place = document.createElement("div");
  place.style = `font: 13px ${FONT}; color: ${TEXT}; display: flex; gap: 10px; align-items: center`;
  const bar = document.createElement("progress");
  bar.setAttribute("aria-label", "share of the updates that are made");
  const words = document.createElement("span");
  place.append(bar, words);
  place.hidden = true;
  el.append(place);
  return ({ says, done }) => {
    place.hidden = !says;
    bar.value = done ?? 0;
    words.textContent = says ?? "";
  };
}

// What the model wrote last; a text, whatever it holds.
function makeSample(el) {
  const place = document.createElement("figure");
  place.style = `margin: 8px 0 0; font: 13px ${FONT}; color: ${TEXT}`;
  const [caption, words] = ["figcaption", "div"].map((kind) => document.createElement(kind));
  words.style = "white-space: pre-wrap; overflow: auto; max-height: 6em; max-width: 820px";
  const focus = { tabindex: 0, role: "group", "data-lm-suppress-shortcuts": "true", dir: "auto" };
  for (const [name, value] of Object.entries(focus)) words.setAttribute(name, value);
  place.append(caption, words);
  place.hidden = true;
  el.append(place);
  return ({ sample, sampled }) => {
    place.hidden = sample === undefined;
    words.textContent = sample ?? "";
    caption.textContent = sampled ?? "";
    words.setAttribute("aria-label", caption.textContent);
  };
}

// One call per widget. Messages may come before there is anything to draw on, so rows are kept
// here and every view draws them all.
export default () => {
  const rows = [];
  let [status, sample] = [{}, {}];
  const views = new Set();
  return {
    initialize({ model }) {
      model.on("msg:custom", (message) => {
        rows.push(...message.rows);
        status = message;
        if (message.sample !== undefined) sample = message;
        for (const redraw of views) redraw();
      });
    },
    render({ model, el }) {
      const look = model.get("look");
      const svg = makeSvg(el, look, look.height, 14);
      const strips = makeSvg(el, look, look.strips.length * STRIP, 12);
      const [tell, show] = [makeStatus(el), makeSample(el)];
      const redraw = () => {
        draw(svg, look, rows);
        drawStrips(strips, look, rows);
        tell(status);
        show(sample);
      };
      views.add(redraw);
      redraw();
      return () => views.delete(redraw);
    },
  };
};
