"""The page in Debian's chromium: what is typed, what is shown, what is said when it goes wrong."""

import json
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse, PlainTextResponse

from tests.browser import Tab
from tests.zoo.serve.page.conftest import Page
from tests.zoo.serve.page.stand_in import KEY, MODELS, TOPICS, StandIn, serving

TEXT = "From London by Ada, 不错 😀"


@pytest.mark.parametrize(
    ("model", "text", "told"),
    [
        ("reviews", TEXT, "positive 97.3%\n\npositive\n97.3%\nnegative\n2.7%"),
        (
            "topics",
            TEXT,
            f"体育 · {TOPICS[1]}\n\n体育\n91.0%\n{TOPICS[1]}\n72.0%\n10\n31.0%\n9\n2.0%",
        ),
        ("stars", TEXT, "-3.25"),
        ("axes", TEXT, "Label\tScore\njoy\t0.5\nanger\t-1.25"),
        ("names", TEXT, "From LondonPLACE by Ada人名, 不错 😀"),
        ("gaps", "the [MASK] on the [MASK]", "the cat on the mat"),
    ],
)
def test_a_text_is_answered(model: str, text: str, told: str, page: Page) -> None:
    page.open(model)
    assert page.ask(text).startswith(told)
    [asked] = page.service.asked
    assert (asked["model"], asked["input"]) == (model, text)
    assert asked.get("top_k") == (None if model in ("stars", "axes", "names") else 5)
    assert "ms from sending" in page.tab.text("#timing")


def test_characters_beyond_16_bits_do_not_move_the_marks(page: Page) -> None:
    page.open("names")
    page.ask(
        "😀😀😀 the London Ada"
    )  # "London" is not at 5 to 11 here: what stands there is marked
    marked = page.tab.run("document.querySelector('mark').firstChild.data")
    assert marked == "😀😀😀 the London Ada"[5:11]


def test_a_pair_is_sent_as_two(page: Page) -> None:
    page.open("pairs")
    page.tab.type("#text", "one")
    page.tab.click("#send")
    assert page.error() == "Type both texts first."
    page.tab.type("#text-pair", "other")
    page.tab.click("#send")
    page.answer()
    assert page.service.asked[0]["input"] == ["one", "other"]


def test_labels_are_sent_with_the_text_where_weights_are_served(page: Page) -> None:
    page.open("choice")
    page.tab.type("#text", TEXT)
    page.tab.click("#send")
    assert page.error() == "Give at least two labels, separated by commas."
    page.tab.type("#labels", " sport,政治，weather、 ")
    page.tab.click("#send")
    page.answer()
    assert page.service.asked[0]["labels"] == ["sport", "政治", "weather"]


def test_ctrl_enter_sends_and_a_gap_is_put_in(page: Page) -> None:
    page.open("gaps")
    page.tab.type("#text", "the cat")
    page.tab.press("Enter", control=True)
    assert page.error() == "Put [MASK] where a word is missing."
    page.tab.click("#mask")
    page.tab.press("Enter", control=True)
    page.answer()
    assert page.service.asked[0]["input"] == "the cat[MASK]"


def test_what_is_missing_is_said_before_anything_is_sent(page: Page) -> None:
    page.open("reviews")
    page.tab.type("#text", "  ")
    page.tab.click("#send")
    assert page.error() == "Type a text first."
    page.tab.type("#text", TEXT)
    page.tab.type("#top", "0")
    page.tab.click("#send")
    assert "whole number" in page.error()
    assert page.service.asked == []


REFUSALS: list[tuple[Any, str]] = [
    (
        JSONResponse({"error": "`top_k` 0: at least 1", "hint": "give 1"}, 422),
        "at least 1 · give 1",
    ),
    (
        JSONResponse({"error": "256 wait"}, 429, {"retry-after": "3"}),
        "256 wait · Try again in 3 s.",
    ),
    (PlainTextResponse("<b>Bad gateway</b>", 502), "answered 502 without saying why"),
    (PlainTextResponse("fine", 200), "something that is no JSON"),
    (JSONResponse({"predictions": None}), "without predictions"),
]


def test_a_refusal_is_shown_as_its_sentence(page: Page) -> None:
    page.open("reviews")
    page.tab.type("#text", TEXT)
    for count, (refusal, told) in enumerate(REFUSALS, 1):
        page.service.refusals.append(refusal)
        page.tab.click("#send")
        assert told in page.error()
        assert page.tab.text("#answer") == ""
        page.tab.click("#send")  # and the next one is answered
        assert page.answer(count).startswith("positive")
        assert not page.tab.run("document.querySelector('#error').checkVisibility()")


