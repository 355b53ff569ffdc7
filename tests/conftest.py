"""Fixtures for all tests: a tiny BERT, a tiny data set, and caches of the session's own.

The variables are set on import, before anything reads them: the Hugging Face libraries look once.
"""

import csv
import itertools
import os
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import cases

SCRATCH = Path(tempfile.mkdtemp(prefix="zoo-tests-"))
for name in ("HF_HUB_CACHE", "HF_DATASETS_CACHE", "HF_ASSETS_CACHE", "HF_MODULES_CACHE"):
    os.environ.pop(name, None)  # they would win over HF_HOME
os.environ.update(
    {
        "ZOO_CACHE": str(SCRATCH / "zoo"),
        "HF_HOME": str(SCRATCH / "huggingface"),
        "XDG_STATE_HOME": str(SCRATCH / "state"),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "agg",
    }
)

PRAISE = ("wonderful", "brilliant", "moving", "superb", "charming", "delightful", "clever", "fine")
BLAME = ("dreadful", "boring", "clumsy", "awful", "tedious", "hollow", "shallow", "dull")
THINGS = ("film", "story", "cast", "script", "music", "ending", "plot", "camera")
ADVERBS = ("truly", "quite", "simply", "rather")
TAILS = (
    "",
    "and I would see it again",
    "from the first scene to the last",
    "but the seats in the house were hard",
    "as my sister said on the long way home through the rain that night",
)
SPLITS = {"train": 240, "validation": 60, "test": 60}


def pytest_configure(config: pytest.Config) -> None:
    """Hides the GPU from all tests but those of `pytest -m gpu`.

    The others claim equality to the last bit and fork, neither of which CUDA allows.
    """
    if config.option.markexpr != "gpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def pytest_unconfigure() -> None:
    """Removes the session's caches."""
    shutil.rmtree(SCRATCH, ignore_errors=True)


def review_rows() -> list[tuple[str, str]]:
    """360 texts with label, in a fixed order: no text twice, 5 to 30 words, labels even."""
    rows = []
    for words, label in ((PRAISE, "positive"), (BLAME, "negative")):
        every = list(itertools.product(THINGS, ADVERBS, words, THINGS, words, TAILS))
        for first, adverb, word, second, other, tail in random.Random(0).sample(every, 180):
            text = f"the {first} was {adverb} {word}"
            if adverb in ADVERBS[:2]:
                text += f" and the {second} {other}"
            rows.append((f"{text} {tail}".strip() + f", {adverb} {other}", label))
    random.Random(1).shuffle(rows)
    return rows


@pytest.fixture(scope="session")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train, validation and test.csv (240, 60, 60 rows; text,label).

    Words give the label away: tiny_bert reaches a test accuracy of about 0.97 in 5 epochs of batch
    32 with a learning rate of 3e-3, in seconds. Copy it to change it.
    """
    folder = tmp_path_factory.mktemp("reviews")
    rows = iter(review_rows())
    for split, size in SPLITS.items():
        with (folder / f"{split}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("text", "label"))
            writer.writerows(itertools.islice(rows, size))
    return folder


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a BertModel of random weights and its tokenizer, as transformers saves them.

    Hidden 32, 2 layers, 2 heads, 128 positions, fp32; dropout 0.1. Copy it to change it.
    """
    import torch

    import tasks  # noqa: F401  (transformers imports torchvision, which may need our guard)

    # isort: split
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("tiny_bert")
    tokenizer = _tokenizer()
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.2,  # large enough for two layers of 32 to learn in a few steps
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder SPLIT/LABEL/*.png; see `tests.cases.write_images`. Copy it to change it."""
    return _written(cases.write_images, tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder SPLIT/LABEL/*.wav; see `tests.cases.write_sounds`."""
    return _written(cases.write_sounds, tmp_path_factory.mktemp("sounds"))


@pytest.fixture(scope="session")
def utterances(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder SPLIT/metadata.csv with transcriptions; see `tests.cases.write_utterances`."""
    return _written(cases.write_utterances, tmp_path_factory.mktemp("utterances"))


def _written(write: Callable[[Path], None], folder: Path) -> Path:
    write(folder)
    return folder


# "speech" stands for its domain; "sound", which trains and decodes alike, is for the slow suite
IN_CI = [
    pytest.param(name, marks=[pytest.mark.slow] if name == "sound" else []) for name in cases.MAKERS
]


@pytest.fixture(scope="session", params=IN_CI)
def case(request: pytest.FixtureRequest) -> cases.Case:
    """Each modality in turn."""
    return cases.made(request, request.param)


@pytest.fixture(scope="session", params=[name for name in cases.MAKERS if name != "text"])
def media_case(request: pytest.FixtureRequest) -> cases.Case:
    """Each modality whose examples are files."""
    return cases.made(request, request.param)


@pytest.fixture(scope="session")
def zoo_data() -> Path:
    """The folder of the data sets that are not part of the project."""
    folder = Path(os.environ.get("ZOO_DATA", ""))
    if "ZOO_DATA" not in os.environ or not folder.is_dir():
        pytest.skip(
            "ZOO_DATA does not name a folder: the data sets beside the project are not here"
        )
    return folder


def _tokenizer():
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=list("abcdefghijklmnopqrstuvwxyz")
    )
    tokenizer.train_from_iterator((text for text, _ in review_rows()), trainer)
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", sep), ("[CLS]", cls))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=128,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
