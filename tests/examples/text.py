"""Worked examples about text."""

from tests.examples.catalogue import Command, Example

BERT = "--model tiny_bert --max_steps 4"
RNN = "--max_train_samples 96 --max_eval_samples 24 --max_steps 4"
GPT = "--hidden_size 32 --num_layers 2 --num_heads 2 --max_steps 4"
ACCURACY = r"^accuracy +[01]\.\d+"

EXAMPLES = (
    Example(
        "bert_reviews",
        "BERT on reviews, by accuracy and weighted precision, recall and F1",
        "reviews of products and of films, a label each; Adam with a learning rate of 5e-5; "
        "precision, recall and F1 weighted by the size of the classes.",
        commands=(
            Command(
                "python -m zoo.nlp.bert_cls finetune --data reviews.csv --optim adam "
                "--learning_rate 5e-5 --output_dir runs/reviews",
                BERT,
                prints=(ACCURACY,),
            ),
            Command(
                "python -m zoo.nlp.bert_cls evaluate runs/reviews",
                prints=(ACCURACY, "precision_weighted", "recall_weighted", "f1_weighted"),
            ),
        ),
        ours="Beside each metric stand n and its 95% interval.",
    ),
    Example(
        "bert_trainer",
        "The same with the arguments of Trainer",
        "3 epochs, 16 samples a step and 64 an evaluation pass, 500 steps of warm-up, a weight "
        "decay of 0.01.",
        commands=(
            Command(
                "python -m zoo.nlp.bert_cls finetune --data reviews.csv --num_train_epochs 3 "
                "--per_device_train_batch_size 16 --per_device_eval_batch_size 64 "
                "--warmup_steps 500 --weight_decay 0.01 --output_dir runs/trainer",
                BERT,
                prints=(ACCURACY, "warmup_steps 500: the training ends after 4 steps"),
            ),
        ),
        ours="The names are those of `TrainingArguments`. A run that is shorter than its warm-up "
        "says so: the learning rate never reaches its peak.",
    ),
    Example(
        "lstm_imdb_csv",
        "LSTM on IMDb in one csv",
        "columns `review` and `sentiment`; the 10,000 most frequent words, 500 of them a review; "
        "embeddings of 64, an LSTM of 128, Adam.",
        commands=(
            Command(
                "python -m zoo.nlp.rnn_cls finetune --data 'IMDB Dataset.csv' --tokenizer word "
                "--vocab_size 10000 --max_length 500 --embedding_size 64 --hidden_size 128 "
                "--no-bidirectional --pooling last --optim adam --learning_rate 1e-3 "
                "--output_dir runs/lstm",
                RNN,
                prints=(ACCURACY,),
                leaves=(
                    ("config.json", "embedding_size", 64),
                    ("config.json", "hidden_size", 128),
                    ("config.json", "bidirectional", False),
                    ("config.json", "pooling", "last"),
                ),
            ),
        ),
        ours="The vocabulary comes from the training split alone. Without these flags it is an "
        "LSTM in both directions over subwords.",
    ),
    Example(
        "lstm_imdb_folders",
        "LSTM on IMDb as it is downloaded",
        "the folders `train` and `test` with `pos`, `neg` and `unsup`, a file a review.",
        commands=(
            Command(
                "python -m zoo.nlp.rnn_cls finetune --data aclImdb --clean html,space "
                "--output_dir runs/imdb",
                RNN,
                prints=(ACCURACY, "clean html,space of aclImdb: 360 texts changed"),
                leaves=(("zoo.json", "config.task.labels", ["neg", "pos"]),),
            ),
        ),
        ours="`--clean html,space` takes out the `<br />` of the files; the texts of `unsup` are a "
        "split without labels.",
    ),
    Example(
        "lstm_newsgroups",
        "LSTM on 20 Newsgroups as it is downloaded",
        "a folder a group, a file a message.",
        "the last layer is a sigmoid, which lets any number of groups be true at once; a message "
        "has one, so ours is a softmax over the groups, with cross entropy.",
        (
            Command(
                "python -m zoo.nlp.rnn_cls finetune --data 20news-bydate --output_dir runs/groups",
                RNN,
                prints=(ACCURACY,),
                leaves=(
                    ("zoo.json", "config.task.problem_type", "single_label_classification"),
                    (
                        "zoo.json",
                        "config.task.labels",
                        ["comp.graphics", "rec.autos", "talk.politics.misc"],
                    ),
                ),
            ),
        ),
    ),
    Example(
        "lstm_frozen",
        "Freeze all but the last layer, and train on",
        "the LSTM of above, five more epochs.",
        commands=(
            Command(
                "python -m zoo.nlp.rnn_cls finetune --model runs/lstm --data 'IMDB Dataset.csv' "
                "--tune head --num_train_epochs 5 --output_dir runs/lstm-head",
                RNN,
                prints=(ACCURACY,),
            ),
        ),
    ),
    Example(
        "lstm_predict",
        'Predict "This is a great movie."',
        commands=(
            Command(
                "python -m zoo.nlp.rnn_cls predict runs/lstm --text 'This is a great movie.'",
                prints=(r'"label": "(positive|negative)"',),
            ),
        ),
    ),
    Example(
        "rnn_cells",
        "RNN, LSTM and GRU side by side",
        commands=(
            *(
                Command(
                    f"python -m zoo.nlp.rnn_cls finetune --data reviews.csv --cell {cell} "
                    f"--output_dir runs/cells/{cell}",
                    RNN,
                    prints=(ACCURACY,),
                    leaves=(("config.json", "cell", cell),),
                )
                for cell in ("rnn", "lstm", "gru")
            ),
            Command(
                "python -m zoo runs runs/cells",
                prints=(r"^rnn .*accuracy", r"^lstm .*accuracy", r"^gru .*accuracy"),
            ),
        ),
        ours="The three see the same samples in the same order.",
    ),
    Example(
        "zero_shot",
        "Zero-shot: labels without training",
        commands=(
            Command(
                "python -m zoo.nlp.bert_cls predict minilm --zero_shot "
                "--labels sports,politics,cooking --text 'Fold the egg whites in'",
                prints=(r'"label": "cooking"',),
            ),
        ),
    ),
    Example(
        "attention",
        "Encoder and decoder with attention; soft attention over recurrent states",
        "sentences in two languages, one translated into the other; and a recurrent classifier "
        "that weighs its states, drawn over the text.",
        commands=(
            Command(
                "python -m zoo.nlp.t5_seq2seq finetune --data sentences.csv --source_column en "
                "--target_column fr --output_dir runs/en-fr",
                "--hidden_size 32 --num_layers 1 --num_heads 2 --max_steps 4",
                prints=(r"^chrf +\d+\.\d+", r"^bleu +\d+\.\d+"),
            ),
            Command(
                "python -m zoo.nlp.t5_seq2seq predict runs/en-fr --text 'The film is long.' "
                "--num_beams 4",
                prints=(r'"text": ".*", "finish_reason"',),
            ),
            Command(
                "python -m zoo.nlp.rnn_cls finetune --data reviews.csv --pooling attention "
                "--output_dir runs/attention",
                RNN,
                prints=(ACCURACY,),
                leaves=(("config.json", "pooling", "attention"),),
            ),
            Command(
                "python -m zoo.nlp.rnn_cls predict runs/attention --text 'fine, I loved it' "
                "--attention -",
                prints=(r"fine", r'"label": "(positive|negative)"'),
            ),
        ),
        ours="The encoder-decoder is a T5 in small, whose layers all attend. `--attention "
        "picture.html` draws the weights into a file.",
    ),
    Example(
        "gpt",
        "A GPT that goes on with a text",
        "a book in one file of text, cut into pieces of a fixed length; a table of characters, or "
        "pairs of bytes; a text from a prompt, by temperature and top-k.",
        commands=(
            Command(
                "python -m zoo.nlp.gpt_lm pretrain --data book.txt --output_dir runs/book",
                GPT,
                prints=(r"^bits_per_byte +\d+\.\d+", r"^token_accuracy +[01]\.\d+"),
            ),
            Command(
                "python -m zoo.nlp.gpt_lm pretrain --data book.txt --tokenizer char "
                "--output_dir runs/characters",
                GPT,
                prints=(r"^bits_per_byte +\d+\.\d+",),
            ),
            Command(
                "python -m zoo.nlp.gpt_lm predict runs/book --prompt 'It was a' "
                "--max_new_tokens 40 --temperature 0.8 --top_k 40 --seed 1",
                prints=(r'"prompt": "It was a", "text": ".*", "finish_reason": "(stop|length)"',),
            ),
            Command(
                "python -m zoo.nlp.gpt_lm finetune --model runs/book --data reviews.csv "
                "--output_dir runs/like_reviews",
                "--max_train_samples 96 --max_eval_samples 24 --max_steps 4",
                prints=(r"^bits_per_byte +\d+\.\d+",),
            ),
        ),
        ours="Bits per byte do not depend on the tokenizer, so the two trainings can be compared. "
        "Documents of a folder or a table see nothing of each other.",
    ),
    Example(
        "word_vectors",
        "Word vectors: one-hot, CBOW, skip-gram, GloVe",
        "a corpus of texts; vectors of 100 numbers, a window of 5 words, 5 noise words; the words "
        "that are nearest to one; a classifier that begins with them.",
        commands=(
            *(
                Command(
                    f"python -m zoo.nlp.word_vectors pretrain --data reviews.csv --method {method} "
                    f"--output_dir runs/{method}",
                    "--max_steps 4",
                    leaves=(("config.json", "method", method),),
                )
                for method in ("skipgram", "cbow", "glove")
            ),
            Command(
                "python -m zoo.nlp.word_vectors predict runs/skipgram --word film --top_k 3",
                prints=(r'"word": "film"',),
            ),
            Command(
                "python -m zoo.nlp.rnn_cls finetune --data reviews.csv --tokenizer word "
                "--embeddings runs/skipgram --output_dir runs/with_vectors",
                RNN,
                prints=(ACCURACY,),
            ),
            Command(
                "python -m zoo.nlp.rnn_cls finetune --data reviews.csv --tokenizer word "
                "--embeddings one_hot --output_dir runs/one_hot",
                RNN,
                prints=(ACCURACY,),
            ),
        ),
        ours="`export runs/skipgram --runtime word2vec` writes them as gensim reads them, and "
        "`--embeddings` reads such a file too.",
    ),
)
