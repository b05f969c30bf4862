"""elasticsearch-py as every driver on it is connected; elasticsearch-dsl stands on it."""

import elasticsearch


class Connected:
    def __init__(self, url, compress, sniff):
        options = {"sniff_on_start": True} if sniff else {}
        self.client = elasticsearch.Elasticsearch(url, request_timeout=60, http_compress=compress, **options)
        self.info = self.client.info

    def nodes(self):
        return sorted(node.base_url for node in self.client.transport.node_pool.all())
