"""What all stages of a pruning have in common: the checkpoint's task, data and way of training."""

import dataclasses
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.base import Examples, Features, Task
from tasks.data.source import DataArgs
from tasks.errors import UserError
from zoo.machine import environment
from zoo.model.network import Network
from zoo.store import evidence
from zoo.store.checkpoint import Checkpoint
from zoo.train.args import TrainArgs
from zoo.train.args import check as check_training
from zoo.train.methods.args import DISTILLING

if TYPE_CHECKING:
    from accelerate import Accelerator

    from zoo.cli.args import PruneArgs
    from zoo.model.entry import Entry

SAID_ANEW = ("schema", "files", "pruned")
"""Of the manifest of a checkpoint, what its pruned one says of itself."""
NOT_OF_A_STAGE = (
    *("teacher", *DISTILLING, "ssl", "unlabeled", "tune", "fsdp", "resume", "report_to"),
    *("save_steps", "early_stopping_patience", "auto_find_batch_size"),
)
"""Of how the checkpoint was trained, what is as usual here."""


@dataclass(frozen=True)
class PruningData:
    """The data that the stages are trained and measured on."""

    args: DataArgs
    examples: Examples
    features: Mapping[str, Features]


@dataclass(frozen=True)
class PruningRun:
    """The settings that all stages have in common."""

    args: "PruneArgs"
    train: TrainArgs
    folder: Path  # of the pruned checkpoint
    network: Network
    options: Any  # of the checkpoint's model
    processor: Any
    task: Task
    data: PruningData
    accelerator: "Accelerator"
    dense: tuple[int, ...]  # widths before the first cut; none where it is not structured

    @property
    def split(self) -> str:
        """The split on which every stage is measured."""
        return "validation" if "validation" in self.data.features else "train"

    @property
    def final_split(self) -> str:
        """The split on which the first and the last stage are compared."""
        return "test" if "test" in self.data.features else self.split

    def manifest(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """Return the checkpoint's manifest, updated for the pruned checkpoint."""
        kept = {n: value for n, value in checkpoint.manifest.items() if n not in SAID_ANEW}
        examples = self.data.examples
        return kept | {
            "config": {**kept["config"], "data": dataclasses.asdict(self.data.args)},
            "data": {"name": examples.name, "fingerprint": examples.fingerprint},
            "seed": self.args.seed,
            "versions": environment.versions(),
            "commit": environment.commit(),
            "pruned": {
                "from": evidence.subject_digest(checkpoint.folder),
                "structured": self.args.structured,
                "stages": self.args.stages,
                "steps": self.args.steps,
            },
        }


def training(checkpoint: Checkpoint, args: "PruneArgs") -> TrainArgs:
    """Return the training settings of a stage: those of the checkpoint, except for `NOT_OF_A_STAGE`
    and what `args` sets."""
    known = {field.name for field in dataclasses.fields(TrainArgs)}
    usual = TrainArgs()
    recorded = checkpoint.manifest["config"]["train"]
    train = TrainArgs(**{name: value for name, value in recorded.items() if name in known})
    train = dataclasses.replace(
        train,
        **{name: getattr(usual, name) for name in NOT_OF_A_STAGE},
        max_steps=args.steps,
        eval_strategy="no",  # the last weights of a stage are what the next one cuts
        save_minutes=None,
        dtype=args.dtype,
        device=args.device,
        seed=args.seed,
    )
    for name in ("learning_rate", "per_device_train_batch_size"):
        if (asked := getattr(args, name)) is not None:
            train = dataclasses.replace(train, **{name: asked})
    if train.lr_scheduler_type == "plateau":  # which follows evaluations, and a stage has none
        train = dataclasses.replace(train, lr_scheduler_type=usual.lr_scheduler_type)
    check_training(train)
    return train


def read_data(
    entry: "Entry",
    checkpoint: Checkpoint,
    args: "PruneArgs",
    processor: Any,
    accelerator: "Accelerator",
) -> PruningData:
    """Return the data as the checkpoint's task reads it.

    Raises `UserError` where it has other labels.
    """
    trained = checkpoint.manifest["config"]["data"]
    data = DataArgs(**trained)
    if args.data is not None:
        data = dataclasses.replace(data, data=args.data, data_config=None)
    task: Any = checkpoint.task
    with accelerator.main_process_first():
        fresh, examples = importlib.import_module(entry.task).from_data(task.args, data)
        if fresh.labels and fresh.labels != task.labels:
            raise UserError(
                f"{examples.name} has other labels than {checkpoint.folder} has learned: "
                f"{', '.join(fresh.labels[:5])} against {', '.join(task.labels[:5])}"
            )
        features = {
            name: task.features(split, f"{examples.fingerprint}/{name}/{data}")
            for name, split in examples.splits.items()
        }
    return PruningData(data, examples, features)
