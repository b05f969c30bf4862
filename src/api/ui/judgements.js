// What a person says of hits: a grade from 0 to 3 for each, by index and query. Owns NDCG of them, their place in the browser,
// and the files in the formats that crates/evaluation reads.

import { CLUSTER } from "./ask.js";

const PLACE = `rerank-proxy judgements of ${CLUSTER}`;
const CUTOFF = 10;

/** Grades by id, in an object that has no names of its own: a document may be called `__proto__`. */
const grades = (known = {}) => Object.assign(Object.create(null), known);

const keyOf = (index, text) => JSON.stringify([index, text]);

/** Judged queries by index and text: { index, text, request, grades: { id: { index, grade } }, before: [id], after: [id] }. */
let judged = read();

function read() {
  try {
    const kept = JSON.parse(localStorage.getItem(PLACE)) ?? [];
    return new Map(kept.map((query) => [keyOf(query.index, query.text), { ...query, grades: grades(query.grades) }]));
  } catch {
    return new Map();
  }
}

function write() {
  try {
    localStorage.setItem(PLACE, JSON.stringify([...judged.values()]));
  } catch {
    // A browser that keeps nothing: they live as long as the page.
  }
}

export const gradeOf = (index, text, id) => judged.get(keyOf(index, text))?.grades[id]?.grade ?? null;

/** Notes a grade, or takes it back with null. */
export function judge({ index, text, request }, hit, grade) {
  const key = keyOf(index, text);
  const query = judged.get(key) ?? { index, text, request, grades: grades(), before: [], after: [] };
  if (grade === null) delete query.grades[hit.id];
  else query.grades[hit.id] = { index: hit.index ?? index, grade };
  query.request = request;
  if (Object.keys(query.grades).length) judged.set(key, query);
  else judged.delete(key);
  write();
}

/** Notes the orders of a judged query, so that NDCG over all of them can be told. */
export function ordered(index, text, before, after) {
  const query = judged.get(keyOf(index, text));
  if (!query) return;
  Object.assign(query, { before: before.slice(0, CUTOFF), after: after.slice(0, CUTOFF) });
  write();
}

export function forget(index) {
  judged = new Map([...judged].filter(([, query]) => query.index !== index));
  write();
}

/** NDCG@10 of these ids, best first: the sum of each grade over log2(rank + 1), divided by that of the ideal order of all
    judged documents. It is the `nDCG@10` of ir-measures and of crates/evaluation. */
export function ndcg(ids, grades) {
  const discounted = (list) => list.slice(0, CUTOFF).reduce((sum, grade, at) => sum + Math.max(grade, 0) / Math.log2(at + 2), 0);
  const ideal = discounted(Object.values(grades).map(({ grade }) => grade).sort((one, other) => other - one));
  return ideal > 0 ? discounted(ids.map((id) => grades[id]?.grade ?? 0)) / ideal : 0;
}

const of = (index) => [...judged.values()].filter((query) => query.index === index);

/** The measures of one query and their mean over all judged queries of its index; null where nothing is judged. */
export function measures(index, text) {
  const all = of(index);
  if (!all.length) return null;
  const both = (query) => ({ before: ndcg(query.before, query.grades), after: ndcg(query.after, query.grades) });
  const mean = (side) => all.reduce((sum, query) => sum + both(query)[side], 0) / all.length;
  const here = judged.get(keyOf(index, text));
  const judgements = all.reduce((sum, query) => sum + Object.keys(query.grades).length, 0);
  return {
    here: here ? { ...both(here), judged: Object.keys(here.grades).length } : null,
    all: { before: mean("before"), after: mean("after"), queries: all.length, judgements },
  };
}

const lines = (list) => list.map((line) => `${line}\n`).join("");
const idOf = (at) => `q${at + 1}`;

/** BEIR's queries.jsonl. */
export const queriesFile = (index) => lines(of(index).map(({ text }, at) => JSON.stringify({ _id: idOf(at), text })));

/** BEIR's qrels.tsv. An id with a tab or a new line has no place in it. */
export function qrelsFile(index) {
  const rows = of(index).flatMap(({ grades }, at) =>
    Object.entries(grades).filter(([id]) => !/[\t\r\n]/.test(id)).map(([id, { grade }]) => `${idOf(at)}\t${id}\t${grade}`));
  return lines(["query-id\tcorpus-id\tscore", ...rows]);
}

/** The body of a `_rank_eval` request of Elasticsearch and OpenSearch. */
export function rankEvalFile(index) {
  const requests = of(index).map(({ request, grades }, at) => ({
    id: idOf(at),
    request,
    ratings: Object.entries(grades).map(([id, { index, grade }]) => ({ _index: index, _id: id, rating: grade })),
  }));
  const metric = { dcg: { k: CUTOFF, normalize: true } };
  return `${JSON.stringify({ requests, metric }, null, 2)}\n`;
}
