"""Schedules: the learning rate of every step, as a list, before training begins. Imports no torch.

A schedule is a plain function with one signature,

    schedule(recipe, step, steps_per_epoch) -> lr        step counts from 0 over the whole schedule

To add one, write the function and add its row to SCHEDULES. All but `constant` give `final_lr` at their last step, so arms of
different lengths end alike, and all stretch in proportion to the schedule's epochs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final, TypeAlias

from regrow.training.recipe import Recipe

Schedule: TypeAlias = Callable[[Recipe, int, int], float]

ONE_CYCLE_RISE: Final = 0.3
"""Share of a one-cycle schedule in which the learning rate rises, as in Smith and Topin's and in PyTorch's."""


def learning_rates(recipe: Recipe, steps_per_epoch: int) -> list[float]:
    """The learning rate of every step of the run, `recipe.epochs * steps_per_epoch` of them.

    >>> learning_rates(Recipe(epochs=4, schedule="step", peak_lr=1.0, final_lr=0.01, schedule_epochs=4), 1)
    [1.0, 1.0, 0.1, 0.01]
    """
    schedule = SCHEDULES[recipe.schedule]
    first = recipe.schedule_start * steps_per_epoch
    steps = range(first, first + recipe.epochs * steps_per_epoch)
    return [schedule(recipe, step, steps_per_epoch) for step in steps]


def step(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Three levels in equal factors, peak, sqrt(peak * final), final, changed at epochs floor(E / 2) and floor(3 E / 4).

    Source: Liu et al. 2019, arXiv:1810.05270: a tenth at 50 % and at 75 % of all epochs, which is final = peak / 100.
    """
    epoch, epochs = step // steps_per_epoch, recipe.schedule_epochs
    if epoch < epochs // 2:
        level = recipe.peak_lr
    elif epoch < 3 * epochs // 4:
        level = math.sqrt(recipe.peak_lr * recipe.final_lr)
    else:
        level = recipe.final_lr
    return level * _rise(step, _rising(recipe.warmup, epochs * steps_per_epoch))


def cosine(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """After the warm-up, half a cosine from peak to final.

    Source: Loshchilov and Hutter 2017, arXiv:1608.03983, one period without restart.
    """
    return _half_cosine(recipe, step, steps_per_epoch, recipe.warmup)


def one_cycle(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """A linear rise over the first 30 % of all steps, then half a cosine from peak to final.

    Source: Smith and Topin 2019, arXiv:1708.07120.
    """
    return _half_cosine(recipe, step, steps_per_epoch, ONE_CYCLE_RISE)


def constant(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """The peak, after the warm-up."""
    return recipe.peak_lr * _rise(step, _rising(recipe.warmup, recipe.schedule_epochs * steps_per_epoch))


SCHEDULES: Final[Mapping[str, Schedule]] = MappingProxyType(
    {"step": step, "cosine": cosine, "one-cycle": one_cycle, "constant": constant}
)


def _half_cosine(recipe: Recipe, step: int, steps_per_epoch: int, rise: float) -> float:
    total = recipe.schedule_epochs * steps_per_epoch
    rising = _rising(rise, total)
    if step < rising:
        return recipe.peak_lr * _rise(step, rising)
    falling = total - rising - 1
    share = (step - rising) / falling if falling else 1.0
    return recipe.final_lr + (recipe.peak_lr - recipe.final_lr) * (1 + math.cos(math.pi * share)) / 2


def _rising(share: float, steps: int) -> int:
    """Steps of the rise; in decimal arithmetic, since 0.29 * 100 is less than 29 in binary."""
    return math.floor(Decimal(str(share)) * steps)


def _rise(step: int, rising: int) -> float:
    """Share of the peak: the first step takes 1 / rising of it, as a step at lr 0 would be wasted."""
    return min(1.0, (step + 1) / rising) if rising else 1.0
