"""The command line: each command parses, makes one library call, and reports.

stdout is data, stderr is talk. Exit codes: 0 done, 1 errors were found, 2 wrong usage,
130 stopped by Ctrl-C. Nothing heavy is imported before a command runs.
"""

from __future__ import annotations

import dataclasses
import errno
import functools
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar

import typer

from kslds.errors import KsldsError, ValidationFailed

if TYPE_CHECKING:
    from kslds.engine import Progress
    from kslds.manifest import Dataset
    from kslds.recipe import Recipe
    from kslds.schema import Issue

P = ParamSpec("P")
R = TypeVar("R")

app = typer.Typer(
    name="kslds",
    help="From raw sign-language recordings to a signer-independent dataset that trainers stream.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
baseline_app = typer.Typer(
    help="Train and measure the baselines of the papers.", no_args_is_help=True
)
lexicon_app = typer.Typer(help="Look things up in a lexicon.", no_args_is_help=True)
app.add_typer(baseline_app, name="baseline")
app.add_typer(lexicon_app, name="lexicon")

_state = {"debug": False}


class Format(StrEnum):
    """How a result is printed on stdout."""

    table = "table"
    json = "json"


Dir = Annotated[
    Path, typer.Argument(metavar="DIR", help="The dataset's folder.", show_default=False)
]
OutputFormat = Annotated[Format, typer.Option("--format", help="What is printed on stdout.")]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Jobs at a time; all cores if not given.", show_default=False),
]


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    _state["debug"] = debug


# --------------------------------------------------------------------------- reporting


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _explain(error: BaseException) -> int:
    """Say what went wrong, in one message; returns the exit code."""
    if isinstance(error, KsldsError):
        _say(f"error: {error.what}")
        if isinstance(error, ValidationFailed):
            for issue in error.issues[:20]:
                _say(f"  {issue.code} {issue.message}" + (f" — {issue.hint}" if issue.hint else ""))
            if len(error.issues) > 20:
                _say(f"  … and {len(error.issues) - 20} more.")
        if error.hint:
            _say(f"next:  {error.hint}")
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        _say("stopped. What is finished is kept: run the same command again to go on.")
        return 130
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        _say(f"error: the disk is full ({error.filename or 'while writing'}).")
        _say("next:  make room and run the same command again; what is finished is kept.")
        return 1
    if isinstance(error, OSError):
        _say(f"error: {error.strerror or error}: {error.filename or ''}".rstrip(": "))
        return 1
    _say(f"error: {type(error).__name__}: {error}")
    _say("next:  this is a defect of kslds; run again with: kslds --debug …, and report it.")
    return 1


