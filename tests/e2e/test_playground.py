"""The playground in a real browser: search, controls, judging, explanations, a hostile document, a phone, the dark."""

import base64
import json
import re
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote, urlsplit

import pytest

import browser as browser_control
import demo
import proxy as proxy_control
from data import MODEL
from wire import ScriptedServer, header_lines, read_request, send

FIXTURES = proxy_control.REPOSITORY / "fixtures" / "playground"
QUERY = "homemade garlic confit shelf life"
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
PATIENCE = 15_000


@pytest.fixture(scope="module")
def browser():
    with browser_control.running() as started:
        yield started


@pytest.fixture(scope="module")
def shown():
    """The demo: `.url` of the playground as it prints it, `.proxy`, `.engine`."""
    with demo.running("--model", "all-MiniLM-L6-v2") as addresses:
        url = addresses["playground"]
        yield SimpleNamespace(url=url, proxy="http://" + urlsplit(url).netloc, engine=addresses["search engine (BM25)"])


@pytest.fixture
def open_page(browser):
    """Opens a URL in a browser that remembers nothing: `open_page(url, color_scheme="dark")`. No page may have complained
    at the end of a test."""
    complaints, contexts = [], []

    def start(url, **options):
        contexts.append(browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | options)))
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if "Content Security Policy" in said.text else None)
        page.goto(url)
        return page

    yield start
    for context in contexts:
        context.close()
    assert not complaints


def titles(page, name):
    return page.locator(f"#{name} .title").all_inner_texts()


def searched(page, how):
    """Does something, and waits for the answer that it brings onto the page."""
    with page.expect_response(re.compile("/_rerank/explain")) as answer:
        how()
    page.locator("body:not(.waiting)").wait_for()
    return json.loads(answer.value.text())


def says(page, text):
    page.locator("#notice", has_text=text).wait_for()


def state_of(page):
    return urlsplit(page.url).fragment


def axe(page):
    from axe_core_python.sync_playwright import Axe

    return [(found["id"], [node["html"] for node in found["nodes"]]) for found in Axe().run(page)["violations"]]


def test_the_demo_opens_with_a_query_and_both_orders(shown, open_page):
    page = open_page(shown.url)
    page.locator("#after .hit").first.wait_for()
    assert page.input_value("#query") == QUERY
    before, after = titles(page, "before"), titles(page, "after")
    assert len(before) == len(after) == 10 and before != after
    assert after[0] == "Garlic kept in oil"
    assert page.locator("#lines path.up").count() > 0 and page.locator("#lines path.down").count() > 0
    assert page.locator("#after .hit").first.locator(".move").inner_text() == "▲ 4"
    assert "Reranked" in page.inner_text("#figures")
    for stage in ("cluster", "score"):
        assert re.search(rf"{stage} [\d.]+ ms", page.inner_text(".stages ul")), stage
    assert "garlic" in [text.lower() for text in page.locator("#after .snippet b").all_inner_texts()]


def test_what_is_typed_is_searched_as_it_is_typed_and_a_link_brings_it_back(shown, open_page):
    page = open_page(f"{shown.proxy}/_rerank/ui")
    says(page, "Type a query")
    page.locator("#query").press_sequentially("cats eyes shine", delay=20)
    page.locator("#after .hit").first.wait_for()
    page.locator("body:not(.waiting)").wait_for()
    link, seen = page.url, titles(page, "after")
    assert "q=cats+eyes+shine" in state_of(page)
    other = open_page(link)
    other.locator("#after .hit").first.wait_for()
    assert (other.input_value("#query"), titles(other, "after")) == ("cats eyes shine", seen)


