"""Places to write to that are something else already, or can be nothing."""

import dataclasses
import os
import resource
import signal
import stat
import threading
from collections.abc import Callable
from pathlib import Path

from tests.faults.fuzz.command import Command, Scene
from tests.faults.fuzz.models import MODELS, TEXT, VISION, measured, rendered

Place = Callable[[Scene], Path]


def _file(scene: Scene) -> Path:
    path = scene.out / "there.jsonl"
    path.write_text("precious\n")
    return path


def _folder(scene: Scene) -> Path:
    path = scene.out / "folder.jsonl"
    path.mkdir()
    (path / "precious").touch()
    return path


def _link(scene: Scene) -> Path:
    path = scene.out / "link.jsonl"
    path.symlink_to(_file(scene).name)
    return path


def _loop(scene: Scene) -> Path:
    path = scene.out / "loop.jsonl"
    path.symlink_to(path.name)
    return path


def _dangling(scene: Scene) -> Path:
    path = scene.out / "link.jsonl"
    path.symlink_to("nowhere/x.jsonl")
    return path


def _pipe(scene: Scene) -> Path:
    path = scene.out / "pipe.jsonl"
    os.mkfifo(path)
    return path


def _device(scene: Scene, minor: int) -> Path:
    """A device of our own as /dev/null (3) or /dev/full (7) are: a fault replaces that one, and not
    the machine's. Only root may make one, and nobody else can harm the machine's."""
    path = scene.out / f"device {minor}"
    if os.geteuid() != 0:
        return Path({3: "/dev/null", 7: "/dev/full"}[minor])
    if not path.exists():
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, minor))
    return path


PLACES: dict[str, Place] = {
    "a file": _file,
    "a folder": _folder,
    "a link": _link,
    "a loop": _loop,
    "a link to nothing": _dangling,
    "a pipe": _pipe,
    "below a file": lambda scene: _file(scene) / "x.jsonl",
    "a long name": lambda scene: scene.out / ("x" * 300 + ".jsonl"),
    "a long path": lambda scene: scene.out.joinpath(*["folder" * 30] * 30, "x.jsonl"),
    "a new folder": lambda scene: scene.out / "new folder" / "x.jsonl",
    "a line feed": lambda scene: scene.out / "a\nb.jsonl",
    "no suffix": lambda scene: scene.out / "labels",
    "another suffix": lambda scene: scene.out / "labels.xlsx",
    "a full device": lambda scene: _device(scene, 7),
    "/proc": lambda scene: Path("/proc/x.jsonl"),
}


def places(scene: Scene) -> Command:
    """Something is written to such a place."""
    name = scene.draw.choice([*PLACES])
    path = PLACES[name](scene)

    def prepare() -> None:
        if name == "a pipe":  # somebody reads it
            os.open(path, os.O_RDWR | os.O_NONBLOCK)

    results = str(scene.world / "results.jsonl")
    uses = (
        (TEXT.module, "predict", str(scene.world / "text"), "--text", "a", "--output", str(path)),
        ("bench", "report", results, "--out", str(path)),
        ("bench", "report", results, "--out", str(_device(scene, 3)), "--markdown", str(path)),
        (
            TEXT.module,
            *TEXT.finetune(scene),
            "--output_dir",
            str(path),
        ),
        ("tools.hub", "pull", "user/x", "--output_dir", str(path)),
    )
    program, *words = scene.draw.choice(uses)
    run = path if "finetune" in words else None
    return Command(program, tuple(words), name, prepare=prepare, run=run)


def limits(scene: Scene) -> Command:
    """The disk takes no more after so many bytes, or no more files can be opened."""
    size = scene.draw.choice((0, 100, 1000, 5000, 20_000, 100_000, 150_000, 250_000))
    more = scene.draw.choice((3, 6, 12, 30))
    if scene.chance(0.75):
        return _writing(
            scene, f"at most {size} bytes a file", lambda: _limit(resource.RLIMIT_FSIZE, size)
        )
    what = f"at most {more} files more"
    return _writing(scene, what, lambda: _limit(resource.RLIMIT_NOFILE, _open_files() + more))


def _limit(what: int, most: int) -> None:
    resource.setrlimit(what, (most, most))


def _open_files() -> int:
    return max(int(path.name) for path in Path("/proc/self/fd").iterdir()) + 1


def signals(scene: Scene) -> Command:
    """A signal comes in the middle. When exactly is not the case's to say."""
    signum = scene.draw.choice((signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    after = scene.draw.uniform(0, 0.9)

    def prepare() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        timer = threading.Timer(after, os.kill, (os.getpid(), signum))
        timer.daemon = True
        timer.start()

    command = _writing(scene, f"{signum.name} after {after:.2f} s", prepare)
    return dataclasses.replace(command, signal=signum)


def _writing(scene: Scene, what: str, prepare: Callable[[], None]) -> Command:
    """A command that writes."""
    use = scene.draw.choice(
        ("finetune", "finetune", "predict", "report", "cards", "evaluate", "export")
    )
    if use == "finetune":
        model = scene.draw.choice(MODELS)
        words = model.finetune(scene, "--save_steps", 1)
        return Command(model.module, words, what, run=scene.run, prepare=prepare)
    if use == "predict":
        file, output = scene.world / "reviews" / "test.csv", scene.out / "labels.csv"
        words = ("predict", scene.world / "text", "--file", file, "--output", output)
        return Command(
            TEXT.module, tuple(map(str, words)), what, output=output, rows=60, prepare=prepare
        )
    if use == "report":
        words = ("report", scene.world / "results.jsonl", "--out", scene.out / "report.html")
        return Command("bench", tuple(map(str, words)), what, prepare=prepare)
    checkpoint = scene.copy("vision", without=("README.md",) if use == "cards" else ())
    if use == "cards":
        return Command(
            "tools.cards", (str(checkpoint),), what, writes=rendered(checkpoint), prepare=prepare
        )
    flags = ("--runtime", "onnx") if use == "export" else ()
    writes = (*measured(checkpoint), "vision/artifacts*")
    words = (use, str(checkpoint), *flags)
    return Command(VISION.module, words, what, writes=writes, prepare=prepare)
