"""What an encoding costs and keeps: bytes, fidelity to the resized source, speed of reading.

Every encoding is made of the same frames, and judged by what a trainer gets: RGB frames as the
reader returns them, compared by ffmpeg with the source's, both turned to yuv420p by the same code.
"""

from __future__ import annotations

import importlib
import io
import re
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from kslds import frames, probe, spans, video
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
from kslds.errors import KsldsError, UsageError
from kslds.manifest import Dataset
from kslds.schema import Clip, Recording, Timing

T = TypeVar("T")

MAX_CLIPS = 1000
FRAMES = 16
"""Frames that are read of each clip, evenly spaced."""

_STILLS = {"mjpeg": "jpg", "libwebp": "webp", "libjxl": "jxl"}
"""Encoders of ffmpeg that make one picture a frame → ending of its files."""

_NAME = re.compile(r"[a-zA-Z0-9._-]{1,40}")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An encoding to try; `parse_candidate` makes one of text."""

    name: str
    options: tuple[str, ...]
    """Arguments of ffmpeg; or of Pillow, the format first, then ``key=value``."""
    by: str = "ffmpeg"
    """``ffmpeg`` or ``pillow``."""

    @property
    def suffix(self) -> str:
        """Ending of its files: ``mp4``, or that of one picture a frame."""
        if self.by == "pillow":
            return self.options[0].lower()
        pairs = zip(self.options, self.options[1:], strict=False)
        codecs = [v for k, v in pairs if k in ("-c:v", "-vcodec", "-codec:v")]
        return _STILLS.get(codecs[-1], "mp4") if codecs else "mp4"


def parse_candidate(text: str) -> Candidate:
    """A candidate as typed: ``name=-c:v libx264 -crf 20`` or ``name=pillow:AVIF quality=70``.

    Raises:
        UsageError: It has no name or no options, or names a file of its own.
    """
    name, _, options = text.partition("=")
    by = "pillow" if options.startswith("pillow:") else "ffmpeg"
    try:
        words = tuple(shlex.split(options.removeprefix("pillow:")))
    except ValueError as error:
        raise UsageError(f"--candidate {text!r}: {error}.") from error
    pairs = len(words) % 2 == 0 and all(word.startswith("-") for word in words[::2])
    ill = not words or "-i" in words or (by == "ffmpeg" and not pairs)
    if ill or not _NAME.fullmatch(name):
        raise UsageError(
            f"--candidate {text[:80]!r}: expected name=OPTIONS with pairs of ffmpeg's output "
            "options, such as x264=-c:v libx264 -crf 20, or name=pillow:FORMAT key=value.",
        )
    return Candidate(name=name, options=words, by=by)


def _own() -> list[Candidate]:
    """The encodings that kslds writes."""
    return [
        Candidate(
            name=name,
            options=tuple(t for k, v in e.options.items() for t in (f"-{k}", str(v))),
        )
        for name, e in video.ENCODINGS.items()
    ]


@dataclass(frozen=True, kw_only=True)
class EncodingsBench:
    """What to measure.

    Raises:
        UsageError: A value is out of range, or two candidates have one name.
    """

    given: tuple[str, ...]
    """Recordings: files, folders or globs."""
    dataset: str | None = None
    """A dataset of these recordings, whose clips are taken; else clips of `clip_ms` are cut."""
    candidates: tuple[Candidate, ...] = ()
    runs: int = 5
    clips: int = 12
    clip_ms: int = 2600
    shape: spans.ClipOptions = field(default_factory=spans.ClipOptions)
    """Size and fit of the clips."""
    least_s: float = 0.5
    """CPU seconds that a run of reading lasts at least."""

    def __post_init__(self) -> None:
        names = [c.name for c in [*_own(), *self.candidates]]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise UsageError(f"two encodings are named {twice[0]!r}.")
        if not 1 <= self.clips <= MAX_CLIPS:
            raise UsageError(f"clips = {self.clips}: expected 1 to {MAX_CLIPS}.")
        if not 100 <= self.clip_ms <= 600_000:
            raise UsageError(f"clip_ms = {self.clip_ms}: expected 100 to 600000.")


# --------------------------------------------------------------------------- the clips


@dataclass(frozen=True, kw_only=True)
class _Source:
    """A clip to make: where its frames are."""

    path: Path
    stream_index: int
    time_base: Fraction
    origin_pts: int
    geometry: video.Geometry
    pts: tuple[int, ...]


def _of_dataset(options: EncodingsBench) -> list[_Source]:
    dataset = Dataset(options.dataset or "")
    media = stage.find_media(options.given).files
    recordings = {r.recording_id: r for r in dataset.read("recordings", Recording)}
    timings = {t.recording_id: t for t in dataset.read("timings", Timing)}
    found = []
    for clip in _some(dataset.read("clips", Clip), options.clips):
        recording = recordings[clip.recording_id]
        shape = spans.geometry(recording, options.shape)
        if shape is None or clip.source_file not in media:
            continue
        found.append(
            _Source(
                path=media[clip.source_file],
                stream_index=recording.stream_index,
                time_base=Fraction(recording.time_base_num, recording.time_base_den),
                origin_pts=recording.origin_pts,
                geometry=shape,
                pts=tuple(timings[clip.recording_id].pts[clip.first_frame : clip.last_frame + 1]),
            )
        )
    return found


def _of_recordings(options: EncodingsBench) -> list[_Source]:
    found = []
    for path in stage.find_media(options.given).files.values():
        read = probe.probe(path)
        wide, high = read.display_size
        for k in range(max(1, round(read.end_ms / options.clip_ms))):
            start, end = k * options.clip_ms, (k + 1) * options.clip_ms
            pts = [p for p in read.pts if start <= probe.frame_ms(p, read.time_base) < end]
            shape = video.geometry(wide, high, size=options.shape.size, fit=options.shape.fit)
            if len(pts) >= FRAMES:
                found.append(
                    _Source(
                        path=path,
                        stream_index=read.stream_index,
                        time_base=read.time_base,
                        origin_pts=read.origin_pts,
                        geometry=shape,
                        pts=tuple(pts),
                    )
                )
    return _some(found, options.clips)


def _some(items: list[T], number: int) -> list[T]:
    """So many of them, evenly spaced."""
    return (
        [items[k * len(items) // number] for k in range(number)] if number < len(items) else items
    )


def _write_frames(source: _Source, path: Path) -> tuple[int, int, int]:
    """Write a clip's frames, resized, as raw yuv420p; returns how many, width and height."""
    wanted, written = set(source.pts), 0
    with (
        path.open("wb") as out,
        video.decoding(
            source.path,
            stream_index=source.stream_index,
            time_base=source.time_base,
            origin_pts=source.origin_pts,
            geometry=source.geometry,
        ) as decoded,
    ):
        for pts, frame in decoded.frames:
            if pts in wanted:
                out.write(frame)
                written += 1
            if pts >= source.pts[-1]:
                break
    return written, *source.geometry.size


