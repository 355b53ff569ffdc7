"""The recurrent classifier: padding has no say, every cell learns, weights begin as they should."""

import itertools
import math

import pytest
import torch
from torch import nn

import zoo.auto  # noqa: F401
from zoo.nlp import recurrent_loop
from zoo.nlp.modeling_rnn import CELLS, EMBEDDING_STD, RnnConfig, RnnForSequenceClassification
from zoo.speedups.bf16_weights import Bf16Weights
from zoo.train.optim.optimizer import no_decay_names

LENGTHS = (7, 1, 4, 12)
POOLINGS = ("max", "mean", "last", "attention", "multi_head")


def model_of(seed: int = 0, **config: object) -> RnnForSequenceClassification:
    torch.manual_seed(seed)
    shape = {"vocab_size": 50, "embedding_size": 12, "hidden_size": 10, "num_hidden_layers": 2}
    shape |= {"attention_heads": 3} if config.get("pooling") == "multi_head" else {}
    return RnnForSequenceClassification(RnnConfig(**shape | {"num_labels": 3} | config)).eval()


def batch(lengths: tuple[int, ...] = LENGTHS, width: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(3, 50, (len(lengths), width), generator=generator)
    mask = (torch.arange(width) < torch.tensor(lengths).unsqueeze(1)).long()
    return ids * mask, mask


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("cell", "pooling"), itertools.product(CELLS, POOLINGS))
def test_padding_does_not_change_the_result(cell: str, pooling: str, bidirectional: bool) -> None:
    model = model_of(cell=cell, pooling=pooling, bidirectional=bidirectional)
    ids, mask = batch()
    with torch.no_grad():
        together = model(ids, mask).logits
        for row, length in enumerate(LENGTHS):
            alone = model(ids[row : row + 1, :length]).logits[0]
            torch.testing.assert_close(together[row], alone, rtol=0, atol=1e-6)
        noisy = torch.where(mask == 1, ids, torch.randint_like(ids, 3, 50))
        torch.testing.assert_close(model(noisy, mask).logits, together, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("cell", "act", "pooling"),
    [
        pytest.param(cell, act, pooling, marks=[pytest.mark.slow] if cell != "lstm" else [])
        for cell, act, pooling in (
            *((cell, "tanh", "max") for cell in CELLS),
            ("rnn", "relu", "max"),
            ("lstm", "tanh", "multi_head"),
        )
    ],
)
def test_exported_it_takes_any_length(cell: str, act: str, pooling: str) -> None:
    model = model_of(cell=cell, hidden_act=act, pooling=pooling)
    ids, mask = batch()
    dims = {0: torch.export.Dim("batch", min=1, max=64), 1: torch.export.Dim("length", max=512)}
    shapes = {"input_ids": dims, "attention_mask": dims}
    with torch.no_grad():
        program = torch.export.export(
            model, (), {"input_ids": ids, "attention_mask": mask}, dynamic_shapes=shapes
        ).module()
        for rows, width in ((3, 29), (1, 1)):
            ids, mask = batch(tuple(range(width, width + rows)), width)
            found = program(input_ids=ids, attention_mask=mask).logits
            torch.testing.assert_close(found, model(ids, mask).logits, rtol=0, atol=1e-6)


@pytest.mark.parametrize("cell", CELLS)
def test_states_are_those_of_torch_reading_packed_rows(cell: str) -> None:
    model = model_of(cell=cell, num_hidden_layers=1)
    layer = model.rnn.layers[0]
    reference = CELLS[cell](12, 10, batch_first=True, bidirectional=True)
    weights = dict(layer.ahead.named_parameters())
    weights |= {f"{name}_reverse": p for name, p in layer.back.named_parameters()}
    reference.load_state_dict(weights)
    ids, mask = batch()
    packed = nn.utils.rnn.pack_padded_sequence(
        model.rnn.embeddings(ids), mask.sum(1), batch_first=True, enforce_sorted=False
    )
    expected = nn.utils.rnn.pad_packed_sequence(reference(packed)[0], batch_first=True)[0]
    states = model.rnn(ids, mask).last_hidden_state * mask.unsqueeze(-1)
    torch.testing.assert_close(states, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("pooling", ["attention", "multi_head"])
def test_pooling_is_the_mean_that_its_attention_weights_say(pooling: str) -> None:
    model = model_of(pooling=pooling).rnn
    ids, mask = batch()
    left = torch.arange(12) >= 12 - mask.sum(1, keepdim=True)  # padding on the left
    shifted = torch.zeros_like(ids).masked_scatter(left, ids[mask == 1])
    for tokens, given in ((ids, mask), (shifted, left.long()), (ids, None)):
        base = model(tokens, given, output_attentions=True)
        (weights,) = base.attentions
        assert weights.shape == (4, 3 if pooling == "multi_head" else 1, 12)
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:2]))
        assert not weights.transpose(1, 2)[torch.zeros_like(ids) == given].any()
        assert weights.std(-1).min() > 0 or given is not None
        means = weights @ base.last_hidden_state
        torch.testing.assert_close(base.pooler_output, means.flatten(1))
        assert model(tokens, given).attentions is None


