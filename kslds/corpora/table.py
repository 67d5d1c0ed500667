"""Annotations from CSV or TSV files: one segment a row, columns mapped by the recipe."""

from __future__ import annotations

import codecs
import csv
import io
import json
import os
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise
from pathlib import Path

from rapidfuzz import fuzz, process, utils

from kslds.corpora import UNITS, About, Annotation, Source, known_as, wrong_file
from kslds.errors import AnnotationError, MissingFile, RecipeError

ABOUT = About(
    title="Tables",
    what="a CSV or TSV file of your own, or of a collection that has no adapter: one segment a "
    "row, columns mapped by the recipe",
    size="Any number of files, each up to 1 GiB.",
    licence="That of your files.",
    citation="None; cite the collection.",
    access="Any name will do: [ingest] columns says which column is the recording, the label, the "
    "start and the end; see [Tables](recipes.md#tables).",
    defects=(
        (
            "Cells are separated by a comma, a semicolon, a tab or |, whatever the file is called.",
            "The separator is the one that fits the header.",
        ),
        (
            "Text is UTF-8 with or without a mark, UTF-16, or in a code page such as CP1251.",
            "UTF-8, and UTF-16 with a mark, are read; anything else is refused with the byte, its "
            "line, and the command that converts it.",
        ),
        (
            "Lines end as on Windows, Unix or old Macs; cells hold separators and line breaks.",
            "All are read, such cells between quotation marks; a mark that is not closed is named "
            "with its line.",
        ),
        (
            "A row has more cells than the header, or no file, or a boundary that is no time.",
            "It is dropped with its line (K124, K103, K111); the others go on.",
        ),
        ("A row is there twice.", "The second is dropped (K119)."),
        (
            "Ids and numbers begin with zeros (007).",
            "They are text and keep them. A spreadsheet that saved the file has dropped them.",
        ),
        ("Numbers have a decimal comma.", "It is read as a point and warned of (K116)."),
    ),
)

FIELDS = (
    "recording",
    "gloss",
    "start",
    "end",
    "unit",
    "signer",
    "emotion",
    "sentence",
    "translation",
    "translation_kk",
    "tier",
    "annotator",
    "session",
)
"""What `Source.columns` may map. A field that it does not map is read from a column of the
same name, where there is one."""

_DELIMITERS = ",;\t|"
_MAX_BYTES = 1 << 30
_MAX_CELL_CHARS = 100_000
_OTHER_FILES: Mapping[bytes, tuple[str, str]] = {
    b"PK\x03\x04": ("an Excel or OpenDocument sheet, or a ZIP archive", "sheet"),
    b"\xd0\xcf\x11\xe0": ("an Excel sheet", "sheet"),
    b"\x1f\x8b": ("compressed with gzip", "archive"),
    b"BZh": ("compressed with bzip2", "archive"),
    b"\xfd7zXZ": ("compressed with xz", "archive"),
    b"\x28\xb5\x2f\xfd": ("compressed with zstd", "archive"),
    b"7z\xbc\xaf": ("a 7-Zip archive", "archive"),
    b"<!doctyp": ("a web page", "page"),
    b"<html": ("a web page", "page"),
    b"version ": ("a pointer of Git LFS", "pointer"),
}
"""How files begin that people name instead of a table, and what kind they are."""
_HINTS: Mapping[str, str] = {
    "sheet": "Save the sheet as CSV (UTF-8) and name that file.",
    "archive": "Unpack it and name the file inside.",
    "page": "The download gave a page instead of the file: fetch the file itself (on GitHub: Raw).",
    "pointer": "The file itself was not fetched: git lfs pull.",
}
_UNIT_NAMES: Mapping[str, str] = {
    **{unit: unit for unit in UNITS},
    **dict.fromkeys(("msec", "msecs", "millisecond", "milliseconds", "мс", "мсек"), "ms"),
    **dict.fromkeys(("sec", "secs", "second", "seconds", "с", "сек", "секунд", "секунды"), "s"),
    **dict.fromkeys(("frames", "кадр", "кадры", "кадров"), "frame"),
    **dict.fromkeys(("hh:mm:ss", "hh:mm:ss.mmm", "hh:mm:ss,mmm"), "timecode"),
}


