"""The Conformer: torchaudio's numbers for each row alone, whatever pads it; plain transformers."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import zoo.auto

# isort: split
import torchaudio
from transformers import AutoModelForCTC, AutoProcessor, Wav2Vec2CTCTokenizer, pipeline

from tasks.speech.decoding import ctc
from zoo.speech.log_mel import LogMelFeatureExtractor
from zoo.speech.modeling_conformer import ConformerConfig, ConformerForCTC
from zoo.speedups.bf16_weights import Bf16Weights

assert zoo.auto  # it registers
LENGTHS = (57, 1, 120, 64, 3)
RATE = 16_000


def model_of(**config: object) -> ConformerForCTC:
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "vocab_size": 12}
    shape |= {"conv_kernel_size": 7, "num_mel_bins": 40, "subsampling_channels": 8}
    model = ConformerForCTC(ConformerConfig(**shape | config)).eval()
    with torch.no_grad():  # biases and norms that let padding through where they can
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 0.3)
    return model


def batch(lengths: tuple[int, ...] = LENGTHS, width: int = 131) -> tuple[torch.Tensor, ...]:
    features = torch.randn(len(lengths), width, 40, generator=torch.Generator().manual_seed(1))
    mask = (torch.arange(width) < torch.tensor(lengths).unsqueeze(1)).long()
    return features * mask.unsqueeze(-1), mask


def test_the_default_is_small() -> None:
    parameters = sum(p.numel() for p in ConformerForCTC(ConformerConfig()).parameters())
    assert 1_500_000 <= parameters <= 4_000_000


@pytest.mark.parametrize("halvings", [1, 2, 3])
def test_padding_and_neighbours_do_not_change_the_result(halvings: int) -> None:
    model = model_of(num_subsampling_layers=halvings)
    features, mask = batch()
    noisy = torch.where(mask.unsqueeze(-1) == 1, features, 5 * torch.randn_like(features))
    frames = model._get_feat_extract_output_lengths(torch.tensor(LENGTHS))
    with torch.no_grad():
        together = model(noisy, mask).logits
        for row, length in enumerate(LENGTHS):
            alone = model(features[row : row + 1, :length]).logits[0]
            assert len(alone) == frames[row]
            torch.testing.assert_close(together[row, : len(alone)], alone, rtol=0, atol=1e-5)
            behind = together[row, len(alone) :]
            assert (behind[:, 0] == 0).all() and (behind[:, 1:] == ctc.IMPOSSIBLE).all()


def test_each_row_is_what_torchaudio_makes_of_it_alone() -> None:
    model = model_of()
    reference = torchaudio.models.Conformer(32, 4, 48, 2, 7, use_group_norm=True).eval()
    weights = {f"conformer_layers.{n}": w for n, w in model.conformer.layers.state_dict().items()}
    reference.load_state_dict(weights)
    features, mask = batch()
    with torch.no_grad():
        states = model.conformer(features, mask).last_hidden_state
        for row, length in enumerate(LENGTHS):
            begun, _ = model.conformer.subsampling(features[row : row + 1, :length], None)
            expected = reference(begun, torch.tensor([begun.shape[1]]))[0][0]
            torch.testing.assert_close(states[row, : len(expected)], expected, rtol=0, atol=1e-5)


def test_frames_do_count() -> None:
    model = model_of()
    features, mask = batch((120,))
    with torch.no_grad():
        logits = model(features, mask).logits
        for frame in (0, 60, 119):
            changed = features.clone()
            changed[0, frame] += 3
            assert (model(changed, mask).logits - logits).abs().max() > 1e-3


def test_a_row_of_nothing_but_padding_is_all_blank_and_finite() -> None:
    features, mask = batch((0, 50))
    logits = model_of()(features, mask).logits
    assert logits.isfinite().all() and ctc.greedy_batch(logits, 0)[0] == []


def test_the_loss_is_that_over_the_true_lengths() -> None:
    model = model_of()
    features, mask = batch((120, 57, 64))
    labels = torch.tensor([[3, 3, 4, -100], [5, -100, -100, -100], [1, 2, 1, 2]])
    output = model(features, mask, labels=labels)
    expected = torch.nn.functional.ctc_loss(
        output.logits.log_softmax(-1).transpose(0, 1),
        labels.clamp(min=0),
        model._get_feat_extract_output_lengths(mask.sum(1)),
        (labels >= 0).sum(1),
    )
    torch.testing.assert_close(output.loss, expected, rtol=1e-5, atol=1e-6)
    short = torch.full((1, 40), 3)  # longer than 30 frames allow
    assert model(features[:1], mask[:1], labels=short).loss == 0


@pytest.mark.parametrize("numerics", ["fp32", "autocast", "bf16 weights"])
def test_gradients_reach_all_weights(numerics: str) -> None:
    model = model_of().train()
    bf16 = Bf16Weights(model) if numerics == "bf16 weights" else None
    features, mask = batch((120, 57))
    with torch.autocast("cpu", torch.bfloat16, enabled=numerics == "autocast"):
        loss = model(features, mask, labels=torch.tensor([[1, 2, 3], [4, 5, -100]])).loss
    loss.backward()
    if bf16:
        bf16.collect()
    named = bf16.named_parameters() if bf16 else model.named_parameters()
    for name, parameter in named:
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all() and parameter.grad.abs().sum() > 0, name


def test_first_weights_are_drawn_as_told() -> None:
    model = ConformerForCTC(ConformerConfig())
    layer = model.conformer.layers[0]
    for part in layer.self_attn.in_proj_weight.chunk(3):
        assert part.std().item() == pytest.approx((2 / 288) ** 0.5, rel=0.05)
    narrow, wide = layer.ffn1.sequential[1], layer.conv_module.sequential[0]
    assert narrow.weight.std().item() == pytest.approx((2 / (144 + 576)) ** 0.5, rel=0.05)
    assert wide.weight.std().item() == pytest.approx((2 / 144) ** 0.5, rel=0.05)
    assert not any(p.any() for n, p in model.named_parameters() if n.endswith("bias"))
    assert all((p == 1).all() for n, p in model.named_parameters() if "norm.weight" in n)


def test_lora_reaches_every_linear_layer() -> None:
    from peft import LoraConfig, get_peft_model

    model = model_of()
    features, mask = batch((120, 57))
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules="all-linear"))
    adapted(features, attention_mask=mask, labels=torch.tensor([[1, 2], [3, 4]])).loss.backward()
    reached = {n for n, p in adapted.named_parameters() if "lora_B" in n and p.grad is not None}
    assert any("out_proj" in name for name in reached)
    assert reached == {n for n, _ in adapted.named_parameters() if "lora_B" in n}


def test_the_head_lies_outside_the_base_and_layers_have_their_name() -> None:
    model = model_of()
    assert model.base_model is model.conformer and len(model.conformer.layers) == 2
    assert not any("ctc_head" in name for name, _ in model.base_model.named_parameters())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("conformer")
    vocab = ["<pad>", "<unk>", "|", *"abcdefghi"]
    (folder / "vocab.json").write_text(json.dumps({c: i for i, c in enumerate(vocab)}))
    tokenizer = Wav2Vec2CTCTokenizer(
        str(folder / "vocab.json"),
        unk_token="<unk>",
        pad_token="<pad>",
        word_delimiter_token="|",
        bos_token=None,
        eos_token=None,
    )
    tokenizer.save_pretrained(folder)
    model_of().save_pretrained(folder)
    LogMelFeatureExtractor(40).save_pretrained(folder)
    return folder


def speech(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=samples).astype(np.float32) * 0.1


def test_saved_weights_come_back(folder: Path) -> None:
    features, mask = batch()
    with torch.no_grad():
        again = AutoModelForCTC.from_pretrained(folder).eval()(features, mask).logits
        assert torch.equal(again, model_of()(features, mask).logits)


def test_its_processor_makes_features_and_labels(folder: Path, tmp_path: Path) -> None:
    processor = AutoProcessor.from_pretrained(folder)
    clip = speech(20_000)
    made = processor(clip, sampling_rate=RATE, text="abc", return_tensors="pt")
    features = LogMelFeatureExtractor(40)(clip, RATE, return_tensors="pt")["input_features"]
    assert torch.equal(made["input_features"], features)
    assert made["labels"].tolist() == [[3, 4, 5]] and processor.batch_decode([[3, 4]]) == ["ab"]
    processor.save_pretrained(tmp_path)
    ConformerConfig().save_pretrained(tmp_path)
    again = AutoProcessor.from_pretrained(tmp_path)
    assert type(again.feature_extractor) is LogMelFeatureExtractor
    assert again.feature_extractor.to_dict() == processor.feature_extractor.to_dict()
    assert again.tokenizer.get_vocab() == processor.tokenizer.get_vocab()


def test_transformers_pipeline_transcribes_one_by_one_and_in_batches(folder: Path) -> None:
    run = pipeline("automatic-speech-recognition", str(folder))
    clips = [speech(40_000), speech(20_000, 1), speech(300, 2)]
    symbols = ["", "<unk>", " ", *"abcdefghi"]
    expected = []
    for clip in clips:
        features = LogMelFeatureExtractor(40)(clip, RATE, return_tensors="pt")["input_features"]
        with torch.no_grad():
            logits = model_of()(features).logits[0].numpy()
        expected.append("".join(symbols[i] for i in ctc.greedy(logits, 0)).strip())
    assert expected[0]
    assert [run(clip.copy())["text"] for clip in clips] == expected
    assert [found["text"] for found in run(clips, batch_size=3)] == expected


def test_transformers_pipeline_cuts_long_recordings_in_windows(folder: Path) -> None:
    """Windows overlap, and the frames of logits between their strides are one each 40 ms."""
    run = pipeline("automatic-speech-recognition", str(folder))
    assert run._align_to == 640
    lengths = []
    for samples in (4 * RATE, 6 * RATE, 6 * RATE + 333):
        pieces = [
            run._forward(dict(piece))
            for piece in run.preprocess(speech(samples), chunk_length_s=2, stride_length_s=0.4)
        ]
        kept = 0
        for piece in pieces:
            total, left, right = piece["stride"]
            kept += len(piece["tokens"][0, left : total - right])
        lengths.append(kept)
    # a window's last frame may be missing: it has no padding to reach 40 ms
    assert lengths == pytest.approx([100, 150, 150], abs=1)
    times = run(speech(RATE * 2), return_timestamps="word")["chunks"]
    assert all(0 <= begin <= end <= 2.0 for begin, end in (word["timestamp"] for word in times))


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
