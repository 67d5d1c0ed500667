"""kslds beside other loaders, on the same clips: python tests/benchmarks/peers.py DATASET

    python tests/benchmarks/footage.py /tmp/footage
    python tests/benchmarks/peers.py /tmp/footage/dataset --out /tmp/peers

The others run in environments of their own, made on the first run from `requirements-peers.txt`
and `requirements-mosaic.txt` under `--environments`. A reader that does not run is named, with
the reason, and left out. Contenders take turns; each run is a process of its own, and imports are
not measured.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from kslds.bench import loader
from kslds.bench.measure import (
    Bars,
    Contender,
    Result,
    call,
    columns,
    environment,
    median,
    rounds,
    run_once,
    shown,
    write,
)
from kslds.errors import KsldsError

HERE = Path(__file__).parent
READERS = {
    "h264": [
        ("bare loops", "decord"),
        ("bare loops", "torchcodec"),
        ("webdataset", "decord"),
        ("webdataset", "torchcodec"),
        ("litdata", "torchcodec"),
        ("mosaic", "torchcodec"),
        ("datasets, Parquet", "torchcodec"),
        ("datasets, tar", "torchcodec"),
    ],
    "jpeg": [
        ("bare loops", "simplejpeg"),
        ("webdataset", "simplejpeg"),
        ("litdata", "simplejpeg"),
        ("mosaic", "simplejpeg"),
    ],
}


def python_of(requirements: str, *, environments: Path) -> str:
    """The Python of an environment with these requirements; makes it if it is not there."""
    folder = environments / requirements
    if not (folder / "bin" / "python").is_file():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q"]
        subprocess.run([*pip, "-r", str(HERE / f"{requirements}.txt")], check=True)
    return str(folder / "bin" / "python")


def say(text: str) -> None:
    """Talk."""
    sys.stderr.write(text + "\n")


def contenders(given: argparse.Namespace) -> list[Contender]:
    """Every reader that runs here, kslds first."""
    found = []
    made = given.environments / "made"
    for encoding, readers in READERS.items():
        shards = given.dataset / "shards" / encoding
        own = {"path": str(given.dataset), "split": "train", "encoding": encoding}
        for n in given.parallel:
            bare = call(loader.bare, loops=n, **own)
            found.append(Contender(name=f"{encoding} | bare loops, kslds | {n}", job=bare))
            kinds = {"threads": {"kind": "threads"}, "workers": {"kind": "workers"}}
            if encoding == "h264":
                kinds["threads, planes"] = {"kind": "threads", "pixels": "yuv"}
            for kind, how in kinds.items():
                job = call(loader.stream, number=n, **how, **own)
                found.append(Contender(name=f"{encoding} | kslds, {kind} | {n}", job=job))
        for reader, decoder in readers:
            which = "requirements-mosaic" if reader == "mosaic" else "requirements-peers"
            command = (
                python_of(which, environments=given.environments),
                str(HERE / "contenders.py"),
            )
            job = {
                "reader": reader,
                "decoder": decoder,
                "shards": str(shards),
                "made": str(made / f"{encoding}-{reader}"),
            }
            label = f"{encoding} | {reader}, {decoder}"
            try:
                say(f"trying {label}")
                run_once(Contender(name=label, command=command, job={**job, "make": True}))
                run_once(Contender(name=label, command=command, job={**job, "workers": 1}))
            except KsldsError as error:
                say(f"left out: {error}")
                continue
            for n in given.parallel:
                found.append(
                    Contender(name=f"{label} | {n}", command=command, job={**job, "workers": n})
                )
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--parallel", type=int, nargs="+", default=[2])
    parser.add_argument(
        "--environments", type=Path, default=Path.home() / ".cache" / "kslds-benchmarks"
    )
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    given.dataset = given.dataset.absolute()
    given.environments = given.environments.absolute()
    found = rounds(contenders(given), runs=given.runs, told=say)
    rows = []
    for name, runs in found.items():
        encoding, what, n = name.split(" | ")
        own = found[f"{encoding} | kslds, threads | {n}"]
        row = {"encoding": encoding, "reader": what, "threads or workers": n}
        row |= columns(runs, ("clips_per_s", "clips/s"))
        row["kslds is × as fast"] = (
            f"{median(own, 'clips_per_s') / median(runs, 'clips_per_s'):.2f}"
        )
        row |= columns(runs, ("cpu_ms_a_clip", "CPU ms a clip"))
        row["kslds CPU ÷"] = f"{median(own, 'cpu_ms_a_clip') / median(runs, 'cpu_ms_a_clip'):.2f}"
        row["first batch ms"] = shown(median(runs, "first_ms")) if "first_ms" in runs[0] else ""
        rows.append(row | columns(runs, ("peak_mb", "peak MB"), spreads=False))
    result = Result(
        name="peers",
        title="Loaders on the same clips: 8 × 16 frames of 224 × 224, uint8, one epoch",
        about={
            "clips": int(next(iter(found.values()))[0]["clips"]),
            "runs": given.runs,
            **environment(),
        },
        rows=tuple(rows),
        runs=found,
        bars=tuple(
            Bars(
                title=f"{encoding}: clips per second",
                unit="clips/s",
                values={
                    name.partition(" | ")[2]: [run["clips_per_s"] for run in runs]
                    for name, runs in found.items()
                    if name.startswith(encoding)
                },
            )
            for encoding in READERS
        ),
    )
    sys.stdout.write(result.markdown())
    if given.out is not None:
        for path in write(result, out=given.out):
            say(f"wrote {path}")


if __name__ == "__main__":
    main()
