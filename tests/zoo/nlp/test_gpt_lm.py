"""gpt_lm from the command line: trained, gone on with, measured, and written with."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import zoo
from tasks.errors import UserError
from tests.cli import run_cli, run_process
from tests.finetuning import Run
from tests.processes import Death, run, run_ranks
from tests.terminals import on_a_terminal
from tests.tiny_models import GPT
from zoo.cli.verbs import main
from zoo.nlp.gpt_lm import ENTRY

EXACT = ("--logging_steps", 1, "--report_to", "none", "--dtype", "fp32", "--warmup_steps", 0)
STEPS = 80
PROMPTS = ("the film was", "", "the", "the music was quite superb and the cast")


def words(verb: str, data: Path, folder: Path, *flags: object) -> list[str]:
    """The words of a training."""
    given = (verb, "--data", data, "--output_dir", folder, *EXACT, *flags)
    return [str(word) for word in given]


def train(verb: str, data: Path, folder: Path, *flags: object) -> Run:
    done = run_cli(ENTRY, *words(verb, data, folder, *flags))
    assert done.code == 0, done.err
    return Run(folder, done)


def written(folder: Path, *flags: object) -> list[dict[str, Any]]:
    done = run_cli(ENTRY, "predict", folder, "--device", "cpu", *flags)
    assert done.code == 0, done.err
    return [json.loads(line) for line in done.lines]


def states_equal(one: Path, other: Path, step: int = STEPS) -> bool:
    found = [load_file(f / f"state/step-{step:08}/weights.safetensors") for f in (one, other)]
    return all(torch.equal(tensor, found[1][name]) for name, tensor in found[0].items())


@pytest.fixture(scope="module")
def trained(reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("gpt") / "run"
    flags = (*GPT, "--max_steps", STEPS, "--save_steps", 20, "--save_total_limit", 9)
    return train("pretrain", reviews, folder, *flags, "--learning_rate", 2e-2)


def test_the_loss_falls(trained: Run) -> None:
    assert len(trained.losses) == STEPS
    assert sum(trained.losses[-5:]) < 0.7 * sum(trained.losses[:5])
    [line] = [one for one in trained.done.lines if one.startswith("bits_per_byte")]
    assert "n=60" in line, "over documents"
    assert any(one.startswith("token_accuracy") for one in trained.done.lines)


def test_a_killed_run_goes_on_to_the_same_bits(trained: Run, reviews: Path, tmp_path: Path) -> None:
    flags = (*GPT, "--max_steps", STEPS, "--save_steps", 20, "--save_total_limit", 9)
    given = words("pretrain", reviews, tmp_path / "run", *flags, "--learning_rate", 2e-2)
    log = tmp_path / "log"
    assert run(given, log, death=Death(steps=27), module=ENTRY.module) == -9, log.read_text()
    done = run_cli(ENTRY, *given, "--resume")
    assert done.code == 0 and "going on at step 20" in done.err
    assert Run(tmp_path / "run").losses == trained.losses
    assert states_equal(tmp_path / "run", trained.folder)


@pytest.mark.slow
def test_two_ranks_learn_the_same(trained: Run, reviews: Path, tmp_path: Path) -> None:
    flags = (*GPT, "--max_steps", STEPS, "--learning_rate", 2e-2)
    flags = (*flags, "--per_device_train_batch_size", 16)
    given = words("pretrain", reviews, tmp_path / "two", *flags)
    run_ranks(given, tmp_path / "logs", module=ENTRY.module)
    two = Run(tmp_path / "two")
    assert two.steps == trained.steps
    assert two.losses == pytest.approx(trained.losses, abs=1e-4)
    facts = [json.loads(line) for line in (two.folder / "evidence.jsonl").open()]
    [bits] = [fact for fact in facts if fact["name"] == "bits_per_byte"]
    assert bits["n"] == 60


def test_packed_trains_as_padded(reviews: Path, tmp_path: Path) -> None:
    """Documents in several pieces, too."""
    flags = (*GPT, "--max_steps", 5, "--max_length", 20, "--train_sampling_strategy", "random")
    packed, padded = (
        train("pretrain", reviews, tmp_path / kind, *flags, "--packing", kind)
        for kind in ("on", "off")
    )
    assert packed.steps == padded.steps and "packed: passes of" in packed.done.err
    assert packed.losses == pytest.approx(padded.losses, abs=1e-5)


def test_fine_tuning_goes_on_from_the_very_weights(
    trained: Run, reviews: Path, tmp_path: Path
) -> None:
    flags = ("--model", trained.folder, "--max_steps", 1, "--learning_rate", 0)
    run = train("finetune", reviews, tmp_path / "more", *flags)
    theirs, ours = trained.weights(), run.weights()
    assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())
    assert run.losses[0] < trained.losses[0]
    assert (
        "as it was trained" in run.done.err and run.manifest["config"]["options"]["num_layers"] == 2
    )
    adapted = train(
        "finetune", reviews, tmp_path / "lora", *flags[:4], "--tune", "lora", "--dropout", 0
    )
    merged = adapted.weights()
    assert merged.keys() == theirs.keys()
    changed = [name for name in theirs if not torch.equal(merged[name], theirs[name])]
    assert len(changed) == 8 and all("attn" in name or "mlp" in name for name in changed)
    assert (adapted.folder / "adapter" / "adapter_model.safetensors").is_file()


def test_a_finetune_wants_weights(reviews: Path, tmp_path: Path) -> None:
    done = run_cli(ENTRY, *words("finetune", reviews, tmp_path / "x"))
    assert done.code == 2 and len(done.err.splitlines()) == 1
    assert "finetune goes on with weights, and --model names none" in done.err
    with pytest.raises(UserError, match="begin from nothing with pretrain"):
        zoo.finetune("gpt_lm", reviews, output_dir=str(tmp_path / "x"))


@pytest.mark.parametrize("sampling", [(), ("--temperature", 0.9, "--top_k", 50, "--seed", 3)])
def test_a_text_depends_on_its_prompt_alone(trained: Run, sampling: tuple[object, ...]) -> None:
    flags = ("--max_new_tokens", 24, *sampling)
    together = written(trained.folder, "--prompt", *PROMPTS, *flags)
    assert [one["prompt"] for one in together] == list(PROMPTS)
    assert len({one["text"] for one in together}) == len(PROMPTS)
    assert {one["finish_reason"] for one in together} <= {"stop", "length"}
    assert written(trained.folder, "--prompt", *PROMPTS, *flags) == together, "the same again"
    again = written(trained.folder, "--prompt", *PROMPTS[::-1], *flags, "--batch_size", 2)
    assert again == together[::-1]
    for prompt, one in zip(PROMPTS, together, strict=True):
        assert written(trained.folder, "--prompt", prompt, *flags) == [one]
    if sampling:
        flags = (*flags[:-1], 4)
        assert written(trained.folder, "--prompt", *PROMPTS, *flags) != together


def test_greedy_texts_are_those_of_plain_transformers(trained: Run) -> None:
    from transformers import pipeline

    write = pipeline("text-generation", model=str(trained.folder), device="cpu")
    ours = written(trained.folder, "--prompt", *PROMPTS[::2], "--max_new_tokens", 16)
    for one in ours:
        [theirs] = write(one["prompt"], max_new_tokens=16, do_sample=False, return_full_text=False)
        assert theirs["generated_text"] == one["text"]


def test_a_stop_ends_a_text(trained: Run) -> None:
    [whole] = written(trained.folder, "--prompt", "the film", "--max_new_tokens", 40)
    stop = whole["text"][5:8]
    [cut] = written(trained.folder, "--prompt", "the film", "--stop", stop)
    assert cut["text"] == whole["text"][: whole["text"].index(stop)]
    assert cut["finish_reason"] == "stop"


def test_the_context_ends_a_text(trained: Run) -> None:
    """Of 64 tokens, those of the prompt and the beginning among them; far more are asked for."""
    stay = ("--max_new_tokens", 500)
    found = written(trained.folder, "--prompt", "the film " * 6, "", *stay)
    assert len(found) == 2
    alone = written(trained.folder, "--prompt", "the film " * 6, *stay)
    assert alone == found[:1]


def test_files_pipes_and_python_give_the_same(trained: Run, tmp_path: Path) -> None:
    flags = ("--max_new_tokens", 8)
    expected = written(trained.folder, "--prompt", "the film", "the cast", *flags)
    (tmp_path / "p.txt").write_text("the film\nthe cast\n")
    assert written(trained.folder, "--file", tmp_path / "p.txt", *flags) == expected
    assert written(trained.folder, tmp_path / "p.txt", *flags) == expected
    (tmp_path / "p.csv").write_text("number,prompt\n1,the film\n2,the cast\n")
    output = tmp_path / "texts.csv"
    assert written(trained.folder, "--file", tmp_path / "p.csv", *flags, "--output", output) == []
    assert output.read_text().splitlines()[0] == "prompt,number,text,finish_reason"
    model = zoo.load(trained.folder, device="cpu")
    pieces = list(model.write("the film", max_new_tokens=8))
    assert "".join(pieces) == expected[0]["text"] and len(pieces) > 1
    longer = model.predict(["the film", "the cast"])
    for one, short in zip(longer, expected, strict=True):
        assert one["text"].startswith(short["text"])
    drawn = written(trained.folder, "--prompt", "the film", "--top_k", 2)
    assert model.predict("the film", top_k=2)["text"] == drawn[0]["text"]
    piped = run_process(
        ENTRY.module, "predict", trained.folder, *flags, "--device", "cpu", stdin="the film\n"
    )
    assert json.loads(piped.out) == expected[0], piped.err


def test_on_a_terminal_the_text_is_read_as_it_comes(trained: Run) -> None:
    flags = ("--max_new_tokens", 8, "--device", "cpu")
    expected = written(trained.folder, "--prompt", "the film", "the cast", *flags)
    asked = ["predict", trained.folder, "--prompt", "the film", "the cast", *flags]
    shown = on_a_terminal(lambda: main(ENTRY, [str(word) for word in asked]))
    assert shown.code == 0
    assert shown.out == "\n\n".join(one["prompt"] + one["text"] for one in expected) + "\n"
    done = on_a_terminal(lambda: main(ENTRY, [*map(str, asked), "--format", "jsonl"]))
    assert [json.loads(line) for line in done.out.splitlines()] == expected


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--prompt", "the film " * 90), "shorten the prompt"),
        (("--prompt", "a", "--stop", ""), "--stop has an empty text"),
        (("--prompt", "a", "--max_new_tokens", 0), "--max_new_tokens 0: at least 1"),
        (("--prompt", "a", "--temperature", 0, "--top_k", 3), "--top_k is of a draw"),
        (("--prompt", "a", "--file", "b"), "give --prompt or --file, not both"),
        (("--prompt", "a", "--deployment", "onnx"), "onnx"),
    ],
)
def test_a_mistake_is_one_line(trained: Run, flags: tuple[object, ...], said: str) -> None:
    done = run_cli(ENTRY, "predict", trained.folder, *flags)
    assert done.code == 2 and len(done.err.splitlines()) == 1 and not done.out
    assert said in done.err


def test_what_is_not_there_yet_is_said_in_one_line(trained: Run) -> None:
    done = run_cli("zoo", "prune", trained.folder)
    assert done.code == 2 and len(done.err.splitlines()) == 1
    assert "no verb 'prune'" in done.err


def test_evaluation_is_the_same_whatever_the_batch(trained: Run) -> None:
    told = [
        run_cli(ENTRY, "evaluate", trained.folder, "--json", "--per_device_eval_batch_size", size)
        for size in (64, 7)
    ]
    one, other = (json.loads(done.out)["metrics"] for done in told)
    assert one.keys() == other.keys() == {"bits_per_byte", "token_accuracy"}
    for name, metric in one.items():
        assert metric["n"] == 60 and metric["low"] < metric["value"] < metric["high"]
        assert metric["value"] == pytest.approx(other[name]["value"], rel=1e-5)


def test_a_document_of_one_token_and_one_of_many_pieces(trained: Run, tmp_path: Path) -> None:
    rows = [{"text": text} for text in ("a", "", "the film was superb " * 60)]
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("--data", tmp_path / "d.jsonl", "--split", "train", "--json")
    done = run_cli(ENTRY, "evaluate", trained.folder, *words)
    assert done.code == 0, done.err
    assert json.loads(done.out)["metrics"]["bits_per_byte"]["n"] == 3


def test_characters_of_a_book(tmp_path: Path) -> None:
    text = "\n\n".join(f"Chapter {i}. " + "the 图 film was superb " * 30 for i in range(40))
    (tmp_path / "book.txt").write_text(text, encoding="utf-8")
    flags = ("--tokenizer", "char", *GPT, "--max_steps", 3)
    run = train("pretrain", tmp_path / "book.txt", tmp_path / "run", *flags)
    assert run.manifest["config"]["options"]["tokenizer"] == "char"
    [one] = written(run.folder, "--prompt", "the", "--max_new_tokens", 5)
    assert len(one["text"]) <= 5
    again = train(
        "finetune", tmp_path / "book.txt", tmp_path / "more", "--model", run.folder,
        "--max_steps", 1,
    )  # fmt: skip
    assert again.manifest["config"]["options"]["tokenizer"] == "char"
    shutil.rmtree(run.folder)  # what it starts from is kept beside it
    assert written(again.folder, "--prompt", "the", "--max_new_tokens", 2)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--num_heads", 3), "--hidden_size 16 can't be shared out to --num_heads 3"),
        (("--vocab_size", 100), "--vocab_size 100: at least 257"),
        (("--token_limit", 3), "--token_limit 3 leaves no room for text"),
        (("--max_length", 65), "--max_length 65 is more than the 64 this model takes"),
        (("--model", "nowhere/at_all_x.y.z/w"), "nowhere"),
    ],
    ids=lambda flags: str(flags[0]),
)
def test_what_makes_no_network_is_named(
    flags: tuple[object, ...], said: str, reviews: Path, tmp_path: Path
) -> None:
    done = run_cli(ENTRY, *words("pretrain", reviews, tmp_path / "x", *GPT, *flags))
    assert done.code == 2 and len(done.err.splitlines()) == 1 and said in done.err


def test_weights_of_an_encoder_write_nothing(
    tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    """Not where its tokenizer has an end, and its head knows tokens, either."""
    import transformers

    given = words("finetune", reviews, tmp_path / "x", "--model")
    done = run_cli(ENTRY, *given, tiny_bert)
    assert done.code == 2 and "has no end token" in done.err.splitlines()[-1]
    config = transformers.AutoConfig.from_pretrained(tiny_bert)
    transformers.BertForMaskedLM(config).save_pretrained(tmp_path / "bert")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_bert, eos_token="[SEP]")
    tokenizer.save_pretrained(tmp_path / "bert")
    done = run_cli(ENTRY, *given, tmp_path / "bert")
    assert done.code == 2 and "see those behind them" in done.err.splitlines()[-1]


def test_help_has_examples_of_its_own() -> None:
    for verb in ("pretrain", "finetune", "predict"):
        out = run_cli(ENTRY, verb, "--help").out
        assert all(example in out for example in ENTRY.examples[verb])
        assert "--qat" not in out
    assert "--max_new_tokens" in out and "--top_k" in out


def test_a_recipe_of_its_own_for_going_on() -> None:
    from zoo.cli import settings

    rates = {
        verb: settings.of_training(ENTRY, verb)[1].train.learning_rate
        for verb in ("pretrain", "finetune")
    }
    assert rates == {"pretrain": 2e-3, "finetune": 2e-4}
    assert dataclasses.replace(ENTRY, finetune_recipe={}).recipe["learning_rate"] == 2e-3
