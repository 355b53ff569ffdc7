"""Speech recognition with an encoder and a decoder that writes the text token by token.

Radford et al. 2022, "Robust Speech Recognition via Large-Scale Weak Supervision" (Whisper).

Training is teacher-forced: at each token the network is given the true ones before it, and the loss
is of its logits there. What counts is what it writes by itself: that is `predict`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tasks.base import Batch, Examples, Loss, OutputKind, Outputs
from tasks.data.source import DataArgs
from tasks.errors import UserError
from tasks.kinds.losses import IGNORED, cross_entropy
from tasks.preflight import Finding
from tasks.speech import audio_features, segmenting, speech_recognition
from tasks.speech.audio_features import AudioConfig, AudioFeatures
from tasks.speech.audio_inputs import Inputs
from tasks.speech.char_tokenizer import normalized
from tasks.speech.speech_recognition import (
    EXAMPLE_INPUT,
    WINDOWS,
    for_evaluation,
    read_inputs,
    show_input,
)
from tasks.speech.transcription import TextPrediction, Transcription
from tasks.writes import unwrapped

if TYPE_CHECKING:
    import datasets
    from torch import Tensor, nn

    from tasks.base import Features

__all__ = [
    "EXAMPLE_INPUT",
    "Args",
    "Inputs",
    "for_evaluation",
    "for_prediction",
    "from_config",
    "from_data",
    "read_inputs",
    "show_input",
    "without_data",
]


@dataclass(frozen=True)
class Args(speech_recognition.Args):
    """How sounds and their transcriptions are read."""

    text_case: Literal["auto", "lower", "upper", "keep"] = "auto"
    """case of the letters that are learned; auto keeps it. Errors are counted in lower case"""
    punctuation: bool = True
    """keep punctuation in what is learned; errors are counted without it"""


def from_data(args: Args, data: DataArgs) -> tuple["Seq2SeqRecognition", Examples]:
    """The task and its examples; the splits have the columns media and text.

    Raises `UserError` where a column is missing.
    """
    _, examples = speech_recognition.from_data(args, data)
    return Seq2SeqRecognition(args), examples


def without_data() -> "Seq2SeqRecognition":
    """Return the task of weights that write text as they are: nothing of it comes from data."""
    return Seq2SeqRecognition(Args())


def for_prediction(task: "Seq2SeqRecognition", inputs: Inputs) -> "Seq2SeqRecognition":
    """The task as `predict` was asked to use it."""
    return task


def from_config(config: Mapping[str, Any]) -> "Seq2SeqRecognition":
    """The task a checkpoint was trained on, from what `Seq2SeqRecognition.config` recorded."""
    return Seq2SeqRecognition(
        Args(**config["args"]),
        settled=AudioConfig(**config["settled"]),
        longest_text=config["longest_text"],
        start=config["start"],
        end=config["end"],
    )


@dataclass(frozen=True)
class Seq2SeqRecognition(Transcription):
    """The task with what the processor told of it. Satisfies `tasks.base.Task`."""

    args: Args
    settled: AudioConfig = AudioConfig()  # noqa: RUF009
    longest_text: int = 448  # tokens that the decoder has places for
    start: int = 0  # the token that every text begins behind
    end: int = 0  # the token that ends it
    processor: Any = field(default=None, compare=False, repr=False)

    output_kinds: ClassVar[Mapping[str, OutputKind]] = {
        "logits": "logits",
        "encoder_last_hidden_state": "hidden_state",
    }

    def describe_outputs(self, literal: Callable[[str], str]) -> str:
        """Return what the model gives for a recording, for a card."""
        return "Writes what is said in a recording."

    def given_tokens(self, rows: Sequence[Mapping[str, Any]], count: int) -> list[dict[str, Any]]:
        """Return rows for `collate` that have `count` tokens of target each."""
        return [{**row, "ids": [0] * count} for row in rows]

    def config(self) -> dict[str, Any]:
        """Return what `from_config` needs to make the task again, as plain JSON."""
        return {
            "args": asdict(self.args),
            "settled": self.settled.record(),
            "longest_text": self.longest_text,
            "start": self.start,
            "end": self.end,
        }

    def model_config(self) -> dict[str, Any]:
        """The fields of a transformers config that this task sets: none."""
        return {}

    def bind_for_training(self, processor: Any, limit: int) -> "Seq2SeqRecognition":
        """The task with its processor, and that one's rate, inputs and tokens; texts of `limit`
        tokens at most."""
        return replace(
            self,
            settled=audio_features.audio_config_of(processor.feature_extractor),
            longest_text=limit,
            start=int(processor.tokenizer.prefix_tokens[0]),
            end=int(processor.tokenizer.eos_token_id),
            processor=processor,
        )

    def features(self, examples: "datasets.Dataset", cache_key: str) -> "Features":
        """The sounds of one split, and their texts as tokens."""
        decoded = audio_features.decode_split(examples, self.args, self.settled.rate, cache_key)
        targets = {"ids": self._ids(examples["text"])} if "text" in examples.column_names else {}
        extractor = self.processor.feature_extractor
        return AudioFeatures(decoded, targets, extractor, self.settled, self.args)

    def _ids(self, texts: Sequence[str | None]) -> list[list[int]]:
        """Texts as ids: the prefix but for its first, which is given, the text, the end."""
        case: Any = "keep" if self.args.text_case == "auto" else self.args.text_case
        written = [normalized(text or "", case, self.args.punctuation) for text in texts]
        if not written:
            return []
        found: list[list[int]] = self.processor.tokenizer(written).input_ids
        return [[*ids[1:-1][: self.longest_text - 1], ids[-1]] for ids in found]

    def preflight(
        self, examples: Examples, features: Mapping[str, "Features"], model: "nn.Module"
    ) -> list[Finding]:
        """Return what is suspicious or wrong in the data, before hours are spent on it."""
        from tasks.speech import audio_preflight

        decoded = {name: split.decoded for name, split in features.items()}  # type: ignore[attr-defined]
        found = [
            *audio_preflight.check(examples.splits, decoded, self.settled.rate),
            *audio_features.cut_off(features, self.settled),
            *audio_preflight.check_transcripts(examples.splits, decoded, ()),
        ]
        for name, split in features.items():
            ids = split.targets.get("ids", ())  # type: ignore[attr-defined]
            cut = sum(len(one) >= self.longest_text for one in ids)
            if cut:
                words = f"{name}: {cut:,} texts reach the model's longest, {self.longest_text} "
                found.append(Finding("warning", words + "tokens; the rest of them is cut off"))
        return found

    def random_targets(self, inputs: "Mapping[str, Tensor]", seed: int) -> "dict[str, Tensor]":
        """Return `labels` int64 [b, tokens], to measure training with: at each place what the
        decoder is given at the next."""
        labels = inputs["decoder_input_ids"].roll(-1, 1)
        labels[:, -1] = self.end
        return {"labels": labels}

    def inputs(self, raw: Sequence[Any]) -> list[dict[str, Any]]:
        """Rows for `collate` from what `read_inputs` gives, or from whatever
        `tasks.speech.audio_items.samples` takes for a sound; long ones in windows cut where it is
        quiet."""
        extractor = self.processor.feature_extractor
        seconds = self.settled.longest / self.settled.rate
        return segmenting.rows(raw, extractor, self.settled, seconds, segmenting.split_at_silence)

    def collate(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """The windows of all rows (`audio_features.pad`); where the rows have texts, the targets
        `labels` int64 [b, tokens], padded with -100, and the input `decoder_input_ids` int64 [b,
        tokens]: at each place the label before it."""
        import torch

        batch = audio_features.pad(rows, self.settled).tensors()
        if not rows or "ids" not in rows[0]:
            return batch
        labels = torch.nn.utils.rnn.pad_sequence(
            [torch.tensor(row["ids"]) for row in rows], batch_first=True, padding_value=IGNORED
        )
        given = labels.roll(1, 1)
        given[:, 0] = self.start
        forced = {"decoder_input_ids": given.masked_fill(given < 0, self.end)}
        return replace(batch, inputs={**batch.inputs, **forced}, targets={"labels": labels})

    def forward(self, model: "nn.Module", batch: Batch) -> Outputs:
        """Teacher-forced logits float32 [b, tokens, vocabulary].

        Raises `UserError` where there is no text to force.
        """
        if "labels" not in batch.targets:
            raise UserError(
                "this model writes its text token by token, so a sound alone has no logits: ask for"
                " its prediction"
            )
        return super().forward(model, batch)

    def loss(self, outputs: Outputs, batch: Batch, label_smoothing: float = 0.0) -> Loss:
        """Cross entropy of the tokens, summed; counts tokens."""
        logits, labels = outputs["logits"].transpose(1, 2), batch.targets["labels"]
        loss, terms = cross_entropy(logits, labels, label_smoothing)
        each = None if terms is None else terms.sum(1)
        return Loss(loss, (labels >= 0).sum().float(), {}, each)

    def predict(
        self, model: "nn.Module", batch: Batch, outputs: Outputs | None = None
    ) -> list[TextPrediction]:
        """Return the text that the model writes of each sound by itself, as its generation config
        says; the windows of a long sound are written one by one, and their texts joined."""
        inputs = batch.inputs[self.settled.input_name]
        owners = range(len(batch)) if batch.windows is None else batch.windows.tolist()
        rows: list[list[str]] = [[] for _ in range(len(batch))]
        for first in range(0, len(inputs), WINDOWS):
            ids = unwrapped(model).generate(inputs[first : first + WINDOWS])
            for owner, written in zip(owners[first:], ids.tolist(), strict=False):
                rows[owner].append(self._text(written).strip())
        return [TextPrediction(" ".join(text for text in row if text)) for row in rows]

    def _text(self, ids: Sequence[int]) -> str:
        """The text of ids up to their end, without special tokens."""
        ends = ids.index(self.end) if self.end in ids else len(ids)
        known = [i for i in ids[:ends] if i >= 0]
        text: str = self.processor.tokenizer.decode(known, skip_special_tokens=True)
        return text

    def references(self, batch: Batch) -> list[str]:
        """Return the text that was said in each sound."""
        return [self._text(row) for row in batch.targets["labels"].tolist()]

    def compared(self, text: str) -> str:
        """Return a text as errors are counted: in lower case and without punctuation."""
        return normalized(text, "lower", punctuation=False)

    def to_json(self, prediction: TextPrediction, top_k: int | None = None) -> dict[str, Any]:
        """Return the transcription as a mapping with `text`.

        Raises `UserError` where the best k are asked for: one text is written.
        """
        if top_k is not None:
            raise UserError("`top_k`: this model writes one text", hint="leave it out")
        return super().to_json(prediction)
