"""The command that measures a case again."""

import shlex

from bench.cases.case import Case
from zoo.measure.workload import NEW_TOKENS, Forward, Generate, Serve


def reproduce(case: Case) -> str:
    """Return the command that measures a case again, as it is typed into a shell."""
    words = ["python", "-m", "bench", "run", case.model, "--deployments", case.deployment]
    work = case.workload
    if isinstance(work, Serve):
        return shlex.join(_load(case, work))
    words += ["--batch_sizes", str(work.batch)]
    if work.length is not None:
        words += ["--lengths", f"{work.length:g}"]
    if not isinstance(work, Forward):
        words += ["--phases", work.phase]
    if isinstance(work, Generate) and work.new_tokens != NEW_TOKENS:
        words += ["--new_tokens", str(work.new_tokens)]
    if case.device != "cpu":
        words += ["--device", case.device]
    return shlex.join([*words, "--threads", str(case.threads)])


def _load(case: Case, work: Serve) -> list[str]:
    """Return the words of the command that loads a service again; a peer stands beside ours."""
    words = ["python", "-m", "bench", "load", case.model, "--p99_ms", f"{work.p99_ms:g}"]
    if work.server == "url":
        return [*words, "--data", "FILE"]
    words += ["--threads", str(case.threads)]
    if work.server != "zoo":
        own = [word.replace("--", "--peer_", 1) for word in shlex.split(work.options)]
        return [*words, "--peers", work.server, *own]
    options = ["--", *shlex.split(work.options)] if work.options else []
    return [*words, "--deployments", case.deployment, *options]
