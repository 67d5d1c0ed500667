"""``kslds lexicon``: import, check, diff and search."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from kslds.screen import Format, print_table, reported, say

lexicon_app = typer.Typer(help="Import, check, compare and search lexicons.", no_args_is_help=True)

OutputFormat = Annotated[Format, typer.Option("--format", help="What is printed on stdout.")]
Name = Annotated[
    str,
    typer.Argument(
        metavar="LEXICON", help="A lexicon CSV, or the name of a bundled one.", show_default=False
    ),
]
_SHOWN = 50


@lexicon_app.command("import")
@reported
def lexicon_import(
    path: Annotated[
        Path, typer.Argument(metavar="LIST", help="A CSV, TSV or XLSX file.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="The lexicon to write, .csv.", show_default=False)],
    column: Annotated[
        list[str] | None,
        typer.Option(
            help="FIELD=HEADING, such as kk=Қазақша; may be repeated.", show_default=False
        ),
    ] = None,
    sheet: Annotated[
        str | None,
        typer.Option(help="The sheet, where a workbook has several.", show_default=False),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(help="Where entries that do not say so are attested.", show_default=False),
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="Version of the list.", show_default=False)
    ] = None,
    date: Annotated[
        str | None, typer.Option(help="Its date, as 2026-01-31.", show_default=False)
    ] = None,
    licence: Annotated[
        str | None, typer.Option(help="Its licence, such as CC-BY-4.0.", show_default=False)
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Its name; that of the file if not given.", show_default=False),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a lexicon of this name.")
    ] = False,
    output: OutputFormat = Format.table,
) -> None:
    """Make a lexicon of your own list. Where a row is not certain, nothing is written."""
    from kslds import wordlist
    from kslds.errors import UsageError

    wrong = [pair for pair in column or [] if "=" not in pair]
    if wrong:
        raise UsageError(f"--column {wrong[0]}: expected FIELD=HEADING, such as kk=Қазақша.")
    about = wordlist.about_of(name=name or out.stem, version=version, date=date, licence=licence)
    taken = wordlist.read_list(
        path,
        columns=dict(pair.split("=", 1) for pair in column or []),
        sheet=sheet,
        source=source,
    )
    for field in taken.assumed:
        say(f"assumed: {field} is the column {taken.columns[field]!r}")
    if taken.unused:
        say(f"not used: {', '.join(map(repr, taken.unused))}")
    for what in taken.hidden:
        say(f"note: {what}")
    wordlist.write(out, signs=taken.signs, about=about, overwrite=overwrite)
    if about is None:
        say("the lexicon states no version: give --version, --date and --licence.")
    facts = {
        "lexicon": str(out), "entries": len(taken.signs), "columns": dict(taken.columns),
        "assumed": list(taken.assumed), "not_used": list(taken.unused),
        "hidden": list(taken.hidden),
    }  # fmt: skip
    if output is Format.json:
        _json(facts)
    else:
        mapped = ", ".join(f"{field} = {heading}" for field, heading in taken.columns.items())
        row = {"lexicon": str(out), "entries": len(taken.signs), "columns": mapped}
        print_table([row], title="imported")


@lexicon_app.command("check")
@reported
def lexicon_check(name: Name, output: OutputFormat = Format.table) -> None:
    """Show what is wrong with a lexicon. Exits 1 if there are errors; warnings are none."""
    from kslds import lexicon as lexicons
    from kslds import wordlist

    read = lexicons.load(name)
    issues = wordlist.check(read)
    errors = sum(issue.severity == "error" for issue in issues)
    if output is Format.json:
        _json([dataclasses.asdict(issue) for issue in issues])
    else:
        print_table(
            [
                {"severity": i.severity, "code": i.code, "what": i.message, "next": i.hint}
                for i in issues[:_SHOWN]
            ],
            title=f"{len(issues)} issue(s)",
        )
        if len(issues) > _SHOWN:
            say(f"… and {len(issues) - _SHOWN} more; all of them: --format json")
    stated = f", version {read.about.version} of {read.about.date}" if read.about else ""
    say(f"{read.name}{stated}: {len(read.signs)} entries, {errors} errors.")
    if errors:
        raise typer.Exit(1)


@lexicon_app.command("diff")
@reported
def lexicon_diff(
    old: Annotated[
        str, typer.Argument(metavar="OLD", help="A lexicon CSV or name.", show_default=False)
    ],
    new: Annotated[
        str, typer.Argument(metavar="NEW", help="A lexicon CSV or name.", show_default=False)
    ],
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit 1 if there is any difference.")
    ] = False,
    output: OutputFormat = Format.table,
) -> None:
    """Compare two lexicons, cell by cell. Exits 0 unless --exit-code is given."""
    from kslds import lexicon as lexicons
    from kslds import wordlist

    read = [lexicons.load(name) for name in (old, new)]
    for lexicon in read:
        if lexicon.problems:
            say(f"{lexicon.name} has {len(lexicon.problems)} problem(s): kslds lexicon check")
    changes = wordlist.diff(read[0], new=read[1])
    rows = [dataclasses.asdict(change) for change in changes]
    if output is Format.json:
        _json(rows)
    else:
        print_table(rows, title=f"{len(rows)} difference(s)")
        if not rows:
            say("no difference.")
    if exit_code and changes:
        raise typer.Exit(1)


@lexicon_app.command("search")
@reported
def lexicon_search(
    text: Annotated[
        str | None,
        typer.Argument(help="A label, as somebody wrote it.", show_default=False),
    ] = None,
    lexicon: Annotated[
        str, typer.Option(help="A lexicon CSV, or the name of a bundled one.")
    ] = "nspcrsie",
    category: Annotated[
        str | None, typer.Option(help="Only entries of this category.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Entries to show.")] = 20,
    output: OutputFormat = Format.table,
) -> None:
    """Show which entry a label names. Then others like it; exits 1 if it names none."""
    from kslds import lexicon as lexicons
    from kslds.errors import UsageError

    if text is None and category is None:
        raise UsageError("name a label or a --category to search for.")
    read = lexicons.load(lexicon)
    hits = read.search(text, category=category, limit=limit)
    match = None if text is None else read.match(text)
    for word in lexicons.mixed_scripts(text or ""):
        say(f"{word!r} mixes Cyrillic and Latin letters.")
    if output is Format.json:
        facts: dict[str, Any] = {"label": text}
        if match is not None:
            facts |= dataclasses.asdict(match)
        facts["entries"] = [{"how": hit.how, **dataclasses.asdict(hit.sign)} for hit in hits]
        _json(facts)
    else:
        columns = ("gloss_id", "kk", "kk_latn", "ru", "en", "category")
        print_table(
            [{"how": hit.how, **{c: getattr(hit.sign, c) for c in columns}} for hit in hits],
            title=f"{read.name}: {match.how if match else category}",
        )
        if not hits:
            say("nothing like it.")
    if not any(hit.how not in ("ambiguous", "prefix", "similar") for hit in hits):
        raise typer.Exit(1)


def _json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, sort_keys=True, indent=1))
