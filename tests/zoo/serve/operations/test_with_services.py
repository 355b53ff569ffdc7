"""What is written, with services of the zoo themselves: balanced, ended, read by Prometheus."""

import json
import shutil
import signal
import subprocess
import time
import urllib.parse
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from tests.serving import Served, serving
from tests.zoo.serve.operations.balanced import Clients, ask, balancer, free_ports, site_of
from tests.zoo.serve.operations.test_monitoring import SITE, asked, queries, series
from zoo.serve import health, keys
from zoo.serve.operations import monitoring

KEY = "k" * 32
TEXT = {"text": "fine, I loved it"}


def port_of(served: Served) -> int:
    """Of a service."""
    return int(served.url.rpartition(":")[2])


def answered(served: Served) -> float:
    """How many predictions a service has given."""
    told = ask(port_of(served), health.METRICS, method="GET").body.decode()
    lines = [x for x in told.splitlines() if x.startswith("zoo_requests_total") and '="200"' in x]
    return sum(float(x.rpartition(" ")[2]) for x in lines if 'model="bert_cls"' in x)


NOT_HERE = {
    "zoo_rejected_total",
    *("zoo_first_token_seconds", "zoo_token_seconds", "zoo_tokens_total"),
    *("zoo_texts_running", "zoo_texts_waiting", "zoo_cached_tokens", "zoo_cache_tokens"),
}
"""Told where something was rejected, and of a model that writes."""


def test_all_that_is_asked_is_told(service: Served) -> None:
    predicted = ask(port_of(service), content={**TEXT, "model": "bert_cls"})
    assert predicted.status == 200, predicted.body
    told = series(ask(port_of(service), health.METRICS, method="GET").body.decode())
    for expression in queries():
        for name in asked(expression):
            family = name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count")
            assert name in told or family in NOT_HERE, name


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["haproxy", "nginx"])
def test_services_end_and_no_client_sees_it(
    kind: str, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    words = (f"{checkpoints['bert_cls']}=bert_cls", "--deployment", "onnx", "--max_body_mb", 1)
    with ExitStack() as stack:
        every = [stack.enter_context(serving(*words)) for _ in range(3)]
        site = site_of(max_body_mb=1.0)
        ports = [port_of(each) for each in every]
        port = stack.enter_context(balancer(kind, site, ports, tmp_path))
        with Clients(port, 4, TEXT) as clients:
            time.sleep(1.5)
            before = [answered(each) for each in every]
            assert every[0].end(signal.SIGTERM) == 0
            time.sleep(1.0)
            every[1].process.kill()
            time.sleep(1.5)
        assert min(before) > 0.02 * sum(before), f"one is left out: {before}"
        assert set(clients.statuses) == {200}, clients.statuses
        assert sum(clients.statuses.values()) > 50
        most = json.dumps({"text": "a" * (2**20 - 12)}).encode()
        assert len(most) == 2**20 and ask(port, content=most).status != 413
        above = ask(port, content=most + b" ")
        assert above.status == 413 and str(2**20) in above.json["error"]
        again = ask(port, content=iter([most, most]))
        assert again.status == 413 and again.json["error"]


@pytest.mark.slow
def test_prometheus_reads_a_service(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    """With its key, and understands what the dashboard and the rules ask."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("no prometheus here")
    words = (f"{checkpoints['bert_cls']}=bert_cls", "--deployment", "onnx")
    env = {keys.VARIABLE: f"{KEY}-of-clients,{KEY}"}
    (port,) = free_ports(1)
    with serving(*words, env=env) as served:
        own = monitoring.scrape_config(SITE, f"127.0.0.1:{port_of(served)}")
        content = yaml.safe_load(own.replace("/run/secrets", str(tmp_path)))
        content["rule_files"] = [str(tmp_path / "rules.yml")]
        content["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(content))
        (tmp_path / "rules.yml").write_text(monitoring.rules(SITE))
        (tmp_path / "metrics_key").write_text(KEY)
        flags = [f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/tsdb"]
        with subprocess.Popen(
            [program, *flags, f"--web.listen-address=127.0.0.1:{port}"], stderr=subprocess.DEVNULL
        ) as process:
            try:
                end = time.monotonic() + 60
                while not found(port, 'up{job="zoo"} == 1 and on() zoo_workers_ready == 1'):
                    assert process.poll() is None and time.monotonic() < end
                    time.sleep(0.5)
                (info,) = found(port, "zoo_model_info")
                assert info["metric"]["model"] == "bert_cls"
                for expression in queries():
                    plain = expression.replace("$__rate_interval", "5m").replace("$__range", "5m")
                    found(port, plain.replace("$model", ".*"))
                assert not found(port, 'ALERTS{alertstate="firing"}')
            finally:
                process.terminate()


def found(port: int, expression: str) -> list[dict[str, dict[str, str]]]:
    """What Prometheus answers; fails where it does not understand."""
    query = urllib.parse.urlencode({"query": expression})
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{query}") as answer:
            result: list[dict[str, dict[str, str]]] = json.load(answer)["data"]["result"]
            return result
    except urllib.error.HTTPError as error:
        if error.code == 503:  # it is about to be ready
            return []
        raise AssertionError(f"{expression}: {error.read()!r}") from None
    except urllib.error.URLError:
        return []
