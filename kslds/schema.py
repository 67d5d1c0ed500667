"""The records of a dataset, and the codes of everything that can be wrong with one.

Each table on disk is described by one frozen dataclass. The Arrow schema
(`arrow_schema`) and the data dictionary in `docs/format.md` (`data_dictionary`)
are derived from it, so neither can drift from the code.
"""

from __future__ import annotations

import dataclasses
import hashlib
import types
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
import pyarrow as pa

FORMAT_VERSION = 1
"""Version of the layout on disk; a reader refuses a newer one."""

KEY_PATTERN = r"[a-z0-9_-]+"
"""What every key matches: safe as a file name, as a tar key and as a label."""

MAX_KEY_CHARS = 100
"""Longest key that people choose; file names hold keys and may have 255 bytes."""


@dataclass(frozen=True, kw_only=True)
class Signer:
    """A person who signs, known by a pseudonym only."""

    signer_id: Annotated[str, "key; a pseudonym such as `subject_07`"]
    age_band: Annotated[str | None, "such as `18-29`"] = None
    gender: Annotated[str | None, "as the signer states it"] = None
    handedness: Annotated[str | None, "`right`, `left` or `both`"] = None
    hearing_status: Annotated[
        str | None, "`deaf`, `hard-of-hearing`, `coda`, `soda` or `hearing`"
    ] = None
    region: Annotated[str | None, "where the signer's signing comes from"] = None
    consent_scope: Annotated[
        str | None,
        "`internal`, `research` or `publication`; null where nothing is recorded, "
        "which publishing treats as no consent",
    ] = None
    consent_date: Annotated[str | None, "ISO 8601 date on which consent was given"] = None
    consent_withdrawn: Annotated[bool, "true once the signer has withdrawn"] = False


