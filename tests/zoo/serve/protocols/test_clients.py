"""Each protocol by a client that we did not write, on a real service."""

import io
import json
import socket
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
import requests
import tritonclient.http as triton
from huggingface_hub import InferenceClient, constants
from huggingface_hub.errors import HfHubHTTPError
from tritonclient.utils import InferenceServerException

import zoo
from tests import tiny_models
from tests.serving import Served, serving

pytestmark = pytest.mark.slow

TEXT = "a moving film"
MORE = ("bert_tok", "bert_mlm", "conformer_ctc", "whisper_asr")
"""What the service of all tests does not have: each takes seconds to start."""


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Hub's client asks nobody where HF_HUB_OFFLINE is set, as it is for all tests."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


def _hub(service: Served, name: str) -> InferenceClient:
    return InferenceClient(model=f"{service.url}/models/{name}")


@pytest.fixture
def tensors(service: Served) -> Iterator[Any]:
    """A client of the Open Inference Protocol."""
    client = triton.InferenceServerClient(service.url.removeprefix("http://"))
    yield client
    client.close()


@pytest.fixture
def openai_client(service: Served) -> openai.OpenAI:
    """A client of OpenAI's API."""
    return openai.OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0)


def _file(folder: Path) -> Path:
    return min(path for ending in ("png", "wav") for path in folder.rglob(f"*.{ending}"))


def _expected(folder: Path, item: Any) -> dict[str, float]:
    """The scores of all labels, as `zoo.predict` gives them."""
    scores: dict[str, float] = zoo.predict(folder, item, top_k=10)["scores"]
    return scores


def test_the_hub_classifies_texts(service: Served, checkpoints: dict[str, Path]) -> None:
    found: Any = _hub(service, "bert_cls").text_classification(TEXT)
    expected = _expected(checkpoints["bert_cls"], TEXT)
    assert [one.label for one in found] == list(expected)
    assert [one.score for one in found] == pytest.approx(list(expected.values()), abs=1e-5)
    assert len(_hub(service, "bert_cls").text_classification(TEXT, top_k=1)) == 1  # type: ignore[arg-type]


def test_the_hub_classifies_images_and_sounds(
    service: Served, checkpoints: dict[str, Path], images: Path, sounds: Path
) -> None:
    image, sound = _file(images), _file(sounds)
    asked: list[tuple[str, Path, Callable[..., Any]]] = [
        ("cnn_cls", image, _hub(service, "cnn_cls").image_classification),
        ("kws_cls", sound, _hub(service, "kws_cls").audio_classification),
    ]
    for name, file, ask in asked:
        expected = _expected(checkpoints[name], file)
        for given in (file, file.read_bytes()):  # as it is, and of bytes no type is known
            found = ask(given)
            assert [one.label for one in found] == list(expected)
            assert [one.score for one in found] == pytest.approx(list(expected.values()), abs=1e-5)
        assert len(ask(file, top_k=2)) == 2  # in base64, for the sake of its parameter


def test_the_hub_looks_at_health(service: Served, checkpoints: dict[str, Path]) -> None:
    def client(path: str) -> InferenceClient:
        return InferenceClient(model=f"{service.url}{path}", provider="hf-inference")

    assert client("/models/bert_cls").health_check() and client("").health_check()
    told = client("/models/bert_cls").get_endpoint_info()
    assert (told["model_id"], told["model_pipeline_tag"]) == ("bert_cls", "text-classification")
    assert not client("/models/none").health_check()


def test_the_hub_tells_what_was_wrong(service: Served) -> None:
    with pytest.raises(HfHubHTTPError, match=r"sigmoid.*softmax") as caught:
        _hub(service, "bert_cls").text_classification(TEXT, function_to_apply="sigmoid")
    assert caught.value.response.status_code == 422
    with pytest.raises(HfHubHTTPError, match="no base64 of an image file"):
        _hub(service, "cnn_cls").text_classification(TEXT)
    with pytest.raises(HfHubHTTPError, match="does text-classification") as caught:
        _hub(service, "bert_cls").zero_shot_classification(TEXT, ["a", "b"])
    assert caught.value.response.json()["field"] == "candidate_labels"
    with pytest.raises(HfHubHTTPError, match="no model 'none'") as caught:
        _hub(service, "none").text_classification(TEXT)
    assert caught.value.response.status_code == 404
    with pytest.raises(HfHubHTTPError, match="name one of"):
        InferenceClient(model=service.url).text_classification(TEXT)


