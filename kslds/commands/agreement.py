"""How far several annotators of a dataset agree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from kslds.screen import Format, print_table, reported, say


@reported
def agreement(
    root: Annotated[
        Path, typer.Argument(metavar="DIR", help="The dataset's folder.", show_default=False)
    ],
    output: Annotated[Format, typer.Option("--format", help="What is printed on stdout.")] = (
        Format.table
    ),
) -> None:
    """Show how far annotators agree on boundaries and labels, and where they do not."""
    from kslds import recipe as recipes
    from kslds.manifest import Dataset, is_hashed

    dataset = Dataset(root)
    found = recipes.run_agreement(dataset, recipes.of(dataset))
    if output is Format.json:
        typer.echo(json.dumps(found, ensure_ascii=False, sort_keys=True, indent=1))
        return
    if found is None:
        say("one annotator: there is nothing to compare.")
        return
    print_table(
        [{"what": what, **found[key]} for key, what in _APART.items() if found[key]],
        title="segments that mean the same sign: how far they are apart",
    )
    print_table(
        [{"what": key, **found[key]} for key in ("labels", "emotions")],
        title="agreement on labels, over groups of such segments",
    )
    print_table(found["pairs"], title="pairs of annotators")
    print_table(found["review"][:20], title=f"{found['differing']} to look at: labels differ")
    print_table(
        found["missing"][:20],
        title=f"{found['missed']} to look at: not marked by all who worked on the recording",
    )
    print_table(found["furthest"], title="boundaries that are furthest apart")
    hashed = [name for name in found["annotators"] if is_hashed(name, prefix="annotator")]
    if hashed:
        say(
            f"{', '.join(hashed[:5])}: a name with letters beyond a-z is not spelled out; who "
            "it is stands in your annotations, where agreement.csv says under sources."
        )
    say(f"every group: {dataset.root / 'reports' / 'agreement.csv'}")


_APART = {"iou": "IoU", "start_ms": "ms between starts", "end_ms": "ms between ends"}
