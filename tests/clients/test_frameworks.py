"""LangChain, LlamaIndex, Haystack and Voyage's own client, unmodified: pointed at the proxy they rank as a plain call does, and
what is refused is an exception with the proxy's reason in it, where they let a server's reason through."""

import asyncio

import cohere
import pytest
import voyageai
from haystack import Document as HaystackDocument
from haystack.utils import Secret
from haystack_integrations.components.rankers.cohere import CohereRanker
from haystack_integrations.components.rankers.huggingface_api import HuggingFaceTEIRanker
from haystack_integrations.components.rankers.huggingface_api.ranker import TruncationDirection
from haystack_integrations.components.rankers.jina import JinaRanker
from infinity_client import Client as InfinityClient
from infinity_client.errors import UnexpectedStatus
from langchain_cohere import CohereRerank as LangChainCohere
from langchain_community.document_compressors import InfinityRerank, JinaRerank, jina_rerank
from langchain_core.documents import Document as LangChainDocument
from langchain_voyageai import VoyageAIRerank
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.postprocessor.cohere_rerank import CohereRerank as LlamaIndexCohere
from llama_index.postprocessor.jinaai_rerank import JinaRerank as LlamaIndexJina
from llama_index.postprocessor.siliconflow_rerank import SiliconFlowRerank
from llama_index.postprocessor.tei_rerank import TextEmbeddingInference
from llama_index.postprocessor.xinference_rerank import XinferenceRerank

from rerank_api import BEST_FIRST, CROSS_ENCODER, KEY, PASSAGES, QUERY, SENTENCES, check, plain, serving

ALL = len(PASSAGES)


def of_voyage(answer):
    return [(result.index, result.relevance_score) for result in answer.results]


def voyage(server, model=SENTENCES, key=KEY, top=None):
    client = voyageai.Client(api_key=key, base_url=f"{server.url}/_rerank/v1")
    return of_voyage(client.rerank(QUERY, PASSAGES, model, top_k=top))


def voyage_asynchronous(server, model=SENTENCES, key=KEY, top=None):
    client = voyageai.AsyncClient(api_key=key, base_url=f"{server.root}/v1")
    return of_voyage(asyncio.run(client.rerank(QUERY, PASSAGES, model, top_k=top, truncation=False)))


def langchain(compressor):
    """What a compressor of LangChain makes of the passages."""
    documents = [LangChainDocument(page_content=passage, metadata={"n": n}) for n, passage in enumerate(PASSAGES)]
    found = compressor.compress_documents(documents, QUERY)
    return [(document.metadata["n"], document.metadata["relevance_score"]) for document in found]


def langchain_cohere(server, model=SENTENCES, key=KEY, top=ALL):
    base = f"{server.url}/_rerank"
    return langchain(LangChainCohere(cohere_api_key=key, base_url=base, model=model, top_n=top))


def langchain_voyage(server, model=SENTENCES, key=KEY, top=None):
    return langchain(VoyageAIRerank(api_key=key, base_url=f"{server.root}/v1", model=model, top_k=top))


