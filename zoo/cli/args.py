"""The flags of the verbs that take a checkpoint, or a model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from tasks.bounds import (
    Bounded,
    Bounds,
    Count,
    CountOrZero,
    InnerShare,
    NotNegative,
    Positive,
    Seed,
    Share,
    Threads,
)

Port = Annotated[int, Bounds(1, 65_535, said=": from 1 to 65535")]
MaxDrop = Annotated[float, Bounds(0, said=": not negative")]


@dataclass(frozen=True)
class EvaluateArgs(Bounded):
    """Metrics of a checkpoint."""

    checkpoint: tyro.conf.Positional[Path]
    """folder of the checkpoint"""
    data: str | None = None
    """data to evaluate on; that of the training by default"""
    data_config: str | None = None
    """Hub configuration"""
    split: str | None = None
    """split to evaluate on; test where there is one"""
    max_eval_samples: Count | None = None
    """at most so many samples"""
    per_device_eval_batch_size: Count = 64
    """samples in a pass"""
    dtype: Literal["fp32", "bf16"] = "fp32"
    """arithmetic"""
    device: str = "auto"
    """cuda, mps or cpu"""
    deployment: str = "eager"
    """what runs it: eager, compile, or an artifact that was exported: onnx, openvino+bf16"""
    threads: Threads | None = None
    """of the processor; what runs it decides by default"""
    on_bad_file: Literal["skip", "stop"] | None = None
    """what to do about an image or sound that can't be read; by default as in training"""
    objects_column: str | None = None
    """of a detector, column of the boxes; by default as in training"""
    box_format: Literal["xywh", "xyxy"] | None = None
    """of a detector, how boxes in that column are written; by default as in training"""
    classes: str | None = None
    """of a model of pixels, file that lists what the masks of these data hold, by the names that
    the model's classes have (`ignore`: does not count); by default one beside the data"""
    mistakes: CountOrZero = 10
    """how many of the worst mistakes to list; 0 for none"""
    features: Path | None = None
    """checkpoint of a classifier of images: FID and KID, in its features, of pictures that the
    model makes, against real ones; beside them those of other real images, and of noise"""
    samples: Annotated[int, Bounds(1, 10_000)] | None = None
    """pictures to make for `features`, by default half as many as the split has images; of a model
    that goes on with texts: texts to write, to see how varied they are"""
    seed: Seed | None = None
    """of these pictures or texts; 0 by default"""
    json: bool = False
    """print one line of JSON instead of tables: metrics, classes or numbers, and what one constant
    answer is worth; no pictures are drawn"""


@dataclass(frozen=True)
class PredictArgs(Bounded):
    """Labels for new inputs."""

    checkpoint: tyro.conf.Positional[Path]
    """folder of the checkpoint, or a preset of Whisper; with `zero_shot` weights: a preset, a
    folder, or a Hub id"""
    inputs: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="INPUT")] = ()
    """what to predict on, without a flag: texts or a file of them, images, sounds, folders"""
    output: Path | None = None
    """file to write, .jsonl, .csv or .parquet; standard output (-) by default. Other columns of the
    input are kept; one called as a part of the prediction is becomes input_label"""
    format: Literal["jsonl", "csv", "parquet"] | None = None
    """that of the output's name, else jsonl"""
    top_k: Count | None = None
    """scores of the best k labels as well; of a model that writes: draw among the k likeliest
    tokens"""
    batch_size: Count = 32
    """inputs in a pass"""
    device: str = "auto"
    """cuda, mps or cpu"""
    deployment: str = "eager"
    """what runs it: eager, compile, or an artifact that was exported: onnx, openvino+bf16"""
    threads: Threads | None = None
    """of the processor; what runs it decides by default"""
    zero_shot: bool = False
    """no training: choose among `labels` by their names. Texts: weights of language inference (NLI)
    or sentence embeddings; images: CLIP (whose real weights we have not run)"""
    labels: str | None = None
    """labels for zero_shot: cat,dog, or @FILE with one a line"""
    template: str | None = None
    """sentence that each label is put into; "This text is about {}." or "a photo of a {}." """


@dataclass(frozen=True)
class ExportArgs(Bounded):
    """A checkpoint as a program of another runtime, proven against it."""

    checkpoint: tyro.conf.Positional[Path]
    """folder of the checkpoint"""
    runtime: str
    """what to export to: onnx, openvino, pt2, aoti, executorch, torchscript; with numerics where it
    has them: openvino+bf16. word_vectors: word2vec, its text format"""
    data: str | None = None
    """data to prove it with; that of the training by default"""
    opset: Count | None = None
    """of ONNX; the exporter's own by default"""
    golden_inputs: CountOrZero = 8
    """of the validation split, kept in golden/ with their outputs: serve tests itself with them"""
    threads: Threads | None = None
    """of the processor"""


@dataclass(frozen=True)
class PruneArgs(Bounded):
    """A checkpoint with fewer weights. What is not asked here is as in its training."""

    checkpoint: tyro.conf.Positional[Path]
    """folder of the checkpoint"""
    output_dir: Path | None = None
    """where the pruned checkpoint goes; CHECKPOINT-pruned by default"""
    sparsity: InnerShare = 0.5
    """share that goes in the end: of all prunable weights, or, structured, of the units of each
    layer"""
    structured: bool = False
    """cut whole units (inner neurons of transformers, channels of cnn_cls), so that tensors are
    smaller; by default the smallest weights become 0"""
    stages: Annotated[int, Bounds(1, 100, said=": at least 1 and at most 100")] = 4
    """cuts on the way, large ones first, each with steps of training behind it"""
    steps: Count = 100
    """optimizer steps of training in each stage"""
    data: str | None = None
    """data to train and measure on; that of the training by default"""
    learning_rate: NotNegative | None = None
    """peak learning rate of each stage"""
    per_device_train_batch_size: Count | None = None
    """samples of a device in one pass"""
    dtype: Literal["auto", "fp32", "bf16"] = "auto"
    """arithmetic of the training"""
    device: str = "auto"
    """cuda, mps or cpu"""
    seed: Seed = 42
    """decides order and dropout"""


