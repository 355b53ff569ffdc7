"""The command that measures a case again."""

import shlex

from bench.cases.case import Case


def reproduce(case: Case) -> str:
    """As it is typed into a shell."""
    words = ["python", "-m", "bench", "run", case.model, "--deployments", case.deployment]
    words += ["--batch_sizes", str(case.batch_size)]
    if case.length is not None:
        words += ["--lengths", f"{case.length:g}"]
    if case.phase != "inference":
        words += ["--phases", case.phase]
    if case.device != "cpu":
        words += ["--device", case.device]
    return shlex.join([*words, "--threads", str(case.threads)])
