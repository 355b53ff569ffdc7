"""What holds the house up: arrows run down only, the command line is light, nothing is executed."""

import ast
import graphlib
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.cli import ROOT, run_program
from zoo.model import registry

ROOMS = ("tools", "bench", "zoo", "tasks")  # each may import itself and those to its right
HEAVY = {
    *("torch", "torchvision", "torchaudio", "transformers", "datasets", "accelerate", "peft"),
    "numpy",
}
"""What a command line does without."""
LONGEST = 500  # lines; most have a third of that


def _sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


OURS = _sources(*ROOMS)
EVERY = [*OURS, *_sources("tests"), ROOT / "noxfile.py"]


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@cache
def _nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(_tree(path)))


@cache
def _source(node: ast.AST) -> str:
    """Return the code of a node; names, with dots or not, without `ast.unparse`, which is slow."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_source(node.value)}.{node.attr}"
    return ast.unparse(node)


@cache
def _imports(path: Path) -> list[tuple[int, str]]:
    return list(_found_imports(path))


def _found_imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and module of every import in a file, those inside functions and by name included."""
    for node in _nodes(path):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{_where(path, node)}: imports here are absolute"
            assert node.module is not None
            yield node.lineno, node.module
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        elif (
            isinstance(node, ast.Call)
            and _source(node.func) in ("importlib.import_module", "import_module", "__import__")
            and isinstance(node.args[0], ast.Constant)
        ):
            yield node.lineno, str(node.args[0].value)


