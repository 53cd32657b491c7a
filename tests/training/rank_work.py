"""What ranks are asked to do by tests: real trainings, one after another. `python -m tests.training.rank_work`

Every case is a function of a folder and of the number of devices, so that a test can do the same on one. It leaves its network's weights in
the folder and returns what it has to say; `spread` adds whether all ranks ended with the same weights.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from regrow.data.stream import Portion, Stream
from regrow.errors import DivergenceError, StoreError
from regrow.networks.groups import Group, Slice
from regrow.pruning.holding import Holding
from regrow.pruning.slimming import Slimming
from regrow.training.checkpoint import on_cpu, save_weights
from regrow.training.compute import Compute
from regrow.training.learner import open_fabric
from regrow.training.loop import Part
from regrow.training.ranks import Tell, run_ranks, serve, this_rank
from regrow.training.state import load_state
from regrow.training.team import Team
from tests.training.samples import network, network_without_norms, recipe, run, stream
from tests.training.test_interventions import Counting
from tests.training.test_loop import interrupt

Done = tuple[Path, dict[str, Any]]
"""The folder below which every case has its own, and what was said of each."""

Case = Callable[[Path, Compute], tuple[nn.Module, Any]]

ROOT = Path(__file__).parents[2]
ONE_STEP = recipe(epochs=1, batch=50, momentum=0.0, schedule="constant", peak_lr=0.5, final_lr=0.5)
STRENGTH = 0.125


def whole_batches(compute: Compute) -> Stream:
    """One batch an epoch, of all 50 examples."""
    return stream(batch=50, portion=Portion(this_rank(), compute.devices))


def plain(folder: Path, compute: Compute) -> tuple[nn.Module, Any]:
    """Batches of 13 and 12, which two devices share as 7 + 6 and 6 + 6."""
    net = network_without_norms()
    return net, run(net, folder, compute=compute, recipe=recipe(label_smoothing=0.1)).history


def masked(folder: Path, compute: Compute) -> tuple[nn.Module, Any]:
    """Half of the second convolution's weights are held at zero."""
    net = network_without_norms()
    mask = torch.arange(8 * 8 * 9).view(8, 8, 3, 3) % 2 == 0
    return net, run(net, folder, compute=compute, intervention=Holding({"2.weight": mask})).history


def counted(folder: Path, compute: Compute) -> tuple[nn.Module, Any]:
    """A factor that is no parameter of the network and is moved by its own gradient."""
    net, hand = network_without_norms(), Counting()
    run(net, folder, compute=compute, intervention=hand)
    return net, float(hand.factor.detach())


def slimmed(folder: Path, compute: Compute) -> tuple[nn.Module, Any]:
    """One step with a penalty on the scales of a batch norm."""
    net = network()
    groups = (Group("0", 8, (Slice("0.weight", 0), Slice("1.weight", 0))),)
    hand = Slimming(groups, strength=STRENGTH)
    run(net, folder, compute=compute, recipe=ONE_STEP, stream=whole_batches(compute), intervention=hand)
    return net, None


def not_slimmed(folder: Path, compute: Compute) -> tuple[nn.Module, Any]:
    """The same step without."""
    net = network()
    run(net, folder, compute=compute, recipe=ONE_STEP, stream=whole_batches(compute))
    return net, None


def whole(folder: Path, compute: Compute) -> tuple[nn.Module, Any]:
    """Batch norm, dropout and a hand in it, uninterrupted."""
    net = network(dropout=0.3)
    return net, run(net, folder, compute=compute, intervention=Counting()).history


def resumed(folder: Path, compute: Compute) -> tuple[nn.Module, Any]:
    """The same, broken off in its third epoch and begun again."""
    net = network(dropout=0.3)
    interrupt(network(dropout=0.3), folder, at=9, compute=compute, intervention=Counting())
    return net, run(net, folder, compute=compute, intervention=Counting()).history


def drawn(folder: Path, compute: Compute) -> tuple[nn.Module, Any]:
    """Dropout, uninterrupted."""
    net = network_without_norms(dropout=0.4)
    return net, run(net, folder, compute=compute).history


def continued(folder: Path, compute: Compute) -> tuple[nn.Module, Any]:
    """The same, stopped within its second epoch, written down and gone on with."""
    file, net = folder / "state.safetensors", network_without_norms(dropout=0.4)
    run(network_without_norms(dropout=0.4), folder / "1", compute=compute, part=Part(stop_at=6, state_file=file))
    torch.distributed.barrier()  # rank 0 has written the file
    state = load_state(file)
    net.load_state_dict(dict(state.weights))
    rest = recipe(epochs=3, schedule_epochs=4, schedule_start=1)
    part = Part(first_step=2)
    run(net, folder / "2", compute=compute, recipe=rest, first_epoch=1, start=state, part=part)
    return net, sorted(state.generators)


