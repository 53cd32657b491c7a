"""What a study may say about pruning. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from regrow.settings import Settings

Fraction = Annotated[float, Field(gt=0, lt=1)]
StageFraction = Annotated[float, Field(ge=0, lt=1)]

_LATER = frozenset({"guide", "networks", "datasets"})
"""Fields that the first studies did not have."""

Of = Literal["channels", "macs", "params", "latency", "zeros"]
Reduce = Literal["sum", "mean", "max", "prod", "first"]
Normalise = Literal["none", "mean", "sum", "max", "gaussian", "lamp"]


class PruneSettings(Settings):
    """What to remove, by which score, and how much. Exactly one of fraction, stages, widths and per_round; by default fraction 0.5."""

    method: str | tuple[str, ...]
    """A row of `regrow list methods`, or a list of them; or somebody else's, `package.module:function` (with --trust)."""

    fraction: Fraction | tuple[Fraction, ...] | None = None
    """Share to REMOVE of what `of` names: 0.3 removes 30 %. A list makes a family of comparisons."""

    stages: tuple[StageFraction, ...] | None = None
    """Share to remove in each stage of the network, e.g. [0.6, 0.3, 0.1] for a CIFAR ResNet."""

    skip: tuple[int | str, ...] = ()
    """Groups left whole: their names or patterns of names, e.g. stage1.* (`regrow list networks --json` shows them, and for
    networks from elsewhere `regrow plan --json`), or 1-based positions of their convolution. Where weights are removed: patterns
    of tensor names."""

    widths: str | tuple[Annotated[int, Field(ge=1)], ...] | None = None
    """Channels to KEEP per group: a named design (vgg16-a, resnet56-b, ...) or one number per group, in forward order."""

    remove: Literal["channels", "weights", "blocks"] | None = None
    """Whole channels, single weights (by a mask), or whole residual blocks; by default what the method was made for."""

    of: Of | None = None
    """What the fraction is a share of: channels (the default; blocks where blocks go, weights where weights go), macs, params,
    latency (measured on this machine), or zeros: what a sparsifier drove to exactly zero goes, and no fraction is given."""

    scope: Literal["group", "global"] | None = None
    """group: each group (or layer) loses the same share; global: one ranking over all of them; by default the method's own."""

    floor: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """With scope global: the share of every group that always stays. One channel of each stays in any case."""

    reduce: Reduce = "sum"
    """How a channel's scores from several weights (a residual stream has one per block) become one."""

    normalise: Normalise | None = None
    """How scores of different groups are made comparable in one ranking; by default their mean is 1 for criteria, and scales of
    sparsifiers stay as they are."""

    examples: Annotated[int, Field(ge=1)] = 512
    """Training examples that data-driven methods look at; the first ones that training would read next."""

    pattern: Annotated[str, Field(pattern=r"^([1-9]\d?:[1-9]\d?)?$")] = ""
    """n:m, e.g. 2:4: of every m consecutive weights the n largest stay, whatever the fraction. Only where weights are removed."""

    strength: Annotated[float, Field(gt=0)] | None = None
    """Of a sparsifier's penalty; by default the source paper's: 1e-4 for slimming, 0.01 for sss."""

    start: Literal["scratch", "dense"] | None = None
    """Where a method's own training begins: with fresh weights, in place of dense training (the default of sparsifiers), or with the
    trained dense network (the default of gradual)."""

    own_epochs: Annotated[int, Field(ge=1)] | None = None
    """Of a method's own training; by default train.epochs from scratch, and as many as retraining has from the dense network."""

    rounds: Annotated[int, Field(ge=1, le=100)] = 1
    """Prune and train this many times; each round removes the same share of what the one before left."""

    per_round: Fraction | None = None
    """Share of the remaining weights that each round removes, instead of `fraction`: 0.2 as in the lottery ticket paper."""

    between: Literal["fine-tune", "rewind", "late-rewind"] = "rewind"
    """What happens between two rounds: the kept weights go back to the dense network's first step (or to its state at `retrain.late`)
    and train again, as lottery tickets do, or they are fine-tuned."""

    round_epochs: Annotated[int, Field(ge=1)] | None = None
    """Epochs between two rounds; by default train.epochs with rewind, and as many as retraining has with fine-tune."""

    guide: Path | None = None
    """File that `regrow guide` made of a finished study: the shares that guided and guided-sparsity keep of each stage. It is known by
    its content; a relative path is meant from the study file's folder."""

    networks: tuple[str, ...] = ()
    """Only these of the study's networks, by name; by default all."""

    datasets: tuple[str, ...] = ()
    """Only these of the study's data sets, by label; by default all."""

    @model_validator(mode="after")
    def _one_way_to_say_how_much(self) -> PruneSettings:
        given = [key for key in ("fraction", "stages", "widths", "per_round") if getattr(self, key) is not None]
        if len(given) > 1:
            raise ValueError(f"give one of fraction, stages, widths and per_round; found {' and '.join(given)}")
        if self.widths is not None and self.skip:
            raise ValueError("skip goes with fraction or stages; widths already say what every group keeps")
        if self.of == "zeros" and given:
            raise ValueError(f'of = "zeros" removes what is exactly zero and takes no amount; found {given[0]}')
        if self.per_round is not None and self.rounds == 1:
            raise ValueError("per_round goes with rounds; write rounds = 5, or give a fraction")
        return self

    @model_serializer(mode="wrap")
    def _without_what_says_nothing(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What was added since is left out where it is not there, so that studies without it keep the identity that they had."""
        written: dict[str, Any] = write(self)
        return {key: value for key, value in written.items() if key not in _LATER or value not in (None, (), [])}

    def meant_for(self, network: str, data: str) -> bool:
        """Whether a network of this name is pruned this way on the data set of this label."""
        return network in (self.networks or (network,)) and data in (self.datasets or (data,))

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods, as a tuple even when one was given."""
        return (self.method,) if isinstance(self.method, str) else self.method

    @property
    def fractions(self) -> tuple[float, ...]:
        """The fractions of the family; empty where something else says how much."""
        if self.stages is not None or self.widths is not None or self.per_round is not None or self.of == "zeros":
            return ()
        if self.fraction is None:
            return (0.5,)
        return self.fraction if isinstance(self.fraction, tuple) else (self.fraction,)
