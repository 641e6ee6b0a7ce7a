// Four pictures over the last five minutes, side by side in time: where the pointer is in one, the
// others are, too.

import { el, text } from "./dom.js";
import { clock, count, milliseconds, rate } from "./words.js";

const SPAN_S = 300;
const HEIGHT = 150;
const STEPS_S = [5, 10, 15, 30, 60, 120, 300];

const CHARTS = [
  {
    id: "chart-connections",
    title: "Connections",
    format: count,
    least: 4,
    series: [
      { key: "limit", label: "limit", colour: "limit", dash: [4, 4] },
      { key: "connections", label: "open", colour: "unused", fill: true },
      { key: "borrowed", label: "in use", colour: "accent", fill: true },
      { key: "in_transaction", label: "in a transaction", colour: "warn" },
    ],
  },
  {
    id: "chart-waits",
    title: "Waiting for a connection",
    format: count,
    least: 4,
    series: [
      { key: "waiting", label: "clients in the queue", colour: "warn", fill: true },
      { key: "wait_p99_ms", label: "wait, p99", colour: "accent", scale: "ms", format: milliseconds },
    ],
  },
  {
    id: "chart-latency",
    title: "Latency of queries",
    format: milliseconds,
    logarithmic: true,
    series: [
      { key: "query_p99_ms", label: "p99", colour: "accent" },
      { key: "query_p50_ms", label: "p50", colour: "accent", dash: [2, 3] },
      { key: "database_p99_ms", label: "database p99", colour: "second" },
      { key: "database_p50_ms", label: "database p50", colour: "second", dash: [2, 3] },
    ],
  },
  {
    id: "chart-rates",
    title: "Per second",
    format: rate,
    least: 4,
    series: [
      { key: "queries_s", label: "queries", colour: "accent", fill: true },
      { key: "transactions_s", label: "transactions", colour: "second" },
      { key: "refused_s", label: "refused", colour: "warn" },
    ],
  },
];

/** The samples of one proxy: columns of equal length, the oldest first. */
export class Samples {
  constructor() {
    this.clear();
  }

  clear() {
    this.at = [];
    this.columns = {};
  }

  get last() {
    return this.at.length ? this.at[this.at.length - 1] : 0;
  }

  /** Adds what a whole answer of the past says. */
  addAll(past) {
    for (const [index, at] of past.at.entries()) {
      const row = {};
      for (const [name, values] of Object.entries(past.columns)) row[name] = values[index];
      this.add(at, row);
    }
  }

  add(at, row) {
    if (at <= this.last) return;
    this.at.push(at);
    for (const name of Object.keys(row)) this.columns[name] ??= Array(this.at.length - 1).fill(null);
    for (const [name, values] of Object.entries(this.columns)) values.push(row[name] ?? null);
    const old = this.at.findIndex((each) => each >= at - SPAN_S);
    if (old > 0) {
      this.at.splice(0, old);
      for (const values of Object.values(this.columns)) values.splice(0, old);
    }
  }
}

export class Charts {
  constructor(samples) {
    this.samples = samples;
    this.charts = CHARTS.map((what) => new Chart(what, samples));
    document.addEventListener("theme", () => this.rebuild());
  }

  show() {
    for (const chart of this.charts) chart.show();
  }

  rebuild() {
    for (const chart of this.charts) chart.build();
    this.show();
  }
}

class Chart {
  constructor(what, samples) {
    this.what = what;
    this.samples = samples;
    this.figure = document.getElementById(what.id);
    this.values = what.series.map(() => el("b"));
    const key = el(
      "ul",
      { class: "key" },
      ...what.series.map((series, index) =>
        el("li", { class: `${series.colour}${series.dash ? " dashed" : ""}` }, `${series.label} `, this.values[index]),
      ),
    );
    this.place = el("div", { class: "plot", role: "img" });
    this.figure.replaceChildren(el("figcaption", {}, el("h2", {}, what.title), key), this.place);
    this.build();
    new ResizeObserver(() => this.resize()).observe(this.place);
  }

