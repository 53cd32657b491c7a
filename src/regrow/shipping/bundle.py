"""Save and load a pruned network: a folder of plain files, read without pickle, loaded into the class that its factory builds.

    architecture.json     what was kept of the dense network: plain JSON
    model.safetensors     every tensor of the small network, once
    README.md             the model card
    bundle.json           the record: shapes before and after, classes, versions, SHA-256 of the first two

The folder is laid out as the Hugging Face Hub wants a model. It says nothing of how the network computes: that stands in the code of
its class, so loading needs the factory, the function that builds the dense network. Loading builds it, puts the saved tensors where
its own were, and corrects the Python numbers that depend on sizes; nothing in the files is ever run, and a bundle that is damaged, or
that another factory's network does not fit, is refused before anything is built from it.

The record is written last, so a folder whose writing was interrupted is not a bundle, or one that is refused.
"""

from __future__ import annotations

import copy
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from regrow.channels.architecture import Architecture, read_architecture, regrow_version, write_architecture
from regrow.channels.carve import carve_tensors
from regrow.errors import ConfigError, StoreError
from regrow.files import pretty_json, sync_folder, write_atomic
from regrow.networks.build import blueprint
from regrow.randomness import seeded
from regrow.shipping.card import card
from regrow.shipping.fits import check_dense, check_small, without_removed
from regrow.shipping.record import (
    ARCHITECTURE,
    CARD,
    FILES,
    FORMAT,
    LARGEST_JSON,
    RECORD,
    WEIGHTS,
    Record,
    check_file,
    read_record,
    stored_file,
)
from regrow.shipping.tensors import (
    STORABLE,
    class_label,
    is_of_zoo,
    modules_of,
    registered,
    rows_of,
    storable,
    with_dense_shapes,
)

Factory = Callable[[], nn.Module]

_PACKAGES: Final = ("torchvision", "timm", "transformers")
"""Their versions are written down where the network's class comes from them."""


def save(network: nn.Module, architecture: Architecture, path: str | Path, *, notes: str = "") -> Path:
    """Write the small network and its architecture to the folder `path`, and give the folder back.

    Parameters and buffers are stored with their types, non-persistent buffers too, tied ones once; so are `requires_grad` and train
    or eval mode. Hooks and optimisers are not. `notes` (Markdown) go into the model card: what it was trained on, how well it does.

    Raises `ConfigError` where network and architecture do not belong together and where `path` holds anything but a bundle, and
    `StoreError` where it cannot be written.
    """
    folder = Path(path)
    _check_free(folder)
    rows = with_dense_shapes(rows_of(network), architecture)
    check_small(network, rows, architecture)
    tensors = storable(network, rows)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_architecture(folder / ARCHITECTURE, architecture)
        _write_weights(folder / WEIGHTS, tensors)
        record = Record(
            format=FORMAT,
            network=class_label(network),
            weights=stored_file(folder / WEIGHTS),
            architecture=stored_file(folder / ARCHITECTURE),
            tensors=rows,
            modules=modules_of(network),
            versions=_versions(network),
            notes=notes,
        )
        write_atomic(folder / CARD, card(record, architecture))
        write_atomic(folder / RECORD, pretty_json(record.to_json()))
    except (OSError, SafetensorError) as error:
        raise StoreError(
            f"the network could not be saved to {folder}: {error}. Make room or choose another folder."
        ) from error
    return folder


def load(path: str | Path, factory: Factory | None = None) -> nn.Module:
    """The network that `save` wrote to the folder `path`, on the CPU, equal bit for bit, in the class that `factory` builds.

    `factory` takes no argument and builds the dense network, with any weights: `lambda: torchvision.models.resnet50()`. It may be
    left out where the architecture names a network of `regrow list networks`. No line of the files is run as code.

    Raises `StoreError` for a bundle that is incomplete or damaged, and `ConfigError` where the factory's network is not the one that
    was pruned.
    """
    folder = Path(path)
    record = read_record(folder)
    if record.architecture.bytes > LARGEST_JSON or record.weights.bytes > _largest(record):
        raise StoreError(f"{folder / RECORD} declares files larger than the tensors it lists; they are not read")
    check_file(folder / ARCHITECTURE, record.architecture)
    check_file(folder / WEIGHTS, record.weights)
    architecture = read_architecture(folder / ARCHITECTURE)
    network = without_removed(_dense(architecture, factory, record), record, architecture)
    check_dense(network, record, architecture)
    return _small(network, record, architecture, _read_weights(folder / WEIGHTS, record))


