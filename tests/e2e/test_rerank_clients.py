"""Clients of rerank servers, unmodified: pointed at the proxy they rank as a plain call and as a search does, and what is
refused is an exception of their own with the proxy's reason in it. Those that bring a framework along are in ../clients."""

import asyncio

import cohere
import infinity_client.errors
import pytest
import tei_client
from infinity_client.api.default import rerank as infinity_rerank
from infinity_client.models import HTTPValidationError, RerankInput
from rerankers.models.api_rankers import APIRanker

from conftest import DIRECT
from rerank_api import BEST_FIRST, CROSS_ENCODER, KEY, PASSAGES, QUERY, SENTENCES, check, plain, serving
from wire import send

pytestmark = pytest.mark.skipif(DIRECT, reason="needs a proxy")


def results_of(answer):
    return [(result.index, result.relevance_score) for result in answer.results]


def cohere_v1(server, model=SENTENCES, key=KEY, top=None):
    client = cohere.Client(api_key=key, base_url=f"{server.url}/_rerank")
    return results_of(client.rerank(query=QUERY, documents=PASSAGES, model=model, top_n=top))


def cohere_v2(server, model=SENTENCES, key=KEY, top=None):
    client = cohere.ClientV2(api_key=key, base_url=f"{server.url}/_rerank")
    return results_of(client.rerank(query=QUERY, documents=PASSAGES, model=model, top_n=top))


def cohere_v2_asynchronous(server, model=SENTENCES, key=KEY, top=None):
    async def rank():
        async with cohere.AsyncClientV2(api_key=key, base_url=server.root) as client:
            return await client.rerank(query=QUERY, documents=PASSAGES, model=model, top_n=top)

    return results_of(asyncio.run(rank()))


def infinity_of(server, key):
    return infinity_client.AuthenticatedClient(base_url=server.root, token=key, raise_on_unexpected_status=True)


def infinity(server, model=SENTENCES, key=KEY, top=None):
    call = RerankInput(query=QUERY, documents=PASSAGES, model=model, top_n=top)
    return results_of(infinity_rerank.sync(client=infinity_of(server, key), body=call))


def infinity_without_a_model(server, key=KEY, top=None):
    call = RerankInput(query=QUERY, documents=PASSAGES, top_n=top)
    return results_of(infinity_rerank.sync(client=infinity_of(server, key), body=call))


def tei_of(server):
    return tei_client.HttpClient(server.root, headers={"Authorization": f"Bearer {KEY}"})


def tei(server):
    """It asks the server first what it is, and cannot name a model."""
    return [(rank.index, rank.score) for rank in tei_of(server).rerank(QUERY, PASSAGES).ranks]


def rerankers(server, path, provider, model):
    answer = APIRanker(model, KEY, provider, url=server.root + path).rank(QUERY, PASSAGES)
    return [(result.doc_id, result.score) for result in answer.results]


def rerankers_as_of_cohere(server, model=SENTENCES):
    return rerankers(server, "/v1/rerank", "cohere", model)


def rerankers_as_of_jina(server, model=SENTENCES):
    return rerankers(server, "/v1/rerank", "jina", model)


def rerankers_as_of_voyage(server, model=SENTENCES):
    return rerankers(server, "/v1/rerank", "voyage", model)


def rerankers_as_of_tei(server, model=SENTENCES):
    return rerankers(server, "/rerank", "text-embeddings-inference", model)


WITH_MODEL_AND_TOP = [cohere_v1, cohere_v2, cohere_v2_asynchronous, infinity]
RERANKERS = [rerankers_as_of_cohere, rerankers_as_of_jina, rerankers_as_of_voyage, rerankers_as_of_tei]
WITH_MODEL = WITH_MODEL_AND_TOP + RERANKERS
ALL = WITH_MODEL + [infinity_without_a_model, tei]


@pytest.fixture(scope="module")
def server():
    with serving() as started:
        yield started


@pytest.mark.parametrize("rank", ALL)
def test_the_passage_that_answers_the_question_comes_back_first(server, rank):
    found = rank(server)
    assert [passage for passage, _ in found] == BEST_FIRST
    check(found, plain(server, SENTENCES))


@pytest.mark.parametrize("rank", WITH_MODEL)
def test_a_client_chooses_the_model(server, rank):
    check(rank(server, model=CROSS_ENCODER), plain(server, CROSS_ENCODER))


@pytest.mark.parametrize("rank", WITH_MODEL_AND_TOP)
def test_no_more_come_back_than_were_asked_for(server, rank):
    check(rank(server, top=2), plain(server, SENTENCES)[:2])


