"""The tables of a dataset are what the books say, to the last byte."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kslds import manifest, video
from kslds.errors import CorruptData
from kslds.manifest import Dataset, readable_json, segment_key, write_parquet
from kslds.schema import Clip, Dropped
from kslds.validate import Rules, validate


@pytest.fixture
def copy(small: Dataset, tmp_path: Path) -> Dataset:
    return Dataset(shutil.copytree(small.root, tmp_path / "copy"))


def info(dataset: Dataset) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kslds.cli", "info", str(dataset.root), "--verify"],
        capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "300"},
    )  # fmt: skip


def test_every_table_is_counted(small: Dataset) -> None:
    assert small.verify() == len(list((small.root / "tables").rglob("*.parquet"))) == 9
    done = info(small)
    assert done.returncode == 0
    assert "verified: 9 tables, 12 packs of clips, 3 shard folders." in done.stderr


@pytest.mark.parametrize("name", ["signers", "recordings", "segments", "clips", "splits/signer"])
def test_a_flipped_byte_of_a_table_is_noticed(copy: Dataset, name: str) -> None:
    path = copy.path(name)
    column = pq.ParquetFile(path).metadata.row_group(0).column(0)
    start = column.dictionary_page_offset or column.data_page_offset
    data = bytearray(path.read_bytes())
    data[start + column.total_compressed_size - 3] ^= 0x10
    path.write_bytes(data)
    with pytest.raises(CorruptData, match=rf"{path.name} is not readable"):
        copy.verify()
    done = info(copy)
    assert done.returncode == 1
    assert path.name in done.stderr


@pytest.mark.parametrize("name", ["recordings", "segments", "clips"])
def test_a_table_that_lost_a_row_is_noticed(copy: Dataset, name: str) -> None:
    table = copy.arrow(name)
    write_parquet(copy.path(name), table.slice(1))
    message = rf"{name}\.parquet has {len(table) - 1} rows; {len(table)} came out of"
    with pytest.raises(CorruptData, match=message):
        copy.verify()


def test_a_lost_table_or_reason_is_noticed(copy: Dataset) -> None:
    row = Dropped(stage="trim", table="clips", key="x", code="K202", reason="none")
    copy.write("dropped", [row])
    with pytest.raises(CorruptData, match="has 1 rows of 'trim'; the books say 0"):
        copy.verify()
    copy.write("dropped", [])
    assert copy.verify() == 9
    copy.path("segments").unlink()
    with pytest.raises(CorruptData, match=r"segments\.parquet is missing"):
        copy.verify()


def test_other_columns_are_noticed(copy: Dataset) -> None:
    write_parquet(copy.path("signers"), copy.arrow("signers").drop_columns(["region"]))
    with pytest.raises(CorruptData, match=r"signers\.parquet has other columns"):
        copy.verify()


def test_books_that_are_none_are_noticed(copy: Dataset) -> None:
    path = copy.root / "provenance.json"
    path.write_bytes(readable_json({**copy.provenance, "stages": {"trim": 7}}))
    with pytest.raises(CorruptData, match=r"provenance\.json holds no books"):
        copy.verify()


def test_a_plan_counts_as_what_trim_let_through(copy: Dataset) -> None:
    """After `trim` anew, the books of `resize` are those of the clips before."""
    plan = copy.arrow("clips").to_pylist()
    rendered = ("width", "height", "frames_sha256", "psnr_db")
    rows = [Clip(**{**row, **dict.fromkeys(rendered)}) for row in plan[:-1]]
    copy.write("clips", rows)
    copy.close_books("trim", rows_in=len(rows), rows_out=len(rows))
    assert copy.verify() == 9


CELLS = st.text(st.sampled_from("'=+-@＝;,\t\r\n\"aә "), max_size=8)


@given(CELLS)
def test_a_shielded_cell_is_no_formula_in_any_language_and_comes_back(cell: str) -> None:
    shielded = manifest.shielded(cell)
    assert manifest.unshielded(shielded) == cell
    assert not [
        part for part in re.split("[;\t\r\n]", shielded) if part.startswith(tuple("=+-@＝"))
    ]
    assert len(shielded) - len(cell) <= len(re.findall("[=+@＝-]", cell))


def test_a_spreadsheet_keeps_numbers_and_shields_text(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    manifest.write_spreadsheet(path, [("=1", -5, None, 0.5), ("ә", "-5", "x;@y", "it's")])
    assert path.read_bytes() == "\ufeff'=1,-5,,0.5\nә,'-5,x;'@y,it's\n".encode()


def test_a_dataset_from_before_a_column_is_read_as_if_it_were_empty(copy: Dataset) -> None:
    for name in ("segments", "clips"):
        write_parquet(copy.path(name), copy.arrow(name).drop_columns(["translation_kk"]))
    assert {clip.translation_kk for clip in copy.read("clips", Clip)} == {None}
    assert copy.clips["translation_kk"].isna().all()
    assert copy.verify() == 9
    validate(copy, lexicon=None, rules=Rules(unknown="keep"))
    assert "translation_kk" in copy.arrow("segments").column_names


def test_a_segment_without_the_later_column_keeps_its_key() -> None:
    before = {"recording_id": "rec_1", "start_ms": 0, "end_ms": 10, "label": "су"}
    assert segment_key({**before, "translation_kk": None}) == segment_key(before)
    assert segment_key({**before, "translation_kk": "Су"}) != segment_key(before)


def _read_bytes(dataset: Dataset, path: Path) -> int:
    """How much is read from files for a hash."""
    counted = Path("/proc/self/io")
    before = int(counted.read_text().split()[1])
    assert dataset.sha256_of(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    return int(counted.read_text().split()[1]) - before - path.stat().st_size


def test_a_file_that_did_not_change_is_hashed_once(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path, create=True)
    old = Path(video.ffmpeg_exe())
    size = old.stat().st_size
    assert _read_bytes(dataset, old) >= size
    assert _read_bytes(dataset, old) < 10_000


def test_a_file_that_was_just_written_is_hashed_each_time(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path, create=True)
    young = tmp_path / "young"
    young.write_bytes(bytes(1_000_000))
    assert _read_bytes(dataset, young) >= 1_000_000
    assert _read_bytes(dataset, young) >= 1_000_000


def test_a_file_that_was_swapped_is_hashed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "_GRAIN_NS", 0)
    dataset = Dataset(tmp_path, create=True)
    path, other = tmp_path / "media", tmp_path / "other"
    path.write_bytes(b"a" * 1000)
    before = path.stat()
    time.sleep(0.05)
    first = dataset.sha256_of(path)
    # Of the same size and with the same time, in its place or under its name.
    path.write_bytes(b"b" * 1000)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    second = dataset.sha256_of(path)
    time.sleep(0.05)
    assert second == dataset.sha256_of(path) == hashlib.sha256(b"b" * 1000).hexdigest() != first
    other.write_bytes(b"c" * 1000)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)
    assert dataset.sha256_of(path) == hashlib.sha256(b"c" * 1000).hexdigest()