def _largest(record: Record) -> int:
    """Bytes that the listed tensors take, and a generous header."""
    sizes = [row.numel * STORABLE[row.dtype].itemsize for row in record.stored if row.dtype in STORABLE]
    return sum(sizes) + LARGEST_JSON


def _check_free(folder: Path) -> None:
    """The folder is new, empty, or a bundle that may be replaced; hidden entries (.git) are nobody's business."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ConfigError(f"{folder} is a file; a bundle is a folder. Choose another path.")
    entries = {entry.name for entry in folder.iterdir() if not entry.name.startswith(".")}
    if entries and RECORD not in entries and not entries <= set(FILES):
        raise ConfigError(
            f"{folder} holds other files ({', '.join(sorted(entries)[:3])}) and no {RECORD}, so saving might overwrite what is not "
            "ours. Choose a new or empty folder."
        )


def _write_weights(path: Path, tensors: dict[str, Tensor]) -> None:
    """As `write_atomic`, without a second copy of all weights in memory."""
    part = path.with_name(f".{path.name}.part")
    try:
        save_file(tensors, part, metadata={"format": "pt"})
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.chmod(0o644)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    sync_folder(path.parent)


def _versions(network: nn.Module) -> dict[str, str]:
    found = {"python": platform.python_version(), "regrow": regrow_version(), "torch": str(torch.__version__)}
    defined_in = {type(module).__module__.partition(".")[0] for module in network.modules()}
    for package in sorted(defined_in & set(_PACKAGES)):
        found[package] = str(getattr(sys.modules[package], "__version__", "unknown"))
    return found


def _dense(architecture: Architecture, factory: Factory | None, record: Record) -> nn.Module:
    if factory is None:
        if architecture.dense is None or not is_of_zoo(architecture):
            raise ConfigError(
                f"a network of class {record.network} can be built only by your own code, never from a file: pass the function "
                "that builds the dense network, regrow.load(path, factory)."
            )
        return blueprint(architecture.dense)
    with seeded("load"):  # the factory draws weights that nobody keeps; the caller's random numbers stay as they were
        network: object = factory()
    if not isinstance(network, nn.Module):
        raise ConfigError(
            f"the factory must give a torch.nn.Module, the dense network; it gave {type(network).__name__}"
        )
    return network


def _read_weights(path: Path, record: Record) -> dict[str, Tensor]:
    """The tensors of the file, each as its row says; the file's size was compared before."""
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise StoreError(f"{path} is not a safetensors file: {error}") from None
    expected = {row.name: (row.dtype, row.shape) for row in record.stored}
    found = {name: (str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape)) for name, tensor in tensors.items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise StoreError(
                f"{path} and its record differ at the tensor {name}: {found.get(name)} in the file, {expected.get(name)} in the "
                "record. The bundle was put together from two. Fetch it again, or save the network again."
            )
    return tensors


def _small(network: nn.Module, record: Record, architecture: Architecture, tensors: dict[str, Tensor]) -> nn.Module:
    """The small network around the saved tensors: that of the zoo as it is built, any other as a copy of the factory's."""
    if is_of_zoo(architecture):
        skeleton = blueprint(architecture.pruned_spec())
        small = copy.deepcopy(skeleton, _values(skeleton, record, tensors))
    else:
        values = _values(network, record, tensors)
        small = carve_tensors(network, architecture, lambda tensor, _: values[id(tensor)].detach())
    modules, parameters = dict(small.named_modules()), dict(small.named_parameters())
    for row in record.stored:
        if row.kind == "parameter":
            parameters[row.name].requires_grad_(row.trainable)
    for module in record.modules:
        modules[module.name].training = module.training
    return small


def _values(network: nn.Module, record: Record, tensors: dict[str, Tensor]) -> dict[int, Any]:
    """What stands in place of each tensor of a network, by the tensor's id; as a memo of deepcopy, it is taken and not copied."""
    first = {row.name: row.same_as or row.name for row in record.tensors}
    return {
        id(tensor): nn.Parameter(value, False) if isinstance(tensor, nn.Parameter) else value
        for name, tensor, _ in registered(network)
        for value in [tensors[first[name]]]
    }
