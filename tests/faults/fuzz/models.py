"""The models of the world, and how each verb is called on them."""

from dataclasses import dataclass
from pathlib import Path

from tests.faults.fuzz.command import Scene

BRIEF = ("--max_steps", "2", "--dtype", "fp32", "--report_to", "none", "--logging_steps", "1")
BRIEF += ("--per_device_train_batch_size", "8")
CNN = ("--widths", "8", "16")
KWS = ("--sampling_rate", "8000", "--num_mel_bins", "16", "--hidden_size", "16")
KWS += ("--num_layers", "1", "--freq_mask", "3")
CONFORMER = (*KWS, "--num_heads", "2", "--kernel_size", "3")


@dataclass(frozen=True)
class Model:
    """A model, small enough for a case."""

    name: str
    """of its checkpoint in the world"""
    module: str
    data: str
    """what it is trained on, in the world"""
    shape: tuple[str, ...]
    """flags of its size"""
    files: str
    """flag that names inputs of predict"""
    suffix: str = ""
    """of its files"""

    @property
    def is_text(self) -> bool:
        """Whether it reads texts; others read files."""
        return not self.suffix

    def finetune(self, scene: Scene, *flags: object, data: Path | None = None) -> tuple[str, ...]:
        """The words of a training of two steps into `scene.run`; `flags` win."""
        return self.training(scene.world, data or scene.world / self.data, scene.run, *flags)

    def training(self, world: Path, data: Path, run: Path, *flags: object) -> tuple[str, ...]:
        """The same of any data, into any folder."""
        shape = ("--model", world / "bert") if self.name == "text" else self.shape
        words = ("finetune", *shape, "--data", data, "--output_dir", run, *BRIEF, *flags)
        return tuple(map(str, words))


TEXT = Model("text", "zoo.nlp.bert_cls", "texts.csv", (), "--file")
VISION = Model("vision", "zoo.vision.cnn_cls", "images", CNN, "--image", ".png")
SOUND = Model("sound", "zoo.speech.kws_cls", "sounds", KWS, "--audio", ".wav")
RNN = Model(
    "rnn", "zoo.nlp.rnn_cls", "texts.csv", ("--vocab_size", "300", "--hidden_size", "16"), "--file"
)
SPEECH = Model("speech", "zoo.speech.conformer_ctc", "utterances", CONFORMER, "--audio", ".wav")
MODELS = (TEXT, RNN, VISION, SOUND, SPEECH)
EVIDENCE = "evidence.jsonl"


def measured(checkpoint: Path) -> tuple[str, ...]:
    """Patterns of what measuring a checkpoint adds to it."""
    return tuple(f"{checkpoint.name}/{name}" for name in (EVIDENCE, "plots*"))


def rendered(checkpoint: Path) -> tuple[str, ...]:
    """Patterns of what its card is, and of what its writing adds to."""
    return tuple(f"{checkpoint.name}/{name}" for name in (EVIDENCE, "README.md", "card*"))
