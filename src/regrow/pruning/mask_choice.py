"""Which weights stay: from one score per weight to masks with exactly the counts that were asked for.

By rank, never by threshold: `score > t` keeps more or fewer where scores tie with t. Ties go by position, in the order of the tensors
and of the weights in them; the first ones go. Scores are plain tensors by name, higher = keep; where they come from does not matter.

Shape suffix: N = weights of one tensor, or of all tensors one after the other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
import torch
from torch import Tensor

from regrow.errors import PruningError
from regrow.pruning.mask_schedule import Scope as Scope
from regrow.pruning.mask_schedule import check_scope, floor_of, removed_of
from regrow.pruning.sparsity import Masks

_FEW: Final = 16
"""Up to so many weights in a run, comparing all pairs is faster than sorting: 0.25 s against 0.6 s for 25 million weights in fours."""


def keep_weights(
    scores: Mapping[str, Tensor],
    *,
    fraction: float | None = None,
    kept: int | Mapping[str, int] | None = None,
    scope: Scope = "global",
    pattern: str = "",
    previous: Mapping[str, Tensor] | None = None,
    floor: float = 0.0,
    may_empty: bool = False,
) -> Masks:
    """Masks that keep the weights of the highest scores, with exact counts.

    Args:
        scores: one finite or infinite number per weight, by tensor name.
        fraction: share to REMOVE of all weights in `scores`, those that are gone already included: of n weights,
            n - removed_of(n, fraction) stay.
        kept: instead of a fraction, how many stay: of all (scope `global`), or of each tensor (scope `layer`, a number by name).
        scope: `global` ranks all weights against each other (Han et al. 2015, arXiv:1506.02626, as one threshold for the network);
            `layer` keeps the same share of every tensor.
        pattern: `n:m`, e.g. `2:4`: in every run of m consecutive weights along the input axis the n highest stay; fraction, kept, scope
            and floor are then not looked at. The input axis is axis 1 of every tensor: columns of a linear layer, input channels at one
            kernel position of one filter for a convolution, as in NVIDIA's ASP (Mishra et al. 2021, arXiv:2104.08378). For
            transposed convolutions axis 1 holds the outputs.
        previous: masks of an earlier round; only weights alive in them may stay.
        floor: share of every tensor that stays in any case, rounded up.
        may_empty: whether a tensor may lose all its weights. Otherwise its best weight stays, and another one goes for it, so the
            total is still exact; with scope `layer`, where a tensor's share comes to nothing, one weight more stays.

    Raises `PruningError` for scores that are NaN, an amount that cannot be met, and an input axis that m does not divide.

    >>> keep_weights({"a": torch.tensor([3.0, 1.0]), "b": torch.tensor([1.0, 1.0, 2.0])}, fraction=0.4)
    {'a': tensor([ True, False]), 'b': tensor([False,  True,  True])}
    """
    _check(scores, previous)
    if pattern:
        return _by_pattern(scores, pattern, previous)
    alive = {name: _alive(name, score, previous) for name, score in scores.items()}
    sizes = {name: score.numel() for name, score in scores.items()}
    safe = 0 if may_empty else 1
    least = {name: min(len(alive[name]), max(floor_of(size, floor), safe)) for name, size in sizes.items()}
    if check_scope(scope) == "layer":
        counts = _counts_of_layers(scores, fraction, kept)
        chosen = {name: _highest(flat_N, max(counts[name], least[name]), name) for name, flat_N in alive.items()}
    else:
        chosen = _globally(alive, least, _count_of_all(scores, fraction, kept))
    return {name: _placed(name, keep_N, scores[name], previous) for name, keep_N in chosen.items()}


def _check(scores: Mapping[str, Tensor], previous: Mapping[str, Tensor] | None) -> None:
    if not scores:
        raise PruningError("there is nothing to choose from: no tensor has scores. Skip fewer weights.")
    for name, score in scores.items():
        unknown = int(score.isnan().count_nonzero())
        if unknown:
            raise PruningError(
                f"the scores of {unknown} of {score.numel()} weights of {name} are not a number (NaN), so they have no rank. "
                "The weights or statistics they come from are NaN: look for a diverged training."
            )
        if previous is not None and (name not in previous or previous[name].shape != score.shape):
            found = list(previous[name].shape) if name in previous else "none"
            raise PruningError(
                f"masks of an earlier round must be of the same weights; {name} has scores of shape {list(score.shape)} and the mask "
                f"before: {found}. Score the tensors that the masks name."
            )


def _alive(name: str, score: Tensor, previous: Mapping[str, Tensor] | None) -> Tensor:
    """Scores, on the CPU and in one line, of the weights that may stay."""
    flat_N = score.detach().cpu().flatten()
    flat_N = flat_N if flat_N.dtype in (torch.float32, torch.float64) else flat_N.double()
    return flat_N if previous is None else flat_N[previous[name].flatten()]


def _count_of_all(scores: Mapping[str, Tensor], fraction: float | None, kept: int | Mapping[str, int] | None) -> int:
    total = sum(score.numel() for score in scores.values())
    if isinstance(kept, Mapping):
        raise PruningError("with scope global, kept is one number for all tensors together; got one for each.")
    return total - removed_of(total, _share(fraction)) if kept is None else kept


def _counts_of_layers(
    scores: Mapping[str, Tensor], fraction: float | None, kept: int | Mapping[str, int] | None
) -> dict[str, int]:
    if kept is None:
        share = _share(fraction)
        return {name: score.numel() - removed_of(score.numel(), share) for name, score in scores.items()}
    if not isinstance(kept, Mapping) or kept.keys() != scores.keys():
        raise PruningError(
            f"with scope layer, kept is one number for each of the {len(scores)} tensors, by name; got {kept!r:.200}."
        )
    return dict(kept)


def _share(fraction: float | None) -> float:
    if fraction is None or not 0 <= fraction < 1:
        hint = f" Did you mean {fraction / 100:g}?" if fraction is not None and 1 < fraction < 100 else ""
        raise PruningError(
            f"prune.fraction is the share of weights to remove and must lie between 0 and 1; got {fraction}.{hint}"
        )
    return fraction


def _highest(flat_N: Tensor, n: int, what: str) -> Tensor:
    """keep_N, True for exactly the n highest; of equal ones the last. Linear in time: one partition instead of a sort."""
    if not 0 <= n <= len(flat_N):
        raise PruningError(
            f"{what}: asked to keep {n} weights where {len(flat_N)} may stay. A round keeps no more than the one before left."
        )
    if n == len(flat_N) or n == 0:
        return torch.full((len(flat_N),), n > 0)
    values = flat_N.numpy()
    border = np.partition(values, len(values) - n)[len(values) - n]
    keep = values > border
    ties = np.flatnonzero(values == border)
    keep[ties[len(ties) - (n - int(np.count_nonzero(keep))) :]] = True
    return torch.from_numpy(keep)


def _globally(alive: Mapping[str, Tensor], least: Mapping[str, int], n: int) -> dict[str, Tensor]:
    """The n highest of all tensors together, of each at least its `least` best ones."""
    if n < sum(least.values()):
        raise PruningError(
            f"{n} weights are to stay, and {sum(least.values())} must: at least one (or the floor) of each of {len(least)} tensors. "
            "Lower prune.fraction or the floor, or allow tensors to be emptied."
        )
    sizes = [len(flat_N) for flat_N in alive.values()]
    chosen = _split(_highest(_joined(alive), n, "all tensors"), alive, sizes)
    if all(int(chosen[name].count_nonzero()) >= least[name] for name in alive):
        return chosen
    # Each tensor's best weights rank before all others: the others then share what is left, and the total stays exact.
    safe = {name: _highest(flat_N, least[name], name) for name, flat_N in alive.items()}
    rest = {name: flat_N[~safe[name]] for name, flat_N in alive.items()}
    others = _highest(_joined(rest), n - sum(least.values()), "all tensors")
    for name, keep_N in _split(others, rest, [len(flat_N) for flat_N in rest.values()]).items():
        safe[name][~safe[name]] = keep_N
    return safe


def _joined(flat: Mapping[str, Tensor]) -> Tensor:
    """All tensors one after the other; float64 where one of them is."""
    return torch.cat(list(flat.values()))


def _split(joined_N: Tensor, names: Mapping[str, Tensor], sizes: list[int]) -> dict[str, Tensor]:
    return dict(zip(names, torch.split(joined_N, sizes), strict=True))


def _placed(name: str, keep_N: Tensor, score: Tensor, previous: Mapping[str, Tensor] | None) -> Tensor:
    """The choice among the living, as a mask of the tensor's shape; memory of its own."""
    if previous is None:
        return keep_N.clone().view(score.shape)
    mask_N = torch.zeros(score.numel(), dtype=torch.bool)
    mask_N[previous[name].flatten()] = keep_N
    return mask_N.view(score.shape)


