"""Pretrained encoders that tag every token: the head reads each state of the last layer."""

from typing import Any

from zoo.nlp.pretrained_encoder import PretrainedEncoder


class TokenEncoder(PretrainedEncoder):
    """An encoder whose head reads every token of the last layer."""

    auto_class = "AutoModelForTokenClassification"
    head = "head for tokens"

    def optimize_training(self, model: Any, train: Any) -> None:
        """Replace only the code of the layers by faster code in place, since every token counts;
        the embedding is reduced to the tokens of `train`."""
        from zoo.speedups.fast_encoder import speed_up_layers
        from zoo.speedups.sparse_embedding import train_used_rows

        speed_up_layers(model)
        if train is not None:
            train_used_rows(model, model.get_input_embeddings(), train.used_ids())


NETWORK = TokenEncoder()
