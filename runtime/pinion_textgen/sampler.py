"""Chooses the next token of every row, in the order of generate(): penalty, ends too early, temperature, top-k, top-p.

Rows may all want something else. Each row draws one number a step from its own generator, so a seed gives the same
whatever else is in the batch. On a GPU the host waits for it once a step, for the tokens; only rows without a top_k may
have it wait a second time.
"""

import torch
from torch import Tensor

from pinion_textgen.request import Sequence
from pinion_textgen.sending import sent

_CANDIDATES = (64, 256)
"""Few of the likeliest tokens are found much sooner than all are sorted. How many are looked at for a row depends on
its own options alone: another number would round differently."""


class Sampler:
    """Its rows are those of the decoder."""

    def __init__(self, end_tokens: frozenset[int], device: torch.device) -> None:
        self._end_tokens = sorted(end_tokens)
        # What each row has had so far, filled up with its first token; and how many that are. Of rows that have no
        # penalty, what they have written is noted only beside one that has.
        self._seen = torch.zeros(0, 1, dtype=torch.long, device=device)
        self._counts: list[int] = []

    def join(self, seen: list[list[int]]) -> None:
        """New rows, by the tokens each has had so far."""
        self._widen(max(map(len, seen)))
        width = self._seen.shape[1]
        filled = [[*tokens, *tokens[:1] * (width - len(tokens))] for tokens in seen]
        self._seen = torch.cat([self._seen, sent(filled, self._seen.device)])
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

    def choose(self, scores: Tensor, sequences: list[Sequence], likeliest: Tensor | None = None) -> list[int]:
        """One token for each row of scores (rows, vocabulary), which are changed: each copy of them costs.

        `likeliest` is the best token of each row, (rows), if that is known already.
        """
        if likeliest is not None and not any(_changes_scores(each) or each.options.do_sample for each in sequences):
            chosen = likeliest
        else:
            chosen = self._chosen(scores.float(), sequences)
        self._note(chosen, sequences)
        return chosen.tolist()

    def _chosen(self, scores: Tensor, sequences: list[Sequence]) -> Tensor:
        scores = self._without_early_ends(self._penalized(scores, sequences), sequences)
        drawing = [row for row, each in enumerate(sequences) if each.options.do_sample]
        if not drawing:
            return scores.argmax(dim=-1)
        if len(drawing) == len(sequences):
            return _drawn(scores, sequences)
        chosen, rows = scores.argmax(dim=-1), sent(drawing, scores.device)
        chosen[rows] = _drawn(scores[rows], [sequences[row] for row in drawing])
        return chosen

    def _note(self, chosen: Tensor, sequences: list[Sequence]) -> None:
        if any(each.options.repetition_penalty != 1 for each in sequences):
            self._widen(max(self._counts) + 1)
            self._seen.scatter_(1, sent(self._counts, chosen.device)[:, None], chosen[:, None])
        self._counts = [count + 1 for count in self._counts]

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
        by = sent(penalties, scores.device)[:, None]
        seen = self._seen[:, : max(self._counts)]
        score = scores.gather(-1, seen)
        return scores.scatter_(-1, seen, torch.where(score < 0, score * by, score / by))

    def _without_early_ends(self, scores: Tensor, sequences: list[Sequence]) -> Tensor:
        early = [row for row, each in enumerate(sequences) if _is_early(each)]
        if not (early and self._end_tokens):
            return scores
        scores[sent(early, scores.device)[:, None], sent(self._end_tokens, scores.device)] = -torch.inf
        return scores


def _changes_scores(sequence: Sequence) -> bool:
    return sequence.options.repetition_penalty != 1 or _is_early(sequence)


def _is_early(sequence: Sequence) -> bool:
    """For its end."""
    return len(sequence.tokens) < sequence.options.min_new_tokens


def _drawn(scores: Tensor, sequences: list[Sequence]) -> Tensor:
    groups: dict[int | None, list[int]] = {}
    for row, each in enumerate(sequences):
        groups.setdefault(_candidates_for(each.options.top_k, scores.shape[1]), []).append(row)
    if len(groups) == 1:
        [candidates] = groups
        return _drawn_from(candidates, scores, sequences)
    chosen = torch.empty(len(sequences), dtype=torch.long, device=scores.device)
    for candidates, numbers in groups.items():
        rows = sent(numbers, scores.device)
        chosen[rows] = _drawn_from(candidates, scores[rows], [sequences[row] for row in numbers])
    return chosen


def _drawn_from(candidates: int | None, scores: Tensor, sequences: list[Sequence]) -> Tensor:
    vocabulary = scores.shape[1]
    numbers = [
        [options.temperature, options.top_p, min(options.top_k or vocabulary, vocabulary), each.random.random()]
        for each in sequences
        for options in [each.options]
    ]
    temperature, top_p, top_k, at = sent(numbers, scores.device)[:, :, None].unbind(1)
    if candidates is None:
        return _drawn_from_all(scores / temperature, top_p, at)
    return _drawn_from_top_k(scores, temperature, top_k, top_p, at, candidates)


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
