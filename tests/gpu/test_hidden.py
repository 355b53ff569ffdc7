"""Tests that are not marked gpu see no GPU, and neither does what they start."""

import os
import subprocess
import sys
from pathlib import Path

import torch

from tests.cli import ROOT

LOOK = "import torch; print(torch.cuda.is_available(), torch.cuda.device_count())"


def test_there_is_no_gpu_here() -> None:
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "" and not torch.cuda.is_available()


def test_nor_in_a_child(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOOK], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "0"]


def test_a_child_in_any_folder_finds_the_checkout(tmp_path: Path) -> None:
    """Also where it is not installed, as on a machine that GPUs are lent on."""
    program = "import zoo; print(zoo.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert Path(done.stdout.strip()).is_relative_to(ROOT)
