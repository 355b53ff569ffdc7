"""How texts are written: every flag from the command line and from Python, drafts, and a terminal
that prompts are typed on."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import zoo
from tasks.errors import UserError
from tests.cli import run_cli
from tests.terminals import on_a_terminal
from tests.tiny_models import GPT
from zoo.cli.verbs import main
from zoo.nlp.gpt_lm import ENTRY
from zoo.predict.pipeline import Predictor

PROMPTS = ("the film was", "", "the music was quite superb and the cast")
LENGTH = ("--max_new_tokens", 16, "--device", "cpu")


def _train(data: Path, folder: Path, steps: int, *flags: object) -> Path:
    quiet = ("--report_to", "none", "--dtype", "fp32", "--warmup_steps", 0)
    given = ("--data", data, "--output_dir", folder, *GPT, *quiet, "--max_steps", steps, *flags)
    done = run_cli(ENTRY, "pretrain", *given)
    assert done.code == 0, done.err
    return folder


@pytest.fixture(scope="module")
def trained(reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It has learned some words of the reviews, and repeats them."""
    folder = tmp_path_factory.mktemp("writing") / "run"
    return _train(reviews, folder, 40, "--learning_rate", 2e-2)


def _predict(folder: Path, *flags: object) -> tuple[list[dict[str, Any]], str]:
    done = run_cli(ENTRY, "predict", folder, *LENGTH, *flags)
    assert done.code == 0, done.err
    return [json.loads(line) for line in done.lines], done.err


def _flags(settings: dict[str, Any]) -> list[object]:
    return [word for name, value in settings.items() for word in (f"--{name}", value)]


SETTINGS: list[dict[str, Any]] = [
    {"num_beams": 3, "length_penalty": 2.0, "min_new_tokens": 4},
    {"repetition_penalty": 1.5, "no_repeat_ngram_size": 2},
    {"no_repeat_ngram_size": 2, "temperature": 0.9, "top_k": 20, "seed": 3},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_flags_and_python_are_the_same(trained: Path, settings: dict[str, Any]) -> None:
    """In a batch, alone, and piece by piece."""
    flags = _flags(settings)
    found, _ = _predict(trained, "--prompt", *PROMPTS, *flags)
    assert found != _predict(trained, "--prompt", *PROMPTS)[0]
    model = zoo.load(trained, device="cpu")
    asked = {"max_new_tokens": 16, **settings}
    texts = [one["text"] for one in found]
    assert [one["text"] for one in model.predict(list(PROMPTS), **asked)] == texts
    assert ["".join(model.write(prompt, **asked)) for prompt in PROMPTS] == texts
    assert model.predict(PROMPTS[0], max_new_tokens=16)["text"] != texts[0], "nothing stays"


def test_greedy_and_beams_are_those_of_plain_transformers(trained: Path) -> None:
    from transformers import pipeline

    write = pipeline("text-generation", model=str(trained), device="cpu")
    for settings in SETTINGS[:2]:
        flags = _flags(settings)
        found, _ = _predict(trained, "--prompt", *PROMPTS[::2], *flags)
        for one in found:
            [theirs] = write(
                one["prompt"],
                max_new_tokens=16,
                do_sample=False,
                return_full_text=False,
                **settings,
            )
            assert theirs["generated_text"] == one["text"]


def test_a_draft_changes_no_text(trained: Path, reviews: Path, tmp_path: Path) -> None:
    draft = shutil.copytree(trained, tmp_path / "a draft")
    for settings in ({}, SETTINGS[2]):
        flags = _flags(settings)
        without, _ = _predict(trained, "--prompt", *PROMPTS, *flags)
        found, told = _predict(trained, "--prompt", *PROMPTS, *flags, "--draft", draft)
        assert found == without
        assert told.startswith(f"{draft}: ") and "guessed tokens were accepted (" in told
    other = _train(reviews, tmp_path / "other", 1, "--tokenizer", "char")
    done = run_cli(ENTRY, "predict", trained, "--prompt", "a", "--draft", other)
    assert done.code == 2 and len(done.err.splitlines()) == 1
    assert f"--draft {other} has other tokens than gpt_lm in {trained}" in done.err
    model = zoo.load(trained, device="cpu")
    acceptance = model.draft_with(draft)
    assert "".join(model.write("the film", max_new_tokens=16))
    assert acceptance.accepted == acceptance.guessed > 0


def test_what_the_generation_config_asks_for_is_followed_and_said(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, usual = (zoo.load(trained, device="cpu") for _ in range(2))
    drawn = {"temperature": 0.9, "top_k": 20, "repetition_penalty": 1.2}
    network: Any = model.model  # type: ignore[attr-defined]
    network.generation_config.update(do_sample=True, typical_p=0.5, **drawn)
    assert model.predict(PROMPTS) == usual.predict(PROMPTS, **drawn) != usual.predict(PROMPTS)
    assert capsys.readouterr().err.splitlines() == [
        "as the model's generation_config.json says: do_sample True, top_k 20, "
        "repetition_penalty 1.2, temperature 0.9; `temperature` 0 takes the likeliest token",
        "the model's generation_config.json asks for typical_p 0.5, which is not known here: not "
        "followed",
    ]
    assert model.predict(PROMPTS, temperature=0.5, repetition_penalty=1) == (
        usual.predict(PROMPTS, temperature=0.5, top_k=20)
    )
    for settings in ({"temperature": 0}, {"num_beams": 2}):
        found = model.predict(PROMPTS, repetition_penalty=1, **settings)
        assert found == usual.predict(PROMPTS, **settings)
    assert not capsys.readouterr().err, "it is said once"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (
            ("--num_beams", 3, "--top_p", 0.5),
            "--top_p is of a draw, and --num_beams 3 draw",
        ),
        (("--num_beams", 3, "--draft", "{run}"), "--draft guesses one text, and --num_beams 3"),
        (("--length_penalty", 2), "--length_penalty 2.0 is of beams: add --num_beams"),
        (("--min_new_tokens", 17), "--min_new_tokens 17 is more than --max_new_tokens 16"),
        (("--repetition_penalty", 0), "--repetition_penalty 0.0: above 0"),
        (("--draft", "nowhere"), "no checkpoint at nowhere"),
        (("--interactive",), "--interactive reads and writes on the terminal: leave out --prompt"),
    ],
)
def test_a_mistake_is_one_line(trained: Path, flags: tuple[object, ...], said: str) -> None:
    given = [str(flag).format(run=trained) for flag in flags]
    done = run_cli(ENTRY, "predict", trained, *LENGTH, "--prompt", "a", *given)
    assert done.code == 2 and not done.out, done.out
    assert said in done.err.splitlines()[0]
    assert len(done.err.splitlines()) == 1


