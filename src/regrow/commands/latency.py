"""The command `regrow latency`: will the small network be faster on this machine? Imports what it needs when it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from regrow.commands.terminal import AsJson, image_shape, print_json, told
from regrow.errors import ConfigError, Fault
from regrow.evaluation.setup import BACKENDS, FRACTIONS, ROUNDINGS, SECONDS

NumberT = TypeVar("NumberT", int, float)


def _complete_backend(incomplete: str) -> list[str]:
    return [name for name in BACKENDS if name.startswith(incomplete)]


def _written(numbers: Sequence[float]) -> str:
    return ",".join(f"{number:g}" for number in numbers)


def latency_command(
    network: Annotated[
        str,
        typer.Argument(
            metavar="NETWORK",
            help="A network of `regrow list networks`, or SOURCE:NAME, e.g. torchvision:resnet50 or timm:vit_small_patch16_224.",
        ),
    ],
    shape: Annotated[
        str, typer.Option(metavar="CxHxW", help="One image; 3x32x32 for the zoo and 3x224x224 for others unless given.")
    ] = "",
    classes: Annotated[
        int | None, typer.Option(min=1, help="Outputs; 10 for the zoo and 1000 for others unless given.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images in one run.")] = 1,
    fractions: Annotated[str, typer.Option(help="Shares of channels to remove.")] = _written(FRACTIONS),
    round_to: Annotated[int, typer.Option(min=1, help="Round widths to multiples of this.")] = 1,
    roundings: Annotated[
        str, typer.Option(help="Other multiples to compare with, at the fraction nearest to 1/2; empty for none.")
    ] = _written(ROUNDINGS),
    backend: Annotated[
        list[str] | None,
        typer.Option(
            help="eager, onnxruntime or compiled; repeatable. All that are installed, without compiled, unless given.",
            autocompletion=_complete_backend,
        ),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    channels_last: Annotated[bool, typer.Option("--channels-last", help="Images lie in memory as NHWC.")] = False,
    ignore: Annotated[list[str] | None, typer.Option(help="Do not prune this module; repeatable.")] = None,
    seconds: Annotated[float, typer.Option(min=0, help="About how long to measure.")] = SECONDS,
    trust: Annotated[
        bool, typer.Option("--trust", help="Run code that NETWORK names: your own function, or a saved program.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say whether small networks would be faster on this machine, before any of them is trained."""
    with told():
        wanted = _numbers(fractions, float, "--fractions")
        compared = _numbers(roundings, int, "--roundings")
        size = image_shape(shape) if shape else None
        from regrow.evaluation.latency import latency
        from regrow.networks.foreign import made_up_images
        from regrow.networks.named import named_network

        typer.echo(f"Pruning at random, warming up, then measuring for about {seconds:g} s.", err=True)
        found, spec = named_network(network, classes=classes, shape=size, folder=Path.cwd(), trust=trust)
        answer = latency(
            found,
            made_up_images(spec, batch),
            fractions=wanted,
            round_to=round_to,
            roundings=compared,
            backends=backend or (),
            threads=threads,
            device=device,
            channels_last=channels_last,
            seconds=seconds,
            ignore=tuple(ignore or ()),
        )
        _show({"network": network, "classes": spec.classes, "shape": list(spec.shape), **answer.to_json()}, as_json)


def _show(answer: dict[str, Any], as_json: bool) -> None:
    from regrow.study.machine import commit, machine, versions

    whole = {**answer, "provenance": {**machine(), "versions": versions(), "commit": commit()}}
    if as_json:
        print_json(whole)
        return
    from rich.console import Console

    from regrow.report.latency import print_latency

    print_latency(whole, Console())


def _numbers(text: str, kind: Callable[[str], NumberT], option: str) -> tuple[NumberT, ...]:
    """Numbers from a list with commas."""
    try:
        return tuple(kind(part) for part in text.split(",") if part.strip())
    except ValueError:
        rule = f"must be numbers with commas between them; found {text!r}"
        raise ConfigError(faults=[Fault(where=option, key="", rule=rule, hint="For instance 0.25,0.5,0.75.")]) from None
