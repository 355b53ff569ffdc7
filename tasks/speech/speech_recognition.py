"""Speech recognition with connectionist temporal classification (CTC; Graves et al. 2006)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from tasks.base import Batch, Examples, Loss, OutputKind, Outputs
from tasks.bounds import Bounds, NotNegative
from tasks.data import columns
from tasks.data.columns import find_column
from tasks.data.labels import leave_out, unlabelled
from tasks.data.source import DataArgs, Source, choose_split, cut_missing_splits, limit
from tasks.data.splits import must_have_train
from tasks.errors import UserError
from tasks.kinds.losses import IGNORED, divergence, other_names
from tasks.speech import audio_features, audio_inputs, segmenting
from tasks.speech.audio_features import AudioArgs, AudioConfig, AudioFeatures
from tasks.speech.char_tokenizer import CharTokenizer, LetterCase
from tasks.speech.decoding.language_model import LMDecoding
from tasks.speech.transcription import TextPrediction, Transcription
from tasks.writes import unwrapped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack

    import datasets
    import numpy as np
    from torch import Tensor, nn

    from tasks.base import Features
    from tasks.preflight import Finding

EXAMPLE_INPUT = "--audio recording.wav"
TEXT_COLUMNS = ("transcription", "transcript", "text", "sentence", "normalized_text", "label")
WINDOWS = 8  # of a long recording that go through the model together
SYMBOLS_PER_SECOND = 14  # of English that is read aloud, spaces included


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
    task: "SpeechRecognition", data: DataArgs, split: str | None, trained_on: str | None
) -> Examples:
    """Return one split as a trained task reads it."""
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
        for row, text in enumerate(split["text"][:], start=1):
            if not isinstance(text, str):
                what = "has no transcription" if text is None else f"is transcribed as {text!r}"
                raise UserError(
                    f"{name}, row {row} {what}: every sound needs a text (empty for silence)"
                )


def for_prediction(task: "SpeechRecognition", inputs: Inputs) -> "SpeechRecognition":
    """The task with the decoding that `predict` was asked for.

    Raises `UserError` where the language model or the words can't be read.
    """
    if inputs.decoding == "greedy":
        return task
    from tasks.speech.decoding import language_model

    decoding = language_model.beam(
        inputs.beam_width, inputs.lm, inputs.lm_weight, inputs.word_bonus, inputs.words
    )
    return replace(task, decoding=decoding)


def read_inputs(
    inputs: Inputs, task: "SpeechRecognition", stack: "ExitStack"
) -> "Iterator[Mapping[str, Any]]":
    """Yield the inputs of `predict`: `name` and `wave` float32 [samples]; see
    `tasks.speech.segmenting`."""
    return segmenting.read(inputs, task.settled.rate, task.args.window_seconds, stack)


def show_input(item: Mapping[str, Any]) -> dict[str, str]:
    """An input as the columns of a prediction."""
    return {"audio": item["name"]}


def from_config(config: Mapping[str, Any]) -> "SpeechRecognition":
    """The task a checkpoint was trained on, from what `SpeechRecognition.config` recorded."""
    spelling = config["spelling"] | {"vocabulary": tuple(config["spelling"]["vocabulary"])}
    return SpeechRecognition(
        Args(**config["args"]), CharTokenizer(**spelling), AudioConfig(**config["settled"])
    )


def case_of(args: Args, vocabulary: Sequence[str] = ()) -> LetterCase:
    """The case of letters to learn: the asked one, or the vocabulary's own."""
    if args.text_case != "auto":
        return args.text_case
    letters = [symbol for symbol in vocabulary if len(symbol) == 1 and symbol.isalpha()]
    if letters and all(letter == letter.upper() for letter in letters):
        return "upper"
    return "lower"


