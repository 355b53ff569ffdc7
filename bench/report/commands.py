"""The command that measures a case again."""

import shlex

from bench.cases.case import Case
from zoo.measure.workload import Forward


def reproduce(case: Case) -> str:
    """Return the command that measures a case again, as it is typed into a shell."""
    words = ["python", "-m", "bench", "run", case.model, "--deployments", case.deployment]
    work = case.workload
    words += ["--batch_sizes", str(work.batch)]
    if work.length is not None:
        words += ["--lengths", f"{work.length:g}"]
    if not isinstance(work, Forward):
        words += ["--phases", work.phase]
    if case.device != "cpu":
        words += ["--device", case.device]
    return shlex.join([*words, "--threads", str(case.threads)])
