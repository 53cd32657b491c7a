from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from regrow.pruning.choice import choose
from regrow.pruning.report import Report, Untouched, cost_with, reported
from regrow.pruning.shares import Wish

from .traced import TRACED, residual


class TwoInputs(nn.Module):
    """Takes its inputs by position or by name, and a switch that is no tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.out = nn.Embedding(9, 4), nn.Linear(4, 2)

    def forward(self, tokens: Tensor, scale: Tensor, twice: bool = False) -> Tensor:
        """Logits of shape [N, 2]."""
        hidden = self.table(tokens).mean(1) * scale
        return self.out(self.out(hidden) @ self.out.weight if twice else hidden)  # type: ignore[no-any-return]


def example() -> Report:
    network = residual()
    architecture = choose(network, TRACED, Wish()).architecture
    small = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1))
    return reported(
        network,
        small,
        replace(architecture, network="nets:Residual"),
        torch.zeros(1, 3, 8, 8),
        untouched=[Untouched(what="head", channels=4, reason="it is an output of the network")],
        notes=["a note"],
        verification="equal to 1e-7",
    )


def test_it_counts_what_the_network_had_and_what_is_left() -> None:
    found = example()
    assert found.groups == (("stem", 12, 6), ("inner", 10, 5))
    assert found.parameters == ((27 + 1) * 12 + (12 * 9 + 1) * 10 + (10 + 1) * 12 + 13 * 4, 28 * 6)
    assert found.macs == (64 * (27 * 12 + 9 * 12 * 10 + 10 * 12) + 12 * 4, 64 * 27 * 6)


def test_it_reads_as_a_table() -> None:
    assert str(example()) == (
        "nets:Residual\n"
        "  parameters: 1.61 k before, 168 after (-90 %)\n"
        "  MACs of the example inputs: 97.6 k before, 10.4 k after (-89 %)\n"
        "\n"
        "group  channels  kept\n"
        "stem         12     6\n"
        "inner        10     5\n"
        "\n"
        "not pruned  channels  reason\n"
        "head               4  it is an output of the network\n"
        "\n"
        "notes\n"
        "  a note\n"
        "\n"
        "verification: equal to 1e-7"
    )


def test_it_is_told_to_programs() -> None:
    found = example().to_json()
    assert found["groups"][0] == {"group": "stem", "channels": 12, "kept": 6}
    assert found["parameters"] == {"dense": 1610, "small": 168}
    assert found["not_pruned"] == [{"what": "head", "channels": 4, "reason": "it is an output of the network"}]
    assert replace(example(), macs=None).to_json()["macs"] is None


def test_notes_that_say_the_same_of_many_places_are_one_line() -> None:
    notes = [*(f"blocks.{number}.norm: statistics change" for number in range(6)), "plain", "one.place: something else"]
    text = str(replace(example(), notes=tuple(notes)))
    assert (
        "  statistics change: blocks.0.norm, blocks.1.norm, blocks.2.norm, blocks.3.norm and 2 more\n  plain\n  one.place: some"
        in text
    )


def test_inputs_may_be_a_tensor_a_tuple_or_keywords() -> None:
    tokens, scale = torch.zeros(3, 5, dtype=torch.int64), torch.ones(1)
    network = TwoInputs()
    once, twice = (
        cost_with(network, (tokens, scale)),
        cost_with(network, {"tokens": tokens, "scale": scale, "twice": True}),
    )
    assert once and twice
    assert (once.macs, twice.macs) == (3 * 8, 3 * 3 * 8)


def test_a_network_that_looks_at_its_numbers_is_counted_too_and_one_that_cannot_run_is_not() -> None:
    class Branching(nn.Linear):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images) if images.sum() > 0 else images

    found = cost_with(Branching(3, 2), torch.ones(5, 3))
    assert found and found.macs == 5 * 3 * 2
    assert cost_with(Branching(3, 2), torch.ones(5, 4)) is None
    assert "MACs: not counted" in str(replace(example(), macs=None))


def test_counting_leaves_the_network_and_its_mode_alone() -> None:
    network = residual().train()
    cost_with(network, torch.zeros(1, 3, 8, 8))
    assert network.training
    assert not any(tensor.is_meta for tensor in network.state_dict().values())
