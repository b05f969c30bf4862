"""opensearch-py: bodies as dicts, no product check."""

import opensearchpy
import opensearchpy.helpers

import script
from script import MAPPINGS, MATCH, SETTINGS


class Adapter:
    def __init__(self, url, compress, sniff):
        self.client = opensearchpy.OpenSearch(url, timeout=60, http_compress=compress, sniff_on_start=sniff)
        self.info = self.client.info

    def nodes(self):
        return sorted(node.host for node in self.client.transport.connection_pool.connections)

    def create_index(self, index):
        return self.client.indices.create(index=index, body={"settings": SETTINGS, "mappings": MAPPINGS})

    def bulk(self, index, documents):
        actions = [{"_index": index, "_id": document["id"], "_source": document["source"]} for document in documents]
        return opensearchpy.helpers.bulk(self.client, actions, refresh=True)

    def get(self, index, key):
        return self.client.get(index=index, id=key)

    def search(self, index, size, start):
        return self.client.search(index=index, body={"query": MATCH, "size": size, "from": start})

    def ids(self, index):
        return [hit["_id"] for hit in self.search(index, 10, 0)["hits"]["hits"]]

    def msearch(self, indices, size):
        searches = [part for index in indices for part in ({"index": index}, {"query": MATCH, "size": size})]
        return self.client.msearch(body=searches)["responses"]

    def count(self, index):
        return self.client.count(index=index, body={"query": MATCH})

    def walk(self, index):
        """By a point in time and `search_after`, and by a scroll."""
        pit = self.client.create_pit(index=index, params={"keep_alive": "1m"})["pit_id"]
        seen, after = [], {}
        while True:
            body = {"pit": {"id": pit, "keep_alive": "1m"}, "query": MATCH, "sort": [{"number": "asc"}], "size": 7, **after}
            page = self.client.search(body=body)["hits"]["hits"]
            if not page:
                break
            seen += [hit["_id"] for hit in page]
            after = {"search_after": page[-1]["sort"]}
        self.client.delete_pit(body={"pit_id": [pit]})
        body = {"query": MATCH}
        return seen, [hit["_id"] for hit in opensearchpy.helpers.scan(self.client, index=index, query=body, size=7)]

    def refused(self, index):
        return self.client.search(index=index, body={"query": {"guess": {"text": "water"}}})

    def create(self, index, key, document):
        return self.client.create(index=index, id=key, body=document["source"], refresh=True)

    def update(self, index, key, changes):
        return self.client.update(index=index, id=key, body={"doc": changes}, refresh=True)

    def delete(self, index, key):
        return self.client.delete(index=index, id=key, refresh=True)


script.run(Adapter, opensearchpy.__versionstr__)
