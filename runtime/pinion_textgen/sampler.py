"""Chooses the next token of every row, in the order of generate(): penalty, ends too early, temperature, top-k, top-p.

Rows may all want something else. Each row draws one number a step from its own generator, so a seed gives the same
whatever else is in the batch.
"""

import torch
from torch import Tensor

from pinion_textgen.request import Sequence

_CANDIDATES = (64, 256)
"""Few of the likeliest tokens are found much sooner than all are sorted. How many are looked at for a row depends on
its own options alone: another number would round differently."""


class Sampler:
    """Its rows are those of the decoder."""

    def __init__(self, end_tokens: frozenset[int], device: torch.device) -> None:
        self._end_tokens = sorted(end_tokens)
        # What each row has had so far, filled up with its first token; and how many that are.
        self._seen = torch.zeros(0, 1, dtype=torch.long, device=device)
        self._counts: list[int] = []

    def join(self, seen: list[list[int]]) -> None:
        """New rows, by the tokens each has had so far."""
        self._widen(max(map(len, seen)))
        width = self._seen.shape[1]
        filled = [[*tokens, *tokens[:1] * (width - len(tokens))] for tokens in seen]
        self._seen = torch.cat([self._seen, self._seen.new_tensor(filled)])
        self._counts += map(len, seen)

    def leave(self, row: int) -> None:
        """The last row takes its place."""
        self._seen[row] = self._seen[-1]
        self._seen = self._seen[:-1]
        self._counts[row] = self._counts[-1]
        self._counts.pop()

    def clear(self) -> None:
        self._seen = self._seen[:0, :1]
        self._counts.clear()

    def choose(self, scores: Tensor, sequences: list[Sequence]) -> list[int]:
        """One token for each row of scores (rows, vocabulary), which are changed: each copy of them costs."""
        scores = self._without_early_ends(self._penalized(scores.float(), sequences), sequences)
        drawing = [row for row, each in enumerate(sequences) if each.options.do_sample]
        if not drawing:
            chosen = scores.argmax(dim=-1)
        elif len(drawing) == len(sequences):
            chosen = _drawn(scores, sequences)
        else:
            chosen = scores.argmax(dim=-1)
            chosen[drawing] = _drawn(scores[drawing], [sequences[row] for row in drawing])
        self._widen(max(self._counts) + 1)
        self._seen[range(len(chosen)), self._counts] = chosen
        self._counts = [count + 1 for count in self._counts]
        return chosen.tolist()

    def _widen(self, count: int) -> None:
        """Room for so many tokens a row."""
        width = self._seen.shape[1]
        if count > width:
            more = self._seen[:, :1].expand(-1, max(count, 2 * width) - width)
            self._seen = torch.cat([self._seen, more], dim=1)

    def _penalized(self, scores: Tensor, sequences: list[Sequence]) -> Tensor:
        penalties = [each.options.repetition_penalty for each in sequences]
        if all(penalty == 1 for penalty in penalties):
            return scores
        by = torch.tensor(penalties, device=scores.device)[:, None]
        seen = self._seen[:, : max(self._counts)]
        score = scores.gather(-1, seen)
        return scores.scatter_(-1, seen, torch.where(score < 0, score * by, score / by))

    def _without_early_ends(self, scores: Tensor, sequences: list[Sequence]) -> Tensor:
        early = [row for row, each in enumerate(sequences) if len(each.tokens) < each.options.min_new_tokens]
        if not (early and self._end_tokens):
            return scores
        scores[torch.tensor(early)[:, None], torch.tensor(self._end_tokens)] = -torch.inf
        return scores


def _drawn(scores: Tensor, sequences: list[Sequence]) -> Tensor:
    vocabulary = scores.shape[1]
    chosen = torch.empty(len(sequences), dtype=torch.long, device=scores.device)
    groups: dict[int | None, list[int]] = {}
    for row, each in enumerate(sequences):
        groups.setdefault(_candidates_for(each.options.top_k, vocabulary), []).append(row)
    for candidates, rows in groups.items():
        options = [sequences[row].options for row in rows]

        def column(values: list[float]) -> Tensor:
            return torch.tensor(values, device=scores.device)[:, None]

        given = scores if len(rows) == len(scores) else scores[rows]
        temperature = column([each.temperature for each in options])
        top_p = column([each.top_p for each in options])
        at = column([sequences[row].random.random() for row in rows])
        if candidates is None:
            chosen[rows] = _drawn_from_all(given / temperature, top_p, at)
        else:
            top_k = column([min(each.top_k or vocabulary, vocabulary) for each in options])
            chosen[rows] = _drawn_from_top_k(given, temperature, top_k, top_p, at, candidates)
    return chosen


def _candidates_for(top_k: int, vocabulary: int) -> int | None:
    """How many of the likeliest hold all there are to draw from; None if only all do."""
    if vocabulary <= _CANDIDATES[-1]:
        return vocabulary
    if not 0 < top_k < vocabulary:
        return None
    return next((count for count in _CANDIDATES if top_k <= count), vocabulary)


def _drawn_from_top_k(
    scores: Tensor, temperature: Tensor, top_k: Tensor, top_p: Tensor, at: Tensor, candidates: int
) -> Tensor:
    """The token whose share of the probability holds `at`, from 0 to 1, the likeliest first.

    `scores` is (rows, vocabulary), the others (rows, 1); no top_k is above the candidates.
    """
    best, tokens = scores.topk(candidates, dim=-1)
    best = (best / temperature).masked_fill(torch.arange(candidates, device=scores.device) >= top_k, -torch.inf)
    up_to, count = _kept(best.softmax(-1), top_p)
    return _at(tokens, up_to, at * up_to[:, -1:], count)


def _drawn_from_all(scores: Tensor, top_p: Tensor, at: Tensor) -> Tensor:
    """The same without a top_k. Only rows that are not decided by the likeliest are sorted as a whole."""
    best, tokens = scores.topk(_CANDIDATES[-1], dim=-1)
    shares = (best - scores.logsumexp(-1, keepdim=True)).exp()
    up_to, count = _kept(shares, top_p)
    holds_top_p = (top_p < 1) & (shares.sum(-1, keepdim=True) >= top_p)
    wanted = at * torch.where(holds_top_p, up_to[:, -1:], 1.0)
    chosen = _at(tokens, up_to, wanted, count)
    is_decided = holds_top_p | ((top_p >= 1) & (wanted < up_to[:, -1:]))
    if not bool(is_decided.all()):
        rows = (~is_decided).nonzero()[:, 0]
        as_they_are, all_of_them = torch.ones_like(at[rows]), torch.full_like(at[rows], scores.shape[1])
        chosen[rows] = _drawn_from_top_k(scores[rows], as_they_are, all_of_them, top_p[rows], at[rows], scores.shape[1])
    return chosen


def _kept(shares: Tensor, top_p: Tensor) -> tuple[Tensor, Tensor]:
    """Of shares, the largest first: sums of those that top-p keeps, and how many it keeps, (rows, 1)."""
    kept = shares * (shares.cumsum(-1) - shares < top_p)
    return kept.cumsum(-1), (kept > 0).sum(-1, keepdim=True)


def _at(tokens: Tensor, up_to: Tensor, wanted: Tensor, count: Tensor) -> Tensor:
    index = torch.minimum((up_to <= wanted).sum(-1, keepdim=True), count - 1)  # rounding must not lead beyond them
    return tokens.gather(-1, index)[:, 0]
