"""Prometheus and Grafana: what they ask for is what a service tells, and warnings come when due."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.zoo.serve.operations.balanced import site_of
from zoo.serve import health
from zoo.serve.metrics import SECONDS, Metrics, VersionState
from zoo.serve.operations import monitoring, write

SITE = site_of(timeout_s=20.0)


def queries() -> list[str]:
    """Every expression of the dashboard and of the rules."""
    panels = json.loads(monitoring.dashboard(SITE))["panels"]
    shown = [target["expr"] for panel in panels for target in panel["targets"]]
    return shown + [rule["expr"] for rule in monitoring.alerts(SITE)["groups"][0]["rules"]]


def told() -> dict[str, set[str]]:
    """The labels of each series of a service that has answered, by name."""
    model = SITE.models[0]
    state = {"running": 1, "waiting": 1, "cached_tokens": 1, "cache_tokens": 1}
    metrics = Metrics(lambda: [VersionState(model, "active", 1, 0, 0, [state])])
    metrics.add_version(model)
    metrics.began()
    metrics.ended("bert_cls", "/predict", "200", 0.1)
    metrics.released(model, "idle")
    metrics.batch(model, {"inputs": 1, "seconds": 0.1, "padding": 0.0})
    metrics.rejected("bert_cls", "queue")
    metrics.text(model, {"prompt_tokens": 1, "completion_tokens": 2}, 0.1, 0.1)
    return series(metrics.written().decode())


def series(text: str) -> dict[str, set[str]]:
    """The labels by the name of the series, of Prometheus's text format."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def asked(expression: str) -> dict[str, set[str]]:
    """The labels that an expression wants of each series that it names."""
    grouped = {
        label
        for labels in re.findall(r"by \(([^)]*)\)", expression)
        for label in re.split(r",\s*", labels)
    }
    wanted = {}
    for name, selector in re.findall(r"\b(zoo_\w+)(?:\{([^}]*)\})?", expression):
        wanted[name] = grouped | set(re.findall(r"(\w+)(?:=~|!=|=)", selector))
    return wanted


@pytest.mark.parametrize("expression", queries())
def test_what_is_asked_is_told(expression: str) -> None:
    known = told()
    for name, labels in asked(expression).items():
        assert name in known, name
        given = {"instance", "job", "le"}  # by Prometheus, and of histograms
        assert labels - given <= known[name], f"{name} has {sorted(known[name])}"
    assert asked(expression) or expression.startswith("up{")


def test_all_that_is_told_is_shown() -> None:
    shown = {name for expression in queries() for name in asked(expression)}
    known = {name for name in told() if not name.endswith("_created")}

    def families(names: set[str]) -> set[str]:
        return {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}

    assert families(known) == families(shown)


@pytest.mark.parametrize("timeout_s", [0.5, 30.0, 600.0])
def test_a_slow_service_can_be_seen(timeout_s: float) -> None:
    """A quantile is never above the largest bound of a histogram: beyond it no warning came."""
    rules = monitoring.alerts(site_of(timeout_s=timeout_s))["groups"][0]["rules"]
    (slow,) = [rule["expr"] for rule in rules if rule["alert"] == "ZooSlow"]
    bound = float(slow.rpartition(">")[2])
    assert bound <= timeout_s / 2 and bound < SECONDS[-1]


