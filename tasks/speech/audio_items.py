"""One sound as Python gives it to samples: a file in whatever form, an array, a tensor."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tasks.errors import UserError
from tasks.media.items import is_array, media_of, named_errors, no_media, shape_of, to_numpy
from tasks.media.source import BadFile

if TYPE_CHECKING:
    import numpy as np

DIMS = 2  # of the array of one sound, at most: one of them may be a single channel
LONGEST = 24 * 3600.0  # seconds of a file; it is read whole
LOUDEST = 8.0  # floats beyond are no samples in -1..1, which loud files pass by little


def samples(item: Any, rate: int) -> "np.ndarray":
    """The samples of one sound, float32 [samples] in -1..1 at `rate` a second.

    Args:
        item: a path, a file's content or an open file, a mapping of `bytes` or `path`, or of
            `array` (or `raw`) and `sampling_rate`, or with samples at `rate` under `wave`, or an
            array or tensor [samples] at `rate`: floats in -1..1, or integers of a width that files
            have (uint8, int16, int32). A single channel may stand first or last.

    Raises `UserError` for what is no sound.
    """
    from tasks.speech.sound import audio

    own = rate
    if isinstance(item, Mapping):
        named = [name for name in ("wave", "array", "raw") if item.get(name) is not None]
        if named:
            own = rate if named[0] == "wave" else _rate_of(item)
            item = item[named[0]]
    media = media_of(item, "sound")
    with named_errors(media, "sound"):
        if media is not None:
            return audio.decode(media, rate=rate, max_seconds=LONGEST)
        if is_array(item):
            return audio.resample(_of_array(to_numpy(item)), own, rate)
    give = "an array of samples, or a mapping of array and sampling_rate"
    raise no_media(item, "sound", give)


def _rate_of(item: Mapping[str, Any]) -> int:
    """The `sampling_rate` of a mapping; `BadFile` has no name here, so `UserError` at once."""
    from tasks.speech.sound.audio import RATES

    asked = item.get("sampling_rate")
    try:
        found = int(asked)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise UserError(
            f"a sound of array and sampling_rate has the sampling_rate {asked!r}, which is no"
            " number of samples a second"
        ) from None
    if found != asked or not RATES[0] <= found <= RATES[1]:
        raise UserError(f"sampling_rate {asked!r} is outside {RATES[0]:,} to {RATES[1]:,}")
    return found


def _of_array(array: "np.ndarray") -> "np.ndarray":
    """Float32 [samples]. Raises `BadFile` where nobody can say what the values mean."""
    import numpy as np

    if array.ndim == 2 and 1 in array.shape:
        array = array.reshape(-1)
    if array.ndim != 1:
        raise BadFile(f"{shape_of(array)} has more than one channel: give [samples], of their mean")
    if array.dtype == np.uint8:  # as a file of 8 bits has them
        return (array.astype(np.float32) - 128) / np.float32(128)
    if array.dtype in (np.int16, np.int32):
        return (array / -float(np.iinfo(array.dtype).min)).astype(np.float32)
    if array.dtype.kind != "f":
        raise BadFile(f"{shape_of(array)} is neither floats in -1 to 1 nor int16 or int32")
    if not np.isfinite(array).all():
        raise BadFile("samples that are no finite numbers")
    if len(array) and float(np.abs(array).max()) > LOUDEST:
        raise BadFile(
            f"samples up to {float(np.abs(array).max()):,.6g}, which is no sound in -1 to 1: divide"
            " integers of 16 bits by 32,768"
        )
    return array.astype(np.float32)
