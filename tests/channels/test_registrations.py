from __future__ import annotations

import copy
import threading

import pytest
import torch
from torch import Tensor, nn

from regrow.channels.registrations import listening, record, tensor_names
from regrow.errors import PruningError


class Odd(nn.Module):
    """Registers, replaces, ties and copies."""

    def __init__(self) -> None:
        super().__init__()
        self.replaced = nn.Linear(4, 3)
        self.replaced.weight = nn.Parameter(torch.zeros(3, 4))
        self.reader = nn.Linear(4, 5, bias=False)
        self.writer = nn.Linear(4, 5, bias=False)
        self.writer.weight = self.reader.weight
        self.head = nn.Linear(3, 7)
        self.head = nn.Linear(3, 2)
        layer = nn.Linear(6, 6)
        self.layers = nn.ModuleList([copy.deepcopy(layer) for _ in range(2)])
        self.register_buffer("table", torch.arange(6.0), persistent=False)


@pytest.fixture(params=[True, False], ids=["on meta", "on the CPU"])
def on_meta(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_every_registration_is_followed_to_the_name_it_ends_under(on_meta: bool) -> None:
    recording = record(Odd, on_meta=on_meta)
    assert [(entry.attribute, entry.shape, entry.name) for entry in recording.registrations] == [
        ("weight", (3, 4), "replaced.weight"),
        ("bias", (3,), "replaced.bias"),
        ("weight", (3, 4), "replaced.weight"),
        ("weight", (5, 4), "reader.weight"),
        # The writer's own weight gave way to the reader's.
        ("weight", (5, 4), "reader.weight"),
        ("weight", (5, 4), "reader.weight"),
        # Nothing is left of the first head.
        ("weight", (7, 3), None),
        ("bias", (7,), None),
        ("weight", (2, 3), "head.weight"),
        ("bias", (2,), "head.bias"),
        # Only copies of this layer are left.
        ("weight", (6, 6), "layers.0.weight"),
        ("bias", (6,), "layers.0.bias"),
        ("table", (6,), "table"),
    ]


def test_tied_tensors_have_one_name_and_all_of_them_lead_to_it(on_meta: bool) -> None:
    recording = record(Odd, on_meta=on_meta)
    assert recording.names["writer.weight"] == "reader.weight"
    assert "writer.weight" not in recording.tensors
    assert "table" in recording.tensors
    assert all(tensor.is_meta == on_meta for tensor in recording.tensors.values())


@pytest.mark.parametrize(
    ("wrap", "name"),
    [
        (nn.utils.parametrizations.weight_norm, "parametrizations.weight.original1"),
        (nn.utils.parametrizations.spectral_norm, "parametrizations.weight.original"),
        (nn.utils.spectral_norm, "weight_orig"),
    ],
)
def test_a_parametrized_weight_is_found_behind_its_parametrization(wrap: object, name: str) -> None:
    recording = record(lambda: wrap(nn.Linear(4, 3)), on_meta=False)  # type: ignore[operator]
    assert (recording.registrations[0].attribute, recording.registrations[0].name) == ("weight", name)


def test_a_lazy_parameter_has_no_shape_yet() -> None:
    def build() -> nn.Module:
        network = nn.Sequential(nn.LazyLinear(3))
        network(torch.zeros(1, 5))
        return network

    recording = record(build, on_meta=False)
    # The lazy layer first registers empty tensors of its parent class.
    assert [entry.name for entry in recording.registrations if entry.shape == (0, 0)] == [None]
    assert [entry.name for entry in recording.registrations if entry.shape is None] == ["0.weight", "0.bias"]
    assert recording.tensors["0.weight"].shape == (3, 5)


def test_on_meta_nothing_is_filled() -> None:
    def build() -> nn.Module:
        layer = nn.Linear(4, 3)
        nn.init.trunc_normal_(layer.weight)
        return layer

    state = torch.get_rng_state()
    record(build, on_meta=True)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("kept", ["all of it", "a part"])
def test_a_factory_that_keeps_a_network_between_calls_is_refused(kept: str) -> None:
    backbone = nn.Linear(4, 3)

    def build() -> nn.Module:
        return backbone if kept == "all of it" else nn.Sequential(backbone, nn.Linear(3, 2))

    with pytest.raises(PruningError, match="anew at every call") as caught:
        record(build, on_meta=False)
    assert ("'0'" if kept == "a part" else "'Linear'") in str(caught.value)
    # Having been recorded once does not make it new.
    with pytest.raises(PruningError, match="anew at every call"):
        record(lambda: backbone, on_meta=False)


def test_a_cached_network_is_refused_the_second_time() -> None:
    built: list[nn.Module] = []

    def build() -> nn.Module:
        if not built:
            built.append(nn.Linear(4, 3))
        return built[0]

    record(build, on_meta=False)
    with pytest.raises(PruningError, match="anew at every call"):
        record(build, on_meta=False)


def test_only_this_thread_is_heard_and_only_while_listening() -> None:
    heard: list[str] = []

    def hear(module: nn.Module, attribute: str, tensor: Tensor) -> None:
        heard.append(attribute)

    with listening(hear):
        other = threading.Thread(target=nn.Linear, args=(2, 2))
        other.start()
        other.join()
        nn.Linear(2, 2, bias=False)
    nn.Linear(2, 2)
    assert heard == ["weight"]


def test_names_lead_to_the_first_name_of_a_tensor() -> None:
    network = Odd()
    first, names = tensor_names(network)
    assert first.keys() == dict([*network.named_parameters(), *network.named_buffers()]).keys()
    assert names["writer.weight"] == "reader.weight"
