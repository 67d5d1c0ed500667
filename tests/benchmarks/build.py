"""How fast is a build, beside plain decoding of the same files in the same run?

    python tests/benchmarks/build.py [--runs 5] [--signers 8 --signs 10 --emotions 4]

Prints a Markdown table of medians and ranges: `kslds --help`, and source frames per second of
each stage of the demo build, next to ``ffmpeg -f null`` on the same recordings with as many
processes at a time. CPU seconds include all child processes.
"""

from __future__ import annotations

import argparse
import dataclasses
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from kslds import clips, ingest, recipe, shards, split, video
from kslds.corpora import demo
from kslds.engine import num_cores, run
from kslds.manifest import Dataset
from kslds.schema import Recording


@dataclasses.dataclass
class Cost:
    """Seconds of each run."""

    wall: list[float] = dataclasses.field(default_factory=list)
    cpu: list[float] = dataclasses.field(default_factory=list)

    def measure(self, work: Callable[[], object]) -> None:
        """Run `work` once."""
        before, start = _cpu(), time.perf_counter()
        work()
        self.wall.append(time.perf_counter() - start)
        self.cpu.append(_cpu() - before)

    def row(self, name: str, frames: int | None) -> str:
        """One line of the table."""
        wall = statistics.median(self.wall)
        spread = f"{min(self.wall):.2f}–{max(self.wall):.2f}"
        rate = "" if frames is None else f"{frames / wall:,.0f}"
        return f"| {name} | {wall:.2f} | {spread} | {statistics.median(self.cpu):.2f} | {rate} |"


def _cpu() -> float:
    return sum(
        resource.getrusage(who).ru_utime + resource.getrusage(who).ru_stime
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )


def _decode(path: Path) -> None:
    command = [video.ffmpeg_exe(), "-nostdin", "-v", "error", "-threads", "1", "-i", str(path)]
    subprocess.run([*command, "-map", "0:v:0", "-f", "null", "-"], check=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--signers", type=int, default=8)
    parser.add_argument("--signs", type=int, default=10)
    parser.add_argument("--emotions", type=int, default=4)
    given = parser.parse_args()

    plan = recipe.read("demo")
    size = demo.Demo(signers=given.signers, signs=given.signs, emotions=given.emotions)
    costs: dict[str, Cost] = {}

    def measure(name: str, work: Callable[[], object]) -> None:
        costs.setdefault(name, Cost()).measure(work)

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        # Rendering is part of the demo, not of a build from recordings: it is done once.
        whole = dataclasses.replace(plan, demo=size)
        first = Dataset(root / "first", create=True)
        recipe.run_ingest(first, whole)
        resolved = dataclasses.replace(recipe.of(first), demo=None)
        files = ingest.find_media(resolved.ingest.media).files
        for number in range(given.runs):
            measure(
                "`kslds --help`",
                lambda: subprocess.run(
                    [sys.executable, "-m", "kslds.cli", "--help"], check=True, capture_output=True
                ),
            )
            measure(
                "`ffmpeg -f null` of every file",
                lambda: list(run(_decode, list(files.values()), stage="decode")),
            )
            made = Dataset(root / f"run{number}", create=True)
            measure("ingest", lambda m=made: recipe.run_ingest(m, resolved))
            measure("validate", lambda m=made: recipe.run_validate(m, resolved))
            measure("trim + resize", lambda m=made: recipe.run_resize(m, resolved))
            measure("split", lambda m=made: split.split(m, options=resolved.split))
            measure("shard", lambda m=made: shards.shard(m, options=resolved.shards))
            frames = sum(r.num_frames for r in made.read("recordings", Recording))
            covered = sum(c.num_frames for c in made.read("clips", clips.Clip))
            shutil.rmtree(made.root)
    total = Cost(
        [
            sum(t)
            for t in zip(*(c.wall for n, c in costs.items() if not n.startswith("`")), strict=True)
        ],
        [
            sum(t)
            for t in zip(*(c.cpu for n, c in costs.items() if not n.startswith("`")), strict=True)
        ],
    )
    out = [
        f"{len(files)} recordings, {frames} source frames, {covered} of them in clips; "
        f"{num_cores()} cores, {given.runs} runs.",
        "",
        "| step | median s | range s | CPU s | source frames/s |",
        "|---|---|---|---|---|",
        *(c.row(n, None if "help" in n else frames) for n, c in costs.items()),
        total.row("all stages of the build", frames),
    ]
    decode = statistics.median(costs["`ffmpeg -f null` of every file"].cpu)
    render = statistics.median(costs["trim + resize"].cpu)
    out += ["", f"trim + resize takes {render / decode:.2f} × the CPU seconds of decoding alone."]
    sys.stdout.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
