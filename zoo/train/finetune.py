"""The verb finetune: data in, a checkpoint out."""

import dataclasses
import importlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tasks.base import Collate, Examples, Features, Task, supervised
from tasks.data.source import DataArgs
from tasks.errors import UserError
from tasks.printing import print_lines
from zoo.evaluation.calibration_batches import batches as calibration_batches
from zoo.evaluation.loop import Evaluation, evaluate
from zoo.machine import environment, places
from zoo.machine.memory import peak_memory
from zoo.machine.precision import choose_device, choose_dtype
from zoo.machine.terminal import quiet_libraries
from zoo.model.network import Network, assemble, network_of
from zoo.model.train_args import TrainArgs, check, metric_for_best
from zoo.speedups.allocator import keep_freed_memory
from zoo.store import checkpoint, evidence, pretrained
from zoo.train.loop import Loop
from zoo.train.methods import distillation, qat, semi_supervised
from zoo.train.methods import teacher as teachers
from zoo.train.methods.tuning import is_adapted, merged_state, prepare_tuning, save_adapter
from zoo.train.optim.sharding import whole_state
from zoo.train.reporting import run_folder, summary
from zoo.train.reporting.progress_bar import Watch
from zoo.train.reporting.reporters import make_reporters
from zoo.train.resume import run_record

if TYPE_CHECKING:
    from accelerate import Accelerator

    from zoo.model.entry import Entry


@dataclasses.dataclass(frozen=True)
class Job:
    """All that a fine-tune was asked to do."""

    options: Any
    data: DataArgs
    task: Any
    train: TrainArgs


def finetune(entry: "Entry", job: Job) -> Path:
    """Trains a model and leaves its checkpoint; returns the folder.

    Raises:
        UserError: something about the input, the machine or the run; see its text.
        zoo.machine.signals.Stopped: a signal stopped it, after saving.
    """
    begin = time.time()
    quiet_libraries()
    args = job.train
    check(args)
    if args.speedups:
        keep_freed_memory()
    accelerator = make_accelerator(args)
    folder = Path(args.output_dir or f"runs/{entry.name}")
    with run_folder.claimed(folder, args.resume, accelerator) as claim:
        return _finetune(entry, job, accelerator, claim, begin)


