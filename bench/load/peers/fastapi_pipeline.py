"""FastAPI around `transformers.pipeline`, without batches: what most tutorials show."""

import sys
from typing import TYPE_CHECKING

from bench.load.peers.pipeline import Classifier, answer, flags

if TYPE_CHECKING:
    from fastapi import FastAPI

FACTORY = "bench.load.peers.fastapi_pipeline:app"


def app() -> "FastAPI":
    """Return the application of the command line, with a model of its own; each worker calls it."""
    from fastapi import FastAPI
    from pydantic import BaseModel

    classify = Classifier(flags(str(__doc__)))
    made = FastAPI()

    class Request(BaseModel):
        input: str

    @made.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @made.post("/predict")
    async def predict(request: Request) -> dict[str, object]:
        return answer(classify(request.input))

    return made


def main() -> int:
    """Serve until SIGTERM."""
    import uvicorn

    given = flags(str(__doc__))
    uvicorn.run(
        FACTORY,
        factory=True,
        host="127.0.0.1",
        port=given.port,
        workers=given.workers,
        log_level="warning",
        access_log=False,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
