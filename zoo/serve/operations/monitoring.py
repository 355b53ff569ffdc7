"""What Prometheus reads and when it warns, and a dashboard of Grafana."""

import json
from typing import Any

from zoo.serve.health import METRICS
from zoo.serve.metrics import SECONDS
from zoo.serve.operations.containers import dumped
from zoo.serve.operations.site import Site, heading

JOB = "zoo"
SOURCE = "prometheus"
"""Identifier of the data source in Grafana."""
ERROR_SHARE, REJECTED_SHARE = 0.01, 0.05
"""Shares of requests from which on a warning is given."""

PANELS: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
    (
        "Requests a second, by status",
        "reqps",
        (("sum by (code) (rate(zoo_requests_total{M}[$__rate_interval]))", "{{code}}"),),
    ),
    (
        "Latency",
        "s",
        tuple(
            (
                f"histogram_quantile({share}, sum by (le) "
                "(rate(zoo_request_seconds_bucket{M}[$__rate_interval])))",
                f"p{share * 100:g}",
            )
            for share in (0.5, 0.95, 0.99)
        ),
    ),
    (
        "Share of requests that failed or were refused",
        "percentunit",
        (
            (
                'sum(rate(zoo_requests_total{M,code=~"5.."}[$__rate_interval])) '
                "/ sum(rate(zoo_requests_total{M}[$__rate_interval]))",
                "failed",
            ),
            (
                "sum(rate(zoo_rejected_total{M}[$__rate_interval])) "
                "/ sum(rate(zoo_requests_total{M}[$__rate_interval]))",
                "refused",
            ),
        ),
    ),
    (
        "Requests that wait, and that are worked on",
        "short",
        (
            ("sum by (model) (zoo_queue_length{M})", "{{model}} waits"),
            ("sum(zoo_in_flight)", "requests in work"),
            ("sum by (model) (zoo_live_streams{M})", "{{model}} hears live"),
        ),
    ),
    ("Bytes of requests that are worked on", "bytes", (("sum(zoo_in_flight_bytes)", "bytes"),)),
    (
        "Requests refused a second, by reason",
        "reqps",
        (("sum by (reason) (rate(zoo_rejected_total{M}[$__rate_interval]))", "{{reason}}"),),
    ),
    (
        "Batch size",
        "short",
        (
            (
                "sum by (model, version) (rate(zoo_batch_size_sum{M}[$__rate_interval])) "
                "/ sum by (model, version) (rate(zoo_batch_size_count{M}[$__rate_interval]))",
                "{{model}} {{version}} mean",
            ),
            (
                "histogram_quantile(0.95, sum by (model, version, le) "
                "(rate(zoo_batch_size_bucket{M}[$__rate_interval])))",
                "{{model}} {{version}} p95",
            ),
        ),
    ),
    (
        "Batches released a second, by reason",
        "ops",
        (
            (
                "sum by (model, version, reason) "
                "(rate(zoo_batches_released_total{M}[$__rate_interval]))",
                "{{model}} {{version}} {{reason}}",
            ),
        ),
    ),
    (
        "Seconds of a batch",
        "s",
        (
            (
                "sum by (model, version) (rate(zoo_batch_seconds_sum{M}[$__rate_interval])) "
                "/ sum by (model, version) (rate(zoo_batch_seconds_count{M}[$__rate_interval]))",
                "{{model}} {{version}} mean",
            ),
        ),
    ),
    (
        "Share of a batch that is padding",
        "percentunit",
        (("avg by (model, version) (zoo_padding_share{M})", "{{model}} {{version}}"),),
    ),
    (
        "Seconds of a text: to its first token, and of each other one",
        "s",
        tuple(
            (
                f"histogram_quantile({share}, sum by (le) "
                f"(rate(zoo_{name}_seconds_bucket{{M}}[$__rate_interval])))",
                f"{what} p{share * 100:g}",
            )
            for name, what in (("first_token", "first"), ("token", "others"))
            for share in (0.5, 0.95)
        ),
    ),
    (
        "Tokens a second",
        "short",
        (
            (
                "sum by (model, kind) (rate(zoo_tokens_total{M}[$__rate_interval]))",
                "{{model}} {{kind}}",
            ),
        ),
    ),
    (
        "Texts that are written, and that wait for room in the cache",
        "short",
        (
            ("sum by (model) (zoo_texts_running{M})", "{{model}} written"),
            ("sum by (model) (zoo_texts_waiting{M})", "{{model}} waits"),
        ),
    ),
    (
        "Share of the caches of texts in use",
        "percentunit",
        (
            (
                "sum by (model) (zoo_cached_tokens{M}) / sum by (model) (zoo_cache_tokens{M})",
                "{{model}}",
            ),
        ),
    ),
    (
        "Workers",
        "short",
        (
            (
                "sum by (model, version, role) (zoo_workers_ready{M})",
                "{{model}} {{version}} ready, {{role}}",
            ),
            (
                "sum by (model, version) (increase(zoo_worker_restarts_total{M}[$__range]))",
                "{{model}} {{version}} restarted",
            ),
        ),
    ),
    (
        "Share of answers from the cache",
        "percentunit",
        (
            (
                "sum(rate(zoo_cache_hits_total{M}[$__rate_interval])) / "
                "(sum(rate(zoo_cache_hits_total{M}[$__rate_interval])) + "
                "sum(rate(zoo_cache_misses_total{M}[$__rate_interval])))",
                "hits",
            ),
        ),
    ),
    (
        "What is served",
        "short",
        (
            (
                "count by (model, version, role, deployment) (zoo_model_info{M})",
                "{{model}} {{version}} {{role}} {{deployment}}",
            ),
        ),
    ),
)
"""Title, unit, and queries with what their lines are called; {M} stands for the chosen models."""
COLUMNS, HEIGHT = 2, 8