@dataclass(frozen=True, kw_only=True)
class Sign:
    """An entry of the lexicon."""

    gloss_id: Annotated[str, "key; ASCII"]
    kk: Annotated[str | None, "Kazakh, Cyrillic, NFC"] = None
    kk_latn: Annotated[str | None, "Kazakh, Latin alphabet of April 2021"] = None
    ru: Annotated[str | None, "Russian"] = None
    en: Annotated[str | None, "English"] = None
    category: Annotated[str | None, "such as `family`, `food`, `gesture`"] = None
    num_hands: Annotated[int | None, "1 or 2"] = None
    mirror_safe: Annotated[
        bool | None, "may the picture be mirrored without changing the meaning? null: not known"
    ] = None
    variant_of: Annotated[str | None, "the `gloss_id` this is a variant of"] = None
    aliases: Annotated[list[str], "further spellings that name this sign"] = dataclasses.field(
        default_factory=list
    )
    source: Annotated[str | None, "where the entry is attested"] = None
    variant_kind: Annotated[
        str | None,
        "how it differs from `variant_of`: `regional`, `hands` (one or two) or `free`",
    ] = None
    synonym_of: Annotated[
        str | None, "the `gloss_id` of which this is another sign with the same meaning"
    ] = None
    region: Annotated[str | None, "where the sign is used, if not everywhere"] = None
    minimal_pairs: Annotated[
        list[str], "`gloss_id` of the entries that differ from it in one feature only"
    ] = dataclasses.field(default_factory=list)

    @property
    def family(self) -> frozenset[str]:
        """Itself, and the entry of which it is a variant or synonym."""
        named = (self.gloss_id, self.variant_of, self.synonym_of)
        return frozenset(key for key in named if key)


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One raw file. It carries no labels."""

    recording_id: Annotated[str, "key; `rec_` and 12 hex digits of the content hash"]
    source_file: Annotated[str, "path relative to the media folder, `/` between parts"]
    content_sha256: Annotated[str, "SHA-256 of the file's bytes, hex"]
    size_bytes: Annotated[int, "size of the file"]
    container: Annotated[str, "ffmpeg's name of the container format"]
    codec: Annotated[str, "ffmpeg's name of the video codec"]
    pix_fmt: Annotated[str | None, "ffmpeg's name of the pixel format"] = None
    stream_index: Annotated[int, "index of the video stream that is used"] = 0
    width: Annotated[int, "coded width in pixels, before rotation"]
    height: Annotated[int, "coded height in pixels, before rotation"]
    rotation: Annotated[int, "clockwise degrees to turn for display: 0, 90, 180 or 270"] = 0
    sar_num: Annotated[int, "sample aspect ratio, numerator (pixel width)"] = 1
    sar_den: Annotated[int, "sample aspect ratio, denominator (pixel height)"] = 1
    display_width: Annotated[int, "width in square pixels after rotation"]
    display_height: Annotated[int, "height in square pixels after rotation"]
    num_frames: Annotated[int, "presented frames, by their timestamps (edit lists applied)"]
    time_base_num: Annotated[int, "timestamps are in units of num/den seconds"]
    time_base_den: Annotated[int, "timestamps are in units of num/den seconds"]
    origin_pts: Annotated[int, "timestamp that players call time zero, in time base units"]
    end_ms: Annotated[int, "end of the last frame, ms from the origin"]
    avg_fps_num: Annotated[int, "average frame rate, numerator"]
    avg_fps_den: Annotated[int, "average frame rate, denominator"]
    is_vfr: Annotated[bool, "frame intervals differ by more than timestamp rounding"]
    has_audio: Annotated[bool, "an audio stream is present (it is never carried on)"]
    damage: Annotated[str | None, "what is broken in the file; null where nothing is"] = None
    signer_id: Annotated[str | None, "the signer, where one signer is named for the file"] = None
    session_id: Annotated[str | None, "recording session"] = None
    licence: Annotated[str | None, "SPDX identifier or text of the licence"] = None
    corpus: Annotated[
        str | None,
        "the dataset that it was merged from (`a/b`: from `a`, which has it from `b`); else null",
    ] = None
    inset: Annotated[
        list[int] | None, "left, top, width, height of a found inset, in displayed pixels"
    ] = None
    pose_file: Annotated[
        str | None, "its poses, relative to the folder of poses; `*` stands for the frame number"
    ] = None
    pose_sha256: Annotated[str | None, "content hash of its poses, hex"] = None


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The timestamps of one recording's presented frames."""

    recording_id: Annotated[str, "key"]
    pts: Annotated[
        Sequence[int],
        "timestamp of frame 0, 1, …, ascending, in time base units, minus `origin_pts`",
    ]
    keyframes: Annotated[Sequence[int], "indices of the frames that a decoder can start at"]


@dataclass(frozen=True, kw_only=True)
class Segment:
    """An interval on a recording, with its labels."""

    segment_id: Annotated[str, "key; `seg_` and 16 hex digits of the row's content"]
    recording_id: Annotated[str, "the recording"]
    start_ms: Annotated[int, "inclusive, ms from the recording's origin"]
    end_ms: Annotated[int, "exclusive, ms from the recording's origin"]
    label: Annotated[str | None, "the label as annotated, NFC"] = None
    gloss_id: Annotated[str | None, "the lexicon entry; null until validated or unknown"] = None
    emotion: Annotated[str | None, "key"] = None
    sentence: Annotated[str | None, "the sentence as glosses"] = None
    translation: Annotated[str | None, "free translation"] = None
    translation_kk: Annotated[
        str | None, "free translation into Kazakh, where `translation` may be in another language"
    ] = None
    tier: Annotated[str | None, "the tier the segment was read from"] = None
    annotator: Annotated[str | None, "who drew the boundaries"] = None
    signer_id: Annotated[str | None, "the signer"] = None
    published_split: Annotated[
        str | None,
        "the side on which the collection publishes it; of several benchmarks `name=side` each",
    ] = None
    source: Annotated[str, "annotation file and line it was read from, as `name:line`"]

    @property
    def clip_id(self) -> str:
        """Key of the clip that is cut from this segment."""
        digest = hashlib.sha256(self.segment_id.encode()).hexdigest()
        return f"{self.recording_id}-{self.start_ms:08d}-{digest[:6]}"


