"""How many paired seeds a verdict needs. Imports nothing, so that a study can be checked before anything is loaded."""

from __future__ import annotations

from typing import Final

FEWEST_SEEDS: Final = 3
"""With fewer paired seeds there is no verdict."""

MOST_SEEDS: Final = 1000
"""`seeds_needed` looks no further than this."""
