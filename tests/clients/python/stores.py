"""The stores of LangChain, LlamaIndex and Haystack, one of them named by the first argument: documents are added, and searched for by
their words and by a vector. ../README.md has the mode.

Those on OpenSearch take the engine `lucene` of its plugin for vectors, which all of them let their users choose: the tests' OpenSearch lacks
the native libraries of the others."""

import hashlib
import json
import os
import sys
import warnings
from importlib.metadata import version
from urllib.request import Request, urlopen

# Read when they are imported; tests have nothing to tell anybody.
os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"
warnings.simplefilter("ignore")

QUERY = "how do I keep the water in a small house warm and clean"
DIMENSIONS = 8
TOP = 30
VECTORS = "scratch-clients-vectors"


def vector(text):
    """As good as any, and always the same."""
    return [byte / 255 for byte in hashlib.sha256(text.encode()).digest()[:DIMENSIONS]]


def page(found):
    """What was found, (id, text, score) each, in the form of an answer."""
    hits = [{"_id": key, "_source": text, "_score": score} for key, text, score in found]
    return [{"hits": {"hits": hits}}]


def hashed():
    """The model that LangChain's stores are given."""
    from langchain_core.embeddings import Embeddings

    class Hashed(Embeddings):
        def embed_documents(self, texts):
            return [vector(text) for text in texts]

        def embed_query(self, text):
            return vector(text)

    return Hashed()


def langchain(store, texts):
    yield store.add_texts(list(texts.values()), ids=list(texts))
    found = store.similarity_search_with_score(QUERY, k=TOP)
    yield page((document.page_content, document.page_content, score) for document, score in found)
    store.delete([next(iter(texts))], refresh_indices=True)


def langchain_elasticsearch(url, index, texts, by_vector):
    from langchain_elasticsearch import BM25Strategy, DenseVectorStrategy, ElasticsearchStore

    strategy = DenseVectorStrategy() if by_vector else BM25Strategy()
    options = {"embedding": hashed()} if by_vector else {}
    yield from langchain(ElasticsearchStore(es_url=url, index_name=index, strategy=strategy, **options), texts)


def langchain_opensearch(url, index, texts, by_vector):
    """It searches by vectors only. Where it is to be reranked, the text comes in a header, which the store hands on to its client."""
    from langchain_community.vectorstores import OpenSearchVectorSearch

    options = {} if by_vector else {"headers": {"X-Rerank-Query": QUERY}}
    yield from langchain(OpenSearchVectorSearch(url, index, hashed(), engine="lucene", **options), texts)


def llama_index(store, texts, by_vector):
    from llama_index.core.schema import TextNode
    from llama_index.core.vector_stores.types import VectorStoreQuery, VectorStoreQueryMode

    yield store.add([TextNode(id_=key, text=text, embedding=vector(text)) for key, text in texts.items()])
    mode = VectorStoreQueryMode.DEFAULT if by_vector else VectorStoreQueryMode.TEXT_SEARCH
    asked = VectorStoreQuery(query_str=QUERY, query_embedding=vector(QUERY), mode=mode, similarity_top_k=TOP)
    found = store.query(asked)
    yield page((node.node_id, node.get_content(), score) for node, score in zip(found.nodes, found.similarities))


def llama_index_elasticsearch(url, index, texts, by_vector):
    from llama_index.vector_stores.elasticsearch import AsyncBM25Strategy, AsyncDenseVectorStrategy, ElasticsearchStore

    strategy = AsyncDenseVectorStrategy() if by_vector else AsyncBM25Strategy()
    yield from llama_index(ElasticsearchStore(index_name=index, es_url=url, retrieval_strategy=strategy), texts, by_vector)


def llama_index_opensearch(url, index, texts, by_vector):
    from llama_index.vector_stores.opensearch import OpensearchVectorClient, OpensearchVectorStore

    client = OpensearchVectorClient(url, index, DIMENSIONS, engine="lucene")
    yield from llama_index(OpensearchVectorStore(client), texts, by_vector)


def haystack(store, retriever, texts, by_vector):
    from haystack import Document

    documents = [Document(id=key, content=text, embedding=vector(text) if by_vector else None) for key, text in texts.items()]
    yield store.write_documents(documents, refresh=True)
    asked = {"query_embedding": vector(QUERY)} if by_vector else {"query": QUERY}
    found = retriever(document_store=store, top_k=TOP).run(**asked)["documents"]
    yield page((document.id, document.content, document.score) for document in found)
    store.delete_documents([next(iter(texts))], refresh=True)


def haystack_elasticsearch(url, index, texts, by_vector):
    from haystack_integrations.components.retrievers.elasticsearch import ElasticsearchBM25Retriever, ElasticsearchEmbeddingRetriever
    from haystack_integrations.document_stores.elasticsearch import ElasticsearchDocumentStore

    retriever = ElasticsearchEmbeddingRetriever if by_vector else ElasticsearchBM25Retriever
    yield from haystack(ElasticsearchDocumentStore(hosts=url, index=index), retriever, texts, by_vector)


def haystack_opensearch(url, index, texts, by_vector):
    from haystack_integrations.components.retrievers.opensearch import OpenSearchBM25Retriever, OpenSearchEmbeddingRetriever
    from haystack_integrations.document_stores.opensearch import OpenSearchDocumentStore

    retriever = OpenSearchEmbeddingRetriever if by_vector else OpenSearchBM25Retriever
    method = {"name": "hnsw", "engine": "lucene", "space_type": "l2"}
    yield from haystack(OpenSearchDocumentStore(hosts=url, index=index, embedding_dim=DIMENSIONS, method=method), retriever, texts, by_vector)


def in_one_segment(url, index):
    """Has what a store adds lie in one segment, whatever the time it takes: stores refresh when they have added all. The engines
    quantise vectors segment by segment, so that a refresh of their own in between changes the scores."""
    template = {"index_patterns": [index], "template": {"settings": {"refresh_interval": "-1"}}}
    headers = {"Content-Type": "application/json"}
    request = Request(f"{url}/_index_template/{index}", json.dumps(template).encode(), headers, method="PUT")
    urlopen(request, timeout=60).close()


def run(framework, mode, url, documents):
    assert mode == "store"
    with open(documents) as file:
        texts = {document["id"]: document["source"]["text"] for document in json.load(file)}
    seen = {}
    in_one_segment(url, VECTORS)
    for kind, index, by_vector in (
        ("ruled", "scratch-clients", False),
        ("plain", "bystander-clients", False),
        ("vectors", VECTORS, True),
    ):
        steps = globals()[framework](url, index, texts, by_vector)
        seen[f"{kind}: added"] = next(steps)
        seen[f"{kind} found"] = next(steps)
        for _ in steps:
            pass
    print(json.dumps({"version": version(PACKAGES[framework]), "seen": seen}))


PACKAGES = {
    "langchain_elasticsearch": "langchain-elasticsearch",
    "langchain_opensearch": "langchain-community",
    "llama_index_elasticsearch": "llama-index-vector-stores-elasticsearch",
    "llama_index_opensearch": "llama-index-vector-stores-opensearch",
    "haystack_elasticsearch": "elasticsearch-haystack",
    "haystack_opensearch": "opensearch-haystack",
}

run(*sys.argv[1:])
