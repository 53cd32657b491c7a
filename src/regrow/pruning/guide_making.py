"""Making guides: from the results of a finished study to what its pruning found, stage by stage. Imports no torch.

Of channels, the share that a seed keeps of a stage is the channels left in it over the channels that the dense network has there; of
weights, the share of all maskable weights of the stage, and of those at each 3x3 kernel position. A guide holds the means over seeds.
Source: the stage-wise averages of Liu et al. 2019, arXiv:1810.05270, section 5, "Guided Pruning" and "Guided Sparsification".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, Final

from regrow.errors import ConfigError, Fault
from regrow.pruning.guide import Guide, GuideSource
from regrow.pruning.methods import METHODS

Row = Mapping[str, Any]
Results = Mapping[str, Any]

KEYS: Final = ("network", "data", "variant", "method", "fraction", "design")
"""The columns that say which comparison a row of results belongs to."""

_DIGITS: Final = 6
"""Of a share: a millionth of a stage is far less than one channel."""


def make_guide(
    results: Results,
    *,
    network: str = "",
    data: str = "",
    variant: str = "",
    method: str = "",
    design: str = "",
    where: str = "results",
) -> Guide:
    """The guide of the one comparison of a study whose architecture pruning found, or that the names choose.

    Args:
        results: the content of a results.json.
        network: choose by the network, as the results call it.
        data: choose by the data set's label.
        variant: choose by the recipe, in a study of several.
        method: choose by the method.
        design: choose by the design, e.g. `50 % of macs`.
        where: what messages call the results.

    Raises `ConfigError` where no comparison, or more than one, is meant, and where the results do not hold what a guide needs.
    """
    wish = {"network": network, "data": data, "variant": variant, "method": method, "design": design}
    asked = {key: value for key, value in wish.items() if value}
    every = _comparisons(results)
    chosen = [
        key for key in every if all(dict(zip(KEYS, key, strict=True))[name] == one for name, one in asked.items())
    ]
    if not asked or len(chosen) > 1:
        chosen = [key for key in chosen if _found_something(every[key])]
    if not method:
        chosen = [key for key in chosen if not _by_chance(str(dict(zip(KEYS, key, strict=True))["method"]))]
    if len(chosen) != 1:
        raise _choose(where, list(every), chosen, asked)
    return _guide_of(results, chosen[0], every[chosen[0]], where)


def _comparisons(results: Results) -> dict[tuple[Any, ...], list[Row]]:
    """Rows of architectures by comparison."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in results.get("architectures", ()):
        found.setdefault(_key(row), []).append(row)
    return found


def _key(row: Row) -> tuple[Any, ...]:
    """A row's comparison; rows that were written before there were variants have none."""
    return tuple((row.get(key) or "") if key == "variant" else row[key] for key in KEYS)


def _found_something(rows: Sequence[Row]) -> bool:
    """Whether every seed has an architecture of its own."""
    return all(row["seed"] is not None for row in rows)


def _by_chance(method: str) -> bool:
    """Whether a method is a control or a design of its own, so that a guide is not made from it unless it is named."""
    return method == "random" or (method in METHODS and METHODS[method].kind == "design")


def _named(key: Sequence[Any]) -> str:
    said = dict(zip(KEYS, key, strict=True))
    recipe = f" --variant '{said['variant']}'" if said["variant"] else ""
    return f"{said['network']} on {said['data']}, --method {said['method']} --design '{said['design']}'{recipe}"


def _choose(
    where: str, every: Sequence[Sequence[Any]], chosen: Sequence[Sequence[Any]], asked: Mapping[str, str]
) -> ConfigError:
    words = " and ".join(f"{key} {value!r}" for key, value in asked.items())
    if chosen:
        rule = f"{len(chosen)} comparisons{' with ' + words if words else ''} have architectures that pruning found"
        hint = (
            "Choose one with --method, --design, --variant, --network or --data: "
            + "; ".join(map(_named, chosen))
            + "."
        )
    else:
        rule = f"no comparison{' with ' + words if words else ' has an architecture of its own for every seed'}"
        hint = "It has: " + ("; ".join(map(_named, every)) or "none at all") + "."
    return ConfigError(faults=[Fault(where=where, key="", rule=rule, hint=hint)])


