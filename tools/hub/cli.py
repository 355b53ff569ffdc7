"""The command line: `python -m tools.hub push|pull|verify|diff`.

Flags are fields of frozen dataclasses, with - or _ alike. Nothing here imports torch or asks the
network.
"""

import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from tasks.printing import print_lines
from tools.hub.args import DiffArgs, PullArgs, PushArgs, VerifyArgs
from zoo.cli.program import Program, Verb
from zoo.machine import places

T = TypeVar("T")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a verb; returns the exit code: 0, 1 for what was refused or is wrong, 2 for a user's
    mistake, 128 + signal for a stop."""
    return PROGRAM.main(argv)


def _verb(
    name: str, kind: type[T], run: Callable[[T], int], summary: str, *examples: str
) -> tuple[str, Verb]:
    """A verb whose flags are those of a dataclass."""

    def parsed(words: Sequence[str]) -> int:
        args = PROGRAM.parse(name, kind, words)
        from tools.hub.refused import PushRefused

        try:
            return run(args)
        except PushRefused as refused:
            first, *more = refused.lines
            print_lines(f"hub: {first}", *more, file=sys.stderr)
            return 1

    return name, Verb(summary, tuple(f"{name} {example}" for example in examples), parsed)


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


PROGRAM = Program(
    "hub",
    "python -m tools.hub",
    "Checkpoints to the Hugging Face Hub and back.",
    dict(
        (
            _verb(
                "push",
                PushArgs,
                _push,
                "a checkpoint, its card, evidence and ONNX artifacts to the Hub, in one commit",
                "runs/bert_cls me/reviews --dry_run",
                "runs/bert_cls me/reviews --private --artifacts onnx,onnx+int8-dynamic",
                "runs/bert_cls me/reviews --variant_repo me/reviews-onnx",
            ),
            _verb(
                "pull",
                PullArgs,
                _pull,
                "a checkpoint from the Hub, every sum checked",
                "me/reviews",
                "me/reviews@v1 --output_dir runs/reviews",
            ),
            _verb(
                "verify",
                VerifyArgs,
                _verify,
                "check what lies on the Hub: sums, card, parity, metrics",
                "me/reviews",
                "me/reviews@v1 --data reviews.csv",
            ),
            _verb(
                "diff",
                DiffArgs,
                _diff,
                "what changed between two revisions, as their evidence has it",
                "me/reviews v1 main",
                "me/reviews v1 main --fail_if 'accuracy<-0.005'",
            ),
        )
    ),
)