@dataclass(frozen=True, kw_only=True)
class DrawnSegment(Segment):
    """A segment as one of several annotators drew it; there is none where one has annotated."""

    consensus_id: Annotated[
        str | None, "the row of `segments` that it became part of; null where it was dropped"
    ] = None


@dataclass(frozen=True, kw_only=True)
class Clip:
    """What was cut. Fields after `fps_den` are null until the clip is rendered."""

    clip_id: Annotated[str, "key"]
    segment_id: Annotated[str, "the segment"]
    recording_id: Annotated[str, "the recording"]
    source_file: Annotated[str, "the recording's file, relative to the media folder"]
    gloss_id: Annotated[str | None, "the lexicon entry"] = None
    emotion: Annotated[str | None, "key"] = None
    sentence: Annotated[str | None, "the sentence as glosses"] = None
    translation: Annotated[str | None, "free translation"] = None
    translation_kk: Annotated[
        str | None, "free translation into Kazakh, where `translation` may be in another language"
    ] = None
    signer_id: Annotated[str | None, "the signer"] = None
    published_split: Annotated[
        str | None,
        "the side on which the collection publishes it; of several benchmarks `name=side` each",
    ] = None
    start_ms: Annotated[int, "inclusive, margins included, ms from the recording's origin"]
    end_ms: Annotated[int, "exclusive, margins included, ms from the recording's origin"]
    first_frame: Annotated[int, "first presented source frame of the span, 0-based, inclusive"]
    last_frame: Annotated[int, "last presented source frame of the span, 0-based, inclusive"]
    first_pts: Annotated[int, "timestamp of `first_frame`, in the recording's time base"]
    last_pts: Annotated[int, "timestamp of `last_frame`, in the recording's time base"]
    num_frames: Annotated[int, "frames of the clip"]
    fps_num: Annotated[int, "frame rate of the clip (average, where variable), numerator"]
    fps_den: Annotated[int, "frame rate of the clip, denominator"]
    resampled: Annotated[bool, "true where frames were dropped or repeated to reach a rate"] = False
    width: Annotated[int | None, "pixels"] = None
    height: Annotated[int | None, "pixels"] = None
    frames_sha256: Annotated[
        str | None, "SHA-256 of the scaled yuv420p frames that went into the encoder"
    ] = None
    psnr_db: Annotated[float | None, "luma PSNR of the decoded clip against those frames"] = None


@dataclass(frozen=True, kw_only=True)
class SplitRow:
    """One line of a split: what goes to which side."""

    split: Annotated[str, "`train`, `test`, …"]
    unit: Annotated[
        str, "what is assigned, a column of `clips`: `signer_id`, `sentence` or `clip_id`"
    ]
    value: Annotated[str, "its value"]


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """A row that a stage did not pass on, and why."""

    stage: Annotated[str, "`ingest-recordings`, `ingest-segments`, `trim`, `resize` or `split`"]
    table: Annotated[str, "the table the row would have gone to"]
    key: Annotated[str, "the row's key, or the place it was read from"]
    code: Annotated[str, "stable code, see the list of codes"]
    reason: Annotated[str, "what was wrong, in words"]


@dataclass(frozen=True, kw_only=True)
class Issue:
    """Something that is wrong, or worth a look, with one row."""

    severity: Annotated[str, "`error`, `warning` or `info`"]
    code: Annotated[str, "stable code, see the list of codes"]
    table: Annotated[str, "the table the row is in"]
    key: Annotated[str, "the row's key, or the place it was read from"]
    message: Annotated[str, "what is wrong"]
    hint: Annotated[str | None, "what to do"] = None


TABLES: Mapping[str, type] = types.MappingProxyType(
    {
        "signers": Signer,
        "signs": Sign,
        "recordings": Recording,
        "timings": Timing,
        "segments": Segment,
        "annotations": DrawnSegment,
        "clips": Clip,
        "dropped": Dropped,
        "issues": Issue,
    }
)
"""Name of each file under `tables/` and its record; `splits/<name>` hold `SplitRow`."""


