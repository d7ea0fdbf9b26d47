// A viewer without a notebook: the state that Python would hold is in the page; nothing is sent.
const saved = JSON.parse(document.getElementById("state").textContent, (name, value) => {
  if (typeof value?.bytes !== "string") return value;
  return new DataView(Uint8Array.from(atob(value.bytes), (c) => c.charCodeAt(0)).buffer);
});
const listeners = [];
const model = {
  get: (name) => saved[name],
  set: (name, value) => {
    if (JSON.stringify(saved[name]) === JSON.stringify(value)) return;
    saved[name] = value;
    listeners.filter(([event]) => event === `change:${name}`).forEach(([, then]) => then());
  },
  save_changes: () => {},
  on: (event, then) => listeners.push([event, then]),
};
widget.render({ model, el: document.getElementById("picture") });
document.body.dataset.drawn = "yes";
