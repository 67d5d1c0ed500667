"""Tables with pipes as RWTH-PHOENIX-Weather 2014 T publishes them: sentences of German Sign
Language, with their glosses and their German translation.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from kslds.corpora import END, About, Annotation, Source, choose, wrong_file
from kslds.corpora.table import read_lines
from kslds.errors import AnnotationError

ABOUT = About(
    title="RWTH-PHOENIX-Weather 2014 T",
    what="German Sign Language: sentences of the weather forecast on television, with glosses "
    "and German translation",
    size="three sides (train, dev, test), one row per sentence",
    licence="as its authors state; none was seen with the files",
    citation="RWTH-PHOENIX-Weather 2014 T, by RWTH Aachen University",
    access="Public. PHOENIX-2014-T.{train|dev|test}.corpus.csv with the columns name, video, "
    "start, end, speaker, orth and translation between pipes; pictures in "
    "features/fullFrame-210x260px/{train|dev|test}/{name}/.",
    defects=(
        (
            "Sentences are folders of pictures (the column video is a pattern such as "
            "NAME/1/*.png) and not recordings.",
            "Make a recording of each folder first, called {name}.mp4; the recipe phoenix-2014t "
            "has the command. Rows without a recording are dropped with K103.",
        ),
        (
            "Cells are never quoted, so that a quotation mark is part of the text.",
            "Lines are cut at each pipe and nothing else.",
        ),
        ("start and end are -1 on every row.", "Read as the whole recording."),
    ),
)

_COLUMNS = ("name", "video", "start", "end", "speaker", "orth", "translation")
_NEEDED = frozenset({"name", "start", "end", "orth"})
_SIDE = re.compile(r"(?:^|[^a-z])(train|dev|val|test)(?:[^a-z]|$)")
_MAX_CHARS = 100_000


def read(source: Source) -> Iterator[Annotation]:
    """Yield one annotation per row; the glosses are its sentence.

    A start or end of -1 is that of the recording; any other is a time in `source.unit`. The
    side is that in the name of the file, if there is one.

    Raises:
        MissingFile: A file is not there.
        AnnotationError: A file is not such a table.
        RecipeError: There are options; there is none.
    """
    choose(source, adapter="phoenix", known={})
    for path in source.files:
        yield from _read_file(path, unit=source.unit)


def _cells(line: str) -> list[str]:
    text = unicodedata.normalize("NFC", line.rstrip("\r\n"))
    return [cell.strip() for cell in text.split("|")]


def _refused(path: Path, header: list[str], *, line: int) -> AnnotationError:
    if not line:
        return AnnotationError(
            f"{path} is empty; expected the columns {'|'.join(_COLUMNS)}.",
            hint="Fetch it again, or take it out of the recipe.",
        )
    found = next((c for c in map(header[0].split, ",;\t") if len(c) > len(header)), header)
    wrong = f"the columns {'|'.join(_COLUMNS)}"
    if found is not header and set(found) >= _NEEDED:
        wrong += " between pipes"
    return wrong_file(
        path,
        adapter="phoenix",
        found=filter(None, found),
        expected=wrong,
        line=line,
    )


def _read_file(path: Path, *, unit: str) -> Iterator[Annotation]:
    lines = ((n, line) for n, line in enumerate(read_lines(path), start=1) if line.strip())
    first, text = next(lines, (0, ""))
    header = _cells(text)
    if not set(header) >= _NEEDED or len(set(header)) < len(header):
        raise _refused(path, header, line=first)
    side = _SIDE.search(path.name.casefold())
    seen: dict[str, str] = {}
    for number, line in lines:
        where, cells = f"{path.name}:{number}", _cells(line)
        row = dict(zip(header, cells, strict=False))
        name = row.get("name", "")
        key = "|".join([name, row.get("start", ""), row.get("end", "")])
        problem = None
        if len(cells) != len(header) or len(line) > _MAX_CHARS:
            problem = ("K124", f"{len(cells)} cells, but the header has {len(header)}")
        elif not name:
            problem = ("K103", "column 'name': is empty; expected the name of a recording")
        elif seen.setdefault(key, where) != where:
            problem = ("K119", f"{name!r:.60} is already listed at {seen[key]}")
        start, end = row.get("start"), row.get("end")
        yield Annotation(
            source=where,
            recording=name,
            start="0" if start == "-1" else start,
            end=END if end == "-1" else end,
            unit=unit,
            sentence=row.get("orth"),
            translation=row.get("translation"),
            signer=row.get("speaker"),
            split=side[1] if side else None,
            problem=problem,
        )
