"""Worked examples about small, portable and served models."""

from tests.examples.catalogue import Command, Example

BAR = "photos/test/bar/000.png"
LABEL = r'"label": "(bar|dot|ring)"'
NO_SERVER = "a server."

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
        lacks=NO_SERVER,
    ),
    Example(
        "model_server",
        "A model server, and its clients",
        'port 8081; `POST /prediction` with `{"input": [...]}`, or with a file `image`; '
        '`response.json()["predictions"][0]`.',
        lacks=NO_SERVER,
    ),
    Example("balancer", "Several servers behind a balancer", "port 8080.", lacks=NO_SERVER),
    Example(
        "live_speech",
        "Live speech over a WebSocket",
        "`ws://host:8080/websocket`; pieces of sound are sent, one text comes back.",
        ours="On one machine, `predict runs/asr --stream` writes what it hears on standard input.",
        lacks=NO_SERVER,
    ),
    Example("container", "The service in a container", lacks=NO_SERVER),
    Example(
        "cache",
        "An LRU cache of answers",
        wrong="the call that it shows does not exist.",
        lacks=NO_SERVER,
    ),
    Example("upload", "A page to upload a picture to", lacks=NO_SERVER),
)
