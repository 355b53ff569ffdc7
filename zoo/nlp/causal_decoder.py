"""The network of gpt_lm: a decoder out of transformers, new or pretrained, that writes texts."""

from typing import TYPE_CHECKING, Any

from tasks.bounds import must_be_multiple
from tasks.errors import UserError
from tasks.nlp import chats
from zoo.generation.network import PromptWriter
from zoo.model import own_weights
from zoo.model.loading import (
    Unreadable,
    load_config,
    load_pretrained,
    load_tokenizer,
)
from zoo.model.network import Network
from zoo.nlp import chat_tokenizer
from zoo.nlp.call_hooks import Call, add_hook, without_cache
from zoo.nlp.trained_tokenizer import END, texts_of, train_lossless_tokenizer
from zoo.store import pretrained

if TYPE_CHECKING:
    from pathlib import Path

    import datasets
    from torch import nn

    from tasks.base import Task, Tensors
    from zoo.nlp.gpt_lm import Options
    from zoo.runtimes.stages import Stage

FALLBACK_LENGTH = 1024
"""Tokens that a decoder sees at once where its configuration does not say."""
NEW_TOKENS = 128
"""Tokens that plain transformers writes, where nothing else is asked for."""


class CausalDecoder(Network):
    """A decoder of transformers with the head that tells the next token."""

    auto_class = "AutoModelForCausalLM"
    quantization_methods = ("static", "weight-only")
    load_processor = staticmethod(load_tokenizer)

    def make_processor(
        self, options: "Options", task: Any, splits: "datasets.DatasetDict", entry: Any
    ) -> Any:
        """Return a tokenizer trained on the texts of the training split, or the one of the weights;
        for chats with a chat template.

        Raises `UserError` for options that make no network, weights that are not at hand, or a
        tokenizer that is slow, knows more tokens than the weights do, or can't write chats.
        """
        if options.model == pretrained.NEW:
            must_be_multiple(options, "hidden_size", "num_heads")
            size, longest = options.vocab_size, options.token_limit
            read = chats.contents_of if task.form == "chats" else texts_of
            texts = read(splits["train"])
            made = train_lossless_tokenizer(texts, options.tokenizer, size, longest)
            return chat_tokenizer.prepare(made, options, task.form)
        folder = pretrained.find(options.model, entry.presets).folder
        tokenizer = load_tokenizer(folder)
        if not tokenizer.is_fast:
            raise UserError(
                f"{options.model} has no fast tokenizer (tokenizer.json), which is needed"
            )
        known = getattr(load_config(folder), "vocab_size", None) or 0
        if len(tokenizer) > known:
            raise UserError(
                f"the tokenizer of {options.model} has {len(tokenizer):,} tokens, and its weights "
                f"know {known:,}: take weights and tokenizer from one place"
            )
        return chat_tokenizer.prepare(tokenizer, options, task.form)

    def max_length(self, options: "Options", processor: Any, entry: Any) -> int:
        """Return the most tokens that the model sees at once."""
        if options.model == pretrained.NEW:
            return options.token_limit
        return _context(load_config(pretrained.find(options.model, entry.presets).folder))

    def options_of_weights(self, options: "Options", processor: Any, entry: Any) -> dict[str, Any]:
        """Return the shape of the weights that the options name, by the names of the options."""
        if options.model == pretrained.NEW:
            return {}
        config = load_config(pretrained.find(options.model, entry.presets).folder)
        found = {
            "tokenizer": "char" if {END, "<0x00>"} <= processor.get_vocab().keys() else "bpe",
            "vocab_size": len(processor),
            "hidden_size": getattr(config, "hidden_size", None),
            "num_layers": getattr(config, "num_hidden_layers", None),
            "num_heads": getattr(config, "num_attention_heads", None),
            "token_limit": _context(config),
        }
        return {name: value for name, value in found.items() if value is not None}

    def build(
        self, options: "Options", task: "Task", processor: Any, entry: Any
    ) -> "tuple[nn.Module, dict[str, Any]]":
        """Return the model in fp32, and where its weights came from.

        New weights are drawn from torch's global random state; seed it first. Raises `UserError`
        where the weights are not at hand or are of no decoder.
        """
        from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

        if options.model == pretrained.NEW:
            config = GPT2Config(
                vocab_size=len(processor),
                n_positions=options.token_limit,
                n_embd=options.hidden_size,
                n_layer=options.num_layers,
                n_head=options.num_heads,
                activation_function="gelu_pytorch_tanh",  # as gelu_new, and one operator
                resid_pdrop=0.0,
                embd_pdrop=0.0,
                attn_pdrop=0.0,
                bos_token_id=processor.bos_token_id,
                eos_token_id=processor.eos_token_id,
                pad_token_id=processor.pad_token_id,
            )
            model = GPT2LMHeadModel(config)
            model.generation_config.max_new_tokens = NEW_TOKENS
            _end_at(model, task, processor)
            add_hook(model, without_cache)
            return model, {"model": None, "license": None}
        found = pretrained.find(options.model, entry.presets)
        try:
            model = load_pretrained(AutoModelForCausalLM, found.folder)
        except Unreadable as error:
            raise UserError(
                f"{options.model} can't write texts in transformers: {error.reason}"
            ) from None
        _must_look_back(model, options.model)
        own_weights.tell(options.model, model, [])
        chat_tokenizer.make_room(model, processor, options.model)
        _end_at(model, task, processor)
        add_hook(model, without_cache)
        return model, found.source(options.model)

    def optimize_training(self, model: Any, train: Any) -> None:
        """Replace dropout by a faster one, and leave out masks of padding, in place."""
        super().optimize_training(model, train)
        add_hook(model, _without_padding_mask)

    def packing_fault(self, model: Any) -> str | None:
        """Return why documents can't be packed in one row, as the end of a sentence; None if they
        can."""
        config = model.config
        if config.model_type != "gpt2":
            return f"it is made for gpt2, and this is {config.model_type}"
        if config._attn_implementation != "sdpa":
            return f"its attention is {config._attn_implementation}, and not sdpa"
        return None

    def stages(self, model: Any, example: "Tensors") -> "dict[str, Stage]":
        """Return the one program with a cache that it is exported as (`Network.stages`)."""
        from zoo.nlp.causal_export import causal_stages

        return causal_stages(model, example, _context(model.config))

    def load(self, folder: "Path") -> "tuple[nn.Module, Any]":
        """Return model and processor of a checkpoint (`Network.load`); the model has `write`, a
        `tasks.writes.WritesTokens`."""
        model: Any
        model, tokenizer = super().load(folder)
        add_hook(model, without_cache)
        model.write = PromptWriter(model, _context(model.config))
        return model, tokenizer


