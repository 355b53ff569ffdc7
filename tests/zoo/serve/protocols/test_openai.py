"""Conversions of OpenAI's API, and subtitles, without a service."""

import base64
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from tasks.errors import UserError
from tests.zoo.serve.protocols import described
from zoo.serve.errors import BadRequest, NotFound
from zoo.serve.protocols import openai, subtitles
from zoo.serve.protocols.bodies import Body
from zoo.serve.protocols.openai import TranscriptionRequest

SERVICE = described.service()
WORDS = [
    {"word": "yes", "start": 0.5, "end": 0.75},
    {"word": "<no>", "start": 0.8, "end": 1.0},
    {"word": "later", "start": 3661.0, "end": 3661.25},
]


def _form(file: bytes | None = b"RIFF", **fields: Any) -> Body:
    files = {} if file is None else {"file": ("a.wav", file)}
    made = requests.Request("POST", "http://x", files=files or {"x": ""}, data=fields).prepare()
    kind, _, boundary = made.headers["content-type"].partition("; boundary=")
    assert isinstance(made.body, bytes)
    return Body(made.body, kind, {"boundary": boundary})


def test_a_sound_is_asked_for_its_text() -> None:
    asked = openai.parse_transcription(_form(), SERVICE)
    model = SERVICE.model("words")  # the only one that transcribes
    assert asked == TranscriptionRequest(model, b"RIFF")
    assert asked.parameters == {}
    asked = openai.parse_transcription(
        _form(model="words", language="en", temperature="0.0", response_format="verbose_json",
              **{"timestamp_granularities[]": ["word", "segment"]}),
        SERVICE,
    )  # fmt: skip
    assert asked.language == "en" and asked.granularities == ("word", "segment")
    assert asked.parameters == {"words": True, "seconds": True}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"response_format": "xml"}, "response_format"),
        ({"stream": "true"}, "stream"),
        ({"temperature": "0.5"}, "temperature"),
        ({"prompt": "names: Zoë"}, "prompt"),
        ({"include[]": "logprobs"}, "include[]"),
        ({"timestamp_granularities[]": "word"}, "timestamp_granularities"),
        ({"timestamp_granularities[]": "letter", "response_format": "verbose_json"},
         "timestamp_granularities"),
        ({"model": "photos"}, "model"),
    ],
)  # fmt: skip
def test_what_can_not_be_kept_is_refused(fields: dict[str, str], field: str) -> None:
    with pytest.raises(UserError) as caught:
        openai.parse_transcription(_form(**fields), SERVICE)
    assert caught.value.field == field


def test_a_model_of_another_language_is_none(tmp_path: Path) -> None:
    (tmp_path / "generation_config.json").write_text('{"language": "de"}')
    model = dataclasses.replace(described.speech(), folder=tmp_path)
    service: Any = described.Models(model)
    for language in ("", "de", "German"):
        asked = openai.parse_transcription(_form(language=language), service)
        assert asked.language == (language or "de")
    with pytest.raises(UserError, match="words takes all speech for 'de'") as caught:
        openai.parse_transcription(_form(language="en"), service)
    assert caught.value.field == "language"


def test_a_form_with_a_file_is_wanted() -> None:
    with pytest.raises(UserError, match="multipart"):
        openai.parse_transcription(Body(b"{}", "application/json"), SERVICE)
    with pytest.raises(UserError, match="'x'"):
        openai.parse_transcription(_form(None), SERVICE)
    with pytest.raises(UserError, match="empty"):
        openai.parse_transcription(_form(b""), SERVICE)
    with pytest.raises(NotFound, match="whisper-1"):
        openai.parse_transcription(_form(model="whisper-1"), SERVICE)
    with pytest.raises(BadRequest, match="form"):
        openai.parse_transcription(Body(b"--", "multipart/form-data", {"boundary": "a"}), SERVICE)


