"""A service that answers as it is told, behind the real page: a model of every kind of answer.

python -m tests.zoo.serve.page.stand_in PORT
"""

import asyncio
import base64
import contextlib
import json
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import JSONResponse, Response, StreamingResponse

from tasks.vision import class_maps
from zoo.serve.access import Access, AccessMiddleware
from zoo.serve.engine.app import OPEN_PATHS
from zoo.serve.metrics import Metrics
from zoo.serve.page import routes

KEY = "a-key-of-the-tests"
REVIEWS = {"label": "positive", "score": 0.9731, "scores": {"positive": 0.9731, "negative": 0.0269}}
DIGITS = {str(digit): 0.002 for digit in range(10)} | {"7": 0.982}
TOPICS = ("体育", "sport & <b>play</b>", "10", "9")


def _guesses(**words: float) -> list[dict[str, Any]]:
    return [{"score": score, "token": 5, "token_str": word} for word, score in words.items()]


def _mask(part: int) -> str:
    """The upper three quarters of a picture, or the rest of it, as a PNG file in base64."""
    rows = np.arange(8) // 6 == part
    return base64.b64encode(class_maps.png_of(np.tile(rows[:, None], (1, 8)))).decode()


ANSWERS: dict[str, dict[str, Any]] = {
    "reviews": REVIEWS,
    "topics": {
        "label": list(TOPICS[:2]),
        "score": [0.91, 0.72],
        "scores": dict(zip(TOPICS, (0.91, 0.72, 0.31, 0.02), strict=True)),
    },
    "stars": {"label": "LABEL_0", "score": -3.25},
    "axes": {"label": ["joy", "anger"], "score": [0.5, -1.25]},
    "pairs": {"label": "same", "score": 0.6, "scores": {"same": 0.6, "other": 0.4}},
    "names": {
        "spans": [
            {"label": "PLACE", "score": 0.98, "start": 5, "end": 11, "text": "London"},
            {"label": "人名", "score": 0.71, "start": 15, "end": 18, "text": "Ada"},
        ]
    },
    "gaps": {
        "label": ["cat", "mat"],
        "score": [0.5, 0.25],
        "guesses": [_guesses(cat=0.5, dog=0.2), _guesses(mat=0.25, sofa=0.1)],
    },
    "digits": {"label": "7", "score": 0.982, "scores": DIGITS},
    "boxes": {
        "boxes": [[10, 10, 110, 90], [150, 40, 290, 190]],
        "labels": ["cat", "狗"],
        "scores": [0.91, 0.55],
    },
    "areas": {"labels": ["ground", "猫"], "shares": [0.75, 0.25], "masks": [_mask(0), _mask(1)]},
    "words": {"label": "yes", "score": 0.8, "scores": {"yes": 0.8, "no": 0.15, "go": 0.05}},
    "speech": {"text": "nine seven three"},
    "writer": {"text": " goes\non 中文"},
    "choice": {"label": "sport", "score": 0.7, "scores": {"sport": 0.7, "politics": 0.3}},
}


def _task(name: str, labels: tuple[str, ...] = (), problem_type: str | None = None) -> Any:
    unit = {"image": "pixels", "audio": "seconds", "automatic": "seconds"}
    found = SimpleNamespace(name=name, labels=labels, unit=unit.get(name.split("-")[0], "tokens"))
    if problem_type is not None:
        found.problem_type = problem_type
    return found


SINGLE, MULTI = "single_label_classification", "multi_label_classification"
MODELS: dict[str, tuple[str, Any]] = {  # kind and task
    "reviews": ("text", _task("text-classification", ("negative", "positive"), SINGLE)),
    "topics": ("text", _task("text-classification", TOPICS, MULTI)),
    "stars": ("text", _task("text-classification", (), "regression")),
    "axes": ("text", _task("text-classification", ("joy", "anger"), "regression")),
    "pairs": ("text", _task("text-classification", ("same", "other"), SINGLE)),
    "names": ("text", _task("token-classification", ("PLACE", "人名"))),
    "gaps": ("text", _task("fill-mask")),
    "digits": ("image", _task("image-classification", tuple(DIGITS), SINGLE)),
    "boxes": ("image", _task("object-detection", ("cat", "狗"))),
    "areas": ("image", _task("image-segmentation", ("ground", "猫", "dog"))),
    "words": ("audio", _task("audio-classification", ("yes", "no", "go"), SINGLE)),
    "speech": ("audio", _task("automatic-speech-recognition")),
    "choice": ("text", _task("text-classification", (), SINGLE)),
    "writer": ("text", _task("text-generation")),
}


