"""What waits for a package comes when it is imported, and imports nothing before."""

import importlib.util
import sys

import pytest

from tasks import import_hook
from tests.cli import run_program


def test_what_waits_comes_once_the_package_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "this", raising=False)
    monkeypatch.setitem(sys.modules, "antigravity", sys)
    came: list[str] = []
    import_hook.after_import("antigravity", lambda: came.append("at once: it is there"))
    assert came == ["at once: it is there"]
    import_hook.after_import("this", lambda: came.append(sys.modules["this"].s[:3]))
    assert importlib.util.find_spec("this") is not None
    assert len(came) == 1, "nobody has imported it yet"
    importlib.import_module("this")
    assert came[1:] == ["Gur"]
    monkeypatch.delitem(sys.modules, "this")
    importlib.import_module("this")
    assert len(came) == 2, "once is enough"


def test_libraries_are_quiet_from_when_they_are_imported() -> None:
    program = (
        "import sys\n"
        "from zoo.machine import terminal\n"
        "terminal.quiet_libraries()\n"
        "assert not {'datasets', 'transformers', 'numpy'} & set(sys.modules)\n"
        "import datasets, transformers\n"
        "log = transformers.utils.logging\n"
        "print(datasets.are_progress_bars_disabled(), log.is_progress_bar_enabled(),"
        " log.get_verbosity() == log.ERROR)\n"
    )
    done = run_program(program)
    assert done.out.split() == ["True", "False", "True"], done.err
