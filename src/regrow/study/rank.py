"""A rank: one of the processes that share a training over several devices. `python -m regrow.study.rank STORE`

A worker starts as many as the stage's training has devices, gives each the same stage, and waits; see `regrow.training.ranks`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from regrow.study.stage import Stage
from regrow.study.store import Store
from regrow.study.task import Task, Tell
from regrow.study.work import train_here
from regrow.training.ranks import serve


def main(root: str) -> None:
    """Take part in the training of one stage; ends the process."""
    store = Store(Path(root))

    def work(request: str, tell: Tell) -> Any:
        stage = Stage.from_json(json.loads(request))
        return train_here(Task(stage=stage, store=store, folder=store.partial(stage.key), tell=tell))

    serve(work)


if __name__ == "__main__":
    main(sys.argv[1])
