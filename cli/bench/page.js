"use strict";
const languages = report.machine.python ? ["C", "Python"] : ["C"];
const models = ["loop", "threads", "processes"];
const charts = [];

// --- numbers for people ---

function scaled(value, step, units) {
  let unit = 0;
  while (unit < units.length - 1 && Math.abs(value) >= 999.5) {
    value /= step;
    unit++;
  }
  const digits = Math.abs(value) < 9.995 ? 2 : Math.abs(value) < 99.95 ? 1 : 0;
  return parseFloat(value.toFixed(digits)) + " " + units[unit];
}
const human = {
  s: (v) => scaled(v * 1e9, 1000, ["ns", "µs", "ms", "s"]),
  bytes: (v) => scaled(v, 1024, ["B", "KiB", "MiB", "GiB"]),
  times: (v) => parseFloat(v.toFixed(2)) + "×",
  count: (v) => Math.round(v).toLocaleString("en"),
};

// --- the document ---

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const colourOf = (model) => colour({
  loop: "--loop", threads: "--threads", processes: "--processes", pool: "--mixed-a",
  "loop+threads": "--mixed-a", "loop+processes": "--mixed-b",
}[model] || "--soft");
const place = (id) => document.getElementById(id);
const find = (group, language, model, work) => report.cells.filter((c) => c.group === group &&
  c.language === language && (!model || c.model === model) && (!work || c.work === work));

function writeHead() {
  const m = report.machine;
  place("machine").textContent = `${m.cpu || "A CPU without a name"}, ${m.cpus} CPUs usable, ` +
    `${human.bytes(m.memory)}, ${m.system}${m.python ? ", Python " + m.python : ""}. ` +
    `${report.rounds} rounds in ${Math.round(report.seconds)} s. Load before the start ${m.load}; ` +
    `${(m.stolen * 100).toFixed(1)} % of the CPU time was taken by the host.`;
  for (const warning of m.warnings)
    place("warnings").append(element("div", { className: "warning" },
      `A noisy machine: ${warning}.`));
  place("key").textContent = languages.length > 1
    ? "Solid lines and full bars are C, dashed lines and pale bars are Python." : "";
  const failed = report.cells.filter((c) => c.failed)
    .map((c) => `${c.group}, ${c.language}, ${c.model}, ${human.count(c.n)}: ${c.failed}`);
  const notes = [...report.notes, ...failed];
  if (notes.length)
    place("notes").append(element("h2", {}, "Notes"),
      element("ul", {}, ...notes.map((n) => element("li", {}, n))));
}

function writeSummary() {
  const words = { wall: "time", cpu: "CPU time", memory: "memory" };
  for (const c of report.crossings) {
    if (c.language !== "C" && c.metric !== "wall")
      continue;
    const where = c.from ? `from ${human.count(c.from)} on` : `not up to ${human.count(c.measured_up_to)}`;
    place("summary").append(element("div", { className: "fact" }, element("strong", {}, where),
      element("span", {}, `requests at once: ${c.better} better than ${c.worse} in ` +
        `${words[c.metric]}, ${c.language}`)));
  }
}

function writeComparison() {
  for (const language of languages) {
    const body = element("tbody");
    for (const row of report.comparison.filter((r) => r.language === language)) {
      const line = element("tr", {}, element("th", { scope: "row" }, row.row));
      for (const model of models) {
        const cell = element("td", {}, row[model] || "not measured");
        cell.dataset.model = model;
        line.append(cell);
      }
      body.append(line);
    }
    const head = element("tr", {}, element("th"), ...models.map((model) => {
      const dot = element("span", { className: "dot" });
      dot.style.background = `var(--${model})`;
      return element("th", { scope: "col" }, dot, model);
    }));
    place("comparison").append(element("div", { className: "compare" }, element("table", {},
      element("caption", {}, language === "C" ? "In C, with Trine" : `In Python ${report.machine.python}`),
      element("thead", {}, head), body)));
  }
}

// --- charts ---

// From the least to the most, behind each point or bar.
const spreadBars = {
  id: "spreadBars",
  afterDatasetsDraw(chart) {
    const context = chart.ctx;
    chart.data.datasets.forEach((set, index) => {
      const meta = chart.getDatasetMeta(index);
      if (meta.hidden || !set.spread)
        return;
      const flat = chart.options.indexAxis === "y";
      const axis = flat ? chart.scales.x : chart.scales.y;
      context.save();
      context.strokeStyle = set.borderColor;
      context.lineWidth = 1.5;
      meta.data.forEach((point, i) => {
        if (!set.spread[i] || !(set.spread[i][0] > 0))
          return;
        const [from, to] = set.spread[i].map((v) => axis.getPixelForValue(v));
        context.beginPath();
        context.moveTo(flat ? from : point.x, flat ? point.y : from);
        context.lineTo(flat ? to : point.x, flat ? point.y : to);
        context.stroke();
      });
      context.restore();
    });
  },
};

