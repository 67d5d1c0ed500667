"""What rendering costs: kslds beside bare decoding and beside plain ffmpeg, on the same recordings.

All write the same clips with the same encoder. kslds also reads every clip back and compares it.
"""

from __future__ import annotations

import csv
import io
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kslds import clips, engine, lexicon, manifest, probe, spans, validate, video
from kslds import ingest as stage
from kslds.bench.measure import (
    Bars,
    Contender,
    Meter,
    Result,
    Runs,
    call,
    columns,
    environment,
    median,
    rounds,
    shown,
)
from kslds.corpora import demo
from kslds.errors import KsldsError, UsageError

COVERS = ("whole", "tenth")
"""How much of each recording is in clips."""

Spans = dict[str, list[list[int]]]
"""Path of a recording → clips as ``[start_ms, end_ms)``."""

DECODE = "decode only"
KSLDS = "kslds trim + resize"
EACH = "one ffmpeg a clip"
EACH_TYPED = "one ffmpeg a clip, as people type it"
ONCE = "one ffmpeg a recording"


@dataclass(frozen=True, kw_only=True)
class IngestBench:
    """What to measure.

    Raises:
        UsageError: A value is out of range.
    """

    recordings: tuple[str, ...] = ()
    """Files, folders or globs; none draws a small demo."""
    runs: int = 5
    workers: int | None = None
    """Recordings (ffmpeg processes) at a time; all cores if not given."""
    clip_ms: int = 2600
    """Length of the clips; those of KSL-Emo last 2.76 s on average."""
    size: int = 224

    def __post_init__(self) -> None:
        if not 100 <= self.clip_ms <= 600_000:
            raise UsageError(f"clip_ms = {self.clip_ms}: expected 100 to 600000.")
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"workers = {self.workers}: expected at least 1.")
        spans.ClipOptions(size=self.size)


