"""The verb gpu_check: runs its parts within the time that was promised, and leaves one folder.

What fails, or is cut off at its limit, is a result, and the next part begins. The folder has at
most eight files of 16 MiB, so that it can be committed.
"""

import contextlib
import dataclasses
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.cases.case import source_digest
from bench.gpu_check import device, process, summary
from bench.gpu_check.args import GpuCheckArgs
from bench.gpu_check.parts import PARTS, RANDOM, RESULTS, CheckConfig, Part, python
from tasks import atomic
from tasks.errors import UserError, did_you_mean
from tasks.printing import print_lines, visible
from zoo.machine import environment
from zoo.machine.environment import ROOT
from zoo.nlp.presets import PRESETS
from zoo.store import append_only, pretrained

RECORD, LOG, SUMMARY = "parts.jsonl", "log.txt", "summary.md"
LARGEST = 16 * 2**20
"""Bytes of a file that is kept."""
HEAD, TAIL = 100_000, 400_000
"""Bytes of what a part says that the log has, of its beginning and its end."""
RESERVE_S = 3.0
"""For the summary, and for what a part leaves behind."""
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

PartStatus = Literal["ok", "failed", "timeout", "skipped"]


@dataclass(frozen=True)
class PartResult:
    """How a part ended; one line of the record."""

    part: str
    status: PartStatus
    """timeout: cut off at its limit, and what it had found by then stays; skipped: not begun"""
    seconds: float
    limit_s: float
    said: str
    """its last line, or why it was left"""
    device: str
    commit: str | None

    def is_done(self, device: str, commit: str | None) -> bool:
        """Return whether the part need not run again on this device at this commit."""
        return self.status == "ok" and (self.device, self.commit) == (device, commit)


def check(args: GpuCheckArgs, parts: Sequence[Part] = PARTS) -> int:
    """Run the parts; return 1 if one has failed, else 0.

    Raises `UserError` if there is no GPU, no time for any part, or no place for the results.
    """
    deadline = time.monotonic() + 60 * args.minutes
    asked = chosen(parts, args.parts)
    must_be_enough(60 * args.minutes, asked)
    gpu = device.find() if args.device == "cuda" else None
    weights, data = _weights(args), _data(args)
    out = _folder(args, gpu)
    about = {
        "device": gpu.name if gpu else "cpu",
        "minutes": args.minutes,
        "weights": weights,
        "data": data,
        "remarks": list(gpu.remarks) if gpu else [],
        "versions": environment.versions(),
        "source": source_digest(),
        **environment.commit(),
    }
    for remark in about["remarks"]:
        print_lines(f"gpu_check: {remark}")
    with _alone(out), atomic.exit_on_sigterm(), _workplace() as work:
        config = CheckConfig(args.device, out.resolve(), work, weights, data)
        results = run(asked, config, deadline, about)
        before = read(out / RECORD)
        shown = [part for part in parts if part.name in before]
        summary.write(out / SUMMARY, about, shown, before | results)
    print_lines(f"summary: {out / SUMMARY}")
    return int(any(each.status == "failed" for each in results.values()))


def chosen(parts: Sequence[Part], names: Sequence[str]) -> list[Part]:
    """Return the parts of these names, and those that are run each time, in the order of all; all
    parts where no name is given. Raises `UserError` for a name that no part has."""
    known = {part.name for part in parts}
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known) or f"there are {', '.join(p.name for p in parts)}"
            raise UserError(f"--parts {name}: no such part; {hint}")
    return [part for part in parts if not names or part.each_time or part.name in names]


def must_be_enough(seconds: float, parts: Sequence[Part]) -> None:
    """Check the time limit. Raises `UserError` if it is too short for any part."""
    first, *others = parts
    needed = first.least_s + min(each.least_s for each in others or parts) + RESERVE_S
    if seconds < needed:
        raise UserError(
            f"--minutes {seconds / 60:g} is too short for one part: at least {needed / 60:.2g}"
        )


def run(
    parts: Sequence[Part], config: CheckConfig, deadline: float, about: Mapping[str, Any]
) -> dict[str, PartResult]:
    """Run the parts that are not done yet, in order; return how each part ended, by name.

    A part may take as large a share of the time left as it has among the parts left; time that a
    part does not use is available to the following ones.
    """
    found = read(config.out / RECORD)
    where = (config.device, about["commit"])
    done = {name for name, each in found.items() if each.is_done(*where)}
    wanted = [part for part in parts if part.each_time or part.name not in done]
    if all(part.each_time for part in wanted):
        wanted = []
    results = {part.name: found[part.name] for part in parts if part not in wanted}
    for i, part in enumerate(wanted):
        left = deadline - time.monotonic() - RESERVE_S
        limit = max(left * part.share_s / sum(p.share_s for p in wanted[i:]), part.least_s)
        if limit > left:
            said = f"it takes {part.least_s:g} s at least, and {max(0.0, left):.0f} s were left"
            result = PartResult(part.name, "skipped", 0.0, 0.0, said, *where)
        else:
            print_lines(f"{part.name}: {part.about}, at most {limit:.0f} s")
            result = _take(part, config, limit, where)
        print_lines(f"{part.name}: {result.status}, {result.seconds:.0f} s: {result.said}")
        append_only.append(config.out / RECORD, json.dumps(dataclasses.asdict(result)) + "\n")
        results[part.name] = result
    return {part.name: results[part.name] for part in parts}