def _tensor(name: str, *values: bytes, binary: bool = True) -> Any:
    array = np.array(values, object)
    made = triton.InferInput(name, [len(values)], "BYTES")
    return made.set_data_from_numpy(array, binary_data=binary)


def test_tensors(service: Served, tensors: Any, checkpoints: dict[str, Path], images: Path) -> None:
    assert tensors.is_server_live() and tensors.is_server_ready()
    assert tensors.is_model_ready("bert_cls") and tensors.is_model_ready("bert_cls", "1")
    assert tensors.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    said = tensors.get_model_metadata("cnn_cls")
    assert said["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [-1]}]
    expected = _expected(checkpoints["bert_cls"], TEXT)
    for binary in (True, False):
        given = [_tensor("text", TEXT.encode(), "好电影".encode(), binary=binary)]
        found = tensors.infer("bert_cls", given, request_id="seven", parameters={"top_k": 2})
        assert found.get_response()["id"] == "seven"
        assert found.as_numpy("label")[0].decode() == max(expected, key=lambda one: expected[one])
        assert found.as_numpy("labels").shape == (2, 2)
        assert found.as_numpy("scores")[0] == pytest.approx(list(expected.values()), abs=1e-5)
    wanted = [triton.InferRequestedOutput("score", binary_data=False)]
    content = _file(images).read_bytes()
    found = tensors.infer("cnn_cls", [_tensor("image", content)], outputs=wanted)
    best = max(_expected(checkpoints["cnn_cls"], content).values())
    assert found.as_numpy("score") == pytest.approx([best], abs=1e-5)
    assert found.as_numpy("label") is None


def test_tensors_tell_what_was_wrong(tensors: Any) -> None:
    with pytest.raises(InferenceServerException, match="can't take text; send image") as caught:
        tensors.infer("cnn_cls", [_tensor("text", b"fine")])
    assert caught.value.status() == "422"
    with pytest.raises(InferenceServerException, match="no model 'none'"):
        tensors.infer("none", [_tensor("text", b"fine")])
    with pytest.raises(InferenceServerException, match="not UTF-8"):
        tensors.infer("bert_cls", [_tensor("text", b"\xff")])
    with pytest.raises(InferenceServerException, match="no version '2'"):
        tensors.get_model_metadata("bert_cls", "2")
    with pytest.raises(InferenceServerException, match="content-encoding 'gzip'"):
        tensors.infer("bert_cls", [_tensor("text", b"a")], request_compression_algorithm="gzip")


def test_openai_lists_models_and_has_no_text(openai_client: openai.OpenAI) -> None:
    assert [one.id for one in openai_client.models.list()] == ["bert_cls", "cnn_cls", "kws_cls"]
    assert openai_client.models.retrieve("cnn_cls").created > 0
    message: Any = {"role": "user", "content": "hello"}
    with pytest.raises(openai.NotFoundError, match="no model here writes text") as caught:
        openai_client.chat.completions.create(model="bert_cls", messages=[message])
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError, match="no model here writes text"):
        openai_client.completions.create(model="bert_cls", prompt="hello")
    with pytest.raises(openai.NotFoundError, match="no model 'gpt'"):
        openai_client.models.retrieve("gpt")


