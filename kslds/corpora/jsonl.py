"""Annotations from JSON: an object per line, or one array of objects; fields as in tables.

Numbers are kept as they are written, so that ``0.1`` stays exact and ``00335`` in quotes keeps
its zeros. Other modules of collections that publish JSON read it with `read_json`.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from kslds.corpora import About, Annotation, Source, choose, known_as, wrong_file
from kslds.corpora.table import FIELDS, annotation, clean, field_of, read_lines
from kslds.errors import AnnotationError, RecipeError

ABOUT = About(
    title="JSON lines",
    what="files with one JSON object a line, or one array of objects: one segment an object, keys "
    "mapped by the recipe as the columns of a table are",
    size="Any number of files; lines up to 1 GiB, an array up to 256 Mi characters.",
    licence="That of your files.",
    citation="None; cite the collection.",
    access="Any name will do: [ingest] columns says which key is the recording, the label, the "
    "start and the end; see [JSON](recipes.md#json).",
    defects=(
        (
            "A line is not JSON, breaks off, or is no object.",
            "It is dropped with its line and column (K124); if it is the first, the file is "
            "refused.",
        ),
        (
            "A key is there twice in one object, of which most programs keep the last.",
            "The object is dropped (K124).",
        ),
        (
            "Numbers lose digits, and ids their zeros, where a program reads them as numbers.",
            "Both are kept as they are written.",
        ),
        (
            "A value is a list or an object where a text should be.",
            "The row is dropped and the key named (K124).",
        ),
    ),
)

_MAX_BYTES = 256 << 20
_MAX_CHARS = 100_000
_KINDS: Mapping[type, str] = {dict: "an object", list: "an array"}

Item = tuple[str, dict[str, Any] | str]
"""Where it stands, and an object or why there is none."""


def read(source: Source) -> Iterator[Annotation]:
    """Yield one annotation per object, file by file.

    `source.columns` maps fields to keys as it maps them to the columns of a table. A value that
    is an object or an array, or a line that is not an object, makes the row a `problem`.

    Raises:
        MissingFile: A file is not there.
        AnnotationError: A file is neither lines of JSON objects nor an array of them, or no
            object of it has a key that is needed.
        RecipeError: `source.columns` maps a field that does not exist.
    """
    choose(source, adapter="jsonl", known={})
    for field in source.columns:
        if field not in FIELDS:
            raise RecipeError(
                f"the recipe's columns map an unknown field {field!r}; "
                f"a row has {', '.join(FIELDS)}."
            )
    for path in source.files:
        yield from _read_file(path, source)


def _read_file(path: Path, source: Source) -> Iterator[Annotation]:
    names = {field: clean(source.columns.get(field, field)) or "" for field in FIELDS}
    items = list(read_items(path))
    keys = list(dict.fromkeys(key for _, item in items if isinstance(item, dict) for key in item))
    if names["recording"] not in keys and known_as(keys):
        raise wrong_file(
            path, adapter="jsonl", found=keys, expected=f"the key {names['recording']!r} and others"
        )
    fields = field_of(path, keys, names, source)
    for where, item in items:
        row: dict[str, str | None] = {}
        problem = item if isinstance(item, str) else None
        for field in fields if isinstance(item, dict) else ():
            value = item.get(names[field])  # type: ignore[union-attr]
            if isinstance(value, (dict, list)):
                problem = f"key {names[field]!r}: {_KINDS[type(value)]}; expected text or a number"
            row[field] = scalar(value)
        if problem is not None:
            yield Annotation(
                source=where, recording=row.get("recording") or "", start=None, end=None,
                unit=source.unit, problem=("K124", problem),
            )  # fmt: skip
        else:
            yield annotation(row, names, source, where)


def scalar(value: object) -> str | None:
    """A value of `read_json` as text, NFC; None where it is null, empty, or no single value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return clean(value) if isinstance(value, str) else None


# --------------------------------------------------------------------------- reading JSON


