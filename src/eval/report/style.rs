//! How the HTML report looks: its style sheet, in light and dark, and the colours of the orders. It names nothing outside the file.

/// The colours of the orders besides the cluster's, which tell apart for colour-blind eyes too (Okabe and Ito, "Color universal design",
/// 2008); after the last the first comes again.
pub(super) const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1"];

/// The colour of the cluster's own order.
pub(super) const CLUSTER: &str = "#7a8290";

/// The style sheet.
pub(super) const CSS: &str = "\
:root { color-scheme: light dark; --ground: #ffffff; --panel: #f6f7f9; --line: #dfe3e8; --ink: #1c2430; --soft: #5a6472;
  --good: #0072b2; --bad: #d55e00; --warn: #fff4d6; --warn-ink: #6b4e00; }
@media (prefers-color-scheme: dark) { :root { --ground: #14181d; --panel: #1c222a; --line: #323b46; --ink: #e6eaef; --soft: #9aa6b4;
  --good: #56b4e9; --bad: #f08a4b; --warn: #3a3115; --warn-ink: #f3dc9a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif; }
main { max-width: 1280px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 4px; } h2 { font-size: 18px; margin: 40px 0 8px; } h3 { font-size: 15px; margin: 20px 0 6px; }
p { margin: 4px 0 12px; } .soft { color: var(--soft); } .small { font-size: 13px; }
code { font: 13px/1.4 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: 12px; margin: 24px 0 8px; }
.card { background: var(--panel); border: 1px solid var(--line); border-radius: 10px; padding: 14px 16px; }
.card b { display: block; font-size: 25px; line-height: 1.2; font-variant-numeric: tabular-nums; } .card span { color: var(--soft); font-size: 13px; }
.note { background: var(--warn); color: var(--warn-ink); border-radius: 8px; padding: 8px 14px; margin: 8px 0; font-size: 14px; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 13px; }
th, td { padding: 7px 8px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; vertical-align: bottom; } th:first-child, td:first-child { text-align: left; }
td:first-child { white-space: normal; min-width: 190px; } td small { display: block; color: var(--soft); font-size: 12px; } td.best { font-weight: 700; } .up { color: var(--good); } .down { color: var(--bad); }
.dot { display: inline-block; min-width: 20px; height: 20px; padding: 0 4px; border-radius: 10px; color: #fff; font: 600 12px/20px system-ui, sans-serif;
  text-align: center; margin-right: 8px; }
figure { margin: 8px 0; } svg { width: 100%; height: auto; display: block; } svg text { fill: var(--soft); font: 12px system-ui, sans-serif; }
svg .mark { fill: #fff; font-weight: 600; } svg .axis { stroke: var(--line); } svg .own { stroke: var(--soft); stroke-dasharray: 4 4; }
.good { fill: var(--good); stroke: var(--good); } .bad { fill: var(--bad); stroke: var(--bad); }
.gains { display: grid; grid-template-columns: repeat(auto-fill, minmax(340px, 1fr)); gap: 16px; }
.gains figure { background: var(--panel); border: 1px solid var(--line); border-radius: 10px; padding: 12px 14px; margin: 0; }
figcaption { font-size: 14px; margin-bottom: 6px; }
details { border: 1px solid var(--line); border-radius: 10px; margin: 8px 0; padding: 0 14px; } summary { cursor: pointer; padding: 9px 0; }
summary b { display: inline-block; min-width: 64px; font-variant-numeric: tabular-nums; } details[open] > summary { border-bottom: 1px solid var(--line); }
.sides { display: grid; grid-template-columns: 1fr 1fr; gap: 20px; padding: 10px 0 14px; } .sides h4 { margin: 0 0 4px; font-size: 13px; color: var(--soft); }
ol { margin: 0; padding: 0; list-style: none; font-size: 13px; } li { display: grid; grid-template-columns: 22px 28px 40px 1fr; gap: 6px; padding: 3px 0; }
li > * { min-width: 0; } .rank { color: var(--soft); text-align: right; } .grade { border-radius: 6px; text-align: center; background: var(--panel); color: var(--soft); height: 20px; line-height: 20px; }
.grade.hit { background: var(--good); color: var(--ground); font-weight: 600; } .moved { color: var(--soft); }
@media (max-width: 760px) { .sides { grid-template-columns: 1fr; } main { padding: 20px 14px 40px; } }
@media print { details { break-inside: avoid; } }
";

/// The colour of the order at this place, the cluster's own being the first.
pub(super) fn colour(place: usize) -> &'static str {
    match place {
        0 => CLUSTER,
        place => COLOURS[(place - 1) % COLOURS.len()],
    }
}
