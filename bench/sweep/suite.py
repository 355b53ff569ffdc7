"""Suites: YAML files of cases, by cross product.

    minutes_per_case: 0.5         # as the flags of `python -m bench run`, which win
    measures: [latency, memory]
    cases:
      - models: [minilm, runs/reviews]
        deployments: [eager, onnx]
        batch_sizes: [1, 16]
        lengths: [32, 128]

What is wrong in one is told in a line with file, line and key.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench.cases import models
from bench.cases.case import Case
from bench.measures import MEASURES
from tasks.errors import UserError, did_you_mean
from zoo.measure.workload import NEW_TOKENS, PHASES, Generate, Serve
from zoo.runtimes.deployment import Deployment

FOLDER = Path(__file__).parents[1] / "suites"
PAIR = 2
"""Deployments of a workload without which there is nothing to compare."""


@dataclass(frozen=True)
class Suite:
    """The content of a suite file; None for what the file does not set."""

    cases: tuple[Case, ...]
    measures: tuple[str, ...] | None = None
    minutes_per_case: float | None = None
    launches: int | None = None


def names() -> list[str]:
    """Return the names of the built-in suites."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def find(suite: str) -> Path:
    """Return the file of a suite, by name or path. Raises `UserError` if there is none."""
    if suite in names():
        return FOLDER / f"{suite}.yaml"
    path = Path(suite)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        if not path.is_file():
            raise UserError(f"--suite {suite}: there is no such file")
        return path
    raise UserError(f"--suite {suite}: no such suite; {_hint(suite, names())}, or a file (.yaml)")


def read(path: Path, threads: int, flags: Mapping[str, Sequence[Any]] | None = None) -> Suite:
    """Return the suite in a file.

    Args:
        threads: for cases that do not set them.
        flags: axes that win over those of the file.

    Raises `UserError` with the line for a file that is not a valid suite.
    """
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = f", line {line + 1}" if line is not None else ""
        raise UserError(f"{path}{where}: not valid YAML") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} can't be read: {error}") from None
    if root is None:
        raise UserError(f"{path} is empty: it wants `cases:`")
    given = dict(_fields(path, root, ("cases", "measures", "minutes_per_case", "launches")))
    if "cases" not in given or not isinstance(given["cases"], yaml.SequenceNode):
        raise UserError(f"{path}, line {_line(given.get('cases', root))}: wants a list under cases")
    cases = [
        case for each in given["cases"].value for case in _grid(path, each, threads, flags or {})
    ]
    if not cases:
        raise UserError(f"{path}, line {_line(given['cases'])}: cases is empty")
    measures = minutes = launches = None
    if "measures" in given:
        measures = tuple(_each(path, "measures", given["measures"], measure_named))
    if "minutes_per_case" in given:
        (minutes,) = _each(path, "minutes_per_case", given["minutes_per_case"], _positive)
    if "launches" in given:
        (launches,) = _each(path, "launches", given["launches"], _count)
    return Suite(tuple(dict.fromkeys(cases)), measures, minutes, launches)


def cross(
    models: Sequence[str],
    deployments: Sequence[str] = ("eager",),
    batch_sizes: Sequence[int] = (1,),
    lengths: Sequence[float | None] = (None,),
    devices: Sequence[str] = ("cpu",),
    threads: Sequence[int] = (1,),
    phases: Sequence[Any] = ("inference",),
    new_tokens: Sequence[int] = (),
) -> list[Case]:
    """Return the cases of a grid, each once; all deployments of one workload follow each other.

    Raises `UserError` for `new_tokens` where no phase writes any.
    """
    if new_tokens and Generate.phase not in phases:
        raise UserError(f"`new_tokens` is of texts that are written: add `phases` {Generate.phase}")
    axes = (models, phases, devices, threads, batch_sizes, lengths, new_tokens or (NEW_TOKENS,))
    made = []
    for each in itertools.product(*axes, deployments):
        model, phase, device, cores, batch, length, tokens, deployment = each
        more = {"new_tokens": tokens} if phase == Generate.phase else {}
        made.append(Case.of(model, deployment, batch, length, device, cores, phase, **more))
    return list(dict.fromkeys(made))