// Where a logarithmic axis has its marks: whole powers for wide ranges, more of them for narrow
// ones; powers of two for bytes.
function marks(min, max, format) {
  const found = [];
  if (format === human.bytes) {
    const step = max / min > 1e4 ? 3 : max / min > 64 ? 2 : 1;
    for (let e = 0; e < 50; e += step)
      found.push(2 ** e);
  } else {
    const steps = max / min > 300 ? [1] : [1, 2, 5];
    for (let e = -10; e < 10; e++)
      found.push(...steps.map((digit) => digit * 10 ** e));
  }
  return found.filter((v) => v >= min * 0.999 && v <= max * 1.001).map((value) => ({ value }));
}

// `at`: the values that have a mark, where they are given.
function axis(format, options = {}, at = null) {
  return {
    type: options.log ? "logarithmic" : "linear",
    beginAtZero: !options.log && !at,
    title: { display: !!options.title, text: options.title, color: colour("--soft") },
    grid: { color: colour("--line") },
    afterBuildTicks(scale) {
      if (at)
        scale.ticks = at.map((value) => ({ value }));
      else if (options.log)
        scale.ticks = marks(scale.min, scale.max, format);
    },
    ticks: { color: colour("--soft"), maxRotation: 0, autoSkipPadding: 10, callback: format },
  };
}

function valueTable(sets, format, labelOf) {
  const body = element("tbody");
  for (const set of sets)
    set.rows.forEach((row) => body.append(element("tr", {}, element("td", {}, set.label),
      element("td", {}, labelOf(row)),
      element("td", { className: "number" }, format(row.y)),
      element("td", { className: "number" }, row.runs > 1 ? `${format(row.low)} to ${format(row.high)}` : ""))));
  return element("details", {}, element("summary", {}, "The figures"),
    element("div", { className: "scroll" }, element("table", {}, body)));
}

function card(title, note, sets, format, labelOf, configure) {
  const filled = sets.filter((s) => s.rows.length);
  if (!filled.length)
    return;
  const canvas = element("canvas", { role: "img", ariaLabel: title });
  place("charts").append(element("article", { className: "card" }, element("h3", {}, title),
    element("p", {}, note), element("div", { className: "plot" }, canvas),
    valueTable(filled, format, labelOf)));
  const draw = () => new Chart(canvas, configure(filled));
  charts.push({ draw, chart: draw() });
}

function common(format, flatKey) {
  return {
    responsive: true, maintainAspectRatio: false, animation: false,
    interaction: { mode: "nearest", intersect: false },
    plugins: {
      legend: { position: "bottom",
        labels: { color: colour("--ink"), boxWidth: flatKey ? 26 : 12, boxHeight: flatKey ? 1 : 12,
          padding: 12 } },
      tooltip: { callbacks: { label: (item) => `${item.dataset.label}: ${format(item.raw.y ?? item.raw)}` } },
    },
  };
}

const rowOf = (cell, metric, factor = 1) => ({
  x: cell.n, work: cell.work, model: cell.model, runs: cell[metric].runs,
  y: cell[metric].median * factor, low: cell[metric].min * factor, high: cell[metric].max * factor,
});

function lines(title, note, sets, format, x, y) {
  card(title, note, sets, format, (row) => x.format(row.x), (filled) => ({
    type: "line",
    plugins: [spreadBars],
    data: {
      datasets: filled.map((s) => ({
        label: s.label, data: s.rows.map((r) => ({ x: r.x, y: r.y })),
        spread: s.bare ? null : s.rows.map((r) => [r.low, r.high]),
        borderColor: s.colour(), backgroundColor: s.dashed ? colour("--card") : s.colour(),
        borderDash: s.dashed ? [6, 4] : [], borderWidth: s.bare ? 1 : 2,
        pointRadius: s.bare ? 0 : 3.5, tension: 0,
      })),
    },
    options: {
      ...common(format, true), parsing: false,
      scales: {
        x: axis(x.format, x, [...new Set(filled.flatMap((s) => s.rows.map((r) => r.x)))]
          .sort((a, b) => a - b)),
        y: axis(format, y),
      },
    },
  }));
}

function bars(title, note, labels, sets, format, options) {
  card(title, note, sets, format, (row) => row.label, (filled) => ({
    type: "bar",
    plugins: [spreadBars],
    data: {
      labels,
      datasets: filled.map((s) => ({
        label: s.label, data: labels.map((l) => s.rows.find((r) => r.label === l)?.y ?? null),
        spread: labels.map((l) => {
          const r = s.rows.find((row) => row.label === l);
          return r ? [r.low, r.high] : null;
        }),
        borderColor: s.line ? s.line() : colour("--ink"), backgroundColor: s.colours(labels),
        borderWidth: 0, maxBarThickness: 26,
      })),
    },
    options: {
      ...common(format, false), indexAxis: options.flat ? "y" : "x",
      scales: {
        [options.flat ? "x" : "y"]: axis(format, options),
        [options.flat ? "y" : "x"]: { grid: { display: false }, ticks: { color: colour("--ink") } },
      },
    },
  }));
}

