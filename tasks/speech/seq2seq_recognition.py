"""Speech recognition with an encoder and a decoder that writes the text token by token.

Radford et al. 2022, "Robust Speech Recognition via Large-Scale Weak Supervision" (Whisper).

Training is teacher-forced: at each token the network is given the true ones before it. What counts
is what it writes by itself, so where a model evaluates, `logits` also has it write, and puts that
into the batch as `generated`, where `count` and `mistakes` find it. Thus the loss stays one of
logits, and neither loop nor harness needs to know that a text is written. Where a batch has no
targets, as in `predict`, there is nothing to force, and the written ids themselves take the place
of the logits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tasks.base import Batch, Examples, Loss, OutputKind, model_inputs
from tasks.data.source import DataArgs
from tasks.errors import UserError
from tasks.preflight import Finding
from tasks.speech import audio_features, segmenting, speech_recognition
from tasks.speech.audio_features import AudioFeatures, Settled
from tasks.speech.audio_inputs import Inputs
from tasks.speech.speech_recognition import (
    EXAMPLE_INPUT,
    WINDOWS,
    SpeechRecognition,
    for_evaluation,
    read_inputs,
    show_input,
    unwrapped,
)
from tasks.speech.spelling import normalized

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


def for_prediction(task: "Seq2SeqRecognition", asked: Inputs) -> "Seq2SeqRecognition":
    """The task as `predict` was asked to use it."""
    return task


def from_config(config: Mapping[str, Any]) -> "Seq2SeqRecognition":
    """The task a checkpoint was trained on, from what `Seq2SeqRecognition.config` recorded."""
    return Seq2SeqRecognition(
        Args(**config["args"]),
        settled=Settled(**config["settled"]),
        longest_text=config["longest_text"],
        start=config["start"],
        end=config["end"],
    )


class Writing:
    """The tokenizer, from when the task is first given the processor it belongs to.

    A task's vocabulary lies in its config, but one of 50,000 pieces and its rules belong to the
    tokenizer's files. `features` and `inputs`, one of which comes before any batch, bring it.
    """

    tokenizer: Any = None

    def text(self, ids: Sequence[int]) -> str:
        """The text of ids, without special tokens."""
        assert self.tokenizer is not None, "neither features nor inputs has been called"
        text: str = self.tokenizer.decode([int(i) for i in ids if i >= 0], skip_special_tokens=True)
        return text


@dataclass(frozen=True)
class Seq2SeqRecognition(SpeechRecognition):
    """The task with what the processor told of it. Satisfies `tasks.base.Task`."""

    longest_text: int = 448  # tokens that the decoder has places for
    start: int = 0  # the token that every text begins behind
    end: int = 0  # the token that ends it
    writing: Writing = field(default_factory=Writing, compare=False, repr=False)

    frame_wise = False
    output_kinds: ClassVar[Mapping[str, OutputKind]] = {
        "logits": "logits",
        "encoder_last_hidden_state": "hidden_state",
    }

    def config(self) -> dict[str, Any]:
        """What `from_config` needs; plain JSON."""
        return {
            "args": asdict(self.args),
            "settled": asdict(self.settled),
            "longest_text": self.longest_text,
            "start": self.start,
            "end": self.end,
        }

    def model_config(self) -> dict[str, Any]:
        """The fields of a transformers config that this task sets: none."""
        return {}

    def settle(self, processor: Any, limit: int) -> "Seq2SeqRecognition":
        """The same task with the processor's rate, inputs and tokens; texts of `limit` at most."""
        self.writing.tokenizer = processor.tokenizer
        return replace(
            self,
            settled=audio_features.settle(processor.feature_extractor),
            longest_text=limit,
            start=int(processor.tokenizer.prefix_tokens[0]),
            end=int(processor.tokenizer.eos_token_id),
        )

    def features(self, examples: "datasets.Dataset", processor: Any, cache_key: str) -> "Features":
        """The sounds of one split, and their texts as tokens."""
        self.writing.tokenizer = processor.tokenizer
        decoded = audio_features.decode_split(examples, self.args, self.settled.rate, cache_key)
        targets = {"ids": self._ids(examples["text"])} if "text" in examples.column_names else {}
        extractor = processor.feature_extractor
        return AudioFeatures(decoded, targets, extractor, self.settled, self.args)

    def _ids(self, texts: Sequence[str | None]) -> list[list[int]]:
        """Texts as ids: the prefix but for its first, which is given, the text, the end."""
        case: Any = "keep" if self.args.text_case == "auto" else self.args.text_case
        written = [normalized(text or "", case, self.args.punctuation) for text in texts]
        if not written:
            return []
        found: list[list[int]] = self.writing.tokenizer(written).input_ids
        return [[*ids[1:-1][: self.longest_text - 1], ids[-1]] for ids in found]

    def preflight(
        self, examples: Examples, features: Mapping[str, "Features"], model: "nn.Module"
    ) -> list[Finding]:
        """What is suspicious or wrong in the data, before hours are spent on it."""
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

    def inputs(self, raw: Sequence[Any], processor: Any) -> list[dict[str, Any]]:
        """Rows for `collate` from what `read_inputs` gives, or from whatever
        `tasks.speech.audio_items.samples` takes for a sound; long ones in windows cut where it is
        quiet."""
        self.writing.tokenizer = processor.tokenizer
        extractor, seconds = processor.feature_extractor, self.settled.longest / self.settled.rate
        return segmenting.rows(raw, extractor, self.settled, seconds, segmenting.at_pauses)

    def collate(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """The windows of all rows (`audio_features.pad`); `labels` int64 [b, tokens], padded with
        -100, and `decoder_input_ids` int64 [b, tokens]: at each place the label before it."""
        import torch

        batch: Batch = audio_features.pad(rows, self.settled)
        if rows and "ids" in rows[0]:
            labels = torch.nn.utils.rnn.pad_sequence(
                [torch.tensor(row["ids"]) for row in rows], batch_first=True, padding_value=-100
            )
            given = labels.roll(1, 1)
            given[:, 0] = self.start
            batch |= {"labels": labels, "decoder_input_ids": given.masked_fill(given < 0, self.end)}
        return batch

    def logits(self, model: "nn.Module", batch: Batch) -> "Tensor":
        """Teacher-forced logits float32 [b, tokens, vocabulary]; without targets, the written ids
        int64 [b, tokens], several windows' one behind the other with an end between them.

        Where a model evaluates (in eval mode, and no gradient is asked for), `generated` int64 [b,
        tokens] goes into the batch.
        """
        import torch

        if "labels" not in batch:
            return self._written(model, batch)
        if not model.training and not torch.is_grad_enabled():
            batch["generated"] = self._written(model, batch)
        logits: Tensor = model(**model_inputs(batch)).logits.float()
        return logits

    def _written(self, model: "nn.Module", batch: Batch) -> "Tensor":
        """Ids int64 [b, tokens], padded with the end."""
        import torch

        inputs = batch[self.settled.input_name]
        count = len(batch["sample_ids"])
        documents = batch.get("document", torch.arange(count)).tolist()
        rows: list[list[Tensor]] = [[] for _ in range(count)]
        for first in range(0, len(inputs), WINDOWS):
            part = inputs[first : first + WINDOWS]
            ids = unwrapped(model).generate(part)  # as the generation config says
            for document, text in zip(documents[first:], ids, strict=False):
                rows[document] += [text, text.new_tensor([self.end])]
        return torch.nn.utils.rnn.pad_sequence(
            [torch.cat(row) for row in rows], batch_first=True, padding_value=self.end
        )

    def loss(self, logits: "Tensor", batch: Batch, label_smoothing: float = 0.0) -> Loss:
        """Cross entropy of the tokens, summed; counts tokens."""
        import torch.nn.functional as F

        labels = batch["labels"]
        loss = F.cross_entropy(
            logits.transpose(1, 2), labels, reduction="sum", label_smoothing=label_smoothing
        )
        return Loss(loss, (labels >= 0).sum().float(), {})

    def _losses(self, logits: "Tensor", labels: "Tensor") -> "Tensor":
        import torch.nn.functional as F

        return F.cross_entropy(logits.transpose(1, 2), labels, reduction="none").sum(1)

    def _said(self, batch: Batch, logits: "Tensor") -> list[str]:
        return [_plain(text) for text in self._texts(batch["generated"])]

    def _texts(self, logits: "Tensor") -> list[str]:
        return [self._joined(ids) for ids in logits.tolist()]

    def _joined(self, ids: Sequence[int]) -> str:
        """The texts between the ends, with a space between them."""
        parts: list[list[int]] = [[]]
        for i in ids:
            if i == self.end:
                parts.append([])
            else:
                parts[-1].append(i)
        texts = (self.writing.text(part).strip() for part in parts if part)
        return " ".join(text for text in texts if text)

    def _truth(self, batch: Batch) -> list[str]:
        return [_plain(self.writing.text(row)) for row in batch["labels"].tolist()]

    def read(self, logits: "Tensor", top_k: int | None = None) -> list[dict[str, Any]]:
        """Transcriptions, as `text`, of written ids int64 [b, tokens].

        Raises `UserError` where the best k are asked for: one text is written.
        """
        if top_k is not None:
            raise UserError("--top_k: this model writes one text; leave it out")
        return [{"text": text} for text in self._texts(logits)]


def _plain(text: str) -> str:
    """A text as errors are counted: in lower case and without punctuation."""
    return normalized(text, "lower", punctuation=False)
