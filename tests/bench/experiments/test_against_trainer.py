"""What the comparisons with Trainer measure of its weights, and how they say which these were."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.experiments import against_trainer, rounds, runs, tagging_against_trainer


class Parity(nn.Module):
    """Says of each token, or of the first, whether its id is odd."""

    def __init__(self, each: bool) -> None:
        super().__init__()
        self.each = each
        self.anchor = nn.Parameter(torch.zeros(1))

    @property
    def device(self) -> torch.device:
        return self.anchor.device

    def forward(self, input_ids: torch.Tensor, **others: torch.Tensor) -> Any:
        odd = (input_ids if self.each else input_ids[:, 0]) % 2
        return SimpleNamespace(logits=nn.functional.one_hot(odd.long(), 2).float())


def test_accuracy_is_the_share_of_right_labels(tiny_bert: Path) -> None:
    from datasets import Dataset
    from transformers import AutoTokenizer

    ids = [[i, 7, 8][: 1 + i % 3] for i in range(1, 101)]
    labels = [row[0] % 2 for row in ids[:80]] + [1 - row[0] % 2 for row in ids[80:]]
    rows = Dataset.from_dict({"input_ids": ids, "labels": labels})
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    assert against_trainer._accuracy(Parity(False), tokenizer, rows) == 0.8


def test_tags_are_those_of_the_first_piece_of_each_word(tiny_bert: Path) -> None:
    from datasets import Dataset
    from transformers import AutoTokenizer, DataCollatorForTokenClassification

    ids = [[2, 5, 6, 7, 3], [2, 9, 3]] * 40
    ignored = tagging_against_trainer.IGNORED
    labels = [[ignored, 0, ignored, 1, ignored], [ignored, 1, ignored]] * 40
    columns = {"input_ids": ids, "labels": labels, "length": [len(row) for row in ids]}
    collate = DataCollatorForTokenClassification(AutoTokenizer.from_pretrained(tiny_bert))
    found = tagging_against_trainer._tags(Parity(True), collate, Dataset.from_dict(columns))
    assert len(found) == 80
    np.testing.assert_array_equal(found[0], [1, 1])
    np.testing.assert_array_equal(found[1], [1])


def test_a_result_names_weights_epochs_and_device_and_no_path() -> None:
    words = ["--data", "/some/where/reviews", "--model", "/some/where/minilm-fp16"]
    args = runs.parse("none", "about", against_trainer.Args, [*words, "--device", "cuda"])
    said = rounds._settings(against_trainer.COMPARISON, args)
    assert (said["weights"], said["data"]) == ("minilm-fp16", "reviews")
    assert (said["epochs"], said["device"]) == (args.epochs, "cuda")
    assert "/some" not in str(said)
    usual = runs.parse("none", "about", against_trainer.Args, ["--data", "d"])
    assert (usual.weights, usual.device, usual.arms) == ("minilm", "cpu", ("zoo", "trainer"))


def test_half_precision_is_what_a_device_has() -> None:
    assert rounds.half_precision("cpu") == {"bf16": True}
