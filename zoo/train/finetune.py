"""The verb finetune: data in, a checkpoint out."""

import contextlib
import dataclasses
import functools
import importlib
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from tasks.base import Examples, Features, Generates, Task, supervised
from tasks.buckets import collate_of
from tasks.errors import UserError, spelled
from tasks.printing import print_lines
from zoo.evaluation.checkpoint_metrics import CheckpointMetrics
from zoo.evaluation.loop import Evaluation, evaluate
from zoo.machine import environment, places, plots
from zoo.machine.accelerator import accelerator_on
from zoo.machine.memory import peak_memory
from zoo.machine.precision import choose_device, choose_dtype, fp32_products
from zoo.machine.terminal import quiet_libraries
from zoo.model.network import assemble, network_of
from zoo.speedups.allocator import keep_freed_memory
from zoo.store import checkpoint, evidence
from zoo.train import threads
from zoo.train.args import TrainArgs, check, metric_for_best
from zoo.train.loop import Loop
from zoo.train.methods.base import Data, FinetuneJob, FinetuneResult, Learning, Method, Saved, Setup
from zoo.train.methods.known import hooks_of, methods_of
from zoo.train.optim.schedules import check_warmup
from zoo.train.optim.sharding import whole_state
from zoo.train.reporting import final_report, forecast, run_folder, summary
from zoo.train.reporting.progress_bar import RunLogger
from zoo.train.reporting.reporters import make_reporters
from zoo.train.resume import run_record, start_weights
from zoo.train.resume import state as states
from zoo.train.resume.progress import Progress
from zoo.train.time_limit import TimeLimit

if TYPE_CHECKING:
    from accelerate import Accelerator

    from tasks.preflight import Finding
    from zoo.model.entry import Entry

PASSES_OF_A_TEXT = 6
"""Passes over a sample that its evaluation takes where a text is written for it token by token."""


def finetune(entry: "Entry", job: FinetuneJob) -> CheckpointMetrics:
    """Train a model, write its checkpoint, and return it with its metrics on the test split.

    Raises:
        UserError: the input, the machine or the run has a fault, which its text describes.
        zoo.machine.signals.Stopped: a signal stopped the run, after its state was saved.
    """
    begin = time.monotonic()
    quiet_libraries()
    args = job.train
    check(args)
    if args.speedups:
        keep_freed_memory()
    accelerator = make_accelerator(args)
    folder = Path(args.output_dir or f"runs/{entry.name}")
    with contextlib.ExitStack() as stack:
        claim = stack.enter_context(run_folder.claimed(folder, args.resume, accelerator))
        dtype = choose_dtype(args.dtype, accelerator.device)
        if args.dtype in ("fp32", "tf32"):
            stack.enter_context(fp32_products(accelerator.device, args.dtype == "tf32"))
        begun = Progress.read(states.read_progress(claim.state)) if claim.state else None
        stack.enter_context(threads.restored())
        on_cpu = accelerator.device.type == "cpu"
        then = begun.threads if begun and on_cpu else None
        _say(accelerator, threads.take_known(args.threads, then))
        return _finetune(Setup(entry, job, folder, accelerator, dtype, begun), claim, begin, stack)


@dataclasses.dataclass(frozen=True)
class _Run:
    """State of one fine-tune while it runs."""

    setup: Setup
    claim: run_folder.OutputFolder
    known: run_record.Run
    methods: Sequence[Method]
    closing: contextlib.ExitStack  # at the end of the run, whatever it is
    began: float  # on the monotonic clock


def _finetune(
    setup: Setup, claim: run_folder.OutputFolder, begin: float, closing: contextlib.ExitStack
) -> CheckpointMetrics:
    known = run_record.Run(setup.folder, claim.state)
    job = setup.job
    known.know(run_record.of_flags(setup.entry, job), job.options, job.data, job.train)
    run = _Run(setup, claim, known, methods_of(setup), closing, begin)
    data, model, source, options = _assemble(run)
    known.record["changes"] = known.changes()
    findings: list[Finding] = []
    if setup.is_main:
        findings = data.task.preflight(data.examples, data.features, model)
        run_folder.report_findings(findings)
    model.to(setup.device)
    train = data.features["train"]
    look = (model, data.task, train, forecast.typical(train), setup.device, setup.dtype)
    _say(setup.accelerator, threads.choose(setup, lambda: forecast.one_pass(*look)))
    parameters = sum(p.numel() for p in model.parameters())
    for method in run.methods:
        model = method.model(model, data)
    manifest = _manifest(run, data, source, options)
    progress, watch = _train(run, data, model, manifest, parameters)
    training = summary.Training(progress, peak_memory(setup.device), findings)
    del model  # the final evaluation has the memory for itself
    result = _final_evaluation(run, data, parameters)
    for method in run.methods:
        method.finish(result)
    if setup.is_main:
        facts = summary.facts(setup, data, result, training)
        for method in run.methods:
            facts += method.facts(facts)
        evidence.append(setup.folder, facts)
        curves = setup.folder / "plots" / "training.png"
        plots.training_curves(curves, watch.records, data.task.primary.name)
        pictures = final_report.send(watch.reporters, setup, data, result, progress, facts[0])
        summary.show(setup, data, result, training, pictures, time.monotonic() - begin)
        for method in run.methods:
            method.show()
    setup.accelerator.wait_for_everyone()
    where = (setup.folder, setup.entry.name, data.examples.name, result.split)
    return CheckpointMetrics.of(*where, result.evaluation)


