"""Measuring: each run in a process of its own, contenders in turns, medians with their spread.

A contender is a function that a fresh worker process calls (`python -m kslds.bench.worker`). It
prepares itself, does its work under a `Meter`, and returns what the meter read. Meanwhile the
parent watches the memory of the worker and of all its children. Contenders take turns, so that
whatever else the machine does hits all of them.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kslds.engine import num_cores
from kslds.errors import KsldsError, UsageError
from kslds.manifest import readable_json, write_bytes
from kslds.video import ffmpeg_version

_SAMPLE_SECONDS = 0.05
MAX_RUNS = 1000


class Meter:
    """Wall and CPU seconds of a block; children count once they have ended and been waited for."""

    wall_s = cpu_s = 0.0

    def __enter__(self) -> Meter:
        self._cpu, self._start = _cpu_seconds(), time.perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        self.wall_s = time.perf_counter() - self._start
        self.cpu_s = _cpu_seconds() - self._cpu

    @property
    def read(self) -> dict[str, float]:
        """Both, as a worker's answer has them."""
        return {"wall_s": self.wall_s, "cpu_s": self.cpu_s}


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


@dataclass(frozen=True, kw_only=True)
class Contender:
    """What is measured: a command that reads a job as JSON on stdin.

    It writes its answer, a flat JSON object with at least ``wall_s`` and ``cpu_s``, to the file
    that the job names as ``answer``.
    """

    name: str
    job: Mapping[str, Any]
    command: tuple[str, ...] = (sys.executable, "-m", "kslds.bench.worker")


def call(function: Callable[..., Mapping[str, float]], **arguments: Any) -> dict[str, Any]:
    """The job of calling a function of this package, by keyword, with what JSON can hold."""
    return {"call": f"{function.__module__}:{function.__name__}", "arguments": arguments}


