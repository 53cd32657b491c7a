"""Every construct that a channel engine meets, as a small network of its own: name -> (factory, inputs by seed).

    build, inputs = CONSTRUCTS["channel shuffle"]
    network, example = build(), inputs(0)

Inputs are a tensor, a tuple of positional inputs, or a dict of keywords. Every factory takes no arguments and draws from the global
generator, as factories do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from tests.channels.toys_attention import ATTENTION
from tests.channels.toys_convolution import CONVOLUTION
from tests.channels.toys_sequence import SEQUENCE
from tests.channels.toys_shapes import SHAPES

CONSTRUCTS: dict[str, tuple[Callable[[], nn.Module], Callable[..., Any]]] = {
    **CONVOLUTION,
    **SHAPES,
    **ATTENTION,
    **SEQUENCE,
}

KEEPS_MUCH: dict[str, str] = {
    "CBAM": "a mean over channels is used as a value, so the channels it is taken over stay",
    "GRN block": "GRN divides by a mean over channels, so these stay",
    "weight standardisation": "statistics over the fan-in are used as values, so the fan-in stays",
    "softmax over channels": "a removed channel would still take part in the softmax",
    "cross-covariance attention": "a softmax runs over the channels of each head",
    "cumsum over channels": "each channel is the sum of the ones before it",
    "sort over channels": "channels are told apart by value",
    "gather over channels": "channels are chosen by value",
    "uneven split by literal": "the sizes stand in the code, where nothing can correct them",
    "residual onto the input": "these channels are added to the network's input",
    "index_select over channels": "the order of channels is data of the network",
    "Fourier filter": "complex numbers have no rule",
    "kernels mixed by the input": "one axis holds input, output and kernel positions at once",
    "Gram matrix of channels": "pairs of channels stand on one axis",
    "in place: +=, relu_, x[:, :4] =": "the write's bound stands in the code, where nothing can correct it",
    "argmax and a code book": "channels that are chosen among by argmax stay",
    "unused parameters": "what no forward touches stays as it is",
    "reflect and circular padding": "circular padding writes into an empty tensor",
    "linear -> view -> conv": "the view's sizes stand in the code, where nothing can correct them",
    "unflatten, unbind, stack": "the sizes stand in the code, where nothing can correct them",
    "topk over tokens": "gather takes an index for every channel",
    "data-dependent control flow": "the branch that was not taken stays as it is",
    "train-mode-only head": "what only train mode uses may stay as it is",
}
"""Constructs of which an engine may keep more than half, and why."""
