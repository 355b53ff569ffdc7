"""What is particular to text, images and sound."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tasks.speech.audio_features import AudioConfig
from tests.cli import run_program
from zoo.model import registry
from zoo.model.modality import modality_of

WAVE = SimpleNamespace(settled=AudioConfig(rate=8000, hop=80))
WHISPER = SimpleNamespace(settled=AudioConfig(rate=8000, hop=80, bins_first=True))
HOP_256 = SimpleNamespace(settled=AudioConfig(hop=256))  # 62.5 frames a second
TEXT, IMAGE, SOUND = (
    modality_of(registry.find(name)) for name in ("bert_cls", "cnn_cls", "kws_cls")
)
MASK = np.array([[1, 1, 1, 1], [1, 0, 0, 0]])


@pytest.mark.parametrize(
    ("modality", "arrays", "task", "work"),
    [
        (TEXT, {"input_ids": MASK, "attention_mask": MASK}, None, {"samples": 2, "tokens": 5}),
        (TEXT, {"input_ids": MASK}, None, {"samples": 2, "tokens": 8}),
        (IMAGE, {"pixel_values": np.zeros((3, 3, 8, 16))}, None, {"samples": 3, "pixels": 384}),
        (SOUND, {"input_values": np.zeros((2, 4000))}, WAVE, {"samples": 2, "seconds": 1.0}),
        (SOUND, {"input_features": np.zeros((2, 50, 40))}, WAVE, {"samples": 2, "seconds": 1.0}),
        (SOUND, {"input_features": np.zeros((2, 40, 50))}, WHISPER, {"samples": 2, "seconds": 1.0}),
        (
            SOUND,
            {"input_features": np.zeros((1, 100, 40)), "attention_mask": np.ones((1, 100)) * 0.5},
            WAVE,
            {"samples": 1, "seconds": 0.5},
        ),
        (SOUND, {"input_features": np.zeros((2, 125, 40))}, HOP_256, {"samples": 2, "seconds": 4}),
    ],
)
def test_work(
    modality: Any, arrays: dict[str, np.ndarray], task: object, work: dict[str, float]
) -> None:
    assert modality.work(arrays, task) == work


@pytest.mark.parametrize(
    ("dims", "positions"), [(("batch", "length"), 12_000), (("b", "l", 40), 150)]
)
def test_a_length_of_sound_is_samples_or_frames(dims: tuple[Any, ...], positions: int) -> None:
    signature: Any = SimpleNamespace(inputs=[SimpleNamespace(dims=dims)])
    assert SOUND.positions(1.5, signature, WAVE) == positions  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("modality", "task", "dims", "length"),
    [
        (IMAGE, None, ("batch", 3, 28, 28), 28),
        (SOUND, WAVE, ("batch", 98, 40), 0.98),
        (SOUND, WHISPER, ("batch", 80, 3000), 30),
        (SOUND, HOP_256, ("batch", 125, 80), 2),
        (TEXT, None, ("batch", 64), 64),
    ],
)
def test_the_only_length(modality: Any, task: object, dims: tuple[Any, ...], length: float) -> None:
    signature = SimpleNamespace(
        inputs=[SimpleNamespace(dims=("batch",)), SimpleNamespace(dims=dims)]
    )
    if modality is TEXT:
        signature.inputs.reverse()
    assert modality.fixed_length(signature, task) == length


@pytest.mark.parametrize("entry", registry.entries(), ids=lambda entry: entry.name)
def test_a_task_counts_lengths_as_its_modality_does(entry: Any) -> None:
    import importlib

    modality = modality_of(entry)
    assert entry.module == f"zoo.{modality.name}.{entry.name}"
    kinds = [
        one for one in vars(importlib.import_module(entry.task)).values() if isinstance(one, type)
    ]
    (unit,) = {one.unit for one in kinds if one.__module__ == entry.task and "unit" in dir(one)}
    assert unit == modality.unit


def test_modalities_need_no_torch() -> None:
    """A card or a help text asks them."""
    program = (
        "import sys\nfrom zoo.model import registry\nfrom zoo.model.modality import modality_of\n"
        "units = {modality_of(entry).unit for entry in registry.entries()}\n"
        "assert units == {'tokens', 'pixels', 'seconds', 'values'}, units\n"
        "sys.exit(sorted({'torch', 'transformers'} & set(sys.modules)) or 0)"
    )
    run_program(program)
