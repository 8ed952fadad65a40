// The widget of one run: draws what `RunView.state` holds, again whenever that changes.
// Texts only ever become text nodes, never markup.

const COLOURS = {
  Running: "#3b7ddd", Completed: "#2a9d6f", Failed: "#d9435e", NotResponding: "#e0672e",
  Canceled: "#8a8f98", CancelRequested: "#8a8f98",
};
const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [330, 170, 46, 20, 8];

function make(tag, kind, text) {
  const node = document.createElement(tag);
  if (kind) node.className = kind;
  if (text !== undefined && text !== null) node.textContent = String(text);
  return node;
}

function draw(tag, attributes, text) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

function shown(value, digits = 4) {
  if (typeof value !== "number") return value === null ? "" : String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return value.toLocaleString("en");
  return String(Number(value.toPrecision(digits)));
}

function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 60) return `${seconds.toFixed(1)}s`;
  const pieces = [];
  let rest = Math.round(seconds);
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]]) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count || pieces.length) pieces.push(`${count}${unit}`);
  }
  return pieces.slice(0, 2).join(" ");
}

function smoothed(values, weight) {
  let [last, mass] = [0, 0];
  return values.map((value) => {
    if (!Number.isFinite(value)) return NaN;
    last = last * weight + (1 - weight) * value;
    mass = mass * weight + (1 - weight);
    return last / mass;
  });
}

function path(xs, ys) {
  let [line, isDown] = ["", false];
  ys.forEach((y, index) => {
    if (Number.isFinite(y)) line += `${isDown ? "L" : "M"}${xs[index].toFixed(1)} ${y.toFixed(1)}`;
    isDown = Number.isFinite(y);
  });
  return line;
}

function chart(metric, weight) {
  const panel = make("div", "panel");
  const head = make("div", "head");
  head.append(make("span", "name", metric.name), make("span", "muted", shown(metric.last)));
  panel.append(head);
  const svg = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT });
  panel.append(svg);
  const values = metric.values.map(Number);
  const finite = values.filter(Number.isFinite);
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  const [first, last] = [metric.steps[0], metric.steps[metric.steps.length - 1]];
  const across = (step) =>
    last > first ? LEFT + ((step - first) / (last - first)) * (WIDTH - LEFT - 8) : WIDTH / 2;
  const room = HEIGHT - TOP - BOTTOM;
  const up = (value) =>
    high > low
      ? TOP + (1 - (value / 2 - low / 2) / (high / 2 - low / 2)) * room
      : TOP + room / 2;
  for (const value of finite.length ? new Set([low, high]) : []) {
    const y = up(value);
    svg.append(draw("line", { x1: LEFT, x2: WIDTH - 8, y1: y, y2: y, class: "rule" }));
    const label = { x: LEFT - 5, y: y + 4, "text-anchor": "end", class: "tick" };
    svg.append(draw("text", label, shown(value, 3)));
  }
  for (const [step, anchor] of last > first ? [[first, "start"], [last, "end"]] : [[first, "middle"]]) {
    const label = { x: across(step), y: HEIGHT - 5, "text-anchor": anchor, class: "tick" };
    svg.append(draw("text", label, shown(step)));
  }
  const xs = metric.steps.map(across);
  if (weight > 0) svg.append(draw("path", { d: path(xs, values.map(up)), class: "raw" }));
  svg.append(draw("path", { d: path(xs, smoothed(values, weight).map(up)), class: "curve" }));
  values.forEach((value, index) => {
    const isFinite = Number.isFinite(value);
    if (isFinite && finite.length > 1) return;
    const y = isFinite ? up(value) : value > 0 ? TOP : TOP + room;
    const kind = isFinite ? "dot" : "odd";
    const dot = draw("circle", { cx: xs[index], cy: y, r: 2.6, class: kind });
    dot.append(draw("title", {}, `${shown(metric.steps[index])}: ${metric.values[index]}`));
    svg.append(dot);
  });
  follow(svg, metric, values, xs, up);
  return panel;
}

function follow(svg, metric, values, xs, up) {
  const dot = draw("circle", { r: 3, class: "dot", visibility: "hidden" });
  const told = draw("text", { y: TOP + 8, class: "told", "text-anchor": "end", x: WIDTH - 8 });
  svg.append(dot, told);
  svg.addEventListener("mousemove", (event) => {
    const x = (event.offsetX / svg.clientWidth) * WIDTH;
    let near = 0;
    xs.forEach((each, index) => {
      if (Math.abs(each - x) < Math.abs(xs[near] - x)) near = index;
    });
    told.textContent = `${shown(metric.steps[near])}: ${shown(metric.values[near])}`;
    if (!Number.isFinite(values[near])) return;
    dot.setAttribute("cx", xs[near]);
    dot.setAttribute("cy", up(values[near]));
    dot.setAttribute("visibility", "visible");
  });
  svg.addEventListener("mouseleave", () => {
    told.textContent = "";
    dot.setAttribute("visibility", "hidden");
  });
}

function chips(title, items) {
  const entries = Object.entries(items);
  if (!entries.length) return [];
  const line = make("div");
  for (const [key, value] of entries.slice(0, 60)) {
    line.append(make("span", "chip", value === null ? key : `${key}=${shown(value)}`));
  }
  if (entries.length > 60) line.append(make("span", "muted", `and ${entries.length - 60} more`));
  return title ? [make("h4", "", title), line] : [line];
}

function heading(state) {
  const line = make("div");
  const badge = make("span", "badge", state.status);
  badge.style.background = COLOURS[state.status] || "#b08a1e";
  const took = duration(state.seconds);
  const how = state.ended === null ? "for" : "after";
  line.append(badge, make("span", "muted", took ? `${how} ${took}` : ""));
  return [make("h3", "", `${state.experiment} / ${state.number}  ${state.title}`), line];
}

function render({ model, el }) {
  let weight = 0;
  const root = make("div", "objrun-details");
  el.append(root);
  const slider = make("input");
  Object.assign(slider, { type: "range", min: 0, max: 0.99, step: 0.01, value: 0 });
  slider.addEventListener("input", () => {
    weight = Number(slider.value);
    update();
  });

  function update() {
    const state = model.get("state");
    const before = root.querySelector("pre");
    const isAtEnd = !before || before.scrollTop + before.clientHeight >= before.scrollHeight - 4;
    const pieces = [...heading(state), make("div", "muted", `id ${state.id}`)];
    if (state.error) pieces.push(make("div", "error", state.error));
    if (state.description) pieces.push(make("div", "", state.description));
    pieces.push(...chips("", state.tags), ...chips("params", state.params));
    if (state.metrics.length) {
      const title = make("h4", "", "metrics");
      const label = make("label", "muted", " smoothing ");
      label.append(slider);
      title.append(label);
      const panels = make("div", "panels");
      panels.append(...state.metrics.map((metric) => chart(metric, weight)));
      pieces.push(title, panels);
    }
    pieces.push(...chips("other metrics", state.others));
    if (state.note) pieces.push(make("div", "muted", state.note));
    if (state.log) pieces.push(make("h4", "", state.log_name), make("pre", "", state.log));
    root.replaceChildren(...pieces);
    const log = root.querySelector("pre");
    if (log) log.scrollTop = isAtEnd ? log.scrollHeight : before.scrollTop;
  }

  model.on("change:state", update);
  update();
  return () => model.off("change:state", update);
}

export default { render };