# --------------------------------------------------------------------------- encoding


def _ffmpeg(*arguments: str | Path) -> str:
    """Run ffmpeg; returns what it says.

    Raises:
        KsldsError: It failed.
    """
    command = [video.ffmpeg_exe(), "-y", "-nostdin", "-hide_banner", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False)
    said = done.stderr.decode("utf-8", "replace").strip()
    if done.returncode:
        raise KsldsError(f"ffmpeg failed: {(said.splitlines() or ['no message'])[-1][:300]}")
    return said


def _raw(path: Path, size: tuple[int, int], *, pix_fmt: str = "yuv420p") -> list[str | Path]:
    shape = f"{size[0]}x{size[1]}"
    return ["-f", "rawvideo", "-pix_fmt", pix_fmt, "-s", shape, "-r", "30", "-i", path]


def encode(
    *, sources: Sequence[Mapping[str, Any]], out: str, options: Sequence[str], suffix: str, by: str
) -> dict[str, float]:
    """Encode every clip to one member each, under the meter; ``bytes`` is what they take."""
    total = 0
    with Meter() as meter:
        for number, source in enumerate(sources):
            path, size = Path(source["path"]), tuple(source["size"])
            if by == "pillow":
                total += _pillow(path, size, target=Path(out) / f"{number}", options=options)
            elif suffix == "mp4":
                made = Path(out) / f"{number}.mp4"
                _ffmpeg(*_raw(path, size), "-an", *options, made)
                total += made.stat().st_size
            else:
                folder = Path(out) / f"{number}"
                folder.mkdir(exist_ok=True)
                _ffmpeg(*_raw(path, size), "-an", *options, "-f", "image2",
                        folder / f"%05d.{suffix}")  # fmt: skip
                total += sum(one.stat().st_size for one in folder.iterdir())
    return {**meter.read, "bytes": float(total)}


