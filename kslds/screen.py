"""What a command shows: progress, tables, and errors as one clear message.

stdout is data, stderr is talk.
"""

from __future__ import annotations

import errno
import functools
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import typer

from kslds.errors import KsldsError, ValidationFailed

if TYPE_CHECKING:
    from kslds.engine import Progress
    from kslds.manifest import Dataset

P = ParamSpec("P")
R = TypeVar("R")

debug = False
"""Set by ``--debug``: errors keep their traceback."""


class Format(StrEnum):
    """How a result is printed on stdout."""

    table = "table"
    json = "json"


def say(text: str) -> None:
    """A line on stderr."""
    typer.echo(_printable(text), err=True)


def _printable(text: str) -> str:
    """Text of unknown origin without the control characters that could steer a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)


def explain(error: BaseException) -> int:
    """Say what went wrong, in one message; returns the exit code."""
    if isinstance(error, KsldsError):
        say(f"error: {error.what}")
        if isinstance(error, ValidationFailed):
            for issue in error.issues[:20]:
                say(f"  {issue.code} {issue.message}" + (f" — {issue.hint}" if issue.hint else ""))
            if len(error.issues) > 20:
                say(f"  … and {len(error.issues) - 20} more.")
        if error.hint:
            say(f"next:  {error.hint}")
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        say("stopped. What is finished is kept: run the same command again to go on.")
        return 130
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        say(f"error: the disk is full ({error.filename or 'while writing'}).")
        say("next:  make room and run the same command again; what is finished is kept.")
        return 1
    if isinstance(error, OSError):
        say(f"error: {error.strerror or error}: {error.filename or ''}".rstrip(": "))
        return 1
    say(f"error: {type(error).__name__}: {error}")
    say("next:  this is a defect of kslds; run again with: kslds --debug …, and report it.")
    return 1


def reported(command: Callable[P, R]) -> Callable[P, R]:
    """Turn errors into one message and an exit code (a traceback with ``--debug``)."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except (Exception, KeyboardInterrupt) as error:
            if debug or isinstance(error, typer.Exit | typer.Abort | typer.BadParameter):
                raise
            code = explain(error)
        raise typer.Exit(code)

    return wrapped


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """Progress bars on stderr, one a stage."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("{task.description:>12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as bars:
        tasks: dict[str, Any] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield show


def print_table(rows: Sequence[Mapping[str, Any]], *, title: str) -> None:
    """Rows with the same keys as a table on stdout; nothing where there are none."""
    if not rows:
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", header_style="bold")
    for name, value in rows[0].items():
        table.add_column(name, justify="right" if isinstance(value, int | float) else "left",
                         overflow="fold")  # fmt: skip
    for row in rows:
        # Text, not str: labels may hold what rich would take for markup.
        table.add_row(*(Text(_cell(v)) for v in row.values()))
    # A file or a pipe gets whole lines, not lines wrapped for a screen it does not have.
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else _printable(str(value))


def show_dataset(dataset: Dataset, output: Format) -> None:
    """The closing report of a command: the books of every stage, and what was built."""
    from kslds import report

    summary = report.summary(dataset)
    if output is Format.json:
        typer.echo(json.dumps(summary, ensure_ascii=False, sort_keys=True, indent=1))
        return
    stages = summary.get("stages", {})
    print_table(
        [
            {"stage": name, "in": s["in"], "out": s["out"], "dropped": s["dropped"],
             "balance": "ok" if s["in"] == s["out"] + s["dropped"] else "WRONG"}
            for name, s in stages.items()
        ],
        title=f"{dataset.root}: every row is out or dropped",
    )  # fmt: skip
    clips = summary.get("clips", {})
    print_table(
        [
            {
                "recordings": summary.get("recordings", {}).get("number"),
                "clips": clips.get("number"),
                "signs": summary["classes"],
                "signers": summary["signers"],
                "emotions": summary["emotions"],
                "frames": clips.get("frames"),
                "minutes": None if not clips else round(clips["seconds"] / 60, 2),
            }
        ],
        title="what it holds",
    )
    print_table(_dropped(dataset), title="dropped")
    print_table(
        [
            {
                "split": name,
                "side": side,
                **{k: v for k, v in facts.items() if not isinstance(v, list)},
            }
            for name, sides in summary.get("splits", {}).items()
            for side, facts in sides.items()
        ][:20],
        title="splits",
    )
    print_table(_issue_rows(dataset), title="issues")
    print_table(
        [
            {k: b.get(k) for k in ("model", "task", "top1", "macro_f1", "chance", "n_test")}
            for b in summary.get("baselines", [])
        ],
        title="baselines, on signers that were not trained on",
    )


def _dropped(dataset: Dataset) -> list[dict[str, Any]]:
    from kslds.codes import CODES
    from kslds.schema import Dropped

    groups: dict[tuple[str, str], list[Dropped]] = {}
    for row in dataset.read("dropped", Dropped) if dataset.has("dropped") else []:
        groups.setdefault((row.stage, row.code), []).append(row)
    total = sum(map(len, groups.values()))
    most = total if total <= 15 else max(1, 15 // len(groups))
    shown = []
    for (stage, code), rows in groups.items():
        # Reasons begin with the place in the annotations; some keys are hashes.
        rows.sort(key=lambda row: (_by_line(row.reason), row.key))
        what = CODES[code].title
        shown += [{"stage": stage, "code": code, "what": what, "why": r.reason}
                  for r in rows[:most]]  # fmt: skip
        if len(rows) > most:
            why = f"{len(rows) - most:,} more, {len(rows):,} in all; {_all_rows(dataset)}"
            shown.append({"stage": stage, "code": code, "what": what, "why": why})
    return shown


def _all_rows(dataset: Dataset) -> str:
    """Where every dropped row is listed: the CSV, unless it is from before the table was made."""
    listed = dataset.root / "reports" / "dropped.csv"
    made = dataset.path("dropped").stat().st_mtime_ns
    if listed.is_file() and listed.stat().st_mtime_ns >= made:
        return "see reports/dropped.csv"
    return f"for all of them: kslds report {dataset.root}"


def _by_line(place: str) -> list[tuple[int, str]]:
    """Sorts ``a.csv:4`` before ``a.csv:14``."""
    parts = re.split(r"([0-9]+)", place)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _issue_rows(dataset: Dataset) -> list[dict[str, Any]]:
    from collections import Counter

    from kslds.codes import CODES
    from kslds.recipe import issues_of

    counts = Counter((i.severity, i.code) for i in issues_of(dataset))
    return [
        {"severity": severity, "code": code, "what": CODES[code].title, "count": count}
        for (severity, code), count in sorted(counts.items())
    ]
