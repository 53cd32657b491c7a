"""What the report says in words: what was compared, where equal MACs were not equal seconds, and what the study does not show."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from regrow.report.cases import ArmSummary, Case, Family, Results, Row, arm_row, inherits, rows
from regrow.report.published import comparison_rows
from regrow.report.words import listing, percent, plural, point, points, quantity, rate, seconds, times
from regrow.retraining.conventions import CONVENTIONS

ALIKE = 0.1
"""Two ratios that differ by less than this share are called close."""

BEFORE: Final = ("pruning", "scoring", "reconstruction")
"""Entries of the ledger for what comes between dense training and the arms: trainings of methods, rounds, passes over examples."""

_LETTERS: Final = {
    "KM": "; KM: epochs of what the method trains between these",
    "N2": "; N2: MACs of the weights that are left",
}
"""Letters of some formulas only, with what they stand for."""


def answer(verdict: Row) -> tuple[str, str]:
    """Headline and finding: what stands before and after the colon of the verdict's first sentence.

    Where the sentence gives no answer, its word is the headline and the whole of it the finding.

    >>> answer({"a": "retrain", "b": "scratch-b", "word": "equivalent", "sentence": "Not worth it: for vgg11, no gain. n = 8."})
    ('Not worth it', 'For vgg11, no gain.')
    """
    sentence = str(verdict.get("sentence") or "")
    found = re.match(r"([^:]{1,60}): for (.+?\.)(?:\s|$)", sentence)
    return (found[1], f"For {found[2]}") if found else (headline(verdict), sentence)


def headline(verdict: Row) -> str:
    """The verdict in at most a line: its word, with the arms it is about.

    >>> headline({"a": "retrain", "b": "scratch-b", "word": "equivalent"})
    'retrain and scratch-b: equivalent'
    >>> headline({"a": "retrain", "b": "scratch-b", "word": "better"})
    'retrain against scratch-b: better'
    """
    word = str(verdict.get("word") or "no verdict")
    between = "against" if word.startswith(("better", "worse")) else "and"
    return f"{verdict['a']} {between} {verdict['b']}: {word}"


def compared(case: Case) -> list[str]:
    """What the primary contrast compared, as the sentences of one paragraph: architecture, seeds, margin, convention."""
    verdict = case.verdict
    if verdict is None:
        return [_architecture(case, "Every arm trains")]
    n = verdict["n"]
    said = [
        _architecture(case, f"The arms {verdict['a']} and {verdict['b']} train"),
        f"They are compared over {plural(n, 'paired seed')} by test accuracy at the last epoch, on {_images(case)}: a seed gives "
        "both arms the same dense network and the same stream of examples.",
        _margin(case, verdict),
        _convention(verdict),
    ]
    return [sentence for sentence in said if sentence]


def contenders(case: Case) -> list[tuple[str, str]]:
    """The two arms of the primary contrast: name and what was done."""
    names = [case.verdict["a"], case.verdict["b"]] if case.verdict else []
    said = []
    for name in names:
        arm, row = case.find(name), arm_row(name)
        if arm and row:
            chosen = "chosen on validation examples" if arm.only("tuned") else "not tuned"
            lr = f"{plural(arm.only('epochs'), 'epoch')}, peak learning rate {rate(arm.only('lr'))}, {chosen}"
            said.append((name, f"{row.summary} ({lr})"))
    return said


def _architecture(case: Case, who: str) -> str:
    small, large = case.architecture.get("macs"), case.dense_network.get("macs")
    sizes = ""
    if case.masked:
        sizes = _masked(case.architecture)
    elif small and large:
        sizes = f", which leaves {quantity(small)} of {quantity(large)} MACs ({times(large / small)} times fewer)"
    return f"{who} the same pruned architecture: {case.network} on {case.data}, {case.removed} by {case.method}{sizes}."


def _masked(architecture: Row) -> str:
    """What a mask leaves. Nominal MACs are never told as a speed-up."""
    kept, macs, nominal = (architecture.get(key) for key in ("kept_weights", "macs", "nominal_macs"))
    return (
        f", as a mask that keeps {quantity(kept)} weights. Every zero is still multiplied: the masked network executes "
        f"{quantity(macs)} MACs, as the dense one does, of which {quantity(nominal)} (nominal) belong to kept weights"
    )


def _images(case: Case) -> str:
    test = case.dataset.get("test")
    return plural(test, "test image") if test else "the test images"


def _margin(case: Case, verdict: Row) -> str:
    images = verdict.get("margin_images")
    of = f" ({images:.3g} of {_images(case)})" if images is not None else ""
    return f"Differences within {point(verdict['margin'])}{of} count as equivalent; the margin was declared before the run."


def _convention(verdict: Row) -> str:
    name = str(verdict.get("convention") or "")
    if name not in CONVENTIONS:
        return ""
    row = CONVENTIONS[name]
    return f"Budgets follow convention {name}: {row.summary}."


def formula(verdict: Row | None) -> str:
    """The convention's formula with its letters explained; empty without a known convention."""
    name = str((verdict or {}).get("convention") or "")
    if name not in CONVENTIONS:
        return ""
    written = CONVENTIONS[name].formula
    letters = "".join(words for letter, words in _LETTERS.items() if letter in written)
    return (
        f"{name}: scratch epochs = {written.replace(' * ', ' × ')}. K1, K2: dense and retraining epochs; F1, F2: MACs of the dense "
        f"and of the pruned network{letters}."
    )


