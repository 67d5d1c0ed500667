"""WLASL: American Sign Language, some 2,000 glosses from public web pages.

The boundaries in ``WLASL_v0.3.json`` count frames from 1, the last one included, at 25 frames
per second, whatever rate the video has: frame *n* stands for ``[(n - 1) / 25, n / 25)`` seconds,
so a sign is ``[40 (frame_start - 1), 40 frame_end)`` ms. As frame numbers of a video at 30
frames per second they would begin and end too early.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kslds.corpora import END, About, Annotation, Source, choose, wrong_file
from kslds.corpora.jsonl import read_json, scalar
from kslds.corpora.table import read_lines
from kslds.errors import AnnotationError, RecipeError

ABOUT = About(
    title="WLASL",
    what="American Sign Language: single signs from public web pages",
    size="21,083 instances in WLASL_v0.3.json; ASL100 2,038 (1,442 train, 338 val, 258 test), "
    "ASL300 5,117 (3,549, 900, 668), ASL1000 13,168 (8,974, 2,318, 1,876), ASL2000 21,095 by "
    "nslt_2000.json",
    licence="C-UDA: academic and computational use only",
    citation="WLASL, https://github.com/dxli94/WLASL",
    access="The annotations are public; the videos are fetched from their pages with the scripts "
    "of the repository. raw_videos/ holds what was fetched, a YouTube video under its YouTube id "
    "and any other under the video_id; videos/{video_id}.mp4 holds cut clips.",
    defects=(
        (
            "Boundaries are frame numbers at 25 frames per second on every row, whatever rate the "
            "video has; the preprocessing script uses them as the video's own frame numbers, so "
            "that clips cut by it from videos at 30 begin and end too early.",
            'videos = "raw" cuts by time. videos = "clips" takes cut clips as they are.',
        ),
        (
            "Frames count from 1 with the last one included; -1 is the end of the video.",
            "Converted to exact milliseconds.",
        ),
        (
            "Many videos are gone: one published missing.txt has 9,103 ids, 43 %.",
            "Each absent video is dropped with K103; where missing.txt is among the annotations "
            "the reason says so. A file that is there is used even if it is listed.",
        ),
        (
            "nslt_2000.json lists 21,095 ids (14,296, 3,920, 2,879), WLASL_v0.3.json 21,083.",
            "Ids of a subset without an entry are dropped with K127: without one, neither gloss "
            "nor signer is known.",
        ),
        (
            "nslt_*.json has a last frame where WLASL_v0.3.json says -1; it can lie behind the end "
            "of the video (frame 56 at 25 per second in a video of 65 frames at 30).",
            "Only the split of nslt_*.json is used, and boundaries of WLASL_v0.3.json.",
        ),
        (
            "The published split is not by signer: 253 of 258 test clips of ASL100, 666 of 668 of "
            "ASL300 and 1,874 of 1,876 of ASL1000 are by signers who are also in train.",
            "The side is kept as published_split; split by signer for results on unseen signers.",
        ),
        ("bbox is given per instance.", "It is not used: clips show the whole picture."),
    ),
)

_OPTIONS = {"subset": ("all", "100", "300", "1000", "2000"), "videos": ("raw", "clips")}
_MS_PER_FRAME = 40
_MAX_FRAME = 10_000_000
_EXPECTED = (
    "a list of objects with gloss and instances (WLASL_v0.3.json), or an object of ids with "
    "subset and action (nslt_100.json …)"
)


@dataclass(kw_only=True)
class _Files:
    glosses: list[tuple[str, int, Any]] = field(default_factory=list)
    """Name of the file, and number and entry of a gloss."""
    sides: dict[str, str] = field(default_factory=dict)
    """video_id → side, in the subset that was chosen."""
    subset: str | None = None
    """The file that lists the subset."""
    missing: set[str] = field(default_factory=set)


def read(source: Source) -> Iterator[Annotation]:
    """Yield one annotation per instance, in the order of the file.

    Options: ``subset`` is ``all``, ``100``, ``300``, ``1000`` or ``2000``, for which
    nslt_100.json and so on must be among the files; ``videos`` is ``raw`` for videos as
    fetched, or ``clips`` for videos that were cut already.

    Raises:
        MissingFile: A file is not there.
        AnnotationError: A file is not one of WLASL's.
        RecipeError: An option is unknown, or a file that it needs was not named.
    """
    options = choose(source, adapter="wlasl", known=_OPTIONS)
    files = _read_files(source, subset=options["subset"])
    present = {PurePosixPath(name).stem for name in source.media}
    seen: set[str] = set()
    for name, number, entry in files.glosses:
        gloss = scalar(entry.get("gloss"))
        for index, instance in enumerate(entry["instances"]):
            row = _annotation(
                name, gloss, instance, raw=options["videos"] == "raw",
                place=f"[{number}].instances[{index}]",
            )  # fmt: skip
            key = row.source.rpartition(":")[2]
            if files.subset is not None:
                if key not in files.sides:
                    continue
                row = _with_side(row, files.sides[key], file=files.subset)
            again = key in seen
            seen.add(key)
            if row.problem is None and again:
                row = replace(row, problem=("K119", f"video_id {key!r} is already listed"))
            elif row.problem is None and key in files.missing and row.recording not in present:
                reason = f"{row.recording!r} is absent, and missing.txt lists {key!r}"
                row = replace(row, problem=("K103", reason))
            yield row
    for key, side in files.sides.items():
        if key not in seen:
            yield Annotation(
                source=f"{files.subset}:{key}",
                recording=key,
                start=None,
                end=None,
                unit="ms",
                split=side,
                problem=("K127", f"{key!r} has no entry in WLASL_v0.3.json, so no gloss"),
            )


def _with_side(row: Annotation, side: str, *, file: str) -> Annotation:
    if row.split in (None, side):
        return replace(row, split=side)
    note = ("K127", f"the side is {side!r} in {file}, which was followed, and {row.split!r} here")
    return replace(row, split=side, notes=(*row.notes, note))


# --------------------------------------------------------------------------- files


def _read_files(source: Source, *, subset: str) -> _Files:
    files = _Files()
    for path in source.files:
        if path.suffix == ".txt":
            if "missing" in path.name:
                files.missing |= set(_missing(path))
            elif "class" not in path.name:
                raise wrong_file(
                    path, adapter="wlasl", found=[path.name], expected="missing.txt or JSON files"
                )
            continue
        document = read_json(path)
        if isinstance(document, list):
            for number, entry in enumerate(document):
                good = isinstance(entry, dict) and isinstance(entry.get("instances"), list)
                if not good or "gloss" not in entry:
                    keys = entry if isinstance(entry, dict) else ()
                    raise wrong_file(path, adapter="wlasl", found=keys, expected=_EXPECTED)
                files.glosses.append((path.name, number, entry))
            continue
        sides = _sides(path, document)
        size = re.search(r"nslt_([0-9]+)", path.name)
        if size is not None and size[1] == subset:
            files.sides, files.subset = sides, path.name
    if not files.glosses:
        raise RecipeError(
            "[ingest] annotations: WLASL_v0.3.json is missing; it holds the glosses.",
            hint="It is in the folder start_kit of the repository.",
        )
    if subset != "all" and files.subset is None:
        raise RecipeError(
            f"[ingest] options: subset = {subset!r} needs nslt_{subset}.json.",
            hint="Add it to `annotations`; it is in the folder code/I3D/preprocess of the "
            "repository.",
        )
    return files


def _missing(path: Path) -> Iterator[str]:
    """The ids of a list of absent videos."""
    for number, line in enumerate(read_lines(path), start=1):
        if re.fullmatch(r"\S{0,64}", line.strip()) is None or "," in line:
            raise AnnotationError(
                f"{path}, line {number}: {line.strip()!r:.60}; expected one video_id a line.",
                hint="Fetch missing.txt again, or take it out of the recipe.",
            )
        if line.strip():
            yield _padded(line.strip())


def _sides(path: Path, document: object) -> dict[str, str]:
    entries = document if isinstance(document, dict) else {}
    for value in entries.values():
        if not isinstance(value, dict) or not {"subset", "action"} <= value.keys():
            raise wrong_file(path, adapter="wlasl", found=entries, expected=_EXPECTED)
    if not entries:
        raise wrong_file(path, adapter="wlasl", found=(), expected=_EXPECTED)
    sides: dict[str, str] = {}
    for key, value in entries.items():
        side = scalar(value["subset"]) or ""
        if sides.setdefault(_padded(key), side) != side:
            raise AnnotationError(
                f"{path} has {_padded(key)!r:.40} twice, with and without zeros in front, on "
                f"two sides: {sides[_padded(key)]!r:.20} and {side!r:.20}.",
                hint="Fetch the file again.",
            )
    return sides


def _padded(key: str) -> str:
    """A video_id with the zeros that a tool has lost by making a number of it."""
    return key.zfill(5) if key.isascii() and key.isdigit() else key


# --------------------------------------------------------------------------- rows


def _annotation(
    file: str, gloss: str | None, instance: object, *, raw: bool, place: str
) -> Annotation:
    values: Mapping[str, Any] = instance if isinstance(instance, dict) else {}
    key = _padded(scalar(values.get("video_id")) or "")
    signer, url = scalar(values.get("signer_id")), scalar(values.get("url")) or ""
    row = Annotation(
        source=f"{file}:{key or place}",
        recording=key,
        start="0",
        end=END,
        unit="ms",
        start_column="frame_start",
        end_column="frame_end",
        label=gloss,
        signer=None if signer == "-1" else signer,
        split=scalar(values.get("split")),
    )
    if not key:
        reason = f"an instance of {gloss!r:.60} has no video_id"
        return replace(row, problem=("K103", reason))
    if not raw:
        return row
    start, end = (_frame(values.get(name)) for name in ("frame_start", "frame_end"))
    rate = scalar(values.get("fps")) or "25"
    if start is None or start < 1 or end is None or (end < 1 and end != -1):
        shown = [scalar(values.get(name)) for name in ("frame_start", "frame_end")]
        reason = f"frames {shown[0]} to {shown[1]}; expected numbers from 1, or -1 for the end"
        return replace(row, problem=("K111", reason))
    if rate not in ("25", "25.0"):
        reason = f"fps is {rate!r:.20}; boundaries are known to count frames at 25 only"
        return replace(row, problem=("K111", reason))
    if "youtube" in url or "youtu.be" in url:
        name = youtube_id(url)
        if name is None:
            return replace(row, problem=("K103", f"no YouTube id in the url {url!r:.80}"))
        row = replace(row, recording=name)
    return replace(
        row,
        start=str(_MS_PER_FRAME * (start - 1)),
        end=END if end == -1 else str(_MS_PER_FRAME * end),
    )


def _frame(value: object) -> int | None:
    text = scalar(value) or ""
    if re.fullmatch(r"-?[0-9]{1,8}", text) is None or abs(int(text)) > _MAX_FRAME:
        return None
    return int(text)


def youtube_id(url: str) -> str | None:
    """The id of a video from its address, with or without scheme; None where there is none."""
    try:
        parts = urlsplit(url if "://" in url else f"https://{url}")
    except ValueError:
        return None
    found = parse_qs(parts.query).get("v", [""])[0]
    place = PurePosixPath(parts.path)
    if not found and ("youtu.be" in parts.netloc or place.parent.name in ("embed", "v", "shorts")):
        found = place.name
    return found if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", found) else None
