"use strict";
(() => {
  const runs = JSON.parse(document.getElementById("series").textContent).filter((r) => r.at && r.at.length);
  const place = document.getElementById("plots");
  if (!runs.length) {
    place.textContent = "The runs have no series.";
    return;
  }

  // Orange is what is wanted or on its way, blue what is there; the two are told apart by people who see colours otherwise.
  const palettes = {
    light: { there: "#0969da", coming: "#c2500a", many: ["#0969da", "#c2500a", "#1a7f37", "#8250df", "#bf3989", "#7d6200", "#1b7c83", "#cf222e", "#57606a", "#24292f"], ink: "#57606a", grid: "#e3e7eb" },
    dark: { there: "#58a6ff", coming: "#f0883e", many: ["#58a6ff", "#f0883e", "#3fb950", "#bc8cff", "#f778ba", "#d8b600", "#39c5cf", "#ff7b72", "#9198a1", "#e6edf3"], ink: "#9198a1", grid: "#262c34" },
  };
  const darkness = matchMedia("(prefers-color-scheme: dark)");
  let printing = false;
  const colour = (name) => palettes[darkness.matches && !printing ? "dark" : "light"][name];

  // With more than two runs a colour is a run, and each plot has one line of each.
  const many = runs.length > 2;
  const nodes = (run) => run.nodesReady.map((n, i) => n + run.nodesComing[i]);
  runs.forEach((run) => { run.nodes = nodes(run); });

  const all = [
    { title: "Requests per second", unit: "/s", rate: true, lines: [["arrivals", "arriving", "there", 2]] },
    { title: "Requests held and in flight", whole: true, lines: [["held", "held", "coming", 0], ["inFlight", "in flight", "there", 0]] },
    { title: "Replicas", whole: true, lines: [["wanted", "wanted", "coming", 0], ["ready", "ready", "there", 0]] },
    { title: "Nodes", whole: true, lines: [["nodesComing", "coming", "coming", 0], ["nodesReady", "ready", "there", 0]] },
    { title: "Cost so far", lines: [["cost", "cost", "there", 5]] },
    { title: "Seconds waited so far, all requests", lines: [["waited", "waited", "coming", 1]] },
  ];
  const one = [
    { title: "Requests per second", unit: "/s", rate: true, first: true, lines: [["arrivals", "arriving", "there", 2]] },
    { title: "Requests held", whole: true, lines: [["held", "held", "coming", 0]] },
    { title: "Replicas ready", whole: true, lines: [["ready", "ready", "there", 0]] },
    { title: "Nodes, ready and coming", whole: true, lines: [["nodes", "nodes", "there", 0]] },
    all[4], all[5],
  ];
  const figures = (many ? one : all).filter((figure) => figure.lines.every(([key]) => runs.every((run) => run[key])));

  const dashes = [undefined, [7, 5], [2, 4], [12, 4, 2, 4]];
  const wholeSteps = [];
  for (let unit = 1; unit < 1e9; unit *= 10) wholeSteps.push(unit, 2 * unit, 5 * unit);

  const clock = (s) => {
    const sign = s < 0 ? "-" : "";
    const all = Math.abs(s);
    const h = Math.floor(all / 3600), m = Math.floor((all % 3600) / 60), rest = all % 60;
    const seconds = Number.isInteger(all) ? String(rest).padStart(2, "0") : rest.toFixed(1).padStart(4, "0");
    return sign + (h ? h + ":" + String(m).padStart(2, "0") : m) + ":" + seconds;
  };
  const numbers = (digits) => new Intl.NumberFormat("en", { maximumFractionDigits: digits, useGrouping: true });
  const atMost = (column) => column.reduce((most, v) => Math.max(most, v), 0);

  // The words for those who do not see the plot.
  const words = (figure) => figure.title + ". " + (figure.first ? runs.slice(0, 1) : runs).map((run) => (runs.length > 1 ? run.name + ": " : "") +
    figure.lines.map(([key, label, , digits]) => {
      const most = atMost(run[key]);
      return label + ", at most " + numbers(digits).format(most) + (most ? " at " + clock(run.at[run[key].indexOf(most)]) : "");
    }).join("; ")).join(". ") + ".";

  const whole = [0, runs.reduce((end, run) => Math.max(end, run.at[run.at.length - 1]), 0)];
  const steps = uPlot.paths.stepped({ align: 1 });
  // A rate is of the time before its point; a count stands until the next.
  const rates = uPlot.paths.stepped({ align: -1 });
  const width = () => Math.max(280, place.clientWidth);

  // What each run had decided last before a moment.
  const told = document.getElementById("moment");
  const why = (at) => {
    if (!told) return;
    told.replaceChildren(...runs.filter((run) => run.moments && run.moments.length).flatMap((run) => {
      let last = null;
      for (const m of run.moments) if (m.at <= at) last = m;
      const heading = document.createElement("h4");
      heading.textContent = run.name + " at " + clock(at) + (last ? ", decided at " + clock(last.at) : ": nothing decided yet");
      const text = document.createElement("pre");
      text.textContent = last ? last.text : "";
      return last ? [heading, text] : [heading];
    }));
  };

  const charts = figures.map((figure, index) => {
    const box = document.createElement("div");
    box.className = "plot";
    const heading = document.createElement("h3");
    heading.id = "plot-" + index;
    heading.textContent = figure.title;
    const picture = document.createElement("div");
    picture.tabIndex = 0;
    picture.className = "plot";
    picture.setAttribute("role", "img");
    picture.setAttribute("aria-label", words(figure));
    box.append(heading, picture);
    place.append(box);

    const series = [{ label: "time", value: (u, v) => (v == null ? "–" : clock(v)) }];
    const tables = [];
    (figure.first ? runs.slice(0, 1) : runs).forEach((run, n) => {
      tables.push([run.at, ...figure.lines.map(([key]) => run[key])]);
      for (const [, label, ink, digits] of figure.lines) {
        const format = numbers(digits);
        series.push({
          label: figure.first ? label : many ? run.name : runs.length > 1 ? run.name + " " + label : label,
          stroke: () => (many ? colour("many")[n % 10] : colour(ink)),
          width: n ? 1.25 : 2,
          dash: many ? (n < 10 ? undefined : [7, 5]) : dashes[n % dashes.length],
          spanGaps: true,
          paths: figure.rate ? rates : figure.whole ? steps : undefined,
          points: { show: false },
          value: (u, v) => (v == null ? "–" : format.format(v) + (figure.unit || "")),
        });
      }
    });
    const axis = { stroke: () => colour("ink"), grid: { stroke: () => colour("grid"), width: 1 }, ticks: { stroke: () => colour("grid"), width: 1, size: 4 } };
    const chart = new uPlot({
      width: width(),
      height: 170,
      scales: {
        x: { time: false, range: (u, low, high) => (low === high ? [low, low + 1] : [low, high]) },
        y: { range: (u, low, high) => [0, (high || (figure.whole ? 1 : 0.001)) * 1.08] },
      },
      axes: [
        { ...axis, size: 30, space: 70, incrs: [0.1, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400, 604800],
          values: (u, ticks) => ticks.map(clock) },
        { ...axis, size: 58, ...(figure.whole ? { incrs: wholeSteps } : {}), space: 28 },
      ],
      series,
      cursor: { sync: { key: "time", setSeries: false }, points: { size: 6 }, drag: { x: true, y: false } },
      legend: { markers: { dash: (u, i) => (series[i] && series[i].dash ? "dashed" : "solid") } },
    }, tables.length > 1 ? uPlot.join(tables) : tables[0], picture);

    chart.root.querySelector(".u-legend").setAttribute("aria-label", figure.title + ": the values at the cursor");
    picture.addEventListener("click", () => chart.cursor.idx != null && why(chart.data[0][chart.cursor.idx]));
    picture.addEventListener("keydown", (event) => {
      const at = chart.data[0];
      if (event.key === "Enter" && chart.cursor.idx != null) why(at[chart.cursor.idx]);
      if (event.key === "Escape") {
        charts.forEach((c) => c.setScale("x", { min: whole[0], max: whole[1] }));
        return;
      }
      const move = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity }[event.key];
      if (move === undefined) return;
      event.preventDefault();
      const from = chart.cursor.idx == null ? (move > 0 ? -1 : at.length) : chart.cursor.idx;
      const to = Math.min(at.length - 1, Math.max(0, from + move));
      chart.setCursor({ left: chart.valToPos(at[to], "x"), top: 10 }, true, true);
    });
    return chart;
  });

  // All plots show the same time, also where a line ends before.
  charts.forEach((chart) => chart.setScale("x", { min: whole[0], max: whole[1] || 1 }));

  let due = false;
  new ResizeObserver(() => {
    if (due) return;
    due = true;
    requestAnimationFrame(() => {
      due = false;
      if (!printing) charts.forEach((chart) => chart.width !== width() && chart.setSize({ width: width(), height: 170 }));
    });
  }).observe(place);

  const repaint = () => charts.forEach((chart) => chart.redraw(false, true));
  darkness.addEventListener("change", repaint);
  // Paper is white and about 680 points wide, whatever the window is.
  addEventListener("beforeprint", () => {
    printing = true;
    charts.forEach((chart) => { chart.setSize({ width: Math.min(680, width()), height: 150 }); });
    repaint();
  });
  addEventListener("afterprint", () => {
    printing = false;
    charts.forEach((chart) => chart.setSize({ width: width(), height: 170 }));
    repaint();
  });
})();
