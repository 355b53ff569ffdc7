"""What a pretrained encoder and its tokenizer must agree on: padding, the vocabulary, the length.

Folders in the wild do not: a configuration without a padding id, tokens that were added to the
tokenizer alone, positions that begin behind the padding's, a stated length of -1 or 10^30.
"""

import sys
from typing import Any

import torch
from torch import Tensor, nn

from tasks.errors import UserError, foreign
from tasks.printing import print_lines
from zoo.model.loading import Unreadable, new_model

FALLBACK_LENGTH = 512  # where neither model nor tokenizer states a limit
UNLIMITED = 10**6  # transformers writes 10^30 for a tokenizer that states no length
PADS = 3  # tokens of padding that must not move a result
TOLERANCE = 1e-2  # of the largest logit: padding that leaks moves it more, rounding never does


def prepare_tokenizer(tokenizer: Any, config: Any) -> None:
    """Give a tokenizer, in place, a padding token and the side on which its encoder needs padding.

    A padding token, where it has none: the configuration's where that is a special token, else its
    end of text. The side to pad on: the right, but where the last position is read as the result.
    """
    tokenizer.padding_side = "left" if getattr(config, "summary_type", "") == "last" else "right"
    if getattr(config, "type_vocab_size", None) == 1 and _has_types(tokenizer):
        names = [name for name in tokenizer.model_input_names if name != "token_type_ids"]
        tokenizer.model_input_names = names  # the encoder knows one type only
    if tokenizer.pad_token_id is not None:
        return
    wanted = config.pad_token_id
    token = None if wanted is None else tokenizer.convert_ids_to_tokens(wanted)
    if token not in tokenizer.all_special_tokens:
        token = tokenizer.eos_token
    if token is not None:
        tokenizer.pad_token = token


def _has_types(tokenizer: Any) -> bool:
    return "token_type_ids" in tokenizer.model_input_names


def prepare_config(config: Any, tokenizer: Any) -> None:
    """Set the padding id of a configuration to the tokenizer's, in place, if it has none or one
    without an embedding row; call it before the model is made."""
    pad, rows = getattr(config, "pad_token_id", None), getattr(config, "vocab_size", None)
    if pad is None or (rows is not None and pad >= rows):
        own = tokenizer.pad_token_id
        config.pad_token_id = None if own is None or (rows is not None and own >= rows) else own


def fit(model: Any, tokenizer: Any, name: str) -> None:
    """Make an encoder accept every token of its tokenizer, and padding, in place.

    The embedding gets rows for tokens that were added to the tokenizer alone, with a line on
    stderr. The configuration's padding id becomes the tokenizer's, but where positions are counted
    from it: there padding of any id is as good, since it is masked.

    Args:
        name: of the weights, for the messages.

    Raises `UserError` where padding moves a result all the same.
    """
    rows = model.get_input_embeddings().weight.shape[0]
    needed = max(tokenizer.get_vocab().values(), default=0) + 1
    if needed > rows:
        model.resize_token_embeddings(needed)
        print_lines(
            f"{name}: its tokenizer has {needed - rows} tokens more than its embedding has rows; "
            "new rows were drawn for them",
            file=sys.stderr,
        )
    allow_autocast(model)
    pad = tokenizer.pad_token_id
    if pad is not None and not _positions_begin_at_padding(model):
        model.config.pad_token_id = pad
    check_padding(model, tokenizer, name)


def _position_tables(model: nn.Module) -> list[nn.Embedding]:
    return [
        module
        for name, module in model.named_modules()
        if isinstance(module, nn.Embedding) and name.endswith("position_embeddings")
    ]


def _positions_begin_at_padding(model: nn.Module) -> bool:
    return any(table.padding_idx is not None for table in _position_tables(model))


@torch.no_grad()
def check_padding(model: Any, tokenizer: Any, name: str) -> None:
    """Raise `UserError` if a text's logits, or states, depend on the padding in its batch."""
    ids = tokenizer("a text")["input_ids"] or [0]
    pad = tokenizer.pad_token_id or 0
    alone = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids)).long()}
    padding = torch.full((1, PADS), pad), torch.zeros(1, PADS, dtype=torch.long)
    pairs = zip(alone.values(), padding, strict=True)
    left = tokenizer.padding_side == "left"
    both = [torch.cat([more, own] if left else [own, more], 1) for own, more in pairs]
    # beside the same text with other words in the padding's place, as in any batch
    other = torch.cat([both[0].flip(1), both[0]])
    padded = {"input_ids": other, "attention_mask": torch.cat([torch.ones_like(both[1]), both[1]])}
    training = model.training
    model.eval()
    try:
        expected, found = _result(model(**alone))[0], _result(model(**padded))[1]
    # whatever a network of others says of such a batch
    except (ValueError, TypeError, NotImplementedError, RuntimeError, IndexError) as error:
        raise UserError(
            f"{name} can't compute a batch of padded texts: {foreign(error).splitlines()[0]}"
        ) from None
    finally:
        model.train(training)
    if found.ndim == 2:  # a row a token
        found = found[PADS:] if left else found[: len(ids)]
    if not _close(found, expected):
        raise UserError(
            f"the result of {name} for a text depends on the padding beside it, so that no batch "
            "of several texts is right: take another encoder"
        )


def _result(output: Any) -> Tensor:
    result: Tensor = output.logits if "logits" in output else output.last_hidden_state
    return result


def _close(found: Tensor, expected: Tensor) -> bool:
    scale = max(1e-3, float(expected.abs().max()))
    return bool((found - expected).abs().max() <= TOLERANCE * scale)


def allow_autocast(model: nn.Module) -> None:
    """Let attention that adds its own biases to queries (DeBERTa) compute under autocast, in place:
    fp32 biases would give fp32 queries and bf16 scores, which can't be mixed."""
    for module in model.modules():
        if hasattr(module, "q_bias") and hasattr(module, "transpose_for_scores"):
            module.transpose_for_scores = _AsAutocastComputes(module.transpose_for_scores)  # type: ignore[assignment]


class _AsAutocastComputes:
    """A callable that returns a method's result in autocast's dtype; an object, so that a copy of
    the model gets the copy's method."""

    def __init__(self, method: Any) -> None:
        self.method = method

    def __call__(self, x: Tensor) -> Tensor:
        result: Tensor = self.method(x)
        kind = result.device.type
        return (
            result.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else result
        )


def longest(config: Any, tokenizer: Any) -> int:
    """Return the longest input, in tokens, of a model with this configuration."""
    limits = [getattr(config, "max_position_embeddings", None), tokenizer.model_max_length]
    offset = _position_offset(config)
    if offset and limits[0]:
        limits[0] -= offset
    known = [limit for limit in limits if limit is not None and 0 < limit < UNLIMITED]
    return min(known, default=FALLBACK_LENGTH)


def _position_offset(config: Any) -> int:
    """Return the number of rows in the position table that no token of text uses: those up to the
    padding's."""
    from transformers import AutoModel

    try:
        with torch.device("meta"):
            model = new_model(AutoModel, config)
    except Unreadable:  # none of the kinds that have such a table
        return 0
    offsets = [t.padding_idx + 1 for t in _position_tables(model) if t.padding_idx is not None]
    return max(offsets, default=0)
