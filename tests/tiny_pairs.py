"""A tiny data set of pairs: sentences, and the same word by word in another language."""

import json
import random
from pathlib import Path

WORDS = {
    "the": "le",
    "small": "petit",
    "red": "rouge",
    "old": "vieux",
    "cat": "chat",
    "dog": "chien",
    "bird": "oiseau",
    "sees": "voit",
    "likes": "aime",
    "hears": "entend",
    "a": "un",
    "tree": "arbre",
    "house": "maison",
    "\u00e9t\u00e9": "summer",
}
SPLITS = {"train": 240, "validation": 40, "test": 40}
SHAPE: tuple[object, ...] = ("--hidden_size", 32, "--num_layers", 1, "--num_heads", 2)
SHAPE += ("--vocab_size", 320, "--max_length", 48, "--max_target_length", 32)
"""The shape of a tiny t5_seq2seq."""


def rows(seed: int, count: int) -> list[dict[str, str]]:
    """Pairs with the columns en and fr, of two to eight words."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        words = draw.choices(list(WORDS), k=draw.randint(2, 8))
        found.append({"en": " ".join(words), "fr": " ".join(WORDS[word] for word in words)})
    return found


def write(folder: Path) -> None:
    """train, validation and test.jsonl (240, 40, 40 rows; en, fr)."""
    for seed, (split, count) in enumerate(SPLITS.items()):
        lines = [json.dumps(row) for row in rows(seed, count)]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