@pytest.mark.parametrize("form", ["json", "text", "verbose_json", "srt", "vtt"])
def test_each_form_has_the_text(form: str) -> None:
    words = form in subtitles.WRITERS
    asked = TranscriptionRequest(described.speech(), b"", form, "en")
    made = openai.transcribed(
        asked, {"text": "yes no", "seconds": 2.5} | ({"words": WORDS} if words else {})
    )
    assert "yes" in bytes(made.body).decode()
    if form == "verbose_json":
        segment = {"id": 0, "start": 0.0, "end": 2.5, "text": "yes no"}
        expected = {"task": "transcribe", "language": "en", "duration": 2.5, "text": "yes no"}
        assert json.loads(bytes(made.body)) == {**expected, "segments": [segment]}


def test_times_that_are_not_known_are_refused() -> None:
    for form in subtitles.WRITERS:
        asked = TranscriptionRequest(described.speech(), b"", form)
        with pytest.raises(UserError, match="when a word was said"):
            openai.transcribed(asked, {"text": "yes", "seconds": 1.0})


def test_subtitles() -> None:
    assert subtitles.srt(WORDS) == (
        "1\n00:00:00,500 --> 00:00:01,000\nyes <no>\n\n2\n01:01:01,000 --> 01:01:01,250\nlater\n\n"
    )
    assert subtitles.vtt(WORDS).startswith(
        "WEBVTT\n\n00:00:00.500 --> 00:00:01.000\nyes &lt;no&gt;\n\n01:01:01.000 -->"
    )
    assert subtitles.srt([]) == ""


def test_lines_are_short_and_have_all_words() -> None:
    words = [{"word": f"word{i}", "start": i / 5, "end": (i + 1) / 5} for i in range(100)]
    cues = subtitles.cues(words)
    assert " ".join(cue.text for cue in cues) == " ".join(str(one["word"]) for one in words)
    assert max(len(cue.text) for cue in cues) <= subtitles.LONGEST_CUE
    assert all(cue.end - cue.start <= subtitles.LONGEST_CUE_S for cue in cues)


def _embedding(**content: Any) -> Any:
    return openai.parse_embedding(Body(json.dumps(content).encode(), "application/json"), SERVICE)


def test_embeddings_as_numbers_or_base64() -> None:
    model, texts, in_base64 = _embedding(model="minilm", input="a", encoding_format="base64")
    assert (model.name, texts, in_base64) == ("minilm", ["a"], True)
    assert _embedding(input=["a", "b"])[1:] == (["a", "b"], False)
    vectors = [{"embedding": [0.6, -0.8], "tokens": 3}, {"embedding": [1.0, 0.0], "tokens": 4}]
    found = openai.embedded(vectors, model, in_base64=False)
    assert found["data"][1] == {"object": "embedding", "index": 1, "embedding": [1.0, 0.0]}
    assert found["usage"] == {"prompt_tokens": 7, "total_tokens": 7}
    written = openai.embedded(vectors, model, in_base64=True)["data"][0]["embedding"]
    read = np.frombuffer(base64.b64decode(written), "<f4")
    np.testing.assert_array_equal(read, np.float32([0.6, -0.8]))


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": [1, 2]}, "input"),
        ({}, "input"),
        ({"input": "a", "dimensions": 8}, "dimensions"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
        ({"input": "a", "model": "reviews"}, "model"),
        ({"input": "a", "inputs": "b"}, "inputs"),
    ],
)
def test_what_can_not_be_embedded(content: dict[str, Any], field: str) -> None:
    with pytest.raises(UserError) as caught:
        _embedding(**content)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (422, "invalid_request_error", None),
        (401, "invalid_request_error", "invalid_api_key"),
        (404, "invalid_request_error", "model_not_found"),
        (429, "requests", "rate_limit_exceeded"),
        (503, "server_error", None),
    ],
)
def test_errors_have_openais_form(status: int, kind: str, code: str | None) -> None:
    found = openai.refused(status, {"error": "no", "field": "model", "hint": "yes"})
    told = {"message": "no", "type": kind, "param": "model", "code": code}
    assert found == {"error": told}
