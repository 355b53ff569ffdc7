"""A Hub whose repos, answers and connections are odd."""

import json
import random
import socket
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.fuzz import checkpoints, mutations
from tests.faults.fuzz.command import Command, Scene
from tests.faults.fuzz.models import rendered
from tests.tools.hub.tiny_hub import TOKEN, TinyHub, storage
from tests.tools.hub.tiny_hub import server as tiny

REPO = "user/reviews"
RECORD = "zoo.json"
READS = ("alive", "info", "info", "info", "header", "header", "content", "content")
WRITES = ("alive", "info", "info", "create", "preupload", "batch", "upload", "confirm", "commit")
WRITES += ("validate",)
PATHS = ("../out.json", "/tmp/out.json", "a/../../x.json", "artifacts", "zoo.json/x", ".git/config")
PATHS += (
    "a\0b",
    "a\\..\\x",
    "C:x",
    "~/x",
    "artifacts/onnx/../x",
    "modeling_x.py",
    "x" * 300,
    "写真",
    "",
)
PATHS += ("pytorch_model.bin", "model.safetensors.index.json", "a\nb", "\x1b[2J", "onnx/model.onnx")
HTML = b"<html><body><h1>Log in to the hotel's network</h1></body></html>"
STATUSES = (
    200,
    202,
    204,
    206,
    300,
    304,
    400,
    401,
    403,
    404,
    416,
    418,
    429,
    451,
    500,
    502,
    503,
    599,
)
HEADERS: tuple[dict[str, str], ...] = (
    {},
    {"Content-Type": "text/html"},
    {"X-Error-Code": "RepoNotFound"},
    {"X-Error-Message": "\x1b[2J"},
    {"Retry-After": "nan"},
    {"Retry-After": "-1"},
    {"ETag": '"x"'},
)
BOMB_BYTES = 1_600_000_000
PIECE_BYTES = 10_000_000
PATIENCE_S = 1.0
"""What the client waits for an answer, in place of a minute."""
Twist = Callable[["OddHandler"], None]


@dataclass(frozen=True)
class Oddity:
    """What is odd about the answers to the calls of one kind."""

    what: str
    call: str = ""
    """of `tiny.CALLS`; none by default"""
    twist: Twist | None = None
    """the whole answer"""
    change: Callable[[bytes], bytes] | None = None
    """what becomes of its JSON"""


class OddHub(TinyHub):
    """A tiny Hub that gives odd answers."""

    def __init__(self, oddity: Oddity) -> None:
        super().__init__()
        self.oddity = oddity
        self._server.handle_error = lambda *_: None  # a client that hangs up
        self._server.RequestHandlerClass = type("Handler", (OddHandler,), {"hub": self})


