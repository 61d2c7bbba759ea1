"""Chooses the next token of every row, in the order of generate(): penalty, ends too early, temperature, top-k, top-p.

Rows may all want something else. Each row draws one number a step from its own generator, so a seed gives the same
whatever else is in the batch.
"""

import torch
from torch import Tensor

from pinion_textgen.request import Sequence

# The likeliest tokens mostly hold the one that is drawn; only rows where they do not are sorted as a whole.
_CANDIDATES = 256


class Sampler:
    """Its rows are those of the decoder."""

    def __init__(self, vocabulary: int, end_tokens: frozenset[int], device: torch.device) -> None:
        self._end_tokens = sorted(end_tokens)
        self._seen = torch.zeros(0, vocabulary, dtype=torch.bool, device=device)

    def join(self, seen: list[list[int]]) -> None:
        """New rows, by the tokens each has had so far."""
        new = self._seen.new_zeros(len(seen), self._seen.shape[1])
        for row, tokens in enumerate(seen):
            new[row, tokens] = True
        self._seen = torch.cat([self._seen, new])

    def leave(self, row: int) -> None:
        """The last row takes its place."""
        self._seen[row] = self._seen[-1]
        self._seen = self._seen[:-1]

    def clear(self) -> None:
        self._seen = self._seen[:0]

    def choose(self, scores: Tensor, sequences: list[Sequence]) -> list[int]:
        """One token for each row of scores (rows, vocabulary)."""
        scores = self._penalized(scores.to(torch.float32, copy=True), sequences)
        early = [row for row, each in enumerate(sequences) if len(each.tokens) < each.options.min_new_tokens]
        if early and self._end_tokens:
            scores[torch.tensor(early)[:, None], torch.tensor(self._end_tokens)] = -torch.inf
        chosen = scores.argmax(dim=-1)
        drawing = [row for row, each in enumerate(sequences) if each.options.do_sample]
        if drawing:
            rows = torch.tensor(drawing, device=scores.device)
            chosen[rows] = _drawn(scores[rows], [sequences[row] for row in drawing])
        self._seen[torch.arange(len(chosen), device=chosen.device), chosen] = True
        return chosen.tolist()

    def _penalized(self, scores: Tensor, sequences: list[Sequence]) -> Tensor:
        penalties = [each.options.repetition_penalty for each in sequences]
        if all(penalty == 1 for penalty in penalties):
            return scores
        seen = self._seen.nonzero(as_tuple=True)  # few of a vocabulary
        by, score = torch.tensor(penalties, device=scores.device)[seen[0]], scores[seen]
        scores[seen] = torch.where(score < 0, score * by, score / by)
        return scores


def _drawn(scores: Tensor, sequences: list[Sequence]) -> Tensor:
    def column(values: list[float]) -> Tensor:
        return torch.tensor(values, device=scores.device)[:, None]

    vocabulary = scores.shape[1]
    options = [each.options for each in sequences]
    scores = scores / column([each.temperature for each in options])
    top_k = column([min(each.top_k or vocabulary, vocabulary) for each in options])
    top_p = column([each.top_p for each in options])
    at = column([each.random.random() for each in sequences])
    tokens, is_decided = draw(scores, top_k, top_p, at, min(_CANDIDATES, vocabulary))
    if not bool(is_decided.all()):
        rows = (~is_decided).nonzero()[:, 0]
        tokens[rows], _ = draw(scores[rows], top_k[rows], top_p[rows], at[rows], vocabulary)
    return tokens


def draw(scores: Tensor, top_k: Tensor, top_p: Tensor, at: Tensor, candidates: int) -> tuple[Tensor, Tensor]:
    """The token whose share of the probability holds `at`, from 0 to 1, the likeliest first.

    Also whether that is certain with only so many of the likeliest looked at; both are (rows).

    `scores` is (rows, vocabulary), the others (rows, 1); top_k goes up to the vocabulary.
    """
    best, tokens = scores.topk(candidates, dim=-1)
    best = best.masked_fill(torch.arange(candidates, device=scores.device) >= top_k, -torch.inf)
    all_of_top_k = top_k <= candidates
    total = torch.where(all_of_top_k, best.logsumexp(-1, keepdim=True), scores.logsumexp(-1, keepdim=True))
    shares = (best - total).exp()
    below = shares.cumsum(-1)
    kept = shares * (below - shares < top_p)
    up_to = kept.cumsum(-1)
    all_of_top_p = all_of_top_k | ((top_k == scores.shape[1]) & (top_p < 1) & (below[:, -1:] >= top_p))
    wanted = at * torch.where(all_of_top_p, up_to[:, -1:], 1.0)
    is_certain = all_of_top_p | ((top_k == scores.shape[1]) & (top_p >= 1) & (wanted < up_to[:, -1:]))
    # rounding must not lead past what is kept
    index = torch.minimum((up_to <= wanted).sum(-1, keepdim=True), (kept > 0).sum(-1, keepdim=True) - 1)
    return tokens.gather(-1, index)[:, 0], is_certain[:, 0]
