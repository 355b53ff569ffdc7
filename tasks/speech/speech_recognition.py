"""Speech recognition with connectionist temporal classification (CTC; Graves et al. 2006)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from tasks.base import Batch, Examples, Loss, OutputKind, model_inputs
from tasks.bounds import Bounds, NotNegative
from tasks.data import columns
from tasks.data.columns import find_column
from tasks.data.labels import leave_out, unlabelled
from tasks.data.source import DataArgs, Source, cut_missing_splits, limit
from tasks.data.splits import must_have_train
from tasks.errors import UserError
from tasks.kinds.classification import choose_split
from tasks.media import items
from tasks.metrics.spec import metric_spec
from tasks.speech import audio_features, audio_inputs, audio_items, segmenting
from tasks.speech.audio_features import AudioArgs, AudioFeatures, Settled
from tasks.speech.decoding.language_model import Decoding
from tasks.speech.spelling import Case, Spelling

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack

    import datasets
    import numpy as np
    from torch import Tensor, nn

    from tasks.base import Features
    from tasks.metrics.transcription import TranscriptTally
    from tasks.preflight import Finding

EXAMPLE_INPUT = "--audio recording.wav"
TEXT_COLUMNS = ("transcription", "transcript", "text", "sentence", "normalized_text", "label")
WINDOWS = 8  # of a long recording that go through the model together


@dataclass(frozen=True)
class Args(AudioArgs):
    """How sounds and their transcriptions are read."""

    text_column: str | None = None
    """column of the transcription; found by itself where it has a usual name"""
    text_case: Literal["auto", "lower", "upper", "keep"] = "auto"
    """case of the letters; auto: that of the model's vocabulary, lower for a new one"""
    punctuation: bool = False
    """keep punctuation; by default only letters, digits and apostrophes are learned"""


@dataclass(frozen=True)
class Inputs(audio_inputs.Inputs):
    """What is to be heard, and how it is spelled out."""

    decoding: Literal["greedy", "beam"] = "greedy"
    """beam: search with a language model or a word list; see the flags below"""
    beam_width: Annotated[int, Bounds(1, 100_000)] = 16
    """hypotheses kept by the beam search"""
    lm: "str | None" = None
    """ARPA file of an n-gram language model of words, for the beam search"""
    lm_weight: NotNegative = 0.5
    """weight of the language model"""
    word_bonus: Annotated[float, Bounds(-1000, 1000)] = 1.0
    """added for every word, against the language model's liking for few"""
    words: "str | None" = None
    """file of words, one a line: the beam search says nothing else"""


def from_data(args: Args, data: DataArgs) -> tuple["SpeechRecognition", Examples]:
    """The task and its examples; the splits have the columns media and text, spelled as asked.

    Raises `UserError` where a column is missing.
    """
    source, splits = _canonical(args, data)
    must_have_train(splits, source.name)
    without = unlabelled(splits, "text")
    left_out = {name: splits[name].num_rows for name in without}
    splits = leave_out(cut_missing_splits(splits, None, data), without, "transcriptions")
    splits = limit(splits, data)
    _must_be_texts(splits)
    examples = Examples(splits, source.name, source.fingerprint, source.rows, unlabelled=left_out)
    return SpeechRecognition(args), examples


def for_evaluation(
    task: "SpeechRecognition", data: DataArgs, split: str | None, trained_on: str
) -> Examples:
    """One split as a trained task reads it."""
    import datasets

    source, splits = _canonical(task.args, data)
    without = unlabelled(splits, "text")
    chosen, splits = choose_split(source, splits, None, data, split, trained_on, without)
    _must_be_texts(datasets.DatasetDict({chosen: splits[chosen]}))
    return Examples(datasets.DatasetDict({chosen: splits[chosen]}), source.name, source.fingerprint)


def _canonical(args: Args, data: DataArgs) -> "tuple[Source, datasets.DatasetDict]":
    from tasks.media.source import load_media
    from tasks.speech.embedded import spoken
    from tasks.speech.sound.audio import AUDIO

    source = load_media(data, AUDIO, spoken.digit_strings, args.audio_column)
    names = columns.names_of(source.splits)
    text = find_column(names, args.text_column, TEXT_COLUMNS, "transcription", source.name)
    wanted = {"media": "media", text: "text"}
    return source, columns.select(source.splits, wanted, source.name, may_miss=["text"])


