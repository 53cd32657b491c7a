"""Rules that span several fields of a study: what pydantic cannot see, told in the same words. Imports no torch.

A rule reads a study and yields one `Fault` per mistake. It names the keys it reads, so that a rule is left out while one of
them is itself wrong: nobody is told that two arms differ when the misspelt one is the news. Names are looked up first.

To add a rule, write the function and add its row to `RULES`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from regrow.config import feasible, names, pruning
from regrow.config.faults import MISSING, ProtocolFault, fault, key_of, overlaps, refuse, twice
from regrow.config.words import show
from regrow.errors import Fault

if TYPE_CHECKING:
    from regrow.config.study import Study

FEWEST_LRS: Final = 4
"""Values of a learning-rate grid; fewer make it likely that an arm loses by its grid alone."""

_ROUNDING: Final = 1e-4
"""Grid values are rounded to six digits; a difference this small is none."""

STORE: Final = "store"
"""The folder of finished stages, beside the folders of the studies."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule and the keys that it reads."""

    reads: tuple[str, ...]
    check: Callable[[Study], Iterator[Fault]]


def enforce(study: Study) -> None:
    """Raise every broken rule at once: `ProtocolError` where fairness alone is at stake, `ConfigError` otherwise."""
    refuse(broken_rules(study))


def broken_rules(study: Study, wrong: Collection[str] = ()) -> list[Fault]:
    """The faults of all rules, leaving out rules that read a key in `wrong`, or one that an earlier rule found wrong.

    `study` may lack the fields that `wrong` names.
    """
    faults: list[Fault] = []
    for rule in RULES:
        known = [*wrong, *(fault.key for fault in faults)]
        varies = bool(study.variant) and any(read.startswith(("train", "retrain")) for read in rule.reads)
        reads = (*rule.reads, "variant") if varies else rule.reads
        if not any(overlaps(read, key) for read in reads for key in known):
            faults += _in_variants(rule, study) if varies else rule.check(study)
    return faults


def _in_variants(rule: Rule, study: Study) -> Iterator[Fault]:
    """What a rule that reads the recipe finds in every variant of it. What several variants share is told once."""
    told: set[Fault] = set()
    for name, one in study.varied().items():
        found = set(rule.check(one)) - told
        told |= found
        yield from (dataclasses.replace(fault, rule=f"{fault.rule} (variant {show(name)})") for fault in found)


def seeds_differ(study: Study) -> Iterator[Fault]:
    """Seeds are independent repetitions, so each stands once and there is at least one."""
    if not study.seeds:
        yield fault("seeds", "must hold at least one seed; found []", "Write how many: seeds = 5.")
    for seed in twice(study.seeds):
        yield fault(
            "seeds", f"every seed may stand once; found {seed} twice", "The same seed twice is one run, counted twice."
        )


def name_is_free(study: Study) -> Iterator[Fault]:
    """A study's folder lies beside the store."""
    if study.name.lower() == STORE:
        yield fault(
            "name", f"must not be {show(STORE)}, the folder that all studies share", "Give the study another name."
        )


def families_have_members(study: Study) -> Iterator[Fault]:
    """A study has data, networks, and something to prune."""
    for section in ("data", "network", "prune"):
        if not getattr(study, section):
            yield fault(section, "must hold at least one table; found []", MISSING[section])


def contrast_is_of_this_study(study: Study) -> Iterator[Fault]:
    """The primary contrast compares two different arms that the study trains."""
    lacking = [name for name in dict.fromkeys(study.contrast) if name not in study.arms]
    choose = f"write for instance contrast = {show([study.arms[0], study.arms[-1]])}."
    if lacking:
        names = ", ".join(show(name) for name in lacking)
        yield fault(
            "contrast",
            f"must name two arms of this study; not in arms: {names}",
            f"Add to arms what is lacking, or {choose}",
        )
    if len(set(study.contrast)) == 1:
        rule = f"must compare two different arms; found {show(study.contrast[0])} twice"
        yield fault("contrast", rule, choose.capitalize())


def fractions_are_given(study: Study) -> Iterator[Fault]:
    """A list of fractions has members."""
    for i, prune in enumerate(study.prune):
        if prune.fraction == ():
            rule = "must hold at least one fraction; found []"
            yield fault(key_of("prune", i, study.prune, "fraction"), rule, "Leave it out for 0.5.")


