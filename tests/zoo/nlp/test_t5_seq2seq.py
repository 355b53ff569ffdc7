"""t5_seq2seq from the command line: trained, gone on with, measured, and asked."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import zoo
from tasks.errors import UserError
from tests.cli import run_cli
from tests.finetuning import Run
from tests.processes import Death, run, run_ranks
from tests.tiny_pairs import SHAPE
from zoo.nlp import text_seq2seq
from zoo.nlp.t5_seq2seq import ENTRY

EXACT = ("--logging_steps", 1, "--report_to", "none", "--dtype", "fp32", "--warmup_steps", 0)
STEPS = 40
LONG: tuple[object, ...] = (*SHAPE, "--max_steps", STEPS, "--save_steps", 10)
LONG += ("--save_total_limit", 9, "--eval_strategy", "no", "--learning_rate", 1e-2)
LONG += ("--per_device_train_batch_size", 32, "--source_column", "en", "--target_column", "fr")
SOURCES = ("the cat sees a dog", "", "a small red bird", "\u4f60\u597d")


def words(data: Path, folder: Path, *flags: object) -> list[str]:
    """The words of a training."""
    given = ("finetune", "--data", data, "--output_dir", folder, *EXACT, *flags)
    return [str(word) for word in given]


def train(data: object, folder: Path, *flags: object) -> Run:
    done = run_cli(ENTRY, *words(data, folder, *flags))
    assert done.code == 0, done.err
    return Run(folder, done)


def written(folder: Path, *flags: object) -> list[dict[str, Any]]:
    done = run_cli(ENTRY, "predict", folder, "--device", "cpu", *flags)
    assert done.code == 0, done.err
    return [json.loads(line) for line in done.lines]


@pytest.fixture(scope="module")
def trained(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(pairs, tmp_path_factory.mktemp("t5") / "run", *LONG)


def test_it_learns_and_is_measured_by_what_it_writes(trained: Run) -> None:
    assert len(trained.losses) == STEPS
    assert sum(trained.losses[-5:]) < 0.8 * sum(trained.losses[:5])
    for name in ("chrf", "bleu", "rouge1", "rouge2", "rougeL"):
        [line] = [one for one in trained.done.lines if one.startswith(f"{name} ")]
        assert "test, n=40" in line
    assert "loaded by transformers.AutoModelForSeq2SeqLM.from_pretrained(...)" in trained.done.out
    done = run_cli(ENTRY, "evaluate", trained.folder, "--json", "--device", "cpu")
    found = json.loads(done.out)
    chrf = found["metrics"]["chrf"]
    assert chrf["n"] == 40 and chrf["low"] < chrf["value"] < chrf["high"]
    assert chrf["method"] == "bootstrap" and chrf["value"] > 10


def test_a_killed_run_goes_on_to_the_same_bits(trained: Run, pairs: Path, tmp_path: Path) -> None:
    given = words(pairs, tmp_path / "run", *LONG)
    log = tmp_path / "log"
    assert run(given, log, death=Death(steps=17), module=ENTRY.module) == -9, log.read_text()
    done = run_cli(ENTRY, *given, "--resume")
    assert done.code == 0 and "going on at step 10" in done.err
    assert Run(tmp_path / "run").losses == trained.losses
    states = [
        load_file(folder / f"state/step-{STEPS:08}/weights.safetensors")
        for folder in (tmp_path / "run", trained.folder)
    ]
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())


@pytest.mark.slow
def test_two_ranks_learn_the_same(pairs: Path, tmp_path: Path) -> None:
    flags = (*LONG, "--dropout", 0, "--max_steps", 20)
    one = train(pairs, tmp_path / "one", *flags)
    given = words(pairs, tmp_path / "two", *flags, "--per_device_train_batch_size", 16)
    run_ranks(given, tmp_path / "logs", module=ENTRY.module)
    two = Run(tmp_path / "two")
    assert two.steps == one.steps and two.losses == pytest.approx(one.losses, abs=1e-4)
    facts = [json.loads(line) for line in (two.folder / "evidence.jsonl").open()]
    assert [fact["n"] for fact in facts if fact["name"] == "chrf"] == [40]


def test_passes_of_other_sizes_learn_the_same(pairs: Path, tmp_path: Path) -> None:
    flags = (*LONG, "--dropout", 0, "--max_steps", 4)
    whole = train(pairs, tmp_path / "whole", *flags)
    cut = train(pairs, tmp_path / "cut", *flags, "--token_budget", 300)
    assert cut.steps == whole.steps and cut.losses == pytest.approx(whole.losses, abs=1e-4)


def test_a_text_depends_on_its_source_alone(trained: Run) -> None:
    together = written(trained.folder, "--text", *SOURCES)
    assert [one["source"] for one in together] == list(SOURCES)
    assert {one["finish_reason"] for one in together} <= {"stop", "length"}
    assert len({one["text"] for one in together}) > 1
    again = written(trained.folder, "--text", *SOURCES[::-1], "--batch_size", 3)
    assert again == together[::-1]
    for source, one in zip(SOURCES, together, strict=True):
        assert written(trained.folder, "--text", source) == [one]
    [short] = written(trained.folder, "--text", SOURCES[0], "--max_new_tokens", 2)
    assert together[0]["text"].startswith(short["text"]) and short["finish_reason"] == "length"


@pytest.mark.parametrize("beams", [1, 4])
def test_plain_transformers_writes_the_same(trained: Run, beams: int) -> None:
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(trained.folder)
    model = AutoModelForSeq2SeqLM.from_pretrained(trained.folder)
    ours = written(trained.folder, "--text", *SOURCES[::2], "--num_beams", beams)
    for one in ours:
        inputs = tokenizer(one["source"], return_tensors="pt")
        ids = model.generate(**inputs, **({"num_beams": beams} if beams > 1 else {}))
        assert tokenizer.decode(ids[0], skip_special_tokens=True) == one["text"]


def test_weights_write_as_they_are(
    trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A preset by its name, here a folder that is called so, without the zoo's files."""
    others = shutil.ignore_patterns("zoo.json", "state", "logs", "plots")
    shutil.copytree(trained.folder, tmp_path / "t5-small", ignore=others)
    monkeypatch.chdir(tmp_path)
    expected = written(trained.folder, "--text", SOURCES[0])
    found = written(Path("t5-small"), "--text", SOURCES[0])
    assert found[0]["text"].startswith(expected[0]["text"]), "which ends with its 32nd token"