def test_controls_act_at_once_and_from_cached_scores(shown, open_page):
    page = open_page(shown.url)
    page.locator("#after .hit").first.wait_for()
    usual = titles(page, "after")
    answer = searched(page, lambda: page.select_option("#blend", "linear"))
    assert answer["plan"]["blend"]["method"] == "linear" and answer["figures"]["cached"] == answer["figures"]["scored"]
    page.locator("#weight").focus()
    answer = searched(page, lambda: page.keyboard.press("Home"))
    assert answer["plan"]["blend"]["weight"] == 0
    assert titles(page, "after") == titles(page, "before"), "the cluster alone"
    answer = searched(page, lambda: page.select_option("#blend", "rrf"))
    assert answer["plan"]["blend"]["method"] == "rrf" and "blend=rrf" in state_of(page)
    page.locator("#window").focus()
    answer = searched(page, lambda: page.keyboard.press("Home"))
    assert answer["plan"]["window"] < 100, "a page is never cut"
    searched(page, lambda: page.click("#reset"))
    assert titles(page, "after") == usual
    answer = searched(page, lambda: page.select_option("#with", "model:demo"))
    assert answer["plan"]["model"] == "demo"


def test_a_search_of_ones_own_is_taken_as_it_is(shown, open_page):
    page = open_page(shown.url)
    page.locator("#after .hit").first.wait_for()
    page.click("#request summary")
    assert '"{{query}}"' in page.input_value("#body")
    own = json.dumps({"query": {"match": {"text": "water"}}, "size": 3})
    answer = searched(page, lambda: page.fill("#body", own))
    assert answer["query"]["text"] == "water" and len(answer["after"]) == 3
    other = open_page(page.url)
    other.locator("#after .hit").first.wait_for()
    assert other.locator("#after .hit").count() == 3
    in_an_order = {"query": {"match": {"text": "water"}}, "sort": [{"domain.keyword": "asc"}]}
    searched(page, lambda: page.fill("#body", json.dumps(in_an_order)))
    assert "Not reranked" in page.inner_text("#figures") and page.inner_text("#figures code") == "sort"
    page.fill("#body", own[:-1])
    says(page, "not JSON")
    assert page.get_attribute("#body", "aria-invalid") == "true"
    searched(page, lambda: page.click("#own-request"))
    assert page.locator("#after .hit").count() == 10


def test_the_keyboard_judges_and_explains_and_the_judgements_can_be_taken_along(shown, open_page):
    page = open_page(shown.url)
    page.locator("#after .hit").first.wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("3")
    assert page.locator(".ndcg").inner_text().startswith("NDCG@10 0.387 → 1.000"), page.locator(".ndcg").inner_text()
    page.keyboard.press("j")
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    assert "What the model read" in page.inner_text("#after .hit:nth-child(2) .details")
    assert page.get_attribute("#after .hit:nth-child(2) .title", "aria-expanded") == "true"
    page.keyboard.press("Escape")
    assert page.locator(".details").count() == 0
    page.keyboard.press("h")
    assert page.evaluate("document.activeElement.closest('ol').id") == "before"
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "query"
    page.reload()
    page.locator("#after .grade[aria-pressed=true]").first.wait_for()
    assert page.locator("#after .grade[aria-pressed=true]").all_inner_texts() == ["3", "1"], "they are kept"
    for name in ("queries.jsonl", "qrels.tsv", "rank_eval.json"):
        with page.expect_download() as download:
            page.click(f"text={name}")
        assert Path(download.value.path()).read_text() == (FIXTURES / name).read_text(), name
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("text=Forget them")
    assert page.locator(".grade[aria-pressed=true]").count() == 0


def test_no_rule_of_accessibility_is_broken_in_light_in_the_dark_and_on_a_phone(shown, open_page):
    phone = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
    for options in ({}, {"color_scheme": "dark"}, phone):
        page = open_page(shown.url, reduced_motion="reduce", **options)
        page.locator("#after .hit").first.wait_for()
        page.locator("#after .grade").first.click()
        page.locator("#after .title").first.click()
        assert axe(page) == [], options
        page.evaluate("document.getElementById('reranking').open = document.getElementById('request').open = true")
        page.click("#show-help")
        assert axe(page) == [], options


