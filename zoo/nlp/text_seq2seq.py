"""The network of t5_seq2seq: an encoder and decoder out of transformers, new or pretrained, that
writes one text from another."""

import sys
from typing import TYPE_CHECKING, Any

from tasks.bounds import must_be_multiple
from tasks.errors import UserError
from tasks.printing import print_lines
from zoo.generation.network import NetworkTargetWriter
from zoo.model import own_weights
from zoo.model.loading import (
    Unreadable,
    load_config,
    load_pretrained,
    load_tokenizer,
)
from zoo.model.network import Network
from zoo.nlp.call_hooks import add_hook, without_cache
from zoo.nlp.trained_tokenizer import texts_of, train_pair_tokenizer
from zoo.store import pretrained

if TYPE_CHECKING:
    from pathlib import Path

    import datasets
    from torch import nn

    from tasks.base import Task, Tensors
    from zoo.nlp.t5_seq2seq import Options
    from zoo.runtimes.stages import Stage

KINDS = ("t5", "mt5", "umt5", "bart", "marian", "pegasus")
"""Types of transformers whose decoders begin behind one token, whatever the languages."""
UNLIMITED = 4096
"""Tokens that a network with relative positions takes, which know no limit."""
DROPOUT = 0.1
"""Of new weights, unless another one is asked for (`dropout`)."""
SETTLED = """
bad_words_ids bos_token_id decoder_start_token_id eos_token_id forced_bos_token_id
forced_eos_token_id max_length max_new_tokens pad_token_id suppress_tokens transformers_version
use_cache
"""
"""Settings of a generation config that are followed, make no difference, or are those of the
task."""


class TextSeq2Seq(Network):
    """An encoder-decoder of transformers."""

    auto_class = "AutoModelForSeq2SeqLM"
    quantization_methods = ("weight-only",)
    load_processor = staticmethod(load_tokenizer)

    def make_processor(
        self, options: "Options", task: "Task", splits: "datasets.DatasetDict", entry: Any
    ) -> Any:
        """Return a tokenizer trained on sources and targets of the training split, or the one of
        the weights.

        Raises `UserError` for options that make no network, weights that are not at hand or of a
        kind that is not known, or a tokenizer that is slow or knows more tokens than the weights.
        """
        if options.model == pretrained.NEW:
            must_be_multiple(options, "hidden_size", "num_heads")
            texts = texts_of(splits["train"])
            tokenizer = train_pair_tokenizer(texts, options.vocab_size, UNLIMITED)
            return _beginning(tokenizer, tokenizer.pad_token_id)
        folder = pretrained.find(options.model, entry.presets).folder
        config = load_config(folder)
        if config.model_type not in KINDS:
            raise UserError(
                f"{options.model} is of the type {config.model_type}, and those that write a text "
                f"from a text here are {', '.join(KINDS)}"
            )
        tokenizer = load_tokenizer(folder)
        if not tokenizer.is_fast:
            raise UserError(
                f"{options.model} has no fast tokenizer (tokenizer.json), which is needed"
            )
        if len(tokenizer) > config.vocab_size:
            raise UserError(
                f"the tokenizer of {options.model} has {len(tokenizer):,} tokens, and its weights "
                f"know {config.vocab_size:,}: take weights and tokenizer from one place"
            )
        return _beginning(tokenizer, config.decoder_start_token_id)

    def max_length(self, options: "Options", processor: Any, entry: Any) -> int:
        """Return the most tokens that the model takes, of a source or of a target."""
        if options.model == pretrained.NEW:
            return UNLIMITED
        config = load_config(pretrained.find(options.model, entry.presets).folder)
        return _places(config) or UNLIMITED

    def options_of_weights(self, options: "Options", processor: Any, entry: Any) -> dict[str, Any]:
        """Return the shape of the weights that the options name, by the names of the options."""
        if options.model == pretrained.NEW:
            return {}
        config = load_config(pretrained.find(options.model, entry.presets).folder)
        is_t5 = hasattr(config, "d_kv")
        return {
            "vocab_size": len(processor),
            "hidden_size": config.d_model,
            "feed_forward_size": config.d_ff if is_t5 else config.encoder_ffn_dim,
            "num_layers": config.num_layers if is_t5 else config.encoder_layers,
            "num_decoder_layers": config.num_decoder_layers if is_t5 else config.decoder_layers,
            "num_heads": config.num_heads if is_t5 else config.encoder_attention_heads,
        }

    def build(
        self, options: "Options", task: Any, processor: Any, entry: Any
    ) -> "tuple[nn.Module, dict[str, Any]]":
        """Return the model in fp32, and where its weights came from.

        New weights are drawn from torch's global random state; seed it first. Raises `UserError`
        where the weights are not at hand or are of no encoder and decoder.
        """
        from transformers import AutoModelForSeq2SeqLM, T5ForConditionalGeneration

        if options.model == pretrained.NEW:
            model: Any = T5ForConditionalGeneration(_config(options, processor))
            _without_attention_dropout(model)
            source: dict[str, Any] = {"model": None, "license": None}
        else:
            found = pretrained.find(options.model, entry.presets)
            try:
                model = load_pretrained(AutoModelForSeq2SeqLM, found.folder)
            except Unreadable as error:
                raise UserError(
                    f"{options.model} can't write a text from a text in transformers: "
                    f"{error.reason}"
                ) from None
            own_weights.tell(options.model, model, [])
            _tell_left_out(options.model, model.generation_config)
            source = found.source(options.model)
        _settle_generation(model, task)
        return _writing(model), source

    def prepare_training(self, model: Any, options: Any) -> None:
        """Make a checkpoint's model train as one that `build` gives, in place."""
        if options.model == pretrained.NEW:
            _without_attention_dropout(model)

    def stages(self, model: Any, example: "Tensors") -> "dict[str, Stage]":
        """Return the encoder and the decoder that it is exported as (`Network.stages`)."""
        from zoo.runtimes.encoder_decoder_export import encoder_decoder_stages

        return encoder_decoder_stages(model, example, _places(model.config))

    def load(self, folder: "Path") -> "tuple[nn.Module, Any]":
        """Return model and processor of a checkpoint (`Network.load`); the model has
        `write_targets`, a `tasks.writes.WritesTargets`."""
        model: Any
        model, tokenizer = super().load(folder)
        return _writing(model), _beginning(tokenizer, model.config.decoder_start_token_id)


