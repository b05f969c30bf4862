// Why a hit is where it is, and what was done for the whole answer: figures, stages, measures. Owns their words.

import { make, shown, time } from "./dom.js";

const fact = (name, value) => make("div", {}, make("dt", {}, name), make("dd", {}, value));

/** What is told of one hit when it is opened. */
export function details(hit) {
  const { rank, score } = hit;
  const facts = [
    rank && fact("Rank", `${rank.before ?? "–"} → ${rank.after ?? "–"}`),
    score && fact("Cluster’s score", shown(score.before)),
    score && fact("Model’s output", shown(score.model)),
    score && fact("Score", shown(score.after)),
    typeof score?.probability === "number" && fact("Probability", `${Math.round(score.probability * 100)} %`),
    hit.stage && fact("Stage", hit.stage),
    typeof hit.cached === "boolean" && fact("From the cache", hit.cached ? "yes" : "no"),
    hit.truncated && fact("Passage", "longer than the model reads"),
    hit.moved && fact("Put there", hit.moved),
    fact("Id", `${hit.index ? `${hit.index} / ` : ""}${hit.id}`),
  ];
  return [make("dl", { className: "facts" }, facts), signals(hit.signals), passage(hit), source(hit.source)];
}

/** What each signal adds to the score, as bars from one zero. */
function signals(list) {
  if (!list?.length) return null;
  const most = Math.max(...list.map(({ share }) => Math.abs(share ?? 0)), 1e-9);
  const row = ({ name, value, share }) => make("tr", {},
    make("th", { scope: "row" }, name),
    make("td", {}, shown(value)),
    make("td", {}, make("span", { className: "bar", style: { width: `${(Math.abs(share ?? 0) / most) * 5}rem` } }), ` ${shown(share)}`));
  const head = ["Signal", "Says", "Adds"].map((name) => make("th", { scope: "col" }, name));
  return make("table", { className: "signals" }, make("thead", {}, make("tr", {}, head)), make("tbody", {}, list.map(row)));
}

/** The text that the model read, with the piece that won. */
function passage({ passage, window }) {
  if (!passage) return null;
  const letters = [...passage];
  const part = (from, to) => letters.slice(from, to).join("");
  const text = window ? [part(0, window.start), make("mark", {}, part(window.start, window.end)), part(window.end)] : [passage];
  return make("div", { className: "passage" }, make("h3", {}, "What the model read"), make("p", {}, text));
}

function source(document) {
  if (!document) return null;
  return make("details", { className: "source" }, make("summary", {}, "The document"),
    make("pre", { tabIndex: 0, role: "region", "aria-label": "The document as JSON" }, JSON.stringify(document, null, 2)));
}

const HINTS = { applied: "Reranked", skipped: "Not reranked", failed: "Could not be reranked" };

/** What was done for the answer to the query `asked`. */
export function figures(answer, asked) {
  const { outcome, reason, because, plan, figures: counted, rule, query, cluster } = answer;
  const told = [];
  if (counted) told.push(`${counted.scored} of ${counted.window} hits scored`, `${counted.cached} from the cache`);
  if (counted?.budget_hit) told.push("cut short by the budget");
  if (counted?.shed) told.push(`${counted.shed} left out for want of room`);
  if (plan?.model) told.push(`with ${plan.model}`);
  if (rule) told.push(`rule ${rule.number} (${rule.index.join(", ")})`);
  if (query && query.text !== asked) told.push(`the model reads “${query.text}”, from ${query.source}`);
  return [
    make("p", { className: "verdict" },
      make("strong", { className: outcome }, HINTS[outcome] ?? outcome),
      reason && make("code", {}, reason), make("span", {}, told.join(" · "))),
    because && make("p", { className: "because" }, because),
    cluster?.error && make("p", { className: "mistake" }, `The cluster says (${cluster.status}): ${cluster.error}`),
    stages(answer.stages ?? []),
  ].filter(Boolean);
}

/** The time of each stage, as parts of one bar. */
function stages(list) {
  const whole = list.reduce((sum, { ms }) => sum + ms, 0);
  if (!whole) return null;
  const part = ({ ms }, at) => make("span", { className: `s${at % 6}`, style: { "flex-grow": String(ms) } });
  const name = ({ name, ms }, at) => make("li", {}, make("i", { className: `s${at % 6}` }), `${name} ${time(ms)}`);
  return make("div", { className: "stages" },
    make("div", { className: "parts", "aria-hidden": "true" }, list.map(part)),
    make("ul", { "aria-label": `Time by stage, ${time(whole)} in all` }, list.map(name), make("li", { className: "whole" }, `${time(whole)}`)));
}

const several = (number, one, many) => `${number} ${number === 1 ? one : many}`;

const change = ({ before, after }) => {
  const by = after - before;
  const name = by > 0.0005 ? "up" : by < -0.0005 ? "down" : "same";
  return [before.toFixed(3), " → ", make("b", {}, after.toFixed(3)), " ",
    make("span", { className: `move ${name}` }, `${by < 0 ? "−" : "+"}${Math.abs(by).toFixed(3)}`)];
};

/** NDCG by the judgements, and what can be done with them. `files`: buttons. */
export function measure(told, files) {
  if (!told) {
    return [make("p", { className: "hint" }, "Judge hits with 0 1 2 3 and see NDCG@10 of both orders here.")];
  }
  const { here, all } = told;
  return [
    make("p", { className: "ndcg" }, make("span", {}, "NDCG@10 "), here ? change(here) : "not judged yet"),
    make("p", { className: "hint" }, `${several(all.queries, "judged query", "judged queries")}, ${several(all.judgements, "judgement", "judgements")}: `, change(all)),
    make("p", { className: "files" }, files),
  ];
}
