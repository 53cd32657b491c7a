"""Is a regrown network initialised as its author would initialise it at that width? Layer by layer, against the network built by hand.

    python benchmarks/regrow_statistics.py [--only NAME ...] [--json FILE]

Every case gives a factory at a wide and at a small width. The architecture is read off the two shapes, kept indices spread evenly over
each axis; `regrow.channels.replay.regrow` gets the *wide* factory alone and must give weights spread like those of the small one.

Columns: tensors compared (floating point, at least `--large` numbers, cut or not); the ratio of standard deviations regrown / by hand,
its mean, smallest and largest; the same against the wide network's own standard deviation, which shows what slicing it would have
left; the largest difference of a standard deviation and of a mean, in standard errors of the difference (of some hundred tensors
the largest is expected near 3); seconds for the small factory and for regrow, which runs the wide one twice. One number in a million that
PyTorch's `trunc_normal_` throws to its far bounds is left out. Tensors without spread (norms, biases) must be equal.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from regrow.channels.architecture import Architecture, KeptChannels
from regrow.channels.redraw import RedrawWarning
from regrow.channels.replay import regrow
from regrow.networks.build import build
from regrow.networks.groups import Slice
from regrow.networks.settings import NetworkSettings
from regrow.networks.zoo import NETWORKS, dense_spec
from regrow.randomness import seeded

Factory = Callable[[], nn.Module]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One network at two widths."""

    name: str
    wide: Factory
    small: Factory


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was measured for one network."""

    name: str
    tensors: int
    ratio_mean: float
    ratio_low: float
    ratio_high: float
    slicing_low: float
    slicing_high: float
    std_errors: float
    mean_errors: float
    small_seconds: float
    regrow_seconds: float
    unequal: tuple[str, ...]
    said: str


def cases() -> Iterator[Case]:
    """The zoo at half of every prunable width, and networks of three libraries at half their width."""
    for name in NETWORKS:
        spec = dense_spec(NetworkSettings(name=name), classes=10, shape=(3, 32, 32))
        small = replace(spec, widths=tuple(max(1, width // 2) for width in spec.widths))
        # The zoo seeds itself: another seed for the network that is compared with.
        yield Case(
            name=name, wide=functools.partial(_drawn, spec), small=functools.partial(build, small, "regrow statistics")
        )
    yield from _torchvision()
    yield from _timm()
    yield from _transformers()


def _drawn(spec: Any) -> nn.Module:
    """The zoo's network from the global generator, as a stranger's factory draws it."""
    return build(spec, int(torch.randint(2**31, ())))


def _torchvision() -> Iterator[Case]:
    from torchvision import models
    from torchvision.models.resnet import Bottleneck, ResNet

    def resnet(width: int, **options: Any) -> Factory:
        return lambda: ResNet(Bottleneck, [3, 4, 6, 3], width_per_group=width, **options)

    def vit(width: int) -> Factory:
        return lambda: models.VisionTransformer(224, 16, 12, 6, width, 4 * width)

    yield Case(
        name="torchvision resnet50", wide=resnet(64, zero_init_residual=True), small=resnet(32, zero_init_residual=True)
    )
    yield Case(name="torchvision resnext50_32x4d", wide=resnet(4, groups=32), small=resnet(2, groups=32))
    yield Case(
        name="torchvision mobilenet_v2", wide=models.mobilenet_v2, small=lambda: models.mobilenet_v2(width_mult=0.5)
    )
    yield Case(name="torchvision vision transformer", wide=vit(384), small=vit(192))


def _timm() -> Iterator[Case]:
    import timm

    def made(name: str, wide: dict[str, Any], small: dict[str, Any]) -> Case:
        create = functools.partial(timm.create_model, name)
        return Case(name=f"timm {name}", wide=lambda: create(**wide), small=lambda: create(**small))

    def classes(kind: Any, width: int, **same: Any) -> Case:
        return Case(
            name=f"timm {kind.__name__}",
            wide=lambda: kind(embed_dim=width, **same),
            small=lambda: kind(embed_dim=width // 2, **same),
        )

    yield made("vit_small_patch16_224", {}, {"embed_dim": 192})
    yield made("convnext_tiny", {}, {"dims": (48, 96, 192, 384)})
    yield classes(timm.models.mlp_mixer.MlpMixer, 512, num_blocks=4)
    yield classes(timm.models.swin_transformer.SwinTransformer, 96, depths=(2, 2), num_heads=(3, 6))
    yield classes(timm.models.beit.Beit, 384, depth=4, num_heads=6, use_rel_pos_bias=True)


def _transformers() -> Iterator[Case]:
    import transformers as hf

    def made(network: Any, config: Any, wide: dict[str, Any], **same: Any) -> Case:
        small = {key: value // 2 for key, value in wide.items()}
        return Case(
            name=f"transformers {network.__name__}",
            wide=lambda: network(config(**wide, **same)),
            small=lambda: network(config(**small, **same)),
        )

    yield made(hf.BertModel, hf.BertConfig, {"hidden_size": 768, "intermediate_size": 3072})
    yield made(hf.GPT2LMHeadModel, hf.GPT2Config, {"n_embd": 512}, n_layer=4, n_head=8)
    llama = {"hidden_size": 512, "intermediate_size": 1024}
    yield made(hf.LlamaForCausalLM, hf.LlamaConfig, llama, num_hidden_layers=4, num_attention_heads=8, vocab_size=4000)
    vit = {"hidden_size": 384, "intermediate_size": 1536}
    yield made(hf.ViTModel, hf.ViTConfig, vit, num_hidden_layers=4, num_attention_heads=6)
    heads = {"encoder_attention_heads": 4, "decoder_attention_heads": 4}
    whisper = {"d_model": 256, "encoder_ffn_dim": 512, "decoder_ffn_dim": 512}
    yield made(hf.WhisperModel, hf.WhisperConfig, whisper, encoder_layers=2, decoder_layers=2, **heads)
    # These two compute standard deviations from the configuration, which a replay cannot see.
    t5 = {"d_model": 512, "d_kv": 64, "d_ff": 1024}
    yield made(hf.T5Model, hf.T5Config, t5, num_layers=2, vocab_size=4000)
    clip = {"hidden_size": 512, "intermediate_size": 2048}
    yield made(hf.CLIPVisionModel, hf.CLIPVisionConfig, clip, num_hidden_layers=4, num_attention_heads=8)


def between(dense: nn.Module, small: nn.Module) -> Architecture:
    """The architecture that makes `small` of `dense`: every axis that differs is a group of its own, kept indices spread evenly."""
    kept, tensors = [], _tensors(small)
    for name, tensor in _tensors(dense).items():
        for axis, (many, few) in enumerate(zip(tensor.shape, tensors[name].shape, strict=True)):
            if many != few:
                indices = tuple(index * many // few for index in range(few))
                kept.append(
                    KeptChannels(group=f"{name}.{axis}", channels=many, indices=indices, slices=(Slice(name, axis),))
                )
    return Architecture(dense=None, kept=tuple(kept), fingerprint="0" * 64, regrow="benchmark")


def measure(case: Case, large: int) -> Row:
    """Regrow the network of one case and compare it with the one built by hand."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with seeded("by hand"):
            dense = case.wide()
            start = time.perf_counter()
            small = case.small()
            small_seconds = time.perf_counter() - start
        start = time.perf_counter()
        fresh = regrow(between(dense, small), case.wide, 0)
        regrow_seconds = time.perf_counter() - start
    ratios, slicing, errors, unequal = [], [], [(0.0, 0.0)], []
    widths, hands = _tensors(dense), _tensors(small)
    for name, tensor in _tensors(fresh).items():
        found, by_hand, sliced = _spread(tensor), _spread(hands[name]), _spread(widths[name])
        if tensor.shape != hands[name].shape or (by_hand[0] == 0 and found != by_hand):
            unequal.append(name)
        elif by_hand[0] > 0 and tensor.numel() >= large:
            ratios.append(found[0] / by_hand[0])
            slicing.append(sliced[0] / by_hand[0])
            unit = by_hand[0] / tensor.numel() ** 0.5
            errors.append((abs(found[0] - by_hand[0]) / unit, abs(found[1] - by_hand[1]) / (2**0.5 * unit)))
    return Row(
        name=case.name,
        tensors=len(ratios),
        ratio_mean=statistics.fmean(ratios),
        ratio_low=min(ratios),
        ratio_high=max(ratios),
        slicing_low=min(slicing),
        slicing_high=max(slicing),
        std_errors=max(error[0] for error in errors),
        mean_errors=max(error[1] for error in errors),
        small_seconds=small_seconds,
        regrow_seconds=regrow_seconds,
        unequal=tuple(unequal),
        said="; ".join(str(entry.message) for entry in caught if issubclass(entry.category, RedrawWarning)),
    )


