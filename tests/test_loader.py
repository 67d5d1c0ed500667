"""Every sample exactly once, the right frames, and going on in the middle."""

from __future__ import annotations

import itertools
import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kslds
from kslds import loader, pack
from kslds.errors import CorruptData, IncompleteDataset, MissingFile, UsageError
from kslds.manifest import Dataset
from tests.painting import read_number
from tests.shard_tools import sample as made_up
from tests.shard_tools import write_shards


def keys(stream: loader.Stream) -> list[str]:
    return [sample["key"] for sample in stream]


def all_keys(dataset: Dataset, split: str) -> set[str]:
    sides = dataset.splits["signer"].set_index("value")["split"]
    clips = dataset.clips
    return set(clips.clip_id[clips.signer_id.map(sides) == split])


@pytest.mark.parametrize("encoding", ["h264", "jpeg"])
def test_samples_hold_the_right_frames(small: Dataset, encoding: str) -> None:
    stream = kslds.load(small.root, split="train", num_frames=4, encoding=encoding)
    count = 0
    for sample in stream:
        assert sample["video"].shape == (4, 3, 64, 64)
        assert sample["video"].dtype == np.uint8
        first, number = sample["first_frame"], sample["num_frames"]
        expected = [first + int((k + 0.5) * number / 4) for k in range(4)]
        frames = sample["video"].transpose(0, 2, 3, 1)
        assert [read_number(frame) for frame in frames] == expected
        assert stream.classes[sample["label"]] == sample["gloss_id"]
        count += 1
    assert count == len(stream) == 16


def test_all_frames_and_torch_output(small: Dataset) -> None:
    torch = pytest.importorskip("torch", reason="torch is an extra")
    sample = next(iter(kslds.load(small.root, num_frames=None, sampling="all", output="torch")))
    assert sample["video"].dtype == torch.uint8
    assert tuple(sample["video"].shape) == (12, 3, 64, 64)
    numbers = [read_number(f) for f in sample["video"].permute(0, 2, 3, 1).numpy()]
    assert numbers == list(range(sample["first_frame"], sample["last_frame"] + 1))


def test_each_sample_once_per_epoch_and_another_order_each_epoch(small: Dataset) -> None:
    stream = kslds.load(small.root, split="train", num_frames=1, shuffle=True, seed=3)
    first, second = keys(stream), keys(stream)
    assert sorted(first) == sorted(second) == sorted(all_keys(small, "train"))
    assert first != second
    stream.set_epoch(0)
    assert keys(stream) == first
    assert keys(kslds.load(small.root, split="train", num_frames=1, shuffle=True, seed=3)) == first


def test_the_sides_are_disjoint_in_signers(small: Dataset) -> None:
    sides = [
        {s["signer_id"] for s in kslds.load(small.root, split=side, num_frames=1)}
        for side in ("train", "test")
    ]
    assert sides[0].isdisjoint(sides[1])
    assert len(sides[0] | sides[1]) == 6


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on machines of few cores
@pytest.mark.parametrize("workers", [0, 1, 2, 3])
def test_dataloader_workers_see_each_sample_once(small: Dataset, workers: int) -> None:
    data = pytest.importorskip("torch.utils.data", reason="torch is an extra")
    stream = kslds.load(small.root, split="train", num_frames=2, shuffle=True)
    seen: list[str] = []
    for batch in data.DataLoader(stream, batch_size=3, num_workers=workers):
        assert batch["video"].shape[1:] == (2, 3, 64, 64)
        seen += batch["key"]
    assert sorted(seen) == sorted(all_keys(small, "train"))