def test_a_service_that_is_gone_is_said(chromium: Tab, tmp_path: Path) -> None:
    service = StandIn(tmp_path)
    with serving(service.app()) as url:
        page = Page(chromium, service, url)
        page.open("reviews")
    page.tab.type("#text", TEXT)
    page.tab.click("#send")
    assert "can't be reached" in page.error()


def test_it_may_stand_below_a_path(chromium: Tab, tmp_path: Path) -> None:
    """Behind a balancer that serves other things as well."""
    service, outer = StandIn(tmp_path), FastAPI()
    outer.mount("/models/mine", service.app())
    with serving(outer) as url:
        page = Page(chromium, service, f"{url}/models/mine")
        page.open("reviews")
        assert page.ask(TEXT).startswith("positive")
        assert f"curl {url}/models/mine/predict " in page.tab.run(
            "document.querySelector('#curl').textContent"
        )


def test_a_key_is_asked_for_and_kept_in_the_tab_alone(chromium: Tab, tmp_path: Path) -> None:
    service = StandIn(tmp_path, wants_key=True)
    with serving(service.app()) as url:
        page = Page(chromium, service, url)
        chromium.events.clear()
        page.open("reviews")
        chromium.wait("document.querySelector('#key').checkVisibility()")
        assert "wants an API key" in chromium.text("#failed")
        for wrong in ("no-such-key", "密钥"):
            chromium.type("#key", wrong)
            chromium.press("Enter")
            chromium.wait("sessionStorage.getItem('zoo-key') !== null")
            assert not chromium.run("document.querySelector('#text').checkVisibility()")
        chromium.type("#key", KEY)
        chromium.press("Enter")
        chromium.wait("document.querySelector('#text').checkVisibility()")
        assert page.ask(TEXT).startswith("positive")
        line = chromium.run("document.querySelector('#curl').textContent")
        assert '-H "authorization: Bearer $ZOO_KEY"' in line
        assert KEY not in line + chromium.run("JSON.stringify(localStorage) + document.cookie")
        page.open("speech")
        chromium.click("#record")  # the socket knows the key as well
        chromium.wait("document.querySelector('#answer').innerText === 'nine sev'")
        chromium.click("#record")
        assert page.answer().startswith("nine seven three")
        assert len(service.asked) == 1
        page.open("reviews")
        chromium.type("#text", TEXT)
        chromium.click("#key-forget")
        assert chromium.run("sessionStorage.length") == 0
        chromium.click("#send")
        assert "wants an API key" in page.error()
    assert chromium.complaints() == []


