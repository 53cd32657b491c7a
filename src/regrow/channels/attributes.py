"""The Python numbers that modules hold: found, and marked with where they stand.

`head_dim`, `num_heads`, `split_size`, `normalized_shape`, and those of configuration objects that modules carry
(`config.hidden_size`). Each is known by its module's name and a dotted path: `("blocks.0.attn", "head_dim")`,
`("norm", "normalized_shape.0")`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from torch import nn

from regrow.channels.sizes import Attribute, Diary, Size

PLAIN: Final = frozenset(
    [
        "kernel_size",
        "stride",
        "padding",
        "dilation",
        "output_padding",
        "_reversed_padding_repeated_twice",
        "training",
        "call_super_init",
    ]
)
"""Numbers of PyTorch's own layers that count places in images, not channels."""

_PRIVATE: Final = frozenset(vars(nn.Module())) | {"_version"}


def mark(network: nn.Module, diary: Diary, kind: type[Size] = Size) -> None:
    """Replace every number by a `Size` that knows where it stands. For the copy that is traced, never for a person's network."""
    seen: set[int] = set()
    for name, module in network.named_modules():
        for path, holder, key, value in _numbers(module, seen):
            holder[key] = _marked(value, name, path, diary, kind)


Place = tuple[str, Any, Any, Any]
"""A path, the dict or list that holds the value, its key there, the value."""


def _numbers(module: nn.Module, seen: set[int]) -> Iterator[Place]:
    own = type(module).__module__.startswith("torch.nn.modules")
    for key, value in list(vars(module).items()):
        if key in _PRIVATE or (own and key in PLAIN):
            continue
        yield from _held(vars(module), key, key, value, seen)


def _held(holder: Any, key: Any, path: str, value: Any, seen: set[int], depth: int = 0) -> Iterator[Place]:
    if type(value) is int or (isinstance(value, (tuple, list)) and value and all(type(item) is int for item in value)):
        yield path, holder, key, value
    elif _is_settings(value) and id(value) not in seen and depth < 3:
        seen.add(id(value))
        for name, inner in list(vars(value).items()):
            yield from _held(vars(value), name, f"{path}.{name}", inner, seen, depth + 1)


def _is_settings(value: Any) -> bool:
    """True for objects that only hold settings: configurations, namespaces, dataclasses."""
    if isinstance(value, (nn.Module, type)) or callable(value) or not hasattr(value, "__dict__"):
        return False
    kind = type(value)
    return hasattr(kind, "__dataclass_fields__") or any(
        word in kind.__name__ for word in ("Config", "Cfg", "Namespace", "Args")
    )


def _marked(value: Any, module: str, path: str, diary: Diary, kind: type[Size]) -> Any:
    if isinstance(value, int):
        return kind.of(value, Attribute(module, path), diary)
    marked = [kind.of(item, Attribute(module, f"{path}.{place}"), diary) for place, item in enumerate(value)]
    return _like(value, marked)


def _like(value: Any, items: list[Any]) -> Any:
    """The items in a sequence of the type of `value`."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*items)
    return type(value)(items)
