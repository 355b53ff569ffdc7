"""Zero-shot labels for texts, by weights of language inference or by sentence embeddings.

Weights with a label of entailment judge whether "This text is about sports." follows from the text
(Yin et al. 2019, "Benchmarking Zero-shot Text Classification"): a label's logit is that of
entailment, and the shares are those of transformers' zero-shot-classification pipeline.

Any other encoder embeds the text and the same sentences: mean of the last hidden states, length one
(Reimers & Gurevych 2019, "Sentence-BERT"). A label's logit is the cosine times `SCALE`, so the
order is that of the cosines, and the score is a share among the labels, not a probability that was
ever calibrated. Encoders that embed by their first token, as some do, are worse served.

Embeddings tell topics apart and are poor at sentiment: of the movie reviews minilm gets 0.618 right
(0.593 to 0.642, n = 1,500), fine-tuned 0.860. Real weights of language inference have not run here;
small random ones give what transformers' pipeline gives.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tasks import json_files
from tasks.errors import UserError
from tasks.nlp import text_inputs
from tasks.nlp.text_classification import Args, TextClassification
from zoo.model.loading import Unreadable, load_config, load_pretrained, load_tokenizer
from zoo.nlp import encoder_fit

if TYPE_CHECKING:
    from torch import nn

TEMPLATE = "This text is about {}."
SCALE = 20.0  # of cosines in sentence-transformers' contrastive losses, which trained such weights
ROWS = 64  # pairs of text and label in a pass
ROOM = 16  # tokens left for the text


@dataclass(frozen=True)
class Encoder:
    """A model with its tokenizer, on a device."""

    model: "nn.Module"
    tokenizer: Any
    longest: int  # input in tokens
    device: torch.device

    def encode(self, *texts: list[str], truncation: str | bool = True) -> dict[str, Tensor]:
        """Return the token ids of texts, or of pairs, padded to the longest: int64 [b, seq]."""
        encoded = self.tokenizer(
            *texts,
            truncation=truncation,
            max_length=self.longest,
            padding=True,
            return_tensors="pt",
        )
        return dict(encoded.to(self.device))

    def embed(self, texts: list[str]) -> Tensor:
        """Return embeddings of length one, float32 [b, hidden]."""
        batch = self.encode(texts)
        hidden = self.model(**batch).last_hidden_state.float()  # [b, seq, hidden]
        mask = batch["attention_mask"].unsqueeze(-1).float()
        mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
        return torch.nn.functional.normalize(mean, dim=-1)

    def check(self, sentences: Sequence[str]) -> None:
        """Raise `UserError` if a label's sentence leaves no room for a text."""
        for sentence in sentences:
            tokens = len(self.tokenizer(sentence)["input_ids"])
            if tokens > self.longest - ROOM:
                raise UserError(
                    f"the label {sentence[:40]!r}... has {tokens} tokens of the {self.longest} "
                    "these weights take with the text"
                )


class Entailment:
    """A scorer by entailment: whether the label's sentence follows from the text."""

    def __init__(
        self, task: TextClassification, encoder: Encoder, sentences: list[str], index: int
    ) -> None:
        self.task, self.encoder, self.sentences, self.index = task, encoder, sentences, index
        encoder.check(sentences)

    def logits(self, inputs: Sequence[Any]) -> Tensor:
        """Return the logits of entailment, float32 [b, labels]."""
        pairs = [(text, sentence) for text in plain(inputs) for sentence in self.sentences]
        found = []
        for start in range(0, len(pairs), ROWS):
            texts, sentences = map(list, zip(*pairs[start : start + ROWS], strict=True))
            batch = self.encoder.encode(texts, sentences, truncation="only_first")
            found.append(self.encoder.model(**batch).logits[:, self.index].float())
        return torch.cat(found).view(len(inputs), len(self.sentences))