def _where(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


def _of_each(paths: list[Path]) -> Callable[[Callable[[Path], None]], Callable[[], None]]:
    """Make one test of what is to hold for each file, which names all where it does not: of
    thousands of tests the overhead would be minutes."""

    def over(check: Callable[[Path], None]) -> Callable[[], None]:
        def test() -> None:
            wrong = []
            for path in paths:
                try:
                    check(path)
                except AssertionError as error:
                    wrong.append(f"{path.relative_to(ROOT)}: {error}")
            assert not wrong, "\n".join(wrong)

        test.__doc__ = check.__doc__
        return test

    return over


def test_arrows_run_down_only() -> None:
    wrong = []
    for path in OURS:
        room = path.relative_to(ROOT).parts[0]
        above = {*ROOMS[: ROOMS.index(room)], "tests"}
        for line, module in _imports(path):
            if module.partition(".")[0] in above:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {module}")
    assert not wrong, "\n".join(wrong)


ONCE = {
    "fcntl": "tasks/atomic.py",
    "matplotlib.figure": "zoo/machine/plots.py",
    "scipy.special.stdtrit": "tasks/metrics/intervals.py",
    "scipy.stats.t": "",
}
"""What one module does for all: locks, makes figures, knows Student's t."""
TEMPORARY = {
    "bench/cases/child.py",
    "bench/measures/memory.py",
    "bench/compare/peers.py",
    "tools/hub/folder.py",
    "tools/hub/onnx_layout.py",
    "zoo/speech/ctc_processor.py",
}
"""They write in temporary folders, or to what is no file."""


@_of_each(OURS)
def test_what_is_said_once(path: Path) -> None:
    where = path.relative_to(ROOT).as_posix()
    for line, module in _imports(path):
        assert ONCE.get(module, where) == where, f"line {line}: {module} is {ONCE[module]}'s"
    for node in _nodes(path):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        called, attribute = _source(node.func), node.func.attr
        assert attribute != "savefig" or where == ONCE["matplotlib.figure"], _where(path, node)
        if attribute in ("write_text", "write_bytes") and called != f"atomic.{attribute}":
            assert where in TEMPORARY, f"{_where(path, node)}: tasks.atomic writes files whole"


MODALITIES = ("nlp", "vision", "speech", "tabular")
FOLDERS = {
    "tasks": {"data", "kinds", "media", "metrics", "metrics/modules"}
    | {*MODALITIES, *(f"{name}/embedded" for name in MODALITIES)}
    | {"speech/decoding", "speech/sound"},
    "zoo": {
        "cli",
        "convert",
        "deploy",
        "evaluation",
        "generation",
        "machine",
        "measure",
        "model",
        "predict",
    }
    | {"pruning", "quantization", "runtimes", "ship", "speedups", "store", *MODALITIES}
    | {"serve", "serve/engine", "serve/operations", "serve/page", "serve/protocols"}
    | {"train", "train/methods", "train/optim", "train/reporting", "train/resume"},
    "bench": {"cases", "compare", "decide", "experiments", "gpu_check", "load", "load/peers"}
    | {"machine", "measures"}
    | {"record", "regression", "report", "sweep", "validity"},
    "tools": {"cards", "hub"},
}
"""Each has one subject; a new one is a decision."""
FLAT = {
    "zoo": {"__init__", "__main__", "auto"},
    "bench": {"__init__", "__main__", "cli"},
    "tools": {"__init__"},
}
"""Files beside the folders; those of tasks import nothing of ours but each other."""


def test_folders_are_those_of_the_plan() -> None:
    for room, folders in FOLDERS.items():
        found = {path.parent.relative_to(ROOT / room).as_posix() for path in _sources(room)}
        assert found - {"."} == folders
    for room, files in FLAT.items():
        assert {path.stem for path in (ROOT / room).glob("*.py")} == files
    for name, used in _uses().items():
        if re.fullmatch(r"tasks(\.\w+)?", name) and name[6:] not in FOLDERS["tasks"]:
            assert all(one.count(".") < 2 for one in used), f"{name} imports {used}"


def _at_run_time(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Imports below a node, those in functions included, those for types alone left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif not (isinstance(child, ast.If) and "TYPE_CHECKING" in _source(child.test)):
            yield from _at_run_time(child)


def _files() -> dict[str, Path]:
    """Our modules by name."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in OURS
    }


def _uses() -> dict[str, set[str]]:
    """The modules of ours that each module of ours imports."""
    names = _files()
    uses: dict[str, set[str]] = {name: set() for name in names}
    for name, path in names.items():
        for node in _at_run_time(_tree(path)):
            if isinstance(node, ast.Import):
                found = {alias.name for alias in node.names}
            else:
                full = {f"{node.module}.{alias.name}" for alias in node.names}
                found = {one if one in names else str(node.module) for one in full}
            uses[name] |= (found & set(names)) - {name}
    return uses


def _must_have_no_circle(uses: dict[str, set[str]]) -> None:
    try:
        tuple(graphlib.TopologicalSorter(uses).static_order())
    except graphlib.CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_no_modules_import_each_other() -> None:
    """Not in a circle either, nor inside of functions."""
    _must_have_no_circle(_uses())


def test_no_folders_import_each_other() -> None:
    """Not in a circle either: whoever reads one need not know who uses it."""
    folders: dict[str, set[str]] = {}
    is_package = {name for name, path in _files().items() if path.name == "__init__.py"}

    def folder(module: str) -> str:
        return module if module in is_package else module.rpartition(".")[0]

    for name, used in _uses().items():
        folders.setdefault(folder(name), set()).update(map(folder, used))
    _must_have_no_circle({name: used - {name} for name, used in folders.items()})


def test_the_loop_knows_no_domain() -> None:
    """Nothing but models and tasks themselves knows one: others know objectives and tasks.base."""
    known = {
        ROOT / "zoo/auto.py",  # registers our own networks: knowing them is its purpose
        ROOT / "zoo/ship/kinds.py",  # tells data of one domain from those of another
    }
    domains = {path for name in MODALITIES for path in _sources(f"zoo/{name}", f"tasks/{name}")}
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in sorted({*_sources("zoo", "tasks")} - known - domains)
        for line, module in _imports(path)
        if re.match(r"(zoo|tasks)\.(nlp|vision|speech)\b", module)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_loop_knows_hooks_and_no_method() -> None:
    """Nor does a fine-tune: `zoo.train.methods.known` alone lists them."""
    light = ("zoo.train.methods.base", "zoo.train.methods.known", "zoo.speedups.allocator")
    for name in ("loop", "finetune"):
        path = ROOT / "zoo" / "train" / f"{name}.py"
        used = {module for _, module in _imports(path) if not module.startswith(light)}
        own = {one for one in used if one.startswith(("zoo.train.methods.", "zoo.speedups."))}
        assert not own, f"{name}.py imports {sorted(own)}"


SCREEN = 60
"""Lines of a function that one sees at once, its docstring left out."""


@_of_each(_sources("zoo/train"))
def test_training_is_read_a_screen_at_a_time(path: Path) -> None:
    for node in _nodes(path):
        if isinstance(node, ast.FunctionDef) and node.end_lineno:
            lines = node.end_lineno - node.lineno + 1
            assert lines <= SCREEN, f"{_where(path, node)}: {node.name} has {lines} lines"


def test_every_model_has_its_line() -> None:
    """A file of a domain that declares an ENTRY is in the registry, under its own name."""
    declared = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in _sources(*(f"zoo/{name}" for name in MODALITIES))
        if any(
            isinstance(node, ast.Assign) and _source(node.targets[0]) == "ENTRY"
            for node in _tree(path).body
        )
    }
    assert declared == set(registry.MODULES)
    for module, entry in zip(registry.MODULES, registry.entries(), strict=True):
        assert (entry.module, entry.name) == (module, module.rpartition(".")[2])


LIGHT = [
    ["zoo", "list"],
    ["zoo", "--help"],
    ["zoo", "info", "bert_cls"],
    ["zoo", "finetune", "--help"],
    ["zoo", "finetune", "bert_cls", "--help-all"],
    ["zoo", "predict", "--help"],
    ["zoo", "complete", "finetune", "bert_cls", "--learning"],
    *([module, *words] for module in registry.MODULES for words in (["--help"], [])),
    *([entry.module, verb, "--help"] for entry in registry.entries() for verb in entry.verbs),
    ["tools.hub", "--help"],
    *(["tools.hub", verb, "--help"] for verb in ("push", "pull", "verify", "diff")),
]
"""Commands that answer at once."""


def test_the_command_line_is_light() -> None:
    """One after the other in a process of their own, none of them imports torch, numpy or their
    like even indirectly, and each says something."""
    program = (
        "import contextlib, io, runpy, sys\n"
        f"for command in {LIGHT!r}:\n"
        "    sys.argv = [*command]\n"
        "    said = io.StringIO()\n"
        "    try:\n"
        "        with contextlib.redirect_stdout(said):\n"
        "            runpy.run_module(command[0], run_name='__main__', alter_sys=True)\n"
        "    except SystemExit as stop:\n"
        "        assert stop.code in (0, None, 2), (command, stop.code)\n"
        f"    heavy = {HEAVY!r} & set(sys.modules)\n"
        "    assert not heavy, (command, heavy)\n"
        "    assert said.getvalue().strip(), command\n"
    )
    run_program(program)


FORBIDDEN_CALLS = {"eval", "exec", "torch.load", "torch.jit.load", "torch.export.load"}
# what they load must have been exported on this machine: zoo/runtimes/provenance.py
RUN_CODE = {f"zoo/runtimes/{name}.py" for name in ("aoti", "pt2", "torchscript")}
TENSORS_ALONE = "zoo/convert/state_dict.py"
"""Reads pickles of others, with the unpickler of torch that makes nothing but tensors."""
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}


@_of_each(OURS)
def test_nothing_is_executed(path: Path) -> None:
    """No pickle in any dress, no code from the Hub."""
    for line, module in _imports(path):
        assert module.partition(".")[0] not in FORBIDDEN_MODULES, f"line {line} imports {module}"
    for node in _nodes(path):
        if not isinstance(node, ast.Call):
            continue
        where, called = path.relative_to(ROOT).as_posix(), _source(node.func)
        if where == TENSORS_ALONE and called == "torch.load":
            flags = {keyword.arg: _source(keyword.value) for keyword in node.keywords}
            assert flags.get("weights_only") == "True", _where(path, node)
        elif where not in RUN_CODE:
            assert _source(node.func) not in FORBIDDEN_CALLS, _where(path, node)
        for keyword in node.keywords:
            if keyword.arg in ("trust_remote_code", "allow_pickle"):
                assert _source(keyword.value) == "False", _where(path, node)


LOADS = {"zoo/model/loading.py"}
PEERS = {
    "bench/compare/peer_targets.py",
    "bench/experiments/against_trainer.py",
    "bench/load/peers/pipeline.py",
}
"""Measured against the zoo: they load the zoo's own weights as any user of transformers does."""


@_of_each(OURS)
def test_one_place_loads(path: Path) -> None:
    """transformers runs code out of a folder, with consent from stdin, unless it is told not to."""
    where = path.relative_to(ROOT).as_posix()
    for node in _nodes(path):
        if isinstance(node, ast.Attribute) and node.attr in ("from_pretrained", "from_config"):
            if node.attr == "from_config" and "import_module" in _source(node.value):
                continue  # of a task, which is no model
            assert where in LOADS | PEERS, f"{_where(path, node)}: only zoo/model/loading.py loads"
        if not isinstance(node, ast.Call):
            continue
        name = _source(node.func)
        settings = ("trust_remote_code", "local_files_only", "pretrained")
        said = {one.arg: _source(one.value) for one in node.keywords if one.arg in settings}
        if name.endswith((".from_pretrained", ".from_config")) and where in LOADS | PEERS:
            assert said.get("trust_remote_code") == "False", _where(path, node)
        if name.endswith(".from_pretrained") and where in LOADS:
            assert said.get("local_files_only") == "True", _where(path, node)
        if name == "transformers.pipeline":
            assert where in PEERS and said.get("trust_remote_code") == "False", _where(path, node)
        if name == "timm.create_model":
            assert said.get("pretrained", "False") == "False", _where(path, node)


@_of_each(OURS)
def test_nobody_is_asked_for_consent(path: Path) -> None:
    """What is read from stdin is data."""
    for node in _nodes(path):
        if isinstance(node, ast.Call):
            assert _source(node.func) not in ("input", "builtins.input"), _where(path, node)


@_of_each(EVERY)
def test_a_file_says_what_it_is_and_is_not_long(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if text.strip():  # an empty __init__.py has nothing to say
        assert re.match(r'(#.*\n|\s)*r?"""\s*\S', text), f"{path.name} has no docstring"
    lines = len(text.splitlines())
    assert lines <= LONGEST, f"{path.name} has {lines} lines: it has more than one reason to change"


def test_what_is_imported_is_declared() -> None:
    """What a file of ours imports from outside is a dependency or an extra, not luck."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        lines += extra
    declared = {re.split(r"[^\w.-]", line)[0].lower().replace("_", "-") for line in lines}
    providers = importlib.metadata.packages_distributions()
    optional = {"triton"}  # comes with PyTorch for GPUs: asked for, and done without
    for path in OURS:
        for line, module in _imports(path):
            name = module.partition(".")[0]
            if name in sys.stdlib_module_names or name in ROOMS or name in optional:
                continue
            owners = {owner.lower().replace("_", "-") for owner in providers.get(name, [name])}
            assert owners & declared, f"{path.relative_to(ROOT)}:{line} imports {name}, undeclared"


def _first_block() -> list[str]:
    found = re.search(r"^```[^\n]*\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)
    assert found, "README.md has no code block"
    return found[1].splitlines()


def test_readme_begins_with_two_commands() -> None:
    lines = _first_block()
    assert len(lines) == 2
    for line in lines:
        assert "python3 -m venv .venv" in line and "-c constraints.txt" in line
        assert not line.endswith("\\")
    assert "finetune" in lines[0] and "pytest" in lines[1]


def test_constraints_hold_what_is_declared() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins), "one exact version a line"
    names = {pin.partition("==")[0].lower().replace("_", "-") for pin in pins}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["offline"], *extras["dev"]]
    missing = {re.split(r"[^\w.-]", line)[0].lower().replace("_", "-") for line in wanted} - names
    assert missing <= {"zoo"}


@_of_each([path for path in OURS if path != ROOT / "tasks/printing.py"])
def test_one_place_prints(path: Path) -> None:
    """Else a label or a file's name could steer the terminal."""
    for node in _nodes(path):
        if isinstance(node, ast.Call):
            called = _source(node.func)
            assert called not in ("print", "sys.stdout.write", "sys.stderr.write"), (
                f"{_where(path, node)}: tasks.printing.print_lines prints"
            )


COMMAND = re.compile(r"(python -m|torchrun) .*")
"""What is to be typed as it stands, flags and all."""


@_of_each([path for path in _sources("tasks", "zoo") if not {"cli", "operations"} & {*path.parts}])
def test_messages_name_fields_and_no_flags(path: Path) -> None:
    """They are read in Python and in a server's answers, too; the command line makes flags of
    them. What `operations` writes are commands of other programs."""
    of_no_message = set()
    for node in _nodes(path):
        if isinstance(node, ast.Expr | ast.Assign):  # docstrings, and what `predict` is shown with
            names = [_source(each) for each in getattr(node, "targets", ())]
            if isinstance(node, ast.Expr):
                of_no_message.add(node.value)
            elif names[0] in ("EXAMPLE_INPUT", "EXAMPLES", "example_call"):
                of_no_message.update(ast.walk(node.value))
    for node in _nodes(path):
        if isinstance(node, ast.JoinedStr):
            of_no_message.update(node.values)
            parts = [each.value if isinstance(each, ast.Constant) else "x" for each in node.values]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            parts = [node.value]
        else:
            continue
        text = "".join(parts)
        if node not in of_no_message and not re.fullmatch(r"--\S+", text):  # a word of a command
            assert not re.search(r"(?<![\w-])--[a-z]", COMMAND.sub("", text)), _where(path, node)
