"""Method sources: where a pruning method that is not a row of METHODS comes from, told by how its name is written. Imports no torch.

    torch-pruning:group-l2             a pruner of Torch-Pruning
    mypackage.methods:shrink           a function of the person's own: a whole method if it takes `network`, else a criterion
    small.safetensors                  a small network that was made elsewhere, as its tensors
    some-name                          what an installed package offers under the entry points regrow.methods and regrow.criteria

What can be known of such a method without running it is found here: which code it is, what its function takes, whether running it needs
the reader's trust. Functions are read (`signatures`), never imported.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import Final

from regrow.errors import ConfigError, Fault, MissingExtraError, UnknownNameError, did_you_mean
from regrow.files import file_digest
from regrow.networks.sources import Access, find_module
from regrow.pruning.evidence import EVIDENCE
from regrow.pruning.methods import METHODS, Method
from regrow.pruning.signatures import OWN, Signature, signature_of
from regrow.table import Table

TORCH_PRUNING: Final = "torch-pruning"
FUNCTION: Final = "package.module:function"
TENSORS: Final = "small.safetensors"
INSTALLED: Final = "name"

WHOLE_GROUP: Final = "regrow.methods"
CRITERIA_GROUP: Final = "regrow.criteria"

_LOADER: Final = "regrow.pruning.foreign_methods:load_method"
_SUFFIX: Final = ".safetensors"


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodSource:
    """One kind of place that methods come from."""

    summary: str
    """One line of help."""

    extra: str = ""
    """The extra of regrow that brings it; empty where none is needed."""

    needs_trust: bool = False
    """Whether using it runs code that came with the study."""


METHOD_SOURCES: Final[Table[MethodSource]] = Table(
    "source of methods",
    {
        TORCH_PRUNING: MethodSource(
            summary="torch-pruning:NAME, a pruner of Torch-Pruning, e.g. torch-pruning:group-l2", extra="torch-pruning"
        ),
        FUNCTION: MethodSource(
            summary="your own function, a whole method if it takes network, else a criterion; found beside the study or installed",
            needs_trust=True,
        ),
        TENSORS: MethodSource(summary="a small network made elsewhere, as the safetensors file of its tensors"),
        INSTALLED: MethodSource(
            summary="what an installed package offers as an entry point of regrow.methods or regrow.criteria"
        ),
    },
)
"""By prefix of the name; the last three are told by their form."""


def _of_torch_pruning(
    summary: str, source: str, *, data: bool = False, norms: bool = False, seeded: bool = False
) -> Method:
    return Method(
        summary=f"Torch-Pruning: {summary}",
        target=_LOADER,
        kind="whole",
        needs_data=data,
        needs_norms=norms,
        seeded=seeded,
        source=f"{source}; Fang et al. 2023, arXiv:2301.12900",
    )


TORCH_PRUNERS: Final[Table[Method]] = Table(
    "method of Torch-Pruning",
    {
        "l1": _of_torch_pruning("L1 norm of the first layer of each group", "Li et al. 2017, arXiv:1608.08710"),
        "l2": _of_torch_pruning("L2 norm of the first layer of each group", "Li et al. 2017, arXiv:1608.08710"),
        "group-l1": _of_torch_pruning("mean L1 norm over all layers of each group", "Li et al. 2017, arXiv:1608.08710"),
        "group-l2": _of_torch_pruning("mean L2 norm over all layers of each group", "Fang et al. 2023"),
        "scale": _of_torch_pruning("scales of batch norms", "Liu et al. 2017, arXiv:1708.06519", norms=True),
        "taylor": _of_torch_pruning("first-order Taylor", "Molchanov et al. 2019, arXiv:1906.10771", data=True),
        "lamp": _of_torch_pruning("LAMP scores of each group", "Lee et al. 2021, arXiv:2010.07611"),
        "fpgm": _of_torch_pruning("distance from the geometric median", "He et al. 2019, arXiv:1811.00250"),
        "random": _of_torch_pruning("by chance", "a control", seeded=True),
    },
)
"""What stands after `torch-pruning:`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ForeignMethod:
    """A method from elsewhere, found but not loaded."""

    name: str
    """As the study writes it."""

    row: Method
    """What a study must know of it; `target` is the address of what runs it."""

    origin: str
    """Which code or file it is; belongs into the identity of every stage that depends on it."""

    needs_trust: bool = False

    place: str = ""
    """Folder to import its module from, or path of its file. Part of no identity."""

    code: str = ""
    """`module:attribute` of its function; empty where it is no function."""

    def access(self, trust: bool) -> Access:
        """Where it lies, and whether its reader lets it run."""
        return Access(trust=trust, place=self.place)


