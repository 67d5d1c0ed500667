"""What a decoder may leave out for a small result: CPU saved, and what it does to the picture.

    python tests/benchmarks/skipping.py RECORDING … [--rates 1M 4M] [--size 224] [--runs 5]
        [--codec libx264] [--out DIR]

Each recording is looped to ten seconds and encoded at each rate with the encoder's defaults, then
decoded by ffmpeg with one thread: exactly, and with each value of `-skip_loop_filter`. PSNR is that
of luma at the size of a clip, against exact decoding.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from kslds import video
from kslds.bench.measure import (
    Contender,
    Meter,
    Result,
    columns,
    environment,
    median,
    rounds,
    write,
)
from kslds.frames import psnr

MODES = ("none", "noref", "bidir", "all")


def ffmpeg(*arguments, **how):
    command = [video.ffmpeg_exe(), "-y", "-nostdin", "-loglevel", "error", *map(str, arguments)]
    return subprocess.run(command, check=True, **how)


def luma(path, mode, size):
    """Frames as a clip gets them, of shape (T, size * size)."""
    filters = video.geometry(size, size, size=size, fit="stretch").filters
    out = ffmpeg(
        "-threads", 1, "-skip_loop_filter", mode, "-i", path, "-vf", filters,
        "-fps_mode", "passthrough", "-f", "rawvideo", "-", stdout=subprocess.PIPE,
    ).stdout  # fmt: skip
    planes = np.frombuffer(out, np.uint8).reshape(-1, size * size * 3 // 2)
    return planes[:, : size * size].astype(np.int16)


def worker():
    job = json.load(sys.stdin)
    with Meter() as meter:
        ffmpeg(
            "-threads", 1, "-skip_loop_filter", job["mode"], "-i", job["path"],
            "-fps_mode", "passthrough", "-f", "null", "-",
        )  # fmt: skip
    Path(job["answer"]).write_text(json.dumps(meter.read))


def row_of(path, name, found, *, size):
    """What each mode saves of a recording, and what it does to it."""
    row = {"recording": name, **columns(found["none"], ("cpu_s", "exact: CPU s"))}
    exact = luma(path, "none", size)
    for mode in MODES[1:]:
        squared = ((luma(path, mode, size) - exact).astype(np.float64) ** 2).mean(axis=1)
        saved = 1 - median(found[mode], "cpu_s") / median(found["none"], "cpu_s")
        row[f"{mode}: saved"] = f"{saved:.0%}"
        decibels = f"{psnr(squared.mean()):.1f} ({psnr(squared.max()):.1f})"
        row[f"{mode}: PSNR dB (worst frame)"] = decibels
    return row


def main():
    """Measure and print."""
    if sys.argv[1:] == ["--worker"]:
        worker()
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recordings", type=Path, nargs="+")
    parser.add_argument("--rates", nargs="+", default=["1M", "4M"])
    parser.add_argument("--codec", default="libx264")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    told = lambda text: sys.stderr.write(text + "\n")  # noqa: E731
    rows, found = [], {}
    with tempfile.TemporaryDirectory(prefix="kslds-skipping-") as folder:
        for recording in given.recordings:
            for rate in given.rates:
                path = Path(folder) / f"{recording.stem}-{rate}.mp4"
                ffmpeg(
                    "-stream_loop", "-1", "-i", recording, "-t", "10", "-an",
                    "-c:v", given.codec, "-b:v", rate, path,
                )  # fmt: skip
                name = f"{recording.stem}, {rate}"
                contenders = [
                    Contender(
                        name=f"{name}, {mode}",
                        job={"path": str(path), "mode": mode},
                        command=(sys.executable, __file__, "--worker"),
                    )
                    for mode in MODES
                ]
                taken = rounds(contenders, runs=given.runs, told=told)
                found |= taken
                by_mode = dict(zip(MODES, taken.values(), strict=True))
                rows.append(row_of(path, name, by_mode, size=given.size))
    result = Result(
        name="skipping",
        title=f"What a decoder may leave out for {given.size} × {given.size} ({given.codec})",
        about={"runs": given.runs, **environment()},
        rows=tuple(rows),
        runs=found,
    )
    sys.stdout.write(result.markdown())
    if given.out is not None:
        write(result, out=given.out)


if __name__ == "__main__":
    main()
