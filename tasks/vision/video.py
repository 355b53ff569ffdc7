"""The frames of a video as images, decoded by ffmpeg where that is installed."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tasks.errors import UserError
from tasks.media.source import BadFile
from tasks.printing import print_lines
from tasks.vision import images

SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"})
PROGRAM = "ffmpeg"
LONGEST_SHOWN = 200  # characters of what ffmpeg says


def frames(path: Path, max_pixels: int = images.MAX_PIXELS) -> Iterator[bytes]:
    """Yield each frame of a video's first stream as a PPM file of 8 bits, turned as the video says;
    none is repeated or dropped to keep a rate.

    One frame is in memory at a time. ffmpeg opens local files alone, whatever a file refers to.
    What it says of a video that it could read in part is printed as a warning.

    Raises `UserError` where there is no ffmpeg, and `BadFile` for what has no frames or frames of
    more than `max_pixels`.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise UserError(
            f"{path} is a video, whose frames {PROGRAM} decodes, and it is not installed here",
            hint=f"install {PROGRAM}, or give images",
        )
    read = ("-nostdin", "-v", "error", "-protocol_whitelist", "file,pipe", "-i", f"file:{path}")
    write = ("-map", "0:V:0", "-fps_mode", "passthrough", "-pix_fmt", "rgb24", "-c:v", "ppm")
    command = (program, *read, *write, "-f", "image2pipe", "pipe:1")
    with (
        tempfile.TemporaryFile() as told,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=told
        ) as process,
    ):
        assert process.stdout is not None
        count = 0
        try:
            while (frame := _next_frame(process.stdout, max_pixels)) is not None:
                count += 1
                yield frame
            process.wait()
        finally:
            process.kill()  # where no more frames are wanted
        told.seek(0)
        said = told.read().decode("utf-8", "replace").strip().partition("\n")[0][:LONGEST_SHOWN]
    if "fps_mode" in said:
        raise UserError(f"{PROGRAM} is older than 5.1 here: {said}", hint="install a newer one")
    if not count:
        raise BadFile(f"{PROGRAM} finds no frames in it: {said or 'it says nothing'}")
    if said or process.returncode:
        why = said or f"it ended with code {process.returncode}"
        print_lines(
            f"warning: {path}: {count:,} frame{'s'[: count != 1]}; {PROGRAM}: {why}",
            file=sys.stderr,
        )


def _next_frame(stream: IO[bytes], max_pixels: int) -> bytes | None:
    """Return the next PPM file of a stream (P6, width and height, 255); None at its end, also
    within a frame."""
    head = [stream.readline() for _ in range(3)]
    if not head[-1]:
        return None
    width, height = map(int, head[1].split())
    if width * height > max_pixels:
        raise BadFile(f"frames of {width:,} x {height:,} pixels, more than the {max_pixels:,}")
    wanted = 3 * width * height
    content = stream.read(wanted)
    return b"".join((*head, content)) if len(content) == wanted else None
