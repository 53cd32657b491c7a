from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from regrow.channels.architecture import Correction
from regrow.channels.module_sizes import correct, leaf_sizes, read_size, write_size
from regrow.errors import PruningError

from .width_by_hand import shapes

IMAGE = (2, 4, 5, 5)


class OwnLinear(nn.Linear):
    """A subclass counts as its parent."""


LAYERS: dict[str, tuple[Callable[[], nn.Module], Callable[[], nn.Module], tuple[tuple[int, ...], ...]]] = {
    "linear": (lambda: nn.Linear(8, 6), lambda: nn.Linear(4, 3), ((2, 4),)),
    "subclass": (lambda: OwnLinear(8, 6, bias=False), lambda: OwnLinear(4, 3, bias=False), ((2, 4),)),
    "bilinear": (lambda: nn.Bilinear(8, 6, 4), lambda: nn.Bilinear(4, 5, 2), ((2, 4), (2, 5))),
    "convolution": (lambda: nn.Conv2d(8, 6, 3), lambda: nn.Conv2d(4, 3, 3), (IMAGE,)),
    "one axis": (lambda: nn.Conv1d(8, 6, 3), lambda: nn.Conv1d(4, 3, 3), ((2, 4, 5),)),
    "grouped": (lambda: nn.Conv2d(8, 8, 3, groups=2), lambda: nn.Conv2d(4, 4, 3, groups=2), (IMAGE,)),
    "depthwise": (lambda: nn.Conv2d(8, 8, 3, groups=8), lambda: nn.Conv2d(4, 4, 3, groups=4), (IMAGE,)),
    "multiplier": (lambda: nn.Conv2d(8, 16, 3, groups=8), lambda: nn.Conv2d(4, 8, 3, groups=4), (IMAGE,)),
    "transposed": (lambda: nn.ConvTranspose2d(8, 6, 3), lambda: nn.ConvTranspose2d(4, 3, 3), (IMAGE,)),
    "transposed groups": (
        lambda: nn.ConvTranspose2d(8, 8, 3, groups=2),
        lambda: nn.ConvTranspose2d(4, 4, 3, groups=2),
        (IMAGE,),
    ),
    "batch norm": (lambda: nn.BatchNorm2d(8), lambda: nn.BatchNorm2d(4), (IMAGE,)),
    "statistics alone": (
        lambda: nn.BatchNorm2d(8, affine=False),
        lambda: nn.BatchNorm2d(4, affine=False),
        (IMAGE,),
    ),
    "instance norm": (
        lambda: nn.InstanceNorm2d(8, affine=True),
        lambda: nn.InstanceNorm2d(4, affine=True),
        (IMAGE,),
    ),
    "layer norm": (lambda: nn.LayerNorm((8, 6)), lambda: nn.LayerNorm((4, 3)), ((2, 4, 3),)),
    "rms norm": (lambda: nn.RMSNorm(8), lambda: nn.RMSNorm(4), ((2, 4),)),
    "group norm": (lambda: nn.GroupNorm(2, 8), lambda: nn.GroupNorm(2, 4), (IMAGE,)),
    "group norm by group": (lambda: nn.GroupNorm(4, 8), lambda: nn.GroupNorm(3, 6), ((2, 6, 5),)),
    "prelu": (lambda: nn.PReLU(8), lambda: nn.PReLU(4), (IMAGE,)),
    "lstm": (
        lambda: nn.LSTM(8, 10, 2, bidirectional=True, proj_size=6),
        lambda: nn.LSTM(4, 5, 2, bidirectional=True, proj_size=3),
        ((7, 2, 4),),
    ),
    "gru": (lambda: nn.GRU(8, 6), lambda: nn.GRU(4, 3), ((7, 2, 4),)),
    "rnn": (lambda: nn.RNN(8, 6), lambda: nn.RNN(4, 3), ((7, 2, 4),)),
    "lstm cell": (lambda: nn.LSTMCell(8, 6), lambda: nn.LSTMCell(4, 3), ((2, 4),)),
    "gru cell": (lambda: nn.GRUCell(8, 6), lambda: nn.GRUCell(4, 3), ((2, 4),)),
    "rnn cell": (lambda: nn.RNNCell(8, 6), lambda: nn.RNNCell(4, 3), ((2, 4),)),
    "attention": (
        lambda: nn.MultiheadAttention(8, 2),
        lambda: nn.MultiheadAttention(4, 2),
        ((5, 2, 4), (5, 2, 4), (5, 2, 4)),
    ),
    "attention with other keys": (
        lambda: nn.MultiheadAttention(8, 2, kdim=6, vdim=10),
        lambda: nn.MultiheadAttention(4, 2, kdim=3, vdim=5),
        ((5, 2, 4), (5, 2, 3), (5, 2, 5)),
    ),
    "a head less": (
        lambda: nn.MultiheadAttention(12, 4),
        lambda: nn.MultiheadAttention(9, 3),
        ((5, 2, 9), (5, 2, 9), (5, 2, 9)),
    ),
}


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("name", LAYERS)
def test_a_dense_layer_with_small_tensors_and_the_implied_sizes_is_the_small_layer(name: str) -> None:
    build_dense, build_small, inputs = LAYERS[name]
    dense, small = build_dense(), build_small()
    for path, module in list(dense.named_modules()):
        other = small.get_submodule(path)
        sizes = leaf_sizes(module, {own: tuple(tensor.shape) for own, tensor in _own(other).items()})
        for attribute, size in sizes.items():
            assert read_size(other, attribute) == size
            write_size(module, attribute, size)
        for own, tensor in _own(other).items():
            getattr(module, own).data = tensor.detach().clone()
    assert repr(dense) == repr(small)
    numbers = [torch.randn(shape) for shape in inputs]
    assert torch.equal(_first(dense(*numbers)), _first(small(*numbers)))


