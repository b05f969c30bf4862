"""The script that every Python driver of the client matrix runs, and how what a client shows becomes JSON. A driver hands over an adapter:
what its client spells its own way. The steps, the modes and the names of indices are those of all drivers; ../README.md has them."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

RULED, PLAIN = "scratch-clients", "bystander-clients"
FLAKY = ("flaky-503", "flaky-429", "always-503")
QUERY = "how do I keep the water in a small house warm and clean"
MATCH = {"match": {"text": QUERY}}
SETTINGS = {"number_of_shards": 1, "number_of_replicas": 0}
MAPPINGS = {"properties": {"number": {"type": "integer"}, "title": {"type": "text"}, "text": {"type": "text"}}}
PAGE, PAGES, WORKERS, SEARCHES = 10, 3, 8, 32


def shown(action):
    """What a user of the client sees of an action: its result, or its exception."""
    try:
        result = action()
    except Exception as error:
        return {"error": type(error).__name__, "said": str(error)}
    return getattr(result, "body", result)


def at_once(search):
    """Searches over all connections of the pool: how many different answers there are on the ruled index, and the answers on the other."""
    with ThreadPoolExecutor(WORKERS) as workers:
        found = list(workers.map(lambda place: search((RULED, PLAIN)[place % 2]), range(SEARCHES)))
    return {"ruled": len({str(ids) for ids in found[::2]}), "plain": sorted({str(ids) for ids in found[1::2]})}


def run(adapter, version):
    """Runs the mode that the command line asks for: MODE URL DOCUMENTS, and prints what was seen."""
    mode, url, documents = sys.argv[1:]
    with open(documents) as file:
        documents = json.load(file)
    client = adapter(url, compress=mode == "compressed", sniff=mode == "sniff")
    action = {"steps": steps, "compressed": steps, "sniff": sniff, "retries": retries, "product": product}[mode]
    print(json.dumps({"version": version, "seen": action(client, documents)}))


def product(client, _):
    return {"info": shown(client.info)}


def sniff(client, _):
    return {"nodes": client.nodes(), "search": shown(lambda: client.search(RULED, PAGE, 0))}


def retries(client, _):
    return {index: shown(lambda index=index: client.search(index, PAGE, 0)) for index in FLAKY}


def steps(client, documents):
    seen = {"info": shown(client.info)}
    for index in (RULED, PLAIN):
        seen[f"create {index}"] = shown(lambda: client.create_index(index))
        seen[f"bulk {index}"] = shown(lambda: client.bulk(index, documents))
    for kind, index in (("ruled", RULED), ("plain", PLAIN)):
        seen[f"{kind} pages"] = [shown(lambda: client.search(index, PAGE, place * PAGE)) for place in range(PAGES)]
    seen["get"] = shown(lambda: client.get(PLAIN, "d1"))
    seen["count"] = shown(lambda: client.count(RULED))
    seen["ruled msearch"], seen["plain msearch"] = ([part] for part in client.msearch([RULED, PLAIN], PAGE * PAGES))
    seen["walk"] = shown(lambda: client.walk(RULED))
    seen["at once"] = at_once(client.ids)
    seen["missing"] = shown(lambda: client.get(PLAIN, "none"))
    seen["no index"] = shown(lambda: client.search("scratch-none", PAGE, 0))
    seen["refused"] = shown(lambda: client.refused(RULED))
    seen["conflict"] = shown(lambda: client.create(PLAIN, "d1", documents[0]))
    seen["update"] = shown(lambda: client.update(PLAIN, "d1", {"title": "Grüße aus Köln 東京"}))
    seen["updated"] = shown(lambda: client.get(PLAIN, "d1"))
    seen["delete"] = shown(lambda: client.delete(PLAIN, "d1"))
    seen["deleted"] = shown(lambda: client.get(PLAIN, "d1"))
    return seen
