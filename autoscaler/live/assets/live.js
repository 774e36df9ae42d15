"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const number = (digits) => { const f = new Intl.NumberFormat("en", { maximumFractionDigits: digits }); return (v) => f.format(v); };
  const whole = number(0), tenth = number(1), money = number(4);
  const clock = (t) => new Date(t).toISOString().slice(11, 19);
  const percent = (v) => Math.round(100 * v) + " %";

  // Orange is what is wanted or on its way, blue what is there, as in the simulator's report.
  const palettes = {
    light: { there: "#0969da", coming: "#c2500a", ink: "#57606a", grid: "#e3e7eb" },
    dark: { there: "#58a6ff", coming: "#f0883e", ink: "#9198a1", grid: "#262c34" },
  };
  const darkness = matchMedia("(prefers-color-scheme: dark)");
  const colour = (name) => palettes[darkness.matches ? "dark" : "light"][name];

  let paused = false;
  $("pause").addEventListener("click", () => {
    paused = !paused;
    $("pause").setAttribute("aria-pressed", String(paused));
    $("pause").textContent = paused ? "Go on" : "Pause";
    if (!paused) turn();
  });

  const say = (words, bad) => {
    const state = $("state");
    if (state.textContent !== words) state.textContent = words;
    state.classList.toggle("bad", Boolean(bad));
  };

  const stage = (name, figure, hint, alarm) => {
    const li = $("stage-" + name);
    li.querySelector(".figure").textContent = figure;
    li.querySelector(".hint").textContent = hint;
    li.classList.toggle("alarm", Boolean(alarm));
  };

  const showLoop = (t) => {
    stage("requests", tenth(t.rate) + "/s", whole(t.inFlight) + " in flight", t.stale);
    stage("held", whole(t.held), t.stale ? "a gateway is overdue" : t.held ? "wait for a pod" : "nobody waits", t.unplaced > 0 && t.held > 0);
    stage("replicas", whole(t.ready) + " of " + whole(t.wanted), [t.starting && whole(t.starting) + " starting", t.unplaced && whole(t.unplaced) + " without room"].filter(Boolean).join(", ") || "ready", t.unplaced > 0);
    stage("nodes", whole(t.nodesReady), [t.nodesComing && whole(t.nodesComing) + " coming", t.nodesLeaving && whole(t.nodesLeaving) + " leaving"].filter(Boolean).join(", ") || "ready");
    stage("money", money(t.price), t.price ? percent(t.waste / t.price) + " of no use now" : "nothing is paid for");
  };

  // Rows are kept and changed in place, so that focus stays where it is.
  const rows = (table, list, key, cells, more) => {
    const body = table.tBodies[0];
    const there = new Map([...body.rows].map((r) => [r.dataset.id, r]));
    list.forEach((item, i) => {
      let row = there.get(item.id);
      there.delete(item.id);
      if (!row) {
        row = document.createElement("tr");
        row.dataset.id = item.id;
        const th = document.createElement("th");
        th.scope = "row";
        if (more) {
          const b = document.createElement("button");
          b.type = "button";
          b.textContent = item.id;
          b.setAttribute("aria-label", "Why: " + key + " " + item.id);
          b.addEventListener("click", () => more(row.item));
          th.append(b);
        } else th.textContent = item.id;
        row.append(th);
      }
      row.item = item;
      cells(item).forEach(([text, kind], c) => {
        const td = row.cells[c + 1] || row.insertCell();
        if (td.textContent !== text) td.textContent = text;
        td.className = kind || "";
      });
      if (body.rows[i] !== row) body.insertBefore(row, body.rows[i] || null);
    });
    there.forEach((row) => row.remove());
  };

  const tell = (title, blocks, focus) => {
    $("moment").hidden = false;
    $("moment-title").textContent = title;
    $("told").replaceChildren(...blocks.flatMap(([heading, lines]) => {
      const out = [];
      if (heading) { const h = document.createElement("h3"); h.textContent = heading; out.push(h); }
      const ul = document.createElement("ul");
      ul.append(...lines.map((line) => { const li = document.createElement("li"); li.textContent = line; return li; }));
      out.push(ul);
      return out;
    }));
    if (focus) { $("moment-title").focus({ preventScroll: true }); $("moment").scrollIntoView({ block: "nearest" }); }
  };

  const whyWorkload = (w) => tell(w.id + ": " + w.wanted + " wanted, " + w.ready + " ready", [
    ["Decided", w.why.slice(0, 1)],
    ...(w.why.length > 1 ? [["Overruled", w.why.slice(1)]] : []),
    ...(w.hope ? [["Held requests hear", [w.hope]]] : []),
  ], true);
  const whyNode = (n) => tell("Node " + n.id + ": " + n.phase, [["", [n.why || "nothing is decided about it", n.pods + " pods; " + money(n.waste) + " of " + money(n.price) + " an hour is of no use now"]]], true);

  const reason = (why) => (why && why.length ? " by " + why.map((r) => r.rule + (r.says ? ": " + r.says : "")).slice(0, 1) : "");
  const whyMoment = async (at) => {
    const from = new Date(at - 15 * 60e3).toISOString();
    const answer = await fetch("/decisions?since=" + encodeURIComponent(from));
    const entries = (await answer.text()).trim().split("\n").filter(Boolean).map((line) => JSON.parse(line)).filter((e) => Date.parse(e.at) <= at + 999).slice(-8).reverse();
    const words = (e) => [
      ...(e.scales || []).map((s) => s.workload + ": replicas " + s.from + " → " + s.to + reason(s.why)),
      ...(e.placements || []).map((p) => "room for " + (p.for || p.workload || "pods") + (p.unplaced ? ": " + p.unplaced + " have none" + reason(p.why && [].concat(p.why)) : "")),
      ...(e.orders || []).map((o) => "pool " + o.pool + ": " + o.from + " → " + o.to + reason(o.why)),
      ...(e.drains || []).map((d) => "node " + d.node + ": " + d.step + reason(d.why && [].concat(d.why))),
      ...(e.holds || []).map((h) => h.workload + ": held requests " + (h.refuse ? "are refused" : "wait") + reason(h.why && [].concat(h.why))),
    ];
    tell("What had been decided at " + clock(at) + " UTC", entries.length ? entries.map((e) => [clock(e.at), words(e)]) : [["", ["nothing that is kept, in the quarter of an hour before"]]], true);
  };

  // The hour.
  const figures = [
    { title: "Requests held and in flight", lines: [["held", "held", "coming"], ["inFlight", "in flight", "there"]], digits: 0 },
    { title: "Replicas", lines: [["wanted", "wanted", "coming"], ["ready", "ready", "there"]], digits: 0 },
    { title: "Nodes", lines: [["nodesComing", "coming", "coming"], ["nodesReady", "ready", "there"]], digits: 0 },
    { title: "Money an hour", lines: [["waste", "of no use", "coming"], ["price", "price", "there"]], digits: 4 },
  ];
  const points = [];
  const charts = [];
  const place = $("plots");
  const columns = (f) => [points.map((p) => Date.parse(p.at) / 1000), ...f.lines.map(([key]) => points.map((p) => p[key]))];
  const wide = () => Math.max(280, place.firstElementChild ? place.firstElementChild.clientWidth : 480);
  const draw = () => figures.forEach((f, i) => {
    const box = document.createElement("div");
    const heading = document.createElement("h3");
    heading.textContent = f.title;
    const picture = document.createElement("div");
    picture.className = "plot";
    picture.tabIndex = 0;
    picture.setAttribute("role", "img");
    box.append(heading, picture);
    place.append(box);
    const axis = { stroke: () => colour("ink"), grid: { stroke: () => colour("grid"), width: 1 }, ticks: { stroke: () => colour("grid"), width: 1, size: 4 } };
    const format = number(f.digits);
    const chart = new uPlot({
      width: wide(), height: 150, tzDate: (s) => uPlot.tzDate(new Date(s * 1e3), "Etc/UTC"),
      scales: { y: { range: (u, low, high) => [0, (high || 1) * 1.08] } },
      padding: [8, 24, 0, 0],
      axes: [{ ...axis, size: 30, space: 60, values: (u, ticks) => ticks.map((s) => clock(s * 1e3).slice(0, ticks[1] - ticks[0] < 60 ? 8 : 5)) }, { ...axis, size: 50, space: 28, incrs: f.digits ? undefined : [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 100000] }],
      series: [{ label: "at", value: (u, v) => (v == null ? "–" : clock(v * 1e3)) }, ...f.lines.map(([, label, ink]) => ({
        label, stroke: () => colour(ink), width: 2, paths: uPlot.paths.stepped({ align: 1 }), points: { show: false }, value: (u, v) => (v == null ? "–" : format(v)),
      }))],
      cursor: { sync: { key: "hour", setSeries: false }, drag: { x: true, y: false } },
      hooks: { setSelect: [(u) => { if (u.select.width > 0) u.zoomed = u.dragged = true; }] },
    }, columns(f), picture);
    chart.over.addEventListener("dblclick", () => { chart.zoomed = false; });
    picture.addEventListener("click", () => !(chart.dragged && !(chart.dragged = false)) && chart.cursor.idx != null && whyMoment(chart.data[0][chart.cursor.idx] * 1e3));
    picture.addEventListener("keydown", (event) => {
      const at = chart.data[0];
      if (event.key === "Escape") charts.forEach((c) => { c.zoomed = false; c.setData(c.data, true); });
      if (event.key === "Enter" && chart.cursor.idx != null) whyMoment(at[chart.cursor.idx] * 1e3);
      const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -60, PageDown: 60, Home: -Infinity, End: Infinity }[event.key];
      if (!step || !at.length) return;
      event.preventDefault();
      const idx = chart.cursor.idx == null ? at.length - 1 : chart.cursor.idx;
      const to = Math.max(0, Math.min(at.length - 1, idx + step));
      chart.setCursor({ left: chart.valToPos(at[to], "x"), top: 20 });
      picture.setAttribute("aria-label", f.title + " at " + clock(at[to] * 1e3) + " UTC: " + f.lines.map(([key, label]) => label + " " + format(points[to][key])).join(", "));
    });
    chart.root.querySelector(".u-legend").setAttribute("aria-label", f.title + ": the values at the cursor");
    charts.push(chart);
  });
  const redraw = () => charts.forEach((chart, i) => {
    const f = figures[i], zoomed = chart.zoomed;
    chart.setData(columns(f), !zoomed);
    const last = points[points.length - 1];
    if (last && document.activeElement !== chart.root.parentElement) chart.root.parentElement.setAttribute("aria-label", f.title + ", the last hour. Now: " + f.lines.map(([key, label]) => label + " " + number(f.digits)(last[key])).join(", ") + ". Arrow keys move in time, Enter tells what was decided.");
  });
  new ResizeObserver(() => charts.forEach((c) => c.setSize({ width: wide(), height: 150 }))).observe(place);
  darkness.addEventListener("change", () => charts.forEach((c) => c.redraw()));

  let timer = 0;
  const turn = async () => {
    clearTimeout(timer);
    if (paused) return;
    try {
      const last = points.length ? points[points.length - 1].at : "";
      const [now, hour] = await Promise.all([fetch("/now"), fetch("/history" + (last ? "?since=" + encodeURIComponent(last) : ""))]);
      if (!now.ok) throw new Error((await now.text()).trim());
      const p = await now.json();
      points.push(...(await hour.json()));
      while (points.length && Date.parse(points[points.length - 1].at) - Date.parse(points[0].at) > 3600e3) points.shift();
      showLoop(p.totals);
      rows($("workloads"), p.workloads, "workload", (w) => [[w.state, "text state-" + w.state.replace(" ", "-")], [tenth(w.rate)], [whole(w.held)], [whole(w.inFlight)], [whole(w.wanted)], [whole(w.ready)], [whole(w.starting)], [whole(w.unplaced)], [money(w.price)]], whyWorkload);
      rows($("nodes"), p.nodes, "node", (n) => [[n.pool, "text"], [n.phase, "text"], [whole(n.pods)], [percent(n.cpu)], [percent(n.memory)], [money(n.price)], [money(n.waste)]], whyNode);
      rows($("pools"), p.pools, "pool", (o) => [[whole(o.from)], [whole(o.target)], [whole(o.most)], [o.price ? money(o.price) : "unknown"], [o.why, "text"]]);
      $("workloads-more").textContent = p.moreWorkloads ? whole(p.moreWorkloads) + " more are not shown." : "";
      $("nodes-more").textContent = p.moreNodes ? whole(p.moreNodes) + " more are not shown." : "";
      if (!charts.length) draw();
      redraw();
      say("decided at " + clock(p.totals.at) + " UTC" + (p.totals.stale ? "; a gateway's report is overdue: nothing is lowered" : ""), p.totals.stale);
    } catch (error) {
      say("not connected: " + error.message, true);
    }
    // A page that nobody sees asks for nothing.
    if (!document.hidden) timer = setTimeout(turn, 1000);
  };
  document.addEventListener("visibilitychange", () => { if (!document.hidden) turn(); });
  turn();
})();
