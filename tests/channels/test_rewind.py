from __future__ import annotations

import pytest
import torch

from regrow.channels.carve import carve
from regrow.channels.fingerprint import fingerprint
from regrow.channels.rewind import rewind
from regrow.errors import PruningError
from regrow.networks.build import build

from .zoo_networks import random_architecture, restless, small_spec


def test_the_small_network_gets_the_weights_and_buffers_of_the_earlier_step() -> None:
    spec = small_spec("resnet20")
    trained, earlier = restless(spec), build(spec, 1).double()
    pruned = random_architecture(trained, spec)
    found = rewind(pruned, trained, earlier.state_dict())
    assert fingerprint(found) == fingerprint(carve(earlier, pruned, other_weights=True))
    assert fingerprint(found) != fingerprint(carve(trained, pruned))


def test_the_dense_network_and_the_state_are_left_alone() -> None:
    spec = small_spec("vgg11")
    trained, earlier = restless(spec), build(spec, 1).double()
    before, state = fingerprint(trained), earlier.state_dict()
    kept = fingerprint(earlier)
    small = rewind(random_architecture(trained, spec), trained, state)
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.fill_(float("nan"))
    assert (fingerprint(trained), fingerprint(earlier)) == (before, kept)


def test_the_state_of_another_network_is_refused_in_a_few_words() -> None:
    spec = small_spec("resnet20")
    trained = restless(spec)
    with pytest.raises(PruningError, match=r"the state does not fit the dense .* take the state_dict\(\)") as caught:
        rewind(random_architecture(trained, spec), trained, restless(small_spec("vgg11")).state_dict())
    assert len(str(caught.value)) < 5000