def descriptions(folder: Path) -> dict[str, Any]:
    """A description of each model, without a checkpoint."""
    entry = SimpleNamespace(task="tasks.nlp.text_classification")
    return {
        name: SimpleNamespace(
            name=name,
            folder=folder / name,
            deployment="onnx+int8-dynamic",
            sha256="0123456789abcdef" * 4,
            entry=entry,
            task=task,
            kind=kind,
            takes_pairs=name == "pairs",
            mask="[MASK]",
        )
        for name, (kind, task) in MODELS.items()
    }


class StandIn:
    """What was asked of the service, and how it is to answer."""

    def __init__(self, folder: Path, wants_key: bool = False) -> None:
        self.models = descriptions(folder)
        self.wants_key = wants_key
        self.reset()

    def reset(self) -> None:
        """Forgets what was asked, and answers as at first."""
        self.asked: list[dict[str, Any]] = []
        self.heard = bytearray()
        """What came over the socket."""
        self.refusals: list[Response] = []
        """The next answers, in place of predictions."""
        self.delay_s = 0.0
        self.has_socket = True
        self.breaks = False
        """Whether a text that is written ends with an error."""

    def app(self) -> FastAPI:
        """The application: the page, /predict and /websocket."""
        app = FastAPI()
        app.include_router(routes.router(self))  # type: ignore[arg-type]

        if self.wants_key:
            access = Access(10 * 2**20, 10.0, keys=(KEY.encode(),), open_paths=OPEN_PATHS)
            app.add_middleware(AccessMiddleware, access=access, metrics=Metrics())

        @app.post("/predict", response_model=None)
        async def predict(request: Request) -> Response:
            return await self._predict(request)

        @app.post("/models/{name}", response_model=None)
        async def write(name: str, request: Request) -> Response:
            self.asked.append({"model": name, **await request.json()})
            if self.refusals:
                return self.refusals.pop(0)
            return StreamingResponse(self._events(name), media_type="text/event-stream")

        @app.websocket("/websocket")
        async def listen(socket: WebSocket) -> None:
            await self._listen(socket)

        return app

    async def _predict(self, request: Request) -> Response:
        body = await request.body()
        if request.headers["content-type"] == "application/json":
            asked = await request.json()
        else:
            asked = {**request.query_params, "body": body}
        self.asked.append({**asked, "content-type": request.headers["content-type"]})
        await asyncio.sleep(self.delay_s)
        if self.refusals:
            return self.refusals.pop(0)
        return JSONResponse({"model": asked["model"], "predictions": [ANSWERS[asked["model"]]]})

    async def _events(self, name: str) -> AsyncIterator[bytes]:
        """A text, two characters an event, of which it writes the first ones alone where it is to
        wait; cut where a network may cut them."""
        text = ANSWERS[name]["text"]
        pieces = [text[i : i + 2] for i in range(0, len(text), 2)]
        for number, piece in enumerate(pieces):
            if number == 2:
                await asyncio.sleep(self.delay_s)
            event = (
                f"data: {json.dumps({'token': {'text': piece}}, ensure_ascii=False)}\n\n".encode()
            )
            yield event[:-4]
            await asyncio.sleep(0.01)
            yield event[-4:]
        if self.breaks:
            yield b'data: {"error": "the worker died"}\n\n'

    async def _listen(self, socket: WebSocket) -> None:
        if not self.has_socket:
            await socket.close(1008)
            return
        await socket.accept("zoo" if "zoo" in socket.scope["subprotocols"] else None)
        self.heard.clear()
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if message.get("text") == "end":
                break
            before = len(self.heard)
            self.heard += message["bytes"]
            if before == 0:
                await socket.send_json({"type": "partial", "text": "nine sev"})
        words = [{"word": "nine", "start": 0.1, "end": 0.4}]
        await socket.send_json({"type": "final", "text": "nine seven", "words": words})
        await socket.send_json({"type": "final", "text": "three", "words": []})
        await socket.close()


@contextlib.contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """The address of an application that is served in a thread."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = server.force_exit = True
            thread.join(10)


if __name__ == "__main__":
    uvicorn.run(StandIn(Path("nowhere")).app(), port=int(sys.argv[1]))
