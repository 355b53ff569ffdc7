"""The network of wav2vec2_ctc: a pretrained speech encoder out of transformers, with a CTC head."""

from typing import TYPE_CHECKING, Any

from tasks.errors import UserError
from zoo.model.loading import Unreadable, load_json, load_tokenizer
from zoo.speech import (
    ctc_processor,
    modeling_conformer,  # noqa: F401  a checkpoint of it may be the start
)
from zoo.speech.ctc_processor import CtcProcessor, train_tokenizer
from zoo.speech.pretrained_speech import WithFrontEnd, freeze_front, make_extractor, make_model
from zoo.store import pretrained

if TYPE_CHECKING:
    from pathlib import Path

    import datasets
    from torch import nn

    from tasks.base import Task
    from zoo.speech.wav2vec2_ctc import Options


def _own_tokenizer(model: str, folder: "Path") -> Any:
    from transformers import Wav2Vec2CTCTokenizer

    try:
        tokenizer = load_tokenizer(folder, Wav2Vec2CTCTokenizer)
        if tokenizer.word_delimiter_token is None or tokenizer.pad_token_id is None:
            raise Unreadable("", "it has no delimiter of words, or no blank")
    except Unreadable as error:
        raise UserError(
            f"the vocabulary of {model} is none of characters ({error.reason}): "
            "`vocabulary` new takes the characters of the training transcriptions"
        ) from None
    return tokenizer


def _has_symbols(options: "Options", entry: Any, processor: CtcProcessor) -> bool:
    """Return whether the symbols of a processor are those that the weights write, as far as their
    folder says: else a head of the same size would write others."""
    folder = pretrained.find(options.model, entry.presets).folder
    if options.vocabulary == "auto" or not (folder / "vocab.json").is_file():
        return True
    return bool(load_json(folder, "vocab.json") == processor.tokenizer.get_vocab())


class PretrainedCtc(WithFrontEnd):
    """A speech encoder of transformers with a CTC head."""

    auto_class = "AutoModelForCTC"
    load_processor = staticmethod(ctc_processor.load_processor)

    def make_processor(
        self, options: "Options", task: Any, splits: "datasets.DatasetDict", entry: Any
    ) -> CtcProcessor:
        """Return the feature extractor of the weights with their tokenizer, or one of the training
        texts' characters.

        Raises `UserError` where the weights are not at hand or their vocabulary is of another kind.
        """
        extractor = make_extractor(options.model, entry)
        folder = pretrained.find(options.model, entry.presets).folder
        if options.vocabulary == "auto" and (folder / "vocab.json").is_file():
            return CtcProcessor(extractor, _own_tokenizer(options.model, folder))
        return CtcProcessor(extractor, train_tokenizer(splits["train"], task.args))

    def build(
        self, options: "Options", task: "Task", processor: CtcProcessor, entry: Any
    ) -> tuple["nn.Module", dict[str, Any]]:
        """Return the model in fp32, with a new head if the vocabulary is new, and where its weights
        came from.

        A new head is drawn from torch's global random state; seed it first.

        Raises `UserError` where the weights are not at hand or are of no speech encoder.
        """
        from transformers import AutoModelForCTC

        same = _has_symbols(options, entry, processor)
        model, source = make_model(
            AutoModelForCTC, options.model, entry, "CTC head", task.model_config(), same_head=same
        )
        freeze_front(model, options.freeze_feature_encoder)
        return model, source


NETWORK = PretrainedCtc()
