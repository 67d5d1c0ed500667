"""What a recording takes, by its length: ingest, trim and resize of 1 and of 60 minutes.

    python tests/benchmarks/length.py RECORDING [--minutes 1 60] [--clips N] [--runs 1] [--out DIR]

The recording is looped to a minute, encoded anew (640 x 360, 30 frames a second), and joined to the
wanted length. Clips of 3 s cover it, or so many are spread over it. Each stage is a process of its
own, on the tables that the stages before wrote; its memory is that of the process and all its
children, pages that they share counted once.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from kslds import clips, ingest, validate, video
from kslds.bench.measure import (
    Contender,
    Meter,
    Result,
    columns,
    environment,
    peak_mb,
    rounds,
    write,
)
from kslds.manifest import Dataset
from kslds.spans import ClipOptions

CLIP_S = 3
STAGES = ("ingest", "trim", "resize")


def ffmpeg(*arguments):
    command = [video.ffmpeg_exe(), "-y", "-nostdin", "-loglevel", "error", *map(str, arguments)]
    subprocess.run(command, check=True)


def make(folder, recording, minutes, clips):
    """A recording of so many minutes in ``folder/media``, and its annotations."""
    (folder / "media").mkdir(parents=True)
    one, long = folder / "minute.mp4", folder / "media" / "long.mp4"
    encode = "-an -vf scale=640:360,fps=30 -c:v libx264 -preset veryfast -crf 26 -g 60"
    ffmpeg("-stream_loop", "-1", "-i", recording, "-t", "60", *encode.split(), one)
    ffmpeg("-stream_loop", minutes - 1, "-i", one, "-c", "copy", long)
    times = range(0, minutes * 60, CLIP_S if clips is None else minutes * 60 // clips)
    rows = [f"long.mp4,sign_{k % 20},{s},{s + CLIP_S}" for k, s in enumerate(times)]
    text = "\n".join(["recording,gloss,start,end", *rows]) + "\n"
    (folder / "annotations.csv").write_text(text, encoding="utf-8")


def work(folder, stage, dataset):
    """One stage."""
    options = ClipOptions()
    read = ingest.IngestOptions(
        media=(str(folder / "media"),),
        annotations=(str(folder / "annotations.csv"),),
        columns={name: name for name in ("recording", "gloss", "start", "end")},
        unit="s",
    )
    if stage == "ingest":
        ingest.ingest(dataset, options=read, workers=1)
        validate.validate(dataset, lexicon=None, rules=validate.Rules())
    elif stage == "trim":
        clips.trim(dataset, options=options)
    else:
        media = ingest.find_media(read.media).files
        clips.resize(dataset, media=media, options=options, workers=1)


def worker():
    job = json.load(sys.stdin)
    folder, stage = Path(job["folder"]), job["stage"]
    before = folder / f"before-{stage}"
    with tempfile.TemporaryDirectory(dir=folder) as made:
        root = Path(made) / "dataset"
        if before.is_dir():
            shutil.copytree(before, root)
        dataset = Dataset(root, create=True)
        with Meter() as meter:
            work(folder, stage, dataset)
        following = dict(itertools.pairwise(STAGES)).get(stage)
        if following and not (folder / f"before-{following}").is_dir():
            shutil.copytree(root, folder / f"before-{following}")
    Path(job["answer"]).write_text(json.dumps({**meter.read, "own_peak_mb": peak_mb()}))


def main():
    """Measure and print."""
    if sys.argv[1:] == ["--worker"]:
        worker()
        return
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # as the command line does
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recording", type=Path)
    parser.add_argument("--minutes", type=int, nargs="+", default=[1, 60])
    parser.add_argument("--clips", type=int, help="how many, instead of all that fit")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    told = lambda text: sys.stderr.write(text + "\n")  # noqa: E731
    found = {}
    with tempfile.TemporaryDirectory(prefix="kslds-length-") as folder:
        for minutes in given.minutes:
            made = Path(folder) / str(minutes)
            make(made, given.recording, minutes, given.clips)
        # By stages: each needs what the one before wrote.
        for stage in STAGES:
            contenders = [
                Contender(
                    name=f"{stage}, {minutes} min",
                    command=(sys.executable, __file__, "--worker"),
                    job={"folder": str(Path(folder) / str(minutes)), "stage": stage},
                )
                for minutes in given.minutes
            ]
            found |= rounds(contenders, runs=given.runs, told=told)
    rows = [
        {
            "stage and length": name,
            **columns(runs, ("peak_mb", "peak MB"), ("cpu_s", "CPU s"), ("wall_s", "wall s")),
        }
        for name, runs in found.items()
    ]
    result = Result(
        name="length",
        title=f"One worker, one recording, {given.clips or 'all'} clips of {CLIP_S} s",
        about={"runs": given.runs, **environment()},
        rows=tuple(rows),
        runs=found,
    )
    sys.stdout.write(result.markdown())
    if given.out is not None:
        write(result, out=given.out)


if __name__ == "__main__":
    main()