def _reported(command: Callable[P, R]) -> Callable[P, R]:
    """Turn errors into one message and an exit code (a tracked one with ``--debug``)."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except (Exception, KeyboardInterrupt) as error:
            if _state["debug"] or isinstance(error, typer.Exit | typer.Abort | typer.BadParameter):
                raise
            code = _explain(error)
        raise typer.Exit(code)

    return wrapped


@contextmanager
def _progress() -> Iterator[Progress]:
    """Progress bars on stderr, one a stage."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("{task.description:>12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as bars:
        tasks: dict[str, Any] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield show


def _print(rows: Sequence[Mapping[str, Any]], *, title: str) -> None:
    from rich.console import Console
    from rich.table import Table

    if not rows:
        return
    table = Table(title=title, title_justify="left", header_style="bold")
    for name, value in rows[0].items():
        table.add_column(name, justify="right" if isinstance(value, int | float) else "left",
                         overflow="fold")  # fmt: skip
    for row in rows:
        table.add_row(*("" if v is None else str(v) for v in row.values()))
    # A file or a pipe gets whole lines, not lines wrapped for a screen it does not have.
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _show(dataset: Dataset, output: Format) -> None:
    """The closing report of a command: the books of every stage, and what was built."""
    from kslds import report

    summary = report.summary(dataset)
    if output is Format.json:
        typer.echo(json.dumps(summary, ensure_ascii=False, sort_keys=True, indent=1))
        return
    stages = summary.get("stages", {})
    _print(
        [
            {"stage": name, "in": s["in"], "out": s["out"], "dropped": s["dropped"],
             "balance": "ok" if s["in"] == s["out"] + s["dropped"] else "WRONG"}
            for name, s in stages.items()
        ],
        title=f"{dataset.root}: every row is out or dropped",
    )  # fmt: skip
    _print(_dropped(dataset), title="dropped")
    _print(
        [
            {
                "split": name,
                "side": side,
                **{k: v for k, v in facts.items() if not isinstance(v, list)},
            }
            for name, sides in summary.get("splits", {}).items()
            for side, facts in sides.items()
        ][:20],
        title="splits",
    )
    _print(_issue_rows(dataset), title="issues")
    _print(
        [
            {k: b.get(k) for k in ("model", "task", "top1", "macro_f1", "chance", "n_test")}
            for b in summary.get("baselines", [])
        ],
        title="baselines, on signers that were not trained on",
    )


def _dropped(dataset: Dataset) -> list[dict[str, Any]]:
    from kslds.schema import CODES, Dropped

    rows = dataset.read("dropped", Dropped) if dataset.has("dropped") else []
    shown = [
        {"stage": r.stage, "code": r.code, "what": CODES[r.code].title, "why": r.reason}
        for r in rows
    ]
    return shown[:15] + ([{"stage": "…", "code": "", "what": "", "why": f"{len(shown) - 15} more"}]
                         if len(shown) > 15 else [])  # fmt: skip


def _issue_rows(dataset: Dataset) -> list[dict[str, Any]]:
    from collections import Counter

    from kslds.recipe import issues_of
    from kslds.schema import CODES

    counts = Counter((i.severity, i.code) for i in issues_of(dataset))
    return [
        {"severity": severity, "code": code, "what": CODES[code].title, "count": count}
        for (severity, code), count in sorted(counts.items())
    ]


def _change(recipe: Recipe, section: str, **values: Any) -> Recipe:
    """A recipe with some keys of a section replaced; None leaves a key as it is."""
    given = {key: value for key, value in values.items() if value is not None}
    options = dataclasses.replace(getattr(recipe, section), **given)
    return dataclasses.replace(recipe, **{section: options})


@contextmanager
def _changing(root: Path) -> Iterator[tuple[Dataset, Recipe]]:
    """An existing dataset and its recipe, locked for writing."""
    from kslds import recipe as recipes
    from kslds.manifest import Dataset

    dataset = Dataset(root)
    with dataset.lock():
        yield dataset, recipes.of(dataset)


def _split_list(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


# --------------------------------------------------------------------------- commands


@app.command()
@_reported
def build(
    recipe: Annotated[
        str, typer.Argument(help="A recipe, or the name of a bundled one.", show_default=False)
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The dataset's folder; datasets/<name> if not given.", show_default=False
        ),
    ] = None,
    workers: Workers = None,
    output: OutputFormat = Format.table,
) -> None:
    """Run all stages of a recipe in order, doing only what is missing."""
    from kslds import recipe as recipes

    read = recipes.read(recipe)
    with _progress() as progress:
        dataset = recipes.build(
            read, out=out or Path("datasets") / read.name, workers=workers, progress=progress
        )
    _show(dataset, output)
    _say(f"dataset: {dataset.root}    page: {dataset.root / 'reports' / 'index.html'}")


@app.command()
@_reported
def ingest(
    media: Annotated[
        list[str] | None,
        typer.Argument(help="Folders, files or globs of recordings.", show_default=False),
    ] = None,
    out: Annotated[Path, typer.Option(help="The dataset's folder.", show_default=False)] = ...,  # type: ignore[assignment]
    annotations: Annotated[
        list[str] | None,
        typer.Option(help="Annotation file, folder or glob; may be repeated.", show_default=False),
    ] = None,
    adapter: Annotated[
        str | None,
        typer.Option(help="table, elan, or package.module:function.", show_default=False),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            help="FIELD=COLUMN, such as gloss=label; may be repeated.", show_default=False
        ),
    ] = None,
    unit: Annotated[
        str | None, typer.Option(help="ms, s, frame or timecode.", show_default=False)
    ] = None,
    tier: Annotated[
        list[str] | None,
        typer.Option(help="ELAN tier name or pattern; may be repeated.", show_default=False),
    ] = None,
    signers: Annotated[
        str | None, typer.Option(help="CSV of signers and consent.", show_default=False)
    ] = None,
    licence: Annotated[
        str | None, typer.Option(help="Licence of the recordings.", show_default=False)
    ] = None,
    workers: Workers = None,
    output: OutputFormat = Format.table,
) -> None:
    """Read raw recordings and annotations into tables; known files are not read again."""
    from kslds import recipe as recipes
    from kslds.errors import UsageError
    from kslds.ingest import IngestOptions
    from kslds.manifest import Dataset

    wrong = [pair for pair in column or [] if "=" not in pair]
    if wrong:
        raise UsageError(f"--column {wrong[0]}: expected FIELD=COLUMN, such as gloss=label.")
    dataset = Dataset(out, create=True)
    with dataset.lock(), _progress() as progress:
        recipe = recipes.of(dataset)
        if media:
            recipe = dataclasses.replace(
                recipe, ingest=recipe.ingest or IngestOptions(media=tuple(media)), demo=None
            )
        if recipe.ingest is None:
            raise UsageError("name the recordings to ingest.", hint="kslds ingest FOLDER --out DIR")
        recipe = _change(
            recipe,
            "ingest",
            media=tuple(media) if media else None,
            annotations=tuple(annotations) if annotations else None,
            adapter=adapter,
            columns=dict(pair.split("=", 1) for pair in column) if column else None,
            unit=unit,
            tiers=tuple(tier) if tier else None,
            signers=signers,
        )
        if licence:
            recipe = dataclasses.replace(recipe, licence=licence)
        recipes.run_ingest(dataset, _absolute(recipe), workers=workers, progress=progress)
    _show(dataset, output)


