"""The checks as nox sessions: tests, lint, types; slow suites and measurements on request.

`nox` makes an environment a session (kept between calls), `nox --no-venv` uses the present one.
"""

import sys
from pathlib import Path

import nox

nox.needs_version = ">=2024.4"
nox.options.sessions = ["tests", "lint", "types"]
nox.options.reuse_existing_virtualenvs = True

DTYPES = ("fp32", "tf32", "bf16", "fp16")
MODES = ("eager", "compile", "compile:reduce-overhead", "compile:max-autotune")
PARALLEL = ("-n", "logical", "--dist", "loadscope")  # a file's tests share their fixtures


def prepare(session: nox.Session) -> str:
    """The Python to use: the session's, with the project in it, or else the present one."""
    if isinstance(session.virtualenv, nox.virtualenv.PassthroughEnv):
        return sys.executable  # nothing is installed: what is here is used
    session.install("-q", "-c", "constraints.txt", "-e", ".[dev]")
    return "python"


@nox.session
def tests(session: nox.Session) -> None:
    """The tests that are quick; arguments after -- go to pytest."""
    python = prepare(session)
    session.run(python, "-m", "pytest", "-q", *PARALLEL, *session.posargs, external=True)


@nox.session
def slow(session: nox.Session) -> None:
    """The long suites."""
    python = prepare(session)
    session.run(python, "-m", "pytest", "-q", "-m", "slow", *session.posargs, external=True)


@nox.session
def examples(session: nox.Session) -> None:
    """Every command of EXAMPLES.md, those that take long too."""
    python = prepare(session)
    every = ("-m", "slow or not slow", "tests/examples")
    session.run(python, "-m", "pytest", "-q", *every, *session.posargs, external=True)


@nox.session
def lowest(session: nox.Session) -> None:
    """The quick tests with the lowest versions that pyproject.toml allows: see tests/lowest.py."""
    if isinstance(session.virtualenv, nox.virtualenv.PassthroughEnv):
        session.error("it installs old versions: run it without --no-venv")
    found = session.run("python", "-m", "tests.lowest", silent=True, stderr=None)
    constraints = Path(session.create_tmp()) / "lowest.txt"
    constraints.write_text(str(found), encoding="utf-8")
    session.install("-q", "-c", str(constraints), "-e", ".[dev]")
    session.run("python", "-m", "pytest", "-q", *PARALLEL, *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Odd inputs of all kinds for every command: `-- --seed 7 --cases 1000`."""
    python = prepare(session)
    session.run(python, "-m", "tests.faults.fuzz", *session.posargs, external=True)


@nox.session
def lint(session: nox.Session) -> None:
    """Style and format."""
    python = prepare(session)
    session.run(python, "-m", "ruff", "check", ".", external=True)
    session.run(python, "-m", "ruff", "format", "--check", ".", external=True)


@nox.session
def types(session: nox.Session) -> None:
    """Strict types in everything but the tests; see [tool.mypy]."""
    python = prepare(session)
    session.run(python, "-m", "mypy", external=True)


@nox.session
def bench(session: nox.Session) -> None:
    """The harness on the processor: its suite `smoke`, or what -- says, as `-- --suite cpu`."""
    python = prepare(session)
    asked = session.posargs or ["--suite", "smoke"]
    session.run(python, "-m", "bench", "run", *asked, external=True)


@nox.session
def gpu_check(session: nox.Session) -> None:
    """All that needs a GPU, in eight minutes: `-- --minutes 8 --wheels FOLDER --out FOLDER`."""
    python = prepare(session)
    session.run(python, "-m", "bench", "gpu_check", *session.posargs, external=True)


@nox.session
def cards(session: nox.Session) -> None:
    """Renders MODEL_CARDS.md and the cards of the checkpoints behind --, and checks them all."""
    python = prepare(session)
    asked = (*session.posargs, "--index")
    session.run(python, "-m", "tools.cards", *asked, external=True)
    session.run(python, "-m", "tools.cards", *asked, "--check", external=True)


@nox.session
def push(session: nox.Session) -> None:
    """`python -m tools.hub push` with what stands behind --: `-- runs/bert_cls me/reviews`."""
    python = prepare(session)
    if not session.posargs:
        session.error("what, and where to? nox -s push -- runs/bert_cls me/reviews")
    session.run(python, "-m", "tools.hub", "push", *session.posargs, external=True)


@nox.session
def profile(session: nox.Session) -> None:
    """A trace of a case for TensorBoard; which, -- says: `-- minilm --deployment compile`."""
    python = prepare(session)
    asked = session.posargs or ["cnn_cls", "--batch_size", "16"]
    session.run(python, "-m", "bench", "trace", *asked, external=True)


@nox.session
@nox.parametrize("mode", MODES)
@nox.parametrize("dtype", DTYPES)
def bench_gpu(session: nox.Session, dtype: str, mode: str) -> None:
    """The suite `gpu` in one dtype and compile mode; skips where there is no GPU."""
    python = prepare(session)
    look = "import torch; print(torch.cuda.is_available())"
    told = session.run(python, "-c", look, external=True, silent=True)
    if not str(told).strip().endswith("True"):
        session.skip("PyTorch sees no GPU here: see `python -m zoo doctor`")
    deployment = mode if dtype == "fp32" else f"{mode}+{dtype}"
    asked = session.posargs or ["--suite", "gpu"]
    session.run(python, "-m", "bench", "run", "--deployments", deployment, *asked, external=True)
