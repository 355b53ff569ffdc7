"""`python -m tests.bench.fake_run ARGS`: `python -m bench run ARGS` that measures nothing, but
takes some milliseconds a step and gives numbers that follow from the case."""

import sys
import time
from collections.abc import Mapping

from bench import cli
from bench.cases import case
from bench.cases.case import Case
from bench.record.results import MeasureResult, Value
from bench.sweep import run
from zoo.measure import ArmFailed
from zoo.measure.process import WorkerFailed

STEP_S = 0.03


class Performer:
    """In the place of `bench.sweep.sweep.Performer`."""

    def __init__(self, settings: object) -> None:
        self.taken: list[tuple[Case, str]] = []

    def __enter__(self) -> "Performer":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def expect(self, cases: object) -> None:
        pass

    def __call__(self, asked: Case, measure: str) -> tuple[MeasureResult, Mapping[str, float]]:
        time.sleep(STEP_S)
        self.taken.append((asked, measure))
        work = {"samples": float(asked.workload.batch)}
        if asked.deployment == "openvino" and measure == "parity":
            return MeasureResult(status="wrong", reason="logits are off"), work
        if asked.deployment == "onnx" and measure == "memory":
            raise WorkerFailed(ArmFailed("onnx", "oom", "killed by the system"))
        name = {"latency": "median", "throughput": "samples"}.get(measure, "value")
        return MeasureResult({name: Value(len(measure) * asked.workload.batch, "s")}), work


if __name__ == "__main__":
    run.Performer = Performer
    case.source_digest = lambda: "the same, though someone writes code meanwhile"
    sys.exit(cli.main(["run", *sys.argv[1:]]))