def test_files_python_and_flags_give_the_same(trained: Run, tmp_path: Path) -> None:
    expected = written(trained.folder, "--text", *SOURCES[::2])
    (tmp_path / "s.txt").write_text("\n".join(SOURCES[::2]) + "\n")
    assert written(trained.folder, "--file", tmp_path / "s.txt") == expected
    assert written(trained.folder, tmp_path / "s.txt") == expected
    (tmp_path / "my s.csv").write_text("n,en\n" + "".join(f"1,{one}\n" for one in SOURCES[::2]))
    output = tmp_path / "out.csv"
    assert written(trained.folder, "--file", tmp_path / "my s.csv", "--output", output) == []
    assert output.read_text().splitlines()[0] == "source,n,text,finish_reason,source_cut"
    model = zoo.load(trained.folder, device="cpu")
    found = model.predict(list(SOURCES[::2]))
    assert found == [{n: v for n, v in one.items() if n != "source"} for one in expected]
    assert model.predict(SOURCES[0]) == found[0]
    with pytest.raises(UserError, match="`top_k`: this model writes one text"):
        model.predict("the film", top_k=2)


def test_going_on_with_its_own_weights(trained: Run, pairs: Path, tmp_path: Path) -> None:
    flags = ("--model", trained.folder, "--max_steps", 1, "--learning_rate", 0)
    lengths = ("--max_length", 48, "--max_target_length", 32, "--eval_strategy", "no")
    more = train(pairs, tmp_path / "more", *flags, *lengths)
    theirs, ours = trained.weights(), more.weights()
    assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())
    assert more.losses[0] < trained.losses[0]
    assert "as it was trained: --vocab_size" in more.done.err
    assert more.manifest["config"]["train"]["per_device_train_batch_size"] == 16
    assert written(more.folder, "--text", *SOURCES) == written(trained.folder, "--text", *SOURCES)
    adapted = train(
        pairs, tmp_path / "lora", *flags[:4], *lengths, "--tune", "lora", "--learning_rate", 1e-2
    )
    merged = adapted.weights()
    changed = [name for name in theirs if not torch.equal(merged[name], theirs[name])]
    assert merged.keys() == theirs.keys() and changed and "shared.weight" not in changed


def test_a_recipe_of_its_own_for_going_on(pairs: Path, tmp_path: Path) -> None:
    from zoo.cli import settings

    default = settings.of_training(ENTRY)[1].train
    assert default.learning_rate == ENTRY.recipe["learning_rate"] > 1e-3
    assert ENTRY.finetune_recipe["learning_rate"] < 1e-3


