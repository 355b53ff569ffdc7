"""What of a model is trained: its head, layer after layer, or low-rank adapters."""

from pathlib import Path

import pytest
import torch

from tests.cli import run_cli
from tests.finetuning import EXACT, MODEL, Run, arguments, finetune
from zoo.model import registry
from zoo.model.entry import Entry
from zoo.train.methods.tuning import GradualUnfreezing, set_dropout

TEXTS = ["the film was truly wonderful", "the plot was dull and the music awful, simply awful"]


def _pretrained(tiny_bert: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return {f"bert.{n}": t for n, t in load_file(tiny_bert / "model.safetensors").items()}


def _changed(run: Run, tiny_bert: Path) -> set[str]:
    before = _pretrained(tiny_bert)
    return {n for n, t in run.weights().items() if n in before and not torch.equal(t, before[n])}


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_head_leaves_the_body_as_it_was(
    tiny_bert: Path, reviews: Path, tmp_path: Path, dtype: str
) -> None:
    flags = ("--tune", "head", "--dtype", dtype, "--learning_rate", 1e-2, "--num_train_epochs", 3)
    run = finetune(tiny_bert, reviews, tmp_path / "run", *flags)
    assert _changed(run, tiny_bert) == set()
    assert run.losses[-1] < run.losses[0]
    assert "(66 trained)" in run.done.err  # 32 x 2 weights and 2 biases


def test_gradual_thaws_from_the_head_down(tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    first = finetune(
        tiny_bert, reviews, tmp_path / "one", *EXACT, "--tune", "gradual", "--max_steps", 1,
        "--warmup_steps", 0,
    )  # fmt: skip
    assert all("pooler" in name for name in _changed(first, tiny_bert))  # its depth is the head's
    whole = finetune(
        tiny_bert, reviews, tmp_path / "all", *EXACT, "--tune", "gradual", "--warmup_steps", 0
    )
    changed = _changed(whole, tiny_bert)
    assert "bert.embeddings.word_embeddings.weight" in changed
    assert {"bert.encoder.layer.0.output.dense.weight"} < changed


def test_thaw_is_a_function_of_progress(tiny_bert: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(tiny_bert)
    named = list(model.named_parameters())
    thaw = GradualUnfreezing()
    assert thaw.attach(model, dict(named)) == dict(named)
    trained = []
    for done in (0.0, 0.3, 0.6, 0.8, 1.0, 0.0):
        thaw.before_step(done)
        trained.append({name for name, p in named if p.requires_grad})
    assert all("classifier" in n or "pooler" in n for n in trained[0]) and trained[0]
    assert trained[0] < trained[1] < trained[2] < trained[3] == trained[4] == {n for n, _ in named}
    assert any(".layer.1." in n for n in trained[1])
    assert not any(".layer.0." in n for n in trained[1])
    assert trained[5] == trained[0]


@pytest.fixture(scope="module")
def lora(tiny_bert: Path, reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with adapters that have learned something."""
    flags = ("--tune", "lora", "--dtype", "fp32", "--learning_rate", 5e-3, "--save_steps", 4)
    return finetune(tiny_bert, reviews, tmp_path_factory.mktemp("lora") / "run", *flags)


def test_the_merged_weights_equal_the_adapter_on_the_base(lora: Run, tiny_bert: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(lora.folder)
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
    merged = AutoModelForSequenceClassification.from_pretrained(lora.folder)
    base = AutoModelForSequenceClassification.from_pretrained(tiny_bert, num_labels=2)
    adapted = PeftModel.from_pretrained(base, lora.folder / "adapter").eval()
    with torch.no_grad():
        expected, plain = merged.eval()(**batch).logits, adapted(**batch).logits
        with adapted.disable_adapter():
            without = adapted(**batch).logits
    torch.testing.assert_close(plain, expected, atol=1e-5, rtol=0)
    assert (without - expected).abs().max() > 1e-2  # the adapter does something
    layer = "bert.encoder.layer.0.attention.self.query.weight"
    assert layer in _changed(lora, tiny_bert)


def test_the_adapter_folder_holds_the_adapter_only(lora: Run) -> None:
    from safetensors import safe_open

    with safe_open(lora.folder / "adapter" / "adapter_model.safetensors", "pt") as file:
        names = list(file.keys())
    assert names and all("lora_" in name or "classifier" in name for name in names)
    assert not any("lora" in name for name in lora.weights())


def test_lora_resumes_to_the_same_bits(
    lora: Run, tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    import shutil

    folder = tmp_path / "again"
    shutil.copytree(lora.folder, folder)
    shutil.rmtree(folder / "state" / "step-00000008")
    flags = ("--tune", "lora", "--dtype", "fp32", "--learning_rate", 5e-3, "--save_steps", 4)
    again = finetune(tiny_bert, reviews, folder, *flags, "--resume")
    assert "going on at step 4" in again.done.err
    assert (folder / "model.safetensors").read_bytes() == (
        lora.folder / "model.safetensors"
    ).read_bytes()


NEW = [entry for entry in registry.entries() if getattr(entry.options(), "model", "") == "none"]


@pytest.mark.parametrize("entry", NEW, ids=lambda entry: entry.name)
def test_a_random_network_is_not_frozen(entry: Entry, tmp_path: Path) -> None:
    """Before the data are looked for, which are nowhere."""
    tune = "lora" if entry.name.endswith("ctc") else "head"
    words = ("--data", "nowhere", "--output_dir", tmp_path / "run", "--tune", tune)
    verb = next(verb for verb in ("pretrain", "finetune") if verb in entry.verbs)
    done = run_cli(entry, verb, *words)
    (line,) = done.err.splitlines()
    assert done.code == 2 and f"--tune {tune} leaves" in line and "with --model none" in line
    assert not (tmp_path / "run").exists()


def test_nor_is_one_that_begins_from_scratch(
    tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    flags = ("--from_scratch", "--tune", "head")
    done = run_cli(MODEL, *arguments(tiny_bert, reviews, tmp_path / "run", *flags))
    assert done.code == 2 and "with --from_scratch that is random" in done.err


def test_dropout_of_whole_channels_is_dropout() -> None:
    model = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Dropout2d(0.5))
    set_dropout(model, 0.1)
    assert [module.p for module in model] == [0.1, 0.1]


@pytest.mark.parametrize("p", ["1.0", "-0.1"])
def test_a_dropout_that_is_no_probability(
    tiny_bert: Path, reviews: Path, tmp_path: Path, p: str
) -> None:
    done = run_cli(MODEL, *arguments(tiny_bert, reviews, tmp_path / "run", "--dropout", p))
    assert done.code == 2 and f"--dropout {p} is no probability" in done.err.splitlines()[-1]
