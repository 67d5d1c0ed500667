"""How fast the loader is, beside bare decode loops on the same bytes, which nothing can beat here.

Batches of 8 clips × 16 frames, uint8, a whole epoch in the order of the shards, and the next one.
"""

from __future__ import annotations

import json
import multiprocessing
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np

from kslds import frames, loader, pack
from kslds.bench.measure import (
    Bars,
    Contender,
    Meter,
    Result,
    Runs,
    call,
    columns,
    environment,
    median,
    rounds,
    shown,
)
from kslds.errors import IncompleteDataset, KsldsError, UsageError
from kslds.pack import SHARD_NAME
from kslds.video import ENCODINGS

BATCH = 8
FRAMES = 16


@dataclass(frozen=True, kw_only=True)
class LoaderBench:
    """What to measure.

    Raises:
        UsageError: A value is out of range.
    """

    dataset: str
    """The folder of a dataset with WebDataset shards."""
    split: str = "train"
    encodings: tuple[str, ...] = ()
    """Those that it has, if not given."""
    parallel: tuple[int, ...] = (1, 2)
    """Threads, or worker processes."""
    runs: int = 5

    def __post_init__(self) -> None:
        if not self.parallel or min(self.parallel) < 1 or max(self.parallel) > 256:
            raise UsageError(f"parallel = {list(self.parallel)}: expected numbers from 1 to 256.")
        unknown = [name for name in self.encodings if name not in ENCODINGS]
        if unknown:
            raise UsageError(f"{unknown[0]!r} is not one of {', '.join(ENCODINGS)}.")


def bench(options: LoaderBench, *, told: Callable[[str], None] | None = None) -> Result:
    """Measure the loader.

    Args:
        options: What to measure.
        told: Is told what is being measured.

    Raises:
        IncompleteDataset: There are no shards.
        UsageError: The split does not exist, or a number is out of range.
    """
    folder = Path(options.dataset)
    there = [n for n in ENCODINGS if (folder / "shards" / n / "index.json").is_file()]
    missing = [name for name in options.encodings if name not in there]
    if missing or not there:
        raise IncompleteDataset(
            f"{folder} has no finished shards {(missing or ['shards/<encoding>'])[0]!r}.",
            hint="Run: kslds shard DIR --format webdataset",
        )
    contenders = []
    for encoding in options.encodings or there:
        number = len(loader.load(folder, split=options.split, encoding=encoding))
        if number < BATCH:
            raise UsageError(
                f"split {options.split!r} has {number} clips; expected {BATCH} or more."
            )
        given = {"path": str(folder.absolute()), "split": options.split, "encoding": encoding}
        for n in options.parallel:
            contenders.append(Contender(name=_bare(encoding, n), job=call(bare, loops=n, **given)))
            own = {"threads": {"kind": "threads"}}
            if encoding == "h264":
                own["threads, planes"] = {"kind": "threads", "pixels": "yuv"}
            if find_spec("torch") is not None:
                own["workers"] = {"kind": "workers"}
            contenders += [
                Contender(
                    name=f"{encoding}, kslds, {n} {name if n > 1 else name.replace('s', '', 1)}",
                    job=call(stream, number=n, **how, **given),
                )
                for name, how in own.items()
            ]
    found = rounds(contenders, runs=options.runs, told=told)
    return Result(
        name="loader",
        title=f"Reading {FRAMES} frames of each clip, batches of {BATCH}",
        about={
            "clips": int(next(iter(found.values()))[0]["clips"]),
            "runs": options.runs,
            **environment(),
        },
        rows=tuple(_row(name, found) for name in found),
        runs=found,
        bars=(
            Bars(
                title="clips per second, whole epoch",
                unit="clips/s",
                values={name: [run["clips_per_s"] for run in runs] for name, runs in found.items()},
            ),
        ),
        notes=(
            "First batch: from kslds.load to the first batch. Resume: from load_state_dict in the "
            "middle of the epoch to the next batch. Whole epochs, start-up of workers included; "
            "the next epoch has it behind. "
            "Planes: colours are left to the accelerator.",
        ),
    )


def _bare(encoding: str, loops: int) -> str:
    return f"{encoding}, {loops} bare decode loop{'s' * (loops > 1)}"


def _row(name: str, found: Runs) -> dict[str, str]:
    runs = found[name]
    encoding, *which = name.split(", ")
    number = next(int(part.split()[0]) for part in which if part[0].isdecimal())
    limit = found[_bare(encoding, number)]
    row = {
        "what": name,
        **columns(runs, ("clips_per_s", "clips/s")),
        "÷ bare": f"{median(runs, 'clips_per_s') / median(limit, 'clips_per_s'):.2f}",
        "next epoch ÷ bare": f"{median(runs, next_) / median(limit, 'clips_per_s'):.2f}"
        if (next_ := "next_clips_per_s") in runs[0]
        else "",
        **columns(runs, ("cpu_ms_a_clip", "CPU ms a clip")),
    }
    for quantity, heading in (("first_ms", "first batch ms"), ("resume_ms", "resume ms")):
        row[heading] = shown(median(runs, quantity)) if quantity in runs[0] else ""
    return row | columns(runs, ("peak_mb", "peak MB"), spreads=False)


