"""A narrower network is the wide one whose weakest units are silent."""

from typing import Any

import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    TimmWrapperConfig,
    TimmWrapperForImageClassification,
    Wav2Vec2Config,
    Wav2Vec2ForCTC,
)

from tasks.errors import UserError
from zoo.model import narrowing
from zoo.nlp import pretrained_encoder
from zoo.speech import conformer_network, pretrained_ctc
from zoo.speech.modeling_conformer import ConformerConfig, ConformerForCTC
from zoo.speech.modeling_kws import KwsConfig, KwsForAudioClassification
from zoo.vision import convolutional_network, multilayer_perceptron, narrow_cnn, timm_network
from zoo.vision.modeling_cnn import CnnConfig, CnnForImageClassification
from zoo.vision.modeling_mlp import MlpConfig, MlpForImageClassification

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


def _bert() -> Any:
    return BertForSequenceClassification(
        BertConfig(vocab_size=20, intermediate_size=32, max_position_embeddings=16, **SMALL)
    )


def _conformer() -> Any:
    return ConformerForCTC(
        ConformerConfig(
            vocab_size=5, num_mel_bins=8, intermediate_size=32, conv_kernel_size=3, **SMALL
        )
    )


def _wav2vec2() -> Any:
    return Wav2Vec2ForCTC(
        Wav2Vec2Config(
            vocab_size=5, intermediate_size=32, conv_dim=(8,), conv_kernel=(4,), conv_stride=(2,),
            num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, **SMALL,
        )
    )  # fmt: skip


def _vit(**more: Any) -> Any:
    args = {"img_size": 16, "patch_size": 8, "depth": 2, "embed_dim": 24, "num_heads": 2, **more}
    return TimmWrapperForImageClassification(
        TimmWrapperConfig(architecture="vit_tiny_patch16_224", model_args=args, num_labels=3)
    )


INPUTS = {
    "bert": {"input_ids": torch.arange(12).view(2, 6)},
    "conformer": {"input_features": torch.linspace(-1, 1, 2 * 20 * 8).view(2, 20, 8)},
    "wav2vec2": {"input_values": torch.linspace(-1, 1, 2 * 80).view(2, 80)},
    "vit": {"pixel_values": torch.linspace(-1, 1, 2 * 3 * 256).view(2, 3, 16, 16)},
}
MAKERS = {
    "bert": (_bert, pretrained_encoder.NETWORK),
    "conformer": (_conformer, conformer_network.NETWORK),
    "wav2vec2": (_wav2vec2, pretrained_ctc.NETWORK),
    "vit": (_vit, timm_network.NETWORK),
}


@pytest.mark.parametrize("name", MAKERS)
def test_neurons_of_transformers(name: str) -> None:
    make, network = MAKERS[name]
    torch.manual_seed(0)
    model = make().eval()
    (dense,) = network.prunable_widths(model)
    width = dense // 4 * 3
    narrow = network.prune_units(model, (width,)).eval()
    assert network.prunable_widths(narrow) == (width,)
    assert type(narrow) is type(model)
    fewer = sum(p.numel() for p in model.parameters()) - sum(p.numel() for p in narrow.parameters())
    pairs = timm_network._feed_forward(model) if name == "vit" else narrowing._pairs(model)
    outer = model.get_submodule(pairs[0][1]).out_features
    assert fewer == len(pairs) * (dense - width) * (2 * outer + 1)
    with torch.no_grad():  # the weakest say nothing, and so the wide network is the narrow one
        for up, down in pairs:
            makes, reads = model.get_submodule(up), model.get_submodule(down)
            scores = makes.weight.abs().sum(1) + reads.weight.abs().sum(0)
            weakest = scores.argsort()[: dense - width]
            reads.weight[:, weakest] = 0
        ours, theirs = model(**INPUTS[name]).logits, narrow(**INPUTS[name]).logits
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("width", [8, 24, 40, 56, 88])
def test_timm_rounds_no_width_down(width: int) -> None:
    network = timm_network.NETWORK
    assert network.prunable_widths(network.prune_units(_vit(), (width,))) == (width,)


