"""--model CHECKPOINT in the models that have networks of their own, and what is kept of it."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import zoo
from tasks.data.fingerprint import sha256
from tests import tiny_models
from tests.cli import Done, run_cli
from tests.zoo.model.relabelled import relabelled
from zoo.model import own_weights

USUAL = ("--report_to", "none", "--max_steps", 1, "--per_device_train_batch_size", 8)
USUAL += ("--max_train_samples", 24, "--max_eval_samples", 8, "--warmup_steps", 0)
EXACT = ("--dtype", "fp32")


@dataclass(frozen=True)
class Model:
    """A model with a network of its own, so small that it trains in a second."""

    module: str
    data: str
    """fixture"""
    flags: tuple[object, ...]
    heads: tuple[str, ...]
    """prefixes of the names of its head"""
    changed: tuple[object, ...]
    """a flag that contradicts the weights"""
    said: str
    verb: str = "finetune"
    processor: str = "preprocessor_config.json"

    def train(self, folder: Path, data: Path, *flags: object) -> Done:
        words = (self.verb, "--data", data, "--output_dir", folder, *USUAL)
        return run_cli(self.module, *words, *flags)


MODELS = {
    "rnn_cls": Model(
        "zoo.nlp.rnn_cls", "reviews",
        ("--hidden_size", 8, "--embedding_size", 8, "--vocab_size", 300, "--tokenizer", "word"),
        ("classifier.",), ("--hidden_size", 16), "--hidden_size 16: ", processor="tokenizer.json",
    ),
    "cnn_cls": Model(
        "zoo.vision.cnn_cls", "images", ("--widths", 8, 16), ("classifier.",),
        ("--widths", 16, 16), "--widths 16 16: ",
    ),
    "mlp_cls": Model(
        "zoo.vision.mlp_cls", "images", ("--hidden_sizes", 24, 16), ("classifier.",),
        ("--hidden_sizes", 16, 16), "--hidden_sizes 16 16: ",
    ),
    "kws_cls": Model(
        "zoo.speech.kws_cls", "sounds",
        ("--sampling_rate", 8000, "--num_mel_bins", 16, "--hidden_size", 16, "--num_layers", 1),
        ("classifier.",), ("--sampling_rate", 4000), "--sampling_rate 4000: ",
    ),
    "conformer_ctc": Model(
        "zoo.speech.conformer_ctc", "utterances",
        ("--sampling_rate", 8000, "--num_mel_bins", 16, "--hidden_size", 16, "--num_layers", 1,
         "--num_heads", 2, "--kernel_size", 3),
        ("ctc_head.",), ("--num_layers", 2), "--num_layers 2: ", processor="vocab.json",
    ),
    "stream_ctc": Model(
        "zoo.speech.stream_ctc", "utterances", tiny_models.STREAM,
        ("ctc_head.",), ("--chunk_frames", 4), "--chunk_frames 4: ", processor="vocab.json",
    ),
    "mae": Model(
        "zoo.vision.mae", "images",
        ("--image_size", 16, "--depth", 1, "--decoder_size", 12, "--decoder_depth", 1),
        (), ("--depth", 2), "--depth 2: ", verb="pretrain",
    ),
    "ddpm": Model(
        "zoo.vision.ddpm", "images", ("--widths", 8, 16), (), ("--widths", 16, 16),
        "--widths 16 16: ", verb="pretrain",
    ),
    "vae": Model(
        "zoo.vision.vae", "images", ("--widths", 8, 16, "--latent_size", 4), (),
        ("--widths", 16, 16), "--widths 16 16: ", verb="pretrain",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """A checkpoint of each model."""
    folders: dict[str, Path] = {}

    def of(name: str) -> Path:
        if name not in folders:
            model = MODELS[name]
            folders[name] = tmp_path_factory.mktemp(name) / "source"
            data = request.getfixturevalue(model.data)
            done = model.train(folders[name], data, *model.flags, *EXACT)
            assert done.code == 0, done.err
        return folders[name]

    return of


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "zoo.json").read_text())


@pytest.mark.parametrize("name", MODELS)
def test_a_checkpoint_is_gone_on_with(
    name: str, trained: Callable[[str], Path], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """All weights, the processor and the shape are the checkpoint's; zoo.json says whose."""
    model, source = MODELS[name], trained(name)
    data = request.getfixturevalue(model.data)
    run = tmp_path / "run"
    done = model.train(run, data, "--model", source, "--learning_rate", 0, *EXACT)
    assert done.code == 0, done.err
    before, after = weights(source), weights(run)
    assert before.keys() == after.keys()
    moving = ("running_mean", "running_var", "num_batches_tracked")  # of batch norms, in training
    assert all(torch.equal(before[n], t) for n, t in after.items() if not n.endswith(moving))
    assert f"{source}: all weights are kept, the head's too ({len(before)} tensors" in done.err
    assert (run / model.processor).read_bytes() == (source / model.processor).read_bytes()
    said = manifest(run)
    assert said["source"]["sha256"] == sha256(source / "model.safetensors")
    first, then = (manifest(folder)["config"]["options"] for folder in (source, run))
    # of what was left to the data, or to the rate, the weights say what it has come to
    of_data = {"vocab_size", "image_size", *(n for n, value in first.items() if value is None)}
    assert {n: v for n, v in then.items() if n not in of_data} == {
        n: v for n, v in (first | {"model": str(source)}).items() if n not in of_data
    }


