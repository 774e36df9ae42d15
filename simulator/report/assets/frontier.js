"use strict";
(() => {
  const maps = JSON.parse(document.getElementById("maps").textContent);
  const place = document.getElementById("plots");
  const palettes = {
    light: { many: ["#0969da", "#c2500a", "#1a7f37", "#8250df", "#bf3989", "#7d6200", "#1b7c83", "#cf222e", "#57606a", "#24292f"], ink: "#57606a", grid: "#e3e7eb" },
    dark: { many: ["#58a6ff", "#f0883e", "#3fb950", "#bc8cff", "#f778ba", "#d8b600", "#39c5cf", "#ff7b72", "#9198a1", "#e6edf3"], ink: "#9198a1", grid: "#262c34" },
  };
  const darkness = matchMedia("(prefers-color-scheme: dark)");
  const colour = (name) => palettes[darkness.matches ? "dark" : "light"][name];
  const number = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
  const width = () => Math.max(280, place.clientWidth);
  const height = 320;

  const charts = maps.filter((map) => map.spots && map.spots.length).map((map, index) => {
    const box = document.createElement("div");
    const heading = document.createElement("h3");
    heading.textContent = map.title || "Money and seconds of waiting";
    const picture = document.createElement("div");
    picture.className = "plot";
    picture.tabIndex = 0;
    picture.setAttribute("role", "img");
    const line = map.spots.filter((s) => s.frontier).sort((a, b) => a.money - b.money);
    picture.setAttribute("aria-label", "Money against waiting. On the line: " + line.map((s) =>
      `${s.name} ${s.label}, money ${number.format(s.money)}, ${number.format(s.waited)} s`).join("; ") + ".");
    const told = document.createElement("p");
    told.className = "hint";
    told.textContent = "Point at a dot: its settings stand here.";
    box.append(heading, picture, told);
    place.append(box);

    // A column for each policy, one for the line and one for the chosen run, all over the same sorted money.
    const spots = map.spots.slice().sort((a, b) => a.money - b.money);
    const names = [...new Set(map.spots.map((s) => s.name))];
    const columns = [spots.map((s) => s.money), spots.map((s) => (s.frontier ? s.waited : null)),
      ...names.map((name) => spots.map((s) => (s.name === name ? s.waited : null))), spots.map((s) => (s.chosen ? s.waited : null))];
    const value = (u, v) => (v == null ? "–" : number.format(v) + " s");
    const dots = (size, stroke, fill) => ({ show: true, size, width: 2, stroke, fill });
    const series = [
      { label: "money", value: (u, v) => (v == null ? "–" : number.format(v)) },
      { label: "nothing beats", stroke: () => colour("ink"), width: 1, dash: [4, 4], spanGaps: true, points: { show: false }, paths: uPlot.paths.stepped({ align: 1 }), value },
      ...names.map((name, n) => ({ label: name, stroke: () => colour("many")[n % 10], paths: () => null, points: dots(8, () => colour("many")[n % 10], () => colour("many")[n % 10]), value })),
      { label: "chosen", stroke: () => colour("ink"), paths: () => null, points: dots(16, () => colour("ink"), "transparent"), value },
    ];
    const axis = { stroke: () => colour("ink"), grid: { stroke: () => colour("grid"), width: 1 }, ticks: { stroke: () => colour("grid"), width: 1, size: 4 } };
    const most = spots.reduce((m, s) => Math.max(m, s.waited), 0);
    const chart = new uPlot({
      width: width(), height,
      scales: {
        x: { time: false, range: () => [0, spots[spots.length - 1].money * 1.06 || 1] },
        y: { range: () => [0, most * 1.08 || 1] },
      },
      axes: [{ ...axis, size: 44, label: "money", labelSize: 18 }, { ...axis, size: 62, label: "seconds waited, all requests", labelSize: 18 }],
      series,
      cursor: { drag: { x: false, y: false }, points: { size: 10 } },
      hooks: {
        setCursor: [(u) => {
          const s = u.cursor.idx == null ? null : spots[u.cursor.idx];
          told.textContent = s ? `${s.name}${s.label ? " with " + s.label : ""}: money ${number.format(s.money)}, ${number.format(s.waited)} s waited` : "Point at a dot: its settings stand here.";
        }],
      },
    }, columns, picture);
    chart.root.querySelector(".u-legend").setAttribute("aria-label", "The values at the cursor");
    return chart;
  });

  let due = false;
  new ResizeObserver(() => {
    if (due) return;
    due = true;
    requestAnimationFrame(() => {
      due = false;
      charts.forEach((chart) => chart.width !== width() && chart.setSize({ width: width(), height }));
    });
  }).observe(place);
  darkness.addEventListener("change", () => charts.forEach((chart) => chart.redraw(false, true)));
})();
