"""The cells of one sheet of an XLSX workbook, as text.

Workbooks are read with openpyxl, row by row. The sizes that the archive states are checked
before anything is unpacked, and XML with a document type, which is where entities are declared,
is refused.

What a spreadsheet shows and what it stores may differ. A cell whose text is not certain
(a formula, a date, an error, a number in a format that shows more or less than it, a part of
merged cells) is reported with its row and column and never guessed.
"""

from __future__ import annotations

import contextlib
import re
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from kslds.errors import AnnotationError, KsldsError, MissingFile

if TYPE_CHECKING:
    from openpyxl.worksheet._read_only import ReadOnlyWorksheet
    from openpyxl.worksheet.cell_range import CellRange

MAX_UNPACKED = 64 * 2**20
"""Bytes that the parts of a workbook may have once unpacked: some 150,000 rows of words."""

MAX_COLUMNS = 256
"""Columns that a sheet may have."""

_MAX_RATIO = 200  # bytes unpacked for each byte stored; full sheets have 10 to 30
_SMALL = 2**20  # bytes unpacked for which the ratio says nothing
_MAX_ROWS = 1_048_576  # of the format
_MAX_PARTS = 10_000
_OLD_EXCEL = b"\xd0\xcf\x11\xe0"
_PLAIN_FORMATS = ("general", "0", "@")  # show a number as it is stored; "0" only a whole one
_EAST_ASIAN_DATES = {*range(27, 37), *range(50, 59)}  # built in, but not known to openpyxl


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row that is not empty."""

    number: int
    """As the spreadsheet counts, from 1."""
    cells: list[str]
    """Text of column A, B, …; ``""`` where a cell is empty."""
    hidden: bool = False
    """Does the spreadsheet not show it, as where a filter is set?"""
    wrong: list[tuple[int, str]] = field(default_factory=list)
    """Index of a cell, and why its text is not certain."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """One sheet."""

    name: str
    rows: list[Row]
    hidden: bool = False
    """Does the spreadsheet not show the sheet?"""
    hidden_sheets: tuple[str, ...] = ()
    """Names of the other sheets that it does not show."""
    hidden_columns: frozenset[int] = frozenset()
    """Index of every column that it does not show."""


def is_workbook(path: Path) -> bool:
    """Does a file begin like a spreadsheet, whatever it is called?"""
    with path.open("rb") as file:
        start = file.read(4)
    return start in (b"PK\x03\x04", _OLD_EXCEL)


def column_name(index: int) -> str:
    """The name of a column: 0 → ``A``, 26 → ``AA``."""
    from openpyxl.utils import get_column_letter

    return get_column_letter(index + 1)


def read(path: Path, *, sheet: str | None = None) -> Page:
    """Read one sheet.

    100,000 rows of six columns take about 13 seconds and 120 MiB of memory.

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
    with path.open("rb") as file, warnings.catch_warnings():
        if file.read(4) == _OLD_EXCEL:
            raise AnnotationError(
                f"{path} is an old Excel file (.xls) or one with a password; expected XLSX.",
                hint="Save it as an Excel workbook (.xlsx) without a password, or as CSV UTF-8.",
            )
        # openpyxl warns of what it leaves out, such as the looks of cells.
        warnings.simplefilter("ignore")
        try:
            _check(path, file)
            return _read(path, file, sheet=sheet)
        except KsldsError:
            raise
        # Damage comes through as whatever the parsers stumble over, down to TypeError.
        except Exception as error:
            cause = error.__cause__ or error
            why = str(cause).strip().partition("\n")[0].rstrip(".") or type(cause).__name__
            raise AnnotationError(
                f"{path} is not a readable XLSX workbook: {why}.",
                hint="Open it in a spreadsheet program and save it as .xlsx or as CSV UTF-8.",
            ) from error


def _check(path: Path, file: IO[bytes]) -> None:
    """Refuse what must not be unpacked or parsed."""
    limit = min(MAX_UNPACKED, max(_SMALL, _MAX_RATIO * path.stat().st_size))
    with zipfile.ZipFile(file) as archive:
        parts = archive.infolist()
        size = sum(part.file_size for part in parts)
        if size > limit or len(parts) > _MAX_PARTS:
            raise AnnotationError(
                f"{path} would unpack to {len(parts)} parts with {size} bytes; "
                f"expected at most {_MAX_PARTS} parts with {limit} bytes for a file of its size.",
                hint="Keep the word list alone in a workbook, or save it as CSV UTF-8.",
            )
        if "[Content_Types].xml" not in archive.namelist():
            raise AnnotationError(
                f"{path} is a ZIP archive without '[Content_Types].xml', and so no XLSX workbook.",
                hint="Save the sheet as an Excel workbook (.xlsx) or as CSV UTF-8.",
            )
        for part in parts:
            # A document type comes before the first element. Parts that are no XML may pass:
            # openpyxl stumbles over those it needs.
            with archive.open(part) as stream, contextlib.suppress(ParseError):
                try:
                    next(iterparse(stream, events=("start",), forbid_dtd=True), None)
                except DefusedXmlException as error:
                    raise AnnotationError(
                        f"{path} is not a readable XLSX workbook: its part {part.filename!r:.60} "
                        "declares a document type, which no spreadsheet program writes.",
                        hint="Open it in a spreadsheet program and save it as .xlsx.",
                    ) from error


