"""Methods of training beside plain fine-tuning; `zoo finetune MODEL --help-all` has their flags.

    zoo finetune cnn_cls --data photos/ --ssl fixmatch --unlabeled more_photos/
    zoo pretrain bert_mlm --data texts.csv && zoo finetune bert_cls --model runs/bert_mlm
    zoo pretrain mae --data photos/ && zoo finetune vit_cls --data photos/ --model runs/mae
    zoo finetune bert_cls --tune lora     # or head, gradual
    zoo finetune cnn_cls --widths 8 16 --teacher runs/cnn_cls --output_dir runs/small
    zoo finetune cnn_cls --qat runs/cnn_cls  # rounded as int8 will be (zoo.quantization)

Data without labels are learned from by pseudo-labels or FixMatch; `--unlabeled rest` takes the rows
that `--max_train_samples` leaves out. `bench.experiments.semi_supervised` and `.pretraining` say
what these gained where they were measured, and where they gained nothing.
"""