def test_prometheus_reads_the_service_with_its_key(tmp_path: Path) -> None:
    files = write.contents("compose", tmp_path, site_of(port=9001))
    content = yaml.safe_load(files["prometheus/prometheus.yml"])
    services = yaml.safe_load(files["compose.yaml"])["services"]
    (job,) = content["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    assert target.split(":") == ["serve", "9001"] and "serve" in services
    assert job["metrics_path"] == health.METRICS
    secret = Path(job["authorization"]["credentials_file"])
    assert secret.name in services["prometheus"]["secrets"]
    (mount,) = [m for m in services["prometheus"]["volumes"] if m["type"] == "bind"]
    for path in content["rule_files"]:
        below = Path(mount["source"]) / Path(path).relative_to(mount["target"])
        assert below.as_posix() in files
    sources = yaml.safe_load(files["grafana/provisioning/datasources/prometheus.yaml"])
    (source,) = sources["datasources"]
    assert source["url"] == "http://prometheus:9090" and source["uid"] == monitoring.SOURCE


def test_the_dashboard_has_places_and_sources() -> None:
    board = json.loads(monitoring.dashboard(SITE))
    taken = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken and place["x"] + place["w"] <= 24
        taken |= cells
        assert panel["datasource"]["uid"] == monitoring.SOURCE
        assert all("{M" not in target["expr"] for target in panel["targets"])
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


WARNS: dict[str, dict[str, str]] = {
    "ZooErrors": {
        'zoo_requests_total{model="m",code="200"}': "0+98x60",
        'zoo_requests_total{model="m",code="504"}': "0+2x60",
    },
    "ZooSlow": {
        'zoo_request_seconds_bucket{model="m",le="10.0"}': "0+90x60",
        'zoo_request_seconds_bucket{model="m",le="30.0"}': "0+100x60",
        'zoo_request_seconds_bucket{model="m",le="+Inf"}': "0+100x60",
    },
    "ZooRefuses": {
        'zoo_requests_total{model="m",code="200"}': "0+90x60",
        'zoo_requests_total{model="m",code="429"}': "0+10x60",
        'zoo_rejected_total{model="m",reason="queue"}': "0+10x60",
    },
    "ZooRestarts": {'zoo_worker_restarts_total{model="m",version="v"}': "0x20 1x40"},
    "ZooNotReady": {
        'zoo_workers_ready{model="m",role="active",instance="a:1"}': "1x20 0x40",
        'zoo_workers_ready{model="m",role="standby",instance="a:1"}': "1x60",
    },
    "ZooDown": {'up{job="zoo",instance="a:1"}': "1x20 0x40"},
}
"""Series, one value each half minute, in which one thing alone is wrong."""
QUIET = {
    'zoo_requests_total{model="m",code="200"}': "0+1000x60",
    'zoo_requests_total{model="m",code="504"}': "0+1x60",
    'zoo_requests_total{model="",code="503"}': "0+50x60",  # asked for its readiness
    'zoo_request_seconds_bucket{model="m",le="10.0"}': "0+1001x60",
    'zoo_request_seconds_bucket{model="m",le="+Inf"}': "0+1001x60",
    'zoo_worker_restarts_total{model="m",version="v"}': "3x60",
    'zoo_workers_ready{model="m",role="active",instance="a:1"}': "1x60",
    'zoo_workers_ready{model="m",role="next",instance="a:1"}': "0x60",
    'up{job="zoo",instance="a:1"}': "1x60",
}


def _test_of(values: dict[str, str], due: list[str]) -> dict[str, Any]:
    """A test of promtool: which rules fire in the end, each for one thing."""
    return {
        "interval": "30s",
        "input_series": [{"series": name, "values": text} for name, text in values.items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": "25m",
                "exp_samples": [
                    {"labels": f'{{alertname="{name}"}}', "value": 1.0} for name in due
                ],
            }
        ],
    }


@pytest.mark.parametrize("due", [[], *([name] for name in WARNS)], ids="".join)
def test_a_warning_comes_when_due_and_no_other(due: list[str], tmp_path: Path) -> None:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("no promtool here")
    (tmp_path / "rules.yml").write_text(monitoring.rules(SITE))
    content = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "30s",
        "tests": [_test_of(WARNS[due[0]] if due else QUIET, due)],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump(content))
    for words in (("check", "rules", "rules.yml"), ("test", "rules", "test.yml")):
        command = [program, *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_has_its_test() -> None:
    rules = monitoring.alerts(SITE)["groups"][0]["rules"]
    assert {rule["alert"] for rule in rules} == set(WARNS)
