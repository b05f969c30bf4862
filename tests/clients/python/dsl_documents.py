"""elasticsearch-dsl: documents as classes, searches that are built. It is a package, and a part of elasticsearch-py since 8.18: the first
argument names the module."""

import importlib
import sys

import elasticsearch

import script
from connected import Connected
from script import PAGE, SETTINGS

dsl = importlib.import_module(sys.argv.pop(1))


class Passage(dsl.Document):
    number = dsl.Integer()
    title = dsl.Text()
    text = dsl.Text()


class Adapter(Connected):
    def asked(self, index):
        return dsl.Search(using=self.client, index=index).query("match", text=script.QUERY)

    def create_index(self, index):
        made = dsl.Index(index, using=self.client)
        made.settings(**SETTINGS)
        made.document(Passage)
        return made.create()

    def bulk(self, index, documents):
        made = (Passage(meta={"id": document["id"]}, **document["source"]) for document in documents)
        return Passage.bulk(made, using=self.client, index=index, refresh=True)

    def get(self, index, key):
        return Passage.get(key, using=self.client, index=index).to_dict(include_meta=True)

    def search(self, index, size, start):
        return self.asked(index)[start : start + size].execute().to_dict()

    def ids(self, index):
        return [hit.meta.id for hit in self.asked(index)[:PAGE]]

    def msearch(self, indices, size):
        several = dsl.MultiSearch(using=self.client)
        for index in indices:
            several = several.add(self.asked(index).index(index)[:size])
        return [found.to_dict() for found in several.execute()]

    def count(self, index):
        return self.asked(index).count()

    def walk(self, index):
        """By its scan, which is a scroll, page by page of seven."""
        return [hit.meta.id for hit in self.asked(index).params(size=7).scan()]

    def refused(self, index):
        return self.asked(index).query("match", text={"guess": "water"}).execute()

    def create(self, index, key, document):
        made = Passage(meta={"id": key}, **document["source"])
        return made.save(using=self.client, index=index, op_type="create", refresh=True)

    def update(self, index, key, changes):
        return Passage.get(key, using=self.client, index=index).update(using=self.client, index=index, refresh=True, **changes)

    def delete(self, index, key):
        return Passage.get(key, using=self.client, index=index).delete(using=self.client, index=index, refresh=True)


script.run(Adapter, ".".join(map(str, getattr(dsl, "__version__", elasticsearch.__version__))))
