"""What TensorBoard has of a run: curves, settings, and in the end what it came to; one run."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
from tensorboard.plugins.hparams import metadata, plugin_data_pb2
from tensorboard.summary.writer import event_file_writer

from zoo.train.reporting.reporters import FinalReport, TensorBoard, hyperparameters

CONFIG = {
    "train": {"learning_rate": 2e-4, "resume": False, "max_steps": -1, "teacher": None},
    "options": {"model": "/home/anna/weights", "dropout": 0.1, "betas": [0.9, 0.999]},
    "data": {"data": "reviews", "validation_size": 0.1},
    "task": {"args": {"max_length": 128, "dropout": 0.5}, "labels": ["a", "b"]},
}


def record(step: int, split: str = "train", **values: float) -> dict[str, Any]:
    """A record as the loop logs it."""
    return {"step": step, "epoch": step / 10, "split": split, **values}


def read(folder: Path) -> Any:
    """The one run that TensorBoard finds below a folder."""
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(folder)).Reload()
    (run,) = multiplexer.Runs()
    assert run == "."
    return multiplexer.GetAccumulator(run)


def told(run: Any, tag: str) -> Any:
    """A message of the HParams plugin."""
    content = run.summary_metadata[tag].plugin_data.content
    return plugin_data_pb2.HParamsPluginData.FromString(content)


def report(tmp_path: Path, step: int = 3) -> FinalReport:
    """The end of a run, with a picture and a text."""
    picture = tmp_path / "confusion_matrix.png"
    pixels = np.zeros((4, 6, 4), np.uint8)
    pixels[..., 1] = pixels[..., 3] = 255  # green, with an alpha channel as matplotlib writes it
    Image.fromarray(pixels).save(picture)
    last = record(step, "test", loss=0.5, accuracy=0.75)
    return FinalReport(last, {"confusion_matrix": picture}, {"mistakes": "| a |\n| --- |\n| 好 |"})


def test_a_run_has_its_settings_curves_and_end_in_one_place(tmp_path: Path) -> None:
    board = TensorBoard(tmp_path / "logs", CONFIG)
    board.rewind(0)
    board.log(record(2, loss=0.7))
    board.log(record(3, "validation", loss=0.6, accuracy=0.7, best=True))
    board.finish(report(tmp_path))
    board.close()
    run = read(tmp_path / "logs")
    tags = run.Tags()
    assert {"train/loss", "validation/accuracy", "test/accuracy", "test/loss"} <= {*tags["scalars"]}
    (value,) = run.Scalars("test/accuracy")
    assert (value.step, value.value) == (3, 0.75)
    assert tags["images"] == ["test/confusion_matrix"]
    (image,) = run.Images("test/confusion_matrix")
    assert (image.width, image.height) == (6, 4)
    assert "test/mistakes/text_summary" in tags["tensors"]
    (text,) = run.Tensors("test/mistakes/text_summary")
    assert "好" in text.tensor_proto.string_val[0].decode()
    settings = told(run, metadata.SESSION_START_INFO_TAG).session_start_info
    assert settings.group_name == ""
    assert settings.hparams["learning_rate"].number_value == 2e-4
    assert settings.hparams["max_steps"].number_value == -1
    assert settings.hparams["resume"].WhichOneof("kind") == "bool_value"
    assert settings.hparams["model"].string_value == "weights"
    assert told(run, metadata.SESSION_END_INFO_TAG).session_end_info.status == 1


def test_a_run_that_ended_badly_has_no_end(tmp_path: Path) -> None:
    board = TensorBoard(tmp_path / "logs", CONFIG)
    board.rewind(0)
    board.log(record(2, loss=0.7))
    board.close()
    assert metadata.SESSION_END_INFO_TAG not in read(tmp_path / "logs").summary_metadata


def test_a_resumed_run_goes_on_in_the_same_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = event_file_writer.AtomicCounter(9)  # of the next two files: 10 sorts before 9
    monkeypatch.setattr(event_file_writer, "_global_uid", counter)
    for begin, steps in ((0, (1, 2, 3)), (2, (3, 4))):
        board = TensorBoard(tmp_path / "logs", CONFIG)
        board.rewind(begin)
        for step in steps:
            board.log(record(step, loss=begin + step))
        if begin:
            board.finish(report(tmp_path, 4))
        board.close()
    run = read(tmp_path / "logs")
    assert [(e.step, e.value) for e in run.Scalars("train/loss")] == [
        (1, 1),
        (2, 2),
        (3, 5),
        (4, 6),
    ]
    assert len(list((tmp_path / "logs").rglob("events*"))) == 2
    assert told(run, metadata.SESSION_END_INFO_TAG).session_end_info.status == 1


def test_a_new_run_in_the_folder_forgets_the_old_one(tmp_path: Path) -> None:
    for value in (1.0, 2.0):
        board = TensorBoard(tmp_path / "logs")
        board.rewind(0)
        board.log(record(1, loss=value))
        board.close()
    assert [e.value for e in read(tmp_path / "logs").Scalars("train/loss")] == [2.0]


def test_settings_have_plain_names_where_they_are_clear() -> None:
    found = hyperparameters(CONFIG)
    assert found == {
        "learning_rate": 2e-4,
        "resume": False,
        "max_steps": -1.0,
        "model": "weights",
        "options.dropout": 0.1,
        "betas": "0.9, 0.999",
        "data": "reviews",
        "validation_size": 0.1,
        "max_length": 128.0,
        "task.dropout": 0.5,
    }
    assert hyperparameters({}) == {}


def test_the_hparams_tab_compares_runs(tmp_path: Path) -> None:
    """As the tab's own code does: a row a run, its settings and its final metrics."""
    from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins import base_plugin
    from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

    for name, rate in (("one", 1e-3), ("two", 2e-3)):
        train = {**CONFIG["train"], "learning_rate": rate}
        board = TensorBoard(tmp_path / name / "logs", {**CONFIG, "train": train})
        board.rewind(0)
        board.log(record(2, loss=0.7))
        board.finish(report(tmp_path, 2))
        board.close()
    multiplexer = plugin_event_multiplexer.EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(tmp_path)).Reload()
    provider = data_provider.MultiplexerDataProvider(multiplexer, str(tmp_path))
    context = backend_context.Context(base_plugin.TBContext(data_provider=provider))
    asked = api_pb2.ListSessionGroupsRequest(start_index=0, slice_size=9)
    asked.allowed_statuses.append(api_pb2.STATUS_SUCCESS)
    for tag in ("accuracy", "loss"):
        column = asked.col_params.add()
        column.metric.group, column.metric.tag = "", f"test/{tag}"
    handler = list_session_groups.Handler(RequestContext(), context, "", asked)
    groups = {group.name: group for group in handler.run().session_groups}
    assert set(groups) == {"one/logs", "two/logs"}
    for name, rate in (("one", 1e-3), ("two", 2e-3)):
        group = groups[f"{name}/logs"]
        assert group.hparams["learning_rate"].number_value == pytest.approx(rate)
        values = {one.name.tag: one.value for one in group.metric_values}
        assert values["test/accuracy"] == 0.75
