"""`_msearch/template` on an engine that renders templates: each search comes to what the search that it renders to comes
to. (What one template comes to is in `scenarios/templates.yaml`.)"""

import json

import pytest
from conftest import DIRECT

import answers
from wire import send

TEMPLATE = {"source": '{"query": {"match": {"text": "{{words}}"}}, "size": {{size}}, "_source": false}'}


@pytest.mark.skipif(DIRECT, reason="is about what the proxy does")
@pytest.mark.parametrize("cluster", ["opensearch-2", "opensearch-3"], indirect=True)
def test_each_of_several_templates_is_reranked_as_the_search_that_it_renders_to(cluster):
    asked = [("passages", "the water in the house", 7), ("off", "the cold", 5), ("passages", "a walk in the park", 3)]
    lines = []
    for index, words, size in asked:
        lines += [{"index": index}, TEMPLATE | {"params": {"words": words, "size": size}}]
    lines += [{"index": "missing"}, TEMPLATE | {"params": {"words": "x", "size": 1}}]
    body = "".join(json.dumps(line) + "\n" for line in lines)
    answer = send(cluster.proxy, "POST", "/_msearch/template", body, {"Content-Type": "application/x-ndjson"})
    assert answer.status == 200, answer.text[:500]
    outcomes = [item.strip().split(";")[0] for item in answer.header("x-rerank").split(", ")]
    assert outcomes == ["applied", "skipped", "applied", "skipped"], answer.header("x-rerank")

    responses = answer.json()["responses"]
    for (index, words, size), response in zip(asked, responses):
        search = {"query": {"match": {"text": words}}, "size": size, "_source": False}
        alone = send(cluster.proxy, "POST", f"/{index}/_search", search).json()
        assert response["hits"] == alone["hits"]
    assert responses[3]["status"] == 404

    direct = send(cluster.engine, "POST", "/_msearch/template", body, {"Content-Type": "application/x-ndjson"}).json()
    assert [list(response) for response in responses] == [list(response) for response in direct["responses"]]
    assert responses[1]["hits"] == direct["responses"][1]["hits"]
    found = [[hit["_id"] for hit in response["hits"]["hits"]] for response in (responses[0], direct["responses"][0])]
    assert found[0] != found[1], "the model has a say"
    assert len(answers.page(json.dumps(responses[0])).hits) == 7
