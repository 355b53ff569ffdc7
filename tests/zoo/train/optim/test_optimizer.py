"""Parameter groups: what is decayed, and how fast each layer learns."""

from pathlib import Path

import pytest
import torch
from torch import nn

from zoo.train.args import TrainArgs
from zoo.train.optim.optimizer import _sgd, depth_of, make_optimizer, no_decay_names


@pytest.fixture(scope="module")
def model(tiny_bert: Path) -> nn.Module:
    """The tiny BERT with a head."""
    from transformers import AutoModelForSequenceClassification

    return AutoModelForSequenceClassification.from_pretrained(tiny_bert)


def _groups(model: nn.Module, args: TrainArgs) -> dict[str, dict[str, float]]:
    optimizer = make_optimizer(list(model.named_parameters()), no_decay_names(model), args)
    return {
        name: {"decay": group["weight_decay"], "rate": group["lr"]}
        for group in optimizer.param_groups
        for name in group["names"]
    }


def test_biases_and_norms_are_spared(model: nn.Module) -> None:
    groups = _groups(model, TrainArgs(weight_decay=0.1))
    assert set(groups) == {name for name, _ in model.named_parameters()}
    for name, group in groups.items():
        is_spared = name.endswith("bias") or "LayerNorm" in name
        assert group["decay"] == (0.0 if is_spared else 0.1), name


def test_they_are_those_that_transformers_spares(model: nn.Module, tmp_path: Path) -> None:
    from transformers import Trainer, TrainingArguments

    trainer = Trainer(model, TrainingArguments(output_dir=str(tmp_path), use_cpu=True))
    decayed = set(trainer.get_decay_parameter_names(model))
    assert decayed == {name for name, _ in model.named_parameters()} - no_decay_names(model)


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)), {"0.bias", "1.weight", "1.bias"}),
        (nn.Sequential(nn.Linear(2, 2, bias=False), nn.RMSNorm(2)), {"1.weight"}),
        (nn.Sequential(nn.GroupNorm(1, 4), nn.Linear(4, 4)), {"0.weight", "0.bias", "1.bias"}),
        (nn.LayerNorm(4), {"weight", "bias"}),
    ],
)
def test_norms_of_every_kind(module: nn.Module, names: set[str]) -> None:
    assert no_decay_names(module) & dict(module.named_parameters()).keys() == names


def test_deeper_layers_learn_slower(model: nn.Module) -> None:
    groups = _groups(model, TrainArgs(learning_rate=1.0, layerwise_lr_decay=0.5))
    expected = {
        "classifier.weight": 1.0,
        "bert.pooler.dense.weight": 1.0,
        "bert.encoder.layer.1.output.dense.weight": 0.5,
        "bert.encoder.layer.0.output.LayerNorm.bias": 0.25,
        "bert.embeddings.word_embeddings.weight": 0.125,
    }
    assert {name: groups[name]["rate"] for name in expected} == expected


def test_depth_of_names_of_other_models() -> None:
    assert depth_of("model.layers.11.attn.Wqkv.weight", 12) == 1
    assert depth_of("vit.blocks.0.mlp.fc1.weight", 12) == 12
    assert depth_of("distilbert.transformer.layer.3.ffn.lin1.bias", 6) == 3
    assert depth_of("head.weight", 12) == 0


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("adamw", torch.optim.AdamW),
        ("adam", torch.optim.Adam),
        ("sgd", torch.optim.SGD),
        ("rmsprop", torch.optim.RMSprop),
        ("adamax", torch.optim.Adamax),
        ("adagrad", torch.optim.Adagrad),
        ("adadelta", torch.optim.Adadelta),
    ],
)
def test_the_optimizer_asked_for(model: nn.Module, name: str, kind: type) -> None:
    args = TrainArgs(optim=name, momentum=0.7, adam_beta1=0.8)
    optimizer = make_optimizer(list(model.named_parameters()), no_decay_names(model), args)
    assert type(optimizer) is kind
    group = optimizer.param_groups[0]
    assert group.get("momentum", 0.7) == 0.7 and group.get("betas", (0.8,))[0] == 0.8


@pytest.mark.parametrize("fused", [False, True])
def test_nesterov_is_torchs(fused: bool) -> None:
    found = []
    for make in (
        lambda groups: _sgd(groups, 0.1, 0.9, fused, nesterov=True),
        lambda groups: torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=True),
    ):
        parameter = nn.Parameter(torch.arange(3.0))
        optimizer = make([{"params": [parameter]}])
        for step in range(3):
            parameter.grad = torch.full((3,), 1.0 + step)
            optimizer.step()
        found.append(parameter.detach())
    torch.testing.assert_close(*found)
    asked = TrainArgs(optim="sgd", nesterov=True)
    optimizer = make_optimizer([("w", nn.Parameter(torch.zeros(2)))], set(), asked)
    assert optimizer.defaults["nesterov"]


def test_frozen_parameters_are_left_out() -> None:
    model = nn.Linear(3, 3)
    model.weight.requires_grad_(False)
    optimizer = make_optimizer(list(model.named_parameters()), set(), TrainArgs())
    assert [group["names"] for group in optimizer.param_groups] == [["bias"]]


def _sgd_steps(fused: bool, skipped: bool) -> list[torch.Tensor]:
    """Weights after two steps of the first of two parameters, and then two of both.

    Args: skipped: another step comes before, with a gradient that is not finite.
    """
    parameters = [nn.Parameter(torch.arange(3.0)), nn.Parameter(torch.ones(2))]
    optimizer = _sgd([{"params": parameters}], 0.1, 0.9, fused)
    if skipped:
        for parameter in parameters:
            parameter.grad = torch.full_like(parameter, torch.nan)
        optimizer.found_inf = torch.ones(())  # type: ignore[attr-defined]
        optimizer.step()
        optimizer.found_inf = torch.zeros(())  # type: ignore[attr-defined]
    for step in range(4):
        parameters[0].grad = torch.full((3,), 1.0 + step)
        parameters[1].grad = torch.full((2,), 2.0) if step > 1 else None
        optimizer.step()
    return [p.detach() for p in parameters]


@pytest.mark.parametrize("skipped", [False, True])
def test_fused_sgd_steps_as_the_plain_one_does(skipped: bool) -> None:
    """Also where layers thaw later, and behind a step that was skipped."""
    for ours, theirs in zip(_sgd_steps(True, skipped), _sgd_steps(False, False), strict=True):
        torch.testing.assert_close(ours, theirs)