@pytest.mark.slow
def test_a_key_is_wanted_by_each_client(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    keys = tmp_path / "keys.txt"
    keys.write_text("k" * 40 + "\n", encoding="utf-8")
    keys.chmod(0o600)
    folder = f"{checkpoints['bert_cls']}=bert_cls"
    with serving(folder, "--keys", keys, "--threads", 1) as service:
        with pytest.raises(HfHubHTTPError, match="no known key"):
            InferenceClient(model=service.url, token="wrong").text_classification(TEXT)
        good: Any = InferenceClient(model=service.url, token="k" * 40).text_classification(TEXT)
        assert len(good) == 2
        client = openai.OpenAI(base_url=f"{service.url}/v1", api_key="wrong", max_retries=0)
        with pytest.raises(openai.AuthenticationError, match="no known key") as caught:
            client.models.list()
        assert caught.value.code == "invalid_api_key"


def _png(side: int) -> bytes:
    """A small file that claims to be an image of side x side."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(bytes(side + 1)))
    return b"\x89PNG\r\n\x1a\n" + head + rows + chunk(b"IEND", b"")


def _long_sound(hours: float) -> bytes:
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, np.zeros(int(hours * 3600 * 8000), np.int16), 8000, format="FLAC")
    return file.getvalue()


def test_large_media_in_small_files_are_refused(service: Served) -> None:
    done = requests.post(f"{service.url}/models/cnn_cls", data=_png(50_000), timeout=60)
    assert done.status_code == 422, done.text
    assert "50,000" in done.json()["error"]
    hour = _long_sound(1)
    assert len(hour) < 500_000
    done = requests.post(f"{service.url}/models/kws_cls", data=hour, timeout=60)
    assert done.status_code == 422, done.text
    assert "3,600 s, longer than max_seconds 600" in done.json()["error"]
    done = requests.post(f"{service.url}/predict", json={"text": TEXT, "model": "bert_cls"})
    assert done.status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/models/bert_cls", b'{"inputs": NaN}', 400, "NaN"),
        ("/models/bert_cls", b'{"inputs": "a', 400, "no JSON"),
        ("/models/bert_cls", b'{"inputs": "\xff"}', 400, "not UTF-8"),
        ("/v2/models/bert_cls/infer", b'{"inputs": 1e999}', 400, "too large"),
        ("/v2/models/bert_cls/infer", b"{}", 422, "inputs"),
        ("/classify", b'{"input": 3, "model": "bert_cls"}', 422, "a number"),
        ("/transcribe", b'{"input": "aGVsbG8="}', 422, "no model here does automatic-speech"),
        ("/recognize", b'{"input": "a"}', 422, "name one of bert_cls, cnn_cls, kws_cls"),
        ("/v1/embeddings", b'{"input": "a"}', 404, "/v1/embeddings"),
        ("/nowhere", b"{}", 404, "/nowhere"),
        ("/v2/health/live", b"{}", 405, "not allowed"),
    ],
)
def test_bad_requests_on_each_path(
    path: str, body: bytes, status: int, said: str, service: Served
) -> None:
    headers = {"content-type": "application/json"}
    done = requests.post(service.url + path, data=body, headers=headers, timeout=30)
    assert done.status_code == status, done.text
    error = done.json()["error"]
    told = error["message"] if isinstance(error, dict) else error
    assert said in told and "\n" not in told
    assert isinstance(error, dict) == path.startswith("/v1/")


def test_a_body_that_ends_early_leaves_the_service_as_it_was(service: Served) -> None:
    host, _, port = service.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as connection:
        head = "POST /models/bert_cls HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
        connection.sendall(head.encode() + b'{"inputs": ')
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(10)
        assert b" 200 " not in connection.recv(100)
    assert len(_hub(service, "bert_cls").text_classification(TEXT)) == 2  # type: ignore[arg-type]


def test_examples_of_the_documentation_work(service: Served) -> None:
    """Every body that `/docs` shows is answered."""
    said = requests.get(f"{service.url}/openapi.json", timeout=30).json()
    tried = 0
    for path, methods in said["paths"].items():
        body = methods.get("post", {}).get("requestBody", {}).get("content", {})
        for name, example in body.get("application/json", {}).get("examples", {}).items():
            url = service.url + path.replace("{name}", name)
            done = requests.post(url, json=example["value"], timeout=60)
            assert done.status_code == 200, f"{path} {name}: {done.text}"
            tried += 1
    assert tried > 10 and "/transcribe" not in said["paths"]


def test_the_documentation_loads_nothing_from_outside(service: Served) -> None:
    done = requests.get(f"{service.url}/docs", timeout=30)
    assert "default-src 'none'" in done.headers["content-security-policy"]
    for name in ("docs.css", "docs.js"):
        assert f'"docs/{name}"' in done.text
        part = requests.get(f"{service.url}/docs/{name}", timeout=30)
        assert part.status_code == 200 and "://" not in part.text
    assert "://" not in done.text
    assert requests.get(f"{service.url}/docs/docs.py", timeout=30).status_code == 404


@pytest.fixture(scope="module")
def more(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A service of what else there is: tags, masks, speech, and weights as they are."""
    folders = [
        tiny_models.checkpoint(name, request.getfixturevalue, tmp_path_factory.mktemp(name))
        for name in MORE
    ]
    words = [f"{folder}={name}" for name, folder in zip(MORE, folders, strict=True)]
    with serving(*words, "minilm", "--threads", 1, timeout=400) as served:
        yield served


@pytest.mark.slow
def test_the_hub_tags_and_fills(more: Served) -> None:
    text = "the truly fine film , the story"
    spans = _hub(more, "bert_tok").token_classification(text)
    assert all(text[one.start : one.end] == one.word and one.entity_group for one in spans)
    with pytest.raises(HfHubHTTPError, match="there is first, simple, none"):
        _hub(more, "bert_tok").token_classification(text, aggregation_strategy="average")
    ask = _hub(more, "bert_tok").token_classification
    pieces = ask(text, aggregation_strategy="none", ignore_labels=[])
    assert {one.entity for one in pieces} >= {f"B-{one.entity_group}" for one in spans}
    assert "".join(one.word for one in pieces) == text.replace(" ", "")
    joined = ask(text, aggregation_strategy="simple")
    assert all(text[one.start : one.end] == one.word and one.entity_group for one in joined)
    guesses = _hub(more, "bert_mlm").fill_mask("the film was [MASK]", top_k=3)
    assert len(guesses) == 3
    assert all(one.sequence.startswith("the film was ") for one in guesses)
    with pytest.raises(HfHubHTTPError, match="put one where a word is missing"):
        _hub(more, "bert_mlm").fill_mask("the film")


@pytest.mark.slow
def test_speech_is_written_by_each_client(more: Served, utterances: Path) -> None:
    sound = _file(utterances / "test")
    client = openai.OpenAI(base_url=f"{more.url}/v1", api_key="none", max_retries=0)
    tensors = triton.InferenceServerClient(more.url.removeprefix("http://"))
    for name in ("conformer_ctc", "whisper_asr"):
        text = _hub(more, name).automatic_speech_recognition(sound).text
        found = tensors.infer(name, [_tensor("audio", sound.read_bytes())])
        assert found.as_numpy("text")[0].decode() == text
        transcribe: Any = client.audio.transcriptions.create
        assert transcribe(model=name, file=sound).text == text
        assert transcribe(model=name, file=sound, response_format="text").rstrip("\n") == text
        said = transcribe(model=name, file=sound, response_format="verbose_json")
        assert said.text == text and 0.1 < said.duration < 2
        url = f"{more.url}/transcribe"
        files = {"audio": sound.read_bytes()}
        done = requests.post(url, files=files, data={"model": name}, timeout=60)
        assert done.json()["predictions"] == [{"text": text}]
    tensors.close()
    with pytest.raises(openai.UnprocessableEntityError, match="when a word was said"):
        transcribe(model="whisper_asr", file=sound, response_format="srt")
    said = transcribe(
        model="conformer_ctc",
        file=sound,
        response_format="verbose_json",
        timestamp_granularities=["word"],
    )
    assert " ".join(one.word for one in said.words) == said.text
    assert all(0 <= one.start < one.end <= said.duration + 0.1 for one in said.words)
    hub = _hub(more, "conformer_ctc")
    found = hub.automatic_speech_recognition(sound, extra_body={"return_timestamps": True})
    assert [one.text for one in found.chunks or []] == [one.word for one in said.words]
    subtitles = transcribe(model="conformer_ctc", file=sound, response_format="srt")
    assert subtitles.count(" --> 00:00:0") >= bool(said.text)
    with pytest.raises(openai.UnprocessableEntityError, match="does fill-mask") as caught:
        transcribe(model="bert_mlm", file=sound)
    assert caught.value.param == "model"


@pytest.mark.slow
def test_weights_label_and_embed(more: Served) -> None:
    hub, text = _hub(more, "minilm"), "Fold the egg whites in"
    labels = ["sports", "cooking", "politics"]
    found = hub.zero_shot_classification(text, labels)
    assert found[0].label == "cooking"
    assert sum(one.score for one in found) == pytest.approx(1)
    vectors = hub.feature_extraction([text, "Whisk the eggs"])
    assert vectors.shape == (2, 384)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1], abs=1e-5)
    assert hub.feature_extraction(text) == pytest.approx(vectors[0], abs=1e-5)
    [similar] = hub.sentence_similarity(text, ["Whisk the eggs"])
    assert similar == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-5)
    client = openai.OpenAI(base_url=f"{more.url}/v1", api_key="none", max_retries=0)
    for more_asked in ({}, {"encoding_format": "float"}):
        made = client.embeddings.create(model="minilm", input=[text, "好"], **more_asked)  # type: ignore[arg-type]
        assert made.data[0].embedding == pytest.approx(vectors[0].tolist(), abs=1e-5)
        assert made.usage.prompt_tokens > 6
    done = requests.post(
        f"{more.url}/classify",
        json={"input": text, "labels": labels, "model": "minilm"},
        timeout=60,
    )
    assert done.json()["predictions"][0]["label"] == "cooking"
    said = requests.get(f"{more.url}/openapi.json", timeout=30).json()["paths"]
    example = said["/v1/embeddings"]["post"]["requestBody"]["content"]["application/json"]
    done = requests.post(
        f"{more.url}/v1/embeddings", json=example["examples"]["minilm"]["value"], timeout=60
    )
    assert done.status_code == 200, json.dumps(done.json())
