"""A Hub of our own on loopback: what huggingface_hub 2.4 asks of it, and faults on demand.

with TinyHub() as hub:
    hub.fault(Fault("commit", 503, times=2))
    ...  # HF_ENDPOINT is hub.endpoint, HF_TOKEN is TOKEN
    hub.repos["user/name"].history("main")
"""

from tests.tools.hub.tiny_hub.faults import Fault
from tests.tools.hub.tiny_hub.server import TOKEN, TinyHub

__all__ = ["TOKEN", "Fault", "TinyHub"]
