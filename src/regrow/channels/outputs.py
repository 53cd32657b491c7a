"""Which outputs of a network must keep their width.

All tensors that a call returns, but for networks that return by name (as those of transformers do): there, caches and intermediate
states may change, and where there are predictions the last hidden state and the outputs of the models inside, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from torch import Tensor

from regrow.channels.labels import tensors_in

_PREDICTION: Final = re.compile(r"(^|_)(logits|score|scores|pred|preds|prediction|boxes|masks|labels)(_|$)")
_INTERNAL: Final = frozenset(
    ["past_key_values", "hidden_states", "attentions", "encoder_last_hidden_state", "encoder_hidden_states", "encoder_attentions",
     "decoder_hidden_states", "decoder_attentions", "cross_attentions", "intermediate_hidden_states", "extract_features",
     "projected_states", "reshaped_hidden_states", "intermediate_reference_points", "init_reference_points", "cache_params"]
)  # fmt: skip

Named = tuple[str, Tensor]


def contract(result: Any, outputs: Callable[[Any], Any] | None = None) -> tuple[list[Named], list[str]]:
    """The output tensors that keep their width, by name, and the names of those that may not.

    `outputs` chooses: a function from what the network returned to what is kept of it.
    """
    if outputs is not None:
        return [("", tensor) for tensor in tensors_in(outputs(result))], []
    if not _is_record(result):
        return [("", tensor) for tensor in tensors_in(result)], []
    names = [name for name, value in result.items() if tensors_in(value)]
    kept = [name for name in names if name not in _INTERNAL]
    if any(_PREDICTION.search(name) for name in kept):
        kept = [name for name in kept if name != "last_hidden_state" and not name.endswith("_model_output")]
    chosen = [(name, tensor) for name in kept for tensor in tensors_in(result[name])]
    return chosen, [name for name in names if name not in kept]


def _is_record(result: Any) -> bool:
    """True for outputs with names that are also a class of their own, as transformers makes them."""
    return isinstance(result, dict) and type(result) is not dict and hasattr(result, "to_tuple")