def run_once(contender: Contender) -> dict[str, float]:
    """Run a contender; returns its answer and ``peak_mb``.

    ``peak_mb`` is the most memory that the worker and its children held together, in 10**6
    bytes, pages that they share counted once (sampled); at least the peak of the largest of them.

    Raises:
        KsldsError: The worker failed.
    """
    with tempfile.TemporaryDirectory(prefix="kslds-bench-") as folder:
        answer = Path(folder) / "answer.json"
        job = json.dumps({**contender.job, "answer": str(answer)}).encode()
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(
                contender.command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
            try:
                if process.stdin is not None:
                    with suppress(BrokenPipeError), process.stdin:
                        process.stdin.write(job)
                peak = _watch(process)
            finally:
                process.kill()
                process.wait()
            log.seek(0)
            said = log.read().decode("utf-8", "replace").strip()
        if process.returncode or not answer.is_file():
            why = said.splitlines()[-1] if said else f"status {process.returncode}"
            raise KsldsError(f"the benchmark of {contender.name!r} failed: {why[:500]}")
        found: dict[str, float] = json.loads(answer.read_bytes())
    found["peak_mb"] = max(peak, found.pop("own_peak_mb", 0.0))
    return found


def _watch(process: subprocess.Popen[bytes]) -> float:
    """Waits for a process; returns the most memory that it and its children held together, MB."""
    peak = 0.0
    while True:
        began = time.perf_counter()
        peak = max(peak, sum(map(_memory_mb, _family(process.pid))))
        # To look takes a core's time, the more the larger the process: a twentieth at most.
        pause = max(_SAMPLE_SECONDS, 20 * (time.perf_counter() - began))
        with suppress(subprocess.TimeoutExpired):
            process.wait(pause)
            return peak


def _family(pid: int) -> list[int]:
    """A process and all that it started."""
    found = [pid]
    for one in found:
        tasks: list[Path] = []
        with suppress(OSError):  # any of them may end meanwhile
            tasks = list(Path(f"/proc/{one}/task").iterdir())
        for task in tasks:
            with suppress(OSError):
                children = map(int, (task / "children").read_text().split())
                found += [child for child in children if not _borrows(child, task)]
    return found


def _borrows(child: int, parent: Path) -> bool:
    """Is a child still in the memory of the thread that started it, which waits (vfork)?

    It is about to become another program. Its memory is not a second one of its parent's size.
    """
    waits = (parent / "stat").read_text().rpartition(")")[2].split()[0] == "D"
    ours, theirs = (path / "cmdline" for path in (Path(f"/proc/{child}"), parent.parent.parent))
    return waits and ours.read_bytes() == theirs.read_bytes()


def _memory_mb(pid: int) -> float:
    """Memory of a process, its share of shared pages included; 0 where it has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def peak_mb() -> float:
    """The peak of the largest of this process and its ended children, 10**6 bytes."""
    # `ru_maxrss` of a process begins at what its parent held when it was started. For children
    # that is what this process held, and no more than its own peak.
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return max(int(line.split()[1]), children) * 1024 / 1e6
    return children * 1024 / 1e6


Runs = dict[str, list[dict[str, float]]]
"""Contender → its answers, one a round."""


def rounds(
    contenders: Sequence[Contender], *, runs: int, told: Callable[[str], None] | None = None
) -> Runs:
    """Measure contenders in turns, each once a round; every round begins with another one.

    Args:
        contenders: What to measure.
        runs: Rounds, from 1.
        told: Is told what is being measured.

    Raises:
        UsageError: The number of rounds is out of range.
        KsldsError: A contender failed.
    """
    if not 1 <= runs <= MAX_RUNS:
        raise UsageError(f"runs = {runs}: expected 1 to {MAX_RUNS}.")
    found: Runs = {contender.name: [] for contender in contenders}
    for number in range(runs):
        start = number % max(len(contenders), 1)
        for contender in [*contenders[start:], *contenders[:start]]:
            if told is not None:
                told(f"round {number + 1} of {runs}: {contender.name}")
            found[contender.name].append(run_once(contender))
    return found


# --------------------------------------------------------------------------- results


def median(runs: Sequence[Mapping[str, float]], quantity: str) -> float:
    """The median of a quantity over the runs of a contender."""
    return statistics.median(run[quantity] for run in runs)


def spread(runs: Sequence[Mapping[str, float]], quantity: str) -> str:
    """Its lowest and highest value, as ``1.23–1.40``."""
    values = [run[quantity] for run in runs]
    low, high = shown(min(values)), shown(max(values))
    return low if low == high else f"{low}–{high}"


def shown(value: float) -> str:
    """A number with three significant digits."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2g}" if abs(value) < 0.1 else f"{value:.{2 if abs(value) < 10 else 1}f}"


def columns(
    runs: Sequence[Mapping[str, float]], *quantities: tuple[str, str], spreads: bool = True
) -> dict[str, str]:
    """Cells of a table's row: of each ``(quantity, heading)`` the median, and its range."""
    cells = {}
    for quantity, heading in quantities:
        cells[heading] = shown(median(runs, quantity))
        if spreads and len(runs) > 1:
            cells[heading] += f" ({spread(runs, quantity)})"
    return cells


@dataclass(frozen=True, kw_only=True)
class Bars:
    """One panel of a plot."""

    title: str
    unit: str
    values: Mapping[str, Sequence[float]]
    """Name of each bar → its runs."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a benchmark found."""

    name: str
    """Of its files."""
    title: str
    about: Mapping[str, Any]
    """What was measured, and on what."""
    rows: tuple[Mapping[str, Any], ...]
    """The table: medians, and lowest to highest in brackets."""
    runs: Mapping[str, Sequence[Mapping[str, float]]]
    """Every run."""
    bars: tuple[Bars, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "benchmark": self.name,
            "title": self.title,
            "about": dict(self.about),
            "table": [dict(row) for row in self.rows],
            "notes": list(self.notes),
            "runs": {name: [dict(run) for run in runs] for name, runs in self.runs.items()},
        }

    def markdown(self) -> str:
        """Title, table and notes."""
        about = "; ".join(f"{key}: {value}" for key, value in self.about.items())
        return (
            "\n".join([f"{self.title}.", "", about, "", table(self.rows), "", *self.notes]) + "\n"
        )


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows with the same keys as a Markdown table."""
    if not rows:
        return ""
    head = list(rows[0])
    lines = [head, ["---"] * len(head), *([_cell(row[key]) for key in head] for row in rows)]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return shown(value) if isinstance(value, float) else str(value).replace("|", "\\|")


def environment() -> dict[str, Any]:
    """Where and when this is measured."""
    return {
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {num_cores()} cores",
        "python": platform.python_version(),
        "ffmpeg": ffmpeg_version().removeprefix("ffmpeg version "),
    }


def write(result: Result, *, out: Path) -> list[Path]:
    """Write a result as ``<name>.json``, ``<name>.md`` and ``<name>.png``.

    Returns:
        The files.
    """
    made = [out / f"{result.name}.json", out / f"{result.name}.md"]
    write_bytes(made[0], readable_json(result.as_json()))
    write_bytes(made[1], result.markdown().encode())
    if result.bars:
        made.append(out / f"{result.name}.png")
        write_bytes(made[-1], plot(result.bars, title=result.title))
    return made


def plot(panels: Iterable[Bars], *, title: str) -> bytes:
    """PNG of bars, one panel a quantity: medians, with whiskers from lowest to highest."""
    import io

    from matplotlib.figure import Figure

    shown_panels = list(panels)
    most = max(len(panel.values) for panel in shown_panels)
    figure = Figure(figsize=(5.5 * len(shown_panels), 1.2 + 0.42 * most), layout="constrained")
    figure.suptitle(title)
    for axes, panel in zip(
        figure.subplots(1, len(shown_panels), squeeze=False)[0], shown_panels, strict=True
    ):
        names = list(panel.values)[::-1]
        middles = [statistics.median(panel.values[name]) for name in names]
        whiskers = [
            [m - min(panel.values[n]) for m, n in zip(middles, names, strict=True)],
            [max(panel.values[n]) - m for m, n in zip(middles, names, strict=True)],
        ]
        axes.barh(names, middles, xerr=whiskers, color="#4878a8", ecolor="#222222", capsize=3)
        for place, (name, middle) in enumerate(zip(names, middles, strict=True)):
            end = max(panel.values[name])
            axes.annotate(f"  {shown(middle)}", (end, place), va="center", ha="left", fontsize=8)
        axes.set_title(panel.title, fontsize=10)
        axes.set_xlabel(panel.unit)
        # Room for the numbers after the whiskers.
        axes.set_xlim(0, 1.15 * max(max(panel.values[name]) for name in names))
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=120)
    return data.getvalue()
