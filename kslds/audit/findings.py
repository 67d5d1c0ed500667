"""What an audit finds: the records, and how they are collected."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from kslds.audit.records import Table
from kslds.codes import CODES
from kslds.report.numbers import SEVERITIES


@dataclass(frozen=True, kw_only=True)
class Example:
    """One place where a finding shows."""

    where: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One kind of defect, with how often it occurs."""

    severity: str
    """``error``, ``warning`` or ``info``."""
    code: str
    """A key of `kslds.codes.CODES`."""
    title: str
    count: int
    unit: str
    """What is counted, as ``rows``."""
    message: str
    examples: tuple[Example, ...]
    why: str
    action: str


@dataclass(frozen=True, kw_only=True)
class Leak:
    """How much of one side is signed by signers of another."""

    side: str
    of: str
    """The side whose signers are looked for, such as ``train``."""
    signers: int
    """Signers of `side`."""
    shared: tuple[tuple[str, int, int], ...]
    """Signers of both, with their rows on `of` and on `side`; those with most rows first."""
    rows: int
    """Rows of `side` by them."""
    of_rows: int
    """Rows of `side` with a signer."""
    same_class: int
    """(class, signer) pairs on both sides."""
    signs_rows: int | None
    """`rows` without the class in which nothing is signed; None where there is no such class."""
    signs_of_rows: int | None
    """`of_rows` likewise."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How rows spread over signers or classes."""

    number: int
    fewest: int
    middle: int
    most: int
    gini: float
    """0 where all have as many, towards 1 where one has everything."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """What one published side holds."""

    name: str
    rows: int
    classes: int
    signers: int
    largest: float
    """Share of the side's rows by the signer with most, 0 to 1."""


@dataclass(kw_only=True)
class Facts:
    """What was counted. Rows that a later file repeats are counted once."""

    rows: int = 0
    repeated: int = 0
    """Rows that an earlier file has, too; they are compared with it."""
    classes: int = 0
    signers: int = 0
    sides: tuple[Side, ...] = ()
    leaks: tuple[Leak, ...] = ()
    by_signer: Spread | None = None
    by_class: Spread | None = None
    signers_of_class: Spread | None = None
    top_signers: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """Signers with most rows, and their rows on each side (or in all, without sides)."""
    class_sizes: tuple[int, ...] = ()
    """Rows of each class, descending."""
    signer_sizes: tuple[int, ...] = ()
    """Rows of each signer, descending."""
    verdict: str = "unknown"
    """``yes``, ``no``, ``unknown`` (no signers) or ``no split``."""
    headline: str = ""
    fine: list[str] = field(default_factory=list)
    """What was looked for and not found."""
    skipped: list[str] = field(default_factory=list)
    """What could not be looked for, and why."""


class Collected:
    """Findings while they are made."""

    def __init__(self, table: Table, *, examples: int) -> None:
        self.table = table
        self.facts = Facts()
        self.findings: list[Finding] = []
        self.examples = examples

    def add(
        self,
        code: str,
        count: int,
        message: str,
        *,
        unit: str = "rows",
        at: Iterable[tuple[int, str]] = (),
        examples: Sequence[Example] = (),
        title: str | None = None,
        why: str | None = None,
        action: str | None = None,
    ) -> None:
        """One finding; `at` are rows of the table with what is to be said of each.

        What the code says of it is told unless `title`, `why` and `action` say it better.
        """
        known = CODES[code]
        shown = list(examples[: self.examples])
        for row, text in at:
            if len(shown) >= self.examples:
                break
            shown.append(Example(where=self.table.place(row), text=text[:_MAX_TEXT]))
        self.findings.append(
            Finding(
                severity=known.severity, code=code, title=title or known.title, count=count,
                unit=unit, message=message, examples=tuple(shown), why=why or known.meaning,
                action=action or known.action,
            )
        )  # fmt: skip

    def expect(self, found: bool, fine: str) -> None:
        """Say that something was looked for and not found."""
        if not found:
            self.facts.fine.append(fine)

    def ordered(self) -> list[Finding]:
        """By severity, then code, then as they were found."""
        rank = {name: place for place, name in enumerate(SEVERITIES)}
        return sorted(self.findings, key=lambda f: (rank[f.severity], f.code))


_MAX_TEXT = 300  # characters of one example

MAX_SIDES = 20
"""A column with more values than this does not name sides."""


def clean(label: str) -> str:
    """As kslds reads a label: NFC, no blanks around."""
    return unicodedata.normalize("NFC", label).strip()


def number(count: int, noun: str) -> str:
    """A count with its noun."""
    return f"{count:,} {noun}{'' if count == 1 else 'es' if noun.endswith('s') else 's'}"


def share(part: int, whole: int) -> str:
    """A share in per cent with one decimal."""
    return f"{100 * part / whole:.1f} %" if whole else "–"


def some(frame: pd.DataFrame, mask: Any, text: Callable[[Any], str], *, most: int) -> Any:
    """The first rows of a mask, with what is to be said of each."""
    chosen = frame[mask].head(most)
    return [(row.Index, text(row)) for row in chosen.itertuples()]


def spread(counts: Any) -> Spread | None:
    """How counts spread; None without any."""
    if not len(counts):
        return None
    ordered = np.sort(np.asarray(counts, dtype=np.int64))
    n = len(ordered)
    ranks = np.arange(1, n + 1)
    gini = 2 * float((ranks * ordered).sum()) / (n * float(ordered.sum())) - (n + 1) / n
    return Spread(
        number=n, fewest=int(ordered[0]), middle=int(np.median(ordered)), most=int(ordered[-1]),
        gini=round(max(gini, 0.0), 4),
    )  # fmt: skip