def _say(accelerator: "Accelerator", line: str | None) -> None:
    if line and accelerator.is_main_process:
        print_lines(spelled(line), file=sys.stderr)


def _assemble(run: _Run) -> tuple[Data, nn.Module, Mapping[str, Any], Any]:
    """Return the data, the network for them, a record of where its weights come from, and the
    model's options as its weights have them."""
    setup, methods = run.setup, run.methods
    entry, job = setup.entry, setup.job
    network = network_of(entry)
    for method in methods:
        method.look()
    start = next((found for method in methods if (found := method.start())), None)
    options = job.options
    # the first fills the caches, the others read them
    with setup.accelerator.main_process_first():
        if start is None:  # before data are read or made, which may take long
            resumed = run.claim.state is not None
            options = start_weights.at_hand(options, entry, setup.folder, resumed)
        else:
            options = start_weights.of_checkpoint(options, start.folder)
        task, examples = importlib.import_module(entry.task).from_data(job.task, job.data)
        trained, processor = network.load(start.folder) if start else (None, None)
        assembly = assemble(entry, options, task, examples.splits, processor, job.typed)
        data = _read(run, assembly.task, examples, assembly.processor)
    torch.manual_seed(job.train.seed)  # the new head
    if start and trained is not None:
        model, source = trained, start.manifest["source"]
        network.prepare_training(model, job.options)
    else:
        model, source = assembly.build()
    options = assembly.options
    if hasattr(options, "model"):  # as it was asked, wherever the weights were found
        options = dataclasses.replace(options, model=job.options.model)
        if not start and source["model"] is not None:
            source = {**source, "model": job.options.model}
    run.known.know(run_record.of_source(source))
    return data, model, source, options


def _read(run: _Run, task: Task, examples: Examples, processor: Any) -> Data:
    """Read all training data, and check that a resumed run still has the same."""
    job, methods = run.setup.job, run.methods
    best_by = metric_for_best(job.train, task)
    said: dict[str, Any] = {}
    for method in methods:
        method.read(task, processor)
        said |= method.manifest()
    other = None if best_by == task.primary else best_by.name
    run.known.know(run_record.of_data(task, examples, said, other), job.task)
    features: dict[str, Features] = {
        name: task.features(split, f"{examples.fingerprint}/{name}/{job.data}")
        for name, split in examples.splits.items()
    }
    beside: dict[str, Features] = {}
    for method in methods:
        beside |= method.features(task)
    return Data(task, examples, processor, features, beside)


def _manifest(run: _Run, data: Data, source: Mapping[str, Any], options: Any) -> dict[str, Any]:
    """Return what zoo.json records of the run; `options` are the model's, as its weights have
    them."""
    entry, job, examples = run.setup.entry, run.setup.job, data.examples
    manifest = {
        "model": entry.name,
        "module": entry.module,
        "pipeline": data.task.pipeline,
        "source": source,
        "config": {
            "options": dataclasses.asdict(options),
            "data": dataclasses.asdict(job.data),
            "task": data.task.config(),
            "train": dataclasses.asdict(job.train),
        },
        "data": {
            "name": examples.name,
            "fingerprint": examples.fingerprint,
            "rows": {split: len(rows) for split, rows in examples.splits.items()},
            "source_rows": dict(examples.source_rows),
            "unlabelled": dict(examples.unlabelled),
            **({"cleaned": dict(examples.cleaned)} if examples.cleaned else {}),
        },
        "seed": job.train.seed,
        "versions": environment.versions(),
        "commit": environment.commit(),
    }
    if changes := run.known.record["changes"]:
        manifest["changes"] = changes
    for method in run.methods:
        manifest |= method.manifest()
    return manifest


