"""A network of transformers that generates token by token, with its keys and values kept."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tasks.errors import UserError
from zoo.generation.decoding import Decoding, SpecialTokens, from_config
from zoo.generation.growing_cache import GrowingLayer, let_grow
from zoo.generation.session import Ids, Session
from zoo.generation.target_writer import TargetWriter
from zoo.generation.writer import TokenWriter
from zoo.machine.memory import available_memory


class NetworkDecoder:
    """A PyTorch network as a `zoo.generation.session.Generative`.

    An encoder-decoder is given the inputs of its encoder, with an `attention_mask` where it takes
    one; a decoder `input_ids` int64 [rows, n] and, where rows are padded on the left,
    `attention_mask` int64 [rows, n].
    """

    def __init__(self, model: Any, special_tokens: SpecialTokens, decoding: Decoding) -> None:
        """Take a model in eval mode that has transformers' `forward` with `past_key_values`."""
        self.model, self.special_tokens, self.decoding = model, special_tokens, decoding
        self.arguments = frozenset(inspect.signature(model.forward).parameters)

    @classmethod
    def of(cls, model: Any) -> "NetworkDecoder":
        """Return a decoder for a network that follows the network's own generation config.

        Raises `UserError` if the config needs more than greedy decoding in one language.
        """
        config = model.generation_config.to_diff_dict()
        where = f"the generation config of {type(model).__name__}"
        return cls(model, *from_config(config, where, model.config.is_encoder_decoder))

    def start(self, inputs: Mapping[str, Any]) -> Session:
        """Start a session from prompts or encoder inputs, arrays or tensors
        (`Generative.start`)."""
        device = self.model.device
        inputs = {name: torch.as_tensor(each, device=device) for name, each in inputs.items()}
        rows = len(next(iter(inputs.values())))
        state: dict[str, Any] = {"past_key_values": None}
        if "attention_mask" in inputs:
            state["attention_mask"] = inputs["attention_mask"]
        if self.model.config.is_encoder_decoder:
            with torch.inference_mode():
                state["encoder_outputs"] = self.model.get_encoder()(**inputs, return_dict=True)
            prompt = torch.tensor(self.special_tokens.prefix).repeat(rows, 1)
        else:
            prompt = inputs["input_ids"]
            state.setdefault("attention_mask", torch.ones_like(prompt))
        session = Session(None, state)
        # only the last one's logits, where the network can be told
        few = {"logits_to_keep": 1} if "logits_to_keep" in self.arguments else {}
        session.logits = _array(self._forward(session, prompt, **few)[:, -1])
        let_grow(state["past_key_values"])
        return session

    def step(self, session: Session, tokens: Ids) -> Any:
        """Return the logits of the next tokens of a session (`Generative.step`)."""
        state = session.state
        if not self.model.config.is_encoder_decoder:
            mask = state["attention_mask"]
            state["attention_mask"] = torch.cat([mask, mask.new_ones(tokens.shape)], 1)
        return _array(self._forward(session, torch.from_numpy(tokens)))

    def reorder(self, session: Session, rows: Ids) -> None:
        """Rearrange the rows of a session and its cache (`Generative.reorder`)."""
        which, state = torch.from_numpy(rows).to(self.model.device), session.state
        with torch.inference_mode():
            state["past_key_values"].reorder_cache(which)
            if "attention_mask" in state:
                state["attention_mask"] = state["attention_mask"].index_select(0, which)
            for name, value in state.get("encoder_outputs", {}).items():
                if isinstance(value, Tensor):
                    state["encoder_outputs"][name] = value.index_select(0, which)
        if not self.model.config.is_encoder_decoder:
            _cut(state, int(state["attention_mask"].long().argmax(1).min()))

    def join(self, session: Session, other: Session) -> None:
        """Add the rows of another session, of a decoder (`Generative.join`).

        Raises `UserError` where a layer keeps less than all keys and values, as with a sliding
        window.
        """
        assert not self.model.config.is_encoder_decoder, "its encoder's outputs can't be joined yet"
        states = session.state, other.state
        width = max(state["attention_mask"].shape[1] for state in states)
        with torch.inference_mode():
            for state in states:
                _pad(state, width - state["attention_mask"].shape[1])
            masks = [state["attention_mask"] for state in states]
            session.state["attention_mask"] = torch.cat(masks)
            for mine, its in zip(*map(_layers, states), strict=True):
                mine.keys = torch.cat([mine.keys, its.keys])
                mine.values = torch.cat([mine.values, its.values])

    def rewind(self, session: Session, counts: Ids) -> None:
        """Take back the last tokens of each row of a decoder's session
        (`zoo.generation.speculative.Rewinding`).

        What all rows take back is cut off the cache; what only some do goes to the front, as
        padding: between tokens it would take the place of one, where attention counts columns, as
        local attention and ALiBi do.

        Raises `UserError` for a network whose cache is more than a row of keys and values.
        """
        state, common = session.state, int(counts.min())
        cache, mask = state["past_key_values"], state["attention_mask"]
        if any(type(layer) is not GrowingLayer for layer in cache.layers):
            raise UserError(
                f"`draft`: {self.model.config.model_type} keeps more of its tokens than keys and "
                "values, and can't take one back"
            )
        cache.crop(-common)
        state["attention_mask"] = mask = mask[:, : mask.shape[1] - common]
        rest = torch.from_numpy(counts - common).to(mask.device)[:, None]
        if not rest.any():
            return
        places = torch.arange(mask.shape[1], device=mask.device)
        sources = (places - rest) % mask.shape[1]  # int64 [rows, columns]
        with torch.inference_mode():
            state["attention_mask"] = mask.take_along_dim(sources, 1) * (places >= rest)
            for layer in cache.layers:
                columns = sources[:, None, :, None].to(layer.keys.device)
                layer.keys.copy_(layer.keys.take_along_dim(columns, 2))
                layer.values.copy_(layer.values.take_along_dim(columns, 2))

    def _forward(self, session: Session, tokens: Tensor, **more: Any) -> Tensor:
        tokens = tokens.to(self.model.device)
        if self.model.config.is_encoder_decoder:
            given = {"decoder_input_ids": tokens}
        else:
            given = {"input_ids": tokens}
            if "position_ids" in self.arguments:
                given["position_ids"] = self._places(session)[:, -tokens.shape[1] :]
        with torch.inference_mode():
            found = self.model(**given, **session.state, **more, use_cache=True, return_dict=True)
        session.state["past_key_values"] = found.past_key_values
        logits: Tensor = found.logits.float()
        return logits

    def _places(self, session: Session) -> Tensor:
        """Return the position of every token so far, int64 [rows, n]; 0 where there is padding."""
        mask: Tensor = session.state["attention_mask"]
        return (mask.long().cumsum(-1) - 1).masked_fill(mask == 0, 0)


