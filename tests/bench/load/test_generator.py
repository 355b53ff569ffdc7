"""The client: what it sends, and what it makes of the answers."""

import asyncio
import itertools
import json
import statistics
from pathlib import Path

import pytest

from bench.load import clients, payloads
from bench.load.clients import ClientLost
from bench.load.generator import Job, Order, Seen, Target, arrivals, counted
from bench.load.http_client import Pool, request_bytes
from tests.bench.load.conftest import Serves
from tests.bench.load.tiny_service import STALL_S

TEXTS = ["good film", "bad film", "good 电影", 'good "quoted" \n line']


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """A file of payloads."""
    path = tmp_path / "payloads.json"
    path.write_text(payloads.as_json([payloads.of_text(text) for text in TEXTS]))
    return path


def test_arrivals_are_a_poisson_process_by_seed() -> None:
    moments = arrivals(100.0, 100.0, seed=3)
    gaps = [b - a for a, b in itertools.pairwise(moments)]
    assert len(moments) == pytest.approx(10_000, rel=0.05)
    assert statistics.mean(gaps) == pytest.approx(0.01, rel=0.05)
    assert statistics.stdev(gaps) == pytest.approx(0.01, rel=0.1)  # as exponential gaps scatter
    assert arrivals(100.0, 100.0, seed=3) == moments != arrivals(100.0, 100.0, seed=4)


def test_arrivals_of_another_rate_are_the_same_but_for_the_scale() -> None:
    slow, fast = arrivals(10.0, 50.0, seed=0), arrivals(20.0, 25.0, seed=0)
    assert [2 * each for each in fast] == pytest.approx(slow)


def test_every_payload_comes_once_before_any_comes_again() -> None:
    order = Order(5, seed=1)
    first, second = [order.next() for _ in range(5)], [order.next() for _ in range(5)]
    assert sorted(first) == sorted(second) == list(range(5))
    again = Order(5, seed=1)
    assert [again.next() for _ in range(10)] == first + second


@pytest.mark.parametrize("mode", ["ok", "chunked", "close"])
def test_answers_are_read_however_they_end(serves: Serves, inputs: Path, mode: str) -> None:
    with clients.started(Target(serves(mode).url, str(inputs))) as client:
        seen = client.run(Job(0.0, 0.0, clients=2, keep_bodies=4))
        found = [json.loads(body)["predictions"][0]["label"] for body in seen.bodies]
        assert found == ["positive", "negative", "positive", "positive"]
        seen = client.run(Job(0.5, 0.1, rate=100.0))
    assert set(seen.statuses) == {"200"} and len(seen.latencies) == seen.statuses["200"] > 20
    assert seen.requests > seen.statuses["200"]  # the warm-up is left out
    assert seen.cpu > 0 and min(seen.latencies) > 0


def test_an_open_loop_sees_the_queue_that_a_closed_loop_hides(serves: Serves, inputs: Path) -> None:
    with clients.started(Target(serves("stall").url, str(inputs))) as client:
        seen = client.run(Job(1.5, 0.0, rate=100.0))
    waited = [each for each in seen.latencies if each > STALL_S / 4]
    # all that were to start during the stall waited for its end, though one alone was served then
    assert len(waited) > 20 and max(seen.latencies) >= STALL_S * 0.9
    with clients.started(Target(serves("stall").url, str(inputs))) as client:
        seen = client.run(Job(1.5, 0.0, clients=1))
    assert sum(each > STALL_S / 4 for each in seen.latencies) <= len(seen.latencies) // 50


def test_answers_are_counted_by_status(serves: Serves, inputs: Path) -> None:
    with clients.started(Target(serves("refuse").url, str(inputs))) as client:
        seen = client.run(Job(0.5, 0.0, rate=100.0))
    assert set(seen.statuses) == {"200", "429"}
    assert len(seen.latencies) == seen.statuses["200"]


