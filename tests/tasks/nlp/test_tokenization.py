"""Tokens of a split: what the cache of them is keyed by, and what does not lie in it."""

import errno
import json
import resource
import shutil
import signal
from pathlib import Path
from typing import Any

import datasets
import pytest
from transformers import AutoTokenizer

from tasks.data import cache
from tasks.data.source import DataArgs
from tasks.nlp import text_classification
from tasks.nlp.text_classification import Args
from tasks.nlp.tokenization import TokenFeatures, encode
from tests.cli import run_cli
from tests.finetuning import EXACT, MODEL, finetune, lines

ENCODING = {"max_length": 32, "window_overlap": None}
TEXTS = ["the film was fine", "a dull story", "the cast and the music"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "zoo_cache"))


@pytest.fixture
def tokenizer(tiny_bert: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_bert)


def rows(**columns: list[Any]) -> datasets.Dataset:
    return datasets.Dataset.from_dict(columns)


def stored() -> int:
    """How many splits the cache holds."""
    return len(list((cache.folder() / "tokens").glob("*.arrow")))


def ids(features: TokenFeatures) -> list[list[int]]:
    return [row["input_ids"][0] for row in features.__getitems__(range(len(features)))]


def test_labels_are_of_the_examples_and_not_of_the_cache(tokenizer: Any) -> None:
    for labels in ([0, 1, 0], [1, 0, 1], [0.5, 1.5, 2.5], [[0], [], [0, 1]]):
        found = TokenFeatures.make(rows(text=TEXTS, label=labels), tokenizer, ENCODING)
        assert [row["label"] for row in found.__getitems__([0, 1, 2])] == labels
        assert found.__getitems__([2])[0] == found.__getitems__([0, 2])[1]
    bare = TokenFeatures.make(rows(text=TEXTS), tokenizer, ENCODING)
    assert "label" not in bare.__getitems__([0])[0]
    assert stored() == 1
    (path,) = (cache.folder() / "tokens").glob("*.arrow")
    assert "label" not in datasets.Dataset.from_file(str(path)).column_names


@pytest.mark.parametrize("change", ["text", "pair", "order", "length", "window", "side", "rules"])
def test_whatever_decides_the_tokens_is_in_the_key(change: str, tokenizer: Any) -> None:
    split = rows(text=TEXTS, text_pair=TEXTS)
    short = {"max_length": 8, "window_overlap": None}
    before = ids(TokenFeatures.make(split, tokenizer, short))
    encoding = dict(short)
    if change == "text":
        split = rows(text=[*TEXTS[:2], "the camera"], text_pair=TEXTS)
    elif change == "pair":
        split = rows(text=TEXTS, text_pair=[*TEXTS[:2], "the camera"])
    elif change == "order":
        split = split.select([2, 1, 0])
    elif change == "length":
        encoding["max_length"] = 6
    elif change == "window":
        encoding["window_overlap"] = 1
        split = rows(text=[" ".join(TEXTS * 3)] * 3)
    elif change == "side":
        tokenizer.truncation_side = "left"
    else:
        tokenizer.add_tokens(["film was"])
    after = ids(TokenFeatures.make(split, tokenizer, encoding))
    assert stored() == 2 and before != after
    fresh = ids(TokenFeatures.make(split, tokenizer, encoding))
    assert stored() == 2 and fresh == after


def test_equal_texts_are_encoded_once_whatever_was_encoded_before(tokenizer: Any) -> None:
    """Every call leaves its truncation in the tokenizer, and that is no part of what it is."""
    first = TokenFeatures.make(rows(text=TEXTS), tokenizer, ENCODING)
    TokenFeatures.make(rows(text=TEXTS), tokenizer, {"max_length": 9, "window_overlap": None})
    shuffled = datasets.concatenate_datasets([rows(text=TEXTS[2:]), rows(text=TEXTS[:2])])
    again = TokenFeatures.make(shuffled.select([1, 2, 0]), tokenizer, ENCODING)
    assert stored() == 2 and ids(first) == ids(again)


