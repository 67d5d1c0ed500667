"""All checks of an audit, and those of boundaries and of published counts.

Every check looks at columns, or at distinct labels and keys; none takes more than n log n.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from kslds.audit import lists
from kslds.audit.compare import combined
from kslds.audit.findings import Collected, Facts, Finding, number, some
from kslds.audit.names import keys, labels
from kslds.audit.records import Table
from kslds.audit.signers import balance, counts, missing, recordings, sides, spellings
from kslds.validate import Rules

USUAL_FPS = 30
"""Frames a second where frames are counted and no file says how fast."""


def check(table: Table, *, examples: int) -> tuple[Facts, list[Finding]]:
    """Look for everything.

    Args:
        table: The rows.
        examples: Most places that a finding names.
    """
    found = Collected(table, examples=examples)
    rows = spellings(found, combined(found))
    counts(found, rows)
    missing(found, rows)
    sides(found, rows)
    recordings(found, rows)
    balance(found, rows)
    labels(found, rows)
    keys(found, rows)
    lists.check(found, rows)
    boundaries(found)
    stated(found)
    return found.facts, found.ordered()


# --------------------------------------------------------------------------- boundaries


def boundaries(found: Collected) -> None:
    """Boundaries that cannot be."""
    frame = found.table.frame
    facts = found.facts
    start, end, length = frame["start"], frame["end"], frame["length"]
    bounded = start.notna() & end.notna()
    most = found.examples

    def mask(condition: Any) -> Any:
        return condition.fillna(False).to_numpy(dtype=bool)

    def report(code: str, wrong: Any, what: str, fine: str, told: Callable[[Any], str]) -> None:
        count = int(wrong.sum())
        found.expect(count > 0, fine)
        if count:
            found.add(code, count, f"{number(count, 'row')}: {what}.",
                      at=some(frame, wrong, told, most=most))  # fmt: skip

    def span(r: Any) -> str:
        return f"[{r.start}, {r.end}) {'' if pd.isna(r.unit) else r.unit}".rstrip()

    if mask(start.notna()).any():
        report(
            "K114",
            mask(start < 0) | mask(end < 0),
            "a boundary before the recording begins",
            "No boundary is negative.",
            span,
        )
        report(
            "K112",
            mask(end < start),
            "the end is before the start",
            "No segment is reversed.",
            span,
        )
        report("K113", mask(end == start), "start and end are the same",
               "No segment is empty.", span)  # fmt: skip
    else:
        facts.skipped.append("Boundaries: no file states any.")
    for position, file in enumerate(found.table.files):
        mine = (frame["file"] == position).to_numpy()
        both = mine & mask(bounded) & mask(length.notna())
        if not both.any():
            continue
        exact = both & mask(end - start == length)
        if 2 * exact.sum() > both.sum():  # the length is that of the segment
            report(
                "K127",
                both & ~exact,
                f"{file.name}: end - start is not the stated length",
                f"{file.name}: end - start is the stated length in every row.",
                lambda r: f"{span(r)} is {r.end - r.start}, the length {r.length}",
            )
        else:
            report("K114", both & mask(end > length), f"{file.name}: the end lies beyond the "
                   "stated length", f"{file.name}: no boundary lies beyond the stated length.",
                   lambda r: f"{span(r)}, the length is {r.length}")  # fmt: skip
    _durations(found, report)


def _durations(found: Collected, report: Callable[..., None]) -> None:
    """Segments too short or too long for a sign."""
    frame, rules = found.table.frame, Rules()
    unit = frame["unit"].astype(object)
    # Without boundaries, a length is that of the clip.
    clip = frame["length"].where(frame["start"].isna())
    span = (frame["end"] - frame["start"]).fillna(clip)
    amount = span.astype("Float64").to_numpy(dtype=float, na_value=np.nan)
    rate = np.nan_to_num(frame["fps"].to_numpy(dtype=float), nan=USUAL_FPS)
    rate[rate <= 0] = USUAL_FPS
    ms = np.where(unit == "frame", 1000 * amount / rate, amount)
    ms[unit.isna().to_numpy()] = np.nan
    told = np.isfinite(ms)
    if not told.any():
        found.facts.skipped.append(
            "Length of segments: no file states it in a unit that is known (see --unit)."
        )
        return
    assumed = bool(((unit == "frame").to_numpy() & told & frame["fps"].isna().to_numpy()).any())
    at = f" (counted at {USUAL_FPS} frames a second, which no file states)" if assumed else ""
    text = {
        int(i): f"{ms[i]:,.0f} ms"
        for i in np.flatnonzero((ms < rules.min_ms) | (ms > rules.max_ms))
    }

    def length_of(r: Any) -> str:
        return text[r.Index]

    report(
        "K312",
        told & (ms > 0) & (ms < rules.min_ms),
        f"shorter than {rules.min_ms} ms{at}",
        f"No segment is shorter than {rules.min_ms} ms{at}.",
        length_of,
    )
    report("K313", told & (ms > rules.max_ms), f"longer than {rules.max_ms:,} ms{at}",
           f"No segment is longer than {rules.max_ms:,} ms{at}.", length_of)  # fmt: skip


# --------------------------------------------------------------------------- published counts


@dataclass(frozen=True, kw_only=True)
class _Stated:
    """What a collection says of itself."""

    where: str
    file: str = ""
    """Regular expression on the file name that this is said of."""
    rows: int | None = None
    classes: int | None = None
    signers: int | None = None
    sides: Mapping[str, int] = field(default_factory=dict)
    by_signer: bool = False
    """Does it say that its sides are disjoint by signer?"""


_PUBLISHED: Mapping[str, Sequence[_Stated]] = {
    "slovo": [
        _Stated(where="the README of hukenovs/slovo", rows=20_400, signers=194,
                sides={"train": 15_300, "test": 5_100}, by_signer=True),
    ],
    "autsl": [
        _Stated(where="the label files of the ChaLearn challenge", classes=226, signers=43,
                sides={"train": 28_142, "validation": 4_418, "test": 3_742}, by_signer=True),
    ],
    "wlasl": [_Stated(where="WLASL_v0.3.json as published", rows=21_083, classes=2_000)],
    "wlasl (nslt)": [
        _Stated(where=f"nslt_{n}.json as published", file=rf"nslt_{n}\b", rows=rows, classes=n)
        for n, rows in ((100, 2_038), (300, 5_117), (1000, 13_168), (2000, 21_095))
    ],
    "ms-asl": [
        _Stated(where="MS-ASL as published", by_signer=True,
                sides={"train": 16_054, "val": 5_287, "test": 4_172}),
    ],
}  # fmt: skip


def stated(found: Collected) -> None:
    """What the collection says of itself, beside what its files hold."""
    files = found.table.files
    for kind in dict.fromkeys(file.format for file in files):
        for said in _PUBLISHED.get(kind, ()):
            here = [
                i
                for i, file in enumerate(files)
                if file.format == kind and re.search(said.file, file.name)
            ]
            if here:
                _beside(found, said, _once(found.table.frame, files=here))


def _once(frame: pd.DataFrame, *, files: Sequence[int]) -> pd.DataFrame:
    """The rows of some files; of a key that several have, those of the first one."""
    rows = frame[frame["file"].isin(files)]
    first = rows.groupby("id")["file"].transform("min")
    return rows[rows["id"].isna() | (rows["file"] == first)]


def _beside(found: Collected, said: _Stated, rows: pd.DataFrame) -> None:
    """What is stated of some of the files, and what these hold."""
    facts = found.facts
    sides = rows["split"].value_counts()
    pairs = [
        (what, told, has)
        for what, told, has in (
            ("rows", said.rows, len(rows)),
            ("classes", said.classes, rows["class"].nunique()),
            ("signers", said.signers, rows["signer"].nunique()),
            *((f"rows in {side}", told, int(sides[side]))
              for side, told in said.sides.items() if side in sides),
        )
        if told is not None
    ]  # fmt: skip
    wrong = [f"{what}: {has:,}, stated {told:,}" for what, told, has in pairs if told != has]
    if said.by_signer and facts.verdict == "no":
        wrong.append("stated to be split by signer, which it is not")
    if wrong:
        found.add(
            "K406", len(wrong), f"{said.where}: {'; '.join(wrong)}.", unit="numbers",
            why="What is published of the collection is not what these files hold: an "
            "excerpt, another version, or a claim that does not hold.",
            action="Name the version of the files, and report the numbers that were counted.",
        )  # fmt: skip
    elif pairs:
        listed = ", ".join(f"{has:,} {what}" for what, _, has in pairs)
        facts.fine.append(f"As {said.where} states: {listed}.")
