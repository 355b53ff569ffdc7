"""The command line: `python -m tools.hub push|pull|verify|diff`.

Flags are fields of frozen dataclasses, with - or _ alike. Nothing here imports torch or asks the
network.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import tyro

from tasks.printing import print_lines
from tools.hub.args import DiffArgs, PullArgs, PushArgs, VerifyArgs
from zoo.cli import program
from zoo.machine import places

PROGRAM = "python -m tools.hub"


def _verb(name: str, summary: str, *examples: str) -> Any:
    """How a verb is called, and what its --help says."""
    lines = "\n".join(f"  {PROGRAM} {name} {example}" for example in examples)
    return tyro.conf.subcommand(name, description=f"{summary}\n\nexamples:\n{lines}")


COMMAND: Any = (
    Annotated[
        PushArgs,
        _verb(
            "push",
            "a checkpoint, its card, evidence and ONNX artifacts to the Hub, in one commit",
            "runs/bert_cls me/reviews --dry_run",
            "runs/bert_cls me/reviews --private --artifacts onnx,onnx+int8-dynamic",
            "runs/bert_cls me/reviews --variant_repo me/reviews-onnx",
        ),
    ]
    | Annotated[
        PullArgs,
        _verb(
            "pull",
            "a checkpoint from the Hub, every sum checked",
            "me/reviews",
            "me/reviews@v1 --output_dir runs/reviews",
        ),
    ]
    | Annotated[
        VerifyArgs,
        _verb(
            "verify",
            "check what lies on the Hub: sums, card, parity, metrics",
            "me/reviews",
            "me/reviews@v1 --data reviews.csv",
        ),
    ]
    | Annotated[
        DiffArgs,
        _verb(
            "diff",
            "what changed between two revisions, as their evidence has it",
            "me/reviews v1 main",
            "me/reviews v1 main --fail_if 'accuracy<-0.005'",
        ),
    ]
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a verb; returns the exit code: 0, 1 for what was refused or is wrong, 2 for a user's
    mistake, 128 + signal for a stop."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return program.guarded(
            "hub", lambda: _run(_parse(arguments)), "give the same command again"
        )
    except SystemExit as stop:  # --help, and flags that are wrong
        return int(stop.code or 0) if arguments else 2


def _parse(arguments: Sequence[str]) -> Any:
    return program.parse_flags(
        COMMAND,
        arguments or ["--help"],
        prog=PROGRAM,
        description="Checkpoints to the Hugging Face Hub and back.",
    )


def _run(args: Any) -> int:
    from tools.hub.refused import PushRefused

    try:
        return VERBS[type(args)](args)
    except PushRefused as refused:
        first, *more = refused.lines
        print_lines(f"hub: {first}", *more, file=sys.stderr)
        return 1


def _push(args: PushArgs) -> int:
    from tools.hub.push import push

    push(args)
    return 0


def _pull(args: PullArgs) -> int:
    if args.output_dir is not None:
        places.check_folder("--output_dir", args.output_dir)
    from tools.hub.pull import pull

    pull(args)
    return 0


def _verify(args: VerifyArgs) -> int:
    from tools.hub.verify import verify

    return verify(args)


def _diff(args: DiffArgs) -> int:
    from tools.hub.diff import diff

    return diff(args)


VERBS: dict[type, Callable[[Any], int]] = {
    PushArgs: _push,
    PullArgs: _pull,
    VerifyArgs: _verify,
    DiffArgs: _diff,
}
