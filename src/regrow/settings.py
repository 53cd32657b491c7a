"""The base of all settings models: frozen, strict about unknown keys, help text under every field."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Base of the tables of a study file. Unknown keys are faults; values cannot be changed after they were read."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)
