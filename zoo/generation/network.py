"""A network of transformers that generates token by token, with its keys and values kept."""

import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tasks.errors import UserError, spelled
from tasks.printing import print_lines
from zoo.generation.decoding import (
    FOLLOWED,
    KNOWN,
    Decoding,
    SpecialTokens,
    combined,
    ends_of,
    from_config,
    settings_of,
)
from zoo.generation.generate import generate
from zoo.generation.session import Ids, Session
from zoo.generation.speculative import Acceptance, speculate

OWN = "the model's generation_config.json"


class NetworkDecoder:
    """A PyTorch network as a `zoo.generation.session.Generative`; its inputs are tensors.

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
        asked = {name: value for name, value in config.items() if not name.startswith("_")}
        where = f"the generation config of {type(model).__name__}"
        return cls(model, *from_config(asked, where, model.config.is_encoder_decoder))

    def start(self, inputs: Mapping[str, Tensor]) -> Session:
        """Start a session from prompts or encoder inputs (`Generative.start`)."""
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

    def rewind(self, session: Session, counts: Ids) -> None:
        """Take back the last tokens of each row of a decoder's session
        (`zoo.generation.speculative.Rewinding`).

        What all rows take back is cut off the cache; what only some do is masked there.

        Raises `UserError` for a network whose cache is more than a row of keys and values.
        """
        state, common = session.state, int(counts.min())
        cache, mask = state["past_key_values"], state["attention_mask"]
        if any(type(layer).__name__ != "DynamicLayer" for layer in cache.layers):
            raise UserError(
                f"`draft`: {self.model.config.model_type} keeps more of its tokens than keys and "
                "values, and can't take one back"
            )
        cache.crop(-common)
        mask = mask[:, : mask.shape[1] - common]
        rest = torch.from_numpy(counts - common).to(mask.device)
        places = torch.arange(mask.shape[1], 0, -1, device=mask.device)  # 1 is the last one
        state["attention_mask"] = mask.masked_fill(places <= rest[:, None], 0)

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


class PromptWriter:
    """Goes on with prompts by a network that keeps keys and values; satisfies
    `tasks.writes.WritesTokens`."""

    def __init__(self, model: Any, context: int) -> None:
        """Take a decoder in eval mode, and the most tokens that it sees at once."""
        self.model, self.context = model, context
        self.draft: PromptWriter | None = None
        """a smaller model that guesses tokens ahead (`zoo.generation.speculative`)"""
        self.acceptance = Acceptance()
        """what came of its guesses"""
        self._is_told = False

    def __call__(
        self,
        prompts: Sequence[Sequence[int]],
        limits: Sequence[int],
        special: tuple[tuple[int, ...], int],
        ids: Sequence[int],
        settings: Mapping[str, Any],
    ) -> Iterator[Ids]:
        """Yield the next token of each prompt; see `tasks.writes.WritesTokens`.

        What the settings leave open, the model's generation config decides, and a line on standard
        error says so; the tokens that end a text there, end it too.
        """
        ends, pad = special
        config = self._own_config()
        tokens = SpecialTokens(
            eos=(*ends, *ends_of(config), pad),  # a model that pads has ended the text
            pad=pad,
            suppress_tokens=tuple(config.get("suppress_tokens", ())),
            begin_suppress_tokens=tuple(config.get("begin_suppress_tokens", ())),
        )
        decoding = self._decoding(config, settings, max(limits))
        inputs = left_padded(prompts, pad, self.model.device)
        runner = _WithinContext(self.model, tokens, decoding, self.context)
        if self.draft is None:
            columns = generate(runner, inputs, decoding, ids, limits)
        else:
            if decoding.num_beams > 1:
                raise UserError(
                    f"`draft` guesses one text, and `num_beams` {decoding.num_beams} are several: "
                    "leave one of them away"
                )
            draft = _WithinContext(self.draft.model, tokens, decoding, self.draft.context)
            columns = speculate(runner, draft, inputs, decoding, ids, limits, self.acceptance)
        for column in columns:
            yield np.where(np.isin(column, tokens.eos), -1, column)

    def _own_config(self) -> dict[str, Any]:
        config: dict[str, Any] = self.model.generation_config.to_diff_dict()
        return {
            name: value
            for name, value in config.items()
            if value is not None and value is not False and not name.startswith("_")
        }

    def _decoding(
        self, config: Mapping[str, Any], settings: Mapping[str, Any], longest: int
    ) -> Decoding:
        """Return how tokens are chosen, and say once what of it the model's config decides."""
        own = settings_of(config)
        asked = combined(own, settings)
        if not self._is_told:
            self._is_told = True
            followed = {name: own[name] for name in own if name in asked and name not in settings}
            strange = {name: config[name] for name in sorted(set(config) - KNOWN - FOLLOWED)}
            if followed:
                likeliest = "; `temperature` 0 takes the likeliest token"
                _tell(f"as {OWN} says: {_shown(followed)}" + likeliest * ("do_sample" in followed))
            if strange:
                _tell(f"{OWN} asks for {_shown(strange)}, which is not known here: not followed")
        if "min_new_tokens" in asked:  # the context may leave less room than is asked for
            asked["min_new_tokens"] = min(asked["min_new_tokens"], longest)
        return Decoding(max_new_tokens=longest, **asked)


def _tell(line: str) -> None:
    print_lines(spelled(line), file=sys.stderr)


def _shown(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())


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


def left_padded(prompts: Sequence[Sequence[int]], pad: int, device: Any) -> dict[str, Tensor]:
    """Return input_ids and attention_mask int64 [prompts, n] of prompts, each at the end of its
    row: what follows then stands in one column for all."""
    longest = max(map(len, prompts))
    ids = torch.full((len(prompts), longest), pad)
    mask = torch.zeros_like(ids)
    for i, prompt in enumerate(prompts):
        ids[i, longest - len(prompt) :] = torch.tensor(prompt)
        mask[i, longest - len(prompt) :] = 1
    return {"input_ids": ids.to(device), "attention_mask": mask.to(device)}


def _array(logits: Tensor) -> Any:
    return logits.numpy() if logits.device.type == "cpu" else logits
