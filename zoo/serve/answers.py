"""What all routes answer with: JSON, and which model it comes from."""

import json
from typing import Any

from fastapi import Request, Response

from zoo.serve.access import STATE
from zoo.serve.description import Description


def answer(content: Any, status: int = 200) -> Response:
    """Return an answer in JSON."""
    return Response(as_json(content), status, media_type="application/json")


def as_json(content: Any) -> bytes:
    """Return content as JSON; numbers that are none are null, as in JavaScript."""
    try:
        body = json.dumps(content, ensure_ascii=False, allow_nan=False)
    except ValueError:
        body = json.dumps(_finite(content), ensure_ascii=False)
    return body.encode()


def tell(request: Request, model: Description) -> None:
    """Have the answer, the log and the metrics name the model."""
    request.scope[STATE].update(model=model.name, sha256=model.sha256)


def _finite(content: Any) -> Any:
    if isinstance(content, float):
        return content if content - content == 0 else None
    if isinstance(content, dict):
        return {name: _finite(value) for name, value in content.items()}
    return [_finite(value) for value in content] if isinstance(content, list) else content
