"""The models of the zoo: one line each."""

import importlib

from tasks.errors import UserError
from zoo.model.entry import Entry

MODULES = (
    "zoo.nlp.bert_cls",
    "zoo.nlp.bert_tok",
    "zoo.nlp.bert_mlm",
    "zoo.nlp.gpt_lm",
    "zoo.nlp.rnn_cls",
    "zoo.vision.cnn_cls",
    "zoo.vision.resnet_cls",
    "zoo.vision.vit_cls",
    "zoo.vision.mae",
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
