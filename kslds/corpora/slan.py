"""Annotations from the exports of SLAN-tool, in the shapes of both versions of its code.

What each export tells of a boundary that was set at frame `k`, shown at ``k / fps`` seconds:

- **Time JSON, time XML**: the millisecond, rounded down. As a frame belongs to a segment when
  ``start_ms <= floor(1000 * pts)``, the number as it is picks exactly frame `k`, up to 1000
  frames a second. (``floor(ms * fps / 1000)`` would be the frame before.)
- **Saved project**: a fraction of the duration; its millisecond is rounded down here.
- **EAF**: hundredths of a second, rounded down, written as if they were milliseconds. Times ten
  they pick frame `k` too, up to 100 frames a second.
- **Frame XML**: samples every 0.04 s, whatever the rate of the recording; sample `n` shows what
  lies over the instant ``0.04 * (n + 1)``, strictly inside. A run of samples `a` to `b` began in
  ``[0.04 a, 0.04 (a + 1))`` and ended in ``(0.04 (b + 1), 0.04 (b + 2)]``: the widest of these
  is taken, which is exact at 25 frames a second and elsewhere up to 40 ms too wide on each side.
  Where one value follows another at once, the boundary is put into the middle of what is
  possible. Equal values that touch are one, and what lies between two samples is lost.
- **Frame JSON**: not JSON, nor anything else that can be read back; it is refused.
"""

from __future__ import annotations

import ast
import json
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from defusedxml import DefusedXmlException, ElementTree

from kslds.corpora import About, Annotation, Source, choose, wrong_file
from kslds.corpora.eaf import not_xml
from kslds.corpora.elan import is_slan, tiers_of
from kslds.corpora.jsonl import reason
from kslds.corpora.tiers import Note, Span, Tier, Tiers, check_columns, segments, text_of
from kslds.corpora.times import parse_time
from kslds.errors import AnnotationError, MissingFile, RecipeError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

ABOUT = About(
    title="SLAN-tool",
    what="Exports of the web annotation tool for sign languages of the Kazakh-Russian Sign "
    "Language project: tiers of labelled intervals over one recording.",
    size="One small file for each recording.",
    licence="That of your annotations; the tool has no licence file.",
    citation="SLAN-tool, https://github.com/krslproject/slan-tool",
    access="Export from the tool as time JSON, time XML, EAF or frame XML, or save the project. "
    "No export names its recording: rename the file after it (P3_S147_02.json), or keep "
    '`project.json` in a folder of that name, or set options = { recording = "…" }.',
    defects=(
        (
            "The times of the EAF export are ten times too small; it lacks VERSION, and ELAN's "
            "schema refuses it.",
            'It is refused, with the offer options = { repair = "eaf-times-x10" }; boundaries '
            "are then known to 10 ms.",
        ),
        (
            "The older time JSON is not JSON (single quotes, commas too many, numbers as text).",
            "It is read as what it is, a literal of Python. What follows a value tells where it "
            "ends, also where it holds an apostrophe.",
        ),
        (
            "The frame JSON has values without quotes and brackets that do not match.",
            "It is refused; export time JSON instead.",
        ),
        (
            "The frame XML counts in steps of 0.04 s at any frame rate and starts one step late.",
            "Boundaries are taken as wide as they may have been: exact at 25 frames a second, "
            "else up to 40 ms too wide.",
        ),
        (
            "Milliseconds are rounded down, so that frame / rate rounded down again is one less.",
            "They are compared with the recording's own timestamps; the frame that was meant is "
            "found.",
        ),
        (
            "Time XML, frame XML, EAF and the older JSON have no names of tiers, only row_1 ….",
            'Name the tiers by these: tiers = ["row_1"].',
        ),
    ),
)

STEP_MS = 40
"""Between two samples of a frame export."""

_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "repair": ("none", "eaf-times-x10"),
    "recording": ("{name}",),
    "annotator": ("none", "folder"),
}
_FIXED_NAMES = frozenset({"project", "savedproject"})
_MAX_BYTES = 64 << 20
_MAX_LITERAL_BYTES = 4 << 20
_AGAIN = "Export it again from SLAN-tool, as time JSON."
_EXPECTED = "time JSON, time XML, frame XML, EAF or a saved project of SLAN-tool"

_Row = tuple[str, str | None, object, object]
"""Key, value, start and end of an annotation, the times in ms as written."""


