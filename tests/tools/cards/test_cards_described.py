"""What tasks and modalities say of themselves on a card."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from bench.record.markdown import code
from tasks.base import Generates, OfText
from tasks.nlp import masked_lm, text_classification
from tasks.nlp.masking import Vocabulary
from tasks.speech import audio_classification, seq2seq_recognition, speech_recognition
from tasks.speech.char_tokenizer import CharTokenizer
from tasks.vision import image_classification, masked_image
from tools.cards import about, record
from zoo.model import registry
from zoo.model.modality import modality_of

SINGLE, MANY = "single_label_classification", "multi_label_classification"
LABELS = tuple(f"l{i}" for i in range(32))
NAMED = ", ".join(f"`l{i}`" for i in range(30))


def texts(kind: Any = SINGLE, labels: tuple[str, ...] = ("a|b", "c"), **args: Any) -> Any:
    given = text_classification.Args(max_length=64, **args)
    return text_classification.TextClassification(given, labels, kind)


def filler(**args: Any) -> Any:
    given = masked_lm.Args(max_length=32, **args)
    return masked_lm.MaskedLM(given, vocabulary=Vocabulary(10, 1, (0, 1)))


IMAGES = image_classification.ImageClassification(image_classification.Args(), ("x", "y"), SINGLE)
PATCHES = masked_image.MaskedImage(masked_image.Args(), 32)
KEYWORDS = audio_classification.AudioClassification(
    audio_classification.Args(max_seconds=2.5), ("x", "y"), SINGLE
)
LETTERS = speech_recognition.SpeechRecognition(
    speech_recognition.Args(), CharTokenizer(("<pad>", "|", "b", "a", "'"))
)
DIGITS = dataclasses.replace(LETTERS, spelling=CharTokenizer(("<pad>", "|", "a", "1")))
WHISPER = seq2seq_recognition.Seq2SeqRecognition(seq2seq_recognition.Args())
SIGNS = "Writes what is said in a recording, with these signs and spaces, and no others: "


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        (
            texts(),
            "Gives an input one of 2 labels: <code>a&#124;b</code>, `c`. Whatever else it is shown "
            "gets one of them too: there is no label for none of these.",
        ),
        (
            texts(MANY, LABELS, threshold=0.25),
            f"Gives an input any of 32 labels: {NAMED} and 2 more; a label counts as given where "
            "its probability reaches 0.25.",
        ),
        (
            texts("regression", ()),
            "Gives a number for an input, in the unit of the training data's column of labels.",
        ),
        (filler(), "Fills in a masked word; meant as a start for fine-tuning, not as an end."),
        (PATCHES, "Gives features, a start for fine-tuning; it names nothing by itself."),
        (LETTERS, f"{SIGNS}`'ab`; numbers are written in words."),
        (DIGITS, f"{SIGNS}`1a`."),
        (WHISPER, "Writes what is said in a recording."),
    ],
)
def test_what_is_given(task: Any, sentence: str) -> None:
    assert task.describe_outputs(code) == sentence


CUT = "Reads {} tokens at most; what a longer text has behind them is cut off."


@pytest.mark.parametrize(
    ("model", "task", "sentence"),
    [
        ("bert_cls", texts(), CUT.format(64)),
        (
            "rnn_cls",
            texts(long_texts="window", window_overlap=16),
            "Reads 64 tokens at a time; the zoo reads longer texts in windows that overlap by 16, "
            "whose outputs are averaged.",
        ),
        ("bert_mlm", filler(long_texts="truncate"), CUT.format(32)),
        ("bert_mlm", filler(), "Has learned from texts that were cut into windows of 32 tokens."),
        ("mae", PATCHES, "Every image is resized to 32 × 32 pixels; finer detail is lost."),
        (
            "kws_cls",
            KEYWORDS,
            "Sound is brought to 16,000 samples a second, so nothing above 8,000 Hz is heard; "
            "trained and measured on recordings of 2.5 s at most.",
        ),
    ],
)
def test_what_is_read(model: str, task: Any, sentence: str) -> None:
    assert list(modality_of(registry.find(model)).describe_inputs(task)) == [sentence]


@pytest.mark.parametrize(
    ("task", "english", "other"),
    [
        (texts(labels=("1", 'a "b"')), '"fine, I loved it"', '"a \\"b\\""'),
        (texts(labels=("1", "2")), '"fine, I loved it"', ""),
        (
            filler(),
            'f"a film that is {fill.tokenizer.mask_token} to watch"',
            'f"{fill.tokenizer.mask_token}"',
        ),
        (IMAGES, '"photo.jpg"', '"photo.jpg"'),
        (PATCHES, '"photo.jpg"', '"photo.jpg"'),
        (KEYWORDS, '"word.wav"', '"word.wav"'),
        (WHISPER, '"recording.wav"', '"recording.wav"'),
    ],
)
def test_an_example_is_in_the_language_of_the_data(task: Any, english: str, other: str) -> None:
    assert (task.example_code(True), task.example_code(False)) == (english, other)


def test_abilities_are_those_of_the_tasks() -> None:
    kinds = texts(), filler(), IMAGES, PATCHES, KEYWORDS, LETTERS, WHISPER
    assert [isinstance(task, OfText) for task in kinds] == [True] * 2 + [False] * 5
    assert [isinstance(task, Generates) for task in kinds] == [False] * 6 + [True]


def test_a_card_says_nothing_that_its_task_has_not_said(carded: Any) -> None:
    """Nothing follows from the name of a pipeline."""

    class Tagging(text_classification.TextClassification):
        """A kind of task that no table has."""

        verb = "tag"

        def example_code(self, is_english: bool) -> str:
            return '"Ada Lovelace"'

    found = record.read(Path(carded.path))
    task = Tagging(**vars(found.task))
    found = dataclasses.replace(
        found, task=task, manifest={**found.manifest, "pipeline": "token-classification"}
    )
    (_, shown) = about.use(found)
    assert 'tag = pipeline("token-classification"' in shown
    assert 'print(tag("Ada Lovelace"))' in shown
