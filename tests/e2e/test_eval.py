"""`rerank-proxy eval` and `tune` on real engines: the three give the same table, judgements are read as their publishers write them, and a cluster
behind TLS and a password is asked as its clients ask it."""

import base64
import html.parser
import json
import shutil
import signal
import ssl
import subprocess
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from conftest import DIRECT
from kinds import NEWEST

import data
import proxy as proxy_control
import solr
from wire import send

pytestmark = pytest.mark.skipif(DIRECT, reason="needs a proxy")

CORPUS = proxy_control.REPOSITORY / "fixtures" / "corpus"
INDEX = "judged"
SAMPLE = 24
WITHIN_SECONDS = 120


def lines(name):
    return [line for line in (CORPUS / name).read_text().splitlines() if line.strip()]


PASSAGES = [json.loads(line) for line in lines("passages.jsonl")]
QUERIES = [json.loads(line) for line in lines("queries.jsonl")]
QRELS = [line.split("\t") for line in lines("qrels.tsv")]
# The sum over both fields, which each engine has its own words for. With --fields they differ a little: Elasticsearch adds up a field's
# terms before it takes the better field, Solr takes the better field of each term.
MOST_FIELDS = json.dumps({"query": {"multi_match": {"query": "{{query}}", "fields": ["title", "text"], "type": "most_fields"}}})
WORDS = [{"simple": {"qf": field, "q.operators": "WHITESPACE", "query": "{{query}}"}} for field in ("title", "text")]
BOTH = {"elasticsearch": MOST_FIELDS, "opensearch": MOST_FIELDS, "solr": json.dumps({"query": {"bool": {"should": WORDS}}})}
# Every engine's table must be that of the first.
TABLES = {}


def load(cluster):
    """The corpus with the same analysis on every engine: words by Unicode, in lower case; one segment, so that its statistics are exact."""
    documents = [{"id": passage["id"], "title": passage["title"], "text": passage["text"]} for passage in PASSAGES]
    if cluster.flavour == "solr":
        create = {"numShards": 1, "collection.configName": "plain", "waitForFinalState": "true"}
        solr._admin(cluster.engine, "collections", action="CREATE", name=INDEX, **create)
        update = f"/solr/{INDEX}/update?commit=true&optimize=true&maxSegments=1"
        assert send(cluster.engine, "POST", update, documents).status == 200
        return
    settings = {"settings": {"number_of_shards": 1, "number_of_replicas": 0}}
    assert send(cluster.engine, "PUT", f"/{INDEX}", settings).status == 200
    bulk = "".join(f"{json.dumps({'index': {'_id': each.pop('id')}})}\n{json.dumps(each)}\n" for each in documents)
    filled = send(cluster.engine, "POST", f"/{INDEX}/_bulk?refresh=true", bulk, {"content-type": "application/x-ndjson"})
    assert filled.status == 200 and not filled.json()["errors"], filled.text[:500]
    send(cluster.engine, "POST", f"/{INDEX}/_forcemerge?max_num_segments=1")


def unload(cluster):
    if cluster.flavour == "solr":
        solr._admin(cluster.engine, "collections", action="DELETE", name=INDEX)
    else:
        send(cluster.engine, "DELETE", f"/{INDEX}")


@pytest.fixture
def judged(cluster):
    """An engine with the bundled corpus in it."""
    load(cluster)
    yield cluster
    unload(cluster)


def evaluate(*arguments, status=0):
    """What `eval` prints on stdout and on stderr."""
    command = [str(proxy_control.binary()), "eval", "--index", INDEX, *map(str, arguments)]
    done = subprocess.run(command, cwd=proxy_control.REPOSITORY, capture_output=True, text=True, timeout=WITHIN_SECONDS)
    assert done.returncode == status, done.stderr
    return done.stdout, done.stderr


def measured(*arguments):
    """The orders that `eval --json -` tells, by name."""
    report = json.loads(evaluate(*arguments, "--json", "-")[0])
    return {order["name"]: order for order in report["orders"]}