def by_value(cases: Sequence[Case]) -> list[Case]:
    """Return the cases, the most valuable first: the first two deployments of every workload of
    every model, which say how they compare, in the order of the workloads of a model; then the
    third deployment of all, and so on.

    So a suite lists deployments and workloads by value, and if the time runs out, all models have
    been measured in part, instead of one model in full.
    """
    deployments: dict[Any, list[Case]] = {}
    workloads: dict[Any, list[Any]] = {}
    ranks: dict[Case, tuple[int, int, int]] = {}
    for case in dict.fromkeys(cases):
        model = (case.model, case.workload.phase, case.device, case.threads)
        workload = (model, case.workload)
        if workload not in deployments:
            workloads.setdefault(model, []).append(workload)
        deployments.setdefault(workload, []).append(case)
        ranks[case] = (
            max(PAIR, len(deployments[workload])),
            workloads[model].index(workload),
            len(ranks),
        )
    return sorted(ranks, key=ranks.__getitem__)


def axis(name: str, values: Sequence[Any]) -> list[Any]:
    """Return the checked values of an axis of a grid. Raises `UserError` for an invalid value."""
    return [AXES[name](value) for value in values]


def measure_named(name: Any) -> str:
    """Return the name of a measure, checked. Raises `UserError` if there is no such measure."""
    if name not in MEASURES:
        raise UserError(f"no measure {name!r}; {_hint(str(name), MEASURES)}")
    return str(name)


def model_named(name: Any) -> str:
    """Return the name of a model, checked. Raises `UserError` if there is no such model."""
    if not isinstance(name, str):
        raise UserError(f"{name!r} is no name of a model")
    models.must_be_known(name)
    return name


def device_named(name: Any) -> str:
    """Return the name of a device, checked. Raises `UserError` if it is not a device."""
    kind, colon, index = str(name).partition(":")
    if kind not in ("cpu", "cuda", "mps") or (colon and not index.isdecimal()):
        raise UserError(f"no device {name!r}; {_hint(kind, ('cpu', 'cuda', 'mps'))}")
    return str(name)


def _deployment(text: Any) -> str:
    return str(Deployment.parse(str(text)))


def _phase(name: Any) -> str:
    known = [phase for phase in PHASES if phase != Serve.phase]  # that is for `bench load`
    if name not in known:
        raise UserError(f"no phase {name!r}; {_hint(str(name), known)}")
    return str(name)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UserError(f"{value!r} is no whole number of at least 1")
    return value


def _positive(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise UserError(f"{value!r} is no number above 0")
    return value


def _length(value: Any) -> float | None:
    return None if value is None else _positive(value)


AXES: Mapping[str, Callable[[Any], Any]] = {
    "models": model_named,
    "deployments": _deployment,
    "batch_sizes": _count,
    "lengths": _length,
    "devices": device_named,
    "threads": _count,
    "phases": _phase,
    "new_tokens": _count,
}
"""Keys of a grid, and what reads a value of each."""


def _grid(
    path: Path, node: yaml.Node, threads: int, flags: Mapping[str, Sequence[Any]]
) -> list[Case]:
    given = {
        name: _each(path, name, value, AXES[name]) for name, value in _fields(path, node, AXES)
    }
    if "models" not in given:
        raise UserError(f"{path}, line {_line(node)}: these cases name no models")
    return cross(**{"threads": [threads], **given, **flags})


def _fields(
    path: Path, node: yaml.Node, known: Sequence[str] | Mapping[str, Any]
) -> Iterator[tuple[str, yaml.Node]]:
    if not isinstance(node, yaml.MappingNode):
        raise UserError(f"{path}, line {_line(node)}: wants lines of `key: value`")
    seen = set()
    for key, value in node.value:
        name = str(key.value)
        if name not in known:
            raise UserError(f"{path}, line {_line(key)}: no key {name!r}; {_hint(name, known)}")
        if name in seen:
            raise UserError(f"{path}, line {_line(key)}: {name} stands here twice")
        seen.add(name)
        yield name, value


def _each(path: Path, name: str, node: yaml.Node, read: Callable[[Any], Any]) -> list[Any]:
    """Return the values of a key, whether it has one or a list of them."""
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    if not nodes:
        raise UserError(f"{path}, line {_line(node)}: {name} is empty")
    values = []
    for each in nodes:
        if not isinstance(each, yaml.ScalarNode):
            raise UserError(f"{path}, line {_line(each)}: {name} wants values, or one list of them")
        try:
            values.append(read(yaml.safe_load(yaml.serialize(each))))
        except UserError as error:
            raise UserError(f"{path}, line {_line(each)}: {name}: {error}") from None
    return values


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _hint(name: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    return did_you_mean(name, known) or f"there are {', '.join(known)}"
