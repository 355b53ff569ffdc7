"""The flags of the verb ship."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from tasks.bounds import Bounded, Bounds, Count, Positive, Seed
from zoo.cli.args import MaxDrop

Port = Annotated[int, Bounds(1, 65_535, said=": from 1 to 65535")]


@dataclass(frozen=True)
class ShipArgs(Bounded):
    """What to make a service of, and what it must keep to."""

    data: tyro.conf.Positional[str]
    """file, folder or Hub id; embedded with a model: the data set that comes with it"""
    minutes: Positive = 10.0
    """for everything, kept within 10% where the machine allows"""
    p95_ms: Positive | None = None
    """milliseconds that 95 of 100 calls may take at most"""
    max_drop: MaxDrop = 0.005
    """most that the deployment may lose of the task's main metric, absolute"""
    serve: bool = False
    """start the service at the end"""
    model: str | None = None
    """checkpoint to go on from, preset, or model of the zoo; what suits the data by default"""
    output_dir: Path | None = None
    """where the checkpoint goes; runs/ and the data's name by default"""
    text_column: str | None = None
    """column of the texts or transcriptions; found by itself where it has a usual name"""
    label_column: str | None = None
    """column of the labels; several with commas for as many numbers to predict"""
    max_train_samples: Count | None = None
    """at most so many rows of train"""
    max_eval_samples: Annotated[int, Bounds(2, 10**9)] | None = None
    """at most so many rows of each other split"""
    device: str = "auto"
    """that is trained on: cuda, mps or cpu; with cuda the deployment is decided for it, too"""
    seed: Seed = 42
    """decides order, dropout and new weights"""
    port: Port = 8080
    """of the service, with serve"""