def read(path: Path) -> dict[str, PartResult]:
    """Return how each part of an earlier run ended, the last time.

    Raises `UserError` for a file that is not such a record.
    """
    found = {}
    rows = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    for number, row in enumerate(rows, start=1):
        try:
            result = PartResult(**json.loads(row))
        except (ValueError, TypeError):
            if number == len(rows):  # torn: it was killed as it wrote
                continue
            raise UserError(
                f"{path}, line {number}: no record of a part; give another --out"
            ) from None
        found[result.part] = result
    return found


def _take(
    part: Part, config: CheckConfig, limit_s: float, where: tuple[str, str | None]
) -> PartResult:
    """Run the commands of a part until one fails or the time is over, and keep its output files."""
    began = time.monotonic()
    status: PartStatus = "ok"
    output = config.work / f"{part.name}.log"
    for words in part.commands(config, limit_s):
        left = limit_s - (time.monotonic() - began)
        ended = process.run(python(words), ROOT, output, left, _environ(config))
        if ended.code != 0:
            status = "timeout" if ended.code is None else "failed"
            break
    seconds = time.monotonic() - began
    said = _last_line(output)
    if status == "timeout":
        said = f"cut off at its limit; its last line: {said}"
    elif status == "failed":
        said = f"exit code {ended.code}: {said}"
    for source, name in part.keeps.items():
        if (config.work / source).is_file():
            shutil.copyfile(config.work / source, config.out / name)
    _add_to_log(config.out / LOG, part, output)
    _shrink(config.out / RESULTS)
    return PartResult(part.name, status, round(seconds, 1), round(limit_s, 1), said, *where)


def _environ(config: CheckConfig) -> dict[str, str]:
    """Return the environment of a command: no network, and no GPU if the check is on a processor.

    The import path of the wheels is already in the environment of this process.
    """
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    on_cpu = {"CUDA_VISIBLE_DEVICES": "", "ZOO_TEST_DEVICE": "cpu"}  # tests/gpu/where.py reads it
    own = on_cpu if config.device == "cpu" else {}
    found = {**os.environ, **OFFLINE, **own, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
    if found.pop("PYTHONDONTWRITEBYTECODE", ""):  # each process would compile all that it imports
        found["PYTHONPYCACHEPREFIX"] = str(config.work / "pycache")
    return found


def _last_line(output: Path) -> str:
    """Return the last line of a command's output, shortened."""
    if not output.is_file():
        return "it said nothing"
    with output.open("rb") as file:
        file.seek(max(0, output.stat().st_size - 10_000))
        text = file.read().decode(errors="replace")
    rows = [row.strip() for row in re.split(r"[\r\n]", text) if row.strip()]
    return visible(rows[-1])[:300] if rows else "it said nothing"


def _add_to_log(log: Path, part: Part, output: Path) -> None:
    """Append a part's output to the log; if it is long, without its middle."""
    content = output.read_bytes() if output.is_file() else b""
    if len(content) > HEAD + TAIL:
        cut = f"\n[{len(content) - HEAD - TAIL:,} bytes are left out]\n".encode()
        content = content[:HEAD] + cut + content[-TAIL:]
    append_only.append(log, f"=== {part.name}\n{content.decode(errors='replace')}\n")


def _shrink(results: Path) -> None:
    """Remove the raw samples from result files that are too large; their numbers stay."""
    if not results.is_file() or results.stat().st_size <= LARGEST:
        return
    rows = [json.loads(row) for row in results.read_text(encoding="utf-8").splitlines() if row]
    atomic.write_text(results, "".join(json.dumps(row | {"samples": {}}) + "\n" for row in rows))


def _weights(args: GpuCheckArgs) -> str:
    """Return the weights to train from: the given folder, the preset if it is available locally, or
    else random weights. Raises `UserError` for a folder that is not a model."""
    if args.weights is not None:
        pretrained.find(str(args.weights.absolute()), PRESETS)
        return str(args.weights.absolute())
    return "minilm" if pretrained.at_hand(PRESETS["minilm"]) else RANDOM


def _data(args: GpuCheckArgs) -> str:
    """Return the data to train on. Raises `UserError` for a place that does not exist."""
    if args.data is not None:
        if args.data != "embedded" and not Path(args.data).exists():
            raise UserError(f"--data {args.data}: there is no such file or folder")
        return args.data if args.data == "embedded" else str(Path(args.data).absolute())
    reviews = Path(os.environ.get("ZOO_DATA", "")) / "movie_reviews"
    return str(reviews.absolute()) if reviews.is_dir() else "embedded"


def _folder(args: GpuCheckArgs, gpu: "device.Gpu | None") -> Path:
    """Return the folder of the results, created if missing.

    Raises `UserError` if there are results in it already and --resume is not given.
    """
    name = re.sub(r"[^a-z0-9]+", "-", gpu.name.lower()).strip("-") if gpu else "cpu"
    out = args.out or ROOT / "bench" / "results" / f"gpu_check-{name}"
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file: name a folder")
    if not args.resume and out.is_dir() and any(out.iterdir()):
        raise UserError(f"--out {out} is not empty: name another folder, or go on with --resume")
    out.mkdir(parents=True, exist_ok=True)
    return out


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold a lock on a folder. Raises `UserError` if another process is working in it."""
    try:
        handle = atomic.lock_folder(out.resolve(), wait=False)
    except BlockingIOError:
        raise UserError(f"--out {out}: another gpu_check is at work there") from None
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


@contextlib.contextmanager
def _workplace() -> Iterator[Path]:
    """Yield a folder for files that only later parts need."""
    with tempfile.TemporaryDirectory(prefix="zoo-gpu-check-", ignore_cleanup_errors=True) as name:
        yield Path(name).resolve()
