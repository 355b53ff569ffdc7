"""The notebook tour.ipynb runs from its first cell to its last, without a network."""

import ast
import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.cli import environment, run_program

KERNEL = all(importlib.util.find_spec(name) for name in ("nbclient", "ipykernel"))
TOUR = Path(__file__).with_name("tour.ipynb")


def _code() -> list[str]:
    """The source of each cell of code."""
    notebook = json.loads(TOUR.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    return ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]


def _shown(source: str) -> str:
    """A cell as a program: its last expression is shown, as a notebook does."""
    tree = ast.parse(source)
    last = tree.body[-1]
    if isinstance(last, ast.Expr):
        show = ast.parse("print(repr(x))").body[0]
        assert isinstance(show, ast.Expr) and isinstance(show.value, ast.Call)
        show.value.args[0].args[0] = last.value  # type: ignore[attr-defined]
        tree.body[-1] = show
    return ast.unparse(tree)


def _must_tell(out: str) -> None:
    """What a reader must see of the run."""
    assert "runs/digits: cnn_cls on embedded, test" in out
    assert "on 360 images" in out
    assert "<cnn_cls in runs/digits: image-classification, labels '0', '1'" in out
    assert "'scores'" in out and "taken for a" in out
    assert "'label': 'positive'" in out and "'label': 'negative'" in out
    assert "there is no setting 'lerning_rate' here; did you mean `learning_rate`?" in out


def test_it_has_no_outputs_of_another_day() -> None:
    for cell in json.loads(TOUR.read_text(encoding="utf-8"))["cells"]:
        assert not cell.get("outputs") and cell.get("execution_count") is None


@pytest.mark.skipif(KERNEL, reason="it runs in a kernel here")
def test_it_runs_as_a_program(tmp_path: Path) -> None:
    done = run_program("\n\n".join(map(_shown, _code())), cwd=tmp_path)
    _must_tell(done.out)
    assert "training" in done.out and "step" in done.err and "\r" not in done.err
    assert (tmp_path / "runs" / "reviews" / "zoo.json").is_file()


@pytest.mark.skipif(
    not KERNEL, reason="there is no nbclient, or no ipykernel: it runs as a program"
)
def test_it_runs_in_a_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Jupyter runs it: progress comes as lines, and evidence names a command, not a kernel."""
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    for name, value in environment({"JUPYTER_DATA_DIR": str(tmp_path / "jupyter")}).items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(TOUR, as_version=4)
    nbformat.validate(notebook)
    client = nbclient.NotebookClient(
        notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute(env=dict(os.environ))
    outputs = [o for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs]
    assert all(output.output_type != "error" for output in outputs)
    _must_tell("\n".join(map(_text, outputs)))
    assert "\r" not in "".join(o.text for o in outputs if o.get("name") == "stderr")
    evidence = (tmp_path / "runs" / "reviews" / "evidence.jsonl").read_text()
    commands = {json.loads(line)["command"] for line in evidence.splitlines()}
    assert len(commands) == 1 and "ipykernel" not in "".join(commands)


def _text(output: Any) -> str:
    return output.get("text") or output.get("data", {}).get("text/plain", "")