def test_a_phone_shows_one_list_with_arrows_and_nothing_beyond_its_width(shown, open_page):
    page = open_page(shown.url, viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    page.locator("#after .hit").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert not page.locator("#before").is_visible() and not page.locator("#lines").is_visible()
    assert page.locator("#after .move").first.inner_text() == "▲ 4"
    page.click("#choose-list [data-list=before]")
    assert page.locator("#before").is_visible() and not page.locator("#after").is_visible()


def test_in_the_dark_the_page_is_dark(shown, open_page):
    ground = "getComputedStyle(document.body).backgroundColor"
    light, dark = (open_page(shown.url, color_scheme=scheme).evaluate(ground) for scheme in ("light", "dark"))
    brightness = lambda colour: sum(map(int, re.findall(r"\d+", colour)))  # noqa: E731
    assert brightness(light) > 600 > 150 > brightness(dark)


def test_a_hostile_document_stays_text(shown, open_page):
    # In an index of its own: the judgements of the others are counted on.
    document = {"title": f"garlic {HOSTILE}", "text": f"{HOSTILE} garlic in a hostile document"}
    for number in (1, 2):
        path = f"/hostile/_doc/{quote(HOSTILE, safe='')}{number}?refresh=true"
        assert send(shown.proxy, "PUT", path, document).status == 201
    page = open_page(f"{shown.proxy}/_rerank/ui#index=hostile&q={quote('garlic ' + HOSTILE)}")
    page.locator("#after .hit").first.wait_for()
    page.locator("#after .title").first.click()
    page.locator("#after .source summary").click()
    assert HOSTILE in page.locator("#after .title").first.inner_text()
    assert page.locator("#lists img, #lists script, #outcome img").count() == 0
    assert page.title().startswith("Playground")


def test_a_query_is_sent_as_it_is_typed_and_a_document_may_have_any_name(shown, open_page):
    for name in ("__proto__", "constructor"):
        path = f"/odd/_doc/{name}?refresh=true"
        assert send(shown.proxy, "PUT", path, {"title": "US$$ 100", "text": f"US$$ 100 {name}"}).status == 201
    page = open_page(f"{shown.proxy}/_rerank/ui#index=odd")
    # Each of these means something in a text that replaces another.
    query = "it's $' US$$ 100 $& $`"
    with page.expect_request("**/_rerank/explain") as sent:
        page.fill("#query", query)
    assert json.dumps(query)[1:-1] in json.loads(sent.value.post_data)["body"]
    page.locator("#after .hit").nth(1).wait_for()
    for place in (0, 1):
        page.locator("#after .hit").nth(place).locator(".grade").nth(2).click()
    page.reload()
    page.locator("#after .grade[aria-pressed=true]").nth(1).wait_for()
    assert page.locator("#after .grade[aria-pressed=true]").all_inner_texts() == ["2", "2"]


ANSWER = {"outcome": "applied", "cluster": {"status": 200}, "plan": {"model": "m", "window": 100, "from": 0}, "stages": []}


def canned(route, text):
    """Answers an explained search with one hit, whose passage was read in pieces."""
    asked = json.loads(route.request.post_data)["body"]
    hit = {"id": asked, "index": "demo", "rank": {"before": 1, "after": 1}, "score": {"before": 1, "after": 2}}
    hit |= {"passage": text, "window": {"start": 4, "end": 8}, "source": {"title": re.search(r'"query":\s*"(.*?)"', asked)[1]}}
    route.fulfill(json=ANSWER | {"before": [hit], "after": [hit]})


def test_a_late_answer_never_takes_the_place_of_a_newer_one(shown, open_page):
    page = open_page(f"{shown.proxy}/_rerank/ui")
    held = []
    page.route("**/_rerank/explain", lambda route: held.append(route))
    for query in ("first", "second"):
        with page.expect_request("**/_rerank/explain"):
            page.fill("#query", query)
    page.wait_for_timeout(50)
    newer, older = held[1], held[0]
    canned(newer, "one two three")
    page.locator("#after .hit").wait_for()
    canned(older, "one two three")
    page.wait_for_timeout(100)
    assert titles(page, "after") == ["second"]


def test_the_piece_of_a_passage_that_won_is_marked(shown, open_page):
    page = open_page(f"{shown.proxy}/_rerank/ui")
    # Counted in characters, of which one is two units of the browser's.
    page.route("**/_rerank/explain", lambda route: canned(route, "o😀e two three"))
    page.fill("#query", "x")
    page.locator("#after mark").wait_for()
    assert page.locator("#after mark").text_content() == "two "


def locked(connection, server):
    """A cluster that knows one user."""
    right = "Basic " + base64.b64encode("ada:Gödel".encode()).decode()
    while head := read_request(connection):
        allowed = dict(header_lines(head)).get("authorization") == right
        hits = [{"_index": "i", "_id": str(n), "_score": 1.0, "_source": {"text": "found"}} for n in (1, 2)]
        answer = [{"index": "i", "docs.count": "2"}] if b"_cat/indices" in head else {"hits": {"hits": hits, "max_score": 1.0}}
        body = json.dumps(answer if allowed else {"error": {"reason": "missing credentials"}, "status": 401}).encode()
        status = "200 OK" if allowed else '401 Unauthorized\r\nwww-authenticate: Basic realm="x"'
        line = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        connection.sendall(line.encode() + body)


def test_the_cluster_s_credentials_are_asked_for_and_are_nowhere_but_in_memory(open_page, proxy_before):
    with ScriptedServer(locked) as cluster:
        proxy = proxy_before(cluster.url)
        page = open_page(f"{proxy.url}/_rerank/ui#index=i&q=x")
        page.locator("#access input").first.wait_for()
        page.fill("#access label:has-text('User') input", "ada")
        page.fill("#access label:has-text('Password') input", "Gödel")
        page.click("#access button")
        page.locator("#after .hit").first.wait_for()
        kept = page.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie, location.href])")
        assert "del" not in kept and "ada" not in kept and "YWRh" not in kept
        page.reload()
        page.locator("#access input").first.wait_for()


