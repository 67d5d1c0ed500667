"""``kslds bench``: numbers are there and add up, files are written, bad input is refused."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kslds.bench import encodings, ingest, loader, measure
from kslds.commands.bench import bench_app
from kslds.errors import IncompleteDataset, KsldsError, MissingFile, UsageError
from kslds.manifest import Dataset
from tests.painting import record

OPTIONS = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("media") / "r.mp4", num_frames=90, options=OPTIONS)


# --------------------------------------------------------------------------- measuring


def test_a_process_that_has_ended_has_no_family() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert measure._family(gone.pid) == [gone.pid]
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in measure._family(os.getpid())


def test_a_meter_counts_children() -> None:
    code = "import time\nwhile time.process_time() < 0.3: pass"
    with measure.Meter() as meter:
        subprocess.run([sys.executable, "-c", code], check=True)
    assert min(meter.cpu_s, meter.wall_s) >= 0.3
    assert meter.read == {"wall_s": meter.wall_s, "cpu_s": meter.cpu_s}


def contender(name: str, code: str) -> measure.Contender:
    text = f"import json, sys; job = json.load(sys.stdin); {code}"
    return measure.Contender(name=name, job={"x": 2}, command=(sys.executable, "-c", text))


ANSWER = "open(job['answer'], 'w').write(json.dumps({'wall_s': job['x'], 'cpu_s': 1}))"


def test_a_run_has_the_answer_and_the_memory_of_children() -> None:
    child = "import time; x = bytearray(80_000_000); time.sleep(0.5)"
    code = f"import subprocess; subprocess.run([sys.executable, '-c', {child!r}]); {ANSWER}"
    found = measure.run_once(contender("one", code))
    assert found["wall_s"] == 2
    assert 80 < found["peak_mb"] < 400


def test_a_child_that_is_about_to_start_takes_no_memory_of_its_own() -> None:
    # As between vfork and exec: the child sleeps in its parent's memory, and the parent waits.
    start = (
        "import ctypes, os; libc = ctypes.CDLL(None); stack = ctypes.create_string_buffer(65536);"
        "top = ctypes.c_void_p((ctypes.addressof(stack) + 65000) & ~15);"
        "libc.clone(libc.sleep, top, 0x100 | 0x4000 | 17, ctypes.c_void_p(2)); os.wait()"
    )
    code = f"x = bytearray(b'x') * 300_000_000; {start}; {ANSWER}"
    found = measure.run_once(contender("one", code))
    assert 300 < found["peak_mb"] < 500


def test_the_memory_of_a_worker_is_not_that_of_its_parent() -> None:
    ballast = bytearray(b"x") * 400_000_000
    text = "from kslds.bench.measure import peak_mb; print(peak_mb())"
    found = subprocess.run([sys.executable, "-c", text], capture_output=True, check=True).stdout
    assert 0 < float(found) < len(ballast) / 1e6


def test_a_failing_contender_is_named() -> None:
    with pytest.raises(KsldsError, match="'bad' failed: no luck"):
        measure.run_once(contender("bad", "sys.exit('no luck')"))


def test_contenders_take_turns() -> None:
    told: list[str] = []
    names = ["a", "b", "c"]
    found = measure.rounds([contender(n, ANSWER) for n in names], runs=2, told=told.append)
    assert [line[-1] for line in told] == ["a", "b", "c", "b", "c", "a"]
    assert {name: len(runs) for name, runs in found.items()} == dict.fromkeys(names, 2)


@pytest.mark.parametrize("runs", [0, -1, 1001])
def test_a_number_of_runs_out_of_range_is_refused(runs: int) -> None:
    with pytest.raises(UsageError, match="runs"):
        measure.rounds([], runs=runs)


def test_cells_hold_medians_and_ranges() -> None:
    runs = [{"s": 3.0}, {"s": 1.0}, {"s": 200.0}]
    assert measure.columns(runs, ("s", "seconds")) == {"seconds": "3.00 (1.00–200)"}
    assert measure.columns(runs, ("s", "s"), spreads=False) == {"s": "3.00"}
    assert [measure.shown(v) for v in (0, 0.0123, 0.5, 12.34, 12345.6)] == [
        "0",
        "0.012",
        "0.50",
        "12.3",
        "12,346",
    ]


# --------------------------------------------------------------------------- ingest


@pytest.mark.parametrize("end_ms", [900, 2600, 60_000, 61_234])
def test_clips_cover_a_recording_wholly_or_by_a_tenth(end_ms: int) -> None:
    whole = ingest.cut(end_ms, clip_ms=2600, cover="whole")
    assert whole[0][0] == 0
    assert whole[-1][1] == end_ms
    assert all(a[1] == b[0] for a, b in pairwise(whole))
    tenth = sum(end - start for start, end in ingest.cut(end_ms, clip_ms=2600, cover="tenth"))
    assert tenth == pytest.approx(end_ms / 10, rel=0.25)


def test_rendering_is_measured(recording: Path, tmp_path: Path) -> None:
    options = ingest.IngestBench(recordings=(str(recording),), runs=1, clip_ms=1000, size=64)
    result = ingest.bench(options)
    assert len(result.runs) == 9
    assert all(run["cpu_s"] > 0 < run["peak_mb"] for runs in result.runs.values() for run in runs)
    decode = result.runs[ingest.DECODE][0]["cpu_s"]
    for row in result.rows:
        (run,) = result.runs[row["what"]]
        assert float(row["CPU ÷ decoding"]) == pytest.approx(run["cpu_s"] / decode, abs=0.006)
    assert result.about["clips"] == "3 (whole), 1 (tenth)"
    made = measure.write(result, out=tmp_path / "out")
    assert [path.name for path in made] == ["ingest.json", "ingest.md", "ingest.png"]
    assert json.loads(made[0].read_bytes())["runs"] == {k: list(v) for k, v in result.runs.items()}
    assert made[1].read_text().count("\n| ") == 11
    assert made[2].read_bytes().startswith(b"\x89PNG")


def test_a_recording_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingFile):
        ingest.bench(ingest.IngestBench(recordings=(str(tmp_path / "no.mp4"),)))


def test_numbers_out_of_range_are_refused() -> None:
    for wrong in ({"clip_ms": 1}, {"workers": 0}, {"size": 7}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            ingest.IngestBench(**wrong)  # type: ignore[arg-type]


# --------------------------------------------------------------------------- encodings


def test_candidates_are_read() -> None:
    video = encodings.parse_candidate("mine=-c:v libx264 -x264-params 'a=1:b=2'")
    assert video.options == ("-c:v", "libx264", "-x264-params", "a=1:b=2")
    assert (video.name, video.by, video.suffix) == ("mine", "ffmpeg", "mp4")
    assert encodings.parse_candidate("m=-c:v mjpeg -q:v 5").suffix == "jpg"
    still = encodings.parse_candidate("a=pillow:AVIF quality=60")
    assert (still.by, still.options, still.suffix) == ("pillow", ("AVIF", "quality=60"), "avif")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x264",
        "x=",
        "=-c:v libx264",
        "x=-c:v",
        "x=out.mp4",
        "x=-i /etc/passwd",
        "x='",
        "a/b=-g 1",
    ],
)
def test_what_is_no_candidate_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--candidate"):
        encodings.parse_candidate(text)


def test_encodings_are_measured(recording: Path) -> None:
    given = ["coarse=-c:v libx264 -crf 45 -pix_fmt yuv420p", "jpg50=pillow:JPEG quality=50"]
    options = encodings.EncodingsBench(
        given=(str(recording),),
        candidates=tuple(map(encodings.parse_candidate, given)),
        runs=1,
        clips=2,
        clip_ms=1000,
        least_s=0.01,
    )
    result = encodings.bench(options)
    rows = {row["encoding"]: row for row in result.rows}
    assert list(rows) == ["h264", "jpeg", "coarse", "jpg50"]
    assert float(rows["coarse"]["SSIM"]) < float(rows["h264"]["SSIM"]) <= 1
    assert float(rows["coarse"]["kB a clip"]) < float(rows["h264"]["kB a clip"])
    assert float(rows["h264"]["PSNR dB"]) > 35
    reading = [name for name in result.runs if not name.startswith("encode ")]
    assert {"h264, pyav", "jpeg, kslds", "jpg50, pillow"} <= set(reading)
    for name in reading:
        (run,) = result.runs[name]
        assert run["clips_per_cpu_s"] == pytest.approx(run["clips"] / run["cpu_s"])
        assert run["clips"] % 2 == 0


def test_two_encodings_of_one_name_are_refused(recording: Path) -> None:
    twice = encodings.parse_candidate("h264=-c:v libx264")
    with pytest.raises(UsageError, match="'h264'"):
        encodings.EncodingsBench(given=(str(recording),), candidates=(twice,))


# --------------------------------------------------------------------------- loader


def test_the_loader_is_measured(small: Dataset) -> None:
    options = loader.LoaderBench(
        dataset=str(small.root), encodings=("jpeg",), parallel=(2,), runs=1
    )
    result = loader.bench(options)
    (limit,) = result.runs["jpeg, 2 bare decode loops"]
    (run,) = result.runs["jpeg, kslds, 2 threads"]
    assert run["clips"] == limit["clips"] == 16
    assert run["clips_per_s"] == pytest.approx(16 / run["wall_s"])
    assert 0 < run["first_ms"] <= run["wall_s"] * 1000
    assert run["resume_ms"] > 0
    row = next(row for row in result.rows if row["what"].endswith("2 threads"))
    share = run["clips_per_s"] / limit["clips_per_s"]
    assert float(row["÷ bare"]) == pytest.approx(share, abs=0.006)


def test_a_dataset_without_shards_is_refused(tmp_path: Path, small: Dataset) -> None:
    with pytest.raises(IncompleteDataset, match="no finished shards"):
        loader.bench(loader.LoaderBench(dataset=str(tmp_path)))
    with pytest.raises(UsageError, match="no split 'nope'"):
        loader.bench(loader.LoaderBench(dataset=str(small.root), split="nope"))
    with pytest.raises(UsageError, match="parallel"):
        loader.LoaderBench(dataset=str(tmp_path), parallel=(0,))
    with pytest.raises(UsageError, match="'gif'"):
        loader.LoaderBench(dataset=str(tmp_path), encodings=("gif",))


# --------------------------------------------------------------------------- command


def test_the_command_prints_and_writes(small: Dataset, tmp_path: Path) -> None:
    given = ["encodings", str(small.root), "--runs", "1", "--clips", "1", "--format", "json"]
    done = CliRunner().invoke(bench_app, [*given, "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [row["encoding"] for row in found["table"]] == ["h264", "jpeg"]
    assert re.fullmatch(r"1, \d+ frames of 64 × 64", found["about"]["clips"])
    assert {p.name for p in tmp_path.iterdir()} == {
        "encodings.json",
        "encodings.md",
        "encodings.png",
    }


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["ingest", "no.mp4"], 1),
        (["ingest", "--runs", "0"], 2),
        (["ingest", "--clip-ms", "1"], 2),
        (["encodings", "no.mp4"], 1),
        (["encodings", "x.mp4", "--candidate", "nonsense"], 2),
        (["loader", "nowhere"], 1),
    ],
)
def test_the_command_refuses_bad_input(
    arguments: list[str], status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(bench_app, arguments).exit_code == status


def test_a_folder_that_cannot_be_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("a file")
    result = CliRunner().invoke(bench_app, ["ingest", "--out", str(tmp_path / "there")])
    assert result.exit_code == 2
    assert "isafile" in re.sub(r"[\s│]", "", result.output)
    assert "round 1" not in result.output
