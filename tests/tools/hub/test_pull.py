"""pull and verify: nothing that was not pushed, nothing that runs code."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.tools.hub.running import hub_cli, push
from tests.tools.hub.tiny_hub import TinyHub
from tools.hub import onnx_layout, verify
from zoo.runtimes import artifacts
from zoo.runtimes.deployment import Deployment
from zoo.store import evidence
from zoo.store.checkpoint import open_checkpoint

REPO = "user/reviews"


def test_one_byte_of_the_weights_is_found(hub: TinyHub, trained: Path, tmp_path: Path) -> None:
    push(trained, REPO)
    weights = bytearray(hub.repos[REPO].files()["model.safetensors"].content)
    weights[-1] ^= 1
    hub.repos[REPO].put("model.safetensors", bytes(weights))
    done = hub_cli("verify", REPO)
    assert done.code == 1 and "wrong" in done.out and "model.safetensors" in done.out
    first = list(hub.repos[REPO].history())[1].sha
    for forget_sums in (False, True):
        if forget_sums:  # those of the weights stand in zoo.json twice
            _without_sums(hub)
        done = hub_cli("pull", REPO, "--output_dir", tmp_path / "pulled")
        assert done.code == 2 and "model.safetensors" in done.err
        assert list(tmp_path.glob("pulled*")) == []
    done = hub_cli("pull", f"{REPO}@{first}", "--output_dir", tmp_path / "pulled")
    assert done.code == 0, done.err


def test_without_sums_it_does_not_say_that_they_fit(
    hub: TinyHub, trained: Path, tmp_path: Path
) -> None:
    push(trained, REPO)
    _without_sums(hub)
    done = hub_cli("pull", REPO, "--output_dir", tmp_path / "pulled")
    assert done.code == 0 and "every sum" not in done.out
    assert "weights and tokenizer have their sums; the rest was not pushed" in done.out


def test_an_edited_card_is_named(hub: TinyHub, trained: Path, tmp_path: Path) -> None:
    push(trained, REPO)
    card = hub.repos[REPO].files()["README.md"].content
    hub.repos[REPO].put("README.md", card.replace(b"0.", b"0.9", 1))
    done = hub_cli("verify", REPO)
    assert done.code == 1 and "edited since: README.md" in done.out
    assert "README.md:" in done.out
    done = hub_cli("pull", REPO, "--output_dir", tmp_path / "pulled")
    assert done.code == 0 and "edited on the Hub since it was pushed: README.md" in done.out


def test_a_line_of_evidence_is_found(hub: TinyHub, trained: Path) -> None:
    push(trained, REPO)
    lines = hub.repos[REPO].files()[evidence.FILE].content.splitlines(keepends=True)
    lines[0] = lines[0].replace(b'"unit":"1"', b'"unit":"2"')
    hub.repos[REPO].put(evidence.FILE, b"".join(lines))
    done = hub_cli("verify", REPO)
    assert done.code == 1 and f"{evidence.FILE}:1" in done.out


def test_verify_replays_parity_and_metrics(hub: TinyHub, with_onnx: Path, images: Path) -> None:
    push(with_onnx, REPO)
    done = hub_cli("verify", REPO)
    assert done.code == 0, done.out + done.err
    rows = {line.split("  ")[0]: line for line in done.lines}
    assert {"sums", "card", "parity of onnx", "parity of onnx+int8-dynamic", "metrics"} <= set(rows)
    assert "not checked" in rows["metrics"] and "--data" in rows["metrics"]
    done = hub_cli("verify", REPO, "--data", images)
    assert done.code == 0, done.out + done.err
    assert any(line.startswith("accuracy on test") and " ok " in line for line in done.lines)


@pytest.mark.parametrize(("n", "status"), [(5000, "ok"), (10_000, "not checked")])
def test_metrics_of_other_samples_are_not_compared(n: int, status: str) -> None:
    def accuracy(n: int) -> evidence.Fact:
        data = {"name": "reviews", "fingerprint": "0"}
        about: Any = {"subject": "0", "run": "0", "split": "test", "dataset": data}
        return evidence.fact("metric", "accuracy", 0.8, "1", n=n, **about)

    assert verify._compared(accuracy(5000), accuracy(n)).status == status


def test_verify_finds_a_metric_that_was_made_up(
    hub: TinyHub, with_onnx: Path, images: Path
) -> None:
    import dataclasses

    subject = evidence.subject_digest(with_onnx)
    facts = [f for f in evidence.read(with_onnx) if f.name == "accuracy" and f.split == "test"]
    told = next(fact for fact in facts if fact.subject == subject)
    other = 1.0 if (told.value or 0) < 0.5 else 0.0
    evidence.append(with_onnx, [dataclasses.replace(told, value=other, interval=None)])
    (with_onnx / "README.md").unlink()
    push(with_onnx, REPO)
    done = hub_cli("verify", REPO, "--data", images)
    assert done.code == 1
    assert any(line.startswith("accuracy on test") and " wrong " in line for line in done.lines)


def test_programs_are_packed_and_stay_the_same(
    hub: TinyHub, with_onnx: Path, tmp_path: Path
) -> None:
    import numpy as np
    import onnxruntime

    push(with_onnx, REPO)
    inputs = {"pixel_values": np.random.default_rng(0).random((2, 3, 8, 8), np.float32)}
    for name, place in (("onnx", "model.onnx"), ("onnx+int8-dynamic", "model_int8.onnx")):
        alone = tmp_path / name / place
        alone.parent.mkdir()
        alone.write_bytes(hub.repos[REPO].files()[f"onnx/{place}"].content)
        shape = json.loads((with_onnx / "artifacts" / name / "export.json").read_text())["zoo"]
        dims = shape["signature"]["inputs"][0]["dims"][1:]
        inputs["pixel_values"] = np.random.default_rng(0).random((2, *dims), np.float32)
        ours, theirs = (
            onnxruntime.InferenceSession(path).run(None, inputs)[0]
            for path in (with_onnx / "artifacts" / name / "model.onnx", alone)
        )
        assert np.array_equal(ours, theirs)
    done = hub_cli("pull", REPO, "--output_dir", tmp_path / "pulled")
    assert done.code == 0, done.err
    for name in ("onnx", "onnx+int8-dynamic"):
        deployment = Deployment.parse(name)
        ours, theirs = (
            artifacts.open_artifact(folder, deployment).digest
            for folder in (with_onnx, tmp_path / "pulled")
        )
        assert ours == theirs  # so that its evidence is about it still
    assert "nothing to send" in push(tmp_path / "pulled", REPO).out


def test_programs_too_large_for_one_file_have_another(
    hub: TinyHub, with_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_layout, "LARGEST_FILE", 0)
    push(with_onnx, REPO, "--artifacts", "onnx")
    files = hub.repos[REPO].files()
    assert {"onnx/model.onnx", "onnx/model.onnx_data"} <= set(files)
    done = hub_cli("verify", REPO)
    assert done.code == 0 and any("parity of onnx" in line for line in done.lines), done.out
    done = hub_cli("pull", REPO, "--output_dir", tmp_path / "pulled")
    assert done.code == 0, done.err
    assert "nothing to send" in push(tmp_path / "pulled", REPO).out


@pytest.mark.parametrize("is_inner", [False, True])
def test_a_program_that_reads_other_files_is_refused(
    hub: TinyHub, with_onnx: Path, tmp_path: Path, is_inner: bool
) -> None:
    """Weights at ../../: of the graph itself, and of a constant in one of its nodes."""
    import onnx

    push(with_onnx, REPO, "--artifacts", "onnx")
    model = onnx.load_from_string(hub.repos[REPO].files()["onnx/model.onnx"].content)
    tensor = onnx.TensorProto(name="stolen", data_type=1, dims=[1], data_location=1)
    tensor.external_data.add(key="location", value="../../config.json")
    if is_inner:
        model.graph.node.append(onnx.helper.make_node("Constant", [], ["stolen"], value=tensor))
    else:
        model.graph.initializer.append(tensor)
    content = model.SerializeToString()
    said = json.loads(hub.repos[REPO].files()["onnx/model.export.json"].content)
    said["zoo"]["files"]["model.onnx"] = hashlib.sha256(content).hexdigest()
    _without_sums(hub)
    hub.repos[REPO].put("onnx/model.onnx", content)
    hub.repos[REPO].put("onnx/model.export.json", json.dumps(said).encode())
    done = hub_cli("pull", REPO, "--output_dir", tmp_path / "pulled")
    assert done.code == 2 and "../../config.json" in done.err and "refused" in done.err, done.err
    assert not (tmp_path / "pulled").exists()


@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        ("../outside.json", b"{}", "outside"),
        ("a/../../outside.json", b"{}", "outside"),
        ("/etc/cron.d/x", b"{}", "outside"),
        ("a\\..\\x", b"{}", "outside"),
        ("preprocessor_config.json", b'{"auto_map": {"AutoProcessor": "x.Y"}}', "auto_map"),
        ("zoo.json", b"{", "zoo.json"),
        ("zoo.json", b"[]", "zoo.json"),
        ("onnx/model.export.json", b"{}", "onnx/model.export.json"),
        ("onnx/model.export.json", b"[1]", "onnx/model.export.json"),
        (
            "onnx/model.export.json",
            b'{"zoo": {"deployment": "aoti", "in_repo": {}}}',
            "only ONNX is loaded",
        ),
        (
            "onnx/model.export.json",
            b'{"zoo": {"deployment": "onnx", "in_repo": {"../../x": "config.json"}}}',
            "refused",
        ),
        (
            "onnx/model.export.json",
            b'{"zoo": {"deployment": "onnx", "in_repo": {"model.onnx": "../../x"}}}',
            "refused",
        ),
    ],
)
def test_what_is_not_safe_is_refused(
    hub: TinyHub, trained: Path, tmp_path: Path, path: str, content: bytes, said: str
) -> None:
    push(trained, REPO)
    _without_sums(hub)
    hub.repos[REPO].put(path, content)
    done = hub_cli("pull", REPO, "--output_dir", tmp_path / "new" / "pulled")
    assert done.code == 2 and said in done.err, done.err
    assert len(done.err.splitlines()) == 1
    assert list((tmp_path / "new").rglob("*")) == []


def _without_sums(hub: TinyHub) -> None:
    """As somebody publishes it who wants to harm: with no sums that do not fit."""
    record = json.loads(hub.repos[REPO].files()["zoo.json"].content)
    del record["published"]
    hub.repos[REPO].put("zoo.json", json.dumps(record).encode())


def test_files_of_others_stay_in_the_repo(hub: TinyHub, trained: Path, tmp_path: Path) -> None:
    push(trained, REPO)
    hub.repos[REPO].put("vocab.txt", b"another tokenizer's")
    hub.repos[REPO].put("onnx/model_q4.onnx", b"another program")
    done = hub_cli("pull", REPO, "--output_dir", tmp_path / "pulled")
    assert done.code == 0 and "vocab.txt" in done.out
    assert not (tmp_path / "pulled" / "vocab.txt").exists()
    assert evidence.subject_digest(tmp_path / "pulled") == evidence.subject_digest(trained)


def test_pickles_and_code_stay_in_the_repo(hub: TinyHub, trained: Path, tmp_path: Path) -> None:
    push(trained, REPO)
    for name in ("pytorch_model.bin", "modeling.py", "model.pt2", "state/x.safetensors"):
        hub.repos[REPO].put(name, b"whatever")
    done = hub_cli("pull", REPO, "--output_dir", tmp_path / "pulled")
    assert done.code == 0 and "pytorch_model.bin" in done.out
    assert not list((tmp_path / "pulled").rglob("*.py")) + list((tmp_path / "pulled").glob("*.bin"))
    assert open_checkpoint(tmp_path / "pulled").entry.name == "bert_cls"
    _without_sums(hub)
    files = dict(hub.repos[REPO].files())
    del files["model.safetensors"]
    hub.repos[REPO].commit("main", files, "only pickled")
    done = hub_cli("pull", REPO, "--output_dir", tmp_path / "again")
    assert done.code == 2 and "pickled weights can run any code" in done.err


def test_mistakes_are_one_sentence(hub: TinyHub, trained: Path, tmp_path: Path) -> None:
    push(trained, REPO)
    hub.repos["user/other"] = type(hub.repos[REPO])()
    for words, said in (
        (("pull", "user/nothing"), "the Hub has no user/nothing"),
        (("pull", f"{REPO}@nowhere"), "no such branch, tag or commit"),
        (("pull", f"{REPO}@"), "behind the @"),
        (("pull", "user/other"), "is no checkpoint of the zoo's"),
        (("pull", REPO, "--output_dir", trained), "is there already"),
        (("verify", "user/nothing"), "the Hub has no user/nothing"),
        (("diff", REPO, "main", "nowhere"), "no such branch, tag or commit"),
    ):
        done = hub_cli(*words)
        assert done.code == 2 and said in done.err, done.err
        assert len(done.err.splitlines()) == 1
