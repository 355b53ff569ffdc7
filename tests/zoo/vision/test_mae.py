"""mae from the command line, its network, and vit_cls that starts from it."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tasks.base import Batch
from tasks.vision.masked_image import Args, MaskedImage
from tests.cli import run_cli
from tests.finetuning import Run
from zoo.vision.mae import ENTRY
from zoo.vision.modeling_mae import MaeConfig, MaeForPreTraining, MaeModel

SMALL = ("--depth", 1, "--decoder_size", 24, "--decoder_depth", 1, "--decoder_heads", 2)
SMALL += ("--patch_size", 4, "--max_train_samples", 64, "--max_eval_samples", 16)
SHORT = ("--per_device_train_batch_size", 8, "--logging_steps", 1, "--report_to", "none")
STEPS = 30


def pretrain(folder: Path, *flags: object) -> Run:
    done = run_cli(ENTRY, "pretrain", "--output_dir", folder, *SMALL, *SHORT, *flags)
    assert done.code == 0, done.err
    return Run(folder, done)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("mae") / "run"
    return pretrain(folder, "--max_steps", STEPS, "--save_steps", 10, "--save_total_limit", 9)


def test_the_loss_falls(pretrained: Run) -> None:
    assert len(pretrained.losses) == STEPS
    assert sum(pretrained.losses[-5:]) < 0.8 * sum(pretrained.losses[:5])
    assert "reconstruction_loss" in pretrained.done.out
    assert f"python -m zoo.vision.vit_cls finetune --model {pretrained.folder}" in (
        pretrained.done.out
    )
    assert "predict" not in pretrained.done.out


def test_resume_gives_the_same_bits(pretrained: Run, tmp_path: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(pretrained.folder, again)
    for state in (again / "state").glob("step-*"):
        if int(state.name.removeprefix("step-")) > 10:
            shutil.rmtree(state)
    flags = ("--max_steps", STEPS, "--save_steps", 10, "--save_total_limit", 9, "--resume")
    run = pretrain(again, *flags)
    assert "going on at step 10" in run.done.err
    assert run.losses == pretrained.losses
    states = [
        load_file(f / f"state/step-{STEPS:08}/weights.safetensors")
        for f in (pretrained.folder, again)
    ]
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())


def test_evaluate_and_neither_predict_nor_serve(pretrained: Run) -> None:
    done = run_cli(ENTRY, "evaluate", pretrained.folder)
    assert done.code == 0 and "reconstruction_loss" in done.out
    done = run_cli(ENTRY, "predict", pretrained.folder)
    assert done.code == 2 and "there are pretrain, evaluate" in done.err
    done = run_cli("zoo", "serve", pretrained.folder, "--port", 0)
    assert done.code == 2 and len(done.err.splitlines()) == 1
    assert "mae predicts nothing" in done.err
    assert f"python -m zoo.vision.vit_cls finetune --model {pretrained.folder}" in done.err


def test_vit_cls_starts_from_the_very_encoder(pretrained: Run, tmp_path: Path) -> None:
    flags = ("--max_steps", 1, "--learning_rate", 0, "--max_train_samples", 32)
    words = ("--model", pretrained.folder, "--output_dir", tmp_path / "vit", *SHORT, *flags)
    done = run_cli("zoo.vision.vit_cls", "finetune", *words, "--max_eval_samples", 16)
    assert done.code == 0, done.err
    theirs, ours = pretrained.weights(), load_file(tmp_path / "vit" / "model.safetensors")
    encoder = {n.removeprefix("mae.encoder."): t for n, t in theirs.items() if "encoder." in n}
    assert set(ours) == {f"timm_model.{n}" for n in encoder} | {
        "timm_model.head.weight",
        "timm_model.head.bias",
    }
    assert all(torch.equal(ours[f"timm_model.{name}"], t) for name, t in encoder.items())
    size = run_cli("zoo.vision.vit_cls", "finetune", *words, "--image_size", 64)
    assert size.code == 2 and "was pretrained at 16" in size.err


def test_the_auto_classes_load_it(pretrained: Run) -> None:
    from transformers import AutoModel, AutoModelForPreTraining, pipeline

    import zoo.auto  # noqa: F401

    model = AutoModelForPreTraining.from_pretrained(pretrained.folder)
    assert isinstance(model, MaeForPreTraining)
    encoder = AutoModel.from_pretrained(pretrained.folder)
    assert isinstance(encoder, MaeModel)
    mine = encoder.state_dict()
    assert all(torch.equal(mine[n], t) for n, t in model.mae.state_dict().items())
    from PIL import Image

    extract = pipeline("image-feature-extraction", model=str(pretrained.folder), device="cpu")
    features = torch.tensor(extract(Image.new("RGB", (8, 8), "red")))
    assert features.shape == (1, 16, 192)


@pytest.fixture(scope="module")
def network() -> MaeForPreTraining:
    torch.manual_seed(0)
    config = MaeConfig(
        image_size=16, patch_size=4, depth=2, decoder_size=24, decoder_depth=1, decoder_heads=2
    )
    return MaeForPreTraining(config).eval()


def test_the_encoder_is_timms(network: MaeForPreTraining) -> None:
    pixels = torch.randn(2, 3, 16, 16)
    encoder = network.mae.encoder
    with torch.no_grad():
        ours = network.mae(pixels).last_hidden_state
        theirs = encoder.fc_norm(encoder.forward_features(pixels))
    torch.testing.assert_close(ours, theirs)


def test_what_is_hidden_is_not_seen(network: MaeForPreTraining) -> None:
    shuffle = torch.stack([torch.randperm(16) for _ in range(2)])
    pixels = torch.randn(2, 3, 16, 16)
    changed = pixels.clone()
    for i, order in enumerate(shuffle):
        for patch in order[4:].tolist():
            row, column = 4 * (patch // 4), 4 * (patch % 4)
            changed[i, :, row : row + 4, column : column + 4] = 9.0
    with torch.no_grad():
        first, second = (network(x, shuffle=shuffle).logits for x in (pixels, changed))
        third = network(pixels.flip(-1), shuffle=shuffle).logits
    assert first.shape == (2, 16, 48)
    assert torch.equal(first, second)
    assert not torch.allclose(first, third)


def test_the_order_of_what_is_seen_does_not_matter(network: MaeForPreTraining) -> None:
    """Positions go with the patches, through the encoder and back to their place."""
    pixels = torch.randn(1, 3, 16, 16)
    shuffle = torch.randperm(16)[None]
    other = torch.cat([shuffle[:, :4].flip(1), shuffle[:, 4:].flip(1)], 1)
    with torch.no_grad():
        first, second = (network(pixels, shuffle=order).logits for order in (shuffle, other))
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)


def test_its_loss_is_the_task_s(network: MaeForPreTraining) -> None:
    task = MaskedImage(Args(patch_size=4, mask_ratio=0.75), size=16)
    shuffle = torch.stack([torch.randperm(16) for _ in range(2)])
    inputs = {"pixel_values": torch.randn(2, 3, 16, 16), "shuffle": shuffle}
    batch = Batch(inputs, torch.arange(2))
    output = network(**inputs)
    loss = task.loss({"logits": output.logits}, batch)
    torch.testing.assert_close(output.loss, loss.sum / loss.count)
    assert network(**inputs, return_loss=False).loss is None


@pytest.mark.parametrize(
    "architecture", ["vit_small_patch16_dinov3", "vit_wee_patch16_reg1_gap_256"]
)
def test_an_architecture_with_more_tokens_than_patches_is_named(architecture: str) -> None:
    with pytest.raises(ValueError, match=architecture):
        MaeModel(MaeConfig(architecture=architecture, image_size=32, patch_size=4, depth=1))


def test_every_weight_is_trained(network: MaeForPreTraining) -> None:
    network(torch.randn(2, 3, 16, 16)).logits.square().sum().backward()
    untouched = [n for n, p in network.named_parameters() if p.grad is None]
    network.zero_grad()
    assert not untouched  # several ranks would wait for them


@pytest.mark.parametrize(
    "flags",
    [
        ("--depth", 0),
        ("--decoder_size", 25),
        ("--decoder_size", 2),
        ("--patch_size", 5),
        ("--mask_ratio", 0),
        ("--architecture", "resnet18"),
        ("--architecture", "vit_tinny_patch16_224"),
    ],
    ids=str,
)
def test_what_makes_no_network_is_named(flags: tuple, tmp_path: Path) -> None:
    done = run_cli(ENTRY, "pretrain", "--output_dir", tmp_path / "x", *SMALL, *SHORT, *flags)
    assert done.code == 2, done.err
    assert str(flags[1]) in done.err
