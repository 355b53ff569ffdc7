"""The verb quantize: a contract. The fastest int8 program whose metric drops by no more than was
allowed, and that is faster than eager fp32 by at least what was asked; or none."""

import contextlib
import dataclasses
import math
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tasks.base import Features
from tasks.errors import UserError
from tasks.metrics import greater_is_better
from zoo import artifacts, environment, evidence, export, signatures, terminal
from zoo.artifacts import Artifact
from zoo.export import Original, Refused, quiet
from zoo.paired import Drop, drop
from zoo.proof import Proof, arrays, prove
from zoo.quantization import onnx_int8, sensitivity
from zoo.quantization.onnx_int8 import Feed
from zoo.quantization.recipes import Material, Recipe, fitting
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.runner_model import RunnerModel
from zoo.runtimes.signature import Signature
from zoo.train.evaluation import Evaluation, evaluate

if TYPE_CHECKING:
    from zoo.entry import Entry
    from zoo.measure import Comparison, Measured
    from zoo.verbs import QuantizeArgs

CALIBRATION_SAMPLES = 256
CALIBRATION_BATCH = 8
SENSITIVITY_BATCHES = 4
EVALUATION_BATCH = 32
BASELINE = "eager"


@dataclass
class Candidate:
    """One recipe, and what was found of it."""

    recipe: Recipe
    excluded: tuple[str, ...] = ()  # layers that stayed in fp32
    artifact: Artifact | None = None
    proof: Proof | None = None
    drop: Drop | None = None  # on the validation split
    timed: "Comparison | None" = None
    seconds: "Measured | None" = None
    note: str = ""

    @property
    def deployment(self) -> Deployment:
        """That of its recipe."""
        return self.recipe.deployment

    def within(self, max_drop: float) -> bool:
        """Whether its metric drops by no more than that, on the validation split."""
        return self.drop is not None and not self.note and self.drop.value <= max_drop

    def speedup(self) -> float:
        """Over eager fp32; -inf where it was not timed."""
        return self.timed.speedup.value if self.timed else -math.inf

    def surely(self, min_speedup: float) -> bool:
        """Whether the whole interval of its speedup reaches that."""
        return self.timed is not None and self.timed.speedup.interval.low >= min_speedup


def quantize(entry: "Entry | None", args: "QuantizeArgs") -> Artifact:
    """Tries the recipes, keeps the best that meets the contract, and prints the table of all.

    Raises:
        UserError: a damaged checkpoint, data that can't be read, no recipe that could be tried.
        Refused: none meets the contract; nothing was put in place.
    """
    terminal.quiet_libraries()
    check(args)
    original = Original.open(args.checkpoint, entry)
    domain = signatures.domain_of(original.checkpoint.entry, "quantize")
    recipes, left_out = fitting(domain, args.method)
    if not recipes:
        why = f": {left_out[0][0].deployment}: {left_out[0][1]}" if left_out else ""
        raise UserError(f"no recipe can be tried{why}")
    validation = original.features("validation", args.data, args.max_eval_samples)
    with workshop(args.checkpoint) as shop:
        material = prepare(original, shop, args.data)
        source = measured(original.model, original, validation)
        rows = validation.__getitems__(list(range(min(64, len(validation)))))
        inputs = shop / "inputs.npz"
        sizes = workload(original, validation, args.batch_size, args.length)
        np.savez(inputs, **draw(original, sizes))  # type: ignore[arg-type]
        candidates = []
        for recipe in recipes:
            made = attempt(original, recipe, material, shop, validation, source, rows, args)
            candidates.append(made)
        timed = [one for one in candidates if args.all or one.within(args.max_drop)]
        time_all([one for one in timed if one.artifact], args, inputs)
        meet = [
            one for one in candidates if one.within(args.max_drop) and one.surely(args.min_speedup)
        ]
        best = max(meet, key=Candidate.speedup, default=None)
        show(args, original, source, candidates, left_out, best, sizes)
        if best is None:
            raise Refused(
                f"no recipe has a drop of at most {args.max_drop:g} and is surely "
                f"{args.min_speedup:g} times as fast; nothing was put in place"
            )
        return keep(original, best, args, sizes, source)


