"""The checkpoint of one of our own networks that a model goes on from."""

from typing import Any

from zoo.model import own_weights
from zoo.model.entry import Entry
from zoo.store import pretrained
from zoo.store.pretrained import LocalWeights


def find(options: Any, kind: Any, entry: Entry) -> tuple[LocalWeights, Any]:
    """Return where the weights lie that `options.model` names, and their configuration.

    Args:
        kind: class of the configuration that the network takes.

    Raises `UserError` where the weights are not at hand, or are of another kind.
    """
    found = pretrained.find(options.model, entry.presets)
    return found, own_weights.config_of(found.folder, kind, options.model, entry.name)