@cache
def _pil() -> Any:
    """Pillow, with JPEG XL where its plugin is installed."""
    from PIL import Image

    if find_spec("pillow_jxl") is not None:
        importlib.import_module("pillow_jxl")
    return Image


def _pillow(path: Path, size: tuple[int, ...], *, target: Path, options: Sequence[str]) -> int:
    kind, *pairs = options
    keywords: dict[str, Any] = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        keywords[key] = int(value) if value.lstrip("-").isdigit() else value
    target.mkdir(exist_ok=True)
    total = 0
    for k, picture in enumerate(_rgb(path, size)):
        out = io.BytesIO()
        try:
            _pil().fromarray(picture).save(out, format=kind, **keywords)
        except (KeyError, ValueError, TypeError, OSError) as error:
            raise KsldsError(f"Pillow cannot write {kind}: {error!r}") from error
        (target / f"{k:05d}.{kind.lower()}").write_bytes(out.getvalue())
        total += len(out.getvalue())
    return total


def _rgb(path: Path, size: Sequence[int]) -> frames.Frames:
    """Raw yuv420p frames as RGB."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rgb"
        _ffmpeg(*_raw(path, (size[0], size[1])), *_RGB, "-f", "rawvideo", out)
        return np.fromfile(out, np.uint8).reshape(-1, size[1], size[0], 3)


_RGB = ("-vf", "scale=in_color_matrix=bt601:in_range=tv", "-pix_fmt", "rgb24")


# --------------------------------------------------------------------------- reading


def _stored(out: Path, number: int) -> bytes | list[bytes]:
    """A clip as a reader gets it: a file's bytes, or those of each frame."""
    one = out / f"{number}.mp4"
    if one.is_file():
        return one.read_bytes()
    return [path.read_bytes() for path in sorted((out / f"{number}").iterdir())]


def _still(data: bytes) -> frames.Frames:
    with _pil().open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB"))


def _half(data: bytes) -> frames.Frames:
    """A JPEG at half size, which its transform yields at less cost."""
    from simplejpeg import decode_jpeg

    return cast(frames.Frames, decode_jpeg(data, min_height=112, min_width=112, min_factor=2))


def _read_stills(stored: Sequence[bytes], indices: Sequence[int], *, one: Any) -> frames.Frames:
    # Into one array, as `read_jpegs` does: to stack them takes longer than to decode some.
    out: frames.Frames | None = None
    for place, index in enumerate(indices):
        frame = one(stored[index])
        if out is None:
            out = np.empty((len(indices), *frame.shape), np.uint8)
        out[place] = frame
    return cast(frames.Frames, out)


def _read_jpegs(stored: Sequence[bytes], indices: Sequence[int]) -> frames.Frames:
    return frames.read_jpegs([stored[i] for i in indices])


_PLANES = "pyav, planes"


def readers(suffix: str) -> dict[str, Callable[[Any, Sequence[int]], frames.Frames]]:
    """Name → what reads frames of such a clip, of those that work here; the first is the judge."""
    found: dict[str, Callable[[Any, Sequence[int]], frames.Frames]] = {}
    if suffix == "mp4":
        for name in frames.READERS:
            if _works(name):
                found[name] = partial(_read_video, reader=name)
        found[_PLANES] = partial(_read_video, reader="pyav", planes=True)
        return found
    if suffix in ("jpg", "jpeg"):
        found["kslds"] = _read_jpegs
    found["pillow"] = partial(_read_stills, one=_still)
    if suffix in ("jpg", "jpeg") and find_spec("simplejpeg") is not None:
        found["simplejpeg, half size"] = partial(_read_stills, one=_half)
    return found


def _read_video(
    data: bytes, indices: Sequence[int], *, reader: str, planes: bool = False
) -> frames.Frames:
    return frames.read_frames(data, indices=indices, reader=reader, planes=planes)


@cache
def _works(reader: str) -> bool:
    """Can this reader be used here? (It may not be installed, or lack libraries.)"""
    try:
        frames.read_frames(b"", indices=[0], reader=reader)
    except ImportError:
        return False
    except KsldsError:
        return True
    return True


def _usable(out: Path, suffix: str) -> list[str]:
    """Names of the readers that take these clips: not every one knows every codec, and planes are
    of some sizes and one pixel format only.
    """

    def takes(reader: Callable[[Any, Sequence[int]], frames.Frames]) -> bool:
        try:
            reader(_stored(out, 0), [0])
        except KsldsError:
            return False
        return True

    return [name for name, reader in readers(suffix).items() if takes(reader)]