@dataclass(frozen=True)
class SpeechRecognition(Transcription):
    """The task with what the processor told of it. Satisfies `tasks.base.Task`."""

    args: Args
    spelling: CharTokenizer = CharTokenizer()  # noqa: RUF009
    settled: AudioConfig = AudioConfig()  # noqa: RUF009
    decoding: LMDecoding | None = None  # None: greedy
    processor: Any = field(default=None, compare=False, repr=False)

    softens = True
    output_kinds: ClassVar[Mapping[str, OutputKind]] = {"logits": "logits"}

    def describe_outputs(self, literal: Callable[[str], str]) -> str:
        """Return what the model gives for a recording, and the signs that it can write, for a
        card."""
        spelling = self.spelling
        signs = [one for one in spelling.vocabulary if len(one) == 1 and one != spelling.delimiter]
        words = "" if any(one.isdigit() for one in signs) else "; numbers are written in words"
        return (
            "Writes what is said in a recording, with these signs and spaces, and no others: "
            f"{literal(''.join(sorted(signs)))}{words}."
        )

    def config(self) -> dict[str, Any]:
        """Return what `from_config` needs to make the task again, as plain JSON."""
        return {
            "args": asdict(self.args),
            "spelling": asdict(self.spelling),
            "settled": self.settled.record(),
        }

    def model_config(self) -> dict[str, Any]:
        """The fields of a transformers config that this task sets."""
        return {
            "vocab_size": len(self.spelling.vocabulary),
            "pad_token_id": self.spelling.blank,
            "ctc_loss_reduction": "mean",
            "ctc_zero_infinity": True,
        }

    def bind_for_training(self, processor: Any, limit: int) -> "SpeechRecognition":
        """The task with its processor, and that one's rate, inputs and vocabulary."""
        tokenizer = processor.tokenizer
        vocabulary = tuple(tokenizer.convert_ids_to_tokens(range(len(tokenizer))))
        spelling = CharTokenizer(
            vocabulary,
            int(tokenizer.pad_token_id),
            str(tokenizer.word_delimiter_token),
            case_of(self.args, vocabulary),
            self.args.punctuation,
        )
        settled = audio_features.audio_config_of(processor.feature_extractor)
        return replace(self, spelling=spelling, settled=settled, processor=processor)

    def features(self, examples: "datasets.Dataset", cache_key: str) -> "Features":
        """Return the sounds of one split as features."""
        decoded = audio_features.decode_split(examples, self.args, self.settled.rate, cache_key)
        targets = {"text": examples["text"][:]} if "text" in examples.column_names else {}
        extractor = self.processor.feature_extractor
        return AudioFeatures(decoded, targets, extractor, self.settled, self.args)

    def preflight(
        self, examples: Examples, features: Mapping[str, "Features"], model: "nn.Module"
    ) -> "list[Finding]":
        """Return what is suspicious or wrong in the data, before hours are spent on it."""
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
        """Return how many frames of logits the model makes of each sound of each split."""
        import numpy as np
        import torch

        found = {}
        for name, split in features.items():
            samples = np.rint(split.lengths * self.settled.rate).astype(np.int64)
            extractor = split.extractor  # type: ignore[attr-defined]
            sizes = extractor.frames(samples) if hasattr(extractor, "frames") else samples
            found[name] = model._get_feat_extract_output_lengths(torch.from_numpy(sizes)).numpy()  # type: ignore[operator]
        return found

    def random_targets(self, inputs: "Mapping[str, Tensor]", seed: int) -> "dict[str, Tensor]":
        """Return texts drawn by `seed`, as fast as English is read, to measure training with.

        Gives `labels` int64 [b, symbols], padded with -100, of which no two alike follow each
        other, so that each needs one frame only; and `lengths` int64 [b], as `collate` does.
        """
        import torch

        sounds, rng = inputs[self.settled.input_name], torch.Generator().manual_seed(seed)
        is_wave = sounds.ndim == 2
        per_second = self.settled.rate if is_wave else self.settled.frames_per_second
        lengths = torch.full((len(sounds),), sounds.shape[2 if self.settled.bins_first else 1])
        if "attention_mask" in inputs:
            lengths = inputs["attention_mask"].sum(1)
        counts = (SYMBOLS_PER_SECOND * lengths / per_second).long().clamp(min=1)
        others = len(self.spelling.vocabulary) - 1  # without the blank
        steps = torch.randint(1, max(others, 2), (len(sounds), int(counts.max())), generator=rng)
        symbols = steps.cumsum(1) % others
        symbols += symbols >= self.spelling.blank
        ended = torch.arange(symbols.shape[1]) >= counts.unsqueeze(1)
        return {"labels": symbols.masked_fill(ended, IGNORED), "lengths": lengths}

    def inputs(self, raw: Sequence[Any]) -> list[dict[str, Any]]:
        """Rows for `collate` from what `read_inputs` gives, or from whatever
        `tasks.speech.audio_items.samples` takes for a sound."""
        extractor = self.processor.feature_extractor
        return segmenting.rows(raw, extractor, self.settled, self.args.window_seconds)

    def collate(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """The padded windows of all rows (`audio_features.pad`) and their targets.

        `labels` int64 [b, symbols] are padded with -100. The `spans` of windows are in samples.
        """
        import torch

        batch = audio_features.pad(rows, self.settled).tensors()
        if batch.windows is not None:
            columns = [[x for row in rows for x in row[name]] for name in ("starts", "sizes")]
            batch = replace(batch, spans=torch.tensor(columns).T)
        if rows and "text" in rows[0]:
            texts = [torch.tensor(self.spelling.encode(row["text"])) for row in rows]
            labels = torch.nn.utils.rnn.pad_sequence(
                [text.long() for text in texts], batch_first=True, padding_value=IGNORED
            )
            batch = replace(batch, targets={"labels": labels})
        return batch

    def forward(self, model: "nn.Module", batch: Batch) -> Outputs:
        """Logits float32 [b, frames, vocabulary]; a certain blank behind a sound's end, so that
        whoever reads them needs no lengths."""
        import torch

        from tasks.speech.decoding import ctc

        assert batch.lengths is not None, "pad() counts them"
        parts = [slice(None)]
        if batch.windows is not None:  # a long recording: a few windows at a time
            parts = [slice(i, i + WINDOWS) for i in range(0, len(batch.windows), WINDOWS)]
        found = []
        for part in parts:
            inputs = {name: tensor[part] for name, tensor in batch.inputs.items()}
            logits = model(**inputs).logits.float()
            frames = unwrapped(model)._get_feat_extract_output_lengths(batch.lengths[part])
            found.append(ctc.mask_frames(logits, frames.to(logits.device), self.spelling.blank))
        whole = found[0] if len(found) == 1 else torch.cat(found)
        if batch.windows is not None:
            whole = self._stitched(whole, model, batch)
        return {"logits": whole}

    def _stitched(self, logits: "Tensor", model: "nn.Module", batch: Batch) -> "Tensor":
        """Logits [windows, frames, vocabulary] to whole sounds' [b, frames', vocabulary]."""
        import itertools

        import torch

        from tasks.speech.decoding import ctc

        assert batch.windows is not None and batch.spans is not None
        frames = unwrapped(model)._get_feat_extract_output_lengths(batch.lengths).tolist()
        starts, sizes = batch.spans.T.tolist()
        owners = batch.windows.tolist()
        wholes: list[Tensor] = []
        for row in range(len(batch)):
            places = [i for i, owner in enumerate(owners) if owner == row]
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

    def loss(self, outputs: Outputs, batch: Batch, label_smoothing: float = 0.0) -> Loss:
        """The negative log likelihood of the targets, summed over rows; counts symbols.

        Targets that do not fit into their frames (faster speech in training, say) weigh nothing.
        With label smoothing, that share of the mean negative log probability of all symbols is
        mixed in, a frame at a time.
        """
        from tasks.speech.decoding import ctc

        logits, labels = outputs["logits"], batch.targets["labels"]
        terms = ctc.losses(logits, labels, self.spelling.blank)
        loss = terms.sum()
        if label_smoothing:
            log_probs = logits.log_softmax(-1)
            real = log_probs.detach().amin(-1) > ctc.IMPOSSIBLE / 2
            spread = -(log_probs.mean(-1) * real).sum()
            loss = (1 - label_smoothing) * loss + label_smoothing * spread
        return Loss(loss, (labels >= 0).sum().float().clamp(min=1), {}, terms.detach())

    def predict(
        self, model: "nn.Module", batch: Batch, outputs: Outputs | None = None
    ) -> list[TextPrediction]:
        """Return the text of each sound, decoded from the logits, greedily or by beam search."""
        return self.postprocess(self.forward(model, batch) if outputs is None else outputs)

    def postprocess(self, outputs: Outputs) -> list[TextPrediction]:
        """The texts of logits [b, frames, vocabulary], a tensor or an array."""
        from tasks.speech.decoding import ctc

        logits = outputs["logits"]
        if self.decoding is None:
            found = ctc.greedy_batch(logits, self.spelling.blank)
            return [TextPrediction(self.spelling.text(ids)) for ids in found]
        array = logits.cpu().numpy() if hasattr(logits, "cpu") else logits
        rows = (self.decoding.ranked(row, self.spelling) for row in array)
        return [TextPrediction(ranked[0][0], tuple(ranked)) for ranked in rows]

    def references(self, batch: Batch) -> list[str]:
        """Return the text that was said in each sound, as the task spells it."""
        rows = batch.targets["labels"].tolist()
        return [self.spelling.text([i for i in row if i >= 0]) for row in rows]

    def teacher_fault(self, teacher: "SpeechRecognition") -> str | None:
        """Return why nothing can be learned from a teacher's outputs; None where it can."""
        return other_names(self.spelling.vocabulary, teacher.spelling.vocabulary, "symbols")

    def distillation_loss(self, student: Outputs, teacher: Outputs, temperature: float) -> "Tensor":
        """T^2 KL(teacher || student) of the symbols, summed over frames; a certain blank (see
        `forward`) costs 0."""
        return divergence(student["logits"], teacher["logits"], temperature)

    def target_counts(self, batch: Batch) -> "Tensor":
        """The symbols of each row, float32 [b]."""
        counts: Tensor = (batch.targets["labels"] >= 0).sum(1).float()
        return counts