def read(source: Source) -> Iterator[Annotation]:
    """Yield one annotation per row, file by file.

    Cells are separated by comma, semicolon, tab or ``|``, whichever fits the header line;
    text is UTF-8, or UTF-16 with a byte order mark. Empty rows are skipped, empty cells are
    None. A row whose unit, recording or boundary is unusable, or that has more cells than the
    header, carries a `problem`.

    Raises:
        MissingFile: A file is not there.
        AnnotationError: A file is not a text table, or lacks a column.
        RecipeError: `source.columns` maps a field that does not exist.
    """
    for field in source.columns:
        if field not in FIELDS:
            near = nearest(field, FIELDS)
            raise RecipeError(
                f"the recipe's columns map an unknown field {field!r}; "
                f"a table has {', '.join(FIELDS)}.",
                hint=f"Did you mean {near!r}?" if near else None,
            )
    for path in source.files:
        yield from _read_file(path, source)


def _read_file(path: Path, source: Source) -> Iterator[Annotation]:
    names = {field: clean(source.columns.get(field, field)) or "" for field in FIELDS}
    rows = read_cells(path, names=names.values())
    first, cells = next(rows)
    header = [clean(cell) or "" for cell in cells]
    if names["recording"] not in header and known_as(header):
        raise wrong_file(
            path,
            found=header,
            expected=f"a column {names['recording']!r} and others",
            adapter="table",
            line=first,
        )
    index = field_of(path, header, names, source, line=first)
    for line, cells in rows:
        where = f"{path.name}:{line}"
        row = {
            field: clean(cells[column]) if column < len(cells) else None
            for field, column in index.items()
        }
        if len(cells) > len(header):
            reason = (
                f"{len(cells)} cells, but the header has {len(header)}; "
                "put quotation marks around a cell that holds the separator itself"
            )
            yield Annotation(
                source=where, recording="", start=None, end=None, unit=source.unit,
                problem=("K124", reason),
            )  # fmt: skip
            continue
        if row["recording"] is not None:  # blanks are part of the name of a file
            row["recording"] = unicodedata.normalize("NFC", cells[index["recording"]])
        yield annotation(row, names, source, where)


def annotation(
    row: Mapping[str, str | None], names: Mapping[str, str], source: Source, where: str
) -> Annotation:
    """A row as an annotation, with a `problem` where its unit, file or a boundary is unusable."""
    written = row.get("unit")
    unit = source.unit if written is None else _UNIT_NAMES.get(written.casefold())
    problem = None
    if unit is None:
        reason = f"{written!r:.60} is not one of {', '.join(UNITS)}"
        problem = ("K111", f"column {names['unit']!r}: {reason}")
    elif row["recording"] is None:
        reason = "is empty; expected the file name of a recording"
        problem = ("K103", f"column {names['recording']!r}: {reason}")
    elif row["start"] is None or row["end"] is None:
        empty = names["start" if row["start"] is None else "end"]
        problem = ("K111", f"column {empty!r}: is empty; expected a time in {unit}")
    return Annotation(
        source=where,
        recording=_shared(row["recording"]) or "",
        start=row["start"],
        end=row["end"],
        unit=unit or source.unit,
        start_column=names["start"],
        end_column=names["end"],
        label=_shared(row.get("gloss")),
        emotion=_shared(row.get("emotion")),
        sentence=row.get("sentence"),
        translation=row.get("translation"),
        translation_kk=row.get("translation_kk"),
        signer=_shared(row.get("signer")),
        session=_shared(row.get("session")),
        tier=_shared(row.get("tier")),
        annotator=_shared(row.get("annotator")),
        problem=problem,
    )