def read(
    *, out: str, counts: Sequence[int], suffix: str, reader: str, least_s: float
) -> dict[str, float]:
    """Read `FRAMES` frames of every clip, over and over for some CPU seconds, under the meter."""
    function = readers(suffix)[reader]
    stored = [_stored(Path(out), number) for number in range(len(counts))]
    places = [evenly(count) for count in counts]
    for data, indices in zip(stored[:2], places, strict=False):
        function(data, indices)
    done = 0
    with Meter() as meter:
        while True:
            with Meter() as once:
                for data, indices in zip(stored, places, strict=True):
                    function(data, indices)
            done += len(stored)
            least_s -= once.cpu_s
            if least_s <= 0:
                break
    return {**meter.read, "clips": float(done), "clips_per_cpu_s": done / max(meter.cpu_s, 1e-9)}


def evenly(count: int) -> list[int]:
    """The middles of `FRAMES` equal parts of a clip of so many frames."""
    return [int((k + 0.5) * count / FRAMES) for k in range(FRAMES)]


# --------------------------------------------------------------------------- fidelity


def filters_of_ffmpeg() -> tuple[str, ...]:
    """Which measures this ffmpeg has: ``ssim``, ``psnr`` and perhaps ``libvmaf``."""
    listed = subprocess.run(
        [video.ffmpeg_exe(), "-hide_banner", "-filters"], capture_output=True, check=True
    ).stdout.decode("utf-8", "replace")
    return tuple(n for n in ("ssim", "psnr", "libvmaf") if re.search(rf"\s{n}\s", listed))


def _fidelity(sources: Sequence[Mapping[str, Any]], *, out: Path, suffix: str) -> dict[str, float]:
    """Luma SSIM, PSNR and VMAF of all frames as the first reader gives them, against the source."""
    reader = next(iter(readers(suffix).values()))
    measures = filters_of_ffmpeg()
    size = tuple(sources[0]["size"])
    with tempfile.TemporaryDirectory() as folder:
        got, wanted = Path(folder) / "got", Path(folder) / "wanted"
        with got.open("wb") as got_file, wanted.open("wb") as wanted_file:
            for number, source in enumerate(sources):
                if tuple(source["size"]) != size:
                    continue
                wanted_file.write(_rgb(Path(source["path"]), size).tobytes())
                stored = _stored(out, number)
                got_file.write(reader(stored, range(source["frames"])).tobytes())
        split = len(measures)
        graph = (
            f"[0:v]format=yuv420p,split={split}{''.join(f'[g{k}]' for k in range(split))};"
            f"[1:v]format=yuv420p,split={split}{''.join(f'[w{k}]' for k in range(split))};"
            + ";".join(f"[g{k}][w{k}]{name}[o{k}]" for k, name in enumerate(measures))
        )
        raw = [*_raw(got, (size[0], size[1]), pix_fmt="rgb24"),
               *_raw(wanted, (size[0], size[1]), pix_fmt="rgb24")]  # fmt: skip
        sinks = [t for k in range(split) for t in ("-map", f"[o{k}]", "-f", "null", "-")]
        said = _ffmpeg(*raw, "-filter_complex", graph, *sinks)
    patterns = {
        "ssim": r"SSIM Y:([\d.]+)",
        "psnr": r"PSNR y:([\d.]+|inf)",
        "libvmaf": r"VMAF score: ([\d.]+)",
    }
    found = {name: re.search(patterns[name], said) for name in measures}
    return {name: float(match[1]) for name, match in found.items() if match}


# --------------------------------------------------------------------------- all of it


def _sources(options: EncodingsBench, folder: Path) -> list[dict[str, Any]]:
    found = _of_dataset(options) if options.dataset is not None else _of_recordings(options)
    made = []
    for number, source in enumerate(found):
        path = folder / f"{number}.yuv"
        count, width, height = _write_frames(source, path)
        if count:
            made.append({"path": str(path), "size": [width, height], "frames": count})
    if not made:
        raise UsageError(
            f"nothing to encode: no clip of at least {FRAMES} frames in {', '.join(options.given)}."
        )
    return made


