"""How long a text may be in tokens, and what becomes of what is longer."""

from typing import Any, ClassVar

from tasks.errors import UserError

SHORTEST = 4  # the special tokens around a text leave room for one


def resolve_max_length(asked: int | None, limit: int, overlap: int | None = None) -> int:
    """Return the longest text in tokens: the asked one, or the model's limit.

    Args:
        overlap: tokens that neighbouring windows share; None where there are no windows, or they
            share none.

    Raises `UserError` where more is asked than the model takes, or too little to hold a text.
    """
    if asked is not None and asked > limit:
        raise UserError(f"`max_length` {asked} is more than the {limit} this model takes")
    if asked is not None and asked < SHORTEST:
        raise UserError(
            f"`max_length` {asked} leaves no room for text", hint=f"at least {SHORTEST}"
        )
    length = asked or limit
    if overlap is not None and overlap >= length - SHORTEST:
        raise UserError(f"`window_overlap` {overlap} must be well below `max_length` {length}")
    return length


def describe_cut(length: int | None) -> str:
    """Return a card's sentence on texts that are cut off behind so many tokens."""
    return f"Reads {length} tokens at most; what a longer text has behind them is cut off."


class LongTexts:
    """A task whose long texts are cut off, or read in windows that overlap."""

    args: Any  # has max_length, long_texts and window_overlap
    window_use: ClassVar[str]
    """What becomes of the windows, as the end of a sentence."""

    @property
    def overlap(self) -> int | None:
        """Tokens that neighbouring windows share; None where texts are cut off."""
        found: int = self.args.window_overlap
        return found if self.args.long_texts == "window" else None

    def encoding(self) -> dict[str, Any]:
        """Return what decides, beside the tokenizer, how a text becomes tokens."""
        assert self.args.max_length is not None, "bind_for_training() decides it"
        return {"max_length": self.args.max_length, "window_overlap": self.overlap}

    def describe_lengths(self) -> str:
        """Return how many tokens are read, and what becomes of longer texts, for a card."""
        length = self.args.max_length
        if self.overlap is None:
            return describe_cut(length)
        return (
            f"Reads {length} tokens at a time; the zoo reads longer texts in windows that "
            f"overlap by {self.overlap}, {self.window_use}."
        )