def cut(end_ms: int, *, clip_ms: int, cover: str) -> list[list[int]]:
    """Clips of about `clip_ms` that cover a recording wholly, or a tenth of it evenly."""
    number = max(1, round(end_ms / clip_ms))
    pieces = [[k * end_ms // number, (k + 1) * end_ms // number] for k in range(number)]
    if cover == "whole":
        return pieces
    if number >= 10:
        return pieces[5::10]
    return [[end_ms // 2 - end_ms // 20, end_ms // 2 + end_ms // 20]]


def bench(options: IngestBench, *, told: Callable[[str], None] | None = None) -> Result:
    """Measure rendering.

    Args:
        options: What to measure.
        told: Is told what is being done.

    Raises:
        MissingFile: A recording does not exist.
        MediaError: A recording cannot be opened.
        UsageError: A number is out of range.
    """
    with tempfile.TemporaryDirectory(prefix="kslds-bench-") as folder:
        given = options.recordings
        if not given:
            (told or str)("drawing the demo")
            demo.render(
                Path(folder),
                demo=demo.Demo(signers=2, signs=5, emotions=2),
                signs=lexicon.load("nspcrsie").signs,
            )
            given = (f"{folder}/media",)
        return _bench(given, options=options, told=told)


def _bench(
    given: Sequence[str], *, options: IngestBench, told: Callable[[str], None] | None
) -> Result:
    files = [str(path.absolute()) for path in stage.find_media(given).files.values()]
    if len({Path(path).name for path in files}) < len(files):
        raise UsageError("two of the recordings have one name.", hint="Rename one of them.")
    probes = {path: probe.probe(Path(path)) for path in files}
    workers = min(options.workers or engine.num_cores(), len(files))
    plans: dict[str, Spans] = {
        cover: {
            path: cut(found.end_ms, clip_ms=options.clip_ms, cover=cover)
            for path, found in probes.items()
        }
        for cover in COVERS
    }
    common = {"workers": workers, "size": options.size}
    contenders = [Contender(name=DECODE, job=call(decode, media=files, workers=workers))]
    for cover, plan in plans.items():
        job = {"plan": plan, **common}
        contenders += [
            Contender(name=f"{KSLDS}, {cover}", job=call(with_kslds, **job)),
            Contender(name=f"{EACH}, {cover}", job=call(one_a_clip, typed=False, **job)),
            Contender(name=f"{EACH_TYPED}, {cover}", job=call(one_a_clip, typed=True, **job)),
            Contender(name=f"{ONCE}, {cover}", job=call(one_a_recording, **job)),
        ]
    found = rounds(contenders, runs=options.runs, told=told)
    seconds = sum(p.end_ms for p in probes.values()) / 1000
    return Result(
        name="ingest",
        title="Rendering, beside decoding and plain ffmpeg",
        about={
            "recordings": f"{len(files)}, {seconds:.1f} s, "
            f"{sum(len(p.pts) for p in probes.values())} frames",
            "clips": ", ".join(f"{sum(map(len, p.values()))} ({c})" for c, p in plans.items()),
            "at a time": workers,
            "runs": options.runs,
            **environment(),
        },
        rows=tuple(_row(name, found) for name in found),
        runs=found,
        bars=(
            Bars(
                title="CPU seconds",
                unit="s",
                values={name: [run["cpu_s"] for run in runs] for name, runs in found.items()},
            ),
            Bars(
                title="wall seconds",
                unit="s",
                values={name: [run["wall_s"] for run in runs] for name, runs in found.items()},
            ),
        ),
        notes=_notes(found),
    )


def _row(name: str, found: Runs) -> dict[str, str]:
    runs = found[name]
    return {
        "what": name,
        **columns(runs, ("cpu_s", "CPU s"), ("wall_s", "wall s")),
        **columns(runs, ("peak_mb", "peak MB"), spreads=False),
        "CPU ÷ decoding": _ratio(found, name, DECODE),
        "CPU ÷ kslds": "" if name == DECODE else _ratio(found, name, _rival(name)),
    }


def _rival(name: str) -> str:
    return f"{KSLDS}, {name.rpartition(', ')[2]}"


def _ratio(found: Runs, above: str, below: str) -> str:
    """Of medians of CPU seconds."""
    return f"{median(found[above], 'cpu_s') / max(median(found[below], 'cpu_s'), 1e-9):.2f}"


def _notes(found: Runs) -> tuple[str, ...]:
    ingest = [run["ingest_cpu_s"] for run in found[f"{KSLDS}, whole"]]
    return (
        f"Before that, kslds ingest reads headers, packets and hashes: {shown(min(ingest))}–"
        f"{shown(max(ingest))} CPU s.",
    )


# --------------------------------------------------------------------------- contenders


def decode(*, media: Sequence[str], workers: int) -> dict[str, float]:
    """Decode every recording to nothing."""
    commands = [[*_FFMPEG, "-i", path, "-map", "0:v:0", "-f", "null", "-"] for path in media]
    with Meter() as meter:
        _all(commands, workers=workers)
    return meter.read


_FFMPEG = ("-nostdin", "-y", "-loglevel", "error")


def _all(commands: Sequence[Sequence[str]], *, workers: int) -> None:
    """Run ffmpeg with each of these arguments, so many at a time."""
    run = partial(subprocess.run, check=True, stdout=subprocess.DEVNULL)
    given = [[video.ffmpeg_exe(), *command] for command in commands]
    for _ in engine.run(run, given, stage="ffmpeg", workers=workers):
        pass


def _filters(size: int) -> str:
    return (
        f"scale={size}:{size}:flags=bilinear:force_original_aspect_ratio=decrease,"
        f"pad={size}:{size}:-1:-1,format=yuv420p,setsar=1"
    )


def _encoder() -> list[str]:
    """The arguments of the encoding ``h264``."""
    options = video.ENCODINGS["h264"].options
    return [text for key, value in options.items() for text in (f"-{key}", str(value))]


def one_a_clip(*, plan: Spans, workers: int, size: int, typed: bool) -> dict[str, float]:
    """Start ffmpeg for each clip: seek, cut, scale, encode; with its defaults as people type it."""
    filters, encoder = _filters(size), _encoder()
    if typed:
        filters, encoder = f"scale={size}:{size}", ["-c:v", "libx264"]
    with tempfile.TemporaryDirectory() as folder:
        commands = [
            [*_FFMPEG, "-ss", f"{start / 1000}", "-to", f"{end / 1000}", "-i", path, "-an",
             "-vf", filters, *encoder, f"{folder}/{number}-{k}.mp4"]
            for number, (path, clips_ms) in enumerate(sorted(plan.items()))
            for k, (start, end) in enumerate(clips_ms)
        ]  # fmt: skip
        with Meter() as meter:
            _all(commands, workers=workers)
    return meter.read


def one_a_recording(*, plan: Spans, workers: int, size: int) -> dict[str, float]:
    """One ffmpeg a recording: decode and scale once, then an output for every clip."""
    with tempfile.TemporaryDirectory() as folder:
        commands = []
        for number, (path, clips_ms) in enumerate(sorted(plan.items())):
            names = "".join(f"[s{k}]" for k in range(len(clips_ms)))
            graph = [f"[0:v:0]{_filters(size)},split={len(clips_ms)}{names}"]
            outputs: list[str] = []
            for k, (start, end) in enumerate(clips_ms):
                cut_out = f"trim=start={start / 1000}:end={end / 1000},setpts=PTS-STARTPTS"
                graph.append(f"[s{k}]{cut_out}[o{k}]")
                outputs += ["-map", f"[o{k}]", *_encoder(), f"{folder}/{number}-{k}.mp4"]
            commands.append([*_FFMPEG, "-i", path, "-filter_complex", ";".join(graph), *outputs])
        with Meter() as meter:
            _all(commands, workers=workers)
    return meter.read


def with_kslds(*, plan: Spans, workers: int, size: int) -> dict[str, float]:
    """Ingest, then trim and resize under the meter."""
    options = spans.ClipOptions(size=size)
    with tempfile.TemporaryDirectory() as folder:
        dataset = manifest.Dataset(Path(folder) / "dataset", create=True)
        table = Path(folder) / "annotations.csv"
        table.write_text(_annotations(plan), encoding="utf-8")
        read = stage.IngestOptions(
            media=tuple(plan),
            annotations=(str(table),),
            columns={"recording": "recording", "gloss": "gloss", "start": "start", "end": "end"},
        )
        with Meter() as reading:
            stage.ingest(dataset, options=read, workers=workers)
        validate.validate(dataset, lexicon=None, rules=validate.Rules())
        media = stage.find_media(read.media).files
        with Meter() as meter:
            clips.trim(dataset, options=options)
            clips.resize(dataset, media=media, options=options, workers=workers)
        made = len(dataset.arrow("clips"))
    if made != sum(map(len, plan.values())):
        raise KsldsError(
            f"only {made} of {sum(map(len, plan.values()))} clips could be rendered.",
            hint="Take recordings that are not damaged; look with: kslds ingest",
        )
    return {**meter.read, "ingest_cpu_s": reading.cpu_s, "ingest_wall_s": reading.wall_s}


def _annotations(plan: Mapping[str, Sequence[Sequence[int]]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["recording", "gloss", "start", "end"])
    for path, clips_ms in sorted(plan.items()):
        writer.writerows([Path(path).name, "sign", start, end] for start, end in clips_ms)
    return out.getvalue()
