"""Where curves go beside the log: TensorBoard, trackio, Weights & Biases."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tasks.errors import UserError
from zoo.store.portable import without_paths


@dataclass(frozen=True)
class FinalReport:
    """What a run is found to be in the end: its checkpoint, evaluated on one split."""

    record: Mapping[str, Any]
    """`step`, `split`, and metrics by name"""
    pictures: Mapping[str, Path] = field(default_factory=dict)
    """PNG files by name: "confusion_matrix" """
    texts: Mapping[str, str] = field(default_factory=dict)
    """Markdown by name"""


class Reporter(Protocol):
    """A service or file format that plots the metrics of a run."""

    def log(self, record: Mapping[str, Any]) -> None: ...
    def rewind(self, step: int) -> None: ...

    def finish(self, report: FinalReport) -> None:
        """Add the final evaluation; called once, after the last `log`, of a run that has ended."""

    def close(self) -> None: ...


def make_reporters(
    report_to: str, folder: Path, project: str, config: Mapping[str, Any]
) -> list[Reporter]:
    """Return the reporters that `report_to` asks for.

    Args:
        config: the settings of the run by part ("train", "options", "data", "task"), as zoo.json
            has them. Paths in them are shortened.

    Raises `UserError` if the package of one is not installed.
    """
    if report_to == "none":
        return []
    if report_to == "tensorboard":
        return [TensorBoard(folder / "logs", config)]
    return [Tracker(report_to, project, folder.name, config)]


def _scalars(record: Mapping[str, Any]) -> dict[str, float]:
    return {
        f"{record['split']}/{name}": float(value)
        for name, value in record.items()
        if name not in ("step", "split", "best") and isinstance(value, int | float)
    }


def hyperparameters(config: Mapping[str, Any]) -> dict[str, bool | float | str]:
    """Return the settings of a run by name, as TensorBoard's HParams tab compares them.

    Each has its plain name where no other part of the settings has the same. Lists are texts; what
    is None or a mapping is left out, and so are paths but for their last part.
    """
    said = without_paths(config)
    pairs = [pair for part in ("train", "options", "data", "task") for pair in _flat(said, part)]
    names = [name for _, name, _ in pairs]
    return {
        f"{part}.{name}" if names.count(name) > 1 else name: value for part, name, value in pairs
    }


def _flat(config: Mapping[str, Any], part: str) -> Iterator[tuple[str, str, bool | float | str]]:
    values = config.get(part) or {}
    if part == "task":
        values = values.get("args") or {}
    for name, value in values.items():
        if isinstance(value, bool | str):
            yield part, name, value
        elif isinstance(value, int | float):
            yield part, name, float(value)
        elif isinstance(value, list | tuple):
            yield part, name, ", ".join(map(str, value))


def _outwait(folder: Path) -> None:
    """Wait until the second is over in which the last event file was begun: files are read in the
    order of their names, which after the second have numbers that do not sort."""
    begun = [each.name.split(".")[3] for each in folder.glob("events.out.tfevents.*")]
    while begun and f"{int(time.time()):010d}" == max(begun):
        time.sleep(0.02)


class TensorBoard:
    """Writes TensorBoard event files to the run's logs folder.

    Scalars of training, and in the end those of the final evaluation, its confusion matrix and its
    worst mistakes; settings for the HParams tab. All of it is one run of TensorBoard's:
    `SummaryWriter.add_hparams` would make a second one in a subfolder at every call.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        self._config = config or {}
        self._writer: Any = None

    def rewind(self, step: int) -> None:
        """Start an event file that hides what earlier files have after `step`."""
        from tensorboard.plugins.hparams import metadata, plugin_data_pb2
        from torch.utils.tensorboard import SummaryWriter

        if step == 0:
            for stale in self.folder.glob("events.out.tfevents.*"):
                stale.unlink()
        if self._writer:
            self._writer.close()
        _outwait(self.folder)
        self._writer = SummaryWriter(str(self.folder), purge_step=step + 1)
        # without a group's name a run is a row of its own, whatever runs have the same settings
        started = plugin_data_pb2.SessionStartInfo(start_time_secs=time.time())
        for name, value in hyperparameters(self._config).items():
            kind = "bool" if isinstance(value, bool) else "string"
            kind = "number" if isinstance(value, float) else kind
            setattr(started.hparams[name], f"{kind}_value", value)
        told = plugin_data_pb2.HParamsPluginData(session_start_info=started)
        self._add(metadata.SESSION_START_INFO_TAG, told, step)

    def log(self, record: Mapping[str, Any]) -> None:
        """Add the numbers of a record."""
        for name, value in _scalars(record).items():
            self._writer.add_scalar(name, value, record["step"])

    def finish(self, report: FinalReport) -> None:
        """Add the final evaluation, and that the run has ended well."""
        import numpy as np
        from PIL import Image
        from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

        self.log(report.record)
        step, split = report.record["step"], report.record["split"]
        for name, path in report.pictures.items():
            with Image.open(path) as picture:
                pixels = np.asarray(picture.convert("RGB"))  # uint8 [height, width, 3]
            self._writer.add_image(f"{split}/{name}", pixels, step, dataformats="HWC")
        for name, text in report.texts.items():
            self._writer.add_text(f"{split}/{name}", text, step)
        ended = plugin_data_pb2.SessionEndInfo(
            status=api_pb2.Status.Value("STATUS_SUCCESS"), end_time_secs=time.time()
        )
        told = plugin_data_pb2.HParamsPluginData(session_end_info=ended)
        self._add(metadata.SESSION_END_INFO_TAG, told, step)

    def _add(self, tag: str, told: Any, step: int) -> None:
        """Add a message of the HParams plugin to the event file."""
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.plugins.hparams import metadata

        value = Summary.Value(
            tag=tag,
            metadata=metadata.create_summary_metadata(told),
            tensor=metadata.NULL_TENSOR,
        )
        self._writer.file_writer.add_summary(Summary(value=[value]), step)

    def close(self) -> None:
        """Write pending events and close the file."""
        if self._writer:
            self._writer.close()


class Tracker:
    """Reports to trackio or wandb, which share this interface."""

    def __init__(self, package: str, project: str, name: str, config: Mapping[str, Any]) -> None:
        import importlib

        try:
            module = importlib.import_module(package)
        except ImportError:
            raise UserError(
                f"`report_to` {package} needs a package that is not installed: "
                f"pip install {package}"
            ) from None
        self._module = module
        module.init(project=project, name=name, config=without_paths(config))

    def rewind(self, step: int) -> None:
        """Do nothing: the service orders records by step."""

    def log(self, record: Mapping[str, Any]) -> None:
        """Send the numbers of a record."""
        self._module.log(_scalars(record), step=record["step"])

    def finish(self, report: FinalReport) -> None:
        """Send the numbers of the final evaluation; pictures, which show the data, stay here."""
        self.log(report.record)

    def close(self) -> None:
        """End the run at the service."""
        self._module.finish()