const seriesOf = (group, metric, works) => languages.flatMap((language) => models.flatMap((model) =>
  works.map((work) => ({
    label: `${model}${work ? " " + work : ""}${language === "C" ? "" : ", Python"}`,
    dashed: language !== "C", colour: () => colourOf(model),
    rows: find(group, language, model, work).filter((c) => c[metric]).map((c) => rowOf(c, metric)),
  }))));

function drawIo() {
  const x = { format: human.count, title: "requests at once", log: true };
  const delay = human.s(report.delay);
  lines("I/O: time", `All requests at once; each is answered after ${delay}, so that is the ideal.`,
    seriesOf("io", "wall", [""]), human.s, x, { log: true });
  lines("I/O: CPU time", "Of all processes of the client together.",
    seriesOf("io", "cpu", [""]), human.s, x, { log: true });
  lines("I/O: memory", "The most that all processes of the client held; shared pages count once.",
    seriesOf("io", "memory", [""]), human.bytes, x, { log: true });
}

function drawCpu() {
  for (const list of ["factorials", "primes"]) {
    const sets = [];
    let most = 0;
    for (const language of languages) {
      const alone = find("cpu", language, "loop", list)[0];
      if (!alone?.wall)
        continue;
      for (const model of ["threads", "processes"]) {
        const cells = find("cpu", language, model, list).filter((c) => c.wall);
        most = Math.max(most, ...cells.map((c) => c.n));
        sets.push({
          label: model + (language === "C" ? "" : ", Python"), dashed: language !== "C",
          colour: () => colourOf(model),
          rows: cells.map((c) => ({ x: c.n, runs: c.wall.runs, y: alone.wall.median / c.wall.median,
            low: alone.wall.median / c.wall.max, high: alone.wall.median / c.wall.min })),
        });
      }
    }
    if (!sets.length)
      continue;
    const cpus = report.machine.cpus;
    sets.push({ label: "ideal", bare: true, colour: () => colour("--soft"), rows: [1, cpus, most]
      .map((n) => ({ x: n, y: Math.min(n, cpus), low: 0, high: 0, runs: 1 })) });
    lines(`CPU: ${list}`, `How many times as fast as one after another, on ${cpus} CPUs.`, sets,
      human.times, { format: human.count, title: "workers", log: true }, {});
  }
}

function drawMixed() {
  const all = ["loop", "threads", "processes", "loop+threads", "loop+processes"];
  for (const language of languages)
    bars(`Mixed work${languages.length > 1 ? ", " + language : ""}`,
      "Tasks of 10 ms each, of which so many per cent compute; the rest is waiting.",
      ["10 %", "50 %", "90 %"], all.map((model) => ({
        label: model, colours: () => colourOf(model), line: () => colour("--ink"),
        rows: find("mixed", language, model).filter((c) => c.wall)
          .map((c) => ({ ...rowOf(c, "wall"), label: c.work + " %" })),
      })), human.s, {});
}

const pale = (c) => c + "66";
const perModel = (group, metric, names = models) => languages.map((language) => ({
  label: language, line: () => colour("--ink"),
  colours: (labels) => labels.map((l) => language === "C" ? colourOf(l) : pale(colourOf(l))),
  rows: names.flatMap((model) => find(group, language, model).filter((c) => c[metric])
    .map((c) => ({ ...rowOf(c, metric), label: model }))),
}));

function drawCosts() {
  bars("Creation", "To start and end one task, thread or process, many being there at once.", models,
    perModel("tasks", "create"), human.s, { flat: true, log: true });
  bars("Memory", "Of one task, thread or process that waits.", models,
    perModel("tasks", "each"), human.bytes, { flat: true, log: true });
  bars("A task that does nothing", "Handed to workers that are there, and back, one at a time.",
    report.machine.python ? [...models, "pool"] : models,
    perModel("handover", "trip", [...models, "pool"]), human.s, { flat: true, log: true });
  lines("Data", "A block handed to a task, shared or copied, there and back.",
    seriesOf("data", "each", ["shared", "copied"]), human.s,
    { format: human.bytes, title: "size of the block", log: true }, { log: true });
  lines("How many threads", "Many short waits by a crew of threads.", seriesOf("crew", "wall", [""]),
    human.s, { format: human.count, title: "threads", log: true }, { log: true });
}

function drawAll() {
  drawIo();
  drawCpu();
  drawMixed();
  drawCosts();
}

writeHead();
writeSummary();
writeComparison();
drawAll();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const c of charts) {
    c.chart.destroy();
    c.chart = c.draw();
  }
});
