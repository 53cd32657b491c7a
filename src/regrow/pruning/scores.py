"""Scores: what a criterion says of the channels of every group, or of every single weight. The network is left as it was.

A group may have several producers: every block of a residual stage writes the same channels, and q, k and v projections hold the
same heads. A criterion scores each producer's weight; the scores of the rows (or weights) of one channel are added up, and then

    score[c] = normalise( reduce over producers p of  normalise(s_p)[c] )      s_p[c] = sum over rows r of channel c of criterion(W_p)[r]

in float64. By default scores are divided by their mean and added, which makes producers and groups count the same, whatever their fan-in,
as in the averaged group norm of Fang et al., "DepGraph", CVPR 2023, arXiv:2301.12900. A producer whose scores are all zero says nothing.

Shape suffixes: C = channels of the group, R = rows of one weight that hold them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

from regrow.channels.masks import named_tensors
from regrow.errors import ConfigError, PruningError, did_you_mean
from regrow.networks.groups import Group
from regrow.pruning.criteria_reduce import check_words, combine
from regrow.pruning.evidence import EVIDENCE
from regrow.pruning.evidence import Criterion as Criterion
from regrow.pruning.evidence_asked import Asked, asked_for
from regrow.pruning.evidence_look import Batches as Batches
from regrow.pruning.evidence_look import Look, resting
from regrow.pruning.evidence_pieces import Piece, piece_of_group, piece_of_tensor
from regrow.pruning.methods import METHODS
from regrow.randomness import generator
from regrow.table import load

Over: TypeAlias = Literal["producers", "all"]


def named_criterion(criterion: str | Criterion) -> tuple[str, Criterion]:
    """Name and function of a criterion: a row of `regrow list methods`, or a function like those of `regrow.pruning.criteria`.

    Raises `PruningError` for a method that is more than a criterion, `UnknownNameError` for a name that is none.
    """
    if callable(criterion):
        return getattr(criterion, "__name__", type(criterion).__name__), criterion
    row = METHODS[criterion]
    if row.kind != "criterion":
        raise PruningError(
            f"{criterion} is a {row.kind}: it does more than score what a finished network has. Use it in a study, or take one of "
            f"{', '.join(name for name, other in METHODS.items() if other.kind == 'criterion')}"
        )
    function: Criterion = load(row.target)
    return criterion, function


def score_groups(
    network: nn.Module,
    groups: Sequence[Group],
    criterion: str | Criterion,
    *,
    batches: Batches | None = None,
    example: Any = None,
    seed: int = 0,
    reduce: str = "sum",
    normalise: str = "mean",
    over: Over = "producers",
) -> dict[str, Tensor]:
    """scores_C of every group by its name, float64 on the CPU; higher = keep.

    Args:
        network: any module; it is left exactly as it was.
        groups: `channel_groups(network)` of a network of the zoo, or `trace(network, example_inputs).groups`.
        criterion: a row of `regrow list methods`, or a function. One score per row, per channel or per weight is taken; scores of
            weights are added up over each channel.
        batches: training examples, where the criterion looks at any: a function that reads (images, labels) from the start, or
            a list or loader. Labels are classes.
        example: an input, for a criterion that needs its shape only; where there are batches, theirs is known.
        seed: of criteria that draw. Draws differ from group to group.
        reduce: how the scores of several producers become one: sum, mean, max, prod, or first (the first alone counts).
        normalise: how producers, and then groups, are made comparable: none, mean, sum, max, gaussian or lamp; see `criteria_reduce`.
        over: producers, the weights that compute the channels; or all, those that read them as well.

    Raises `PruningError` where examples are missing, where the criterion asks for what is no evidence, where a group lacks what it
    looks at, and where it gives scores of another shape; `ConfigError` for a word that is none.
    """
    check_words(reduce, normalise)
    if over not in ("producers", "all"):
        raise ConfigError(f"over is one word of two; found {over!r}. {did_you_mean(str(over), ('producers', 'all'))}")
    name, function = named_criterion(criterion)
    asked = asked_for(name, function, batches is not None)
    if over == "all" and (outputs := [one for one in asked.names if EVIDENCE[one].per == "row"]):
        raise ConfigError(
            f'{name} looks at {outputs[0]}, which only weights that compute channels have: use over = "producers"'
        )
    pieces = [piece for group in groups for piece in _pieces(network, group, over)]
    look = Look(
        network=network,
        criterion=name,
        names=tuple(dict.fromkeys(piece.tensor for piece in pieces)),
        groups=tuple(groups),
        batches=batches,
        example=example,
        seed=seed,
    )
    if asked.per_channel:
        return _by_channel(look, asked, function, reduce, normalise)
    found = _scored(look, asked, function, pieces)
    return {
        group.name: combine(
            [
                found[piece.key].to("cpu", torch.float64)
                for piece in pieces
                if piece.group is group and piece.key in found
            ],
            reduce,
            normalise,
        )
        for group in groups
    }


def score_weights(
    network: nn.Module,
    names: Sequence[str],
    criterion: str | Criterion,
    *,
    batches: Batches | None = None,
    example: Any = None,
    seed: int = 0,
) -> dict[str, Tensor]:
    """One score per weight of the named tensors, in their shapes, on the CPU, in float32 or float64; higher = keep.

    Arguments and errors are those of `score_groups`. Raises `PruningError` for a criterion that gives one score per channel.
    """
    name, function = named_criterion(criterion)
    asked = asked_for(name, function, batches is not None)
    every = named_tensors(network)
    lacking = [one for one in names if one not in every]
    if lacking:
        raise PruningError(f"the network has no tensor {lacking[0]!r}. {did_you_mean(lacking[0], every)}")
    if channel := [one for one in asked.names if EVIDENCE[one].per == "channel"]:
        raise PruningError(
            f"{name} looks at {channel[0]}, which channels have and single weights have not. {_FOR_WEIGHTS}"
        )
    pieces = [piece_of_tensor(one, every[one], _output_axis(network, one)) for one in names]
    look = Look(network=network, criterion=name, names=tuple(names), batches=batches, example=example, seed=seed)
    found = _scored(look, asked, function, pieces)
    return {piece.tensor: found[piece.key].movedim(0, piece.axis).cpu() for piece in pieces}


_FOR_WEIGHTS = "Take one that scores weights: " + ", ".join(
    name for name, row in METHODS.items() if row.kind == "criterion" and "weights" in row.removes
)


def _pieces(network: nn.Module, group: Group, over: str) -> Iterator[Piece]:
    """The parts of weights by which a group is scored."""
    tensors = named_tensors(network)
    for index, part in enumerate(group.slices):
        if index < group.producers or (over == "all" and tensors[part.tensor].ndim > 1):
            yield piece_of_group(group, part, index)


def _output_axis(network: nn.Module, name: str) -> int:
    owner = network.get_submodule(name.rpartition(".")[0])
    return 1 if isinstance(owner, _ConvTransposeNd) else 0


def _by_channel(look: Look, asked: Asked, function: Criterion, reduce: str, normalise: str) -> dict[str, Tensor]:
    """Of a criterion that looks at no weight: groups are scored whole."""
    with resting(look.network, look.seed), torch.no_grad():
        gathered = _gathered(look, asked)
        scores = {}
        for group in look.groups:
            values: dict[str, Any] = {name: gathered[name][group.name] for name in gathered}
            values["generator"] = _numbers(look, group.name)
            found = _called(function, asked, values)
            if found.shape != (group.channels,):
                raise PruningError(
                    f"{group.name}: {look.criterion} looks at channels and gives one score for each of {group.channels}; "
                    f"it gave a tensor of shape {tuple(found.shape)}"
                )
            scores[group.name] = combine([found.detach().to("cpu", torch.float64)], reduce, normalise)
    return scores


def _scored(look: Look, asked: Asked, function: Criterion, pieces: Sequence[Piece]) -> dict[str, Tensor]:
    """Scores of every piece by its key: one per channel, or one per weight."""
    with resting(look.network, look.seed), torch.no_grad():
        gathered = _gathered(look, asked)
        each_batch = [name for name in asked.names if EVIDENCE[name].each_batch]
        if not each_batch:
            return dict(_each(look, asked, function, pieces, gathered))
        total: dict[str, Tensor] = {}
        count = 0
        for examples, tensors in load(EVIDENCE[each_batch[0]].target)(look):
            of_batch = {**gathered, **dict.fromkeys(each_batch, tensors)}
            for key, scores in _each(look, asked, function, pieces, of_batch):
                part = scores * examples
                total[key] = total[key].add_(part) if key in total else part
            count += examples
        return {key: scores.div_(count) for key, scores in total.items()}


def _gathered(look: Look, asked: Asked) -> dict[str, Mapping[str, Tensor]]:
    """Everything that is gathered before the criterion is called."""
    rows = {name: EVIDENCE[name] for name in asked.names}
    return {name: load(row.target)(look) for name, row in rows.items() if row.target and not row.each_batch}


def _each(
    look: Look,
    asked: Asked,
    function: Criterion,
    pieces: Sequence[Piece],
    gathered: Mapping[str, Mapping[str, Tensor]],
) -> Iterator[tuple[str, Tensor]]:
    """The criterion's scores of each piece, added up where it stands for channels."""
    tensors = look.tensors()
    numbers: dict[str, torch.Generator] = {}
    for piece in _seen(look, pieces, gathered):
        values: dict[str, Any] = {
            "weight": piece.weight(tensors[piece.tensor]),
            "unit_sum": piece.unit_sum,
            "generator": numbers.setdefault(piece.owner, _numbers(look, piece.owner)),
        }
        for name, found in gathered.items():
            if EVIDENCE[name].per == "channel":
                values[name] = piece.by_row(found[piece.owner])
            elif EVIDENCE[name].per == "row":
                values[name] = piece.outputs(found[piece.tensor])
            else:
                values[name] = piece.rows(found[piece.tensor], tensors[piece.tensor].shape[piece.axis])
        yield piece.key, piece.understood(_called(function, asked, values), look.criterion)


def _seen(look: Look, pieces: Sequence[Piece], gathered: Mapping[str, Mapping[str, Tensor]]) -> list[Piece]:
    """The pieces of which all was seen that was looked for; at least one for every group."""
    by_row = [name for name in gathered if EVIDENCE[name].per == "row"]
    seen = [piece for piece in pieces if all(piece.tensor in gathered[name] for name in by_row)]
    lost = {piece.owner for piece in pieces} - {piece.owner for piece in seen}
    if lost:
        raise PruningError(
            f"{look.criterion} looks at the outputs of layers ({', '.join(by_row)}), and none of the layers that compute the channels of "
            f"{min(lost)} was seen at work. Leave that group out with prune.skip (ignore=), or use a method that reads weights."
        )
    return seen


def _numbers(look: Look, owner: str) -> torch.Generator:
    return generator(look.seed, "prune", look.criterion, owner)


def _called(function: Criterion, asked: Asked, values: Mapping[str, Any]) -> Tensor:
    found = function(
        *(values[name] for name in asked.positional),
        **{parameter: values[name] for parameter, name in asked.keywords.items()},
    )
    if not isinstance(found, Tensor):
        raise PruningError(f"a criterion returns a tensor of scores; found {type(found).__name__}")
    return found.detach()