def read(source: Source) -> Iterator[Annotation]:
    """Yield the annotations of the chosen tiers, file by file, in the order of the file.

    `kslds.corpora.tiers.segments` says how tiers are chosen and fields are found; the type of
    a tier (``type:text``, ``type:handshape``) is known in the newer time JSON and in projects.
    The recording is the option ``recording``, else the name of the file without its ending,
    else, where that is the tool's ``project`` or ``savedProject``, the name of its folder. No
    export names an annotator; with the option ``annotator = "folder"`` it is the folder that the
    file lies in, or the one above where the folder is called after the recording.

    Raises:
        MissingFile: A file is not there.
        AnnotationError: A file is none of the readable exports, or is the EAF export and the
            option ``repair`` is not ``eaf-times-x10``.
        RecipeError: `source.columns` or `source.options` has something unknown.
    """
    check_columns(source)
    options = choose(source, adapter="slan", known=_OPTIONS)
    recording = source.options.get("recording")
    if recording is not None and len(source.files) > 1:
        raise RecipeError(
            f"[ingest] options: recording = {recording!r:.60}, but there are "
            f"{len(source.files)} annotation files.",
            hint="Rename each file after its recording instead.",
        )
    for path in source.files:
        tiers = _read(path, recording or _recording(path), repair=options["repair"])
        who = _annotator(path, recording) if options["annotator"] == "folder" else None
        yield from segments(replace(tiers, annotator=who), source)


def _recording(path: Path) -> str:
    name = path.stem
    if name.casefold() in _FIXED_NAMES:
        name = path.absolute().parent.name or name
    return unicodedata.normalize("NFC", name)


def _annotator(path: Path, recording: str | None) -> str | None:
    folder = path.absolute().parent
    is_recording = recording is None and path.stem.casefold() in _FIXED_NAMES
    return text_of(folder.parent.name if is_recording else folder.name)


def _read(path: Path, recording: str, *, repair: str) -> Tiers:
    data = _bytes(path)
    start = data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if start == b"<" or (data[:2] in (b"\xff\xfe", b"\xfe\xff") and b"<" in data[:4]):
        root = _xml(path, data)
        if root.tag == "FRAMES":
            return _tiers(path, recording, _frames(root, path))
        if root.tag == "ANNOTATION_DOCUMENT" and root.find("TIME_ORDER") is None:
            return _tiers(path, recording, _time_xml(root))
        if root.tag == "ANNOTATION_DOCUMENT":
            return _eaf(path, root, recording, repair=repair)
        raise _wrong(path, f"its outermost element is {root.tag!r:.60}")
    try:
        text = data.decode(json.detect_encoding(data))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise AnnotationError(
            f"{path}, line {line}: byte 0x{data[error.start]:02X} at {error.start} is not "
            f"{error.encoding.upper()}, in which SLAN-tool writes.",
            hint="Save it as UTF-8. If it was saved in Windows-1251 (CP1251): "
            f"iconv -f CP1251 -t UTF-8 {path.name} > NEW{path.suffix}",
        ) from error
    if text.lstrip("\ufeff \t\r\n")[:1] != "{":
        raise wrong_file(path, found=_names(text), expected=_EXPECTED)
    document = _object(path, text)
    if "TIERS" in document:
        return _tiers(path, recording, _time_json(path, document["TIERS"]))
    if "value" in document:
        return _tiers(path, recording, _project(path, document["value"]))
    raise wrong_file(path, found=map(str, document), expected=_EXPECTED)


def _names(text: str) -> list[str]:
    """The columns or keys of a file of another kind, as far as they can be told."""
    try:
        first = json.loads(text)[0] if text.startswith("[") else None
    except (ValueError, LookupError, RecursionError):
        first = None
    if isinstance(first, dict):
        return list(first)
    return re.split(r"[,;|\t]", text.removeprefix("\ufeff").split("\n", 1)[0].strip()[:400])


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            if os.fstat(stream.fileno()).st_size > _MAX_BYTES:
                raise _wrong(path, f"it is larger than {_MAX_BYTES >> 20} MiB")
            data = stream.read()
    except FileNotFoundError as error:
        raise MissingFile(
            f"the annotation file {path} does not exist.",
            hint="Correct `annotations` in the recipe.",
        ) from error
    except OSError as error:
        raise AnnotationError(f"{path} cannot be opened: {error.strerror}.") from error
    if not data.strip():
        raise AnnotationError(f"{path} is empty; expected {_EXPECTED}.", hint=_AGAIN)
    return data


def _wrong(path: Path, why: str) -> AnnotationError:
    hint = "Take it out of `annotations`, or name the adapter that it is for."
    return AnnotationError(f"{path} is no export of SLAN-tool: {why}; expected {_EXPECTED}.",
                           hint=hint)  # fmt: skip