class OddHandler(tiny._Handler):
    """One connection to it."""

    hub: OddHub

    def handle_any(self) -> None:
        """The odd answer, where it is that call's turn."""
        name, _ = tiny._call(self.command, self.path.partition("?")[0])
        oddity = self.hub.oddity
        self.change = oddity.change if name == oddity.call else None
        if name == oddity.call and oddity.twist is not None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.close_connection = True
            oddity.twist(self)
        else:
            super().handle_any()

    do_GET = do_HEAD = do_POST = do_PUT = handle_any

    def _send(self, status: int, answer: Any, headers: Any = None) -> None:
        if self.change is not None and status == 200:
            content = self.change(json.dumps(answer).encode())
            self.raw(200, content, {"Content-Type": "application/json"})
        else:
            super()._send(status, answer, headers)

    def raw(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        """These very bytes."""
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def hub(scene: Scene) -> Command:
    """A pull, verification or comparison that such a Hub answers."""
    draw = scene.draw
    folder = scene.world / "published" / draw.choice(("text", "vision"))
    files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    oddity = _oddity(draw, READS) if scene.chance(0.6) else Oddity(_harm_repo(draw, files))

    def prepare() -> None:
        server = OddHub(oddity)
        server.__enter__()
        server.repos[REPO] = _repo(files)
        point_client_to(server.endpoint)

    verb = draw.choices(("pull", "verify", "diff"), (6, 2, 1))[0]
    more = {"pull": ("--output_dir", str(scene.run)), "verify": (), "diff": ("main", "main")}
    run = scene.run if verb == "pull" else None
    words = (verb, REPO, *more[verb])
    return Command("tools.hub", words, oddity.what, prepare=prepare, run=run, limit_s=40)


def push(scene: Scene) -> Command:
    """A push that such a Hub answers."""
    name = scene.draw.choice(("text", "vision"))
    checkpoint = scene.copy(name, "checkpoint", without=("state", "logs"))
    oddity = _oddity(scene.draw, WRITES)

    def prepare() -> None:
        server = OddHub(oddity)
        server.__enter__()
        point_client_to(server.endpoint)

    words = ("push", str(checkpoint), REPO, "--accept_license")
    writes = rendered(checkpoint)
    return Command("tools.hub", words, oddity.what, writes=writes, prepare=prepare, limit_s=40)


def _oddity(draw: random.Random, calls: Sequence[str]) -> Oddity:
    call = draw.choice(calls)
    if call in ("header", "content", "alive") or draw.random() < 0.6:
        how = draw.choice([*TWISTS])
        return Oddity(f"{call}: {how}", call, twist=TWISTS[how](draw))
    seed = draw.randrange(2**32)
    return Oddity(
        f"{call}: its JSON changed by {seed}",
        call,
        change=lambda answer: mutations.spoil_json(random.Random(seed), answer)[0],
    )


def publish(world: Path) -> None:
    """Writes what a push makes of the world's checkpoints to world/published."""
    from tools.hub.cli import main

    with TinyHub() as server:
        point_client_to(server.endpoint)
        for name in ("text", "vision"):
            code = main(["push", str(world / name), f"user/{name}", "--accept_license"])
            assert code == 0, name
            for path, file in server.repos[f"user/{name}"].files().items():
                place = world / "published" / name / path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(file.content)


def point_client_to(endpoint: str) -> None:
    """Lets this process take an address for the Hub, and be quick to give up. For good."""
    import os

    from huggingface_hub import constants

    from tools.hub import bounds, connection, retries

    url = f"{endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    constants.ENDPOINT, constants.HUGGINGFACE_CO_URL_TEMPLATE = endpoint, url
    constants.HF_HUB_OFFLINE = constants.HF_HUB_DISABLE_XET = False
    home = Path(os.environ["HOME"])
    constants.HF_HUB_CACHE = str(home / "hub")
    constants.HF_TOKEN_PATH = str(home / "no-token")
    os.environ["HF_TOKEN"] = TOKEN
    connection.TIMEOUTS_S = (PATIENCE_S,) * 4
    bounds.PATIENCE_S, bounds.SILENCE_S = PATIENCE_S, 3 * PATIENCE_S
    retries.LONGEST_PAUSE_S = bounds.LONGEST_PAUSE_S = 2 * PATIENCE_S
    time.sleep = lambda seconds: None


def _repo(files: dict[str, bytes]) -> storage.Repo:
    made = storage.Repo()
    large = {
        path: storage.File(content, path.endswith(storage.LARGE)) for path, content in files.items()
    }
    made.commit("main", large, "pushed")
    return made


def _harm_repo(draw: random.Random, files: dict[str, bytes]) -> str:
    """Changes a file or two of a repo, whose record may agree; says how."""
    said = []
    for _ in range(draw.choice((1, 1, 2))):
        path = draw.choice(sorted(files))
        if draw.random() < 0.2:
            extra = draw.choice(PATHS)
            files[extra] = files[path]
            said.append(f"there is {extra!r}"[:60])
        elif draw.random() < 0.1:
            del files[path]
            said.append(f"{path} is missing")
        else:
            files[path], what = checkpoints.spoiled(draw, path, files[path])
            said.append(f"{path}: {what}")
    if RECORD in files and draw.random() < 0.8:
        files[RECORD] = checkpoints.agreeing(files[RECORD], files.get)
        said.append("its sums agree")
    return "; ".join(said)


# --- answers


def _status(draw: random.Random) -> Twist:
    status = draw.choice(STATUSES)
    body = draw.choice((b"", HTML, b"{}", b'{"error": {"x": [1]}}', b'"x"', b"null"))
    headers = draw.choice(HEADERS)
    return lambda handler: handler.raw(status, body, headers)


def _redirect(draw: random.Random) -> Twist:
    where = (
        "{self}",
        "/",
        "//",
        "http://127.0.0.1:9/x",
        "ftp://x",
        "file:///etc/passwd",
        "\\",
        "http://[",
    )
    aim = draw.choice(where)
    status = draw.choice((301, 302, 303, 307, 308))
    return lambda handler: handler.raw(
        status, b"", {"Location": aim.format(self=handler.path) if "{" in aim else aim}
    )


def _noise(draw: random.Random) -> Twist:
    content = draw.choice(
        (draw.randbytes(300), b"HTTP/1.1 200\r\n\r\n", b"SSH-2.0-x\r\n", b"\r\n" * 9)
    )
    return lambda handler: _write(handler, content)


def _lengths(draw: random.Random) -> Twist:
    length = draw.choice(("-1", "nan", "99999999999999999999", "0", "1, 2", "1000000"))
    return lambda handler: handler.raw(200, b"{}", {"Content-Length": length})


def _encoding(draw: random.Random) -> Twist:
    name = draw.choice(("gzip", "br", "zstd", "deflate", "x"))
    return lambda handler: handler.raw(200, b"not so", {"Content-Encoding": name})


def _many_headers(draw: random.Random) -> Twist:
    return lambda handler: handler.raw(200, b"{}", {f"X-{i}": "x" * 1000 for i in range(200)})


def _bomb(draw: random.Random) -> Twist:
    return lambda handler: _gzip_bomb(handler)


def _silence(draw: random.Random) -> Twist:
    return lambda handler: _wait(3600)


def _drip(draw: random.Random) -> Twist:
    return _dripping


def _hang_up(draw: random.Random) -> Twist:
    return lambda handler: handler.connection.shutdown(socket.SHUT_RDWR)


TWISTS: dict[str, Callable[[random.Random], Twist]] = {
    "a status": _status,
    "another status": _status,
    "a redirect": _redirect,
    "noise": _noise,
    "a length that lies": _lengths,
    "an encoding that lies": _encoding,
    "many headers": _many_headers,
    "a gzip bomb": _bomb,
    "silence": _silence,
    "a byte now and then": _drip,
    "it hangs up": _hang_up,
}


def _write(handler: OddHandler, content: bytes) -> None:
    handler.wfile.write(content)
    handler.wfile.flush()


def _wait(seconds: float) -> None:
    threading.Event().wait(seconds)  # time.sleep does not wait here


def _dripping(handler: OddHandler) -> None:
    handler.raw(200, b"", {"Content-Length": "1000000"})
    while True:
        _wait(PATIENCE_S / 4)
        _write(handler, b" ")


def _gzip_bomb(handler: OddHandler) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    first, second = (
        packer.compress(b" " * PIECE_BYTES) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2)
    )
    body = first + second * (BOMB_BYTES // PIECE_BYTES)
    handler.raw(200, body, {"Content-Encoding": "gzip", "Content-Type": "application/json"})
