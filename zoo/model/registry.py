"""The models of the zoo: one line each."""

import importlib

from tasks import json_files
from tasks.errors import UserError
from tasks.paths import expanded, is_file
from zoo.model.entry import Entry, Preset

MODULES = (
    "zoo.nlp.bert_cls",
    "zoo.nlp.bert_tok",
    "zoo.nlp.bert_mlm",
    "zoo.nlp.gpt_lm",
    "zoo.nlp.t5_seq2seq",
    "zoo.nlp.word_vectors",
    "zoo.nlp.rnn_cls",
    "zoo.vision.mlp_cls",
    "zoo.vision.cnn_cls",
    "zoo.vision.resnet_cls",
    "zoo.vision.vit_cls",
    "zoo.vision.mae",
    "zoo.vision.fcos_det",
    "zoo.vision.detr_det",
    "zoo.vision.vae",
    "zoo.vision.ddpm",
    "zoo.vision.unet_seg",
    "zoo.vision.segformer_seg",
    "zoo.tabular.mlp_tab",
    "zoo.speech.kws_cls",
    "zoo.speech.conformer_ctc",
    "zoo.speech.stream_ctc",
    "zoo.speech.ast_cls",
    "zoo.speech.wav2vec2_ctc",
    "zoo.speech.whisper_asr",
)


def entries() -> list[Entry]:
    """Return the entries of all models, in the order of the registry."""
    return [importlib.import_module(module).ENTRY for module in MODULES]


def find(name: str) -> Entry:
    """The model called `name` ("bert_cls").

    Raises `UserError` where there is none, naming those there are.
    """
    for entry in entries():
        if entry.name == name:
            return entry
    known = ", ".join(module.rpartition(".")[2] for module in MODULES)
    raise UserError(f"no model called {name!r}", "model", f"there are {known}")


def zero_shot_entry(weights: str) -> Entry:
    """Return the model that takes weights for labels without training.

    Of a folder with a `config.json` it is that of images if the configuration has a part for them,
    else that of texts. A preset has its own model; any other name, such as a Hub id, is taken for
    texts.
    """
    able = [entry for entry in entries() if entry.zero_shot]
    config, sees = expanded(weights) / "config.json", False
    if is_file(config):
        try:
            sees = "vision_config" in json_files.read_object(config)
        except (OSError, ValueError):  # whoever loads it says what is wrong
            sees = False
    elif of_preset := next((one for one in able if weights in presets_of(one)), None):
        return of_preset
    kind = "vision" if sees else "nlp"
    return next(entry for entry in able if f".{kind}." in entry.module)


def presets_of(entry: Entry) -> dict[str, Preset]:
    """Return all weights of a model that have a name: to fine-tune, and to predict with as they
    are."""
    return {**entry.presets, **entry.zero_shot}