def comparisons_differ(study: Study) -> Iterator[Fault]:
    """No comparison stands twice: it would be counted twice in the correction for many tests."""
    for section, tables in (("data", study.data), ("network", study.network)):
        for twin in twice(tables):
            yield fault(section, f"two tables say the same; found {show(twin.name)} twice", "Leave one of them out.")
    amounts = [
        (method, amount, prune.model_copy(update={"method": "", "fraction": None}))
        for prune in study.prune
        for method in prune.methods
        for amount in prune.fractions or (None,)
    ]
    for method, amount, _ in twice(amounts):
        what = f"fraction {amount}" if isinstance(amount, float) else "the same widths"
        yield fault(
            "prune",
            f"every comparison may stand once; found {show(method)} with {what} twice",
            "Leave one of them out.",
        )


def checkpoint_is_declared(study: Study) -> Iterator[Fault]:
    """A checkpoint says what it has seen; without one there is nothing to say."""
    dense = study.dense
    if dense.checkpoint is not None and dense.trained_on is None:
        hint = 'Write trained_on = "train", "train+validation", "train+test", "all" or "other" (none of the study\'s examples).'
        yield fault("dense.trained_on", "is missing; dense.checkpoint is judged by what it was trained on", hint)
    given = [name for name, value in dense if value != type(dense).model_fields[name].default]
    if dense.checkpoint is None and given:
        yield fault(
            f"dense.{given[0]}",
            "describes dense.checkpoint, and the study gives none",
            "Add dense.checkpoint, or leave it out.",
        )


def checkpoint_fits_one_network(study: Study) -> Iterator[Fault]:
    """One file of weights is one network trained on one data set."""
    if study.dense.checkpoint is None:
        return
    for section, tables in (("network", study.network), ("data", study.data)):
        if len(tables) > 1:
            rule = f"is one network's weights; the study has {len(tables)} [[{section}]] tables"
            yield fault("dense.checkpoint", rule, f"Make one study of each [[{section}]].")


def test_set_is_unseen(study: Study) -> Iterator[Fault]:
    """Weights that have seen the test set make every accuracy on it worthless."""
    if study.dense.trained_on in ("train+test", "all"):
        rule = f"the test set must be new to every network; found {show(study.dense.trained_on)}"
        yield ProtocolFault(
            where="study",
            key="dense.trained_on",
            rule=rule,
            hint="Use a checkpoint that has not seen the test examples.",
        )


def validation_set_is_unseen(study: Study) -> Iterator[Fault]:
    """Learning rates are chosen on examples that no network has been trained on."""
    if study.retrain.tune_lr and study.dense.trained_on == "train+validation":
        rule = "the checkpoint has seen the validation examples, so no learning rate can be chosen on them; found true"
        yield ProtocolFault(
            where="study",
            key="retrain.tune_lr",
            rule=rule,
            hint="Write tune_lr = false; the verdict then says untuned.",
        )


def retraining_is_no_longer_than_training(study: Study) -> Iterator[Fault]:
    """Retraining compresses the dense schedule; longer than the dense run, it would be a second training."""
    dense = study.dense.epochs or study.train.epochs
    if study.retrain.epochs is not None and study.retrain.epochs > dense:
        rule = f"must not exceed the dense network's {dense} epochs; found {study.retrain.epochs}"
        yield fault(
            "retrain.epochs", rule, f"Write {max(1, dense // 4)} (a quarter, as in the paper), or raise train.epochs."
        )


def rates_fall(study: Study) -> Iterator[Fault]:
    """Schedules end below where they start."""
    lr, final = study.train.lr, study.train.final_lr
    if final is not None and final > lr:
        yield fault(
            "train.final_lr",
            f"must not exceed train.lr = {lr:g}; found {final:g}",
            f"Write {lr / 100:g}, or leave it out.",
        )


def grid_is_fair(study: Study) -> Iterator[Fault]:
    """A grid has at least four different values, none below the final learning rate, within its own limit."""
    lrs = study.retrain.lrs
    if lrs is None:
        return
    if len(lrs) < FEWEST_LRS:
        hint = "Leave it out for train.lr and three lower ones, each by a factor sqrt(10), or write for instance [0.1, 0.03, 0.01, 0.003]."
        yield fault("retrain.lrs", f"must hold at least {FEWEST_LRS} values; found {show(lrs)}", hint)
    for lr in twice(lrs):
        yield fault("retrain.lrs", f"every value may stand once; found {lr:g} twice", "Leave the second one out.")
    if len(lrs) > study.retrain.max_lrs:
        hint = f"Write max_lrs = {len(lrs)} or more, so that the grid can grow."
        yield fault(
            "retrain.max_lrs", f"is less than the {len(lrs)} values of lrs; found {study.retrain.max_lrs}", hint
        )