@pytest.mark.engines("elasticsearch-9", "opensearch-3", "solr-9")
def test_every_engine_tells_its_indices_and_is_searched_in_its_own_words(cluster, open_page):
    page = open_page(f"{cluster.proxy}/_rerank/ui#index=passages&q=warm+water")
    page.locator("#after .hit").first.wait_for()
    assert {"passages", "passages-more", "single"} <= set(page.locator("#index option").evaluate_all("all => all.map(one => one.value)"))
    assert page.input_value("#index") == "passages"
    asked = page.input_value("#path") + page.input_value("#body")
    assert "title" in asked and "text" in asked and "number" not in asked, asked
    assert len(titles(page, "before")) == len(titles(page, "after")) == 10
    assert "Reranked" in page.inner_text("#figures")
    answer = searched(page, lambda: page.fill("#query", "bread & butter"))
    assert answer["query"]["text"] == "bread & butter", answer["query"]


def test_a_key_of_the_rerank_api_is_asked_for_and_kept_in_memory(shown, open_page):
    config = f'[server]\nlisten = "127.0.0.1:0"\n[upstream]\nurl = "{shown.engine}"\n[api]\nkeys_env = "KEYS"\n'
    config += f'[models.m]\npath = "{MODEL}"\n[[rules]]\nindex = "*"\nmodel = "m"\n'
    with proxy_control.start(config, {"KEYS": "s3cret"}) as proxy:
        page = open_page(f"{proxy.ready().url}/_rerank/ui#index=demo&q=water")
        page.fill("#access input", "wrong")
        page.click("#access button")
        page.locator("#access input").fill("s3cret")
        page.click("#access button")
        page.locator("#after .hit").first.wait_for()
        assert page.locator("#with option[value='model:m']").count() == 1, "who has a key learns the models"
        assert "s3cret" not in page.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie, location.href])")


def test_a_setting_takes_the_playground_away(open_page):
    config = '[server]\nlisten = "127.0.0.1:0"\n[upstream]\nurl = "http://127.0.0.1:9"\n[api]\nplayground = false\n'
    with proxy_control.start(config) as proxy:
        for path in ("/_rerank/ui", "/_rerank/ui/main.js"):
            answer = send(proxy.url, "GET", path)
            assert (answer.status, "api.playground" in answer.json()["error"]) == (404, True), path