def _xml(path: Path, data: bytes) -> Element:
    try:
        root = ElementTree.fromstring(data, forbid_dtd=True)
    except ElementTree.ParseError as error:
        raise AnnotationError(
            f"{path} is not well-formed XML: {not_xml(error)}.", hint=_AGAIN
        ) from error
    except DefusedXmlException as error:
        raise AnnotationError(
            f"{path} declares a document type or entities, which SLAN-tool never does; "
            "it was not read further.",
            hint=_AGAIN,
        ) from error
    except (LookupError, ValueError) as error:
        raise AnnotationError(f"{path} cannot be decoded: {error}.", hint=_AGAIN) from error
    return root


def _object(path: Path, text: str) -> dict[str, Any]:
    """The object that a JSON file holds, or one that the older code took for JSON."""
    text = text.lstrip("\ufeff \t\r\n").rstrip()
    if text.startswith('{"FRAMES"') and not text.startswith('{"FRAMES":['):
        raise AnnotationError(
            f"{path} is a frame JSON of SLAN-tool, which is not JSON: its values have no quotes "
            "and its brackets do not match.",
            hint="Export the project as time JSON or frame XML.",
        )
    is_old = text.startswith("{'")
    if is_old and len(text) > _MAX_LITERAL_BYTES:
        raise AnnotationError(
            f"{path} is in the older time JSON, and larger than {_MAX_LITERAL_BYTES >> 20} MiB; "
            "the tool never wrote that much.",
            hint=_AGAIN,
        )
    try:
        if is_old:
            # The tool escapes nothing: a backslash or an apostrophe is one that somebody typed.
            text = text.replace("\\", "\\\\")
            found = ast.literal_eval(_OLD_VALUE.sub(lambda m: m[0].replace("'", "\\'"), text))
        else:
            found = json.loads(text, parse_float=Decimal, parse_constant=str)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise AnnotationError(
            f"{path} cannot be read: {_why(error)}.",
            hint="A saved project breaks off at a '#' in a value. " + _AGAIN,
        ) from error
    if not isinstance(found, dict):
        raise _wrong(path, "it does not hold an object")
    return found


_OLD_VALUE = re.compile(
    # No value holds the beginning of the next one, so that the time to look is linear.
    r"(?<='VALUE': ')(?:(?!'VALUE': ').)*?(?='\},(?:\{'ANNOTATION_ID': '|\]\}\},))"
)
"""The values of the older time JSON: what follows an annotation tells where its value ends."""


def _why(error: Exception) -> str:
    """What is wrong with the text of an object, and where."""
    if isinstance(error, json.JSONDecodeError):
        near = error.doc[max(0, error.pos - 20) : error.pos + 20]
        return f"{reason(error)}, at {near!r}"
    if isinstance(error, SyntaxError) and error.text and error.offset:
        near = error.text[max(0, error.offset - 21) : error.offset + 19]
        return (
            "expected texts in single quotes, with a comma or a bracket after each, at line "
            f"{error.lineno}, column {error.offset}, at {near!r}"
        )
    if isinstance(error, RecursionError | MemoryError):
        return "objects are nested too deeply"
    return "expected nothing but texts, lists and objects"


# The exports, as tiers: id, name, type and annotations

_Read = Iterator[tuple[str, str | None, str | None, Sequence[_Row]]]