  build() {
    this.plot?.destroy();
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    this.width = Math.max(200, this.place.clientWidth);
    this.plot = new window.uPlot(
      {
        width: this.width,
        height: HEIGHT,
        padding: [8, this.what.series.some((each) => each.scale) ? 0 : 10, 0, 0],
        legend: { show: false },
        cursor: { sync: { key: "time" }, drag: { x: false, y: false }, y: false, points: { size: 6 } },
        hooks: { setCursor: [(plot) => this.tell(plot.cursor.idx)] },
        scales: {
          x: { time: true, range: () => this.range() },
          y: this.what.logarithmic ? { distr: 3, range: logarithmic } : { range: fromZero(this.what.least) },
          ms: { range: fromZero(1) },
        },
        axes: this.axes(colour),
        series: [
          {},
          ...this.what.series.map((series) => ({
            label: series.label,
            scale: series.scale ?? "y",
            stroke: colour(series.colour),
            fill: series.fill ? `${colour(series.colour)}2e` : undefined,
            width: 1.5,
            dash: series.dash,
            points: { show: false },
            spanGaps: false,
          })),
        ],
      },
      this.data(),
      this.place,
    );
  }

  axes(colour) {
    const common = {
      stroke: colour("muted"),
      font: "11px system-ui, sans-serif",
      grid: { stroke: colour("grid"), width: 1 },
      ticks: { show: false },
    };
    const left = {
      ...common,
      size: 58,
      gap: 6,
      values: (_, values) => values.map((value) => (value === null ? "" : this.what.format(value))),
      ...(this.what.logarithmic ? { filter: decades, grid: { ...common.grid, filter: decades } } : { incrs: [1, 2, 5].flatMap((n) => [0, 1, 2, 3, 4, 5].map((p) => n * 10 ** p)).sort((a, b) => a - b) }),
    };
    const time = { ...common, size: 22, gap: 4, incrs: STEPS_S, space: 70, values: (_, values) => values.map(clock) };
    const right = { ...common, scale: "ms", side: 1, size: 58, gap: 6, grid: { show: false }, values: (_, values) => values.map(milliseconds) };
    return this.what.series.some((each) => each.scale) ? [time, left, right] : [time, left];
  }

  range() {
    const last = this.samples.last || Date.now() / 1000;
    return [last - SPAN_S, last];
  }

  data() {
    const none = Array(this.samples.at.length).fill(null);
    const columns = this.what.series.map((series) => {
      const values = this.samples.columns[series.key] ?? none;
      // Where nothing was answered there is no latency.
      return this.what.logarithmic ? values.map((value) => value || null) : values;
    });
    return [this.samples.at, ...columns];
  }

  resize() {
    const width = Math.max(200, this.place.clientWidth);
    if (width === this.width) return;
    this.width = width;
    this.plot.setSize({ width, height: HEIGHT });
  }

  show() {
    this.plot.setData(this.data());
    this.tell(this.plot.cursor.idx);
  }

  /** The figures at the pointer, else the latest. */
  tell(index) {
    const data = this.data();
    const at = index ?? data[0].length - 1;
    for (const [number, series] of this.what.series.entries())
      text(this.values[number], (series.format ?? this.what.format)(data[number + 1][at]));
    const said = this.what.series.map((series, number) => `${series.label} ${this.values[number].textContent}`);
    this.place.setAttribute("aria-label", `${this.what.title} over the last five minutes; now: ${said.join(", ")}`);
  }
}

function fromZero(least) {
  return (_, __, most) => {
    const top = Math.max(least, (most ?? 0) * 1.08);
    return [0, top];
  };
}

/** Whole decades around what there is, in milliseconds. */
function logarithmic(_, least, most) {
  if (!(least > 0)) return [0.1, 10];
  const low = 10 ** Math.floor(Math.log10(least));
  const high = 10 ** Math.ceil(Math.log10(most * 1.0001));
  return [low, high > low ? high : low * 10];
}

/** Of a logarithmic axis only powers of ten are written. */
function decades(_, splits) {
  return splits.map((value) => (Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-6 ? value : null));
}
