from __future__ import annotations

from regrow.networks.groups import Group, Slice, norm, output, reads


def test_the_leader_is_the_output_axis_of_the_first_slice() -> None:
    group = Group("conv", 4, (output("conv"), *norm("norm"), reads("next")))
    assert group.leader == Slice("conv.weight", axis=0, start=0)


def test_a_reader_holds_the_channels_on_its_input_axis_from_their_start() -> None:
    assert reads("next", 24) == Slice("next.weight", axis=1, start=24)


def test_a_norm_holds_its_channels_in_four_tensors() -> None:
    assert norm("n", 2) == (
        Slice("n.weight", 0, 2),
        Slice("n.bias", 0, 2),
        Slice("n.running_mean", 0, 2),
        Slice("n.running_var", 0, 2),
    )
