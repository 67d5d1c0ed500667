"""Several files of one collection: which rows repeat others, and where they disagree."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from kslds.audit.findings import MAX_SIDES, Collected, clean, number
from kslds.audit.records import Table


def combined(found: Collected) -> pd.DataFrame:
    """Rows to be counted: those that repeat a key of an earlier file are compared with it."""
    table = found.table
    frame = table.frame
    names = {label: clean(label) for label in frame["label"].dropna().unique()}
    frame["class"] = frame["label"].map(names).astype(object)
    _set_texts_apart(found)
    frame["begin"] = frame["start"]
    keep = np.ones(len(frame), dtype=bool)
    named = frame["id"].notna()
    for later in range(1, len(table.files)):
        mine = frame[named & (frame["file"] == later)]
        before = frame[named & (frame["file"] < later) & keep].drop_duplicates("id")
        place = pd.Index(before["id"]).get_indexer(pd.Index(mine["id"]))
        both = place >= 0
        left, right = before.iloc[place[both]], mine[both]
        if _two_sides(table, later, left, right):
            continue
        keep[right.index] = False
        if len(right):
            _compare(found, left, right)
            _only_in_one(found, before, mine, both)
            _name_as_before(frame, left, right, mine)
        for column in ("class", "signer", "split", "fps", "begin"):
            told = right[column]
            lacks = frame.loc[left.index, column].isna().to_numpy() & told.notna().to_numpy()
            if lacks.any():
                frame.loc[left.index[lacks], column] = told.array[lacks]
    found.facts.repeated = int((~keep).sum())
    rows = frame[keep]
    sides = rows["split"].dropna().unique()
    if len(sides) > MAX_SIDES:
        found.facts.skipped.append(
            f"Sides: the column of the split has {len(sides):,} values, too many for sides."
        )
        rows = rows.assign(split=None)
    return rows


_TEXTS = frozenset({"translation", "sentence"})
"""Columns of texts; beside a file with glosses they are not its labels written otherwise."""


def _set_texts_apart(found: Collected) -> None:
    """Where one file names the sign and another gives its meaning, only the first has classes."""
    table = found.table
    columns = [file.columns.get("label", "").casefold() for file in table.files]
    texts = [i for i, column in enumerate(columns) if column in _TEXTS]
    if len(texts) == sum(map(bool, columns)):
        return
    for i in texts:
        table.frame.loc[(table.frame["file"] == i).to_numpy(), "class"] = None
        found.facts.skipped.append(
            f"{table.files[i].name}: its {columns[i]} is text and no class; only keys and "
            "characters were checked."
        )


def _name_as_before(
    frame: pd.DataFrame, left: pd.DataFrame, right: pd.DataFrame, mine: Any
) -> None:
    """Where a file numbers the classes that an earlier one names, give its rows the names."""
    told = pd.DataFrame({"there": left["class"].to_numpy(), "here": right["class"].to_numpy()})
    told = told.dropna().drop_duplicates()
    if (told["there"] != told["here"]).all() and _one_to_one(told["here"], told["there"]):
        names = dict(zip(told["here"], told["there"], strict=True))
        frame.loc[mine.index, "class"] = mine["class"].map(lambda name: names.get(name, name))


def _only_in_one(found: Collected, before: pd.DataFrame, mine: pd.DataFrame, both: Any) -> None:
    """Keys that one of two versions lacks."""
    if 2 * both.sum() < min(len(before), len(mine)):
        return  # parts of a whole rather than versions of it
    table = found.table
    name, earlier = (table.files[int(side["file"].min())].name for side in (mine, before))
    formats = {file.name: file.format for file in table.files}
    alike = before["id"].isin(mine["id"])
    for rows, common, there, lacks in (
        (before[~alike], before[alike], earlier, name), (mine[~both], mine[both], name, earlier),
    ):  # fmt: skip
        if formats[lacks] == "wlasl (nslt)":  # it is a subset, and need not have other classes
            whole = rows["file"].map(lambda i: table.files[i].format) != "wlasl (nslt)"
            rows = rows[rows["class"].isin(common["class"]) & whole]
        if len(rows):
            found.add(
                "K127", len(rows), f"{number(len(rows), 'key')} of {there} "
                f"{'is' if len(rows) == 1 else 'are'} not in {lacks}.",
                at=[(int(i), str(key)) for i, key in
                    zip(rows.index[: found.examples], rows["id"], strict=False)],
                title=f"rows that {lacks} lacks",
                action="Publish which file is whole, or why it differs.",
            )  # fmt: skip


def _two_sides(table: Table, later: int, left: pd.DataFrame, right: pd.DataFrame) -> bool:
    """Are these files the sides of one split, so that a key in both is no repetition?"""
    if not len(right) or "name" not in table.files[later].columns.get("split", ""):
        return False
    return bool((left["split"].to_numpy() != right["split"].to_numpy()).any())


def _compare(found: Collected, left: pd.DataFrame, right: pd.DataFrame) -> None:
    """Rows with the same key in two files."""
    table = found.table
    names = " and ".join(
        dict.fromkeys(table.files[int(side["file"].min())].name for side in (left, right))
    )

    def report(what: str, differs: Any, told: Callable[[Any, Any], str]) -> None:
        wrong = np.flatnonzero(differs)
        if not len(wrong):
            found.facts.fine.append(f"{names}: {what} is the same in all {len(right):,} rows.")
            return
        at = [
            (
                right.index[i],
                f"{told(left.iloc[i], right.iloc[i])} ({table.place(left.index[i])})",
            )
            for i in wrong[: found.examples]
        ]
        found.add(
            "K127", len(wrong),
            f"{names} have {number(len(right), 'key')} in common; {what} differs in "
            f"{len(wrong):,} of them.",
            at=at, title=f"{what} differs between files",
            action="Publish which file holds and correct the other; until then say which one was "
            "used.",
        )  # fmt: skip

    def values(column: str) -> tuple[Any, Any, Any]:
        a, b = left[column].to_numpy(), right[column].to_numpy()
        return a, b, ~(pd.isna(a) | pd.isna(b))

    a, b, both = values("class")
    differs = both & (a != b)
    if both.any() and (differs == both).all() and _one_to_one(a[both], b[both]):
        found.facts.fine.append(f"{names} name the same classes in two ways, one to one.")
    elif both.any():
        report("the label", differs, partial(_here_and_there, "class"))
    for column, what in (("signer", "the signer"), ("split", "the side")):
        a, b, both = values(column)
        if both.any():
            report(what, both & (a != b), partial(_here_and_there, column))
    for one, other in ((left, right), (right, left)):
        _lengths_between(one, other, report)
    _sizes(found, left, right, names)


def _here_and_there(column: str, there: Any, here: Any) -> str:
    return f"{here[column]!r} here, {there[column]!r} there"


def _one_to_one(a: Any, b: Any) -> bool:
    pairs = len(pd.DataFrame({"a": a, "b": b}).drop_duplicates())
    return bool(pairs == len(set(a)) == len(set(b)))


def _lengths_between(one: pd.DataFrame, other: pd.DataFrame, report: Callable[..., None]) -> None:
    """Boundaries in one file, the length of the clip in the other."""
    bounded = (one["start"].notna() & one["end"].notna()).to_numpy()
    free = other["start"].isna().to_numpy() & other["length"].notna().to_numpy()
    unit = one["unit"].astype(object).to_numpy() == other["unit"].astype(object).to_numpy()
    both = bounded & free & unit
    if not both.any():
        return
    span = (one["end"] - one["start"]).fillna(0).to_numpy(dtype=np.int64)
    length = other["length"].fillna(0).to_numpy(dtype=np.int64)

    def told(x: Any, y: Any) -> str:
        bounds, clip = (x, y) if pd.notna(x["start"]) else (y, x)
        return f"end - begin is {bounds['end'] - bounds['start']}, the length {clip['length']}"

    report("end - begin, compared with the length of the clip,", both & (span != length), told)


def _sizes(found: Collected, left: pd.DataFrame, right: pd.DataFrame, names: str) -> None:
    """Picture sizes: another scale is a note, another shape a contradiction."""
    sizes = [
        side[["width", "height"]].fillna(0).to_numpy(dtype=np.int64).T for side in (left, right)
    ]
    (w1, h1), (w2, h2) = sizes
    both = (w1 > 0) & (h1 > 0) & (w2 > 0) & (h2 > 0)
    differs = both & ((w1 != w2) | (h1 != h2))
    # A scaled size is rounded to whole (often even) pixels.
    shape = differs & (np.abs(w1 * h2 - w2 * h1) > 2 * np.maximum(np.maximum(w1, w2), h1 + h2))
    if scaled := int((differs & ~shape).sum()):
        found.facts.skipped.append(
            f"{names}: {number(scaled, 'row')} state the picture at another scale of the same "
            "shape; one of the files describes smaller copies."
        )
    if shape.any():
        found.add(
            "K127", int(shape.sum()),
            f"{names} give another shape of the picture in {number(int(shape.sum()), 'row')}.",
            at=[(right.index[i], f"{w2[i]} x {h2[i]} here, {w1[i]} x {h1[i]} there")
                for i in np.flatnonzero(shape)[: found.examples]],
            title="the picture differs between files",
        )  # fmt: skip
