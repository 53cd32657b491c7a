"""The command `regrow prune`: from a checkpoint to a small network on disk, in one go. Imports what it needs when it runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regrow.commands.terminal import AsJson, image_shape, print_json, told
from regrow.errors import ConfigError, Fault
from regrow.evaluation.setup import SECONDS

if TYPE_CHECKING:
    from torch import Tensor, nn

    from regrow.pruning.anything import Pruned

OUT = Path("regrow-pruned")


def _complete_criterion(incomplete: str) -> list[str]:
    from regrow.pruning.methods import METHODS

    return [
        name
        for name, row in METHODS.items()
        if name.startswith(incomplete) and row.kind == "criterion" and "channels" in row.removes and not row.needs_data
    ]


def prune_command(
    network: Annotated[
        str,
        typer.Argument(
            metavar="NETWORK",
            help="A network of `regrow list networks`, or SOURCE:NAME, e.g. torchvision:resnet50 or timm:vit_small_patch16_224.",
        ),
    ],
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Its trained weights: safetensors, or a file of torch.save that holds tensors only."
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the small network.")] = OUT,
    fraction: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SHARE",
            help="Share of channels to remove; or PATTERN=SHARE, repeatable, the first pattern that matches a group counting.",
        ),
    ] = None,
    criterion: Annotated[
        str, typer.Option(help="A row of `regrow list methods`.", autocompletion=_complete_criterion)
    ] = "l1",
    ignore: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Modules or tensors whose outputs all stay; repeatable.")
    ] = None,
    round_to: Annotated[int, typer.Option(help="Kept channels are a multiple of this.")] = 1,
    min_channels: Annotated[int, typer.Option(help="Kept channels are at least this many, or all.")] = 1,
    of: Annotated[
        str,
        typer.Option(
            help="What --fraction is a share of: channels, macs, params, latency (measured), or zeros (no share)."
        ),
    ] = "channels",
    scope: Annotated[
        str, typer.Option(help="group: the same share of every group; global: the lowest scores of all groups.")
    ] = "group",
    floor: Annotated[float, typer.Option(help="With --scope global: share of every group that always stays.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Of criteria that draw.")] = 0,
    verify: Annotated[bool, typer.Option(help="Compare the small network with the dense one.")] = True,
    onnx: Annotated[bool, typer.Option("--onnx", help="Write model.onnx too, compared in ONNX Runtime.")] = False,
    program: Annotated[bool, typer.Option("--program", help="Write model.pt2, a torch.export program, too.")] = False,
    measure: Annotated[
        bool, typer.Option("--latency", help="Measure whether the small network is faster here.")
    ] = False,
    seconds: Annotated[float, typer.Option(min=0, help="About how long --latency measures.")] = SECONDS,
    shape: Annotated[
        str, typer.Option(metavar="CxHxW", help="One image; 3x32x32 for the zoo and 3x224x224 for others unless given.")
    ] = "",
    classes: Annotated[
        int | None, typer.Option(min=1, help="Outputs; 10 for the zoo and 1000 for others unless given.")
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Run code that NETWORK names: your own function, or a saved program.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Prune a trained network: verified, saved as a folder, and if asked for exported and timed."""
    with told():
        shares, size = _fractions(fraction or ["0.5"]), image_shape(shape) if shape else None
        dense, images = _dense(network, checkpoint, classes, size, trust)
        from regrow.pruning.anything import prune_network

        pruned = prune_network(
            dense,
            images,
            fraction=shares,
            criterion=criterion,
            ignore=tuple(ignore or ()),
            round_to=round_to,
            min_channels=min_channels,
            seed=seed,
            verify=verify,
            of=of,
            scope=scope,
            floor=floor,
        )
        files = _shipped(pruned, images, out, onnx=onnx, program=program)
        answer = _measured(network, dense, pruned, images, seconds) if measure else None
        _show(pruned, files, answer, as_json)


def _fractions(written: Sequence[str]) -> float | dict[str, float]:
    """0.5, or the shares per pattern of `layer1.*=0.3`."""
    pairs = [text.rpartition("=") for text in written]
    if len(pairs) == 1 and not pairs[0][1]:
        return _share(pairs[0][2])
    if plain := [text for text, pair in zip(written, pairs, strict=True) if not pair[1]]:
        rule = f"one share for all groups, or PATTERN=SHARE each time; found {plain[0]!r} among {len(written)}"
        hint = f"Write the share of all other groups last, as '*={plain[0]}'."
        raise ConfigError(faults=[Fault(where="--fraction", key="", rule=rule, hint=hint)])
    return {pattern: _share(share) for pattern, _, share in pairs}


def _share(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        rule = f"must be a number, or PATTERN=NUMBER; found {text!r}"
        raise ConfigError(faults=[Fault(where="--fraction", key="", rule=rule, hint="0.3 removes 30 %.")]) from None


def _dense(
    name: str, checkpoint: Path | None, classes: int | None, shape: tuple[int, int, int] | None, trust: bool
) -> tuple[nn.Module, Tensor]:
    """The dense network in eval mode, and an image that it takes."""
    if checkpoint is not None and not checkpoint.is_file():
        rule = f"there is no file {str(checkpoint)!r}"
        raise ConfigError(faults=[Fault(where="--checkpoint", key="", rule=rule, hint="Give the path of its weights.")])
    from regrow.networks.foreign import made_up_images
    from regrow.networks.named import named_network
    from regrow.training.weights_file import load_weights_file

    dense, spec = named_network(name, classes=classes, shape=shape, folder=Path.cwd(), trust=trust)
    if checkpoint is None:
        typer.echo(
            "No --checkpoint was given: the weights are random, so only shapes and speed mean something.", err=True
        )
    else:
        load_weights_file(dense, checkpoint)
    return dense.eval(), made_up_images(spec, 1)


def _shipped(pruned: Pruned, images: Tensor, out: Path, *, onnx: bool, program: bool) -> dict[str, str]:
    """Save the small network, export it as asked for; what was written, by kind."""
    from regrow.shipping.bundle import save

    folder = save(pruned.network, pruned.architecture, out, notes=f"```text\n{pruned.report}\n```")
    files = {"folder": str(folder)}
    if onnx:
        from regrow.shipping.to_onnx import export_onnx

        files["onnx"] = str(export_onnx(pruned.network, images, folder / "model.onnx").path)
    if program:
        from regrow.shipping.program import export_program

        files["program"] = str(export_program(pruned.network, images, folder / "model.pt2").path)
    return files


def _measured(name: str, dense: nn.Module, pruned: Pruned, images: Tensor, seconds: float) -> dict[str, Any]:
    """How long the dense and the small network take for one image, on this machine."""
    from regrow.evaluation.latency import latency
    from regrow.study.machine import commit, machine, versions

    answer = latency(dense, images, small={"pruned": pruned.network}, seconds=seconds)
    provenance = {**machine(), "versions": versions(), "commit": commit()}
    return {"network": name, "shape": list(images.shape[1:]), **answer.to_json(), "provenance": provenance}


def _show(pruned: Pruned, files: dict[str, str], answer: dict[str, Any] | None, as_json: bool) -> None:
    if as_json:
        print_json({**pruned.report.to_json(), "files": files, "latency": answer})
        return
    typer.echo(str(pruned.report))
    if answer:
        from rich.console import Console

        from regrow.report.latency import print_latency

        typer.echo("")
        print_latency(answer, Console())
    for kind, path in files.items():
        typer.echo(f"Written ({kind}): {path}", err=True)
