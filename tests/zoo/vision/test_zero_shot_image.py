"""Zero-shot on images: small random CLIP and SigLIP weights give what transformers gives."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tasks.errors import UserError
from tests.cli import run_cli
from zoo.vision import zero_shot_image

CPU = torch.device("cpu")
LABELS = ("film", "camera with music", "cast")
TEMPLATE = "a {}"
WIDTHS = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}


@pytest.fixture(scope="module")
def clip(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIPModel of random weights; its text tower is trained on no words, so any will do."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

    tokenizer = _tokenizer(tiny_bert)
    config = CLIPConfig(
        text_config=WIDTHS | {
            "vocab_size": len(tokenizer), "max_position_embeddings": 16,
            "eos_token_id": tokenizer.sep_token_id,
        },
        vision_config=WIDTHS | {"image_size": 16, "patch_size": 8},
        projection_dim=16,
    )  # fmt: skip
    pictures = CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    folder = tmp_path_factory.mktemp("clip")
    _save(CLIPModel(config), folder)
    CLIPProcessor(pictures, tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def siglip(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of SigLIP."""
    from transformers import SiglipConfig, SiglipImageProcessor, SiglipModel, SiglipProcessor

    tokenizer = _tokenizer(tiny_bert)
    config = SiglipConfig(
        text_config=WIDTHS | {"vocab_size": len(tokenizer), "max_position_embeddings": 64},
        vision_config=WIDTHS | {"image_size": 16, "patch_size": 8},
    )
    pictures = SiglipImageProcessor(size={"height": 16, "width": 16})
    folder = tmp_path_factory.mktemp("siglip")
    _save(SiglipModel(config), folder)
    SiglipProcessor(pictures, tokenizer).save_pretrained(folder)
    return folder


def _tokenizer(folder: Path):
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    return tokenizer


def _save(model, folder: Path) -> None:
    """With weights large enough for images to differ."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for parameter in model.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)


def _pictures() -> list[Image.Image]:
    noise = np.random.default_rng(0)
    shapes = [(20, 30, 3), (16, 16, 3), (3, 40, 3), (50, 17)]
    return [Image.fromarray(noise.integers(0, 256, shape, np.uint8)) for shape in shapes]


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_logits_are_the_pipelines(kind: str, request: pytest.FixtureRequest) -> None:
    from transformers import pipeline

    folder = request.getfixturevalue(kind)
    scorer = zero_shot_image.load(folder, LABELS, TEMPLATE, CPU)
    with torch.inference_mode():
        found = scorer.logits(_pictures())
    theirs = pipeline("zero-shot-image-classification", model=str(folder), device="cpu")
    read = found.softmax(-1) if kind == "clip" else found.sigmoid()
    for row, picture in zip(read, _pictures(), strict=True):
        expected = theirs(picture, candidate_labels=list(LABELS), hypothesis_template=TEMPLATE)
        mine = dict(zip(LABELS, row.tolist(), strict=True))
        assert mine == pytest.approx({e["label"]: e["score"] for e in expected}, abs=1e-5)
    assert read.std(0).min() > 1e-4, "all images look alike: nothing was compared"


def test_the_command_line(clip: Path, tmp_path: Path) -> None:
    for i, picture in enumerate(_pictures()):
        picture.save(tmp_path / f"{i}.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    asked = ("predict", clip, "--zero_shot", "--labels", ",".join(LABELS), "--template", TEMPLATE)
    done = run_cli(
        "zoo.vision.vit_cls", *asked, "--image", tmp_path, "--top_k", 3, "--on_bad_file", "skip"
    )
    assert done.code == 0, done.err
    assert "broken.png" in done.err
    rows = [json.loads(line) for line in done.lines]
    scorer = zero_shot_image.load(clip, LABELS, TEMPLATE, CPU)
    with torch.inference_mode():
        expected = scorer.logits(_pictures()).softmax(-1)
    for i, row in enumerate(rows):
        assert Path(row["image"]).name == f"{i}.png"
        mine = [row["scores"][label] for label in LABELS]
        assert mine == pytest.approx(expected[i].tolist(), abs=1e-5)
        assert row["label"] == LABELS[int(expected[i].argmax())]
    stopped = run_cli("zoo.vision.vit_cls", *asked, "--image", tmp_path / "broken.png")
    assert stopped.code == 2 and "broken.png" in stopped.err


def test_weights_without_a_text_tower(tmp_path: Path, tiny_bert: Path) -> None:
    from transformers import ViTConfig, ViTModel

    buffer = io.BytesIO()
    _pictures()[0].save(buffer, "PNG")
    (tmp_path / "a.png").write_bytes(buffer.getvalue())
    ViTModel(ViTConfig(**WIDTHS, image_size=16, patch_size=8)).save_pretrained(tmp_path / "vit")
    for folder in (tmp_path / "vit", tiny_bert):
        done = run_cli(
            "zoo.vision.vit_cls", "predict", folder, "--zero_shot", "--labels", "a,b",
            "--image", tmp_path / "a.png",
        )  # fmt: skip
        assert done.code == 2 and "no text tower" in done.err
        assert len(done.err.splitlines()) == 1


def test_many_labels_go_in_several_passes(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = tuple(f"film {i}" for i in range(7))
    whole = zero_shot_image.load(clip, labels, TEMPLATE, CPU).labels
    monkeypatch.setattr(zero_shot_image, "ROWS", 3)
    assert torch.allclose(
        zero_shot_image.load(clip, labels, TEMPLATE, CPU).labels, whole, atol=1e-5
    )


def test_weights_of_texts_are_refused_for_clip(clip: Path) -> None:
    from zoo.nlp import zero_shot_text

    with pytest.raises(UserError, match="they are for images"):
        zero_shot_text.load(clip, LABELS, TEMPLATE, CPU)