@pytest.mark.engines(*NEWEST, "solr-9")
def test_the_same_corpus_gives_the_same_table_on_every_engine(judged, tmp_path):
    page, runs = tmp_path / "report.html", tmp_path / "runs"
    orders = measured(
        "--upstream", judged.engine, "--judgements", CORPUS, "--search-fields", "text", "--baseline", f"both={BOTH[judged.flavour]}",
        "--model", data.MODEL, "--matrix", "window=10,100", "--sample", SAMPLE, "--html", page, "--runs", runs,
    )  # fmt: skip
    cluster, narrow, wide = orders["cluster"], orders["window=10"], orders["window=100"]
    assert list(orders) == ["cluster", "both", data.MODEL.name, "window=10", "window=100"]
    assert cluster["not_reranked"] == narrow["not_reranked"] == {} and narrow["reranked"] == SAMPLE
    assert cluster["means"]["nDCG@10"] < narrow["means"]["nDCG@10"] < wide["means"]["nDCG@10"]
    assert narrow["means"]["R@100"] == cluster["means"]["R@100"], "a window is a permutation"
    assert narrow["pairs"][0]["pairs"] <= 11 < wide["pairs"][0]["pairs"]
    assert wide["against_cluster"]["nDCG@10"]["p_holm"] < 0.05
    # Not the means alone: every hit of every query at the same place.
    files = {file.name: file.read_text() for file in sorted(runs.iterdir())}
    first, table = TABLES.setdefault("first", (judged.kind, files))
    assert files == table, f"{judged.kind} orders otherwise than {first}"
    check_page(page.read_text())


    check_tuning(judged)


def check_tuning(judged):
    """On the same corpus: the three engines give the same advice, but for what a pair costs."""
    command = ["tune", "--index", INDEX, "--upstream", judged.engine, "--judgements", CORPUS, "--search-fields", "text", "--json"]
    more = ["--model", data.MODEL, "--sample", SAMPLE, "--widest", 20, "--pairs", 20]
    arguments = [str(proxy_control.binary()), *map(str, [*command, *more])]
    done = subprocess.run(arguments, cwd=proxy_control.REPOSITORY, capture_output=True, text=True, timeout=WITHIN_SECONDS)
    assert done.returncode == 0, done.stderr
    advice = json.loads(done.stdout)
    assert advice["queries"] == SAMPLE and advice["skipped"] == {}
    assert advice["models"][0]["seconds_a_pair"] > 0
    told = {name: advice[name] for name in ("verdict", "settings", "rule", "thresholds")}
    first, expected = TABLES.setdefault("advice", (judged.kind, told))
    assert told == expected, f"{judged.kind} is advised otherwise than {first}"


def check_page(page):
    """The report is one whole file that asks for nothing else."""
    assert page.startswith("<!doctype html>") and page.count("<svg") == 5
    void, opened = {"meta", "circle", "line", "path", "rect"}, []

    class Reader(html.parser.HTMLParser):
        def handle_starttag(self, tag, attributes):
            assert tag not in ("script", "link", "img", "iframe"), tag
            assert not [value for name, value in attributes if name in ("src", "href")]
            if tag not in void:
                opened.append(tag)

        def handle_endtag(self, tag):
            if tag not in void:
                assert opened.pop() == tag

    Reader().feed(page)
    assert opened == [], opened
    assert "url(" not in page and "@import" not in page


@pytest.mark.engines(NEWEST[-1])
def test_judgements_are_read_as_their_publishers_write_them(judged, tmp_path):
    chosen = [query for query in QUERIES if query["id"] in {row[0] for row in QRELS}][:6]
    rows = [row for row in QRELS if row[0] in {query["id"] for query in chosen}]
    beir = tmp_path / "beir"
    (beir / "qrels").mkdir(parents=True)
    write(beir / "corpus.jsonl", [json.dumps({"_id": "x", "title": "", "text": "not read", "metadata": {}})])
    write(beir / "queries.jsonl", [json.dumps({"_id": query["id"], "text": query["text"], "metadata": {}}) for query in chosen])
    write(beir / "qrels" / "test.tsv", ["query-id\tcorpus-id\tscore", *("\t".join(row) for row in rows)])
    top = "<top>\n<num> Number: {id}\n<title> {text}\n\n<desc> Description:\nNot read.\n</top>\n"
    topics = write(tmp_path / "topics.txt", [top.format(**query) for query in chosen])
    qrels = write(tmp_path / "qrels.txt", [f"{query} 0 {passage} {grade}" for query, passage, grade in rows])
    match = lambda text: {"query": {"match": {"text": text}}}  # noqa: E731
    requests = [
        {
            "id": query["id"],
            "request": match(query["text"]),
            "ratings": [{"_index": INDEX, "_id": passage, "rating": int(grade)} for of, passage, grade in rows if of == query["id"]],
        }
        for query in chosen
    ]
    rank_eval = write(tmp_path / "rank_eval.json", [json.dumps({"requests": requests, "metric": {"dcg": {"k": 10}}})])
    search = write(tmp_path / "search.json", [json.dumps(match("{{query}}"))])
    common = ["--upstream", judged.engine, "--model", data.MODEL, "--matrix", "window=10"]
    tables = [
        {name: order["means"] for name, order in measured(*common, *given).items()}
        for given in (
            ("--judgements", beir, "--query", search),
            ("--topics", topics, "--qrels", qrels, "--search-fields", "text"),
            ("--judgements", rank_eval),
        )
    ]
    assert tables[0] == tables[1] == tables[2]


