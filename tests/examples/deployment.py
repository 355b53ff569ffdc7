"""Worked examples about small, portable and served models."""

from tests.examples.catalogue import ADDRESS, Command, Example

URL = f"http://{ADDRESS}"
BAR = "photos/test/bar/000.png"
SOUND = "prompts/test/000.wav"
LABEL = r'"label": "(bar|dot|ring)"'
LIVE = f"""
import soundfile
from websockets.sync.client import connect

wave, rate = soundfile.read("{SOUND}", dtype="int16")
with connect(f"ws://{ADDRESS}/websocket?model=asr&rate={{rate}}") as socket:
    for begin in range(0, len(wave), rate // 10):
        socket.send(wave[begin : begin + rate // 10].tobytes())
    socket.send("end")
    for message in socket:
        print(message)
"""

EXAMPLES = (
    Example(
        "smaller",
        "Pruning; dynamic int8",
        wrong="it calls quantization pruning.",
        commands=(
            Command(
                "python -m zoo.vision.cnn_cls prune runs/photos --sparsity 0.5 "
                "--output_dir runs/photos-pruned",
                "--stages 1 --steps 2",
                prints=(r"accuracy",),
            ),
            Command(
                "python -m zoo.nlp.bert_cls quantize runs/reviews --method dynamic "
                "--max_drop 0.005 --min_speedup 1.2",
                "--max_drop 1 --min_speedup 0.01 --max_eval_samples 16 --minutes 3",
                prints=(r"^onnx\+int8-dynamic .*chosen",),
                slow=True,
            ),
        ),
        ours="`quantize` keeps to a contract: a model that loses more, or is not that much faster, "
        "is refused.",
    ),
    Example(
        "programs",
        "TorchScript and ONNX, out and in again",
        commands=(
            Command("python -m zoo.vision.cnn_cls export runs/photos --runtime torchscript"),
            Command(
                f"python -m zoo.vision.cnn_cls predict runs/photos --image {BAR} "
                "--deployment torchscript",
                prints=(LABEL,),
            ),
            Command("python -m zoo.vision.cnn_cls export runs/photos --runtime onnx"),
            Command(
                f"python -m zoo.vision.cnn_cls predict runs/photos --image {BAR} --deployment onnx",
                prints=(LABEL,),
            ),
        ),
        ours="What is exported must give what the checkpoint gives, or it is not written.",
    ),
    Example(
        "phone",
        "To a phone",
        "TF Lite.",
        commands=(
            Command(
                "python -m zoo.vision.cnn_cls export runs/photos --runtime executorch",
                package="executorch",
                slow=True,
            ),
        ),
        ours="ExecuTorch is PyTorch's own way to phones. Images and BERT go there; README says "
        "which models do not, and why.",
    ),
    Example(
        "gpu",
        "Is my GPU set up, and which is enough?",
        "driver, CUDA, cuDNN.",
        commands=(
            Command("python -m zoo doctor", prints=(r"^ok +torch ", r"^\w+ +GPU ")),
            Command(
                "python -m bench which_gpu bert-base-uncased --batch_size 32 --length 128",
                prints=(r"batch 32, .*: about [\d.]+ GB of GPU memory", "H100"),
                slow=True,
            ),
        ),
        ours="With a GPU, `doctor` names the card, its driver, CUDA and cuDNN.",
    ),
    Example(
        "service",
        "A service in Flask",
        "`/predict` (json), `/classify` (an image), `/recognize` and `/transcribe` (a sound); "
        "answers with `predictions` or a text.",
        commands=(
            Command(
                "python -m zoo serve runs/reviews runs/photos runs/asr --cache_mb 64",
                prints=(rf"^ready after .*: {URL}$",),
            ),
            Command(
                f"curl -s {URL}/predict "
                """-d '{"model": "reviews", "text": "This is a great movie."}'""",
                prints=(r'"predictions":\s*\[\{"label":\s*"(positive|negative)"',),
            ),
            Command(
                f"curl -s {URL}/classify -F model=photos -F image=@{BAR}",
                prints=(r'"label":\s*"(bar|dot|ring)"',),
            ),
            Command(
                f"curl -s {URL}/recognize -F model=asr -F audio=@{SOUND}",
                prints=(r'"predictions":\s*\[\{"text":',),
            ),
            Command(
                f"curl -s {URL}/transcribe -H 'Content-Type: audio/wav' --data-binary @{SOUND}",
                prints=(r'"predictions":\s*\[\{"text":',),
            ),
        ),
        ours="The service goes on until Ctrl-C, and is asked from another terminal; the examples "
        "below ask the same one. A route that only one of the models can answer needs no `model`.",
    ),
    Example(
        "model_server",
        "A model server, and its clients",
        'port 8081; `POST /prediction` with `{"input": [...]}`, or with a file `image`; '
        '`response.json()["predictions"][0]`.',
        commands=(
            Command(
                f"curl -s {URL}/prediction "
                """-d '{"model": "reviews", "inputs": ["a great movie", "a dull plot"]}'""",
                prints=(r'"predictions":\s*\[\{"label":.*\},\s*\{"label":',),
            ),
            Command(
                f"curl -s {URL}/prediction -F model=photos -F image=@{BAR}",
                prints=(r'"predictions":\s*\[\{"label":\s*"(bar|dot|ring)"',),
            ),
        ),
        ours="`input` holds one input and `inputs` a list of them; `--port 8081` takes another "
        "port. The clients of Triton (`/v2`), of the Hub and of OpenAI (`/v1`) are answered too.",
    ),
    Example(
        "balancer",
        "Several servers behind a balancer",
        "port 8080.",
        commands=(
            Command(
                "python -m zoo serve runs/photos --instances 127.0.0.1:8081 127.0.0.1:8082 "
                "--write_config haproxy deploy/balancer",
                prints=(r"^deploy/balancer/haproxy\.cfg$",),
            ),
            Command(
                "python -m zoo serve runs/photos --instances 127.0.0.1:8081 127.0.0.1:8082 "
                "--write_config nginx deploy/balancer",
                prints=(r"^deploy/balancer/nginx\.conf$",),
            ),
        ),
        ours="The head of each file says how it is started. An instance that is not ready gets no "
        "requests from haproxy, and one that fails is passed by.",
    ),
    Example(
        "live_speech",
        "Live speech over a WebSocket",
        "`ws://host:8080/websocket`; pieces of sound are sent, one text comes back.",
        commands=(Command(f"python -c '{LIVE}'", prints=(r'^\{"type": "final".*"text": "',)),),
        ours="Texts come back while it is spoken. `predict runs/asr --stream` writes what it hears "
        "on standard input, without a service; `zoo.speech.stream_ctc` is made for live speech.",
    ),
    Example(
        "container",
        "The service in a container",
        commands=(
            Command(
                "python -m zoo serve runs/photos --write_config docker deploy/container",
                prints=(r"^deploy/container/Dockerfile$",),
            ),
            Command(
                "python -m zoo serve runs/photos --write_config kubernetes deploy/cluster",
                prints=(r"^deploy/cluster/kubernetes\.yaml$",),
            ),
        ),
        ours="The head of each file says how it is used. The steps of the Dockerfile have run; no "
        "image was built here, and no cluster asked.",
    ),
    Example(
        "cache",
        "An LRU cache of answers",
        wrong="the call that it shows does not exist.",
        commands=(
            Command(
                f"curl -si {URL}/predict {URL}/predict "
                """-d '{"model": "reviews", "text": "I have seen this one before."}'""",
                prints=(r"(?s)x-cache: miss.*x-cache: hit",),
            ),
        ),
        ours="`--cache_mb 64` above is the cache; `--cache_policy lfu` keeps what is asked for "
        "most often. A new version of the model never gives answers of the old one.",
    ),
    Example(
        "upload",
        "A page to upload a picture to",
        commands=(Command(f"curl -s {URL}/", prints=(r"<title>", r'<input type="file"')),),
        ours=f"In a browser it is {URL}: a picture is dropped, pasted or taken, a sound is "
        "recorded, a text is typed.",
    ),
)
