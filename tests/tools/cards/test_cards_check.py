"""`--check` finds whatever was changed, and names the place."""

import json
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.tools.cards.folders import Folder, full, make
from tools.cards import check
from tools.cards.cli import main
from zoo.store import evidence


def _checked(folder: Folder, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    capsys.readouterr()
    code = main([str(folder.path), "--check"])
    out, err = capsys.readouterr()
    assert (not err) == (code == 0) and (code == 0) == bool(out)
    return code, err.splitlines()


def _change(path: Path, old: str, new: str) -> int:
    """Replaces what occurs once or more, the first time; gives the number of its line."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return text[: text.index(old)].count("\n") + 1


def test_a_card_as_it_was_written(copy: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    assert _checked(copy, capsys) == (0, [])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("0.857 (0.837", "0.867 (0.837", "0.867 (0.837 to 0.877)"),
        ("1,500 | 95%, x |", "9,500 | 95%, x |", "'9,500'"),
        ("value: 0.8573333333333333", "value: 0.8673333333333333", "0.8673333333333333"),
        ("7.2 ms", "1.2 ms", "1.2 ms"),
        ("58.7 MB", "18.7 MB", "18.7 MB"),
    ],
)
def test_one_digit(
    copy: Folder, capsys: pytest.CaptureFixture[str], old: str, new: str, said: str
) -> None:
    line = _change(copy.path / "README.md", old, new)
    code, (fault,) = _checked(copy, capsys)
    assert code == 1
    assert fault.startswith(f"{copy.path}/README.md:{line} says ") and said in fault
    named = re.search(r"where evidence (\w{16}) has (\w+)", fault)
    assert named, fault
    fact = next(fact for fact in copy.facts if fact.id == named[1])
    assert fact.name == named[2]


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_any_digit(carded: Folder, data: st.DataObject) -> None:
    """Of the page as it is rendered: no file is written, which would take most of the time."""
    digits = [match.start() for match in re.finditer(r"\d", carded.card)]
    place = data.draw(st.sampled_from(digits))
    other = data.draw(st.sampled_from([d for d in "0123456789" if d != carded.card[place]]))
    changed = carded.card[:place] + other + carded.card[place + 1 :]
    page = carded.path / "README.md"
    found = check.compare(page, changed, carded.card, carded.facts)
    line = carded.card[:place].count("\n") + 1
    assert len(found) == 1 and found[0].startswith(f"{page}:{line} ")


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [*lines[:40], *lines[41:]],
        lambda lines: [*lines[:40], "It is the best there is.", *lines[40:]],
        lambda lines: lines[:-1],
        lambda lines: [line + "\r" for line in lines],
        lambda lines: [],
    ],
    ids=["one less", "one more", "no end", "ends of lines", "nothing"],
)
def test_other_lines(
    copy: Folder,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[list[str]], list[str]],
) -> None:
    page = copy.path / "README.md"
    page.write_bytes("\n".join(change(copy.card.split("\n"))).encode())
    code, faults = _checked(copy, capsys)
    assert code == 1 and all(fault.startswith(f"{page}:") for fault in faults)
    assert len(faults) <= 11


def test_a_card_that_is_not_there(copy: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    (copy.path / "README.md").unlink()
    code, (fault,) = _checked(copy, capsys)
    assert code == 1 and "README.md is missing" in fault


def test_one_byte_of_the_weights(copy: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    path = copy.path / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    code, (fault,) = _checked(copy, capsys)
    assert code == 1 and fault.startswith(f"{path} (") and "not the file that was saved" in fault


def test_other_weights_with_sums_that_fit(copy: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    """As a second training into the same folder leaves them; the evidence is the old one's."""
    from tasks.data.fingerprint import sha256

    (copy.path / "tokenizer.json").write_text("{}")
    manifest = json.loads((copy.path / "zoo.json").read_text())
    copy.change_manifest(
        files=manifest["files"] | {"tokenizer.json": sha256(copy.path / "tokenizer.json")}
    )
    old = next(fact for fact in copy.facts if fact.name == "accuracy")
    assert main([str(copy.path)]) == 2
    assert "has no evidence about the weights that lie there" in capsys.readouterr().err
    code, (fault,) = _checked(copy, capsys)
    assert code == 1 and "artifacts/onnx was exported from other weights" in fault
    shutil.rmtree(copy.path / "artifacts")
    code, (fault,) = _checked(copy, capsys)
    assert code == 1 and "evidence.jsonl says nothing about the weights" in fault
    copy.add(copy.metric("accuracy", 0.9))
    code, faults = _checked(copy, capsys)
    assert code == 1
    assert any(f"cites evidence {old.id}, accuracy of {old.subject[:16]}, and" in f for f in faults)


@pytest.mark.parametrize("number", range(3))
def test_one_line_of_the_evidence(
    copy: Folder, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    path = copy.path / evidence.FILE
    lines = path.read_text().split("\n")
    digit = random.Random(number).choice([m.start() for m in re.finditer(r"\d", lines[number])])
    text = lines[number]
    lines[number] = text[:digit] + str((int(text[digit]) + 1) % 10) + text[digit + 1 :]
    path.write_text("\n".join(lines))
    code, faults = _checked(copy, capsys)
    assert code == 1 and faults[0].startswith(f"{path}:{number + 1} is no evidence: ")


def test_half_a_line_of_the_evidence(copy: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    path = copy.path / evidence.FILE
    path.write_bytes(path.read_bytes()[:-20])
    code, faults = _checked(copy, capsys)
    assert code == 1 and faults[0].startswith(f"{path}:{len(copy.facts) + 1} is no evidence: ")


def test_a_program_that_was_changed(copy: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    (copy.path / "artifacts" / "onnx" / "model.onnx").write_bytes(b"another")
    code, (fault,) = _checked(copy, capsys)
    assert code == 1 and "artifacts/onnx is damaged: model.onnx" in fault


def test_new_evidence_makes_a_card_old(copy: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    (new,) = copy.add(copy.metric("accuracy", 0.9))
    code, faults = _checked(copy, capsys)
    assert code == 1 and len(faults) >= 2
    assert any(f"evidence {new.id} has accuracy of test 0.900" in fault for fault in faults)
    assert main([str(copy.path)]) == 0
    assert _checked(copy, capsys) == (0, [])


def test_results_of_a_benchmark_are_checked(
    copy: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    stray = copy.path / ".eval_results" / "gpqa.yaml"
    stray.parent.mkdir()
    stray.write_text("- value: 99\n")
    code, (fault,) = _checked(copy, capsys)
    assert code == 1 and "gpqa.yaml is of no benchmark" in fault


@pytest.mark.parametrize("flags", [(), ("--check",)])
def test_mistakes_are_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...]
) -> None:
    bare = make(tmp_path / "bare").path
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "config.json").write_text("{}")
    for folder, said in (
        (tmp_path / "nowhere", "there is no such folder"),
        (foreign, "is no checkpoint of the zoo's"),
        (bare, "has no evidence"),
    ):
        before = sorted(folder.rglob("*")) if folder.exists() else None
        assert main([str(folder), *flags]) == 2
        out, err = capsys.readouterr()
        assert not out and err.count("\n") == 1 and said in err and err.startswith("cards: ")
        assert before == (sorted(folder.rglob("*")) if folder.exists() else None)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "python -m tools.cards --index"),
        (["--help"], 0, "examples:"),
        (["--chek"], 2, "--check"),
        (["--check"], 2, "nothing to do"),
        (["a", "b", "--keep", "name"], 2, "--keep takes one checkpoint"),
    ],
)
def test_the_command_line(
    words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        done = main(words)
    except SystemExit as stop:
        done = stop.code
    out, err = capsys.readouterr()
    assert done == code and said in out + err


def test_several_at_once(copy: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = full(tmp_path / "other")
    assert main([str(copy.path), str(other.path)]) == 0
    assert capsys.readouterr().out.split() == [f"{f.path}/README.md" for f in (copy, other)]
    _change(other.path / "README.md", "0.857", "0.858")
    assert main([str(copy.path), str(other.path), "--check"]) == 1
