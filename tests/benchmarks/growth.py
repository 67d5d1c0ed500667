"""How the cost of a build grows: 10, 100, 1,000 clips, with 1 and 2 workers.

    python tests/benchmarks/growth.py --clips 10 100 1000 --workers 1 2 --runs 5

One drawn recording of 5 s is copied under other names and with other bytes (a tag differs); each
holds ten clips of half a second. Every run builds from nothing: ingest, validate, trim, resize,
split, shard; and then reads one epoch, in batches of 8 clips × 16 frames.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from pathlib import Path

from kslds import clips, ingest, lexicon, loader, shards, split, validate, video
from kslds.bench.measure import (
    Contender,
    Meter,
    Result,
    columns,
    environment,
    median,
    peak_mb,
    rounds,
    write,
)
from kslds.corpora import demo
from kslds.manifest import Dataset
from kslds.spans import ClipOptions

PER_RECORDING = 10
STAGES = ("ingest", "validate", "trim", "resize", "split", "shard", "read")


def make(folder, number):
    """Recordings with this many clips in all, and their annotations."""
    media = folder / "media"
    if (folder / "annotations.csv").is_file():
        return
    shutil.rmtree(folder, ignore_errors=True)
    media.mkdir(parents=True)
    drawn = folder / "drawn"
    size = demo.Demo(signers=1, signs=4, emotions=1)
    demo.render(drawn, demo=size, signs=lexicon.load("nspcrsie").signs)
    source = sorted((drawn / "media").iterdir())[0]
    one = folder / "one.mp4"
    encode = "-an -vf scale=640:-2,fps=30 -c:v libx264 -preset veryfast -g 30 -pix_fmt yuv420p"
    ffmpeg("-i", source, "-t", "5", *encode.split(), one)
    rows = ["recording,gloss,start,end,signer"]
    for k in range(-(-number // PER_RECORDING)):
        ffmpeg("-i", one, "-c", "copy", "-metadata", f"comment={k}", media / f"r{k:05d}.mp4")
        rows += [
            f"r{k:05d}.mp4,sign_{clip},{clip * 450},{clip * 450 + 500},subject_00"
            for clip in range(min(PER_RECORDING, number - k * PER_RECORDING))
        ]
    (folder / "annotations.csv").write_text("\n".join(rows) + "\n")


def ffmpeg(*arguments):
    command = [video.ffmpeg_exe(), "-y", "-nostdin", "-loglevel", "error", *map(str, arguments)]
    subprocess.run(command, check=True)


def built(folder, workers):
    """Seconds of every stage."""
    folder = Path(folder)
    options = ClipOptions()
    read = ingest.IngestOptions(
        media=(str(folder / "media"),),
        annotations=(str(folder / "annotations.csv"),),
        columns={name: name for name in ("recording", "gloss", "start", "end", "signer")},
    )
    media = ingest.find_media(read.media).files
    # The copies show the same frames, which no split may put on two sides.
    one = folder / "list.csv"
    one.write_text("signer_id,split\nsubject_00,train\n")
    chosen = split.SplitOptions(by="list", file=str(one))
    with tempfile.TemporaryDirectory() as out:
        dataset = Dataset(out, create=True)
        work = {
            "ingest": lambda: ingest.ingest(dataset, options=read, workers=workers),
            "validate": lambda: validate.validate(dataset, lexicon=None, rules=validate.Rules()),
            "trim": lambda: clips.trim(dataset, options=options),
            "resize": lambda: clips.resize(dataset, media=media, options=options, workers=workers),
            "split": lambda: split.split(dataset, options=chosen),
            "shard": lambda: shards.shard(dataset, options=shards.ShardOptions()),
            "read": lambda: deque(loader.load(out, batch_size=8, threads=workers), maxlen=0),
        }
        found = {"wall_s": 0.0, "cpu_s": 0.0}
        for name in STAGES:
            with Meter() as meter:
                work[name]()
            found["wall_s"] += meter.wall_s
            found["cpu_s"] += meter.cpu_s
            found[f"{name}_cpu_s"] = meter.cpu_s
    return found


def worker():
    job = json.load(sys.stdin)
    answer = built(job["folder"], job["workers"])
    Path(job["answer"]).write_text(json.dumps({**answer, "own_peak_mb": peak_mb()}))


def main():
    """Measure and print."""
    if sys.argv[1:] == ["--worker"]:
        worker()
        return
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # as the command line does
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kslds-growth-") as folder:
        contenders = []
        for number in given.clips:
            made = Path(folder) / str(number)
            make(made, number)
            contenders += [
                Contender(
                    name=f"{number} clips, {workers} worker{'s' * (workers > 1)}",
                    command=(sys.executable, __file__, "--worker"),
                    job={"folder": str(made), "workers": workers},
                )
                for workers in given.workers
            ]
        told = lambda text: sys.stderr.write(text + "\n")  # noqa: E731
        found = rounds(contenders, runs=given.runs, told=told)
    rows = []
    for number in given.clips:
        for workers in given.workers:
            name = f"{number} clips, {workers} worker{'s' * (workers > 1)}"
            runs = found[name]
            row = {"build of": name, **columns(runs, ("wall_s", "wall s"), ("cpu_s", "CPU s"))}
            row["CPU ms a clip"] = f"{median(runs, 'cpu_s') / number * 1000:.1f}"
            for stage in STAGES:
                row |= columns(runs, (f"{stage}_cpu_s", stage), spreads=False)
            rows.append(row | columns(runs, ("peak_mb", "peak MB"), spreads=False))
    few, many = (
        median(
            found[f"{n} clips, {given.workers[0]} worker{'s' * (given.workers[0] > 1)}"], "cpu_s"
        )
        for n in (given.clips[-2:] if len(given.clips) > 1 else given.clips * 2)
    )
    grows = math.log(many / few) / math.log(max(given.clips[-1] / given.clips[-2], 1.001))
    result = Result(
        name="growth",
        title="A whole build, by number of clips; CPU seconds of each stage",
        about={"runs": given.runs, **environment()},
        rows=tuple(rows),
        runs=found,
        notes=(f"From {given.clips[-2]} to {given.clips[-1]} clips CPU grows as n^{grows:.2f}.",),
    )
    sys.stdout.write(result.markdown())
    if given.out is not None:
        write(result, out=given.out)


if __name__ == "__main__":
    main()
