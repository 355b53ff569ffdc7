"""What is not let through although nothing was mistyped: exit code 1."""


class PushRefused(Exception):
    """A push is refused, for the reasons in `lines`, one sentence each."""

    def __init__(self, *lines: str) -> None:
        super().__init__(*lines)
        self.lines = lines

    def __str__(self) -> str:
        return "\n".join(self.lines)
