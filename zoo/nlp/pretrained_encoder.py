"""A pretrained encoder out of transformers with a new head for the task: the network of bert_cls,
and with another head of bert_tok."""

from typing import TYPE_CHECKING, Any

from tasks.errors import UserError
from zoo.model.loading import (
    Unreadable,
    load_config,
    load_tokenizer,
    new_model,
)
from zoo.model.network import Network
from zoo.model.own_weights import load_for_labels
from zoo.nlp import encoder_fit
from zoo.store import pretrained

if TYPE_CHECKING:
    from pathlib import Path

    import datasets
    from torch import nn

    from tasks.base import Task


class PretrainedEncoder(Network):
    """An encoder of transformers with a classification head, or the head of a subclass."""

    auto_class = "AutoModelForSequenceClassification"
    head = "classification head"
    """What error messages call it."""
    load_processor = staticmethod(load_tokenizer)
    quantization_methods = ("dynamic", "static")

    def make_processor(
        self, options: Any, task: "Task", splits: "datasets.DatasetDict", entry: Any
    ) -> Any:
        """Return the tokenizer that belongs to the weights, with a padding token.

        Raises `UserError` where the weights are not at hand or lie there without it.
        """
        found = pretrained.find(options.model, entry.presets)
        tokenizer = load_tokenizer(found.folder)
        if not tokenizer.is_fast:
            raise UserError(
                f"{options.model} has no fast tokenizer (tokenizer.json), which is needed"
            )
        encoder_fit.prepare_tokenizer(tokenizer, load_config(found.folder))
        return tokenizer

    def max_length(self, options: Any, processor: Any, entry: Any) -> int:
        """Return the longest input of the model in tokens."""
        found = pretrained.find(options.model, entry.presets)
        config = load_config(found.folder)
        encoder_fit.prepare_config(config, processor)
        return encoder_fit.longest(config, processor)

    def build(
        self, options: Any, task: "Task", processor: Any, entry: Any
    ) -> tuple["nn.Module", dict[str, Any]]:
        """Return the model in fp32 with a new head, and where its weights came from.

        The head (or all, `from_scratch`) is drawn from torch's global random state; seed it first.

        Raises `UserError` where the weights are not at hand or are of no encoder with such a head.
        """
        import transformers

        kind = getattr(transformers, self.auto_class)
        found = pretrained.find(options.model, entry.presets)
        config = load_config(found.folder, **task.model_config())
        encoder_fit.prepare_config(config, processor)
        try:
            if options.from_scratch:
                new = new_model(kind, config)
                encoder_fit.fit(new, processor, options.model)
                return new, {"model": None, "license": None, "shape": options.model}
            model = load_for_labels(kind, found.folder, options.model, config=config)
        except Unreadable as error:
            raise UserError(
                f"{options.model} has no {self.head} in transformers: {error.reason}"
            ) from None
        encoder_fit.fit(model, processor, options.model)
        return model, found.source(options.model)

    def optimize_training(self, model: Any, train: Any) -> None:
        """Replace encoder code by faster code in place; the embedding is reduced to the tokens of
        `train`."""
        from zoo.speedups.fast_encoder import speed_up as speed_up_encoder

        speed_up_encoder(model, None if train is None else train.used_ids())

    def packing_fault(self, model: Any) -> str | None:
        """Return why samples can't be packed in one row, as the end of a sentence; None if they
        can."""
        from zoo.speedups import packed_encoder

        return packed_encoder.fault(model)

    def load(self, folder: "Path") -> tuple["nn.Module", Any]:
        """Return model and processor of a checkpoint (`Network.load`), made fit for autocast."""
        model, tokenizer = super().load(folder)
        encoder_fit.allow_autocast(model)
        return model, tokenizer


NETWORK = PretrainedEncoder()
