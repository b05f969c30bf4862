// What the page asks: the proxy for its rules and for explained searches, the cluster (through the proxy) for its indices and
// their fields. Owns the credentials, which are in this file's memory and nowhere else.

const HERE = document.baseURI.split("#")[0];

/** The beginning of the cluster's paths, and of what is kept in the browser. */
export const CLUSTER = new URL("..", HERE).href;

/** `cluster`: the value of `Authorization`. `key`: of the rerank API. `cookies`: whether the browser's own are sent. */
const access = { cluster: null, key: null, cookies: false };

export const setAccess = (given) => Object.assign(access, given);

/** An answer that is none: `status` of HTTP or 0, `whose` ("proxy" or "cluster") refusal it is. */
export class Refusal extends Error {
  constructor(message, status, whose) {
    super(message);
    Object.assign(this, { status, whose });
  }
}

async function ask(url, whose, options = {}) {
  // Without cookies the browser does not ask for a password of its own, which it would keep.
  const credentials = access.cookies ? "same-origin" : "omit";
  let response;
  try {
    response = await fetch(url, { cache: "no-store", credentials, ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal("The proxy cannot be reached.", 0, "proxy");
  }
  const text = await response.text();
  let answer = null;
  try {
    answer = JSON.parse(text);
  } catch {
    if (response.ok) throw new Refusal("The answer is not JSON.", response.status, whose);
  }
  if (!response.ok) throw new Refusal(reasonIn(answer) ?? `HTTP ${response.status}`, response.status, whose);
  return answer;
}

function reasonIn(answer) {
  const error = answer?.error;
  return typeof error === "string" ? error : (error?.reason ?? error?.msg ?? answer?.message ?? null);
}

const forCluster = () => (access.cluster ? { authorization: access.cluster } : {});

/** What the proxy says of itself: `engine`, `models` and `rules`. */
export async function info() {
  const headers = access.key ? { authorization: `Bearer ${access.key}` } : {};
  const told = await ask(new URL("info", HERE), "proxy", { headers });
  return { engine: null, models: [], rules: [], ...told.proxy };
}

/** A search before and after reranking. */
export function explain(request, signal) {
  const headers = { "content-type": "application/json", ...forCluster() };
  if (access.key) headers["x-rerank-key"] = access.key;
  return ask(new URL("explain", HERE), "proxy", { method: "POST", headers, body: JSON.stringify(request), signal });
}

const get = (path) => ask(new URL(path, CLUSTER), "cluster", { headers: { accept: "application/json", ...forCluster() } });

/** The cluster's indices, and whether they are Solr's: [{ name, documents }]. */
export async function indices(engine) {
  if (engine !== "solr") {
    try {
      const rows = await get("_cat/indices?format=json&h=index,docs.count&s=index");
      const open = rows.filter((row) => !row.index.startsWith("."));
      return { solr: false, indices: open.map((row) => ({ name: row.index, documents: Number(row["docs.count"]) })) };
    } catch (error) {
      if (engine !== null || error.status === 401 || error.status === 403) throw error;
    }
  }
  const told = await get("solr/admin/cores?action=STATUS&wt=json").then(ofCores, async (error) => {
    if (error.status === 401 || error.status === 403) throw error;
    const { collections } = await get("solr/admin/collections?action=LIST&wt=json");
    return collections.map((name) => ({ name, documents: NaN }));
  });
  return { solr: true, indices: told };
}

/** In SolrCloud a core is a replica of a shard, and searches name its collection. */
function ofCores({ status }) {
  const found = new Map();
  for (const [name, core] of Object.entries(status)) {
    const known = core.cloud?.collection ?? name;
    found.set(known, { name: known, documents: core.index?.numDocs ?? NaN });
  }
  return [...found.values()].sort((one, other) => one.name.localeCompare(other.name));
}

const MOST_FIELDS = 20;

/** The fields of an index that hold text, or none where they are not told. */
export async function textFields(index, solr) {
  try {
    const names = solr ? await solrFields(index) : await mappedFields(index);
    return names.slice(0, MOST_FIELDS);
  } catch {
    return [];
  }
}

async function solrFields(index) {
  const { fields } = await get(`solr/${encodeURIComponent(index)}/schema/fields?wt=json`);
  const isText = (field) => /^text/.test(field.type) && field.indexed !== false && !field.name.startsWith("_");
  return fields.filter(isText).map((field) => field.name);
}

async function mappedFields(index) {
  const found = new Set();
  const walk = (properties, prefix) => {
    for (const [name, field] of Object.entries(properties ?? {})) {
      if (["text", "match_only_text", "search_as_you_type"].includes(field.type) && field.index !== false) found.add(prefix + name);
      // What is nested is no part of the document itself to a query.
      if (field.type !== "nested") walk(field.properties, `${prefix}${name}.`);
    }
  };
  for (const { mappings } of Object.values(await get(`${encodeURIComponent(index)}/_mapping`))) walk(mappings?.properties, "");
  return [...found].sort();
}
