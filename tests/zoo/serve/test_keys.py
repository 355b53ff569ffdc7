"""Keys as a browser brings them with a WebSocket: among its subprotocols, in base64url."""

import base64

import pytest

from zoo.serve import keys

KEY = "key-of-ÿ-and-密?>~~"


def _coded(key: str) -> str:
    return keys.SUBPROTOCOL + base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def test_a_key_comes_as_a_subprotocol() -> None:
    for key in (KEY, KEY[1:], KEY[2:], KEY[3:]):  # of every length that base64 pads
        assert keys.is_known(keys.of_subprotocols(["zoo", _coded(key)]), [key.encode()])
        assert not keys.is_known(keys.of_subprotocols(["zoo", _coded(key)]), [b"another"])


@pytest.mark.parametrize("offered", [[], ["zoo"], ["bearer"], ["bearer.a"], ["bearer.密"]])
def test_what_is_no_key_is_none(offered: list[str]) -> None:
    assert not keys.is_known(keys.of_subprotocols(offered), [KEY.encode(), b"\xff"])
