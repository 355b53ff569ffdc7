"""Training: the verbs finetune and pretrain, the loop, and what takes part in it.

Several processes: `torchrun --nproc_per_node 2 -m zoo.nlp.bert_cls finetune --data reviews.csv`, or
`accelerate launch -m`; `--fsdp` shards the model. Where torchvision does not fit the torch beside
it, accelerate's launcher does not start; torchrun does.
"""
