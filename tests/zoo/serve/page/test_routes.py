"""The routes of the page: its files, what a browser keeps of them, what it knows of the models."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.zoo.serve.page.stand_in import KEY, MODELS, StandIn, serving
from zoo.serve.page import routes


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a stand-in that wants a key."""
    service = StandIn(tmp_path_factory.mktemp("stand-in"), wants_key=True)
    with serving(service.app()) as address:
        yield address


def _get(url: str, **headers: str) -> requests.Response:
    return requests.get(url, headers=headers, timeout=20)


def test_the_page_runs_nothing_from_outside(url: str) -> None:
    done = _get(f"{url}/")
    assert done.status_code == 200
    assert done.headers["content-type"] == "text/html; charset=utf-8"
    policy = done.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]* src=)|\son\w+=|style=|https?://", done.text)
    for name in routes.read_files():
        text = (routes.FOLDER / name).read_bytes().decode("utf-8", "replace")
        if not name.endswith(".svg"):  # whose namespace is an address
            assert not re.search(r"https?://|innerHTML|\beval\(|document\.write", text), name


def test_every_file_is_served_to_whoever_asks(url: str) -> None:
    names = set(routes.read_files())
    assert {"index.html", "page.css", "page.js", "icon.svg", "examples/yes.wav"} <= names
    for name in names:
        done = _get(f"{url}/page/{name}")
        assert done.status_code == 200, name
        assert done.content == (routes.FOLDER / name).read_bytes()
        assert done.headers["x-content-type-options"] == "nosniff"
        assert f"/page/{name}" in routes.open_paths()
    imported = re.compile(r'(?:from|src=|href=|addModule\()\s*"(?:\./|page/)([\w.-]+)"')
    for name in ("index.html", *(name for name in names if name.endswith(".js"))):
        text = (routes.FOLDER / name).read_text(encoding="utf-8")
        assert set(imported.findall(text)) <= names


def test_a_browser_keeps_what_has_not_changed(url: str) -> None:
    first = _get(f"{url}/page/page.js")
    tag = first.headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = _get(f"{url}/page/page.js", **{"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert _get(f"{url}/page/page.js", **{"if-none-match": '"other"'}).status_code == 200
    assert tag != _get(f"{url}/page/page.css").headers["etag"]
    head = requests.head(f"{url}/", timeout=20)
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize(
    "path", ["routes.py", "__init__.py", "..%2froutes.py", "%2e%2e/app.py", "examples", "nothing"]
)
def test_nothing_else_is_served(path: str, url: str) -> None:
    assert _get(f"{url}/page/{path}", authorization=f"Bearer {KEY}").status_code == 404


def test_the_models_are_told_to_those_who_have_a_key(url: str) -> None:
    assert _get(f"{url}/page/models.json").status_code == 401
    done = _get(f"{url}/page/models.json", authorization=f"Bearer {KEY}")
    assert done.headers["cache-control"] == "no-store"
    assert [one["name"] for one in done.json()["models"]] == list(MODELS)


def test_what_is_open_is_open_for_reading_alone(url: str) -> None:
    """The Hub's API is a POST of the very address of the page."""
    assert requests.post(f"{url}/", json={"inputs": "a"}, timeout=20).status_code == 401
    assert requests.post(f"{url}/predict", json={"input": "a"}, timeout=20).status_code == 401


def test_files_of_a_folder_are_those_of_a_page(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a.js", "sub/b.css", "c.py", "d.js.bak"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    assert sorted(routes.read_files(tmp_path)) == ["a.js", "sub/b.css"]