def time_against_macs(case: Case) -> list[str]:
    """Whether equal MACs were equal seconds: the two ratios, an example of training and the whole budget. Empty if not known."""
    dense, small = _seconds_per_example(case, [case.dense]), _seconds_per_example(case, _small_arms(case))
    large, little = case.dense_network.get("macs"), case.architecture.get("macs")
    if not (dense and small and large and little) or case.masked:  # a mask executes what the dense network does
        return []
    by_macs, by_seconds = large / little, dense / small
    close = abs(by_seconds / by_macs - 1) <= ALIKE
    verdict = "Equal MACs were close to equal seconds" if close else "Equal MACs were not equal seconds"
    said = [
        f"{verdict}: an example costs the dense network {times(by_macs)} times the MACs of the pruned one, and "
        f"{times(by_seconds)} times its measured training seconds."
    ]
    return said + _budgets(case)


def _small_arms(case: Case) -> list[ArmSummary | None]:
    macs = case.architecture.get("macs")
    return [arm for arm in case.arms if arm.only("macs") == macs]


def _seconds_per_example(case: Case, arms: Sequence[ArmSummary | None]) -> float | None:
    """Training seconds of one example once, over all runs of these arms together: long runs weigh more, start-up less."""
    examples = case.dataset.get("train")
    runs = [run for arm in arms if arm for run in arm.runs if run.get("train_seconds") and run.get("epochs")]
    seen = sum(run["epochs"] for run in runs) * (examples or 0)
    return sum(run["train_seconds"] for run in runs) / seen if seen else None


def _budgets(case: Case) -> list[str]:
    """The primary contrast in FLOPs and in seconds, with the dense run for an arm that inherits from it."""
    if case.verdict is None:
        return []
    sides = [whole_cost(case, case.verdict[side]) for side in ("a", "b")]
    names = [case.verdict[side] + _with_what(case, case.verdict[side]) for side in ("a", "b")]
    if any(side is None or not side[1] or not side[0] for side in sides):
        return []
    (flops_a, seconds_a), (flops_b, seconds_b) = [side for side in sides if side]
    return [
        f"For one network, {names[0]} spent {quantity(flops_a)} training FLOPs in {seconds(seconds_a)}, {names[1]} "
        f"{quantity(flops_b)} in {seconds(seconds_b)}: {times(flops_b / flops_a)} times the FLOPs, "
        f"{times(seconds_b / seconds_a)} times the seconds (means over seeds)."
    ]


def _with_what(case: Case, name: str) -> str:
    if not inherits(name):
        return ""
    if _dense_is_replaced(case):
        return " with the training that was pruned"
    trained = any(row["entry"] == "pruning" for row in case.ledger)
    return " with its dense run and the trainings of pruning" if trained else " with its dense run"


def _dense_is_replaced(case: Case) -> bool:
    """Whether the method's own training stands in the place of dense training, so that the dense network is a baseline only."""
    return bool(case.architecture.get("replaces_dense"))


