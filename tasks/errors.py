"""The one error that stands for a mistake of the user's rather than ours."""


class UserError(Exception):
    """One sentence: what was wrong, where, and what would be right.

    The command line prints it without a traceback and leaves with exit code 2.
    """
