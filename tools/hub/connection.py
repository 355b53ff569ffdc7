"""The Hub's client, set up so that it never hangs and tells nobody what it should not."""

import functools
import logging
import os
import re
from typing import Any

from tasks.errors import UserError
from tools.hub import bounds

TIMEOUTS_S = (10.0, bounds.READ_S, 60.0, 10.0)
"""To connect, between two pieces that are read, or written, and for a free connection. By default
the client waits for ever."""
WITH_XET = ("https://huggingface.co", "https://hub-ci.huggingface.co")


def connect(write: bool = False) -> Any:
    """An `HfApi`. It finds the token by itself: that of `hf auth login`, or HF_TOKEN.

    Raises `UserError` where the Hub can't be reached, or there is no token to write with.
    """
    from huggingface_hub import HfApi, constants, get_token

    from zoo.machine import environment

    if problem := environment.hub_problem(timeout=TIMEOUTS_S[0]):
        raise UserError(f"the Hub can't be reached: {problem}; nothing was sent or changed")
    if write and get_token() is None:
        raise UserError(
            "there is no token to write to the Hub with: log in (hf auth login), or set HF_TOKEN; "
            "nothing was sent"
        )
    # Other servers need not have xet, and the client takes a 404 there as final.
    if constants.ENDPOINT not in WITH_XET and "HF_HUB_DISABLE_XET" not in os.environ:
        constants.HF_HUB_DISABLE_XET = True
    _set_up()
    return HfApi()


@functools.cache
def _set_up() -> None:
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils._http import default_client_factory

    def with_timeouts() -> Any:
        client = default_client_factory()
        client.timeout = TIMEOUTS_S
        return bounds.bound(client)

    set_client_factory(with_timeouts)
    for name in ("huggingface_hub.utils._http", "huggingface_hub.file_download"):
        logging.getLogger(name).addFilter(_NoQueries())


class _NoQueries(logging.Filter):
    """Takes the query out of addresses: where uploads go, it is the right to write there."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Cut the query off every URL in a log record, since it may carry a signature; return
        True."""
        record.msg = re.sub(r"(https?://[^\s?'\"]+)\?[^\s'\"]+", r"\1", record.getMessage())
        record.args = ()
        return True
