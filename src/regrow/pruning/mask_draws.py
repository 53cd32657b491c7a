"""Masks drawn by chance, the controls of lottery tickets, and fresh weights whose spread fits a mask.

`shuffled` asks whether it matters which weights of a layer stay, given how many; `random_masks` asks whether it matters how many stay
in each layer. Source of the controls: Frankle et al. 2021, arXiv:2009.08576; Su et al. 2020, arXiv:2009.11094.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from regrow.pruning.mask_choice import keep_weights
from regrow.pruning.sparsity import Masks, kept_of_masks, masked_parameters
from regrow.randomness import generator


def shuffled(masks: Mapping[str, Tensor], *purpose: int | str) -> Masks:
    """The same masks with the positions in every tensor drawn anew: each keeps as many weights as before, other ones.

    `purpose` seeds the draw, e.g. (seed, "shuffled"). An n:m pattern is not kept.
    """
    drawn = {}
    for name, mask in masks.items():
        order = torch.randperm(mask.numel(), generator=generator(*purpose, name))
        drawn[name] = mask.cpu().flatten()[order].view(mask.shape)
    return drawn


def random_masks(masks: Mapping[str, Tensor], *purpose: int | str) -> Masks:
    """Masks that keep as many weights in all as these, over the same tensors, every weight with the same chance.

    Large tensors keep more than small ones, in proportion; at least one weight of each stays. `purpose` seeds the draw.
    """
    scores = {
        name: torch.rand(mask.shape, dtype=torch.float64, generator=generator(*purpose, name))
        for name, mask in masks.items()
    }
    return keep_weights(scores, kept=kept_of_masks(masks)[0])


@torch.no_grad()
def scale_to_kept(network: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Multiply freshly drawn weights, in place, so that their spread is that of a layer with the kept weights alone.

        W <- W * sqrt(numel(W) / kept(W))                     per tensor; the masks themselves are put on by `apply_masks`

    He's initialisation draws with the variance 2 / fan, where fan counts weights per output (fan-in) or per input channel (fan-out). A
    mask leaves kept / numel of them on average, so the variance grows by the inverse. For fan-out it is exactly what the paper's code
    draws, N(0, sqrt(2 / n)) with n = kept / C_in:

        2 / (K * K * C_out) * (C_out * C_in * K * K) / kept  =  2 * C_in / kept  =  2 / n

    Any other law that goes with 1 / fan is corrected alike. A tensor of which nothing stays keeps its numbers.
    Source: the code of Liu et al. 2019, arXiv:1810.05270, which reports no gain over unscaled draws. Raises `PruningError` for masks of
    another network.
    """
    for name, parameter in masked_parameters(network, masks).items():
        kept = int(masks[name].count_nonzero())
        if kept:
            parameter.mul_((masks[name].numel() / kept) ** 0.5)
