"""Real footage for the benchmarks: five recordings of 22 s, and a dataset of 400 clips of them.

    python tests/benchmarks/footage.py OUT [--clips 400] [--source ../shared/data/real]

Each recording of the source folder is looped to 22 s (its pictures are encoded once more at 8 Mb/s,
as a phone does), and cut into overlapping clips of 2.6 s. Through kslds they become ``OUT/dataset``
with shards as H.264 and as JPEG, and as Parquet, in several shards, so that every reader finds one
for each of its workers.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
from pathlib import Path

from kslds import recipe, video
from kslds.probe import probe

NAMES = ("slovo_privet", "phone_wave", "sts_bjorn", "gesture_palm", "gesture_thumb")
SECONDS = 22
CLIP_MS = 2600


def loop(source: Path, out: Path) -> Path:
    """A recording that repeats the pictures of another, encoded as a phone would."""
    if not out.is_file():
        part = out.with_suffix(".part.mp4")
        command = [
            *(video.ffmpeg_exe(), "-y", "-nostdin", "-loglevel", "error", "-stream_loop", "-1"),
            *("-i", str(source), "-t", str(SECONDS), "-an", "-map_metadata", "-1"),
            *("-vf", "format=yuv420p", "-c:v", "libx264", "-preset", "veryfast", "-b:v", "8M"),
            *("-maxrate", "10M", "-bufsize", "16M", "-g", "60", "-fflags", "+bitexact", str(part)),
        ]
        subprocess.run(command, check=True)
        part.replace(out)
    return out


def make(out: Path, *, source: Path, clips: int) -> Path:
    """Make recordings and dataset; returns the dataset's folder."""
    media = out / "media"
    media.mkdir(parents=True, exist_ok=True)
    per_file = -(-clips // len(NAMES))
    rows = []
    for name in NAMES:
        path = loop(source / f"{name}.mp4", media / f"{name}.mp4")
        end_ms = probe(path).end_ms
        for k in range(min(per_file, clips - len(rows))):
            start = k * (end_ms - CLIP_MS) // per_file
            rows.append((path.name, f"sign_{k % 20:02d}", start, start + CLIP_MS, name))
    table = out / "annotations.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("recording", "gloss", "start", "end", "signer"), *rows])
    sides = out / "split.csv"
    sides.write_text("signer_id,split\n" + "".join(f"{name},train\n" for name in NAMES))
    text = out / "footage.toml"
    text.write_text(
        'name = "footage"\nlicence = "internal"\n'
        '[ingest]\nmedia = "media"\nannotations = "annotations.csv"\n'
        '[split]\nby = "list"\nfile = "split.csv"\n'
        '[shards]\nformats = ["webdataset", "parquet"]\nencodings = ["h264", "jpeg"]\nmax_mb = 14\n'
    )
    dataset = recipe.build(recipe.read(text), out=out / "dataset")
    sys.stdout.write(f"{dataset.root}: {len(rows)} clips\n")
    return dataset.root


def main() -> None:
    """Parse and make."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--clips", type=int, default=400)
    parser.add_argument("--source", type=Path, default=Path("../shared/data/real"))
    given = parser.parse_args()
    make(given.out, source=given.source, clips=given.clips)


if __name__ == "__main__":
    main()
