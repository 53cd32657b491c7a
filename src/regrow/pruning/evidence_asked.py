"""What a criterion asks for: the names of its parameters, checked against the table of evidence.

A parameter without a default must be a row of EVIDENCE. One with a default may be anything; where it is a row, it is filled in if that
takes no examples, or if there are some. A second parameter that is annotated as `torch.Generator`, or called `_` or `numbers`, gets the
generator: criteria that look at a weight and random numbers may call these as they like.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass

from regrow.errors import PruningError, did_you_mean
from regrow.pruning.evidence import EVIDENCE, Criterion


@dataclass(frozen=True, slots=True)
class Asked:
    """Names of evidence."""

    positional: tuple[str, ...]
    """Those that must be given by position, the function's first ones."""

    keywords: Mapping[str, str]
    """By name of the parameter."""

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.positional, *self.keywords.values())

    @property
    def each_batch(self) -> bool:
        """Whether the criterion is called once for every batch."""
        return any(EVIDENCE[name].each_batch for name in self.names)

    @property
    def per_channel(self) -> bool:
        """Whether it looks at groups of channels only, and at no weight."""
        return {EVIDENCE[name].per for name in self.names if name != "generator"} == {"channel"}


def asked_for(name: str, function: Criterion, examples: bool) -> Asked:
    """What the criterion `function`, called `name`, asks for, when there are examples or there are none.

    Raises `PruningError` for a parameter that names no evidence, and where it needs examples and there are none.

    >>> asked_for("mine", lambda weight, gradient: weight * gradient, examples=True).names
    ('weight', 'gradient')
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise PruningError(
            f"{name} does not say what it looks at ({error}), so it cannot be a criterion. Wrap it: lambda weight: {name}(weight). "
            f"Known: {', '.join(EVIDENCE)}."
        ) from None
    positional, keywords = [], {}
    for place, one in enumerate(parameters):
        if one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
            continue
        evidence = "generator" if place == 1 and _takes_numbers(one) else one.name
        if one.default is one.empty:
            _check(name, evidence, examples)
        elif evidence not in EVIDENCE or (EVIDENCE[evidence].needs_examples and not examples):
            continue
        if one.kind is one.POSITIONAL_ONLY:
            positional.append(evidence)
        else:
            keywords[one.name] = evidence
    return Asked(tuple(positional), keywords)


def _takes_numbers(parameter: inspect.Parameter) -> bool:
    return parameter.name in ("_", "numbers") or "Generator" in str(parameter.annotation)


def _check(name: str, evidence: str, examples: bool) -> None:
    if evidence not in EVIDENCE:
        raise PruningError(
            f"the criterion {name} asks for {evidence!r}, which is no evidence: the names of its parameters say what it looks at. "
            f"{did_you_mean(evidence, EVIDENCE)}"
        )
    if EVIDENCE[evidence].needs_examples and not examples:
        raise PruningError(
            f"{name} scores on training examples: it looks at {evidence} ({EVIDENCE[evidence].summary}), and no examples are given. "
            "Pass batches=, a list or loader of (images, labels) or a function that returns one; or take a criterion that "
            "looks at weights only, such as l1."
        )
