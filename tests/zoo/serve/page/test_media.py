"""Pictures and sounds on the page, from a file, the clipboard, the camera and the microphone."""

import base64
import io
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.zoo.serve.page.conftest import OTHER, SOUND, Page

FILE = "new File([Uint8Array.from(atob('{}'), (c) => c.charCodeAt(0))], '{}', {{ type: '{}' }})"


def _gives(page: Page, event: str, content: bytes, name: str, kind: str) -> None:
    """Drops or pastes a file."""
    made = {
        "drop": "new DragEvent('drop', { dataTransfer: data, cancelable: true })",
        "paste": "new ClipboardEvent('paste', { clipboardData: data })",
    }
    file = FILE.format(base64.b64encode(content).decode(), name, kind)
    carried = f"const data = new DataTransfer(); data.items.add({file})"
    page.tab.run(f"{{ {carried}; dispatchEvent({made[event]}) }}")


def test_a_chosen_picture_is_sent_as_it_is(page: Page, picture: Path) -> None:
    page.open("digits")
    page.tab.choose_file("#file", picture)
    assert page.answer().startswith("7 98.2%")
    [asked] = page.service.asked
    assert asked["body"] == picture.read_bytes()
    assert (asked["model"], asked["top_k"], asked["content-type"]) == ("digits", "5", "image/png")
    page.tab.choose_file("#file", picture)  # the same once more
    page.answer(2)


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_picture_is_dropped_or_pasted(event: str, page: Page, picture: Path) -> None:
    page.open("digits")
    _gives(page, event, picture.read_bytes(), "one.png", "image/png")
    page.answer()
    assert page.service.asked[0]["body"] == picture.read_bytes()


def test_files_that_can_not_be_are_refused_at_once(page: Page) -> None:
    page.open("digits")
    _gives(page, "drop", SOUND.read_bytes(), "a.wav", "audio/wav")
    assert (
        page.error()
        == "This model takes a picture, and “a.wav” is another kind of file (audio/wav)."
    )
    _gives(page, "drop", b"", "none.png", "image/png")
    assert page.error() == "“none.png” is empty."
    page.tab.click("#send")
    assert page.error() == "Choose a file first."
    assert page.service.asked == []


def test_boxes_are_drawn_where_they_are(page: Page, picture: Path) -> None:
    page.open("boxes")
    page.tab.resize(700, 900)
    page.tab.choose_file("#file", picture)
    page.tab.wait("document.querySelectorAll('.box').length === 2")
    found = page.tab.run("""
        [...document.querySelectorAll('.box')].map((box) => {
          const frame = box.parentElement.getBoundingClientRect();
          const { left, top, width, height } = box.getBoundingClientRect();
          const scale = 300 / frame.width;
          return [left - frame.left, top - frame.top, width, height].map((x) => x * scale);
        })
    """)
    assert found[0] == pytest.approx([10, 10, 100, 80], abs=1)
    assert found[1] == pytest.approx([150, 40, 140, 150], abs=1)
    assert page.tab.text(".box span") == "cat 91.0%"


def test_areas_are_coloured_over_the_picture(page: Page, picture: Path) -> None:
    page.open("areas")
    page.tab.choose_file("#file", picture)
    page.tab.wait("document.querySelectorAll('.area').length === 2")
    assert page.service.asked[0]["masks"] == "true"
    first, second = page.tab.run("""
        [...document.querySelectorAll('.area')].map((area) => {
          const { width, height } = area.getBoundingClientRect();
          const { backgroundColor, maskImage, maskMode } = getComputedStyle(area);
          const frame = area.parentElement.querySelector('img').getBoundingClientRect();
          return [backgroundColor, maskImage.startsWith('url("blob:'), maskMode,
                  Math.round(width - frame.width), Math.round(height - frame.height)];
        })
    """)
    assert first[1:] == second[1:] == [True, "luminance", 0, 0] and first[0] != second[0]
    assert page.answer().split("\n")[:2] == ["ground", "75.0%"]
    assert "ground 75.0% · 猫 25.0%" in page.tab.text("#history")


def test_a_photo_is_taken(page: Page) -> None:
    page.open("digits")
    page.tab.click("#take")
    page.tab.wait("document.querySelector('#video').videoWidth > 0")
    page.tab.click("#snap")
    page.answer()
    assert page.service.asked[0]["body"].startswith(b"\xff\xd8\xff")
    assert page.tab.run("document.querySelector('#video').srcObject") is None


def test_an_example_is_a_sound_that_can_be_played(page: Page) -> None:
    page.open("words")
    page.tab.run("document.querySelector('#examples button').click()")
    assert page.answer().startswith("yes 80.0%")
    assert page.service.asked[0]["body"] == (SOUND.parent / "yes.wav").read_bytes()
    page.tab.wait("document.querySelector('#sound').duration > 0.3")


def _record(page: Page, seconds: float) -> None:
    page.tab.click("#record")
    page.tab.wait("document.querySelector('#level').value > 0.2")
    time.sleep(seconds)
    assert page.tab.run("document.querySelector('#send').disabled")
    page.tab.click("#record")


