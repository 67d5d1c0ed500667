"""Shards that other tools read as they are, byte-identical, and complete or absent."""

from __future__ import annotations

import csv
import gc
import io
import json
import tarfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import kslds
from kslds import pack, shards
from kslds import recipe as recipes
from kslds.errors import CorruptData, IncompleteDataset, RecipeError
from kslds.manifest import Dataset
from kslds.schema import Clip

FIELDS = [
    "clip_id",
    "recording_id",
    "source_file",
    "corpus",
    "licence",
    "gloss_id",
    "label",
    "emotion",
    "signer_id",
    "start_ms",
    "end_ms",
    "first_frame",
    "last_frame",
    "num_frames",
    "width",
    "height",
]


@pytest.fixture
def careless() -> Iterator[None]:
    """For tests of readers that leave the closing of their files to the garbage collector."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


def tars(dataset: Dataset) -> list[Path]:
    return sorted((dataset.root / "shards" / "h264").glob("*.tar"))


def test_every_clip_is_in_one_shard_of_its_side(small: Dataset) -> None:
    names: list[str] = []
    for tar in tars(small):
        pack.verify(tar)
        with tarfile.open(tar) as file:
            members = file.getnames()
            assert all(info.mtime == 0 and info.uid == 0 for info in file)
        assert all(name.count(".") == 1 for name in members)
        names += [name.split(".")[0] for name in members if name.endswith(".mp4")]
    assert sorted(names) == sorted(small.clips.clip_id)


def test_every_sample_has_the_same_fields(small: Dataset) -> None:
    fields = set()
    for tar in tars(small):
        with pack.PackReader(tar) as reader:
            for key in reader.keys:
                sample = json.loads(reader.read(key, field="json"))
                fields.add(tuple(sorted(sample)))
                assert sample["clip_id"] == key
    assert len(fields) == 1
    assert set(FIELDS) <= set(fields.pop())


def test_every_sample_says_its_corpus_and_licence(small: Dataset, tmp_path: Path) -> None:
    stated = {("small", "CC0-1.0")}
    for tar in (small.root / "shards").glob("*/*.tar"):
        with pack.PackReader(tar) as reader:
            samples = [json.loads(reader.read(key, field="json")) for key in reader.keys]
        assert {(s["corpus"], s["licence"]) for s in samples} == stated
    for path in (small.root / "parquet").glob("*.parquet"):
        columns = pq.read_table(path, columns=["corpus", "licence"]).to_pydict()
        assert set(zip(columns["corpus"], columns["licence"], strict=True)) == stated
    loaded = list(kslds.load(str(small.root), split="test", num_frames=1))
    assert {(s["corpus"], s["licence"]) for s in loaded} == stated
    shards.export(small, out=tmp_path)
    with (tmp_path / "test" / "metadata.csv").open(encoding="utf-8", newline="") as file:
        assert {(row["corpus"], row["licence"]) for row in csv.DictReader(file)} == stated


def test_an_unknown_licence_is_null_and_the_first_sample_has_one_that_is_known() -> None:
    row = {
        "segment_id": "seg", "source_file": "a.mp4", "start_ms": 0, "end_ms": 9,
        "first_frame": 0, "last_frame": 8, "first_pts": 0, "last_pts": 8, "num_frames": 9,
        "fps_num": 25, "fps_den": 1,
    }  # fmt: skip
    clips = [Clip(clip_id=f"c{k}", recording_id=f"r{k}", **row) for k in range(40)]
    origins = {c.recording_id: shards.Origin(corpus="a") for c in clips}
    last = shards._in_order(clips)[-1]
    origins[last.recording_id] = shards.Origin(corpus="b", licence="CC0-1.0")
    order = shards._in_order(clips, origin_of=origins)
    assert order[0] == last
    assert sorted(c.clip_id for c in order) == sorted(c.clip_id for c in clips)
    fields = shards.sample_fields(order[1], classes={}, origin=origins[order[1].recording_id])
    assert (fields["corpus"], fields["licence"]) == ("a", None)


@pytest.mark.usefixtures("careless")
def test_plain_webdataset_reads_the_tars(small: Dataset) -> None:
    wds = pytest.importorskip("webdataset")
    urls = [str(t) for t in tars(small)]
    samples = list(wds.WebDataset(urls, shardshuffle=False))
    assert {s["__key__"] for s in samples} == set(small.clips.clip_id)
    assert all(s["mp4"][4:8] == b"ftyp" for s in samples)


@pytest.mark.usefixtures("careless")
@pytest.mark.parametrize("streaming", [True, False])
def test_hugging_face_datasets_reads_tars_and_parquet(
    small: Dataset, tmp_path: Path, streaming: bool
) -> None:
    datasets = pytest.importorskip("datasets")
    for builder, folder, suffix in (
        ("webdataset", "shards/h264", "tar"),
        ("parquet", "parquet", "parquet"),
    ):
        files = {
            side: [str(p) for p in sorted((small.root / folder).glob(f"{side}-*.{suffix}"))]
            for side in ("train", "test")
        }
        loaded = datasets.load_dataset(
            builder, data_files=files, streaming=streaming, cache_dir=str(tmp_path)
        )
        column = "mp4" if builder == "webdataset" else "video"
        emotions, count = set(), 0
        for side in ("train", "test"):
            plain = loaded[side].cast_column(column, datasets.Video(decode=False))
            for row in plain:
                facts = row["json"] if builder == "webdataset" else row
                assert row[column]["bytes"][4:8] == b"ftyp"
                emotions.add(facts["emotion"])
                count += 1
        assert count == len(small.clips)
        assert emotions == {None, "sad"}


@pytest.mark.usefixtures("careless")
def test_exported_files_are_a_video_folder(small: Dataset, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    assert shards.export(small, out=tmp_path / "plain") == 24
    loaded = datasets.load_dataset(
        "videofolder", data_dir=str(tmp_path / "plain"), cache_dir=str(tmp_path / "cache")
    )
    rows = [
        row
        for side in ("train", "test")
        for row in loaded[side].cast_column("video", datasets.Video(decode=False))
    ]
    assert {row["clip_id"] for row in rows} == set(small.clips.clip_id)
    assert {row["gloss_id"] for row in rows} == {"ake", "apke"}


def test_parquet_shows_video_and_class_names(small: Dataset) -> None:
    datasets = pytest.importorskip("datasets")
    path = next((small.root / "parquet").glob("train-*.parquet"))
    features = datasets.Dataset.from_parquet(str(path)).features
    assert isinstance(features["video"], datasets.Video)
    assert features["label"].names == ["ake", "apke"]
    assert pq.ParquetFile(path).metadata.num_rows == 16


def test_the_same_input_gives_the_same_bytes(small: Dataset, tmp_path: Path) -> None:
    recipe = recipes.of(small)
    again = recipes.build(recipe, out=tmp_path / "again", workers=1)
    files = sorted(p.relative_to(small.root) for p in small.root.rglob("*") if p.is_file())
    made = [f for f in files if f.parts[0] in ("tables", "clips", "shards", "parquet")]
    made += [Path("provenance.json"), Path("reports/index.html")]
    assert len(made) > 20
    for file in made:
        assert (small.root / file).read_bytes() == (again.root / file).read_bytes(), file


def test_small_shards_hold_the_same_samples(small: Dataset, tmp_path: Path) -> None:
    samples = [
        (shards._Sample(clip=clip, tar=Path(), fields={"n": i}, poses=None), b"x" * 3000)
        for i, clip in enumerate(small.read("clips", Clip))
    ]
    written = shards._write_tars(
        samples, folder=tmp_path, side="train", encoding="h264", limit=20_000
    )
    assert len(written) > 2
    assert sum(entry["samples"] for entry in written) == len(samples)
    assert all(entry["size"] <= 20_000 + 10_240 for entry in written)
    assert [entry["file"] for entry in written] == [
        f"train-{i:05d}.tar" for i in range(len(written))
    ]


def test_a_tar_cut_at_any_block_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with pack.writing(path) as writer:
        for k in range(5):
            writer.add(f"k{k}", field="mp4", data=bytes([k]) * 700)
            writer.add(f"k{k}", field="json", data=b"{}")
    whole = path.read_bytes()
    for size in range(0, len(whole), pack.BLOCK):
        path.write_bytes(whole[:size])
        assert not pack.is_complete(path)
        with pytest.raises(CorruptData):
            pack.read_index(path)
    path.write_bytes(whole)
    pack.verify(path)


def test_a_flipped_bit_is_noticed_and_named(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with pack.writing(path) as writer:
        writer.add("one", field="mp4", data=b"a" * 700)
        writer.add("two", field="mp4", data=b"b" * 700)
    data = bytearray(path.read_bytes())
    second = pack.read_index(path)[0][1]
    data[second.offset + 3] ^= 4
    path.write_bytes(data)
    with pytest.raises(CorruptData, match=r"two\.mp4"):
        pack.verify(path)
    with pack.PackReader(path) as reader:
        assert reader.read("one", field="mp4") == b"a" * 700
        with pytest.raises(CorruptData):
            reader.read("two", field="mp4")


def test_an_error_while_writing_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with pack.writing(tmp_path / "a.tar") as writer:
            writer.add("one", field="mp4", data=b"a")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_members_are_read_by_python_tarfile(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with pack.writing(path) as writer:
        writer.add("one", field="json", data=b'{"a":1}')
    with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as tar:
        member = tar.extractfile("one.json")
        assert member is not None
        assert member.read() == b'{"a":1}'


def test_unfinished_shards_are_not_taken_for_finished(tmp_path: Path) -> None:
    with pytest.raises(IncompleteDataset, match=r"no index\.json"):
        shards.verify(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"formats": ("zip",)}, "formats"),
        ({"encodings": ("av2",)}, "encodings"),
        ({"encodings": ("jpeg",)}, "parquet"),
        ({"max_mb": 0}, "max_mb"),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        shards.ShardOptions(**options)  # type: ignore[arg-type]
