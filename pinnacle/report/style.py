"""How the report page looks: one style sheet, light and dark by the reader's own setting.

Buy and sell are blue and orange, which every common kind of colour blindness tells apart; gain and loss are never told
by colour alone, because their numbers carry a sign.
"""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --paper: #ffffff; --ink: #16202c; --muted: #5c6875; --rule: #dfe4ea; --grid: #e8ecf0;
  --accent: #2f5bd0; --accentsoft: rgba(47, 91, 208, .13);
  --buy: #0072b2; --sell: #c65102; --gain: #0f7b4f; --loss: #b3261e; --losssoft: rgba(179, 38, 30, .16);
  --warn: #7a4d00; --warnpaper: #fff6e0; --warnrule: #eed9a4;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0e1318; --paper: #161d25; --ink: #e7ecf2; --muted: #9aa7b5; --rule: #2a343f; --grid: #232c36;
    --accent: #86a8ff; --accentsoft: rgba(134, 168, 255, .16);
    --buy: #56b4e9; --sell: #f09a4a; --gain: #52c795; --loss: #ff8a80; --losssoft: rgba(255, 138, 128, .18);
    --warn: #f3cf7a; --warnpaper: #2a2314; --warnrule: #4d4020;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); line-height: 1.45;
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main, header > div { max-width: 1320px; margin: 0 auto; padding: 0 24px; }
header { background: var(--paper); border-bottom: 1px solid var(--rule); padding: 22px 0 18px; }
h1 { font-size: 24px; font-weight: 650; letter-spacing: -.01em; margin: 0 0 4px; }
h1 small { font-size: 15px; font-weight: 400; color: var(--muted); letter-spacing: 0; }
h2 { font-size: 17px; font-weight: 650; margin: 34px 0 12px; }
h3 { font-size: 14px; font-weight: 650; margin: 0; }
p { margin: 0 0 8px; }
.lead { color: var(--muted); margin: 0; } .lead + .grid { margin-top: 12px; }
.badge { display: inline-block; border: 1px solid var(--rule); border-radius: 999px; padding: 1px 10px;
  font-size: 12.5px; font-weight: 400; letter-spacing: 0; color: var(--muted); vertical-align: 3px; margin-left: 6px; }
.badge.bad { color: var(--warn); border-color: var(--warnrule); background: var(--warnpaper); }
.facts { display: flex; flex-wrap: wrap; gap: 4px 28px; margin: 14px 0 0; font-size: 13.5px; }
.facts div { display: flex; gap: 8px; }
.facts dt { color: var(--muted); } .facts dd { margin: 0; overflow-wrap: anywhere; }
.warnings { margin: 18px 0 0; padding: 10px 16px; background: var(--warnpaper); border: 1px solid var(--warnrule);
  border-radius: 8px; color: var(--warn); font-size: 13.5px; }
.warnings ul { margin: 0; padding-left: 18px; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(190px, 1fr)); gap: 12px; margin: 18px 0 0; }
.card { background: var(--paper); border: 1px solid var(--rule); border-radius: 10px; padding: 12px 14px 11px; }
.card .label { font-size: 12.5px; color: var(--muted); }
.card .value { font-size: 22px; font-weight: 620; letter-spacing: -.01em; font-variant-numeric: tabular-nums;
  white-space: nowrap; }
.card .value small { font-size: 12.5px; font-weight: 400; color: var(--muted); letter-spacing: 0; }
.card .under { font-size: 12.5px; color: var(--muted); font-variant-numeric: tabular-nums; }
.gain { color: var(--gain); } .loss { color: var(--loss); }
.grid { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 14px; }
.panel { background: var(--paper); border: 1px solid var(--rule); border-radius: 10px; padding: 14px 16px 10px;
  min-width: 0; }
.wide { grid-column: 1 / -1; }
.panel p { color: var(--muted); font-size: 13px; margin: 2px 0 6px; }
.panel p.note { font-size: 12px; margin: 2px 0 0; }
.chart { height: 290px; } .chart.tall { height: 350px; } .chart.main { height: 420px; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 650; font-size: 14px; padding: 0 0 6px; }
th, td { text-align: right; padding: 4px 10px 4px 0; border-top: 1px solid var(--grid); vertical-align: top; }
thead th { color: var(--muted); font-weight: 500; border-top: 0; }
th:first-child, td:first-child { text-align: left; font-weight: 400; }
tbody th { color: var(--ink); }
.scroll { overflow-x: auto; }
nav.views { display: flex; flex-wrap: wrap; gap: 8px; margin: 20px 0 0; }
nav.views button { font: inherit; font-size: 14px; color: var(--ink); background: var(--paper); cursor: pointer;
  border: 1px solid var(--rule); border-radius: 8px; padding: 6px 14px; }
nav.views button[aria-pressed="true"] { border-color: var(--accent); color: var(--accent); font-weight: 600; }
button:focus-visible, summary:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
details { background: var(--paper); border: 1px solid var(--rule); border-radius: 10px; padding: 10px 16px;
  margin: 0 0 10px; }
summary { cursor: pointer; font-weight: 600; font-size: 14px; }
details > div { margin-top: 10px; overflow-x: auto; }
pre { overflow-x: auto; font: 12.5px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; margin: 0; }
code { font: 12.5px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
footer { color: var(--muted); font-size: 12.5px; padding: 20px 0 40px; }
section[hidden] { display: none; }
@media (max-width: 900px) { .grid { grid-template-columns: minmax(0, 1fr); } main, header > div { padding: 0 14px; }
  .cards { grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); } .panel { overflow-x: auto; } }
@media print { nav.views { display: none; } .panel, .card { break-inside: avoid; } }
"""
