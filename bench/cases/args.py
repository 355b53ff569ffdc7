"""The flags of `python -m bench`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from tasks.bounds import LIMITLESS, BelowOne, Bounded, Bounds, Count, Positive, Share, Threads

NewTokens = Annotated[int, Bounds(2, LIMITLESS)]
MaxDrop = Annotated[float, Bounds(0, said=": not negative")]


@dataclass(frozen=True)
class RunArgs(Bounded):
    """Cases to measure: those of the flags, or of a suite, where flags win."""

    models: tyro.conf.Positional[tuple[str, ...]] = ()
    """folders of checkpoints, or names of models that get random weights: minilm, resnet50"""
    suite: str | None = None
    """smoke, cpu, gpu, or a YAML file of cases"""
    deployments: tuple[str, ...] = ()
    """what runs them: eager (the default), compile:max-autotune+bf16, onnx, onnx+int8-dynamic"""
    batch_sizes: tuple[Count, ...] = ()
    """samples of a call; 1 by default"""
    lengths: tuple[Positive, ...] = ()
    """of each sample: tokens, pixels of a side, or seconds of sound; the model's usual one by
    default"""
    phases: tuple[Literal["inference", "training", "generation"], ...] = ()
    """inference (the default); training: a step of forward, backward and optimizer; generation:
    text of so many tokens"""
    new_tokens: tuple[NewTokens, ...] = ()
    """of each text that is written, in phase generation; 32 by default"""
    device: str | None = None
    """cpu (the default) or cuda"""
    threads: Threads | None = None
    """of the processor; OMP_NUM_THREADS or as many as there are cores by default"""
    measures: tuple[str, ...] = ()
    """latency, throughput, memory, ...; all by default"""
    minutes_per_case: Positive | None = None
    """of timing, at most; 0.5 by default"""
    launches: Count | None = None
    """processes that a latency is taken from; 5 by default"""
    launcher: Literal["preloaded", "fresh"] = "preloaded"
    """how these begin: as forks of one that has imported the libraries, in a tenth of a second, or
    with nothing, which takes seconds and scatters as runs of a user's program do"""
    minutes: Positive | None = None
    """for everything, kept within 10%: the most valuable comes first, and what is left out is told;
    no limit by default"""
    out: Path = Path("bench-results.jsonl")
    """file of the results, which are added to it; what it has already is not measured again"""


@dataclass(frozen=True, kw_only=True)
class _CaseArgs(Bounded):
    """What a call computes, and on what."""

    batch_size: Count = 1
    """samples of a call"""
    length: Positive | None = None
    """of each sample: tokens, pixels of a side, or seconds of sound; the model's usual one by
    default"""
    phase: Literal["inference", "training", "generation"] = "inference"
    """training: a step of forward, backward and optimizer; generation: text of so many tokens"""
    new_tokens: NewTokens | None = None
    """of each text that is written, in phase generation; 32 by default"""
    device: str = "cpu"
    """cuda or cpu"""
    threads: Threads | None = None
    """of the processor; OMP_NUM_THREADS or as many as there are cores by default"""


@dataclass(frozen=True)
class CompareArgs(_CaseArgs):
    """What to compare; the first model with the first deployment is the baseline."""

    models: tyro.conf.Positional[tuple[str, ...]] = ()
    """folders of checkpoints, or names of models that get random weights"""
    results: tuple[Path, ...] = ()
    """two files of results that were kept, instead of models: before and after"""
    deployments: tuple[str, ...] = ("eager",)
    """what runs them; the first is the baseline"""
    launches: Count = 5
    """processes of each, at least"""
    launcher: Literal["fresh", "preloaded"] = "fresh"
    """how these begin: with nothing, as a user's program does, or as forks of one that has imported
    the libraries, which is quick, and which a verdict should not rest on"""
    minutes: Positive | None = None
    """for everything, kept within 10%; fewer launches where they don't fit. By default what the
    launches take, and at most one more of timing where the intervals are wide"""
    margin: BelowOne = 0.03
    """arms that differ by less than this share are the same"""
    fail_if: tuple[str, ...] = ()
    """exit with 1 where a verdict is slower:3%, faster, cant_tell"""
    out: Path | None = None
    """file for everything that was measured, as JSON"""


@dataclass(frozen=True)
class SelftestArgs(Bounded):
    """The harness measured with what is known."""

    device: str = "cpu"
    """cuda or cpu: on a GPU the stopwatch is held against triton's, too"""
    slowdown: Positive = 0.03
    """share by which a call is made slower, to be found"""
    launches: Count = 5
    """processes of each arm, at least"""
    minutes: Positive = 0.5
    """of each comparison"""
    repeat: Count = 1
    """times that the same thing is compared with itself, and with a slower one, to see how often
    the verdict is right"""


@dataclass(frozen=True)
class ReplayArgs(Bounded):
    """How often verdicts are right."""

    models: tyro.conf.Positional[tuple[str, ...]] = ()
    """to record first: folders of checkpoints, or names of models that get random weights; with
    none, only what the file has already is replayed"""
    traces: Path = Path("traces.jsonl")
    """file of recordings, which are added to it"""
    deployment: str = "eager"
    """what runs the models"""
    length: Positive | None = None
    """of each sample; the model's usual one by default"""
    launches: Count = 12
    """to record of each: the more, the more draws differ"""
    loaded: bool = False
    """record while another process takes a core for half of the time"""
    threads: Threads | None = None
    """of the processor; OMP_NUM_THREADS or as many as there are cores by default"""
    draws: Count = 10_000
    """comparisons in all, of each kind"""
    slowdown: Positive = 0.03
    """share by which the candidate of the second kind is made slower"""


