"""`rerank-proxy check` on real engines: what each rule catches, whether its fields are there, what passages a sample has; and the exit
codes that a pipeline goes by."""

import subprocess

import data
import pytest
from conftest import DIRECT
from kinds import KINDS, NEWEST
from proxy import REPOSITORY, binary

from wire import ScriptedServer, replying

pytestmark = pytest.mark.skipif(DIRECT, reason="needs the program")

HEAD = """\
[server]
listen = "127.0.0.1:0"
[upstream]
url = "{upstream}"
{engine}
[models.default]
path = "{model}"
"""
RULE = '[[rules]]\nindex = [{index}]\nmodel = "default"\nfields = [{fields}]\nwindow = 20\nbudget = "{budget}"\n'


def check(tmp_path, config: str, *flags: str) -> "tuple[int, str, str]":
    file = tmp_path / "rerank-proxy.toml"
    file.write_text(config)
    command = [str(binary()), "check", "--config", str(file), *flags]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)
    return ended.returncode, ended.stdout, ended.stderr


def configuration(cluster, *rules: "tuple[str, str, str]") -> str:
    family = KINDS[cluster.kind].family
    head = HEAD.format(upstream=cluster.engine, engine=data.ENGINE[family], model=data.MODEL)
    return head + "".join(RULE.format(index=index, fields=fields, budget=budget) for index, fields, budget in rules)


@pytest.mark.engines(*NEWEST, "solr")
def test_what_rules_come_to_is_told(cluster, tmp_path):
    right = ('"passages", "linear"', '"title", "text"', "60s")
    code, out, err = check(tmp_path, configuration(cluster, right), "--strict", "-H", "X-Secret: hush")
    assert code == 0, out + err
    assert "the configuration can be read: 1 rule(s), 1 model(s)" in out and "model default: a probe pair scores 0." in out
    assert "rule 1: index passages, linear; mode on; model default; window 20; budget 60000 ms; blend replace" in out
    for name in ("passages", "linear"):
        told = out.split(f"\n  {name}:\n")[1].split("\n  ")[0:3]
        assert "fields: title, text, all there" in told[0]
        assert "passages: 20 of 20 documents have text; median " in told[1] and " would be truncated" in told[1]
        assert "first search: 20 pairs, at " in told[2] and "within the budget (60000 ms)" in told[2]
    assert "\nno rule: " in out and "hush" not in out + err

    nothing = ('"no-such-*"', '"title"', "60s")
    first = ('"passages"', '"titles", "text"', "1ms")
    textless = ('"single"', '"absent"', "60s")
    config = configuration(cluster, first, right, nothing, textless)
    code, out, _ = check(tmp_path, config)
    assert code == 0
    assert "titles, text; NOT THERE: titles" in out and "the budget (1.0 ms) cuts it after about 0" in out
    assert out.count("\n  passages:\n") == 1, "the first rule that matches counts"
    assert "catches nothing: no index, alias or collection matches" in out and "NO TEXT in any of 1 documents" in out
    for rules in ((nothing,), (first,), (textless,)):
        assert check(tmp_path, configuration(cluster, *rules), "--strict")[0] == 4, rules


@pytest.mark.engines("elasticsearch-9")
def test_the_exit_code_says_what_is_wrong(cluster, tmp_path):
    rule = ('"*"', '"title"', "60s")
    away = configuration(cluster, rule).replace(cluster.engine, "http://127.0.0.1:9")
    code, out, err = check(tmp_path, away)
    assert code == 3 and "the configuration can be read" in out and "127.0.0.1:9" in err, out + err
    assert check(tmp_path, away, "--offline")[0] == 0
    assert check(tmp_path, away + "nonsense = 1\n")[0] == 1
    assert check(tmp_path, away, "--nonsense")[0] == 2
    assert check(tmp_path, away, "-H", "no header")[0] == 2
    refusal = b'HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}'
    with ScriptedServer(replying(refusal)) as closed:
        code, _, err = check(tmp_path, away.replace("http://127.0.0.1:9", closed.url), "-H", "Authorization: Basic aHVzaA==")
    assert code == 3 and "401" in err and "-H" in err and "aHVzaA" not in err, err
