"""Each package, installed in a Debian without Rust as its user would, ends with reranked searches. How long that takes is printed."""

import contextlib
import json
import re
import shutil

from clean_root import first_reranked, timed

ANYWHERE = "--listen 127.0.0.1:0 --engine-listen 127.0.0.1:0"
# The bi-encoder alone shows the gain in a fifth of the time. With the .deb both models are tried.
ONE_MODEL = "--model all-MiniLM-L6-v2"
# The example of README: which of them is a capital of France?
RANK = "rerank --model ms-marco-MiniLM-L12-v2 --query 'what is the capital of france' --top 1"
DOCUMENTS = "printf 'Lyon is a city on the Rhone\\nParis is the capital of France\\nBonn was the capital of Germany\\n'"


def addresses(demo):
    """What the demo says first: {"search engine": URL, "the same, reranked": URL}."""
    lines = [re.fullmatch(r"(.+?) +(http://\S+)\n", demo.stdout.readline()) for _ in range(3)]
    return {line[1].removesuffix(" (BM25)"): line[2] for line in lines}


def bring(root, package):
    """The path of a package inside the root."""
    shutil.copy(package, root.inside("/root"))
    return f"/root/{package.name}"


def test_there_is_no_compiler(root):
    assert not [tool for tool in ("cc", "gcc", "rustc", "cargo") if root.inside(f"/usr/bin/{tool}").exists()]


def test_the_wheel_shows_the_gain(root, package):
    wheel = bring(root, package("*_{machine}.whl"))
    with contextlib.ExitStack() as stack:
        with timed("from the wheel to the first reranked search"):
            with timed("  python -m venv"):
                root.run("python3 -m venv /venv")
            with timed("  pip install, with ONNX Runtime from PyPI"):
                root.run(f"/venv/bin/pip install --quiet --disable-pip-version-check {wheel}")
            demo = stack.enter_context(root.running(f"/venv/bin/rerank-proxy demo --once --json {ONE_MODEL} {ANYWHERE}"))
            told = first_reranked(addresses(demo)["the same, reranked"])
        with timed(f"rerank-proxy demo --once {ONE_MODEL}, the rest of it"):
            last = demo.stdout.read().splitlines()[-1]
    measures = json.loads(last)
    print(f"            X-Rerank: {told}\n            NDCG@10: {measures['ndcg@10']}")
    assert measures["ndcg@10"]["after"] > measures["ndcg@10"]["before"] + 0.1


def test_the_archive_runs_where_it_is_unpacked(root, package):
    archive = bring(root, package("rerank-proxy-*-{machine}-*.tar.gz"))
    with timed("from the archive to the first ranking"):
        root.run(f"tar -xzf {archive} -C /opt --no-same-owner")
        ranked = root.run(f"{DOCUMENTS} | /opt/rerank-proxy-*/bin/rerank-proxy {RANK}", user="nobody:nogroup")
    assert ranked.endswith("Paris is the capital of France\n"), ranked


def test_the_deb_answers_a_search_without_systemd_and_leaves_nothing_behind(root, package):
    deb = bring(root, package("rerank-proxy_*_{architecture}.deb"))
    with timed("from the .deb to the first reranked search"):
        with timed("  apt-get install"):
            root.run(f"apt-get install -qq --no-install-recommends {deb}")
        # The demo's engine is the cluster; its own proxy is not asked.
        with root.running(f"rerank-proxy demo {ANYWHERE}") as demo:
            cluster = [f"RERANK_PROXY_UPSTREAM__URL={addresses(demo)['search engine']}", "RERANK_PROXY_SERVER__LISTEN=127.0.0.1:0"]
            serve = "rerank-proxy serve --config /etc/rerank-proxy/rerank.toml"
            with root.running(serve, user="nobody:nogroup", variables=cluster) as proxy:
                url = re.fullmatch(r"listening on (http://\S+)\n", proxy.stdout.readline())[1]
                told = first_reranked(url)
    print(f"            X-Rerank: {told}")
    # Changed by the operator, the configuration outlives an update.
    with root.inside("/etc/rerank-proxy/rerank.toml").open("a") as config:
        config.write("# ours\n")
    root.run(f"apt-get install -qq --reinstall --no-install-recommends {deb}")
    assert root.inside("/etc/rerank-proxy/rerank.toml").read_text().endswith("# ours\n")
    root.run("apt-get purge -qq rerank-proxy")
    left = root.run("find / -xdev -path /root -prune -o -path /opt -prune -o -path /venv -prune -o -path /proc -prune -o -name '*rerank*' -print")
    assert [path for path in left.split() if not path.startswith(("/var/cache/apt", "/var/log"))] == [], left
