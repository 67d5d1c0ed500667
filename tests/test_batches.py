"""Batches, threads, filters, balance, mixes and poses of a stream."""

from __future__ import annotations

import copy
import gc
import itertools
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import kslds
from kslds import batches, pack, shared
from kslds.errors import CorruptData, MediaError, UsageError
from kslds.manifest import Dataset
from kslds.sampling import Sampling
from kslds.state import Told
from tests.painting import read_number
from tests.shard_tools import sample, write_shards

torch_is_an_extra = "torch is an extra"
few_cores = pytest.mark.filterwarnings("ignore:This DataLoader will create")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """23 clips of 6 frames: sign a of signers 0 and 1, and b, rare, of signer 1 alone."""
    samples = []
    for n in range(23):
        rare = n % 6 == 5
        fields = {
            "gloss_id": "b" if rare else "a",
            "label": int(rare),
            "signer_id": f"subject_{1 if rare else n % 2:02d}",
            "emotion": "sad" if n % 4 == 0 else None,
        }
        samples.append(sample(f"c{n:02d}", number=20 * n, **fields))
    return write_shards(tmp_path_factory.mktemp("batches"), samples)


def unbatched(path: Path, **options: Any) -> list[dict[str, Any]]:
    return list(kslds.load(path, num_frames=3, shuffle=True, seed=4, **options))


def our_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("kslds")]


def wait_until_no_thread_is_left() -> None:
    end = time.monotonic() + 20
    while our_threads() and time.monotonic() < end:
        time.sleep(0.01)
    assert not our_threads()


# --------------------------------------------------------------------------- batches


@pytest.mark.parametrize("threads", [0, 1, 3, None])
@pytest.mark.parametrize("encoding", ["h264", "jpeg"])
def test_batches_hold_the_samples_in_their_order(
    small: Dataset, encoding: str, threads: int | None
) -> None:
    options = {"num_frames": 4, "shuffle": True, "sampling": "random", "encoding": encoding}
    samples = list(kslds.load(small.root, **options))
    stream = kslds.load(small.root, batch_size=3, threads=threads, **options)
    got = list(stream)
    assert len(got) == len(stream) == 6
    assert [len(batch["key"]) for batch in got] == [3, 3, 3, 3, 3, 1]
    for name in ("key", "gloss_id", "emotion", "label", "num_frames"):
        values = [value for batch in got for value in batch[name]]
        assert values == [s[name] for s in samples]
    video = np.concatenate([batch["video"] for batch in got])
    assert (video == np.stack([s["video"] for s in samples])).all()
    first = got[0]["video"]
    assert first.shape == (3, 4, 3, 64, 64)
    assert np.moveaxis(first, 2, -1).flags.c_contiguous
    assert got[0]["label"].dtype == np.int64
    assert isinstance(got[0]["gloss_id"], list)
    assert sum(len(b["key"]) for b in stream) == 16  # and so in the next epoch


def test_torch_batches_are_those_of_default_collate(small: Dataset) -> None:
    torch = pytest.importorskip("torch", reason=torch_is_an_extra)
    data = pytest.importorskip("torch.utils.data", reason=torch_is_an_extra)
    options = {"num_frames": 2, "shuffle": True, "output": "torch"}
    ours = list(kslds.load(small.root, batch_size=5, **options))
    theirs = list(data.DataLoader(kslds.load(small.root, **options), batch_size=5))
    for one, other in zip(ours, theirs, strict=True):
        assert set(one) == set(other)
        for name, value in one.items():
            if isinstance(value, torch.Tensor):
                assert value.dtype == other[name].dtype
                assert torch.equal(value, other[name])
            else:
                assert value == other[name]


@few_cores
@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("drop_last", [False, True])
def test_a_dataloader_gives_the_batches_of_one_process(
    shards: Path, workers: int, drop_last: bool
) -> None:
    data = pytest.importorskip("torch.utils.data", reason=torch_is_an_extra)
    options = {"num_frames": 2, "shuffle": True, "batch_size": 4, "drop_last": drop_last}
    stream = kslds.load(shards, **options)
    expected = [batch["key"] for batch in stream]
    stream.set_epoch(0)
    loader = data.DataLoader(stream, batch_size=None, num_workers=workers)
    assert [batch["key"] for batch in loader] == expected
    assert len(loader) == len(expected) == (5 if drop_last else 6)


@few_cores
@pytest.mark.parametrize("batch_size", [None, 2])
def test_two_ranks_of_three_workers_then_three_of_one(shards: Path, batch_size: int | None) -> None:
    """Stopped at different steps, by real workers."""
    data = pytest.importorskip("torch.utils.data", reason=torch_is_an_extra)
    options = {"num_frames": 1, "shuffle": True, "batch_size": batch_size}
    seen: list[str] = []
    states = []
    for rank, steps in ((0, 3), (1, 1)):
        stream = kslds.load(shards, rank=rank, world_size=2, **options)
        own = None if batch_size else 2
        batches_of_rank = iter(
            data.DataLoader(stream, batch_size=None if batch_size else own, num_workers=3)
        )
        seen += [key for _ in range(steps) for key in next(batches_of_rank)["key"]]
        states.append(stream.state_dict(batches=steps, batch_size=own or 1, num_workers=3))
        del batches_of_rank
    assert len(seen) == 8
    for rank in range(3):
        stream = kslds.load(shards, rank=rank, world_size=3, **options)
        stream.load_state_dict(json.loads(json.dumps(states)))
        for item in data.DataLoader(stream, batch_size=None, num_workers=1):
            seen += item["key"] if batch_size else [item["key"]]
    assert sorted(seen) == [f"c{n:02d}" for n in range(23)]


def test_a_batched_stream_goes_on_where_it_was(shards: Path) -> None:
    options = {"num_frames": 1, "shuffle": True}
    whole = [s["key"] for s in kslds.load(shards, **options)]
    stream = kslds.load(shards, batch_size=4, **options)
    iterator = iter(stream)
    seen = [key for _ in range(2) for key in next(iterator)["key"]]
    state = stream.state_dict()
    assert len(json.dumps(state)) < 300
    other = kslds.load(shards, batch_size=3, threads=2, **options)
    other.load_state_dict(state)
    seen += [key for batch in other for key in batch["key"]]
    assert seen == whole


@pytest.mark.parametrize("batch_size", [None, 2])
@pytest.mark.parametrize("merge", [False, True])
def test_states_of_workers_go_on_or_join(
    shards: Path, monkeypatch: pytest.MonkeyPatch, batch_size: int | None, merge: bool
) -> None:
    """As torchdata's StatefulDataLoader does, which asks and restores the copy in each worker."""
    data = pytest.importorskip("torch.utils.data", reason=torch_is_an_extra)
    seen: Counter[str] = Counter()

    def worker(rank: int, number: int) -> kslds.Stream:
        info = SimpleNamespace(id=number, num_workers=3)
        monkeypatch.setattr(data, "get_worker_info", lambda: info)
        return kslds.load(
            shards, num_frames=1, shuffle=True, batch_size=batch_size, rank=rank, world_size=2
        )

    states = []
    for rank, number, steps in ((0, 0, 2), (0, 1, 0), (0, 2, 1), (1, 0, 1), (1, 1, 3), (1, 2, 0)):
        stream = worker(rank, number)
        iterator = iter(stream)
        for _ in range(min(steps, 1 if batch_size else 9)):
            seen.update(np.atleast_1d(next(iterator)["key"]).tolist())
        states.append(stream.state_dict())
        iterator.close()
        if not merge:
            again = worker(rank, number)
            again.load_state_dict(states[-1])
            assert again.state_dict() == states[-1]
            iterator = iter(again)
            item = next(iterator, None)
            if item is not None:
                seen.update(np.atleast_1d(item["key"]).tolist())
            third = worker(rank, number)
            third.load_state_dict(again.state_dict())
            for item in [*third]:
                seen.update(np.atleast_1d(item["key"]).tolist())
    if merge:
        monkeypatch.undo()
        last = kslds.load(shards, num_frames=1, shuffle=True)
        last.load_state_dict(states)
        seen.update(s["key"] for s in last)
    assert seen == Counter(f"c{n:02d}" for n in range(23))


