"""A job whose arm is one of `tests.bench.targets`."""

from bench.cases.case import Case
from bench.cases.job import MeasureJob, Settings
from zoo.measure import Arm


def job(function: str, **kwargs: object) -> MeasureJob:
    arm = Arm(function, f"tests.bench.targets:{function}", kwargs)
    settings = Settings(budget_s=1.0, launches=1, timeout_s=60.0)
    return MeasureJob(
        Case.of("minilm", batch_size=4), arm, {"samples": 4, "tokens": 10}, "", settings
    )