def _read(path: Path, file: IO[bytes], *, sheet: str | None) -> Page:
    from openpyxl import load_workbook
    from openpyxl.worksheet._reader import WorkSheetParser

    # Opened for reading alone, a workbook keeps its pictures, comments and links shut, and
    # merged ranges are not filled with cells, of which a few bytes can declare billions.
    book: Any = load_workbook(file, read_only=True, keep_links=False)
    pages = {page.title: page for page in book.worksheets}
    names = ", ".join(
        repr(name) + (" (hidden)" if page.sheet_state != "visible" else "")
        for name, page in pages.items()
    )
    if sheet is not None and sheet not in pages:
        raise AnnotationError(f"{path} has no sheet {sheet!r}; it has {names or 'none'}.")
    if sheet is None and len(pages) != 1:
        raise AnnotationError(
            f"{path} has {len(pages)} sheets: {names or 'none that can be read'}.",
            hint="Say which one with --sheet NAME."
            if pages
            else "Save it as an Excel workbook (.xlsx, not Strict Open XML), or as CSV UTF-8.",
        )
    page = pages[sheet] if sheet is not None else next(iter(pages.values()))
    rows: dict[int, Row] = {}
    previous = 0
    with page._get_source() as source:
        # The worksheet itself would drop rows that are out of order, and knows no merged cells.
        parser = WorkSheetParser(
            source,
            page._shared_strings,
            epoch=book.epoch,
            date_formats=book._date_formats,
            timedelta_formats=book._timedelta_formats,
        )
        for number, cells in parser.parse():
            if not previous < number <= _MAX_ROWS:
                raise AnnotationError(f"{path}: row {number} follows row {previous}.")
            previous = number
            looks = parser.row_dimensions.get(str(number), {})
            hidden = looks.get("hidden") in ("1", "true") or float(looks.get("ht", 1)) == 0
            row = _row(page, cells, number=number, hidden=hidden)
            if len(row.cells) > MAX_COLUMNS:
                raise AnnotationError(f"{path}: row {number} has more than {MAX_COLUMNS} columns.")
            if any(map(str.strip, row.cells)) or row.wrong:
                rows[number] = row
    _mark_merged(parser.merged_cells.mergeCell if parser.merged_cells else (), rows)
    return Page(
        name=page.title,
        rows=list(rows.values()),
        hidden=page.sheet_state != "visible",
        hidden_sheets=tuple(
            name
            for name, other in pages.items()
            if other is not page and other.sheet_state != "visible"
        ),
        hidden_columns=_hidden_columns(parser.column_dimensions),
    )


def _hidden_columns(looks: Mapping[str, Mapping[str, str]]) -> frozenset[int]:
    found: set[int] = set()
    for look in looks.values():
        if look.get("hidden") in ("1", "true") or float(look.get("width", 1)) == 0:
            first, last = int(look["min"]), int(look.get("max", look["min"]))
            found.update(range(first - 1, min(last, MAX_COLUMNS)))
    return frozenset(found)


def _row(
    page: ReadOnlyWorksheet, cells: Iterable[Mapping[str, Any]], *, number: int, hidden: bool
) -> Row:
    row = Row(number=number, cells=[], hidden=hidden)
    for cell in cells:
        text, why = _text(page, cell)
        if text or why:
            column = min(cell["column"] - 1, MAX_COLUMNS)
            row.cells.extend([""] * (column + 1 - len(row.cells)))
            row.cells[column] = text
        if why:
            row.wrong.append((column, why))
    return row


def _text(page: ReadOnlyWorksheet, cell: Mapping[str, Any]) -> tuple[str, str | None]:
    """The text of a cell, and why it is not certain."""
    from openpyxl.cell.read_only import ReadOnlyCell

    value, kind = cell["value"], cell["data_type"]
    if kind == "f":
        return "", "is a formula; expected text (copy the column and paste its values)"
    if value is None:
        return "", None
    if isinstance(value, str) and kind != "e":
        # Control characters and "_" may be written as _x000D_.
        return re.sub("_x00([0-7][0-9A-Fa-f])_", lambda m: chr(int(m[1], 16)), value), None
    if kind == "e":
        return value, f"holds the error {value}; expected text"
    if isinstance(value, bool):
        return str(value).lower(), None
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    text = str(value).removesuffix(" 00:00:00")
    style = ReadOnlyCell(page, **cell)
    if kind == "d" or style.style_array.numFmtId in _EAST_ASIAN_DATES:
        return text, (
            f"is a date ({text}); expected text (spreadsheets turn 1-2 into a date: "
            "format the column as text and type it again)"
        )
    shown = style.number_format.casefold()
    if shown not in _PLAIN_FORMATS or (shown == "0" and not isinstance(value, int)):
        return text, (
            f"is stored as the number {text} and shown otherwise, by the format "
            f"{style.number_format!r:.40}; expected text (format the column as text and type it "
            "again)"
        )
    return text, None


def _mark_merged(ranges: Iterable[CellRange], rows: Mapping[int, Row]) -> None:
    """Mark the first row of merged ranges: only its first cell holds what all seem to hold."""
    for merged in ranges:
        row = rows.get(merged.min_row)
        if row is None or ":" not in merged.coord:
            continue
        why = f"is merged ({merged.coord}); expected every cell to hold its own text"
        known = {index for index, _ in row.wrong}
        columns = range(merged.min_col - 1, min(merged.max_col, MAX_COLUMNS))
        row.wrong.extend((index, why) for index in columns if index not in known)
