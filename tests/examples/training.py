"""Worked examples about training, and about weights that come and go."""

from tests.examples.catalogue import Command, Example

RNN = "--max_train_samples 96 --max_eval_samples 24 --max_steps 6"
ACCURACY = r"^accuracy +[01]\.\d+"


def _settings(flags: str, name: str) -> Command:
    line = f"python -m zoo.nlp.rnn_cls finetune --data reviews.csv {flags}"
    return Command(f"{line} --output_dir runs/{name}", RNN, prints=(ACCURACY,))


EXAMPLES = (
    Example(
        "settings",
        "Schedules, clipping, first weights, regularization, optimizers",
        "exponential, cosine and plateau schedules; gradients clipped by norm and by value; "
        "Xavier, He and Gauss; L1, L2 and dropout; six optimizers.",
        "several of the calls that it shows do not exist.",
        (
            _settings(
                "--lr_scheduler_type exponential --max_grad_norm 1.0 --initialization xavier "
                "--optim sgd --momentum 0.9",
                "exponential",
            ),
            _settings(
                "--lr_scheduler_type cosine --warmup_steps 0.1 --initialization he --optim rmsprop",
                "cosine",
            ),
            _settings(
                "--l1 1e-5 --weight_decay 0.01 --dropout 0.5 --initialization normal "
                "--optim adamax",
                "regularized",
            ),
            _settings("--max_grad_value 0.5 --optim adam", "clipped"),
            _settings("--lr_scheduler_type plateau --optim adamw", "plateau"),
            _settings("--optim adagrad", "adagrad"),
        ),
        ours="`--optim` has adamw, adam, sgd (with `--nesterov`, too), rmsprop, adamax, adagrad "
        "and adadelta.",
    ),
    Example(
        "data_parallel",
        "DataParallel and DistributedDataParallel",
        commands=(
            Command(
                "torchrun --nproc_per_node 2 -m zoo.nlp.bert_cls finetune --data reviews.csv "
                "--output_dir runs/parallel",
                "--model tiny_bert --max_steps 4",
                prints=(ACCURACY,),
                slow=True,
            ),
        ),
        ours="A process a GPU, which PyTorch advises over `DataParallel`; a run on two sees the "
        "same samples in the same order as on one.",
    ),
    Example(
        "model_parallel",
        "Model parallel on two devices",
        wrong="it is none: the model is not divided between the devices.",
        lacks="a model whose layers lie on several devices. `--fsdp` divides the weights between "
        "processes, each of which computes every layer.",
    ),
    Example(
        "model_pth",
        "Save and load model.pth, from DataParallel too",
        "`torch.save(model.state_dict(), 'model.pth')` of a ResNet-18.",
        commands=(
            Command(
                "python -m zoo import model.pth --as resnet_cls --labels bar,dot,ring "
                "--output_dir runs/imported",
            ),
            Command(
                "python -m zoo.vision.resnet_cls predict runs/imported "
                "--image photos/test/bar/000.png",
                prints=(r'"label": "(bar|dot|ring)"',),
            ),
        ),
        ours="A checkpoint of ours is a folder: `zoo.load('runs/imported')` in Python.",
    ),
)
