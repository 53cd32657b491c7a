"""Expansion: which stages a study consists of, as far as the results so far can tell. Imports no torch.

Some stages follow from others' results: scratch-b's epochs from the counted MACs, an arm's learning rate from its tuning runs,
and a method that finds its own widths decides what is trained at all. So the study is expanded again whenever results arrive, as
a pure function of the study and of what the store holds, until nothing is missing. Adding a seed, an arm or a fraction adds
stages and changes none.
"""

from __future__ import annotations

from regrow.config.study import Study
from regrow.errors import ProtocolError
from regrow.study.comparison import comparisons, foreign_networks
from regrow.study.expansion import Expander, Expansion, Lookup
from regrow.study.stages import trace_stage, traces
from regrow.study.walk import walk


def expand(study: Study, lookup: Lookup, *, assume: bool = False) -> Expansion:
    """All stages of a study that the results so far let us name. Nothing is done before every network was traced.

    `lookup` gives the result of a finished stage by key, or None. With `assume`, what waits for a result is supposed, so that a plan
    shows every stage. Raises `ProtocolError` where arms cannot be compared.
    """
    owner = Expander(study, lookup, assume=assume)
    traced = [owner.need(trace_stage(dense, access)) for dense, access in foreign_networks(study)]
    if None not in traced:
        recipes = study.varied()
        owners = {name: Expander(one, lookup, assume=assume, found=owner.found) for name, one in recipes.items()}
        for comparison in comparisons(study, traces(lookup)):
            owner.found.comparisons.append(comparison)
            walk(owners[comparison.variant], comparison)
    if study.retrain.tune_lr and study.dense.trained_on in ("train+validation", "all"):
        raise ProtocolError(
            "the dense checkpoint has seen the validation examples, so no learning rate may be chosen on them."
        )
    return owner.found
