"""Does a pruned network survive its export? Many kinds of networks, pruned by half, saved and loaded, as ONNX and as torch.export.

    python benchmarks/onnx_parity.py [--only NAME ...] [--dense] [--out FILE.json] [--markdown FILE.md]

Every network is built by its own factory with random weights, its norms get statistics far from trivial, 50 % of every group of
channels is removed (`regrow.prune`; `--dense` leaves the network whole), and then

    bundle    regrow.save, and regrow.load in a fresh process: is the loaded network's output equal to the bit?
    onnx      regrow.export_onnx: largest relative error in ONNX Runtime, on random inputs at two batch sizes
    program   regrow.export_program: the same for torch.export

One row a network; nothing is downloaded. Needs the extras onnx, timm and transformers. One thread is enough; the whole list takes
minutes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import regrow
from regrow.randomness import generator, seeded
from regrow.shipping.inputs import Inputs, arguments, drawn
from regrow.shipping.parity import evaluating, outputs

FRACTION: Final = 0.5
ALLOWED: Final = 1e-4


@dataclass(frozen=True)
class Case:
    """One network: how to build it, and what it reads."""

    kind: str
    factory: Callable[[], nn.Module]
    inputs: Callable[[], Inputs]


def torchvision(name: str, kind: str, side: int = 96, **arguments: Any) -> Case:
    """A classification network of torchvision, for images of `side` pixels."""

    def factory() -> nn.Module:
        import torchvision

        network: nn.Module = torchvision.models.get_model(name, weights=None, **arguments)
        return network

    return Case(kind, factory, lambda: torch.zeros(2, 3, side, side))


def timm(name: str, kind: str, side: int, **arguments: Any) -> Case:
    """A network of timm, for images of `side` pixels."""

    def factory() -> nn.Module:
        import timm

        network: nn.Module = timm.create_model(name, pretrained=False, **arguments)
        return network

    return Case(kind, factory, lambda: torch.zeros(2, 3, side, side))


def transformers(model: str, config: str, kind: str, inputs: Callable[[], Inputs], **sizes: Any) -> Case:
    """A network of transformers, built from its configuration."""

    def factory() -> nn.Module:
        import transformers

        network: nn.Module = getattr(transformers, model)(getattr(transformers, config)(**sizes))
        return network

    return Case(kind, factory, inputs)


def fcn() -> nn.Module:
    """A segmentation network of torchvision."""
    import torchvision

    network: nn.Module = torchvision.models.segmentation.fcn_resnet50(
        weights=None, weights_backbone=None, num_classes=5
    )
    return network


def words() -> dict[str, Tensor]:
    """Token numbers and a mask that hides none."""
    numbers = torch.randint(5, 90, (2, 12), generator=generator("words"))
    return {"input_ids": numbers, "attention_mask": torch.ones_like(numbers)}


def zoo(name: str, kind: str) -> Case:
    """A network of `regrow list networks`, for CIFAR's images."""

    def factory() -> nn.Module:
        from regrow.networks.build import build
        from regrow.networks.settings import NetworkSettings
        from regrow.networks.zoo import dense_spec

        return build(dense_spec(NetworkSettings(name=name), classes=10, shape=(3, 32, 32)), 0, "benchmark")

    return Case(kind, factory, lambda: torch.zeros(2, 3, 32, 32))


