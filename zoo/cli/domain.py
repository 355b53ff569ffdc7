"""`python -m zoo.nlp.export CHECKPOINT --runtime onnx`: the verb export (or quantize), whichever
model of the domain the checkpoint is of."""

import sys
from collections.abc import Sequence
from pathlib import Path

from tasks.errors import UserError
from tasks.printing import print_lines
from zoo.cli import program, verbs
from zoo.model import registry
from zoo.model.entry import Entry
from zoo.model.modality import modality_of
from zoo.store.checkpoint import MANIFEST, read_manifest


def main(domain: str, verb: str = "export", argv: Sequence[str] | None = None) -> int:
    """Run a verb on a checkpoint of any model of a domain; return the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    folders = [word for word in arguments if (Path(word) / MANIFEST).is_file()]
    if not folders:
        print_lines(
            f"usage: python -m zoo.{domain}.{verb} CHECKPOINT [FLAGS]",
            "CHECKPOINT is the folder of a fine-tuned model; the flags are those of its verb: see "
            f"python -m zoo.nlp.bert_cls {verb} --help",
            file=sys.stderr,
        )
        return 0 if {"-h", "--help"} & set(arguments) else 2
    try:
        entry = _entry(Path(folders[0]), domain, verb)
    except UserError as error:
        return program.fail(f"zoo.{domain}.{verb}", str(error))
    return verbs.main(entry, [verb, *arguments])


def _entry(folder: Path, domain: str, verb: str) -> Entry:
    name = str(read_manifest(folder)["model"])
    entry = registry.find(name)
    own = modality_of(entry).name
    if own != domain:
        raise UserError(f"{folder} is a checkpoint of {name}: use python -m zoo.{own}.{verb}")
    return entry
