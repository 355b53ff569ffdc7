"""A recorder of optimizer steps on the CPU, in the place of CUDA graphs.

What is recorded is a list of operations with the very tensors and numbers that they were given. A
replay does them again in the same memory: as with a CUDA graph, a number that Python had at hand
stays what it was, and a tensor is read anew. An operation that a GPU would be waited for in is an
error.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WAITS = ("_local_scalar_dense", "nonzero", "unique", "masked_select", "is_nonzero", "equal", "item")
WAITS += ("bincount", "lift_fresh")
"""In the names of operations whose result Python needs, or whose size depends on values, and of
`torch.tensor`, which copies to a GPU what Python has."""


class Waits(AssertionError):
    """A GPU would be waited for."""


class Tape(TorchDispatchMode):
    """Notes every operation while it is done."""

    def __init__(self, forgiving: bool = False) -> None:
        """Args: forgiving: note what waits in `waits`, in place of raising."""
        super().__init__()
        self.forgiving = forgiving
        self.waits: list[str] = []
        self.done: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = func.overloadpacket.__name__
        indexed = name in ("index", "index_put", "index_put_", "_index_put_impl_") and any(
            isinstance(x, Tensor) and x.dtype == torch.bool for x in tree_leaves(args[1])
        )
        if indexed or any(one in name for one in WAITS):
            if not self.forgiving:
                raise Waits(str(func))
            self.waits.append(str(func))
        found = func(*args, **(kwargs or {}))
        self.done.append((func, args, kwargs or {}, found))
        return found

    def replay(self) -> None:
        """Does all of it again, into the same memory."""
        with torch.no_grad():
            for func, args, kwargs, found in self.done:
                again = func(*args, **kwargs)
                for old, new in zip(tree_leaves(found), tree_leaves(again), strict=True):
                    if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
                        old.copy_(new)


class TapeRecorder:
    """Satisfies `zoo.train.step_graphs.Recorder`."""

    runs = True

    def __init__(self) -> None:
        self.recorded = self.replayed = self.watched = 0

    def stream(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def watch(self, seed: int) -> Iterator[list[str]]:
        self.watched += 1
        reasons: list[str] = []
        with Tape(forgiving=True) as tape:
            yield reasons
        reasons.extend(f"{name} waits" for name in tape.waits[:1])

    def record(self, work: Callable[[], Tensor | None]) -> Callable[[], Tensor | None]:
        self.recorded += 1
        with Tape() as tape:
            result = work()

        def again() -> Tensor | None:
            self.replayed += 1
            tape.replay()
            return result

        return again

    def recover(self) -> None:
        raise AssertionError("nothing fails to be recorded here")

    def has_room(self) -> bool:
        return True

    def free(self) -> None:
        raise AssertionError("memory does not run out here")
