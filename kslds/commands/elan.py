"""The commands of `kslds elan`: segments to ELAN files, and what ELAN files hold."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from kslds.screen import Format, print_table, reported, say

elan_app = typer.Typer(
    help="Write segments into ELAN files, and check ELAN files.", no_args_is_help=True
)

_MAX_ROWS = 50
_MAX_FINDINGS = 5


@elan_app.command()
@reported
def export(
    root: Annotated[
        Path, typer.Argument(metavar="DIR", help="The dataset's folder.", show_default=False)
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Where the .eaf files go; DIR/elan if not given.", show_default=False),
    ] = None,
    into: Annotated[
        list[Path] | None,
        typer.Option(
            help="An .eaf file, or a folder of them, that gets the tiers of its recording; "
            "the result goes to --out. May be repeated.",
            show_default=False,
        ),
    ] = None,
    prefix: Annotated[str, typer.Option(help="Put before the name of every tier.")] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace what an earlier export wrote.")
    ] = False,
    output: Annotated[
        Format, typer.Option("--format", help="What is printed on stdout.")
    ] = Format.table,
) -> None:
    """Write one .eaf for each recording, with a tier for each tier, signer and annotator."""
    from kslds.corpora import elan_check, elan_export
    from kslds.manifest import Dataset

    dataset = Dataset(root)
    written = elan_export.export(
        dataset,
        out=out or root / "elan",
        media=_media(dataset),
        into=elan_check.files_in(into) if into else (),
        prefix=prefix,
        replace=replace,
    )
    rows = [
        {"file": str(e.path), "recording": e.recording, "into": str(e.into) if e.into else None,
         "tiers": e.tiers, "annotations": e.annotations}
        for e in written
    ]  # fmt: skip
    _show(rows, output, title=f"{len(rows)} file(s) written")
    for e in written:
        if not e.into:
            continue
        # Asked of the new file: writing it has mended some of what was odd in the old one.
        findings, known = elan_check.check(e.path).findings, elan_check.check(e.into).findings
        for found in findings[:_MAX_FINDINGS]:
            before = f", as {e.into} before it" if found in known else ""
            say(f"{e.path}{before}: {found.severity}: {found.message}")
        if len(findings) > _MAX_FINDINGS:
            say(f"… and {len(findings) - _MAX_FINDINGS} more: kslds elan check {e.path}")
    say(
        'Read corrections back with these keys of [ingest]: adapter = "elan", '
        'tiers = ["type:kslds-gloss"], columns = { emotion = "type:kslds-emotion*", '
        'sentence = "type:kslds-sentence*", translation = "type:kslds-translation*", '
        'translation_kk = "type:kslds-kk-translation*" }'
    )


def _media(dataset: Any) -> dict[str, Path]:
    """Where the dataset's recordings lie, as far as they are still there."""
    from kslds import recipe as recipes
    from kslds.errors import KsldsError
    from kslds.ingest import find_media

    try:
        options = recipes.of(dataset).ingest
        found = find_media(options.media) if options else None
    except KsldsError as error:
        say(f"the recordings are linked by name only: {error}")
        return {}
    return dict(found.files) if found else {}


@elan_app.command()
@reported
def check(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE|FOLDER …", help=".eaf files and folders of them.",
                       show_default=False),
    ],
    output: Annotated[
        Format, typer.Option("--format", help="What is printed on stdout.")
    ] = Format.table,
) -> None:  # fmt: skip
    """Show what ELAN files hold and what is wrong with them; exit 1 if there are errors."""
    from kslds.corpora import elan_check

    external: dict[Path, Any] = {}
    checked = [elan_check.check(path, external=external) for path in elan_check.files_in(files)]
    if output is Format.json:
        rows = [{**dataclasses.asdict(c), "path": str(c.path)} for c in checked]
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=1))
    else:
        _show_checked(checked)
    if any(c.num_errors for c in checked):
        raise typer.Exit(1)


def _show_checked(checked: list[Any]) -> None:
    rows = [
        {
            "file": str(c.path),
            "version": c.version,
            "recording": c.recording,
            "tiers": None if c.tiers is None else len(c.tiers),
            "annotations": c.num_annotations,
            "signers": len(c.participants),
            "errors": c.num_errors,
            "warnings": len(c.findings) - c.num_errors,
        }
        for c in checked
    ]
    # Files with errors first: of thousands, those are the ones to see.
    rows.sort(key=lambda row: (-row["errors"], -row["warnings"], row["file"]))
    tiers: dict[str, list[int]] = {}
    for c in checked:
        for name, number in (c.tiers or {}).items():
            tiers.setdefault(name, []).append(number)
    _show(
        [
            {"tier": name, "files": len(numbers), "annotations": sum(numbers)}
            for name, numbers in sorted(tiers.items(), key=lambda item: (-len(item[1]), item[0]))
        ],
        Format.table,
        title=f"{len(tiers)} tier name(s)",
    )
    _show(rows, Format.table, title=f"{len(rows)} file(s)")
    found = [
        {"file": str(c.path), "severity": f.severity, "what": f.message}
        for c in checked
        for f in c.findings
    ]
    found.sort(key=lambda row: (row["severity"], row["file"]))
    _show(found, Format.table, title=f"{len(found)} finding(s)")


def _show(rows: list[dict[str, Any]], output: Format, *, title: str) -> None:
    if output is Format.json:
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=1))
        return
    print_table(rows[:_MAX_ROWS], title=title)
    if len(rows) > _MAX_ROWS:
        say(f"… and {len(rows) - _MAX_ROWS} more; all of them: --format json")
