"""Blame: which work, and which layers, keep a small network from becoming as much faster as its MACs fall.

If every second of the dense network became shorter by the MAC cut, speed-up and MAC cut would be equal. So a piece of work that takes
`d` seconds in the dense network and `s` in the small one keeps back

    excess = s - d / cut        seconds,

and the excesses of all pieces add up to the whole gap. The kinds of work with the largest excess are to blame. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from regrow.evaluation.kinds import KINDS, LayerTime

ENOUGH: Final = 0.5
"""Kinds of work are named until they make up this share of the gap, two at most."""

MOST_KINDS: Final = 2
MOST_LAYERS: Final = 2

WORTH_NAMING: Final = 0.01
"""Share of the small network's time below which a layer is not named."""

VECTOR: Final = 8
"""Numbers that a vector unit takes at a time: 8 floats with 256 bits, half of what it takes with 512."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A layer, or all layers of a kind, in the dense and in the small network."""

    name: str
    """The layer, or the kind."""

    share: float
    """Share of the small network's time, 0 to 1."""

    speed_up: float
    """Its own: seconds in the dense network / seconds in the small one."""

    gap: float
    """Share of the gap between speed-up and MAC cut that it makes up; negative where it gained more than the MACs fell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Blame:
    """One kind of work that keeps the speed-up back."""

    kind: Piece
    layers: tuple[Piece, ...]
    """Its layers that keep back most, the worst first."""

    reason: str
    """Why, as the end of a sentence that begins with "they"."""


def blame(
    dense: Sequence[LayerTime], small: Sequence[LayerTime], mac_cut: float, *, widths_matter: bool = True
) -> tuple[Blame, ...]:
    """The kinds of work that keep the speed-up below the MAC cut, the worst first; empty where nothing does.

    `widths_matter`: whether widths that are no multiples of 8 may be the reason; False where rounding them was tried in vain.
    """
    kinds = _pieces(dense, small, mac_cut, "kind")
    found: list[Blame] = []
    covered = 0.0
    for piece in kinds:
        if piece.gap <= 0 or covered >= ENOUGH or len(found) == MOST_KINDS:
            break
        covered += piece.gap
        before, after = ([row for row in rows if row.kind == piece.name] for rows in (dense, small))
        layers = (
            []
            if piece.name == "overhead"
            else [
                one
                for one in _pieces(before, after, mac_cut, "layer", small)
                if one.gap > 0 and one.share >= WORTH_NAMING
            ]
        )
        found.append(
            Blame(
                kind=piece,
                layers=tuple(layers[:MOST_LAYERS]),
                reason=_reason(piece.name, before, after, mac_cut, widths_matter),
            )
        )
    return tuple(found)


def _pieces(
    dense: Sequence[LayerTime],
    small: Sequence[LayerTime],
    mac_cut: float,
    key: Literal["kind", "layer"],
    whole: Sequence[LayerTime] = (),
) -> list[Piece]:
    """One a kind or a layer, by the time that it keeps back, the worst first; shares are of the small network as a `whole`."""
    before, after = _seconds(dense, key), _seconds(small, key)
    total = _total(whole or small)
    gap = sum(after.values()) - sum(before.values()) / mac_cut
    if gap <= 0 or total <= 0:
        return []
    pieces = [
        Piece(
            name=name,
            share=seconds / total,
            speed_up=before.get(name, 0.0) / seconds,
            gap=(seconds - before.get(name, 0.0) / mac_cut) / gap,
        )
        for name, seconds in after.items()
        if seconds > 0
    ]
    return sorted(pieces, key=lambda piece: -piece.gap)


def _seconds(rows: Sequence[LayerTime], key: Literal["kind", "layer"]) -> dict[str, float]:
    summed: dict[str, float] = {}
    for row in rows:
        name = row.kind if key == "kind" else row.layer
        summed[name] = summed.get(name, 0.0) + row.seconds
    return summed


def _total(rows: Sequence[LayerTime]) -> float:
    return sum(row.seconds for row in rows)


def _reason(
    kind: str, dense: Sequence[LayerTime], small: Sequence[LayerTime], mac_cut: float, widths_matter: bool
) -> str:
    """Why a kind of work keeps back time, given its own layers."""
    if not KINDS[kind].widens:
        return KINDS[kind].reason
    odd = _worst_odd_width(dense, small, mac_cut) if widths_matter else None
    if odd is not None:
        read, written = odd.widths
        return (
            f"have widths that are no multiples of {VECTOR} ({odd.layer}: {read} in, {written} out), which vector units "
            f"do not like; round_to={VECTOR} or 16 may be faster with more channels"
        )
    own_cut = sum(row.macs for row in dense) / max(1, sum(row.macs for row in small))
    if own_cut < 0.8 * mac_cut:
        return f"keep one side as it is (the image's channels, the classes), so their own MACs fall only {own_cut:.1f}x"
    return KINDS[kind].reason


def _worst_odd_width(dense: Sequence[LayerTime], small: Sequence[LayerTime], mac_cut: float) -> LayerTime | None:
    """The layer that keeps back most, where layers that lost their even widths keep back more than all others of the kind."""
    before = {row.layer: row for row in dense}
    excess = {row.layer: row.seconds - before[row.layer].seconds / mac_cut for row in small if row.layer in before}
    odd = [row for row in small if row.layer in excess and _is_odd(row) and not _is_odd(before[row.layer])]
    if not odd or sum(excess[row.layer] for row in odd) <= 0.5 * sum(max(0.0, value) for value in excess.values()):
        return None
    return max(odd, key=lambda row: excess[row.layer])


def _is_odd(row: LayerTime) -> bool:
    return any(width % VECTOR for width in row.widths[1:] or row.widths)


def told(found: Sequence[Blame], known: Collection[str] = ()) -> str:
    """Blame in plain sentences; empty where nobody is to blame. Reasons in `known` were told before and are left out.

    >>> piece = Piece(name="norm", share=0.41, speed_up=1.13, gap=0.6)
    >>> layer = Piece(name="features.2", share=0.2, speed_up=0.98, gap=0.4)
    >>> told([Blame(kind=piece, layers=(layer,), reason="are bound by memory")])
    "41 % of the small network's time is spent in norm layers, which became 1.1x as fast: they are bound by memory. \
The worst: features.2 (20 % of the time, 1.0x as fast)."
    """
    return " ".join(_sentence(one, first=index == 0, known=known) for index, one in enumerate(found))


def _sentence(one: Blame, *, first: bool, known: Collection[str]) -> str:
    share = f"{one.kind.share:.0%}".replace("%", " %")
    start = f"{share} of the small network's time is spent" if first else f"Another {share} is spent"
    reason = "" if one.reason in known else f": they {one.reason}"
    place = "" if not one.layers else " The worst: " + " and ".join(_layer(layer) for layer in one.layers) + "."
    return f"{start} in {KINDS[one.kind.name].summary}, which became {one.kind.speed_up:.1f}x as fast{reason}.{place}"


def _layer(piece: Piece) -> str:
    share = f"{piece.share:.0%}".replace("%", " %")
    return f"{piece.name or 'the network itself'} ({share} of the time, {piece.speed_up:.1f}x as fast)"