def bench(options: EncodingsBench, *, told: Callable[[str], None] | None = None) -> Result:
    """Measure encodings.

    Args:
        options: What to measure.
        told: Is told what is being done.

    Raises:
        MissingFile: A recording does not exist.
        UsageError: A number is out of range, or there is nothing to encode.
        KsldsError: ffmpeg or Pillow cannot make a candidate.
    """
    with tempfile.TemporaryDirectory(prefix="kslds-bench-") as name:
        folder = Path(name)
        sources = _sources(options, folder)
        counts = [source["frames"] for source in sources]
        facts: dict[str, dict[str, float]] = {}
        encoders: list[Contender] = []
        reading: list[Contender] = []
        kinds = [*_own(), *options.candidates]
        for kind in kinds:
            out = folder / kind.name
            out.mkdir()
            made: dict[str, Any] = {"out": str(out), "suffix": kind.suffix}
            job: dict[str, Any] = {
                "sources": sources,
                "options": list(kind.options),
                "by": kind.by,
                **made,
            }
            (told or str)(f"fidelity: {kind.name}")
            size = encode(**job)["bytes"]
            facts[kind.name] = {
                "bytes": size, **_fidelity(sources, out=out, suffix=kind.suffix)
            }  # fmt: skip
            encoders.append(Contender(name=f"encode {kind.name}", job=call(encode, **job)))
            reading += [
                Contender(
                    name=f"{kind.name}, {reader}",
                    job=call(read, counts=counts, reader=reader, least_s=options.least_s, **made),
                )
                for reader in _usable(out, kind.suffix)
            ]
        found = rounds([*encoders, *reading], runs=options.runs, told=told)
    rows = [
        _row(kind, found, facts=facts, number=len(sources), frames_=sum(counts)) for kind in kinds
    ]
    speeds = [key for key in dict.fromkeys(k for row in rows for k in row) if "clips/s" in key]
    return Result(
        name="encodings",
        title="Encodings of the same clips",
        about={
            "clips": f"{len(sources)}, {sum(counts)} frames of "
            + " × ".join(map(str, sources[0]["size"])),
            "read": f"{FRAMES} frames, evenly spaced; one core",
            "runs": options.runs,
            **environment(),
            "pillow": _version("pillow"),
            "av": _version("av"),
        },
        rows=tuple({**{k: row.get(k, "") for k in [*_columns(rows), *speeds]}} for row in rows),
        runs=found,
        bars=(
            Bars(
                title="bytes a clip",
                unit="kB",
                values={k.name: [facts[k.name]["bytes"] / len(sources) / 1000] for k in kinds},
            ),
            Bars(
                title="clips read per second and core, fastest reader of RGB",
                unit="clips/s",
                values={k.name: _fastest(k, found) for k in kinds},
            ),
        ),
        notes=(
            "SSIM, PSNR and VMAF are of luma, of what the first reader returns against the "
            "resized source. VMAF's model was made for pictures of 1080 lines.",
        ),
    )


def _columns(rows: Sequence[Mapping[str, str]]) -> list[str]:
    return [key for key in dict.fromkeys(k for row in rows for k in row) if "clips/s" not in key]


def _measured(kind: Candidate, found: Runs) -> list[str]:
    return [reader for reader in readers(kind.suffix) if f"{kind.name}, {reader}" in found]


def _fastest(kind: Candidate, found: Runs) -> list[float]:
    best = max(
        (
            found[f"{kind.name}, {reader}"]
            for reader in _measured(kind, found)
            if reader != _PLANES and "half" not in reader
        ),
        key=lambda runs: median(runs, "clips_per_cpu_s"),
    )
    return [run["clips_per_cpu_s"] for run in best]


def _row(
    kind: Candidate,
    found: Runs,
    *,
    facts: Mapping[str, Mapping[str, float]],
    number: int,
    frames_: int,
) -> dict[str, str]:
    of = facts[kind.name]
    row = {"encoding": kind.name, "kB a clip": shown(of["bytes"] / number / 1000)}
    row |= {
        {"ssim": "SSIM", "psnr": "PSNR dB", "libvmaf": "VMAF"}[name]: (
            f"{value:.4f}" if name == "ssim" else f"{value:.1f}"
        )
        for name, value in of.items()
        if name != "bytes"
    }
    row["encode, CPU ms a frame"] = shown(
        median(found[f"encode {kind.name}"], "cpu_s") / frames_ * 1000
    )
    for reader in _measured(kind, found):
        cells = columns(found[f"{kind.name}, {reader}"], ("clips_per_cpu_s", reader))
        row[f"clips/s: {reader}"] = cells[reader]
    return row


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)
