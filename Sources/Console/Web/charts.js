// Charts as SVG: bars for counts, lines for times. Values are shown on hover and by the arrow keys, and as a table for readers.
import { h, replace, setText, svg } from "./dom.js";
import { number } from "./format.js";

const HEIGHT = 150, LEFT = 46, BOTTOM = 20, TOP = 8;
/** In units of the drawing, about a pixel each: the text has the same size on a phone. */
const WIDTHS = { narrow: 320, wide: 640 };
const stepTime = { hour: new Intl.DateTimeFormat(undefined, { weekday: "short", hour: "2-digit", minute: "2-digit" }), day: new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" }) };

/** A round number that is not below the value, for the axis. */
function ceiling(value) {
  if (value <= 4) return 4;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 4, 5, 8, 10].map((step) => step * power).find((step) => step >= value);
}

const STEPS = { hour: 3_600_000, day: 86_400_000 };

/** The points of a span, in which those where nothing was counted are empty ones. */
export function filled(points, from, to, step) {
  const known = new Map(points.map((point) => [Date.parse(point.from), point]));
  const all = [];
  for (let at = Math.floor(from / STEPS[step]) * STEPS[step]; at < to; at += STEPS[step]) all.push(known.get(at) ?? { from: new Date(at).toISOString() });
  return all;
}

/**
 * A chart. `points` have `from`; `series` are `{name, key(point), tone}`, stacked as bars, or as `lines`; a value of null is a
 * gap. `format` writes a value.
 */
export function chart({ title, points, series, step, isLines, format = number }) {
  const WIDTH = innerWidth < 760 ? WIDTHS.narrow : WIDTHS.wide;
  // What never happened needs no place in the legend.
  if (!isLines) series = series.filter(({ key }, index) => index === 0 || points.some((point) => key(point)));
  const values = points.map((point) => series.map(({ key }) => key(point) ?? (isLines ? null : 0)));
  const tops = values.map((row) => (isLines ? Math.max(0, ...row.map((value) => value ?? 0)) : row.reduce((sum, value) => sum + (value ?? 0), 0)));
  const top = ceiling(Math.max(0, ...tops));
  const inner = WIDTH - LEFT - 6;
  const x = (index) => LEFT + (inner * (index + 0.5)) / points.length;
  const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top);
  const parts = [];
  for (const line of [0, top / 2, top]) {
    parts.push(svg("line", { x1: LEFT, x2: WIDTH - 6, y1: y(line), y2: y(line), class: "grid" }),
      svg("text", { x: LEFT - 6, y: y(line) + 4, "text-anchor": "end", class: "axis" }, format(line)));
  }
  for (const share of [0, 0.5, 1]) {
    const index = Math.round((points.length - 1) * share);
    parts.push(svg("text", { x: x(index), y: HEIGHT - 4, "text-anchor": share === 0 ? "start" : share === 1 ? "end" : "middle", class: "axis" }, stepTime[step].format(new Date(points[index].from))));
  }
  if (isLines) {
    series.forEach(({ tone }, place) => {
      let path = "", isOpen = false;
      values.forEach((row, index) => {
        if (row[place] === null || row[place] === undefined) { isOpen = false; return; }
        path += `${isOpen ? "L" : "M"}${x(index).toFixed(1)} ${y(row[place]).toFixed(1)}`;
        // A line needs two points.
        if (!isOpen && (values[index + 1]?.[place] ?? null) === null) parts.push(svg("circle", { cx: x(index), cy: y(row[place]), r: 2.5, class: `dot ${tone}` }));
        isOpen = true;
      });
      parts.push(svg("path", { d: path, class: `line ${tone}` }));
    });
  } else {
    const width = Math.max(1, (inner / points.length) * 0.72);
    values.forEach((row, index) => {
      let sum = 0;
      row.forEach((value, place) => {
        if (!value) return;
        parts.push(svg("rect", { x: x(index) - width / 2, width, y: y(sum + value), height: Math.max(0.75, y(sum) - y(sum + value)), class: `bar ${series[place].tone}` }));
        sum += value;
      });
    });
  }
  const cursor = svg("line", { y1: TOP, y2: HEIGHT - BOTTOM, class: "cursor", visibility: "hidden" });
  const readout = h("p", { class: "readout", role: "status" });
  const totals = () => {
    setText(readout, "");
    if (isLines) return;
    replace(readout, series.map(({ name }, place) => h("span", null, `${name} `, h("b", null, format(values.reduce((sum, row) => sum + (row[place] ?? 0), 0))))));
  };
  let at = -1;
  const point = (index) => {
    at = Math.max(0, Math.min(points.length - 1, index));
    cursor.setAttribute("x1", x(at));
    cursor.setAttribute("x2", x(at));
    cursor.setAttribute("visibility", "visible");
    replace(readout, h("span", { class: "quiet" }, stepTime[step].format(new Date(points[at].from))), series.map(({ name }, place) => h("span", null, `${name} `, h("b", null, values[at][place] === null || values[at][place] === undefined ? "–" : format(values[at][place])))));
  };
  const leave = () => { cursor.setAttribute("visibility", "hidden"); at = -1; totals(); };
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart", role: "img", tabindex: "0", "aria-label": `${title}; the arrow keys read the values` }, parts, cursor);
  drawing.addEventListener("pointermove", (event) => {
    const box = drawing.getBoundingClientRect();
    point(Math.floor((((event.clientX - box.left) / box.width) * WIDTH - LEFT) / (inner / points.length)));
  });
  drawing.addEventListener("pointerleave", leave);
  drawing.addEventListener("blur", leave);
  drawing.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (move === undefined) return;
    event.preventDefault();
    point(at < 0 && move !== Infinity ? points.length - 1 : move === -Infinity ? 0 : move === Infinity ? points.length - 1 : at + move);
  });
  totals();
  const legend = h("p", { class: "legend" }, series.map(({ name, tone }) => h("span", null, h("i", { class: `key ${isLines ? "stroke " : ""}${tone}`, "aria-hidden": "true" }), name)));
  return h("figure", { class: "chart-box" }, h("figcaption", null, h("h3", null, title), legend), drawing, readout);
}
