"""How a fine-tune ends in TensorBoard: metrics, what is taken for what, mistakes, settings."""

import json
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
from tensorboard.plugins.hparams import metadata, plugin_data_pb2

from tests.cases import Case
from tests.cli import run_cli
from tools.cards.cli import main as cards

SHORT = ("--max_steps", 3, "--report_to", "tensorboard")


def board(folder: Path) -> Any:
    """What TensorBoard has of the one run in a folder."""
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(folder / "logs")).Reload()
    (run,) = multiplexer.Runs()
    return multiplexer.GetAccumulator(run)


@pytest.mark.parametrize("case", ["text", "vision", "sound", "speech"], indirect=True)
def test_the_end_of_a_run_is_in_tensorboard(case: Case, tmp_path: Path) -> None:
    run = case.finetune(tmp_path / "run", *SHORT)
    found = board(run.folder)
    facts = [json.loads(line) for line in (run.folder / "evidence.jsonl").open()]
    (primary, *_) = (fact for fact in facts if fact["kind"] == "metric")
    (last,) = found.Scalars(f"test/{primary['name']}")
    assert (last.step, last.value) == (3, pytest.approx(primary["value"], rel=1e-6))
    has_matrix, has_pictures = case.name != "speech", case.name != "text"
    images = {"test/confusions": has_matrix, "test/mistakes": has_pictures}
    assert set(found.Tags()["images"]) == {name for name, is_there in images.items() if is_there}
    (text,) = found.Tensors("test/mistakes/text_summary")
    assert text.tensor_proto.string_val[0].startswith(b"| loss | ")
    content = found.summary_metadata[metadata.SESSION_START_INFO_TAG].plugin_data.content
    started = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    assert started.hparams["max_steps"].number_value == 3
    assert metadata.SESSION_END_INFO_TAG in found.summary_metadata
    kept = json.loads((run.folder / "plots" / "mistakes.json").read_text())
    assert kept["split"] == "test" and 0 < len(kept["rows"]) <= 20
    plots = {path.name for path in (run.folder / "plots").glob("*.png")}
    assert ("confusion_matrix.png" in plots, "mistakes.png" in plots) == (has_matrix, has_pictures)
    for name in plots & {"confusion_matrix.png", "mistakes.png"}:
        assert str(run.folder / "plots" / name) in run.done.out


@pytest.mark.parametrize("case", ["vision"], indirect=True)
def test_a_run_that_reports_to_nobody_draws_curves_alone(case: Case, tmp_path: Path) -> None:
    run = case.finetune(tmp_path / "run", "--max_steps", 2)
    assert {path.name for path in (run.folder / "plots").iterdir()} == {"training.png"}
    assert not list((run.folder / "logs").rglob("events*"))


@pytest.mark.parametrize("case", ["text"], indirect=True)
def test_without_a_test_split_the_curve_of_validation_stays_its_own(
    case: Case, tmp_path: Path, reviews: Path
) -> None:
    """The final evaluation is of the best checkpoint in fp32: another value at the same step."""
    data = tmp_path / "data"
    data.mkdir()
    for split in ("train", "validation"):
        for path in reviews.glob(f"{split}.*"):
            (data / path.name).write_bytes(path.read_bytes())
    run = case.finetune(tmp_path / "run", *SHORT, "--data", data, "--test_size", 0)
    found = board(run.folder)
    tags = set(found.Tags()["scalars"])
    assert "final_validation/accuracy" in tags and "test/accuracy" not in tags
    assert len(found.Scalars("validation/accuracy")) == len(run.records("validation"))


@pytest.mark.parametrize("case", ["vision"], indirect=True)
def test_a_resumed_run_ends_in_the_same_place(case: Case, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    case.finetune(folder, *SHORT, "--save_steps", 2)
    run = case.finetune(folder, *SHORT, "--save_steps", 2, "--resume")
    found = board(run.folder)
    assert [event.step for event in found.Scalars("train/loss")] == [1, 2, 3]
    assert found.Scalars("test/accuracy")[-1].step == 3


@pytest.mark.parametrize("case", ["vision"], indirect=True)
def test_evaluate_and_the_card_show_the_mistakes(case: Case, tmp_path: Path) -> None:
    run = case.finetune(tmp_path / "run", "--max_steps", 2)
    done = run_cli(case.module, "evaluate", run.folder, "--mistakes", 3)
    assert done.code == 0, done.err
    header = next(line for line in done.lines if line.startswith("loss"))
    assert header.split() == ["loss", "score", "true", "predicted", "example"]
    kept = json.loads((run.folder / "plots" / "mistakes.json").read_text())
    assert len(kept["rows"]) == 3 and kept["picture"]["name"] == "mistakes.png"
    assert cards([str(run.folder)]) == 0
    card = (run.folder / "README.md").read_text()
    assert "### What it takes for what" in card and "![Confusion matrix](card/confusions-" in card
    assert f"| {kept['rows'][0][0]} | {kept['rows'][0][1]} |" in card
    assert "![Worst mistakes](plots/mistakes.png)" in card
    assert cards([str(run.folder), "--check"]) == 0