def whole_cost(case: Case, name: str) -> tuple[float, float] | None:
    """Mean training FLOPs and seconds that one network of an arm owes: if it inherits, also all that came before its pruning."""
    arm, dense = case.find(name), case.dense
    if arm is None:
        return None
    flops, spent = arm.mean("training_flops"), arm.mean("train_seconds")
    if flops is None:
        return None
    if not inherits(name) or dense is None:
        return flops, spent or 0.0
    before = [row for row in case.ledger if row["entry"] in BEFORE]
    flops += sum(row["flops"] for row in before) / arm.n
    spent = (spent or 0.0) + sum(row.get("total_seconds") or 0.0 for row in before) / arm.n
    if _dense_is_replaced(case):
        return flops, spent
    return flops + (dense.mean("training_flops") or 0.0), spent + (dense.mean("train_seconds") or 0.0)


def gain_of_longer_training(case: Case) -> float | None:
    """Points by which the control dense-longer is above the dense network; None without the control."""
    longer, dense = case.find("dense-longer"), case.dense
    if longer is None or dense is None or longer.accuracy is None or dense.accuracy is None:
        return None
    return longer.accuracy - dense.accuracy


def not_converged(case: Case) -> bool:
    """Whether training the dense network longer gained more than the margin."""
    gain = gain_of_longer_training(case)
    return gain is not None and case.verdict is not None and gain > case.verdict["margin"]


def controls(case: Case) -> list[str]:
    """What each control says, in a sentence with its numbers."""
    said = []
    gain, longer, dense = gain_of_longer_training(case), case.find("dense-longer"), case.dense
    if gain is not None and longer and dense:
        tail = (
            "more than the margin, so the dense network had not converged."
            if not_converged(case)
            else "not more than the margin."
        )
        said.append(
            f"dense-longer: trained for {plural(longer.only('epochs'), 'epoch')} instead of {dense.only('epochs')}, the dense network "
            f"reaches {percent(longer.accuracy)} instead of {percent(dense.accuracy)} ({points(gain)} points), {tail}"
        )
    chance, chosen = case.find("random-pruned"), case.find("retrain")
    if chance and chosen and chance.accuracy is not None and chosen.accuracy is not None:
        worth = points(chosen.accuracy - chance.accuracy)
        said.append(
            f"random-pruned: with {_parts(case)} chosen by chance {_training(chance, chosen)} reaches {percent(chance.accuracy)}, "
            f"with those that {case.method} chose {percent(chosen.accuracy)} ({worth} points for the choice)."
        )
    return said + _controls_of_tickets(case)


def _parts(case: Case) -> str:
    return "weights" if case.masked else "channels"


def _training(control: ArmSummary, partner: ArmSummary) -> str:
    """What a control shares with what it is compared with: the training, or all of it but a rate that each tuned for itself."""
    own, its = control.only("lr"), partner.only("lr")
    return (
        "the same training" if own == its else f"the training at its own best rate ({rate(own)} instead of {rate(its)})"
    )


def _controls_of_tickets(case: Case) -> list[str]:
    """What is left of a lottery ticket's accuracy when one thing about it is left to chance."""
    ticket, said = case.find("ticket"), []
    changed = {
        "ticket-shuffled": f"with as many {_parts(case)} in each layer, chosen by chance,",
        "ticket-random": "with as many weights in all, chosen by chance,",
        "scratch-e": f"with fresh values for the same {_parts(case)}",
    }
    for name, words in changed.items():
        other = case.find(name)
        if ticket and other and ticket.accuracy is not None and other.accuracy is not None:
            said.append(
                f"{name} against ticket: {words} {_training(other, ticket)} reaches {percent(other.accuracy)} instead of "
                f"{percent(ticket.accuracy)} ({points(ticket.accuracy - other.accuracy)} points for the ticket)."
            )
    return said


