"""Bytes of requests that are being answered are bounded, whatever there is room for in a queue."""

import concurrent.futures
import re
import time
from collections.abc import Iterator

import pytest
import requests

from tasks.errors import UserError
from tests.zoo.serve.page.stand_in import serving
from tests.zoo.serve.protocols import described
from zoo.machine import environment
from zoo.serve.args import Limits, ServeArgs
from zoo.serve.engine import prepare
from zoo.serve.engine.app import AppSettings, create_app
from zoo.serve.service import Service

MOST = 100_000


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a service without workers: what it takes waits for half a second."""
    service = Service([described.texts()], Limits(timeout_s=0.5))
    with serving(create_app(service, AppSettings(max_body=MOST, max_in_flight=MOST))) as url:
        yield url


def _ask(url: str, size: int, chunked: bool = False) -> requests.Response:
    text = b'{"text": "%s"}' % (b"a" * size)
    parts = (text[i : i + 10_000] for i in range(0, len(text), 10_000))
    return requests.post(f"{url}/predict", data=parts if chunked else text, timeout=10)


def _metric(url: str, name: str) -> float:
    told = requests.get(f"{url}/metrics", timeout=10).text
    found = re.search(rf"^{re.escape(name)} (\S+)$", told, re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.mark.parametrize("chunked", [False, True], ids=["whole", "chunked"])
def test_what_has_no_room_beside_others_is_refused(url: str, chunked: bool) -> None:
    refused = 'zoo_rejected_total{model="",reason="bytes"}'
    before = _metric(url, refused)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = pool.submit(_ask, url, 70_000)
        end = time.monotonic() + 5
        while _metric(url, "zoo_in_flight_bytes") < 70_000:
            assert time.monotonic() < end
        done = _ask(url, 60_000, chunked)
        assert done.status_code == 429 and int(done.headers["retry-after"]) >= 1
        assert "bytes of requests wait" in done.json()["error"]
        assert requests.get(f"{url}/v2/health/live", timeout=10).status_code == 200
        small = _ask(url, 1000, chunked)
        assert small.status_code == waiting.result().status_code == 504  # taken; nobody answers
    assert _metric(url, refused) == before + 1
    assert _metric(url, "zoo_in_flight_bytes") == 0
    assert _ask(url, 60_000, chunked).status_code == 504


def test_by_default_it_is_a_share_of_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "machine", lambda gpu: {"memory_bytes": 2**30})
    assert prepare.max_in_flight(ServeArgs(("m",))) == 2**27
    assert prepare.max_in_flight(ServeArgs(("m",), max_body_mb=500)) == 500 * 2**20
    assert prepare.max_in_flight(ServeArgs(("m",), max_in_flight_mb=20)) == 20 * 2**20
    with pytest.raises(UserError, match="no room"):
        ServeArgs(("m",), max_in_flight_mb=5)