def _absolute(recipe: Recipe) -> Recipe:
    """Paths typed on the command line are relative to where the user is."""
    options = recipe.ingest
    if options is None:
        return recipe
    return _change(
        recipe,
        "ingest",
        media=tuple(str(Path(p).absolute()) for p in options.media),
        annotations=tuple(str(Path(p).absolute()) for p in options.annotations),
        signers=str(Path(options.signers).absolute()) if options.signers else None,
    )


@app.command()
@_reported
def validate(
    root: Dir,
    lexicon: Annotated[
        str | None,
        typer.Option(help="A lexicon CSV, or the name of a bundled one.", show_default=False),
    ] = None,
    unknown: Annotated[
        str | None, typer.Option(help="error, drop or keep unknown labels.", show_default=False)
    ] = None,
    output: OutputFormat = Format.table,
) -> None:
    """Check labels, boundaries, signers, consent and clips; exit 1 if there are errors."""
    from kslds import recipe as recipes

    with _changing(root) as (dataset, recipe):
        if lexicon is not None and Path(lexicon).is_file():
            lexicon = str(Path(lexicon).absolute())
        recipe = _change(recipe, "lexicon", file=lexicon, unknown=unknown)
        found = recipes.run_validate(dataset, recipe)
        recipes.write(recipe, root=dataset.root)
    if output is Format.json:
        typer.echo(
            json.dumps([dataclasses.asdict(i) for i in found.issues], ensure_ascii=False, indent=1)
        )
    else:
        _print([_issue_row(i) for i in found.issues[:50]], title=f"{len(found.issues)} issue(s)")
        if len(found.issues) > 50:
            _say(f"… and {len(found.issues) - 50} more; all of them: --format json")
    if any(issue.severity == "error" for issue in found.issues):
        raise typer.Exit(1)