@pytest.mark.engines(NEWEST[0])
def test_a_log_without_judgements_tells_how_much_would_change(judged, tmp_path):
    log = write(tmp_path / "queries.log", [*(query["text"] for query in QUERIES[:5]), json.dumps({"query": QUERIES[5]["text"]})])
    table, _ = evaluate("--upstream", judged.engine, "--from-log", log, "--search-fields", "text", "--model", data.MODEL)
    assert "overlap@10" in table and "changed most" in table and "nDCG" not in table, table


@pytest.mark.engines(NEWEST[0])
def test_all_mistakes_are_told_before_anything_is_asked(judged, tmp_path):
    (tmp_path / "queries.jsonl").write_text('{"_id": "a"}\n{"_id": "b", "text": "x"}\n')
    (tmp_path / "qrels.tsv").write_text("b\tdoc\tgood\n")
    _, told = evaluate(
        "--upstream", judged.engine, "--judgements", tmp_path, "--model", data.MODEL, "--matrix", "windo=20",
        "--measures", "nDCG@10 nCDG@10", "--query", "{\"query\": 1}", "-H", "no colon",
        status=1,
    )  # fmt: skip
    for said in ("queries.jsonl, line 1", "qrels.tsv, line 1", "unknown key; did you mean `window`?", "nCDG", "{{query}} is nowhere", "--header"):
        assert said in told, (said, told)


@pytest.mark.engines(NEWEST[0])
def test_ctrl_c_says_how_far_it_came_and_tells_what_is_whole(judged):
    command = [
        str(proxy_control.binary()), "eval", "--index", INDEX, "--upstream", judged.engine, "--judgements", str(CORPUS), "--search-fields", "text",
        "--matrix", "model=ms-marco-MiniLM-L12-v2",
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=proxy_control.REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    # The cross-encoder has half a minute of work, and tells every five seconds how far it is.
    overdue = time.monotonic() + WITHIN_SECONDS
    while "of 144 searches" not in (line := process.stderr.readline()):
        assert line and time.monotonic() < overdue
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=WITHIN_SECONDS)
    assert process.returncode == 1 and "stopped at `" in told and "of 144 searches" in told, told


def write(path, content):
    path.write_text("\n".join(content) + "\n")
    return path


@pytest.mark.engines(NEWEST[0])
def test_a_cluster_behind_tls_and_a_password_is_asked_as_clients_ask_it(judged, tmp_path):
    if not shutil.which("openssl"):
        pytest.skip("no openssl to make a certificate with")
    certificate, key = tmp_path / "ca.pem", tmp_path / "key.pem"
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE"
    subprocess.run([*make.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    expected = "Basic " + base64.b64encode(b"searcher:s3cret").decode()
    with guarded(judged.engine, certificate, key, expected) as url:
        config = tmp_path / "rerank.toml"
        config.write_text(
            f'[upstream]\nurl = "{url}"\n[upstream.tls]\nca = "{certificate}"\n[models.m]\npath = "{data.MODEL}"\n'
            '[[rules]]\nindex = "*"\nmodel = "m"\nwindow = 10\n'
        )
        common = ["--config", config, "--judgements", CORPUS, "--search-fields", "text", "--sample", "3"]
        credentials = write(tmp_path / "headers", [f"Authorization: {expected}"])
        assert measured(*common, "-H", f"@{credentials}")["configured"]["reranked"] == 3
        _, told = evaluate(*common, "-H", "Authorization: Basic wrong", status=1)
        assert "401" in told and "wrong" not in told, told


class guarded:
    """A server with TLS in front of an engine, which answers those alone who send this `Authorization`."""

    def __init__(self, engine, certificate, key, expected):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                if self.headers.get("authorization") != expected:
                    return self.reply(401, "application/json", b'{"error": "who are you?"}')
                headers = {"content-type": self.headers.get("content-type", "application/json")}
                answer = send(engine, self.command, self.path, body or None, headers)
                self.reply(answer.status, answer.header("content-type"), answer.body)

            do_GET = do_POST

            def reply(self, status, kind, body):
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)

    def __enter__(self):
        Thread(target=self.server.serve_forever, daemon=True).start()
        return f"https://127.0.0.1:{self.server.server_port}"

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
