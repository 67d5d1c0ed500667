"""Reading what a published annotation set says, row by row and as it is written.

`kslds.corpora` reads what a build needs and puts it in order on the way: text is NFC
and without blanks around. An audit looks for just these defects, and needs the sizes,
lengths and keys that a build does not. So the tables and JSON files of the known
collections are read here; every other format comes through its adapter.
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from kslds.audit import lists
from kslds.audit.files import divided, elan, expand, unpacked
from kslds.audit.records import FIELDS, File, Listing, Options, Problem, Row, Table
from kslds.corpora import (
    ADAPTERS,
    END,
    FROM_NAMES,
    MARKS,
    UNITS,
    Source,
    benchmarks,
    fluentsigners,
    krsl,
    read_annotations,
)  # fmt: skip
from kslds.corpora.jsonl import read_items, read_json
from kslds.corpora.table import read_cells
from kslds.corpora.tiers import names_of
from kslds.corpora.times import parse_time
from kslds.errors import AnnotationError, UsageError
from kslds.manifest import Dataset
from kslds.schema import Segment

_SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "id": ("attachment_id", "clip_id", "sample_id", "segment_id", "annotation_id", "video_id",
           "sentence_name", "id"),
    "recording": ("recording", "file", "filename", "file_name", "file_path", "filepath", "path",
                  "video", "video_name", "name", "recording_id", "url"),
    "label": ("gloss", "label", "sign", "word", "gloss_id", "text", "class", "classname_tr",
              "orth", "sentence", "translation", "classid", "class_id"),
    "signer": ("signer", "signer_id", "user_id", "user", "participant_id", "participant",
               "subject", "subject_id", "speaker", "person", "performer"),
    "split": ("split", "subset", "partition", "set", "train", "is_train"),
    "start": ("start_ms", "start", "begin", "frame_start", "start_frame", "start_time", "begin_ms",
              "start_realigned", "onset", "время начала - миллисекунды"),
    "end": ("end_ms", "end", "stop", "frame_end", "end_frame", "end_time", "end_realigned",
            "offset", "время окончания - миллисекунды"),
    "unit": ("unit",),
    "length": ("length", "num_frames", "n_frames", "frame_count", "duration_ms", "duration_sec",
               "duration"),
    "width": ("width",),
    "height": ("height",),
    "fps": ("fps", "frame_rate"),
}  # fmt: skip
"""Field → names of columns, compared without case; the first that a file has is taken."""

_UNIT_OF_NAME = (
    (re.compile(r"(_ms|millisec\w*|миллисекунды)$"), "ms"),
    (re.compile(r"frame"), "frame"),
    (re.compile(r"(_time|_s|_secs?|seconds|_realigned)$"), "s"),
)
_FORMATS: Mapping[str, tuple[frozenset[str], str]] = {
    "slovo": (frozenset({"attachment_id", "text", "user_id"}), "frame"),
    "ms-asl": (frozenset({"clean_text", "org_text", "start", "end"}), "frame"),
    "phoenix-2014t": (frozenset({"name", "video", "speaker", "orth"}), "frame"),
    "how2sign": (frozenset({"start_realigned", "end_realigned", "sentence_name"}), "s"),
}
"""Collections known by their column names, and the unit of their boundaries."""

_OWN = frozenset({"auto", "table", "slovo", "autsl", "wlasl", "ms-asl", "kslds"})
"""What is read here, file by file."""

_SIDE = re.compile(r"(?<![a-z])(train|training|validation|valid|val|dev|test)(?![a-z])", re.I)
_HEADERLESS = re.compile(r"(signer(\d+)_sample\d+)(?:_(?:color|depth)\.mp4)?")
_UNKNOWN_SIGNER = {"-1", "unknown", "none", "null", "nan", "n/a", "na", "?"}


@dataclass(kw_only=True)
class _Reading:
    """One file while it is read."""

    path: Path
    """Unpacked."""
    name: str
    """As the user names it."""
    options: Options
    together: tuple[Path, ...] = ()
    """All files that are read as one, `path` the first."""
    format: str = ""
    columns: dict[str, str] = field(default_factory=dict)
    unused: tuple[str, ...] = ()
    problems: list[Problem] = field(default_factory=list)
    side: str | None = None
    sentences: bool = False
    """See `File`."""
    listing: Listing | None = None
    """What the file holds instead of rows."""


def read(files: Sequence[Path], *, options: Options) -> Table:
    """Read annotation files, those of a folder, or one dataset made by kslds.

    Args:
        files: CSV, TSV, JSON, JSON lines or ELAN, also compressed with gzip; or what the named
            adapter reads.
        options: How to read them.

    Raises:
        MissingFile: A file is not there.
        AnnotationError: A file cannot be read, or its format is not recognised.
        UsageError: The adapter is unknown, or a field is mapped that does not exist.
    """
    files, known, options = _prepared(files, options)
    shown = names_of(tuple(files))
    alone = known in _OWN or len(files) == 1  # else an adapter may join them
    parts = [[path] for path in files] if alone else [list(files)]
    read_files: list[File] = []
    frames: list[pd.DataFrame] = []
    problems: list[Problem] = []
    listings: dict[int, Listing] = {}
    for paths in parts:
        with ExitStack() as stack:
            plain = [stack.enter_context(unpacked(path)) for path in paths]
            reading = _Reading(
                path=plain[0][0], name=shown[paths[0]] or str(paths[0]), options=options,
                together=tuple(path for path, _, _ in plain),
            )  # fmt: skip
            reading.side = _side_of(reading.name)
            frame = _frame(_rows(reading), reading)
        if reading.listing is not None:
            listings[len(read_files)] = reading.listing
            reading.format = lists.KINDS[reading.listing.kind]
        names = [shown[path] or str(path) for path in paths]
        folder = next((i for i, path in enumerate(paths) if path.is_dir()), 0)
        of_file = _file_of(frame["place"], names, folder=folder)
        frame.insert(0, "file", of_file + len(read_files))
        for i, (name, (_, digest, size)) in enumerate(zip(names, plain, strict=True)):
            read_files.append(
                File(
                    name=name, bytes=size, sha256=digest,
                    rows=reading.listing.rows if reading.listing else int((of_file == i).sum()),
                    format=reading.format, columns=reading.columns, unused=reading.unused,
                    sentences=reading.sentences,
                )
            )  # fmt: skip
        frames.append(frame)
        problems += reading.problems
    if len(listings) == len(read_files):
        raise AnnotationError(
            f"{', '.join(file.name for file in read_files)}: no row of annotations, only a "
            f"{read_files[0].format}.",
            hint="Name the files of annotations too.",
        )
    frames = [frame for frame in frames if len(frame)]
    whole = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
    return Table(
        files=tuple(read_files), frame=whole, problems=tuple(problems), listings=listings
    )  # fmt: skip


def _prepared(files: Sequence[Path], options: Options) -> tuple[Sequence[Path], str, Options]:
    """The files, the format that they have in common, and how to read them.

    Raises:
        MissingFile: A folder has no annotation file.
        UsageError: A field or a unit is unknown, or tiers are asked of files without any.
    """
    columns = {("label" if key == "gloss" else key): name for key, name in options.columns.items()}
    unknown = sorted(set(columns) - set(FIELDS))
    if unknown:
        raise UsageError(f"--column {unknown[0]}: the fields are gloss, {', '.join(FIELDS)}.")
    if options.unit not in (None, *UNITS):
        raise UsageError(f"the unit {options.unit!r} is not one of {', '.join(UNITS)}.")
    options = dataclasses.replace(options, columns=columns)
    known = _known(options.adapter)
    files = expand(files, adapter=known)
    if known == "auto" and all(_plain_suffix(path) == ".eaf" for path in files):
        known, options = "elan", dataclasses.replace(options, adapter="elan")
    if known == "auto" and any(map(_is_krsl, files)):
        settings = {"delay": "none", **options.settings}  # the times as they are published
        known, options = "krsl", dataclasses.replace(options, adapter="krsl", settings=settings)
    if known == "auto" and _are_fluentsigners(files):
        known = "fluentsigners-50"
        options = dataclasses.replace(options, adapter=known)
    if options.tiers and known in _OWN:
        raise UsageError(
            "--tier is for files with tiers, and not all of these are.",
            hint="Name their format, as in --adapter elan.",
        )
    return files, known, options


def _file_of(places: pd.Series[Any], names: Sequence[str], *, folder: int) -> Any:
    """Which of several files each row was read from, as an adapter tells: ``name:line``.

    A row that tells none of them is the name of a file in the `folder`.
    """
    if len(names) == 1:
        return np.zeros(len(places), dtype=np.int32)
    at = {name.removesuffix(".gz"): i for i, name in reversed(list(enumerate(names)))}
    told = [at.get(str(place).partition(":")[0], folder) for place in places]
    return np.array(told, dtype=np.int32)


def _is_krsl(path: Path) -> bool:
    """Is this the ELAN export of K-RSL, which has tiers for columns and needs its adapter?"""
    if not path.is_file() or path.suffix.lower() not in (".csv", ".tsv"):
        return False
    return krsl.is_export(next(read_cells(path))[1])


def _are_fluentsigners(files: Sequence[Path]) -> bool:
    """Are these files of FluentSigners-50 that its adapter joins?

    That is a list of sides among them, or JSON of sentences beside a table of sentences.
    """
    tables = [p for p in files if p.is_file() and p.suffix.lower() in (".csv", ".tsv", ".txt")]
    first = [next(read_cells(path))[1] for path in tables]
    if any(map(fluentsigners.is_list, first)):
        return True
    json = any(_plain_suffix(path) == ".json" for path in files)
    return json and any(map(fluentsigners.is_table, first))


def _plain_suffix(path: Path) -> str:
    return Path(path.name.removesuffix(".gz")).suffix.lower()


def _known(name: str) -> str:
    known = name.replace("_", "-").lower()
    return {"msasl": "ms-asl"}.get(known, known)


def _rows(reading: _Reading) -> Iterator[Row]:
    """Recognise the format and read."""
    name = reading.options.adapter
    known = _known(name)
    suffix = reading.path.suffix.lower()
    if name in FROM_NAMES:
        return _adapter(reading, name)
    if reading.path.is_dir():
        if known not in ("auto", "kslds"):
            return _adapter(reading, name)
        return _dataset(reading)
    if suffix in (".json", ".jsonl", ".ndjson") and known in (
        "auto", "table", "wlasl", "ms-asl", "slovo",
    ):  # fmt: skip
        return _json(reading, lines=suffix != ".json")
    if known == "auto" and suffix == ".eaf":
        return _adapter(reading, "elan")
    if known in ("auto", "table", "slovo", "autsl"):
        return _table(reading)
    if known not in ADAPTERS and name not in ADAPTERS and ":" not in name:
        raise UsageError(
            f"unknown adapter {name!r}; known are auto, {', '.join(sorted(ADAPTERS))}.",
        )
    return _adapter(reading, name if name in ADAPTERS or ":" in name else known)


# --------------------------------------------------------------------------- tables


def _side_of(name: str) -> str | None:
    folder, _, file = name.rpartition("/")
    # Of a VideoFolder, `metadata.csv` lies in the folder of its side.
    if PurePosixPath(file).stem.casefold() == "metadata":
        file = folder.rpartition("/")[2]
    found = _SIDE.findall(file)
    return found[-1].lower() if found else None


def _map(reading: _Reading, header: Sequence[str]) -> dict[str, str]:
    """Field → column, as told by the user or by the names."""
    given = reading.options.columns
    for name, column in given.items():
        if column not in header:
            raise AnnotationError(
                f"{reading.name} has no column {column!r}; it has "
                f"{', '.join(f'{name!r:.40}' for name in header[:30])}.",
                hint=f"Correct --column {name}={column}.",
            )
    by_name = {name.casefold(): name for name in reversed(header)}
    found = dict(given)
    for name, names in _SYNONYMS.items():
        chosen = next((by_name[n] for n in names if n in by_name), None)
        if name not in found and chosen is not None and chosen not in found.values():
            found[name] = chosen
    # A length in frames says nothing of boundaries in ms.
    if "length" not in given and {"start", "length"} <= found.keys():
        units = {_unit_told(found[name]) for name in ("start", "length")} - {None}
        if len(units) > 1:
            del found["length"]
    wanted = _FORMATS.get(reading.options.adapter, (frozenset(), ""))[0]
    if lacks := sorted(wanted - by_name.keys()):
        raise AnnotationError(
            f"{reading.name} is not a file of {reading.options.adapter}: it has no column "
            f"{', '.join(map(repr, lacks))}; it has "
            f"{', '.join(f'{name!r:.40}' for name in header[:30])}.",
            hint="Leave --adapter out, and the format is recognised.",
        )
    if "label" not in found:
        alike = next((name for name, marks in MARKS.items() if marks <= set(header)), None)
        raise AnnotationError(
            f"{reading.name}: none of its columns is known to hold the label; it has "
            f"{', '.join(f'{name!r:.40}' for name in header[:30])}.",
            hint=f"It looks like {alike}: --adapter {alike}"
            if alike
            else "Name it: --column gloss=COLUMN, or the collection: --adapter NAME",
        )
    reading.format = next(
        (name for name, (names, _) in _FORMATS.items() if names <= by_name.keys()), "table"
    )
    reading.columns.update(found)
    reading.unused = tuple(name for name in header if name and name not in found.values())
    return found


def _unit(reading: _Reading, columns: Mapping[str, str]) -> str | None:
    """The unit of boundaries, told by the user, the format, or the name of the column."""
    if reading.options.unit:
        return reading.options.unit
    if reading.format in _FORMATS:
        return _FORMATS[reading.format][1]
    return _unit_told(columns.get("start", columns.get("length", "")))


def _unit_told(column: str) -> str | None:
    """The unit that the name of a column tells."""
    name = column.casefold()
    return next((unit for pattern, unit in _UNIT_OF_NAME if pattern.search(name)), None)


def _table(reading: _Reading) -> Iterator[Row]:
    names = [name for group in _SYNONYMS.values() for name in group]
    cells_of = read_cells(
        reading.path, names=[*names, *reading.options.columns.values()], blanks=True
    )
    first_line, first = next(cells_of)
    reading.listing = lists.of_cells(reading.name, (first_line, first), cells_of)
    if reading.listing is not None:
        return
    if _HEADERLESS.fullmatch(first[0].strip()) and len(first) == 2:
        reading.format = "autsl"
        reading.columns.update(id="1st", label="2nd", signer="1st (signer…)")
        yield from _autsl(reading, first_line, first)
        for line, cells in cells_of:
            yield from _autsl(reading, line, cells)
        return
    header = [cell.strip() for cell in first]
    reading.sentences = fluentsigners.is_table(header)
    if reading.options.adapter == "autsl":
        raise AnnotationError(
            f"{reading.name}:{first_line}: expected rows such as signer0_sample1,41 without a "
            f"header; found {','.join(header)!r:.80}.",
            hint="Leave --adapter out, and the format is recognised.",
        )
    columns = _map(reading, header)
    at = [(field, header.index(column)) for field, column in columns.items()]
    unit = _unit(reading, columns)
    width = len(header)
    # What has no gloss of its own may be a sentence.
    told = "label" in reading.options.columns or "sentence" not in header
    sentence = None if told else header.index("sentence")
    if sentence is not None:
        reading.unused = tuple(name for name in reading.unused if name != "sentence")
    for line, cells in cells_of:
        if len(cells) > width:
            where, text = f"{reading.name}:{line}", f"{len(cells)} cells, the header has {width}"
            reading.problems.append(Problem(code="K124", place=where, text=text))
            continue
        values = {name: cells[i] or None for name, i in at if i < len(cells)}
        values["unit"] = values.get("unit") or unit
        if sentence is not None and not values["label"] and sentence < len(cells):
            values["label"] = cells[sentence] or None
        if reading.format == "phoenix-2014t" and values.get("end") == "-1":
            values["start"] = values["end"] = None  # the whole recording
        yield Row(line, **values)


def _autsl(reading: _Reading, line: int, cells: Sequence[str]) -> Iterator[Row]:
    match = _HEADERLESS.fullmatch(cells[0].strip())
    if match is None or len(cells) != 2:
        where = f"{reading.name}:{line}"
        text = f"expected signer0_sample1,41; found {','.join(cells)!r:.80}"
        reading.problems.append(Problem(code="K124", place=where, text=text))
        return
    yield Row(line, id=match[1], label=cells[1], signer=match[2])


# --------------------------------------------------------------------------- JSON


def _json(reading: _Reading, *, lines: bool) -> Iterator[Row]:
    if lines:
        yield from _objects(reading, list(read_items(reading.path)))
        return
    document = read_json(reading.path)
    reading.listing = lists.of_document(document)
    if reading.listing is not None:
        return
    first = document[0] if isinstance(document, list) and document else None
    if isinstance(first, dict) and "instances" in first:
        yield from _wlasl(reading, document)
    elif isinstance(document, list):
        places = (f"{reading.name}:{i}" for i in range(1, len(document) + 1))
        yield from _objects(reading, list(zip(places, document, strict=True)))
    elif isinstance(document, dict) and all(
        isinstance(v, dict) and {"subset", "action"} <= v.keys() for v in document.values()
    ):
        yield from _nslt(reading, document)
    else:
        raise AnnotationError(
            f"{reading.name}: expected a list of objects, one a row, or the layout of WLASL.",
            hint="It looks like slan: --adapter slan"
            if isinstance(document, dict) and MARKS["slan"] <= document.keys()
            else "Name the collection: --adapter NAME",
        )


def _told(value: object) -> str | None:
    """A value of `read_json`, where numbers are text, as a table would have it."""
    if value is None or isinstance(value, dict | list) or value == "":
        return None
    return str(value)


def _objects(reading: _Reading, found: Sequence[tuple[str, Any]]) -> Iterator[Row]:
    """Rows from objects with the same keys."""
    objects = [value for _, value in found if isinstance(value, dict)]
    if not objects:
        raise AnnotationError(f"{reading.name} holds no row: expected objects, one a row.")
    header = list(dict.fromkeys(key for value in objects[:1000] for key in value))
    if "clean_text" in header and "org_text" in header:  # MS-ASL: `text` names the class
        columns = {
            "label": "text" if "text" in header else "clean_text",
            "recording": "url",
            "signer": "signer_id" if "signer_id" in header else "signer",
            **reading.options.columns,
        }
        reading.options = dataclasses.replace(reading.options, columns=columns)
    columns = _map(reading, header)
    unit = _unit(reading, columns)
    for place, value in found:
        if isinstance(value, dict):
            values = {name: _told(value.get(column)) for name, column in columns.items()}
            yield Row(place, **{**values, "unit": values.get("unit") or unit})
        else:
            text = value if isinstance(value, str) else "no object"
            reading.problems.append(Problem(code="K124", place=place, text=f"{text:.200}"))


def _from_one(frame: object) -> str | None:
    """A frame that was counted from 1, counted from 0."""
    text = _told(frame)
    return str(int(text) - 1) if text and re.fullmatch("[0-9]{1,9}", text) else text


def _to_end(frame: object) -> str | None:
    """The end, exclusive from 0 as it is inclusive from 1; None where it is that of the video."""
    return None if frame == "-1" else _told(frame)


def _wlasl(reading: _Reading, document: Sequence[Any]) -> Iterator[Row]:
    reading.format = "wlasl"
    reading.columns.update(
        id="video_id", label="gloss", signer="signer_id", split="split", start="frame_start",
        end="frame_end", fps="fps", recording="url",
    )  # fmt: skip
    for i, entry in enumerate(document):
        instances = entry.get("instances") if isinstance(entry, dict) else None
        if not isinstance(instances, list) or not all(isinstance(x, dict) for x in instances):
            raise AnnotationError(f"{reading.name}[{i}] has no list of instances.")
        for k, told in enumerate(instances):
            yield Row(
                f"{reading.name}[{i}].instances[{k}]",
                id=_told(told.get("video_id")), recording=_told(told.get("url")),
                label=_told(entry.get("gloss")), signer=_told(told.get("signer_id")),
                split=_told(told.get("split")), start=_from_one(told.get("frame_start")),
                end=_to_end(told.get("frame_end")), unit="frame", fps=_told(told.get("fps")),
            )  # fmt: skip


def _nslt(reading: _Reading, document: Mapping[str, Any]) -> Iterator[Row]:
    reading.format = "wlasl (nslt)"
    reading.columns.update(id="key", split="subset", label="action[0]", start="action[1]",
                           end="action[2]")  # fmt: skip
    for key, told in document.items():
        action = told["action"]
        if not isinstance(action, list) or len(action) != 3:
            raise AnnotationError(
                f"{reading.name}[{key!r:.40}]: expected action as [class, start, end]."
            )
        yield Row(
            f"{reading.name}[{key:.40}]", id=key, label=_told(action[0]),
            split=_told(told["subset"]), start=_from_one(action[1]), end=_to_end(action[2]),
            unit="frame", fps="25",
        )  # fmt: skip


# --------------------------------------------------------------------------- adapters and datasets


def _adapter(reading: _Reading, name: str) -> Iterator[Row]:
    """Rows from an adapter of `kslds.corpora`."""
    reading.format = name
    files, media = divided(reading.together, adapter=name)
    columns = {("gloss" if k == "label" else k): v for k, v in reading.options.columns.items()}
    source = Source(files=files, columns=columns, media=media, unit=reading.options.unit or "ms",
                    tiers=reading.options.tiers, options=reading.options.settings)  # fmt: skip
    unnamed = dict.fromkeys(media)
    for told in elan(source) if name == "elan" else read_annotations(name, source):
        unnamed.pop(told.recording, None)
        if told.problem is not None:
            code, text = told.problem
            reading.problems.append(Problem(code=code, place=told.source, text=text))
            if told.label is None and told.sentence is None:
                continue
        elif (told.spoken or told.spoken_kk) and not (told.label or told.sentence):
            continue  # what is said meanwhile is no row
        for code, text in told.notes:
            if code == "K303":
                continue  # every label is looked at for it
            reading.problems.append(Problem(code=code, place=told.source, text=text))
        reading.sentences |= not told.recording and told.problem is None
        timed = told.start is not None and told.end not in (None, END)
        yield Row(
            told.source, recording=told.recording, label=told.label or told.sentence,
            signer=told.signer, split=told.split, start=told.start if timed else None,
            end=told.end if timed else None, unit=told.unit,
            length=None if told.duration_ms is None or told.unit == "frame"
            else str(told.duration_ms),
        )  # fmt: skip
    reading.problems += [
        Problem(code="K109", place=name, text="its name is not one of the collection")
        for name in unnamed
    ]
    reading.columns.update(dict.fromkeys(("recording", "label", "signer", "split"), "adapter"))


def _dataset(reading: _Reading) -> Iterator[Row]:
    """Rows from the tables of a dataset made by kslds."""
    dataset = Dataset(reading.path)
    reading.format = "kslds"
    names = sorted(p.stem for p in (dataset.root / "tables" / "splits").glob("*.parquet"))
    chosen = dataset.provenance.get("split")
    name = chosen if chosen in names else next(iter(names), None)
    unit, sides = dataset.sides(name) if name else ("signer_id", {})
    reading.columns.update(
        id="segment_id", recording="source_file", label="label, gloss_id", signer="signer_id",
        split=f"splits/{name} by {unit}" if name else "published_split", start="start_ms",
        end="end_ms", length="recordings.end_ms",
    )  # fmt: skip
    table = dataset.arrow("recordings").select(["recording_id", "source_file", "end_ms"])
    files = {row["recording_id"]: row for row in table.to_pylist()}
    for row in dataset.read("segments", Segment):
        recording = files.get(row.recording_id)
        yield Row(
            row.source, id=row.segment_id,
            recording=recording["source_file"] if recording else row.recording_id,
            label=row.label or row.gloss_id or row.sentence, signer=row.signer_id,
            split=sides.get(getattr(row, unit) or "") if name else row.published_split,
            start=str(row.start_ms), end=str(row.end_ms), unit="ms",
            length=str(recording["end_ms"]) if recording else None,
        )  # fmt: skip


# --------------------------------------------------------------------------- columns


def _frame(rows: Iterator[Row], reading: _Reading) -> pd.DataFrame:
    """Rows as columns; equal texts share one object, numbers are numbers."""
    columns: dict[str, list[Any]] = {name: [] for name in Row._fields}
    same: dict[str, str] = {}
    appends = [columns[name].append for name in Row._fields]
    for row in rows:
        for append, value in zip(appends, row, strict=True):
            append(same.setdefault(value, value) if isinstance(value, str) else value)
    if not columns["place"] and reading.listing is None:
        raise AnnotationError(f"{reading.name} holds no row.", hint="Name the right file.")
    units = [_unit_name(unit) for unit in columns.pop("unit")]
    places = columns.pop("place")

    def times(name: str) -> pd.Series[Any]:
        return _times(columns[name], units, places, reading=reading, name=name)

    frame = pd.DataFrame(
        {
            "place": pd.Series(
                places, dtype=np.int64 if places and isinstance(places[0], int) else object
            ),
            "id": pd.Series(columns["id"], dtype=object),
            "recording": pd.Series(columns["recording"], dtype=object),
            "label": pd.Series(columns["label"], dtype=object),
            "signer": pd.Series([_signer(s) for s in columns["signer"]], dtype=object),
            "split": pd.Series([_split(s, reading) for s in columns["split"]], dtype=object),
            "unit": pd.Series(units, dtype="category"),
            "start": times("start"),
            "end": times("end"),
            "length": times("length"),
            "width": _whole(columns["width"]),
            "height": _whole(columns["height"]),
            "fps": pd.to_numeric(pd.Series(columns["fps"], dtype=object), errors="coerce"),
        }
    )
    if frame["split"].isna().all() and reading.side:
        frame["split"] = reading.side
        reading.columns["split"] = "the file’s name"
    return frame


def _unit_name(unit: str | None) -> str | None:
    text = unit.strip().casefold() if unit else None
    text = {"frames": "frame", "sec": "s", "seconds": "s"}.get(text or "", text)
    return text if text in UNITS else None


def _signer(text: str | None) -> str | None:
    told = unicodedata.normalize("NFC", text).strip() if text else ""
    return None if told.casefold() in _UNKNOWN_SIGNER or not told else told


def _split(text: str | None, reading: _Reading) -> str | None:
    """A side; ``True`` in a column `train` is the side train."""
    told = text.strip() if text else ""
    if reading.columns.get("split", "").casefold() in ("train", "is_train"):
        told = {"true": "train", "1": "train", "false": "test", "0": "test"}.get(told.lower(), told)
    if several := benchmarks(told):
        raise AnnotationError(
            f"{reading.name} has the sides of several benchmarks: {', '.join(several)}.",
            hint="Split the dataset first: kslds split DIR --by published"
            if reading.format == "kslds"
            else "Name the list of one of them at a time.",
        )
    return told or None


def _times(
    texts: Sequence[str | None],
    units: Sequence[str | None],
    places: Sequence[int | str],
    *,
    reading: _Reading,
    name: str,
) -> pd.Series[Any]:
    """Whole ms or frames; what is no time becomes a problem. Without a unit, thousandths."""
    known: dict[tuple[str, str | None], int | None] = {}
    values = np.zeros(len(texts), dtype=np.int64)
    absent = np.ones(len(texts), dtype=bool)
    for i, (text, unit) in enumerate(zip(texts, units, strict=True)):
        if text is None or not text.strip():
            continue
        if (text, unit) not in known:
            known[text, unit] = _time(text, unit)
        value = known[text, unit]
        if value is None:
            place = places[i]
            where = place if isinstance(place, str) else f"{reading.name}:{place}"
            what = f"{reading.columns.get(name, name)} is {text!r:.40}"
            reading.problems.append(Problem(code="K111", place=where, text=what))
            continue
        values[i], absent[i] = value, False
    return pd.Series(pd.arrays.IntegerArray(values, absent))


def _time(text: str, unit: str | None) -> int | None:
    if unit in ("ms", "frame") and text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    try:
        time = parse_time(text, unit=unit or "s")
    except ValueError:
        return None
    return time.frame if time.ms is None else time.ms


def _whole(texts: list[Any]) -> pd.Series[Any]:
    numbers = pd.to_numeric(pd.Series(texts, dtype=object), errors="coerce")
    return numbers.where((numbers % 1 == 0) & (numbers.abs() < 1 << 31)).astype("Int64")