@pytest.mark.parametrize("model", [SENTENCES, CROSS_ENCODER])
def test_a_search_and_a_call_in_any_words_give_the_same_scores(server, model):
    search = {"query": {"match": {"text": QUERY}}, "size": len(PASSAGES)}
    answer = send(server.url, "POST", f"/{model.lower()}/_search", search).json()
    expected = [(int(hit["_id"]), hit["_score"]) for hit in answer["hits"]["hits"]]

    def call(path, score, results=None, **members):
        call = {"query": QUERY, "model": model, **members}
        answer = send(server.url, "POST", f"/_rerank{path}", call, {"Authorization": f"Bearer {KEY}"})
        assert answer.status == 200, answer.text
        found = answer.json()[results] if results else answer.json()
        check([(result["index"], result[score]) for result in found], expected)

    call("/rerank", "score", texts=PASSAGES)
    call("/rerank", "relevance_score", "results", documents=PASSAGES)
    call("/v1/rerank", "relevance_score", "results", documents=PASSAGES)
    call("/v1/rerank", "relevance_score", "data", documents=PASSAGES, top_k=len(PASSAGES))
    call("/v2/rerank", "relevance_score", "results", documents=PASSAGES)


def test_cohere_gets_the_documents_back_as_it_sent_them(server):
    client = cohere.Client(api_key=KEY, base_url=f"{server.url}/_rerank")
    documents = [{"text": passage, "source": f"page {number}"} for number, passage in enumerate(PASSAGES)]
    best = client.rerank(query=QUERY, documents=documents, return_documents=True).results[0]
    assert (best.document.text, best.document.source) == (PASSAGES[3], "page 3")
    best = client.rerank(query=QUERY, documents=PASSAGES, return_documents=True, top_n=1).results[0]
    assert best.document.text == PASSAGES[3]


def test_infinity_and_tei_get_the_documents_back(server):
    call = RerankInput(query=QUERY, documents=PASSAGES, return_documents=True)
    results = infinity_rerank.sync(client=infinity_of(server, KEY), body=call).results
    assert [result.document for result in results] == [PASSAGES[passage] for passage in BEST_FIRST]
    ranks = tei_of(server).rerank(QUERY, PASSAGES, return_text=True).ranks
    assert [rank.text for rank in ranks] == [PASSAGES[passage] for passage in BEST_FIRST]


def test_raw_scores_are_logits(server):
    def ask(raw):
        call = RerankInput(query=QUERY, documents=PASSAGES, model=CROSS_ENCODER, raw_scores=raw)
        return results_of(infinity_rerank.sync(client=infinity_of(server, KEY), body=call))

    logits, scores = ask(True), ask(False)
    assert [passage for passage, _ in logits] == [passage for passage, _ in scores]
    assert any(not 0 <= logit <= 1 for _, logit in logits), logits


NOT_FOUND = [
    *((rank, cohere.NotFoundError) for rank in (cohere_v1, cohere_v2, cohere_v2_asynchronous)),
    (infinity, infinity_client.errors.UnexpectedStatus),
]


@pytest.mark.parametrize(("rank", "exception"), NOT_FOUND)
def test_an_unknown_model_is_an_exception_that_names_those_there_are(server, rank, exception):
    with pytest.raises(exception) as raised:
        rank(server, model="nobody")
    assert "there is no model `nobody` here" in str(raised.value)
    assert SENTENCES in str(raised.value) and CROSS_ENCODER in str(raised.value)


LOCKED = [
    *((rank, cohere.UnauthorizedError) for rank in (cohere_v1, cohere_v2, cohere_v2_asynchronous)),
    (infinity, infinity_client.errors.UnexpectedStatus),
]


@pytest.mark.parametrize(("rank", "exception"), LOCKED)
def test_a_wrong_key_is_an_exception_that_says_what_is_needed(server, rank, exception):
    with pytest.raises(exception, match="a key is needed here"):
        rank(server, key="guessed")


def test_a_call_that_says_nothing_is_refused_in_the_clients_own_words(server):
    client = cohere.Client(api_key=KEY, base_url=f"{server.url}/_rerank")
    with pytest.raises(cohere.UnprocessableEntityError, match="`query` is empty"):
        client.rerank(query=" ", documents=PASSAGES)
    with pytest.raises(cohere.BadRequestError, match="the list of documents is empty"):
        client.rerank(query=QUERY, documents=[])
    refused = infinity_rerank.sync(client=infinity_of(server, KEY), body=RerankInput(query="", documents=PASSAGES))
    assert isinstance(refused, HTTPValidationError)
    assert refused.detail[0].msg == "`query` is empty"