def read_json(path: Path) -> Any:
    """A JSON document in which numbers are text, as they are written.

    UTF-8, or UTF-16 with a byte order mark.

    Raises:
        MissingFile: The file is not there.
        AnnotationError: It is not JSON, is too large, has a key twice in one object, or has text
            that no table can hold.
    """
    text = _whole(path)
    if not text.strip():
        raise AnnotationError(
            f"{path} is empty; expected a JSON document.",
            hint="Fetch it again, or export it again.",
        )
    try:
        return _parse(text)
    except (ValueError, RecursionError) as error:
        if isinstance(error, AnnotationError):
            raise
        table = text.lstrip()[:1] not in ("{", "[")
        shown = f"; it begins with {text.strip().splitlines()[0][:40]!r}" if table else ""
        raise AnnotationError(
            f"{path} is not JSON: {reason(error)}{shown}.",
            hint="It may be a table, which another adapter reads."
            if table
            else "Fetch it again, or export it again.",
        ) from error


def read_items(path: Path) -> Iterator[Item]:
    """Yield the objects of a file of JSON lines or of a JSON array.

    The place is ``name:line``; in an array, ``name:number`` of the object, from 1.

    Raises:
        MissingFile: The file is not there.
        AnnotationError: It is neither, or its first line is not an object.
    """
    lines = (line for line in enumerate(read_lines(path), start=1) if line[1].strip())
    first = next(lines, None)
    if first is None:
        raise AnnotationError(
            f"{path} is empty; expected one JSON object per line, or an array of them.",
            hint="Export it again, or take it out of the recipe.",
        )
    if first[1].lstrip().startswith("["):
        document: Sequence[Any] = read_json(path)
        for number, value in enumerate(document, start=1):
            named = _named(value)
            yield f"{path.name}:{number}", named
        return
    for number, text in chain([first], lines):
        item: dict[str, Any] | str
        try:
            item = _named(_parse(text))
        except (ValueError, RecursionError) as error:
            item = f"the line is not JSON: {reason(error, number=number)}"
        if number == first[0] and isinstance(item, str):
            raise AnnotationError(
                f"{path}, line {number}: {item}; expected one JSON object per line, or an array.",
                hint="Write each object on a line of its own.",
            )
        yield f"{path.name}:{number}", item


def _named(value: object) -> dict[str, Any] | str:
    if isinstance(value, dict):
        return value
    return f"{_KINDS.get(type(value), 'a single value')} instead of an object"


def _whole(path: Path) -> str:
    parts, size = [], 0
    for line in read_lines(path):
        parts.append(line)
        size += len(line)
        if size > _MAX_BYTES:
            raise AnnotationError(
                f"{path} has more than {_MAX_BYTES >> 20} Mi characters; as one JSON document "
                "that is too large.",
                hint="Write it as JSON lines: one object per line.",
            )
    return "".join(parts)


def _parse(text: str) -> Any:
    return json.loads(
        text, parse_int=str, parse_float=str, parse_constant=str, object_pairs_hook=_object
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        name = unicodedata.normalize("NFC", key)
        if name in found:
            raise ValueError(f"the key {name!r:.60} occurs twice in one object")
        for text in (name, value):
            if not isinstance(text, str):
                continue
            if len(text) > _MAX_CHARS:
                raise ValueError(f"a value has more than {_MAX_CHARS} characters")
            if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
                raise ValueError(f"the key {name!r:.60} has a character that is not text")
        found[name] = value
    return found


def reason(error: ValueError | RecursionError, *, number: int = 1) -> str:
    """What is wrong, and where, in a text that begins on line `number` of its file."""
    if isinstance(error, RecursionError):
        return "objects are nested too deeply"
    if isinstance(error, json.JSONDecodeError):
        msg = error.msg.removesuffix(" at")
        what = next((said for start, said in _WORDS.items() if msg.startswith(start)), msg)
        if error.pos >= len(error.doc.rstrip()):
            what = f"the text breaks off; {what}"
        return f"{what} at line {number + error.lineno - 1}, column {error.colno}"
    return str(error)


_WORDS = {
    "Expecting value": 'expected a value: "text", a number, true, false, null, an array, an object',
    "Expecting ',' delimiter": "expected a comma or a closing bracket",
    "Expecting ':' delimiter": "expected a colon after the key",
    "Expecting property name": "expected a key in double quotes",
    "Illegal trailing comma": "expected no comma before a closing bracket",
    "Unterminated string": "expected a closing quote for the text that begins",
    "Invalid control character": "expected no line break or control character inside a text",
    "Invalid \\": "expected an escape that JSON knows after the backslash",
    "Extra data": "expected nothing after the closing bracket",
}
"""Beginnings of the parser's messages, in our words."""
