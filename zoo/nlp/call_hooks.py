"""How the networks of texts are called otherwise than transformers does by itself."""

from collections.abc import Callable
from typing import Any

Call = tuple[tuple[Any, ...], dict[str, Any]]
Hook = Callable[[Any, tuple[Any, ...], dict[str, Any]], Call | None]


def add_hook(model: Any, change: Hook) -> None:
    """Let a function change how the body of a model is called, which adapters call too."""
    model.base_model.register_forward_pre_hook(change, with_kwargs=True)


def without_cache(module: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Call | None:
    """Keep no keys and values where nobody asks for them: a pass that writes nothing needs none."""
    if keywords.get("use_cache") is not None:
        return None
    return arguments, {**keywords, "use_cache": False}
