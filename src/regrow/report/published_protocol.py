"""In what a study's protocol differs from the one behind published numbers, named one by one.

Every difference is a dict of three texts: `what` differs, how it was in `theirs`, how it is in `ours`. What is not known of either
side is not named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from regrow.published.tables import Protocol
from regrow.report.cases import Case
from regrow.report.words import rate

Settings = Mapping[str, Any]

_WIDTH: Final = re.compile(r"x(\d[\d.]*(?:e-?\d+)?)")

_SAME_WORDS: Final = {
    "optimizer": "optimiser",
    "schedule": "schedule",
    "batch": "batch",
    "momentum": "momentum",
    "weight_decay": "weight decay",
}
"""Keys of [train] that a protocol has too, and what to call them."""

_ABSENT: Final = {"label_smoothing": "label smoothing", "warmup": "warm-up", "nesterov": "Nesterov momentum"}
"""Keys of [train] that no published protocol uses on these networks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ours:
    """What of a study is laid beside a protocol."""

    case: Case
    settings: Settings
    """The study's settings, with the values of the case's variant in place."""

    arms: Mapping[str, str]
    """Our arm for each published one that was run."""

    scratch: str | None
    """The budget convention of our stand-in for Scratch-B."""

    lengths: Mapping[str, int]
    """Published epochs by published arm, where they are known."""

    @property
    def train(self) -> Settings:
        """The dense network's recipe."""
        return part(self.settings, "train")

    @property
    def width(self) -> float:
        """The dense network's width multiplier."""
        return width_of(self.case.network)


def part(settings: Settings, name: str) -> Settings:
    """One table of the settings; empty where there is none."""
    found = settings.get(name)
    return found if isinstance(found, Mapping) else {}


def base_name(network: str) -> str:
    """A network's name in results, without its width and options.

    >>> base_name("vgg16 x0.125"), base_name("torchvision:resnet34 weights=DEFAULT")
    ('vgg16', 'torchvision:resnet34')
    """
    return network.split(" ")[0]


def width_of(network: str) -> float:
    """The width multiplier in a network's name in results.

    >>> width_of("vgg16 x0.125"), width_of("vgg16")
    (0.125, 1.0)
    """
    second = network.split(" ")[1:2]
    found = _WIDTH.fullmatch(second[0]) if second else None
    return float(found[1]) if found else 1.0


def options_of(network: str) -> str:
    """What a network's name in results says beyond name and width.

    >>> options_of("resnet56 x0.5 norm_scale=0.5")
    'norm_scale=0.5'
    """
    return " ".join(word for word in network.split(" ")[1:] if not _WIDTH.fullmatch(word))


def is_data_set(label: str, published: str) -> bool:
    """Whether our data set is the published one, or the same images encoded as JPEG.

    >>> is_data_set("cifar10-jpeg", "cifar10"), is_data_set("cifar100", "cifar10"), is_data_set("imagenet-100", "imagenet")
    (True, False, False)
    """
    return label in (published, f"{published}-jpeg")


def differences(protocol: Protocol, data: str, ours: Ours) -> list[dict[str, str]]:
    """Every known difference, what matters most first. `data` is the published data set."""
    parts = (
        _data(data, protocol, ours),
        _network(ours),
        _lengths(ours),
        _choices(protocol, ours),
        _recipe(protocol, ours),
    )
    return [{"what": what, "theirs": theirs, "ours": own} for found in parts for what, theirs, own in found]


def _data(data: str, protocol: Protocol, ours: Ours) -> Iterator[tuple[str, str, str]]:
    label, row = ours.case.data, ours.case.dataset
    if label != data:
        yield "data set", data, f"{label} (JPEG pixels)" if label == f"{data}-jpeg" else label
    trained, held = row.get("train"), row.get("validation")
    if trained is not None and trained != protocol.train_images:
        theirs = f"{protocol.train_images:,}, none held out"
        yield "training images", theirs, f"{trained:,}" + (f", {held:,} held out for choices" if held else "")
    augment = row.get("augment")
    if augment is not None and augment != protocol.augment:
        yield "augmentation", protocol.augment, str(augment)


def _network(ours: Ours) -> Iterator[tuple[str, str, str]]:
    if ours.width != 1:
        yield "width of the network", "full", f"{ours.width:g} of the channels"
    if options := options_of(ours.case.network):
        yield "network", "as released", options
    if part(ours.settings, "dense").get("checkpoint"):
        yield "dense network", "trained anew in every run", "one that was given, the same for all seeds"


def _lengths(ours: Ours) -> Iterator[tuple[str, str, str]]:
    for arm, epochs in ours.lengths.items():
        found = ours.case.find(ours.arms.get(arm, ""))
        own = found.only("epochs") if found else None
        if own is not None and own != epochs:
            yield f"epochs, {arm}", str(epochs), f"{own:g}"


def _choices(protocol: Protocol, ours: Ours) -> Iterator[tuple[str, str, str]]:
    seeds = max((arm.n for arm in ours.case.arms), default=0)
    if seeds and seeds != protocol.runs:
        yield "runs of each arm", str(protocol.runs), str(seeds)
    yield "epoch reported", protocol.reported, "the last"
    yield from _rates(protocol, ours)
    if "scratch-b" in ours.arms and ours.scratch != protocol.convention:
        yield "budget of scratch-b", protocol.convention or "not known", ours.scratch or "not known"
    floors = {entry.get("floor") for entry in _prunings(ours)} - {None, protocol.floor}
    if protocol.floor is not None and floors:
        yield "share of every layer that always stays", f"{protocol.floor:g}", " or ".join(f"{one:g}" for one in floors)


def _prunings(ours: Ours) -> list[Settings]:
    """The study's tables on the case's method."""
    found = ours.settings.get("prune")
    entries = [entry for entry in found if isinstance(entry, Mapping)] if isinstance(found, list) else []
    return [one for one in entries if ours.case.method in _listed(one.get("method"))]


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _rates(protocol: Protocol, ours: Ours) -> Iterator[tuple[str, str, str]]:
    fine, tuned = ours.case.find("fine-tune"), part(ours.settings, "retrain").get("tune_lr")
    published = f"{rate(protocol.lr)}" + (f", fine-tune {rate(protocol.fine_tune_lr)}" if protocol.fine_tune_lr else "")
    if tuned:
        yield "learning rates of the arms", f"not tuned ({published})", "each tuned on validation images"
    elif fine and protocol.fine_tune_lr and fine.only("lr") not in (None, protocol.fine_tune_lr):
        yield "learning rate of fine-tune", rate(protocol.fine_tune_lr), rate(fine.only("lr"))


def _recipe(protocol: Protocol, ours: Ours) -> Iterator[tuple[str, str, str]]:
    lr = ours.train.get("lr")
    if lr is not None and lr != protocol.lr:
        yield "learning rate", rate(protocol.lr), rate(lr)
    for key, what in _SAME_WORDS.items():
        own, theirs = ours.train.get(key), getattr(protocol, key)
        if own is not None and own != theirs:
            yield what, f"{theirs}", f"{own}"
    for key, what in _ABSENT.items():
        if ours.train.get(key):
            yield what, "none", "yes" if ours.train[key] is True else f"{ours.train[key]}"
    precision = part(ours.settings, "compute").get("precision")
    if precision is not None and precision != protocol.precision:
        yield (
            "precision",
            protocol.precision,
            "fp32 or bf16, whichever was faster" if precision == "auto" else str(precision),
        )
