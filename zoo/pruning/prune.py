"""The verb prune: a checkpoint with fewer weights, cut in stages with training in between.

Unstructured (`zoo.pruning.magnitude`): the smallest weights are 0; the file is no smaller, since
tensors keep their shape. Structured (`zoo.model.narrowing`): units are gone, and all is smaller.
Each stage cuts, trains with the loop of every fine-tune, leaves a whole checkpoint, and is measured
on what it has left.
"""

import dataclasses
import shutil
import uuid
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from tasks.base import supervised
from tasks.errors import UserError
from zoo.machine import terminal
from zoo.machine.precision import choose_dtype
from zoo.model import narrowing
from zoo.model.loading import must_agree
from zoo.model.network import network_of
from zoo.pruning import magnitude, record
from zoo.pruning.setting import PruningRun, read_data, training
from zoo.speedups.allocator import keep_freed_memory
from zoo.store import checkpoint as checkpoints
from zoo.store.checkpoint import Checkpoint, open_checkpoint
from zoo.train.args import TrainArgs
from zoo.train.finetune import make_accelerator
from zoo.train.loop import Loop
from zoo.train.methods.faster import speed_up
from zoo.train.methods.known import hooks_of
from zoo.train.reporting import run_folder
from zoo.train.reporting.progress_bar import RunLogger

if TYPE_CHECKING:
    from accelerate import Accelerator

    from zoo.cli.args import PruneArgs
    from zoo.model.entry import Entry


def prune(entry: "Entry", args: "PruneArgs") -> Path:
    """Prune a checkpoint and write the result as a new checkpoint; return its folder.

    Raises:
        UserError: a damaged checkpoint, numbers that make no sense, data that has other labels, or
            a network that can't be cut this way.
        zoo.machine.signals.Stopped: a signal stopped it.
    """
    terminal.quiet_libraries()
    keep_freed_memory()
    checkpoint = open_checkpoint(args.checkpoint, entry)
    folder = args.output_dir or args.checkpoint.with_name(f"{args.checkpoint.name}-pruned")
    if folder.resolve() == args.checkpoint.resolve():
        raise UserError(f"`output_dir` {folder} is the checkpoint itself: give another folder")
    train = training(checkpoint, args)
    accelerator = make_accelerator(train)
    with run_folder.claimed(folder, False, accelerator) as claim:
        return _prune(entry, args, checkpoint, train, accelerator, claim)


def _prune(
    entry: "Entry",
    args: "PruneArgs",
    checkpoint: Checkpoint,
    train: TrainArgs,
    accelerator: "Accelerator",
    claim: run_folder.OutputFolder,
) -> Path:
    folder = claim.path
    network = network_of(entry)
    model, processor = network.load(args.checkpoint)
    must_agree(args.checkpoint, checkpoint.task, processor)
    checkpoint = checkpoint.bind(processor)
    dense = network.prunable_widths(model) if args.structured else ()
    _check_cut(args, dense)
    setting = PruningRun(
        args,
        train,
        folder,
        network,
        entry.options(**checkpoint.manifest["config"]["options"]),
        processor,
        checkpoint.task,
        read_data(entry, checkpoint, args, processor, accelerator),
        accelerator,
        dense,
    )
    manifest = setting.manifest(checkpoint)
    claim.begin()
    (folder / "logs").mkdir(exist_ok=True)  # a run of ours, also where it ends before its first cut
    accelerator.wait_for_everyone()
    run = uuid.uuid4().hex[:12]
    model.to(accelerator.device)
    stages = []
    for number in range(args.stages + 1):
        if number:
            model = _cut_and_train(setting, number, model, manifest)
        left = folder if number else args.checkpoint
        stages.append(record.measure_stage(setting, number, left, model))
        record.append(setting, stages[-1], run)
    if accelerator.is_main_process:
        record.show(entry, setting, stages)
    accelerator.wait_for_everyone()
    return folder


def _check_cut(args: "PruneArgs", dense: tuple[int, ...]) -> None:
    if dense and narrowing.targets(dense, args.sparsity) == dense:
        raise UserError(
            f"`sparsity` {args.sparsity} cuts nothing of widths {' '.join(map(str, dense))}, in "
            f"steps of {narrowing.STEP}"
        )


def _cut_and_train(
    setting: PruningRun, number: int, model: nn.Module, manifest: Mapping[str, Any]
) -> nn.Module:
    """Run one stage on the model of the previous stage: prune it, train it, save it; return the
    model as saved in the folder."""
    args, accelerator = setting.args, setting.accelerator
    # another seed, or every stage would see the same samples: those that an epoch begins with
    train = dataclasses.replace(setting.train, seed=args.seed + number)
    share = magnitude.share_at(number, args.stages, args.sparsity)
    model, masks = _cut(setting, model, share)
    setting.network.prepare_training(model, setting.options)
    model.to(accelerator.device)
    train_features = setting.data.features["train"]
    if train.speedups and not train.torch_compile:
        speed_up(setting.network, model, train_features, accelerator.num_processes)
    own = setting.folder / "logs" / f"stage-{number}"
    size = train.per_device_train_batch_size * train.gradient_accumulation_steps
    main = accelerator.is_main_process
    watch = RunLogger(own, args.steps * size, setting.task.unit, [], main)
    pruned = {**manifest["pruned"], "stage": number, "sparsity": share}
    dtype = choose_dtype(train.dtype, accelerator.device)
    loop = Loop(
        model,
        setting.task,
        supervised(setting.task, train.label_smoothing_factor),
        setting.task.collate,
        train_features,
        None,
        train,
        accelerator,
        own,
        watch,
        partial(_save, setting, {**manifest, "pruned": pruned}),
        dtype,
        hooks=hooks_of(train, accelerator, dtype),
    )
    magnitude.hold(model, masks)
    try:
        loop.run(resume=False)
    finally:
        watch.close()
        if main:
            shutil.rmtree(own / "state", ignore_errors=True)  # a stage is not gone on with
    accelerator.wait_for_everyone()
    left: nn.Module = setting.network.load(setting.folder)[0].to(accelerator.device)
    weights = dict(left.named_parameters())
    assert not any(bool(weights[n][~m.to(weights[n].device)].any()) for n, m in masks.items())
    return left


def _cut(setting: PruningRun, model: nn.Module, share: float) -> tuple[nn.Module, magnitude.Masks]:
    """Return the model without a share of its units, or with a share of its weights at 0, and the
    masks of these weights."""
    if setting.args.structured:
        widths = narrowing.targets(setting.dense, share)
        return setting.network.prune_units(model, widths), {}
    return model, magnitude.prune(model, share)


def _save(setting: PruningRun, manifest: Mapping[str, Any], trained: nn.Module) -> None:
    """Write the checkpoint of a stage, on the main process only."""
    if not setting.accelerator.is_main_process:
        return
    try:
        checkpoints.write(setting.folder, trained, setting.processor, manifest)
    except OSError as error:
        raise UserError(
            f"can't save to {setting.folder}: {error.strerror or error}; the stage before stays "
            "there: free some space and begin again"
        ) from error
