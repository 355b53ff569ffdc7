"""Names of repos and revisions as a user types them."""

from tasks.errors import UserError


def repo(text: str) -> str:
    """A repo's name, user/name. Raises `UserError` for what the Hub would not take."""
    from tools.cards import rules

    if not rules.is_hub_id(text, owner=True):
        raise UserError(
            f"{text!r} can't be a repo of the Hub: write user/name, with letters, digits, - _ and "
            "., no -- or .., and no .git at the end"
        )
    return text


def at_revision(text: str) -> tuple[str, str]:
    """user/name@REVISION in two; main where none is named."""
    name, at, revision = text.partition("@")
    if at and not revision:
        raise UserError(f"{text!r}: a branch, tag or commit belongs behind the @")
    return repo(name), revision or "main"