def _shared(text: str | None) -> str | None:
    """The text, held in memory once however many rows say it."""
    return None if text is None else sys.intern(text)


def field_of(
    path: Path,
    header: Sequence[str],
    names: Mapping[str, str],
    source: Source,
    *,
    line: int | None = None,
) -> dict[str, int]:
    """Field to column number, for the fields that the file has; `line` is that of the header."""
    found = {field: name for field, name in names.items() if name and name in header}
    missing = [
        field
        for field in FIELDS
        if field not in found
        and (field in source.columns or field in ("recording", "start", "end"))
    ]
    either = ""
    if not {"gloss", "sentence"} & {*found, *missing}:
        missing.append("gloss")
        either = " (a column for sentence would do instead of gloss)"
    if missing:
        spare = [name for name in header if name and name not in found.values()]
        near = {field: nearest(names[field], spare) for field in missing}
        told = [name for name in header if name]
        mapping = ", ".join(
            f"{field} = {json.dumps(near[field] or '…', ensure_ascii=False)}" for field in missing
        )
        raise AnnotationError(
            f"{path} has no column {listed([names[field] for field in missing])}{_on(line)}; "
            f"it has {listed(told)}{either}.",
            hint="The first line has to name the columns: delete what is above it."
            if len(told) == 1
            else ("Did you mean" if all(near.values()) else "Map them in the recipe, as in")
            + f" columns = {{ {mapping} }}"
            + ("?" if all(near.values()) else "."),
        )
    twice = [name for name in found.values() if header.count(name) > 1]
    if twice:
        raise AnnotationError(
            f"{path} has several columns named {listed(twice)}.",
            hint="Rename or remove all but one of them.",
        )
    return {field: header.index(name) for field, name in found.items()}


def _on(line: int | None) -> str:
    return "" if line is None else f" on line {line}"


