"""Networks of libraries: torchvision, timm, transformers. Each is imported when one of its networks is asked for, never before.

No weights are downloaded: a study trains its own. timm is told the size of the data's images where the network's own code takes one
(`img_size`), transformers where its configuration has one (`image_size`).
"""

from __future__ import annotations

import copy
import difflib
import importlib
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from regrow.errors import ConfigError, MissingExtraError
from regrow.networks.sources import SOURCES, Access
from regrow.networks.spec import NetworkSpec

if TYPE_CHECKING:
    from regrow.networks.foreign import Factory

_AUXILIARY = ("googlenet", "inception_v3")
"""Networks of torchvision whose training returns several outputs unless they are told not to."""

_SIZED = ("vit_b_16", "vit_b_32", "vit_l_16", "vit_l_32", "vit_h_14")
"""Networks of torchvision that are made for one size of (square) images, and are told which."""


def torchvision_network(name: str, spec: NetworkSpec, access: Access) -> Factory:
    """A classifier of torchvision, without weights. Raises `ConfigError` for an unknown name or option."""
    del access  # installed with regrow
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise _unknown("torchvision", name, known)
    plain: dict[str, Any] = {"aux_logits": False, "init_weights": True} if name in _AUXILIARY else {}
    plain |= {"image_size": spec.shape[1]} if name in _SIZED else {}
    builder = models.get_model_builder(name)
    return _taught(spec, partial(builder, weights=None, num_classes=spec.classes, **(plain | spec.arguments)))


def timm_network(name: str, spec: NetworkSpec, access: Access) -> Factory:
    """A model of timm, without weights. Raises `ConfigError` for an unknown name or option, `MissingExtraError` without timm."""
    del access  # a library
    timm = library("timm")
    if not timm.is_model(name.partition(".")[0]):
        raise _unknown("timm", name, timm.list_models())
    options = {"num_classes": spec.classes, "in_chans": spec.shape[0], **spec.arguments}
    build = partial(timm.create_model, name, pretrained=False)
    size = timm_size(name)
    if size is not None and size[1:] != spec.shape[1:] and "img_size" not in options:
        sized = options | {"img_size": spec.shape[1:]}
        options = sized if _takes_size(partial(build, **sized)) else options
    return _taught(spec, partial(build, **options))


def timm_size(name: str) -> tuple[int, ...] | None:
    """Channels, height, width of the images that a model of timm is fixed to; None where it takes any size."""
    found = library("timm").get_pretrained_cfg(name)
    return tuple(found.input_size) if found is not None and found.fixed_input_size else None


def _takes_size(build: Factory) -> bool:
    """Whether a model's own code takes `img_size`; asked by building it without memory."""
    try:
        with torch.device("meta"):
            build()
    except TypeError as error:
        return "img_size" not in str(error)
    except Exception:
        return True  # it was taken; what went wrong after that is told when the network is built in earnest
    return True


def transformers_network(name: str, spec: NetworkSpec, access: Access) -> Factory:
    """An image classifier of transformers by model type (`vit`) or configuration class (`ViTConfig`), freshly initialised.

    Raises `ConfigError` for an unknown name or option, `MissingExtraError` without transformers.
    """
    del access  # a library
    transformers = library("transformers")
    config = _config(transformers, name, spec)

    def build() -> nn.Module:
        return Classifier(transformers.AutoModelForImageClassification.from_config(copy.deepcopy(config)))

    return build


class Classifier(nn.Module):
    """An image classifier of transformers as a network from images to logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Images [N, channels, height, width] to logits [N, classes]."""
        logits: Tensor = self.model(pixel_values=images).logits
        return logits


def _config(transformers: Any, name: str, spec: NetworkSpec) -> Any:
    """The configuration for the data's classes and images, with the study's options."""
    names = importlib.import_module("transformers.models.auto.modeling_auto")
    types = dict(names.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES)
    classes = {transformers.CONFIG_MAPPING[kind].__name__: kind for kind in types}
    kind = classes.get(name, name)
    if kind not in types:
        raise _unknown("transformers", name, [*types, *classes])
    chosen = transformers.CONFIG_MAPPING[kind]
    default = chosen()
    for key in spec.arguments:
        if not hasattr(default, key):
            raise _no_option(spec, key, vars(default))
    _, height, width = spec.shape
    given: dict[str, Any] = {"num_labels": spec.classes}
    if hasattr(default, "num_channels"):
        given["num_channels"] = spec.shape[0]
    if hasattr(default, "image_size"):
        given["image_size"] = height if height == width else [height, width]
    return chosen(**(given | spec.arguments))


def library(name: str) -> Any:
    """An optional library, imported now; `MissingExtraError` where it is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise MissingExtraError(f"a network of {name}", SOURCES[name].extra) from None


def _taught(spec: NetworkSpec, build: Factory) -> Factory:
    """The factory, an argument that its code does not take told as a mistake in network.options."""

    def factory() -> nn.Module:
        try:
            return build()
        except TypeError as error:
            if spec.arguments and "argument" in str(error):
                raise ConfigError(
                    f"{spec.name} does not take these network.options: {error}. Found {', '.join(spec.arguments)}."
                ) from error
            raise

    return factory


def _no_option(spec: NetworkSpec, key: str, known: Iterable[str]) -> ConfigError:
    close = difflib.get_close_matches(key, [name for name in known if not name.startswith("_")], n=3, cutoff=0.5)
    meant = f" Did you mean {' or '.join(close)}?" if close else ""
    return ConfigError(f"{spec.name} has no option {key!r} in its configuration; see network.options.{meant}")


def _unknown(source: str, name: str, known: Iterable[str]) -> ConfigError:
    """A library has a thousand names: only those nearest to the wrong one are told."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5) or [one for one in names if name[:4] in one][:3]
    meant = f" Did you mean {' or '.join(close)}?" if close else ""
    return ConfigError(f"no network of {source} for classifying images is called {name!r}.{meant}")
