"""The page on a real service: a text, a picture and a sound go the whole way and back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

import zoo
from tests.browser import Tab
from tests.serving import Served
from tests.zoo.serve.page.conftest import Page
from tests.zoo.serve.page.stand_in import StandIn


@pytest.fixture
def real(chromium: Tab, service: Served, tmp_path: Path) -> Iterator[Page]:
    """The page of the service."""
    chromium.events.clear()
    chromium.resize(1200, 900)
    yield Page(chromium, StandIn(tmp_path), service.url)
    assert chromium.complaints() == []


def _said(found: dict[str, Any]) -> str:
    """A prediction as the page words it."""
    return f"{found['label']} {found['score']:.1%}"


def test_a_text(real: Page, checkpoints: dict[str, Path]) -> None:
    real.open("bert_cls")
    assert real.ask("a moving film, 好电影").startswith(
        _said(zoo.predict(checkpoints["bert_cls"], "a moving film, 好电影"))
    )


def test_a_picture(real: Page, checkpoints: dict[str, Path], images: Path) -> None:
    path = next(images.rglob("*.png"))
    real.open("cnn_cls")
    real.tab.choose_file("#file", path)
    assert real.answer().startswith(_said(zoo.predict(checkpoints["cnn_cls"], path)))


def test_a_sound(real: Page, checkpoints: dict[str, Path], sounds: Path) -> None:
    path = next(sounds.rglob("*.wav"))
    real.open("kws_cls")
    real.tab.choose_file("#file", path)
    assert real.answer().startswith(_said(zoo.predict(checkpoints["kws_cls"], path)))


def test_what_the_service_refuses_is_shown(real: Page, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nand no more")
    real.open("cnn_cls", "zh")
    real.tab.choose_file("#file", broken)
    told = requests.post(f"{real.url}/predict?model=cnn_cls", data=broken.read_bytes(), timeout=60)
    assert told.status_code == 422
    assert told.json()["error"] in real.error()
    large = tmp_path / "large.png"
    large.write_bytes(broken.read_bytes() + bytes(2 * 2**20))
    real.tab.choose_file("#file", large)
    real.tab.wait("document.querySelector('#error').innerText.includes('larger than')")
