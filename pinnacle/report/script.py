"""What the report page does: draw each view's charts when it is first shown, in the colours of the moment.

Time axes of one view move together.  Everything it needs is in the page; it asks the network for nothing.
"""

from __future__ import annotations

SCRIPT = """
"use strict";
(() => {
  const payload = JSON.parse(document.getElementById("payload").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const colour = name => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

  // "@name" is a column of the payload and "$name" a colour of the theme.
  const resolved = value => {
    if (typeof value === "string") {
      if (value[0] === "@") return payload.columns[value.slice(1)];
      return value[0] === "$" ? colour(value.slice(1)) : value;
    }
    if (Array.isArray(value)) return value.length && typeof value[0] !== "object" ? value : value.map(resolved);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, resolved(inner)]));
  };

  const laidOut = (id, layout) => {
    const axis = { gridcolor: colour("grid"), zerolinecolor: colour("rule"), linecolor: colour("rule"),
      tickfont: { color: colour("muted") }, automargin: true };
    const all = {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: "x unified",
      font: { family: "system-ui, -apple-system, Segoe UI, Roboto, Arial, sans-serif", size: 12, color: colour("ink") },
      margin: { l: 8, r: 8, t: 6, b: 8 }, showlegend: true,
      legend: { orientation: "h", traceorder: "normal", y: 1.02, yanchor: "bottom", x: 0,
        font: { color: colour("muted") } },
      hoverlabel: { bgcolor: colour("paper"), bordercolor: colour("rule"), font: { color: colour("ink") } },
      modebar: { color: colour("muted"), activecolor: colour("accent"), bgcolor: "rgba(0,0,0,0)" }
    };
    const own = resolved(layout);
    const out = { ...all, ...own };
    for (const key of ["xaxis", "yaxis", "yaxis2"]) {
      if (key === "yaxis2" && !own.yaxis2) continue;
      const mine = own[key] || {};
      const title = mine.title ? { title: { ...mine.title, font: { color: colour("muted"), size: 12 } } } : {};
      const kind = key === "xaxis" && payload.timed.includes(id) ? { type: "date" } : {};
      out[key] = { ...axis, ...kind, ...mine, ...title };
    }
    if (!own.xaxis && own.hovermode === undefined && !payload.timed.includes(id)) out.hovermode = "closest";
    return out;
  };

  const drawn = new Set();
  let moving = false;
  const follow = (id, element) => element.on("plotly_relayout", async change => {
    if (moving || !payload.timed.includes(id)) return;
    const ends = [change["xaxis.range[0]"], change["xaxis.range[1]"]];
    const range = change["xaxis.range"] || (ends[0] !== undefined ? ends : null);
    if (!range && !change["xaxis.autorange"]) return;
    moving = true;
    const view = element.closest("section.view");
    const others = payload.timed.filter(other => other !== id && drawn.has(other))
      .map(other => document.getElementById(other)).filter(other => view.contains(other));
    const update = range ? { "xaxis.range": range } : { "xaxis.autorange": true };
    await Promise.all(others.map(other => Plotly.relayout(other, update)));
    moving = false;
  });

  const draw = id => {
    const element = document.getElementById(id), figure = payload.figures[id];
    const config = { responsive: true, displaylogo: false, displayModeBar: "hover",
      modeBarButtons: [["toImage", "zoom2d", "pan2d", "autoScale2d"]] };
    Plotly.react(element, figure.data.map(resolved), laidOut(id, figure.layout), config);
    if (!drawn.has(id)) follow(id, element);
    drawn.add(id);
  };

  const show = name => {
    for (const view of document.querySelectorAll("section.view")) {
      view.hidden = view.dataset.view !== name;
      if (!view.hidden) view.querySelectorAll(".chart").forEach(chart => { if (!drawn.has(chart.id)) draw(chart.id); });
    }
    for (const button of document.querySelectorAll("nav.views button"))
      button.setAttribute("aria-pressed", String(button.dataset.view === name));
  };
  for (const button of document.querySelectorAll("nav.views button"))
    button.addEventListener("click", () => show(button.dataset.view));
  dark.addEventListener("change", () => drawn.forEach(draw));
  const first = document.querySelector("section.view");
  if (first) show(first.dataset.view);
})();
"""