# What torchdata itself does that torch warns of.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("batch_size", [None, 2])
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("taken", [1, 3, 6])
def test_a_stateful_dataloader_goes_on(
    shards: Path, batch_size: int | None, workers: int, taken: int
) -> None:
    pytest.importorskip("torch", reason=torch_is_an_extra)
    stateful = pytest.importorskip("torchdata.stateful_dataloader", reason=torch_is_an_extra)

    def opened() -> tuple[kslds.Stream, Any]:
        stream = kslds.load(
            shards, num_frames=1, shuffle=True, batch_size=batch_size, output="torch"
        )
        size = None if batch_size else 2
        return stream, stateful.StatefulDataLoader(stream, batch_size=size, num_workers=workers)

    def keys(batches: Iterable[Any]) -> list[list[str]]:
        return [batch["key"] for batch in batches]

    stream, loader = opened()
    whole = keys(loader)
    stream.set_epoch(1)
    after = keys(loader)
    for passed in (whole, after):
        assert sorted(itertools.chain(*passed)) == [f"c{n:02d}" for n in range(23)]
    assert whole != after
    _, loader = opened()
    batches = iter(loader)
    first = keys(itertools.islice(batches, taken))
    state = loader.state_dict()
    del batches, loader
    stream, loader = opened()
    loader.load_state_dict(state)
    stream.set_epoch(0)  # as a training does that goes on in this epoch
    assert first + keys(loader) == whole
    stream.set_epoch(1)
    assert keys(loader) == after


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("taken", [1, 2, 5])
def test_states_within_that_of_a_stateful_dataloader_join(shards: Path, taken: int) -> None:
    """Also when some workers have not given a batch yet."""
    stateful = pytest.importorskip("torchdata.stateful_dataloader", reason="needs torchdata")
    stream = kslds.load(shards, num_frames=1, shuffle=True, batch_size=2, output="torch")
    batches = stateful.StatefulDataLoader(stream, batch_size=None, num_workers=3)
    seen = [key for batch in itertools.islice(iter(batches), taken) for key in batch["key"]]
    states: list[Any] = []
    waiting: list[Any] = [batches.state_dict()]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict) and "dataset_sha256" in value:
            states.append(value)
        elif isinstance(value, dict):
            waiting += value.values()
    last = kslds.load(shards, num_frames=1, shuffle=True)
    last.load_state_dict(states)
    assert sorted(seen + [s["key"] for s in last]) == [f"c{n:02d}" for n in range(23)]


def test_a_worker_s_own_state_goes_on_in_that_worker_alone(shards: Path) -> None:
    stream = kslds.load(shards, num_frames=1)
    state = {**stream.state_dict(), "worker": 1, "workers": 2, "counts": [3]}
    stream.load_state_dict(state)
    with pytest.raises(UsageError, match="worker 1 of 2, rank 0 of 1, in blocks of 1, and is"):
        next(iter(stream))


@pytest.mark.parametrize(("ranks", "even"), [(4, True), (4, False), (30, True), (30, False)])
def test_ranks_are_even_if_asked(shards: Path, ranks: int, even: bool) -> None:
    streams = [
        kslds.load(shards, num_frames=1, rank=r, world_size=ranks, even=even) for r in range(ranks)
    ]
    counts = [len(list(stream)) for stream in streams]
    assert counts == [len(stream) for stream in streams]
    assert sum(counts) == (23 - 23 % ranks if even else 23)
    assert max(counts) - min(counts) <= (0 if even else 1)


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(("ranks", "batch_size"), [(2, 11), (3, 7), (4, 5), (6, 2), (22, 3)])
def test_ranks_have_the_same_number_of_batches(
    shards: Path, ranks: int, batch_size: int, workers: int, drop_last: bool
) -> None:
    """Of 23 samples, where one more or less would give some ranks a batch more."""
    data = workers and pytest.importorskip("torch.utils.data", reason=torch_is_an_extra)
    seen: Counter[str] = Counter()
    sizes = []
    for rank in range(ranks):
        stream = kslds.load(
            shards, num_frames=1, rank=rank, world_size=ranks, batch_size=batch_size,
            drop_last=drop_last, output="torch" if workers else "numpy",
        )  # fmt: skip
        batches: Any = stream
        if workers:
            batches = data.DataLoader(stream, batch_size=None, num_workers=workers)
        keys = [batch["key"] for batch in batches]
        assert len(keys) == len(stream)
        seen.update(itertools.chain(*keys))
        sizes.append([len(batch) for batch in keys])
    assert len({len(row) for row in sizes}) == 1
    if drop_last:
        assert {size for row in sizes for size in row} <= {batch_size}
        assert seen.keys() < {f"c{n:02d}" for n in range(23)}
    else:
        assert seen == Counter(f"c{n:02d}" for n in range(23))


