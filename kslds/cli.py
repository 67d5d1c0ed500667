"""The command line: each command parses, makes one library call, and reports.

stdout is data, stderr is talk. Exit codes: 0 done, 1 errors were found, 2 wrong usage,
130 stopped by Ctrl-C. Rows that a stage drops are no error of the command: the books balance,
and the closing table shows them. Nothing heavy is imported before a command runs.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kslds import screen
from kslds.commands.agreement import agreement
from kslds.commands.audit import audit
from kslds.commands.bench import bench_app
from kslds.commands.elan import elan_app
from kslds.commands.lexicon import lexicon_app
from kslds.commands.merge import merge
from kslds.screen import Format, print_table, progress_bars, reported, say, show_dataset

if TYPE_CHECKING:
    from kslds.manifest import Dataset
    from kslds.recipe import Recipe
    from kslds.schema import Issue

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
app.add_typer(baseline_app, name="baseline")
app.add_typer(lexicon_app, name="lexicon")
app.add_typer(elan_app, name="elan")

Dir = Annotated[
    Path, typer.Argument(metavar="DIR", help="The dataset's folder.", show_default=False)
]
OutputFormat = Annotated[Format, typer.Option("--format", help="What is printed on stdout.")]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Jobs at a time; all cores if not given.", show_default=False),
]


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("kslds"))
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version),
    ] = False,
) -> None:
    del version
    screen.debug = debug


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


def _pairs(given: list[str] | None, *, option: str, example: str) -> dict[str, str] | None:
    """``KEY=VALUE`` arguments as a dict; None where there is none."""
    from kslds.errors import UsageError

    for pair in given or ():
        if "=" not in pair:
            raise UsageError(f"{option} {pair}: expected KEY=VALUE, such as {example}.")
    return dict(pair.split("=", 1) for pair in given) if given else None


def _split_list(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


# --------------------------------------------------------------------------- commands


@app.command()
@reported
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
    with progress_bars() as progress:
        dataset = recipes.build(
            read, out=out or Path("datasets") / read.name, workers=workers, progress=progress
        )
    show_dataset(dataset, output)
    say(f"dataset: {dataset.root}    page: {dataset.root / 'reports' / 'index.html'}")


@app.command()
@reported
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
        typer.Option(
            help="table, elan, slovo …, or package.module:function; see docs/corpora.md.",
            show_default=False,
        ),
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
    poses: Annotated[
        str | None,
        typer.Option(help="Folder of pose files named as the recordings.", show_default=False),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            help="KEY=VALUE of the adapter, such as subset=100; may be repeated.",
            show_default=False,
        ),
    ] = None,
    missing: Annotated[
        str | None,
        typer.Option(help="Rows without a recording: drop or error.", show_default=False),
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

    columns = _pairs(column, option="--column", example="gloss=label")
    options = _pairs(option, option="--option", example="subset=100")
    dataset = Dataset(out, create=True)
    with dataset.lock(), progress_bars() as progress:
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
            columns=columns,
            options=options,
            poses=poses,
            missing=missing,
            unit=unit,
            tiers=tuple(tier) if tier else None,
            signers=signers,
        )
        if licence:
            recipe = dataclasses.replace(recipe, licence=licence)
        recipes.run_ingest(dataset, _absolute(recipe), workers=workers, progress=progress)
    show_dataset(dataset, output)


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
        poses=str(Path(options.poses).absolute()) if options.poses else None,
    )


@app.command()
@reported
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

    with _changing(root) as (dataset, recipe), progress_bars() as progress:
        if lexicon is not None and Path(lexicon).is_file():
            lexicon = str(Path(lexicon).absolute())
        recipe = _change(recipe, "lexicon", file=lexicon, unknown=unknown)
        found = recipes.run_validate(dataset, recipe, progress=progress)
        recipes.write(recipe, root=dataset.root)
    if output is Format.json:
        typer.echo(
            json.dumps([dataclasses.asdict(i) for i in found.issues], ensure_ascii=False, indent=1)
        )
    else:
        print_table(
            [_issue_row(i) for i in found.issues[:50]], title=f"{len(found.issues)} issue(s)"
        )
        if len(found.issues) > 50:
            say(f"… and {len(found.issues) - 50} more; all of them: --format json")
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
@reported
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
    crop: Annotated[
        str | None,
        typer.Option(
            help="LEFT,TOP,WIDTH,HEIGHT in pixels of the picture, inset, or none.",
            show_default=False,
        ),
    ] = None,
    output: OutputFormat = Format.table,
) -> None:
    """Resolve sign boundaries into exact frame spans; decodes nothing."""
    from kslds import recipe as recipes

    with _changing(root) as (dataset, recipe):
        rate = fps if fps in (None, "source") else _number(fps)
        recipe = _change(recipe, "clips", margin_ms=margin_ms, fps=rate, crop=_box(crop))
        recipes.run_trim(dataset, recipe)
        recipes.write(recipe, root=dataset.root)
    show_dataset(dataset, output)


def _box(text: str | None) -> str | tuple[int, ...] | None:
    """Four whole numbers; other text as it is, for the options to judge."""
    parts = (text or "").split(",")
    return tuple(map(int, parts)) if len(parts) == 4 and all(map(str.isdecimal, parts)) else text


def _number(text: str) -> float:
    from kslds.errors import UsageError

    try:
        return float(text)
    except ValueError as error:
        raise UsageError(f"--fps {text}: expected 'source' or a number.") from error


@app.command()
@reported
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

    with _changing(root) as (dataset, recipe), progress_bars() as progress:
        recipe = _change(recipe, "clips", size=size, fit=fit)
        recipe = _change(recipe, "shards", encodings=_split_list(encoding))
        recipes.run_resize(dataset, recipe, workers=workers, progress=progress)
        recipes.write(recipe, root=dataset.root)
    show_dataset(dataset, output)


@app.command()
@reported
def split(
    root: Dir,
    by: Annotated[
        str | None,
        typer.Option(
            help="signer, age, sentence, loso, kfold, list, published or krsl-paper.",
            show_default=False,
        ),
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
    """Assign whole signers (or sentences) to train and test; refuses a split that leaks."""
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
    show_dataset(dataset, output)
    if any(root.glob("shards/*/index.json")) or (root / "parquet" / "index.json").exists():
        say(f"The shards are still those of the split before; next: kslds shard {root}")


@app.command()
@reported
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

    with _changing(root) as (dataset, recipe), progress_bars() as progress:
        recipe = _change(
            recipe, "shards", formats=kinds, encodings=_split_list(encoding),
            max_mb=max_mb,
        )  # fmt: skip
        recipes.run_shard(dataset, recipe, split=split, progress=progress)
        recipes.write(recipe, root=dataset.root)
    show_dataset(dataset, output)


@app.command()
@reported
def export(
    root: Dir,
    out: Annotated[Path, typer.Option(help="Where the files go.", show_default=False)],
    split: Annotated[
        str | None,
        typer.Option(help="The split whose sides become folders.", show_default=False),
    ] = None,
) -> None:
    """Write the clips as plain .mp4 files with a metadata.csv, a folder for each side."""
    from kslds import shards
    from kslds.manifest import Dataset

    number = shards.export(Dataset(root), out=out, split=split)
    say(f"{number} clips written to {out}.")


@app.command()
@reported
def info(
    root: Dir,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check every byte of tables, clips and shards.")
    ] = False,
    output: OutputFormat = Format.table,
) -> None:
    """Show what a dataset holds, and that its books balance."""
    from kslds.manifest import Dataset

    dataset = Dataset(root)
    if verify:
        _verify(dataset)
    show_dataset(dataset, output)


def _verify(dataset: Dataset) -> None:
    from kslds import pack, shards

    tables = dataset.verify()
    tars = sorted((dataset.root / "clips").glob("*/*.tar"))
    folders = sorted(p.parent for p in dataset.root.glob("shards/*/index.json"))
    folders += [p.parent for p in dataset.root.glob("parquet/index.json")]
    with progress_bars() as progress:
        for done, tar in enumerate(tars):
            progress("verify", done, len(tars) + len(folders))
            pack.verify(tar)
        for done, folder in enumerate(folders, start=len(tars) + 1):
            shards.verify(folder)
            progress("verify", done, len(tars) + len(folders))
    say(f"verified: {tables} tables, {len(tars)} packs of clips, {len(folders)} shard folders.")


@app.command()
@reported
def report(root: Dir) -> None:
    """Write the page reports/index.html; prints its path."""
    from kslds import report as reports
    from kslds.manifest import Dataset

    with progress_bars() as progress:
        path = reports.report(Dataset(root), progress=progress)
    typer.echo(str(path))


@app.command()
@reported
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
    with progress_bars() as progress:
        rendered = demos.render(
            out, demo=size, signs=lexicons.load(lexicon).signs, workers=workers, progress=progress
        )
    facts = dataclasses.asdict(rendered)
    if output is Format.json:
        typer.echo(json.dumps(facts, default=str, sort_keys=True))
    else:
        print_table([facts], title=str(out))


@app.command()
@reported
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
    from kslds import hub, withdrawal
    from kslds import recipe as recipes
    from kslds.manifest import Dataset

    dataset = Dataset(root)
    made = recipes.of(dataset)
    with dataset.lock(), progress_bars() as progress:
        withdrawal.stop_if_unheeded(
            dataset,
            signers=made.ingest.signers if made.ingest else None,
            parts=made.merge.datasets if made.merge else (),
        )
        published = hub.publish(
            dataset, repo=repo, tag=tag, private=private, gated=gated, progress=progress
        )
    facts = dataclasses.asdict(published)
    if output is Format.json:
        typer.echo(json.dumps(facts, sort_keys=True))
    else:
        print_table([facts], title="published and verified")


@baseline_app.command("list")
@reported
def baseline_list() -> None:
    """The names of the baselines."""
    from kslds import baselines

    typer.echo("\n".join(baselines.MODELS))


@baseline_app.command("run")
@reported
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
    workers: Annotated[
        int | None,
        typer.Option(
            min=0, help="Loader processes; some with a GPU, none without.", show_default=False
        ),
    ] = None,
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
    with progress_bars() as progress:
        result = baselines.run(root, settings=settings, out=out, progress=progress)
    if output is Format.json:
        typer.echo(
            json.dumps(dataclasses.asdict(result), ensure_ascii=False, sort_keys=True, default=str)
        )
    else:
        typer.echo("\n".join(result.lines()))


# After the stages, in the order of the help.
app.command()(audit)
app.command()(agreement)
app.command()(merge)
app.add_typer(bench_app, name="bench")


def main() -> None:
    """The entry point of the `kslds` command."""
    # Arrow's own allocator keeps some 20 MB more than a table needs, and is slower with ours
    # (docs/performance.md, Memory). Arrow asks once, when it is imported.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    try:
        app()
    except KeyboardInterrupt as stop:  # before or after the command itself
        sys.exit(screen.explain(stop))


if __name__ == "__main__":
    main()
