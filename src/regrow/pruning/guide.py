"""Guides: what pruning found about a network, as a plain value that designs other networks. Imports no torch.

    {"format": "regrow guide 1",
     "channels": [0.98, 0.99, 0.91, 0.4, 0.2],                        share of channels kept, by stage
     "weights": [...], "kernels": [[[0.3, ...], ...], null, ...],     or of weights; and of those at each 3x3 kernel position
     "source": {"network": "vgg16", "data": "cifar10", "method": "slimming", "design": "60 %", "fraction": 0.6,
                "study": "3f...", "seeds": [0, 1, 2], "n": 3}}

Every number is a mean over the seeds of a finished study (`regrow.pruning.guide_making`). Stages count from 0; a stage ends where the
image is made smaller, so networks of one family have equally many, however deep they are, and a guide found on one of them designs
another: stage-wise averages, as in Liu et al. 2019, arXiv:1810.05270, section 5.

A guide is plain JSON: one from a stranger runs no code, is checked before it is used, and is known by its content, not by its path.
"""

from __future__ import annotations

import functools
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from regrow.errors import ConfigError, Fault
from regrow.files import digest, pretty_json, write_atomic
from regrow.networks.spec import validated

FORMAT: Final = "regrow guide 1"
LARGEST: Final = 1 << 20
"""Bytes of the largest file that can be a guide; real ones have a few thousand."""

MAKE_ONE: Final = "Make one with `regrow guide RESULTS -o guide.json`, from a study that has run."

Kept = Annotated[float, Field(gt=0, le=1)]
KeptOrNone = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, Field(max_length=200)]
Row = tuple[KeptOrNone, KeptOrNone, KeptOrNone]
Kernel = tuple[Row, Row, Row]
"""Share of weights kept at each position of 3x3 kernels, rows from the top."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GuideSource:
    """Where a guide's numbers were found."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    network: Text
    data: Text
    method: Text
    design: Text
    """How the study called what was asked for, e.g. `60 %`."""

    fraction: Annotated[float, Field(gt=0, lt=1)] | None
    """Share removed; None where something else said how much."""

    study: Text
    """Id of the study."""

    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1, max_length=10_000)]
    variant: Text = ""
    """Which of the study's recipes; empty where it had one."""

    n: Annotated[int, Field(ge=1)]
    """Number of seeds that the means are over."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Guide:
    """Kept shares by stage: of channels, or of weights."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    source: GuideSource
    channels: Annotated[tuple[Kept, ...], Field(min_length=1, max_length=1000)] | None = None
    """Mean share of channels kept, by stage; None where weights were removed."""

    weights: Annotated[tuple[KeptOrNone, ...], Field(min_length=1, max_length=1000)] | None = None
    """Mean share of all weights kept, by stage; None where channels were removed."""

    kernels: Annotated[tuple[Kernel | None, ...], Field(max_length=1000)] = ()
    """Mean share of weights kept at each 3x3 kernel position, by stage; None for a stage without such kernels."""

    format: Literal["regrow guide 1"] = FORMAT

    @property
    def digest(self) -> str:
        """Hash of the whole content: what a guide is known by, wherever its file lies."""
        return digest(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types; what says nothing is left out."""
        value: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        value["source"] = {key: found for key, found in value["source"].items() if (key, found) != ("variant", "")}
        return {key: found for key, found in value.items() if found not in (None, [])}

    @classmethod
    def from_json(cls, value: object, where: str = "guide") -> Guide:
        """From untrusted JSON; raises `ConfigError` with a fault per mistake, each naming `where`."""
        guide = validated(_adapter(), value, where)
        if faults := _contradictions(guide, where):
            raise ConfigError(faults=faults)
        return guide


@functools.cache
def _adapter() -> TypeAdapter[Guide]:
    return TypeAdapter(Guide)


def _contradictions(guide: Guide, where: str) -> list[Fault]:
    """What is wrong with a guide though each of its fields is well."""
    faults = []
    if (guide.channels is None) == (guide.weights is None):
        both = "both" if guide.channels is not None else "neither"
        faults.append(Fault(where=where, key="channels", rule=f"a guide holds channels or weights; found {both}"))
    if guide.weights is not None and len(guide.kernels) != len(guide.weights):
        rule = f"must have an entry for each of the {len(guide.weights)} stages of weights; found {len(guide.kernels)}"
        faults.append(Fault(where=where, key="kernels", rule=rule, hint="null stands for a stage without 3x3 kernels."))
    if guide.weights is None and guide.kernels:
        rule = f"stand beside weights, and the guide has none; found {len(guide.kernels)} stages of kernels"
        faults.append(Fault(where=where, key="kernels", rule=rule, hint=MAKE_ONE))
    if guide.source.n != len(set(guide.source.seeds)):
        rule = f"is the number of different seeds, {len(set(guide.source.seeds))}; found {guide.source.n}"
        faults.append(Fault(where=where, key="source.n", rule=rule, hint=MAKE_ONE))
    return faults


def read_guide(path: Path) -> Guide:
    """The guide in a file. Raises `ConfigError` for a file that is missing, too large, no JSON, or no guide."""
    where = path.name
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise _refused(where, f"the guide cannot be read: {reason}", MAKE_ONE) from None
    if len(content) > LARGEST:
        raise _refused(where, f"is larger than {LARGEST:,} bytes, too large for a guide", MAKE_ONE)
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        raise _refused(where, "is no JSON", MAKE_ONE) from None
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        found = value.get("format") if isinstance(value, dict) else type(value).__name__
        raise _refused(where, f'must be a guide, with format "{FORMAT}"; found {found!r:.60}', MAKE_ONE)
    return Guide.from_json(value, where)


def _refused(where: str, rule: str, hint: str) -> ConfigError:
    return ConfigError(faults=[Fault(where=where, key="", rule=rule, hint=hint)])


def write_guide(path: Path, guide: Guide) -> None:
    """Write a guide for people and for programs, whole or not at all."""
    write_atomic(path, pretty_json(guide.to_json()))


def misfit(guide: Guide, network: str, stages: int) -> str:
    """Why a guide cannot design a network of so many stages, as a rule; empty where it can.

    >>> source = GuideSource(network="vgg16", data="d", method="slimming", design="50 %", fraction=0.5, study="", seeds=(0,), n=1)
    >>> misfit(Guide(source=source, channels=(1.0, 0.5)), "vgg19", stages=5)
    'the guide was found on vgg16 and has 2 stages; vgg19 has 5, and stages are matched by number'
    """
    found = len(guide.channels or guide.weights or ())
    if found == stages:
        return ""
    return (
        f"the guide was found on {guide.source.network} and has {found} stages; {network} has {stages}, and stages are matched "
        "by number"
    )
