"""One browser and one stand-in service for all tests of the page."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.browser import Tab, browser
from tests.zoo.serve.page.stand_in import StandIn, serving
from zoo.serve.page import routes

SOUND = routes.FOLDER / "examples" / "nine-seven-three.wav"
"""What the microphone of the tests hears, again and again."""
OTHER = "another.machine"
"""This machine, as if it were another one: no https, and so no camera and no clipboard."""


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """A tab for all tests; skips them where there is no browser."""
    profile = tmp_path_factory.mktemp("chromium") / "profile"
    flags = (
        f"--use-file-for-fake-audio-capture={SOUND}",
        f"--host-resolver-rules=MAP {OTHER} 127.0.0.1",
    )
    with browser(profile, *flags) as tab:
        yield tab


@pytest.fixture(scope="session")
def shared_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[StandIn, str]]:
    """A stand-in and its address."""
    service = StandIn(tmp_path_factory.mktemp("stand-in"))
    with serving(service.app()) as url:
        yield service, url


@dataclass
class Page:
    """The page of a stand-in, in a tab."""

    tab: Tab
    service: StandIn
    url: str

    def open(self, model: str, language: str = "en") -> None:
        """Opens the page of a model, and waits until it is there."""
        self.tab.open(f"{self.url}/?lang={language}&model={model}")
        self.tab.wait("document.querySelector('main').checkVisibility()")

    def ask(self, text: str) -> str:
        """What is answered to a text."""
        self.tab.type("#text", text)
        self.tab.click("#send")
        return self.answer()

    def answer(self, count: int = 1) -> str:
        """The answer, as soon as the history has so many."""
        self.tab.wait(f"document.querySelectorAll('#history li').length === {count}")
        return self.tab.text("#answer")

    def error(self) -> str:
        """The sentence of an error, as soon as there is one."""
        self.tab.wait("document.querySelector('#error').checkVisibility()")
        return self.tab.text("#error")


@pytest.fixture
def page(chromium: Tab, shared_service: tuple[StandIn, str]) -> Iterator[Page]:
    """The page of a stand-in as it is at first; fails where a script did, or asked elsewhere."""
    service, url = shared_service
    service.reset()
    chromium.events.clear()
    chromium.resize(1200, 900)
    chromium.prefer("light")
    yield Page(chromium, service, url)
    assert chromium.complaints() == []
    ours = (url, url.replace("127.0.0.1", OTHER), "blob:", "data:")
    outside = [one for one in chromium.requested() if not one.startswith(ours)]
    assert outside == []


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A picture of 300 x 200, whose name is no plain word."""
    from PIL import Image

    path = tmp_path / "a cat's 照片.png"
    Image.new("RGB", (300, 200), "#88aacc").save(path)
    return path
