"""The model card, `README.md` of a bundle: what was pruned, what is left, how to load it, and what is not known.

It starts with the YAML block that the Hugging Face Hub reads. Everything in it follows from the bundle; accuracy does not, so the
card says that it is not known unless the notes tell.
"""

from __future__ import annotations

from collections.abc import Sequence

from regrow.channels.architecture import Architecture
from regrow.channels.changes import to_widths
from regrow.shipping.record import Record
from regrow.shipping.tensors import is_of_zoo

_FRONT = """\
---
library_name: regrow
tags:
- regrow
- pruning
- structured-pruning
- pytorch
---
"""

_UNKNOWN = """\
## What is not known

- Its accuracy, unless the notes above state it: the bundle holds a network, not its evaluation.
- Whether pruning was worth it: the same small network trained from scratch may do as well. `regrow run` answers that.
- Whether it is faster on your machine: fewer parameters do not promise it. Measure it there.
- The licence and the training data of the dense network: they are its owner's.
"""


def card(record: Record, architecture: Architecture) -> str:
    """The text of the card."""
    parts = [_FRONT, _head(record), _sizes(record, architecture)]
    if record.notes:
        parts.append(f"## Notes\n\n{record.notes.strip()}\n")
    parts += [_loading(record, architecture), _widths(architecture), _UNKNOWN, _origin(record, architecture)]
    return "\n".join(parts)


def _head(record: Record) -> str:
    name = record.network.rpartition(":")[2]
    return (
        f"# {name}, pruned\n\nA physically smaller `{record.network}`: channels or whole blocks were removed, what is left are exact "
        "sub-blocks of the dense network's tensors, or were trained on from there. Made with regrow.\n"
    )


def _sizes(record: Record, architecture: Architecture) -> str:
    parameters = [row for row in record.stored if row.kind == "parameter"]
    what = "parameters outside the blocks that are gone" if architecture.missing else "parameters"
    rows = [(what, sum(row.dense_numel for row in parameters), sum(row.numel for row in parameters))]
    widths = to_widths(architecture)
    channels = sum(entry.channels for entry in architecture.kept), sum(widths.values())
    rows.append(("prunable channels", *channels))
    if architecture.dense is not None and is_of_zoo(architecture):
        from regrow.networks.cost import cost

        dense, small = cost(architecture.dense), cost(architecture.pruned_spec())
        rows = [("parameters", dense.params, small.params), *rows[1:], ("MACs of one example", dense.macs, small.macs)]
    lines = [f"| {what} | {dense:,} | {small:,} | {_removed(dense, small)} |" for what, dense, small in rows]
    types = ", ".join(sorted({row.dtype for row in parameters})) or "none"
    return "\n".join(
        [
            "## Size\n",
            "| | dense | pruned | fraction removed |",
            "| --- | ---: | ---: | ---: |",
            *lines,
            f"\nParameters are of type {types}; `model.safetensors` has {record.weights.bytes:,} bytes.\n",
        ]
    )


def _removed(dense: int, small: int) -> str:
    return f"{1 - small / dense:.1%}" if dense else "-"


def _loading(record: Record, architecture: Architecture) -> str:
    if architecture.dense is not None and is_of_zoo(architecture):
        call, remark = (
            'regrow.load("path/to/this/folder")',
            f"It is `{architecture.dense.name}` of regrow's own networks.",
        )
    else:
        call = 'regrow.load("path/to/this/folder", factory)'
        remark = f"`factory` is the function, without arguments, that builds the dense `{record.network}`."
    return (
        f"## Load it\n\n```python\nimport regrow\n\nnetwork = {call}\n```\n\n{remark} No pickle is read and no code in these files is "
        "run; a damaged file or another factory is refused.\n"
    )


def _widths(architecture: Architecture) -> str:
    widths = to_widths(architecture)
    lines = [
        f"| `{entry.group}` | {entry.channels} | {widths[entry.group]} | {_removed(entry.channels, widths[entry.group])} |"
        for entry in architecture.kept
    ]
    table = ["## Widths\n", "| group | dense | kept | fraction removed |", "| --- | ---: | ---: | ---: |", *lines]
    blocks = [f"\nBlocks that are gone whole, an identity in their place: {_listed(architecture.missing)}."]
    return "\n".join([*table, *(blocks if architecture.missing else [])]) + "\n"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _origin(record: Record, architecture: Architecture) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in sorted(record.versions.items()))
    return (
        f"## Where it comes from\n\n- Fingerprint of the dense network that was pruned (SHA-256): `{architecture.fingerprint}`\n"
        f"- `model.safetensors` (SHA-256): `{record.weights.sha256}`\n- Saved with {versions}; pruned with regrow "
        f"{architecture.regrow}.\n"
    )