def test_clips_of_different_sizes_make_no_batch(tmp_path: Path) -> None:
    root = write_shards(tmp_path, [sample("a"), sample("b", size=(20, 32))])
    assert len(list(kslds.load(root, num_frames=1))) == 2
    with pytest.raises(UsageError, match=r"tar: [ab]: clips of .* do not fit into one batch"):
        list(kslds.load(root, num_frames=1, batch_size=2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": 2, "threads": -1}, "threads=-1"),
        ({"batch_size": 2, "drop_last": 1}, "drop_last=1"),
        ({"drop_last": True}, "about batches"),
        ({"batch_size": 2, "pin_memory": True}, 'output="torch"'),
        ({"even": "yes"}, "even='yes'"),
        ({"num_frames": None, "sampling": Sampling(windows=2)}, "several windows"),
        ({"sampling": "often"}, "sampling='often' is not one of uniform, random, step"),
        ({"where": "colour == 'red'"}, "no field 'colour'; there are clip_id"),
        ({"where": "num_frames > 99"}, "no sample fulfils it"),
        ({"balance": "colour"}, "balance='colour': there is no such field"),
    ],
)
def test_wrong_arguments_are_named(shards: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        kslds.load(shards, **options)


# --------------------------------------------------------------------------- threads


@pytest.mark.parametrize("batch_size", [None, 4])
def test_errors_in_threads_name_shard_and_key(tmp_path: Path, batch_size: int | None) -> None:
    samples = [sample(f"c{n}") for n in range(9)]
    samples[7]["video"] = bytes(len(samples[7]["video"]))
    root = write_shards(tmp_path / "ds", samples)
    stream = kslds.load(root, num_frames=1, batch_size=batch_size, threads=3)
    got = []
    with pytest.raises(MediaError, match=r"train-00001\.tar: c7: the clip cannot be decoded"):
        got.extend(iter(stream))
    assert not [s for s in got if "c7" in s["key"]]
    wait_until_no_thread_is_left()
    for changes in (
        {"frame_sizes": [1]},
        {"frame_sizes": 3},
        {"num_frames": 10**9},
        {"height": "x"},
    ):
        bad = [sample("c0"), sample("c1")]
        bad[1]["fields"] |= changes
        root = write_shards(tmp_path / f"{len(list(tmp_path.iterdir()))}", bad)
        with pytest.raises(CorruptData, match=r"c1: the sample's JSON does not fit its clip"):
            list(kslds.load(root, num_frames=6, batch_size=2, threads=2))


@pytest.mark.parametrize("how", ["close", "forget", "exhaust"])
def test_threads_end_with_the_iterator(shards: Path, how: str) -> None:
    stream = kslds.load(shards, num_frames=1, batch_size=2, threads=3)
    iterator = iter(stream)
    next(iterator)
    assert our_threads()
    if how == "close":
        iterator.close()
    elif how == "exhaust":
        list(iterator)
    del iterator
    gc.collect()
    wait_until_no_thread_is_left()


def test_an_interpreter_ends_with_an_iterator_at_work(shards: Path) -> None:
    program = (
        "import sys, kslds\n"
        "it = iter(kslds.load(sys.argv[1], num_frames=1, batch_size=2, threads=4))\n"
        "print(len(next(it)['key']), 'torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(shards)], capture_output=True, timeout=60, check=True
    )
    assert done.stdout.split() == [b"2", b"False"]
    assert not done.stderr


def test_results_come_in_order_and_only_so_far_ahead() -> None:
    started = []

    def task(number: int) -> int:
        started.append(number)
        time.sleep(0.002 * (number % 3))
        return number

    got = []
    for number in batches.in_order((lambda n=n: task(n) for n in range(40)), threads=4, ahead=6):
        got.append(number)
        assert max(started) <= number + 6
    assert got == list(range(40))


def _read_in_child(path: str, queue: Any) -> None:
    stream = kslds.load(path, num_frames=1, batch_size=2, threads=2)
    queue.put([key for batch in stream for key in batch["key"]])


@pytest.mark.filterwarnings("ignore:.*use of fork")
@pytest.mark.skipif(sys.platform != "linux", reason="fork is safe on Linux only")
def test_a_fork_beside_running_threads_reads_for_itself(shards: Path) -> None:
    iterator = iter(kslds.load(shards, num_frames=1, batch_size=2, threads=2))
    next(iterator)
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    process = context.Process(target=_read_in_child, args=(str(shards), queue))
    process.start()
    assert len(queue.get()) == 23
    process.join(30)
    assert process.exitcode == 0
    assert len(list(iterator)) == 11


# --------------------------------------------------------------------------- which samples


def test_a_filter_chooses_and_the_rest_is_as_before(shards: Path) -> None:
    options = {"num_frames": 1, "shuffle": True}
    sad = kslds.load(shards, where="emotion == 'sad' and label == 0", **options)
    expected = {f["key"] for f in kslds.load(shards).fields() if f["emotion"] and not f["label"]}
    assert {f["key"] for f in sad.fields()} == expected
    assert len(sad) == len(expected) == 6
    assert sorted(s["key"] for s in sad) == sorted(expected)
    state = sad.state_dict()
    with pytest.raises(UsageError, match="another where"):
        kslds.load(shards, **options).load_state_dict(state)


@pytest.mark.parametrize("field", ["gloss_id", "emotion", "signer_id"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_balance_gives_every_value_its_share(shards: Path, field: str, shuffle: bool) -> None:
    stream = kslds.load(shards, num_frames=1, shuffle=shuffle, balance=field)
    epochs = [[(s["key"], s[field]) for s in stream] for _ in range(5)]
    for epoch in epochs:
        values = Counter(value for _, value in epoch)
        assert len(values) == 2
        assert set(values.values()) == {12}  # half of 23, rounded up
    assert len(stream) == 24
    assert len({key for epoch in epochs for key, _ in epoch}) == 23  # all take their turn
    parts = [
        [s["key"] for s in kslds.load(
            shards, num_frames=1, shuffle=shuffle, balance=field, rank=r, world_size=3)]
        for r in range(3)
    ]  # fmt: skip
    assert Counter(k for part in parts for k in part) == Counter(k for k, _ in epochs[0])


def test_a_mix_has_shares_labels_and_states(shards: Path, tmp_path: Path) -> None:
    other = write_shards(
        tmp_path,
        [sample(f"o{n}", gloss_id="c", label=1) for n in range(5)],
        classes=("b", "c"),
    )

    def mixed(**options: Any) -> kslds.Stream:
        both = [kslds.load(p, num_frames=1, shuffle=True, **options) for p in (shards, other)]
        return kslds.mix(both, weights=[1, 3], length=20, seed=2)

    stream = mixed()
    assert stream.classes == ("a", "b", "c")
    first = list(stream)
    assert Counter(s["dataset"] for s in first) == {0: 5, 1: 15}
    assert all(stream.classes[s["label"]] == s["gloss_id"] for s in first)
    assert set(Counter(s["key"] for s in first if s["dataset"]).values()) == {3}
    keys = [s["key"] for s in first]
    assert [s["key"] for s in stream] != keys
    seen = {s["key"] for s in first if not s["dataset"]}
    for _ in range(3):  # epochs 2, 3 and 4
        seen |= {s["key"] for s in stream if not s["dataset"]}
    stream.set_epoch(1)
    seen |= {s["key"] for s in stream if not s["dataset"]}
    assert len(seen) == 23
    # Ranks and states as with one stream.
    begun = mixed(batch_size=4)
    iterator = iter(begun)
    got = [key for _ in range(2) for key in next(iterator)["key"]]
    parts = []
    for rank in range(2):
        rest = mixed(rank=rank, world_size=2)
        rest.load_state_dict(begun.state_dict())
        parts.append([s["key"] for s in rest])
    assert got + [k for pair in zip(*parts, strict=True) for k in pair] == keys
    assert len(list(mixed().fields())) == 28


def test_what_does_not_mix_is_said(shards: Path, tmp_path: Path) -> None:
    one = kslds.load(shards, num_frames=1)
    points = np.zeros((6, 2, 3), np.float32)
    posed = write_shards(tmp_path / "posed", [{**sample("p"), "pose": points}])
    empty = kslds.load(write_shards(tmp_path / "empty", []), num_frames=1)
    for streams, options, message in (
        ([], {}, "a list of streams"),
        ([shards], {}, "a list of streams"),
        ([one, kslds.load(shards, num_frames=2)], {}, "the same frames"),
        ([one, kslds.load(posed, num_frames=1)], {}, "only some"),
        ([one, empty], {}, "stream 1 has no samples"),
        ([one, empty], {"weights": [1, 1], "length": 5}, "stream 1 has no samples"),
        ([one, one], {"weights": [1]}, "a positive number for each"),
        ([one, one], {"weights": [1, 0]}, "a positive number for each"),
        ([one, one], {"weights": [1, float("nan")]}, "a positive number for each"),
        ([one, one], {"length": 0}, "length=0"),
    ):
        with pytest.raises(UsageError, match=message):
            kslds.mix(streams, **options)


# --------------------------------------------------------------------------- frames and poses


@pytest.mark.parametrize("batch_size", [None, 2])
def test_windows_come_before_time(shards: Path, batch_size: int | None) -> None:
    sampling = Sampling(rule="step", step=1, windows=3)
    stream = kslds.load(shards, num_frames=2, sampling=sampling, batch_size=batch_size)
    video = next(iter(stream))["video"]
    if batch_size:
        assert video.shape == (2, 3, 2, 3, 32, 40)
        video = video[0]
    assert video.shape == (3, 2, 3, 32, 40)
    numbers = [[read_number(np.moveaxis(f, 0, -1)) for f in window] for window in video]
    assert numbers == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize("threads", [0, 2])
def test_poses_are_of_the_same_frames(tmp_path: Path, threads: int) -> None:
    samples = []
    for n in range(5):
        points = np.zeros((6, 4, 3), np.float32)
        points[:, 0, 0] = 20 * n + np.arange(6)
        samples.append({**sample(f"c{n}", number=20 * n), "pose": points})
    del samples[2]["pose"]
    root = write_shards(tmp_path, samples, each=2)
    options = {"num_frames": 3, "sampling": "random", "shuffle": True}
    for one in kslds.load(root, **options):
        assert one["pose"].shape == (3, 4, 3)
        assert one["pose"].dtype == np.float32
        numbers = [read_number(np.moveaxis(frame, 0, -1)) for frame in one["video"]]
        if one["key"] == "c2":
            assert np.isnan(one["pose"]).all()
        else:
            assert one["pose"][:, 0, 0].tolist() == numbers
    batch = next(iter(kslds.load(root, batch_size=5, threads=threads, **options)))
    assert batch["pose"].shape == (5, 3, 4, 3)
    windows = Sampling(windows=2)
    one = next(iter(kslds.load(root, num_frames=2, sampling=windows)))
    assert one["pose"].shape == (2, 2, 4, 3)
    assert all("pose" not in fields for fields in kslds.load(root).fields())


def test_poses_that_are_too_short_are_noticed(tmp_path: Path) -> None:
    root = write_shards(tmp_path, [{**sample("c"), "pose": np.zeros((2, 4, 3), np.float32)}])
    with pytest.raises(CorruptData, match="does not fit its clip"):
        list(kslds.load(root, num_frames=6))


# --------------------------------------------------------------------------- torch


def test_a_stream_is_a_dataset_of_torch_whenever_that_is_imported(shards: Path) -> None:
    pytest.importorskip("torch", reason=torch_is_an_extra)
    program = (
        "import sys, kslds\n"
        "stream = kslds.load(sys.argv[1], num_frames=1)\n"
        "assert 'torch' not in sys.modules\n"
        "from torch.utils.data import DataLoader, IterableDataset\n"
        "assert isinstance(stream, IterableDataset) and isinstance(stream, kslds.Stream)\n"
        "print(sum(len(batch['key']) for batch in DataLoader(stream, batch_size=4)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(shards)], capture_output=True, timeout=120, check=True
    )
    assert done.stdout.split() == [b"23"]


def test_a_label_that_is_none_is_noticed(tmp_path: Path) -> None:
    for number, label in enumerate((2, -1, "a", [0], 1.0, True)):
        root = write_shards(tmp_path / str(number), [sample("c", label=label)])
        with pytest.raises(CorruptData, match=r"c\.json is not the JSON of a sample"):
            list(kslds.load(root, num_frames=1))


def test_to_device_normalises(small: Dataset) -> None:
    torch = pytest.importorskip("torch", reason=torch_is_an_extra)
    batch = next(iter(kslds.load(small.root, num_frames=2, batch_size=3, output="torch")))
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.25, 0.5)
    out = kslds.to_device(batch, "cpu", mean=mean, std=std)
    expected = batch["video"].to(torch.float64) / 255
    for c in range(3):
        expected[:, :, c] = (expected[:, :, c] - mean[c]) / std[c]
    assert out["video"].is_contiguous()
    assert out["video"].shape == (3, 2, 3, 64, 64)
    torch.testing.assert_close(out["video"], expected.to(torch.float32), atol=1e-5, rtol=1e-5)
    assert out["key"] == batch["key"]
    assert batch["video"].dtype == torch.uint8  # as it was
    half = kslds.to_device(batch, "cpu", dtype=torch.float16)["video"]
    assert half.dtype == torch.float16
    assert float(half.min()) >= 0
    assert float(half.max()) <= 1
    with pytest.raises(UsageError, match="expected a floating type"):
        kslds.to_device(batch, "cpu", dtype=torch.uint8)
    with pytest.raises(UsageError, match="no tensor 'video'"):
        kslds.to_device(next(iter(kslds.load(small.root, num_frames=1))), "cpu")
    for device in ("graphics card", 1.5):
        with pytest.raises(UsageError, match="is none that torch knows"):
            kslds.to_device(batch, device)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mean": (0.5, 0.5)}, "mean=.*: expected three numbers"),
        ({"mean": 0.5}, "mean=0.5: expected three numbers"),
        ({"mean": "abc"}, "mean='abc': expected three numbers"),
        ({"mean": (float("nan"), 0, 0)}, "mean=.*: expected three numbers"),
        ({"std": (1, 1, 1, 1)}, "std=.*: expected three numbers"),
        ({"std": (1, 0, 1)}, r"std=\(1, 0, 1\): expected numbers above 0"),
    ],
)
def test_to_device_says_what_it_expects(
    small: Dataset, options: dict[str, Any], message: str
) -> None:
    torch = pytest.importorskip("torch", reason=torch_is_an_extra)
    batch = next(iter(kslds.load(small.root, num_frames=2, batch_size=3, output="torch")))
    with pytest.raises(UsageError, match=message):
        kslds.to_device(batch, "cpu", **options)
    with pytest.raises(UsageError, match=r"the video is torch\.float32, not torch\.uint8"):
        kslds.to_device(kslds.to_device(batch, "cpu"), "cpu")
    as_list = kslds.to_device(batch, "cpu", mean=[0.5, 0.25, 0], std=[0.5, 1, 2])["video"]
    for kind in (np.array, torch.tensor):
        other = kslds.to_device(batch, "cpu", mean=kind([0.5, 0.25, 0]), std=kind([0.5, 1, 2]))
        assert torch.equal(other["video"], as_list)


