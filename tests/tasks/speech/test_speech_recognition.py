"""Recognition with CTC: what a batch of logits says, once, and what a teacher is compared by."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tasks.base import Batch
from tasks.speech.char_tokenizer import CharTokenizer
from tasks.speech.decoding import ctc, language_model
from tasks.speech.speech_recognition import Args, SpeechRecognition
from tasks.speech.transcription import TextPrediction
from tests.evaluated import evaluated

SPELLING = CharTokenizer(("<pad>", "|", "a", "b"), 0, "|")
TASK = SpeechRecognition(Args(), SPELLING)


def _logits(*rows: str) -> torch.Tensor:
    """[b, frames, 4] with the given symbols (- is blank) as the likeliest."""
    symbols = ["-|ab".index(symbol) for row in rows for symbol in row]
    return 5 * torch.eye(4)[symbols].view(len(rows), -1, 4)


@pytest.mark.parametrize("as_given", [torch.Tensor.clone, torch.Tensor.numpy])
def test_texts_of_tensors_and_of_arrays(as_given: Any) -> None:
    outputs = {"logits": as_given(_logits("aa-ab|", "b||aa-"))}
    assert TASK.postprocess(outputs) == [TextPrediction("aab"), TextPrediction("b a")]
    searching = replace(TASK, decoding=language_model.beam(4, None, 0.0, 0.0, None))
    first, second = searching.postprocess(outputs)
    assert (first.text, second.text) == ("aab", "b a")
    scores = [score for _, score in first.ranked]
    assert len(scores) > 1 and scores == sorted(scores, reverse=True)
    best = dict(first.ranked[:2])
    assert searching.to_json(first, 2) == {"text": "aab", "scores": best}
    assert searching.to_json(first) == TASK.to_json(first, None) == {"text": "aab"}


def test_a_batch_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    greedy = ctc.greedy_batch

    def counted(logits: Any, blank: int) -> Any:
        decoded.append(len(logits))
        return greedy(logits, blank)

    monkeypatch.setattr(ctc, "greedy_batch", counted)
    labels = torch.tensor([[2, 2, 3], [3, 2, -100]])
    batch = Batch({}, torch.tensor([7, 4]), {"labels": labels})
    outputs, accumulator = {"logits": _logits("aa-ab|", "b||aa-")}, TASK.accumulator()
    seen = evaluated(TASK, batch, outputs)
    TASK.update(accumulator, seen)
    ((loss, row, truth, heard),) = TASK.errors(seen)
    assert (row, truth, heard) == (4, "ba", "b a") and decoded == [2]
    assert loss == float(ctc.losses(outputs["logits"], labels, 0)[1])
    values = {one.name: one.value for one in accumulator.compute(draws=0)}
    assert values["exact_match"] == 0.5


def test_what_a_teacher_is_compared_by() -> None:
    labels = torch.tensor([[2, 2, 3], [3, 2, -100]])
    batch = Batch({}, torch.arange(2), {"labels": labels})
    assert TASK.target_counts(batch).tolist() == [3.0, 2.0]
    other = replace(TASK, spelling=replace(SPELLING, vocabulary=("<pad>", "|", "a", "c")))
    assert TASK.teacher_fault(TASK) is None
    assert TASK.teacher_fault(other) == (
        "has other symbols than this data: only one of both knows 'b'"
    )
    ours, theirs = ({"logits": _logits(row)} for row in ("ab", "bb"))
    p, q = (np.exp(x["logits"].double().numpy()[0, 0] / 2) for x in (theirs, ours))
    p, q = p / p.sum(), q / q.sum()
    expected = 4 * float((p * np.log(p / q)).sum())  # of the first frame alone
    assert float(TASK.distillation_loss(ours, theirs, 2.0)) == pytest.approx(expected, rel=1e-5)
