"""Does the work on tables stay linear? Simulated tables of up to a million clips of 10,000 signers.

    python tests/benchmarks/million.py --work /tmp/million --rows 10000 100000 1000000 --runs 5

Each job runs in a process of its own on tables made beforehand. Prints seconds, peak memory, and
by which power of the number of rows both grow from the last but one size to the last (1: linear).
Signers are a hundredth of the clips, recordings a twentieth, and every shard lists 3,000 samples;
shards hold one real clip under all names, so that the loader opens and reads them as ever.
`trim` reads 1,600 timestamps of each recording, and is measured up to `--trim-rows`.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import math
import os
import shutil
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa

from kslds import clips, loader, pack, schema, shards, split, validate, video
from kslds.bench.measure import (
    Contender,
    Result,
    columns,
    environment,
    median,
    peak_mb,
    rounds,
    shown,
    write,
)
from kslds.errors import KsldsError
from kslds.manifest import Dataset, readable_json, sha256_file, write_bytes, write_parquet
from kslds.schema import Clip, Recording, Segment, Signer, SplitRow, Timing
from kslds.spans import ClipOptions

PER_SHARD = 3_000
PER_RECORDING = 20
PER_SIGNER = 100
FRAMES = 80
STEP_MS = 2_700
FIELDS = {
    "clip_id": "",
    "recording_id": "rec_000000000000",
    "source_file": "folder/rec_000000000000.mp4",
    "corpus": "simulated",
    "licence": "CC-BY-4.0",
    "gloss_id": "sign_0000",
    "label": 0,
    "emotion": None,
    "sentence": "sentence_0000",
    "signer_id": "subject_00000000",
    **dict.fromkeys(("start_ms", "end_ms", "first_frame", "last_frame"), 1_000),
    "num_frames": FRAMES,
    "fps_num": 30,
    "fps_den": 1,
    "width": 32,
    "height": 32,
    "frames_sha256": hashlib.sha256().hexdigest(),
}
"""Of a sample."""

# --------------------------------------------------------------------------- making


def keys(prefix, numbers, width=8):
    return np.char.add(f"{prefix}_", np.char.zfill(numbers.astype(str), width))


def table(record, **values):
    """An Arrow table of a record from columns; what is not given is its default, or null."""
    number = len(next(iter(values.values())))
    defaults = {
        f.name: f.default_factory() if f.default is dataclasses.MISSING else f.default
        for f in dataclasses.fields(record)
        if f.default is not dataclasses.MISSING or f.default_factory is not dataclasses.MISSING
    }
    arrays = []
    for field in schema.arrow_schema(record):
        value = values.get(field.name, defaults.get(field.name))
        if isinstance(value, np.ndarray | pa.Array):
            arrays.append(pa.array(value, field.type))
        else:
            arrays.append(pa.array([value] * number, field.type))
    return pa.table(arrays, schema=schema.arrow_schema(record))


def make(root, rows):
    """Tables and shards of so many clips."""
    root = Path(root)
    if (root / "made.json").is_file():
        return
    shutil.rmtree(root, ignore_errors=True)
    dataset = Dataset(root, create=True)
    number = np.arange(rows)
    recording = number // PER_RECORDING
    signer = recording // (PER_SIGNER // PER_RECORDING)
    names = {"recordings": keys("rec", np.arange(recording[-1] + 1), 12)}
    names["signers"] = keys("subject", np.arange(signer[-1] + 1))
    gloss = number * 7919 % 500
    start = number % PER_RECORDING * STEP_MS
    segment = keys("seg", number, 16)
    source = np.char.add("annotations.csv:", (number + 2).astype(str))
    made_of = {
        "segment_id": segment,
        "recording_id": names["recordings"][recording],
        "start_ms": start,
        "end_ms": start + 2_600,
        "gloss_id": keys("sign", gloss, 4),
        "sentence": keys("sentence", number * 104_729 % 2_000, 4),
        "signer_id": names["signers"][signer],
        "published_split": np.where(signer % 5 == 0, "test", "train"),
    }
    write_parquet(
        dataset.path("segments"),
        table(Segment, label=made_of["gloss_id"], source=source, **made_of),
    )
    first = number % PER_RECORDING * FRAMES
    clip_id = np.array(
        [
            f"{r}-{s:08d}-{k:06x}"
            for r, s, k in zip(made_of["recording_id"], start, number % 2**24, strict=True)
        ]
    )
    hashes = np.array([hashlib.sha256(b"%d" % k).hexdigest() for k in range(rows)])
    write_parquet(
        dataset.path("clips"),
        table(
            Clip,
            clip_id=clip_id,
            source_file=np.char.add(made_of["recording_id"], ".mp4"),
            first_frame=first,
            last_frame=first + FRAMES - 1,
            first_pts=start,
            last_pts=start + 2_600,
            num_frames=np.full(rows, FRAMES),
            fps_num=np.full(rows, 30),
            fps_den=np.full(rows, 1),
            width=np.full(rows, 32),
            height=np.full(rows, 32),
            frames_sha256=hashes,
            psnr_db=np.full(rows, 40.0),
            **made_of,
        ),
    )
    bands = np.array(["18-29", "30-44", "45-59", "60-"])[np.arange(len(names["signers"])) % 4]
    write_parquet(
        dataset.path("signers"),
        table(
            Signer,
            signer_id=names["signers"],
            age_band=bands,
            consent_scope=np.full(len(bands), "publication"),
        ),
    )
    many = len(names["recordings"])
    write_parquet(
        dataset.path("recordings"),
        table(
            Recording,
            recording_id=names["recordings"],
            source_file=np.char.add(names["recordings"], ".mp4"),
            content_sha256=np.array([hashlib.sha256(b"%d" % k).hexdigest() for k in range(many)]),
            size_bytes=np.full(many, 1 << 24),
            container=np.full(many, "mov,mp4"),
            codec=np.full(many, "h264"),
            is_vfr=np.zeros(many, bool),
            has_audio=np.zeros(many, bool),
            **{
                name: np.full(many, value)
                for name, value in {
                    "width": 640,
                    "height": 480,
                    "display_width": 640,
                    "display_height": 480,
                    "num_frames": PER_RECORDING * FRAMES,
                    "time_base_num": 1,
                    "time_base_den": 1000,
                    "origin_pts": 0,
                    "end_ms": PER_RECORDING * STEP_MS,
                    "avg_fps_num": 30,
                    "avg_fps_den": 1,
                }.items()
            },
        ),
    )
    pts = np.tile(np.arange(PER_RECORDING * FRAMES) * STEP_MS // FRAMES, many)
    offsets = np.arange(many + 1, dtype=np.int32) * (PER_RECORDING * FRAMES)
    starts = np.tile(np.arange(27) * 60, many)
    write_parquet(
        dataset.path("timings"),
        table(
            Timing,
            recording_id=names["recordings"],
            pts=pa.ListArray.from_arrays(offsets, pts),
            keyframes=pa.ListArray.from_arrays(np.arange(many + 1, dtype=np.int32) * 27, starts),
        ),
    )
    listed = root / "list.csv"
    sides = np.where(np.arange(len(names["signers"])) % 5 == 0, "test", "train")
    listed.write_text(
        "signer_id,split\n"
        + "".join(f"{s},{d}\n" for s, d in zip(names["signers"], sides, strict=True))
    )
    dataset.update_provenance(name="simulated", stages={})
    make_shards(root, clip_id, classes=sorted(set(made_of["gloss_id"].tolist())))
    write_bytes(root / "made.json", readable_json({"rows": rows}))


def make_shards(root, clip_ids, classes):
    """Shards in which every name stands for the same small clip."""
    folder = root / "shards" / "h264"
    folder.mkdir(parents=True)
    encoder = video.ClipEncoder(
        size=(32, 32),
        time_base=Fraction(1, 30),
        encoding=video.ENCODINGS["h264"],
        folder=folder,
    )
    for pts in range(FRAMES):
        encoder.add(pts, bytes([(pts * 3) % 200]) * (32 * 32 * 3 // 2))
    data = encoder.finish().data
    fields = {**FIELDS, "clip_id": "one", "gloss_id": classes[0]}
    one = folder / "train-00000.tar"
    with pack.writing(one) as writer:
        writer.add("one", field="mp4", data=data)
        writer.add("one", field="json", data=json.dumps(fields).encode(), is_text=True)
    parts, digest, size = pack.read_index(one)
    listed = []
    for place, first in enumerate(range(0, len(clip_ids), PER_SHARD)):
        tar = folder / f"train-{place:05d}.tar"
        if tar != one:
            shutil.copyfile(one, tar)
        some = clip_ids[first : first + PER_SHARD]
        write_index(tar, some, parts, digest, size)
        index = pack.index_path(tar)
        listed.append(
            {
                "file": tar.name,
                "samples": len(some),
                "size": size,
                "sha256": digest,
                "index_size": index.stat().st_size,
                "index_sha256": sha256_file(index),
            }
        )
    side = {"samples": len(clip_ids), "signers": [], "shards": listed}
    document = {
        "format_version": schema.FORMAT_VERSION,
        "name": "simulated",
        "encoding": "h264",
        "split": "signer",
        "unit": "signer_id",
        "dataset_sha256": "0" * 64,
        "made_from": "0" * 64,
        "classes": classes,
        "pose_points": [],
        "splits": {"train": side},
    }
    write_bytes(folder / "index.json", readable_json(document))


def write_index(tar, some, parts, digest, size):
    """An index in which each of these keys has the members `parts`."""
    repeated = len(some) * len(parts)
    rows = table(
        pack.Member,
        key=np.repeat(some, len(parts)),
        field=np.array([p.field for p in parts] * len(some)),
        offset=np.array([p.offset for p in parts] * len(some)),
        size=np.array([p.size for p in parts] * len(some)),
        sha256=np.array([p.sha256 for p in parts] * len(some)),
        text=pa.array([p.text for p in parts] * len(some)),
    )
    assert rows.num_rows == repeated
    metadata = {"tar_sha256": digest, "tar_size": str(size)}
    write_parquet(pack.index_path(tar), rows.replace_schema_metadata(metadata))


# --------------------------------------------------------------------------- jobs


class Clock:
    """Wall and CPU seconds."""

    def __enter__(self):
        self.start, self.cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *error):
        self.read = {
            "wall_s": time.perf_counter() - self.start,
            "cpu_s": time.process_time() - self.cpu,
        }


def split_by(root, rule):
    dataset = Dataset(root)
    file = str(Path(root) / "list.csv") if rule == "list" else None
    options = split.SplitOptions(by=rule, file=file)
    with Clock() as clock:
        split.split(dataset, options=options)
    return clock.read


def read_clips(root):
    with Clock() as clock:
        found = Dataset(root).read("clips", Clip)
    return {**clock.read, "rows": len(found)}


def write_clips(root):
    dataset = Dataset(root)
    rows = dataset.read("clips", Clip)[::-1]
    dataset.path("clips").unlink()
    with Clock() as clock:
        dataset.write("clips", rows)
    return clock.read


def validated(root):
    with Clock() as clock:
        validate.validate(Dataset(root), lexicon=None, rules=validate.Rules())
    return clock.read


def trimmed(root):
    with Clock() as clock:
        clips.trim(Dataset(root), options=ClipOptions(size=32))
    return clock.read


def resized(root):
    """`resize` where every recording is rendered: finding the packs, and what they say."""
    dataset, options = Dataset(root), ClipOptions(size=32)
    make_packs(dataset, options=options)
    media = {name: Path(name) for name in dataset.arrow("recordings")["source_file"].to_pylist()}
    with Clock() as clock:
        clips.resize(dataset, media=media, options=options, workers=1)
    return clock.read


def make_packs(dataset, options):
    """A pack of every recording, which states its clips and holds no pictures."""
    os.fsync = lambda _: None  # there are thousands, and none of them needs to last
    of_recording = {}
    for clip in dataset.read("clips", Clip):
        of_recording.setdefault(clip.recording_id, []).append(clip)
    timing = Timing(recording_id="none", pts=[], keyframes=[])
    facts = {"width": 32, "height": 32, "num_frames": FRAMES, "psnr_db": 40.0}
    for recording in dataset.read("recordings", Recording):
        job = clips._Job(
            recording=recording,
            timing=timing,
            clips=tuple(sorted(of_recording[recording.recording_id], key=lambda c: c.clip_id)),
            path=Path(recording.source_file),
            folder=dataset.root / "clips",
            options=options,
            encodings=(video.ENCODINGS["h264"],),
            threads=1,
        )
        with pack.writing(job.pack_path(job.encodings[0])) as writer:
            for clip in job.clips:
                said = json.dumps({**facts, "frames_sha256": clip.frames_sha256}).encode()
                writer.add(clip.clip_id, field="mp4", data=b"x")
                writer.add(clip.clip_id, field="json", data=said)


def shard_plan(root):
    """What `kslds shard` works out before it copies a byte: sides, fields, hash, order."""
    dataset = Dataset(root)
    with Clock() as clock:
        content = shards._content(dataset, options=shards.ShardOptions(), split=None, name=None)
        for some in content.by_side.values():
            shards._in_order(some)
    return clock.read


def indices_written(root, number):
    """The indices of all shards, from records, as `kslds shard` writes them."""
    with tempfile.TemporaryDirectory() as folder, Clock() as clock:
        for first in range(0, number, PER_SHARD):
            with pack.writing(Path(folder) / f"train-{first // PER_SHARD:05d}.tar") as writer:
                for k in range(first, min(first + PER_SHARD, number)):
                    writer.add(f"clip-{k:08d}", field="mp4", data=b"x")
                    text = json.dumps({**FIELDS, "clip_id": f"clip-{k:08d}"}).encode()
                    writer.add(f"clip-{k:08d}", field="json", data=text, is_text=True)
    return clock.read


def indices_read(root):
    with Clock() as clock:
        number = sum(
            len(pack.read_index(tar)[0]) for tar in (Path(root) / "shards/h264").glob("*.tar")
        )
    return {**clock.read, "rows": number}


def opened(root, **options):
    return loader.load(root, shuffle=True, batch_size=8, threads=2, num_frames=4, **options)


def loader_open(root):
    with Clock() as clock:
        opened(root)
    return clock.read


def loader_first(root):
    """From `kslds.load` to the first batch."""
    with Clock() as clock:
        next(iter(opened(root)))
    return clock.read


def loader_where(root):
    """A filter that looks at every sample's fields."""
    with Clock() as clock:
        number = len(opened(root, where="emotion == None"))
    return {**clock.read, "batches": number}