def _answer(meter: Meter | Mapping[str, float], clips: int) -> dict[str, float]:
    read = meter.read if isinstance(meter, Meter) else dict(meter)
    return {
        **read,
        "clips": float(clips),
        "clips_per_s": clips / read["wall_s"],
        "cpu_ms_a_clip": read["cpu_s"] / clips * 1000,
    }


# --------------------------------------------------------------------------- bare loops


def _clips(path: str, *, split: str, encoding: str) -> list[tuple[bytes, list[int]]]:
    """The bytes of every clip, and the sizes of its frames where it is JPEG."""
    folder = Path(path) / "shards" / encoding
    index = json.loads((folder / "index.json").read_bytes())
    found = []
    for shard in index["splits"][split]["shards"]:
        if not SHARD_NAME.fullmatch(shard["file"]):
            raise KsldsError(f"{shard['file']!r} is not the name of a shard.")
        with pack.PackReader(folder / shard["file"]) as reader:
            for key in reader.keys:
                fields = json.loads(reader.read(key, field="json"))
                data = reader.read(key, field=ENCODINGS[encoding].field)
                found.append((data, fields.get("frame_sizes") or [fields["num_frames"]]))
    return found


def _decode(data: bytes, sizes: Sequence[int], *, jpeg: bool, out: frames.Frames | None) -> Any:
    number = len(sizes) if jpeg else sizes[0]
    indices = [int((k + 0.5) * number / FRAMES) for k in range(FRAMES)]
    if not jpeg:
        return frames.read_frames(data, indices=indices, out=out)
    ends = np.cumsum(sizes).tolist()
    return frames.read_jpegs([data[ends[i] - sizes[i] : ends[i]] for i in indices], out=out)


def _loop(clips: Sequence[tuple[bytes, list[int]]], jpeg: bool, ready: Any, answers: Any) -> None:
    """Decode clips into one array, over and over; tells when it began and ended."""
    out = _decode(*clips[0], jpeg=jpeg, out=None)
    ready.wait()
    start, cpu = time.perf_counter(), time.process_time()
    for data, sizes in clips:
        _decode(data, sizes, jpeg=jpeg, out=out)
    answers.put((start, time.perf_counter(), time.process_time() - cpu))


def bare(*, path: str, split: str, encoding: str, loops: int) -> dict[str, float]:
    """So many processes, each with its share of the clips in memory, and nothing but decoding."""
    clips = _clips(path, split=split, encoding=encoding)
    context = multiprocessing.get_context("spawn")
    ready, answers = context.Barrier(loops), context.Queue()
    processes = [
        context.Process(target=_loop, args=(clips[k::loops], encoding == "jpeg", ready, answers))
        for k in range(loops)
    ]
    for process in processes:
        process.start()
    told = [answers.get(timeout=3600) for _ in processes]
    for process in processes:
        process.join()
    # The clock that they read is the machine's.
    wall = max(end for _, end, _ in told) - min(start for start, _, _ in told)
    return _answer({"wall_s": wall, "cpu_s": sum(cpu for *_, cpu in told)}, len(clips))


# --------------------------------------------------------------------------- the loader


def stream(
    *, path: str, split: str, encoding: str, number: int, kind: str, pixels: str = "rgb"
) -> dict[str, float]:
    """One epoch of `kslds.load`, with so many threads, or workers of a `DataLoader`."""
    output = "numpy"
    if kind == "workers":
        import torch

        torch.set_num_threads(1)
        output = "torch"

    def opened() -> loader.Stream:
        threads = number if kind == "threads" else None
        return loader.load(
            path, split=split, encoding=encoding, num_frames=FRAMES, batch_size=BATCH,
            threads=threads, output=output, pixels=pixels,
        )  # fmt: skip

    def batches(*, kept: bool = False) -> Iterable[Mapping[str, Any]]:
        """Of a stream just opened; workers are kept from epoch to epoch, or not."""
        if kind == "threads":
            return opened()
        from torch.utils.data import DataLoader

        workers: Any = DataLoader(
            cast(Any, opened()), batch_size=None, num_workers=number, persistent_workers=kept
        )
        return cast("Iterable[Mapping[str, Any]]", workers)

    clips, first = 0, 0.0
    with Meter() as meter:
        begin = time.perf_counter()
        for batch in batches():
            first = first or time.perf_counter() - begin
            clips += len(batch["key"])
    kept = batches(kept=True)
    deque(kept, maxlen=0)
    begin = time.perf_counter()
    deque(kept, maxlen=0)
    found = {
        **_answer(meter, clips),
        "first_ms": first * 1000,
        "next_clips_per_s": clips / (time.perf_counter() - begin),
    }
    if kind == "threads":
        found["resume_ms"] = _resume(opened(), opened(), batches=clips // BATCH // 2)
    return found


def _resume(left: loader.Stream, other: loader.Stream, *, batches: int) -> float:
    """Milliseconds from a state in the middle of an epoch to the batch after it."""
    for _ in zip(range(max(batches, 1)), left, strict=False):
        state = left.state_dict()
    begin = time.perf_counter()
    other.load_state_dict(state)
    next(iter(other), None)
    return (time.perf_counter() - begin) * 1000
