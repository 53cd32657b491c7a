"""Masks on disk: one bit a weight, in a safetensors file. Never a pickle: reading a stranger's file runs no code.

Per mask the file holds its bits, packed in eights from the first weight on, in row-major order. The metadata hold one entry, a JSON of
the format, the names in order, the shapes and a checksum over all of it: several entries would stand in an order that differs from run
to run, and equal masks shall give equal bytes. ResNet-50's 23.5 million weights take 2.9 MB.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from regrow.errors import ConfigError, Fault
from regrow.files import canonical_json, write_atomic
from regrow.pruning.sparsity import Masks

FORMAT: Final = "regrow masks 1"
_ENTRY: Final = "regrow.masks"
_HINT: Final = "Write masks with regrow.pruning.mask_files.write_masks, and copy the file again if it was cut off."


def write_masks(path: Path, masks: Mapping[str, Tensor]) -> None:
    """Write masks to a file, whole or not at all."""
    bits = {name: _packed(mask) for name, mask in masks.items()}
    shapes = [[name, list(mask.shape)] for name, mask in masks.items()]
    record = {"format": FORMAT, "shapes": shapes, "sha256": _checksum(shapes, bits)}
    write_atomic(path, save(bits, {_ENTRY: canonical_json(record)}))


def read_masks(path: Path) -> Masks:
    """The masks of a file, in the order in which they were written.

    Raises `ConfigError` with a fault for everything that is wrong with a file that is missing, cut off, changed, or something else.
    """
    record, bits = _opened(path)
    if record.get("format") != FORMAT:
        found = record.get("format", "none")
        raise ConfigError(
            faults=[_fault(path, "", f'must hold masks, with format "{FORMAT}"; found format {found!r:.60}')]
        )
    shapes = _shapes(path, record.get("shapes"))
    if faults := _misfits(path, shapes, bits):
        raise ConfigError(faults=faults)
    if record.get("sha256") != _checksum(record["shapes"], {name: bits[name] for name in shapes}):
        raise ConfigError(faults=[_fault(path, "", "was changed after it was written: its checksum does not agree")])
    return {name: _unpacked(bits[name], shape) for name, shape in shapes.items()}


def _opened(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What a file says about itself, which may be nothing, and its tensors."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            bits = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        rule = f"must be a readable safetensors file: {error}"
        raise ConfigError(faults=[_fault(path, "", rule)]) from None
    try:
        record = json.loads(metadata.get(_ENTRY, "{}"))
    except (ValueError, RecursionError):
        record = None
    return record if isinstance(record, dict) else {}, bits


def _shapes(path: Path, entries: Any) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the metadata, checked: they were written by somebody."""
    try:
        shapes = {name: tuple(shape) for name, shape in entries}
        whole = len(shapes) == len(entries) and all(_is_shape(name, shape) for name, shape in shapes.items())
    except (ValueError, TypeError):
        whole = False
    if not whole:
        rule = f"its metadata must list each mask once, as [name, [sizes]]; found {entries!r:.80}"
        raise ConfigError(faults=[_fault(path, "shapes", rule)])
    return shapes


def _is_shape(name: Any, shape: tuple[Any, ...]) -> bool:
    return isinstance(name, str) and all(type(size) is int and size >= 0 for size in shape)


def _misfits(path: Path, shapes: Mapping[str, tuple[int, ...]], bits: Mapping[str, Tensor]) -> list[Fault]:
    faults = []
    for name in sorted(shapes.keys() | bits.keys()):
        if name not in bits:
            rule = "is listed, but the file has no such mask"
        elif name not in shapes:
            rule = "is in the file, but is not listed with a shape"
        elif bits[name].dtype != torch.uint8 or bits[name].shape != (_bytes(shapes[name]),):
            rule = (
                f"shape {list(shapes[name])} takes {_bytes(shapes[name])} bytes, one bit a weight; found "
                f"{list(bits[name].shape)} of {bits[name].dtype}"
            )
        else:
            continue
        faults.append(_fault(path, name, rule))
    return faults


def _fault(path: Path, key: str, rule: str) -> Fault:
    return Fault(where=str(path), key=key, rule=rule, hint=_HINT)


def _bytes(shape: tuple[int, ...]) -> int:
    return -(-math.prod(shape) // 8)


def _packed(mask: Tensor) -> Tensor:
    return torch.from_numpy(np.packbits(mask.cpu().flatten().numpy()))


def _unpacked(bits: Tensor, shape: tuple[int, ...]) -> Tensor:
    flat = np.unpackbits(bits.numpy(), count=math.prod(shape))
    return torch.from_numpy(flat.view(np.bool_)).view(shape)


def _checksum(shapes: list[list[Any]], bits: Mapping[str, Tensor]) -> str:
    total = hashlib.sha256(canonical_json(shapes).encode())
    for packed in bits.values():
        total.update(packed.numpy().data)
    return total.hexdigest()