def scrape_config(site: Site, target: str) -> str:
    """Return prometheus.yml, which reads a service and warns by the rules beside it.

    Args:
        target: the service as HOST:PORT.
    """
    content = {
        "global": {"scrape_interval": "5s", "evaluation_interval": "15s"},
        "rule_files": ["/etc/prometheus/rules.yml"],
        "scrape_configs": [
            {
                "job_name": JOB,
                "metrics_path": METRICS,
                "authorization": {"credentials_file": "/run/secrets/metrics_key"},
                "static_configs": [{"targets": [target]}],
            }
        ],
    }
    head = [f"Reads {METRICS} of {site.name}. Where warnings go is `alerting:`, to be added."]
    return heading("#", head) + dumped(content)


def alerts(site: Site) -> dict[str, Any]:
    """Return the rules of Prometheus: when it warns, and what it says."""
    return {"groups": [{"name": "zoo", "rules": [_rule(*each) for each in _conditions(site)]}]}


def _conditions(site: Site) -> list[tuple[str, str, str, str, str]]:
    """Return what is warned of: name, expression, how long it lasts, severity, text."""
    deadline = site.args.timeout_s
    slow = min(deadline / 2, SECONDS[-2])  # beyond that a histogram tells nothing
    every = 'sum by (model) (rate(zoo_requests_total{model!=""}[5m]))'
    failed = 'sum by (model) (rate(zoo_requests_total{model!="",code=~"5.."}[5m]))'
    refused = 'sum by (model) (rate(zoo_rejected_total{model!=""}[5m]))'
    buckets = "sum by (model, le) (rate(zoo_request_seconds_bucket[5m]))"
    share, of = "{{ $value | humanizePercentage }} of the requests for", "{{ $labels.model }}"
    where = "{{ $labels.instance }}"
    return [
        (
            "ZooErrors",
            f"{failed} / {every} > {ERROR_SHARE}",
            "5m",
            "critical",
            f"{share} {of} fail",
        ),
        (
            "ZooSlow",
            f"histogram_quantile(0.99, {buckets}) > {slow:g}",
            "5m",
            "warning",
            f"the slowest hundredth for {of} takes {{{{ $value | humanizeDuration }}}}; "
            f"the deadline is {deadline:g} s",
        ),
        (
            "ZooRefuses",
            f"{refused} / {every} > {REJECTED_SHARE}",
            "5m",
            "warning",
            f"{share} {of} are refused: it is given more than it holds",
        ),
        (
            "ZooRestarts",
            "sum by (model, version) (increase(zoo_worker_restarts_total[15m])) > 0",
            "0m",
            "warning",
            f"a worker of {of} {{{{ $labels.version }}}} died and was started again",
        ),
        (
            "ZooNotReady",
            'sum by (model, instance) (zoo_workers_ready{role="active"}) < 1',
            "1m",
            "critical",
            f"{where} has no worker for {of}",
        ),
        (
            "ZooDown",
            f'up{{job=~".*{JOB}.*"}} == 0',
            "1m",
            "critical",
            f"{where} does not answer",
        ),
    ]


