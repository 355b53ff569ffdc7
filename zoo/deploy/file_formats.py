"""A checkpoint in the format of another library, where its network is no program: word vectors."""

from pathlib import Path
from typing import TYPE_CHECKING

from tasks.errors import UserError
from tasks.printing import print_lines
from zoo.machine.terminal import quiet_libraries
from zoo.model.network import load_network, network_of
from zoo.store.checkpoint import open_checkpoint

if TYPE_CHECKING:
    from zoo.cli.args import ExportArgs
    from zoo.model.entry import Entry


def export_file(entry: "Entry", args: "ExportArgs") -> Path | None:
    """Write a checkpoint in the format that `args.runtime` names, as a file in its folder, and
    return the file; None where the model is a program, to be exported to a runtime.

    Raises `UserError` for another format than the model has, a damaged checkpoint, or a folder that
    can't be written to.
    """
    import torch

    network = network_of(entry)
    if not network.file_formats:
        return None
    if args.runtime not in network.file_formats:
        raise UserError(
            f"{entry.name} can't be exported to {args.runtime}: it is a table, and no program",
            hint=f"export it to {' or '.join(network.file_formats)}",
        )
    quiet_libraries()
    checkpoint = open_checkpoint(args.checkpoint, entry)
    model, processor = load_network(checkpoint, torch.device("cpu"))
    path = checkpoint.folder / f"{args.runtime}.txt"
    network.write_file(args.runtime, path, model, processor)
    print_lines(f"{path}")
    return path
