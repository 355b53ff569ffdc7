"""What writes one text from another by whatever generates; in numpy."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo.generation.decoding import Decoding, SpecialTokens, asked_by, ends_of, pad_of
from zoo.generation.generate import sequences
from zoo.generation.session import Generative


class TargetWriter:
    """Writes texts from sources; satisfies `tasks.writes.WritesTargets`. Subclasses say what
    runs."""

    def own_config(self) -> Mapping[str, Any]:
        """Return the fields of the model's generation config."""
        raise NotImplementedError

    def make_runner(self, special_tokens: SpecialTokens, decoding: Decoding) -> Generative:
        """Return what generates, with these special tokens, from sources as arrays or tensors."""
        raise NotImplementedError

    def special_tokens(self) -> SpecialTokens:
        """Return the special tokens that the model's generation config names."""
        config = asked_by(self.own_config())
        ends, pad = ends_of(config), pad_of(config)
        never = {*config.get("suppress_tokens", ()), *({pad} - set(ends))}
        return SpecialTokens(
            eos=ends,
            pad=pad,
            prefix=(int(config["decoder_start_token_id"]),),
            suppress_tokens=tuple(sorted(never)),
            forced_first=config.get("forced_bos_token_id"),
        )

    def __call__(self, sources: Mapping[str, Any], limit: int, num_beams: int) -> list[list[int]]:
        """Return the tokens of each text; see `tasks.writes.WritesTargets`."""
        special = self.special_tokens()
        forced = int(special.forced_first is not None)
        decoding = Decoding(max_new_tokens=limit + forced, num_beams=num_beams)
        rows = sequences(self.make_runner(special, decoding), sources, decoding)
        stops = np.array([*special.eos, special.pad])
        rows = rows[:, forced:]
        lengths = [int(np.argmax([*np.isin(row, stops), True])) for row in rows]
        return [row[:length].tolist() for row, length in zip(rows, lengths, strict=True)]
