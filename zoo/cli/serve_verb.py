"""The verb serve of `python -m zoo`: a checkpoint answers over HTTP."""

import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

from tasks.errors import UserError
from zoo.cli.program import Verb

SUMMARY = "a service that answers over HTTP"
EXAMPLES = (
    "serve runs/bert_cls",
    "serve runs/bert_cls=reviews runs/cnn_cls=photos --port 8000",
    "serve runs/bert_cls --deployment onnx+int8-dynamic --workers 2",
    "serve runs/bert_cls --host 0.0.0.0 --keys keys.txt",
    "serve runs/bert_cls --write_config compose deploy/bert_cls",
)
USUAL = (
    "models",
    "deployment",
    "host",
    "port",
    "workers",
    "threads",
    "device",
    "max_queue",
    "timeout_s",
    "keys",
)
"""Fields whose flags --help shows; --help-all shows the rest."""
REQUESTS = """

requests, once it is ready (python -m pydoc zoo.serve has more):
  curl -s http://127.0.0.1:8080/predict -d '{"text": "fine, I loved it"}'
  curl -s http://127.0.0.1:8080/predict -d '{"text": ["a list", "of texts"], "model": "reviews"}'
  curl -s http://127.0.0.1:8080/classify --data-binary @photo.jpg -H "content-type: image/jpeg"
  curl -s http://127.0.0.1:8080/transcribe -F audio=@meeting.wav
  curl -s http://127.0.0.1:8080/models/reviews -d '{"inputs": "fine"}'          (the Hub's API)
  curl -s http://127.0.0.1:8080/v1/audio/transcriptions -F file=@meeting.wav    (OpenAI's API)
  curl -s http://127.0.0.1:8080/v2/models/reviews                      (Open Inference Protocol)"""
"""What --help says behind the examples."""
PACKAGES = ("fastapi", "uvicorn", "httptools", "uvloop", "websockets", "prometheus_client")
"""What the extra `serve` brings, by the names that are imported."""


def verb(parse: Callable[..., Any]) -> Verb:
    """Return the verb; `parse` is that of the program it belongs to, `Program.parse`."""

    def run(words: Sequence[str]) -> int:
        from zoo.serve.args import ServeArgs

        asked = parse("serve", ServeArgs, words, more=REQUESTS)
        must_be_installed()
        from zoo.serve.engine import command, prepare

        if asked.write_config is None:
            return command.serve(asked)
        from zoo.serve.operations import write

        return write.write(asked, prepare.described(asked))

    return Verb(SUMMARY, EXAMPLES, run, usual=USUAL)


def must_be_installed() -> None:
    """Raises `UserError` where a package that a service needs is missing."""
    absent = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if absent:
        raise UserError(
            f"a service needs {', '.join(absent)}, not installed here",
            hint="pip install -e '.[serve]'",
        )
