#!/usr/bin/env python3
"""Writes deploy/grafana/rerank-proxy.json, Grafana's dashboard. Owns its panels: a row of `ROWS` is a row of the dashboard.

A dashboard in JSON is 1,500 lines that nobody reads; this is what they say. `--check` fails where the file is another.
"""

import json
import sys
from pathlib import Path

DASHBOARD = Path(__file__).resolve().parent.parent / "deploy" / "grafana" / "rerank-proxy.json"

# Of the chosen replicas, per second over the time that Grafana thinks right.
SELECTED = 'job=~"$job",instance=~"$instance"'
APPLIED, ANY = '="applied"', '!=""'


def rate(metric, by="", **labels):
    """Increase a second, summed over replicas."""
    chosen = ",".join([SELECTED, *(f'{name}{value}' for name, value in labels.items())])
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{{{chosen}}}[$__rate_interval]))"


def quantiles(histogram):
    """Median, 95th and 99th percentile of a histogram."""
    return [
        (f"histogram_quantile({q}, {rate(f'{histogram}_bucket', 'le')})", f"p{round(q * 100)}") for q in (0.5, 0.95, 0.99)
    ]


def mean(histogram, by=""):
    return f"{rate(f'{histogram}_sum', by)} / {rate(f'{histogram}_count', by)}"


def gauge(metric, by="", how="sum"):
    return f"{how}{f' by ({by})' if by else ''} ({metric}{{{SELECTED}}})"


# Row: panels. Panel: title, what it tells, unit, [(query, legend)].
ROWS = {
    "Searches": [
        (
            "Searches by outcome",
            "`applied`: answered in the new order. Others are the reasons of docs/searches.md.",
            "reqps",
            [(rate("rerank_proxy_searches_total", "outcome"), "{{outcome}}")],
        ),
        (
            "Reranked, of the searches of each rule",
            "Falls where searches come that cannot be reranked, or where time, models or memory are short.",
            "percentunit",
            [
                (
                    f"{rate('rerank_proxy_searches_total', 'rule', outcome=APPLIED, rule=ANY)}"
                    f" / {rate('rerank_proxy_searches_total', 'rule', rule=ANY)}",
                    "{{rule}}",
                )
            ],
        ),
        (
            "What reranking adds to a search",
            "From the cluster's whole answer to ours. The dots are traces.",
            "s",
            quantiles("rerank_proxy_rerank_duration_seconds"),
        ),
        (
            "What the cluster takes",
            "For searches that a rule names: wider than their clients asked for.",
            "s",
            quantiles("rerank_proxy_upstream_duration_seconds"),
        ),
        (
            "Mean time of each stage",
            "plan, cluster, candidates, score, order, rewrite.",
            "s",
            [(mean("rerank_proxy_stage_duration_seconds", "stage"), "{{stage}}")],
        ),
        (
            "How far pages are from the cluster's",
            "Overlap 1: the same hits. Places 0: the same order. Where both stay so, reranking changes nothing.",
            "short",
            [
                (mean("rerank_proxy_page_overlap"), "overlap, 0 to 1"),
                (mean("rerank_proxy_displacement"), "places that a hit moved"),
            ],
        ),
    ],
    "Shadow: what reranking would do": [
        (
            "Searches in shadow by outcome",
            "Of rules with `mode = \"shadow\"`. `overloaded`: four were in the background already.",
            "reqps",
            [(rate("rerank_proxy_shadow_searches_total", "outcome"), "{{outcome}}")],
        ),
        (
            "What reranking would add to a request",
            "From the cluster's whole answer to ours, which nobody waited for.",
            "s",
            quantiles("rerank_proxy_shadow_rerank_duration_seconds"),
        ),
        (
            "How far pages would be from the cluster's",
            "Overlap 1: the same hits. Places 0: the same order.",
            "short",
            [
                (mean("rerank_proxy_shadow_page_overlap"), "overlap, 0 to 1"),
                (mean("rerank_proxy_shadow_displacement"), "places that a hit would move"),
            ],
        ),
    ],
    "Scoring": [
        (
            "Pairs by where their score came from",
            "A pair is a query and a passage.",
            "ops",
            [(rate("rerank_proxy_pairs_total", "origin"), "{{origin}}")],
        ),
        (
            "Look-ups that the cache answered",
            "",
            "percentunit",
            [
                (
                    f"{rate('rerank_proxy_cache_hits_total', 'level')} / ({rate('rerank_proxy_cache_hits_total', 'level')}"
                    f" + {rate('rerank_proxy_cache_misses_total', 'level')})",
                    "{{level}}",
                )
            ],
        ),
        (
            "Cut short",
            "Searches that their budget cut off, and pairs that were not even queued: more load than the workers carry.",
            "ops",
            [
                (rate("rerank_proxy_budget_hits_total"), "searches cut off"),
                (rate("rerank_proxy_shed_pairs_total"), "pairs not queued"),
            ],
        ),
        (
            "Workers, and those that are busy",
            "",
            "short",
            [
                (gauge("rerank_proxy_workers", "model"), "{{model}}"),
                (gauge("rerank_proxy_busy_workers", "model"), "{{model}}, busy"),
            ],
        ),
        ("Pairs that wait", "", "short", [(gauge("rerank_proxy_queued_pairs", "model"), "{{model}}")]),
        (
            "State of each model",
            "The number of replicas in which it is in that state.",
            "short",
            [(f"{gauge('rerank_proxy_model_state', 'model, state')} > 0", "{{model}}: {{state}}")],
        ),
    ],
    "Process": [
        (
            "Requests without an answer, and sent once more",
            "Of the cluster.",
            "reqps",
            [
                (rate("rerank_proxy_upstream_failures_total"), "no answer"),
                (rate("rerank_proxy_upstream_retries_total"), "once more"),
            ],
        ),
        (
            "Nodes of the cluster that take part",
            "Of `upstream.urls`, or found; the number of replicas that reach each.",
            "short",
            [(gauge("rerank_proxy_upstream_node_up", "node"), "{{node}}")],
        ),
        (
            "Configurations that were read last and count",
            "1: yes. 0: it was refused, and the one before counts; the log has the reasons.",
            "short",
            [(gauge("rerank_proxy_config_last_reload_successful", "instance"), "{{instance}}")],
        ),
        (
            "Client connections",
            "",
            "short",
            [(gauge("rerank_proxy_open_connections", "instance"), "{{instance}}")],
        ),
        (
            "Memory of requests and answers that are held",
            "Of `limits.memory`; beyond it searches pass through.",
            "percentunit",
            [
                (
                    f"{gauge('rerank_proxy_memory_held_bytes', 'instance', 'max')}"
                    f" / {gauge('rerank_proxy_memory_limit_bytes', 'instance', 'max')}",
                    "{{instance}}",
                )
            ],
        ),
        (
            "Replicas by version",
            "",
            "short",
            [(f"count by (version) (rerank_proxy_build_info{{{SELECTED}}})", "{{version}}")],
        ),
    ],
}

