"""bert_cls with encoders of all kinds: a text's result is the same alone and in any batch."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests import tiny_encoders
from tests.cli import Done, run_cli
from tests.finetuning import Run, run_finetune
from tests.tiny_text import review_rows

# isort: split
from transformers import AutoTokenizer, pipeline

from tasks.errors import UserError
from tasks.nlp.text_classification import Args, TextClassification
from zoo.model.network import assemble
from zoo.nlp import encoder_fit
from zoo.nlp.bert_cls import ENTRY
from zoo.nlp.presets import Options

ROWS = review_rows()[:96]
TEXTS = [text for text, _ in ROWS]
MIXED = ["film", TEXTS[0], "the cast was fine", " ".join(TEXTS[:9])]
TASK = TextClassification(Args(), ("negative", "positive"), "single_label_classification")
KINDS = sorted(tiny_encoders.KINDS)
kinds = pytest.mark.parametrize("kind", KINDS)


def made(folder: Path, **options: Any) -> tuple[Any, Any, TextClassification]:
    """Model, tokenizer and settled task, as finetune makes them."""
    given = Options(model=str(folder), **options)
    assembly = assemble(ENTRY, given, TASK, None)
    torch.manual_seed(0)
    model, _ = assembly.build()
    return model.eval(), assembly.processor, assembly.task


def logits(model: Any, tokenizer: Any, task: TextClassification, texts: list[Any]) -> torch.Tensor:
    with torch.no_grad():
        return task.forward(model, task.collate(task.inputs(texts)))["logits"]


def alone_and_together(
    model: Any, tokenizer: Any, task: TextClassification, texts: list[Any] = MIXED
) -> torch.Tensor:
    """Checks that a text's logits do not depend on its batch; returns them."""
    together = logits(model, tokenizer, task, texts)
    for row, text in enumerate(texts):
        alone = logits(model, tokenizer, task, [text])[0]
        torch.testing.assert_close(together[row], alone, rtol=1e-4, atol=1e-5, msg=str(text))
    assert together.std(0).min() > 1e-3, "a model that is deaf would pass"
    return together


@kinds
@pytest.mark.parametrize(
    "from_scratch",
    [
        pytest.param(False, id="pretrained"),
        pytest.param(True, id="scratch", marks=pytest.mark.slow),
    ],
)
def test_a_batch_of_mixed_lengths_is_what_each_text_is_alone(
    kind: str, from_scratch: bool, tmp_path: Path
) -> None:
    parts = made(tiny_encoders.save(tmp_path, kind, TEXTS), from_scratch=from_scratch)
    alone_and_together(*parts)
    alone_and_together(*parts, [("film", "the cast was fine"), (TEXTS[0], TEXTS[1]), ("fine", "a")])


@kinds
def test_the_longest_input_is_what_the_model_takes(kind: str, tmp_path: Path) -> None:
    model, _, task = made(tiny_encoders.save(tmp_path, kind, TEXTS))
    expected = encoder_fit.FALLBACK_LENGTH if kind == "xlnet" else tiny_encoders.LENGTH
    assert task.args.max_length == expected
    endless = task.collate(task.inputs([" ".join(TEXTS)]))
    assert endless.inputs["input_ids"].shape == (1, expected)
    assert model(endless.inputs["input_ids"]).logits.isfinite().all()


@pytest.mark.parametrize("kind", ["bert", "roberta", "gpt2", "xlnet", "deberta-v2"])
def test_plain_transformers_gives_the_same(kind: str, tmp_path: Path) -> None:
    model, tokenizer, task = made(tiny_encoders.save(tmp_path / "weights", kind, TEXTS))
    for part in (model, tokenizer):
        part.save_pretrained(tmp_path / "saved")
    classify = pipeline("text-classification", model=str(tmp_path / "saved"), device="cpu")
    texts = MIXED[:3]
    expected = logits(model, tokenizer, task, texts).softmax(-1)
    for size in (1,) if kind == "xlnet" else (1, 3):  # transformers can't take its memory apart
        found = classify(list(texts), top_k=None, batch_size=size)
        for row, scores in enumerate(found):
            by_label = {model.config.label2id[s["label"]]: s["score"] for s in scores}
            assert by_label[1] == pytest.approx(float(expected[row, 1]), abs=1e-4)


