"""Worked examples about images."""

from tests.examples.catalogue import Command, Example

CNN = "--widths 8 16 --max_train_samples 96 --max_eval_samples 24 --max_steps 4"
RESNET = "--architecture test_resnet --max_steps 3"
VIT = "--depth 2 --max_steps 3"
ACCURACY = r"^accuracy +[01]\.\d+"
CIFAR = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]

EXAMPLES = (
    Example(
        "cnn_files",
        "A small CNN on CIFAR-10, on MNIST, and on one's own folders",
        "convolutions, pooling and linear layers.",
        "the sizes of the linear layers can't fit what the convolutions give them; ours are made "
        "for the images.",
        (
            Command(
                "python -m zoo.vision.cnn_cls finetune --data photos --output_dir runs/photos",
                CNN,
                prints=(ACCURACY,),
            ),
            Command(
                "python -m zoo.vision.cnn_cls finetune --data cifar-10-batches-bin "
                "--output_dir runs/cifar10",
                CNN,
                prints=(ACCURACY,),
                leaves=(
                    ("zoo.json", "config.task.labels", CIFAR),
                    ("preprocessor_config.json", "size", {"height": 32, "width": 32}),
                ),
            ),
            Command(
                "python -m zoo.vision.cnn_cls finetune --data MNIST/raw --output_dir runs/mnist",
                CNN,
                prints=(ACCURACY,),
                leaves=(("preprocessor_config.json", "size", {"height": 28, "width": 28}),),
            ),
        ),
        "`photos` holds `LABEL/*.jpg`, or `train/LABEL/*.jpg` and so on.",
    ),
    Example(
        "mlp",
        "An MLP 784-128-10 on MNIST; regression by two layers, with several outputs",
        commands=(
            Command(
                "python -m zoo.vision.mlp_cls finetune --data MNIST/raw --hidden_sizes 128 "
                "--output_dir runs/mlp",
                "--max_steps 4",
                prints=(ACCURACY,),
                leaves=(("config.json", "hidden_sizes", [128]),),
            ),
            Command(
                "python -m zoo.tabular.mlp_tab finetune --data houses.csv "
                "--label_column price,rent --hidden_sizes 64 --output_dir runs/houses",
                "--max_steps 4",
                prints=(r"^mse +\d",),
                leaves=(("config.json", "hidden_sizes", [64]),),
            ),
            Command(
                "python -m zoo.tabular.mlp_tab predict runs/houses --file houses.csv",
                prints=(r'"price": ',),
            ),
        ),
        ours="All other columns of a table are inputs, numbers and categories as they are found.",
    ),
    Example(
        "resnet_all",
        "ResNet-18 on one's own folders, all layers trained",
        commands=(
            Command(
                "python -m zoo.vision.resnet_cls finetune --data photos --architecture resnet18 "
                "--output_dir runs/resnet",
                RESNET,
                prints=(ACCURACY,),
            ),
            Command(
                "python -m zoo.vision.resnet_cls finetune --data pets --model runs/resnet "
                "--output_dir runs/pets",
                "--max_steps 3",
                prints=(ACCURACY,),
                leaves=(("zoo.json", "config.task.labels", ["cat", "dog"]),),
            ),
        ),
        ours="`--model resnet18` takes the weights trained on ImageNet from the Hub; that has not "
        "run here.",
    ),
    Example(
        "resnet_frozen",
        "ResNet-18 frozen, with a new last layer",
        "SGD with a momentum of 0.9.",
        commands=(
            Command(
                "python -m zoo.vision.resnet_cls finetune --data pets --model runs/resnet "
                "--tune head --optim sgd --momentum 0.9 --learning_rate 1e-3 "
                "--output_dir runs/pets-head",
                "--max_steps 3",
                prints=(ACCURACY,),
                leaves=(("zoo.json", "config.task.labels", ["cat", "dog"]),),
            ),
        ),
    ),
    Example(
        "augmentation",
        "Crops, flips, rotation, noise and colour",
        commands=(
            Command(
                "python -m zoo.vision.cnn_cls finetune --data photos --crop_scale 0.8 --hflip on "
                "--vflip --rotation 15 --noise 0.05 --color_jitter 0.3 --output_dir runs/varied",
                CNN,
                prints=(ACCURACY,),
            ),
        ),
        ours="They vary with seed, epoch and sample alone, so a resumed run sees the same images.",
    ),
    Example(
        "fewer_labels",
        "Data with and without labels together; self-supervised, then fine-tuned",
        commands=(
            Command(
                "python -m zoo.vision.cnn_cls finetune --data photos --ssl fixmatch "
                "--unlabeled more_photos --output_dir runs/fixmatch",
                CNN,
                prints=(ACCURACY,),
            ),
            Command(
                "python -m zoo.vision.mae pretrain --data more_photos --output_dir runs/mae",
                f"{VIT} --patch_size 4 --decoder_size 24 --decoder_depth 1 --decoder_heads 2",
                prints=(r"^reconstruction_loss +\d",),
            ),
            Command(
                "python -m zoo.vision.vit_cls finetune --data photos --model runs/mae "
                "--output_dir runs/vit",
                "--max_steps 3",
                prints=(ACCURACY,),
            ),
        ),
        ours="Texts have `zoo.nlp.bert_mlm pretrain`.",
    ),
)
