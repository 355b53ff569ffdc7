"""A recurrent cell as a loop over time, for torch.export: what that makes of nn.LSTM and its kin is
the steps of the one length that it was traced with."""

import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

State = tuple[Tensor, ...]
"""What a step hands to the next, each [batch, hidden]; the first is what the cell gives."""


def loop(cell: nn.RNNBase, x: Tensor) -> Tensor:
    """Return the states [batch, seq, hidden] that `cell(x)` gives of x [batch, seq, input], by a
    loop over steps.

    Args:
        cell: LSTM, GRU or RNN of one layer in one direction, batch first.
    """
    from torch._higher_order_ops.scan import scan

    step, carried = step_of(cell)
    ((input_weight, state_weight, input_bias, state_bias),) = cell.all_weights
    given = linear(x, input_weight, input_bias).transpose(0, 1)  # [seq, batch, gates]
    start = tuple(x.new_zeros(x.shape[0], cell.hidden_size) for _ in range(carried))

    def once(state: State, gates: Tensor) -> tuple[State, Tensor]:
        after = step(state, gates, linear(state[0], state_weight, state_bias))
        return after, after[0].clone()  # scan's outputs share no memory

    found: Tensor = scan(once, start, given)[1]
    return found.transpose(0, 1)


def _lstm(state: State, given: Tensor, again: Tensor) -> State:
    """Compute one LSTM step; gates input, forget, cell, output: [batch, 4 * hidden] from the input,
    and from the state."""
    let_in, keep, new, show = (given + again).chunk(4, -1)
    memory = keep.sigmoid() * state[1] + let_in.sigmoid() * new.tanh()
    return show.sigmoid() * memory.tanh(), memory


def _gru(state: State, given: Tensor, again: Tensor) -> State:
    """Compute one GRU step; gates reset, update, new: [batch, 3 * hidden] from the input, and from
    the state."""
    (reset, update, new), (r, z, n) = given.chunk(3, -1), again.chunk(3, -1)
    keep = (update + z).sigmoid()
    fresh = (new + (reset + r).sigmoid() * n).tanh()
    return ((1 - keep) * fresh + keep * state[0],)


def _rnn(state: State, given: Tensor, again: Tensor) -> State:
    """Compute one step of Elman's network; its one gate: [batch, hidden] from the input, and from
    the state."""
    return ((given + again).tanh(),)


def _rnn_relu(state: State, given: Tensor, again: Tensor) -> State:
    """Compute one step of Elman's network with relu in the place of tanh."""
    return ((given + again).relu(),)


STEPS: dict[type[nn.RNNBase], tuple[Callable[[State, Tensor, Tensor], State], int]] = {
    nn.LSTM: (_lstm, 2),
    nn.GRU: (_gru, 1),
    nn.RNN: (_rnn, 1),
}
"""Of each cell, one step, as torch.nn's documentation gives it, and how many tensors it carries."""


def step_of(cell: nn.RNNBase) -> tuple[Callable[[State, Tensor, Tensor], State], int]:
    """Return what computes one step of a cell, and how many tensors it carries; see `STEPS`."""
    if isinstance(cell, nn.RNN) and cell.nonlinearity == "relu":
        return _rnn_relu, 1
    return STEPS[type(cell)]


def states(cell: nn.RNNBase, x: Tensor) -> Tensor:
    """Return the states [batch, seq, hidden] of x [batch, seq, input]: by the cell's own kernel,
    and by `loop` during export."""
    if torch.compiler.is_exporting():
        return loop(cell, x)
    if x.is_cpu and torch.is_autocast_enabled("cpu") and not _has_bf16_cells():
        with torch.autocast("cpu", enabled=False):
            return cell(x.float())[0]  # type: ignore[no-any-return]
    found: Tensor = cell(x)[0]
    return found


@functools.cache
def _has_bf16_cells() -> bool:
    """Return whether this processor computes recurrent cells in bf16: oneDNN has no LSTM in bf16
    below AVX-512, and PyTorch does not go another way."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