def _own(module: nn.Module) -> dict[str, Tensor]:
    return dict([*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)])


def _first(output: Tensor | tuple[Tensor, ...]) -> Tensor:
    return output if isinstance(output, Tensor) else output[0]


def test_an_embedding_follows_its_table() -> None:
    assert leaf_sizes(nn.Embedding(10, 8), {"weight": (10, 4)}) == {"num_embeddings": 10, "embedding_dim": 4}
    assert leaf_sizes(nn.EmbeddingBag(10, 8), {"weight": (6, 8)}) == {"num_embeddings": 6, "embedding_dim": 8}


def test_a_lazy_layer_follows_the_shapes_it_will_have() -> None:
    assert leaf_sizes(nn.LazyLinear(8), {"weight": (4, 3), "bias": (4,)})["out_features"] == 4


def test_the_kept_indices_say_whether_groups_went_or_a_part_of_each() -> None:
    layer = nn.Conv2d(8, 8, 3, groups=4)
    whole = torch.tensor([True] * 4 + [False] * 4)
    parts = torch.tensor([True, False] * 4)
    small = {"weight": (4, 2, 3, 3)}
    assert leaf_sizes(layer, small, {"weight": whole}) == {"groups": 2, "in_channels": 4, "out_channels": 4}
    assert leaf_sizes(layer, small, {"weight": parts}) == {"groups": 4, "in_channels": 8, "out_channels": 4}
    norm = nn.GroupNorm(4, 8)
    assert leaf_sizes(norm, {"weight": (4,)}, {"weight": whole}) == {"num_groups": 2, "num_channels": 4}
    assert leaf_sizes(norm, {"weight": (4,)}, {"weight": parts}) == {"num_groups": 4, "num_channels": 4}


def test_the_kept_indices_say_whether_heads_went_or_a_part_of_each() -> None:
    attention = nn.MultiheadAttention(8, 4)
    heads = torch.tensor([True] * 4 + [False] * 4).repeat(3)
    found = leaf_sizes(attention, {"in_proj_weight": (12, 4)}, {"in_proj_weight": heads})
    assert (found["num_heads"], found["head_dim"]) == (2, 2)
    dims = torch.tensor([True, False] * 4).repeat(3)
    found = leaf_sizes(attention, {"in_proj_weight": (12, 4)}, {"in_proj_weight": dims})
    assert (found["num_heads"], found["head_dim"]) == (4, 1)


@pytest.mark.parametrize("name", LAYERS)
def test_without_its_weight_a_layer_says_nothing(name: str) -> None:
    assert leaf_sizes(LAYERS[name][0](), {}) == {}


def test_a_module_of_an_unknown_class_says_nothing() -> None:
    assert leaf_sizes(nn.ReLU(), {"weight": (3,)}) == {}


class Pair(NamedTuple):
    first: int
    second: int


class Configured(nn.Module):
    """Sizes in every kind of place."""

    def __init__(self, config: SimpleNamespace) -> None:
        super().__init__()
        self.config = config
        self.heads = 8
        self.pair = Pair(8, 3)
        self.nested = {"a": [(8, 1)], 2: 8}

    @property
    def fixed(self) -> int:
        return 8


def test_numbers_are_read_and_written_along_dotted_paths() -> None:
    module = Configured(SimpleNamespace(width=8))
    for path in ("heads", "config.width", "pair.0", "nested.a.0.0", "nested.2"):
        assert read_size(module, path) == 8
        write_size(module, path, 4)
        assert read_size(module, path) == 4
    assert module.pair == Pair(4, 3) and isinstance(module.pair, Pair)
    assert module.nested == {"a": [(4, 1)], 2: 4}


def _correction(module: str, attribute: str, dense: int = 8, small: int = 4) -> Correction:
    return Correction(module=module, attribute=attribute, dense=dense, small=small)


def test_an_object_that_several_modules_share_is_corrected_once() -> None:
    config = SimpleNamespace(width=8)
    network = nn.Sequential(Configured(config), Configured(config))
    correct(network, [_correction("0", "config.width"), _correction("1", "config.width"), _correction("1", "heads")])
    assert config.width == 4
    assert (network[0].heads, network[1].heads) == (8, 4)


def test_a_correction_of_the_network_itself_has_no_module_name() -> None:
    network = Configured(SimpleNamespace(width=8))
    correct(network, [_correction("", "heads")])
    assert network.heads == 4


@pytest.mark.parametrize(
    ("correction", "says"),
    [
        (_correction("0", "config.width", 6, 3), "0.config.width from 6 to 3, but this network has 8"),
        (_correction("0", "depth"), "no attribute 'depth'"),
        (_correction("7", "heads"), "7.heads from 8 to 4"),
        (_correction("0", "pair.5"), "0.pair.5"),
        (_correction("0", "fixed"), "does not let it"),
    ],
)
def test_a_correction_that_does_not_fit_the_network_is_refused(correction: Correction, says: str) -> None:
    network = nn.Sequential(Configured(SimpleNamespace(width=8)))
    with pytest.raises(PruningError, match="Pass the network, or the factory") as caught:
        correct(network, [correction])
    assert says in str(caught.value)


def test_the_table_covers_every_layer_of_torch_that_has_weights() -> None:
    """A new layer class of torch with parameters of its own shows up here."""
    assert {name for name, (dense, _, _) in LAYERS.items() if not leaf_sizes(dense(), shapes(dense()))} == set()