def read_rows(
    path: Path, *, names: Sequence[str] = (), known: Sequence[str] | None = None
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield each row of a table in which nothing may be overlooked, with its first line.

    Cells go by the name of their column, NFC, without blanks around; an empty one is ``""``.
    Empty rows are skipped.

    Args:
        path: A table as `read` takes it.
        names: Columns that the file has to have.
        known: All columns that it may have; any if not given.

    Raises:
        MissingFile: The file is not there.
        AnnotationError: The file is not a text table; a column is missing, unknown, without a
            name or there twice; a row has more or fewer cells than the header; a cell has a
            line break, as after a quotation mark that is not closed.
    """
    rows = read_cells(path, names=known or names)
    line, cells = next(rows)
    header = [clean(cell) or "" for cell in cells]
    for number, name in enumerate(header, start=1):
        if not name:
            raise AnnotationError(
                f"{path}, line {line}: column {number} has no name.",
                hint="Name it, or delete it.",
            )
        if header.count(name) > 1:
            raise AnnotationError(
                f"{path}, line {line}: several columns are named {name!r:.60}.",
                hint="Rename or remove all but one of them.",
            )
        if known is not None and name not in known:
            raise AnnotationError(
                f"{path}, line {line}: unknown column {name!r:.60}.",
                hint=f"Known columns: {', '.join(known)}.",
            )
    missing = [name for name in names if name not in header]
    if missing:
        raise AnnotationError(
            f"{path} has no column {listed(missing)}{_on(line)}; it has {listed(header)}.",
            hint="Write the names of the columns into the first line.",
        )
    for line, cells in rows:
        if len(cells) != len(header):
            raise AnnotationError(
                f"{path}, line {line}: {len(cells)} cells, but the header has {len(header)}.",
                hint="Put quotation marks around a cell that holds the separator itself, and "
                "write the separators of empty cells too.",
            )
        row = dict(zip(header, cells, strict=True))
        for name, cell in row.items():
            if "\n" in cell or "\r" in cell:
                raise AnnotationError(
                    f"{path}, line {line}, column {name!r:.60}: the cell has a line break.",
                    hint="Check that every quotation mark is closed on its line.",
                )
        yield line, {name: clean(cell) or "" for name, cell in row.items()}


def read_cells(
    path: Path, *, names: Iterable[str] = (), blanks: bool = False
) -> Iterator[tuple[int, list[str]]]:
    """Yield each row that is not empty, as written, with the line on which it starts.

    The first one is the header, if the file has one; it decides what separates cells.

    Args:
        path: A table as `read` takes it.
        names: Columns that the file should have; they help to find the separator.
        blanks: Keep blanks before a cell where neither the header nor a quotation mark tells
            that they belong to what separates cells.

    Raises:
        MissingFile: The file is not there.
        AnnotationError: The file is not a text table, or holds nothing.
    """
    lines = read_lines(path)
    skipped = 0
    for first in lines:
        if first.strip():
            break
        skipped += 1
    else:
        raise AnnotationError(
            f"{path} is empty; expected a header line and one line per row.",
            hint="Export it again, or take it out of the recipe.",
        )
    line = skipped + 1
    if first.lstrip()[0] in "{[":
        raise AnnotationError(
            f"{path}, line {line}: {first.strip()[:40]!r} is JSON; expected a table.",
            hint="Name an adapter for JSON, such as jsonl, wlasl, ms-asl or slan.",
        )
    wanted, delimiter = frozenset(names), ","
    row: list[str] = []  # the lines of the row that is being read

    def noted() -> Iterator[str]:
        for text in chain([first], lines):
            row.append(text)
            yield text

    try:
        delimiter = max(_DELIMITERS, key=lambda mark: _fit(first, mark, wanted))
        blanks = blanks and f"{delimiter} " not in first  # else it is how the file separates cells
        reader = csv.reader(
            noted(),
            delimiter=delimiter,
            skipinitialspace=True,
            strict=True,
        )
        for cells in reader:
            if any(len(cell) > _MAX_CELL_CHARS for cell in cells):
                raise csv.Error(f"a cell has more than {_MAX_CELL_CHARS} characters")
            if line == skipped + 1 or any(map(str.strip, cells)):
                if blanks and len(row) == 1 and '"' not in row[0]:
                    cells = row[0].rstrip("\r\n").split(delimiter)
                yield line, cells
            line = skipped + reader.line_num + 1
            row.clear()
    except csv.Error as error:
        opened = _open_quote(row, delimiter)
        if opened is not None:
            raise AnnotationError(
                f"{path}, line {line + opened}: a quotation mark opens a cell and is not closed.",
                hint="Close it; a quotation mark inside a quoted cell is written twice.",
            ) from error
        raise AnnotationError(
            f"{path}: the row that starts on line {line} cannot be read: {error}.",
            hint="Check that every quoted cell is closed; a quotation mark inside one is doubled.",
        ) from error


def _open_quote(lines: Sequence[str], delimiter: str) -> int | None:
    """Of a row that ends inside a quoted cell, the number of the line where that opens."""
    opened, at_start = None, True
    for number, line in enumerate(lines):
        escaped = False
        for char, following in pairwise([*line, ""]):
            if escaped:
                escaped = False
            elif opened is not None and char == '"':
                escaped = following == '"'
                opened = opened if escaped else None
            elif opened is None and char == '"' and at_start:
                opened, at_start = number, False
            elif opened is None:
                at_start = char == delimiter or (at_start and char == " ")
    return opened


def _fit(header: str, delimiter: str, names: frozenset[str]) -> tuple[int, int]:
    """How well a delimiter splits the header: known columns, then columns at all."""
    cells = next(csv.reader([header], delimiter=delimiter, skipinitialspace=True))
    return len(names.intersection(map(clean, cells))), len(cells)


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text file with their ends.

    Text is UTF-8, or UTF-16 with a byte order mark, which is left out.

    Raises:
        MissingFile: The file is not there.
        AnnotationError: The file is not text in one of these encodings, or larger than 1 GiB.
    """
    try:
        stream = path.open("rb")
    except FileNotFoundError as error:
        raise MissingFile(
            f"the annotation file {path} does not exist.",
            hint="Correct `annotations` in the recipe.",
        ) from error
    except OSError as error:
        raise AnnotationError(f"{path} cannot be opened: {error.strerror}.") from error
    with stream:
        if os.fstat(stream.fileno()).st_size > _MAX_BYTES:
            raise AnnotationError(
                f"{path} is larger than 1 GiB; that is not a table of annotations.",
                hint="Name the right file, or split it.",
            )
        start = stream.read(64)
        stream.seek(0)
        for mark, (what, kind) in _OTHER_FILES.items():
            if (start.startswith(mark) or start.lower().startswith(mark)) and (
                kind != "pointer" or b"git-lfs" in start
            ):
                raise AnnotationError(
                    f"{path} is not a text table: it is {what}.", hint=_HINTS[kind]
                )
        if start[:1] == b"\0" or start[1:2] == b"\0":
            raise AnnotationError(
                f"{path}, line 1: a NUL character, as in UTF-16 without a byte order mark; "
                "expected UTF-8, or UTF-16 with a byte order mark.",
                hint="Save it as UTF-8.",
            )
        marks = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
        encoding = marks.get(start[:2], "utf-8")
        text = io.TextIOWrapper(stream, encoding=encoding, newline="")
        try:
            for number, line in enumerate(text, start=1):
                if "\0" in line:
                    raise AnnotationError(
                        f"{path}, line {number}: a NUL character; this is not a text file.",
                        hint="Export it again with the encoding UTF-8.",
                    )
                yield line.removeprefix("\ufeff") if number == 1 else line
        except UnicodeDecodeError as error:
            raise AnnotationError(
                f"{path}: {_first_bad_byte(path, encoding)} is not {encoding.upper()}; "
                "expected UTF-8, or UTF-16 with a byte order mark.",
                hint="Save it as UTF-8, in Excel as the type 'CSV UTF-8'. If only a file in "
                "Windows-1251 (CP1251) is left: iconv -f CP1251 -t UTF-8 OLD.csv > NEW.csv; Kazakh "
                "letters such as ә and қ, which CP1251 lacks, have become ? in it.",
            ) from error


def _first_bad_byte(path: Path, encoding: str) -> str:
    """Where a file that does not decode goes wrong (a text stream reads ahead of its lines)."""
    decoder = codecs.getincrementaldecoder(encoding)()
    offset, line = 0, 1
    with path.open("rb") as stream:
        while True:
            chunk = stream.read(1 << 20)
            offset += len(chunk)
            try:
                line += decoder.decode(chunk, final=not chunk).count("\n")
            except UnicodeDecodeError as error:
                line += error.object[: error.start].decode(encoding).count("\n")
                offset -= len(error.object) - error.start
                return f"byte 0x{error.object[error.start]:02X} at {offset} (line {line})"
            if not chunk:  # the file has changed since
                return "a byte"


def clean(cell: str) -> str | None:
    """A cell's text, NFC and without blanks around it; None where nothing is left."""
    return unicodedata.normalize("NFC", cell).strip() or None


def nearest(name: str, known: Sequence[str]) -> str | None:
    """The known name that was probably meant."""
    found = process.extractOne(
        name, known, scorer=fuzz.ratio, processor=utils.default_process, score_cutoff=60
    )
    return found[0] if found else None


def listed(names: Sequence[str]) -> str:
    """Up to twenty names, for messages."""
    shown = ", ".join(f"{name!r:.60}" for name in names[:20])
    return f"{shown} and {len(names) - 20} more" if len(names) > 20 else shown
