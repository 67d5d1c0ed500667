"""Killed, interrupted, out of space: nothing half-written counts, and the next run goes on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kslds import recipe as recipes
from kslds.manifest import Dataset
from kslds.video import ffmpeg_exe
from tests.conftest import write_small

COMMAND = [sys.executable, "-m", "kslds.cli"]


def products(root: Path) -> dict[str, bytes]:
    """Every file of a dataset but its lock and its recipe (which holds relative paths)."""
    return {
        str(p.relative_to(root)): p.read_bytes()
        for p in sorted(root.rglob("*"))
        if p.is_file() and p.name not in (".lock", "kslds.toml")
    }


@pytest.mark.parametrize("after", ["0.6", "1.0", "1.5", "2.2", "3.0"])
def test_a_build_killed_at_any_moment_ends_with_the_same_bytes(
    small: Dataset, tmp_path: Path, after: str
) -> None:
    recipe = write_small(tmp_path / "in")
    out = tmp_path / "out"
    command = [*COMMAND, "build", str(recipe), "--out", str(out)]
    child = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    time.sleep(float(after))
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    assert not list(out.rglob("index.json")) or (out / "tables" / "clips.parquet").is_file()
    subprocess.run(command, check=True, capture_output=True)
    leftovers = {name for name in products(out) if name.endswith(".tmp")}
    built = {k: v for k, v in products(out).items() if k not in leftovers}
    expected = products(small.root)
    assert sorted(built) == sorted(expected)
    assert [k for k in expected if built[k] != expected[k]] == []
    assert leftovers == set()


@pytest.mark.parametrize("after", ["1.4", "2.0", "2.6"])
def test_ctrl_c_says_what_is_kept_and_the_next_run_goes_on(
    small: Dataset, tmp_path: Path, after: str
) -> None:
    recipe = write_small(tmp_path / "in")
    command = [*COMMAND, "build", str(recipe), "--out", str(tmp_path / "out")]
    child = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    time.sleep(float(after))
    os.killpg(child.pid, signal.SIGINT)  # what a terminal does: the whole group gets it
    shown, said = child.communicate(timeout=60)
    if "every row is out" not in shown and child.returncode:
        # Otherwise a fast machine was done, and on its way out.
        assert child.returncode == 130
        assert "run the same command again to go on" in said
        assert "Traceback" not in said
    subprocess.run(command, check=True, capture_output=True)
    assert products(tmp_path / "out") == products(small.root)


def test_a_decoder_killed_from_outside_is_not_a_damaged_file(tmp_path: Path) -> None:
    recipe = write_small(tmp_path / "in")
    wrapper = tmp_path / "ffmpeg"
    wrapper.write_text(
        f"""#!/bin/sh
case "$*" in *nut*pipe:1) {ffmpeg_exe()} "$@" | head -c 150000; kill -9 $$;; esac
exec {ffmpeg_exe()} "$@"
"""
    )
    wrapper.chmod(0o755)
    command = [*COMMAND, "build", str(recipe), "--out", str(tmp_path / "out")]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "KSLDS_FFMPEG": str(wrapper)},
        check=False,
    )
    assert done.returncode == 1
    assert "was killed from outside" in done.stderr
    assert not list((tmp_path / "out" / "clips").rglob("*.tar"))


def test_a_second_build_does_only_what_is_missing(tmp_path: Path) -> None:
    recipe = recipes.read(write_small(tmp_path / "in"))
    dataset = recipes.build(recipe, out=tmp_path / "out")
    # Tables are arithmetic and are made anew; what costs time is not.
    costly = ("clips", "shards", "parquet")
    files = [p for folder in costly for p in (dataset.root / folder).rglob("*") if p.is_file()]
    before = {p: p.stat().st_mtime_ns for p in files}
    gone = sorted((dataset.root / "clips" / "h264").glob("*.tar"))[2]
    gone.unlink()
    recipes.build(recipe, out=tmp_path / "out")
    changed = {p.name for p in files if p.stat().st_mtime_ns != before[p]}
    assert changed == {gone.name, gone.with_suffix(".index.parquet").name}


def test_two_builds_at_a_time_are_refused(small: Dataset) -> None:
    with small.lock():
        done = subprocess.run(
            [*COMMAND, "split", str(small.root)], capture_output=True, text=True, check=False
        )
    assert done.returncode == 2
    assert "another kslds command is writing" in done.stderr


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("mount") is None, reason="mounting a small disk needs root"
)
def test_a_full_disk_is_said_and_nothing_half_written_counts(
    tmp_path: Path, small: Dataset
) -> None:
    recipe = write_small(tmp_path / "in")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        command = [*COMMAND, "build", str(recipe), "--out", str(disk / "out")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "the disk is full" in done.stderr
        assert "Traceback" not in done.stderr
        assert not list(disk.rglob("*.tmp"))
        assert not list(disk.rglob("shards/*/index.json"))
        subprocess.run(["mount", "-o", "remount,size=50m", str(disk)], check=True)
        subprocess.run(command, check=True, capture_output=True)
        built, expected = products(disk / "out"), products(small.root)
        assert built == expected
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_what_a_killed_process_left_half_written_is_deleted(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path, create=True)
    leftover = tmp_path / "clips" / "h264" / ".rec_0.tar.123.tmp"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"half")
    with dataset.lock():
        assert not leftover.exists()


@pytest.mark.parametrize("damage", ["garbage", "empty", "flipped"])
def test_a_build_over_damaged_tables_and_indices_makes_them_anew(
    small: Dataset, tmp_path: Path, damage: str
) -> None:
    recipe = write_small(tmp_path / "in")
    out = tmp_path / "out"
    recipes.build(recipes.read(recipe), out=out)
    hurt = [
        p
        for p in out.rglob("*")
        if p.suffix in (".parquet", ".json") and p.parent.name != "parquet"
    ]
    assert len(hurt) > 15
    for path in hurt:
        data = bytearray(path.read_bytes())
        data[len(data) // 3] ^= 0xFF
        path.write_bytes({"garbage": b"\xff{[PAR1", "empty": b"", "flipped": bytes(data)}[damage])
    recipes.build(recipes.read(recipe), out=out)
    built, expected = products(out), products(small.root)
    if damage == "flipped":
        # A flip outside the checked pages of a Parquet file changes none of its rows.
        built = {k: v for k, v in built.items() if not k.startswith(("tables/", "clips/"))}
        expected = {k: v for k, v in expected.items() if k in built}
    assert built == expected


@pytest.mark.parametrize("name", ["index.json", "train-00000.index.parquet", "train-00000.tar"])
def test_damaged_shards_are_named_by_verify(small: Dataset, tmp_path: Path, name: str) -> None:
    root = tmp_path / "copy"
    shutil.copytree(small.root, root)
    path = root / "shards" / "h264" / name
    for content in (b"", b"[]", b"{}", path.read_bytes()[:-1] + b"\x01"):
        path.write_bytes(content)
        done = subprocess.run(
            [*COMMAND, "info", str(root), "--verify"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 1, (content[:10], done.stderr)
        assert name in done.stderr
        assert "defect of kslds" not in done.stderr
