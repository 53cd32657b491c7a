"""How the report writes numbers: one spelling each for shares, points, MACs, seconds and learning rates.

Every function takes None for "not known" and writes a dash, so a table never breaks on a missing number.
"""

from __future__ import annotations

from collections.abc import Sequence

DASH = "–"
MINUS = "−"
_PREFIXES = ("", "k", "M", "G", "T", "P", "E", "Z")


def percent(value: float | None) -> str:
    """An accuracy in percent, two decimals: a test set of 10,000 images resolves 0.01.

    >>> percent(97.777)
    '97.78 %'
    """
    return DASH if value is None else f"{value:.2f} %"


def points(value: float | None) -> str:
    """A difference in percentage points, with its sign.

    >>> [points(0.416), points(-0.3), points(-0.001)]
    ['+0.42', '−0.30', '0.00']
    """
    if value is None:
        return DASH
    rounded = round(value, 2) + 0.0
    return "0.00" if rounded == 0 else f"{rounded:+.2f}".replace("-", MINUS)


def span(interval: Sequence[float] | None) -> str:
    """An interval of accuracies in percent.

    >>> span((97.5, 98.25))
    '97.50 to 98.25'
    """
    return DASH if interval is None else f"{interval[0]:.2f} to {interval[1]:.2f}".replace("-", MINUS)


def points_span(interval: Sequence[float] | None) -> str:
    """An interval of differences in percentage points.

    >>> points_span((-0.31, 1.146))
    '−0.31 to +1.15'
    """
    return DASH if interval is None else f"{points(interval[0])} to {points(interval[1])}"


def quantity(value: float | None) -> str:
    """A count in four significant digits with an SI prefix; the unit stands beside it.

    >>> [quantity(313_500_000), quantity(853_018), quantity(5.4e15), quantity(12)]
    ['313.5 M', '853 k', '5.4 P', '12']
    """
    if value is None:
        return DASH
    scaled, prefix = float(value), 0
    while abs(float(f"{scaled:.4g}")) >= 1000 and prefix < len(_PREFIXES) - 1:
        scaled, prefix = scaled / 1000, prefix + 1
    return f"{scaled:.4g} {_PREFIXES[prefix]}".rstrip()


def seconds(value: float | None) -> str:
    """A duration, as precise as anyone needs.

    >>> [seconds(0.0421), seconds(7.25), seconds(83), seconds(3725), seconds(200_000)]
    ['0.04 s', '7.2 s', '1 min 23 s', '1 h 02 min', '2 d 7 h']
    """
    if value is None:
        return DASH
    if value < 59.95:
        return f"{value:.2f} s" if value < 1 else f"{value:.1f} s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def rate(value: float | None) -> str:
    """A learning rate in three significant digits.

    >>> [rate(0.1), rate(0.0316228), rate(1e-05)]
    ['0.1', '0.0316', '1e-05']
    """
    return DASH if value is None else f"{value:.3g}"


def probability(value: float | None) -> str:
    """A p-value.

    >>> [probability(0.0421), probability(0.00002)]
    ['0.042', '< 0.001']
    """
    if value is None:
        return DASH
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def times(value: float | None) -> str:
    """A factor.

    >>> [times(3.9871), times(4), times(17.31)]
    ['3.99', '4.00', '17.3']
    """
    if value is None:
        return DASH
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 999.95 else f"{value:,.0f}"


def point(value: float) -> str:
    """A margin.

    >>> [point(1.0), point(0.5)]
    ['1 point', '0.5 points']
    """
    return f"{value:g} point" if value == 1 else f"{value:g} points"


def listing(words: Sequence[str]) -> str:
    """Words in a sentence.

    >>> [listing(["a"]), listing(["a", "b"]), listing(["a", "b", "c"])]
    ['a', 'a and b', 'a, b and c']
    """
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def plural(count: int, noun: str) -> str:
    """A count with its noun.

    >>> [plural(1, "seed"), plural(8, "seed"), plural(12_000, "image")]
    ['1 seed', '8 seeds', '12,000 images']
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