def _list(path: Path, value: object, what: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise _wrong(path, f"{what} is not a list of objects")
    return value


def _str(value: object) -> str | None:
    return None if value is None or isinstance(value, dict | list) else text_of(str(value))


def _time_json(path: Path, document: object) -> _Read:
    for item in _list(path, document, "'TIERS'"):
        (tier,) = _list(path, [item.get("TIER")], "'TIER'")
        notes = _list(path, tier.get("ANNOTATIONS", []), "'ANNOTATIONS'")
        rows = [
            (_str(note.get("ANNOTATION_ID")) or "", _str(note.get("VALUE")),
             note.get("BEGIN_TIME"), note.get("END_TIME"))
            for note in notes
        ]  # fmt: skip
        yield (
            _str(tier.get("TIER_ID")) or "",
            _str(tier.get("TIER_NAME")),
            _str(tier.get("TIER_TYPE")),
            rows,
        )


def _time_xml(root: Element) -> _Read:
    for tier in root.iterfind("TIER"):
        rows = [
            (note.get("ANNOTATION_ID", ""), text_of(note.findtext("ANNOTATION_VALUE")),
             note.get("BEGIN_TIME"), note.get("END_TIME"))
            for note in tier.iterfind("ANNOTATION")
        ]  # fmt: skip
        yield tier.get("TIER_ID", ""), None, None, rows


def _project(path: Path, document: object) -> _Read:
    if not isinstance(document, dict):
        raise _wrong(path, "its 'value' is not an object")
    for key, tier in document.items():
        (row,) = _list(path, [tier], f"{key!r:.40}")
        seconds = row.get("totalDuration")
        rows = []
        for note in _list(path, row.get("ranges", []), "'ranges'"):
            part = note.get("range")
            start, end = part if isinstance(part, list) and len(part) == 2 else (None, None)
            rows.append((
                _str(note.get("id")) or "", _str(note.get("value")),
                _of_duration(start, seconds), _of_duration(end, seconds),
            ))  # fmt: skip
        yield _str(key) or "", _str(row.get("tier_name")), _str(row.get("tier_type")), rows


def _of_duration(part: object, seconds: object) -> str | None:
    """A fraction of the duration as ms, rounded down, without a float in between."""
    exact = [_fraction(part), _fraction(seconds)]
    if exact[0] is None or exact[1] is None:
        return None
    return str(1000 * exact[0] * exact[1] // 1)


def _fraction(value: object) -> Fraction | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    number = Decimal(value)
    if not number.is_finite() or abs(number.adjusted()) > 30:  # 1E-999999999 would take for ever
        return Fraction(0) if number == 0 else None
    return Fraction(number)


def _frames(root: Element, path: Path) -> _Read:
    samples: dict[str, dict[int, str]] = {}
    for frame in root.iterfind("FRAME"):
        text = frame.get("FRAME_NUMBER", "")
        if not (text.isascii() and text.isdecimal() and len(text) < 9):
            raise _wrong(path, f"a FRAME has the FRAME_NUMBER {text!r:.40}")
        for note in frame.iterfind("ANNOTATION"):
            tier = samples.setdefault(note.get("ANNOTATION_ID", ""), {})
            value = text_of(note.findtext("VALUE"))
            if value is not None:
                tier[int(text)] = value
    for key, values in samples.items():
        yield key, None, None, list(_runs(values))


def _runs(values: Mapping[int, str]) -> Iterator[_Row]:
    """Runs of samples with one value, as annotations of which the key is the first sample."""
    runs: list[tuple[int, int, str]] = []
    for number, value in sorted(values.items()):
        if runs and runs[-1][1] == number - 1 and runs[-1][2] == value:
            runs[-1] = runs[-1][0], number, value
        else:
            runs.append((number, number, value))
    half = STEP_MS // 2
    for place, (first, last, value) in enumerate(runs):
        follows = place > 0 and runs[place - 1][1] == first - 1
        followed = place + 1 < len(runs) and runs[place + 1][0] == last + 1
        start = STEP_MS * first + (half if follows else 0)
        end = STEP_MS * (last + 2) - (half if followed else 0)
        yield str(first), value, str(start), str(end)


def _eaf(path: Path, root: Element, recording: str, *, repair: str) -> Tiers:
    if not is_slan(root):
        raise AnnotationError(
            f"{path} is an ELAN file, not an export of SLAN-tool.", hint='Use adapter = "elan".'
        )
    if repair != "eaf-times-x10":
        raise AnnotationError(
            f"{path} is an EAF export of SLAN-tool, whose times are ten times too small "
            "(hundredths of a second where ELAN has milliseconds).",
            hint='Multiply them with options = { repair = "eaf-times-x10" }, or export time JSON, '
            "which is more exact.",
        )
    tiers = tiers_of(root, path, scale=10)
    return Tiers(
        path=path, recording=recording, origin_ms=0, tiers=tiers.tiers, spans=tiers.spans,
        parents=tiers.parents, problems=tiers.problems, columns=tiers.columns,
    )  # fmt: skip


def _tiers(path: Path, recording: str, read: _Read) -> Tiers:
    tiers: list[Tier] = []
    spans: dict[Note, Span] = {}
    problems: dict[Note, tuple[str, str]] = {}
    for key, name, kind, rows in read:
        tier = Tier(
            name=name or key, type_name=kind or "", stereotype=None, has_parent=False,
            participant=None, annotator=None,
        )  # fmt: skip
        for number, (note_key, value, start, end) in enumerate(rows):
            note = Note(
                key=f"{key}/{note_key or number}", tier=tier, value=value, slots=None,
                parent_key=None, previous_key=None,
            )  # fmt: skip
            tier.notes.append(note)
            spans[note], problem = _span(start, end)
            if problem:
                problems[note] = ("K111", problem)
        tiers.append(tier)
    return Tiers(
        path=path, recording=recording, origin_ms=0, tiers=tiers, spans=spans,
        parents={}, problems=problems, columns=("start", "end"),
    )  # fmt: skip


def _span(start: object, end: object) -> tuple[Span, str | None]:
    times: list[int | None] = []
    problem = None
    for what, value in (("start", start), ("end", end)):
        text = str(value) if isinstance(value, str | int | Decimal) else ""
        try:
            times.append(parse_time(text, unit="ms").ms)
        except ValueError as error:
            times.append(None)
            problem = problem or f"{what}: {error}"
    return (times[0], times[1]), problem
