"""The names of timm's architectures."""

from tasks.errors import UserError, did_you_mean


def known(architecture: str) -> str:
    """Return the name if timm has such an architecture; raise `UserError` with the most similar
    name if not."""
    import timm

    if timm.is_model(architecture):
        return architecture
    hint = did_you_mean(architecture, timm.list_models())
    raise UserError(f"timm has no architecture {architecture!r}", "architecture", hint)
