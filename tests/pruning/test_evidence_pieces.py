from __future__ import annotations

import pytest
import torch

from regrow.errors import PruningError
from regrow.networks.groups import Group, Slice
from regrow.pruning.evidence_pieces import piece_of_group, piece_of_tensor

TILED = Group("heads", 2, (Slice("q.weight", 0, start=1, repeat=2, tile=2),))
TILED_PIECE = piece_of_group(TILED, TILED.slices[0], 0)
ROWS = torch.arange(10.0)[:, None]


def test_rows_are_those_of_the_slice_and_shared_statistics_stay_whole() -> None:
    assert TILED_PIECE.weight(ROWS).flatten().tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert TILED_PIECE.rows(torch.ones(1, 1), 10).shape == (1, 1)
    assert TILED_PIECE.outputs(torch.arange(10.0)).tolist() == [1, 2, 3, 4, 5, 6, 7, 8]


def test_outputs_come_first_along_whichever_axis_they_stand_and_half_precision_is_widened() -> None:
    group = Group("a", 3, (Slice("up.weight", 1),))
    piece = piece_of_group(group, group.slices[0], 0)
    weight = torch.randn(2, 3, 4, 4, dtype=torch.float16)
    assert piece.weight(weight).shape == (3, 2, 4, 4) and piece.weight(weight).dtype == torch.float32
    vector = Group("b", 3, (Slice("token", 0),))
    assert piece_of_group(vector, vector.slices[0], 0).weight(torch.zeros(3)).shape == (3, 1)


def test_scores_of_rows_and_weights_are_added_over_each_channel_and_those_of_channels_stay() -> None:
    # Rows 1 to 8 hold the channels 0 0 1 1 0 0 1 1.
    rows = TILED_PIECE.weight(ROWS)
    assert TILED_PIECE.unit_sum(rows).tolist() == [14.0, 22.0]
    for scores in (rows, rows[:, 0], torch.tensor([14.0, 22.0])):
        assert TILED_PIECE.understood(scores, "mine").tolist() == [14.0, 22.0]
    assert TILED_PIECE.by_row(torch.tensor([5.0, 7.0])).tolist() == [5, 5, 7, 7, 5, 5, 7, 7]


def test_an_order_says_which_row_is_which_channel() -> None:
    group = Group("a", 2, (Slice("a.weight", 0, order=(1, 0)),))
    piece = piece_of_group(group, group.slices[0], 0)
    assert piece.understood(torch.tensor([1.0, 3.0]), "mine").tolist() == [3.0, 1.0]


@pytest.mark.parametrize("shape", [(), (3,), (7, 1)])
def test_other_shapes_are_refused_with_the_group(shape: tuple[int, ...]) -> None:
    with pytest.raises(PruningError, match=r"heads: .*for the 8 rows of q\.weight mine gave a tensor of shape"):
        TILED_PIECE.understood(torch.zeros(shape), "mine")


def test_single_weights_go_alone_and_take_one_score_each() -> None:
    weight = torch.randn(2, 3, 4)
    piece = piece_of_tensor("up.weight", weight, 1)
    assert piece.weight(weight).shape == (3, 2, 4)
    assert torch.equal(piece.unit_sum(weight), weight)
    assert piece.understood(torch.zeros(3, 2, 4), "mine").shape == (3, 2, 4)
    with pytest.raises(PruningError, match=r"up\.weight: to choose single weights .* \(3, 2, 4\); l1 gave \(3,\)"):
        piece.understood(torch.zeros(3), "l1")
