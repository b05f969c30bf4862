"""The dashboard and the alerts under deploy/, held by a real Prometheus: every panel has data after the demo and ten searches."""

import json
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

import demo
import prometheus_server
import pytest
from wire import send

DEPLOY = Path(__file__).resolve().parent.parent.parent / "deploy"
# What Grafana puts in the place of its variables: everything, and the time within which a rate is taken.
VARIABLES = {"$job": ".*", "$instance": ".*", "$__rate_interval": "1m"}
QUERIES = [f"what is the {word} of a planet" for word in "air water heat light sea ice rock wind sun year".split()]


def _expressions():
    panels = json.loads((DEPLOY / "grafana" / "rerank-proxy.json").read_text())["panels"]
    for panel in panels:
        for target in panel.get("targets", []):
            expression = target["expr"]
            for name, value in VARIABLES.items():
                expression = expression.replace(name, value)
            yield panel["title"], expression


def test_the_alerts_are_sound_and_fire_where_they_should(prometheus):
    for command in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts.test.yml"]):
        done = subprocess.run(
            ["promtool", *command], cwd=DEPLOY / "prometheus", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert done.returncode == 0, done.stdout


def _is_of_shadow(expression):
    """Of rules in shadow, of which the demo has none. tests/pipeline.rs holds that these are counted."""
    return "_shadow_" in expression


def test_every_panel_has_data_after_the_demo_and_ten_searches(prometheus):
    with demo.running("--model", "all-MiniLM-L6-v2") as addresses:
        proxy = urlsplit(addresses["playground"])
        url = f"{proxy.scheme}://{proxy.netloc}"
        with prometheus_server.scraping(proxy.netloc, "/_rerank/metrics") as server:
            server.wait_for("up == 1")
            for query in QUERIES:
                answer = send(url, "POST", "/demo/_search", {"query": {"match": {"text": query}}, "size": 5})
                assert answer.status == 200 and answer.header("x-rerank").startswith("applied"), answer
                time.sleep(0.3)
            expressions = [(title, text) for title, text in _expressions() if not _is_of_shadow(text)]
            without = [(title, expression) for title, expression in expressions if not server.wait_for(expression)]
            assert not without, "\n".join(f"{title}: {expression}" for title, expression in without)


@pytest.mark.parametrize("query", ["rerank_proxy_no_such_metric", "vector(0) / vector(0)"])
def test_a_panel_without_data_would_be_noticed(prometheus, query):
    with prometheus_server.scraping("127.0.0.1:9", "/metrics") as server:
        assert not server.has_data(query)
