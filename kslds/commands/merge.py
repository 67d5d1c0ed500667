"""One dataset out of several."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from kslds.screen import Format, progress_bars, reported, say, show_dataset


@reported
def merge(
    datasets: Annotated[
        list[Path],
        typer.Argument(help="Folders of two or more built datasets.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(help="The merged dataset's folder.", show_default=False)],
    signs: Annotated[
        Path | None,
        typer.Option(
            "--map",
            help="CSV with corpus, gloss_id (or label), merged_id: which signs are one.",
            show_default=False,
        ),
    ] = None,
    unmapped: Annotated[
        str | None,
        typer.Option(help="keep, drop or error: signs that --map lacks.", show_default=False),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            help="apart or together: are unmapped signs of one key one sign?", show_default=False
        ),
    ] = None,
    similar: Annotated[
        str | None,
        typer.Option(
            help="warn, drop or ignore: clips that were cut, scaled, mirrored or encoded anew.",
            show_default=False,
        ),
    ] = None,
    same_signers: Annotated[
        Path | None,
        typer.Option(
            help="CSV with corpus, signer_id, person: who is one person.", show_default=False
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="Name of the merged dataset; that of its folder if not given.", show_default=False
        ),
    ] = None,
    output: Annotated[Format, typer.Option("--format", help="What is printed on stdout.")] = (
        Format.table
    ),
) -> None:
    """Make one dataset of several built ones; clips are taken over, not rendered again."""
    from kslds import recipe as recipes
    from kslds.errors import UsageError
    from kslds.manifest import Dataset
    from kslds.merge import MergeOptions
    from kslds.shards import ShardOptions
    from kslds.video import ENCODINGS

    if out.resolve() in [path.resolve() for path in datasets]:
        raise UsageError(f"{out} is one of the datasets to merge.", hint="Choose another --out.")
    options = MergeOptions(
        datasets=tuple(str(path.absolute()) for path in datasets),
        map=str(signs.absolute()) if signs else None,
        same_signers=str(same_signers.absolute()) if same_signers else None,
        labels=labels or "apart",
        unmapped=unmapped or "keep",
        similar=similar or "warn",
    )
    dataset = Dataset(out, create=True)
    with dataset.lock(), progress_bars() as progress:
        recipe = recipes.of(dataset)
        if recipe.merge is None:
            recipe = recipes.Recipe(
                name=out.resolve().name, shards=ShardOptions(encodings=tuple(ENCODINGS))
            )
        recipe = dataclasses.replace(recipe, name=name or recipe.name, merge=options)
        recipes.run_merge(dataset, recipe, progress=progress)
    show_dataset(dataset, output)
    licence = dataset.provenance["licence"]
    none = "none: recordings are without one (K707), and their clips may not be passed on"
    say(f"licence of all: {licence or none}")
    say(f"next: kslds split {out}, then kslds shard {out}; what was found: kslds report {out}")
