"""The model for the data, and how long it is worth training it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import UserError, did_you_mean
from tasks.paths import expanded
from zoo.cli.args import ShipArgs
from zoo.model import registry
from zoo.model.entry import Entry
from zoo.ship.kinds import TASKS, Kind
from zoo.ship.look import Look
from zoo.store import pretrained
from zoo.store.checkpoint import MANIFEST, read_manifest

PRETRAINED: Mapping[Kind, str] = {"text": "bert_cls", "tags": "bert_tok"}
"""The models whose presets are looked at, those first that are the zoo's default."""
SCRATCH: Mapping[Kind, str] = {
    "text": "rnn_cls",
    "image": "cnn_cls",
    "boxes": "fcos_det",
    "masks": "unet_seg",
    "sound": "kws_cls",
    "speech": "conformer_ctc",
    "table": "mlp_tab",
}
EPOCHS = {"bert_cls": 3.0, "bert_tok": 3.0, "rnn_cls": 8.0}
"""Passes over the data from which on more gain nothing, where that is not what the recipe has."""
LEAST_STEPS = 150
"""Optimizer steps that small data get, by more passes over them ..."""
MOST_EPOCHS = 60.0
"""... but not by more than so many."""
MOST_UNKNOWN = 0.02
"""Share of tokens that a tokenizer may not know, of texts it can read."""
MOST_PIECES = 3.0
"""Pieces that it may cut a word into: English has 1.2, German 2.3 in an English vocabulary, and
scripts that it knows the letters of only 4 and more."""
WORD = 15
"""Characters of a word on average from which on blanks stand between sentences, not words."""


@dataclass(frozen=True)
class Choice:
    """A model, and why."""

    entry: Entry
    words: tuple[str, ...]
    """flags of `finetune` that are the model's"""
    reason: str


def asked_entry(args: ShipArgs) -> tuple[Entry, tuple[str, ...], str] | None:
    """Return the model that `--model` names, its flags and the reason; None where none is named.

    Raises `UserError` for what is no model, preset or checkpoint.
    """
    if args.model is None:
        return None
    models = {entry.name: entry for entry in registry.entries()}
    folder = expanded(args.model)
    if args.model in models and not (folder / MANIFEST).is_file():
        return models[args.model], (), "as asked"
    if (folder / MANIFEST).is_file():
        entry = registry.find(str(read_manifest(folder)["model"]))
        return entry, ("--model", args.model), "it goes on from the checkpoint that was named"
    for entry in models.values():
        if args.model in entry.presets:
            pretrained.find(args.model, entry.presets)
            return entry, ("--model", args.model), "the preset was named"
    presets = [name for entry in models.values() for name in entry.presets]
    hint = did_you_mean(args.model, [*models, *presets])
    raise UserError(
        f"`model` {args.model}: no checkpoint of ours, no preset and no model of the zoo",
        hint=hint or f"the models are {', '.join(models)}",
    )


def kind_of_entry(entry: Entry, args: ShipArgs) -> Kind | None:
    """Return the kind of data that a model learns from; None where the data have to tell.

    Raises `UserError` for a model that no data are shipped with.
    """
    for kind, task in TASKS.items():
        if entry.task == task:
            return kind
    if entry.name == "whisper_asr":
        return "speech"
    raise UserError(f"`model` {args.model}: {entry.name} is no model that is shipped")


def choose(args: ShipArgs, look: Look) -> Choice:
    """Return the model for the data.

    Raises `UserError` where there is none, or the one that was named learns from other data.
    """
    asked = asked_entry(args)
    if asked is not None:
        entry, words, reason = asked
        return Choice(_same_task(entry, words, look, args), words, reason)
    if look.kind in PRETRAINED:
        return _text_model(look)
    entry = registry.find(SCRATCH[look.kind])
    return Choice(entry, (), "it learns from scratch in minutes on a processor")


def _same_task(entry: Entry, words: Sequence[str], look: Look, args: ShipArgs) -> Entry:
    """The model, or its twin for other data of the same weights: bert_tok for bert_cls."""
    own = kind_of_entry(entry, args)
    if own == look.kind:
        return entry
    for other in registry.entries():
        if words and words[1] in other.presets and other.task == TASKS[look.kind]:
            return other
    raise UserError(
        f"`model` {args.model} learns from {own}, and {args.data} holds {look.kind}: leave it away"
    )


def _text_model(look: Look) -> Choice:
    entry = registry.find(PRETRAINED[look.kind])
    texts = look.texts()
    ordered = sorted(entry.presets, key=lambda name: name != entry.default_preset)
    at_hand = [name for name in ordered if pretrained.at_hand(entry.presets[name])]
    why: list[str] = []
    for name in at_hand:
        reads, said = can_read(pretrained.find(name, entry.presets).folder, texts)
        if reads:
            reason = (
                f"the weights of {name} are at hand, and its tokenizer reads the texts ({said})"
            )
            return Choice(entry, ("--model", name), "; ".join([*why, reason]))
        why.append(f"the tokenizer of {name} can't read the texts ({said})")
    scratch = SCRATCH.get(look.kind)
    if scratch is None:
        ways = pretrained.ways(entry.presets[str(entry.default_preset)])
        reason = "; ".join(why) or "no pretrained weights are at hand"
        raise UserError(f"{reason}, and words are tagged by such alone: {ways}")
    reason = "; ".join(why) or "no pretrained encoder is at hand"
    return Choice(
        registry.find(scratch), (), f"{reason}: from scratch, with a tokenizer of its own"
    )


def can_read(folder: Path, texts: Sequence[str]) -> tuple[bool, str]:
    """Return whether a tokenizer knows the letters and words of texts, and in which numbers that
    shows."""
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        return False, "it has no tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    encoded = tokenizer.encode_batch(list(texts), add_special_tokens=False)
    tokens = [token for one in encoded for token in one.tokens]
    if not tokens:
        return True, "they are empty"
    unknown = sum(token in ("[UNK]", "<unk>") for token in tokens) / len(tokens)
    words = [word for text in texts for word in text.split()]
    has_blanks = sum(map(len, words)) < WORD * len(words)
    pieces = len(tokens) / len(words) if has_blanks else 0.0
    said = f"{unknown:.1%} unknown" + (f", {pieces:.1f} pieces a word" if has_blanks else "")
    return unknown <= MOST_UNKNOWN and pieces <= MOST_PIECES, said


def most_epochs(entry: Entry, rows: int) -> float:
    """Return how many passes over so many rows are worth their time."""
    usual = EPOCHS.get(entry.name, float(entry.recipe["num_train_epochs"]))
    steps_of_one = max(1.0, rows / int(entry.recipe.get("per_device_train_batch_size", 32)))
    return min(max(usual, float(-(-LEAST_STEPS // steps_of_one))), max(usual, MOST_EPOCHS))