def _issue_row(issue: Issue) -> dict[str, Any]:
    return {
        "severity": issue.severity,
        "code": issue.code,
        "what": issue.message,
        "next": issue.hint,
    }


@app.command()
@_reported
def trim(
    root: Dir,
    margin_ms: Annotated[
        tuple[int, int] | None,
        typer.Option(help="Milliseconds to add before and after.", show_default=False),
    ] = None,
    fps: Annotated[
        str | None,
        typer.Option(help="source, or frames per second to resample to.", show_default=False),
    ] = None,
    output: OutputFormat = Format.table,
) -> None:
    """Resolve sign boundaries into exact frame spans; decodes nothing."""
    from kslds import recipe as recipes

    with _changing(root) as (dataset, recipe):
        rate = fps if fps in (None, "source") else _number(fps)
        recipe = _change(recipe, "clips", margin_ms=margin_ms, fps=rate)
        recipes.run_trim(dataset, recipe)
        recipes.write(recipe, root=dataset.root)
    _show(dataset, output)


def _number(text: str) -> float:
    from kslds.errors import UsageError

    try:
        return float(text)
    except ValueError as error:
        raise UsageError(f"--fps {text}: expected 'source' or a number.") from error


@app.command()
@_reported
def resize(
    root: Dir,
    size: Annotated[
        int | None, typer.Option(help="Side in pixels, even.", show_default=False)
    ] = None,
    fit: Annotated[
        str | None,
        typer.Option(help="stretch, pad, center-crop or short-side.", show_default=False),
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="h264, jpeg, or both with a comma.", show_default=False)
    ] = None,
    workers: Workers = None,
    output: OutputFormat = Format.table,
) -> None:
    """Render the plan: one decode per recording, one encode per clip."""
    from kslds import recipe as recipes

    with _changing(root) as (dataset, recipe), _progress() as progress:
        recipe = _change(recipe, "clips", size=size, fit=fit)
        recipe = _change(recipe, "shards", encodings=_split_list(encoding))
        recipes.run_resize(dataset, recipe, workers=workers, progress=progress)
        recipes.write(recipe, root=dataset.root)
    _show(dataset, output)


@app.command()
@_reported
def split(
    root: Dir,
    by: Annotated[
        str | None, typer.Option(help="signer, loso, kfold or list.", show_default=False)
    ] = None,
    fraction: Annotated[
        list[str] | None,
        typer.Option(help="SIDE=PART, such as train=0.8; may be repeated.", show_default=False),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed.", show_default=False)] = None,
    folds: Annotated[
        int | None, typer.Option(help="Number of folds of kfold.", show_default=False)
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="The list: a CSV with signer_id, split.", show_default=False)
    ] = None,
    output: OutputFormat = Format.table,
) -> None:
    """Assign whole signers to train and test; refuses a split that leaks."""
    from kslds import recipe as recipes
    from kslds import split as splits
    from kslds.errors import UsageError

    with _changing(root) as (dataset, recipe):
        fractions = None
        if fraction:
            try:
                fractions = {k: float(v) for k, v in (pair.split("=", 1) for pair in fraction)}
            except ValueError as error:
                raise UsageError(f"--fraction {fraction}: expected SIDE=PART.") from error
        recipe = _change(
            recipe, "split", by=by, fractions=fractions, seed=seed, folds=folds,
            file=str(file.absolute()) if file else None,
        )  # fmt: skip
        splits.split(dataset, options=recipe.split)
        recipes.write(recipe, root=dataset.root)
    _show(dataset, output)


