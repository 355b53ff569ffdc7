"""What goes wrong between here and the Hub, as a sentence that says what to do."""

from collections.abc import Iterator
from typing import Any

from tasks.errors import UserError, foreign

AGAIN = "give the same command again"
SENTENCES = {
    400: "the Hub does not take what was sent",
    401: "the Hub does not know the token: log in anew (hf auth login), or set HF_TOKEN",
    402: "the Hub asks for payment: see the settings of your account",
    403: "the token may not write to {repo}: take one with write access "
    "(https://huggingface.co/settings/tokens), or a repo of your own",
    404: "the Hub has no {repo}, or it is private and the token may not read it",
    409: "somebody else is changing {repo} at this moment: " + AGAIN,
    412: "somebody else has changed {repo} meanwhile: " + AGAIN,
    413: "the Hub takes no file as large as one of these: push fewer --artifacts, or save the "
    "weights in smaller shards",
    429: "the Hub takes no more requests from you for now: wait some minutes, then " + AGAIN,
}
STRANGE = "what answers in the Hub's place is none (a proxy, or a page to log in to a network?)"
CARD_REFUSED = "Invalid metadata in README.md."
"""How the message begins that huggingface_hub raises where the Hub refuses a card."""


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it came from, the innermost last."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__


def response(error: BaseException) -> Any | None:
    """The Hub's answer that an error is about; None where there was none."""
    for one in causes(error):
        if (answer := getattr(one, "response", None)) is not None:
            return answer
    return None


def is_broken_connection(error: BaseException) -> bool:
    """Return whether an error says that an answer was lost or never came."""
    return bool(_kinds(error) & {"TransportError", "ConnectionError"})


class StrangeAnswer(Exception):
    """An answer that is no JSON, or other JSON than the Hub's."""


def is_silence(error: BaseException) -> bool:
    """Return whether an error says that the server kept silent for too long, or answered too
    slowly."""
    return bool(_kinds(error) & {"TimeoutException", "TooSilent"})


def is_strange(error: BaseException) -> bool:
    """Return whether an error says that something else than the Hub has answered: redirects without
    end, no JSON, files without sums."""
    strange = {"StrangeAnswer", "TooManyRedirects", "DecodingError", "InvalidURL"}
    return bool(_kinds(error) & {*strange, "FileMetadataError"})


def _kinds(error: BaseException) -> set[str]:
    """The names of an error's classes and of those that it came from: huggingface_hub goes by httpx
    or httpx2, as its version has it."""
    return {kind.__name__ for one in causes(error) for kind in type(one).__mro__}


def as_user_error(error: Exception, repo: str, state: str) -> UserError:
    """Return an error of the Hub as one sentence that tells a user what to do.

    Args:
        state: what the repo is like now, as half a sentence.
    """
    for one in causes(error):
        if isinstance(one, UserError):  # of our bounds, which huggingface_hub took for its own
            return UserError(f"{one}; {state}")
        if str(one).startswith(CARD_REFUSED):
            why = " ".join(str(one).removeprefix(CARD_REFUSED).split()) or "it does not say why"
            return UserError(f"the Hub does not take the card's metadata ({why}); {state}")
    answer = response(error)
    if answer is not None:
        status = int(answer.status_code)
        text = SENTENCES.get(status, f"the Hub fails at present (it answers {status}): {AGAIN}")
        if status == 404 and answer.headers.get("X-Error-Code") == "RevisionNotFound":
            text = "{repo} has no such branch, tag or commit"
        said = _said(error) if status in (400, 403, 413) else ""
        return UserError(f"{text.format(repo=repo)}{said}; {state}")
    if is_strange(error):
        return UserError(f"{STRANGE}: {AGAIN} where the Hub can be reached; {state}")
    if is_silence(error):
        return UserError(f"the Hub did not answer in time, again and again: {AGAIN}; {state}")
    if is_broken_connection(error):
        return UserError(f"the connection to the Hub broke off, again and again: {AGAIN}; {state}")
    raise error


def _said(error: Exception) -> str:
    """Return what the server said of an error in its own words, in brackets; empty where it said
    nothing."""
    for one in causes(error):
        if said := getattr(one, "server_message", None):
            return f" ({' '.join(foreign(said).split())[:200]})"
    return ""
