// @opensearch-project/opensearch.
"use strict";

const { Client } = require("@opensearch-project/opensearch");
const { run, MATCH, SETTINGS, MAPPINGS } = require("./script.js");

const body = async (answer) => (await answer).body;

class Adapter {
  constructor(url, { compress, sniff }) {
    this.client = new Client({ node: url, compression: compress ? "gzip" : false, sniffOnStart: sniff });
  }

  info() {
    return body(this.client.info());
  }

  async nodes() {
    await new Promise((done) => this.client.transport.sniff({ reason: "driver" }, done));
    return this.client.connectionPool.connections.map((connection) => connection.url.origin).sort();
  }

  createIndex(index) {
    return body(this.client.indices.create({ index, body: { settings: SETTINGS, mappings: MAPPINGS } }));
  }

  /** By its helper, which puts in what it is given: the id as well. */
  bulk(index, documents) {
    const datasource = documents.map((document) => ({ ...document.source, id: document.id }));
    const onDocument = (document) => ({ index: { _index: index, _id: document.id } });
    const bulk = this.client.helpers.bulk({ datasource, onDocument, refreshOnCompletion: index });
    return bulk.then(({ time, ...counts }) => counts);
  }

  get(index, id) {
    return body(this.client.get({ index, id }));
  }

  search(index, size, from) {
    return body(this.client.search({ index, body: { query: MATCH, size, from } }));
  }

  async msearch(indices, size) {
    const searches = indices.flatMap((index) => [{ index }, { query: MATCH, size }]);
    return (await body(this.client.msearch({ body: searches }))).responses;
  }

  count(index) {
    return body(this.client.count({ index, body: { query: MATCH } }));
  }

  /** By its helper, which is a scroll. */
  async walk(index) {
    const seen = [];
    for await (const page of this.client.helpers.scrollSearch({ index, body: { query: MATCH, size: 7 } })) {
      seen.push(...page.body.hits.hits.map((hit) => hit._id));
    }
    return seen;
  }

  refused(index) {
    return body(this.client.search({ index, body: { query: { guess: { text: "water" } } } }));
  }

  create(index, id, document) {
    return body(this.client.create({ index, id, body: document, refresh: true }));
  }

  update(index, id, doc) {
    return body(this.client.update({ index, id, body: { doc }, refresh: true }));
  }

  delete(index, id) {
    return body(this.client.delete({ index, id, refresh: true }));
  }

  close() {
    return this.client.close();
  }
}

run(Adapter, require("@opensearch-project/opensearch/package.json").version);
