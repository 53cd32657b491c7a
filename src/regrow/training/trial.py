"""Timed trials: which arithmetic is fastest for a network on this machine, and how long a training step takes.

Real steps of the real loop on made-up images. MACs would not do: at equal MACs, small networks can take many times as long.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, cast

import torch
from torch import Tensor, nn

from regrow.networks.build import build
from regrow.networks.spec import NetworkSpec
from regrow.training.compute import Compute
from regrow.training.learner import Learner, open_fabric
from regrow.training.machine import apply
from regrow.training.recipe import Recipe

GAIN: Final = 1.1
"""A less plain option must be this many times faster: less would be noise, and noise would choose anew in every store."""

TRIAL_SECONDS: Final = 0.25
"""Spent on the steps of each option, at least; three steps are always taken."""

STEP_SECONDS: Final = 1.0
"""A step that takes longer is timed on fewer examples and scaled up."""

PROBE_BATCH: Final = 16

Precision: TypeAlias = Literal["fp32", "bf16"]
Make: TypeAlias = Callable[..., nn.Module]
"""A network of a specification and a seed, as `regrow.networks.build.build` makes one."""

OPTIONS: Final[tuple[tuple[Precision, bool], ...]] = (("fp32", False), ("fp32", True), ("bf16", True), ("bf16", False))
"""Precision and whether channels come last, in the order in which they are preferred; bf16 kernels are made for channels last."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """A resolved `Compute`, and what it rests on."""

    compute: Compute
    measured: list[dict[str, Any]]
    """One row an option: device, precision, channels_last, compile, step_seconds, and compile_seconds where it was compiled.
    Empty where nothing was open."""


def choose(
    spec: NetworkSpec, recipe: Recipe, *, wish: Mapping[str, Any], total_steps: int, make: Make = build
) -> Choice:
    """Resolve what `wish` leaves open ("auto"), by timing a few training steps of each option.

    Args:
        spec, recipe: what is trained, and how.
        wish: the fields of `ComputeSettings`: device, threads, precision, channels_last, compile, and devices where there are several.
        total_steps: steps of one training; compilation must pay for itself within them.
        make: builds the network of a specification and a seed; the zoo's own builder, unless it comes from elsewhere.

    fp32 in PyTorch's own layout stays unless another option is faster by a tenth. Options that nearly tie may still be chosen
    differently on a busy machine, and with them the bits of every result: a study that must give the same bits in another store
    says what it wants. Leaves the process computing as chosen.
    """
    device = _device(wish["device"])
    options = [
        Compute(
            device=device,
            threads=wish["threads"],
            precision=precision,
            channels_last=last,
            compile=wish["compile"] is True,
            devices=wish.get("devices", 1),
        )
        for precision, last in OPTIONS
        if wish["precision"] in ("auto", precision) and wish["channels_last"] in ("auto", last)
    ]
    compiling = wish["compile"] == "auto" and wish.get("devices", 1) == 1
    if len(options) == 1 and not compiling:
        apply(options[0].alone())
        return Choice(compute=options[0], measured=[])
    trials = [_Trial(spec, recipe, option, make) for option in options]
    _time_in_turn(trials)
    chosen = trials[pick([min(trial.seconds) for trial in trials])]
    if compiling:
        chosen = _compiled_if_it_pays(spec, recipe, chosen, trials, total_steps)
    apply(chosen.compute.alone())
    return Choice(compute=chosen.compute, measured=[trial.row() for trial in trials])


def seconds_per_step(spec: NetworkSpec, recipe: Recipe, compute: Compute, make: Make = build) -> float:
    """Median seconds of one training step of `recipe.batch` examples; the machine should be as busy as it will be then.

    Of a step that several devices share, this is the time of one device's portion; averaging the gradients is not in it.
    """
    trial = _Trial(spec, recipe, compute, make)
    _time_in_turn([trial])
    return statistics.median(trial.seconds)


def pick(seconds: Sequence[float]) -> int:
    """Position of the option to take, of options in order from plain to special: each must gain a tenth on the one before it.

    >>> pick([1.0, 0.95, 0.99]), pick([1.0, 0.8, 0.7]), pick([1.0, 0.8, 0.75])
    (0, 2, 1)
    """
    chosen = 0
    for option in range(len(seconds)):
        if seconds[option] * GAIN < seconds[chosen]:
            chosen = option
    return chosen


def pays(eager: float, compiled: float, compile_seconds: float, steps: int) -> bool:
    """Whether one training of so many steps saves more seconds than compiling costs; the first two are seconds a step.

    >>> pays(0.3, 0.2, 20.0, steps=100), pays(0.3, 0.2, 20.0, steps=1000)
    (False, True)
    """
    return (eager - compiled) * steps > compile_seconds


class _Trial:
    """One network in one arithmetic, ready to be timed."""

    def __init__(self, spec: NetworkSpec, recipe: Recipe, compute: Compute, make: Make) -> None:
        self.compute, self.make, self.seconds = compute, make, list[float]()
        self._spec = spec
        alone, batch = compute.alone(), -(-recipe.batch // compute.devices)
        apply(alone)
        self._learner = Learner(make(spec, 0, "trial"), recipe, alone, open_fabric(alone))
        first = self._take(PROBE_BATCH)  # sets up kernels and memory, and compiles
        # The batches of an epoch have two sizes, and each is compiled for itself.
        self.compile_seconds = 2 * first if compute.compile else 0.0
        predicted = self._take(PROBE_BATCH) * batch / PROBE_BATCH
        affordable = max(PROBE_BATCH, int(batch * STEP_SECONDS / predicted))
        self._batch = min(batch, affordable)
        self._scale = batch / self._batch
        self._take(self._batch)

    def time(self) -> None:
        """One timed step."""
        self.seconds.append(self._take(self._batch) * self._scale)

    def row(self) -> dict[str, Any]:
        """What was measured; the fastest step, since others only tell how busy the machine was."""
        compiled = {"compile_seconds": self.compile_seconds} if self.compute.compile else {}
        options = {name: value for name, value in self.compute.to_json().items() if name != "threads"}
        return options | {"step_seconds": min(self.seconds)} | compiled

    def _take(self, examples: int) -> float:
        images, labels_B = _made_up(self._spec, examples, self.compute)
        _wait(self.compute)
        started = time.perf_counter()
        self._learner.learn([(images, labels_B)], [1e-3])
        _wait(self.compute)
        return time.perf_counter() - started


def _time_in_turn(trials: Sequence[_Trial]) -> None:
    """Steps of all options by turns, so that what else the machine does meets them alike."""
    started = time.perf_counter()
    for taken in itertools.count():
        if taken >= 3 and time.perf_counter() - started > TRIAL_SECONDS * len(trials):
            return
        for trial in trials:
            trial.time()


def _compiled_if_it_pays(
    spec: NetworkSpec, recipe: Recipe, eager: _Trial, trials: list[_Trial], total_steps: int
) -> _Trial:
    """`eager`, or its compiled form where one training saves more time than compiling takes. Adds to `trials`."""
    compute = eager.compute
    options = Compute(**(compute.to_json() | {"compile": True}))
    try:
        compiled = _Trial(spec, recipe, options, eager.make)
    except torch._dynamo.exc.TorchDynamoException:
        return eager  # no compiler here, or a network that cannot be compiled
    trials.append(compiled)
    _time_in_turn([eager, compiled])
    paid = pays(min(eager.seconds), min(compiled.seconds), compiled.compile_seconds, total_steps)
    return compiled if paid else eager


def _made_up(spec: NetworkSpec, examples: int, compute: Compute) -> tuple[Tensor, Tensor]:
    layout = torch.channels_last if compute.channels_last else torch.contiguous_format
    images = torch.linspace(-2, 2, examples * spec.shape[0] * spec.shape[1] * spec.shape[2])
    labels_B = torch.arange(examples) % spec.classes
    shaped = images.view(examples, *spec.shape).to(compute.device, memory_format=layout)
    return shaped, labels_B.to(compute.device)


def _wait(compute: Compute) -> None:
    if compute.device == "cuda":
        torch.cuda.synchronize()


def _device(wish: str) -> Literal["cpu", "cuda"]:
    if wish == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return cast(Literal["cpu", "cuda"], wish)
