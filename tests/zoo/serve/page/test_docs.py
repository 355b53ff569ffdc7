"""`/docs` in a browser, of a service that wants a key."""

import json
import time
from pathlib import Path

from tests.browser import PATIENCE_S, Tab
from tests.zoo.serve.page.stand_in import serving
from tests.zoo.serve.protocols import described
from zoo.serve.engine.app import AppSettings, create_app
from zoo.serve.service import Limits, Service

KEY = "key-of-the-documentation"


def test_the_key_that_is_asked_for_reads_the_file_too(chromium: Tab, tmp_path: Path) -> None:
    """A link brings no key: what it leads to was 401."""
    service = Service([described.texts()], Limits())
    link = "document.querySelector('#file')"
    chromium.events.clear()
    with serving(create_app(service, AppSettings(keys=[KEY.encode()]))) as url:
        chromium.open(f"{url}/docs")
        chromium.wait("document.querySelector('#key').checkVisibility()")
        chromium.wait("document.querySelector('#trouble').innerText.includes('no known key')")
        chromium.type("#key input", KEY)
        chromium.click("#key button")
        chromium.wait(f"{link}.href.startsWith('blob:')")
        assert not chromium.run("document.querySelector('#key').checkVisibility()")
        folder = str(tmp_path)
        chromium.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=folder)
        chromium.click("#file")
        end = time.monotonic() + PATIENCE_S
        while not (file := tmp_path / "openapi.json").exists():
            assert time.monotonic() < end, list(tmp_path.iterdir())
            time.sleep(0.05)
        chromium.run("sessionStorage.clear()")
    assert "/predict" in json.loads(file.read_text(encoding="utf-8"))["paths"]
    assert chromium.complaints() == []