def test_the_share_of_what_the_tokenizer_cannot_read(tokenizer: Any) -> None:
    texts = ["the film", "的 film"]  # 3 words of which it knows "the" and "film"
    found = TokenFeatures.make(rows(text=texts), tokenizer, ENCODING)
    words = [len(row) - 2 for row in ids(found)]
    assert found.unknown_share() == pytest.approx(1 / sum(words))
    assert TokenFeatures.make(rows(text=[""]), tokenizer, ENCODING).unknown_share() == 0


def test_two_label_columns_of_one_file(tmp_path: Path, tokenizer: Any) -> None:
    data = tmp_path / "both.csv"
    text = [f"the {word} film {i}" for i in range(10) for word in ("fine", "dull")]
    data.write_text(
        "text,mood,animal\n"
        + "".join(f"{t},{'up' if i % 2 else 'down'},{'cat' if i < 10 else 'dog'}\n"
                  for i, t in enumerate(text))
    )  # fmt: skip
    for column, names in (("mood", ("down", "up")), ("animal", ("cat", "dog"))):
        args = Args(label_column=column)
        task, examples = text_classification.from_data(
            args, DataArgs(data=str(data), validation_size=0, test_size=0)
        )
        task = task.bind_for_training(tokenizer, 32)
        features = task.features(examples.splits["train"], "the same for both")
        given = [names[row["label"]] for row in features.__getitems__(range(20))]
        expected = [line.split(",")[1 if column == "mood" else 2] for line in
                    data.read_text().splitlines()[1:]]  # fmt: skip
        assert given == expected


def test_evaluating_two_checkpoints_on_one_file(
    tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    """The second has learned the opposite: what the first gets wrong is right for it."""
    run = finetune(tiny_bert, reviews, tmp_path / "run", *EXACT, "--max_steps", 30,
                   "--learning_rate", 3e-3)  # fmt: skip
    data = tmp_path / "both.csv"
    opposite = {"positive": "negative", "negative": "positive"}
    rows_of = [line.rpartition(",") for line in (reviews / "test.csv").read_text().splitlines()[1:]]
    data.write_text(
        "text,label,other\n" + "".join(f"{t},{name},{opposite[name]}\n" for t, _, name in rows_of)
    )
    second = Path(shutil.copytree(run.folder, tmp_path / "second"))
    manifest = json.loads((second / "zoo.json").read_text())
    manifest["config"]["task"]["args"]["label_column"] = "other"
    (second / "zoo.json").write_text(json.dumps(manifest))
    found = []
    for folder in (run.folder, second):
        done = run_cli(MODEL, "evaluate", folder, "--data", data)
        assert done.code == 0, done.err
        facts = [fact for fact in lines(folder / "evidence.jsonl") if fact["name"] == "accuracy"]
        found.append(facts[-1]["value"])
    assert found[0] + found[1] == pytest.approx(1) and abs(found[0] - found[1]) > 0.2


@pytest.mark.parametrize("set_before", [False, True])
def test_a_tokenizer_is_as_it_was_after_it_has_encoded(tiny_bert: Path, set_before: bool) -> None:
    """What is saved of it would else depend on whether the tokens were in the cache."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    if set_before:
        tokenizer.backend_tokenizer.enable_truncation(7, stride=2, direction="left")
        tokenizer.backend_tokenizer.enable_padding(length=9, pad_token="[PAD]")
    before = tokenizer.backend_tokenizer.to_str()
    found = encode(["a fine film and more of it"], None, tokenizer, 5, None)
    assert len(found["input_ids"][0][0]) == 5
    assert tokenizer.backend_tokenizer.to_str() == before


def test_tokens_that_do_not_fit_on_the_disk_are_an_error_of_the_disk(tokenizer: Any) -> None:
    """`datasets` would say that a file is closed."""
    many = rows(text=[f"{number} {text}" for number in range(400) for text in TEXTS])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    kept = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    try:
        with pytest.raises(OSError) as found:
            TokenFeatures.make(many, tokenizer, {"max_length": 8, "window_overlap": None})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, kept)
    assert found.value.errno == errno.EFBIG
