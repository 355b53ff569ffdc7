"""The stopwatch: arms in fresh processes, paired comparison, intervals, verdicts.

    from zoo.measure import Arm, Plan, compare

    eager = Arm("eager", "mymodule:forward", {"deployment": "eager"}, threads=2)
    onnx = Arm("onnx", "mymodule:forward", {"deployment": "onnx"}, threads=2)
    outcome = compare([eager, onnx], Plan(budget_s=60))
    print(outcome.of("onnx"))  # onnx over eager: faster, 1.42x [1.39, 1.45] at 99%

Names are imported at their first use: a worker process that measures a target imports none of them.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.measure.arms import Arm, ArmFailed
    from zoo.measure.comparison import MeasurementInterrupted, compare, measure, noise_floor
    from zoo.measure.deadline import Deadline, OutOfTime
    from zoo.measure.intervals import Estimate, Interval
    from zoo.measure.preloaded import Preloader
    from zoo.measure.recording import Block, Plan, Recording
    from zoo.measure.results import ArmTimes, Comparison, Outcome, outcome_of
    from zoo.measure.verdicts import Floor, Verdict

__all__ = [
    "Arm",
    "ArmFailed",
    "ArmTimes",
    "Block",
    "Comparison",
    "Deadline",
    "Estimate",
    "Floor",
    "Interval",
    "MeasurementInterrupted",
    "OutOfTime",
    "Outcome",
    "Plan",
    "Preloader",
    "Recording",
    "Verdict",
    "compare",
    "measure",
    "noise_floor",
    "outcome_of",
]
_FILES = {
    "arms": ("Arm", "ArmFailed"),
    "comparison": ("MeasurementInterrupted", "compare", "measure", "noise_floor"),
    "deadline": ("Deadline", "OutOfTime"),
    "intervals": ("Estimate", "Interval"),
    "preloaded": ("Preloader",),
    "recording": ("Block", "Plan", "Recording"),
    "results": ("Comparison", "ArmTimes", "Outcome", "outcome_of"),
    "verdicts": ("Floor", "Verdict"),
}
_FILE_OF = {name: file for file, names in _FILES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _FILE_OF:
        raise AttributeError(f"zoo.measure has no {name}")
    return getattr(importlib.import_module(f"zoo.measure.{_FILE_OF[name]}"), name)