def _must_look_back(model: Any, name: str) -> None:
    """Raise `UserError` where a token sees those behind it, as in an encoder that transformers
    takes for a decoder."""
    import torch

    training = model.training
    model.eval()
    with torch.no_grad():
        one, other = model(input_ids=torch.tensor([[0, 1], [0, 2]])).logits[:, 0]
    model.train(training)
    if not torch.allclose(one, other, rtol=1e-3, atol=1e-3 * float(one.abs().max())):
        raise UserError(
            f"the tokens of {name} see those behind them, so it can't learn to go on with a text: "
            "take a decoder"
        )


def _end_at(model: Any, task: Any, processor: Any) -> None:
    """Let plain transformers end a text where the task does."""
    ends = sorted({task.end, processor.eos_token_id})
    model.generation_config.eos_token_id = ends[0] if len(ends) == 1 else ends


def _context(config: Any) -> int:
    """Return the most tokens that a model with a configuration sees at once."""
    found = getattr(config, "max_position_embeddings", None)
    return found if isinstance(found, int) and found > 0 else FALLBACK_LENGTH


def _without_padding_mask(
    module: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> Call | None:
    """Drop the mask of a batch in training, which is padded on the right: no token sees what is
    behind it, and without a mask attention has a faster kernel."""
    mask = keywords.get("attention_mask")
    if not module.training or mask is None or mask.ndim != 2:
        return None
    return arguments, {**keywords, "attention_mask": None}


NETWORK = CausalDecoder()
