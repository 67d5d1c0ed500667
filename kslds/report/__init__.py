"""The report of a dataset: its numbers (`summary`), pictures of it (`contact_sheet`), and a page.

The page (`report`) is for those who build and annotate. It needs no network and no script, is
the same to the byte for the same dataset, and shows whatever the data say as text: labels,
file names and messages cannot become markup.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kslds.codes import CODES
from kslds.engine import Progress
from kslds.manifest import Dataset, write_bytes, write_spreadsheet
from kslds.report.contact import choose, contact_sheet, write_sheet
from kslds.report.numbers import clips_of, main_split, sign_names, summary
from kslds.report.page import Data, page

__all__ = ["contact_sheet", "report", "summary"]

_ROWS, _FRAMES = 8, 8


def report(dataset: Dataset, *, progress: Progress | None = None) -> Path:
    """Write `reports/index.html`, a page about the dataset, at any stage of completeness.

    Beside it lie `contact-sheet.png`, and `dropped.csv` and `issues.csv` with every row.

    Args:
        dataset: The dataset.
        progress: Told after each of the three steps: lists, pictures, page.

    Returns:
        Path of the page.

    Raises:
        CorruptData: A table or an index cannot be read.
    """
    tell = progress or (lambda stage, done, total: None)
    folder = dataset.root / "reports"
    tell("report", 0, 3)
    _write_csv(dataset, "dropped", ("stage", "table", "key", "code", "reason"))
    _write_csv(dataset, "issues", ("severity", "code", "table", "key", "message", "hint"))
    tell("report", 1, 3)
    sheet = choose(dataset, rows=_ROWS)
    if sheet:
        write_sheet(sheet, path=folder / "contact-sheet.png", frames=_FRAMES)
    else:
        (folder / "contact-sheet.png").unlink(missing_ok=True)
    tell("report", 2, 3)
    split, unit, sides = main_split(dataset)
    data = Data(
        dataset=dataset,
        facts=summary(dataset),
        clips=clips_of(dataset),
        split=split,
        unit=unit,
        sides=sides,
        names=sign_names(dataset),
        sheet=sheet,
    )
    path = folder / "index.html"
    write_bytes(path, page(data).encode())
    tell("report", 3, 3)
    return path


def _write_csv(dataset: Dataset, table: str, columns: Sequence[str]) -> None:
    """All rows of a table, with the meaning of their codes, for a spreadsheet."""

    def rows() -> Iterator[list[str]]:
        yield [*columns, "what", "what to do"]
        for row in _rows(dataset, table, columns):
            known = CODES.get(row["code"])
            meaning = (known.title, known.action) if known else ("", "")
            yield [*(row[name] for name in columns), *meaning]

    write_spreadsheet(dataset.root / "reports" / f"{table}.csv", rows())


def _rows(dataset: Dataset, table: str, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    if dataset.has(table):
        for batch in dataset.arrow(table).select(list(columns)).to_batches(max_chunksize=10_000):
            yield from batch.to_pylist()
