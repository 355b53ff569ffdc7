"""Word vectors: two vectors of each word, one for it and one for it as a neighbour of others.

Skip-gram and CBOW: Mikolov et al. 2013, "Efficient Estimation of Word Representations in Vector
Space"; GloVe: Pennington et al. 2014, "GloVe: Global Vectors for Word Representation".
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.utils import ModelOutput

from tasks.nlp.word_windows import PAD
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
    """What `WordVectorsModel` gives: the vectors of words in a text, `logits` of queries, and the
    scores of pairs in training."""

    last_hidden_state: Tensor | None = None
    logits: Tensor | None = None
    positive: Tensor | None = None
    negative: Tensor | None = None


class _Lookup(torch.autograd.Function):
    """Rows of an embedding. Their gradient is added up in place, which takes a third of the time of
    torch's own; the row of the padding has none."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, ids: Tensor) -> Tensor:
        ctx.save_for_backward(ids)
        ctx.shape = weight.shape
        return nn.functional.embedding(ids, weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (ids,) = ctx.saved_tensors
        rows = gradient.reshape(-1, ctx.shape[1])
        found = gradient.new_zeros(ctx.shape).index_add_(0, ids.flatten(), rows)
        found[PAD] = 0
        return found, None


class _Scores(torch.autograd.Function):
    """Products of each centre with the words around it and with noise, [n, block, width] and [n,
    block, noise], out of one product with all of them.

    `others` [n, block + width - 1 + noise, size] are the words of the block, with those on both
    sides of it, and the noise words.
    """

    @staticmethod
    def forward(ctx: Any, centers: Tensor, others: Tensor, width: int) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(centers, others)
        ctx.width = width
        scores = centers @ others.transpose(1, 2)
        far = scores[..., centers.shape[1] + width - 1 :]
        return band(scores, width).contiguous(), far.contiguous()

    @staticmethod
    def backward(ctx: Any, near: Tensor, far: Tensor) -> tuple[Tensor, Tensor, None]:
        centers, others = ctx.saved_tensors
        scores = centers.new_zeros(*centers.shape[:2], others.shape[1])
        band(scores, ctx.width).copy_(near)
        scores[..., centers.shape[1] + ctx.width - 1 :] = far
        return scores @ others, scores.transpose(1, 2) @ centers, None


def band(scores: Tensor, width: int) -> Tensor:
    """Return a view [n, block, width] of [n, block, columns], contiguous: row i from column i
    on."""
    n, block, columns = scores.shape
    return scores.as_strided((n, block, width), (block * columns, columns + 1, 1))


_lookup: Callable[[Tensor, Tensor], Tensor] = _Lookup.apply
_scores: Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]] = _Scores.apply


class WordVectorsModel(ZooPreTrainedModel):
    """Vectors of words (`vectors`), and of words as neighbours (`neighbours`)."""

    config_class = WordVectorsConfig
    base_model_prefix = "words"
    main_input_name = "input_ids"

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
        input_ids: Tensor | None = None,
        words: Tensor | None = None,
        weights: Tensor | None = None,
        contexts: Tensor | None = None,
        mask: Tensor | None = None,
        noise: Tensor | None = None,
        **kwargs: Any,
    ) -> WordScores:
        """Return `last_hidden_state`, the vectors of words [batch, seq, size]; or `logits` of
        queries, the cosine with the vector of every word [batch, vocabulary]; or of training, for
        each centre, `positive` [n, block, 2 * window + 1] (1 of CBOW), the scores of its
        neighbours, and `negative` [n, block, noise], of noise words.

        Args:
            input_ids: int64 [batch, seq].
            words: int64 [batch, k], the words of a query.
            weights: float32 [batch, k]: a query is the sum of the words' unit vectors with these
                weights (1 and -1 for analogies: Levy & Goldberg 2014, 3CosAdd).
            contexts, mask, noise: see `tasks.nlp.word_windows.collate`.
        """
        if input_ids is not None:
            return WordScores(last_hidden_state=self.word_vectors()[input_ids])
        if words is not None and weights is not None:
            unit = nn.functional.normalize(self.word_vectors(), dim=-1)
            query = nn.functional.normalize((unit[words] * weights.unsqueeze(-1)).sum(1), dim=-1)
            return WordScores(logits=query @ unit.T)
        assert contexts is not None and mask is not None and noise is not None
        before, block = mask.shape[-1] // 2, mask.shape[1]
        centers = contexts[:, before : before + block]
        vectors, neighbours = self.vectors.weight, self.neighbours.weight
        if self.config.method == "cbow":
            share = mask / mask.sum(-1, keepdim=True).clamp(min=1)
            shares = vectors.new_zeros(len(mask), block, contexts.shape[1])
            band(shares, mask.shape[-1]).copy_(share)
            means = shares @ _lookup(vectors, contexts)
            others = _lookup(neighbours, torch.cat([centers, noise], 1))
            near = (means * others[:, :block]).sum(-1, keepdim=True)
            return WordScores(positive=near, negative=means @ others[:, block:].transpose(1, 2))
        others = _lookup(neighbours, torch.cat([contexts, noise], 1))
        near, far = _scores(_lookup(vectors, centers), others, mask.shape[-1])
        if self.biases is not None:
            own, other = self.biases(centers)[..., :1], self.biases(contexts)[..., 1]
            near = near + own + other.unfold(1, mask.shape[-1], 1)
            far = far + own + self.biases(noise)[..., 1].unsqueeze(1)
        return WordScores(positive=near, negative=far)


register(WordVectorsConfig, AutoModel=WordVectorsModel)