def _must_be_texts(splits: "datasets.DatasetDict") -> None:
    """Raises `UserError` for a sound without a transcription, or with one that is no text."""
    for name, split in splits.items():
        for row, text in enumerate(split["text"], start=1):
            if not isinstance(text, str):
                what = "has no transcription" if text is None else f"is transcribed as {text!r}"
                raise UserError(
                    f"{name}, row {row} {what}: every sound needs a text (empty for silence)"
                )


def for_prediction(task: "SpeechRecognition", asked: Inputs) -> "SpeechRecognition":
    """The task with the decoding that `predict` was asked for.

    Raises `UserError` where the language model or the words can't be read.
    """
    if asked.decoding == "greedy":
        return task
    from tasks.speech.decoding import language_model

    decoding = language_model.beam(
        asked.beam_width, asked.lm, asked.lm_weight, asked.word_bonus, asked.words
    )
    return replace(task, decoding=decoding)


def read_inputs(
    asked: Inputs, task: "SpeechRecognition", stack: "ExitStack"
) -> "Iterator[Mapping[str, Any]]":
    """What `predict` is given: `name` and `wave` float32 [samples]; see
    `tasks.speech.segmenting`."""
    return segmenting.read(asked, task.settled.rate, task.args.window_seconds, stack)


def show_input(item: Mapping[str, Any]) -> dict[str, str]:
    """An input as the columns of a prediction."""
    return {"audio": item["name"]}


def from_config(config: Mapping[str, Any]) -> "SpeechRecognition":
    """The task a checkpoint was trained on, from what `SpeechRecognition.config` recorded."""
    spelling = config["spelling"] | {"vocabulary": tuple(config["spelling"]["vocabulary"])}
    return SpeechRecognition(
        Args(**config["args"]), Spelling(**spelling), Settled(**config["settled"])
    )


def case_of(args: Args, vocabulary: Sequence[str] = ()) -> Case:
    """The case of letters to learn: the asked one, or the vocabulary's own."""
    if args.text_case != "auto":
        return args.text_case
    letters = [symbol for symbol in vocabulary if len(symbol) == 1 and symbol.isalpha()]
    if letters and all(letter == letter.upper() for letter in letters):
        return "upper"
    return "lower"


