"""Keys as a file has them, and as a browser brings them with a WebSocket: among its subprotocols,
in base64url."""

import base64
from pathlib import Path

import pytest

from tasks.errors import UserError
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


def _written(folder: Path, *lines: str) -> Path:
    file = folder / "keys.txt"
    file.write_text("\n".join(lines), encoding="utf-8")
    file.chmod(0o600)
    return file


@pytest.mark.parametrize(
    "wrong",
    ["ein-schlüssel-von-uns", "密" * 16, "# the keys of the office", "a\tkey-of-16-letters"],
)
def test_a_line_that_no_header_can_carry_is_no_key(
    wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(keys.VARIABLE, raising=False)
    good = "key+of/us.all~_-=!?"
    assert keys.read_keys(_written(tmp_path, "", f"  {good} ")) == (good.encode(),)
    with pytest.raises(UserError, match=r"`keys` .*: 1 of 2 can't be sent in a header") as caught:
        keys.read_keys(_written(tmp_path, good, wrong))
    assert wrong not in str(caught.value) and "\n" not in str(caught.value)
    monkeypatch.setenv(keys.VARIABLE, f"{good},{wrong}")
    with pytest.raises(UserError, match=f"^{keys.VARIABLE} in .*: 1 of 2 can't be sent"):
        keys.read_keys(None)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost", "LocalHost"])
def test_this_machine_needs_no_key(host: str) -> None:
    keys.must_be_guarded(host, ())


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "", "localhost.example.org", "127.example.org", "::1:2", "10.0.0.1"]
)
def test_what_others_reach_needs_keys(host: str) -> None:
    with pytest.raises(UserError, match="wants `keys`"):
        keys.must_be_guarded(host, ())
    keys.must_be_guarded(host, (KEY.encode(),))