def check(args: "QuantizeArgs") -> None:
    """Raises `UserError` for a contract that makes no sense."""
    if args.max_drop < 0:
        raise UserError(f"--max_drop {args.max_drop}: not negative")
    if args.min_speedup <= 0:
        raise UserError(f"--min_speedup {args.min_speedup}: above 0")
    if args.batch_size < 1 or (args.length is not None and args.length < 1):
        raise UserError("--batch_size and --length are at least 1")
    if args.budget_s <= 0:
        raise UserError(f"--budget_s {args.budget_s}: above 0")


@contextlib.contextmanager
def workshop(checkpoint: Path) -> Iterator[Path]:
    """A folder to work in that goes away, on the disk of the checkpoint: what is kept is renamed
    into place."""
    root = checkpoint / artifacts.FOLDER
    root.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=".quantize-", dir=root) as folder:
            yield Path(folder)
    finally:
        if not any(root.iterdir()):
            root.rmdir()


def prepare(original: Original, shop: Path, data: str | None) -> Material:
    """Exports the fp32 program that recipes begin with, and draws the calibration data."""
    exported, prepared = shop / "fp32", shop / "prepared"
    exported.mkdir()
    prepared.mkdir()
    export.build(original, Deployment("onnx"), exported)
    with quiet():
        onnx_int8.prepare(exported, prepared)
    return Material(prepared, calibration(original, data), shop / "ranges.json")


def calibration(original: Original, data: str | None) -> list[Feed]:
    """Batches of training samples, as they are without augmentation: never of the split that the
    drop is measured on.

    Raises `UserError` where there is no training data.
    """
    features = original.features("train", data)
    rng = np.random.default_rng(0)
    size = min(CALIBRATION_SAMPLES, len(features))
    chosen = np.sort(rng.choice(len(features), size, replace=False)).tolist()
    rows = features.__getitems__(chosen)
    return [
        arrays(original.task.collate(rows[i : i + CALIBRATION_BATCH]))
        for i in range(0, size, CALIBRATION_BATCH)
    ]