def _heard(sound: np.ndarray) -> None:
    """Fails where no quarter of the second half of a sound is what the microphone of the tests
    hears, in a loop: on a busy machine a browser leaves out samples here and there."""
    spoken, rate = soundfile.read(SOUND, dtype="float32")
    assert rate == 16_000
    looped = np.tile(spoken, 2)
    pieces = np.array_split(sound[-(min(len(sound), len(looped)) // 2) :], 4)
    assert max(_likeness(looped, piece) for piece in pieces) > 0.8


def _likeness(looped: np.ndarray, piece: np.ndarray) -> float:
    """Return the largest correlation of a piece with any part of a sound."""
    size = 2 * len(looped)
    spectrum = np.fft.rfft(looped, size) * np.conj(np.fft.rfft(piece, size))
    at = int(np.fft.irfft(spectrum)[: len(looped) - len(piece)].argmax())
    return float(np.corrcoef(looped[at : at + len(piece)], piece)[0, 1])


def test_a_recording_is_sent_as_a_file(page: Page) -> None:
    page.open("words")
    _record(page, 0.9)
    page.answer()
    [asked] = page.service.asked
    sound, rate = soundfile.read(io.BytesIO(asked["body"]), dtype="float32")
    assert (rate, sound.ndim, asked["content-type"]) == (16_000, 1, "audio/wav")
    assert 0.8 < len(sound) / rate < 6
    _heard(sound)


def test_text_comes_while_one_speaks(page: Page) -> None:
    page.open("speech")
    page.tab.click("#record")
    page.tab.wait("document.querySelector('#answer').innerText === 'nine sev'")
    time.sleep(0.8)
    page.tab.click("#record")
    assert page.answer().startswith("nine seven three")
    assert "end of the recording" in page.tab.text("#timing")
    assert page.service.asked == []
    _heard(np.frombuffer(bytes(page.service.heard), "<i2").astype(np.float32) / 32768)
    page.tab.run("document.querySelector('#answer details').open = true")
    assert "0.10–0.40" in page.tab.text("#answer")


def test_a_recording_is_dropped_where_something_else_is_begun(page: Page) -> None:
    page.open("speech")
    page.tab.click("#record")
    page.tab.wait("document.querySelector('#answer').innerText === 'nine sev'")
    page.tab.run("document.querySelector('#examples button').click()")
    page.answer()
    assert page.service.asked[0]["body"] == (SOUND.parent / "six-zero.wav").read_bytes()
    assert page.tab.text("#record") == "Record"
    page.tab.click("#record")
    page.tab.wait("document.querySelector('#recording').checkVisibility()")
    page.tab.run("document.querySelector('#model').value = 'reviews'")
    page.tab.run("document.querySelector('#model').dispatchEvent(new Event('change'))")
    page.tab.type("#text", "a text")
    page.tab.click("#send")
    assert page.answer(2).startswith("positive")
    assert [one["model"] for one in page.service.asked] == ["speech", "reviews"]


def test_two_clicks_begin_one_recording(page: Page) -> None:
    """Of two nobody would end the first: the microphone would stay open."""
    page.open("words")
    page.tab.run("""{
      const devices = navigator.mediaDevices, ask = devices.getUserMedia.bind(devices);
      window.begun = 0;
      devices.getUserMedia = (wanted) => { window.begun += 1; return ask(wanted); };
      document.querySelector('#record').click();
      document.querySelector('#record').click();
    }""")
    page.tab.wait("document.querySelector('#recording').checkVisibility()")
    assert page.tab.run("window.begun") == 1
    page.tab.wait("document.querySelector('#level').value > 0.2")
    page.tab.click("#record")
    page.answer()


def test_without_a_socket_the_recording_is_sent(page: Page) -> None:
    page.open("speech")
    page.service.has_socket = False
    _record(page, 0.3)
    assert page.answer().startswith("nine seven three")
    assert page.service.asked[0]["body"].startswith(b"RIFF")
    assert "top_k" not in page.service.asked[0]


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_any_rate_becomes_16_khz(rate: int, page: Page) -> None:
    page.open("speech")
    made = np.asarray(
        page.tab.run(f"""
        import('/page/resample.js').then(({{ Resampler }}) => {{
          const resampler = new Resampler({rate});
          const made = [];
          for (let start = 0; start < {rate}; start += 128) {{
            const piece = Float32Array.from({{ length: Math.min(128, {rate} - start) }}, (_, i) =>
              0.5 * Math.sin(2 * Math.PI * 1000 * (start + i) / {rate})
              + ({rate} > 16000 ? 0.3 * Math.sin(2 * Math.PI * 11000 * (start + i) / {rate}) : 0));
            made.push(...resampler.push(piece));
          }}
          made.push(...resampler.finish());
          return made;
        }})""")
    )
    assert abs(len(made) - 16_000) <= 2
    wanted = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(len(made)) / 16_000)
    assert np.abs(made - wanted)[200:-200].max() < 0.004  # 11 kHz is gone, and 1 kHz where it was


def test_what_a_browser_gives_on_https_alone_is_said(page: Page, picture: Path) -> None:
    page.url = page.url.replace("127.0.0.1", OTHER)
    page.open("speech")
    page.tab.click("#record")
    assert page.error().endswith("browsers allow it only on https or on this machine itself")
    page.open("digits")
    page.tab.click("#take")  # a phone opens its own camera for it
    page.tab.choose_file("#shot", picture)
    page.answer()
    assert page.service.asked[0]["body"] == picture.read_bytes()
    page.tab.run("document.querySelector('#request').open = true")
    page.tab.click("#copy")
    page.tab.wait("document.querySelector('#copied').innerText === 'Copied.'")
    page.tab.run("document.execCommand = () => false")
    page.tab.click("#copy")
    page.tab.wait("document.querySelector('#copied').innerText.startsWith('The browser did not')")
    assert page.tab.run("getSelection().toString()").startswith("curl 'http")