@settings(max_examples=60, deadline=None)
@given(
    stops=st.lists(st.tuples(st.integers(1, 3), st.integers(0, 3), st.integers(0, 4)), max_size=3),
    batch_size=st.integers(1, 3),
    last=st.tuples(st.integers(1, 4), st.integers(0, 3)),
)
def test_going_on_with_other_ranks_and_workers_misses_and_repeats_nothing(
    small: Dataset, stops: list[tuple[int, int, int]], batch_size: int, last: tuple[int, int]
) -> None:
    """Ranks and workers are played by asking the stream for each one's part of the order."""
    seen: Counter[int] = Counter()
    state = None
    for world, workers, batches in [*stops, (*last, 10_000)]:
        for rank in range(world):
            stream = kslds.load(small.root, shuffle=True, seed=5, rank=rank, world_size=world)
            if state is not None:
                stream.load_state_dict(state)
            seen.update(taken(stream, workers, batches, batch_size))
        state = stream.state_dict(batches=batches, batch_size=batch_size, num_workers=workers)
    assert seen == Counter(range(16))


def taken(stream: loader.Stream, workers: int, batches: int, batch_size: int) -> list[int]:
    """What a DataLoader hands out in its first `batches` batches, by its own documented rule."""
    lanes = max(workers, 1)
    place = stream._lane
    parts = [
        list(replace(place, worker=w, workers=lanes).of(stream._left())[0]) for w in range(lanes)
    ]
    queues = [[p[i : i + batch_size] for i in range(0, len(p), batch_size)] for p in parts]
    out: list[int] = []
    turn = 0
    while batches and any(queues):
        if queues[turn % lanes]:
            out += queues[turn % lanes].pop(0)
            batches -= 1
        turn += 1
    return [int(i) for i in out]


def test_going_on_after_a_plain_dataloader(small: Dataset) -> None:
    data = pytest.importorskip("torch.utils.data", reason="torch is an extra")
    stream = kslds.load(small.root, num_frames=1, shuffle=True, seed=9)
    batches = iter(data.DataLoader(stream, batch_size=2, num_workers=2))
    seen = [key for _ in range(3) for key in next(batches)["key"]]
    state = stream.state_dict(batches=3, batch_size=2, num_workers=2)
    del batches
    other = kslds.load(small.root, num_frames=1, shuffle=True, seed=9)
    other.load_state_dict(state)
    seen += [key for batch in data.DataLoader(other, batch_size=4) for key in batch["key"]]
    assert sorted(seen) == sorted(all_keys(small, "train"))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_state_asked_for_after_the_last_batch_is_of_the_epoch_that_ended(
    small: Dataset, workers: int
) -> None:
    data = pytest.importorskip("torch.utils.data", reason="torch is an extra")
    stream = kslds.load(small.root, num_frames=1, shuffle=True, seed=9)
    number = sum(1 for _ in data.DataLoader(stream, batch_size=2, num_workers=workers))
    state = stream.state_dict(batches=number, batch_size=2, num_workers=workers)
    other = kslds.load(small.root, num_frames=1, shuffle=True, seed=9)
    other.load_state_dict(state)
    assert keys(other) == []
    stream.set_epoch(1)
    assert keys(other) == keys(stream)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on machines of few cores
@pytest.mark.parametrize("start", ["fork", "spawn"])
@pytest.mark.parametrize("told", [None, 4])
def test_a_state_is_of_the_epoch_that_kept_workers_are_at(
    small: Dataset, told: int | None, start: str
) -> None:
    data = pytest.importorskip("torch.utils.data", reason="torch is an extra")
    stream = kslds.load(small.root, num_frames=1, shuffle=True, batch_size=2)
    batches = data.DataLoader(
        stream,
        batch_size=None,
        num_workers=2,
        persistent_workers=True,
        multiprocessing_context=start,
    )
    for epoch in range(3):
        if epoch == 1 and told is not None:
            stream.set_epoch(told)
        seen = [key for batch in itertools.islice(iter(batches), 3) for key in batch["key"]]
        state = stream.state_dict(batches=3, num_workers=2)
        assert state["epoch"] == (epoch if told is None or not epoch else told - 1 + epoch)
        other = kslds.load(small.root, num_frames=1, shuffle=True)
        other.load_state_dict(state)
        assert sorted(seen + keys(other)) == sorted(all_keys(small, "train"))