@pytest.mark.parametrize("batch_size", [None, 3])
@pytest.mark.parametrize("windows", [1, 2])
def test_planes_become_the_same_colours_on_the_device(
    small: Dataset, batch_size: int | None, windows: int
) -> None:
    torch = pytest.importorskip("torch", reason=torch_is_an_extra)
    options: dict[str, Any] = {
        "num_frames": 4, "batch_size": batch_size, "output": "torch",
        "sampling": Sampling(windows=windows),
    }  # fmt: skip
    pairs = zip(
        kslds.load(small.root, **options),
        kslds.load(small.root, pixels="yuv", **options),
        strict=True,
    )
    for rgb, yuv in pairs:
        assert "video" not in yuv
        assert yuv["yuv"].dtype == torch.uint8
        assert yuv["yuv"].shape[-3:] == (4, 96, 64)
        got = kslds.to_device(yuv, "cpu", mean=(0.1, 0.2, 0.3), std=(1, 1, 1))
        assert "yuv" not in got
        assert got["video"].shape == rgb["video"].shape
        assert got["video"].is_contiguous()
        back = (got["video"] + torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)) * 255
        apart = back - rgb["video"].to(torch.float32)
        # FFmpeg reckons with whole numbers, and rounds down.
        assert float(apart.min()) > -0.6
        assert float(apart.max()) < 3.1
        assert got["key"] == rgb["key"]


def test_planes_are_exact_colours() -> None:
    """Grey, and the colours of BT.601 whose codes are whole numbers or nearly so."""
    torch = pytest.importorskip("torch", reason=torch_is_an_extra)
    colours = {
        (16, 128, 128): (0, 0, 0), (235, 128, 128): (255, 255, 255), (126, 128, 128): (128.08,) * 3,
        (81, 90, 240): (254.5, 0.1, 0), (145, 54, 34): (0, 255, 0.4), (41, 240, 110): (0.4, 0, 255),
        (255, 128, 128): (255, 255, 255), (0, 128, 128): (0, 0, 0),
    }  # fmt: skip
    for (y, u, v), rgb in colours.items():
        planes = torch.tensor([[y] * 4] * 4 + [[u] * 4] + [[v] * 4], dtype=torch.uint8)
        got = kslds.to_device({"yuv": planes[None]}, "cpu")["video"][0] * 255
        for channel, value in enumerate(rgb):
            assert (got[channel] - value).abs().max() < 0.8, (y, u, v)


def test_planes_where_there_are_none(small: Dataset, shards: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"pixels='yuv' is of H\.264; the encoding is jpeg"):
        kslds.load(small.root, encoding="jpeg", pixels="yuv")
    with pytest.raises(UsageError, match="pixels='bgr' is not 'rgb' or 'yuv'"):
        kslds.load(small.root, pixels="bgr")


