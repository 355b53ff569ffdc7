"""A tiny data set of reviews, and a tiny BERT whose tokenizer knows their words."""

import csv
import itertools
import random
import re
from pathlib import Path

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


def write_reviews(folder: Path) -> None:
    """train, validation and test.csv (240, 60, 60 rows; text,label).

    Words give the label away: the tiny BERT reaches a test accuracy of about 0.97 in 5 epochs of
    batch 32 with a learning rate of 3e-3, in seconds.
    """
    rows = iter(review_rows())
    for split, size in SPLITS.items():
        with (folder / f"{split}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("text", "label"))
            writer.writerows(itertools.islice(rows, size))


def tagged_rows(seed: int, rows: int) -> list[list[tuple[str, str]]]:
    """Sentences of words with tags: B-OPINION and I-OPINION, B-THING, O; the comma is a word."""
    draw = random.Random(seed)
    found = []
    for _ in range(rows):
        row: list[tuple[str, str]] = []
        for _ in range(draw.randint(1, 3)):
            row += [("the", "O"), (draw.choice(ADVERBS[:2]), "B-OPINION")]
            row += [(draw.choice(PRAISE), "I-OPINION"), (draw.choice(THINGS), "B-THING")]
            row += [(draw.choice((",", "and")), "O")]
        found.append(row)
    return found


def write_conll(path: Path, rows: list[list[tuple[str, str]]]) -> None:
    """Sentences as a CoNLL file: the word, its length, its tag."""
    sentences = ("".join(f"{word} {len(word)} {tag}\n" for word, tag in row) for row in rows)
    path.write_text("\n".join(sentences), encoding="utf-8")


def write_tagged(folder: Path) -> None:
    """train, validation and test.conll (200, 40, 40 sentences), see `tagged_rows`.

    Words give the tags away: the tiny BERT reaches an F1 above 0.9 in 6 epochs of batch 32 with a
    learning rate of 3e-3, in seconds.
    """
    for seed, (split, rows) in enumerate({"train": 200, "validation": 40, "test": 40}.items()):
        write_conll(folder / f"{split}.conll", tagged_rows(seed, rows))


def write_bert(folder: Path) -> None:
    """A BertModel of random weights and its tokenizer, as transformers saves them.

    Hidden 32, 2 layers, 2 heads, 128 positions, fp32; dropout 0.1.
    """
    import torch

    import tasks  # noqa: F401  (transformers imports torchvision, which may need our guard)

    # isort: split
    from transformers import BertConfig, BertModel

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


def _tokenizer():
    """Knows the words of the reviews, and letters to spell others with.

    Listed, not trained: the trainer of `tokenizers` breaks ties by the order of a hash table, which
    is another one in every process.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [*"abcdefghijklmnopqrstuvwxyz,"]
    words = {word for text, _ in review_rows() for word in re.findall(r"\w\w+", text.lower())}
    pieces = [*special, *sorted(words), *letters, *(f"##{letter}" for letter in letters)]
    vocabulary = {piece: place for place, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
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