def _tensors(network: nn.Module) -> dict[str, Tensor]:
    return {
        name: tensor
        for name, tensor in [*network.named_parameters(), *network.named_buffers()]
        if tensor.is_floating_point()
    }


def _spread(tensor: Tensor) -> tuple[float, float]:
    """Standard deviation and mean, without far outliers."""
    values = tensor.detach().double().flatten()
    if len(values) < 2 or bool((values == values[0]).all()):
        return 0.0, float(values[0])
    kept = values[values.abs() <= 12 * values.abs().median() + 1e-12]
    std, mean = torch.std_mean(kept)
    return float(std), float(mean)


def show(row: Row) -> None:
    """One line of the table, and what regrow said."""
    print(
        f"| {row.name} | {row.tensors} | {row.ratio_mean:.4f} | {row.ratio_low:.4f} to {row.ratio_high:.4f} "
        f"| {row.slicing_low:.3f} to {row.slicing_high:.3f} | {row.std_errors:.1f} | {row.mean_errors:.1f} "
        f"| {row.small_seconds:.2f} | {row.regrow_seconds:.2f} |",
        flush=True,
    )
    if row.unequal:
        print(f"  not equal: {', '.join(row.unequal[:5])}")
    if row.said:
        print(f"  said: {row.said[:300]}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", nargs="*", default=[], help="measure only cases whose name contains one of these")
    parser.add_argument("--large", type=int, default=2000, help="smallest tensor that is compared, in numbers")
    parser.add_argument("--json", type=Path, help="also write the rows there")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        "| network | tensors | std ratio, mean | least to most | if sliced | std off by | mean off by | small s | regrow s |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    rows = []
    for case in cases():
        if not options.only or any(part in case.name for part in options.only):
            rows.append(measure(case, options.large))
            show(rows[-1])
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
