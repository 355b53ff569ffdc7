"""Routes that change what is served, with a key of their own. The names are those of the Open
Inference Protocol's extension for model repositories, as `tritonclient` calls them.

    GET, POST /v2/repository/index                 all versions
    POST /v2/repository/models/NAME/load           a new version: {"parameters": {"folder": ...}}
    POST /v2/repository/models/NAME/rollback       the version before answers again
    POST /v2/repository/models/NAME/unload         the model goes
"""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from tasks import json_files
from tasks.errors import UserError, did_you_mean
from zoo.serve import keys
from zoo.serve.answers import answer
from zoo.serve.errors import BadRequest, Conflict, Forbidden, Unauthorized
from zoo.serve.update import Update, Updater

ROOT = "/v2/repository"
PARAMETERS = ("folder", "wait")


def router(updater: Updater, admin_keys: Sequence[bytes]) -> APIRouter:
    """Return the routes.

    Args:
        admin_keys: of which a request that changes something brings one; none: nothing is changed.
    """
    made = APIRouter(prefix=ROOT)

    @made.get("/index")
    @made.post("/index")
    async def index() -> Response:
        return answer(updater.index())

    @made.post("/models/{name}/load")
    async def load(name: str, request: Request) -> Response:
        _must_be_admin(request, admin_keys)
        asked = _parameters(await request.body())
        update = await updater.load(name, asked.get("folder"), asked.get("wait", False))
        if update.state == "refused":
            raise Conflict(f"the new version is refused: {update.why}")
        return answer(_said(update))

    @made.post("/models/{name}/rollback")
    async def rollback(name: str, request: Request) -> Response:
        _must_be_admin(request, admin_keys)
        now = (await updater.rollback(name)).description
        return answer({"name": name, "version": now.version, "sha256": now.sha256})

    @made.post("/models/{name}/unload")
    async def unload(name: str, request: Request) -> Response:
        _must_be_admin(request, admin_keys)
        await updater.unload(name)
        return answer({"name": name})

    return made


def _must_be_admin(request: Request, admin_keys: Sequence[bytes]) -> None:
    if not admin_keys:
        raise Forbidden(
            "what is served is not changed here: start the service with `admin_keys` FILE, and "
            "send one of its keys (Authorization: Bearer KEY)"
        )
    if not keys.is_known(request.headers.get("authorization"), admin_keys):
        raise Unauthorized("no known admin key: Authorization: Bearer KEY")


def _parameters(body: bytes) -> dict[str, Any]:
    """Return the parameters of a request, of which there may be none."""
    if not body.strip():
        return {}
    try:
        given = json_files.parse(body.decode("utf-8"), strict=True)
    except ValueError as error:  # UnicodeDecodeError is one
        raise BadRequest(f"the body is no JSON: {error}") from None
    found = given.get("parameters", {}) if isinstance(given, dict) else None
    if not isinstance(found, dict) or set(given) - {"parameters"}:
        raise UserError(
            "the body is no object with `parameters`",
            "parameters",
            'send {"parameters": {"folder": ...}}, or nothing',
        )
    for name, value in found.items():
        if name not in PARAMETERS:
            hint = did_you_mean(name, PARAMETERS) or f"there are {', '.join(PARAMETERS)}"
            raise UserError(f"no parameter {name!r}", name, hint)
        if not isinstance(value, bool if name == "wait" else str):
            kind = "true or false" if name == "wait" else "a text"
            raise UserError(f"`{name}` is {kind}", name)
    return found


def _said(update: Update) -> dict[str, Any]:
    return {
        "name": update.new.name,
        "version": update.new.version,
        "sha256": update.new.sha256,
        "state": update.state,
    }