def changed(folder: Path, **fields: Any) -> Path:
    """A folder whose configuration says something else."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    return folder


@pytest.mark.parametrize("kind", ["bert", "roberta", "mpnet", "gpt2", "xlnet"])
@pytest.mark.parametrize(
    "pad",
    [
        pytest.param(p, marks=[] if p in (None, 9) else pytest.mark.slow)
        for p in (None, 0, 1, 9, 10**6)
    ],
)
def test_the_configuration_pads_otherwise_than_the_tokenizer(
    kind: str, pad: int | None, tmp_path: Path
) -> None:
    folder = changed(tiny_encoders.save(tmp_path, kind, TEXTS), pad_token_id=pad)
    model, tokenizer, task = made(folder)
    alone_and_together(model, tokenizer, task)
    own = tokenizer.pad_token_id
    if kind in ("roberta", "mpnet") and pad in (0, 9):  # positions are counted from padding's
        counted_from = pad if kind == "roberta" else 1
        assert model.config.pad_token_id == pad
        assert task.args.max_length == tiny_encoders.LENGTH + 1 - counted_from
    else:
        assert own is not None and model.config.pad_token_id == own
    model.save_pretrained(tmp_path / "saved")
    again = type(model).from_pretrained(tmp_path / "saved").eval()
    assert torch.equal(logits(again, tokenizer, task, MIXED), logits(model, tokenizer, task, MIXED))


@pytest.mark.parametrize("kind", ["bert", "roberta", "gpt2", "deberta-v2", "modernbert"])
def test_tokens_that_were_added_to_the_tokenizer_alone_get_rows(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tiny_encoders.save(tmp_path, kind, TEXTS)
    rows = json.loads((folder / "config.json").read_text())["vocab_size"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["qubit", "spin-glass"])
    tokenizer.save_pretrained(folder)
    model, tokenizer, task = made(folder)
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if "rows" in line] == [
        f"{folder}: its tokenizer has 2 tokens more than its embedding has rows; new rows were "
        "drawn for them"
    ]
    assert model.config.vocab_size == model.get_input_embeddings().weight.shape[0] == rows + 2
    alone_and_together(model, tokenizer, task, ["qubit", "the spin-glass was fine", TEXTS[0]])


def test_a_padding_token_that_was_added_alone_gets_a_row(tmp_path: Path) -> None:
    """As one does with GPT-2: add_special_tokens, and no resize_token_embeddings."""
    folder = tiny_encoders.save(tmp_path, "gpt2", TEXTS)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(folder)
    changed(folder, pad_token_id=tokenizer.pad_token_id)
    model, again, task = made(folder)
    alone_and_together(model, again, task)
    assert again.pad_token == "[PAD]" and model.config.pad_token_id == again.pad_token_id


def without(folder: Path, *names: str) -> Path:
    """A folder whose tokenizer does not know its special tokens of these names."""
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    for name in names:
        del settings[name]
    path.write_text(json.dumps(settings))
    return folder


def test_gpt2_pads_with_its_end_of_text(tmp_path: Path) -> None:
    model, tokenizer, task = made(tiny_encoders.save(tmp_path, "gpt2", TEXTS))
    assert tokenizer.pad_token == "[EOS]"
    assert task.pad_token_id == model.config.pad_token_id == tokenizer.eos_token_id
    alone_and_together(model, tokenizer, task, [*MIXED, ""])


def test_a_decoder_with_nothing_to_pad_with_is_refused(tmp_path: Path) -> None:
    folder = without(tiny_encoders.save(tmp_path, "gpt2", TEXTS), "eos_token", "bos_token")
    with pytest.raises(UserError, match="can't compute a batch of padded texts"):
        made(folder)


def test_an_encoder_whose_tokenizer_names_no_padding_works(tmp_path: Path) -> None:
    folder = without(tiny_encoders.save(tmp_path, "bert", TEXTS), "pad_token")
    alone_and_together(*made(folder))


def test_an_encoder_that_padding_reaches_is_refused(tmp_path: Path) -> None:
    """XLNet told to read its last position and padded on the right, as a wrong tokenizer would."""
    folder = changed(tiny_encoders.save(tmp_path, "xlnet", TEXTS), summary_type="mean")
    with pytest.raises(UserError, match="depends on the padding beside it"):
        made(folder)


@pytest.mark.parametrize("stated", [-1, 10**30, 12])
def test_what_a_tokenizer_states_counts_where_it_is_a_length(stated: int, tmp_path: Path) -> None:
    folder = tiny_encoders.save(tmp_path, "bert", TEXTS)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_max_length": stated}))
    task = made(folder)[2]
    assert task.args.max_length == (12 if stated == 12 else tiny_encoders.LENGTH)


def test_pairs_of_a_tokenizer_with_more_types_than_the_encoder(tmp_path: Path) -> None:
    folder = tiny_encoders.save(tmp_path, "roberta", TEXTS)
    path = folder / "tokenizer_config.json"
    names = ["input_ids", "token_type_ids", "attention_mask"]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_input_names": names}))
    alone_and_together(*made(folder), [("film", "the cast was fine"), ("fine", "film"), ("a", "")])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("few")
    for split, first, last in (("train", 0, 64), ("validation", 64, 80), ("test", 80, 96)):
        with (folder / f"{split}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *ROWS[first:last]])
    return folder


def finetune(folder: Path, kind: Path, data: Path, *flags: object) -> Run:
    words = ("finetune", "--model", kind, "--data", data, "--output_dir", folder, *flags)
    words += ("--max_steps", 3, "--per_device_train_batch_size", 8, "--logging_steps", 1)
    return run_finetune("zoo.nlp.bert_cls", folder, [*map(str, words), "--report_to", "none"])


QUICK = {("deberta", "bf16"), ("gpt2", "fp32")}


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        pytest.param(kind, dtype, marks=[] if (kind, dtype) in QUICK else pytest.mark.slow)
        for kind in KINDS
        for dtype in ("fp32", "bf16")
    ],
)
def test_every_kind_is_trained_evaluated_and_predicts(
    kind: str, dtype: str, data: Path, tmp_path: Path
) -> None:
    weights = tiny_encoders.save(tmp_path / "weights", kind, TEXTS)
    run = finetune(tmp_path / "run", weights, data, "--dtype", dtype)
    assert len(run.losses) == 3 and all(0 < loss < 20 for loss in run.losses)
    evaluated = run_cli("zoo.nlp.bert_cls", "evaluate", run.folder, "--data", data)
    assert evaluated.code == 0, evaluated.err
    (tmp_path / "texts.txt").write_text("\n".join(MIXED) + "\n")
    together = scores(
        run_cli("zoo.nlp.bert_cls", "predict", run.folder, "--file", tmp_path / "texts.txt")
    )
    assert len(together) == len(MIXED)
    alone = scores(run_cli("zoo.nlp.bert_cls", "predict", run.folder, "--text", MIXED[1]))
    assert alone[0] == pytest.approx(together[1], abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("xlnet", *tiny_encoders.DECODERS)])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_every_kind_learns_to_guess_tokens_and_ones_that_were_added(
    kind: str, dtype: str, data: Path, tmp_path: Path
) -> None:
    weights = tiny_encoders.save(tmp_path / "weights", kind, TEXTS, "ForMaskedLM")
    tokenizer = AutoTokenizer.from_pretrained(weights)
    rows = len(tokenizer)
    tokenizer.add_tokens(["qubit"])
    tokenizer.save_pretrained(weights)
    words = ("pretrain", "--model", weights, "--data", data, "--output_dir", tmp_path / "run")
    words += ("--max_steps", 3, "--per_device_train_batch_size", 8, "--report_to", "none")
    done = run_cli("zoo.nlp.bert_mlm", *words, "--dtype", dtype)
    assert done.code == 0, done.err
    saved = json.loads((tmp_path / "run" / "config.json").read_text())
    assert saved["vocab_size"] == rows + 1
    texts = ["the cast was [MASK]", "the film was [MASK] and the script [MASK], rather dull"]
    (tmp_path / "texts.txt").write_text("\n".join(texts) + "\n")
    together = run_cli(
        "zoo.nlp.bert_mlm", "predict", tmp_path / "run", "--file", tmp_path / "texts.txt"
    )
    alone = run_cli("zoo.nlp.bert_mlm", "predict", tmp_path / "run", "--text", texts[0])
    assert together.code == alone.code == 0, together.err + alone.err
    first, single = json.loads(together.lines[0]), json.loads(alone.lines[0])
    assert first["score"] == pytest.approx(single["score"], abs=1e-5)


def scores(done: Done) -> list[float]:
    assert done.code == 0, done.err
    return [json.loads(line)["score"] for line in done.lines]


@pytest.mark.parametrize(
    "kind",
    [pytest.param(k, marks=[] if k == "gpt2" else pytest.mark.slow) for k in KINDS],
)
def test_the_faster_code_gives_the_same_losses(kind: str, data: Path, tmp_path: Path) -> None:
    """Also of texts of one length, where no mask tells a causal model what comes later."""
    same = [(" ".join(text.split()[:5]), label) for text, label in ROWS]
    (tmp_path / "same").mkdir()
    for split in ("train", "validation", "test"):
        with (tmp_path / "same" / f"{split}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *same])
    weights = tiny_encoders.save(tmp_path / "weights", kind, TEXTS)
    flags = ("--dtype", "fp32", "--dropout", 0)
    for name, source in (("mixed", data), ("same", tmp_path / "same")):
        fast = finetune(tmp_path / f"fast-{name}", weights, source, *flags)
        plain = finetune(tmp_path / f"plain-{name}", weights, source, *flags, "--no-speedups")
        assert fast.losses == pytest.approx(plain.losses, rel=1e-4)


@pytest.mark.parametrize(
    ("kind", "pad"),
    [
        ("bert", None),
        pytest.param("bert", 9, marks=pytest.mark.slow),
        pytest.param("roberta", 0, marks=pytest.mark.slow),
    ],
)
def test_rows_of_the_embedding_that_are_trained_have_the_tokenizers_padding(
    kind: str, pad: int | None, data: Path, tmp_path: Path
) -> None:
    weights = changed(tiny_encoders.save(tmp_path / "weights", kind, TEXTS), pad_token_id=pad)
    flags = ("--dtype", "fp32", "--dropout", 0)
    fast = finetune(tmp_path / "fast", weights, data, *flags)
    plain = finetune(tmp_path / "plain", weights, data, *flags, "--no-speedups")
    assert fast.losses == pytest.approx(plain.losses, rel=1e-4)