def _writing(model: Any) -> Any:
    """Return a model that has `write_targets`, and keeps no keys and values where nobody asks."""
    add_hook(model, without_cache)
    model.write_targets = NetworkTargetWriter(model)
    return model


def _beginning(tokenizer: Any, start: int | None) -> Any:
    """Return a tokenizer that says what a decoder begins behind, as `Seq2Seq.bind_for_training`
    reads it. Raises `UserError` where the configuration does not say."""
    if start is None:
        raise UserError(
            "the configuration of these weights has no decoder_start_token_id, so nothing says "
            "what a text begins behind: set it in config.json"
        )
    tokenizer.decoder_start = start
    return tokenizer


def _places(config: Any) -> int | None:
    """Return the most tokens that a network with a configuration has places for; None: any
    number."""
    found = getattr(config, "max_position_embeddings", None)
    return int(found) if found else None


def _config(options: "Options", tokenizer: Any) -> Any:
    """Return the configuration of new weights, in the shape of T5."""
    from transformers import T5Config

    size = options.hidden_size
    return T5Config(
        vocab_size=len(tokenizer),
        d_model=size,
        d_kv=size // options.num_heads,
        d_ff=options.feed_forward_size or 4 * size,
        num_layers=options.num_layers,
        num_decoder_layers=options.num_decoder_layers or options.num_layers,
        num_heads=options.num_heads,
        dropout_rate=DROPOUT,
        feed_forward_proj="relu",
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
    )


def _settle_generation(model: Any, task: Any) -> None:
    """Let plain transformers write as the task does: as long, with as many beams, drawing
    nothing."""
    from transformers import GenerationConfig

    before, config = model.generation_config, model.config
    start = before.decoder_start_token_id
    model.generation_config = GenerationConfig(
        decoder_start_token_id=config.decoder_start_token_id if start is None else start,
        eos_token_id=before.eos_token_id if before.eos_token_id is not None else task.end,
        pad_token_id=before.pad_token_id if before.pad_token_id is not None else task.pad_token_id,
        bos_token_id=before.bos_token_id,
        forced_bos_token_id=before.forced_bos_token_id,
        suppress_tokens=None if task.pad_token_id == task.end else [task.pad_token_id],
        max_new_tokens=task.longest_text,
        num_beams=task.args.num_beams,
    )


def _tell_left_out(name: str, config: Any) -> None:
    """Say which settings of a generation config are not followed."""
    given = config.to_diff_dict()
    left = [
        f"{key} {value}"
        for key, value in given.items()
        if value and key not in SETTLED.split() and not key.startswith("_")  # transformers' own
    ]
    if left and own_weights.is_first():
        print_lines(
            f"note: {name} asks for {', '.join(left)} where it writes, which is left out",
            file=sys.stderr,
        )


def _without_attention_dropout(model: Any) -> None:
    """Drop no attention weights in training, in place: for that the CPU has no fast kernel."""
    for module in model.modules():
        if type(module).__name__.endswith("Attention") and isinstance(
            getattr(module, "dropout", None), float
        ):
            module.dropout = 0.0


NETWORK = TextSeq2Seq()
