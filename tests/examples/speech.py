"""Worked examples about speech."""

from tests.examples.catalogue import Command, Example

CONFORMER = "--hidden_size 16 --num_layers 1 --num_heads 2 --kernel_size 3 --max_steps 2"
WER = r"^wer +\d"

EXAMPLES = (
    Example(
        "speech_transformer",
        "A transformer that recognizes speech",
        "80 mel bins by an FFT of 1024 and a hop of 256; gradients clipped to 1.0.",
        "it trains cross entropy on the argmax of its outputs, which has no gradient; ours trains "
        "a CTC loss.",
        (
            Command(
                "python -m zoo.speech.conformer_ctc finetune --data prompts --num_mel_bins 80 "
                "--n_fft 1024 --hop_length 256 --max_grad_norm 1.0 --output_dir runs/asr",
                CONFORMER,
                prints=(WER,),
                leaves=(
                    ("preprocessor_config.json", "n_fft", 1024),
                    ("preprocessor_config.json", "win_length", 1024),
                    ("preprocessor_config.json", "hop_length", 256),
                    ("config.json", "hop_length", 256),
                    ("zoo.json", "config.task.settled.hop", 256),
                ),
            ),
            Command(
                "python -m zoo.speech.conformer_ctc predict runs/asr --audio prompts/test/000.wav",
                prints=(r'"text": "',),
            ),
            Command(
                "python -m zoo.speech.conformer_ctc finetune --data prompts --model runs/asr "
                "--learning_rate 1e-4 --output_dir runs/asr-more",
                "--max_steps 2",
                prints=(WER,),
                leaves=(("preprocessor_config.json", "hop_length", 256),),
            ),
        ),
        "`prompts` holds sounds and a `metadata.csv` of `file_name` and `transcription`.",
    ),
    Example(
        "wavenet",
        "WaveNet as a recognizer of 28 symbols",
        "gated convolutions whose dilations double, and letters, the blank and the apostrophe.",
        commands=(
            Command(
                "python -m zoo.speech.stream_ctc finetune --data prompts --num_layers 16 "
                "--kernel_size 2 --cycle 8 --output_dir runs/wavenet",
                "--hidden_size 16 --max_steps 2",
                prints=(WER,),
                leaves=(("config.json", "cycle", 8),),
            ),
            Command(
                "python -m zoo.speech.stream_ctc predict runs/wavenet --audio prompts/test/000.wav",
                prints=(r'"text": "',),
            ),
        ),
        ours="The symbols are those of the transcriptions. It hears nothing that comes later, so "
        "its stream is its offline text.",
    ),
)
