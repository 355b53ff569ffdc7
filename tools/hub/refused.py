"""What is not let through although nothing was mistyped: exit code 1."""


class PushRefused(Exception):
    """What stands against it, one sentence a line."""

    def __init__(self, *lines: str) -> None:
        super().__init__(*lines)
        self.lines = lines

    def __str__(self) -> str:
        return "\n".join(self.lines)
