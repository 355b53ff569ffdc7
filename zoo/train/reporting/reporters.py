"""Where curves go beside the log: TensorBoard, trackio, Weights & Biases."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from tasks.errors import UserError
from zoo.store.portable import without_paths


class Reporter(Protocol):
    """A service or file format that plots the metrics of a run."""

    def log(self, record: Mapping[str, Any]) -> None: ...
    def rewind(self, step: int) -> None: ...
    def close(self) -> None: ...


def make_reporters(
    report_to: str, folder: Path, project: str, config: Mapping[str, Any]
) -> list[Reporter]:
    """Return the reporters that `report_to` asks for.

    Raises `UserError` if the package of one is not installed.
    """
    if report_to == "none":
        return []
    if report_to == "tensorboard":
        return [TensorBoard(folder / "logs")]
    return [Tracker(report_to, project, folder.name, config)]


def _scalars(record: Mapping[str, Any]) -> dict[str, float]:
    return {
        f"{record['split']}/{name}": float(value)
        for name, value in record.items()
        if name not in ("step", "split", "best") and isinstance(value, int | float)
    }


class TensorBoard:
    """Writes TensorBoard event files to the run's logs folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writer: Any = None

    def rewind(self, step: int) -> None:
        """Start an event file that hides what earlier files have after `step`."""
        from torch.utils.tensorboard import SummaryWriter

        if step == 0:
            for stale in self.folder.glob("events.out.tfevents.*"):
                stale.unlink()
        self._writer = SummaryWriter(str(self.folder), purge_step=step + 1)

    def log(self, record: Mapping[str, Any]) -> None:
        """Add the numbers of a record."""
        for name, value in _scalars(record).items():
            self._writer.add_scalar(name, value, record["step"])

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

    def close(self) -> None:
        """End the run at the service."""
        self._module.finish()