def test_settings_of_what_writes_nothing() -> None:
    from zoo.predict.zero_shot import ZeroShot

    model = ZeroShot.__new__(ZeroShot)
    model.task, model.source = object(), "a classifier"
    with pytest.raises(UserError, match="a classifier does not go on with texts, and `num_beams`"):
        next(model.stream(["a"], num_beams=2))
    with pytest.raises(UserError, match="a classifier does not go on with texts, and so"):
        model.draft_with("x")


def test_texts_match_a_regular_expression(trained: Path, tmp_path: Path) -> None:
    pytest.importorskip("llguidance")
    found, _ = _predict(trained, "--prompt", *PROMPTS, "--regex", " (a|the) [0-9]{2}。")
    assert all(re.fullmatch(" (a|the) [0-9]{2}。", one["text"]) for one in found)
    assert {one["finish_reason"] for one in found} == {"stop"}
    model = zoo.load(trained, device="cpu")
    text = "".join(model.write("the film", json_schema={"enum": ["fine", "dull"]}))
    assert json.loads(text) in ("fine", "dull")
    (tmp_path / "a schema.json").write_text('{"enum": ["电影"]}')
    [found], _ = _predict(trained, "--prompt", "a", "--json_schema", tmp_path / "a schema.json")
    assert json.loads(found["text"]) == "电影"
    done = run_cli(ENTRY, "predict", trained, "--prompt", "a", "--json_schema", tmp_path / "no")
    assert done.code == 2 and len(done.err.splitlines()) == 1
    assert f"--json_schema {tmp_path / 'no'} can't be read: No such file" in done.err
    with pytest.raises(UserError, match="is no JSON"):
        model.predict("a", json_schema=str(tmp_path / "a schema.json"))


def _typed(folder: Path, typed: bytes, *flags: object) -> list[str]:
    """What is shown at a terminal that lines are typed on, behind the line that says how."""
    words = [str(word) for word in ("predict", folder, *LENGTH, "--interactive", *flags)]
    done = on_a_terminal(lambda: main(ENTRY, words), typed=typed)
    assert done.code == 0
    first, _, rest = done.out.partition("\n")
    assert first.endswith("Ctrl-C ends a text, Ctrl-D this program")
    return rest.split("> ")[1:]


def test_prompts_are_typed(trained: Path) -> None:
    """Also an empty one, one of another script, one that is too long; and nothing at all."""
    texts, _ = _predict(trained, "--prompt", "the film", "", "电影 é")
    shown = [f"{one['prompt']}{one['text']}\n\n" for one in texts]
    long = "the film " * 90
    typed = f"the film\n\n电影 é\n{long}\n".encode() + b"\xff\nthe film\n\x04"
    *found, refused, no_text, again, end = _typed(trained, typed)
    assert found == shown and again == shown[0] and end == "\n"
    assert refused.count("\n") == 2 and "shorten the prompt" in refused
    assert no_text.count("\n") == 2 and "--prompt" in no_text
    assert _typed(trained, b"\x04") == ["\n"]


def test_ctrl_c_ends_a_text_and_not_the_program(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, calls = Predictor.write, []

    def interrupted(self: Predictor, prompt: Any, **settings: Any) -> Iterator[str]:
        calls.append(prompt)
        for i, piece in enumerate(write(self, prompt, **settings)):
            if len(calls) == 1 and i == 2:
                raise KeyboardInterrupt
            yield piece

    monkeypatch.setattr(Predictor, "write", interrupted)
    first, second, end = _typed(trained, b"the film\nthe film\n\x04")
    assert first.endswith("\n(stopped; Ctrl-D ends this program)\n\n") and end == "\n"
    assert second.startswith(first.partition("\n")[0]) and len(second) > len(first) - 38
