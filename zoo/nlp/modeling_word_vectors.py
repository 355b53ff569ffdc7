"""Word vectors: two vectors of each word, one for it and one for it as a neighbour of others.

Skip-gram and CBOW: Mikolov et al. 2013, "Efficient Estimation of Word Representations in Vector
Space"; GloVe: Pennington et al. 2014, "GloVe: Global Vectors for Word Representation".
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.utils import ModelOutput

from zoo.model.modeling import ZooPreTrainedModel, register


class WordVectorsConfig(PreTrainedConfig):  # type: ignore[misc]
    """Shape of word vectors, and how they were learned; see `zoo.nlp.word_vectors.Options`."""

    model_type = "zoo_word_vectors"

    vocab_size: int = 20000
    embedding_size: int = 100
    method: str = "skipgram"
    pad_token_id: int | None = 0


@dataclass
class WordScores(ModelOutput):  # type: ignore[misc]
    """What `WordVectorsModel` gives: `logits` of queries, the scores of pairs in training."""

    logits: Tensor | None = None
    positive: Tensor | None = None
    negative: Tensor | None = None


class _Band(torch.autograd.Function):
    """Scores of each centre with the words around it, [n, block, width], out of the product with
    all words of its block."""

    @staticmethod
    def forward(ctx: Any, centers: Tensor, contexts: Tensor, width: int) -> Tensor:
        ctx.save_for_backward(centers, contexts)
        ctx.width = width
        return band(centers @ contexts.transpose(1, 2), width).contiguous()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        centers, contexts = ctx.saved_tensors
        scores = centers.new_zeros(len(centers), centers.shape[1], contexts.shape[1])
        band(scores, ctx.width).copy_(gradient)
        return scores @ contexts, scores.transpose(1, 2) @ centers, None


def band(scores: Tensor, width: int) -> Tensor:
    """Return a view [n, block, width] of [n, block, block + width - 1], contiguous: row i from
    column i on."""
    n, block, columns = scores.shape
    return scores.as_strided((n, block, width), (block * columns, columns + 1, 1))


class WordVectorsModel(ZooPreTrainedModel):
    """Vectors of words (`vectors`), and of words as neighbours (`neighbours`)."""

    config_class = WordVectorsConfig
    base_model_prefix = "words"
    main_input_name = "words"

    def __init__(self, config: WordVectorsConfig) -> None:
        super().__init__(config)
        size = config.embedding_size
        self.vectors = nn.Embedding(config.vocab_size, size, padding_idx=config.pad_token_id)
        self.neighbours = nn.Embedding(config.vocab_size, size, padding_idx=config.pad_token_id)
        self.biases = nn.Embedding(config.vocab_size, 2) if config.method == "glove" else None
        self.post_init()

    def initialize(self, module: nn.Module) -> None:
        """Draw the weights: as word2vec.c does, vectors uniform within 0.5 / size and neighbours 0;
        of GloVe, whose loss stands still where both are 0, both as the vectors. Biases are 0."""
        assert isinstance(module, nn.Embedding), "there is no other module"
        drawn = module is self.vectors or self.config.method == "glove"
        if module is self.biases or not drawn:
            module.weight.zero_()
            return
        module.weight.uniform_(-0.5, 0.5).div_(self.config.embedding_size)
        if module.padding_idx is not None:
            module.weight[module.padding_idx].zero_()

    def get_input_embeddings(self) -> nn.Module:
        """Return the vectors of words."""
        return self.vectors

    def word_vectors(self) -> Tensor:
        """Return the vector of each word, float32 [vocabulary, size]: of GloVe the sum of both
        (Pennington et al. 2014, section 4.2)."""
        weight = self.vectors.weight.detach()
        both = self.config.method == "glove"
        return weight + self.neighbours.weight.detach() if both else weight

    def forward(
        self,
        words: Tensor | None = None,
        weights: Tensor | None = None,
        contexts: Tensor | None = None,
        mask: Tensor | None = None,
        noise: Tensor | None = None,
        **kwargs: Any,
    ) -> WordScores:
        """Return `logits` of queries, the cosine with the vector of every word [batch, vocabulary];
        or of training, for each centre, `positive` [n, block, 2 * window + 1] (1 of CBOW), the
        scores of its neighbours, and `negative` [n, block, noise], of noise words.

        Args:
            words: int64 [batch, k], the words of a query.
            weights: float32 [batch, k]: a query is the sum of the words' unit vectors with these
                weights (1 and -1 for analogies: Levy & Goldberg 2014, 3CosAdd).
            contexts, mask, noise: see `tasks.nlp.word_windows.collate`.
        """
        if words is not None and weights is not None:
            unit = nn.functional.normalize(self.word_vectors(), dim=-1)
            query = nn.functional.normalize((unit[words] * weights.unsqueeze(-1)).sum(1), dim=-1)
            return WordScores(logits=query @ unit.T)
        assert contexts is not None and mask is not None and noise is not None
        before, block = mask.shape[-1] // 2, mask.shape[1]
        centers = contexts[:, before : before + block]
        if self.config.method == "cbow":
            return self._of_context(centers, contexts, mask, noise)
        vectors = self.vectors(centers)
        near = _Band.apply(vectors, self.neighbours(contexts), mask.shape[-1])
        far = vectors @ self.neighbours(noise).transpose(1, 2)
        if self.biases is not None:
            own, other = self.biases(centers)[..., :1], self.biases(contexts)[..., 1]
            near = near + own + other.unfold(1, mask.shape[-1], 1)
            far = far + own + self.biases(noise)[..., 1].unsqueeze(1)
        return WordScores(positive=near, negative=far)

    def _of_context(
        self, centers: Tensor, contexts: Tensor, mask: Tensor, noise: Tensor
    ) -> WordScores:
        """Return the scores of centres and of noise with the mean of what is around (CBOW)."""
        vectors = self.vectors(contexts)
        share = mask / mask.sum(-1, keepdim=True).clamp(min=1)
        shares = vectors.new_zeros(len(mask), mask.shape[1], contexts.shape[1])
        band(shares, mask.shape[-1]).copy_(share)
        means = shares @ vectors
        near = (means * self.neighbours(centers)).sum(-1, keepdim=True)
        return WordScores(positive=near, negative=means @ self.neighbours(noise).transpose(1, 2))


register(WordVectorsConfig, AutoModel=WordVectorsModel)