@app.command()
@_reported
def shard(
    root: Dir,
    formats: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="webdataset, parquet, or both with a comma; json prints the report as JSON.",
            show_default=False,
        ),
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="h264, jpeg, or both with a comma.", show_default=False)
    ] = None,
    max_mb: Annotated[
        int | None,
        typer.Option(min=1, help="Size at which a new shard begins, MB.", show_default=False),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="The split to shard by.", show_default=False)
    ] = None,
) -> None:
    """Copy the clips into WebDataset tars and Parquet."""
    from kslds import recipe as recipes

    # Here --format names what is written, as it does for data everywhere; the printed report
    # can still be had as JSON by naming it too.
    named = _split_list(formats) or ()
    output = Format.json if "json" in named else Format.table
    kinds = tuple(name for name in named if name not in ("json", "table")) or None

    with _changing(root) as (dataset, recipe), _progress() as progress:
        recipe = _change(
            recipe, "shards", formats=kinds, encodings=_split_list(encoding),
            max_mb=max_mb,
        )  # fmt: skip
        recipes.run_shard(dataset, recipe, split=split, progress=progress)
        recipes.write(recipe, root=dataset.root)
    _show(dataset, output)


@app.command()
@_reported
def info(
    root: Dir,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check every byte of clips and shards.")
    ] = False,
    output: OutputFormat = Format.table,
) -> None:
    """Show what a dataset holds, and that its books balance."""
    from kslds.manifest import Dataset

    dataset = Dataset(root)
    if verify:
        _verify(dataset)
    _show(dataset, output)


def _verify(dataset: Dataset) -> None:
    from kslds import pack, shards

    tars = sorted((dataset.root / "clips").glob("*/*.tar"))
    folders = sorted(p.parent for p in dataset.root.glob("shards/*/index.json"))
    folders += [p.parent for p in dataset.root.glob("parquet/index.json")]
    with _progress() as progress:
        for done, tar in enumerate(tars):
            progress("verify", done, len(tars) + len(folders))
            pack.verify(tar)
        for done, folder in enumerate(folders, start=len(tars) + 1):
            shards.verify(folder)
            progress("verify", done, len(tars) + len(folders))
    _say(f"verified: {len(tars)} packs of clips, {len(folders)} shard folders.")


@app.command()
@_reported
def report(root: Dir) -> None:
    """Write the page reports/index.html; prints its path."""
    from kslds import report as reports
    from kslds.manifest import Dataset

    with _progress() as progress:
        path = reports.report(Dataset(root), progress=progress)
    typer.echo(str(path))


@app.command()
@_reported
def demo(
    out: Annotated[Path, typer.Option(help="Where the recordings go.", show_default=False)],
    signers: Annotated[int, typer.Option(min=1, help="Signers.")] = 8,
    signs: Annotated[int, typer.Option(min=1, help="Signs, in the order of the lexicon.")] = 10,
    emotions: Annotated[int, typer.Option(min=1, max=4, help="Emotions.")] = 4,
    repetitions: Annotated[int, typer.Option(min=1, help="Repetitions of each.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed.")] = 17,
    lexicon: Annotated[str, typer.Option(help="Where the labels come from.")] = "nspcrsie",
    workers: Workers = None,
    output: OutputFormat = Format.table,
) -> None:
    """Draw the demo's recordings, with their true boundaries as CSV and ELAN."""
    from kslds import lexicon as lexicons
    from kslds.corpora import demo as demos

    size = demos.Demo(
        signers=signers, signs=signs, emotions=emotions, repetitions=repetitions, seed=seed
    )
    with _progress() as progress:
        rendered = demos.render(
            out, demo=size, signs=lexicons.load(lexicon).signs, workers=workers, progress=progress
        )
    facts = dataclasses.asdict(rendered)
    if output is Format.json:
        typer.echo(json.dumps(facts, default=str, sort_keys=True))
    else:
        _print([facts], title=str(out))


