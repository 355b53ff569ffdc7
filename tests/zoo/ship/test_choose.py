"""The model that suits the data."""

from pathlib import Path

import pytest

from tasks.errors import UserError
from zoo.cli.args import ShipArgs
from zoo.model import registry
from zoo.model.entry import Preset
from zoo.ship import choose
from zoo.ship.look import look
from zoo.store import pretrained
from zoo.store.pretrained import LocalWeights


@pytest.fixture
def at_hand(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights of minilm are at hand, and no others."""
    presets = registry.find("bert_cls").presets

    def find(model: str, known: object) -> LocalWeights:
        return LocalWeights(tiny_bert, "folder", model, None, None, None, None)

    def where(preset: Preset) -> str | None:
        return "here" if preset == presets["minilm"] else None

    monkeypatch.setattr(pretrained, "at_hand", where)
    monkeypatch.setattr(pretrained, "find", find)


def test_a_preset_that_reads_the_texts(at_hand: None, reviews: Path) -> None:
    args = ShipArgs(str(reviews))
    found = choose.choose(args, look(args))
    assert found.entry.name == "bert_cls" and found.words == ("--model", "minilm")
    assert "its tokenizer reads the texts" in found.reason and "pieces a word" in found.reason


def test_from_scratch_where_it_does_not(at_hand: None, tmp_path: Path) -> None:
    path = tmp_path / "zh.csv"
    rows = [
        f"这部电影非常{'精彩' if i % 2 else '无聊'} {i},{'好' if i % 2 else '差'}\n"
        for i in range(40)
    ]
    path.write_text("text,label\n" + "".join(rows))
    args = ShipArgs(str(path))
    found = choose.choose(args, look(args))
    assert found.entry.name == "rnn_cls" and found.words == ()
    assert "minilm can't read the texts" in found.reason and "unknown" in found.reason


def test_nothing_at_hand(reviews: Path, tagged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "at_hand", lambda preset: None)
    args = ShipArgs(str(reviews))
    assert choose.choose(args, look(args)).entry.name == "rnn_cls"
    args = ShipArgs(str(tagged))
    with pytest.raises(UserError, match=r"no pretrained weights are at hand.*zoo\[offline\]"):
        choose.choose(args, look(args))


def test_images_sounds_and_tables(
    images: Path, sounds: Path, utterances: Path, people: Path
) -> None:
    found = {}
    for path in (images, sounds, utterances, people):
        args = ShipArgs(str(path))
        found[path] = choose.choose(args, look(args)).entry.name
    assert list(found.values()) == ["cnn_cls", "kws_cls", "conformer_ctc", "mlp_tab"]


def test_a_checkpoint_of_ones_own(checkpoint: Path, images: Path, reviews: Path) -> None:
    args = ShipArgs(str(images), model=str(checkpoint))
    found = choose.choose(args, look(args))
    assert found.entry.name == "cnn_cls" and found.words == ("--model", str(checkpoint))
    args = ShipArgs(str(reviews), model=str(checkpoint))
    with pytest.raises(UserError, match=r"learns from image, and .* holds text"):
        choose.choose(args, look(args))


def test_a_preset_serves_its_twin(at_hand: None, tagged: Path, reviews: Path) -> None:
    args = ShipArgs(str(tagged), model="minilm")
    assert choose.choose(args, look(args)).entry.name == "bert_tok"
    args = ShipArgs(str(reviews), model="rnn_cls")
    assert choose.choose(args, look(args)).reason == "as asked"


def test_epochs() -> None:
    bert, cnn = registry.find("bert_cls"), registry.find("cnn_cls")
    assert choose.most_epochs(bert, 100_000) == 3 and choose.most_epochs(cnn, 20_000) == 20
    assert choose.most_epochs(bert, 320) == 15, "small data get steps enough"
    assert choose.most_epochs(bert, 8) == choose.MOST_EPOCHS


def test_a_folder_without_a_fast_tokenizer(tmp_path: Path) -> None:
    assert choose.can_read(tmp_path, ["a text"]) == (False, "it has no tokenizer.json")


def test_texts_that_are_empty(tiny_bert: Path) -> None:
    assert choose.can_read(tiny_bert, [""])[0]
