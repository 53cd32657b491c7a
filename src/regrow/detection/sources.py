"""Sources: the trained networks of a finished study, one for each arm and seed, as backbones. Nothing of the study is done here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from torch import nn

from regrow.config.study import Study
from regrow.data.examples import read_meta
from regrow.detection.detector import Images
from regrow.errors import ConfigError, Fault, UnknownNameError
from regrow.study.comparison import NO_METHOD
from regrow.study.expand import expand
from regrow.study.expansion import Expansion, Run
from regrow.study.runner import usable
from regrow.study.stage import Stage
from regrow.study.starts import loaded
from regrow.study.store import Store
from regrow.study.task import Task

DENSE: Final = "dense"


@dataclass(frozen=True, kw_only=True)
class Source:
    """One trained network of a study."""

    run: Run
    store: Store

    pruning: Stage | None = None
    """The study's pruning of the same comparison and seed; None where there is none on record."""

    @property
    def columns(self) -> dict[str, Any]:
        """The key columns of its rows; the dense network belongs to no method."""
        columns: dict[str, Any] = dict(self.run.comparison.columns)
        return columns | NO_METHOD if self.run.arm == DENSE else columns

    @property
    def images(self) -> Images:
        """How it saw its images."""
        meta = read_meta(self.store.folder(self.run.evaluate.inputs["data"]))
        channels = self.run.shape.spec.shape[0]
        return Images(channels=channels, mean=tuple(meta["mean"]), std=tuple(meta["std"]))

    @property
    def test_accuracy(self) -> float | None:
        """Of the classifier, percent."""
        tested = self.store.result(self.run.evaluate.key)
        return None if tested is None else 100 * float(tested["correct"]) / int(tested["examples"])

    def network(self) -> nn.Module:
        """The network with its trained weights, on the CPU. Raises `StoreError` where they are damaged."""
        task = Task(stage=self.run.evaluate, store=self.store, folder=self.store.root, tell=_nothing)
        return loaded(task, "weights", self.run.shape.spec)


def _nothing(told: dict[str, Any]) -> None:
    """No progress is told while weights are read."""


@dataclass(frozen=True, kw_only=True)
class Sources:
    """All that is compared, in the order of the study."""

    found: tuple[Source, ...]
    problems: tuple[str, ...]
    """Networks that the study could not train, in words."""


def study_sources(study: Study, store: Store, arms: Sequence[str] | None = None) -> Sources:
    """The trained networks of a study's arms and of its dense network, or of the `arms` that are named.

    Raises `UnknownNameError` for an arm that the study does not have, `ConfigError` where the study is not finished, or where its
    networks are masked: a detector's training would grow the removed weights again.
    """
    wanted = _wanted(study, arms)
    found = expand(study, store.result)
    _refuse_unfinished(study, found, store)
    runs = [run for run in found.runs if run.arm in wanted]
    _refuse_masked(runs)
    trained = [run for run in runs if usable(store.result(run.train.key))]
    if not trained:
        rule = f"has trained none of the networks that would be compared: {'; '.join(found.problems)}"
        raise ConfigError(faults=[Fault(where=study.name, key="", rule=rule)])
    prunings = {(id(comparison), seed): stage for comparison, seed, stage in found.prunings}
    sources = [Source(run=run, store=store, pruning=prunings.get((id(run.comparison), run.seed))) for run in trained]
    return Sources(found=tuple(sources), problems=tuple(found.problems))


def _wanted(study: Study, arms: Iterable[str] | None) -> tuple[str, ...]:
    known = (DENSE, *study.arms)
    for arm in arms or ():
        if arm not in known:
            raise UnknownNameError("trained arm of this study", arm, known)
    return known if arms is None else tuple(arm for arm in known if arm in set(arms))


def _refuse_unfinished(study: Study, found: Expansion, store: Store) -> None:
    """What rests on a training that diverged will never be there, and is none of its business."""
    missing = [key for key in found.stages if store.result(key) is None]
    if found.problems or not (missing or found.waiting):
        return
    rule = f"has finished {len(found.stages) - len(missing)} of its {len(found.stages)} stages or more"
    hint = "Finish it first with `regrow run`, with the same --out, --set and --profile."
    raise ConfigError(faults=[Fault(where=study.name, key="", rule=rule, hint=hint)])


def _refuse_masked(runs: Sequence[Run]) -> None:
    masked = [run for run in runs if run.shape.masked]
    if masked:
        rule = f"removes single weights ({masked[0].comparison.label}), and a detector's training would grow them again"
        hint = 'Transfer a study that removes channels or blocks: prune.remove = "channels".'
        raise ConfigError(faults=[Fault(where="study", key="prune.method", rule=rule, hint=hint)])