def _train(
    run: _Run, data: Data, model: nn.Module, manifest: Mapping[str, Any], parameters: int
) -> tuple[Progress, RunLogger]:
    """Train the network and write its checkpoint; return the progress, and what was logged."""
    setup, args, task = run.setup, run.setup.args, data.task
    objective = supervised(task, args.label_smoothing_factor)
    train = data.features["train"]
    collate = collate_of(task, train.lengths, setup.device.type)
    learning = Learning(train, collate, objective)
    for method in run.methods:
        learning = method.learning(learning, model, data)
    moved = run.claim.begin()
    if setup.is_main and run.claim.state is None:
        start_weights.keep(setup.job.options, setup.entry, setup.folder, moved)
    setup.accelerator.wait_for_everyone()
    reporters = []
    if setup.is_main:
        config = manifest["config"]
        reporters = make_reporters(args.report_to, setup.folder, setup.entry.name, config)
    for reporter in reporters:
        run.closing.callback(reporter.close)
    total = total_samples(args, learning.features)
    metric = task.primary.name
    size = args.per_device_train_batch_size * args.gradient_accumulation_steps
    watch = RunLogger(setup.folder, total, task.unit, reporters, setup.is_main, metric, size)
    if setup.is_main:
        run_folder.announce(setup, data, learning, run.methods, model, parameters)
    loop = Loop(
        model,
        task,
        learning.objective,
        learning.collate,
        learning.features,
        data.features.get("validation"),
        args,
        setup.accelerator,
        setup.folder,
        watch,
        functools.partial(_save_best, run, data.processor, manifest),
        setup.dtype,
        run.known.record,
        hooks_of(args, setup.accelerator, setup.dtype),
        learning.packing,
        _time_limit(run, data),
    )
    if setup.is_main:
        total_steps = loop.schedule.total_steps
        run_folder.report_findings(check_warmup(total_steps, args.warmup_steps))
    resumed = run.claim.state is not None
    try:
        progress = loop.run(resume=resumed)
    finally:
        watch.close()
    if resumed and (fault := checkpoint.fault_of(setup.folder)):
        raise UserError(  # of before: this run has found none that is better
            f"the run has ended, but its best checkpoint was lost before it went on ({fault}): "
            "train anew, without `resume`, into another `output_dir`"
        )
    return progress, watch


def _time_limit(run: _Run, data: Data) -> TimeLimit | None:
    """Return when the run has to be over; None where it has no limit."""
    setup = run.setup
    if setup.args.minutes is None:
        return None
    if setup.accelerator.num_processes > 1:
        raise UserError("`minutes` is for one process: ranks would stop at different steps")
    rows = sum(len(data.features[name]) for name in ("validation", "test") if name in data.features)
    if isinstance(data.task, Generates):
        rows *= PASSES_OF_A_TEXT
    return TimeLimit(setup.args.minutes, run.began, rows, setup.dtype != torch.float32)


def _save_best(run: _Run, processor: Any, manifest: Mapping[str, Any], model: nn.Module) -> None:
    """Write the checkpoint of a trained network."""
    folder = run.setup.folder
    found = (saved for method in run.methods if (saved := method.to_save(model)))
    saved = next(found, None) or Saved(model, whole_state(model))  # all ranks take part
    if not run.setup.is_main:
        return
    try:
        checkpoint.write(folder, saved.model, processor, manifest, saved.state)
        if saved.beside:
            with checkpoint.os_errors():
                saved.beside(folder)
    except OSError as error:
        way = "free some space" if error.errno in places.FULL else "mend that"
        where = error.filename or folder
        raise UserError(
            f"can't save the checkpoint to {where}: {error.strerror or error}; what stood "
            f"there before stays: {way}, then go on with `resume`"
        ) from error


def _final_evaluation(run: _Run, data: Data, parameters: int) -> FinetuneResult:
    """Evaluate the saved checkpoint in fp32 on the test split, or on validation if there is no
    test."""
    setup = run.setup
    setup.accelerator.wait_for_everyone()
    model, _ = network_of(setup.entry).load(setup.folder)
    model.to(setup.device)
    split = next(name for name in ("test", "validation", "train") if name in data.features)

    def measured(network: nn.Module) -> Evaluation:
        with fp32_products(setup.device, rounded=False):
            return measure(
                network,
                data.task,
                data.features[split],
                setup.args,
                setup.accelerator,
                split,
                final_report.errors_kept(setup.args.report_to),
            )

    return FinetuneResult(split, measured(model), parameters, measured)


def make_accelerator(args: TrainArgs) -> "Accelerator":
    """Return Accelerate's view of this process: its device, its rank, and how gradients are
    shared."""
    from accelerate import DistributedDataParallelKwargs

    device = choose_device(args.device)
    # mixed precision is ours (zoo/machine/precision.py): evaluation in fp32 shares the same model
    # layers that thaw later have no gradient before
    ranks = DistributedDataParallelKwargs(find_unused_parameters=args.tune == "gradual")
    return accelerator_on(device, ranks)


def total_samples(args: TrainArgs, train: Features) -> int:
    """Return how many samples a run sees, for the progress bar."""
    step = args.per_device_train_batch_size * args.gradient_accumulation_steps
    if args.max_steps > 0:
        return args.max_steps * step
    return int(args.num_train_epochs * len(train))


def measure(
    model: nn.Module,
    task: Task,
    features: Features,
    args: TrainArgs,
    accelerator: "Accelerator",
    split: str | None = None,
    keep_errors: int = 0,
) -> Evaluation:
    """Evaluate a network on one split, in fp32; with the split's name under a progress bar. Keep so
    many of the hardest errors."""
    return evaluate(
        model,
        task,
        features,
        batch_size=args.per_device_eval_batch_size,
        accelerator=accelerator,
        workers=args.dataloader_num_workers,
        split=split,
        keep_errors=keep_errors,
    )


__all__ = ["FinetuneJob", "finetune"]