@pytest.mark.parametrize("output", ["numpy", "torch"])
def test_memory_is_used_again_and_never_while_somebody_has_it(shards: Path, output: str) -> None:
    if output == "torch":
        pytest.importorskip("torch", reason=torch_is_an_extra)
    options = {"num_frames": 6, "output": output, "threads": 2, "batch_size": 1}

    def array_of(video: Any) -> np.ndarray:
        return video.numpy() if output == "torch" else video

    expected = [array_of(batch["video"]).copy() for batch in kslds.load(shards, **options)]
    kept, addresses = [], set()
    for number, batch in enumerate(kslds.load(shards, **options)):
        addresses.add(array_of(batch["video"]).__array_interface__["data"][0])
        if number % 5 == 0:
            kept.append((number, batch["video"][:, 2:4]))  # a view of a part
        del batch
    assert len(addresses) < len(expected)
    assert len(kept) == 5
    for number, part in kept:
        assert (array_of(part) == expected[number][:, 2:4]).all()


def test_passes_over_a_stream_do_not_disturb_each_other(shards: Path) -> None:
    """Random frames too: one pass ends, and the next epoch begins, while another goes on."""
    options = {"num_frames": 2, "sampling": "random", "shuffle": True}
    stream = kslds.load(shards, **options)
    first = [s["video"].tobytes() for s in stream]
    stream.set_epoch(0)
    slow = iter(stream)
    got = [next(slow)["video"].tobytes()]
    assert [s["video"].tobytes() for s in stream] == first
    got += [s["video"].tobytes() for s in slow]
    assert got == first


def _sent(tensor: Any) -> Any:
    """As a queue of processes does it."""
    return ForkingPickler.loads(ForkingPickler.dumps(tensor))


def _filled(memory: batches.Memory, value: int) -> tuple[Any, int]:
    """A tensor as it is handed on, and where it lies."""
    array, tensor = memory.new((2, 3, 4, 3))
    array[...] = value
    return memory.handed(tensor.swapaxes(1, 3)), array.ctypes.data


def test_shared_memory_is_used_again_when_both_processes_let_go() -> None:
    torch = pytest.importorskip("torch", reason=torch_is_an_extra)
    memory = batches.Memory("shared")
    handed, address = _filled(memory, 7)
    got = _sent(handed)
    assert type(got) is torch.Tensor
    assert got.shape == (2, 3, 4, 3)
    assert got.stride() == (36, 1, 3, 12)
    assert (got == 7).all()
    part = got[1:]
    del got, handed
    assert _filled(memory, 8)[1] != address  # a part of it is still there
    assert (part == 7).all()
    del part
    again, where = _filled(memory, 9)
    assert where == address
    del_me = _sent(again)
    del del_me
    assert _filled(memory, 10)[1] != address  # this process has it still
    assert (again == 9).all()


def _view(torch: Any, tensor: Any) -> Any:
    return tensor[:1]


def _view_in_a_list(torch: Any, tensor: Any) -> Any:
    return torch.atleast_1d([tensor])[0]


def _unnoticed_view(torch: Any, tensor: Any) -> Any:
    return torch.Tensor._make_subclass(torch.Tensor, tensor)


def _itself(torch: Any, tensor: Any) -> Any:
    return tensor


@pytest.mark.parametrize("way", [_view, _view_in_a_list, _unnoticed_view, _itself])
def test_what_is_sent_twice_is_not_written_over(way: Callable[[Any, Any], Any]) -> None:
    torch = pytest.importorskip("torch", reason=torch_is_an_extra)
    memory = batches.Memory("shared")
    handed, address = _filled(memory, 7)
    other = way(torch, handed)
    pair = [_sent(handed), _sent(other)]
    del handed, other
    kept = pair.pop()
    pair.clear()
    addresses = {_filled(memory, 8)[1] for _ in range(3)}
    assert address not in addresses
    assert (kept == 7).all()


def _as_subclass(torch: Any, tensor: Any) -> Any:
    return tensor.as_subclass(torch.Tensor)


@pytest.mark.parametrize("way", [_view, _view_in_a_list, _as_subclass, _itself])
def test_what_is_sent_at_different_times_is_not_written_over(
    way: Callable[[Any, Any], Any],
) -> None:
    torch = pytest.importorskip("torch", reason=torch_is_an_extra)
    memory = batches.Memory("shared")
    handed, address = _filled(memory, 7)
    kept = _sent(way(torch, handed))
    del_me = _sent(handed)
    del handed, del_me
    assert address not in {_filled(memory, 8)[1] for _ in range(3)}
    assert (kept == 7).all()


@pytest.mark.parametrize("threads", [0, 4])
@pytest.mark.parametrize("output", ["numpy", "torch"])
def test_an_interpreter_ends_quietly_amid_an_epoch(shards: Path, threads: int, output: str) -> None:
    """Torch changes the order in which modules go."""
    if output == "torch":
        pytest.importorskip("torch", reason=torch_is_an_extra)
    program = (
        "import sys, kslds, itertools\n"
        + ("from torch.utils.data import DataLoader\n" if output == "torch" else "")
        + f"options = {{'threads': {threads}, 'output': {output!r}}}\n"
        "stream = kslds.load(sys.argv[1], num_frames=6, batch_size=1, **options)\n"
        "one = iter(stream); x = next(one); y = next(one)\n"
    )
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", program, str(shards)], capture_output=True, timeout=120
        )
        assert (done.returncode, done.stderr) == (0, b"")


def test_copies_of_what_is_sent_are_ordinary_tensors(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason=torch_is_an_extra)
    memory = batches.Memory("shared")
    handed, address = _filled(memory, 7)
    torch.save({"video": handed}, tmp_path / "batch.pt")
    copies = [
        copy.copy(handed),
        copy.deepcopy(handed),
        torch.load(tmp_path / "batch.pt", weights_only=True)["video"],
    ]
    del_me = _sent(handed)
    del handed, del_me
    assert address not in {_filled(memory, 8)[1] for _ in range(3)}
    for one in copies:
        assert type(one) is torch.Tensor
        assert (one == 7).all()


def test_threads_never_take_the_same_shared_memory() -> None:
    torch = pytest.importorskip("torch", reason=torch_is_an_extra)
    memory = batches.Memory("shared")
    for value in range(8):
        del_me = _sent(_filled(memory, value)[0])
        del del_me
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(100):
            with ThreadPoolExecutor(8) as pool:
                made = list(pool.map(lambda value: _filled(memory, value), range(8)))
            assert len({address for _, address in made}) == 8
            for value, (handed, _) in enumerate(made):
                assert (torch.Tensor.clone(handed) == value).all()
    finally:
        sys.setswitchinterval(interval)


def test_a_fork_lets_nothing_go_that_its_parent_has() -> None:
    pytest.importorskip("torch", reason=torch_is_an_extra)
    memory = batches.Memory("shared")
    handed, address = _filled(memory, 7)
    got = [_sent(handed)]
    del handed
    child = multiprocessing.get_context("fork").Process(target=got.clear)
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert _filled(memory, 8)[1] != address
    assert (got[0] == 7).all()


def _compare(tensor: Any, expected: Any, ready: Any, results: Any) -> None:
    ready.get()
    results.put(bool((tensor == expected).all()))


@few_cores
@pytest.mark.filterwarnings("ignore:.*use of fork")
@pytest.mark.skipif(sys.platform != "linux", reason="fork is safe on Linux only")
def test_a_fork_keeps_what_its_parent_lets_go(shards: Path) -> None:
    pytest.importorskip("torch", reason=torch_is_an_extra)
    data = pytest.importorskip("torch.utils.data", reason=torch_is_an_extra)
    options = {"num_frames": 6, "output": "torch", "batch_size": 1}
    expected = next(iter(kslds.load(shards, **options)))["video"]
    iterator = iter(data.DataLoader(kslds.load(shards, **options), batch_size=None, num_workers=1))
    batch = next(iterator)
    context = multiprocessing.get_context("fork")
    ready, results = context.SimpleQueue(), context.SimpleQueue()
    child = context.Process(target=_compare, args=(batch["video"], expected, ready, results))
    child.start()
    child._args = ()  # or the parent keeps it
    del batch
    for other in iterator:
        del other
    ready.put(None)
    assert results.get()
    child.join(60)


