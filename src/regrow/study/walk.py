"""The walk through one comparison: its prunings, its shapes, the choice of learning rates, the runs of its report. No torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from regrow.errors import ProtocolError
from regrow.networks.spec import NetworkSpec
from regrow.retraining.arms import ARMS
from regrow.study.analysis_stages import analyses
from regrow.study.comparison import Comparison
from regrow.study.expansion import Case, Expander, Measured, Run
from regrow.study.lengths import ArmPlan, budget_epochs, final_lr, plan_arms
from regrow.study.pruning_stages import arm_stage, random_stage, state_stage, target_stage
from regrow.study.route import Route, ledger, route
from regrow.study.shape import Shape, carved_shape, found_spec, masked_shape, supposed_shape
from regrow.study.stage import Stage
from regrow.study.stages import PRIORITY, Ground, data_stage, evaluate_reestimated_stage, evaluate_stage
from regrow.study.tuning import Rates, Tuning


def walk(owner: Expander, comparison: Comparison) -> None:
    """Name every stage of one comparison that can be named."""
    data = data_stage(comparison.data)
    owner.need(data)
    cost, compute = owner.cost(comparison, comparison.dense), owner.compute(comparison)
    if comparison.pruned is not None:
        owner.cost(comparison, comparison.pruned)
    if cost is None or compute is None:
        return
    dense = carved_shape(comparison.dense, cost)
    ground = Ground(study=owner.study, comparison=comparison, compute=compute, data=data, dense_macs=dense.macs)
    known, widths = _known(owner, comparison)
    if not known:
        return
    one = Walk(owner, ground, dense, widths)
    if widths is not None and one.plans(owner.study.seed_list[0]) is None:
        return  # its cost is being counted
    rates = Tuning(owner, one).rates() if owner.study.retrain.tune_lr else one.untuned()
    one.report(rates)


def _known(owner: Expander, comparison: Comparison) -> tuple[bool, tuple[int, ...] | None]:
    """Whether the walk can begin, and the widths that all seeds share, where they do."""
    wanted = comparison.wanted
    if comparison.pruned is not None:
        return True, comparison.pruned.widths
    if not wanted.computed_widths:
        return True, None
    target = owner.need(target_stage(comparison))
    return target is not None, None if target is None else tuple(target["widths"])


@dataclass
class Walk:
    """One comparison, with everything that its stages share."""

    owner: Expander
    ground: Ground
    dense: Shape
    widths: tuple[int, ...] | None
    """Channels that every group keeps, for every seed; None where each seed has its own, or where weights are masked."""

    _plans: dict[int | None, tuple[ArmPlan, ...] | None] = field(default_factory=dict)
    _routes: dict[int, Route] = field(default_factory=dict)

    @property
    def comparison(self) -> Comparison:
        """The comparison that is walked."""
        return self.ground.comparison

    def route(self, seed: int) -> Route:
        """How a seed comes to its pruned network."""
        if seed not in self._routes:
            self._routes[seed] = route(self.ground, seed, self.widths)
        return self._routes[seed]

    def plans(self, seed: int) -> tuple[ArmPlan, ...] | None:
        """The arms of one seed with their lengths; None while what is left of its dense network is not known."""
        key = None if self.widths is not None else seed
        if key not in self._plans:
            shape, pruned = self._shape(seed)
            self._plans[key] = None if shape is None else self._allowed(key, shape, pruned)
        return self._plans[key]

    def _allowed(self, seed: int | None, shape: Shape, pruned: Stage | None) -> tuple[ArmPlan, ...] | None:
        """The arms of a shape. One that a method found for one seed, and that allows no fair comparison, does not end the study."""
        try:
            return self._planned(seed, shape, pruned)
        except ProtocolError as error:
            if seed is None:
                raise
            self.owner.found.problems.append(f"seed {seed}: {error}")
            return None

    def waiting(self, seed: int) -> list[float]:
        """Training FLOPs of a seed's arms, as they will probably be; nothing where that cannot be guessed."""
        shape, made = self._supposed(), self.route(seed)
        try:
            plans = plan_arms(self.owner.study, self.comparison, self.dense, shape, ledger(self.ground, shape))
        except ProtocolError:
            return []
        lr = self.owner.study.train.lr
        return [arm_stage(self.ground, plan, seed, lr, made.pruned, made.pruning.read).work for plan in plans]

    def _planned(self, seed: int | None, shape: Shape, pruned: Stage | None) -> tuple[ArmPlan, ...]:
        study, spent = self.owner.study, ledger(self.ground, shape)
        plans = plan_arms(study, self.comparison, self.dense, shape, spent)
        if seed is None or seed in study.seed_list:
            epochs = budget_epochs(study, self.comparison, shape, spent)
            self.owner.found.cases.append(
                Case(comparison=self.comparison, seed=seed, shape=shape, plans=plans, epochs=epochs, pruned=pruned)
            )
        return plans

    def _shape(self, seed: int) -> tuple[Shape | None, Stage | None]:
        """What is left for one seed, and the stage that found it."""
        if self.widths is not None:
            return self._carved(replace(self.comparison.dense, widths=self.widths)), None
        self.inherit(seed)
        pruned = self.route(seed).pruned
        found = self.owner.lookup(pruned.key)
        if found is None:
            return (self._supposed() if self.owner.assume else None), pruned
        if self.comparison.wanted.masked:
            cost = self.owner.cost(self.comparison, self.comparison.dense) or {}
            return masked_shape(self.comparison.dense, cost, found), pruned
        return self._carved(found_spec(self.comparison.dense, found)), pruned

    def _carved(self, spec: NetworkSpec) -> Shape | None:
        cost = self.owner.cost(self.comparison, spec)
        return None if cost is None else carved_shape(spec, cost)

    def _supposed(self) -> Shape:
        cost = self.owner.cost(self.comparison, self.comparison.dense) or {}
        wanted = self.comparison.wanted
        return supposed_shape(self.comparison.dense, cost, wanted.supposed_share, masked=wanted.masked)

    def arm(self, plan: ArmPlan, seed: int, lr: float) -> Stage:
        """The arm's training; what it inherits from is needed too."""
        made = self.route(seed)
        pruned = self._pruned_of(plan, made)
        stage = arm_stage(self.ground, plan, seed, lr, pruned, made.pruning.read)
        if pruned.key in stage.inputs.values():
            self.inherit(seed, pruned)
        if "state" in stage.inputs:
            self.owner.need(state_stage(self.ground, seed, plan.step), priority=self._urgency(seed))
        return stage

    def _pruned_of(self, plan: ArmPlan, made: Route) -> Stage:
        """The pruning that an arm starts from: the method's, or one by chance."""
        if plan.arm.channels == "chosen" or plan.arm.network == "dense":
            return made.pruned
        anywhere = plan.arm.channels == "random"
        return random_stage(self.ground, made.pruning, plan.shape, made.pruned, anywhere=anywhere)

    def inherit(self, seed: int, *pruned: Stage) -> None:
        """Make these prunings of a seed part of the study, with all that they come from."""
        made = self.route(seed)
        found = (made.pruned,) if self.widths is None else ()
        for stage in (*made.inherited, *found, *pruned):
            self.owner.need(stage, priority=self._urgency(seed))
        steps = {stage.settings.get("start", {}).get("step") or 0 for stage in made.inherited}
        for step in sorted(steps - {0}):
            self.owner.need(state_stage(self.ground, seed, step), priority=self._urgency(seed))

    def _urgency(self, seed: int) -> int | None:
        return PRIORITY["tuning dense"] if seed in self.owner.tune_seeds else None

    def untuned(self) -> Rates:
        """Without tuning: the dense lr for all, the final lr for fine-tune, as in the paper."""
        study = self.owner.study
        constant = study.retrain.fine_tune_lr or final_lr(study)
        return {name: constant if ARMS[name].schedule == "constant" else study.train.lr for name in study.arms}

    def report(self, rates: Rates) -> None:
        """The stages whose numbers the report shows."""
        for seed in self.owner.study.seed_list:
            made = self.route(seed)
            trained = [self._run("dense", seed, self.dense, self.owner.study.train.lr, made.dense)]
            self.inherit(seed, made.pruned)
            plans = self.plans(seed)
            if plans is None:
                self._wait(seed)
                continue
            self._around_pruning(seed, made, plans)
            for plan in plans:
                lr = rates[plan.name]
                if lr is not None:
                    trained.append(self._run(plan.name, seed, plan.shape, lr, self.arm(plan, seed, lr)))
            self._analyse([run for run in trained if run is not None])

    def _analyse(self, runs: list[Run]) -> None:
        """The study's analyses of one seed's trainings."""
        for analysed in analyses(self.ground, runs):
            self.owner.found.analysed.append(analysed)
            self.owner.need(analysed.stage)

    def _wait(self, seed: int) -> None:
        """Note the trainings that will come once this seed's shape is known, and what kept it from being known."""
        self.owner.found.waiting += self.waiting(seed)
        self.explain(seed)

    def explain(self, seed: int) -> None:
        """Say why a seed's shape will never be known, where a training on the way to it diverged."""
        for stage in self.route(seed).inherited:
            self._note_divergence(stage)

    def _note_divergence(self, stage: Stage) -> bool:
        result = self.owner.lookup(stage.key)
        if result is None or not result.get("diverged"):
            return False
        problem = f"{stage.label}: {result['message']}"
        if problem not in self.owner.found.problems:
            self.owner.found.problems.append(problem)
        return True

    def _run(self, arm: str, seed: int, shape: Shape, lr: float, train: Stage) -> Run | None:
        """Make a training and its test part of the report; None where it diverged, so that there is nothing to measure."""
        evaluate = evaluate_stage(self.ground, shape, train)
        run = Run(comparison=self.comparison, arm=arm, seed=seed, shape=shape, lr=lr, train=train, evaluate=evaluate)
        self.owner.found.runs.append(run)
        self.owner.need(train)
        if self._note_divergence(train):
            return None
        self.owner.need(evaluate)
        return run

    def _around_pruning(self, seed: int, made: Route, plans: Iterable[ArmPlan]) -> None:
        """The accuracy of what was pruned and of what was left, and the trainings that led there."""
        found, comparison = self.owner.found, self.comparison
        small = next((plan.shape for plan in plans if plan.arm.network == "pruned"), None) or self._shape(seed)[0]
        if small is None:
            return
        pruning = made.pruning
        tests = {
            "before": evaluate_stage(self.ground, self.dense, pruning.source),
            "stale": evaluate_stage(self.ground, small, made.pruned),
            "reestimated": evaluate_reestimated_stage(self.ground, small, made.pruned, seed, pruning.read),
        }
        found.prunings.append((comparison, seed, made.pruned))
        found.trainings += [(comparison, seed, stage) for stage in made.inherited if stage is not made.dense]
        for when, stage in tests.items():
            self.owner.need(stage)
            found.measured.append(Measured(comparison=comparison, seed=seed, when=when, stage=stage))