def grid_ends_above_final_rate(study: Study) -> Iterator[Fault]:
    """A schedule whose peak lies below its end would rise."""
    lrs, lr = study.retrain.lrs, study.train.lr
    final = lr / 100 if study.train.final_lr is None else study.train.final_lr
    lowest = lr * 10 ** -((FEWEST_LRS - 1) / 2)
    if lrs and min(lrs) < final * (1 - _ROUNDING):
        rule = f"must not go below the final learning rate, {final:g}; found {min(lrs):g}"
        hint = "Every schedule ends at that rate: leave the smaller values out, or lower train.final_lr."
        yield fault("retrain.lrs", rule, hint)
    if lrs is None and study.retrain.tune_lr and lowest < final * (1 - _ROUNDING) and final <= lr:
        rule = f"must not exceed the lowest learning rate that is tried, {lowest:.3g}; found {final:g}"
        yield fault("train.final_lr", rule, f"Write {lowest:.3g} or less, or give retrain.lrs.")


def fine_tune_rate_is_used(study: Study) -> Iterator[Fault]:
    """A setting that would be ignored is a mistake."""
    given = study.retrain
    if given.tune_lr and given.fine_tune_lr is not None:
        rule = f"is used only with tune_lr = false; found {given.fine_tune_lr:g}"
        yield fault("retrain.fine_tune_lr", rule, "Leave it out: fine-tune's rate is chosen as every other arm's.")


def grid_is_used(study: Study) -> Iterator[Fault]:
    """A setting that would be ignored is a mistake."""
    given = study.retrain
    if not given.tune_lr and given.lrs is not None:
        rule = f"is used only with tune_lr = true; found {show(given.lrs)}"
        yield fault("retrain.lrs", rule, "Leave it out, or write tune_lr = true.")


def devices_share_a_batch(study: Study) -> Iterator[Fault]:
    """Every device has an example of every batch; batches of an epoch are no smaller than half of what is asked for."""
    batch, devices = study.train.batch, study.compute.devices
    if batch < 2 * devices and devices > 1:
        rule = f"must be at least 2 examples for each of the {devices} devices of compute.devices; found {batch}"
        yield fault("train.batch", rule, f"Write {2 * devices} or more, or take fewer devices.")


RULES: Final = (
    Rule(("arms",), names.arm_names),
    Rule(("contrast",), names.contrast_names),
    Rule(("data", "network", "prune"), families_have_members),
    Rule(("data.name",), names.data_names),
    Rule(("network.name",), names.network_names),
    Rule(("prune.method",), names.method_names),
    Rule(("prune.widths",), names.design_names),
    Rule(("retrain.convention",), names.convention_name),
    Rule(("published",), names.published_name),
    Rule(("analyses",), names.analysis_names),
    Rule(("analyses", "contrast"), names.barrier_arms),
    Rule(("between", "variant", "prune", "arms"), names.between_names),
    Rule(("name",), name_is_free),
    Rule(("seeds",), seeds_differ),
    Rule(("arms", "contrast"), contrast_is_of_this_study),
    Rule(("prune.fraction",), fractions_are_given),
    Rule(("prune.guide", "prune.method"), pruning.guides_are_there),
    Rule(("prune",), pruning.methods_can),
    Rule(("dense.checkpoint", "arms", "prune"), pruning.rewinding_is_possible),
    Rule(("arms", "prune"), pruning.arms_fit_what_is_removed),
    Rule(("data", "network", "prune"), comparisons_differ),
    Rule(("dense",), checkpoint_is_declared),
    Rule(("dense.checkpoint", "network", "data"), checkpoint_fits_one_network),
    Rule(("dense.trained_on",), test_set_is_unseen),
    Rule(("dense.trained_on", "retrain.tune_lr"), validation_set_is_unseen),
    Rule(("dense.epochs", "train.epochs", "retrain.epochs"), retraining_is_no_longer_than_training),
    Rule(("train.lr", "train.final_lr"), rates_fall),
    Rule(("retrain.lrs", "retrain.max_lrs"), grid_is_fair),
    Rule(("train.lr", "train.final_lr", "retrain.lrs", "retrain.tune_lr"), grid_ends_above_final_rate),
    Rule(("retrain.tune_lr", "retrain.fine_tune_lr"), fine_tune_rate_is_used),
    Rule(("retrain.tune_lr", "retrain.lrs"), grid_is_used),
    Rule(("train.batch", "compute.devices"), devices_share_a_batch),
    Rule(("data",), feasible.facts_are_declared),
    Rule(("data",), feasible.labels_differ),
    Rule(("data", "network"), feasible.networks_exist),
    Rule(("data", "network", "prune"), feasible.prunings_are_meant_for_something),
    Rule(("data", "network", "prune"), feasible.prunings_exist),
)
"""In the order in which they are told."""