def _cnn(*widths: int, norm: str = "batch", depth: int = 1) -> Any:
    torch.manual_seed(0)
    config = CnnConfig(widths=widths, norm=norm, depth=depth, image_size=8, num_labels=3)
    model = CnnForImageClassification(config).eval()
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape) + (0.5 if "running_var" in name else -0.5))
    return model


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("dense", [(16, 24), (16, 16), (16, 24, 24)])
def test_channels_of_our_convolutional_network(dense: tuple[int, ...], depth: int) -> None:
    """A wide network whose weakest channels are silent everywhere computes what the narrow one
    does (with batch norm; a group's statistics depend on who is in it)."""
    model = _cnn(*dense, depth=depth)
    asked = tuple(w - 8 for w in dense)
    for name, tensor in _silenced(model, dense).items():
        model.state_dict()[name].copy_(tensor)
    network = convolutional_network.NETWORK
    narrow = network.prune_units(model, asked).eval()
    assert network.prunable_widths(narrow) == asked
    pixels = torch.rand(2, 3, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(model(pixels).logits, narrow(pixels).logits)


def _silenced(model: Any, dense: tuple[int, ...]) -> dict[str, torch.Tensor]:
    """The weights with the odd channels among the first 16 of every layer made and read as 0."""
    odd = torch.arange(1, 16, 2)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for name, tensor in state.items():
        if name.startswith("classifier"):
            if tensor.ndim == 2:
                tensor[:, odd] = 0
        elif "running_var" not in name and "num_batches" not in name:
            tensor[odd] = 0
            if tensor.ndim == 4 and "stem" not in name:
                tensor[:, odd] = 0
    return state


def test_neurons_of_our_multilayer_perceptron() -> None:
    """A wide network whose weakest neurons are silent computes what the narrow one does."""
    torch.manual_seed(0)
    config = MlpConfig(hidden_sizes=(24, 16), image_size=8, num_channels=1, num_labels=3)
    model = MlpForImageClassification(config).eval()
    silent = torch.arange(1, 16, 2)
    with torch.no_grad():
        for layer in (*(one.linear for one in model.mlp.layers), model.classifier):
            if layer is not model.classifier:
                layer.weight[silent] = layer.bias[silent] = 0
            if layer is not model.mlp.layers[0].linear:
                layer.weight[:, silent] = 0
    network = multilayer_perceptron.NETWORK
    assert network.prunable_widths(model) == (24, 16)
    narrow = network.prune_units(model, (16, 8)).eval()
    assert network.prunable_widths(narrow) == (16, 8)
    pixels = torch.rand(2, 1, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(model(pixels).logits, narrow(pixels).logits)


def test_group_norm_can_be_cut_too() -> None:
    narrow = narrow_cnn.narrow(_cnn(16, 32, norm="group"), (8, 16))
    assert narrow(torch.rand(2, 3, 8, 8)).logits.shape == (2, 3)


def test_what_can_not_be_cut() -> None:
    with pytest.raises(UserError, match="stages 1 and 2 would both have 8 channels"):
        narrow_cnn.narrow(_cnn(16, 24), (8, 8))
    config = KwsConfig(num_mel_bins=8, hidden_size=16, num_hidden_layers=1, num_labels=2)
    with pytest.raises(UserError, match="KwsForAudioClassification can't be pruned by structure"):
        narrowing.widths(KwsForAudioClassification(config))
    gated = ModernBertConfig(
        vocab_size=20, intermediate_size=32, pad_token_id=0, bos_token_id=1, eos_token_id=1,
        cls_token_id=1, sep_token_id=1, **SMALL,
    )  # fmt: skip
    with pytest.raises(UserError, match="are no pairs of linear ones"):
        narrowing.narrow(ModernBertForSequenceClassification(gated), (16,))
    resnet = TimmWrapperForImageClassification(TimmWrapperConfig(architecture="resnet10t"))
    with pytest.raises(UserError, match="resnet10t can't be pruned by structure"):
        timm_network.NETWORK.prunable_widths(resnet)


def test_targets_are_steps_of_eight() -> None:
    assert narrowing.targets((1536,), 0.5) == (768,)
    assert narrowing.targets((32, 64, 128), 0.3) == (24, 48, 88)
    assert narrowing.targets((64, 12), 0.99) == (8, 8)
    assert narrowing.targets((4,), 0.5) == (4,)