def diverging(folder: Path, compute: Compute) -> tuple[nn.Module, Any]:
    """A loss that is no number after a few steps."""
    net = network_without_norms()
    try:
        run(net, folder, compute=compute, recipe=recipe(peak_lr=1e20))
    except DivergenceError as error:
        return net, str(error)
    return net, "it should have diverged"


def together(folder: Path, compute: Compute) -> tuple[nn.Module, Any]:
    """What ranks have in common, each of them having brought its number."""
    del folder
    rank, team = this_rank(), Team.of(open_fabric(compute))
    net = nn.Sequential(nn.BatchNorm2d(2), nn.Linear(1, 1))
    net.register_buffer("constant", torch.tensor([0.1 + rank]))
    statistics = net[0].running_mean, net[0].running_var, net[0].num_batches_tracked
    for tensor, value in zip(statistics, (1.0 + rank, 3.0 + 4 * rank, 7 + rank), strict=True):
        tensor.fill_(value)  # type: ignore[operator]
    team.level(net)
    owned = nn.Parameter(torch.zeros(2))
    owned.grad = torch.tensor([1.0 + rank, -1.0])
    team.average_gradients([owned, nn.Parameter(torch.zeros(1))])
    try:
        team.agree(3 + rank)
        agreed = "yes"
    except StoreError as error:
        agreed = str(error)
    said = {
        "team": [team.size, team.leads == (rank == 0)],
        "total": team.total(torch.tensor([1.0 + rank, 10.0], dtype=torch.float64)).tolist(),
        "gradient": owned.grad.tolist(),
        "statistics": [tensor.flatten().tolist() for tensor in statistics],  # type: ignore[operator]
        "constant": net.constant.tolist(),  # type: ignore[operator]
        "gathered": {name: tensor.tolist() for name, tensor in team.gathered({"n": torch.tensor(rank)}).items()},
        "agreed": agreed.replace("3", "n").replace("4", "n"),
    }
    team.agree(5)
    return net[0], said


LONG = recipe(epochs=60, batch=50, schedule="constant", peak_lr=0.01)


def long(folder: Path, compute: Compute) -> tuple[nn.Module, Any]:
    """Many short epochs, a checkpoint after each."""
    net = network(dropout=0.3)
    read = whole_batches(compute)
    trained = run(net, folder, compute=compute, recipe=LONG, stream=read, validation=None, checkpoint_seconds=0.0)
    return net, trained.history


CASES: dict[str, Case] = {
    case.__name__: case
    for case in (
        plain,
        masked,
        counted,
        slimmed,
        not_slimmed,
        whole,
        resumed,
        drawn,
        continued,
        diverging,
        together,
        long,
    )
}
ALL = [name for name in CASES if name != "long"]


def do(name: str, folder: Path, compute: Compute) -> dict[str, Any]:
    """One case in this process. What stands behind a blank in its name only tells it from another time."""
    net, said = CASES[name.partition(" ")[0]](folder, compute)
    if this_rank() == 0:
        folder.mkdir(parents=True, exist_ok=True)
        save_weights(net, folder / "weights.safetensors")
    weights = b"".join(tensor.numpy().tobytes() for tensor in on_cpu("", net.state_dict()).values())
    return {"said": said, "weights": hashlib.sha256(weights).hexdigest()}


def work(request: str, tell: Tell) -> dict[str, Any]:
    """All cases that are asked for, each in a folder of its name, on as many devices as there are ranks."""
    asked = json.loads(request)
    torch.set_num_threads(1)
    results = {}
    for name in asked["cases"]:
        tell({"begins": name})
        found = do(name, Path(asked["folder"], name), Compute(devices=asked["devices"]))
        everybody: list[Any] = [None] * asked["devices"]
        torch.distributed.all_gather_object(everybody, found)
        results[name] = {**found, "same": all(one == found for one in everybody)}
    return results


def spread(cases: list[str], folder: Path, devices: int = 2, tell: Tell = lambda _: None) -> Any:
    """Cases on several devices, in processes of their own."""
    return run_ranks(
        [sys.executable, "-m", "tests.training.rank_work"],
        devices=devices,
        request=json.dumps({"cases": cases, "folder": str(folder), "devices": devices}),
        tell=tell,
        environment={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OMP_NUM_THREADS": "1"},
    )


if __name__ == "__main__":
    serve(work)
