"""Real people on camera, and real broken files, where the folder with them is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import kslds
from kslds import ingest, probe, video
from kslds import recipe as recipes
from kslds.errors import MediaError
from kslds.manifest import Dataset
from kslds.schema import Clip
from tests.painting import ffmpeg
from tests.test_clips import build, frames_of

DATA = Path(__file__).parents[2] / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the folder of real recordings is absent")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    recipe = recipes.read(Path(__file__).parent / "recipes" / "real.toml")
    return recipes.build(recipe, out=tmp_path_factory.mktemp("real"))


def test_the_books_balance_and_name_what_was_lost(real: Dataset) -> None:
    assert {(r.key, r.code) for r in real.dropped.itertuples()} == {
        ("no_moov.mp4", "K101"), ("annotations.csv:11", "K101"), ("annotations.csv:12", "K103"),
    }  # fmt: skip
    stages = real.provenance["stages"]
    assert stages["ingest-segments"] == {"in": 11, "out": 9, "dropped": 2}
    assert all(s["in"] == s["out"] + s["dropped"] for s in stages.values())


def test_every_clip_has_the_frames_that_its_annotation_says(real: Dataset) -> None:
    spans = {
        (c.source_file, c.start_ms): (c.first_frame, c.last_frame) for c in real.read("clips", Clip)
    }
    assert spans == {
        ("slovo_privet.mp4", 66): (2, 64),  # frames [2, 65) as Slovo publishes it
        ("gesture_thumb.mp4", 900): (23, 62),
        ("gesture_thumb.mp4", 2500): (63, 189),
        ("gesture_palm.mp4", 400): (10, 67),
        ("gesture_palm.mp4", 2700): (68, 199),
        ("phone_wave.mp4", 350): (11, 38),
        ("sts_bjorn.mp4", 300): (8, 58),
        ("sts_bjorn.mp4", 3550): (86, 183),
        ("truncated.mp4", 400): (10, 67),
    }


def test_clips_show_the_same_pictures_as_ffmpeg_does(real: Dataset) -> None:
    """Each clip against an independent decode of the whole file, scaled by Pillow."""
    from PIL import Image

    for clip in real.read("clips", Clip):
        got = frames_of(real, clip.clip_id).astype(np.int16)
        path = DATA / "real" / clip.source_file
        found = probe.probe(path)
        width, height = found.display_size
        raw = ffmpeg(
            "-i", path, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"
        )
        source = np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)
        scaled = video.geometry(width, height, size=224, fit="pad").scaled
        left, top = (2 * round((224 - side) / 4) for side in scaled)  # bars of even width
        for index in (0, len(got) // 2, len(got) - 1):
            picture = Image.fromarray(source[clip.first_frame + index]).resize(
                scaled, Image.Resampling.BILINEAR
            )
            inner = got[index][top : top + scaled[1], left : left + scaled[0]]
            assert np.abs(inner - np.asarray(picture, np.int16)).mean() < 4, (
                clip.source_file,
                index,
            )


def test_the_dataset_streams_without_personal_data(real: Dataset) -> None:
    count = sum(1 for side in ("train", "test") for _ in kslds.load(real.root, split=side))
    assert count == 9
    for file in real.root.rglob("*"):
        if file.is_file() and file.parent.name != "reports":
            data = file.read_bytes()
            assert b"71.4307" not in data, file
            assert b"ExamplePhone" not in data, file


EDGE = {
    # file: frames, display size, variable rate
    "av1_video.mkv": (125, (640, 360), False),
    "edts.mp4": (225, (853, 480), False),
    "h265_10bits.mp4": (30, (200, 200), False),
    "nasa_13013.mp4": (390, (480, 270), False),
    "no_duration.webm": (74, (1280, 720), True),
    "sar_2x1.mp4": (150, (1280, 360), False),
    "video_0.mov": (3, (568, 320), False),
    "video_90.mov": (3, (320, 568), False),
    "video_180.mov": (3, (568, 320), False),
    "video_270.mov": (3, (320, 568), False),
}


@pytest.mark.parametrize("name", EDGE)
def test_edge_files_are_described_and_cut(name: str, tmp_path: Path) -> None:
    frames, size, variable = EDGE[name]
    media = tmp_path / "media"
    media.mkdir()
    (media / name).write_bytes((DATA / "edge" / name).read_bytes())
    first, last = frames // 3, frames - 1
    dataset = build(
        tmp_path,
        media,
        [{"recording": name, "start": first, "end": frames, "unit": "frame"}],
        fit="pad",
    )
    (row,) = dataset.recordings.itertuples()
    assert row.num_frames == frames
    assert (row.display_width, row.display_height) == size
    assert row.is_vfr == variable
    (clip,) = dataset.read("clips", Clip)
    assert (clip.first_frame, clip.last_frame, clip.num_frames) == (first, last, frames - first)
    assert len(frames_of(dataset, clip.clip_id)) == frames - first


def test_segments_in_the_broken_part_of_a_file_are_dropped(tmp_path: Path) -> None:
    """`corrupted.mp4` declares 50 frames; from the 30th on its pictures are guesses."""
    media = tmp_path / "media"
    media.mkdir()
    (media / "corrupted.mp4").write_bytes((DATA / "edge" / "corrupted.mp4").read_bytes())
    rows: list[dict[str, object]] = [
        {"recording": "corrupted.mp4", "start": 0, "end": 20, "unit": "frame"},
        {"recording": "corrupted.mp4", "start": 25, "end": 45, "unit": "frame"},
        {"recording": "corrupted.mp4", "start": 40, "end": 50, "unit": "frame"},
    ]
    dataset = build(tmp_path, media, rows)
    (clip,) = dataset.read("clips", Clip)
    assert (clip.first_frame, clip.last_frame) == (0, 19)
    assert list(dataset.dropped.code) == ["K201", "K201"]


def test_a_file_cut_short_keeps_what_it_holds(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    (media / "truncated.mp4").write_bytes((DATA / "real" / "truncated.mp4").read_bytes())
    rows: list[dict[str, object]] = [
        {"recording": "truncated.mp4", "start": 10, "end": 60, "unit": "frame"},
        {"recording": "truncated.mp4", "start": 100, "end": 150, "unit": "frame"},
    ]
    dataset = build(tmp_path, media, rows)
    assert len(dataset.clips) == 1
    assert list(dataset.dropped.code) == ["K117"]
    assert {"K108"} <= set(dataset.issues.code)


def test_a_file_without_its_index_says_so() -> None:
    with pytest.raises(MediaError, match=r"no_moov\.mp4 cannot be opened as video"):
        probe.probe(DATA / "real" / "no_moov.mp4")
    assert "no_moov.mp4" in ingest.find_media([str(DATA / "real")]).files