def _finetune(
    entry: "Entry",
    job: Job,
    accelerator: "Accelerator",
    claim: run_folder.OutputFolder,
    begin: float,
) -> Path:
    args, folder, main = job.train, claim.path, accelerator.is_main_process
    run = run_record.Run(folder, claim.state)
    run.know(run_record.of_flags(entry, job))
    config = {
        "options": dataclasses.asdict(job.options),
        "data": dataclasses.asdict(job.data),
        "task": None,
        "train": dataclasses.asdict(args),
    }
    device, dtype = accelerator.device, choose_dtype(args.dtype, accelerator.device)
    network = network_of(entry)
    start = qat.find(args, entry, folder)
    teachers.look(args)
    with accelerator.main_process_first():  # the first fills the caches, the others read them
        if start is None:  # before data are read or made, which may take long
            pretrained.look(job.options, entry)
        task, examples = importlib.import_module(entry.task).from_data(job.task, job.data)
        trained: Any
        trained, processor = network.load(start.checkpoint.folder) if start else (None, None)
        assembly = assemble(entry, job.options, task, examples.splits, processor)
        task, processor = assembly.task, assembly.processor
        if start:
            start.check(task)
        best_by = metric_for_best(args, task)
        teacher = teachers.find(args, entry, task, processor, folder, device)
        unlabelled = _unlabelled(entry, job, task) if args.ssl != "none" else None
        run.know(
            run_record.of_data(
                task,
                examples,
                unlabelled,
                teacher.subject if teacher else None,
                start.subject if start else None,
                None if best_by == task.primary else best_by.name,
            )
        )
        features: dict[str, Features] = {
            name: task.features(split, f"{examples.fingerprint}/{name}/{job.data}")
            for name, split in examples.splits.items()
        }
        if unlabelled:
            key = f"{unlabelled.fingerprint}/unlabelled/{args.unlabeled}/{job.data}"
            pool = task.features(unlabelled.splits["train"], key)
    torch.manual_seed(args.seed)  # the new head
    if start:
        model, source = trained, start.checkpoint.manifest["source"]
        network.prepare_training(model, job.options)
    else:
        model, source = assembly.build()
    run.know(run_record.of_source(source))
    run.record["changes"] = run.changes()
    if main:
        findings = task.preflight(examples, features, model)
        run_folder.report_findings(findings)
    model.to(device)
    parameters = sum(p.numel() for p in model.parameters())
    # the compiler does its own, and layers that are followed or rounded are computed whole
    if args.speedups and not (args.torch_compile or args.distill_hidden or start):
        # a sharded embedding is trained whole, and so is one that sees more than the split
        network.optimize_training(model, None if args.fsdp or unlabelled else features["train"])
    model = prepare_tuning(model, args)
    if start:
        layers = qat.prepare(
            model, task, calibration_batches(task, features["train"]), accelerator.device
        )
        if main:
            print_lines(f"{layers} layers compute as in int8", file=sys.stderr)
    config["task"] = task.config()
    manifest = {
        "model": entry.name,
        "module": entry.module,
        "pipeline": task.pipeline,
        "source": source,
        "config": config,
        "data": {
            "name": examples.name,
            "fingerprint": examples.fingerprint,
            "rows": {split: len(rows) for split, rows in examples.splits.items()},
            "source_rows": dict(examples.source_rows),
            "unlabelled": dict(examples.unlabelled),
        },
        "seed": args.seed,
        "versions": environment.versions(),
        "commit": environment.commit(),
    }

    if run.record["changes"]:
        manifest["changes"] = run.record["changes"]
    if start:
        manifest["qat"] = {"from": start.subject}
    collate: Collate = task.collate
    learned = features["train"]
    objective = supervised(task, args.label_smoothing_factor)
    if unlabelled:
        manifest["unlabeled"] = {"name": unlabelled.name, "fingerprint": unlabelled.fingerprint}
        learned, collate, objective = semi_supervised.parts(task, learned, pool, args)
    if teacher:
        manifest["teacher"] = {"model": teacher.name, "subject": teacher.subject}
        distillation.check(task, model, teacher.model, learned, args, device)
        objective = distillation.distilled(task, model, teacher.model, args, device, dtype)

    def save_best(trained: Any) -> None:
        adapted = is_adapted(trained)
        plain = trained.get_base_model() if adapted else trained
        state = merged_state(trained) if adapted else whole_state(trained)  # all ranks take part
        if main:
            try:
                checkpoint.write(folder, plain, processor, manifest, state)
                if adapted:
                    with checkpoint.os_errors():
                        save_adapter(trained, folder / "adapter")
            except OSError as error:
                way = "free some space" if error.errno in places.FULL else "mend that"
                where = error.filename or folder
                raise UserError(
                    f"can't save the checkpoint to {where}: {error.strerror or error}; what stood "
                    f"there before stays: {way}, then go on with --resume"
                ) from error

    claim.begin()
    accelerator.wait_for_everyone()
    reporters = make_reporters(args.report_to, folder, entry.name, config) if main else []
    watch = Watch(folder, total_samples(args, learned), task.unit, reporters, main)
    if main:
        shown = features | ({"unlabelled": pool} if unlabelled else {})
        taught_by = teacher.model if teacher else None
        run_folder.announce(
            entry, task, examples, shown, learned, parameters, model, device, dtype, args, taught_by
        )
    loop = Loop(
        model,
        task,
        objective,
        collate,
        learned,
        features.get("validation"),
        args,
        accelerator,
        folder,
        watch,
        save_best,
        dtype,
        run.record,
    )
    try:
        progress = loop.run(resume=claim.state is not None)
    finally:
        watch.close()

    if claim.state is not None and (fault := checkpoint.fault_of(folder)):
        raise UserError(  # of before: this run has found none that is better
            f"the run has ended, but its best checkpoint was lost before it went on ({fault}): "
            "train anew, without --resume, into another --output_dir"
        )
    peak = peak_memory(device)
    del model, loop, objective
    result = final_evaluation(folder, network, task, features, args, accelerator)
    split, found = result
    taught = measure(teacher.model, task, features[split], args, accelerator) if teacher else None
    if main:
        facts = summary.facts(
            folder, manifest, task, examples, result, progress, peak, dtype, device, findings
        )
        if teacher and taught:
            facts += teachers.facts(teacher, (split, taught), facts, parameters)
        evidence.append(folder, facts)
        summary.plots(folder, watch.records, task)
        seconds = time.time() - begin
        summary.show(entry, folder, task, examples, result, progress, peak, seconds)
        if teacher and taught:
            teachers.show(teacher, taught, split, found, parameters)
    accelerator.wait_for_everyone()
    return folder


def _unlabelled(entry: "Entry", job: Job, task: Task) -> Examples:
    """The examples without labels."""
    semi_supervised.check(task)
    asked = job.train.unlabeled
    assert asked is not None
    pool: Examples = importlib.import_module(entry.task).unlabelled(job.task, job.data, asked)
    return pool


def make_accelerator(args: TrainArgs) -> "Accelerator":
    """Accelerate's view of this process: its device, its rank, and how gradients are shared."""
    from accelerate import Accelerator, DistributedDataParallelKwargs

    device = choose_device(args.device)
    # mixed precision is ours (zoo/machine/precision.py): evaluation in fp32 shares the same model
    # layers that thaw later have no gradient before
    ranks = DistributedDataParallelKwargs(find_unused_parameters=args.tune == "gradual")
    return Accelerator(cpu=device.type == "cpu", mixed_precision="no", kwargs_handlers=[ranks])


def total_samples(args: TrainArgs, train: Features) -> int:
    """Samples that a run sees, for the progress bar."""
    step = args.per_device_train_batch_size * args.gradient_accumulation_steps
    if args.max_steps > 0:
        return args.max_steps * step
    return int(args.num_train_epochs * len(train))


def final_evaluation(
    folder: Path,
    network: Network,
    task: Task,
    features: dict[str, Features],
    args: TrainArgs,
    accelerator: "Accelerator",
) -> tuple[str, Evaluation]:
    """The saved checkpoint on the test split (validation where there is none), in fp32."""
    accelerator.wait_for_everyone()
    model, _ = network.load(folder)
    model.to(accelerator.device)
    split = "test" if "test" in features else "validation" if "validation" in features else "train"
    return split, measure(model, task, features[split], args, accelerator)


def measure(
    model: Any, task: Task, features: Features, args: TrainArgs, accelerator: "Accelerator"
) -> Evaluation:
    """A network on one split, in fp32."""
    return evaluate(
        model,
        task,
        features,
        batch_size=args.per_device_eval_batch_size,
        accelerator=accelerator,
        workers=args.dataloader_num_workers,
    )


__all__ = ["Examples", "Job", "finetune"]