@pytest.mark.parametrize("name", [name for name, model in MODELS.items() if model.heads])
def test_other_labels_have_a_new_head(
    name: str, trained: Callable[[str], Path], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """As many labels, so that the old head would fit; it is drawn anew, which is said."""
    model, source = MODELS[name], trained(name)
    data = relabelled(request.getfixturevalue(model.data), tmp_path / "data")
    run = tmp_path / "run"
    flags = ("--vocabulary", "new") if name.endswith("_ctc") else ()
    words = ("--model", source, "--learning_rate", 0, *EXACT, *flags)
    done = model.train(run, data, *words)
    assert done.code == 0, done.err
    before, after = weights(source), weights(run)
    heads = {n for n in after if n.startswith(model.heads)}
    moving = ("running_mean", "running_var", "num_batches_tracked")
    kept = after.keys() - heads
    assert all(torch.equal(before[n], after[n]) for n in kept if not n.endswith(moving))
    matrix = f"{model.heads[0]}weight"
    assert before[matrix].shape == after[matrix].shape
    assert not torch.equal(before[matrix], after[matrix])
    line = next(line for line in done.err.splitlines() if "drawn anew" in line)
    assert line.startswith(f"{source}: its head is drawn anew"), line
    numbers = sum(after[n].numel() for n in heads)
    assert f"({len(kept)} tensors, " in line, line
    assert line.endswith(f"; drawn: {len(heads)} tensors, {numbers:,} parameters)"), line
    if not name.endswith("_ctc"):
        assert ", for 标签 " in line and "(it knew " in line, line
        assert model.train(tmp_path / "again", data, *words).code == 0
        assert all(torch.equal(after[n], t) for n, t in weights(tmp_path / "again").items())


def test_a_new_head_is_that_of_from_scratch(
    trained: Callable[[str], Path], images: Path, tmp_path: Path
) -> None:
    """The same seed draws the same head, so that the two differ in the body alone."""
    data, model = relabelled(images, tmp_path / "data"), MODELS["cnn_cls"]
    common = ("--learning_rate", 0, *EXACT)
    for name, flags in (("own", ("--model", trained("cnn_cls"))), ("scratch", model.flags)):
        assert model.train(tmp_path / name, data, *common, *flags).code == 0
    own, scratch = weights(tmp_path / "own"), weights(tmp_path / "scratch")
    assert torch.equal(own["classifier.weight"], scratch["classifier.weight"])
    assert not torch.equal(own["cnn.stem.0.weight"], scratch["cnn.stem.0.weight"])


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("name", [name for name, model in MODELS.items() if model.heads])
def test_a_head_tuned_body_is_the_old_one(
    name: str,
    dtype: str,
    trained: Callable[[str], Path],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    """To the last bit, statistics of batch norms too; after steps that move the head."""
    model, source = MODELS[name], trained(name)
    data, run = request.getfixturevalue(model.data), tmp_path / "run"
    words = ("--model", source, "--tune", "head", "--learning_rate", 0.1, "--dtype", dtype)
    done = model.train(run, data, *words, "--max_steps", 3)
    assert done.code == 0, done.err
    before, after = weights(source), weights(run)
    moved = {n for n in before if not torch.equal(before[n], after[n])}
    assert moved == {n for n in before if n.startswith(model.heads)}


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("rnn_cls", ("--tune", "gradual")),
        ("rnn_cls", ("--tune", "full", "--ema_decay", 0.9)),
        ("cnn_cls", ("--tune", "gradual")),
        ("kws_cls", ("--tune", "lora")),
        ("conformer_ctc", ("--tune", "lora")),
        ("stream_ctc", ("--tune", "lora")),
    ],
)
def test_other_ways_to_tune(
    name: str,
    flags: tuple[object, ...],
    trained: Callable[[str], Path],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    model, source = MODELS[name], trained(name)
    data, run = request.getfixturevalue(model.data), tmp_path / "run"
    words = ("--model", source, "--learning_rate", 0.01, "--max_steps", 3, *flags)
    done = model.train(run, data, *words)
    assert done.code == 0, done.err
    before, after = weights(source), weights(run)
    assert any(not torch.equal(before[n], t) for n, t in after.items())
    assert zoo.load(str(run)) is not None


@pytest.mark.parametrize("name", MODELS)
def test_a_flag_that_contradicts_the_weights(
    name: str, trained: Callable[[str], Path], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    model, source = MODELS[name], trained(name)
    data = request.getfixturevalue(model.data)
    done = model.train(tmp_path / "run", data, "--model", source, *model.changed)
    assert done.code == 2
    line = done.err.splitlines()[-1]
    assert model.said in line and str(source) in line and "leave it out" in line, line
    same = model.train(tmp_path / "same", data, "--model", source, *model.flags)
    assert same.code == 0, same.err  # flags that say what the weights have


def test_other_sizes_of_images(
    trained: Callable[[str], Path], images: Path, tmp_path: Path
) -> None:
    """A convolutional network takes another size, which is said; positions are of one size, and
    so are vectors."""
    size = ("--image_size", 24)
    run = tmp_path / "run"
    done = MODELS["cnn_cls"].train(run, images, "--model", trained("cnn_cls"), *size)
    assert done.code == 0 and "was trained at 12 pixels, and goes on at 24" in done.err, done.err
    assert json.loads((run / "config.json").read_text())["image_size"] == 24
    done = MODELS["mae"].train(tmp_path / "mae", images, "--model", trained("mae"), *size)
    assert done.code == 2 and "was pretrained at 16" in done.err.splitlines()[-1]
    done = MODELS["mlp_cls"].train(tmp_path / "mlp", images, "--model", trained("mlp_cls"), *size)
    assert done.code == 2 and "--image_size 24: " in done.err.splitlines()[-1], done.err


@pytest.mark.parametrize("name", MODELS)
def test_weights_of_another_kind(
    name: str, tiny_bert: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    model = MODELS[name]
    data = request.getfixturevalue(model.data)
    done = model.train(tmp_path / "run", data, "--model", tiny_bert)
    assert done.code == 2
    assert "holds weights of bert, and " in done.err.splitlines()[-1], done.err


def test_damaged_bodies(trained: Callable[[str], Path], images: Path, tmp_path: Path) -> None:
    """A checkpoint that lacks a tensor, or has another shape of it, is never filled up."""
    from safetensors.torch import save_file

    for damage in ("shape", "missing", "more"):
        folder = shutil.copytree(trained("cnn_cls"), tmp_path / damage)
        tensors = weights(folder)
        if damage == "shape":
            tensors["cnn.stem.0.weight"] = torch.zeros(8, 3, 5, 5)
        elif damage == "missing":
            del tensors["cnn.stem.0.weight"]
        else:
            tensors["cnn.other"] = torch.zeros(3)
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        done = MODELS["cnn_cls"].train(tmp_path / "run", images, "--model", folder)
        assert done.code == 2
        said = {
            "shape": "cnn.stem.0.weight is [8, 3, 5, 5], not [8, 3, 3, 3]",
            "missing": "cnn.stem.0.weight is missing",
            "more": "cnn.other is not known",
        }
        assert said[damage] in done.err.splitlines()[-1], done.err


def test_options_at_their_default_ask_for_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    from zoo.nlp.rnn_cls import Options

    found = own_weights.settled(Options(model="x"), {"hidden_size": 64, "rnn_dropout": 0.2})
    assert (found.hidden_size, found.rnn_dropout, found.model) == (64, 0.2, "x")
    asked = Options(model="x", rnn_dropout=0.7)
    assert own_weights.settled(asked, {"rnn_dropout": 0.2}, free=("rnn_dropout",)) == asked
    said = capsys.readouterr().err.splitlines()
    assert said == ["x: as it was trained: `hidden_size` 64, `rnn_dropout` 0.2"]


def test_an_option_that_was_given_at_its_default_is_no_default(
    trained: Callable[[str], Path], reviews: Path, tmp_path: Path
) -> None:
    """One that any weights take wins; one that the weights contradict is refused."""
    from zoo.nlp.rnn_cls import Options

    usual, model, source = Options(), MODELS["rnn_cls"], trained("rnn_cls")
    given = ("--model", source, f"--hidden-size={usual.hidden_size}")
    done = model.train(tmp_path / "run", reviews, *given)
    assert done.code == 2
    said = f"--hidden_size {usual.hidden_size}: {source} has 8; leave it out"
    assert said in done.err.splitlines()[-1]
    config = tmp_path / "flags.yaml"
    config.write_text(f"num_layers: {usual.num_layers}\nhidden_size: {usual.hidden_size}\n")
    done = model.train(tmp_path / "run", reviews, "--model", source, "--config", config)
    assert done.code == 2 and said in done.err.splitlines()[-1]
    before = own_weights.settled(
        Options(model="x"), {"rnn_dropout": 0.9}, free=("rnn_dropout",), typed=("rnn_dropout",)
    )
    assert before.rnn_dropout == usual.rnn_dropout != 0.9


@pytest.mark.parametrize("same", [True, False])
def test_a_transformer_with_other_labels_has_a_new_head(
    same: bool, tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    """As many labels under other names: the old head would fit, and mean something else."""
    words = ("finetune", *USUAL, *EXACT, "--data")
    source = tmp_path / "source"
    done = run_cli(
        "zoo.nlp.bert_cls", *words, reviews, "--model", tiny_bert, "--output_dir", source
    )
    assert done.code == 0, done.err
    data = reviews if same else relabelled(reviews, tmp_path / "data")
    flags = ("--model", source, "--output_dir", tmp_path / "run", "--learning_rate", 0)
    done = run_cli("zoo.nlp.bert_cls", *words, data, *flags)
    assert done.code == 0, done.err
    before, after = weights(source), weights(tmp_path / "run")
    assert all(torch.equal(before[n], after[n]) for n in before if not n.startswith("classifier"))
    assert torch.equal(before["classifier.weight"], after["classifier.weight"]) == same
    assert ("all weights are kept" in done.err) == same
    knew = "its head is drawn anew, for 标签 negative, 标签 positive (it knew negative, positive)"
    assert (knew in done.err) == (not same)


def _turned(source: Path, folder: Path) -> Path:
    """A checkpoint with its labels the other way round, as another program may order them."""
    from safetensors.torch import save_file

    shutil.copytree(source, folder)
    said = json.loads((folder / "config.json").read_text())
    if "label_names" in said:  # as timm has them
        said["label_names"].reverse()
    else:
        names = list(said["id2label"].values())[::-1]
        said["id2label"] = {str(i): name for i, name in enumerate(names)}
        said["label2id"] = {name: i for i, name in enumerate(names)}
    (folder / "config.json").write_text(json.dumps(said))
    tensors = weights(folder)
    for name in tensors:
        if name.startswith(("classifier.", "timm_model.fc.")):
            tensors[name] = tensors[name].flip(0).contiguous()
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


@pytest.mark.parametrize("name", ["cnn_cls", "bert_cls", "resnet_cls"])
def test_the_same_labels_in_another_order_keep_the_head(
    name: str,
    trained: Callable[[str], Path],
    tiny_bert: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    """Each output goes on as the one of its own label."""
    own: dict[str, tuple[str, str, tuple[object, ...]]] = {
        "bert_cls": ("zoo.nlp.bert_cls", "reviews", ("--model", tiny_bert)),
        "resnet_cls": ("zoo.vision.resnet_cls", "images",
                       ("--architecture", "test_resnet", "--image_size", 32)),
    }  # fmt: skip
    if name in own:
        module, fixture, flags = own[name]
        model, source = Model(module, fixture, flags, (), (), ""), tmp_path / "source"
        data = request.getfixturevalue(fixture)
        assert model.train(source, data, *flags, *EXACT).code == 0
    else:
        model, source = MODELS[name], trained(name)
        data = request.getfixturevalue(model.data)
    turned = _turned(source, tmp_path / "turned")
    (turned / "zoo.json").unlink()
    words = ("--model", turned, "--learning_rate", 0, *EXACT)
    done = model.train(tmp_path / "run", data, *words)
    assert done.code == 0, done.err
    labels = list(manifest(tmp_path / "run")["config"]["task"]["labels"])
    assert "the head's too" in done.err
    assert f"; its labels are now in the order {', '.join(labels)}" in done.err, done.err
    before, after = weights(source), weights(tmp_path / "run")
    moving = ("running_mean", "running_var", "num_batches_tracked")
    assert all(torch.equal(before[n], t) for n, t in after.items() if not n.endswith(moving))


def test_whose_rows_the_labels_are_must_be_plain() -> None:
    """A head whose inner layer is as wide as there are labels could be turned in a wrong place."""
    from transformers import RobertaConfig, RobertaForSequenceClassification

    sizes = {"hidden_size": 4, "num_attention_heads": 1, "intermediate_size": 4}
    sizes |= {"num_hidden_layers": 1, "vocab_size": 9}
    for labels, known in ((3, True), (4, False)):
        config = RobertaConfig(**sizes, num_labels=labels)
        model = RobertaForSequenceClassification(config)
        names = [str(i) for i in range(labels)]
        before = model.classifier.out_proj.weight.detach().clone()
        assert own_weights.goes_on(model, names, names[::-1]) == known
        now = model.classifier.out_proj.weight
        assert torch.equal(now, before.flip(0) if known else before)
    assert own_weights.new_order(("a", "b"), ("a", "c")) is None
    assert own_weights.new_order(("a", "a", "b"), ("a", "b", "a")) is None
    assert own_weights.new_order(("a", "b", "c"), ("c", "a", "b")) == [2, 0, 1]
