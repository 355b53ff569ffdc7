"""Tokenizers without transformers: the ids are those of AutoTokenizer, whatever the text."""

import importlib.util
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

from tasks.errors import UserError
from tasks.nlp.tagged_words import encode_words
from tasks.nlp.tokenization import encode
from tests.cli import ROOT, run_program
from tests.tasks.nlp.chat_tokenizers import chatml
from zoo.nlp import fast_tokenizer
from zoo.nlp.fast_tokenizer import FastTokenizer
from zoo.nlp.presets import PRESETS

TEXTS = ["the film was fine, and naïve", "a dull story?", "电影 und Straße", "don't it\tis 12.5%"]


def bert() -> Any:
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "the",
        "film",
        "##s",
        "a",
        "##n",
        ".",
        "电",
    ]
    return transformers.BertTokenizer(vocab={word: i for i, word in enumerate(words)})


def roberta() -> Any:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    backend.train_from_iterator(TEXTS * 3, trainer)
    model = json.loads(backend.to_str())["model"]
    merges = [tuple(merge) for merge in model["merges"]]
    return transformers.RobertaTokenizer(vocab=model["vocab"], merges=merges)


def left() -> Any:
    """Pads and cuts on the left, and has types of its own for single texts."""
    backend = Tokenizer(models.WordLevel({"[UNK]": 0, "<pad>": 1, "<e>": 2, "the": 3}, "[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="$A:1 <e>:2", pair="$A:1 <e>:1 $B:2 <e>:2", special_tokens=[("<e>", 2)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="[UNK]",
        pad_token="<pad>",
        eos_token="<e>",
        extra_special_tokens=["<new>"],
        padding_side="left",
        truncation_side="left",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def minilm() -> Any:
    package = PRESETS["minilm"].package_folder
    assert package is not None
    spec = importlib.util.find_spec(package.partition("/")[0])
    if spec is None or spec.origin is None:
        pytest.skip("the weights of minilm are not installed")
    return AutoTokenizer.from_pretrained(Path(spec.origin).parent / package.partition("/")[2])


def trained() -> Any:
    return AutoTokenizer.from_pretrained(ROOT / "tests" / "fixtures" / "b7db848" / "text")


@pytest.fixture(scope="module", params=[bert, roberta, left, minilm, trained])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A checkpoint's tokenizer as transformers loads it, and ours."""
    folder = tmp_path_factory.mktemp(request.param.__name__)
    request.param().save_pretrained(folder)
    ours = fast_tokenizer.load(folder)
    assert isinstance(ours, FastTokenizer)
    return AutoTokenizer.from_pretrained(folder), ours


def called(
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    tokenizer: Any,
    max_length: int,
    window_overlap: int | None,
) -> list[list[tuple[list[int], list[int]]]]:
    """Ids and types of the windows of each text, by calling a tokenizer of transformers."""
    made = tokenizer(
        list(texts),
        None if pairs is None else list(pairs),
        truncation="only_first" if pairs is None else "longest_first",
        max_length=max_length,
        stride=window_overlap or 0,
        return_overflowing_tokens=True,
        return_token_type_ids=True,
    )
    windows: list[list[tuple[list[int], list[int]]]] = [[] for _ in texts]
    rows = zip(
        made["overflow_to_sample_mapping"], made["input_ids"], made["token_type_ids"], strict=True
    )
    for document, ids, types in rows:
        if window_overlap is not None or not windows[document]:
            windows[document].append((ids, types))
    return windows


text = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(TEXTS), max_size=8).map(" ".join))


@settings(max_examples=60)
@given(
    rows=st.lists(st.tuples(text, text), min_size=1, max_size=4),
    are_pairs=st.booleans(),
    max_length=st.integers(8, 24),
    overlap=st.sampled_from([None, 0, 2]),
)
def test_the_ids_are_those_of_transformers(
    both: tuple[Any, FastTokenizer],
    rows: list[tuple[str, str]],
    are_pairs: bool,
    max_length: int,
    overlap: int | None,
) -> None:
    theirs, ours = both
    texts = [one for one, _ in rows]
    pairs = [other for _, other in rows] if are_pairs else None
    overlap = None if are_pairs else overlap  # pairs that are cut have no windows
    expected = called(texts, pairs, theirs, max_length, overlap)
    found = encode(texts, pairs, ours, max_length, overlap)
    assert found == encode(texts, pairs, theirs, max_length, overlap)
    assert found["input_ids"] == [[ids for ids, _ in windows] for windows in expected]
    if "token_type_ids" in found:
        assert found["token_type_ids"] == [[types for _, types in one] for one in expected]
    else:
        assert "token_type_ids" not in theirs.model_input_names or not any(
            type_ for one in expected for _, types in one for type_ in types
        )
    if pairs is None:
        assert found["untruncated"] == [len(ids) for ids in theirs(texts)["input_ids"]]


