// @elastic/elasticsearch, 8 and 9, whichever the first argument names.
"use strict";

const [name] = process.argv.splice(2, 1);
const fs = require("node:fs");

const { Client } = require(name);
const { run, MATCH, SETTINGS, MAPPINGS } = require("./script.js");

class Adapter {
  constructor(url, { compress, sniff }) {
    this.client = new Client({ node: url, compression: compress, sniffOnStart: sniff });
    this.sniffed = new Promise((done) => this.client.diagnostic.on("sniff", (error) => done(error)));
  }

  info() {
    return this.client.info();
  }

  /** Once the client has looked, which it begins when it is made. */
  async nodes() {
    await this.sniffed;
    return this.client.connectionPool.connections.map((connection) => connection.url.origin).sort();
  }

  createIndex(index) {
    return this.client.indices.create({ index, settings: SETTINGS, mappings: MAPPINGS });
  }

  bulk(index, documents) {
    const onDocument = (document) => [{ index: { _index: index, _id: document.id } }, document.source];
    const bulk = this.client.helpers.bulk({ datasource: documents, onDocument, refreshOnCompletion: index });
    return bulk.then(({ time, ...counts }) => counts);
  }

  get(index, id) {
    return this.client.get({ index, id });
  }

  search(index, size, from) {
    return this.client.search({ index, query: MATCH, size, from });
  }

  async msearch(indices, size) {
    const searches = indices.flatMap((index) => [{ index }, { query: MATCH, size }]);
    return (await this.client.msearch({ searches })).responses;
  }

  count(index) {
    return this.client.count({ index, query: MATCH });
  }

  /** By its helper, which is a scroll. */
  async walk(index) {
    const seen = [];
    for await (const page of this.client.helpers.scrollSearch({ index, query: MATCH, size: 7 })) {
      seen.push(...page.body.hits.hits.map((hit) => hit._id));
    }
    return seen;
  }

  refused(index) {
    return this.client.search({ index, query: { guess: { text: "water" } } });
  }

  create(index, id, document) {
    return this.client.create({ index, id, document, refresh: true });
  }

  update(index, id, doc) {
    return this.client.update({ index, id, doc, refresh: true });
  }

  delete(index, id) {
    return this.client.delete({ index, id, refresh: true });
  }

  close() {
    return this.client.close();
  }
}

run(Adapter, JSON.parse(fs.readFileSync(`${process.env.NODE_PATH}/${name}/package.json`)).version);