def limits(results: Results, found: Sequence[Family]) -> list[str]:
    """What this study does not show. The first ones hold for every study, the others follow from this one's rows."""
    every = [case for family in found for case in family.cases]
    scope = sorted({f"{family.network} on {family.data} pruned by {family.method}" for family in found})
    said = [
        f"It holds for {listing(scope)} only. Which arm wins, and which pruning method, does not carry over from one network, "
        "data set or fraction to another.",
        "Seeds vary initialisation, order and augmentation; all of them share one split of the data, so the intervals speak of new "
        "trainings, not of new images.",
        "Budgets are counted in FLOPs of convolutions and linear layers. Seconds, memory and energy differ, and how fast the "
        "pruned network is in use was not measured here.",
        "Only the declared contrast has a verdict. The intervals of all other pairs are not corrected for their number: read them "
        "as hints for the next study.",
    ]
    return said + _limits_of_verdicts(every) + _limits_of_design(results, every)


def same_bits(results: Results) -> str:
    """What a repetition needs for the same bits, with the arithmetic that the networks were trained in where that is known."""
    found = {_arithmetic(row["compute"]) for row in rows(results, "networks") if row.get("compute")}
    said = "Same seed, same machine, same versions, same arithmetic: the same bits."
    if not found:
        return said
    asked = _settings(results).get("compute") or {}
    left_open = "auto" in (
        asked.get("device"),
        asked.get("precision"),
        asked.get("channels_last"),
        asked.get("compile"),
    )
    chosen = "chosen by timing a few steps, so another folder may choose another; write it into [compute] to be sure"
    return f"{said} The arithmetic here: {listing(sorted(found))}" + (f" ({chosen})." if left_open else ".")


def _arithmetic(compute: Row) -> str:
    layout = ", channels_last = true" if compute["channels_last"] else ", channels_last = false"
    compiled = ", compile = true" if compute["compile"] else ""
    return f"{compute['device']}, {plural(compute['threads'], 'thread')}, {compute['precision']}{layout}{compiled}"


def _limits_of_verdicts(every: Sequence[Case]) -> list[str]:
    verdicts = [case.verdict for case in every if case.verdict]
    said = []
    if any(verdict.get("word") == "undecided" for verdict in verdicts):
        said.append(
            "Undecided is not the same as equivalent: these seeds could show neither a difference nor its absence."
        )
    if any(verdict.get("word") == "equivalent" for verdict in verdicts):
        said.append("Equivalent means within the declared margin. A difference smaller than the margin may well exist.")
    if any(verdict.get("tuned") is False for verdict in verdicts):
        said.append("Learning rates were not tuned: an arm may have lost by its learning rate alone.")
    if any(verdict.get("extended") for verdict in verdicts):
        looks = max((verdict.get("looks") or 2) - 1 for verdict in verdicts if verdict.get("extended"))
        said.append(
            f"The study was extended after {plural(looks, 'look')} at its verdict. Its intervals are always-valid ones, which are "
            "wider, or it has none."
        )
    return said


def _limits_of_design(results: Results, every: Sequence[Case]) -> list[str]:
    said = []
    title = str((results.get("study") or {}).get("title") or "")
    if title.endswith(" profile]"):
        name = title.rpartition("[")[2].removesuffix(" profile]")
        said.append(
            f"This is the {name} profile of the study: it shows that everything runs, and what a report looks like. What the whole "
            "study finds may differ."
        )
    table = _settings(results).get("published")
    if table and not comparison_rows(results):
        said.append(
            f"The published numbers of {table} are of other networks, methods or amounts, so none stand beside these."
        )
    if any(not_converged(case) for case in every):
        said.append("The dense network was not converged: trained longer it gained more than the margin.")
    elif every and all(gain_of_longer_training(case) is None for case in every):
        said.append(
            "Without the control dense-longer it cannot be told whether the dense network was trained to its end."
        )
    dense = _settings(results).get("dense") or {}
    if isinstance(dense, dict) and dense.get("checkpoint"):
        said.append(
            "All seeds share one given dense network: the verdict is about this network, not about networks like it."
        )
    edges = sorted({row["arm"] for row in rows(results, "tuning") if row.get("chosen") and row.get("at_edge")})
    if edges:
        said.append(
            f"The best learning rate of {listing(edges)} lay at the edge of the grid; a better one may lie outside."
        )
    return said


def _settings(results: Results) -> dict[str, Any]:
    return (results.get("study") or {}).get("settings") or {}