def _by_pattern(scores: Mapping[str, Tensor], pattern: str, previous: Mapping[str, Tensor] | None) -> Masks:
    n, m = _read(pattern)
    wrong = [
        f"{name} (width {score.shape[1] if score.ndim > 1 else 1})"
        for name, score in scores.items()
        if score.ndim < 2 or score.shape[1] % m
    ]
    if wrong:
        names = ", ".join(f'"{entry.partition(" ")[0]}"' for entry in wrong)
        raise PruningError(
            f"{pattern} needs input widths that {m} divides, so that the inputs fall into runs of {m}; these do not: "
            f"{', '.join(wrong)}. Leave them whole: prune.skip = [{names}]."
        )
    masks = {}
    for name, score in scores.items():
        numbers = score.detach().cpu() if score.is_floating_point() else score.cpu().double()
        keep = _best_in_runs(numbers, n, m, None if previous is None else previous[name])
        masks[name] = keep if previous is None else keep & previous[name]
    return masks


def _read(pattern: str) -> tuple[int, int]:
    first, colon, second = pattern.partition(":")
    if colon and first.isdigit() and second.isdigit() and 0 < int(first) < int(second):
        return int(first), int(second)
    raise PruningError(
        f'a pattern is n:m with 0 < n < m, e.g. "2:4": of every m consecutive weights n stay; got {pattern!r}.'
    )


def _best_in_runs(score: Tensor, n: int, m: int, previous: Tensor | None) -> Tensor:
    """True for the n highest of every run of m along axis 1; of equal ones the last. Weights that are gone rank last."""
    if previous is not None:
        score = score.clamp(min=torch.finfo(score.dtype).min).masked_fill(~previous, -math.inf)
    moved = score.movedim(1, -1)
    runs = moved.reshape(-1, m).T.contiguous()
    rank = _ranks_of_few(runs) if m <= _FEW else runs.argsort(dim=0, stable=True).argsort(dim=0).neg().add(m - 1)
    return (rank < n).T.reshape(moved.shape).movedim(-1, 1).contiguous()


def _ranks_of_few(runs: Tensor) -> Tensor:
    """Rank of every weight in its run, 0 for the best; runs of shape [m, number of runs]."""
    rank = torch.zeros(runs.shape, dtype=torch.uint8)
    for first in range(len(runs)):
        for second in range(first + 1, len(runs)):
            later_wins = runs[second] >= runs[first]
            rank[first] += later_wins
            rank[second] += ~later_wins
    return rank