@dataclass(frozen=True)
class SpeechRecognition:
    """The task with what the processor told of it. Satisfies `tasks.base.Task`."""

    args: Args
    spelling: Spelling = Spelling()  # noqa: RUF009
    settled: Settled = Settled()  # noqa: RUF009
    decoding: Decoding | None = None  # None: greedy

    name = "automatic-speech-recognition"
    pipeline = "automatic-speech-recognition"
    unit = "seconds"
    example_call = EXAMPLE_INPUT
    primary = metric_spec("wer")
    labels = ()
    pictured = True
    output_kinds: ClassVar[Mapping[str, OutputKind]] = {"logits": "logits"}
    frame_wise = True  # logits are of frames, not of what is written

    def config(self) -> dict[str, Any]:
        """What `from_config` needs; plain JSON."""
        return {
            "args": asdict(self.args),
            "spelling": asdict(self.spelling),
            "settled": asdict(self.settled),
        }

    def model_config(self) -> dict[str, Any]:
        """The fields of a transformers config that this task sets."""
        return {
            "vocab_size": len(self.spelling.vocabulary),
            "pad_token_id": self.spelling.blank,
            "ctc_loss_reduction": "mean",
            "ctc_zero_infinity": True,
        }

    def settle(self, processor: Any, limit: int) -> "SpeechRecognition":
        """The same task with the processor's rate, inputs and vocabulary."""
        tokenizer = processor.tokenizer
        vocabulary = tuple(tokenizer.convert_ids_to_tokens(range(len(tokenizer))))
        spelling = Spelling(
            vocabulary,
            int(tokenizer.pad_token_id),
            str(tokenizer.word_delimiter_token),
            case_of(self.args, vocabulary),
            self.args.punctuation,
        )
        settled = audio_features.settle(processor.feature_extractor)
        return replace(self, spelling=spelling, settled=settled)

    def features(self, examples: "datasets.Dataset", processor: Any, cache_key: str) -> "Features":
        """The sounds of one split."""
        decoded = audio_features.decode_split(examples, self.args, self.settled.rate, cache_key)
        targets = {"text": examples["text"]} if "text" in examples.column_names else {}
        extractor = processor.feature_extractor
        return AudioFeatures(decoded, targets, extractor, self.settled, self.args)

    def preflight(
        self, examples: Examples, features: Mapping[str, "Features"], model: "nn.Module"
    ) -> "list[Finding]":
        """What is suspicious or wrong in the data, before hours are spent on it."""
        from tasks.speech import audio_preflight

        decoded = {name: split.decoded for name, split in features.items()}  # type: ignore[attr-defined]
        found: list[Finding] = [
            *audio_preflight.check(examples.splits, decoded, self.settled.rate),
            *self.spelling.check(examples.splits, decoded, self._frames(features, model)),
        ]
        return found

    def _frames(
        self, features: Mapping[str, "Features"], model: "nn.Module"
    ) -> "dict[str, np.ndarray]":
        """How many frames of logits the model makes of each sound of each split."""
        import numpy as np
        import torch

        found = {}
        for name, split in features.items():
            samples = np.rint(split.lengths * self.settled.rate).astype(np.int64)
            extractor = split.extractor  # type: ignore[attr-defined]
            sizes = extractor.frames(samples) if hasattr(extractor, "frames") else samples
            found[name] = model._get_feat_extract_output_lengths(torch.from_numpy(sizes)).numpy()  # type: ignore[operator]
        return found

    def is_one(self, raw: Any) -> bool:
        """Whether this is one sound, and no row of them."""
        return items.is_one(raw, audio_items.DIMS)

    def inputs(self, raw: Sequence[Any], processor: Any) -> list[dict[str, Any]]:
        """Rows for `collate` from what `read_inputs` gives, or from whatever
        `tasks.speech.audio_items.samples` takes for a sound."""
        extractor = processor.feature_extractor
        return segmenting.rows(raw, extractor, self.settled, self.args.window_seconds)

    def collate(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """The padded windows of all rows (`audio_features.pad`) and their targets.

        `labels` int64 [b, symbols] are padded with -100. Of sounds in several windows `starts` and
        `sizes`, int64 [windows], say where each begins and how long it is, in samples.
        """
        import torch

        batch: Batch = audio_features.pad(rows, self.settled)
        if "document" in batch:
            for name in ("starts", "sizes"):
                batch[name] = torch.tensor([x for row in rows for x in row[name]])
        if rows and "text" in rows[0]:
            targets = [torch.tensor(self.spelling.encode(row["text"])) for row in rows]
            batch["labels"] = torch.nn.utils.rnn.pad_sequence(
                [target.long() for target in targets], batch_first=True, padding_value=-100
            )
        return batch

    def logits(self, model: "nn.Module", batch: Batch) -> "Tensor":
        """Logits float32 [b, frames, vocabulary]; a certain blank behind a sound's end, so that
        whoever reads them needs no lengths."""
        import torch

        from tasks.speech.decoding import ctc

        inputs = model_inputs(batch)
        parts = [slice(None)]
        if "document" in batch:  # a long recording: a few windows at a time
            parts = [slice(i, i + WINDOWS) for i in range(0, len(batch["document"]), WINDOWS)]
        found = []
        for part in parts:
            logits = model(**{key: tensor[part] for key, tensor in inputs.items()}).logits.float()
            frames = unwrapped(model)._get_feat_extract_output_lengths(batch["lengths"][part])
            found.append(ctc.mask_frames(logits, frames.to(logits.device), self.spelling.blank))
        whole = found[0] if len(found) == 1 else torch.cat(found)
        return self._stitched(whole, model, batch) if "document" in batch else whole

    def _stitched(self, logits: "Tensor", model: "nn.Module", batch: Batch) -> "Tensor":
        """Logits [windows, frames, vocabulary] to whole sounds' [b, frames', vocabulary]."""
        import itertools

        import torch

        from tasks.speech.decoding import ctc

        frames = unwrapped(model)._get_feat_extract_output_lengths(batch["lengths"]).tolist()
        starts, sizes = batch["starts"].tolist(), batch["sizes"].tolist()
        documents = batch["document"].tolist()
        wholes: list[Tensor] = []
        for row in range(len(batch["sample_ids"])):
            places = [i for i, document in enumerate(documents) if document == row]
            shared = [0]
            for i, j in itertools.pairwise(places):
                overlap = starts[i] + sizes[i] - starts[j]
                shared.append(round(overlap / sizes[i] * frames[i]))
            shared.append(0)
            wholes.append(
                ctc.stitch(
                    [
                        (logits[i, : frames[i]], shared[k], shared[k + 1])
                        for k, i in enumerate(places)
                    ]
                )
            )
        counts = torch.tensor([len(whole) for whole in wholes], device=logits.device)
        padded = torch.nn.utils.rnn.pad_sequence(wholes, batch_first=True)
        return ctc.mask_frames(padded, counts, self.spelling.blank)

    def loss(self, logits: "Tensor", batch: Batch, label_smoothing: float = 0.0) -> Loss:
        """The negative log likelihood of the targets, summed over rows; counts symbols.

        Targets that do not fit into their frames (faster speech in training, say) weigh nothing.
        With label smoothing, that share of the mean negative log probability of all symbols is
        mixed in, a frame at a time.
        """
        from tasks.speech.decoding import ctc

        labels = batch["labels"]
        loss = ctc.losses(logits, labels, self.spelling.blank).sum()
        if label_smoothing:
            log_probs = logits.log_softmax(-1)
            real = log_probs.detach().amin(-1) > ctc.IMPOSSIBLE / 2
            spread = -(log_probs.mean(-1) * real).sum()
            loss = (1 - label_smoothing) * loss + label_smoothing * spread
        return Loss(loss, (labels >= 0).sum().float().clamp(min=1), {})

    def _losses(self, logits: "Tensor", labels: "Tensor") -> "Tensor":
        """Of each row alone what `loss` sums, float32 [b]."""
        from tasks.speech.decoding import ctc

        return ctc.losses(logits, labels, self.spelling.blank)

    def tally(self) -> "TranscriptTally":
        """The accumulator of this task's metrics."""
        from tasks.metrics.transcription import TranscriptTally

        return TranscriptTally()

    def count(self, tally: Any, batch: Batch, logits: "Tensor") -> None:
        """Adds the transcriptions of a batch to a tally."""
        said = self._said(batch, logits)
        tally.update(batch["sample_ids"].cpu().numpy(), said, self._truth(batch))

    def _said(self, batch: Batch, logits: "Tensor") -> list[str]:
        """What was heard in the sounds of a batch, to be compared with `_truth`."""
        return self._texts(logits)

    def _texts(self, logits: "Tensor") -> list[str]:
        from tasks.speech.decoding import ctc

        if self.decoding is not None:
            return [self.decoding.best(row, self.spelling) for row in logits.cpu().numpy()]
        return [self.spelling.text(ids) for ids in ctc.greedy_batch(logits, self.spelling.blank)]

    def _truth(self, batch: Batch) -> list[str]:
        return [self.spelling.text([i for i in row if i >= 0]) for row in batch["labels"].tolist()]

    def confusions(self, tally: Any) -> "np.ndarray | None":
        """None: there are no classes."""
        return None

    def commonest(self, tally: Any) -> list[tuple[str, str, int]]:
        """Words and what they were taken for, the commonest first; "-" is nothing."""
        pairs: list[tuple[str, str, int]] = tally.commonest()
        return pairs

    def mistakes(self, batch: Batch, logits: "Tensor") -> list[tuple[float, int, str, str]]:
        """Wrong transcriptions as (loss of the sample, row, truth, hypothesis)."""
        losses, ids = self._losses(logits, batch["labels"]).tolist(), batch["sample_ids"].tolist()
        columns = losses, ids, self._truth(batch), self._said(batch, logits)
        return [row for row in zip(*columns, strict=True) if row[2] != row[3]]

    def show(self, example: Mapping[str, Any], row: int) -> str:
        """An example in one line of a table."""
        from tasks.media.source import name_of

        return name_of(example["media"], row)

    def draw(self, axes: Any, row: Mapping[str, Any]) -> None:
        """The features of a row as a picture."""
        segmenting.draw(axes, row)

    def read(self, logits: "Tensor", top_k: int | None = None) -> list[dict[str, Any]]:
        """Transcriptions: `text`; with `top_k` and a beam search also `scores` of the best k."""
        if top_k is None or self.decoding is None:
            return [{"text": text} for text in self._texts(logits)]
        readings = []
        for row in logits.cpu().numpy():
            ranked = self.decoding.ranked(row, self.spelling)[:top_k]
            readings.append({"text": ranked[0][0], "scores": dict(ranked)})
        return readings


def unwrapped(model: Any) -> Any:
    """The model itself under torch.compile, DistributedDataParallel and adapters."""
    while True:
        if hasattr(model, "_orig_mod"):
            model = model._orig_mod
        elif type(model).__name__ == "DistributedDataParallel":
            model = model.module
        elif hasattr(model, "get_base_model"):
            model = model.get_base_model()
        else:
            return model