class PromptWriter(TokenWriter):
    """Goes on with prompts by a network that keeps keys and values."""

    def __init__(self, model: Any, context: int) -> None:
        """Take a decoder in eval mode, and the most tokens that it sees at once."""
        super().__init__(context)
        self.model = model

    def own_config(self) -> dict[str, Any]:
        """Return the fields of the network's generation config that differ from the usual ones."""
        config: dict[str, Any] = self.model.generation_config.to_diff_dict()
        return config

    def make_runner(self, special_tokens: SpecialTokens, decoding: Decoding) -> "_WithinContext":
        """Return what generates, with these special tokens; see `TokenWriter`."""
        return _WithinContext(self.model, special_tokens, decoding, self.context)

    def cache_bytes(self, session: Session) -> int:
        """Return the bytes of a session's keys and values.

        Raises `UserError` where a layer keeps less than all of them.
        """
        layers = _layers(session.state)
        return sum(one.keys.nbytes + one.values.nbytes for one in layers)

    def available_memory(self) -> int:
        """Return how many bytes are free on the model's device."""
        return available_memory(self.model.device)


class NetworkTargetWriter(TargetWriter):
    """Writes texts from sources by a network that keeps keys and values."""

    def __init__(self, model: Any) -> None:
        """Take an encoder-decoder of transformers."""
        self.model = model

    def own_config(self) -> dict[str, Any]:
        """Return the fields of the network's generation config that differ from the usual ones."""
        config: dict[str, Any] = self.model.generation_config.to_diff_dict()
        return config

    def make_runner(self, special_tokens: SpecialTokens, decoding: Decoding) -> NetworkDecoder:
        """Return what generates, with these special tokens; see `TargetWriter`."""
        return NetworkDecoder(self.model, special_tokens, decoding)


class _WithinContext(NetworkDecoder):
    """A decoder with learned positions, whose rows may end at different steps: one that has ended
    is computed beside the others, and nobody reads what comes of it beyond the last position."""

    def __init__(
        self, model: Any, special_tokens: SpecialTokens, decoding: Decoding, context: int
    ) -> None:
        super().__init__(model, special_tokens, decoding)
        self.context = context

    def _places(self, session: Session) -> Tensor:
        return super()._places(session).clamp(max=self.context - 1)


def _layers(state: Mapping[str, Any]) -> list[Any]:
    """Return the layers of a cache, each with `keys` and `values` [rows, heads, n, size].

    Raises `UserError` where one keeps less than all of them.
    """
    layers: list[Any] = state["past_key_values"].layers
    if other := next((type(one) for one in layers if type(one) is not GrowingLayer), None):
        raise UserError(
            f"this model keeps a {other.__name__} of keys and values, whose rows can't be joined"
        )
    return layers


def _pad(state: dict[str, Any], columns: int) -> None:
    """Put so many columns of padding before those of a session."""
    if not columns:
        return
    state["attention_mask"] = functional.pad(state["attention_mask"], (columns, 0))
    for layer in _layers(state):
        layer.keys = functional.pad(layer.keys, (0, 0, columns, 0))
        layer.values = functional.pad(layer.values, (0, 0, columns, 0))


def _cut(state: dict[str, Any], columns: int) -> None:
    """Drop so many columns of a session, the first ones; a cache of another kind keeps them."""
    layers = state["past_key_values"].layers
    if not columns or any(type(layer) is not GrowingLayer for layer in layers):
        return
    state["attention_mask"] = state["attention_mask"][:, columns:]
    for layer in layers:
        layer.keys, layer.values = layer.keys[:, :, columns:], layer.values[:, :, columns:]


def _array(logits: Tensor) -> Any:
    return logits.numpy() if logits.device.type == "cpu" else logits
