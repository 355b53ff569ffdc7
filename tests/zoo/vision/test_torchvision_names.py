"""torchvision's weights under timm's names give torchvision's own outputs."""

import pytest
import torch

import tasks  # noqa: F401  (torchvision may need our guard)
from zoo.model.network import StateDict
from zoo.vision import timm_import
from zoo.vision.torchvision_names import to_timm

# isort: split
from torchvision import models

NETWORKS = {
    "resnet18": ("resnet18", 64),
    "resnet50": ("resnet50", 64),
    "resnext50_32x4d": ("resnext50_32x4d", 64),
    "convnext_tiny": ("convnext_tiny", 64),
    "efficientnet_b0": ("efficientnet_b0", 64),
    "efficientnet_b5": ("efficientnet_b5", 64),  # batch norms with another epsilon
    "vit_b_16": ("vit_base_patch16_224", 32),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_are_the_same(name: str) -> None:
    expected, side = NETWORKS[name]
    flags = {"image_size": side} if name.startswith("vit") else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = models.get_model(name, num_classes=7, **flags).eval()
        for tensor in theirs.state_dict().values():  # zeros and ones would hide a mix-up
            if tensor.is_floating_point():
                tensor.add_(torch.rand_like(tensor) * 0.02)
        pixels = torch.randn(2, 3, side, side)
    weights = StateDict(theirs.state_dict(), name, image_size=side)
    ours, processor = timm_import.convert(weights)
    assert ours.config.architecture == expected
    assert tuple(processor.image_mean) == (0.485, 0.456, 0.406)
    with torch.no_grad():
        logits, wanted = ours.eval()(pixels).logits, theirs(pixels)
    assert logits.shape == (2, 7)
    torch.testing.assert_close(logits, wanted, rtol=1e-4, atol=1e-4)


def test_names_of_timm_stay_as_they_are() -> None:
    import timm

    tensors = timm.create_model("test_resnet", pretrained=False).state_dict()
    found, is_torchvision = to_timm(tensors)
    assert not is_torchvision and found.keys() == tensors.keys()
