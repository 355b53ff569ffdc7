"""`/docs`: the OpenAPI document as a page from which each request can be sent.

A page of our own, since FastAPI's loads Swagger UI from a network of others, and a copy of that in
a package has megabytes or does not read OpenAPI 3.1.
"""

from pathlib import Path

from fastapi import APIRouter, Response

from zoo.serve.errors import NotFound

PATH = "/docs"
FOLDER = Path(__file__).parent
TYPES = {"docs.html": "text/html", "docs.css": "text/css", "docs.js": "text/javascript"}
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
"""Nothing from outside is loaded, and nothing but our own files is run."""


def router() -> APIRouter:
    """Return the routes of the page and of what it loads."""
    made = APIRouter(include_in_schema=False)
    contents = {name: (FOLDER / name).read_bytes() for name in TYPES}

    def file(name: str) -> Response:
        if name not in contents:
            raise NotFound(f"no file {name[:40]!r} here")
        kind = f"{TYPES[name]}; charset=utf-8"
        return Response(contents[name], media_type=kind, headers=HEADERS)

    @made.get(PATH)
    async def page() -> Response:
        return file("docs.html")

    @made.get(f"{PATH}/{{name}}")
    async def part(name: str) -> Response:
        return file(name)

    return made
