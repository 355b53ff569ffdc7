"""The models, and what is done to one. `import zoo` is light: torch comes with the first use."""

from typing import TYPE_CHECKING

import tasks  # noqa: F401  its import guards torchvision and torchaudio (tasks/import_hook.py)

if TYPE_CHECKING:
    from pathlib import Path

    from zoo.predict.pipeline import Predictor

__version__ = "0.1.0"


def load(checkpoint: "str | Path", device: str = "auto", deployment: str = "eager") -> "Predictor":
    """A checkpoint folder as something that predicts:
    `zoo.load("runs/bert_cls", deployment="onnx").predict("fine")`.

    One input gives one prediction, a list of them a list; see
    `zoo.predict.pipeline.PredictionPipeline.predict`.

    Raises `tasks.errors.UserError` where the folder is no checkpoint of the zoo's or is damaged,
    and for a deployment that is not known, not available here, or not exported.
    """
    from zoo.predict.pipeline import Predictor

    return Predictor(checkpoint, device, deployment=deployment)
