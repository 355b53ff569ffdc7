"""Images to predict on: files, folders, globs, a list of them, the frames of videos."""

from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tasks.errors import UserError
from tasks.media import inputs


@dataclass(frozen=True)
class Inputs:
    """What is to be looked at."""

    image: tuple[str, ...] = ()
    """image files, folders, or globs such as 'photos/*.jpg'; - reads names from standard input; of
    a video every frame, where ffmpeg is installed, named as
    'ffmpeg -i clip.mp4 -fps_mode passthrough clip-%06d.png' names them"""
    on_bad_file: Literal["skip", "stop"] = "stop"
    """what to do about an image that can't be read"""


def read(asked: Inputs, stack: ExitStack) -> Iterator[dict[str, Any]]:
    """Media values (`bytes` None, `path`), one by one; a folder's sorted by path. Those of a
    video's frames have `bytes`, and a path of which there is no file.

    Images are not opened here. Raises `UserError` at once where nothing is asked for, and in its
    turn for a name with no file behind it, and for a video that can't be read.
    """
    from tasks.vision.images import IMAGE

    if not asked.image:
        raise UserError("what is to be looked at? give `image` with files, folders or globs")

    def media() -> Iterator[dict[str, Any]]:
        from tasks.vision import video

        bad, found = 0, False
        suffixes = IMAGE.suffixes | video.SUFFIXES
        for path in inputs.expand(asked.image, suffixes, "images or videos"):
            if path.suffix.lower() in video.SUFFIXES:
                frames = _frames(path, asked.on_bad_file)
                stack.callback(frames.close)
                first = next(frames, None)
                if first is None:
                    bad += 1
                    continue
                found = True
                yield first
                yield from frames
            else:
                found = True
                yield {"bytes": None, "path": str(path)}
        if bad and not found:
            raise inputs.none_can_be_used(bad)

    return media()


def _frames(path: Path, on_bad_file: str) -> Generator[dict[str, Any]]:
    """Yield the frames of a video. One that can't be read is named and skipped, or a `UserError`,
    as images are."""
    from tasks.media.source import BadFile
    from tasks.vision import video

    try:
        for number, content in enumerate(video.frames(path), start=1):
            yield {"bytes": content, "path": f"{path.with_suffix('')}-{number:06}.png"}
    except BadFile as problem:
        inputs.skip(path, problem, on_bad_file)
