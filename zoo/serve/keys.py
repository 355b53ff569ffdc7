"""Who may ask: keys in a file or in the environment, compared in constant time, never written."""

import base64
import hmac
import ipaddress
import os
import re
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from tasks.errors import UserError

VARIABLE = "ZOO_SERVE_KEYS"
LEAST = 16
"""Characters of a key: shorter ones are guessed."""
SENDABLE = re.compile(r"[!-~]+")
"""What the header Authorization can carry as one word: printable ASCII without blanks. A remark in
the file is no key for that."""
SUBPROTOCOL = "bearer."
"""Before a key, in base64url, among the subprotocols of a WebSocket: a browser sets no header."""


def read_keys(
    file: Path | None, setting: str = "keys", variable: str | None = VARIABLE
) -> tuple[bytes, ...]:
    """Return the keys of a file, one a line, and those of a variable, separated by commas.

    Args:
        setting: that named the file.

    Raises `UserError` for a file that can't be read, is empty, or that others may read, and for a
    key that is too short or has a character that a header can't carry.
    """
    found = () if file is None else _checked(_of_file(file, setting), f"`{setting}` {file}")
    of_variable = os.environ.get(variable, "").split(",") if variable else []
    return (*found, *_checked(of_variable, f"{variable} in the environment"))


def _checked(words: Iterable[str], where: str) -> tuple[bytes, ...]:
    """Return words as keys, but for empty ones; errors say where they stand."""
    keys = [key.strip() for key in words if key.strip()]
    if short := sum(len(key) < LEAST for key in keys):
        raise UserError(f"{where}: {short} of {len(keys)} is shorter than {LEAST} characters")
    if odd := sum(not SENDABLE.fullmatch(key) for key in keys):
        raise UserError(
            f"{where}: {odd} of {len(keys)} can't be sent in a header, which has letters, "
            "digits and signs of ASCII, and no blanks"
        )
    return tuple(key.encode() for key in keys)


def must_be_guarded(host: str, keys: Sequence[bytes]) -> None:
    """Raises `UserError` where others than this machine may ask, and no key is wanted of them."""
    if not keys and not is_own(host):
        raise UserError(
            f"`host` {host} is open to other machines, and wants `keys`: a file of keys, one a "
            f"line (or {VARIABLE} in the environment)"
        )


def is_own(host: str) -> bool:
    """Return whether nobody but this machine reaches an address; of names localhost alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, which may begin like such an address and be another machine's
        return host.lower() == "localhost"


def is_known(header: str | None, keys: Iterable[bytes]) -> bool:
    """Return whether the value of the header Authorization holds one of the keys."""
    scheme, _, given = (header or "").partition(" ")
    key = given.strip().encode("utf-8", "surrogateescape")
    matches = [hmac.compare_digest(key, one) for one in keys]  # all of them: no early end
    return scheme.lower() == "bearer" and any(matches)


def of_subprotocols(offered: Iterable[str]) -> str | None:
    """Return what the header Authorization would be by the subprotocols that a browser offers with
    a WebSocket: "zoo", which is to be accepted, and `SUBPROTOCOL` with the key."""
    coded = next((one for one in offered if one.startswith(SUBPROTOCOL)), None)
    if coded is None:
        return None
    letters = coded.removeprefix(SUBPROTOCOL)
    try:
        key = base64.urlsafe_b64decode(letters + "=" * (-len(letters) % 4))
    except ValueError:  # no base64, and so no key
        return None
    return f"Bearer {key.decode('utf-8', 'surrogateescape')}"


def _of_file(file: Path, setting: str) -> list[str]:
    try:
        mode = file.stat().st_mode
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(f"`{setting}` {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"`{setting}` {file}: not UTF-8 text") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UserError(f"`{setting}` {file}: others may read it; chmod 600 {file}")
    if not any(line.strip() for line in lines):
        raise UserError(f"`{setting}` {file}: it holds no key")
    return lines
