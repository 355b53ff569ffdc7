"""Which model of the zoo is meant."""

from pathlib import Path

import pytest

from zoo.model.registry import zero_shot_entry


def test_whose_weights_choose_without_training(tmp_path: Path) -> None:
    assert zero_shot_entry("minilm").name == "bert_cls"
    assert zero_shot_entry("bart-large-mnli").name == "bert_cls"
    assert zero_shot_entry("owner/unknown").name == "bert_cls"
    (tmp_path / "config.json").write_text('{"vision_config": {}}')
    assert zero_shot_entry(str(tmp_path)).name == "vit_cls"
    (tmp_path / "config.json").write_text("{ half")
    assert zero_shot_entry(str(tmp_path)).name == "bert_cls"


def test_a_folder_that_is_called_like_a_preset_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("minilm").mkdir()
    assert zero_shot_entry("minilm").name == "bert_cls"
    Path("minilm", "config.json").write_text('{"vision_config": {}}')
    assert zero_shot_entry("minilm").name == "vit_cls"