@pytest.mark.parametrize("taken", [1, 5, 7])
def test_ranks_that_have_seen_the_end_join_those_that_have_not(small: Dataset, taken: int) -> None:
    seen: list[str] = []
    states = []
    for rank in range(3):  # 16 samples: one rank has six, two have five
        stream = kslds.load(small.root, num_frames=1, shuffle=True, rank=rank, world_size=3)
        iterator = iter(stream)
        seen += [s["key"] for s in itertools.islice(iterator, taken if rank else 7)]
        states.append(stream.state_dict())
    assert [state["epoch"] for state in states] == [1, *([1, 1] if taken > 5 else [0, 0])]
    last = kslds.load(small.root, num_frames=1, shuffle=True)
    last.load_state_dict(states)
    assert sorted(seen + (keys(last) if taken < 7 else [])) == sorted(all_keys(small, "train"))
    assert last.state_dict()["epoch"] == 1


def test_going_on_in_one_process_gives_the_rest_in_the_same_order(small: Dataset) -> None:
    stream = kslds.load(small.root, num_frames=1, shuffle=True)
    whole = keys(stream)
    stream.set_epoch(0)
    iterator = iter(stream)
    start = [next(iterator)["key"] for _ in range(5)]
    state = stream.state_dict()
    other = kslds.load(small.root, num_frames=1, shuffle=True)
    other.load_state_dict(state)
    middle = iter(other)
    start += [next(middle)["key"] for _ in range(4)]
    third = kslds.load(small.root, num_frames=1, shuffle=True)
    third.load_state_dict(other.state_dict())
    assert start + keys(third) == whole
    assert sorted(keys(third)) == sorted(whole)  # the next epoch is a whole one again


def test_a_state_of_another_split_is_refused(small: Dataset) -> None:
    state = kslds.load(small.root, split="test").state_dict()
    with pytest.raises(UsageError, match="another split"):
        kslds.load(small.root, split="train").load_state_dict(state)


def test_uniform_frames_are_the_middles_of_equal_parts() -> None:
    assert loader.frame_indices(8, wanted=4, sampling="uniform") == [1, 3, 5, 7]
    assert loader.frame_indices(3, wanted=6, sampling="uniform") == [0, 0, 1, 1, 2, 2]
    assert loader.frame_indices(1, wanted=3, sampling="uniform") == [0, 0, 0]
    assert loader.frame_indices(5, wanted=None, sampling="all") == [0, 1, 2, 3, 4]


@given(st.integers(1, 300), st.integers(1, 64), st.integers(0, 2**32))
def test_random_frames_are_ascending_in_range_and_evenly_spaced(
    num_frames: int, wanted: int, seed: int
) -> None:
    rng = np.random.Generator(np.random.PCG64(seed))
    got = loader.frame_indices(num_frames, wanted=wanted, sampling="random", rng=rng)
    assert len(got) == wanted
    assert got == sorted(got)
    assert got[0] >= 0
    assert got[-1] < num_frames
    steps = np.diff(got)
    assert len(steps) == 0 or steps.max() - steps.min() <= 1


