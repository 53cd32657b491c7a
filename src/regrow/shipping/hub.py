"""Send a bundle to the Hugging Face Hub. Needs the extra `hub`; nothing else in regrow writes to a network."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from regrow.errors import MissingExtraError, StoreError
from regrow.shipping.record import ARCHITECTURE, FILES, WEIGHTS, check_file, read_record


def push_to_hub(folder: str | Path, repo_id: str, *, private: bool = False, message: str = "Upload with regrow") -> str:
    """Upload the four files of a bundle to `repo_id` (made if it does not exist) and give the address of the commit.

    Other files in the folder stay where they are. You must be logged in (`hf auth login`). Raises `StoreError` for a folder that is no
    whole bundle, before anything is sent, and where the hub refuses.
    """
    place = Path(folder)
    record = read_record(place)
    check_file(place / ARCHITECTURE, record.architecture)
    check_file(place / WEIGHTS, record.weights)
    hub = _hub()
    try:
        hub.create_repo(repo_id, private=private, exist_ok=True)
        commit = hub.upload_folder(
            repo_id=repo_id, folder_path=place, allow_patterns=list(FILES), commit_message=message
        )
    except Exception as error:  # whatever the client raises: refused, offline, not logged in, a wrong name
        raise StoreError(f"{place} could not be sent to {repo_id}: {error}") from error
    return str(commit.commit_url)


def _hub() -> Any:
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError:
        raise MissingExtraError("sending a bundle to the Hugging Face Hub", "hub") from None
