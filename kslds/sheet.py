"""The cells of one sheet of an XLSX workbook, as text.

A workbook is a ZIP archive of XML files (ECMA-376). Only what cells hold is read: macros,
links to other files, pictures and comments are never opened. Sizes are checked before
anything is unpacked, and XML that declares entities is refused.

What a spreadsheet shows and what it stores may differ. A cell whose text is not certain
(a formula, a date, an error, a number shown with zeros in front, a part of merged cells)
is reported with its row and column and never guessed.
"""

from __future__ import annotations

import lzma
import posixpath
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from kslds.errors import AnnotationError, MissingFile

MAX_UNPACKED = 256 * 2**20
"""Bytes that the parts of a workbook may have once unpacked: some 1,000,000 rows of words."""

MAX_COLUMNS = 256
"""Columns that a sheet may have."""

_MAX_ROWS = 1_048_576  # of the format
_MAX_PARTS = 10_000
_OLD_EXCEL = b"\xd0\xcf\x11\xe0"
_DATE_FORMATS = {*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)}  # built in
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, ParseError, DefusedXmlException, ValueError,
            NotImplementedError, RuntimeError, OSError, struct.error, lzma.LZMAError)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row that is not empty."""

    number: int
    """As the spreadsheet counts, from 1."""
    cells: list[str]
    """Text of column A, B, …; ``""`` where a cell is empty."""
    wrong: list[tuple[int, str]] = field(default_factory=list)
    """Index of a cell, and why its text is not certain."""


def is_workbook(path: Path) -> bool:
    """Does a file begin like a spreadsheet, whatever it is called?"""
    with path.open("rb") as file:
        start = file.read(4)
    return start in (b"PK\x03\x04", _OLD_EXCEL)


def column_name(index: int) -> str:
    """The name of a column: 0 → ``A``, 26 → ``AA``."""
    name = ""
    index += 1
    while index:
        index, letter = divmod(index - 1, 26)
        name = chr(ord("A") + letter) + name
    return name


def read(path: Path, *, sheet: str | None = None) -> list[Row]:
    """Read one sheet.

    Args:
        path: An ``.xlsx`` or ``.xlsm`` file.
        sheet: Its name; not needed where there is only one.

    Raises:
        MissingFile: There is no such file.
        AnnotationError: It is not an XLSX workbook, is damaged or too large; there is no sheet
            of that name, or there are several and none is named.
    """
    if not path.is_file():
        raise MissingFile(f"there is no file {path}.")
    with path.open("rb") as file:
        if file.read(4) == _OLD_EXCEL:
            raise AnnotationError(
                f"{path} is an old Excel file (.xls) or one with a password; expected XLSX.",
                hint="Save it as an Excel workbook (.xlsx) without a password, or as CSV UTF-8.",
            )
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(_Workbook(path=path, archive=archive), sheet=sheet)
    except AnnotationError:
        raise
    except _DAMAGED as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise AnnotationError(
            f"{path} is not a readable XLSX workbook: {why}.",
            hint="Open it in a spreadsheet program and save it again as .xlsx, or as CSV UTF-8.",
        ) from error


# --------------------------------------------------------------------------- the archive


@dataclass(frozen=True, kw_only=True)
class _Workbook:
    path: Path
    archive: zipfile.ZipFile

    def __post_init__(self) -> None:
        parts = self.archive.infolist()
        size = sum(part.file_size for part in parts)
        if size > MAX_UNPACKED or len(parts) > _MAX_PARTS:
            raise AnnotationError(
                f"{self.path} would unpack to {len(parts)} parts with {size} bytes; "
                f"expected at most {MAX_UNPACKED} bytes.",
                hint="Keep the word list alone in a workbook, or save it as CSV UTF-8.",
            )

    def open(self, name: str) -> IO[bytes]:
        if name not in self.archive.namelist():
            raise AnnotationError(
                f"{self.path} is a ZIP archive without {name!r}, and so no XLSX workbook.",
                hint="Save the sheet as an Excel workbook (.xlsx) or as CSV UTF-8.",
            )
        return self.archive.open(name)

    def related(self, name: str) -> dict[str, tuple[str, str]]:
        """Id → last word of the type and name of the parts that a part refers to."""
        folder, file = posixpath.split(name)
        rels = posixpath.join(folder, "_rels", f"{file}.rels")
        return {
            element.get("Id", ""): (
                element.get("Type", "").rpartition("/")[2],
                posixpath.normpath(posixpath.join("/", folder, element.get("Target", "")))[1:],
            )
            for element in self.elements(rels)
            if _tag(element) == "Relationship" and element.get("TargetMode") != "External"
        }

    def elements(self, name: str, *, keep: str | None = None) -> Iterator[Element]:
        """The elements of a part as they end; those inside a `keep` stay with it."""
        with self.open(name) as stream:
            inside = 0
            parents: list[Element] = []
            for event, element in iterparse(stream, events=("start", "end"), forbid_dtd=True):
                if event == "start":
                    parents.append(element)
                    inside += _tag(element) == keep
                    continue
                parents.pop()
                inside -= _tag(element) == keep
                yield element
                if not inside and parents:
                    parents[-1].remove(element)


def _tag(element: Element) -> str:
    """The name of an element without its namespace, of which there are two editions."""
    return element.tag.rpartition("}")[2]


def _child(element: Element, name: str) -> Element | None:
    return next((child for child in element if _tag(child) == name), None)


def _text(element: Element) -> str:
    """The text of a string, without the reading aids of East Asian writing."""
    parts: list[str] = []
    for child in element:
        if _tag(child) == "t":
            parts.append(child.text or "")
        elif _tag(child) == "r":
            parts.append(_text(child))
    # Control characters and "_" may be written as _x000D_.
    return re.sub("_x00([0-7][0-9A-Fa-f])_", lambda m: chr(int(m[1], 16)), "".join(parts))


def _strings(workbook: _Workbook, name: str | None) -> list[str]:
    parts = workbook.elements(name, keep="si") if name else iter(())
    return [_text(element) for element in parts if _tag(element) == "si"]


def _styles(workbook: _Workbook, name: str | None) -> list[str]:
    """What each cell style makes of a number: ``date``, ``zeros`` or nothing."""
    formats: dict[str, str] = {}
    styles: list[str] = []
    for element in workbook.elements(name, keep="cellXfs") if name else ():
        if _tag(element) == "numFmt":
            formats[element.get("numFmtId", "")] = element.get("formatCode", "")
        elif _tag(element) == "cellXfs":
            numbers = [xf.get("numFmtId", "0") for xf in element]
            styles = [_meaning(number, formats.get(number, "")) for number in numbers]
    return styles


def _meaning(number: str, code: str) -> str:
    if number.isdecimal() and int(number) in _DATE_FORMATS:
        return "date"
    plain = re.sub(r'"[^"]*"|\[[^\]]*\]|\\.|_.|\*.|General', "", code)
    if re.search("[dmyhs]", plain, re.IGNORECASE):
        return "date"
    return "zeros" if re.match("00", plain) else ""


# --------------------------------------------------------------------------- the cells


def _read(workbook: _Workbook, *, sheet: str | None) -> list[Row]:
    roots = workbook.related("")
    book = next((name for kind, name in roots.values() if kind == "officeDocument"), "")
    parts = workbook.related(book or "xl/workbook.xml")
    by_kind = dict(parts.values())
    sheets: dict[str, str] = {}
    for element in workbook.elements(book or "xl/workbook.xml"):
        ids = [value for key, value in element.attrib.items() if key.endswith("}id")]
        kind, name = parts.get(ids[0], ("", "")) if ids else ("", "")
        if _tag(element) == "sheet" and kind == "worksheet":
            sheets[element.get("name", "")] = name
    names = ", ".join(map(repr, sheets))
    if sheet is not None and sheet not in sheets:
        raise AnnotationError(f"{workbook.path} has no sheet {sheet!r}; it has {names}.")
    if sheet is None and len(sheets) != 1:
        raise AnnotationError(
            f"{workbook.path} has {len(sheets)} sheets: {names or 'none with cells'}.",
            hint="Say which one with --sheet NAME.",
        )
    return _rows(
        workbook,
        sheets[sheet] if sheet is not None else next(iter(sheets.values())),
        strings=_strings(workbook, by_kind.get("sharedStrings")),
        styles=_styles(workbook, by_kind.get("styles")),
    )


def _rows(
    workbook: _Workbook, name: str, *, strings: list[str], styles: list[str]
) -> list[Row]:  # fmt: skip
    rows: dict[int, Row] = {}
    number = 0
    for element in workbook.elements(name, keep="row"):
        if _tag(element) == "row":
            previous, number = number, int(element.get("r", number + 1))
            if not previous < number <= _MAX_ROWS:
                raise AnnotationError(f"{workbook.path}: row {number} follows row {previous}.")
            row = _row(element, number=number, strings=strings, styles=styles)
            if len(row.cells) > MAX_COLUMNS:
                raise AnnotationError(
                    f"{workbook.path}: row {number} has more than {MAX_COLUMNS} columns."
                )
            if any(map(str.strip, row.cells)) or row.wrong:
                rows[number] = row
        elif _tag(element) == "mergeCell":
            _merged(element.get("ref", ""), rows)
    return list(rows.values())


def _row(element: Element, *, number: int, strings: list[str], styles: list[str]) -> Row:
    row = Row(number=number, cells=[])
    column = -1
    for cell in element:
        if _tag(cell) != "c":
            continue
        place = re.match("[A-Z]{1,3}", cell.get("r", ""))
        column = _column(place[0]) if place else column + 1
        text, why = _value(cell, strings=strings, styles=styles)
        if (text or why) and column <= MAX_COLUMNS:
            row.cells.extend([""] * (column + 1 - len(row.cells)))
            row.cells[column] = text
        elif text or why:
            row.cells.extend([""] * (MAX_COLUMNS + 1 - len(row.cells)))
        if why:
            row.wrong.append((column, why))
    return row


def _column(name: str) -> int:
    index = 0
    for letter in name:
        index = index * 26 + ord(letter) - ord("A") + 1
    return index - 1


def _value(cell: Element, *, strings: list[str], styles: list[str]) -> tuple[str, str | None]:
    """The text of a cell, and why it is not certain."""
    inline, stored = _child(cell, "is"), _child(cell, "v")
    text = (stored.text or "") if stored is not None else ""
    kind, style = cell.get("t", "n"), int(cell.get("s", "0"))
    if _child(cell, "f") is not None:
        return text, "is a formula; expected text (copy the column and paste its values)"
    if kind == "inlineStr":
        return (_text(inline) if inline is not None else ""), None
    if not text:
        return "", None
    if kind == "s":
        position = int(text)
        if not 0 <= position < len(strings):
            raise ValueError(f"there is no string {position}")
        return strings[position], None
    if kind == "b":
        return {"0": "false", "1": "true"}.get(text, text), None
    if kind == "e":
        return text, f"holds the error {text}; expected text"
    if kind == "n":
        return _number(text, meaning=styles[style] if style < len(styles) else "")
    if kind == "d":
        return text, "is a date; expected text"
    return text, None


def _number(text: str, *, meaning: str) -> tuple[str, str | None]:
    value = float(text)
    plain = str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if meaning == "date":
        return plain, (
            f"is a date (stored as {plain}); expected text (spreadsheets turn 1-2 into a date: "
            "format the column as text and type it again)"
        )
    if meaning == "zeros":
        return plain, (
            f"is the number {plain}, only shown with zeros in front; expected text "
            "(format the column as text and type it again)"
        )
    return plain, None


def _merged(ref: str, rows: Mapping[int, Row]) -> None:
    """Mark the first row of a merged range: only its first cell holds what all seem to hold."""
    found = re.match(r"([A-Z]{1,3})(\d{1,7}):", ref)
    if found and int(found[2]) in rows:
        why = f"is merged ({ref}); expected every cell to hold its own text"
        rows[int(found[2])].wrong.append((_column(found[1]), why))
