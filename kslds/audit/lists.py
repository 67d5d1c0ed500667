"""Files that hold no rows: lists of classes, of synonyms, and of videos that are gone.

They lie beside the rows of a collection, so a folder has them among the rest. Rows are held
against them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import pandas as pd

from kslds.audit.findings import Collected, Example, number
from kslds.audit.records import Listing
from kslds.corpora import MARKS
from kslds.corpora.table import listed

KINDS: Mapping[str, str] = {
    "classes": "list of classes",
    "synonyms": "list of synonyms",
    "missing": "list of absent videos",
}
"""What a file is called that holds a list."""

_NUMBER = re.compile(r"[0-9]{1,5}")
_KEY = re.compile(r"[\w-]{1,64}")


def of_cells(
    name: str, first: tuple[int, Sequence[str]], rest: Iterable[tuple[int, Sequence[str]]]
) -> Listing | None:
    """The list that a table is, judging by its first line; None where it holds rows.

    A list of classes has AUTSL's header, or lines of a number and a name (``0<TAB>book``,
    ``01|Opaque|R|``); one of absent videos has ``missing`` in its name and a key on each line.
    """
    line, cells = first[0], [cell.strip() for cell in first[1]]
    if set(cells) >= MARKS["autsl"]:
        at, columns = cells.index("ClassId"), ("TR", "EN")
        named = [cells.index(column) for column in columns]
        return _classes(_entries(rest, key=at, names=named), columns=columns)
    lines = [(line, cells), *rest] if len(cells) == 1 or _NUMBER.fullmatch(cells[0]) else []
    if len(cells) == 1 and "missing" in name.rpartition("/")[2].casefold():
        keys = [(n, c[0].strip()) for n, c in lines if len(c) == 1]
        if len(keys) == len(lines) and all(_KEY.fullmatch(key) for _, key in keys):
            return Listing(
                kind="missing", entries={key: () for _, key in keys},
                places={key: n for n, key in reversed(keys)}, rows=len(keys),
            )  # fmt: skip
    numbered = all(
        len(c) > 1 and _NUMBER.fullmatch(c[0].strip()) and re.search(r"[^\W\d_]", c[1])
        for _, c in lines
    )
    if lines and numbered and len(cells) > 1:
        return _classes(_entries(lines, key=0, names=[1]), columns=("name",))
    return None


def of_document(document: object) -> Listing | None:
    """The list that a JSON document is: MS-ASL's names of classes, or its groups of synonyms."""
    if not isinstance(document, list) or not document:
        return None
    if all(isinstance(entry, str) and not _NUMBER.fullmatch(entry) for entry in document):
        entries = ((i + 1, str(i), [name]) for i, name in enumerate(document))
        return _classes(entries, columns=("name",))
    if all(isinstance(e, list) and all(isinstance(x, str) for x in e) for e in document):
        groups = {str(i): tuple(e) for i, e in enumerate(document)}
        return Listing(kind="synonyms", entries=groups, rows=len(groups))
    return None


_Entry = tuple[int, str, list[str]]
"""Line, key of a class, and its names."""


def _entries(
    lines: Iterable[tuple[int, Sequence[str]]], *, key: int, names: Sequence[int]
) -> Iterator[_Entry]:
    for line, cells in lines:
        told = [cell.strip() for cell in cells]
        yield (
            line,
            told[key] if key < len(told) else "",
            [told[i] if i < len(told) else "" for i in names],
        )


def _classes(found: Iterable[_Entry], *, columns: Sequence[str]) -> Listing:
    entries: dict[str, tuple[str, ...]] = {}
    places: dict[str, int] = {}
    twice: list[tuple[int, str]] = []
    rows = 0
    for line, key, names in found:
        rows += 1
        if key in entries:
            twice.append((line, key))
        else:
            entries[key], places[key] = tuple(names), line
    return Listing(kind="classes", entries=entries, places=places, columns=tuple(columns),
                   twice=tuple(twice), rows=rows)  # fmt: skip


# --------------------------------------------------------------------------- checks


def check(found: Collected, rows: pd.DataFrame) -> None:
    """Rows against the lists that lie beside them."""
    for position, listing in found.table.listings.items():
        name = found.table.files[position].name
        if listing.kind == "classes":
            _itself(found, listing, name=name)
            _used(found, listing, rows, name=name)
        elif listing.kind == "missing":
            _gone(found, listing, rows, name=name)


