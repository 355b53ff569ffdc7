"""`python -m tests.faults.fuzz`: runs cases and says what did not hold.

Exit code 1 where anything did not hold. A case is run again with --case; its folder then stays.
"""

import argparse
import importlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

WARM = ("tests.processes", "datasets", "huggingface_hub.hf_api", "matplotlib.backends.backend_agg")
WARM += ("matplotlib.pyplot", "onnxruntime", "onnx", "torchvision.transforms.v2", "typeguard")
WARM += ("tyro._backends", "transformers.convert_slow_tokenizer", "pyarrow.parquet", "yaml")
"""Imported before the first fork, so that no case has to."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs what is asked for."""
    asked = _parser().parse_args(argv)
    root = Path(tempfile.mkdtemp(prefix="zoo-fuzz-"))
    world = asked.world or root / "world"
    try:
        _prepare(root, world)
        if asked.case is not None:
            return _replay(asked, world, root / "case")
        return _run(asked, world, root / "cases")
    finally:
        if asked.case is None:
            shutil.rmtree(root, ignore_errors=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.faults.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=1000, help="how many; of --kinds, where given")
    parser.add_argument(
        "--seconds", type=float, default=float("inf"), help="begin none after these"
    )
    parser.add_argument("--kinds", nargs="+", help="only these")
    parser.add_argument("--case", type=int, help="only this one, with all it says")
    parser.add_argument("--world", type=Path, help="folder of what cases start from, made once")
    parser.add_argument("--findings", type=Path, help="file for the distinct faults")
    return parser


def _prepare(root: Path, world: Path) -> None:
    """Makes the world where there is none, with this process warm and of one thread."""
    os.environ.update(
        {
            "HF_HOME": str(root / "huggingface"),
            "ZOO_CACHE": str(root / "cache"),
            "XDG_STATE_HOME": str(root / "state"),
            "HF_HUB_OFFLINE": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "OMP_NUM_THREADS": "1",
            "MPLBACKEND": "agg",
            "COLUMNS": "200",
        }
    )
    from tests.processes import PRELOADED

    for name in (*PRELOADED, *WARM):
        importlib.import_module(name)
    from tests.faults.fuzz import child
    from tests.faults.fuzz.world import make

    if not world.exists():
        child.call(lambda: make(world), root / "world.log")


def _run(asked: argparse.Namespace, world: Path, scratch: Path) -> int:
    from tests.faults.fuzz import cases, summary

    results: list[cases.Result] = []
    began = time.monotonic()
    for number in _numbers(asked):
        if time.monotonic() - began > asked.seconds:
            break
        folder = scratch / str(number)
        results.append(cases.run(asked.seed, number, world, folder))
        cases.remove(folder)
        _progress(results, asked.cases, began)
    found = summary.distinct(results)
    print(f"{summary.table(results)}\n")
    if found:
        print(f"{summary.described(found)}\n")
    if asked.findings:
        asked.findings.write_text(
            summary.described(found) + "\n", encoding="utf-8", errors="replace"
        )
    print(f"seed {asked.seed}, {summary.verdicts(results)}; {time.monotonic() - began:.0f} s")
    return int(bool(found))


def _numbers(asked: argparse.Namespace) -> Iterator[int]:
    """The cases in turn, of the kinds that are asked for."""
    from tests.faults.fuzz import cases
    from tests.faults.fuzz.kinds import KINDS

    if strange := {*(asked.kinds or ())} - {*KINDS}:
        raise SystemExit(f"no kind {strange.pop()!r}; there are {', '.join(KINDS)}")
    count = number = 0
    while count < asked.cases:
        if not asked.kinds or cases.kind_of(asked.seed, number) in asked.kinds:
            count += 1
            yield number
        number += 1


def _progress(results: list, most: int, began: float) -> None:
    faulty = sum(bool(result.faults) for result in results)
    last = results[-1]
    line = f"{len(results)}/{most} cases, {faulty} faulty, {time.monotonic() - began:.0f} s"
    if sys.stderr.isatty():
        print(f"\r{line}", end="", file=sys.stderr, flush=True)
    elif last.faults or len(results) % 100 == 0:
        named = ", ".join(sorted({fault.what for fault in last.faults}))
        print(f"{line}  case {last.number} ({last.kind}) {named}", file=sys.stderr, flush=True)


def _replay(asked: argparse.Namespace, world: Path, folder: Path) -> int:
    from tests.faults.fuzz import cases, checks

    result = cases.run(asked.seed, asked.case, world, folder)
    print(f"{result.kind}: {result.command.what}\n{result.line}\n")
    for name, said in (("stdout", result.outcome.out), ("stderr", result.outcome.err)):
        print(f"--- {name}\n{said.decode('utf-8', 'backslashreplace')[-20_000:]}")
    outcome = result.outcome
    print(f"--- {checks.ending(result.command, outcome)}, exit code {outcome.code}")
    print(f"after {outcome.seconds:.1f} s; its folder is {folder}")
    for fault in result.faults:
        print(f"{fault.what}: {fault.where}\n    {fault.detail}")
    return int(bool(result.faults))


if __name__ == "__main__":
    sys.exit(main())