def _halves(batch: dict[str, Any]) -> dict[str, Any]:
    return {"video": batch["video"], "half": batch["video"][:, :1], "key": batch["key"]}


@few_cores
@pytest.mark.parametrize("collate", [None, _halves])
def test_what_is_kept_of_a_dataloader_is_never_written_over(shards: Path, collate: Any) -> None:
    torch = pytest.importorskip("torch", reason=torch_is_an_extra)
    data = pytest.importorskip("torch.utils.data", reason=torch_is_an_extra)
    options = {"num_frames": 6, "output": "torch", "batch_size": 1}
    expected = [batch["video"].clone() for batch in kslds.load(shards, **options)]
    kept = []
    loader = data.DataLoader(
        kslds.load(shards, **options), batch_size=None, num_workers=2, collate_fn=collate
    )
    for number, batch in enumerate(loader):
        assert torch.equal(batch["video"], expected[number])
        if number % 4 == 0:
            kept.append((number, batch["half"] if collate else batch["video"][:, :1]))
        del batch
    assert len(kept) == 6
    for number, part in kept:
        assert torch.equal(part, expected[number][:, :1])


def _file_of(address: int) -> str:
    """Device and number of the file that lies at an address of this process."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, _, _, device, number, *_ = line.split()
        start, end = (int(part, 16) for part in span.split("-"))
        if start <= address < end:
            return f"{device} {number}"
    raise LookupError(hex(address))


@few_cores
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="it tells what lies where")
@pytest.mark.parametrize("threads", [None, 0, 1, 2])
def test_a_worker_uses_its_memory_again_also_in_the_next_epoch(
    shards: Path, threads: int | None
) -> None:
    pytest.importorskip("torch", reason=torch_is_an_extra)
    data = pytest.importorskip("torch.utils.data", reason=torch_is_an_extra)
    stream = kslds.load(shards, num_frames=6, output="torch", batch_size=1, threads=threads)
    loader = data.DataLoader(stream, batch_size=None, num_workers=1, persistent_workers=True)
    files, number = set(), 0
    for _ in range(3):
        for batch in loader:
            files.add(_file_of(batch["video"].data_ptr()))
            number += 1
            del batch
    assert number == 3 * len(stream)
    assert len(files) <= 8


linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what is open")


def _mapped() -> int:
    """How much memory of torch's is mapped here."""
    return sum("/torch_" in line for line in Path("/proc/self/maps").read_text().splitlines())


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _check_frames(batch: dict[str, Any]) -> None:
    """Those of `shards`, whose numbers follow from the key."""
    for key, video in zip(batch["key"], batch["video"], strict=True):
        numbers = [read_number(frame.numpy().transpose(1, 2, 0)) for frame in video]
        assert numbers == list(range(20 * int(key[1:]), 20 * int(key[1:]) + len(numbers)))


class _Opening:
    """A dataset that opens streams itself, in the worker, and lets them go."""

    def __init__(self, path: Path, times: int, queue: Any = None) -> None:
        self.path, self.times, self.queue = path, times, queue

    def __iter__(self) -> Any:
        for _ in range(self.times):
            stream = kslds.load(self.path, num_frames=6, output="torch", batch_size=8)
            for batch in stream:
                if self.queue is None:
                    yield batch
                else:
                    self.queue.put(batch)
                    yield batch["key"]


def _loader(dataset: Any, **options: Any) -> Any:
    data = pytest.importorskip("torch.utils.data", reason=torch_is_an_extra)
    if isinstance(dataset, _Opening):
        data.IterableDataset.register(_Opening)
    return data.DataLoader(dataset, batch_size=None, num_workers=1, **options)


@few_cores
@linux
def test_batches_of_workers_keep_no_files_open(shards: Path) -> None:
    """Only the place of their memory is sent."""
    pytest.importorskip("torch", reason=torch_is_an_extra)
    stream = kslds.load(shards, num_frames=6, output="torch", batch_size=1)
    next(iter(_loader(stream)))  # the first opens some for good
    gc.collect()
    mapped, files = _mapped(), _open_files()
    loader = _loader(stream, persistent_workers=True)
    kept = [next(iter(loader))]
    begun = _open_files()
    for _ in range(2):
        kept.extend(loader)
    assert _open_files() == begun
    assert _mapped() >= mapped + 47
    del loader
    gc.collect()
    assert _open_files() <= files
    for batch in kept:
        _check_frames(batch)
    del kept, batch
    assert _mapped() == mapped


@few_cores
@linux
def test_no_more_of_a_worker_s_memory_is_mapped_than_it_has(shards: Path) -> None:
    pytest.importorskip("torch", reason=torch_is_an_extra)
    gc.collect()
    mapped = _mapped()
    loader = _loader(kslds.load(shards, num_frames=6, output="torch", batch_size=1))
    kept = []
    for batch in loader:
        kept.append(batch)
    assert _mapped() >= mapped + 23
    iterator = iter(_loader(_Opening(shards, times=20)))
    del batch, kept, loader
    gc.collect()
    assert _mapped() == mapped
    for number, batch in enumerate(iterator):
        _check_frames(batch)
        del batch
        assert _mapped() <= mapped + 9, number
    assert number == 59


@few_cores
@linux
@pytest.mark.parametrize("context", ["fork", "spawn", "forkserver"])
def test_a_stream_may_go_before_its_batches_arrive(shards: Path, context: str) -> None:
    loader = _loader(_Opening(shards, times=3), prefetch_factor=16, multiprocessing_context=context)
    iterator = iter(loader)
    kept = [next(iterator)]
    time.sleep(1)  # the worker is done with all of them
    kept.extend(iterator)
    for batch in kept:
        _check_frames(batch)
    keys = Counter(key for batch in kept for key in batch["key"])
    assert keys == {f"c{n:02d}": 3 for n in range(23)}


def _read_frames(queue: Any, results: Any) -> None:
    kept = []
    while (batch := queue.get()) is not None:
        kept.append(batch)
    for batch in kept:
        _check_frames(batch)
    results.put(Counter(key for batch in kept for key in batch["key"]))


@few_cores
@linux
@pytest.mark.filterwarnings("ignore:.*use of fork")
def test_a_worker_sends_its_batches_to_any_process(shards: Path) -> None:
    pytest.importorskip("torch", reason=torch_is_an_extra)
    context = multiprocessing.get_context("fork")
    queue, results = context.Queue(), context.Queue()
    process = context.Process(target=_read_frames, args=(queue, results), daemon=True)
    process.start()
    loader = _loader(_Opening(shards, times=3, queue=queue), persistent_workers=True)
    assert sum(len(keys) for keys in loader) == 3 * 23
    for batch in _loader(kslds.load(shards, num_frames=6, output="torch", batch_size=4)):
        queue.put(batch)  # on from here
    queue.put(None)
    assert results.get(timeout=60) == {f"c{n:02d}": 4 for n in range(23)}
    process.join(60)
    assert process.exitcode == 0


def _no_places(_: int) -> None:
    shared._others_open = lambda process: False  # type: ignore[assignment]


