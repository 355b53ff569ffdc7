"""A worker: the process in which one model runs. `python -m zoo.serve.worker FD`.

On the socket FD it is told what to load, says that it is ready, and answers inputs until the other
end closes, which is also what it sees when the service is killed.
"""

import functools
import logging
import math
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from tasks.errors import UserError
from tasks.writes import Writes
from zoo.model import registry
from zoo.model.modality import modality_of
from zoo.predict.pipeline import Predictor
from zoo.runtimes.deployment import Deployment
from zoo.serve import frames, self_test, tagging, writing
from zoo.serve.description import KINDS
from zoo.serve.frames import Message
from zoo.serve.items import from_wire
from zoo.serve.live import LiveSounds
from zoo.serve.logs import JsonLines
from zoo.serve.model import Answer, Batch, BatchingModel, Work, fault_of
from zoo.serve.writing import WritingModel


def main(words: list[str]) -> int:
    """Serve a model on the socket whose number is the first word; return the exit code."""
    # whether it ends is up to the front, whose end of the socket closes then
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    lines = logging.StreamHandler()  # of the front's standard error, in the form of its log
    lines.setFormatter(JsonLines())
    logging.basicConfig(handlers=[lines], level=logging.WARNING)
    with (
        socket.socket(fileno=int(words[0])) as connection,
        connection.makefile("rb") as told,
        connection.makefile("wb") as said,
    ):
        asked = frames.receive(told)
        if asked is None:
            return 0
        began = time.perf_counter()
        try:
            model, tested = load(asked.content)
        except UserError as error:
            _send(said, {"type": "failed", **fault_of(error)})
            return 2
        except self_test.Unfit as error:
            _send(said, {"type": "unfit", "reason": str(error)})
            return 3
        seconds = time.perf_counter() - began
        ready = {"type": "ready", "seconds": seconds, "pid": os.getpid(), "tested": tested}
        if isinstance(model, WritingModel):
            _send(said, {**ready, "texts": model.state()})
            messages = iter(functools.partial(frames.receive, told), None)
            writing.answer(model, messages, functools.partial(_send, said))
            return 0
        _send(said, ready)
        sounds = LiveSounds(model.predictor, model.modality)
        while (message := frames.receive(told)) is not None:
            if message.type == "run":
                _answer(said, model, message)
            else:
                _send(said, sounds.answer(message))
    return 0


def load(asked: Mapping[str, Any]) -> tuple[BatchingModel | WritingModel, int]:
    """Return the model that a message asks for, warm, and the golden inputs that it was tested on.

    Raises:
        UserError: it can't be loaded, or is not there any more.
        Unfit: this machine computes something else than was proven.
    """
    if asked["weights"] is not None:
        from zoo.serve import weights

        entry, settings = registry.find(asked["weights"]), ("device", "threads", "budget")
        answers = weights.load(entry, Path(asked["folder"]), *(asked[name] for name in settings))
        answers.warm_up(asked["most"])
        return answers, 0
    folder, deployment = Path(asked["folder"]), Deployment.parse(asked["deployment"])
    predictor = Predictor(
        folder,
        device=asked["device"],
        deployment=asked["deployment"],
        threads=asked["threads"],
    )
    model = _model_of(predictor, asked)
    self_test.must_be_the_same(predictor, folder, deployment, asked["sha256"])
    model.warm_up(asked["most"])
    return model, self_test.run(predictor, folder, deployment, asked["sha256"])


def _model_of(predictor: Predictor, asked: Mapping[str, Any]) -> BatchingModel | WritingModel:
    if isinstance(predictor.task, Writes):
        return WritingModel(predictor, asked["cache_tokens"])
    modality = modality_of(predictor.checkpoint.entry)
    return tagging.model_of(
        predictor, modality, KINDS[modality.name], asked["budget"], asked["max_seconds"]
    )


def _answer(said: IO[bytes], model: BatchingModel, message: Message) -> None:
    """Answer the inputs of a message, batch by batch, and say at last that it is done."""
    work = [
        Work(from_wire(one["item"], message.blobs), one["parameters"], one["deadline"] or math.inf)
        for one in message.content["work"]
    ]
    for batch in model.answers(work):
        _send(said, _written(batch))
    _send(said, {"type": "done"})


def _written(batch: Batch) -> dict[str, Any]:
    return {
        "type": "answers",
        "answers": [_answer_written(answer) for answer in batch.answers],
        "seconds": batch.seconds,
        "inputs": batch.inputs,
        "padding": batch.padding,
    }


def _answer_written(answer: Answer) -> dict[str, Any]:
    said = {
        "prediction": answer.prediction,
        "fault": answer.fault,
        "failure": answer.failure,
    }
    return {"place": answer.place} | {name: one for name, one in said.items() if one is not None}


def _send(stream: IO[bytes], content: Mapping[str, Any]) -> None:
    stream.write(frames.pack(content))
    stream.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
