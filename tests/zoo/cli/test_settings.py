"""Settings given in Python become those of the flags, or a sentence that names them."""

from collections import UserString
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.errors import UserError
from tasks.nlp.text_inputs import Inputs as TextInputs
from tasks.vision.image_inputs import Inputs as ImageInputs
from zoo.cli import settings
from zoo.cli.args import EvaluateArgs
from zoo.model import registry

BERT = registry.find("bert_cls")
CNN = registry.find("cnn_cls")


def _replaced(name: str = "bert_cls", **values: Any) -> Any:
    _, default = settings.of_training(registry.find(name))
    return settings.replaced(default, values)


def test_values_find_their_part_and_type() -> None:
    args = _replaced(
        data=Path("reviews.csv"),
        model=Path("weights"),
        max_length=np.int64(64),
        num_train_epochs=2,
        tune="lora",
        output_dir=Path("runs") / "x",
        speedups=False,
        early_stopping_patience=None,
    )
    assert args.data.data == "reviews.csv" and args.options.model == "weights"
    assert args.task.max_length == 64 and type(args.task.max_length) is int
    assert args.train.num_train_epochs == 2.0 and type(args.train.num_train_epochs) is float
    assert args.train.tune == "lora" and args.train.output_dir == str(Path("runs/x"))
    assert args.train.speedups is False and args.train.learning_rate == 2e-4  # the recipe's
    assert _replaced("cnn_cls", widths=[8, 16]).options.widths == (8, 16)
    assert asdict(_replaced()) == asdict(settings.of_training(BERT)[1])


def test_one_dataclass_of_settings() -> None:
    args = settings.replaced(EvaluateArgs(Path("runs/x")), {"split": "test", "mistakes": 3})
    assert (args.split, args.mistakes, args.checkpoint) == ("test", 3, Path("runs/x"))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"lerning_rate": 1}, "'lerning_rate' here; did you mean `learning_rate`?"),
        ({"learning_rate": "fast"}, "`learning_rate` wants a number, not 'fast'"),
        ({"learning_rate": True}, "`learning_rate` wants a number, not True"),
        ({"learning_rate": -1.0}, "`learning_rate` -1.0: at least 0"),
        ({"max_steps": 1.5}, "`max_steps` wants a whole number, not 1.5"),
        ({"tune": "all"}, "`tune` wants one of 'full', 'head', 'gradual', 'lora', not 'all'"),
        ({"tune": None}, "`tune` wants one of"),
        ({"resume": "yes"}, "`resume` wants True or False, not 'yes'"),
        ({"data": 3}, "`data` wants a text, not 3"),
        ({"data": UserString("x" * 90)}, "..."),
        ({"seed": [1]}, "`seed` wants a whole number"),
    ],
    ids=str,
)
def test_a_mistake_names_the_setting(values: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        _replaced(**values)
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert caught.value.field == next(iter(values))


def test_a_table_in_memory_is_told_to_go_into_a_file() -> None:
    class DataFrame:
        """As pandas' is called."""

    with pytest.raises(UserError, match="write it to a file"):
        _replaced(data=DataFrame())


def test_settings_as_words_are_read_back_as_the_same() -> None:
    from zoo.cli import verbs

    values = {"data": "a b.csv", "speedups": False, "resume": True, "max_length": 32}
    values |= {"learning_rate": 0.001, "save_steps": None, "save_minutes": None, "fsdp": False}
    kind, default = settings.of_training(BERT)
    words = settings.words_of(values, default)
    assert "--no_fsdp" not in words and "--save_steps" not in words
    read = verbs.parse(BERT, "finetune", words, default, kind)
    assert read == settings.replaced(default, values)
    kind, default = settings.of_training(CNN)
    words = settings.words_of({"widths": (8, 4)}, default)
    read = verbs.parse(CNN, "finetune", words, default, kind)
    assert read.options.widths == (8, 4)


TEXT, IMAGE = '--text "fine"', "--image photo.jpg"


def test_inputs_without_a_flag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("new.csv").write_text("text\nfine\n")
    assert settings.with_inputs(TextInputs(), (), TEXT) == TextInputs()
    assert settings.with_inputs(TextInputs(), ("fine", "好看"), TEXT).text == ("fine", "好看")
    assert settings.with_inputs(TextInputs(), ("new.csv",), TEXT).file == Path("new.csv")
    assert settings.with_inputs(TextInputs(), ("-",), TEXT).file == Path("-")
    long = "so long. " * 100
    assert settings.with_inputs(TextInputs(), (long,), TEXT).text == (long,)
    sentence = "I read it in reviews.csv"
    assert settings.with_inputs(TextInputs(), (sentence,), TEXT).text == (sentence,)
    images = settings.with_inputs(ImageInputs(), ("a.jpg", "-"), IMAGE)
    assert images.image == ("a.jpg", "-")


@pytest.mark.parametrize(
    ("asked", "words", "example", "said"),
    [
        (TextInputs(), ("typo.csv",), TEXT, "there is no file typo.csv; to take these"),
        (TextInputs(), ("new.csv", "fine"), TEXT, "new.csv is a file: give one file, or texts"),
        (
            TextInputs(),
            ("folder",),
            TEXT,
            "folder is a folder; for the texts in it give `file` folder",
        ),
        (TextInputs(text=("a",)), ("b",), TEXT, "`text` is given, and b as well"),
        (TextInputs(file=Path("x")), ("-",), TEXT, "`file` is given, and - as well"),
        (ImageInputs(image=("a",)), ("b",), IMAGE, "`image` is given, and b as well"),
    ],
    ids=str,
)
def test_inputs_that_can_be_taken_two_ways(
    asked: Any,
    words: tuple[str, ...],
    example: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("new.csv").write_text("text\nfine\n")
    Path("folder").mkdir()
    with pytest.raises(UserError) as caught:
        settings.with_inputs(asked, words, example)
    assert said in str(caught.value)
