"""The checks as nox sessions: tests, lint, types; slow on request.

`nox` makes an environment a session (kept between calls), `nox --no-venv` uses the present one.
"""

import nox

nox.needs_version = ">=2024.4"
nox.options.sessions = ["tests", "lint", "types"]
nox.options.reuse_existing_virtualenvs = True


def install(session: nox.Session) -> None:
    """The project with what its development needs, in the tested versions.

    Without an environment of its own a session runs in the present one and installs nothing.
    """
    if not isinstance(session.virtualenv, nox.virtualenv.PassthroughEnv):
        session.install("-q", "-c", "constraints.txt", "-e", ".[dev]")


@nox.session
def tests(session: nox.Session) -> None:
    """The tests that are quick; arguments after -- go to pytest."""
    install(session)
    session.run("python", "-m", "pytest", "-q", *session.posargs)


@nox.session
def slow(session: nox.Session) -> None:
    """The long suites."""
    install(session)
    session.run("python", "-m", "pytest", "-q", "-m", "slow", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style and format."""
    install(session)
    session.run("python", "-m", "ruff", "check", ".")
    session.run("python", "-m", "ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Strict types in everything but the tests; see [tool.mypy]."""
    install(session)
    session.run("python", "-m", "mypy")