def test_the_curl_line_is_the_very_request(page: Page, picture: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    page.open("reviews")
    page.ask('it\'s "5 $HOME" \\n `x`\nand a second line')
    page.open("digits")
    page.tab.choose_file("#file", picture)
    page.answer()
    sent = list(page.service.asked)
    lines = [page.tab.run("document.querySelector('#curl').textContent")]
    page.tab.run("document.querySelector('#request').open = true")
    page.tab.click("#copy")
    page.tab.wait("document.querySelector('#copied').innerText === 'Copied.'")
    page.open("reviews")
    page.ask(sent[0]["input"])
    lines.insert(0, page.tab.run("document.querySelector('#curl').textContent"))
    for line, before in zip(lines, sent, strict=True):
        done = subprocess.run(
            ["sh", "-c", line], cwd=picture.parent, capture_output=True, check=True
        )
        assert json.loads(done.stdout)["model"] == before["model"]
        assert page.service.asked[-1] == before
        assert shlex.split(line)[0] == "curl"


def test_the_history_brings_back_input_and_answer(page: Page) -> None:
    page.open("reviews")
    for count in range(1, 22):
        page.tab.run(f"document.querySelector('#text').value = 'text {count}'")
        page.tab.click("#send")
        page.answer(min(count, 20))
        page.tab.wait(f"document.querySelector('#history li').innerText.startsWith('text {count}')")
    page.tab.run("document.querySelectorAll('#history button')[19].click()")
    assert page.tab.run("document.querySelector('#text').value") == "text 2"
    assert page.tab.text("[aria-current=true] .asked") == "text 2"
    page.tab.click("#clear")
    assert page.tab.text("#answer") == "Nothing has been asked yet."


def test_a_slow_request_is_cancelled(page: Page) -> None:
    page.open("reviews")
    page.service.delay_s = 30.0
    page.tab.type("#text", TEXT)
    page.tab.click("#send")
    page.tab.wait("document.querySelector('#cancel').checkVisibility()")
    assert page.tab.run("document.querySelector('#send').disabled")
    page.tab.click("#cancel")
    page.service.delay_s = 0.0
    assert page.ask("another").startswith("positive")


def test_a_text_is_read_while_it_is_written(page: Page) -> None:
    page.open("writer")
    page.service.delay_s = 30.0
    page.tab.type("#text", "it")
    page.tab.click("#send")
    page.tab.wait("document.querySelector('#answer').textContent.includes(' goe')")
    assert page.tab.text("#cancel") == "Stop"
    page.tab.click("#cancel")
    assert page.answer() == "it goe", "what was written until then stays"
    page.service.delay_s = 0.0
    page.tab.click("#send")
    assert page.answer(2) == "it goes\non 中文"
    assert page.service.asked[0] == {"model": "writer", "inputs": "it", "stream": True}
    page.service.breaks = True
    page.tab.click("#send")
    assert page.error() == "the worker died"
    page.service.refusals = [JSONResponse({"error": "too long"}, 422)]
    page.tab.click("#send")
    page.tab.wait("document.querySelector('#error').textContent === 'too long'")


def test_another_model_is_chosen(page: Page) -> None:
    page.open("reviews")
    page.ask(TEXT)
    page.tab.run("document.querySelector('#model').value = 'digits'")
    page.tab.run("document.querySelector('#model').dispatchEvent(new Event('change'))")
    assert page.tab.text("#title") == "Image classification"
    assert "model=digits" in page.tab.run("location.search")
    page.tab.run("document.querySelectorAll('#history button')[0].click()")
    assert page.tab.text("#title") == "Text classification"
    assert page.tab.text("#answer").startswith("positive")


def test_it_speaks_chinese(page: Page) -> None:
    page.open("reviews", "zh")
    assert page.tab.run("document.documentElement.lang") == "zh-Hans"
    assert page.tab.text("#title") == "文本分类"
    page.ask(TEXT)
    assert page.tab.text("#timing").startswith("从发送到收到结果用时")
    page.tab.click("#language")
    assert page.tab.text("#send") == "Send"
    assert "lang=en" in page.tab.run("location.search")
    page.tab.open(page.url)
    page.tab.wait("document.querySelector('main').checkVisibility()")
    assert page.tab.run("document.documentElement.lang") == "en"  # what this browser prefers


def test_both_languages_have_every_sentence(page: Page) -> None:
    page.open("reviews")
    languages = page.tab.run("import('/page/strings.js').then((all) => all.LANGUAGES)")
    assert set(languages["en"]) == set(languages["zh"])
    for name, sentence in languages["en"].items():
        gaps = {gap for gap in ("{0}", "{1}", "{2}") if gap in sentence}
        assert gaps == {gap for gap in ("{0}", "{1}", "{2}") if gap in languages["zh"][name]}, name


def test_nothing_is_wider_than_a_small_phone(page: Page) -> None:
    page.tab.resize(320, 568, mobile=True)
    for model in ("topics", "names", "gaps", "digits", "speech"):
        page.open(model)
        if MODELS[model][0] == "text":
            long = "'[MASK]' + 'x'.repeat(300) + '[MASK]'"
            for field, value in (("text", long), ("text-pair", long), ("labels", "'a,b'")):
                page.tab.run(f"document.querySelector('#{field}').value = {value}")
            page.tab.click("#send")
            page.answer()
            page.tab.run("for (const one of document.querySelectorAll('details')) one.open = true")
        assert page.tab.run("document.documentElement.scrollWidth") <= 320, model
    seen = "[...document.querySelectorAll('button')].filter((one) => one.checkVisibility())"
    small = f"{seen}.filter((one) => one.offsetHeight < 40)"
    assert page.tab.run(f"{small}.map((one) => one.id)") == []


def test_it_is_dark_where_that_is_preferred(page: Page) -> None:
    page.tab.prefer("dark")
    page.open("reviews")
    light = page.tab.run(
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    )
    assert max(light) < 60


@pytest.mark.parametrize(("model", "language"), [("gaps", "zh"), ("boxes", "en"), ("speech", "zh")])
def test_everything_has_a_name_for_those_who_hear_it(model: str, language: str, page: Page) -> None:
    page.open(model, language)
    nodes = page.tab.call("Accessibility.getFullAXTree")["nodes"]
    roles = ("button", "textbox", "combobox", "checkbox", "spinbutton", "link", "image", "heading")
    wanted = [one for one in nodes if one["role"]["value"] in roles and not one["ignored"]]
    assert len(wanted) > 6
    assert [one for one in wanted if not one["name"]["value"].strip()] == []
