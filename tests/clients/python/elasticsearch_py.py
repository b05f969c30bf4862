"""elasticsearch-py, 8 and 9: keyword arguments, a product check, bodies as dicts."""

import elasticsearch
import elasticsearch.helpers

import script
from connected import Connected
from script import MAPPINGS, MATCH, SETTINGS


class Adapter(Connected):
    def create_index(self, index):
        return self.client.indices.create(index=index, settings=SETTINGS, mappings=MAPPINGS)

    def bulk(self, index, documents):
        actions = [{"_index": index, "_id": document["id"], "_source": document["source"]} for document in documents]
        return elasticsearch.helpers.bulk(self.client, actions, refresh=True)

    def get(self, index, key):
        return self.client.get(index=index, id=key)

    def search(self, index, size, start):
        return self.client.search(index=index, query=MATCH, size=size, from_=start)

    def ids(self, index):
        return [hit["_id"] for hit in self.search(index, 10, 0)["hits"]["hits"]]

    def msearch(self, indices, size):
        searches = [part for index in indices for part in ({"index": index}, {"query": MATCH, "size": size})]
        return self.client.msearch(searches=searches)["responses"]

    def count(self, index):
        return self.client.count(index=index, query=MATCH)

    def walk(self, index):
        """By a point in time and `search_after`, and by a scroll."""
        pit, seen, after = self.client.open_point_in_time(index=index, keep_alive="1m")["id"], [], {}
        while True:
            sort = [{"number": "asc"}]
            page = self.client.search(pit={"id": pit, "keep_alive": "1m"}, query=MATCH, sort=sort, size=7, **after)["hits"]["hits"]
            if not page:
                break
            seen += [hit["_id"] for hit in page]
            after = {"search_after": page[-1]["sort"]}
        self.client.close_point_in_time(id=pit)
        body = {"query": MATCH}
        return seen, [hit["_id"] for hit in elasticsearch.helpers.scan(self.client, index=index, query=body, size=7)]

    def refused(self, index):
        return self.client.search(index=index, query={"guess": {"text": "water"}})

    def create(self, index, key, document):
        return self.client.create(index=index, id=key, document=document["source"], refresh=True)

    def update(self, index, key, changes):
        return self.client.update(index=index, id=key, doc=changes, refresh=True)

    def delete(self, index, key):
        return self.client.delete(index=index, id=key, refresh=True)


script.run(Adapter, elasticsearch.__versionstr__)
