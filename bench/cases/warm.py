"""What every process of a case would import and build: done once, in the process that others are
forked from (`zoo.measure.preloaded`), by importing this module.

Not among it is what starts threads as it is imported: datasets (the allocator of pyarrow has one),
and some packages of one runtime alone (onnxruntime, openvino).
"""

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator

from bench.cases.models import SHAPES
from zoo.model import registry

LIBRARIES = (
    "tasks.torch_extensions",
    "torch",
    "torch._dynamo",
    "torch._inductor.compile_fx",
    "transformers.modeling_utils",
    "transformers.models.auto.modeling_auto",
    "transformers.generation.utils",
    "accelerate",
    "scipy.special",
    "timm",
)
OURS = (
    "zoo.auto",
    "zoo.deploy.timed",
    "zoo.deploy.export",
    "zoo.runtimes.eager",
    "zoo.runtimes.compiled",
    "zoo.speedups.allocator",
    "zoo.train.args",
    "zoo.train.optim.optimizer",
    "bench.cases.generation",
    "bench.cases.prepare",
    "bench.cases.random_weights",
    "bench.cases.workload",
    "bench.measures.parity",
)

MEANWHILE = {"PYTORCH_NVML_BASED_CUDA_CHECK": "1", "TORCH_WARM_POOL": "0"}
"""Variables for as long as the imports take, so that what is imported can be forked. By the first
`torch.cuda.is_available()`, which some modules call, does not open CUDA, which no child could use
then; by the second some versions of the compiler start no pool of processes and threads."""

LATER = ("torchao",)
"""Packages that open CUDA as they are imported, which transformers does where they are installed:
`import transformers` of a GPU's process then costs that, too, and no child could use CUDA. They are
as if they were not there meanwhile; who needs one imports it later."""


def modules() -> Iterator[str]:
    """Yield the names of the modules to import, in the order in which they are imported."""
    yield from LIBRARIES
    yield from OURS
    for entry in registry.entries():
        yield from (entry.module, entry.task, entry.network, entry.modality)
    for kind in dict.fromkeys(shape.kind for shape in SHAPES.values()):
        if kind is not None:
            name = {"timm": "timm_wrapper"}.get(kind, kind.replace("-", "_"))
            yield f"transformers.models.{name}.modeling_{name}"


def import_all() -> None:
    """Import the modules that are installed. A broken library is skipped: whoever needs it imports
    it again and reports the error."""
    before = {name: os.environ.get(name) for name in MEANWHILE}
    os.environ.update(MEANWHILE)
    hidden = [name for name in LATER if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: not to be imported
    for name in dict.fromkeys(modules()):
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    for name in hidden:
        del sys.modules[name]
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


def build_tables() -> None:
    """Make transformers compile the thousand patterns by which it renames weights, which otherwise
    takes half a second of the first `from_pretrained` of a process."""
    with contextlib.suppress(Exception):  # an older version has none
        table = importlib.import_module("transformers.conversion_mapping")
        table.get_checkpoint_conversion_mapping("bert")


import_all()
build_tables()
