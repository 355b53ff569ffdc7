"""The routes of the page: `/`, its files, and what it knows of the models."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from zoo.serve.page import models

if TYPE_CHECKING:
    from zoo.serve.service import Service

FOLDER = Path(__file__).parent
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8"}
TYPES |= {".js": "text/javascript; charset=utf-8", ".png": "image/png", ".wav": "audio/wav"}
TYPES[".svg"] = "image/svg+xml"
"""What is served, by suffix; nothing else in the folder is."""

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",  # no inline script, no eval; the AudioWorklet counts as a script
        "style-src 'self'",
        "img-src 'self' blob:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "cache-control": "no-cache",  # kept, but asked for each time: an answer of 304 has no body
    "content-security-policy": POLICY,
    "permissions-policy": "camera=(self), microphone=(self), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


@dataclass(frozen=True)
class PageFile:
    """A file of the page as it is sent."""

    content: bytes
    media_type: str
    etag: str  # with its quotes


def router(service: "Service") -> APIRouter:
    """Return the routes of the page: GET (and HEAD) of `/`, `/page/FILE`, `/page/models.json`.

    The files are read once, here. What the page shows of a model is made when it is asked for, so
    that a model which was replaced is shown as it is now.
    """
    routes = APIRouter(include_in_schema=False)
    files = read_files()

    @routes.api_route("/", methods=["GET", "HEAD"])
    def page(request: Request) -> Response:
        return _answer(files["index.html"], request)

    @routes.get("/page/models.json")
    def models_json() -> Response:  # no coroutine: it reads files, in a thread of its own
        headers = HEADERS | {"cache-control": "no-store"}
        return JSONResponse(models.as_json(service.models), headers=headers)

    @routes.api_route("/page/{name:path}", methods=["GET", "HEAD"])
    def file(name: str, request: Request) -> Response:
        if name not in files:
            return JSONResponse({"error": "the page has no such file"}, 404, headers=HEADERS)
        return _answer(files[name], request)

    return routes


def open_paths() -> tuple[str, ...]:
    """Return the paths that need no key: the page itself. What models there are is not among them;
    nor is another method of `/` than GET and HEAD, where one is served."""
    return ("/", *(f"/page/{name}" for name in read_files()))


def read_files(folder: Path = FOLDER) -> dict[str, PageFile]:
    """Return the files of the page by their path below the folder, with `/` between its parts."""
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix in TYPES and path.is_file():
            content = path.read_bytes()
            etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
            name = path.relative_to(folder).as_posix()
            files[name] = PageFile(content, TYPES[path.suffix], etag)
    return files


def _answer(file: PageFile, request: Request) -> Response:
    """Return a file, or 304 where the browser has this very one."""
    headers = HEADERS | {"etag": file.etag}
    known = request.headers.get("if-none-match", "").split(",")
    if any(tag.strip().removeprefix("W/") in (file.etag, "*") for tag in known):
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)
