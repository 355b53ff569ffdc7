"""Debian's chromium, without a window, driven over the DevTools protocol.

https://chromedevtools.github.io/devtools-protocol/
"""

import base64
import contextlib
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE_S = 20.0
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--mute-audio")
FLAGS += ("--disable-extensions", "--disable-background-networking", "--disable-component-update")
FLAGS += ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
FLAGS += ("--remote-debugging-port=0", "--lang=en-US", "--force-color-profile=srgb")


class Tab:
    """A tab of the browser."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.count = 0
        self.events: list[dict[str, Any]] = []
        for domain in ("Page", "Runtime", "Log", "DOM", "Network"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)
        permissions = ["clipboardReadWrite", "clipboardSanitizedWrite"]
        self.call("Browser.grantPermissions", permissions=permissions)

    def call(self, method: str, **parameters: Any) -> Any:
        """The result of a method of the protocol."""
        self.count += 1
        asked = {"id": self.count, "method": method, "params": parameters}
        self.connection.send(json.dumps(asked))
        while True:
            message = json.loads(self.connection.recv(timeout=PATIENCE_S))
            if message.get("id") == self.count:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]
            self.events.append(message)

    def open(self, address: str) -> None:
        """Goes to an address, and waits until its scripts have run."""
        self.call("Page.navigate", url=address)
        self.wait("document.readyState === 'complete'")

    def run(self, expression: str) -> Any:
        """The value of JavaScript, awaited where it is a promise; fails where it throws."""
        told = self.call(
            "Runtime.evaluate",
            expression=expression,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def wait(self, expression: str, seconds: float = PATIENCE_S) -> None:
        """Waits until JavaScript is true (of an element: until it is there); fails where it never
        is."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.run(f"Boolean({expression})"):
                return
            time.sleep(0.03)
        body = self.run("document.body.innerText")
        raise AssertionError(f"{expression} never came true; the page says:\n{body}")

    def text(self, selector: str) -> str:
        """What is to be read in an element."""
        return str(self.run(f"document.querySelector({json.dumps(selector)}).innerText"))

    def click(self, selector: str) -> None:
        """Clicks an element that can be seen."""
        element = f"document.querySelector({json.dumps(selector)})"
        assert self.run(f"{element}.checkVisibility()"), f"{selector} can't be seen"
        self.run(f"{element}.click()")

    def type(self, selector: str, text: str) -> None:
        """Types into a field in place of what stands there."""
        element = f"document.querySelector({json.dumps(selector)})"
        assert self.run(f"{element}.checkVisibility()"), f"{selector} can't be seen"
        self.run(f"{element}.focus(), {element}.select()")
        self.call("Input.insertText", text=text)

    def press(self, key: str, control: bool = False) -> None:
        """Presses a key ("Enter", "Tab"), perhaps with Ctrl."""
        codes, texts = {"Enter": 13, "Tab": 9}, {"Enter": "\r"}
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=codes[key],
                modifiers=2 * control,
                text=texts.get(key, "") if kind == "keyDown" else "",
            )

    def choose_file(self, selector: str, *paths: Path) -> None:
        """Chooses files in an `input`."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in paths])

    def resize(self, width: int, height: int, mobile: bool = False) -> None:
        """Gives the window another size; `mobile` with touch and two pixels a point."""
        scale = 2 if mobile else 1
        size = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": mobile}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Emulation.setTouchEmulationEnabled", enabled=mobile)

    def prefer(self, scheme: str) -> None:
        """Prefers "dark" or "light" colours."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def photograph(self, path: Path) -> None:
        """Writes the whole page as a PNG."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def complaints(self) -> list[str]:
        """What the console has of errors: scripts that failed, what a policy forbade.

        Answers with a status of an error are none: the page shows them.
        """
        self.run("0")  # so that what happened before has been told
        found = []
        for event in self.events:
            told = event.get("params", {})
            if event["method"] == "Runtime.exceptionThrown":
                found.append(json.dumps(told["exceptionDetails"]))
            elif event["method"] == "Log.entryAdded":
                entry = told["entry"]
                if entry["level"] == "error" and entry["source"] != "network":
                    found.append(entry["text"])
        return found

    def requested(self) -> list[str]:
        """The addresses that the page has asked for."""
        self.run("0")
        sent = [one for one in self.events if one["method"] == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]


@contextlib.contextmanager
def browser(profile: Path, *flags: str) -> Iterator[Tab]:
    """A tab of a new browser, whose files lie in a folder; skips the test where there is none."""
    if PROGRAM is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    connect = pytest.importorskip("websockets.sync.client").connect
    command = [PROGRAM, *FLAGS, *flags, f"--user-data-dir={profile}", "about:blank"]
    with (profile.parent / f"{profile.name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        port = _port(profile, process)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=10) as answer:
            [page] = [one for one in json.load(answer) if one["type"] == "page"]
        with connect(page["webSocketDebuggerUrl"], max_size=None) as connection:
            yield Tab(connection)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _port(profile: Path, process: "subprocess.Popen[bytes]") -> int:
    file = profile / "DevToolsActivePort"
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end and process.poll() is None:
        if file.exists() and (lines := file.read_text().split()):
            return int(lines[0])
        time.sleep(0.05)
    raise AssertionError("chromium did not start; its log lies beside its profile")