def _itself(found: Collected, listing: Listing, *, name: str) -> None:
    """Classes that a list has twice, and names that it gives to several."""
    if listing.twice:
        found.add(
            "K608", len(listing.twice), f"{name} lists {number(len(listing.twice), 'class')} "
            "more than once.", unit="classes",
            examples=[Example(where=f"{name}:{line}", text=key) for line, key in listing.twice],
        )  # fmt: skip
    for i, column in enumerate(listing.columns):
        classes: dict[str, list[str]] = defaultdict(list)
        for key, names in listing.entries.items():
            classes[names[i]].append(key)
        shared = {word: keys for word, keys in classes.items() if len(keys) > 1}
        found.expect(bool(shared), f"{name}: every {column} is that of one class.")
        if shared:
            found.add(
                "K127", len(shared),
                f"{name}: {number(len(shared), 'name')} in {column!r} "
                f"{'is' if len(shared) == 1 else 'are'} of several classes.",
                unit="names", title="one name for several classes",
                why="Who takes the name for the class makes one class of two.",
                action="Tell classes by their number, or give each a name of its own.",
                examples=[
                    Example(where=f"{name}:{listing.places[keys[1]]}",
                            text=f"{word!r} is {', '.join(keys)}")
                    for word, keys in shared.items()
                ],
            )  # fmt: skip


def _used(found: Collected, listing: Listing, rows: pd.DataFrame, *, name: str) -> None:
    """Classes of rows that a list lacks, and of a list that no row has."""
    known = set(listing.entries) | {word for names in listing.entries.values() for word in names}
    known |= {key.lstrip("0") or "0" for key in listing.entries}
    told = rows[rows["class"].notna()]
    unknown = told[~told["class"].isin(known)]
    if unknown["class"].nunique() == told["class"].nunique():
        found.facts.skipped.append(f"{name} names none of the classes of these rows.")
        return
    found.expect(not unknown.empty, f"{name} has every class of the rows.")
    if not unknown.empty:
        first = unknown.drop_duplicates("class").head(found.examples)
        found.add(
            "K127", unknown["class"].nunique(),
            f"{number(unknown['class'].nunique(), 'class')} of "
            f"{number(len(unknown), 'row')} {'is' if len(unknown) == 1 else 'are'} not in {name}.",
            unit="classes", title=f"classes that {name} lacks",
            at=[(int(i), str(c)) for i, c in zip(first.index, first["class"], strict=True)],
            action="Publish the whole list, or correct the rows.",
        )  # fmt: skip
    held = set(told["class"])
    idle = [
        key
        for key, names in listing.entries.items()
        if held.isdisjoint({key, key.lstrip("0") or "0", *names})
    ]
    if idle:
        found.facts.skipped.append(
            f"{name} has {number(len(idle), 'class')} without a row: {listed(idle)}."
        )


def _gone(found: Collected, listing: Listing, rows: pd.DataFrame, *, name: str) -> None:
    """Rows whose videos are listed as absent."""
    # The ids of WLASL have five digits, of which a tool may have cut the zeros in front.
    gone = {key.zfill(5) if key.isdigit() else key for key in listing.entries}
    here = rows[rows["id"].notna()]
    hit = here[here["id"].map(lambda key: key.zfill(5) if key.isdigit() else key).isin(gone)]
    if hit.empty:
        found.facts.skipped.append(f"{name} lists none of the keys of these rows.")
        return
    sides = hit["split"].value_counts()
    each = ", ".join(f"{sides[side.name]:,} {side.name}" for side in found.facts.sides
                     if side.name in sides)  # fmt: skip
    found.add(
        "K103", len(hit),
        f"{name} lists the videos of {len(hit):,} of {number(len(rows), 'row')} as absent"
        f"{f' ({each})' if each else ''}.",
        at=[(int(i), str(key)) for i, key in
            zip(hit.index[: found.examples], hit["id"], strict=False)],
        title="videos listed as absent",
        why="Who trains on what is left has another set than who published results on all.",
        action="Report on how many clips of each side a result was measured.",
    )  # fmt: skip
