"""What is wrong with a published annotation set, found without its videos."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kslds.screen import Format, print_table, reported, say

if TYPE_CHECKING:
    from kslds.audit import Audit


@reported
def audit(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE …",
            help="Annotation files of one collection (also .gz), or a folder of them, or the "
            "folder of a dataset.",
            show_default=False,
        ),
    ],
    adapter: Annotated[
        str,
        typer.Option(
            help="auto, slovo, autsl, wlasl, ms-asl, table, … or package.module:function."
        ),
    ] = "auto",
    column: Annotated[
        list[str] | None,
        typer.Option(help="FIELD=COLUMN, such as gloss=text; may be repeated.", show_default=False),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(help="KEY=VALUE of the adapter; may be repeated.", show_default=False),
    ] = None,
    tier: Annotated[
        list[str] | None,
        typer.Option(
            help="Tier to read from ELAN files, by name or pattern; may be repeated.",
            show_default=False,
        ),
    ] = None,
    unit: Annotated[
        str | None,
        typer.Option(help="Of boundaries: ms, s, frame or timecode.", show_default=False),
    ] = None,
    examples: Annotated[int, typer.Option(min=1, help="Most places that a finding names.")] = 20,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for audit.html, findings.csv and audit.json.", show_default=False
        ),
    ] = None,
    output: Annotated[Format, typer.Option("--format", help="What is printed on stdout.")] = (
        Format.table
    ),
) -> None:
    """Find what is wrong with published annotations, without the videos; exit 1 on errors."""
    from kslds import audit as audits
    from kslds.errors import UsageError

    pairs = [pair for pair in [*(column or []), *(option or [])] if "=" not in pair]
    if pairs:
        raise UsageError(f"{pairs[0]!r}: expected NAME=VALUE, such as --column gloss=text.")
    options = audits.Options(
        adapter=adapter,
        columns=dict(pair.split("=", 1) for pair in column or []),
        unit=unit,
        tiers=tuple(tier or ()),
        settings=dict(pair.split("=", 1) for pair in option or []),
    )
    result = audits.audit(files, options=options, examples=examples)
    for file in result.files:
        say(f"{file.name}: {file.rows:,} rows, read as {file.format}.")
    if output is Format.json:
        typer.echo(json.dumps(result.as_json(), ensure_ascii=False, sort_keys=True, indent=1))
    else:
        _show(result)
    if out is not None:
        say(f"page: {audits.write(result, out=out)}")
    if result.number("error"):
        raise typer.Exit(1)


def _show(result: Audit) -> None:
    facts = result.facts
    print_table(
        [
            {"side": s.name, "rows": s.rows, "classes": s.classes, "signers": s.signers}
            for s in facts.sides
        ]
        + [{"side": "all", "rows": facts.rows, "classes": facts.classes, "signers": facts.signers}],
        title="what it holds",
    )
    print_table(
        [
            {"severity": f.severity, "code": f.code, "finding": f.message,
             "first": f.examples[0].where if f.examples else ""}
            for f in result.findings
        ],
        title="findings",
    )  # fmt: skip
    typer.echo(f"signer-independent: {facts.verdict} — {facts.headline}")