def langchain_jina(server, model=SENTENCES, key=KEY, top=ALL):
    """Its URL is a constant of its module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jina_rerank, "JINA_API_URL", f"{server.root}/v1/rerank")
        return langchain(JinaRerank(jina_api_key=key, model=model, top_n=top))


def langchain_infinity(server, model=SENTENCES, key=KEY, top=ALL):
    headers = {"Authorization": f"Bearer {key}"}
    client = InfinityClient(base_url=server.root, headers=headers, raise_on_unexpected_status=True)
    return langchain(InfinityRerank(client=client, model=model, top_n=top))


def llama_index(postprocessor):
    """What a postprocessor of LlamaIndex makes of the passages."""
    nodes = [NodeWithScore(node=TextNode(text=passage, id_=str(n)), score=0.1) for n, passage in enumerate(PASSAGES)]
    return [(int(found.node.id_), found.score) for found in postprocessor.postprocess_nodes(nodes, query_str=QUERY)]


def llama_index_cohere(server, model=SENTENCES, key=KEY, top=ALL):
    return llama_index(LlamaIndexCohere(api_key=key, base_url=f"{server.url}/_rerank", model=model, top_n=top))


def llama_index_jina(server, model=SENTENCES, key=KEY, top=ALL):
    return llama_index(LlamaIndexJina(api_key=key, base_url=f"{server.root}/v1", model=model, top_n=top))


def llama_index_siliconflow(server, model=SENTENCES, key=KEY, top=ALL):
    return llama_index(SiliconFlowRerank(api_key=key, base_url=f"{server.root}/v1/rerank", model=model, top_n=top))


def llama_index_tei(server, top=ALL):
    """It cannot name a model, and sends as `Authorization` what it is given."""
    return llama_index(TextEmbeddingInference(base_url=server.root, auth_token=f"Bearer {KEY}", top_n=top))


def haystack_documents():
    return [HaystackDocument(content=passage, meta={"n": n}) for n, passage in enumerate(PASSAGES)]


def haystack(ranker, **options):
    """What a ranker of Haystack makes of the passages."""
    found = ranker.run(query=QUERY, documents=haystack_documents(), **options)
    return [(document.meta["n"], document.score) for document in found["documents"]]


def haystack_cohere(server, model=SENTENCES, key=KEY, top=ALL):
    base, key = f"{server.url}/_rerank", Secret.from_token(key)
    return haystack(CohereRanker(model=model, api_key=key, api_base_url=base, top_k=top))


def haystack_jina(server, model=SENTENCES, key=KEY, top=None):
    url, key = f"{server.root}/v1/rerank", Secret.from_token(key)
    return haystack(JinaRanker(model=model, api_key=key, base_url=url, top_k=top))


def haystack_tei_of(server, key=KEY, top=ALL):
    return HuggingFaceTEIRanker(url=server.root, token=Secret.from_token(key), top_k=top)


def haystack_tei(server, key=KEY, top=ALL):
    """It cannot name a model, and replaces the whole path of its URL."""
    return haystack(haystack_tei_of(server, key, top))


OF_COHERE = [langchain_cohere, llama_index_cohere, haystack_cohere]
OF_VOYAGE = [voyage, voyage_asynchronous, langchain_voyage]
OF_JINA = [langchain_jina, llama_index_jina, llama_index_siliconflow, haystack_jina]
WITH_MODEL = [*OF_COHERE, *OF_VOYAGE, *OF_JINA, langchain_infinity]
OF_TEI = [llama_index_tei, haystack_tei]


@pytest.mark.parametrize("rank", [*WITH_MODEL, *OF_TEI])
def test_the_passage_that_answers_the_question_comes_back_first(server, rank):
    found = rank(server)
    assert [passage for passage, _ in found] == BEST_FIRST
    check(found, plain(server, SENTENCES))


@pytest.mark.parametrize("rank", WITH_MODEL)
def test_a_client_chooses_the_model(server, rank):
    check(rank(server, model=CROSS_ENCODER), plain(server, CROSS_ENCODER))


@pytest.mark.parametrize("rank", [*WITH_MODEL, *OF_TEI])
def test_no_more_come_back_than_were_asked_for(server, rank):
    check(rank(server, top=2), plain(server, SENTENCES)[:2])


def test_haystack_asks_tei_to_truncate_in_teis_own_words(server):
    found = haystack(haystack_tei_of(server), truncation_direction=TruncationDirection.RIGHT)
    check(found, plain(server, SENTENCES))
    with pytest.raises(RuntimeError, match="`truncation_direction` must be"):
        haystack(haystack_tei_of(server), truncation_direction=TruncationDirection.LEFT)


def test_xinference_has_no_keys_and_so_needs_a_server_without(server):
    with serving(locked=False) as unlocked:
        found = llama_index(XinferenceRerank(base_url=unlocked.root, model=SENTENCES, top_n=ALL))
    check(found, plain(server, SENTENCES))
    with pytest.raises(Exception, match="a key is needed here"):
        llama_index(XinferenceRerank(base_url=server.root, model=SENTENCES))


REFUSALS = [
    *((rank, cohere.NotFoundError, cohere.UnauthorizedError) for rank in OF_COHERE),
    *((rank, voyageai.error.APIError, voyageai.error.AuthenticationError) for rank in OF_VOYAGE),
    *((rank, RuntimeError, RuntimeError) for rank in OF_JINA),
    (langchain_infinity, UnexpectedStatus, UnexpectedStatus),
]


@pytest.mark.parametrize(("rank", "unknown_model", "wrong_key"), REFUSALS)
def test_a_refusal_is_an_exception_with_the_reason_in_it(server, rank, unknown_model, wrong_key):
    with pytest.raises(unknown_model, match="there is no model `nobody` here"):
        rank(server, model="nobody")
    with pytest.raises(wrong_key, match="a key is needed here"):
        rank(server, key="guessed")


def test_haystacks_tei_shows_the_reason(server):
    with pytest.raises(RuntimeError, match="a key is needed here"):
        haystack_tei(server, key="guessed")
