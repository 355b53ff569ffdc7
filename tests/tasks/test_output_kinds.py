"""What the outputs of a task's models are: the task says it, by no name's look."""

import importlib
from collections.abc import Mapping
from typing import Any, get_args

import pytest

from tasks.base import OutputKind
from tasks.nlp.text_classification import Args, TextClassification
from zoo.model import registry

LOGITS = {"logits": "logits"}
HEARD = {"logits": "logits", "encoder_last_hidden_state": "hidden_state"}
TASKS: dict[str, tuple[str, Mapping[str, str]]] = {
    "tasks.nlp.masked_lm": ("MaskedLM", LOGITS),
    "tasks.nlp.causal_lm": ("CausalLM", LOGITS),
    "tasks.nlp.seq2seq": ("Seq2Seq", HEARD),
    "tasks.nlp.token_classification": ("TokenClassification", LOGITS),
    "tasks.vision.masked_image": ("MaskedImage", {"logits": "image"}),
    "tasks.vision.image_diffusion": ("ImageDiffusion", {"logits": "image"}),
    "tasks.vision.image_density": (
        "ImageDensity",
        {
            "logits": "image",
            "log_scale": "regression",
            "mean": "embedding",
            "log_variance": "regression",
        },
    ),
    "tasks.speech.speech_recognition": ("SpeechRecognition", LOGITS),
    "tasks.speech.seq2seq_recognition": ("Seq2SeqRecognition", HEARD),
}


@pytest.mark.parametrize("module", TASKS)
def test_of_all_models_of_a_task(module: str) -> None:
    name, kinds = TASKS[module]
    assert getattr(importlib.import_module(module), name).output_kinds == kinds


@pytest.mark.parametrize(
    ("problem_type", "kind"),
    [
        ("single_label_classification", "logits"),
        ("multi_label_classification", "logits"),
        ("regression", "regression"),
    ],
)
def test_a_number_is_no_logit(problem_type: Any, kind: str) -> None:
    task = TextClassification(Args(), ("a", "b"), problem_type)
    assert task.output_kinds == {"logits": kind}


def test_every_task_of_the_zoo_says_it() -> None:
    for entry in registry.entries():
        module = importlib.import_module(entry.task)
        kinds = [
            value.output_kinds
            for value in vars(module).values()
            if isinstance(value, type) and hasattr(value, "output_kinds")
        ]
        assert kinds, f"{entry.task} has no task that says what its models give"
        for each in kinds:
            if not isinstance(each, property):  # of classifiers, which are above
                assert each and set(each.values()) <= set(get_args(OutputKind))
