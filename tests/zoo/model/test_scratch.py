"""Networks from scratch: first weights and activations are those asked for, and recorded."""

import json
import math
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import nn

from tests.cases import Case
from tests.cli import run_cli
from tests.tiny_models import SHORT
from zoo.model.scratch import Activation, Initialization, activation, drawing
from zoo.speech.modeling_conformer import ConformerConfig, ConformerForCTC
from zoo.speech.modeling_kws import KwsConfig, KwsForAudioClassification
from zoo.vision.modeling_cnn import CnnConfig, CnnForImageClassification
from zoo.vision.modeling_mae import MaeConfig, MaeForPreTraining
from zoo.vision.modeling_mlp import MlpConfig, MlpForImageClassification

SCHEMES = get_args(Initialization)
NETWORKS: dict[type, tuple[type, dict[str, Any]]] = {
    CnnForImageClassification: (CnnConfig, {"widths": (32, 64)}),
    KwsForAudioClassification: (KwsConfig, {"num_hidden_layers": 1}),
    ConformerForCTC: (ConformerConfig, {"num_hidden_layers": 1}),
    MlpForImageClassification: (MlpConfig, {"hidden_sizes": (64, 48, 48), "image_size": 16}),
    MaeForPreTraining: (MaeConfig, {"depth": 1, "decoder_depth": 1}),
}


def model_of(kind: type, seed: int = 0, **changes: Any) -> Any:
    config, shape = NETWORKS[kind]
    torch.manual_seed(seed)
    return kind(config(**shape | changes)).eval()


@pytest.mark.parametrize("name", get_args(Activation))
def test_an_activation_is_torchs(name: str) -> None:
    x = torch.linspace(-3, 3, 13)
    expected = getattr(nn.functional, name)(x)
    assert torch.equal(activation(name)(x.clone()), expected)


@pytest.mark.parametrize("scheme", ["xavier", "he", "normal"])
@pytest.mark.parametrize("kind", NETWORKS, ids=lambda kind: kind.__name__)
def test_every_matrix_and_kernel_begins_as_asked(kind: type, scheme: str) -> None:
    model = model_of(kind, initialization=scheme)
    checked = 0
    for module in model.modules():
        if not isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
            continue
        weight = module.weight.detach()
        if module.bias is not None:
            assert not module.bias.any()
        if weight.numel() < 2000:
            continue  # too few to tell a standard deviation
        flat = weight.flatten(1) if kind is MaeForPreTraining else weight
        fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(flat)
        std = {
            "xavier": math.sqrt(2 / (fan_in + fan_out)),
            "he": math.sqrt(2 / fan_in),
            "normal": 0.02,
        }[scheme]
        assert weight.std().item() == pytest.approx(std, rel=0.1)
        within = weight.abs().max().item() <= math.sqrt(3) * std + 1e-6
        assert within == (scheme == "xavier"), "uniform, or normal, which goes far beyond"
        checked += 1
    assert checked >= 3


@pytest.mark.parametrize("kind", NETWORKS, ids=lambda kind: kind.__name__)
def test_the_default_is_what_nobody_has_to_ask_for(kind: type) -> None:
    usual, config = model_of(kind), NETWORKS[kind][0]()
    asked = {"initialization": "default"}
    if hasattr(config, "hidden_act"):
        asked["hidden_act"] = {
            "zoo_cnn": "relu",
            "zoo_mlp": "relu",
            "zoo_kws": "gelu",
        }.get(config.model_type, "silu")
    same = model_of(kind, **asked).state_dict()
    assert all(torch.equal(same[name], tensor) for name, tensor in usual.state_dict().items())
    assert drawing(usual.config) is None
    for scheme in ("xavier", "he", "normal"):
        other = model_of(kind, initialization=scheme).state_dict()
        assert any(not torch.equal(other[n], t) for n, t in usual.state_dict().items()) or (
            (kind, scheme) == (MaeForPreTraining, "xavier")
        )


@pytest.mark.parametrize(
    "kind", [k for k in NETWORKS if k is not MaeForPreTraining], ids=lambda kind: kind.__name__
)
def test_each_activation_computes_and_learns(kind: type) -> None:
    """Every one gives another result, has gradients, and shares the names of the weights."""
    found, names = [], set()
    for name in get_args(Activation):
        model = model_of(kind, hidden_act=name)
        shape = (2, 3, 16, 16) if kind.main_input_name == "pixel_values" else (2, 40, 40)
        if kind is ConformerForCTC:
            shape = (2, 40, 80)
        x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        logits = model(x).logits
        logits.square().sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
        found.append(logits.detach())
        names.add(tuple(model.state_dict()))
    assert len(names) == 1
    assert all(not torch.allclose(one, other) for i, one in enumerate(found) for other in found[:i])


@pytest.mark.parametrize("case", ["vision", "sound", "speech"], indirect=True)
def test_flags_are_recorded_and_read_back(case: Case, tmp_path: Path) -> None:
    asked = ("--activation", "tanh", "--initialization", "xavier", "--max_steps", 2)
    run = case.finetune(tmp_path / "run", *asked)
    config = json.loads((run.folder / "config.json").read_text())
    assert (config["hidden_act"], config["initialization"]) == ("tanh", "xavier")
    usual = case.finetune(tmp_path / "usual", "--max_steps", 2)
    assert run.losses != usual.losses
    done = run_cli(case.module, "evaluate", run.folder, "--json")
    assert done.code == 0, done.err
    last = next(line for line in run.done.lines if line.startswith(("accuracy", "wer")))
    name, value, *_ = last.split()
    assert f"{json.loads(done.out)['metrics'][name]['value']:.4f}" == value


def test_the_activation_of_gates_is_not_for_choice(reviews: Path, tmp_path: Path) -> None:
    words = ("finetune", "--data", reviews, "--output_dir", tmp_path / "run", "--vocab_size", 300)
    words = (*words, *SHORT, "--hidden_size", 8, "--activation", "relu")
    done = run_cli("zoo.nlp.rnn_cls", *words)
    assert done.code == 2
    assert done.err.splitlines()[-1] == (
        "rnn_cls: --activation relu is for --cell rnn, and lstm has gates"
    )
    done = run_cli("zoo.nlp.rnn_cls", *words, "--cell", "rnn")
    assert done.code == 0, done.err
    assert json.loads((tmp_path / "run" / "config.json").read_text())["hidden_act"] == "relu"


def test_features_of_other_frames(utterances: Path, tmp_path: Path) -> None:
    """80 bins of 1,024 samples, a frame every 256, as torchaudio's tutorials have it."""
    words = ("finetune", "--data", utterances, "--output_dir", tmp_path / "run", *SHORT)
    shape = ("--hidden_size", 16, "--num_layers", 1, "--num_heads", 2, "--kernel_size", 3)
    frames = ("--n_fft", 1024, "--win_length", 1024, "--hop_length", 256)
    model = "zoo.speech.conformer_ctc"
    done = run_cli(model, *words, *shape, "--hop_length", 512)
    assert done.code == 2
    assert done.err.splitlines()[-1] == (
        "conformer_ctc: --hop_length 512, --win_length 400 and --n_fft 512: none may be below the "
        "one before it"
    )
    done = run_cli(model, *words, *shape, *frames)
    assert done.code == 0, done.err
    found = json.loads((tmp_path / "run" / "preprocessor_config.json").read_text())
    assert (found["n_fft"], found["win_length"], found["hop_length"]) == (1024, 1024, 256)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["hop_length"] == 256
    done = run_cli(model, "evaluate", tmp_path / "run")
    assert done.code == 0, done.err