@dataclass(frozen=True)
class DecideArgs(Bounded):
    """What the deployment has to meet. The winner is the fastest that does."""

    checkpoint: tyro.conf.Positional[Path]
    """folder of the checkpoint"""
    p95_ms: Positive | None = None
    """milliseconds that 95 of 100 calls may take at most; of a model that writes, a whole text"""
    ttft_ms: Positive | None = None
    """milliseconds to the first token that 95 of 100 texts may take at most, of a model that
    writes"""
    tpot_ms: Positive | None = None
    """milliseconds for each further token, that 95 of 100 texts may take at most on average"""
    p99_ms: Positive | None = None
    """milliseconds within which 99 of 100 requests to a service are answered; goes with `rate`"""
    rate: Positive | None = None
    """requests a second that a service gets: the winner is the deployment, with its workers and
    batches, that keeps the p99 for the least of the processor"""
    max_drop: MaxDrop = 0.005
    """most that the task's main metric may lose, absolute, on the validation split"""
    memory_mb: Positive | None = None
    """10^6 bytes of memory at most, above those of the libraries; of a GPU: that PyTorch allocates
    there"""
    minutes: Positive = 8.0
    """for everything, kept within 10%; what was not tried is told"""
    batch_size: Count = 1
    """samples of a call"""
    length: Count | None = None
    """length (tokens, frames, samples) that is timed; that of the median sample by default"""
    deployments: tuple[str, ...] = ()
    """the only ones to look at, beside eager; those that suit most networks by default"""
    data: str | None = None
    """data to choose, calibrate and confirm on; that of the training by default"""
    max_eval_samples: Annotated[int, Bounds(2, 10**9)] | None = None
    """at most so many samples of the validation and the test split"""
    device: str = "cpu"
    """cuda or cpu"""
    threads: Threads | None = None
    """of the processor; OMP_NUM_THREADS or as many as there are cores by default"""
    export: bool = False
    """leave the winning artifact in the checkpoint, where `serve` finds it"""
    picture: Path | None = None
    """file for a picture of the Pareto front, .png, .svg or .pdf"""


@dataclass(frozen=True)
class ReportArgs:
    """What to report on, and where to."""

    results: tyro.conf.Positional[tuple[Path, ...]] = ()
    """files of results, as bench run writes them"""
    out: Path = Path("report.html")
    """file of the page, which needs no other file and no network"""
    markdown: Path | None = None
    """file for the same as Markdown, with the pictures where there are some"""
    pictures: Path | None = None
    """folder for the charts as PNG files"""


@dataclass(frozen=True)
class DoctorArgs(Bounded):
    """What this machine is good for as a place to measure."""

    device: str = "cpu"
    """cuda or cpu, whose ceilings are measured"""
    threads: Threads | None = None
    """of the processor; OMP_NUM_THREADS or as many as there are cores by default"""
    minutes: Positive = 0.75
    """for the noise floor"""


@dataclass(frozen=True)
class WhichGpuArgs(Bounded):
    """What is to be computed."""

    model: tyro.conf.Positional[str]
    """folder of a checkpoint, or name of a model that gets random weights: bert-base-uncased"""
    batch_size: Count = 32
    """samples of a pass"""
    length: Positive | None = None
    """of each sample: tokens, pixels of a side, or seconds of sound; the model's usual one by
    default"""
    phase: Literal["training", "inference"] = "training"
    """training: forward, backward and AdamW on all weights; inference: forward alone"""
    dtype: Literal["bf16", "fp32"] = "bf16"
    """arithmetic; bf16 is autocast over fp32 weights"""


@dataclass(frozen=True)
class TraceArgs(_CaseArgs):
    """What to trace."""

    model: tyro.conf.Positional[str]
    """folder of a checkpoint, or the name of a model that gets random weights"""
    deployment: str = "eager"
    """what runs it: eager, compile, aoti, ..."""
    calls: Count = 10
    """to profile"""
    out: Path = Path("traces")
    """folder of the traces"""


@dataclass(frozen=True)
class PeersArgs(Bounded):
    """What to compare with what people would run in its place."""

    checkpoint: tyro.conf.Positional[Path]
    """folder of a checkpoint that classifies texts, or writes them"""
    deployments: tuple[str, ...] = ("eager",)
    """of ours; artifacts must have been exported"""
    batch_sizes: tuple[Count, ...] = (1, 16)
    """texts of a call"""
    new_tokens: NewTokens | None = None
    """of each text that goes on with a prompt; 32 by default"""
    max_other: Share | None = None
    """share of answers that may differ from those of transformers, at least one unless it is 0; by
    default 0.02 of labels, and 0 of texts that are written"""
    threads: Threads | None = None
    """of the processor; OMP_NUM_THREADS or as many as there are cores by default"""
    minutes: Positive = 1.5
    """of timing for each batch size"""
    launches: Count = 5
    """processes of each, at least"""
    out: Path | None = None
    """file of results, one line of JSON a batch size, which are added to it"""