@pytest.mark.parametrize("overlap", [None, 2])
def test_the_words_are_those_of_transformers(
    both: tuple[Any, FastTokenizer], overlap: int | None
) -> None:
    """Where the words of a text stand, and the ids of its windows."""
    theirs, ours = both
    texts = [*TEXTS, " ".join(TEXTS), ""]
    found = encode_words(texts, "tokenizer", ours, 8, overlap)
    expected = called(texts, None, theirs, 8, overlap)
    assert found["input_ids"] == [[ids for ids, _ in windows] for windows in expected]
    assert found["untruncated"] == [len(ids) for ids in theirs(texts)["input_ids"]]
    assert TEXTS[0][slice(*found["words"][0][0])] == "the"
    assert found == encode_words(texts, "tokenizer", theirs, 8, overlap)


NAMES = (
    "model_input_names",
    "padding_side",
    "truncation_side",
    "split_special_tokens",
    "mask_token",
    "mask_token_id",
    "pad_token_id",
    "unk_token_id",
)


def test_what_a_task_asks_is_what_transformers_says(both: tuple[Any, FastTokenizer]) -> None:
    theirs, ours = both
    assert {name: getattr(ours, name) for name in NAMES} == {
        name: getattr(theirs, name) for name in NAMES
    }
    assert len(ours) == len(theirs)
    assert ours.all_special_ids == sorted(set(theirs.all_special_ids))
    some = range(0, len(theirs), max(1, len(theirs) // 500))
    assert [ours.decode([i]) for i in some] == [theirs.decode([i]) for i in some]


def test_others_are_left_to_transformers(tmp_path: Path) -> None:
    bert().save_pretrained(tmp_path)
    path = tmp_path / fast_tokenizer.SETTINGS
    settings_ = json.loads(path.read_text())
    for change in (
        {"tokenizer_class": "BertTokenizerFast"},
        {"clean_up_tokenization_spaces": True},
    ):
        path.write_text(json.dumps(settings_ | change))
        assert not isinstance(fast_tokenizer.load(tmp_path), FastTokenizer)


@pytest.mark.parametrize("content", ["", "{}", '{"model": {"type": "WordPiece"}}', "[1"])
def test_a_damaged_one_is_told_in_one_line(content: str, tmp_path: Path) -> None:
    bert().save_pretrained(tmp_path)
    (tmp_path / fast_tokenizer.WHOLE).write_text(content)
    with pytest.raises(UserError, match=r"the tokenizer of .* can't be read") as told:
        fast_tokenizer.load(tmp_path)
    assert "\n" not in str(told.value)


def test_padding_without_end_and_an_empty_vocabulary_are_refused(tmp_path: Path) -> None:
    tokenizer = bert()
    tokenizer.backend_tokenizer.enable_padding(length=2**40)
    tokenizer.save_pretrained(tmp_path / "padded")
    with pytest.raises(UserError, match="pads texts to 1,099,511,627,776 tokens"):
        fast_tokenizer.load(tmp_path / "padded")
    shutil.copytree(tmp_path / "padded", tmp_path / "empty")
    path = tmp_path / "empty" / fast_tokenizer.WHOLE
    whole = json.loads(path.read_text()) | {"padding": None}
    whole["model"]["vocab"] = {token["content"]: token["id"] for token in whole["added_tokens"]}
    path.write_text(json.dumps(whole))
    with pytest.raises(UserError, match="empty vocabulary"):
        fast_tokenizer.load(tmp_path / "empty")


def test_it_is_read_without_transformers(tmp_path: Path) -> None:
    bert().save_pretrained(tmp_path)
    program = (
        "import sys; from pathlib import Path; from zoo.nlp import fast_tokenizer\n"
        f"print(fast_tokenizer.load(Path({str(tmp_path)!r})).pad_token_id,"
        " {'torch', 'transformers', 'numpy'} & set(sys.modules))"
    )
    done = run_program(program)
    assert done.out.split() == ["0", "set()"], done.err


def test_one_that_writes_chats_is_that_of_transformers(tmp_path: Path) -> None:
    chatml().save_pretrained(tmp_path)
    found = fast_tokenizer.load(tmp_path)
    assert "assistant" in found.apply_chat_template(
        [{"role": "user", "content": "a"}], tokenize=False, add_generation_prompt=True
    )
