"""Results become rows: the newest of each case, and no number where nothing is proven."""

import pytest

from bench.cases.case import Case
from bench.record.results import Value
from bench.report import data, losses
from bench.report.commands import reproduce
from bench.report.data import gather
from tests.bench.report.made import MACHINE, VERSIONS, failed, measured, result
from zoo.measure.workload import Serve

EAGER, ONNX = Case("minilm", "eager"), Case("minilm", "onnx")


def test_rows_of_a_workload_stand_together_and_eager_first() -> None:
    cases = [Case("b", "onnx"), Case("a", "onnx"), Case("b", "eager"), Case("a", "eager")]
    report = gather(["r"], [each for case in cases for each in measured(case, 0.1)])
    assert [(row.case.model, row.case.deployment) for row in report.rows] == [
        ("a", "eager"),
        ("a", "onnx"),
        ("b", "eager"),
        ("b", "onnx"),
    ]
    assert [row.name for row in report.rows] == ["r1", "r2", "r3", "r4"]
    assert report.deployments == ["eager", "onnx"] and report.outdated == 0


def test_of_a_case_measured_again_the_newest_counts() -> None:
    old = measured(EAGER, 0.2)
    new = [result(EAGER, "parity", key="new"), *measured(ONNX, 0.1)]
    report = gather(["r"], [*old, *new])
    assert len(report.rows) == 2 and report.outdated == len(old)
    assert report.rows[0].value("latency", "median") is None, "it is of other code"
    assert report.rows[0].said("latency") == "not measured"


@pytest.mark.parametrize(
    ("results", "said"),
    [
        (failed(EAGER, "wrong", "off"), "wrong"),
        (failed(EAGER, "unavailable", "no"), "unavailable"),
        ([*failed(EAGER, "wrong", "off"), *measured(EAGER, 0.1)[1:]], "wrong"),
        (measured(EAGER, 0.1)[1:], "not measured"),
        ([measured(EAGER, 0.1)[0], result(EAGER, "latency", status="oom")], "oom"),
        (
            [
                measured(EAGER, 0.1)[0],
                result(EAGER, "latency", {"median": Value(float("inf"), "s")}),
            ],
            "not measured",
        ),
    ],
    ids=["wrong", "unavailable", "wrong with times", "not proven", "oom", "not finite"],
)
def test_correct_or_no_number(results: list, said: str) -> None:
    row = gather(["r"], results).rows[0]
    assert row.value("latency", "median") is None
    assert row.said("latency") == said


def test_machines_are_the_same_that_agree_in_what_both_tell() -> None:
    gpu = {**MACHINE, "gpu": "Some GPU"}
    cuda = Case("minilm", "eager", device="cuda")
    report = gather(["r"], [*measured(EAGER, 0.1), *measured(cuda, 0.1, machine=gpu)])
    assert len(report.environments) == 1 and report.environments[0].machine["gpu"] == "Some GPU"
    assert {row.environment for row in report.rows} == {""}


@pytest.mark.parametrize(
    "other",
    [{"machine": {**MACHINE, "cores": 64}}, {"versions": {**VERSIONS, "torch": "2.14.0"}}],
    ids=["machine", "versions"],
)
def test_other_environments_are_other_rows(other: dict) -> None:
    report = gather(["r"], [*measured(EAGER, 0.1), *measured(EAGER, 0.2, **other)])
    assert [row.environment for row in report.rows] == ["A", "B"]
    assert report.rows[0].scenario != report.rows[1].scenario, "they are compared with nobody"


def test_the_usual_length_is_told_by_the_work() -> None:
    row = gather(["r"], measured(Case.of("minilm", batch_size=4), 0.1)).rows[0]
    assert row.length() == 128 and row.unit() == "tokens"
    rate = row.rate()
    assert rate is not None and rate.unit == "tokens/s" and rate.value == pytest.approx(5120)


def test_what_is_lost() -> None:
    def share(deployment: str, sqnr: float) -> float | None:
        rows = gather(["r"], measured(Case("minilm", deployment), 0.1, sqnr=sqnr)).rows
        return losses.share(rows[0])

    assert share("onnx", 131.0) == 0.0, "fp32 in another order"
    assert share("eager+bf16", 40.0) == pytest.approx(0.01)
    assert share("onnx+int8-static", 40.0) is None, "random inputs are not what it is made for"


def test_groups_along_an_axis() -> None:
    cases = [Case.of("m", "eager", batch, length) for batch in (1, 8) for length in (32, 64)]
    rows = gather(["r"], [each for case in cases for each in measured(case, 0.1)]).rows
    found = data.groups(rows, "batch_size")
    assert [workload.title("batch_size") for workload in found] == [
        "m, length 32, 1 thread",
        "m, length 64, 1 thread",
    ]
    assert [len(each) for each in found.values()] == [2, 2]


def test_the_command_of_a_case() -> None:
    case = Case.of("runs/my model", "onnx+int8-dynamic", 8, 128, "cuda", 2, "training")
    assert reproduce(case) == (
        "python -m bench run 'runs/my model' --deployments onnx+int8-dynamic --batch_sizes 8 "
        "--lengths 128 --phases training --device cuda --threads 2"
    )
    work = Serve({}, 50.0, "litserve", "--workers 2 --batch 8 --wait_ms 2")
    assert reproduce(Case("runs/a", "eager", work)) == (
        "python -m bench load runs/a --p99_ms 50 --threads 1 --peers litserve --peer_workers 2 "
        "--peer_batch 8 --peer_wait_ms 2"
    )
