"""Folders of clips: ``<class>/<file>`` or ``<split>/<class>/<file>``, as many tools write them.

A file ``metadata.csv`` or ``metadata.jsonl`` beside the clips may say more of each, by its
``file_name``; `kslds export` writes such folders too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from kslds.corpora import END, About, Annotation, Source, choose, wrong_file
from kslds.corpora.jsonl import read_items, scalar
from kslds.corpora.table import FIELDS, clean, read_cells, read_rows
from kslds.corpora.table import annotation as table_row
from kslds.errors import RecipeError

_OPTIONS = {"layout": ("auto", "class", "split")}
_SPLITS = frozenset({"train", "test", "val", "valid", "validation", "dev"})
ABOUT = About(
    title="VideoFolder",
    what="folders of clips: <class>/<file> or <split>/<class>/<file>, as many tools and the "
    "Hugging Face Hub have them, with or without metadata",
    size="Any number of files.",
    licence="That of your files.",
    citation="None; cite the collection.",
    access="Name the folder as media; nothing else is needed. A metadata.csv or metadata.jsonl "
    "with the column file_name says more, in the fields of a table; see "
    "[Folders of clips](recipes.md#folders-of-clips).",
    defects=(
        (
            "The first folder is a side (train, val, test …) or a class.",
            'Known names of sides are sides; the options layout = "class" and "split" say it.',
        ),
        (
            "Metadata name a file that is not there.",
            "The row is dropped (K103); every such row is listed.",
        ),
        (
            "A file is in no folder of a class, and no metadata name its label.",
            "It is dropped (K118).",
        ),
        (
            "Metadata have rows for some of the files only.",
            "The other files are what their folders say.",
        ),
    ),
)

_OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    "recording": ("file_name",),
    "gloss": ("gloss", "label"),
    "signer": ("signer", "signer_id"),
}
"""Columns that a field is read from where the recipe does not map it; the first that is there."""

_Row = tuple[str, Mapping[str, str | None]]


def read(source: Source) -> Iterator[Annotation]:
    """Yield one annotation per media file, and one per row that describes one; by file name.

    A file lies in the folder of its class, which may lie in that of its side. What a row of
    metadata says comes before what folders say. Start and end are those of the file unless
    metadata has the columns ``start`` and ``end`` or the recipe maps them.

    Option: ``layout`` is ``class``, ``split`` or ``auto``, which takes the first folder for a
    side where it is called train, test, val, valid, validation or dev.

    Raises:
        MissingFile: A file of metadata is not there.
        AnnotationError: A file of metadata has no ``file_name``, or is no table or JSON lines.
        RecipeError: An option is unknown, or `source.columns` maps a field that does not exist.
    """
    options = choose(source, adapter="videofolder", known=_OPTIONS)
    for field in source.columns:
        if field not in FIELDS:
            raise RecipeError(
                f"the recipe's columns map an unknown field {field!r}; "
                f"metadata has {', '.join(FIELDS)}."
            )
    media = frozenset(source.media)
    rows: dict[str, list[_Row]] = {}
    bad: list[Annotation] = []
    for path in source.files:
        for where, row in _metadata(path, source):
            if isinstance(row, str):
                bad.append(_unread(where, ("K124", row)))
            elif not row["recording"]:
                bad.append(_unread(where, ("K103", "file_name is empty")))
            else:
                rows.setdefault(_located(path, row["recording"], media), []).append((where, row))
    for name in sorted({*media, *rows}):
        side, label = _folders(name, layout=options["layout"])
        for where, row in rows.get(name, [(f"{name}:1", {})]):
            yield _annotation(name, where, row, side=side, label=label, source=source)
    yield from bad


def _unread(where: str, problem: tuple[str, str]) -> Annotation:
    return Annotation(
        source=where, recording="", start=None, end=None, unit="ms", problem=problem
    )  # fmt: skip


def _folders(name: str, *, layout: str) -> tuple[str | None, str | None]:
    """Side and class of a file, by the folders it lies in."""
    folders = list(PurePosixPath(name).parts[:-1])
    side = None
    if folders and (layout == "split" or (layout == "auto" and folders[0] in _SPLITS)):
        side = folders.pop(0)
    return side, folders[0] if folders else None


def _located(path: Path, file_name: str, media: frozenset[str]) -> str:
    """The media file that metadata means: `file_name` is relative to the metadata's folder."""
    parts = path.parts[:-1]
    for start in range(len(parts) + 1):
        name = "/".join([*parts[start:], file_name.removeprefix("./")])
        if name in media:
            return name
    return file_name


def _metadata(path: Path, source: Source) -> Iterator[tuple[str, Mapping[str, str | None] | str]]:
    """The rows of a file of metadata by field, or why one cannot be used."""
    items: list[tuple[str, Mapping[str, object] | str]]
    if path.suffix.lower() in (".jsonl", ".ndjson", ".json"):
        items = list(read_items(path))
    else:
        key = source.columns.get("recording") or "file_name"
        line, header = next(read_cells(path, names=(key,)))
        if key not in map(clean, header):
            raise wrong_file(
                path,
                adapter="videofolder",
                found=filter(None, map(clean, header)),
                expected=f"a column {key!r}",
                line=line,
            )
        items = [(f"{path.name}:{line}", row) for line, row in read_rows(path)]
        if not items:  # a header alone has nothing to say of any file
            return
    keys = dict.fromkeys(key for _, item in items if isinstance(item, dict) for key in item)
    names: dict[str, str] = {}
    for field in FIELDS:
        mapped = source.columns.get(field)
        wanted = (mapped,) if mapped else _OTHER_NAMES.get(field, (field,))
        found = [name for name in wanted if name in keys]
        if found:
            names[field] = found[0]
        elif field == "recording" or mapped:
            raise wrong_file(
                path, adapter="videofolder", found=keys, expected=f"a column {wanted[0]!r}"
            )
    for where, item in items:
        if isinstance(item, str):
            yield where, item
            continue
        nested = [name for name in names.values() if isinstance(item.get(name), (dict, list))]
        if nested:
            yield where, f"key {nested[0]!r}: expected text or a number"
        else:
            yield where, {field: scalar(item.get(name)) for field, name in names.items()}


def _annotation(
    name: str,
    where: str,
    row: Mapping[str, str | None],
    *,
    side: str | None,
    label: str | None,
    source: Source,
) -> Annotation:
    if row.get("gloss") is None and row.get("sentence") is not None:
        label = None  # a sentence; the folder is where it lies, not what it is
    names = {field: field for field in FIELDS}
    row = {
        **row,
        "recording": name,
        "start": row.get("start") or "0",
        "end": row.get("end") or END,
        "gloss": row.get("gloss") or label,
    }
    annotation = table_row(row, names, source, where)
    if annotation.problem is None and not (annotation.label or annotation.sentence):
        reason = "the file lies in no folder of a class, and no metadata names its label"
        annotation = replace(annotation, problem=("K118", reason))
    return replace(annotation, split=side)