def _guide_of(results: Results, key: tuple[Any, ...], rows: Sequence[Row], where: str) -> Guide:
    """The means over the seeds of one comparison."""
    said = dict(zip(KEYS, key, strict=True))
    if not _found_something(rows):
        rule = f"{_named(key)} has the same widths for every seed, which nothing found"
        hint = 'Take a method that finds widths: slimming, or any with scope = "global".'
        raise ConfigError(faults=[Fault(where=where, key="architectures", rule=rule, hint=hint)])
    if any(row["removed"] for row in rows):
        rule = f"{_named(key)} removed whole blocks, and a guide is of channels or weights"
        raise ConfigError(
            faults=[Fault(where=where, key="architectures", rule=rule, hint='Write remove = "channels".')]
        )
    seeds = tuple(sorted(int(row["seed"]) for row in rows))
    source = GuideSource(**said, study=str((results.get("study") or {}).get("id", "")), seeds=seeds, n=len(seeds))
    if rows[0].get("kept_weights") is None:
        return Guide(source=source, channels=_channels(results, said, rows, where))
    return _of_masks(results, key, source, where)


def _channels(results: Results, said: Row, rows: Sequence[Row], where: str) -> tuple[float, ...]:
    """Mean share of channels kept, by stage."""
    dense = _network(results, said, where)
    stages = [int(group["stage"]) for group in dense["groups"]]
    return tuple(
        _mean([_share(row["widths"], dense["widths"], stages, stage) for row in rows]) for stage in _all(stages)
    )


def _network(results: Results, said: Row, where: str) -> Row:
    for row in results.get("networks", ()):
        if (row["network"], row["data"]) == (said["network"], said["data"]) and row.get("groups"):
            if row.get("origin"):
                rule = f"{said['network']} comes from elsewhere, and nothing says which stages it has"
                hint = "Make guides of networks of `regrow list networks`."
                raise ConfigError(faults=[Fault(where=where, key="networks", rule=rule, hint=hint)])
            return dict(row)
    rule = f"says nothing of the groups of {said['network']} on {said['data']}"
    raise ConfigError(
        faults=[Fault(where=where, key="networks", rule=rule, hint="Make the results again: regrow run.")]
    )


def _all(stages: Sequence[int]) -> range:
    return range(1 + max(stages))


def _share(widths: Sequence[int], dense: Sequence[int], stages: Sequence[int], stage: int) -> float:
    """Share of a stage's channels that one seed keeps."""
    inside = [index for index, one in enumerate(stages) if one == stage]
    return sum(widths[index] for index in inside) / sum(dense[index] for index in inside)


def _mean(values: Sequence[float]) -> float:
    return round(fmean(values), _DIGITS)


def _of_masks(results: Results, key: tuple[Any, ...], source: GuideSource, where: str) -> Guide:
    """Mean share of weights kept, by stage and 3x3 kernel position."""
    rows = [row for row in results.get("prunings", ()) if _key(row) == key]
    rows = [row for row in rows if row["seed"] in source.seeds]
    if not rows or any(not row.get("stage_shares") for row in rows):
        rule = f"does not say where {_named(key)} keeps weights"
        hint = "Masks of earlier versions of regrow do not: prune again into a new folder, with regrow run --out."
        raise ConfigError(faults=[Fault(where=where, key="prunings", rule=rule, hint=hint)])
    stages = sorted(rows[0]["stage_shares"], key=int)
    weights = tuple(_mean([row["stage_shares"][stage] for row in rows]) for stage in stages)
    kernels = tuple(_kernel([row["kernels"].get(stage) for row in rows]) for stage in stages)
    return Guide(source=source, weights=weights, kernels=kernels)


def _kernel(found: Sequence[Any]) -> Any:
    """Mean of 3x3 shares, position by position; None where a stage has no 3x3 kernels."""
    if any(kernel is None for kernel in found):
        return None
    return tuple(tuple(_mean([kernel[row][column] for kernel in found]) for column in range(3)) for row in range(3))