def test_wrong_questions_get_clear_answers(small: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no split 'dev'; it has test, train"):
        kslds.load(small.root, split="dev")
    with pytest.raises(UsageError, match="sampling='middle'"):
        kslds.load(small.root, sampling="middle")
    with pytest.raises(UsageError, match="num_frames=0"):
        kslds.load(small.root, num_frames=0)
    with pytest.raises(IncompleteDataset, match="no finished shards"):
        kslds.load(tmp_path)
    with pytest.raises(UsageError, match="hf://datasets/org/name"):
        kslds.load("hf://datasets/justname")


def test_a_flipped_byte_is_noticed(small: Dataset, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(small.root, root)
    tar = root / "shards" / "h264" / "train-00000.tar"
    data = bytearray(tar.read_bytes())
    data[5000] ^= 1
    tar.write_bytes(data)
    with pytest.raises(CorruptData, match=r"train-00000\.tar"):
        keys(kslds.load(root, num_frames=1))


def test_a_shard_index_that_differs_is_noticed(small: Dataset, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(small.root, root)
    other = root / "shards" / "h264" / "test-00000.index.parquet"
    shutil.copy(other, root / "shards" / "h264" / "train-00000.index.parquet")
    with pytest.raises(CorruptData, match=r"train-00000\.index\.parquet"):
        list(kslds.load(root))


# --------------------------------------------------------------------------- fields, damage, arguments


def test_fields_are_those_of_the_samples_without_the_video(small: Dataset) -> None:
    for encoding in ("h264", "jpeg"):
        stream = kslds.load(small.root, num_frames=1, encoding=encoding)
        fields = list(stream.fields())
        samples = list(stream)
        assert [sample.pop("video").shape[0] for sample in samples] == [1] * 16
        assert fields == samples


def test_fields_are_the_whole_side_for_every_rank_and_leave_the_epoch_alone(small: Dataset) -> None:
    stream = kslds.load(small.root, num_frames=1, shuffle=True, rank=1, world_size=3)
    iterator = iter(stream)
    first = next(iterator)["key"]
    assert {f["key"] for f in stream.fields()} == all_keys(small, "train")
    rest = [sample["key"] for sample in iterator]
    again = kslds.load(small.root, num_frames=1, shuffle=True, rank=1, world_size=3)
    assert [first, *rest] == keys(again)


def test_a_sample_keeps_its_key_whatever_its_fields_say(tmp_path: Path) -> None:
    own = made_up("a")
    own["fields"]["key"] = "b"
    write_shards(tmp_path, [own])
    (read,) = kslds.load(tmp_path)
    assert next(iter(read)) == "key"
    assert read["key"] == "a"


def test_shards_from_before_a_field_go_together_with_newer_ones(tmp_path: Path) -> None:
    old = write_shards(tmp_path / "old", [made_up("o0"), made_up("o1")])
    new = write_shards(tmp_path / "new", [made_up("n0", translation_kk="Су"), made_up("n1")])
    streams = [kslds.load(folder, split="train", num_frames=2) for folder in (old, new)]
    assert [s["translation_kk"] for s in streams[0]] == ["", ""]
    mixed = kslds.mix(streams, weights=[1, 1])
    found = {s["key"]: s["translation_kk"] for s in mixed}
    assert set(found.values()) <= {"", "Су"}
    assert {key[0] for key in found} == {"o", "n"}
    chosen = kslds.load(new, split="train", num_frames=2, where="translation_kk == 'Су'")
    assert [s["key"] for s in chosen] == ["n0"]


def test_a_sample_of_a_mix_tells_which_stream_it_is_from(tmp_path: Path) -> None:
    parts = [
        kslds.load(write_shards(tmp_path / name, [made_up(f"{name}0")]), num_frames=1)
        for name in "abc"
    ]
    nested = kslds.mix([kslds.mix(parts[:2]), parts[2]])
    assert {s["key"]: s["dataset"] for s in nested} == {"a0": 0, "b0": 0, "c0": 1}
    assert [s["dataset"] for s in kslds.mix(parts[:1])] == [0]
    assert "dataset" not in next(iter(parts[0]))


def test_wrong_weights_caches_and_fields_are_told(small: Dataset) -> None:
    stream = kslds.load(small.root, num_frames=1)
    for weights in (3, "1", ["a"], [float("nan")], [0], [1, 1]):
        with pytest.raises(UsageError, match="weights="):
            kslds.mix([stream], weights=weights)  # type: ignore[arg-type]
    assert len(kslds.mix([stream], weights=[np.float32(2)])) == 16  # type: ignore[list-item]
    with pytest.raises(UsageError, match=r"cache=3: expected a folder"):
        kslds.load(small.root, cache=3)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"balance=.*no such field"):
        kslds.load(small.root, balance=["gloss_id"])  # type: ignore[arg-type]


def test_fields_need_no_readable_video(copy: Path) -> None:
    tar = copy / "shards" / "h264" / "train-00000.tar"
    video = next(m for m in pack.read_index(tar)[0] if m.field == "mp4")
    flip(tar, video.offset + video.size // 2)
    assert len(list(kslds.load(copy).fields())) == 16


@pytest.fixture
def copy(small: Dataset, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small.root, tmp_path / "copy"))


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


def test_a_changed_label_is_noticed(copy: Path) -> None:
    tar = copy / "shards" / "h264" / "train-00000.tar"
    text = next(m for m in pack.read_index(tar)[0] if m.field == "json")
    data = tar.read_bytes()
    at = data.index(b'"label":', text.offset) + len('"label":')
    flip(tar, at)  # 0 becomes 1
    message = rf"train-00000\.tar: the bytes of {text.key}\.json .*kslds shard DIR"
    with pytest.raises(CorruptData, match=message):
        list(kslds.load(copy, num_frames=1))


def test_a_changed_label_of_the_index_is_noticed(copy: Path) -> None:
    change_index(copy, lambda text: text and text.replace('"label":0', '"label":1'))
    with pytest.raises(CorruptData, match=r"train-00000\.tar: .*\.json: its text in the index"):
        list(kslds.load(copy, num_frames=1).fields())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: 7, "has no attribute 'dictionary'"),
        (lambda text: b"a", "has no attribute 'encode'"),
        (lambda text: text and text * 10_000, r"\d{8} bytes packed into"),
    ],
)
def test_texts_that_are_none_are_refused(
    copy: Path, change: Callable[[str | None], Any], message: str
) -> None:
    change_index(copy, change)
    for read in (
        lambda: list(kslds.load(copy).fields()),
        lambda: kslds.load(copy, where="label == 0"),
    ):
        with pytest.raises(CorruptData, match=f"is not an index of a shard.*{message}"):
            read()