def rules(site: Site) -> str:
    """Return rules.yml for Prometheus; see `alerts`."""
    return dumped(alerts(site))


def dashboard(site: Site) -> str:
    """Return a dashboard of Grafana as JSON, with a choice of models."""
    panels = []
    for number, (title, unit, queries) in enumerate(PANELS):
        row, column = divmod(number, COLUMNS)
        width = 24 // COLUMNS
        panels.append(
            {
                "id": number + 1,
                "title": title,
                "type": "timeseries",
                "datasource": {"type": "prometheus", "uid": SOURCE},
                "gridPos": {"h": HEIGHT, "w": width, "x": column * width, "y": row * HEIGHT},
                "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
                "targets": [
                    {
                        "refId": chr(ord("A") + place),
                        "datasource": {"type": "prometheus", "uid": SOURCE},
                        "expr": _of_chosen_models(expression),
                        "legendFormat": legend,
                    }
                    for place, (expression, legend) in enumerate(queries)
                ],
            }
        )
    choice = {
        "name": "model",
        "type": "query",
        "datasource": {"type": "prometheus", "uid": SOURCE},
        "query": "label_values(zoo_model_info, model)",
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }
    content = {
        "uid": site.name,
        "title": f"{site.name}: {site.titles}",
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "templating": {"list": [choice]},
        "panels": panels,
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def provisioning(url: str) -> dict[str, str]:
    """Return what tells Grafana of Prometheus and the dashboard, by path below its folder.

    Args:
        url: of Prometheus.
    """
    source = {
        "name": "Prometheus",
        "uid": SOURCE,
        "type": "prometheus",
        "access": "proxy",
        "url": url,
        "isDefault": True,
    }
    provider = {
        "name": "zoo",
        "type": "file",
        "allowUiUpdates": False,
        "options": {"path": "/var/lib/grafana/dashboards"},
    }
    return {
        "provisioning/datasources/prometheus.yaml": dumped(
            {"apiVersion": 1, "datasources": [source]}
        ),
        "provisioning/dashboards/zoo.yaml": dumped({"apiVersion": 1, "providers": [provider]}),
    }


def _of_chosen_models(expression: str) -> str:
    """Return a query of the dashboard's chosen models: `{M}` becomes a selector."""
    chosen = 'model=~"$model"'
    return expression.replace("{M}", f"{{{chosen}}}").replace("{M,", f"{{{chosen},")


def _rule(name: str, expression: str, lasts: str, severity: str, summary: str) -> dict[str, Any]:
    """Return a rule that warns once its expression has been true for so long."""
    return {
        "alert": name,
        "expr": expression,
        "for": lasts,
        "labels": {"severity": severity},
        "annotations": {"summary": summary},
    }
