"""The card of what was really trained: checked, read by the Hub's library, its code run."""

import contextlib
import io
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard

import zoo
from tests import tiny_models
from tools.cards import check, validate
from tools.cards.metadata import metadata
from tools.cards.write import write
from zoo.store import evidence

IMAGE, WORD = ("images", "photo.jpg", "score"), ("sounds", "word.wav", "score")
SPEECH = ("utterances", "recording.wav", "text")
INPUTS = {
    "bert_cls": ("", "", "score"),
    "mlp_cls": IMAGE,
    "cnn_cls": IMAGE,
    "mlp_tab": ("", "", "tensor"),
    "kws_cls": WORD,
    "rnn_cls": ("", "", "score"),
    "bert_mlm": ("", "", "score"),
    "gpt_lm": ("", "", "generated_text"),
    "t5_seq2seq": ("", "", ""),
    "resnet_cls": IMAGE,
    "vit_cls": IMAGE,
    "mae": ("images", "photo.jpg", "[["),
    "ast_cls": WORD,
    "conformer_ctc": SPEECH,
    "stream_ctc": SPEECH,
    "wav2vec2_ctc": SPEECH,
    "whisper_asr": SPEECH,
}
"""Of each model, the fixture that has an input for the example, what the example calls it, and a
word of what it prints."""
IN_CI = ("bert_cls", "cnn_cls", "kws_cls", "rnn_cls", "bert_mlm")
EACH = [pytest.param(n, marks=[] if n in IN_CI else [pytest.mark.slow]) for n in INPUTS]


@pytest.mark.parametrize("name", EACH)
def test_from_training_to_the_card(
    name: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_models.checkpoint(name, request.getfixturevalue, tmp_path)
    card = write(folder).read_text()
    assert check.faults(folder) == []
    assert validate.faults(metadata(folder)) == []

    facts = {fact.name: fact for fact in evidence.read(folder) if fact.split in ("test", None)}
    results = ModelCard.load(folder / "README.md").data.eval_results
    measured = {fact.value for fact in facts.values() if fact.kind == "metric"}
    assert {one.metric_value for one in results} == measured and measured
    model = zoo.load(str(folder), device="cpu").model
    assert facts["parameters"].value == sum(p.numel() for p in model.parameters())
    for said in ("## Training", "It took", "learning_rate", f"python -m zoo.{model_domain(name)}"):
        assert said in card
    assert str(tmp_path) not in card and "More information" not in card

    code = re.search(r"```python\n(.*?)```", card, re.DOTALL)
    assert code and len(code[1].splitlines()) <= 5
    monkeypatch.chdir(tmp_path)
    program = code[1].replace("path/to/this/folder", str(folder))
    fixture, file, printed_word = INPUTS[name]
    if fixture:
        found = sorted(request.getfixturevalue(fixture).glob("train/**/*"))
        shutil.copy(next(one for one in found if one.suffix in (".png", ".wav")), file)
    if file.endswith(".wav") and shutil.which("ffmpeg") is None:
        program = program.replace(f'"{file}"', '{"raw": np.zeros(8000), "sampling_rate": 8000}')
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(program, {"np": np})
    assert printed_word in printed.getvalue()


def model_domain(name: str) -> str:
    """The package and the name of a model: "nlp.bert_cls"."""
    return tiny_models.MODELS[name][0].removeprefix("zoo.")