WIDTH, HEIGHT, COLUMNS = 12, 8, 24
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


def panel(number, title, tells, unit, queries, x, y):
    return {
        "id": number,
        "type": "timeseries",
        "title": title,
        "description": tells,
        "datasource": DATASOURCE,
        "gridPos": {"x": x, "y": y, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0, "custom": {"lineWidth": 1, "fillOpacity": 8}}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": DATASOURCE,
                "expr": query,
                "legendFormat": legend,
                "exemplar": "histogram_quantile" in query,
            }
            for place, (query, legend) in enumerate(queries)
        ],
    }


def variable(name, label):
    query = f"label_values(rerank_proxy_build_info{{job=~\"$job\"}}, {name})" if name != "job" else "label_values(rerank_proxy_build_info, job)"
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def dashboard():
    panels, y, number = [], 0, 1
    for row, content in ROWS.items():
        panels.append({"id": number, "type": "row", "title": row, "collapsed": False, "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1}, "panels": []})
        y, number = y + 1, number + 1
        for place, (title, tells, unit, queries) in enumerate(content):
            x = place % (COLUMNS // WIDTH) * WIDTH
            panels.append(panel(number, title, tells, unit, queries, x, y + place // (COLUMNS // WIDTH) * HEIGHT))
            number += 1
        y += -(-len(content) // (COLUMNS // WIDTH)) * HEIGHT
    return {
        "uid": "rerank-proxy",
        "title": "rerank-proxy",
        "tags": ["search"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
                variable("job", "Job"),
                variable("instance", "Replica"),
            ]
        },
        "panels": panels,
    }


def main():
    text = json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n"
    if "--check" in sys.argv:
        if not DASHBOARD.exists() or DASHBOARD.read_text() != text:
            sys.exit(f"error: {DASHBOARD} is not what {Path(__file__).name} writes: run it")
    else:
        DASHBOARD.write_text(text)


if __name__ == "__main__":
    main()
