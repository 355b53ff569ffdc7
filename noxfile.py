"""The checks as nox sessions: tests, lint, types; slow on request.

`nox` makes an environment a session (kept between calls), `nox --no-venv` uses the present one.
"""

import sys

import nox

nox.needs_version = ">=2024.4"
nox.options.sessions = ["tests", "lint", "types"]
nox.options.reuse_existing_virtualenvs = True

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
