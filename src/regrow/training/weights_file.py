"""Weights that were saved elsewhere: a safetensors file, or a file of `torch.save`, of which only tensors are read.

A file of `torch.save` is a pickle, and a pickle may run code. It is read by PyTorch's restricted reader, which builds tensors and plain
containers and refuses everything else; regrow itself never writes one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from regrow.errors import ConfigError, Fault
from regrow.training.checkpoint import fill

_WRAPPERS: Final = ("state_dict", "model_state_dict", "model_state", "model")
"""Keys under which training programs keep a network's state, the usual ones first."""

_PREFIXES: Final = ("module.", "_orig_mod.")
"""What DistributedDataParallel and torch.compile put before every name."""


def load_weights_file(network: nn.Module, path: Path) -> None:
    """Fill a network with the weights of a file. Layout, device and dtype stay the network's.

    A state that lies under `state_dict` or `model` is found there, and names that all begin with `module.` or `_orig_mod.` lose it.
    Raises `ConfigError` for a file that cannot be read or holds more than tensors, and with a fault for every tensor that does not fit.
    """
    fill(network, _unprefixed(read_weights(path)), str(path))


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name, on the CPU."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.serialization.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise _wrong(
            path, "there is no such file", "Give the path of a safetensors file or of one that torch.save wrote."
        ) from None
    except (OSError, SafetensorError) as error:
        raise _wrong(
            path, f"cannot be read: {error}", "Save it again, best with safetensors.torch.save_file."
        ) from None
    except Exception as error:  # the restricted reader raises errors of several kinds
        rule = f"holds more than tensors, or is no file of torch.save ({type(error).__name__}); it is not opened, because it might run code"
        hint = "Save network.state_dict(), not the network: safetensors.torch.save_file(network.state_dict(), path)."
        raise _wrong(path, rule, hint) from None
    return _state(found, path)


def _state(found: object, path: Path) -> dict[str, Tensor]:
    """The state in what was read: the whole of it, or what lies under a usual name."""
    places = [found, *(found.get(key) for key in _WRAPPERS)] if isinstance(found, Mapping) else []
    for place in places:
        if isinstance(place, Mapping) and place and all(isinstance(value, Tensor) for value in place.values()):
            return {str(name): tensor for name, tensor in place.items()}
    keys = ", ".join(str(key) for key in list(found)[:5]) if isinstance(found, Mapping) else type(found).__name__
    hint = "Save network.state_dict(), with safetensors.torch.save_file or torch.save."
    raise _wrong(path, f"must hold the tensors of one network by name; found {keys or 'nothing'}", hint)


def _unprefixed(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def _wrong(path: Path, rule: str, hint: str) -> ConfigError:
    return ConfigError(faults=[Fault(where=str(path), key="", rule=rule, hint=hint)])