def test_two_files_side_by_side(pairs: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (pairs / "train.jsonl").open()]
    for name in ("en", "fr"):
        (tmp_path / f"train.{name}").write_text("".join(row[name] + "\n" for row in rows))
    data = f"{tmp_path}/train.en,{tmp_path}/train.fr"
    run_ = train(data, tmp_path / "run", *SHAPE, "--max_steps", 1, "--eval_strategy", "no")
    assert run_.manifest["data"]["source_rows"] == {"train": 240}
    done = run_cli(ENTRY, "evaluate", run_.folder, "--json")
    assert json.loads(done.out)["data"] == "train.en and train.fr"
    assert json.loads(done.out)["metrics"]["chrf"]["n"] == 24, "cut as they were in training"
    with (tmp_path / "train.fr").open("a") as file:
        file.write("one more\n")
    done = run_cli(ENTRY, *words(data, tmp_path / "x"))
    assert done.code == 2 and "has 240 lines and" in done.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--vocab_size", 100), "--vocab_size 100: at least 258"),
        (("--hidden_size", 30, "--num_heads", 4), "--hidden_size 30 can't be shared out"),
        (("--target_column", "de"), "has no column 'de' for the target"),
        (("--max_target_length", 5000), "--max_target_length 5000 is more than the 4096"),
        (("--num_beams", 0), "--num_beams"),
    ],
)
def test_what_cannot_be_trained(
    flags: tuple[object, ...], said: str, pairs: Path, tmp_path: Path
) -> None:
    done = run_cli(ENTRY, *words(pairs, tmp_path / "x", *flags))
    assert done.code == 2 and said in done.err.splitlines()[-1]
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--text", "a", "--max_new_tokens", 33), "was trained to write 32 tokens at most"),
        (("--text", "a", "--top_k", 2), "--top_k: this model writes one text"),
        (("--file", "nowhere.txt"), "there is no such file"),
        (("--text", "a", "--deployment", "onnx"), "onnx"),
    ],
)
def test_what_cannot_be_asked(flags: tuple[object, ...], said: str, trained: Run) -> None:
    done = run_cli(ENTRY, "predict", trained.folder, *flags)
    assert done.code == 2 and len(done.err.splitlines()) == 1 and said in done.err


@pytest.mark.parametrize("kind", ["t5", "bart", "marian", "pegasus"])
def test_weights_of_transformers(kind: str, trained: Run, pairs: Path, tmp_path: Path) -> None:
    """Each kind begins behind its own token, and writes as plain transformers does."""
    from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(trained.folder)
    shape = {"d_model": 32, "vocab_size": len(tokenizer), "pad_token_id": 0, "eos_token_id": 1}
    if kind == "t5":
        shape |= {"d_kv": 16, "d_ff": 64, "num_layers": 1, "num_heads": 2}
    else:
        for part in ("encoder", "decoder"):
            shape |= {f"{part}_layers": 1, f"{part}_ffn_dim": 64, f"{part}_attention_heads": 2}
        shape |= {"max_position_embeddings": 64, "bos_token_id": 2, "init_std": 0.3}
    start = 1 if kind == "bart" else 0
    forced = {"forced_bos_token_id": 2} if kind == "bart" else {}
    config = AutoConfig.for_model(kind, **shape, decoder_start_token_id=start)
    torch.manual_seed(0)
    model = AutoModelForSeq2SeqLM.from_config(config)
    for name, value in forced.items():
        setattr(model.generation_config, name, value)
    model.save_pretrained(tmp_path / "weights")
    tokenizer.save_pretrained(tmp_path / "weights")
    flags = ("--model", tmp_path / "weights", "--max_steps", 2, "--eval_strategy", "no")
    run_ = train(pairs, tmp_path / "run", *flags, "--max_target_length", 24)
    assert run_.manifest["config"]["task"]["start"] == start
    plain = AutoModelForSeq2SeqLM.from_pretrained(run_.folder)
    for one in written(run_.folder, "--text", *SOURCES[::2]):
        inputs = tokenizer(one["source"], return_tensors="pt")
        inputs.pop("token_type_ids", None)
        ids = plain.generate(**inputs, max_new_tokens=24 + len(forced))
        first = "!" if forced else ""  # token 2 of this tokenizer; in BART's it is no text
        assert tokenizer.decode(ids[0], skip_special_tokens=True) == first + one["text"]


def test_settings_that_are_not_followed_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    from transformers import GenerationConfig, T5Config

    text_seq2seq._tell_left_out("it", GenerationConfig.from_model_config(T5Config()))
    assert not capsys.readouterr().err, "what transformers notes for itself is no setting"
    text_seq2seq._tell_left_out("it", GenerationConfig(no_repeat_ngram_size=3))
    assert "it asks for no_repeat_ngram_size 3 where it writes" in capsys.readouterr().err


def test_weights_that_do_not_write(
    trained: Run, tiny_bert: Path, pairs: Path, tmp_path: Path
) -> None:
    done = run_cli(ENTRY, *words(pairs, tmp_path / "x", "--model", tiny_bert))
    assert done.code == 2 and "is of the type bert" in done.err.splitlines()[-1]
    folder = tmp_path / "weights"
    shutil.copytree(trained.folder, folder, ignore=shutil.ignore_patterns("state", "logs"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"decoder_start_token_id": None}))
    done = run_cli(ENTRY, *words(pairs, tmp_path / "x", "--model", folder))
    assert done.code == 2 and "has no decoder_start_token_id" in done.err.splitlines()[-1]


def test_a_docstring_is_a_text_and_what_sums_it_up() -> None:
    from tasks.nlp.embedded.docstring_summaries import pair_of

    text = "Return the sum.\n\nThe numbers of all rows are added up, which may take a while for it."
    assert pair_of(text) == (
        "The numbers of all rows are added up, which may take a while for it.", "Return the sum."
    )  # fmt: skip
    assert pair_of("Return the sum.") is None and pair_of("a: b\n\nc") is None