@few_cores
@linux
def test_where_nobody_may_look_torch_sends_the_files(shards: Path) -> None:
    pytest.importorskip("torch", reason=torch_is_an_extra)
    stream = kslds.load(shards, num_frames=6, output="torch", batch_size=1)
    loader = _loader(stream, persistent_workers=True, worker_init_fn=_no_places)
    kept, files = [], set()
    for epoch in range(3):
        for number, batch in enumerate(loader):
            _check_frames(batch)
            if epoch == 1 and number % 5 == 0:
                kept.append(batch)
            elif epoch == 2:
                files.add(_file_of(batch["video"].data_ptr()))
            del batch
    assert len(files) <= 8
    for batch in kept:
        _check_frames(batch)


@linux
def test_lost_memory_does_not_stay() -> None:
    """What torch sends by itself is not on its way for ever."""
    pytest.importorskip("torch", reason=torch_is_an_extra)
    gc.collect()
    mapped, memory = _mapped(), batches.Memory("shared")
    for value in range(30):
        handed, _ = _filled(memory, value)
        handed.max()
        assert (_sent(handed) == value).all()
        del handed
    files = set()
    for value in range(30):
        handed, address = _filled(memory, value)
        files.add(_file_of(address))
        assert (_sent(handed) == value).all()
        del handed
    assert len(files) <= 2
    assert _mapped() <= mapped + 8


def test_however_many_are_on_their_way_all_arrive_and_are_used_again() -> None:
    pytest.importorskip("torch", reason=torch_is_an_extra)
    memory = batches.Memory("shared")
    seen: list[set[int]] = []
    for _ in range(2):
        sent = []
        seen.append(set())
        for value in range(20):
            handed, address = _filled(memory, value)
            seen[-1].add(address)
            sent.append(ForkingPickler.dumps(handed))
            del handed
        for value, message in enumerate(sent):
            assert (ForkingPickler.loads(message) == value).all()
    assert len(seen[0]) == 20
    assert seen[1] == seen[0]
    handed, _ = _filled(memory, 7)
    message = ForkingPickler.dumps(handed)
    del handed, memory
    gc.collect()
    assert (ForkingPickler.loads(message) == 7).all()


def _put_and_end(queue: Any) -> None:
    queue.put(_filled(batches.Memory("shared"), 7)[0])


@linux
@pytest.mark.filterwarnings("ignore:.*use of fork")
def test_memory_of_a_process_that_has_ended() -> None:
    pytest.importorskip("torch", reason=torch_is_an_extra)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=_put_and_end, args=(queue,))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    with pytest.raises(RuntimeError, match=f"memory of worker {process.pid} cannot be opened"):
        queue.get(timeout=60)


@linux
def test_another_file_of_the_same_number_is_not_taken_for_a_batch(tmp_path: Path) -> None:
    """As of another process with the same number."""
    pytest.importorskip("torch", reason=torch_is_an_extra)
    handed, _ = _filled(batches.Memory("shared"), 7)
    place = handed.block.place
    message = ForkingPickler.dumps(handed)
    with (tmp_path / "other").open("wb+") as file:
        file.write(bytes(place.size))
        file.flush()
        backup = os.dup(place.file)
        os.dup2(file.fileno(), place.file)
        with pytest.raises(RuntimeError, match=f"worker {os.getpid()} has ended"):
            ForkingPickler.loads(message)
        os.dup2(backup, place.file)
        os.close(backup)
    assert (ForkingPickler.loads(message) == 7).all()


@few_cores
@linux
def test_two_threads_read_from_workers_at_once(shards: Path) -> None:
    pytest.importorskip("torch", reason=torch_is_an_extra)
    stream = kslds.load(shards, num_frames=6, output="torch", batch_size=2)

    def read(epochs: int) -> Counter[str]:
        kept = [batch for _ in range(epochs) for batch in _loader(stream)]
        for batch in kept:
            _check_frames(batch)
        return Counter(key for batch in kept for key in batch["key"])

    with ThreadPoolExecutor(2) as pool:
        seen = list(pool.map(read, [3, 3]))
    assert seen == [{f"c{n:02d}": 3 for n in range(23)}] * 2


