"""Networks from elsewhere, built as their authors build them.

A factory is a function without arguments that builds the dense network anew, with fresh weights from torch's global generator. What
its code is told (classes, image shape, options) is bound in it, so it can be run again and again, which is how a small copy of the
network is given fresh weights (`regrow.channels.replay`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn

from regrow.errors import ConfigError
from regrow.networks.modes import evaluating
from regrow.networks.sources import SOURCES, Access, split
from regrow.networks.spec import NetworkSpec
from regrow.table import load

Factory: TypeAlias = Callable[[], nn.Module]
Loader: TypeAlias = Callable[[str, NetworkSpec, Access], Factory]

EXAMPLES: int = 2
"""Made-up images that a network is tried on."""


def factory_of(spec: NetworkSpec, access: Access) -> Factory:
    """The factory of the dense network that a specification of a network from elsewhere names.

    Raises `ConfigError` for a name that its source lacks, for options that its code does not take, and where its code may not run
    because `access` does not trust it; `MissingExtraError` where its library is not installed.
    """
    source, name = split(spec.name)
    if source.needs_trust and not access.trust:
        raise ConfigError(
            f"{spec.name} runs code that regrow does not know. Look at it, then add --trust (from Python: trust=True)."
        )
    loader: Loader = load(source.target)
    return loader(name, spec, access)


def made_up_images(spec: NetworkSpec, examples: int = EXAMPLES) -> Tensor:
    """Float images [examples, channels, height, width] in the range of normalised pixels; the same ones every time."""
    count = examples * spec.shape[0] * spec.shape[1] * spec.shape[2]
    # A wave that grows shorter, so that no two images are shifted copies of each other.
    return torch.linspace(0, 31, count).square().sin().mul(2).view(examples, *spec.shape)


def check_network(network: nn.Module, spec: NetworkSpec) -> None:
    """Try a network on two images: it must give one row of logits each. Raises `ConfigError`; modes are left as they were."""
    shape = "x".join(str(size) for size in spec.shape)
    try:
        with evaluating(network), torch.no_grad():
            logits = network(made_up_images(spec))
    except Exception as error:
        raise ConfigError(
            f"{spec.name} cannot take {shape} images: {type(error).__name__}: {_first_line(error)}. Give its code the size of the "
            f"data under network.options, or take data of the size that it is made for.{_made_for(spec)}"
        ) from error
    if not isinstance(logits, Tensor) or tuple(logits.shape) != (EXAMPLES, spec.classes):
        found = f"a tensor {list(logits.shape)}" if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
        raise ConfigError(
            f"{spec.name} must turn {EXAMPLES} images {shape} into logits [{EXAMPLES}, {spec.classes}], one a class; it gave {found}. "
            "A function of your own is handed classes and shape as keywords, if it takes them; what it builds must use them."
        )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or "no message").splitlines()[0].rstrip(".")


def _made_for(spec: NetworkSpec) -> str:
    """The sentence that says which size a network of timm was made for."""
    source, name = split(spec.name)
    if source is not SOURCES["timm"]:
        return ""
    from regrow.networks.libraries import timm_size

    size = timm_size(name)
    return f" It is made for {'x'.join(map(str, size))}." if size else ""