_R = TypeVar("_R")
_ARROW: Mapping[Any, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    bool: pa.bool_(),
    float: pa.float64(),
    list[str]: pa.list_(pa.string()),
    list[int]: pa.list_(pa.int64()),
    Sequence[int]: pa.list_(pa.int64()),
}
"""A `Sequence` of numbers is one of thousands, and read as an ``array``, whose numbers take a fifth
of the memory of those of a list."""


@cache
def _columns(record: type) -> list[tuple[str, Any, bool, str]]:
    """Name, plain type, nullability and description of each field."""
    hints = get_type_hints(record, include_extras=True)
    columns = []
    for field in dataclasses.fields(record):
        annotated, text = get_args(hints[field.name])
        nullable = get_origin(annotated) in (Union, types.UnionType)
        plain = (
            next(a for a in get_args(annotated) if a is not type(None)) if nullable else annotated
        )
        columns.append((field.name, plain, nullable, text))
    return columns


def arrow_schema(record: type) -> pa.Schema:
    """The Arrow schema of a record, with descriptions as field metadata."""
    return pa.schema(
        [
            pa.field(name, _ARROW[plain], nullable=nullable, metadata={"description": text})
            for name, plain, nullable, text in _columns(record)
        ]
    )


def to_table(record: type, rows: Iterable[Any]) -> pa.Table:
    """Rows of one record type as an Arrow table."""
    held = list(rows)
    # One column at a time: a million rows as dicts would take more memory than all else.
    columns = []
    for name, plain, _, _ in _columns(record):
        values = [getattr(row, name) for row in held]
        if plain == Sequence[int]:
            values = [np.asarray(value, np.int64) for value in values]
        columns.append(pa.array(values, type=_ARROW[plain]))
    return pa.Table.from_arrays(columns, schema=arrow_schema(record))


LATER = ("translation_kk",)
"""Columns that the first datasets, and their shards, did not have."""


def completed(record: type, table: pa.Table) -> pa.Table:
    """An Arrow table of a record, with the columns that came later, null where it lacks them."""
    for place, field in enumerate(arrow_schema(record)):
        if field.name in LATER and field.name not in table.column_names:
            table = table.add_column(
                min(place, table.num_columns), field, pa.nulls(table.num_rows, field.type)
            )
    return table


def from_table(record: type[_R], table: pa.Table) -> list[_R]:
    """The rows of an Arrow table as records."""
    found: list[_R] = []
    known: dict[str, str] = {}
    kind: type = record  # what a cache takes as a key
    many = {name for name, plain, _, _ in _columns(kind) if plain == Sequence[int]}
    # Few rows at a time, and equal texts as one object, as most columns repeat a few: a million
    # rows would take twice the memory otherwise.
    for batch in table.to_batches(max_chunksize=8192):
        columns = []
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            values: list[Any] = _arrays(column) if name in many else column.to_pylist()
            if pa.types.is_string(column.type) and len(set(values)) * 2 < len(values):
                values = [known.setdefault(value, value) for value in values]
            columns.append(values)
        names = batch.schema.names
        found += [
            record(**dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)
        ]
    return found


def _arrays(column: pa.ListArray) -> list[array[int]]:
    """Lists of numbers, each as an array."""
    return [array("q", row.values.to_numpy().tobytes()) for row in column]


def data_dictionary() -> str:
    """Markdown tables that describe every table and column."""
    parts = []
    for name, record in [*TABLES.items(), ("splits/<name>", SplitRow)]:
        lines = [f"### `{name}`", "", (record.__doc__ or "").strip().split("\n")[0], ""]
        lines += ["| column | type | null | meaning |", "|---|---|---|---|"]
        lines += [
            f"| `{column}` | {_ARROW[plain]} | {'yes' if nullable else ''} | {text} |"
            for column, plain, nullable, text in _columns(record)
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"
