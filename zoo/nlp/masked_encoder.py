"""The network of bert_mlm: a masked language model out of transformers, new or pretrained."""

from typing import TYPE_CHECKING, Any

from tasks.bounds import must_be_multiple
from tasks.errors import UserError
from zoo.model import own_weights
from zoo.model.loading import Unreadable, load_config, load_with_head
from zoo.nlp import encoder_fit
from zoo.nlp.masked_positions_only import compute_only_predicted
from zoo.nlp.pretrained_encoder import PretrainedEncoder
from zoo.nlp.trained_tokenizer import texts_of, train_tokenizer
from zoo.store import pretrained

if TYPE_CHECKING:
    from pathlib import Path

    import datasets
    from torch import nn

    from tasks.base import Task
    from zoo.nlp.bert_mlm import Options


class MaskedEncoder(PretrainedEncoder):
    """An encoder with a masked language modelling head, new or pretrained with transformers."""

    auto_class = "AutoModelForMaskedLM"

    def make_processor(
        self, options: "Options", task: "Task", splits: "datasets.DatasetDict", entry: Any
    ) -> Any:
        """Return a tokenizer trained on the texts of the training split, or the one of the weights.

        Raises `UserError` for options that make no network, or a tokenizer that can't be saved.
        """
        if options.model == pretrained.NEW:
            must_be_multiple(options, "hidden_size", "num_heads")
            return train_tokenizer(
                texts_of(splits["train"]),
                "bpe",
                options.vocab_size,
                options.lowercase,
                options.token_limit,
                masked=True,
            )
        return super().make_processor(options, task, splits, entry)

    def max_length(self, options: "Options", processor: Any, entry: Any) -> int:
        """Return the longest input of the model in tokens."""
        if options.model == pretrained.NEW:
            return options.token_limit
        return super().max_length(options, processor, entry)

    def build(
        self, options: "Options", task: "Task", processor: Any, entry: Any
    ) -> tuple["nn.Module", dict[str, Any]]:
        """Return the model in fp32, and where its weights came from.

        New weights are drawn from torch's global random state; seed it first. Raises `UserError`
        where the weights are not at hand or are of no encoder that can guess tokens.
        """
        from transformers import AutoModelForMaskedLM, BertConfig, BertForMaskedLM

        if options.model == pretrained.NEW:
            config = BertConfig(
                vocab_size=len(processor),
                hidden_size=options.hidden_size,
                num_hidden_layers=options.num_layers,
                num_attention_heads=options.num_heads,
                intermediate_size=4 * options.hidden_size,
                max_position_embeddings=options.token_limit,
                pad_token_id=processor.pad_token_id,
            )
            model = BertForMaskedLM(config)
            compute_only_predicted(model)
            return model, {"model": None, "license": None}
        found = pretrained.find(options.model, entry.presets)
        config = load_config(found.folder)
        encoder_fit.prepare_config(config, processor)
        try:
            model, drawn = load_with_head(AutoModelForMaskedLM, found.folder, config=config)
        except Unreadable as error:
            raise UserError(
                f"{options.model} can't guess tokens in transformers: {error.reason}"
            ) from None
        own_weights.tell(options.model, model, drawn)
        encoder_fit.fit(model, processor, options.model)
        compute_only_predicted(model)
        return model, found.source(options.model)

    def optimize_training(self, model: Any, train: Any) -> None:
        """Replace encoder code by faster code in place; the embedding stays whole, since it is also
        the output layer."""
        from zoo.speedups.fast_encoder import speed_up_layers

        speed_up_layers(model)

    def load(self, folder: "Path") -> tuple["nn.Module", Any]:
        """Return model and processor of a checkpoint (`Network.load`); the head computes logits of
        masked tokens only."""
        model, tokenizer = super().load(folder)
        compute_only_predicted(model)
        return model, tokenizer


NETWORK = MaskedEncoder()