def test_json_that_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    root = write_shards(tmp_path, [{**made_up("a"), "text": b"[" * 100_000}])
    for read in (list, lambda stream: list(stream.fields())):
        with pytest.raises(CorruptData, match=r"a\.json is not the JSON of a sample: Recursion"):
            read(kslds.load(root, num_frames=1))
    (root / "shards" / "jpeg" / "index.json").write_text("[" * 100_000)
    with pytest.raises(CorruptData, match=r"jpeg/index\.json is not JSON"):
        kslds.load(root)


def test_keys_that_are_no_text_are_refused(copy: Path) -> None:
    def not_ascii(table: pa.Table) -> pa.Table:
        keys = [key.encode() for key in table["key"].to_pylist()]
        column = pa.array([b"\xff" + key[1:] for key in keys], pa.binary()).view(pa.string())
        return table.set_column(table.column_names.index("key"), "key", column)

    write_index(copy, not_ascii)
    with pytest.raises(CorruptData, match="keys that are not ASCII"):
        list(kslds.load(copy, num_frames=1))


def test_any_damage_to_an_index_is_said_to_be_one(copy: Path) -> None:
    """Whatever Arrow makes of it."""
    path = copy / "shards" / "h264" / "train-00000.index.parquet"
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        data = bytearray(whole)
        at = int(rng.integers(len(data) - 8))
        data[at : at + 8] = rng.bytes(8)
        path.write_bytes(data)
        state_hash(copy)
        try:
            list(kslds.load(copy, num_frames=1).fields())
        except CorruptData:
            refused += 1
    assert refused > 30


@pytest.mark.parametrize("has_column", [True, False])
def test_fields_of_older_shards_are_read_one_by_one(copy: Path, has_column: bool) -> None:
    expected = list(kslds.load(copy).fields())
    change_index(copy, (lambda text: None) if has_column else None)
    assert list(kslds.load(copy).fields()) == expected
    chosen = kslds.load(copy, num_frames=1, where="label == 0")
    assert {s["key"] for s in chosen} == {f["key"] for f in expected if f["label"] == 0}


def change_index(root: Path, change: Callable[[str | None], str | None] | None) -> None:
    """Of the first shard of H.264: other texts, or none; `index.json` states its hash."""

    def changed(table: pa.Table) -> pa.Table:
        texts = table["text"].to_pylist()
        table = table.drop_columns("text")
        if change is None:
            return table
        texts = [change(text) for text in texts]
        kind = None if any(texts) else pa.string()
        return table.append_column("text", pa.array(texts, kind))

    write_index(root, changed)


