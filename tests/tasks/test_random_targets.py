"""Random targets: each task's own kind, the same of a seed, and none that weighs nothing."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from tasks.nlp import masked_lm, text_classification, token_classification
from tasks.nlp.masking import IGNORED, Vocabulary
from tasks.speech import seq2seq_recognition, speech_recognition
from tasks.speech.audio_features import AudioConfig
from tasks.speech.char_tokenizer import CharTokenizer
from tasks.speech.decoding import ctc
from tasks.vision import masked_image

PIXELS = {"pixel_values": torch.zeros(16, 3, 8, 8)}


@pytest.mark.parametrize(
    ("problem_type", "labels", "shape", "dtype"),
    [
        ("single_label_classification", ("no", "yes", "both"), (16,), torch.int64),
        ("multi_label_classification", ("no", "yes", "both"), (16, 3), torch.float32),
        ("regression", (), (16,), torch.float32),
        ("regression", ("width", "height"), (16, 2), torch.float32),
    ],
)
def test_of_a_classifier(problem_type: Any, labels: Any, shape: Any, dtype: torch.dtype) -> None:
    task = text_classification.TextClassification(text_classification.Args(), labels, problem_type)
    one, again, other = (task.random_targets(PIXELS, seed)["labels"] for seed in (0, 0, 5))
    assert (tuple(one.shape), one.dtype) == (shape, dtype)
    assert torch.equal(one, again) and not torch.equal(one, other)


def test_of_masked_tokens() -> None:
    task = masked_lm.MaskedLM(masked_lm.Args(), vocabulary=Vocabulary(50, 4, (0, 1, 2, 3, 4)))
    mask = torch.ones(2, 40, dtype=torch.int64)
    mask[1, 3:] = 0
    labels = task.random_targets({"attention_mask": mask}, 0)["labels"]
    chosen = labels != IGNORED
    assert chosen.sum(1).tolist() == [6, 1], "15% of 40, and one of 3"
    assert not chosen[mask == 0].any() and labels[chosen].max() < 50


def test_of_tagged_words() -> None:
    task = token_classification.TokenClassification(token_classification.Args(), ("O", "B-X"))
    mask = torch.tensor([[1, 1, 1], [1, 0, 0]])
    found = task.random_targets({"attention_mask": mask}, 0)
    assert found["starts"].tolist() == [[0, 1, 2], [3, -1, -1]]
    assert (found["labels"] >= 0).equal(mask > 0) and found["labels"].max() < 2


def test_of_masked_patches() -> None:
    """What is to be painted is there already."""
    assert masked_image.MaskedImage(masked_image.Args()).random_targets(PIXELS, 0) == {}


@pytest.mark.parametrize("masked", [False, True])
def test_of_what_is_heard(masked: bool) -> None:
    vocabulary = ("<pad>", "a", "b", "c")
    task = speech_recognition.SpeechRecognition(
        speech_recognition.Args(),
        CharTokenizer(vocabulary, 0),
        AudioConfig(rate=1000, input_name="input_values", masked=masked),
    )
    inputs = {"input_values": torch.zeros(2, 2000)}
    if masked:
        inputs["attention_mask"] = torch.ones(2, 2000, dtype=torch.int64)
        inputs["attention_mask"][1, 500:] = 0
    targets = task.random_targets(inputs, 0)
    labels = targets["labels"]
    assert targets["lengths"].tolist() == ([2000, 500] if masked else [2000, 2000])
    counts = (labels >= 0).sum(1).tolist()
    assert counts == ([28, 7] if masked else [28, 28]), "14 a second"
    for row, count in zip(labels.tolist(), counts, strict=True):
        assert set(row[:count]) <= {1, 2, 3} and set(row[count:]) <= {-100}
        assert all(one != other for one, other in itertools.pairwise(row) if other >= 0)
    losses = ctc.losses(torch.zeros(2, 28, 4), labels, 0)
    assert np.isfinite(losses.numpy()).all() and (losses > 0).all(), "a frame each is enough"


def test_of_what_is_written() -> None:
    """Each token is to be followed by the next that the decoder is given."""
    task = seq2seq_recognition.Seq2SeqRecognition(seq2seq_recognition.Args(), end=9)
    given = torch.tensor([[1, 5, 6], [1, 7, 8]])
    labels = task.random_targets({"decoder_input_ids": given}, 0)["labels"]
    assert labels.tolist() == [[5, 6, 9], [7, 8, 9]]
    assert given.tolist() == [[1, 5, 6], [1, 7, 8]]