SMALL_TEXT: Final = {"vocab_size": 100, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
IMAGE: Final = {"pixel_values": torch.zeros(2, 3, 64, 64)}

CASES: Final[dict[str, Case]] = {
    "zoo:vgg16": zoo("vgg16", "plain convolutions"),
    "zoo:resnet56": zoo("resnet56", "residual"),
    "zoo:preresnet20": zoo("preresnet20", "pre-activation residual"),
    "zoo:densenet40": zoo("densenet40", "concatenation"),
    "torchvision:resnet18": torchvision("resnet18", "residual"),
    "torchvision:mobilenet_v3_small": torchvision("mobilenet_v3_small", "depthwise, squeeze-excite"),
    "torchvision:densenet121": torchvision("densenet121", "concatenation"),
    "torchvision:shufflenet_v2_x1_0": torchvision("shufflenet_v2_x1_0", "channel shuffle"),
    "torchvision:efficientnet_b0": torchvision("efficientnet_b0", "depthwise, squeeze-excite"),
    "torchvision:convnext_tiny": torchvision("convnext_tiny", "depthwise, layer norm"),
    "torchvision:regnet_y_400mf": torchvision("regnet_y_400mf", "grouped convolutions"),
    "torchvision:squeezenet1_1": torchvision("squeezenet1_1", "fire modules"),
    "torchvision:googlenet": torchvision("googlenet", "inception", init_weights=False, aux_logits=False),
    "torchvision:mnasnet1_0": torchvision("mnasnet1_0", "depthwise"),
    "torchvision:swin_t": torchvision("swin_t", "shifted windows", side=64),
    "torchvision:vit_b_16": torchvision("vit_b_16", "vision transformer", side=64, image_size=64),
    "torchvision:maxvit_t": torchvision("maxvit_t", "grid attention", side=224),
    "torchvision:fcn_resnet50": Case("segmentation, outputs by name", fcn, lambda: torch.zeros(2, 3, 64, 64)),
    "timm:vit_small_patch16_224": timm("vit_small_patch16_224", "vision transformer", 64, img_size=64),
    "timm:mixer_s16_224": timm("mixer_s16_224", "mixer", 64, img_size=64),
    "timm:levit_128s": timm("levit_128s", "hybrid attention", 224),
    "timm:resmlp_12_224": timm("resmlp_12_224", "mixer", 64, img_size=64),
    "timm:regnetx_002": timm("regnetx_002", "grouped convolutions", 64),
    "timm:res2net50_26w_4s": timm("res2net50_26w_4s", "split and add", 64),
    "timm:ghostnet_100": timm("ghostnet_100", "cheap features", 64),
    "timm:poolformer_s12": timm("poolformer_s12", "pooling mixer", 64),
    "transformers:BertModel": transformers(
        "BertModel", "BertConfig", "text encoder", words, **SMALL_TEXT, intermediate_size=128
    ),
    "transformers:DistilBertModel": transformers(
        "DistilBertModel",
        "DistilBertConfig",
        "text encoder",
        words,
        vocab_size=100,
        dim=64,
        hidden_dim=128,
        n_layers=2,
        n_heads=4,
    ),
    "transformers:GPT2Model": transformers(
        "GPT2Model",
        "GPT2Config",
        "text decoder",
        words,
        vocab_size=100,
        n_embd=64,
        n_layer=2,
        n_head=4,
        bos_token_id=1,
        eos_token_id=2,
        use_cache=False,
    ),
    "transformers:LlamaModel": transformers(
        "LlamaModel",
        "LlamaConfig",
        "text decoder, grouped queries, rotary positions",
        words,
        **SMALL_TEXT,
        intermediate_size=128,
        num_key_value_heads=2,
        use_cache=False,
    ),
    "transformers:T5Model": transformers(
        "T5Model",
        "T5Config",
        "encoder and decoder of text",
        lambda: {**words(), "decoder_input_ids": words()["input_ids"]},
        vocab_size=100,
        d_model=64,
        d_kv=16,
        d_ff=128,
        num_layers=2,
        num_heads=4,
        use_cache=False,
    ),
    "transformers:WhisperModel": transformers(
        "WhisperModel",
        "WhisperConfig",
        "speech",
        lambda: {"input_features": torch.zeros(2, 8, 64), "decoder_input_ids": words()["input_ids"]},
        vocab_size=100,
        num_mel_bins=8,
        max_source_positions=32,
        d_model=64,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=128,
        decoder_ffn_dim=128,
        use_cache=False,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    ),
    "transformers:ViTModel": transformers(
        "ViTModel",
        "ViTConfig",
        "vision transformer",
        lambda: IMAGE,
        image_size=64,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
    ),
    "transformers:SegformerForSemanticSegmentation": transformers(
        "SegformerForSemanticSegmentation",
        "SegformerConfig",
        "segmentation",
        lambda: IMAGE,
        hidden_sizes=[16, 32, 64, 128],
        decoder_hidden_size=64,
    ),
}


def restless(network: nn.Module) -> nn.Module:
    """The network as if trained: its norms have scales, shifts and statistics of their own, and no weight is zero.

    A factory that starts its last layer at zero would give zero whatever comes before, and every comparison would hold.
    """
    numbers = generator("restless")
    norms = nn.modules.batchnorm._BatchNorm | nn.LayerNorm | nn.GroupNorm
    with torch.no_grad():
        for module in network.modules():
            for name, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
                if not tensor.is_floating_point():
                    continue
                if isinstance(module, norms):
                    low = -0.3 if name in ("bias", "running_mean") else 0.7
                    tensor.uniform_(low, low + 0.6, generator=numbers)
                elif isinstance(tensor, nn.Parameter) and float(tensor.abs().max()) < 1e-3:
                    tensor.normal_(0, 0.05, generator=numbers)
    return network.eval()


def answers(network: nn.Module, inputs: Inputs) -> dict[str, Tensor]:
    """Its outputs on random inputs, always the same ones."""
    call = drawn(arguments(inputs), 2, "bundle")
    with evaluating(network):
        found = outputs(network(*call.positional, **call.keywords))
    return {str(place): tensor.contiguous() for place, tensor in enumerate(found)}


def reload(name: str, bundle: Path) -> None:
    """What a fresh process does: load the bundle and write down what the network answers."""
    case = CASES[name]
    save_file(answers(regrow.load(bundle, case.factory), case.inputs()), bundle.with_name("answers"))


def equal_to_the_bit(name: str, network: nn.Module, inputs: Inputs, bundle: Path) -> bool:
    """Whether the network that a fresh process loads gives the same output."""
    subprocess.run([sys.executable, __file__, "--reload", name, str(bundle)], check=True)
    here, there = answers(network, inputs), load_file(bundle.with_name("answers"))
    return here.keys() == there.keys() and all(torch.equal(here[key], there[key]) for key in here)


def size(network: nn.Module) -> int:
    """Parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def row(name: str, folder: Path, *, dense: bool) -> dict[str, Any]:
    """What was found for one network; an error is told, not raised."""
    case = CASES[name]
    found: dict[str, Any] = {"kind": case.kind}
    with seeded("benchmark"):
        network = restless(case.factory())
    inputs = case.inputs()
    found["dense_params"] = size(network)
    try:
        if not dense:
            network, architecture = regrow.prune(network, inputs, fraction=FRACTION)
            regrow.save(network, architecture, folder / "bundle")
            found["reload_equal"] = equal_to_the_bit(name, network, inputs, folder / "bundle")
        found["params"] = size(network)
        done = regrow.export_onnx(network, inputs, folder / "network.onnx", tolerance=ALLOWED)
        found |= {"onnx_error": done.error, "opset": done.opset, "batches": list(done.batches)}
        found["constant"] = done.constant
        found["program_error"] = regrow.export_program(network, inputs, folder / "network.pt2").error
    except Exception as error:
        found["failed"] = f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return found


def table(rows: dict[str, dict[str, Any]]) -> str:
    """All rows as a Markdown table."""
    lines = [
        "| network | kind | parameters | removed | reloaded | ONNX Runtime | torch.export |",
        "| --- | --- | ---: | ---: | --- | ---: | ---: |",
    ]
    for name, found in rows.items():
        if not sound(found):
            lines.append(
                f"| `{name}` | {found['kind']} | {found.get('failed', 'not comparable or not equal')} | | | | |"
            )
            continue
        removed = 1 - found["params"] / found["dense_params"]
        lines.append(
            f"| `{name}` | {found['kind']} | {found['dense_params'] / 1e6:.2f} M | {removed:.1%} | equal | "
            f"{found['onnx_error']:.1e} | {found['program_error']:.1e} |"
        )
    return "\n".join(lines) + "\n"


def sound(found: dict[str, Any]) -> bool:
    """Whether everything held, and could have failed to."""
    return "failed" not in found and found.get("reload_equal") is not False and not found["constant"]


def shown(name: str, found: dict[str, Any]) -> str:
    """One line for people."""
    if "failed" in found:
        return f"{name:48} FAILED {found['failed']}"
    if found["constant"]:
        return f"{name:48} FAILED its outputs do not depend on its inputs, so nothing was compared"
    removed = 1 - found["params"] / found["dense_params"]
    equal = {True: "equal", False: "DIFFERS", None: "-"}[found.get("reload_equal")]
    return (
        f"{name:48} {removed:6.1%} of {found['dense_params'] / 1e6:6.2f} M removed   reload {equal:7}   "
        f"onnx {found['onnx_error']:.1e} (opset {found['opset']})   program {found['program_error']:.1e}   {found['seconds']:.0f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[], help="names, or parts of names")
    parser.add_argument("--dense", action="store_true", help="export the networks as they are")
    parser.add_argument("--out", type=Path, help="write all rows as JSON")
    parser.add_argument("--markdown", type=Path, help="write all rows as a Markdown table")
    parser.add_argument(
        "--reload", nargs=2, metavar=("NAME", "BUNDLE"), help="what the benchmark asks of a fresh process"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.reload:
        reload(options.reload[0], Path(options.reload[1]))
        return
    rows = {}
    for name in CASES:
        if options.only and not any(part in name for part in options.only):
            continue
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            rows[name] = row(name, Path(folder), dense=options.dense)
        rows[name]["seconds"] = time.perf_counter() - started
        print(shown(name, rows[name]), flush=True)
    good = [found for found in rows.values() if sound(found)]
    print(f"{len(good)} of {len(rows)} networks within {ALLOWED:.0e} in ONNX Runtime, reloaded equal to the bit")
    if options.out:
        options.out.write_text(json.dumps({"torch": str(torch.__version__), "rows": rows}, indent=1) + "\n")
    if options.markdown:
        options.markdown.write_text(table(rows))


if __name__ == "__main__":
    main()
