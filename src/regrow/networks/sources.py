"""Sources: where a network that is not of the zoo comes from, told by how its name is written. Imports no torch.

    torchvision:resnet50               a classifier of torchvision
    timm:vit_small_patch16_224         a model of timm
    transformers:vit                   an image classifier of transformers, by model type or by configuration class
    mypackage.nets:build               a function of the person's own, which returns a network
    network.pt2                        a program that torch.export saved

What can be known of such a network without building it is found here: whether its library is there, which version of the code
it is, whether building it runs code that the study's reader must trust.
"""

from __future__ import annotations

import difflib
import functools
import importlib.util
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from regrow.errors import ConfigError, Fault, MissingExtraError
from regrow.files import canonical_json, file_digest
from regrow.networks.settings import NetworkSettings
from regrow.networks.spec import NetworkSpec
from regrow.networks.zoo import dense_spec
from regrow.table import Table

PROGRAM: Final = "network.pt2"
FACTORY: Final = "package.module:function"

_OWN: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_PREFIX: Final = "torch.export:"
"""What a program's name begins with in a specification, which says nothing about folders."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One kind of place that networks come from."""

    summary: str
    """One line of help."""

    target: str
    """`module:attribute` of the loader: name within the source, specification and access to a factory without arguments."""

    library: str = ""
    """Distribution (and module) that holds the networks; its version is part of every result's identity."""

    extra: str = ""
    """The extra of regrow that brings the library; empty where it comes with regrow."""

    given: tuple[str, ...] = ()
    """Options that follow from the data or would be ignored, so a study cannot give them."""

    needs_trust: bool = False
    """Whether building the network runs code that came with the study."""


_LOADERS: Final = "regrow.networks.libraries"
_WEIGHTS: Final = ("pretrained", "weights", "checkpoint_path")

SOURCES: Final[Table[Source]] = Table(
    "source of networks",
    {
        "torchvision": Source(
            summary="torchvision:NAME, a classifier of torchvision, e.g. torchvision:resnet50",
            target=f"{_LOADERS}:torchvision_network",
            library="torchvision",
            given=("num_classes", "progress", *_WEIGHTS),
        ),
        "timm": Source(
            summary="timm:NAME, a model of timm, e.g. timm:vit_small_patch16_224; img_size follows the data",
            target=f"{_LOADERS}:timm_network",
            library="timm",
            extra="timm",
            given=("num_classes", "in_chans", *_WEIGHTS),
        ),
        "transformers": Source(
            summary="transformers:TYPE, an image classifier of transformers by model type or config class, e.g. transformers:vit",
            target=f"{_LOADERS}:transformers_network",
            library="transformers",
            extra="transformers",
            given=("num_labels", "num_channels", *_WEIGHTS),
        ),
        FACTORY: Source(
            summary="your own function that returns a network; found beside the study, in the current folder or installed",
            target="regrow.networks.factories:own_network",
            given=("classes", "shape"),
            needs_trust=True,
        ),
        PROGRAM: Source(
            summary="a program that torch.export saved; its weights are drawn anew for every seed",
            target="regrow.networks.programs:program_network",
            needs_trust=True,
        ),
    },
)
"""By prefix of the name; the last two are told by their form."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """Where on this machine a network's code lies, and whether its reader lets it run. Part of no identity, of no result."""

    trust: bool = False
    place: str = ""
    """The folder to import a person's module from, or the path of a program."""

    def to_local(self) -> dict[str, str]:
        """As it travels with a stage; empty where there is nothing to say."""
        return ({"trust": "yes"} if self.trust else {}) | ({"place": self.place} if self.place else {})

    @classmethod
    def from_local(cls, local: Mapping[str, str]) -> Access:
        """The inverse of `to_local`; other entries are ignored."""
        return cls(trust=local.get("trust") == "yes", place=local.get("place", ""))


NOWHERE: Final = Access()
"""Enough for the zoo and for libraries."""


def is_foreign(name: str) -> bool:
    """Whether a name, in a study or in a specification, is written as that of a network from elsewhere.

    >>> is_foreign("vgg16"), is_foreign("timm:resnet18"), is_foreign("nets/network.pt2")
    (False, True, True)
    """
    return ":" in name or is_program(name)


def is_program(name: str) -> bool:
    """Whether a study's name of a network is the path of a saved program."""
    return name.endswith(".pt2")


def split(name: str) -> tuple[Source, str]:
    """The source of a network and its name there. The name must have passed `name_fault`.

    >>> split("timm:resnet18")[1], split("mypackage.nets:build")[1]
    ('resnet18', 'mypackage.nets:build')
    """
    prefix, _, rest = name.partition(":")
    if is_program(name):
        return SOURCES[PROGRAM], name.removeprefix(_PREFIX)
    return (SOURCES[prefix], rest) if prefix in SOURCES else (SOURCES[FACTORY], name)


def name_fault(name: str) -> Fault | None:
    """What is wrong with how the name of a network from elsewhere is written, or None."""
    prefix, _, rest = name.partition(":")
    if is_program(name):
        return None
    if prefix in SOURCES:
        return None if re.fullmatch(r"[\w.\-]+", rest) else _no_name(prefix, rest)
    if not _OWN.fullmatch(name):
        rule = f"must be a name of `regrow list networks`, or SOURCE:NAME; found {name!r}"
        hint = "For instance torchvision:resnet50, timm:vit_small_patch16_224, mypackage.nets:build or network.pt2."
        return _fault("name", rule, hint)
    return None


def _no_name(prefix: str, rest: str) -> Fault:
    rule = f"must be {prefix}: and a name of that library; found {rest!r} after it"
    return _fault("name", rule, f"{SOURCES[prefix].summary.partition(', ')[2]}.")


