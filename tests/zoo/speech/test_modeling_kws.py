"""The keyword network: padding has no say, every weight learns, plain transformers runs it."""

import numpy as np
import pytest
import torch

import zoo.auto

# isort: split
from transformers import AutoModelForAudioClassification, pipeline

from zoo.speech.log_mel import LogMelFeatureExtractor
from zoo.speech.modeling_kws import KwsConfig, KwsForAudioClassification
from zoo.speedups.bf16_weights import Bf16Weights

assert zoo.auto  # it registers
LENGTHS = (31, 1, 98, 40)


def model_of(**config: object) -> KwsForAudioClassification:
    torch.manual_seed(0)
    return KwsForAudioClassification(KwsConfig(num_labels=12, **config)).eval()


def batch(lengths: tuple[int, ...] = LENGTHS, width: int = 110) -> tuple[torch.Tensor, ...]:
    features = torch.randn(len(lengths), width, 40, generator=torch.Generator().manual_seed(1))
    mask = (torch.arange(width) < torch.tensor(lengths).unsqueeze(1)).long()
    return features * mask.unsqueeze(-1), mask


def test_it_is_small() -> None:
    parameters = sum(p.numel() for p in model_of().parameters())
    assert 100_000 <= parameters <= 300_000


def test_padding_and_neighbours_do_not_change_the_result() -> None:
    model = model_of()
    features, mask = batch()
    with torch.no_grad():
        together = model(features, mask).logits
        for row, length in enumerate(LENGTHS):
            alone = model(features[row : row + 1, :length]).logits[0]
            torch.testing.assert_close(together[row], alone, rtol=0, atol=1e-5)
        noisy = torch.where(mask.unsqueeze(-1) == 1, features, torch.randn_like(features))
        torch.testing.assert_close(model(noisy, mask).logits, together, rtol=0, atol=1e-5)


def test_frames_do_count() -> None:
    """The test above would pass for a network that is deaf."""
    model = model_of()
    features, mask = batch((98,))
    with torch.no_grad():
        logits = model(features, mask).logits
        for frame in (0, 50, 97):
            changed = features.clone()
            changed[0, frame] += 3
            assert (model(changed, mask).logits - logits).abs().max() > 1e-4


def test_a_row_of_nothing_but_padding_gives_finite_logits() -> None:
    features, mask = batch((0, 5))
    assert model_of()(features, mask).logits.isfinite().all()


@pytest.mark.parametrize("numerics", ["fp32", "autocast", "bf16 weights"])
def test_gradients_reach_all_weights(numerics: str) -> None:
    model = model_of().train()
    bf16 = Bf16Weights(model) if numerics == "bf16 weights" else None
    features, mask = batch()
    with torch.autocast("cpu", torch.bfloat16, enabled=numerics == "autocast"):
        loss = model(features, mask, labels=torch.tensor([0, 1, 2, 0])).loss
    loss.backward()
    if bf16:
        bf16.collect()
    named = bf16.named_parameters() if bf16 else model.named_parameters()
    for name, parameter in named:
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all() and parameter.grad.abs().sum() > 0, name


def test_it_learns_to_tell_tones_apart() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(4).repeat(8)
    features = torch.randn(32, 40, 40, generator=generator)
    for row, label in enumerate(labels.tolist()):
        features[row, :, 8 * label : 8 * label + 4] += 1.0
    torch.manual_seed(0)
    model = KwsForAudioClassification(KwsConfig(num_labels=4, hidden_size=32, num_hidden_layers=1))
    optimizer = torch.optim.AdamW(model.train().parameters(), 3e-3)
    for _ in range(25):
        loss = model(features, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (model.eval()(features).logits.argmax(1) == labels).all()


def test_saved_weights_come_back_and_missing_ones_are_drawn(tmp_path) -> None:
    model = model_of(hidden_size=48)
    model.save_pretrained(tmp_path)
    again = AutoModelForAudioClassification.from_pretrained(tmp_path).eval()
    features, mask = batch()
    with torch.no_grad():
        assert torch.equal(again(features, mask).logits, model(features, mask).logits)
    other = AutoModelForAudioClassification.from_pretrained(
        tmp_path, num_labels=3, ignore_mismatched_sizes=True
    )
    assert torch.equal(other.kws.stem.first.weight, model.kws.stem.first.weight)
    assert other.classifier.weight.shape[0] == 3 and other.classifier.weight.std() > 0.01
    assert not other.classifier.bias.any()


def test_the_head_lies_outside_the_base_and_layers_have_their_name() -> None:
    model = model_of()
    assert model.base_model is model.kws
    assert len(model.kws.layers) == model.config.num_hidden_layers
    assert not any("classifier" in name for name, _ in model.base_model.named_parameters())


def test_transformers_pipeline_runs_it(tmp_path) -> None:
    model = model_of(id2label={i: f"word {i}" for i in range(12)})
    model.save_pretrained(tmp_path)
    extractor = LogMelFeatureExtractor(40)
    extractor.save_pretrained(tmp_path)
    clips = [np.random.default_rng(i).normal(size=n) * 0.1 for i, n in enumerate((16_000, 9000))]
    found = pipeline("audio-classification", str(tmp_path))(clips, top_k=3)
    with torch.no_grad():
        expected = model(**extractor(clips, 16_000, return_tensors="pt")).logits.softmax(-1)
    for answers, chances in zip(found, expected, strict=True):
        top = chances.topk(3)
        assert [answer["label"] for answer in answers] == [f"word {i}" for i in top.indices]
        np.testing.assert_allclose([a["score"] for a in answers], top.values, atol=1e-5)


def test_one_export_serves_every_batch_and_length() -> None:
    model = model_of()
    features, mask = batch()
    sizes = {0: torch.export.Dim("batch", max=64), 1: torch.export.Dim("frames", min=8, max=4000)}
    program = torch.export.export(
        model,
        kwargs={"input_features": features, "attention_mask": mask},
        dynamic_shapes={"input_features": sizes, "attention_mask": sizes},
        args=(),
    )
    features, mask = batch((88, 17, 60), 88)
    found = program.module()(input_features=features, attention_mask=mask)["logits"]
    torch.testing.assert_close(found, model(features, mask).logits, rtol=0, atol=1e-5)