@app.command()
@_reported
def publish(
    root: Dir,
    repo: Annotated[
        str, typer.Option(help="org/name on the Hugging Face Hub.", show_default=False)
    ],
    tag: Annotated[
        str | None,
        typer.Option(help="Name of the release; by its hash if not given.", show_default=False),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Make the repository private.")
    ] = False,
    gated: Annotated[str, typer.Option(help="manual, auto or none: who may download.")] = "manual",
    output: OutputFormat = Format.table,
) -> None:
    """Publish shards, Parquet and a dataset card on the Hub; stops without the signers' consent."""
    from kslds import hub
    from kslds.manifest import Dataset

    dataset = Dataset(root)
    with dataset.lock(), _progress() as progress:
        published = hub.publish(
            dataset, repo=repo, tag=tag, private=private, gated=gated, progress=progress
        )
    facts = dataclasses.asdict(published)
    if output is Format.json:
        typer.echo(json.dumps(facts, sort_keys=True))
    else:
        _print([facts], title="published and verified")


@lexicon_app.command("search")
@_reported
def lexicon_search(
    text: Annotated[str, typer.Argument(help="A label, as somebody wrote it.", show_default=False)],
    lexicon: Annotated[
        str, typer.Option(help="A lexicon CSV, or the name of a bundled one.")
    ] = "nspcrsie",
    output: OutputFormat = Format.table,
) -> None:
    """Show which entry a label matches and how; exit 1 if none."""
    from kslds import lexicon as lexicons

    match = lexicons.load(lexicon).match(text)
    facts = {"label": text, **dataclasses.asdict(match)}
    if output is Format.json:
        typer.echo(json.dumps(facts, ensure_ascii=False, sort_keys=True))
    else:
        _print(
            [{k: ", ".join(v) if isinstance(v, tuple) else v for k, v in facts.items()}],
            title=lexicon,
        )
    if match.gloss_id is None:
        raise typer.Exit(1)


@baseline_app.command("list")
@_reported
def baseline_list() -> None:
    """The names of the baselines."""
    from kslds import baselines

    typer.echo("\n".join(baselines.MODELS))


@baseline_app.command("run")
@_reported
def baseline_run(
    root: Annotated[
        str,
        typer.Argument(metavar="DIR", help="A dataset's folder or address.", show_default=False),
    ],
    model: Annotated[str, typer.Option(help="See: kslds baseline list.")] = "linear-probe",
    task: Annotated[str, typer.Option(help="gloss or emotion.")] = "gloss",
    weights: Annotated[
        str | None,
        typer.Option(help="Hub name or local folder of the weights.", show_default=False),
    ] = None,
    from_scratch: Annotated[bool, typer.Option("--from-scratch", help="Random weights.")] = False,
    tiny: Annotated[
        bool, typer.Option("--tiny", help="A small model, for machines without a GPU.")
    ] = False,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="The paper's if not given.", show_default=False)
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="The paper's if not given.", show_default=False)
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="The paper's if not given.", show_default=False)
    ] = None,
    num_frames: Annotated[
        int | None, typer.Option(min=1, help="The paper's if not given.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed.")] = 17,
    device: Annotated[
        str | None,
        typer.Option(help="cpu or cuda; what is there if not given.", show_default=False),
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Loader processes.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Where the results go.", show_default=False)
    ] = None,
    output: OutputFormat = Format.table,
) -> None:
    """Train a baseline on one side of the split and measure it on the other."""
    from kslds import baselines

    settings = baselines.Settings(
        model=model, task=task, weights=weights, from_scratch=from_scratch, tiny=tiny,
        epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, num_frames=num_frames,
        seed=seed, device=device, workers=workers,
    )  # fmt: skip
    with _progress() as progress:
        result = baselines.run(root, settings=settings, out=out, progress=progress)
    if output is Format.json:
        typer.echo(
            json.dumps(dataclasses.asdict(result), ensure_ascii=False, sort_keys=True, default=str)
        )
    else:
        typer.echo("\n".join(result.lines()))


def main() -> None:
    """The entry point of the `kslds` command."""
    app()


if __name__ == "__main__":
    main()