def workload(
    original: Original, features: Features, batch_size: int, length: int | None
) -> dict[str, int]:
    """The sizes that are timed: the batch, and the length that was asked for or that of the median
    sample."""
    median = int(np.argsort(features.lengths, kind="stable")[len(features) // 2])
    batch = arrays(original.task.collate(features.__getitems__([median])))
    signature = signatures.of(original.checkpoint, original.model, original.processor)
    sizes = {**signature.check(batch), "batch": batch_size}
    if length is not None:
        varying = original.domain.VARYING
        if varying not in sizes:
            raise UserError(f"--length: {original.checkpoint.entry.name} takes one size only")
        sizes[varying] = length
    return sizes


def draw(original: Original, sizes: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Inputs of these sizes. Raises `UserError` where the model does not take them."""
    signature: Signature = signatures.of(original.checkpoint, original.model, original.processor)
    drawn: dict[str, np.ndarray] = original.domain.draw(signature, sizes, original.model, 0)
    signature.check(drawn)
    return drawn


def measured(model: torch.nn.Module, original: Original, features: Features) -> Evaluation:
    """The task's metrics of whatever runs it."""
    from accelerate import Accelerator

    return evaluate(
        model,
        original.task,
        features,
        batch_size=EVALUATION_BATCH,
        accelerator=Accelerator(cpu=True, mixed_precision="no"),
    )


def attempt(
    original: Original,
    recipe: Recipe,
    material: Material,
    shop: Path,
    validation: Features,
    source: Evaluation,
    rows: Sequence[Any],
    args: "QuantizeArgs",
) -> Candidate:
    """A recipe with every layer in int8; where that loses too much, with the most sensitive layers
    in fp32: one, two, four, ... up to half of them."""
    tried = Candidate(recipe)
    ranking: list[str] | None = None
    count = 0
    while True:
        exclude = tuple((ranking or ())[:count])
        found = _build(original, recipe, material, shop, exclude)
        if found.artifact is not None:
            _judge(found, original, validation, source, rows)
        if tried.artifact is None or _better(found, tried):
            tried = found
        if tried.within(args.max_drop) or recipe.method == "dynamic":
            return tried
        if ranking is None:
            with quiet():
                feeds = material.feeds[:SENSITIVITY_BATCHES]
                ranking = sensitivity.rank(material.prepared, feeds, material.ranges)
        count = 2 * count or 1
        if found.artifact is None or count > len(ranking) // 2:
            return tried


def _better(one: Candidate, other: Candidate) -> bool:
    return one.drop is not None and (other.drop is None or one.drop.value < other.drop.value)


def _build(
    original: Original, recipe: Recipe, material: Material, shop: Path, exclude: tuple[str, ...]
) -> Candidate:
    staging = Path(tempfile.mkdtemp(prefix=f"{recipe.deployment.folder}-", dir=shop))
    try:
        with quiet():
            more = recipe.build(material, staging, exclude)
            signature = signatures.of(original.checkpoint, original.model, original.processor)
            artifact = artifacts.write_manifest(
                staging,
                recipe.deployment,
                signature,
                evidence.subject_digest(original.checkpoint.folder),
                {
                    "model": original.checkpoint.entry.name,
                    "versions": environment.versions(),
                    "fp32_layers": list(exclude),
                    **more,
                },
            )
            export.open_runner(artifact)
    except (MemoryError, OSError, KeyboardInterrupt):
        raise
    except Exception as error:  # a recipe that does not fit this network is a result
        return Candidate(recipe, exclude, note=export.obstacle(error))
    return Candidate(recipe, exclude, artifact)


def _judge(
    found: Candidate,
    original: Original,
    validation: Features,
    source: Evaluation,
    rows: Sequence[Any],
) -> None:
    assert found.artifact is not None
    runner = export.open_runner(found.artifact)
    found.proof = prove(
        runner, original.model, original.domain, original.task, rows, export.PROOF_SEED
    )
    if not found.proof.passed:
        found.note = f"WRONG: {found.proof.faults[0]}"
    model = RunnerModel(runner, original.checkpoint.folder).eval()
    tally = measured(model, original, validation).tally
    better = greater_is_better(original.task.main_metric)
    found.drop = drop(source.tally, tally, better)


def time_all(candidates: Sequence[Candidate], args: "QuantizeArgs", inputs: Path) -> None:
    """Times the candidates against eager fp32, interleaved, each in processes of its own."""
    from zoo.deployed import TARGET
    from zoo.measure import Arm, ArmFailed, Plan, compare

    if not candidates:
        return
    threads = args.threads or torch.get_num_threads()
    common = {"checkpoint": str(args.checkpoint), "inputs": str(inputs), "threads": threads}
    arms = [Arm(BASELINE, TARGET, common | {"deployment": BASELINE}, threads)]
    for one in candidates:
        assert one.artifact is not None
        own = {"deployment": str(one.deployment), "artifact": str(one.artifact.folder)}
        arms.append(Arm(str(one.deployment), TARGET, common | own, threads))
    terminal.lines(f"timing {len(candidates)} against eager fp32, about {args.budget_s:.0f} s ...")
    outcome = compare(arms, Plan(budget_s=args.budget_s))
    for one in candidates:
        found = outcome.of(str(one.deployment))
        if isinstance(found, ArmFailed):
            one.note = one.note or found.reason
            continue
        one.timed = found
        times = outcome.times(str(one.deployment))
        one.seconds = None if isinstance(times, ArmFailed) else times


def show(
    args: "QuantizeArgs",
    original: Original,
    source: Evaluation,
    candidates: Sequence[Candidate],
    left_out: Sequence[tuple[Recipe, str]],
    best: Candidate | None,
    sizes: Mapping[str, int],
) -> None:
    """The table of all recipes."""
    metric = original.task.main_metric
    rows = []
    for one in candidates:
        lost = one.drop and f"{one.drop.value:+.4f} ({one.drop.low:+.4f} to {one.drop.high:+.4f})"
        fast = one.timed and (
            f"{one.timed.speedup.value:.2f} ({one.timed.speedup.interval.low:.2f} to "
            f"{one.timed.speedup.interval.high:.2f})"
        )
        milliseconds = one.seconds and f"{1e3 * one.seconds.median.value:.2f} ms"
        size = one.artifact and f"{one.artifact.size / 1e6:.1f} MB"
        notes = [one.note] if one.note else []
        if one.excluded:
            notes.append(f"{len(one.excluded)} layers in fp32")
        if one is best:
            notes.append("chosen")
        shown = (str(one.deployment), lost, fast, milliseconds, size, ", ".join(notes))
        rows.append(tuple(cell or "-" if i < 5 else cell or "" for i, cell in enumerate(shown)))
    rows += [(str(recipe.deployment), "-", "-", "-", "-", why) for recipe, why in left_out]
    value = source.value(metric)
    work = ", ".join(f"{name} {size}" for name, size in sizes.items())
    terminal.table(
        ("deployment", f"{metric} lost", "times as fast", "a call", "size", ""),
        rows,
        title=f"{args.checkpoint}: eager fp32 has {metric} {value:.4f} on validation; {work}; at "
        f"most {args.max_drop:g} may be lost, at least {args.min_speedup:g} times as fast",
    )


def keep(
    original: Original,
    best: Candidate,
    args: "QuantizeArgs",
    sizes: Mapping[str, int],
    validated: Evaluation,
) -> Artifact:
    """Confirms the chosen one on the test split, once; puts it in place and records everything."""
    assert best.artifact and best.proof and best.drop and best.timed
    metric = original.task.main_metric
    confirmed: Drop | None = None
    try:
        test = original.features("test", args.data, args.max_eval_samples)
    except UserError as error:
        terminal.lines(f"not confirmed on a test split: {error}")
    else:
        model = RunnerModel(export.open_runner(best.artifact), original.checkpoint.folder).eval()
        source, ours = measured(original.model, original, test), measured(model, original, test)
        confirmed = drop(source.tally, ours.tally, greater_is_better(metric))
        terminal.lines(
            f"on the test split {metric} is {ours.value(metric):.4f}, in fp32 "
            f"{source.value(metric):.4f}: lost {confirmed.value:+.4f}, 95% interval "
            f"{confirmed.low:+.4f} to {confirmed.high:+.4f} (paired, n = {confirmed.n:,})"
        )
    more = {k: v for k, v in best.artifact.manifest.items() if k not in artifacts.OWN}
    contract = {"max_drop": args.max_drop, "min_speedup": args.min_speedup, **sizes}
    artifact = artifacts.write_manifest(
        best.artifact.folder,
        best.deployment,
        best.artifact.signature,
        str(best.artifact.manifest["source"]),
        {**more, "proof": best.proof.record(), "contract": contract},
    )
    place = artifacts.put_in_place(artifact.folder, args.checkpoint, best.deployment)
    artifact = dataclasses.replace(artifact, folder=place)
    evidence.append(
        args.checkpoint,
        [
            *export.facts(artifact, best.proof),
            *_facts(original, artifact, best, args, sizes, confirmed),
        ],
    )
    terminal.lines(f"{place}")
    return artifact


def _facts(
    original: Original,
    artifact: Artifact,
    best: Candidate,
    args: "QuantizeArgs",
    sizes: Mapping[str, int],
    confirmed: Drop | None,
) -> list[evidence.Fact]:
    """What was measured of the chosen one: its drop on both splits, its time, its speedup."""
    assert best.drop and best.timed and best.seconds
    common: dict[str, Any] = {
        "subject": artifact.digest,
        "run": uuid.uuid4().hex,
        "deployment": str(artifact.deployment),
        "device": "cpu",
        "threads": args.threads or torch.get_num_threads(),
    }
    data = original.checkpoint.manifest["data"]
    dataset = {"name": args.data} if args.data else dict(data)
    name = f"{original.task.main_metric}_drop"
    made = []
    for split, lost in (("validation", best.drop), ("test", confirmed)):
        if lost is not None:
            interval = {
                "low": lost.low,
                "high": lost.high,
                "level": lost.level,
                "method": lost.method,
            }
            made.append(
                evidence.fact(
                    "metric",
                    name,
                    lost.value,
                    "1",
                    n=lost.n,
                    interval=interval,
                    split=split,
                    dataset=dataset,
                    **common,
                )
            )
    for what, unit, found in (
        ("latency", "s", best.seconds.median),
        ("speedup_over_eager", "1", best.timed.speedup),
    ):
        between = found.interval
        made.append(
            evidence.fact(
                "latency",
                what,
                found.value,
                unit,
                n=found.n,
                interval={
                    "low": between.low,
                    "high": between.high,
                    "level": between.level,
                    "method": between.method,
                },
                workload=dict(sizes),
                **common,
            )
        )
    return made