def is_foreign_method(name: str) -> bool:
    """Whether a study's name of a method is that of a method from elsewhere. Rows of METHODS come first.

    >>> is_foreign_method("l1"), is_foreign_method("torch-pruning:l1"), is_foreign_method("mine:shrink")
    (False, True, True)
    """
    return name not in METHODS and (":" in name or name.endswith(_SUFFIX) or name in installed())


def method_row(name: str, folder: Path) -> Method:
    """The row of any method, ours or from elsewhere; `folder` is the study's. See `foreign_method` for what is raised."""
    return METHODS[name] if name in METHODS else foreign_method(name, folder).row


def all_methods() -> Table[Method]:
    """Every method that has a name: ours, Torch-Pruning's, and those of installed packages."""
    theirs = {f"{TORCH_PRUNING}:{name}": row for name, row in TORCH_PRUNERS.items()}
    return Table("method", {**METHODS, **theirs, **{name: _installed(name).row for name in installed()}})


def foreign_method(name: str, folder: Path) -> ForeignMethod:
    """What a study's name of a method from elsewhere means; nothing is imported.

    Raises `UnknownNameError` for a name that no source has, `ConfigError` for one that is written wrongly or whose file is not
    there, `MissingExtraError` where its library is not installed.
    """
    prefix, colon, rest = name.partition(":")
    if name.endswith(_SUFFIX):
        return _tensors(name, folder)
    if prefix == TORCH_PRUNING and colon:
        return _torch_pruner(name, rest)
    if colon:
        return _function(name, folder)
    if name in installed():
        return _installed(name)
    raise UnknownNameError(
        "method", name, [*METHODS, *(f"{TORCH_PRUNING}:{one}" for one in TORCH_PRUNERS), *installed()]
    )


def _torch_pruner(name: str, rest: str) -> ForeignMethod:
    row = TORCH_PRUNERS[rest]
    if importlib.util.find_spec("torch_pruning") is None:
        raise MissingExtraError(f"the method {name}", TORCH_PRUNING)
    return ForeignMethod(name=name, row=row, origin=f"torch-pruning {_version('torch-pruning')}")


def _tensors(name: str, folder: Path) -> ForeignMethod:
    path = (folder / name).expanduser()
    if not path.is_file():
        raise _refused(f"there is no such file: {path}", "Write the path from the study file's folder.")
    row = Method(
        summary=f"the small network of {path.name}",
        target=_LOADER,
        kind="whole",
        scope="global",
        source="a file",
    )
    status = path.stat()
    origin = f"sha256 {_digest(path, status.st_size, status.st_mtime_ns)}"
    return ForeignMethod(name=name, row=row, origin=origin, place=str(path.resolve()))


@functools.lru_cache(maxsize=16)
def _digest(path: Path, size: int, changed: int) -> str:
    """SHA-256 of a file that may be large; a study is looked at again and again."""
    del size, changed  # they tell one content of the file from another
    return file_digest(path)


