"""Batches, what of a task stays as it is, and what only some tasks can do."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from tasks.base import (
    Batch,
    Distills,
    HasConfusionMatrix,
    HasConfusions,
    HasPicture,
    LearnsUnlabelled,
    PredictsArrays,
)
from tasks.nlp import masked_lm, text_classification
from tasks.speech import audio_classification, seq2seq_recognition, speech_recognition
from tasks.vision import image_classification, masked_image
from zoo.evaluation.loop import batches

KIND = "single_label_classification"
TEXT = text_classification.TextClassification(text_classification.Args(), ("a", "b"), KIND)
IMAGE = image_classification.ImageClassification(image_classification.Args(), ("a",), KIND)
SOUND = audio_classification.AudioClassification(audio_classification.Args(), ("a",), KIND)
CTC = speech_recognition.SpeechRecognition(speech_recognition.Args())
WHISPER = seq2seq_recognition.Seq2SeqRecognition(seq2seq_recognition.Args())
MLM = masked_lm.MaskedLM(masked_lm.Args())
MAE = masked_image.MaskedImage(masked_image.Args())
TASKS = (TEXT, IMAGE, SOUND, CTC, WHISPER, MLM, MAE)


def _batch() -> Batch:
    ragged = [torch.tensor([1, 2]), torch.tensor([3])]
    part = Batch({"x": torch.ones(3, 2)}, torch.arange(3))
    return Batch(
        {"x": torch.arange(6.0).view(3, 2)},
        torch.tensor([7, 4]),
        {"labels": torch.tensor([0, 1]), "boxes": ragged, "names": ["one", "two"]},
        windows=torch.tensor([0, 1, 1]),
        lengths=torch.tensor([2, 2, 1]),
        parts={"weak": part},
    )


def test_a_batch_moves_with_all_it_holds() -> None:
    batch = _batch()
    moved = batch.to("meta")
    tensors = [moved.inputs["x"], moved.ids, moved.windows, moved.lengths, moved.targets["labels"]]
    tensors += [*moved.targets["boxes"], moved.parts["weak"].inputs["x"], moved.parts["weak"].ids]
    assert all(tensor is not None and tensor.is_meta for tensor in tensors)
    assert moved.targets["names"] == ["one", "two"] and moved.spans is None
    assert len(moved) == 2 and batch.ids.device.type == "cpu"


def test_a_batch_of_arrays_becomes_one_of_tensors_in_the_same_memory() -> None:
    ids, ragged = np.arange(2), [np.ones(3), np.zeros(1)]
    part = Batch({"x": np.ones((3, 2), np.float32)}, np.arange(3))
    targets = {"labels": torch.tensor([5]), "boxes": ragged, "names": ["one", "two"]}
    batch = Batch({}, ids, targets, windows=np.array([0, 1, 1]), parts={"weak": part}).tensors()
    assert batch.ids.data_ptr() == ids.ctypes.data and batch.ids.dtype == torch.int64
    assert batch.windows is not None and batch.windows.tolist() == [0, 1, 1]
    assert [box.tolist() for box in batch.targets["boxes"]] == [[1, 1, 1], [0]]
    assert batch.targets["labels"] is targets["labels"] and batch.targets["names"][1] == "two"
    assert batch.parts["weak"].inputs["x"].dtype == torch.float32 and batch.lengths is None


class Same:
    """Features whose every batch is `_batch()`."""

    def __getitems__(self, indices: list[int]) -> list[int]:
        return indices


def _collate(rows: list[int]) -> Batch:
    return dataclasses.replace(_batch(), ids=torch.tensor(rows))


def test_workers_hand_over_batches_whole() -> None:
    features: Any = Same()
    found = list(batches(features, _collate, [[7, 4], [1, 2]], workers=1))
    assert [batch.ids.tolist() for batch in found] == [[7, 4], [1, 2]]
    for batch in found:
        assert [box.tolist() for box in batch.targets["boxes"]] == [[1, 2], [3]]
        assert batch.parts["weak"].inputs["x"].tolist() == [[1, 1]] * 3
        assert batch.windows is not None and batch.windows.tolist() == [0, 1, 1]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: type(task).__name__)
def test_binding_gives_another_task_that_is_the_same(task: Any) -> None:
    processor = object()
    bound = task.bind(processor)
    assert bound.processor is processor and task.processor is None
    assert bound == task and hash(bound) == hash(task)
    if task is not MLM:  # whose vocabulary comes first
        assert bound.config() == task.config() and "processor" not in bound.config()
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.processor = processor


def test_what_only_some_can_do() -> None:
    can = {
        HasConfusionMatrix: {TEXT, IMAGE, SOUND},
        HasConfusions: {CTC, WHISPER},
        HasPicture: {IMAGE, SOUND, CTC, WHISPER},
        LearnsUnlabelled: {TEXT, IMAGE, SOUND},
        Distills: {TEXT, IMAGE, SOUND, CTC},
        PredictsArrays: {TEXT, IMAGE, SOUND},
    }
    for ability, able in can.items():
        assert {task for task in TASKS if isinstance(task, ability)} == able, ability.__name__
