"""What is not let through although nothing was mistyped: exit code 1."""


class Refused(Exception):
    """One sentence, or one a line: what stands against it."""