def loader_state(root):
    """A state in the middle of the epoch, as JSON."""
    stream = opened(root)
    state = halfway(stream)
    stream.load_state_dict(state)
    with Clock() as clock:
        text = json.dumps(stream.state_dict())
    return {**clock.read, "bytes": len(text)}


def halfway(stream):
    return {**stream.state_dict(), "counts": [len(stream) // 2]}


def loader_resume(root):
    """From `load_state_dict` to the next batch, on a stream that is open."""
    stream = opened(root)
    state = halfway(stream)
    with Clock() as clock:
        stream.load_state_dict(state)
        next(iter(stream))
    return clock.read


JOBS = {
    "read the table of clips": (read_clips, {}),
    "write the table of clips": (write_clips, {}),
    "trim": (trimmed, {}),
    "resize: find the packs": (resized, {}),
    "validate": (validated, {}),
    **{f"split by {rule}": (split_by, {"rule": rule}) for rule in split.RULES},
    "shard: plan": (shard_plan, {}),
    "shard: write the indices": (indices_written, {"number": None}),
    "shard: read the indices": (indices_read, {}),
    "loader: open": (loader_open, {}),
    "loader: open to first batch": (loader_first, {}),
    "loader: open with a filter": (loader_where, {}),
    "loader: state": (loader_state, {}),
    "loader: resume to next batch": (loader_resume, {}),
}


def worker():
    """One job in this process, on a copy of the tables."""
    job = json.load(sys.stdin)
    function, arguments = JOBS[job["job"]]
    arguments = {k: job["rows"] if v is None else v for k, v in arguments.items()}
    with tempfile.TemporaryDirectory(dir=job["work"]) as folder:
        root = Path(folder) / "dataset"
        shutil.copytree(Path(job["work"]) / str(job["rows"]), root, copy_function=link)
        if "shard" in job["job"]:
            simple_split(root)
        answer = function(root, **arguments)
    Path(job["answer"]).write_text(json.dumps({**answer, "own_peak_mb": peak_mb()}))


def link(source, target):
    """Tables are replaced, never written into: links are as good as copies."""
    Path(target).hardlink_to(source)


def simple_split(root):
    signers = Dataset(root).arrow("signers")["signer_id"].to_pylist()
    rows = [SplitRow(split="train", unit="signer_id", value=value) for value in signers]
    Dataset(root).write("splits/signer", rows, record=SplitRow)


# --------------------------------------------------------------------------- all


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--trim-rows", type=int, default=1_000_000)
    parser.add_argument("--loso-rows", type=int, default=10_000)
    parser.add_argument("--jobs", nargs="+", default=list(JOBS))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--worker", action="store_true")
    if sys.argv[1:] == ["--worker"]:
        worker()
        return
    given = parser.parse_args()
    work = given.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    most = {"trim": given.trim_rows, "split by loso": given.loso_rows}
    contenders = []
    for rows in given.rows:
        sys.stderr.write(f"making {rows} rows\n")
        make(work / str(rows), rows)
        contenders += [
            Contender(
                name=f"{name} | {rows}",
                command=(sys.executable, __file__, "--worker"),
                job={"job": name, "rows": rows, "work": str(work)},
            )
            for name in given.jobs
            if rows <= most.get(name, rows)
        ]
    try:
        found = rounds(contenders, runs=given.runs, told=lambda t: sys.stderr.write(t + "\n"))
    except KsldsError as error:
        raise SystemExit(str(error)) from error
    rows_out = []
    for name in given.jobs:
        row = {"job": name}
        sizes = [rows for rows in given.rows if f"{name} | {rows}" in found]
        for rows in given.rows:
            runs = found.get(f"{name} | {rows}")
            row[f"{rows:,}: s"] = columns(runs, ("wall_s", "s"))["s"] if runs else ""
            row[f"{rows:,}: MB"] = shown(median(runs, "peak_mb")) if runs else ""
        for quantity, heading in (("cpu_s", "time grows as n^"), ("peak_mb", "memory as n^")):
            last = [median(found[f"{name} | {rows}"], quantity) for rows in sizes[-2:]]
            grows = len(sizes) > 1 and min(last) > 1e-4
            row[heading] = (
                f"{math.log(last[1] / last[0]) / math.log(sizes[-1] / sizes[-2]):.2f}"
                if grows
                else ""
            )
        rows_out.append(row)
    result = Result(
        name="million",
        title="Work on tables alone, by number of clips",
        about={"runs": given.runs, **environment()},
        rows=tuple(rows_out),
        runs=found,
    )
    sys.stdout.write(result.markdown())
    if given.out is not None:
        write(result, out=given.out)


if __name__ == "__main__":
    main()
