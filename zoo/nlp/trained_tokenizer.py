"""A tokenizer trained on the texts at hand; the same texts give the same tokenizer to the last bit.

That is what resuming and several processes rest on, and why there is no unigram model here: its
trainer adds up expectations in an order that changes from run to run (tokenizers 0.23).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from tasks.errors import UserError
from tasks.nlp.text_lengths import SHORTEST

if TYPE_CHECKING:
    import datasets

PAD, UNKNOWN, SEPARATOR = "[PAD]", "[UNK]", "[SEP]"
SPECIAL = [PAD, UNKNOWN, SEPARATOR]  # ids 0, 1, 2
FIRST, MASK = "[CLS]", "[MASK]"  # ids 3, 4 where there are any
END = "<|endoftext|>"  # GPT-2's
PADDING, TEXT_END = "<pad>", "</s>"  # T5's; ids 0, 1
BYTES = 256  # a byte-level vocabulary has every one
# a word (with its vowel signs and accents), a number, or one other character; spaces fall away
PIECE = r"[\p{L}\p{M}]+|\p{N}+|[^\s\p{L}\p{M}\p{N}]"


def texts_of(train: "datasets.Dataset") -> Iterator[list[str]]:
    """Yield the texts of a split in batches, those of pairs both; a row without one has none."""
    columns = [name for name in ("text", "text_pair") if name in train.column_names]
    for rows in train.select_columns(columns).iter(batch_size=1000):
        yield [text for name in columns for text in rows[name] if text is not None]


def train_tokenizer(
    batches: Iterable[list[str]],
    kind: Literal["bpe", "word"],
    vocab_size: int,
    lowercase: bool,
    longest: int,
    masked: bool = False,
) -> Any:
    """Train a tokenizer that AutoTokenizer can load; [SEP] ends a text, and each text of a pair.

    Args:
        batches: the texts, in lists.
        kind: "bpe", byte-level byte-pair encoding (Sennrich et al. 2016), to which nothing is
            unknown; "word", the most frequent words that occur twice or more.
        vocab_size: most tokens, special ones included.
        lowercase: whether case is dropped; text is NFKC-normalized either way.
        longest: `model_max_length`.
        masked: as BERT has it, with a [MASK], a [CLS] before the text, and token_type_ids.

    Raises `UserError` for sizes that leave no room.
    """
    special = [*SPECIAL, FIRST, MASK] if masked else SPECIAL
    if longest < SHORTEST:
        raise UserError(
            f"`token_limit` {longest} leaves no room for text", hint=f"at least {SHORTEST}"
        )
    least, what = (BYTES, "every byte") if kind == "bpe" else (1, "a word")
    if vocab_size < least + len(special):
        raise UserError(
            f"`vocab_size` {vocab_size}: at least {least + len(special)}, which is {what} and the "
            "special tokens"
        )
    from tokenizers import normalizers, processors
    from transformers import PreTrainedTokenizerFast

    backend, trainer = (_byte_pairs if kind == "bpe" else _words)(vocab_size, special)
    folding = [normalizers.Lowercase()] if lowercase else []
    backend.normalizer = normalizers.Sequence([normalizers.NFKC(), *folding])
    backend.train_from_iterator(batches, trainer)
    first, second = (f"{FIRST} ", ":1") if masked else ("", "")
    backend.post_processor = processors.TemplateProcessing(
        single=f"{first}$A {SEPARATOR}",
        pair=f"{first}$A {SEPARATOR} $B{second} {SEPARATOR}{second}",
        special_tokens=[(token, backend.token_to_id(token)) for token in special],
    )
    types = ["token_type_ids"] if masked else []
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PAD,
        unk_token=UNKNOWN,
        sep_token=SEPARATOR,
        **({"cls_token": FIRST, "mask_token": MASK} if masked else {}),
        model_max_length=longest,
        model_input_names=["input_ids", *types, "attention_mask"],
        padding_side="right",
        clean_up_tokenization_spaces=False,
    )


def train_lossless_tokenizer(
    batches: Iterable[list[str]], kind: Literal["bpe", "char"], vocab_size: int, longest: int
) -> Any:
    """Train a tokenizer that AutoTokenizer can load, whose tokens give every text back to the last
    byte; `END` begins a text, and is the end of one.

    Args:
        batches: the texts, in lists.
        kind: "bpe", byte-level byte-pair encoding as of GPT-2; "char", the most frequent characters
            that occur twice or more, and bytes for all others.
        vocab_size: most tokens.
        longest: `model_max_length`.

    Raises `UserError` for sizes that leave no room.
    """
    if longest < SHORTEST:
        raise UserError(
            f"`token_limit` {longest} leaves no room for text", hint=f"at least {SHORTEST}"
        )
    if vocab_size < BYTES + 1:
        raise UserError(
            f"`vocab_size` {vocab_size}: at least {BYTES + 1}, which is every byte and the end"
        )
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    backend = (_lossless_pairs if kind == "bpe" else _characters)(batches, vocab_size)
    special = (END, backend.token_to_id(END))
    backend.post_processor = processors.TemplateProcessing(
        single=f"{END} $A", pair=f"{END} $A $B", special_tokens=[special]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=END,
        eos_token=END,
        pad_token=END,
        model_max_length=longest,
        model_input_names=["input_ids", "attention_mask"],
        padding_side="left",  # what is written follows the last column
        split_special_tokens=True,  # in a text it is no end
        clean_up_tokenization_spaces=False,
    )


def train_pair_tokenizer(batches: Iterable[list[str]], vocab_size: int, longest: int) -> Any:
    """Train a tokenizer of byte-level pairs for sources and targets together, which AutoTokenizer
    can load and whose tokens give every text back to the last byte.

    As in T5, `TEXT_END` ends a text, and `PADDING` pads and is what a decoder begins behind.

    Args:
        batches: the texts of both sides, in lists.
        vocab_size: most tokens, special ones included.
        longest: `model_max_length`.

    Raises `UserError` for a vocabulary that has no room for every byte.
    """
    special = [PADDING, TEXT_END]
    if vocab_size < BYTES + len(special):
        raise UserError(
            f"`vocab_size` {vocab_size}: at least {BYTES + len(special)}, which is every byte and "
            "the special tokens"
        )
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    backend = _lossless_pairs(batches, vocab_size, special)
    ends = (TEXT_END, backend.token_to_id(TEXT_END))
    backend.post_processor = processors.TemplateProcessing(
        single=f"$A {TEXT_END}", pair=f"$A {TEXT_END} $B {TEXT_END}", special_tokens=[ends]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token=TEXT_END,
        pad_token=PADDING,
        model_max_length=longest,
        model_input_names=["input_ids", "attention_mask"],
        padding_side="right",
        split_special_tokens=True,  # in a text it is no end
        clean_up_tokenization_spaces=False,
    )


def _lossless_pairs(
    batches: Iterable[list[str]], vocab_size: int, special: Sequence[str] = (END,)
) -> Any:
    """Return a trained tokenizer of byte-level pairs that drops nothing."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(batches, trainer)
    return backend


