"""All kinds of cases, and how often each comes."""

from tests.faults.fuzz import (
    artifacts,
    cards,
    checkpoints,
    configs,
    flags,
    hub,
    images,
    own_files,
    places,
    reports,
    sounds,
    states,
    texts,
)
from tests.faults.fuzz.command import Kind

KINDS: dict[str, tuple[int, Kind]] = {
    "texts": (14, texts.texts),
    "images": (8, images.images),
    "image tables": (4, images.image_tables),
    "sounds": (8, sounds.sounds),
    "sound tables": (4, sounds.sound_tables),
    "text folders": (4, own_files.text_folders),
    "array files": (4, own_files.array_files),
    "own tables": (4, own_files.own_tables),
    "flags": (14, flags.flags),
    "configs": (8, configs.configs),
    "checkpoints": (14, checkpoints.checkpoints),
    "weights": (7, checkpoints.weights),
    "artifacts": (6, artifacts.artifacts),
    "cards": (6, cards.cards),
    "states": (6, states.states),
    "reports": (5, reports.reports),
    "places": (4, places.places),
    "limits": (4, places.limits),
    "signals": (2, places.signals),
    "hub": (9, hub.hub),
    "pushes": (2, hub.push),
}
"""Name to weight, and what makes the inputs."""