def _function(name: str, folder: Path) -> ForeignMethod:
    if not OWN.fullmatch(name):
        known = ", ".join(f"{TORCH_PRUNING}:{one}" for one in TORCH_PRUNERS)
        rule = f"must be a name of `regrow list methods`, or package.module:function; found {name!r}"
        raise _refused(rule, f"For instance mine:shrink (mine.py beside the study), or one of {known}.")
    module = name.partition(":")[0]
    found = find_module(module, folder)
    if found is None:
        rule = (
            f"no module {module} with a source file was found beside the study ({folder}), in {Path.cwd()} or installed"
        )
        raise _refused(rule, "Put the file beside the study; the name is module:function.")
    signature = signature_of(name, folder)
    if isinstance(signature, str):
        raise _refused(signature, "")
    if not signature.whole and (unknown := signature.unknown):
        rule = f"{name} takes {unknown[0]!r}, which a method cannot be given: a whole method takes network, a criterion evidence"
        raise _refused(rule, did_you_mean(unknown[0], ["network", *EVIDENCE]))
    row = _row(signature, signature.summary or f"the function {name}", f"sha256 {file_digest(found[0])[:12]}")
    origin = f"sha256 {file_digest(found[0])}"
    return ForeignMethod(name=name, row=row, origin=origin, needs_trust=True, place=found[1], code=name)


def installed() -> tuple[str, ...]:
    """Names of the methods and criteria that installed packages offer, sorted."""
    return tuple(sorted(_entries(tuple(sys.path))))


def installed_code(name: str) -> str:
    """`module:attribute` of what an installed package offers under a name of `installed`."""
    return _code(_entries(tuple(sys.path))[name])


def _code(point: EntryPoint) -> str:
    return point.value.partition("[")[0].strip()


@functools.lru_cache(maxsize=4)
def _entries(path: tuple[str, ...]) -> dict[str, EntryPoint]:
    """By name; a name that regrow has, or that a package took first, stays with its owner."""
    del path  # where packages are looked for: another path, other packages
    found: dict[str, EntryPoint] = {}
    for group in (WHOLE_GROUP, CRITERIA_GROUP):
        for point in sorted(entry_points(group=group), key=lambda one: one.value):
            if point.name not in METHODS:
                found.setdefault(point.name, point)
    return found


def _installed(name: str) -> ForeignMethod:
    """No trust is asked for: whoever installed a package has let its code run."""
    point = _entries(tuple(sys.path))[name]
    code = _code(point)
    package = f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.module
    root = _root_of(point.module)
    signature = signature_of(code, root)
    if isinstance(signature, str):  # compiled, or made by other means than `def`: it is asked when it runs
        signature = Signature(("network",) if point.group == WHOLE_GROUP else ("weight",), (), "")
    row = _row(signature, signature.summary or f"a method of {package}", package)
    found = find_module(point.module, root)
    digest = f", sha256 {file_digest(found[0])}" if found is not None else ""
    return ForeignMethod(name=name, row=row, origin=f"{package}{digest}", code=code)


def _root_of(module: str) -> Path:
    """The folder that an installed package lies in; it is looked into first, so that no file of the same name hides it."""
    found = importlib.util.find_spec(module.partition(".")[0])
    places = [*(found.submodule_search_locations or ())] if found is not None else []
    file = found.origin if found is not None else None
    return Path(places[0]).parent if places else Path(file or sys.prefix).parent


def _row(signature: Signature, summary: str, source: str) -> Method:
    """What a function's parameters say about it."""
    return Method(
        summary=summary,
        target=_LOADER,
        kind="whole" if signature.whole else "criterion",
        removes=("channels", "weights"),
        scope="global" if signature.whole else "group",
        needs_data=signature.needs_data,
        needs_norms="scale" in signature.parameters,
        seeded=bool({"generator", "seed"} & set(signature.parameters)),
        source=source,
    )


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "unknown"


def _refused(rule: str, hint: str) -> ConfigError:
    return ConfigError(faults=[Fault(where="study", key="prune.method", rule=rule, hint=hint)])


def untrusted_methods(names: Iterator[str] | tuple[str, ...], folder: Path) -> tuple[str, ...]:
    """Those of a study's methods that run code which came with it."""
    return tuple(name for name in names if is_foreign_method(name) and foreign_method(name, folder).needs_trust)