def test_who_never_answers_is_counted_too(serves: Serves, inputs: Path) -> None:
    service = serves()
    assert service.tree is not None
    with clients.started(Target(service.url, str(inputs))) as client:
        url = service.url.replace("/predict", "")
        host, _, port = url.removeprefix("http://").partition(":")
        nobody = Target(f"http://{host}:{int(port) + 1 if int(port) < 65_535 else 1}", str(inputs))
        with clients.started(nobody) as other:
            seen = other.run(Job(0.3, 0.0, rate=50.0, timeout_s=1.0))
            assert set(seen.statuses) == {"none"} and not seen.latencies
            seen = other.run(Job(0.3, 0.0, clients=2, timeout_s=1.0))
            assert set(seen.statuses) == {"none"} and seen.requests < 50  # no busy loop
        assert client.run(Job(0.2, 0.0, rate=50.0)).statuses["200"]


def test_a_step_that_is_lost_ends_at_once(serves: Serves, inputs: Path) -> None:
    with clients.started(Target(serves("ok", 0.02).url, str(inputs))) as client:
        seen = client.run(Job(20.0, 0.0, rate=200.0, limit_s=0.05, most_late=0.01))
    assert seen.stopped and seen.spent < 10


def test_a_process_ends_a_step_by_what_all_may_have_late() -> None:
    """Its own share is broken sooner, and says nothing of the whole."""
    job = Job(10.0, 1.0, rate=60.0, seed=5, limit_s=0.1, most_late=0.01)
    assert 500 < counted(job) < 700 and counted(Job(10.0, 1.0, clients=2)) == 0
    shared = clients.parts(job, 3)
    assert {part.counted for part in shared} == {sum(map(counted, shared))}
    assert clients.parts(job, 1) == [job]


def test_what_a_closed_loop_was_answered_first_is_counted(serves: Serves, inputs: Path) -> None:
    with clients.started(Target(serves("refuse").url, str(inputs))) as client:
        seen = client.run(Job(0.0, 0.0, clients=1, keep_bodies=4))
    # the service counts the request that it was waited for by
    assert seen.statuses == {"429": 2, "200": 2}
    assert [bool(body) for body in seen.bodies] == [False, True, False, True]


def test_several_processes_share_the_load(serves: Serves, inputs: Path) -> None:
    job = Job(1.0, 0.2, rate=100.0, seed=5)
    assert [part.rate for part in clients.parts(job, 2)] == [50.0, 50.0]
    assert len({part.seed for part in clients.parts(job, 3)}) == 3
    shares = [part.clients for part in clients.parts(Job(1.0, 0.2, clients=5), 2)]
    assert sum(shares) == 5
    with clients.started(Target(serves().url, str(inputs)), processes=2) as client:
        seen = client.run(job)
    assert 60 < seen.statuses["200"] < 140


def test_a_client_that_was_killed_is_said(serves: Serves, inputs: Path) -> None:
    with clients.started(Target(serves().url, str(inputs))) as client:
        client._processes[0].kill()
        with pytest.raises(ClientLost, match="has ended"):
            client.run(Job(0.1, 0.0, rate=10.0))


def test_connections_are_bounded_and_kept(serves: Serves) -> None:
    url = serves("ok", 0.005).url
    data = request_bytes(url, b'{"input": "good"}', "application/json", "secret")
    assert b"Authorization: Bearer secret" in data

    async def many() -> tuple[list[int], int]:
        pool, statuses, over = Pool(url, most=3), list[int](), asyncio.Event()

        def done(status: int, body: bytes) -> None:
            statuses.append(status)
            if len(statuses) == 40:
                over.set()

        for _ in range(40):
            pool.send(data, done)
        await asyncio.wait_for(over.wait(), 20)
        await pool.close()
        return statuses, pool.opened

    assert asyncio.run(many()) == ([200] * 40, 3)


def test_parts_are_merged() -> None:
    one = Seen([0.1], {"200": 1, "429": 2}, 1.0, 4, 0.5, 2.0, 0.001, False)
    two = Seen([0.2], {"200": 1, "none": 1}, 1.5, 3, 0.25, 1.0, 0.002, True)
    both = clients.merged([one, two])
    assert both.statuses == {"200": 2, "429": 2, "none": 1} and both.latencies == [0.1, 0.2]
    assert (both.requests, both.cpu, both.wall, both.stopped) == (7, 0.75, 1.5, True)
