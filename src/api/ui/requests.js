// The search that is sent: made from the index and its text fields, or written by a person. Owns what `{{query}}` stands for,
// and what the controls ask of the proxy. Pure.

const PLACE = "{{query}}";
const SIZE = 10;

/** The request that is made of an index: a path and a body with a place for the query. */
export function usual(index, solr, fields) {
  const name = index.split(",").map(encodeURIComponent).join(",").replaceAll("%2A", "*");
  if (solr) {
    const query = fields.length ? `defType=edismax&qf=${fields.map(encodeURIComponent).join("+")}&` : "";
    return { path: `/solr/${name}/select?${query}q=${PLACE}&rows=${SIZE}`, body: "" };
  }
  const query = { query: PLACE, ...(fields.length ? { fields } : { lenient: true }) };
  return { path: `/${name}/_search`, body: pretty({ query: { multi_match: query }, size: SIZE }) };
}

/** JSON to read, with lists of names on one line. */
const pretty = (value) =>
  JSON.stringify(value, null, 2).replace(/\[\s+("[^\]]*")\s+\]/g, (_, names) => `[${names.replace(/\s*\n\s*/g, " ")}]`);

/** The text in the body that is no JSON, as a sentence; null where it is. */
export function mistakeIn(body) {
  if (!body.trim()) return null;
  try {
    JSON.parse(body);
    return null;
  } catch (error) {
    return `This is not JSON: ${error.message}`;
  }
}

/** True where a query has a place in the request. */
export const hasPlace = ({ path, body }) => path.includes(PLACE) || body.includes(PLACE);

/** The path and body with the query in its place. */
export function withQuery({ path, body }, query) {
  return {
    path: path.replaceAll(PLACE, () => encodeURIComponent(query)),
    // A function, since `$&` and its like mean something in a text that replaces.
    body: body.replaceAll(PLACE, () => JSON.stringify(query).slice(1, -1)),
  };
}

/** What the proxy is asked to explain. */
export function explained({ path, body }, rerank) {
  if (!body.trim()) return { method: "GET", path, body: null, rerank };
  return { method: "POST", path, body, content_type: "application/json", rerank };
}

/** What the controls ask for otherwise than the rule. */
export function wanted(state, rules) {
  const rerank = {};
  const [kind, name] = [state.ranker.slice(0, state.ranker.indexOf(":")), state.ranker.slice(state.ranker.indexOf(":") + 1)];
  const rule = kind === "rule" ? rules.find((rule) => String(rule.number) === name) : null;
  if (kind === "model") rerank.model = name;
  if (rule) Object.assign(rerank, { model: rule.model, window: rule.window, blend: rule.blend, budget: `${rule.budget_ms}ms` });
  if (state.window !== null) rerank.window = state.window;
  if (state.budget) rerank.budget = state.budget;
  if (state.blend === "replace") rerank.blend = { method: "replace" };
  if (state.blend === "linear") rerank.blend = { method: "linear", weight: state.weight };
  if (state.blend === "rrf") rerank.blend = { method: "rrf", k: state.k };
  return rerank;
}
