// The loop of the page: what a person does changes the state, the state is asked for, and the answer is shown. Owns that a late
// answer never takes the place of a newer one.

import * as ask from "./ask.js";
import * as controls from "./controls.js";
import { figures, measure } from "./details.js";
import { at, download, make } from "./dom.js";
import * as judgements from "./judgements.js";
import * as keys from "./keys.js";
import * as lists from "./lists.js";
import { explained, hasPlace, mistakeIn, usual, wanted, withQuery } from "./requests.js";
import { load, save, state } from "./state.js";

/** What is known of the proxy and the cluster. */
const known = { rules: [], models: [], engine: null, solr: false, indices: [], fields: [] };

/** The last answer, and what it answers. */
let last = { answer: null, asked: null };
let running = null;
let timer = 0;
/** False until it is known what there is to ask: what is typed before is asked for then. */
let isReady = false;

const usualRequest = () => usual(state.index, known.solr, known.fields);
const request = () => {
  const { path, body } = usualRequest();
  return { path: state.path ?? path, body: state.body ?? body };
};

async function changed(what, delay) {
  document.body.classList.add("waiting");
  // What was asked before answers another question.
  running?.abort();
  if (what === "index") await learnFields();
  save();
  controls.showState(request(), last.answer?.plan);
  clearTimeout(timer);
  timer = setTimeout(search, delay);
}

/** Asks for the search, unless there is nothing to ask. */
async function search() {
  if (!isReady) return;
  running?.abort();
  const mine = new AbortController();
  running = mine;
  const template = request();
  if (!state.index && state.path === null) return say("Choose an index.");
  if (hasPlace(template) && !state.q.trim()) return say("Type a query, or paste a search of your own into the request.");
  const sent = withQuery(template, state.q);
  if (mistakeIn(sent.body)) {
    at("request").open = true;
    return say("The body of the request is not JSON.");
  }
  try {
    const answer = await ask.explain(explained(sent, wanted(state, known.rules)), mine.signal);
    if (running === mine) show(answer, sent);
  } catch (error) {
    if (running === mine && error.name !== "AbortError") refused(error);
  } finally {
    if (running === mine) document.body.classList.remove("waiting");
  }
}

function show(answer, sent) {
  const { status } = answer.cluster ?? {};
  const text = hasPlace(request()) ? state.q.trim() : (answer.query?.text ?? state.q.trim());
  const asked = { index: state.index || sent.path, text, request: bodyOf(sent), from: answer.plan?.from ?? 0 };
  last = { answer, asked };
  if (status === 401 || status === 403) controls.askForAccess("cluster", signIn);
  say(answer.after?.length ? "" : status >= 400 ? "The cluster refused the search." : "Nothing was found.");
  const ids = (hits) => (hits ?? []).map((hit) => hit.id);
  if (asked.from === 0) judgements.ordered(asked.index, text, ids(answer.before), ids(answer.after));
  at("outcome").hidden = false;
  at("figures").replaceChildren(...figures(answer, text));
  showMeasure();
  at("lists").hidden = at("choose-list").hidden = !answer.after?.length;
  lists.show({
    before: answer.before ?? [],
    after: answer.after ?? [],
    query: text,
    animated: true,
    gradeOf: (hit) => judgements.gradeOf(asked.index, text, hit.id),
    judge,
  });
  controls.showState(request(), answer.plan);
}

/** The search as JSON, for `_rank_eval`. */
function bodyOf({ body }) {
  return body.trim() ? JSON.parse(body) : { query: { query_string: { query: state.q } } };
}

function judge(hit, grade) {
  const { asked, answer } = last;
  judgements.judge(asked, hit, grade);
  const ids = (hits) => hits.map((hit) => hit.id);
  if (asked.from === 0) judgements.ordered(asked.index, asked.text, ids(answer.before), ids(answer.after));
  showMeasure();
  lists.repeat();
}

function showMeasure() {
  const { index, text } = last.asked;
  const file = (name, type, make_) => make("button", { type: "button", on: { click: () => download(name, type, make_(index)) } }, name);
  const files = [
    file("queries.jsonl", "application/jsonl", judgements.queriesFile),
    file("qrels.tsv", "text/tab-separated-values", judgements.qrelsFile),
    !known.solr && file("rank_eval.json", "application/json", judgements.rankEvalFile),
    make("button", { type: "button", className: "quiet", on: { click: forget } }, "Forget them"),
  ].filter(Boolean);
  at("measure").replaceChildren(...measure(judgements.measures(index, text), files));
}

function forget() {
  if (!confirm(`Forget all judgements of ${last.asked.index}?`)) return;
  judgements.forget(last.asked.index);
  showMeasure();
  lists.repeat();
}

function say(text, isMistake = false) {
  document.body.classList.remove("waiting");
  at("notice").textContent = text;
  at("notice").classList.toggle("mistake", isMistake);
}

function refused(error) {
  if (error.whose === "cluster" && (error.status === 401 || error.status === 403)) controls.askForAccess("cluster", signIn);
  if (error.whose === "proxy" && error.status === 401) controls.askForAccess("proxy", signIn);
  say(error.message, true);
}

function signIn(given) {
  ask.setAccess(given);
  begin();
}

/** Learns what there is to choose from. What is refused leaves a field to type in. */
async function learn() {
  try {
    Object.assign(known, await ask.info());
  } catch (error) {
    refused(error);
  }
  try {
    Object.assign(known, await ask.indices(known.engine));
  } catch (error) {
    // Who may search need not be allowed to list indices (403).
    known.solr = known.engine === "solr";
    if (error.status === 401) controls.askForAccess("cluster", signIn);
  }
  state.index ||= known.indices[0]?.name ?? "";
  controls.offerIndices(known.indices);
  controls.offerRankers(known);
  await learnFields();
}

async function learnFields() {
  const { index } = state;
  const fields = index ? await ask.textFields(index, known.solr) : [];
  if (state.index === index) known.fields = fields;
}

async function begin() {
  isReady = false;
  load();
  controls.showLoaded({ path: "", body: "" });
  await learn();
  controls.showLoaded(request());
  isReady = true;
  at("request").open ||= state.path !== null || state.body !== null;
  changed("search", 0);
}

// Where there is room the controls are always there.
at("reranking").open = matchMedia("(min-width: 821px)").matches;
controls.listen(changed, usualRequest);
keys.listen(judge);
addEventListener("hashchange", begin);
at("show-help").addEventListener("click", () => at("help").showModal());
at("copy-link").addEventListener("click", async () => {
  save();
  // Without TLS, and not on this machine, there is no clipboard.
  try {
    await navigator.clipboard.writeText(location.href);
    say("The link is copied.");
  } catch {
    say("The link is in the address bar.");
  }
});
for (const button of at("choose-list").children) {
  button.addEventListener("click", () => {
    at("lists").dataset.shown = button.dataset.list;
    for (const other of at("choose-list").children) other.setAttribute("aria-pressed", String(other === button));
    lists.connect();
  });
}
begin();