def dense_network(
    settings: NetworkSettings, *, classes: int, shape: tuple[int, int, int], folder: Path
) -> tuple[NetworkSpec, Access]:
    """The dense network that a study names, of the zoo or from elsewhere, and where its code is; see `foreign_spec`."""
    if is_foreign(settings.name):
        return foreign_spec(settings, classes=classes, shape=shape, folder=folder)
    if settings.options:
        rule = f"are for networks from elsewhere; found some for {settings.name}"
        raise ConfigError(faults=[_fault("options", rule, "The zoo's networks have a width; leave the options out.")])
    return dense_spec(settings, classes=classes, shape=shape), NOWHERE


def foreign_spec(
    settings: NetworkSettings, *, classes: int, shape: tuple[int, int, int], folder: Path
) -> tuple[NetworkSpec, Access]:
    """The dense network that a study names, its widths still unknown (empty), and where it is to be found.

    `folder` is the study's. Nothing is imported. Raises `ConfigError` with every fault, `MissingExtraError` where the library is
    not installed.
    """
    wrong = name_fault(settings.name)
    if wrong is not None:
        raise ConfigError(faults=[wrong])
    source, name = split(settings.name)
    if source.extra and importlib.util.find_spec(source.library) is None:
        raise MissingExtraError(f"the network {settings.name}", source.extra)
    found = list(_setting_faults(settings, source, shape))
    located = _located(settings, source, name, folder)
    if isinstance(located, Fault):
        found.append(located)
    if found or isinstance(located, Fault):
        raise ConfigError(faults=found)
    origin, place = located
    spec = NetworkSpec(
        name=f"{_PREFIX}{Path(name).name}" if source is SOURCES[PROGRAM] else settings.name,
        width=1.0,
        widths=(),
        classes=classes,
        shape=shape,
        options=canonical_json(settings.options),
        origin=origin,
    )
    return spec, Access(place=place)


def _setting_faults(settings: NetworkSettings, source: Source, shape: tuple[int, int, int]) -> Iterator[Fault]:
    if settings.width != 1:
        rule = f"multiplies the channels of networks of the zoo only; found {settings.width:g} for {settings.name}"
        yield _fault("width", rule, "Leave it out, and give what its own code takes under network.options.")
    for name in settings.options:
        if name in source.given:
            rule = f"{name} cannot be given: it follows from the data, or a study trains its own weights"
            yield _fault("options", rule, "Leave it out. A trained network goes to dense.checkpoint.")
    if source is SOURCES[PROGRAM] and settings.options:
        yield _fault("options", "a saved program has no options", "Leave them out; export the program that you want.")
    if source is SOURCES["torchvision"] and shape[0] != 3:
        rule = f"networks of torchvision take images with 3 channels; the data have {shape[0]}"
        yield _fault("name", rule, "Take a network of timm, or of the zoo: they take any number.")


def _located(settings: NetworkSettings, source: Source, name: str, folder: Path) -> tuple[str, str] | Fault:
    """What the code of the network is, as text, and where it lies."""
    if source.library:
        try:
            return f"{source.library} {version(source.library)}", ""
        except PackageNotFoundError:
            return f"{source.library} unknown", ""
    if source is SOURCES[PROGRAM]:
        path = (folder / name).expanduser()
        if not path.is_file():
            return _fault("name", f"there is no such file: {path}", "Write the path from the study file's folder.")
        status = path.stat()
        return f"sha256 {_digest(path, status.st_size, status.st_mtime_ns)}", str(path.resolve())
    module = name.partition(":")[0]
    found = find_module(module, folder)
    return _no_module(settings.name, module, folder) if found is None else (f"sha256 {file_digest(found[0])}", found[1])


@functools.lru_cache(maxsize=16)
def _digest(path: Path, size: int, changed: int) -> str:
    """SHA-256 of a file that may be large; a study is looked at again and again."""
    del size, changed  # they tell one content of the file from another
    return file_digest(path)


def _no_module(name: str, module: str, folder: Path) -> Fault:
    close = difflib.get_close_matches(module, [key for key in SOURCES if "." not in key], n=1, cutoff=0.6)
    hint = f"Did you mean {close[0]}:{name.partition(':')[2]}?" if close else ""
    rule = f"no module {module} with a source file was found beside the study ({folder}), in {Path.cwd()} or installed"
    return _fault("name", rule, hint or "Put the file beside the study; the name is module:function.")


def find_module(module: str, folder: Path) -> tuple[Path, str] | None:
    """The source file of a module and the folder that its package lies in; None where there is none. Imports nothing.

    Looked for in `folder`, then in the current folder, then where Python looks.
    """
    first, *rest = module.split(".")
    for root in [folder, Path.cwd(), *map(Path, sys.path), *_elsewhere(first)]:
        for file in (root.joinpath(first, *rest).with_suffix(".py"), root.joinpath(first, *rest, "__init__.py")):
            if file.is_file():
                return file.resolve(), str(root.resolve())
        if (root / f"{first}.py").is_file() or (root / first / "__init__.py").is_file():
            return None  # this is what Python would import, and it has no such part
    return None


def _elsewhere(package: str) -> Iterator[Path]:
    """Where other finders know a package to be, for instance those of packages that were installed to be edited."""
    try:
        spec = importlib.util.find_spec(package)
    except (ValueError, ImportError):
        return
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        yield Path(place).parent


def _fault(key: str, rule: str, hint: str) -> Fault:
    return Fault(where="study", key=f"network.{key}", rule=rule, hint=hint)
