"""The causal network: nothing comes from the future, and chunks give the bits of the whole."""

import pytest
import torch

import zoo.auto
from zoo.speech.modeling_stream import StreamConfig, StreamForCTC

assert zoo.auto  # it registers
LENGTHS = (57, 1, 120, 64, 3, 8)


def model_of(**config: object) -> StreamForCTC:
    torch.manual_seed(0)
    shape: dict[str, object] = {"hidden_size": 32, "num_hidden_layers": 5, "cycle": 3}
    model = StreamForCTC(StreamConfig(**(shape | {"num_mel_bins": 40} | config))).eval()
    with torch.no_grad():  # biases make something of what is not there
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 0.3)
    return model


def batch(width: int = 131) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(len(LENGTHS), width, 40, generator=generator)
    return features, (torch.arange(width) < torch.tensor(LENGTHS).unsqueeze(1)).long()


def streamed(model: StreamForCTC, features: torch.Tensor) -> torch.Tensor:
    state, found = model.begin(), []
    for start in range(0, len(features), model.config.chunk_frames):
        logits, state = model.step(features[start : start + model.config.chunk_frames], state)
        found.append(logits)
    return torch.cat(found)


SHAPES = [{}, {"stacked_frames": 3, "chunk_frames": 9}, {"stacked_frames": 1, "chunk_frames": 5}]


@pytest.mark.parametrize(
    ("shape", "threads"),
    [({}, 2), *((one, 1) for one in (*SHAPES, {"conv_kernel_size": 2, "chunk_frames": 16}))],
)
def test_a_stream_has_the_bits_of_any_batch(shape: dict[str, object], threads: int) -> None:
    model, (features, mask) = model_of(**shape), batch()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.no_grad():
            together = model(features, mask).logits
        with torch.inference_mode():
            for row, length in enumerate(LENGTHS):
                stream = streamed(model, features[row, :length])
                assert len(stream) == model._get_feat_extract_output_lengths(length)
                assert torch.equal(together[row, : len(stream)], stream)
                assert torch.equal(model(features[row : row + 1, :length]).logits[0], stream)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("shape", SHAPES)
def test_all_frames_at_once_differ_by_rounding_alone(shape: dict[str, object]) -> None:
    """As training, a GPU and exported programs compute."""
    model, (features, mask) = model_of(**shape), batch()
    with torch.no_grad():
        chunks = model(features, mask).logits
        model.in_chunks = False
        at_once = model(features, mask).logits
        bf16 = model.to(torch.bfloat16)(features, mask).logits
    torch.testing.assert_close(at_once, chunks, rtol=0, atol=1e-4)
    torch.testing.assert_close(bf16.float(), chunks, rtol=0.1, atol=0.2)


def test_no_frame_depends_on_a_later_one() -> None:
    """On each frame before it within its reach it does."""
    model, (features, _) = model_of(), batch()
    reach = sum(layer.past for layer in model.stream.layers) * 4
    assert reach == 2 * (1 + 2 + 4 + 1 + 2) * 4
    frame = 101
    for in_chunks in (False, True):
        model.in_chunks = in_chunks
        changed = features[:1].clone()
        changed[0, frame] += 3
        with torch.no_grad():
            difference = (model(changed).logits - model(features[:1]).logits).abs().amax(-1)[0]
        assert not difference[: frame // 4].any()
        assert (difference[frame // 4 :] > 1e-6).all()
        far = features[:1].clone()
        far[0, 0] += 3
        with torch.no_grad():
            difference = (model(far).logits - model(features[:1]).logits).abs().amax(-1)[0]
        assert not difference[reach // 4 + 1 :].any() and difference[reach // 4] > 0


def test_a_step_leaves_the_state_before_it_as_it_was() -> None:
    model, (features, _) = model_of(), batch()
    _, state = model.step(features[0, :8], model.begin())
    kept = [one.clone() for one in state]
    first, _ = model.step(features[0, 8:16], state)
    again, _ = model.step(features[0, 8:16], state)
    assert torch.equal(first, again) and all(map(torch.equal, kept, state))


def test_the_default_is_small() -> None:
    parameters = sum(p.numel() for p in StreamForCTC(StreamConfig()).parameters())
    assert 1_000_000 <= parameters <= 3_000_000


def test_masked_frames_do_not_drown_the_gradient() -> None:
    """Frames of zeros, as masks of time leave them, at the beginning, where no other is heard."""
    torch.manual_seed(0)
    model = StreamForCTC(StreamConfig(num_hidden_layers=16, hidden_size=32, vocab_size=10))
    features, labels = torch.randn(2, 100, 80), torch.randint(1, 10, (2, 5))
    norms = []
    for masked in (0, 40):
        features[:, :masked] = 0
        model.zero_grad()
        model(features, labels=labels).loss.backward()
        norms.append(torch.nn.utils.get_total_norm([p.grad for p in model.parameters()]))
    assert norms[1] < 10 * norms[0]