@dataclass(frozen=True)
class QuantizeArgs(Bounded):
    """A quantized program of a checkpoint, under a contract for accuracy and speed."""

    checkpoint: tyro.conf.Positional[Path]
    """folder of the checkpoint"""
    max_drop: MaxDrop = 0.005
    """most that the task's main metric may lose on the validation split, absolute (of chrF points
    of 100); of bits per byte as a share of them"""
    min_speedup: Positive = 1.2
    """least speedup over eager fp32, on the same threads; the whole interval must reach it"""
    batch_size: Count = 1
    """samples in the batch that is timed"""
    length: Count | None = None
    """length (tokens, frames, samples) that is timed; that of the median sample by default"""
    method: Literal["dynamic", "static", "weight-only"] | None = None
    """the only method to try; by default those that suit the network"""
    device: Literal["cpu", "cuda"] = "cpu"
    """where it is to run; cuda tries torchao's linear layers, against eager fp32 there"""
    all: bool = False
    """time every recipe to the end, those that lose too much as well"""
    data: str | None = None
    """data to calibrate, choose and confirm on; that of the training by default"""
    max_eval_samples: Annotated[int, Bounds(2, 10**9)] | None = None
    """at most so many samples of the validation and the test split"""
    minutes: Positive = 5.0
    """for everything, kept within 10%; what was not tried is told"""
    threads: Threads | None = None
    """of the processor; as many as PyTorch takes by default"""


@dataclass(frozen=True)
class InfoArgs:
    """What there is to know of a model or a checkpoint."""

    what: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL|CHECKPOINT")]
    """a model's name or a folder"""
    json: bool = False
    """all there is to know, as JSON"""


@dataclass(frozen=True)
class RunsArgs:
    """Checkpoints side by side."""

    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FOLDER")] = Path("runs")
    """folder that holds runs, or folders of them"""
    json: bool = False
    """a JSON object a run, one a line"""


@dataclass(frozen=True)
class ImportArgs(Bounded):
    """Weights that were trained elsewhere as a checkpoint. No code of theirs is run."""

    weights: tyro.conf.Positional[Path]
    """file of weights (a state dict of torch.save, or safetensors), or a folder of transformers'
    Trainer"""
    as_: Annotated[str, tyro.conf.arg(name="as", metavar="MODEL")]
    """model of the zoo that they are of: resnet_cls, vit_cls, bert_cls, ..."""
    labels: str | None = None
    """names of the outputs, in their order: cat,dog, or @FILE with one a line; by default those
    that the weights come with"""
    output_dir: Path | None = None
    """where the checkpoint goes; runs/MODEL by default"""
    architecture: str | None = None
    """images: timm's name of the network; found by the tensors where they tell it"""
    image_size: Count | None = None
    """images: side in pixels that they were resized to"""
    mean: tuple[Share, Share, Share] | None = None
    """images: mean that was taken off each channel, of values from 0 to 1"""
    std: tuple[Positive, Positive, Positive] | None = None
    """images: deviation that each channel was divided by"""
    base: str | None = None
    """texts and sounds: a preset or a folder that has the configuration and the tokenizer or
    feature extractor of a file of weights"""


@dataclass(frozen=True)
class VerifyArgs:
    """The proof of a checkpoint's artifacts, once more."""

    checkpoint: tyro.conf.Positional[Path]
    """folder of the checkpoint"""
    data: str | None = None
    """data to compare with; that of the training by default"""


@dataclass(frozen=True)
class ShipArgs(Bounded):
    """What to make a service of, and what it must keep to."""

    data: tyro.conf.Positional[str]
    """file, folder or Hub id; embedded with a model: the data set that comes with it"""
    minutes: Positive = 10.0
    """for everything, kept within 10% where the machine allows"""
    p95_ms: Positive | None = None
    """milliseconds that 95 of 100 calls may take at most"""
    max_drop: MaxDrop = 0.005
    """most that the deployment may lose of the task's main metric, absolute"""
    serve: bool = False
    """start the service at the end"""
    model: str | None = None
    """checkpoint to go on from, preset, or model of the zoo; what suits the data by default"""
    output_dir: Path | None = None
    """where the checkpoint goes; runs/ and the data's name by default"""
    text_column: str | None = None
    """column of the texts or transcriptions; found by itself where it has a usual name"""
    label_column: str | None = None
    """column of the labels; several with commas for as many numbers to predict"""
    data_config: str | None = None
    """configuration of a Hub data set that has several"""
    max_train_samples: Count | None = None
    """at most so many rows of train"""
    max_eval_samples: Annotated[int, Bounds(2, 10**9)] | None = None
    """at most so many rows of each other split"""
    device: str = "auto"
    """that is trained on: cuda, mps or cpu; with cuda the deployment is decided for it, too"""
    seed: Seed = 42
    """decides order, dropout and new weights"""
    port: Port = 8080
    """of the service, with serve"""
