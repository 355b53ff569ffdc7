"""A checkpoint as a service: `python -m zoo serve runs/bert_cls`.

    zoo serve runs/bert_cls                                   what `decide` chose, else eager; its
                                                              workers and batches, too, for a load
    zoo serve runs/bert_cls=reviews runs/cnn_cls=photos       several models, by name
    zoo serve runs/bert_cls --deployment onnx --workers 2 --threads 1
    zoo serve minilm                                          weights: labels without training
    zoo serve runs/bert_cls --host 0.0.0.0 --keys keys.txt    for other machines
    curl -s http://127.0.0.1:8080/predict -d '{"text": "fine, I loved it"}'
    curl -sN http://127.0.0.1:8080/v1/completions -d '{"prompt": "This package", "stream": true}'

What it speaks, each with its errors in its own form (`zoo.serve.protocols` has a module for each):

    POST /predict, /classify, /recognize, /transcribe    JSON, a form, or the file itself; an input
                                        or a list of them
    POST /, /models/NAME                the Hub's inference API: huggingface_hub.InferenceClient
    /v2/...                             the Open Inference Protocol: tritonclient.http
    /v1/...                             OpenAI's: chat, completions, transcriptions, embeddings,
                                        realtime
    ws /websocket                       16-bit samples in, texts out while it is spoken
    GET /, /docs, /metrics              a page to try it on, the API, Prometheus

**How it works.** The front is one process with an event loop, and imports no torch. Each model has
a bounded queue, first in first out, and `--workers` processes; decoding, tokenizing and the network
are theirs. An idle worker is handed what waits (`--max_batch`), sorts it by length and runs it in
passes within a budget of tokens, pixels or seconds (`--batch_budget`). So batches form by
themselves while a worker is busy; `--max_wait_ms` has an idle one wait for more.

**Texts.** A worker whose model writes has up to `--max_batch` texts at once, each step one token
of every text: a request joins between two tokens and leaves where its text ends
(`zoo.generation.continuous`). Its cache (`--cache_tokens`) decides how many run, the others wait
their turn; a long prompt is read in parts, beside the texts that are being written. Each text is
the one that it is alone. A client that goes has nothing more written. Where a worker dies, what had
begun to stream ends with an error, and the rest is tried again. /metrics has the time to the first
token and of each further one, the tokens, and how full the cache is.

**What it takes on.** `--max_queue` inputs wait, more are answered 429 with Retry-After; an answer
comes within `--timeout_s`, of a stream each piece behind the one before, or 504, and what has not
begun by then is dropped, as it is when the client goes; a body has `--max_body_mb`, more is 413
before it is read, and those of all requests that are being answered `--max_in_flight_mb`, more is
429; of `--max_connections` those above are 503, but for probes. A worker that dies, or is not
loaded within `--load_s`, is replaced, and its requests are tried once more, each by itself, else
503. SIGTERM takes no more, and ends when all is answered (`--drain_s`); live sounds have their last
texts. `/v2/health/live` says that it lives; `/v2/health/ready` that each model has a worker that is
loaded, warm, and has passed its self-test: golden inputs, which `export` leaves beside a program,
must give what they gave there, within the tolerance of `zoo.deploy.parity`.

**Who may ask.** Keys in a file (one a line, `chmod 600`) or in ZOO_SERVE_KEYS; without keys the
address is this machine's own. Nothing is fetched from a URL in a request, no file is opened by a
name in it, and logs (JSON lines on standard error) have no inputs. Pages of other origins than its
own neither read an answer nor open a WebSocket, but for those of `--cors`; a proxy before it passes
the header Host on.

**A new version.** `--watch 10` looks at the folder, or `POST /v2/repository/models/NAME/load` with
one of `--admin_keys` is told: the new version is loaded beside the old one, tested, given a share
of the traffic as a shadow, compared, and takes over without a dropped request; `.../rollback` goes
back at once. `--max_disagreement` and `--fail_if slower:5%` refuse it. Each step is in the
checkpoint's evidence. A live sound stays with the version that heard it first, and has `--drain_s`
to end when that goes, which is at the next update but one.

**Several machines.** `--engine ray --replicas 2` runs the same application on Ray Serve, on this
machine or, with RAY_ADDRESS, on a cluster (`ray start --head` begins one, `ray start --address`
joins it). A replica that dies is replaced; what it was answering is a 500 of Ray's. Without Ray:
`--write_config` writes what puts instances behind haproxy or nginx, into containers, or into
Kubernetes: `zoo.serve.operations`.

`python -m bench load runs/bert_cls` says how many requests a second it holds, `python -m bench
decide runs/bert_cls --p99_ms 50 --rate 200` chooses a deployment and workers for a load, and `zoo
ship` (`zoo.ship`) makes a service out of data.
"""
