from __future__ import annotations

import copy
import functools
import math
import random
import warnings
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn

from regrow.channels.architecture import Architecture, Correction, KeptChannels
from regrow.channels.fingerprint import fingerprint
from regrow.channels.redraw import RedrawWarning
from regrow.channels.replay import regrow
from regrow.errors import PruningError
from regrow.networks.build import build
from regrow.networks.settings import NetworkSettings
from regrow.networks.zoo import dense_spec
from regrow.pruning.anything import prune_network
from regrow.randomness import seeded

from .residual import IMAGES, Around, Deep
from .width_by_hand import between, named_tensors, shapes, unlike
from .zoo_networks import random_architecture

Build = Callable[[int], nn.Module]
"""A network of some width."""


def half(build_at: Build, wide: int = 64, *, corrections: tuple[Correction, ...] = ()) -> tuple[nn.Module, nn.Module]:
    """The network regrown at half its width, and the one that was built at that width by hand."""
    with seeded(0, "by hand"):
        dense, small = build_at(wide), build_at(wide // 2)
    fresh = regrow(between(dense, small, corrections), lambda: build_at(wide), 1)
    assert shapes(fresh) == shapes(small)
    return fresh, small


@pytest.mark.parametrize("name", ["vgg11", "vgg16", "resnet20", "preresnet20", "densenet40", "densenet-bc100"])
class TestTheZoo:
    def test_replay_equals_the_network_built_at_the_small_widths(self, name: str) -> None:
        spec = dense_spec(NetworkSettings(name=name, width=0.5), classes=10, shape=(3, 16, 16))
        dense = build(spec, 0)
        by_hand = replace(spec, widths=tuple(max(1, width // 2) for width in spec.widths))
        kept = tuple(
            KeptChannels(group=group.name, channels=width, indices=tuple(range(1, 2 * few, 2)), slices=group.slices)
            for group, width, few in zip(dense.channel_groups(), spec.widths, by_hand.widths, strict=True)
        )
        architecture = Architecture(dense=None, kept=kept, fingerprint=fingerprint(dense), regrow="test")
        fresh, small = regrow(architecture, lambda: build(spec, 0), 3), build(by_hand, 4)
        assert shapes(fresh) == shapes(small)
        assert repr(fresh) == repr(small)
        assert unlike(fresh, small) == []
        images = torch.randn(2, 3, 16, 16)
        fresh(images).sum().backward()

    def test_an_architecture_of_the_zoo_is_built_at_its_widths(self, name: str) -> None:
        spec = dense_spec(NetworkSettings(name=name, width=0.25), classes=5, shape=(2, 8, 8))
        dense = build(spec, 0)
        architecture = random_architecture(dense, spec)
        fresh = regrow(architecture, lambda: dense, 3, "scratch")
        assert fingerprint(fresh) == fingerprint(build(architecture.pruned_spec(), 3, "scratch"))


def _resnet(width: int) -> nn.Module:
    block = torchvision.models.resnet.Bottleneck
    return torchvision.models.ResNet(block, [1, 1, 1, 1], zero_init_residual=True, width_per_group=width)


def test_a_residual_network_keeps_its_authors_zeros_and_fan_out() -> None:
    fresh, small = half(_resnet)
    assert unlike(fresh, small) == []
    assert repr(fresh) == repr(small)
    assert not fresh.layer1[0].bn3.weight.any()
    fresh(torch.randn(2, 3, 32, 32)).sum().backward()


def test_timm_networks_equal_those_built_by_hand() -> None:
    timm = pytest.importorskip("timm")
    vit = functools.partial(timm.create_model, "vit_tiny_patch16_224", img_size=32, num_heads=4)
    fresh, small = half(lambda width: vit(embed_dim=width), 256)
    assert unlike(fresh, small) == []
    convnext = functools.partial(timm.create_model, "convnext_atto", depths=(1, 1, 1, 1))
    fresh, small = half(lambda width: convnext(dims=(width, 2 * width, 4 * width, 8 * width)))
    assert unlike(fresh, small) == []
    fresh(torch.randn(2, 3, 32, 32)).sum().backward()


def test_transformers_networks_equal_those_built_by_hand() -> None:
    transformers = pytest.importorskip("transformers")
    bert = functools.partial(transformers.BertConfig, num_hidden_layers=2, vocab_size=500, num_attention_heads=4)
    fresh, small = half(lambda width: transformers.BertModel(bert(hidden_size=width, intermediate_size=2 * width)), 256)
    assert unlike(fresh, small) == []


def test_rotary_tables_keep_the_frequencies_of_the_kept_dimensions() -> None:
    transformers = pytest.importorskip("transformers")
    llama = functools.partial(
        transformers.LlamaConfig, num_hidden_layers=1, vocab_size=100, num_attention_heads=2, intermediate_size=64
    )
    fresh, _ = half(lambda width: transformers.LlamaForCausalLM(llama(hidden_size=width)))
    dense = transformers.LlamaForCausalLM(llama(hidden_size=64))
    assert torch.equal(fresh.model.rotary_emb.inv_freq, dense.model.rotary_emb.inv_freq[::2])


class Own(nn.Module):
    """Everything that authors do in constructors, at once."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(40, width)
        self.first.weight = nn.Parameter(torch.empty(width, 40))
        self.positions = nn.Parameter(0.02 * torch.randn(50, width))
        self.scale = nn.Parameter(1e-6 * torch.ones(width))
        self.cells = nn.LSTM(width, width)
        self.norm = nn.GroupNorm(8, width)
        self.words = nn.Embedding(60, width)
        self.decoder = nn.Linear(width, 60, bias=False)
        self.decoder.weight = self.words.weight
        self.register_buffer("steps", torch.arange(width).float(), persistent=False)
        self.register_buffer("counts", torch.arange(7))
        self.wrapped = nn.utils.parametrizations.weight_norm(nn.Linear(width, 48))
        held = nn.Parameter(torch.empty(width, 48))
        self.held = held
        nn.init.xavier_normal_(held)
        nn.init.kaiming_normal_(self.first.weight)
        self.apply(self._initialise)

    def _initialise(self, module: nn.Module) -> None:
        if isinstance(module, nn.Embedding):
            module.weight.data.normal_(std=module.embedding_dim**-0.5)


class TestWhatAuthorsDo:
    def test_every_tensor_is_spread_as_by_hand(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RedrawWarning)
            fresh, small = half(Own, 128)
        assert unlike(fresh, small, large=1000) == []
        assert repr(fresh) == repr(small)

    def test_ties_hold(self) -> None:
        fresh, _ = half(Own)
        assert fresh.decoder.weight is fresh.words.weight

    def test_tables_are_cut_to_the_kept_indices_and_integers_are_left(self) -> None:
        fresh, _ = half(Own)
        assert fresh.steps.tolist() == list(range(0, 64, 2))
        assert fresh.counts.tolist() == list(range(7))
        assert "steps" not in fresh.state_dict()

    def test_the_network_trains(self) -> None:
        fresh, _ = half(Own)
        hidden, _ = fresh.cells(fresh.first(torch.randn(5, 2, 40)))
        fresh.wrapped(fresh.norm(hidden.flatten(0, 1))).sum().backward()
        assert fresh.first.weight.grad.shape == (32, 40)


def _linear_stack(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(30, width), nn.ReLU(), nn.Linear(width, 20))


class TestSeeds:
    def test_equal_seeds_give_equal_bits_and_others_do_not(self) -> None:
        architecture = between(_linear_stack(16), _linear_stack(8))
        prints = [
            fingerprint(regrow(architecture, lambda: _linear_stack(16), *seed)) for seed in [(1, "a"), (1, "a"), (2,)]
        ]
        assert prints[0] == prints[1] != prints[2]

    def test_the_state_of_the_callers_generators_is_neither_read_nor_moved(self) -> None:
        def build_at(width: int) -> nn.Module:
            network = _linear_stack(width)
            with torch.no_grad():
                network[0].bias.add_(random.random() + float(np.random.rand()))  # noqa: NPY002
            return network

        architecture = between(build_at(16), build_at(8))
        prints = []
        for start in (1, 2):
            torch.manual_seed(start)
            random.seed(start)
            np.random.seed(start)  # noqa: NPY002
            before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
            prints.append(fingerprint(regrow(architecture, lambda: build_at(16), 0)))
            after = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
            assert torch.equal(before[0], after[0])
            assert before[1:] == after[1:]
        assert prints[0] == prints[1]

    def test_two_regrown_networks_share_nothing(self) -> None:
        architecture = between(_linear_stack(16), _linear_stack(8))
        one, other = (regrow(architecture, lambda: _linear_stack(16), 0) for _ in range(2))
        with torch.no_grad():
            one[0].weight.zero_()
        assert other[0].weight.any()


class Heads(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = 4
        self.head_dim = width // 4
        self.proj = nn.Linear(width, 8)

    def forward(self, values: Tensor) -> Tensor:
        output: Tensor = self.proj(values.reshape(len(values), self.heads, self.head_dim).flatten(1))
        return output


def test_corrections_reach_the_modules() -> None:
    correction = Correction(module="", attribute="head_dim", dense=16, small=8)
    fresh, small = half(Heads, corrections=(correction,))
    assert fresh.head_dim == 8
    assert fresh(torch.ones(3, 32)).shape == small(torch.ones(3, 32)).shape


class Configured(nn.Module):
    """Two modules that share one configuration, as networks of transformers do, and a list that the caller made."""

    def __init__(self, config: SimpleNamespace, inner: nn.Module | None = None) -> None:
        super().__init__()
        self.config = config
        self.widths = config.widths
        self.layer = nn.Linear(config.width, 8)
        if inner is not None:
            self.inner = inner


def test_the_callers_configuration_is_left_as_it_is() -> None:
    config = SimpleNamespace(width=64, widths=[64, 8])

    def build_at(width: int) -> nn.Module:
        chosen = config if width == 64 else SimpleNamespace(width=width, widths=[width, 8])
        return Configured(chosen, Configured(chosen))

    corrections = tuple(
        Correction(module=module, attribute=attribute, dense=64, small=32)
        for module in ("", "inner")
        for attribute in ("config.width", "widths.0")
    )
    for _ in range(2):
        fresh, _ = half(build_at, corrections=corrections)
        assert fresh.config is fresh.inner.config
        assert (fresh.config.width, fresh.widths) == (32, [32, 8])
    assert config == SimpleNamespace(width=64, widths=[64, 8])


def test_layers_made_without_memory_are_filled_at_the_small_shape() -> None:
    def build_at(width: int) -> nn.Module:
        layer = nn.utils.skip_init(nn.Linear, width, 100)
        nn.init.kaiming_normal_(layer.weight)
        nn.init.zeros_(layer.bias)
        return layer

    with warnings.catch_warnings():
        warnings.simplefilter("error", RedrawWarning)
        fresh, small = half(build_at)
    assert unlike(fresh, small) == []


def test_a_correction_outranks_what_shapes_imply() -> None:
    corrections = tuple(
        Correction(module="", attribute=attribute, dense=dense, small=small)
        for attribute, dense, small in [("num_heads", 8, 4), ("head_dim", 8, 8)]
    )
    fresh, _ = half(lambda width: nn.MultiheadAttention(width, 8), corrections=corrections)
    assert (fresh.num_heads, fresh.head_dim, fresh.embed_dim) == (4, 8, 32)


class OwnCell(nn.Module):
    """Initialises by a size of its own, as recurrent cells do."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.weight = nn.Parameter(torch.empty(width, 100))
        bound = 1 / math.sqrt(self.width)
        nn.init.uniform_(self.weight, -bound, bound)


def test_a_corrected_size_is_seen_by_the_initialisation_that_follows() -> None:
    fresh, small = half(OwnCell, corrections=(Correction(module="", attribute="width", dense=64, small=32),))
    assert unlike(fresh, small) == []


def test_copies_of_a_layer_follow_the_layer_they_were_copied_from() -> None:
    def build_at(width: int) -> nn.Module:
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, batch_first=True)
        return nn.TransformerEncoder(layer, 2)

    fresh, small = half(build_at)
    assert unlike(fresh, small) == []
    assert repr(fresh) == repr(small)
    assert fresh(torch.randn(2, 5, 32)).shape == (2, 5, 32)


class TestWhatCannotBeReplayed:
    def test_copies_that_keep_different_numbers_of_channels_are_redrawn_and_named(self) -> None:
        def build_at(first: int, second: int) -> nn.Module:
            layer = nn.Linear(200, 64)
            layers = nn.ModuleList([copy.deepcopy(layer) for _ in range(2)])
            return layers if first == second == 64 else nn.ModuleList([nn.Linear(200, first), nn.Linear(200, second)])

        architecture = between(build_at(64, 64), build_at(32, 48))
        with pytest.warns(RedrawWarning, match=r"0\.weight .*1\.weight .* because copies of one layer"):
            fresh = regrow(architecture, lambda: build_at(64, 64), 0)
        assert [layer.out_features for layer in fresh] == [32, 48]
        assert unlike(fresh, build_at(32, 48)) == []

    def test_a_constructor_that_refuses_small_shapes_is_redrawn_and_says_why(self) -> None:
        def build_at(width: int) -> nn.Module:
            network = _linear_stack(width)
            with torch.no_grad():
                network[0].weight[width - 1].mul_(1)
            return network

        with pytest.warns(RedrawWarning, match=r"0\.weight \(std as .*IndexError"):
            fresh, small = half(build_at, 128)
        assert unlike(fresh, small, large=1000) == []
        assert repr(fresh) == repr(small)

    def test_values_that_replace_a_tensor_at_the_dense_shape_are_cut(self) -> None:
        def build_at(width: int) -> nn.Module:
            network = nn.Sequential(nn.Linear(30, width), nn.Linear(30, width), nn.Linear(30, width))
            with torch.no_grad():
                network[0].weight.copy_(torch.arange(30 * width).reshape(width, 30))
                network[1].weight[:] = torch.arange(30 * width).reshape(width, 30)
                network[2].weight.data = torch.arange(30.0 * width).reshape(width, 30)
            return network

        fresh, _ = half(build_at, 16)
        for layer in fresh:
            assert layer.weight[:, 0].tolist() == list(range(0, 480, 60))

    def test_a_scale_that_came_with_the_registration_is_corrected_and_named(self) -> None:
        class Research(nn.Module):
            def __init__(self, width: int) -> None:
                super().__init__()
                self.matrix = nn.Parameter(torch.randn(100, width) / math.sqrt(width))

        with pytest.warns(RedrawWarning, match=r"matrix \(std as sqrt\(1 / fan_in\)\) were drawn by a dense size"):
            fresh, small = half(Research)
        assert unlike(fresh, small) == []

    def test_a_scale_computed_from_an_argument_is_corrected_and_named(self) -> None:
        def build_at(width: int) -> nn.Module:
            network = nn.Sequential(nn.Linear(width, 400), nn.Linear(width, 400))
            nn.init.normal_(network[0].weight, std=width**-0.5)
            nn.init.normal_(network[1].weight, std=0.7 * width**-0.5)
            return network

        with pytest.warns(RedrawWarning, match=r"0\.weight .* were drawn by a dense size.*1\.weight may be, too"):
            fresh, small = half(build_at, 256)
        assert [entry.partition(":")[0] for entry in unlike(fresh, small)] == ["1.weight"]

    def test_a_factory_that_differs_from_run_to_run_is_refused(self) -> None:
        runs = iter(range(100))

        def unsteady() -> nn.Module:
            return nn.Sequential(*(nn.Linear(16, 16) for _ in range(1 + next(runs))))

        architecture = between(nn.Sequential(nn.Linear(16, 16)), nn.Sequential(nn.Linear(8, 16)))
        with pytest.raises(PruningError, match="networks of different make"):
            regrow(architecture, unsteady, 0)

    def test_a_factory_of_another_network_is_refused(self) -> None:
        architecture = between(_linear_stack(16), _linear_stack(8))
        with pytest.raises(PruningError, match="names the tensor"):
            regrow(architecture, lambda: nn.Linear(16, 16), 0)

    def test_a_factory_that_hands_out_one_network_is_refused(self) -> None:
        network = _linear_stack(16)
        with pytest.raises(PruningError, match="anew at every call"):
            regrow(between(network, _linear_stack(8)), lambda: network, 0)

    def test_an_error_of_the_factory_itself_is_the_callers_to_see(self) -> None:
        def broken() -> nn.Module:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            regrow(between(_linear_stack(16), _linear_stack(8)), broken, 0)


def test_a_factory_that_needs_real_numbers_is_recorded_on_the_cpu() -> None:
    def build_at(width: int) -> nn.Module:
        assert float(torch.ones(1).item()) == 1
        return _linear_stack(width)

    fresh, small = half(build_at, 128)
    assert unlike(fresh, small) == []


def test_lazy_layers_are_made_small_before_they_know_their_inputs() -> None:
    def build_at(width: int) -> nn.Module:
        network = nn.Sequential(nn.LazyLinear(width), nn.LazyLinear(50))
        network(torch.zeros(1, 40))
        return network

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Lazy modules are a new feature")
        warnings.simplefilter("error", RedrawWarning)
        fresh, small = half(build_at, 128)
    assert unlike(fresh, small) == []
    assert repr(fresh) == repr(small)


def test_modes_dtypes_and_frozen_parameters_are_the_factorys() -> None:
    def build_at(width: int) -> nn.Module:
        network = _linear_stack(width).eval().to(torch.bfloat16)
        network[0].weight.requires_grad_(False)
        return network

    fresh, _ = half(build_at)
    assert not fresh.training
    assert fresh[0].weight.dtype == torch.bfloat16
    assert [tensor.requires_grad for tensor in named_tensors(fresh).values()] == [False, True, True, True]


def test_removed_blocks_are_drawn_and_dropped_so_that_the_rest_has_the_same_bits() -> None:
    def factory() -> nn.Module:
        return Around(Deep(), Deep(), Deep())

    with seeded(0):
        architecture = prune_network(factory(), IMAGES, fraction=0.5).architecture
    without = architecture.without(["blocks.1"])
    whole, left = regrow(replace(without, removed=()), factory, 3).state_dict(), regrow(without, factory, 3)
    assert isinstance(left.get_submodule("blocks.1"), nn.Identity)
    assert left.state_dict().keys() == {name for name in whole if not name.startswith("blocks.1.")}
    assert all(torch.equal(tensor, whole[name]) for name, tensor in left.state_dict().items())
    left(torch.randn(2, 3, 8, 8)).sum().backward()


def test_a_network_of_the_zoo_is_built_without_its_removed_blocks() -> None:
    spec = dense_spec(NetworkSettings(name="resnet20", width=0.25), classes=5, shape=(2, 8, 8))
    dense = build(spec, 0)
    architecture = random_architecture(dense, spec).without(["stage2.block2"])
    fresh = regrow(architecture, lambda: dense, 3, "scratch")
    assert fingerprint(fresh) == fingerprint(build(architecture.pruned_spec(), 3, "scratch"))
    assert isinstance(fresh.get_submodule("stage2.block2"), nn.Identity)