@pytest.mark.parametrize("act", ["tanh", "relu"])
def test_a_step_of_the_plain_cell_is_torchs(act: str) -> None:
    cell = model_of(cell="rnn", hidden_act=act).rnn.layers[0].ahead
    assert cell.nonlinearity == act
    x = torch.randn(3, 5, 12, generator=torch.Generator().manual_seed(2))
    weights = cell.weight_ih_l0, cell.weight_hh_l0, cell.bias_ih_l0, cell.bias_hh_l0
    ((w_in, w_state, b_in, b_state), state) = weights, x.new_zeros(3, 10)
    step = recurrent_loop.step_of(cell)[0]
    expected = cell(x)[0]
    for i in range(5):
        given = nn.functional.linear(x[:, i], w_in, b_in)
        (state,) = step((state,), given, nn.functional.linear(state, w_state, b_state))
        torch.testing.assert_close(state, expected[:, i], rtol=0, atol=1e-6)


def test_a_row_of_nothing_but_padding_gives_finite_logits() -> None:
    ids, mask = batch((0, 5))
    assert model_of()(ids, mask).logits.isfinite().all()


@pytest.mark.parametrize("numerics", ["fp32", "autocast", "bf16 weights"])
@pytest.mark.parametrize(
    ("cell", "pooling"), [*((cell, "max") for cell in CELLS), ("lstm", "multi_head")]
)
def test_every_cell_passes_gradients_to_all_weights(cell: str, pooling: str, numerics: str) -> None:
    model = model_of(cell=cell, pooling=pooling).train()
    bf16 = Bf16Weights(model) if numerics == "bf16 weights" else None
    ids, mask = batch()
    with torch.autocast("cpu", torch.bfloat16, enabled=numerics == "autocast"):
        loss = model(ids, mask, labels=torch.tensor([0, 1, 2, 0])).loss
    loss.backward()
    if bf16:
        bf16.collect()
    named = bf16.named_parameters() if bf16 else model.named_parameters()
    for name, parameter in named:
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all() and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(
    ("problem", "labels"),
    [
        ("regression", torch.tensor([0.5, 1.0, -1.0, 2.0])),
        ("multi_label_classification", torch.tensor([[0.0, 1.0]] * 4)),
    ],
)
def test_the_loss_follows_the_problem_type(problem: str, labels: torch.Tensor) -> None:
    outputs = labels.shape[1] if labels.ndim > 1 else 1
    model = model_of(num_labels=outputs, problem_type=problem)
    ids, mask = batch()
    found = model(ids, mask, labels=labels)
    kind = nn.MSELoss() if outputs == 1 else nn.BCEWithLogitsLoss()
    torch.testing.assert_close(found.loss, kind(found.logits.squeeze(-1), labels))


def big(scheme: str, cell: str = "lstm") -> RnnForSequenceClassification:
    return model_of(
        initialization=scheme, cell=cell, embedding_size=192, hidden_size=128, vocab_size=2000
    )


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("scheme", ["default", "xavier", "he", "normal"])
def test_first_weights_have_the_statistics_of_their_scheme(scheme: str, cell: str) -> None:
    cell_module = big(scheme, cell).rnn.layers[0].ahead
    gates = {"lstm": 4, "gru": 3, "rnn": 1}[cell]
    for name, fan_in in (("weight_ih_l0", 192), ("weight_hh_l0", 128)):
        for gate in getattr(cell_module, name).chunk(gates):
            assert gate.shape == (128, fan_in)
            if scheme == "default" and name == "weight_hh_l0":
                torch.testing.assert_close(gate @ gate.T, torch.eye(128), rtol=0, atol=1e-5)
                continue
            std = {
                "default": math.sqrt(2 / (fan_in + 128)),
                "xavier": math.sqrt(2 / (fan_in + 128)),
                "he": math.sqrt(2 / fan_in),
                "normal": 0.02,
            }[scheme]
            assert gate.std().item() == pytest.approx(std, rel=0.05)
            assert abs(gate.mean().item()) < std / 25
            # uniform within sqrt(3) standard deviations, or normal, which goes far beyond them
            uniform = scheme in ("default", "xavier")
            assert (gate.abs().max().item() <= math.sqrt(3) * std + 1e-6) == uniform


@pytest.mark.parametrize("scheme", ["default", "xavier", "he", "normal"])
def test_embeddings_and_head_begin_as_stated(scheme: str) -> None:
    model = big(scheme)
    rows = model.rnn.embeddings.weight
    std = 0.02 if scheme == "normal" else EMBEDDING_STD
    assert rows[1:].std().item() == pytest.approx(std, rel=0.05)
    assert not rows[0].any(), "the row of the padding"
    assert not model.classifier.bias.any()


def test_the_forget_gate_begins_open() -> None:
    for layer in model_of(cell="lstm").rnn.layers:
        for cell in (layer.ahead, layer.back):
            total = cell.bias_ih_l0 + cell.bias_hh_l0
            expected = torch.tensor([0.0, 1.0, 0.0, 0.0]).repeat_interleave(10)
            assert torch.equal(total, expected)
    for cell_name in ("gru", "rnn"):
        cell = model_of(cell=cell_name).rnn.layers[0].ahead
        assert not cell.bias_ih_l0.any() and not cell.bias_hh_l0.any()


def test_the_seed_decides_the_first_weights() -> None:
    first, again, other = (model_of(seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["classifier.weight"], other["classifier.weight"])


def test_recurrent_biases_are_not_decayed() -> None:
    assert "rnn.layers.1.back.bias_hh_l0" in no_decay_names(model_of())
    assert "rnn.layers.1.back.weight_hh_l0" not in no_decay_names(model_of())
