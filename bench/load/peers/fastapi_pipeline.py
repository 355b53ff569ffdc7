"""FastAPI around `transformers.pipeline`, one process, no batches: what most tutorials show."""

import sys

from bench.load.peers.pipeline import Classifier, answer, flags


def main() -> int:
    """Serve until SIGTERM."""
    import uvicorn
    from fastapi import FastAPI
    from pydantic import BaseModel

    given = flags(str(__doc__))
    classify = Classifier(given)
    app = FastAPI()

    class Request(BaseModel):
        input: str

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/predict")
    async def predict(request: Request) -> dict[str, object]:
        return answer(classify([request.input])[0])

    uvicorn.run(app, host="127.0.0.1", port=given.port, log_level="warning", access_log=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
