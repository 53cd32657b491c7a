"""The command `regrow guide`: what pruning found in a study, as a guide for other networks. Imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from regrow.commands.studies import Profile
from regrow.commands.terminal import OUT, AsJson, Folder, print_json, told


def guide_command(
    results: Annotated[
        str, typer.Argument(metavar="RESULTS", help="A results.json, its folder, or a study that has run.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where the guide goes.", show_default=True)
    ] = Path("guide.json"),
    method: Annotated[
        str, typer.Option(help="The method whose architectures count, where the study has several.")
    ] = "",
    design: Annotated[str, typer.Option(help="What it was asked for, as the report calls it: '50 % of macs'.")] = "",
    network: Annotated[str, typer.Option(help="The network, as the report calls it.")] = "",
    data: Annotated[str, typer.Option(help="The data set's label.")] = "",
    variant: Annotated[str, typer.Option(help="The recipe, where the study has several.")] = "",
    out: Folder = OUT,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Average what pruning kept of each stage over a study's seeds, for prune.guide of another study."""
    with told():
        from regrow import api
        from regrow.pruning.guide import write_guide
        from regrow.pruning.guide_making import make_guide

        found = api.open_results(results, out=out, profile=profile)
        chosen = {"network": network, "data": data, "variant": variant, "method": method, "design": design}
        guide = make_guide(found.content, **chosen, where=str(found.folder / api.RESULTS))
        write_guide(output, guide)
        if as_json:
            print_json(guide.to_json())
        else:
            typer.echo("\n".join(_told(guide.to_json())))
        typer.echo(f"Guide: {output}", err=True)


def _told(guide: dict[str, Any]) -> list[str]:
    """A guide for people: where it is from, and one line a stage."""
    source = guide["source"]
    seeds = f"{source['n']} seed{'' if source['n'] == 1 else 's'}"
    lines = [f"{source['method']} {source['design']} on {source['network']}, {source['data']}, mean of {seeds}:"]
    for stage, share in enumerate(guide.get("channels") or guide["weights"]):
        lines.append(
            f"  stage {stage}  keeps {100 * share:5.1f} % of its {'channels' if 'channels' in guide else 'weights'}"
        )
        kernel = guide["kernels"][stage] if "kernels" in guide else None
        lines += [f"           {' '.join(f'{100 * one:5.1f}' for one in row)}" for row in kernel or ()]
    return lines
