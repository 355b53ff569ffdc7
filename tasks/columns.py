"""Which column of a data set holds what."""

from collections.abc import Sequence

from tasks.errors import UserError


def find_column(
    names: Sequence[str], asked: str | None, usual: Sequence[str], what: str, where: str
) -> str:
    """The name of the column that was asked for, or the first usual one there is.

    Args:
        names: the columns there are.
        asked: the user's choice; an exact match wins over one that differs in case.
        usual: names to try where nothing was asked for, best first, compared without case.
        what: what the column holds, for the error ("text", "label").
        where: the data's name, for the error.

    Raises `UserError` naming the columns there are and the nearest.
    """
    import difflib

    by_folded = {name.casefold(): name for name in reversed(names)}
    wanted = [asked] if asked is not None else list(usual)
    for name in wanted:
        if name in names:
            return name
        if name.casefold() in by_folded:
            return by_folded[name.casefold()]
    near = [
        by_folded[match]
        for name in wanted
        for match in difflib.get_close_matches(name.casefold(), list(by_folded), n=1)
    ]
    there = ", ".join(names) or "none at all"
    if asked is not None:
        problem = f"{where} has no column {asked!r} for the {what}"
    else:
        problem = f"{where} has no {what} column that is plain from its name"
        problem += f" (tried {', '.join(usual)})" if usual else ""
    hint = f"; the nearest is {near[0]!r}" if near else ""
    raise UserError(f"{problem}; its columns are {there}{hint}")