def _characters(batches: Iterable[list[str]], vocab_size: int) -> Any:
    """Return a tokenizer of characters; one that it does not know is its bytes in UTF-8."""
    from tokenizers import Tokenizer, decoders, models

    counts = Counter(character for texts in batches for text in texts for character in text)
    known = sorted((c for c in counts if counts[c] > 1), key=lambda c: (-counts[c], c))
    tokens = [END, *(f"<0x{byte:02X}>" for byte in range(BYTES)), *known]
    vocabulary = {token: number for number, token in enumerate(tokens[:vocab_size])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True))
    backend.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    backend.add_special_tokens([END])
    return backend


def _byte_pairs(vocab_size: int, special: list[str]) -> tuple[Any, Any]:
    """Return a tokenizer of byte-level pairs, and its trainer."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from tokenizers.decoders import ByteLevel as ByteLevelDecoder

    backend = Tokenizer(models.BPE())
    # each piece begins with a space, which tells beginnings of words from what follows
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False)
    backend.pre_tokenizer = pre_tokenizers.Sequence([_pieces(), to_bytes])
    backend.decoder = ByteLevelDecoder()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    return backend, trainer


def _words(vocab_size: int, special: list[str]) -> tuple[Any, Any]:
    """Return a tokenizer of whole words, and its trainer."""
    from tokenizers import Tokenizer, models, trainers

    backend = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    backend.pre_tokenizer = _pieces()
    trainer = trainers.WordLevelTrainer(
        vocab_size=vocab_size, min_frequency=2, special_tokens=special, show_progress=False
    )
    return backend, trainer


def _pieces() -> Any:
    """Return a pre-tokenizer that splits a text into words, numbers and other characters."""
    from tokenizers import Regex, pre_tokenizers

    return pre_tokenizers.Split(Regex(PIECE), behavior="removed", invert=True)
