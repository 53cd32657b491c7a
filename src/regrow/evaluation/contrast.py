"""A contrast: two arms of one comparison, what they got right seed by seed, and all that a verdict on them has to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regrow.errors import ProtocolError
from regrow.evaluation.difference import Difference, compare


@dataclass(frozen=True, kw_only=True, eq=False)
class Contrast:
    """Arm a against arm b, for one network on one data set pruned by one method by one fraction (or to one design)."""

    network: str
    data: str
    method: str
    fraction: float | None
    """Share of channels removed; None where a design says how much."""

    design: str
    """For people: `50 %`, `vgg16-a`, ..."""

    a: str
    b: str
    variant: str = ""
    """The recipe, where the study has several."""

    correct_a: Mapping[int, NDArray[np.bool_]]
    """By seed: which test examples arm a got right, [N], in the order of the test set."""

    correct_b: Mapping[int, NDArray[np.bool_]]
    convention: str
    """The budget convention under which the arms were trained."""

    tuned: bool
    """Whether the arms' learning rates were chosen on validation examples."""

    one_dense: bool = False
    """Whether all seeds share one dense network, in which they are then nested."""

    looks: int = 1
    """How often a verdict on this question was shown, this time included; more than one where the study grew after a verdict."""

    @property
    def family(self) -> tuple[str, str, str]:
        """Contrasts of one family differ in how much is removed, or in the recipe, and are corrected together."""
        return self.network, self.data, self.method

    @property
    def columns(self) -> dict[str, Any]:
        """The key columns that every row of the results starts with."""
        return {
            "network": self.network,
            "data": self.data,
            "variant": self.variant,
            "method": self.method,
            "fraction": self.fraction,
            "design": self.design,
        }

    @property
    def label(self) -> str:
        """For people: `vgg11 on digits (l1, 50 %)`."""
        said = ", ".join(filter(None, (self.method, self.design, self.variant)))
        return f"{self.network} on {self.data} ({said})"

    def difference(self, margin: float) -> Difference:
        """Arm a minus arm b, paired by seed; `margin` in points. Raises `ProtocolError` where the arms cannot be paired."""
        seeds = sorted(self.correct_a)
        if seeds != sorted(self.correct_b) or not seeds:
            raise ProtocolError(
                f"arms can be compared only on the same seeds; for {self.label}, {self.a} has {seeds}, {self.b} has "
                f"{sorted(self.correct_b)}. Finish the missing runs first, or take these seeds out of the study."
            )
        lengths = {len(row) for arm in (self.correct_a, self.correct_b) for row in arm.values()}
        if len(lengths) > 1:
            raise ProtocolError(
                f"arms can be compared only on the same test examples; for {self.label}, {self.a} and {self.b} were measured on "
                f"{' and '.join(str(length) for length in sorted(lengths))} of them. Remove the older evaluations from the store."
            )
        a_SN, b_SN = (np.stack([arm[seed] for seed in seeds]) for arm in (self.correct_a, self.correct_b))
        return compare(a_SN, b_SN, margin=margin, looks=self.looks)
