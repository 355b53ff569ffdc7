"""Fixtures for all tests: a tiny BERT, a tiny data set, and caches of the session's own.

The variables are set on import, before anything reads them: the Hugging Face libraries look once.
"""

import contextlib
import gc
import importlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests import cases, tiny_pairs, tiny_text
from tests.cli import ROOT, run_cli
from tests.sharing import shared

SCRATCH = Path(tempfile.mkdtemp(prefix="zoo-tests-"))
for name in ("HF_HUB_CACHE", "HF_DATASETS_CACHE", "HF_ASSETS_CACHE", "HF_MODULES_CACHE"):
    os.environ.pop(name, None)  # they would win over HF_HOME
os.environ.update(
    {
        "ZOO_CACHE": str(SCRATCH / "zoo"),
        "HF_HOME": str(SCRATCH / "huggingface"),
        "XDG_STATE_HOME": str(SCRATCH / "state"),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "agg",
        # for children in any folder: the checkout, and packages that are carried but not installed
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
    }
)


# how long an example takes is no property of it: machines are shared
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_configure(config: pytest.Config) -> None:
    """Hides the GPU from all tests, and from what they start, but for `pytest -m gpu`.

    The others claim equality to the last bit and fork, neither of which CUDA allows. Nothing has
    looked for a GPU yet: CUDA reads the variable when it is first asked.
    """
    asked = config.option.markexpr
    if not re.search(r"\bgpu\b", asked) or re.search(r"\bnot\s+gpu\b", asked):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Has each worker begin with other files, as all workers collect all tests.

    Two thirds of the time for a file go into its compilation, with assertions rewritten. So each
    worker compiles a part, and finds the bytecode of the others' parts when it comes to them.
    """
    gc.disable()  # what is imported stays, and looking through it takes a tenth of the time
    try:
        if session.config.args_source is pytest.Config.ArgsSource.TESTPATHS:
            _import_own_part()
        return (yield)
    finally:
        gc.freeze()  # later collections leave it out, which takes seconds each
        gc.enable()


def _import_own_part() -> None:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    for path in files[len(files) * worker // workers :] if worker else []:
        # what cannot be imported, or skips itself, is told of when it is collected
        with contextlib.suppress(Exception, pytest.skip.Exception):
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Has one worker do all tests of `zoo.serve`, which share services of their session."""
    if config.getoption("dist") != "loadscope":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ByFixtures(LoadScopeScheduling):
        """By file, but for tests whose fixtures of the session cost more than they do."""

        def _split_scope(self, nodeid: str) -> str:
            serve = "tests/zoo/serve"
            return serve if nodeid.startswith(f"{serve}/") else super()._split_scope(nodeid)

    return ByFixtures(config, log)


@pytest.hookimpl(tryfirst=True)  # before `-m` leaves out what is slow
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks as slow what slow.txt names; fails where it names what is not there."""
    lines = (ROOT / "tests" / "slow.txt").read_text(encoding="utf-8").splitlines()
    named = {line for line in lines if not line.startswith("#")}
    seen: set[str] = set()
    for item in items:
        test, _, _ = item.nodeid.partition("[")
        if here := {test.partition("::")[0], test, item.nodeid} & named:
            item.add_marker(pytest.mark.slow)
            seen |= here
    whole = [path for path in config.args if "::" not in path]
    files = {item.nodeid.partition("::")[0] for item in items} if whole == config.args else set()
    if gone := sorted(one for one in named - seen if one.partition("::")[0] in files):
        raise pytest.UsageError(f"tests/slow.txt names what is not there: {', '.join(gone)}")


def pytest_unconfigure() -> None:
    """Removes the session's caches."""
    shutil.rmtree(SCRATCH, ignore_errors=True)


@pytest.fixture(scope="session")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder SPLIT.csv; see `tests.tiny_text.write_reviews`. Copy it to change it."""
    return _written(tiny_text.write_reviews, tmp_path_factory.mktemp("reviews"))


@pytest.fixture(scope="session")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder SPLIT.conll; see `tests.tiny_text.write_tagged`. Copy it to change it."""
    return _written(tiny_text.write_tagged, tmp_path_factory.mktemp("tagged"))


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder SPLIT.jsonl of sentences in two languages; see `tests.tiny_pairs.write`."""
    return _written(tiny_pairs.write, tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of weights; see `tests.tiny_text.write_bert`. Copy it to change it."""
    return _written(tiny_text.write_bert, tmp_path_factory.mktemp("tiny_bert"))


@pytest.fixture(scope="session")
def exported_model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Gives a tiny checkpoint of the model of a name, with an ONNX program: see
    `tests.tiny_models`. Copy it to change it."""

    from tests import tiny_models  # imports transformers, which reads the variables above

    def make(name: str, folder: Path) -> None:
        made = tiny_models.checkpoint(name, request.getfixturevalue, folder)
        done = run_cli("zoo", "export", made, "--runtime", "onnx")
        assert done.code == 0 and "arrangements compared" in done.out, done.err

    def exported(name: str) -> Path:
        return shared(tmp_path_factory, f"exported-{name}", partial(make, name)) / "run"

    return exported


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder SPLIT/LABEL/*.png; see `tests.cases.write_images`. Copy it to change it."""
    return _written(cases.write_images, tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="session")
def masked_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder SPLIT/images/*.png and SPLIT/masks/*.png; see `tests.cases.write_masks`."""
    return _written(cases.write_masks, tmp_path_factory.mktemp("masked_images"))


@pytest.fixture(scope="session")
def boxed_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder SPLIT/*.png and SPLIT/metadata.jsonl; see `tests.cases.write_boxes`."""
    return _written(cases.write_boxes, tmp_path_factory.mktemp("boxed_images"))


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder SPLIT/LABEL/*.wav; see `tests.cases.write_sounds`."""
    return _written(cases.write_sounds, tmp_path_factory.mktemp("sounds"))


@pytest.fixture(scope="session")
def utterances(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder SPLIT/metadata.csv with transcriptions; see `tests.cases.write_utterances`."""
    return _written(cases.write_utterances, tmp_path_factory.mktemp("utterances"))


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder SPLIT.csv of a table; see `tests.cases.write_people`."""
    return _written(cases.write_people, tmp_path_factory.mktemp("people"))


def _written(write: Callable[[Path], None], folder: Path) -> Path:
    write(folder)
    return folder


@pytest.fixture(scope="session", params=cases.params())
def case(request: pytest.FixtureRequest) -> cases.Case:
    """Each modality in turn."""
    return cases.made(request, request.param)


@pytest.fixture(scope="session")
def zoo_data() -> Path:
    """The folder of the data sets that are not part of the project."""
    folder = Path(os.environ.get("ZOO_DATA", ""))
    if "ZOO_DATA" not in os.environ or not folder.is_dir():
        pytest.skip(
            "ZOO_DATA does not name a folder: the data sets beside the project are not here"
        )
    return folder
