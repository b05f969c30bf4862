// The script that the Node drivers of the client matrix run; ../README.md has the steps. A driver hands over an adapter: what its client
// spells its own way.
"use strict";

const fs = require("node:fs");

const RULED = "scratch-clients";
const PLAIN = "bystander-clients";
const FLAKY = ["flaky-503", "flaky-429", "always-503"];
const QUERY = "how do I keep the water in a small house warm and clean";
const MATCH = { match: { text: QUERY } };
const SETTINGS = { number_of_shards: 1, number_of_replicas: 0 };
const MAPPINGS = { properties: { number: { type: "integer" }, title: { type: "text" }, text: { type: "text" } } };
const PAGE = 10;
const PAGES = 3;
const SEARCHES = 32;

/** What a user of the client sees of an action: its result, or its error. */
async function shown(action) {
  try {
    return await action();
  } catch (error) {
    return { error: error.name, status: error.statusCode, said: error.message };
  }
}

/** Searches over all connections of the pool, all at once. */
async function atOnce(client) {
  const searches = Array.from({ length: SEARCHES }, (_, place) => client.search([RULED, PLAIN][place % 2], PAGE, 0));
  const found = (await Promise.all(searches)).map((answer) => answer.hits.hits.map((hit) => hit._id).join());
  const different = (side) => [...new Set(found.filter((_, place) => place % 2 === side))].sort();
  return { ruled: different(0).length, plain: different(1) };
}

async function steps(client, documents) {
  const seen = { info: await shown(() => client.info()) };
  for (const index of [RULED, PLAIN]) {
    seen[`create ${index}`] = await shown(() => client.createIndex(index));
    seen[`bulk ${index}`] = await shown(() => client.bulk(index, documents));
  }
  for (const [kind, index] of [["ruled", RULED], ["plain", PLAIN]]) {
    seen[`${kind} pages`] = [];
    for (let page = 0; page < PAGES; page++) seen[`${kind} pages`].push(await shown(() => client.search(index, PAGE, page * PAGE)));
  }
  seen.get = await shown(() => client.get(PLAIN, "d1"));
  seen.count = await shown(() => client.count(RULED));
  const both = await client.msearch([RULED, PLAIN], PAGE * PAGES);
  seen["ruled msearch"] = [both[0]];
  seen["plain msearch"] = [both[1]];
  seen.walk = await shown(() => client.walk(RULED));
  seen["at once"] = await atOnce(client);
  seen.missing = await shown(() => client.get(PLAIN, "none"));
  seen["no index"] = await shown(() => client.search("scratch-none", PAGE, 0));
  seen.refused = await shown(() => client.refused(RULED));
  seen.conflict = await shown(() => client.create(PLAIN, "d1", documents[0].source));
  seen.update = await shown(() => client.update(PLAIN, "d1", { title: "Grüße aus Köln 東京" }));
  seen.updated = await shown(() => client.get(PLAIN, "d1"));
  seen.delete = await shown(() => client.delete(PLAIN, "d1"));
  seen.deleted = await shown(() => client.get(PLAIN, "d1"));
  return seen;
}

const MODES = {
  steps,
  compressed: steps,
  sniff: async (client) => ({ nodes: await client.nodes(), search: await shown(() => client.search(RULED, PAGE, 0)) }),
  product: async (client) => ({ info: await shown(() => client.info()) }),
  async retries(client) {
    const seen = {};
    for (const index of FLAKY) seen[index] = await shown(() => client.search(index, PAGE, 0));
    return seen;
  },
};

/** Runs the mode that the command line asks for: MODE URL DOCUMENTS, and prints what was seen. */
async function run(Adapter, version) {
  const [mode, url, file] = process.argv.slice(2);
  const client = new Adapter(url, { compress: mode === "compressed", sniff: mode === "sniff" });
  const seen = await MODES[mode](client, JSON.parse(fs.readFileSync(file, "utf8")));
  process.stdout.write(JSON.stringify({ version, seen }));
  await client.close();
}

module.exports = { run, MATCH, SETTINGS, MAPPINGS };
