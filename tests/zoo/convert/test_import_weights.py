"""`python -m zoo import`: what others trained becomes a checkpoint that gives the same outputs."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import tasks  # noqa: F401  (torchvision may need our guard)
import tools.cards.cli as cards
import zoo
from tasks.data.fingerprint import sha256
from tests.cli import Done, run_cli
from zoo.store.checkpoint import open_checkpoint

# isort: split
import timm
import transformers

TINY = {"architecture": "test_resnet", "num_labels": 3}


def imported(weights: Path, model: str, folder: Path, *flags: object) -> Done:
    return run_cli("zoo", "import", weights, "--as", model, "--output_dir", folder, *flags)


def drawn(name: str, **flags: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return timm.create_model(name, pretrained=False, **flags).eval()


def seen(folder: Path, image: Path) -> torch.Tensor:
    """The pixels that a checkpoint makes of an image, by its own processor."""
    task = open_checkpoint(folder).task
    from zoo.vision.image_processor import load_processor

    bound = task.bind(load_processor(folder))
    return bound.collate(bound.inputs([str(image)])).inputs["pixel_values"]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.effect_noise((50, 40), 80).convert("RGB").save(path)
    return path


@pytest.mark.parametrize(
    ("model", "name", "flags"),
    [
        ("resnet_cls", "resnet18", {}),
        ("resnet_cls", "test_resnet", {}),
        ("vit_cls", "vit_tiny_patch16_224", {"img_size": 32, "patch_size": 8, "depth": 2}),
        ("vit_cls", "vit_tiny_patch16_224",
         {"img_size": 32, "depth": 1, "class_token": False, "global_pool": "avg"}),
    ],
    ids=["resnet18", "test_resnet", "vit", "vit without class token"],
)  # fmt: skip
def test_a_state_dict_of_timm(
    model: str, name: str, flags: dict[str, Any], picture: Path, tmp_path: Path
) -> None:
    theirs = drawn(name, num_classes=3, **flags)
    weights, folder = tmp_path / "model.pth", tmp_path / "run"
    torch.save({"epoch": 1, "state_dict": torch.nn.DataParallel(theirs).state_dict()}, weights)
    size = ("--image_size", 32, "--mean", 0.1, 0.2, 0.3, "--std", 0.4, 0.5, 0.6)
    done = imported(weights, model, folder, "--labels", "cat,dog,犬", *size)
    assert done.code == 0, done.err
    assert "does not say" not in done.err and "all weights are kept" in done.err
    loaded = zoo.load(str(folder))
    with torch.no_grad():
        wanted = theirs(seen(folder, picture))
    torch.testing.assert_close(torch.as_tensor(loaded.logits([str(picture)])), wanted)
    (found,) = loaded.predict([str(picture)])
    assert found["label"] == ("cat", "dog", "犬")[int(wanted.argmax())]
    task = open_checkpoint(folder).task
    assert (task.size, task.mean, task.std) == (32, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


def test_a_head_behind_dropout(picture: Path, tmp_path: Path) -> None:
    """`model.fc = Sequential(Dropout(), Linear())`, as tutorials replace it."""
    theirs = drawn("test_resnet", num_classes=3)
    theirs.fc = torch.nn.Sequential(torch.nn.Dropout(), theirs.fc).eval()
    torch.save(theirs.state_dict(), tmp_path / "model.pth")
    done = imported(tmp_path / "model.pth", "resnet_cls", tmp_path / "run", "--image_size", 32)
    assert done.code == 0, done.err
    with torch.no_grad():
        wanted = theirs(seen(tmp_path / "run", picture))
    loaded = zoo.load(str(tmp_path / "run"))
    torch.testing.assert_close(torch.as_tensor(loaded.logits([str(picture)])), wanted)
    two = torch.nn.Linear(3, 3)
    theirs.fc.extend([torch.nn.ReLU(), two])
    torch.save(theirs.state_dict(), tmp_path / "two.pth")
    done = imported(tmp_path / "two.pth", "resnet_cls", tmp_path / "none")
    assert done.code == 2 and "is known by them" in done.err, (
        "a head of two layers is another network"
    )


def test_a_checkpoint_of_the_zoo_is_one_already(tmp_path: Path) -> None:
    torch.save(drawn("test_resnet", num_classes=3).state_dict(), tmp_path / "model.pth")
    assert imported(tmp_path / "model.pth", "resnet_cls", tmp_path / "run").code == 0
    done = imported(tmp_path / "run", "vit_cls", tmp_path / "again")
    assert done.code == 2 and "is a checkpoint of the zoo already" in done.err
    assert not (tmp_path / "again").exists()


def test_what_is_not_said_is_told(tmp_path: Path) -> None:
    weights = tmp_path / "model.pth"
    torch.save(drawn("resnet18", num_classes=3).state_dict(), weights)
    done = imported(weights, "resnet_cls", tmp_path / "run")
    assert done.code == 0, done.err
    assert "does not say how its images were read: 224 pixels" in done.err
    assert "does not name its 3 outputs: --labels would" in done.err
    assert "resnet_cls for LABEL_0, LABEL_1, LABEL_2" in done.out


def test_it_is_a_checkpoint_like_any_other(images: Path, picture: Path, tmp_path: Path) -> None:
    """It predicts, is evaluated on data that are named, and is trained on."""
    weights, folder = tmp_path / "model.pth", tmp_path / "run"
    torch.save(drawn("test_resnet", num_classes=3).state_dict(), weights)
    flags = ("--labels", "bar,dot,ring", "--image_size", 32)
    assert imported(weights, "resnet_cls", folder, *flags).code == 0
    done = run_cli("zoo.vision.resnet_cls", "predict", folder, "--image", picture)
    assert done.code == 0 and json.loads(done.out)["label"] in ("bar", "dot", "ring"), done.err
    done = run_cli("zoo.vision.resnet_cls", "evaluate", folder, "--data", images)
    assert done.code == 0 and "accuracy" in done.out, done.err
    done = run_cli("zoo.vision.resnet_cls", "evaluate", folder)
    assert done.code == 2
    assert "were imported, and have no data of their own: give --data" in done.err
    words = ("finetune", "--model", folder, "--data", images, "--output_dir", tmp_path / "on")
    words += ("--max_steps", 1, "--report_to", "none", "--tune", "head")
    done = run_cli("zoo.vision.resnet_cls", *words)
    assert done.code == 0 and "all weights are kept, the head's too" in done.err, done.err
    assert cards.main([str(folder)]) == 0
    page = (folder / "README.md").read_text()
    digest = sha256(weights)[:12]
    assert f"Trained elsewhere, and imported from weights with sha256 `{digest}`" in page
    assert "`none`" not in page, "that is no name of data"
    assert "## Training" not in page and "ine-tuned" not in page.partition("## Use")[0]
    assert cards.main([str(folder), "--check"]) == 0
    options = json.loads((folder / "zoo.json").read_text())["config"]["options"]
    assert options["architecture"] == "test_resnet"
    done = run_cli("zoo", "info", folder)
    assert done.code == 0 and "model.pth" in done.out, done.err


@pytest.mark.parametrize(
    ("change", "flags", "said"),
    [
        ("missing", (), "has the tensors of no network that is known by them"),
        ("shape", (), "(resnet18 is nearest: layer1.0.conv1.weight is [1, 1], not [64, 64, 3, 3])"),
        ("missing", ("--architecture", "resnet18"), "layer1.0.conv1.weight is missing"),
        ("shape", ("--architecture", "resnet18"), "is [1, 1], not [64, 64, 3, 3]"),
        ("more", ("--architecture", "resnet18"), "timm_model.other is not known"),
        ("head", (), "has no head (fc.weight of resnet18)"),
        ("none", ("--architecture", "resnet9999"), "timm has no architecture 'resnet9999'"),
        ("none", ("--labels", "a,b"), "--labels names 2, and "),
        ("none", ("--labels", "a,a,b"), "--labels has 'a' twice"),
    ],
)
def test_what_does_not_fit(change: str, flags: tuple[str, ...], said: str, tmp_path: Path) -> None:
    tensors = drawn("resnet18", num_classes=3).state_dict()
    if change == "missing":
        del tensors["layer1.0.conv1.weight"]
    elif change == "shape":
        tensors["layer1.0.conv1.weight"] = torch.zeros(1, 1)
    elif change == "more":
        tensors["other"] = torch.zeros(1)
    elif change == "head":
        del tensors["fc.weight"]
    torch.save(tensors, tmp_path / "model.pth")
    done = imported(tmp_path / "model.pth", "resnet_cls", tmp_path / "run", *flags)
    assert done.code == 2, done.out
    (line,) = [one for one in done.err.splitlines() if said in one] or [done.err]
    assert said in line
    assert not (tmp_path / "run").exists()


def test_the_model_that_it_fits_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in the home folder, behind an = where no shell reads the ~."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    vit = {"img_size": 32, "patch_size": 8, "depth": 1}
    torch.save(drawn("test_resnet", num_classes=3).state_dict(), tmp_path / "conv.pth")
    torch.save(drawn("vit_tiny_patch16_224", num_classes=3, **vit).state_dict(), tmp_path / "v.pth")
    for weights, wrong, right in (
        ("~/conv.pth", "vit_cls", "resnet_cls"),
        ("~/v.pth", "resnet_cls", "vit_cls"),
    ):
        done = run_cli("zoo", "import", weights, f"--as={wrong}", "--output_dir=~/run")
        said = f"which is no {wrong}: give --as {right}"
        assert done.code == 2 and said in done.err.splitlines()[-1], done.err
        assert not (tmp_path / "run").exists()
    done = run_cli("zoo", "import", "~/v.pth", "--as=vit_cls", "--output_dir=~/run")
    assert done.code == 0 and (tmp_path / "run" / "zoo.json").is_file(), done.err
    assert not Path("~").exists()


def test_where_it_goes(images: Path, tmp_path: Path) -> None:
    weights = tmp_path / "model.pth"
    torch.save(drawn("test_resnet", num_classes=3).state_dict(), weights)
    done = imported(weights, "resnet_cls", images)
    assert done.code == 2 and "is not empty: name a new folder" in done.err
    done = imported(weights, "resnet_clz", tmp_path / "run")
    assert done.code == 2 and "no model called 'resnet_clz'" in done.err
    done = imported(weights, "bert_cls", tmp_path / "run")
    assert done.code == 2 and "name with --base a folder" in done.err
    done = imported(weights, "conformer_ctc", tmp_path / "run")
    assert done.code == 2 and "is for training: start from the weights" in done.err


@pytest.fixture
def trainer_folder(tiny_bert: Path, tmp_path: Path) -> Path:
    """What transformers' Trainer leaves of a classifier: weights, tokenizer, pickled arguments."""
    folder = tmp_path / "trainer"
    shutil.copytree(tiny_bert, folder)
    config = transformers.BertConfig.from_pretrained(
        tiny_bert, num_labels=3, id2label={0: "bad", 1: "fair", 2: "good"}
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = transformers.BertForSequenceClassification(config)
    model.save_pretrained(folder)
    (folder / "training_args.bin").write_bytes(b"\x80\x02.")
    return folder


TEXTS = ["the film was truly fine", "the plot was rather dull, quite hollow"]


def of_transformers(folder: Path) -> torch.Tensor:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        return model(**tokenizer(TEXTS, padding=True, return_tensors="pt")).logits


def test_a_folder_of_trainer(trainer_folder: Path, tmp_path: Path) -> None:
    wanted = of_transformers(trainer_folder)
    done = imported(trainer_folder, "bert_cls", tmp_path / "run")
    assert done.code == 0, done.err
    model = zoo.load(str(tmp_path / "run"))
    torch.testing.assert_close(torch.as_tensor(model.logits(TEXTS)), wanted, rtol=1e-4, atol=1e-5)
    names = ("bad", "fair", "good")
    labels = [found["label"] for found in model.predict(TEXTS)]
    assert labels == [names[int(i)] for i in wanted.argmax(1)]
    assert torch.allclose(of_transformers(tmp_path / "run"), wanted, atol=1e-6)


def test_a_pickled_folder_and_a_bare_file(trainer_folder: Path, tmp_path: Path) -> None:
    """Older folders hold pytorch_model.bin; a file alone takes the rest from another folder."""
    from safetensors.torch import load_file

    wanted = of_transformers(trainer_folder)
    tensors = load_file(trainer_folder / "model.safetensors")
    torch.save(tensors, tmp_path / "bert.pth")
    old = shutil.copytree(trainer_folder, tmp_path / "old")
    (old / "model.safetensors").unlink()
    torch.save(tensors, old / "pytorch_model.bin")
    base = ("--base", trainer_folder)
    for weights, flags in ((old, ()), (tmp_path / "bert.pth", base)):
        run = tmp_path / f"run-{weights.name}"
        done = imported(weights, "bert_cls", run, *flags)
        assert done.code == 0, done.err
        found = torch.as_tensor(zoo.load(str(run)).logits(TEXTS))
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_a_bare_file_of_a_plain_module(images: Path, picture: Path, tmp_path: Path) -> None:
    """A network of ours that another program trained on, with more classes; its folder has the
    rest."""
    from zoo.vision.modeling_cnn import CnnForImageClassification

    base = tmp_path / "base"
    words = ("finetune", "--data", images, "--output_dir", base, "--widths", 8, 16)
    done = run_cli("zoo.vision.cnn_cls", *words, "--max_steps", 1, "--report_to", "none")
    assert done.code == 0, done.err
    config = transformers.AutoConfig.from_pretrained(base, num_labels=5)
    theirs = CnnForImageClassification(config).eval()
    torch.save({"model": theirs.state_dict()}, tmp_path / "cnn.pt")
    done = imported(tmp_path / "cnn.pt", "cnn_cls", tmp_path / "run", "--base", base)
    assert done.code == 0, done.err
    with torch.no_grad():
        wanted = theirs(seen(tmp_path / "run", picture)).logits
    found = torch.as_tensor(zoo.load(str(tmp_path / "run")).logits([str(picture)]))
    torch.testing.assert_close(found, wanted)


def test_folders_without_a_head_that_can_be_read(tiny_bert: Path, tmp_path: Path) -> None:
    """sentence-transformers gives vectors, SetFit pickles its head: both serve as --model."""
    folder = shutil.copytree(tiny_bert, tmp_path / "setfit")
    kinds = {"": "Transformer", "1_Pooling": "Pooling"}
    parts = [{"path": p, "type": f"sentence_transformers.models.{k}"} for p, k in kinds.items()]
    (folder / "modules.json").write_text(json.dumps(parts))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    done = imported(folder, "bert_cls", tmp_path / "run")
    assert done.code == 2 and "gives vectors, no labels; start from its body" in done.err
    (folder / "model_head.pkl").write_bytes(b"\x80\x02.")
    done = imported(folder, "bert_cls", tmp_path / "run")
    assert done.code == 2 and "(model_head.pkl) is a pickle" in done.err


@pytest.mark.parametrize("layout", ["root", "old"])
def test_a_body_of_sentence_transformers_is_a_start(
    layout: str, tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    folder = tmp_path / "sentences"
    inner = folder if layout == "root" else folder / "0_Transformer"
    shutil.copytree(tiny_bert, inner)
    kind = "sentence_transformers.models.Transformer"
    path = "" if layout == "root" else "0_Transformer"
    (folder / "modules.json").write_text(json.dumps([{"path": path, "type": kind}]))
    words = ("finetune", "--model", folder, "--data", reviews, "--output_dir", tmp_path / "run")
    words += ("--max_steps", 1, "--report_to", "none", "--learning_rate", 0, "--dtype", "fp32")
    done = run_cli("zoo.nlp.bert_cls", *words)
    assert done.code == 0, done.err
    theirs, ours = (load_file(f / "model.safetensors") for f in (inner, tmp_path / "run"))
    assert all(torch.equal(t, ours[f"bert.{n}"]) for n, t in theirs.items() if "pooler" not in n)


def test_what_sentence_transformers_saves(tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    sentences = pytest.importorskip("sentence_transformers")
    parts = pytest.importorskip("sentence_transformers.models")
    body = parts.Transformer(str(tiny_bert))
    folder = tmp_path / "sentences"
    sentences.SentenceTransformer(modules=[body, parts.Pooling(32)], device="cpu").save(str(folder))
    done = imported(folder, "bert_cls", tmp_path / "none")
    assert done.code == 2 and "gives vectors, no labels" in done.err
    words = ("finetune", "--model", folder, "--data", reviews, "--output_dir", tmp_path / "run")
    done = run_cli("zoo.nlp.bert_cls", *words, "--max_steps", 1, "--report_to", "none")
    assert done.code == 0 and "its head is drawn anew" in done.err, done.err


def test_checkpoints_of_trainer_are_named(trainer_folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    for step in (500, 1500):
        shutil.copytree(trainer_folder, output / f"checkpoint-{step}")
    done = imported(output, "bert_cls", tmp_path / "run")
    assert done.code == 2
    assert f"name one of them, such as {output / 'checkpoint-1500'}" in done.err
