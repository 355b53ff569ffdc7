"""The command line: `python -m tools.cards CHECKPOINT ...`.

Flags are the fields of a frozen dataclass, with - or _ alike. Nothing here imports torch.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from tasks.errors import UserError
from tasks.printing import print_lines
from zoo.cli import program

PROGRAM = "python -m tools.cards"
EXAMPLES = (
    "runs/bert_cls",
    "runs/bert_cls runs/resnet_cls --check",
    "runs/bert_cls --keep bert_cls-movie_reviews",
    "--index",
    "--index --check",
)
DESCRIPTION = (
    "Renders the model card of checkpoints, README.md, from what was measured.\n\nexamples:\n"
    + "\n".join(f"  {PROGRAM} {example}" for example in EXAMPLES)
)


@dataclass(frozen=True)
class CardArgs:
    """What to render or to check."""

    checkpoints: tyro.conf.Positional[tuple[Path, ...]] = ()
    """folders of checkpoints"""
    check: bool = False
    """write nothing: compare with what is there, and the records with the files they are about"""
    index: bool = False
    """MODEL_CARDS.md, from the records under bench/results/models"""
    keep: str | None = None
    """copy the records of the checkpoint there, under this name"""


def main(argv: Sequence[str] | None = None) -> int:
    """Renders or checks; returns the exit code: 0, 1 where a check failed, 2 for a user's
    mistake."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments:
        return program.overview(
            "cards", lambda: f"{DESCRIPTION}\n\n{PROGRAM} --help lists the flags.", 2
        )
    return program.guarded("cards", lambda: _run(_parse(arguments)), "give the same command again")


def _parse(arguments: Sequence[str]) -> CardArgs:
    args: CardArgs = program.parse_flags(CardArgs, arguments, prog=PROGRAM, description=DESCRIPTION)
    return args


def _run(args: CardArgs) -> int:
    if not args.checkpoints and not args.index:
        raise UserError("nothing to do: name the folder of a checkpoint, or give --index")
    if args.keep is not None and (len(args.checkpoints) != 1 or args.check):
        raise UserError("--keep takes one checkpoint, and writes its records: leave --check out")
    failed = False
    for folder in args.checkpoints:
        if args.check:
            failed |= _check(folder)
        elif args.keep is not None:
            _keep(folder, args.keep)
        else:
            _write(folder)
    if args.index:
        failed |= _index(args.check)
    return int(failed)


def _write(folder: Path) -> None:
    from tools.cards.write import write

    print_lines(str(write(folder)))


def _check(folder: Path) -> bool:
    from tools.cards.check import faults

    return _report(faults(folder), f"{folder}: the card says what was measured")


def _keep(folder: Path, name: str) -> None:
    from tools.cards.archive import archive

    print_lines(str(archive(folder, name)))


def _index(check: bool) -> bool:
    from tools.cards import index

    if check:
        return _report(index.faults(), f"{index.PAGE}: it says what was measured")
    print_lines(str(index.write()))
    return False


def _report(faults: Sequence[str], well: str) -> bool:
    for fault in faults:
        print_lines(fault, file=sys.stderr)
    if not faults:
        print_lines(well)
    return bool(faults)
