"""Sounds that come while they are spoken, in a worker: each a `SpeechStream` of its own."""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from tasks.errors import UserError
from zoo.model.modality import Modality
from zoo.predict.pipeline import PredictionPipeline
from zoo.serve.frames import Message
from zoo.serve.model import fault_of

LOG = logging.getLogger(__name__)


class LiveSounds:
    """The streams that a worker hears at once, by number."""

    def __init__(self, predictor: PredictionPipeline, modality: Modality) -> None:
        self._predictor, self._modality = predictor, modality
        self._streams: dict[int, Any] = {}

    def answer(self, message: Message) -> dict[str, Any]:
        """Do what a message asks, and return what to say: `partials`, a `fault` of the sound, or a
        `failure` of the model; a sound with either of these has ended.

        A message has `stream`, its number, and `do`: "open" (with `rate` and `pause_s`), "push"
        (with 16-bit samples as its blob), "finish", which gives the last texts, or "close".
        """
        asked, number = message.content, int(message.content["stream"])
        try:
            found = self._done(asked, number, message.blobs[0] if message.blobs else b"")
        except UserError as error:
            self._streams.pop(number, None)
            return {"type": "stream", "fault": fault_of(error)}
        except Exception as error:  # whatever a model raises: the worker hears the others
            LOG.exception("a live sound failed")
            self._streams.pop(number, None)
            return {"type": "stream", "failure": type(error).__name__}
        return {"type": "stream", "partials": [_written(one) for one in found]}

    def _done(self, asked: Mapping[str, Any], number: int, samples: bytes) -> list[Any]:
        if asked["do"] == "open":
            given = asked["rate"], asked["pause_s"]
            self._streams[number] = self._modality.open_stream(self._predictor, *given)
            return []
        found: list[Any] = []
        if asked["do"] == "push":
            if number not in self._streams:
                raise UserError("this sound has ended: begin another one")
            found = self._streams[number].push(np.frombuffer(samples, "<i2").astype(np.int16))
        else:
            stream = self._streams.pop(number, None)
            if stream is not None and asked["do"] == "finish":
                found = stream.finish()
        return found


def _written(one: Any) -> dict[str, Any]:
    return {
        "type": "final" if one.final else "partial",
        "start": one.start,
        "end": one.end,
        **one.to_json(),
    }
