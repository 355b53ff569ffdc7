"""Suite files: what they expand to, and what is said of a wrong one."""

from pathlib import Path

import pytest

from bench.cases.case import Case
from bench.sweep import suite
from tasks.errors import UserError

GOOD = """\
minutes_per_case: 0.2
measures: latency
cases:
  - models: [minilm, resnet18]
    deployments: [eager, onnx]
    batch_sizes: [1, 16]
  - models: minilm
    lengths: [32, 0.5]
    phases: training
"""


def _write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


def test_cross_product(tmp_path: Path) -> None:
    found = suite.read(_write(tmp_path, GOOD), threads=2)
    assert (found.minutes_per_case, found.measures, found.launches) == (0.2, ("latency",), None)
    assert len(found.cases) == len(set(found.cases)) == 2 * 2 * 2 + 2
    assert found.cases[0] == Case.of("minilm", "eager", 1, threads=2)
    assert found.cases[1] == Case.of("minilm", "onnx", 1, threads=2)
    assert found.cases[-1] == Case.of("minilm", "eager", 1, 0.5, threads=2, phase="training")


def test_flags_win(tmp_path: Path) -> None:
    flags = {"deployments": ["compile+bf16"], "threads": [4]}
    found = suite.read(_write(tmp_path, GOOD), 2, flags)
    assert {case.deployment for case in found.cases} == {"compile+bf16"}
    assert {case.threads for case in found.cases} == {4}
    assert {case.workload.batch for case in found.cases} == {1, 16}


@pytest.mark.parametrize("name", suite.names())
def test_ours_are_sound(name: str) -> None:
    assert suite.read(suite.find(name), 2).cases


@pytest.mark.parametrize(
    ("before", "after", "line", "said"),
    [
        ("batch_sizes", "bach_sizes", 6, "no key 'bach_sizes'; did you mean batch_sizes?"),
        ("measures", "mesures", 2, "no key 'mesures'; did you mean measures?"),
        ("onnx]", "onxx]", 5, "did you mean onnx?"),
        ("resnet18", "resnet81", 4, "did you mean resnet18?"),
        ("[1, 16]", "[1, many]", 6, "batch_sizes: 'many' is no whole number"),
        ("[1, 16]", "[1, true]", 6, "batch_sizes: True"),
        ("[1, 16]", "[]", 6, "batch_sizes is empty"),
        ("[1, 16]", "[[1, 16]]", 6, "batch_sizes wants values"),
        ("[32, 0.5]", "[32, -1]", 8, "lengths: -1 is no number above 0"),
        ("training", "trainig", 9, "did you mean training?"),
        ("measures: latency", "measures: latncy", 2, "did you mean latency?"),
        ("minutes_per_case: 0.2", "minutes_per_case: long", 1, "minutes_per_case: 'long'"),
        ("    lengths:", "    models: minilm\n    lengths:", 8, "models stands here twice"),
        ("  - models: minilm\n", "  - batch_sizes: 1\n", 7, "name no models"),
        ("cases:", "cases: [", 4, "not valid YAML"),
    ],
)
def test_a_typo_is_one_line(tmp_path: Path, before: str, after: str, line: int, said: str) -> None:
    assert before in GOOD
    path = _write(tmp_path, GOOD.replace(before, after, 1))
    with pytest.raises(UserError) as error:
        suite.read(path, 2)
    text = str(error.value)
    assert text.startswith(f"{path}, line {line}") and said in text and "\n" not in text


@pytest.mark.parametrize("text", ["", "[]", "cases: 3", "cases: []", "- 1", "minutes_per_case: 3"])
def test_what_is_no_suite(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match=r"mine\.yaml"):
        suite.read(_write(tmp_path, text), 2)


def test_names() -> None:
    with pytest.raises(UserError, match="did you mean smoke"):
        suite.find("smok")
    with pytest.raises(UserError, match="no such file"):
        suite.find("mine.yaml")
