"""``kslds bench``: what rendering, encodings and reading cost on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kslds.screen import Format, print_table, reported, say

if TYPE_CHECKING:
    from kslds.bench.measure import Result

bench_app = typer.Typer(
    help="Measure rendering, encodings and reading on this machine.", no_args_is_help=True
)

Runs = Annotated[int, typer.Option(min=1, max=1000, help="Runs of each; contenders take turns.")]
Out = Annotated[
    Path | None,
    # Looked at before anything is measured, which takes minutes.
    typer.Option(help="Folder for the table, every run (JSON) and a plot (PNG).",
                 show_default=False, file_okay=False),
]  # fmt: skip
OutputFormat = Annotated[Format, typer.Option("--format", help="What is printed on stdout.")]


@bench_app.command("ingest")
@reported
def bench_ingest(
    recordings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RECORDING …]",
            help="Files, folders or globs; a small demo if not given.",
            show_default=False,
        ),
    ] = None,
    runs: Runs = 5,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Recordings at a time; all cores if not given.",
                     show_default=False),
    ] = None,
    clip_ms: Annotated[int, typer.Option(help="Length of the clips.")] = 2600,
    size: Annotated[int, typer.Option(help="Side of the clips in pixels.")] = 224,
    out: Out = None,
    output: OutputFormat = Format.table,
) -> None:  # fmt: skip
    """Rendering beside decoding only, one ffmpeg a clip, and one ffmpeg a recording."""
    from kslds.bench import ingest

    options = ingest.IngestBench(
        recordings=tuple(recordings or ()), runs=runs, workers=workers, clip_ms=clip_ms, size=size
    )
    _show(ingest.bench(options, told=say), out=out, output=output)


@bench_app.command("encodings")
@reported
def bench_encodings(
    given: Annotated[
        list[str],
        typer.Argument(
            metavar="DIR | RECORDING …",
            help="The folder of a dataset, or recordings.",
            show_default=False,
        ),
    ],
    candidate: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=OPTIONS of ffmpeg's output, such as 'x264=-c:v libx264 -crf 20', or "
            "NAME=pillow:FORMAT key=value; may be repeated.",
            show_default=False,
        ),
    ] = None,
    runs: Runs = 5,
    clips: Annotated[int, typer.Option(help="Most clips to encode.")] = 12,
    clip_ms: Annotated[int, typer.Option(help="Length of clips cut from recordings.")] = 2600,
    size: Annotated[int, typer.Option(help="Their side in pixels.")] = 224,
    out: Out = None,
    output: OutputFormat = Format.table,
) -> None:
    """Bytes, fidelity and speed of reading of h264, jpeg and candidates of yours."""
    from kslds import recipe as recipes
    from kslds.bench import encodings
    from kslds.errors import IncompleteDataset
    from kslds.manifest import Dataset
    from kslds.spans import ClipOptions

    dataset, shape = None, ClipOptions(size=size)
    if len(given) == 1 and (Path(given[0]) / "tables").is_dir():
        recipe = recipes.of(Dataset(given[0]))
        if recipe.ingest is None:
            raise IncompleteDataset(
                f"{given[0]}: its kslds.toml names no media.", hint="Name recordings instead."
            )
        dataset, shape, given = given[0], recipe.clips, list(recipe.ingest.media)
    options = encodings.EncodingsBench(
        given=tuple(given),
        dataset=dataset,
        shape=shape,
        candidates=tuple(map(encodings.parse_candidate, candidate or ())),
        runs=runs,
        clips=clips,
        clip_ms=clip_ms,
    )
    _show(encodings.bench(options, told=say), out=out, output=output)


@bench_app.command("loader")
@reported
def bench_loader(
    dataset: Annotated[
        Path, typer.Argument(metavar="DIR", help="The dataset's folder.", show_default=False)
    ],
    split: Annotated[str, typer.Option(help="The side to read.")] = "train",
    encoding: Annotated[
        list[str] | None,
        typer.Option(help="h264 or jpeg; may be repeated; all there are if not given.",
                     show_default=False),
    ] = None,
    parallel: Annotated[
        list[int] | None,
        typer.Option(help="Threads or workers; may be repeated; 1 and 2 if not given.",
                     show_default=False),
    ] = None,
    runs: Runs = 5,
    out: Out = None,
    output: OutputFormat = Format.table,
) -> None:  # fmt: skip
    """Clips per second of kslds.load, beside bare decode loops on the same bytes."""
    from kslds.bench import loader

    options = loader.LoaderBench(
        dataset=str(dataset),
        split=split,
        encodings=tuple(encoding or ()),
        parallel=tuple(parallel or (1, 2)),
        runs=runs,
    )
    _show(loader.bench(options, told=say), out=out, output=output)


def _show(result: Result, *, out: Path | None, output: Format) -> None:
    from kslds.bench import measure

    if output is Format.json:
        typer.echo(json.dumps(result.as_json(), ensure_ascii=False, sort_keys=True, indent=1))
    else:
        print_table(result.rows, title=result.title)
        typer.echo("; ".join(f"{key}: {value}" for key, value in result.about.items()))
        for note in result.notes:
            typer.echo(note)
    if out is not None:
        for path in measure.write(result, out=out):
            say(f"wrote {path}")
