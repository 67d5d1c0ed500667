"""The interpreter's inset: found in a drawn lesson, and cut out exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kslds import clips, inset, probe
from kslds.errors import MediaError, RecipeError
from kslds.manifest import Dataset
from kslds.schema import Clip, Issue, Recording
from tests.painting import ffmpeg
from tests.test_clips import build, frames_of

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "real"
WIDTH, HEIGHT = 640, 360
BOX = (440, 150, 176, 192)  # left, top, width, height


def lesson(path: Path, *, box: tuple[int, int, int, int] | None = BOX, options=()) -> Path:
    """Twelve seconds of slides of grey blocks, changed every three, and somebody who moves."""
    rng = np.random.Generator(np.random.PCG64(5))
    frames = []
    for number in range(180):  # 15 frames a second
        if number % 45 == 0:
            slide = np.full((HEIGHT, WIDTH), 235, np.uint8)
            for _ in range(9):
                y, x = int(rng.integers(20, HEIGHT - 60)), int(rng.integers(20, WIDTH - 140))
                slide[y : y + 30, x : x + 120] = int(rng.integers(40, 200))
        frame = slide.copy()
        if box is not None:
            left, top, width, height = box
            frame[top : top + height, left : left + width] = 70
            middle = left + width // 2 + int(50 * np.sin(number / 3))
            frame[top + 40 : top + height, middle - 25 : middle + 25] = 190
        frames.append(frame)
    raw = ("-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{WIDTH}x{HEIGHT}", "-r", "15")
    x264 = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "16", "-pix_fmt", "yuv420p")
    ffmpeg(*raw, "-i", "pipe:0", *x264, "-g", "30", *options, path, data=np.stack(frames).tobytes())
    return path


def find(path: Path) -> inset.Inset:
    known = probe.probe(path)
    return inset.find(
        path, stream_index=known.stream_index, rotation=known.rotation, size=known.display_size
    )


@pytest.mark.parametrize("box", [BOX, (24, 16, 160, 160), (330, 40, 290, 300)])
def test_the_box_is_found(tmp_path: Path, box: tuple[int, int, int, int]) -> None:
    found = find(lesson(tmp_path / "lesson.mp4", box=box))
    got = (found.left, found.top, found.left + found.width, found.top + found.height)
    wanted = (box[0], box[1], box[0] + box[2], box[1] + box[3])
    assert np.abs(np.subtract(got, wanted)).max() <= 6


def test_without_a_box_none_is_made_up(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"lesson.mp4: no inset stands out") as error:
        find(lesson(tmp_path / "lesson.mp4", box=None))
    assert error.value.code == "K204"


def test_frames_behind_one_keyframe_are_told_apart(tmp_path: Path) -> None:
    """All samples of a recording with one keyframe used to be the same picture."""
    found = find(lesson(tmp_path / "lesson.mp4", options=("-g", "1000")))
    assert np.abs(np.subtract((found.left, found.top), BOX[:2])).max() <= 2
    with pytest.raises(MediaError, match="no inset stands out"):
        find(lesson(tmp_path / "none.mp4", box=None, options=("-g", "1000")))


def test_somebody_before_a_door_is_no_inset(tmp_path: Path) -> None:
    """The lines of the door last, and something moves between them, but it reaches out."""
    frames = []
    for number in range(180):
        frame = np.full((HEIGHT, WIDTH), 200, np.uint8)
        frame[60:330, 200:420] = 90
        reach = int(140 * (1 + np.sin(number / 3)))
        frame[120:330, 280:340] = 20
        frame[150:180, 310 - reach : 310 + reach] = 20
        frames.append(frame)
    path = tmp_path / "door.mp4"
    raw = ("-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{WIDTH}x{HEIGHT}", "-r", "15")
    x264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
    ffmpeg(*raw, "-i", "pipe:0", *x264, path, data=np.stack(frames).tobytes())
    with pytest.raises(MediaError, match="no inset"):
        find(path)


def test_a_damaged_place_does_not_hide_the_box(tmp_path: Path) -> None:
    path = lesson(tmp_path / "lesson.mp4")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    path.write_bytes(data)
    found = find(path)
    assert np.abs(np.subtract((found.left, found.top), BOX[:2])).max() <= 2


@pytest.mark.skipif(not REAL.is_dir(), reason="the folder ../shared/data is absent")
@pytest.mark.parametrize(
    "name", ["slovo_privet", "phone_wave", "sts_bjorn", "gesture_palm", "gesture_thumb"]
)
def test_people_who_fill_the_picture_are_no_inset(name: str) -> None:
    with pytest.raises(MediaError, match="no inset") as error:
        find(REAL / f"{name}.mp4")
    assert error.value.code == "K204"


@pytest.mark.skipif(not REAL.is_dir(), reason="the folder ../shared/data is absent")
@pytest.mark.parametrize("name", ["slovo_privet", "sts_bjorn", "gesture_thumb"])
def test_a_person_in_an_inset_is_found(tmp_path: Path, name: str) -> None:
    slides = lesson(tmp_path / "slides.mp4", box=None)
    path = tmp_path / "lesson.mp4"
    fit = "scale=180:200:force_original_aspect_ratio=increase,crop=180:200"
    ffmpeg(
        "-i", slides, "-stream_loop", "-1", "-i", REAL / f"{name}.mp4", "-filter_complex",
        f"[1:v]fps=15,{fit}[a];[0:v][a]overlay=440:150:shortest=1", "-t", "12",
        "-c:v", "libx264", "-crf", "28", "-pix_fmt", "yuv420p", path,
    )  # fmt: skip
    found = find(path)
    got = (found.left, found.top, found.left + found.width, found.top + found.height)
    assert np.abs(np.subtract(got, (440, 150, 620, 350))).max() <= 6


def test_clips_hold_the_box_and_nothing_else(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    lesson(media / "a.mp4")
    rows = [{"recording": "a.mp4", "start": 500, "end": 1500}]
    dataset = build(tmp_path, media, rows, crop=BOX, fit="short-side")
    (clip,) = dataset.read("clips", Clip)
    assert (clip.width, clip.height) == (224, 244)  # 176 × 192
    frames = frames_of(dataset, clip.clip_id)[..., 0].astype(int)
    # The dark ground and the bright figure, and no white of a slide at the rim.
    assert frames.max() < 215
    assert abs(int(np.median(frames[:, :20])) - 70) < 12


def test_the_found_box_is_kept_with_the_recording(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    lesson(media / "a.mp4")
    lesson(media / "b.mp4", box=None)
    rows = [{"recording": name, "start": 500, "end": 1500} for name in ("a.mp4", "b.mp4")]
    dataset = build(tmp_path, media, rows)
    clips.find_insets(dataset, media={p.name: p for p in media.iterdir()})
    boxes = {r.source_file: r.inset for r in dataset.read("recordings", Recording)}
    assert boxes["b.mp4"] is None
    assert boxes["a.mp4"] is not None
    (told,) = [i for i in dataset.read("issues", Issue) if i.code == "K204"]
    assert told.message.startswith("b.mp4: ")
    assert "inset" in told.message
    clips.trim(dataset, options=clips.ClipOptions(crop="inset"))
    assert list(dataset.clips.source_file) == ["a.mp4"]
    assert list(dataset.dropped.code) == ["K204"]


def test_a_box_on_a_turned_picture_of_wide_pixels(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    flat = lesson(tmp_path / "flat.mp4", options=("-aspect", "32:9"))
    ffmpeg("-display_rotation", "90", "-i", flat, "-c", "copy", media / "a.mp4")
    found = probe.probe(media / "a.mp4")
    width, height = found.display_size
    # Turned by 90 degrees counter-clockwise: what was right is now at the top.
    left, top, w, h = BOX
    wide = 2
    box = (top, (WIDTH - left - w) * wide, h, w * wide)
    assert (width, height) == (HEIGHT, WIDTH * wide)
    rows = [{"recording": "a.mp4", "start": 500, "end": 1500}]
    dataset: Dataset = build(tmp_path, media, rows, crop=box, fit="stretch")
    (clip,) = dataset.read("clips", Clip)
    frames = frames_of(dataset, clip.clip_id)[..., 0].astype(int)
    assert frames.max() < 215


def test_a_box_outside_the_picture_drops_the_segments(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    lesson(media / "a.mp4")
    rows = [{"recording": "a.mp4", "start": 500, "end": 1500}]
    dataset = build(tmp_path, media, rows)
    clips.trim(dataset, options=clips.ClipOptions(crop=(600, 0, 100, 100)))
    assert list(dataset.dropped[dataset.dropped.stage == "trim"].code) == ["K204"]


@pytest.mark.parametrize("crop", ["left", (0, 0, 4, 100), (-2, 0, 100, 100)])
def test_a_crop_that_means_nothing_is_refused(crop: object) -> None:
    with pytest.raises(RecipeError, match="crop"):
        clips.ClipOptions(crop=crop)  # type: ignore[arg-type]