def write_index(root: Path, changed: Callable[[pa.Table], pa.Table]) -> None:
    path = root / "shards" / "h264" / "train-00000.index.parquet"
    pq.write_table(changed(pq.read_table(path)), path, compression="zstd")
    state_hash(root)


def state_hash(root: Path) -> None:
    """Of the first index, as it is."""
    path = root / "shards" / "h264" / "index.json"
    document = json.loads(path.read_bytes())
    shard = document["splits"]["train"]["shards"][0]
    shard["index_sha256"] = pack.sha256_file(pack.index_path(path.parent / shard["file"]))
    path.write_text(json.dumps(document))


def test_a_tar_that_was_cut_off_is_noticed(copy: Path) -> None:
    tar = copy / "shards" / "h264" / "train-00000.tar"
    text = [m for m in pack.read_index(tar)[0] if m.field == "json"][-1]
    tar.write_bytes(tar.read_bytes()[: text.offset + text.size // 2])
    with pytest.raises(CorruptData, match=rf"{text.key}\.json"):
        list(kslds.load(copy, num_frames=1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoding": "av2"}, "names the encoding 'av2'; expected 'h264'"),
        ({"encoding": None}, "names the encoding None"),
        ({"splits": {"train": {"shards": [{"file": "../../x-00000.tar"}]}}}, "name of a shard"),
        ({"splits": {"train": {"shards": [{"file": "train-00000.tar"}]}}}, "index_sha256"),
        ({"splits": {"train": {"shards": [7]}}}, "no usable index"),
        ({"splits": {"train": None}}, "no usable index"),
        ({"splits": []}, "is not an index of shards"),
        ({"classes": None}, "no usable index"),
    ],
)
def test_an_odd_index_is_said_to_be_one(copy: Path, changes: dict[str, Any], message: str) -> None:
    path = copy / "shards" / "h264" / "index.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **changes}))
    with pytest.raises(CorruptData, match=message) as caught:
        kslds.load(copy)
    assert str(copy) in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_frames": "8"}, "num_frames='8': expected a whole number"),
        ({"num_frames": True}, "num_frames=True"),
        ({"num_frames": 2.0}, r"num_frames=2\.0"),
        ({"num_frames": 10**9}, "num_frames=1000000000: expected at most 100000"),
        ({"seed": 1.5}, r"seed=1\.5"),
        ({"seed": -1}, "seed=-1: expected a whole number, at least 0"),
        ({"shuffle": "yes"}, "shuffle='yes': expected True or False"),
        ({"rank": 1}, "rank=1 and world_size=None: one says nothing without the other"),
        ({"world_size": 2}, "rank=None and world_size=2"),
        ({"rank": 2, "world_size": 2}, "rank=2: expected at most 1"),
        ({"rank": -1, "world_size": 2}, "rank=-1"),
        ({"rank": 0, "world_size": 0}, "world_size=0"),
        ({"rank": "0", "world_size": 2}, "rank='0'"),
        ({"encoding": "av2"}, "encoding='av2' is not one of h264, jpeg"),
        ({"encoding": ["h264"]}, "is not one of h264, jpeg"),
        ({"split": ["train"]}, "has no split"),
        ({"sampling": None}, "sampling=None"),
        ({"output": "jax"}, "output='jax'"),
    ],
)
def test_wrong_arguments_are_named(small: Dataset, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        kslds.load(small.root, **options)


def test_numbers_of_numpy_are_numbers(small: Dataset) -> None:
    stream = kslds.load(small.root, num_frames=np.int64(2), seed=np.uint8(3))
    assert next(iter(stream))["video"].shape[0] == 2


def test_a_path_that_is_no_dataset_is_said_to_be_none(small: Dataset, tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match=r"there is no folder .*nowhere"):
        kslds.load(tmp_path / "nowhere")
    file = tmp_path / "file.txt"
    file.write_text("x")
    with pytest.raises(UsageError, match=r"file\.txt is a file"):
        kslds.load(file)
    with pytest.raises(UsageError, match="None is not a path"):
        kslds.load(None)  # type: ignore[arg-type]
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "h264").write_text("a file where a folder should be")
    with pytest.raises(IncompleteDataset, match="no finished shards"):
        kslds.load(tmp_path)
    assert len(kslds.load(bytes(small.root).decode())) == 16


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": -1}, "epoch=-1"),
        ({"epoch": "1"}, "epoch='1'"),
        ({"progress": 3}, "progress is not a list"),
        ({"progress": [3]}, "its progress is none"),
        ({"progress": [{"block": 1, "counts": [[1]], "even": 2}]}, "even is 2"),
        (
            {"progress": [{"block": 1, "counts": [], "even": False}]},
            "counts is not a list, or empty",
        ),
        (
            {"progress": [{"block": 1, "counts": [["a"]], "even": False}]},
            "a count of the state='a'",
        ),
        ({"progress": [{"block": 1, "counts": [[-1]], "even": False}]}, "a count of the state=-1"),
        ({"progress": [{"block": 1, "counts": [[2**80]], "even": False}]}, "expected at most"),
        ({"progress": [{"block": 0, "counts": [[1]], "even": False}]}, "block=0"),
        ({"progress": [{"block": 1, "counts": [[1], [1, 2]], "even": False}]}, "expected 1 counts"),
        ({"worker": [0, 1]}, r"worker=\[0, 1\]"),
        ({"worker": 1}, "worker=1: expected at most 0"),
        ({"rank": 1}, "rank=1: expected at most 0"),
        ({"counts": [1, 2]}, "expected 1 counts"),
        ({"where": "label == 1"}, "on another where"),
        ({"where": np.array([1, 2])}, "where is array"),
        ({"epoch": 10**5000}, r"epoch=\(a very long number\): expected at most"),
        ({"seed": -(10**5000)}, r"on another seed \(\(a very long number\), not 0\)"),
        ({"world_size": 10**6, "workers": 2, "counts": [0, 5]}, "workers=2: expected at most 1"),
        ({"seed": 4}, r"on another seed \(4, not 0\)"),
        ({"shuffle": True}, r"on another shuffle"),
        ({"split": "test"}, "on another split"),
        ({"dataset_sha256": "0"}, "on another dataset"),
        ({"more": 1}, "not the state of a stream"),
    ],
)
def test_a_state_that_is_none_is_refused_and_changes_nothing(
    small: Dataset, changes: dict[str, Any], message: str
) -> None:
    stream = kslds.load(small.root, num_frames=1)
    state = stream.state_dict()
    with pytest.raises(UsageError, match=message):
        stream.load_state_dict({**state, **changes})
    assert stream.state_dict() == state
    for other in (None, [], {}, {"epoch": 0}):
        with pytest.raises(UsageError, match="not the state of a stream"):
            stream.load_state_dict(other)  # type: ignore[arg-type]


def test_a_state_survives_json(small: Dataset) -> None:
    stream = kslds.load(small.root, num_frames=1, shuffle=True, seed=3)
    state = stream.state_dict(batches=3, batch_size=2, num_workers=2)
    other = kslds.load(small.root, num_frames=1, shuffle=True, seed=3)
    other.load_state_dict(json.loads(json.dumps(state)))
    assert len(keys(other)) == 10


def test_wrong_counts_and_epochs_are_refused(small: Dataset) -> None:
    stream = kslds.load(small.root)
    for call in (
        lambda: stream.set_epoch(-1),
        lambda: stream.set_epoch("2"),  # type: ignore[arg-type]
        lambda: stream.state_dict(batches=-1),
        lambda: stream.state_dict(batches=1, batch_size=0),
        lambda: stream.state_dict(batches=1, num_workers=-1),
    ):
        with pytest.raises(UsageError, match="expected a whole number"):
            call()
