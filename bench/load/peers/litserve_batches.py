"""LitServe with its batches, around a tokenizer and a model of transformers."""

import sys
from typing import Any

import litserve

from bench.load.peers.pipeline import BatchClassifier, PeerFlags, answer, flags


class Api(litserve.LitAPI):  # type: ignore[misc]  # it has no types
    """The hooks of LitServe; its processes import this class by name."""

    def __init__(self, given: PeerFlags) -> None:
        super().__init__(max_batch_size=given.batch, batch_timeout=given.wait_ms / 1e3)
        self.given = given

    def setup(self, device: str) -> None:
        """Load the model, in the process that runs it."""
        self.classify = BatchClassifier(self.given)

    def decode_request(self, request: dict[str, str]) -> str:
        """Return the text of a request."""
        return request["input"]

    def predict(self, texts: Any) -> list[dict[str, Any]]:
        """Return a prediction a text; where batches are of one, LitServe gives the text alone."""
        return self.classify([texts] if isinstance(texts, str) else list(texts))

    def encode_response(self, output: Any) -> dict[str, Any]:
        """Return the answer to a request."""
        return answer(output[0] if isinstance(output, list) else output)


def main() -> int:
    """Serve until SIGTERM."""
    given = flags(str(__doc__))
    server = litserve.LitServer(
        Api(given),
        accelerator="cpu",
        workers_per_device=given.workers,
        timeout=30,
        fast_queue=True,  # what its documentation asks for above 100 requests a second
    )
    server.run(host="127.0.0.1", port=given.port, log_level="warning", generate_client_file=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
