"""The names of timm's architectures."""

from tasks.errors import UserError


def known(architecture: str) -> str:
    """The name, if timm has such an architecture; else `UserError` with the nearest."""
    import difflib

    import timm

    if timm.is_model(architecture):
        return architecture
    near = difflib.get_close_matches(architecture, timm.list_models(), n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UserError(f"timm has no architecture {architecture!r}{hint}")