class Embeddings:
    """A scorer by embeddings: how similar the label's sentence is to the text."""

    def __init__(self, task: TextClassification, encoder: Encoder, sentences: list[str]) -> None:
        self.task, self.encoder = task, encoder
        encoder.check(sentences)
        with torch.inference_mode():
            self.labels = torch.cat(
                [encoder.embed(sentences[i : i + ROWS]) for i in range(0, len(sentences), ROWS)]
            )

    def logits(self, inputs: Sequence[Any]) -> Tensor:
        """Return scaled cosines, float32 [b, labels]."""
        return SCALE * self.encoder.embed(plain(inputs)) @ self.labels.T


def plain(inputs: Sequence[Any]) -> list[str]:
    """Return the texts unchanged. Raises `UserError` for pairs: the second text is the label's."""
    items = [text_inputs.item(each, {}) for each in inputs]
    if any("text_pair" in each for each in items):
        raise UserError("`zero_shot` takes single texts: leave out `text_pair_column`")
    return [each["text"] for each in items]


@dataclass(frozen=True)
class PreparedText:
    """A text, and how many tokens of it are read."""

    text: str
    tokens: int


@dataclass(frozen=True)
class Weights:
    """Weights that label texts without training, for any labels."""

    encoder: Encoder
    entailment: int | None
    """the output that says that one text follows from the other; None: they embed texts"""

    def prepare(self, inputs: Sequence[Any]) -> list[PreparedText]:
        """Return texts with their lengths. Raises `UserError` for what is no single text."""
        texts, longest = plain(inputs), self.encoder.longest
        ids = self.encoder.tokenizer(texts, truncation=True, max_length=longest)["input_ids"]
        return [PreparedText(text, len(one)) for text, one in zip(texts, ids, strict=True)]

    def scorer(self, labels: tuple[str, ...], template: str) -> Entailment | Embeddings:
        """Return a scorer for labels. Raises `UserError` where they leave no room for a text."""
        task = TextClassification(Args(), labels, "single_label_classification")
        sentences = [template.replace("{}", label) for label in labels]
        if self.entailment is None:
            return Embeddings(task, self.encoder, sentences)
        return Entailment(task, self.encoder, sentences, self.entailment)


def load(
    folder: Path, labels: tuple[str, ...], template: str, device: torch.device
) -> Entailment | Embeddings:
    """Return a scorer made from the weights in a folder. Raises as `load_weights` does."""
    return load_weights(folder, device).scorer(labels, template)


def load_weights(folder: Path, device: torch.device) -> Weights:
    """Return the weights in a folder, on a device.

    Raises `UserError` where they are of no text encoder, or of a classifier of something else.
    """
    from transformers import AutoModel, AutoModelForSequenceClassification

    try:
        config = load_config(folder)
        if hasattr(config, "vision_config") or hasattr(config, "num_channels"):
            raise ValueError("they are for images")
        entails = [
            int(i) for i, name in config.id2label.items() if name.lower().startswith("entail")
        ]
        classifies = any("SequenceClassification" in a for a in config.architectures or ())
        if classifies and not entails:
            names = ", ".join(config.id2label.values())
            raise ValueError(f"they tell {names} apart, and nothing else")
        kind = AutoModelForSequenceClassification if entails else AutoModel
        tokenizer = load_tokenizer(folder)
        encoder_fit.prepare_tokenizer(tokenizer, config)
        encoder_fit.prepare_config(config, tokenizer)
        model = load_pretrained(kind, folder, config=config)
    except (ValueError, Unreadable) as error:
        reason = error.reason if isinstance(error, Unreadable) else str(error)
        raise UserError(
            f"{folder} can't label texts without training ({reason}): `zero_shot` wants weights of "
            "language inference or sentence embeddings"
        ) from None
    encoder_fit.check_padding(model, tokenizer, str(folder))
    longest = min(encoder_fit.longest(config, tokenizer), _trained_length(folder))
    encoder = Encoder(model.to(device).eval(), tokenizer, longest, device)
    return Weights(encoder, entails[0] if entails else None)


def _trained_length(folder: Path) -> int:
    """Return the input length in tokens that sentence-transformers' record allows: the weights were
    trained with no more."""
    try:
        recorded = json_files.read_object(folder / "sentence_bert_config.json")
        return int(recorded["max_seq_length"])
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        OverflowError,
    ):  # made otherwise: no such record
        return 10**9