@pytest.mark.parametrize("persistent", [False, True])
def test_an_interpreter_ends_quietly_amid_an_epoch_of_a_worker(
    shards: Path, persistent: bool
) -> None:
    pytest.importorskip("torch", reason=torch_is_an_extra)
    program = (
        "import sys, kslds\n"
        "from torch.utils.data import DataLoader\n"
        "stream = kslds.load(sys.argv[1], num_frames=6, batch_size=1, output='torch')\n"
        "options = {'num_workers': 1, 'persistent_workers': sys.argv[2] == 'True'}\n"
        "loader = DataLoader(stream, batch_size=None, **options)\n"
        "all = list(loader)\n"
        "it = iter(loader); one = next(it); part = next(it)['video'].numpy()[:, 1:]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(shards), str(persistent)],
        capture_output=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def _exit_with_mapped() -> None:
    sys.exit(_mapped())


@few_cores
@linux
@pytest.mark.filterwarnings("ignore:.*use of fork")
def test_a_fork_keeps_no_memory_that_nobody_uses(shards: Path) -> None:
    pytest.importorskip("torch", reason=torch_is_an_extra)
    gc.collect()
    mapped = _mapped()
    stream = kslds.load(shards, num_frames=6, output="torch", batch_size=1)
    loader = _loader(stream, persistent_workers=True)
    for batch in loader:
        del batch
    assert _mapped() > mapped
    child = multiprocessing.get_context("fork").Process(target=_exit_with_mapped)
    child.start()
    child.join(60)
    assert child.exitcode == mapped


@few_cores
@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers_that_stay_are_in_the_same_epoch(shards: Path, context: str) -> None:
    """However far ahead of the others a worker is when a pass is broken off."""
    pytest.importorskip("torch", reason=torch_is_an_extra)
    data = pytest.importorskip("torch.utils.data", reason=torch_is_an_extra)
    options = {"num_frames": 1, "output": "torch", "batch_size": 2, "shuffle": True}
    plain = kslds.load(shards, **options)
    epochs = [[key for batch in plain for key in batch["key"]] for _ in range(20)]
    stream = kslds.load(shards, **options)
    stream.set_epoch(1)
    loader = data.DataLoader(
        stream,
        batch_size=None,
        num_workers=2,
        persistent_workers=True,
        multiprocessing_context=context,
    )
    epoch = 1
    for stop in (1, 5, 7, 8, 9, 10, 11):
        got = [key for batch in itertools.islice(loader, stop) for key in batch["key"]]
        assert got == epochs[epoch][: 2 * stop]
        if stop in (5, 9):
            epoch = stop - 4
            stream.set_epoch(18)
            stream.set_epoch(epoch)
        else:
            epoch += 1
        assert [key for batch in loader for key in batch["key"]] == epochs[epoch]
        epoch += 1


@few_cores
def test_workers_are_in_the_same_epoch_after_an_error(shards: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason=torch_is_an_extra)
    data = pytest.importorskip("torch.utils.data", reason=torch_is_an_extra)
    root = Path(shutil.copytree(shards, tmp_path / "copy"))
    options = {"num_frames": 1, "output": "torch", "batch_size": 2, "shuffle": True}
    plain = kslds.load(root, **options)
    epochs = [[key for batch in plain for key in batch["key"]] for _ in range(2)]
    tar = root / "shards" / "jpeg" / "train-00000.tar"
    good = tar.read_bytes()
    tar.write_bytes(bytes(len(good)))
    loader = data.DataLoader(
        kslds.load(root, **options), batch_size=None, num_workers=2, persistent_workers=True
    )
    with pytest.raises(CorruptData, match="the bytes of"):
        list(loader)
    with tar.open("r+b") as file:  # which the workers have open
        file.write(good)
    assert [key for batch in loader for key in batch["key"]] == epochs[1]


def _tell(told: Told) -> None:
    told.tell(5)


@pytest.mark.filterwarnings("ignore:.*use of fork")
@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_processes_that_got_a_stream_do_not_tell_each_other_s_workers(context: str) -> None:
    told = Told().tell(3)
    told.news()
    process = multiprocessing.get_context(context).Process(target=_tell, args=(told,))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert told.news() is None


def test_only_the_workers_of_a_stream_hear_of_its_epoch(shards: Path) -> None:
    stream = kslds.load(shards, num_frames=1, shuffle=True)
    first = [sample["key"] for sample in stream]
    twin = copy.deepcopy(stream)
    stream.set_epoch(7)
    third = kslds.load(shards, num_frames=1, shuffle=True)
    third.set_epoch(1)
    expected = [sample["key"] for sample in third]
    assert [sample["key"] for sample in _sent(twin)] == expected
    assert [sample["key"] for sample in twin] == expected
    for _ in range(2):  # broken off, in one process: the same epoch again
        twin.set_epoch(0)
        assert next(iter(twin))["key"] == first[0]
        assert [sample["key"] for sample in twin] == first


def _doubled(batch: dict[str, Any]) -> dict[str, Any]:
    return {**batch, "twice": batch["label"] * 2, "kind": type(batch["label"] * 2).__name__}


@few_cores
def test_small_tensors_come_as_ordinary_ones(shards: Path) -> None:
    torch = pytest.importorskip("torch", reason=torch_is_an_extra)
    data = pytest.importorskip("torch.utils.data", reason=torch_is_an_extra)
    options = {"num_frames": 1, "output": "torch", "batch_size": 4}
    expected = list(kslds.load(shards, **options))
    loader = data.DataLoader(
        kslds.load(shards, **options), batch_size=None, num_workers=2, collate_fn=_doubled
    )
    for batch, own in zip(loader, expected, strict=True):
        assert {type(batch[name]) for name in ("label", "num_frames", "twice")} == {torch.Tensor}
        assert torch.equal(batch["label"], own["label"])
        assert torch.equal(batch["twice"], own["label"] * 2)
        assert batch["kind"] == "Tensor"
        batch["label"] += 1  # it may be written to


def test_single_frames_are_read_and_checked(small: Dataset, tmp_path: Path) -> None:
    """Of JPEG, in a local folder: what is not sampled is not read."""
    root = Path(shutil.copytree(small.root, tmp_path / "copy"))
    tar = root / "shards" / "jpeg" / "train-00000.tar"
    members, _, _ = pack.read_index(tar)
    first = next(m for m in members if m.field == "mjpeg")
    text = next(m for m in members if m.key == first.key and m.field == "json")
    data = bytearray(tar.read_bytes())
    fields = json.loads(data[text.offset : text.offset + text.size])
    assert len(fields["frame_crc32"]) == len(fields["frame_sizes"]) == fields["num_frames"]
    data[first.offset + sum(fields["frame_sizes"][:2]) + 30] ^= 1  # of its third frame
    tar.write_bytes(data)

    def read(number: int, **options: Any) -> list[np.ndarray]:
        chosen = {"where": f"clip_id == '{first.key}'", "encoding": "jpeg"}
        stream = kslds.load(root, num_frames=number, **chosen, **options)
        return [s["video"] for s in stream]

    middle = read(1)  # the frame in the middle, which is another
    assert len(middle) == 1
    message = rf"train-00000\.tar: the bytes of {first.key}\.mjpeg are not those"
    with pytest.raises(CorruptData, match=message):
        read(fields["num_frames"])
    with pytest.raises(CorruptData, match=message):
        read(1, cache=tmp_path / "cache")  # which takes whole clips


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("frame_sizes", lambda sizes: [2**62] * 4 + [sum(sizes), 0]),  # as int64 the sum is right
        ("frame_sizes", lambda sizes: [*sizes, 0]),
        ("frame_sizes", lambda sizes: [-1, sizes[0] + sizes[1] + 1, *sizes[2:]]),
        ("frame_sizes", lambda sizes: [float(size) for size in sizes]),
        ("frame_sizes", lambda sizes: [str(size) for size in sizes]),
        ("frame_sizes", lambda sizes: "".join(map(str, sizes))),
        ("frame_sizes", lambda sizes: None),
        ("frame_crc32", lambda checks: checks[:3]),
        ("frame_crc32", lambda checks: 3),
        ("num_frames", lambda number: number - 2),
        ("num_frames", lambda number: number + 2),
    ],
)
def test_a_sample_that_lies_about_its_frames_is_refused(
    tmp_path: Path, cached: bool, name: str, change: Callable[[Any], Any]
) -> None:
    one = sample("a")
    fields, ends = one["fields"], np.cumsum(one["fields"]["frame_sizes"])
    fields["frame_crc32"] = [
        zlib.crc32(part) for part in np.split(np.frombuffer(one["video"], np.uint8), ends[:-1])
    ]
    root = write_shards(tmp_path / "good", [one])
    assert len(list(kslds.load(root, num_frames=6))) == 1
    fields[name] = change(fields[name])
    root = write_shards(tmp_path / "bad", [one])
    with pytest.raises(CorruptData, match=r"tar: a: the sample's JSON does not fit its clip"):
        list(kslds.load(root, num_frames=1, cache=tmp_path / "cache" if cached else None))


def test_an_index_may_list_members_in_any_order(shards: Path, tmp_path: Path) -> None:
    """The columns of the index follow the keys, not the order in the tar."""
    root = Path(shutil.copytree(shards, tmp_path / "copy"))
    folder = root / "shards" / "jpeg"
    index = json.loads((folder / "index.json").read_text())
    for shard in index["splits"]["train"]["shards"]:
        tar = folder / shard["file"]
        members, _, _ = pack.read_index(tar)
        table = pack.schema.to_table(pack.Member, sorted(members, key=lambda m: m.sha256))
        pack.write_parquet(pack.index_path(tar), table)
        shard["index_sha256"] = pack.sha256_file(pack.index_path(tar))
    (folder / "index.json").write_text(json.dumps(index))
    got = {s["key"]: s["video"].tobytes() for s in kslds.load(root, num_frames=1)}
    assert got == {s["key"]: s["video"].tobytes() for s in kslds.load(shards, num_frames=1)}


def _changed(table: Any, column: str, value: Any) -> Any:
    """The index with another value in one row."""
    names = table.column_names
    values = [value, *table[column].to_pylist()[1:]]
    return table.set_column(names.index(column), column, pa.array(values))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("offset", -5),
        ("size", -7),
        ("size", 2**61),
        ("key", None),
        ("key", "қ"),
        ("sha256", None),
        ("sha256", " " * 64),
        ("sha256", "ab"),
    ],
)
def test_an_index_that_makes_no_sense_is_refused(
    tmp_path: Path, column: str, value: object
) -> None:
    """Also where its hash is right."""
    root = write_shards(tmp_path, [sample("a"), sample("b")])
    path = root / "shards" / "jpeg" / "train-00000.index.parquet"
    pq.write_table(_changed(pq.read_table(path), column, value), path)
    index = path.with_name("index.json")
    document = json.loads(index.read_text())
    document["splits"]["train"]["shards"][0]["index_sha256"] = pack.sha256_file(path)
    index.write_text(json.dumps(document))
    with pytest.raises(
        CorruptData, match=r"train-00000\.index\.parquet is not an index of a shard"
    ):
        list(kslds.load(root, num_frames=1))


@pytest.mark.parametrize("number", [2**40, 2**33, -1, True, 2.0, "2", None])
def test_numbers_of_samples_that_no_shard_has(tmp_path: Path, number: object) -> None:
    root = write_shards(tmp_path, [sample("a"), sample("b")])
    index = root / "shards" / "jpeg" / "index.json"
    document = json.loads(index.read_text())
    document["splits"]["train"]["shards"][0]["samples"] = number
    index.write_text(json.dumps(document))
    with pytest.raises(CorruptData, match=r"no usable index: ValueError.*numbers of samples"):
        kslds.load(root, num_frames=1)
