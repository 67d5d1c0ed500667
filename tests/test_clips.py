"""Are these the right frames? The frame number is painted into the pixels."""

from __future__ import annotations

import csv
import dataclasses
import random
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kslds import clips, ingest, pack, probe, spans, video
from kslds.errors import EncodeError, IncompleteDataset
from kslds.manifest import Dataset
from kslds.schema import Clip, Recording, Segment, Timing
from tests.painting import HEIGHT, WIDTH, ffmpeg, read_number, record, shown_numbers

X264 = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-crf", "18")
B_FRAMES = (*X264, "-g", "25", "-bf", "3", "-x264-params", "b-adapt=0")
# Irregular intervals, as phones make when the light changes: 33, 47, 33, 61 … ms.
VFR = "settb=1/1000,setpts='N*33+14*floor(N/2)+13*floor(N/4)'"


def _mp4(tmp: Path) -> Path:
    return record(tmp / "cfr.mp4", num_frames=120, options=B_FRAMES)


def _ntsc(tmp: Path) -> Path:
    return record(tmp / "ntsc.mp4", num_frames=120, rate=Fraction(30000, 1001), options=B_FRAMES)


def _vfr(tmp: Path) -> Path:
    options = (*B_FRAMES, "-fps_mode", "passthrough", "-enc_time_base", "1/1000")
    return record(tmp / "vfr.mp4", num_frames=120, filters=VFR, options=options)


def _vfr_mkv(tmp: Path) -> Path:
    options = (*X264, "-fps_mode", "passthrough", "-enc_time_base", "1/1000")
    return record(tmp / "vfr.mkv", num_frames=120, filters=VFR, options=options)


def _open_gop(tmp: Path) -> Path:
    options = (*X264, "-g", "24", "-bf", "3", "-x264-params", "open-gop=1:b-adapt=0")
    return record(tmp / "open.mp4", num_frames=120, options=options)


def _open_gop_cut(tmp: Path) -> Path:
    """Starts at an open GOP: the first pictures refer to frames that are not there."""
    whole = record(
        tmp / "whole.ts",
        num_frames=120,
        options=(*X264, "-g", "24", "-bf", "3", "-x264-params", "open-gop=1:b-adapt=0"),
    )
    out = tmp / "open_cut.ts"
    ffmpeg("-ss", "1.7", "-i", whole, "-c", "copy", out)
    return out


def _edit_list(tmp: Path) -> Path:
    whole = record(tmp / "whole.mp4", num_frames=120, options=B_FRAMES)
    out = tmp / "edit.mp4"
    ffmpeg("-ss", "1.4", "-i", whole, "-c", "copy", out)
    return out


def _transport(tmp: Path) -> Path:
    return record(tmp / "stream.ts", num_frames=120, options=B_FRAMES)


def _late_start(tmp: Path) -> Path:
    return record(tmp / "late.mkv", num_frames=120, options=(*X264, "-output_ts_offset", "7.3"))


def _webm(tmp: Path) -> Path:
    options = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "1M")
    return record(tmp / "vp9.webm", num_frames=120, options=options)


def _vp8(tmp: Path) -> Path:
    options = ("-c:v", "libvpx", "-auto-alt-ref", "1", "-lag-in-frames", "16", "-b:v", "1M")
    return record(tmp / "vp8.webm", num_frames=120, options=options)


def _hevc(tmp: Path) -> Path:
    options = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none")
    return record(tmp / "hevc.mov", num_frames=120, options=(*options, "-tag:v", "hvc1"))


def _avi(tmp: Path) -> Path:
    options = ("-c:v", "mpeg4", "-q:v", "3", "-bf", "0")
    return record(tmp / "old.avi", num_frames=120, options=options)


def _h264_avi(tmp: Path) -> Path:
    """AVI has no room for the order in which B-frames are shown."""
    return record(tmp / "b.avi", num_frames=120, options=B_FRAMES)


def _program(tmp: Path) -> Path:
    options = ("-c:v", "mpeg2video", "-q:v", "3", "-bf", "2", "-f", "vob")
    return record(tmp / "camcorder.mpg", num_frames=120, rate=Fraction(25), options=options)


def _elementary(tmp: Path) -> Path:
    options = ("-c:v", "mpeg2video", "-q:v", "3", "-bf", "2")
    return record(tmp / "raw.m2v", num_frames=120, rate=Fraction(25), options=options)


def _wrapping(tmp: Path) -> Path:
    """The 33-bit clock of a transport stream starts over in the middle."""
    options = (*B_FRAMES, "-output_ts_offset", "95441.7", "-muxdelay", "0", "-muxpreload", "0")
    return record(tmp / "wrap.ts", num_frames=120, options=options)


def _with_sound(tmp: Path) -> Path:
    sound = ("-f", "lavfi", "-i", "sine=frequency=200:duration=4")
    options = (*B_FRAMES, "-c:a", "aac", "-shortest")
    return record(tmp / "sound.mp4", num_frames=110, options=options, inputs=sound)


RECORDINGS = [
    _mp4, _ntsc, _vfr, _vfr_mkv, _open_gop, _open_gop_cut, _edit_list, _transport, _late_start,
    _webm, _vp8, _hevc, _avi, _h264_avi, _program, _elementary, _wrapping,
    _with_sound,
]  # fmt: skip


def build(root: Path, media: Path, rows: list[dict[str, object]], **options: object) -> Dataset:
    """Ingest, trim and resize rows of ``start, end, unit`` on the files of a folder."""
    table = root / "annotations.csv"
    with table.open("w", newline="") as file:
        names = ["recording", "gloss", "start", "end", "unit", "signer"]
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        for row in rows:
            writer.writerow({"gloss": "sign", "signer": "s1", "unit": "ms", **row})
    dataset = Dataset(root / "dataset", create=True)
    ingest.ingest(
        dataset,
        options=ingest.IngestOptions(media=(str(media),), annotations=(str(table),)),
    )
    rows_with_gloss = [
        Segment(**{**vars(s), "gloss_id": s.label}) for s in dataset.read("segments", Segment)
    ]
    dataset.write("segments", rows_with_gloss)
    chosen = clips.ClipOptions(**{"fit": "stretch", **options})  # type: ignore[arg-type]
    clips.trim(dataset, options=chosen)
    clips.resize(dataset, media=ingest.find_media([str(media)]).files, options=chosen)
    return dataset


def frames_of(dataset: Dataset, clip_id: str) -> np.ndarray:
    """All frames of a rendered clip, (T, H, W, 3)."""
    for tar in (dataset.root / "clips" / "h264").glob("*.tar"):
        with pack.PackReader(tar) as reader:
            if clip_id in reader.keys:
                number = next(
                    c.num_frames for c in dataset.read("clips", Clip) if c.clip_id == clip_id
                )
                return video.read_frames(reader.read(clip_id, field="mp4"), indices=range(number))
    raise AssertionError(f"{clip_id} was not rendered")


@pytest.mark.parametrize("make", RECORDINGS, ids=lambda make: make.__name__.strip("_"))
def test_every_clip_holds_exactly_its_frames(make, tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    source = tmp_path / "source"
    source.mkdir()
    path = make(source)
    path.rename(media / path.name)
    path = media / path.name
    shown = shown_numbers(path)
    found = probe.probe(path)
    assert len(found.pts) == len(shown)
    ms = [probe.frame_ms(p, found.time_base) for p in found.pts]

    rng = random.Random(make.__name__)
    rows: list[dict[str, object]] = []
    expected = {}
    for unit in ("frame", "ms"):
        for _ in range(8):  # unsorted, and most of them overlap
            first, last = sorted(rng.sample(range(len(shown)), 2))
            if unit == "frame":
                rows.append({"recording": path.name, "start": first, "end": last + 1, "unit": unit})
            else:
                # A time of a person: anywhere between a frame and the one before it.
                start = rng.randint(ms[first - 1] + 1, ms[first]) if first else ms[first]
                end = rng.randint(ms[last] + 1, ms[last + 1]) if last + 1 < len(ms) else ms[-1] + 1
                rows.append({"recording": path.name, "start": start, "end": end, "unit": unit})
            expected[first, last] = shown[first : last + 1]
    dataset = build(tmp_path, media, rows)

    assert dataset.dropped.empty
    got = {}
    for clip in dataset.read("clips", Clip):
        numbers = [read_number(frame) for frame in frames_of(dataset, clip.clip_id)]
        got[clip.first_frame, clip.last_frame] = numbers
        assert clip.num_frames == len(numbers)
        assert (clip.width, clip.height) == (224, 224)
    assert got == expected


def test_edit_list_and_cut_stream_start_later_than_their_first_packet(tmp_path: Path) -> None:
    """The cases above that hide frames really do hide some."""
    edited = _edit_list(tmp_path)
    assert shown_numbers(edited)[0] == 42
    assert probe.probe(edited).pts[0] == 0


@given(
    steps=st.lists(st.integers(1, 5000), min_size=1, max_size=60),
    base=st.sampled_from(
        [Fraction(1, 1000), Fraction(1, 12800), Fraction(1001, 30000), Fraction(1, 90000)]
    ),
    span=st.tuples(st.integers(0, 3000), st.integers(1, 3000)),
)
def test_a_frame_belongs_to_a_span_by_the_time_rule(
    steps: list[int], base: Fraction, span: tuple[int, int]
) -> None:
    pts = list(np.cumsum([0, *steps]))
    pts = [int(p) for p in pts]
    start, end = span[0], span[0] + span[1]
    recording = _recording(pts, base)
    segment = Segment(
        segment_id="seg_0", recording_id="rec_0", start_ms=start, end_ms=end, source="x"
    )
    plan = spans.plan(
        segment,
        recording=recording,
        timing=Timing(recording_id="rec_0", pts=pts, keyframes=[0]),
        pts_ms=np.array([probe.frame_ms(p, base) for p in pts]),
        options=clips.ClipOptions(),
    )
    belongs = [i for i, p in enumerate(pts) if start <= int(Fraction(p) * base * 1000 // 1) < end]
    if plan is None:
        assert belongs == []
    else:
        assert list(range(plan.first_frame, plan.last_frame + 1)) == belongs


def _recording(pts: list[int], base: Fraction) -> Recording:
    return Recording(
        recording_id="rec_0", source_file="x.mp4", content_sha256="0" * 64, size_bytes=1,
        container="mp4", codec="h264", width=64, height=64, display_width=64, display_height=64,
        num_frames=len(pts), time_base_num=base.numerator, time_base_den=base.denominator,
        origin_pts=0, end_ms=probe.frame_ms(pts[-1], base) + 40, avg_fps_num=25, avg_fps_den=1,
        is_vfr=True, has_audio=False,
    )  # fmt: skip


def test_margins_widen_a_clip_and_stop_at_the_edges(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    record(media / "a.mp4", num_frames=60, options=X264)
    rows: list[dict[str, object]] = [
        {"recording": "a.mp4", "start": 30, "end": 40, "unit": "frame"},
        {"recording": "a.mp4", "start": 0, "end": 5, "unit": "frame"},
        {"recording": "a.mp4", "start": 55, "end": 60, "unit": "frame"},
    ]
    dataset = build(tmp_path, media, rows, margin_ms=(100, 200))
    spans = {(c.first_frame, c.last_frame) for c in dataset.read("clips", Clip)}
    assert spans == {(27, 45), (0, 10), (52, 59)}
    for clip in dataset.read("clips", Clip):
        numbers = [read_number(f) for f in frames_of(dataset, clip.clip_id)]
        assert numbers == list(range(clip.first_frame, clip.last_frame + 1))


def test_resampling_shows_the_frame_on_show_at_each_tick(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    record(media / "a.mp4", num_frames=60, options=X264)
    rows: list[dict[str, object]] = [
        {"recording": "a.mp4", "start": 10, "end": 40, "unit": "frame"}
    ]
    dataset = build(tmp_path, media, rows, fps=12)
    (clip,) = dataset.read("clips", Clip)
    assert (clip.num_frames, clip.fps_num, clip.fps_den, clip.resampled) == (12, 12, 1, True)
    numbers = [read_number(f) for f in frames_of(dataset, clip.clip_id)]
    assert numbers == [10 + int(k * 30 / 12) for k in range(12)]


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotated_recordings_come_out_upright(tmp_path: Path, rotation: int) -> None:
    media = tmp_path / "media"
    media.mkdir()
    turn = {90: "transpose=cclock", 180: "hflip,vflip", 270: "transpose=clock"}[rotation]
    flat = record(tmp_path / "flat.mov", num_frames=30, filters=turn, options=X264)
    # The player turns the picture clockwise by `rotation`; ffmpeg counts counter-clockwise.
    ffmpeg("-display_rotation", str(-rotation), "-i", flat, "-c", "copy", media / "a.mov")
    rows: list[dict[str, object]] = [{"recording": "a.mov", "start": 3, "end": 20, "unit": "frame"}]
    dataset = build(tmp_path, media, rows)
    (recording,) = dataset.read("recordings", Recording)
    assert recording.rotation == rotation
    assert (recording.display_width, recording.display_height) == (WIDTH, HEIGHT)
    (clip,) = dataset.read("clips", Clip)
    assert [read_number(f) for f in frames_of(dataset, clip.clip_id)] == list(range(3, 20))


@pytest.mark.parametrize(
    ("fit", "size", "filled"),
    [
        ("stretch", (224, 224), (0, 224)),
        ("pad", (224, 224), (56, 168)),  # 2:1 on screen: bars above and below
        ("center-crop", (224, 224), (0, 224)),
        ("short-side", (448, 224), (0, 224)),
    ],
)
def test_fits_honour_the_pixel_aspect(
    tmp_path: Path, fit: str, size: tuple[int, int], filled: tuple[int, int]
) -> None:
    media = tmp_path / "media"
    media.mkdir()
    # 320 × 240 stored, pixels 3:2 wide: 480 × 240 on screen.
    record(media / "a.mp4", num_frames=1023, filters="select='gte(n,1000)',setsar=3/2",
           options=X264)  # fmt: skip
    rows: list[dict[str, object]] = [
        {"recording": "a.mp4", "start": 23 - 8, "end": 23, "unit": "frame"}
    ]
    dataset = build(tmp_path, media, rows, fit=fit)
    (clip,) = dataset.read("clips", Clip)
    assert (clip.width, clip.height) == size
    bright = frames_of(dataset, clip.clip_id)[-1].mean(axis=(1, 2)) > 60
    rows_filled = np.flatnonzero(bright)
    assert abs(int(rows_filled[0]) - filled[0]) <= 1
    assert abs(int(rows_filled[-1]) + 1 - filled[1]) <= 1


def test_clips_carry_no_sound_and_no_metadata(tmp_path: Path) -> None:
    import av

    media = tmp_path / "media"
    media.mkdir()
    sound = ("-f", "lavfi", "-i", "sine=frequency=200:duration=1")
    secret = ("-metadata", "title=Aigerim", "-metadata", "location=+51.1282+071.4307/")
    record(media / "a.mp4", num_frames=30, options=(*X264, "-c:a", "aac", *secret), inputs=sound)
    dataset = build(
        tmp_path, media, [{"recording": "a.mp4", "start": 0, "end": 10, "unit": "frame"}]
    )
    (recording,) = dataset.read("recordings", Recording)
    assert recording.has_audio
    (tar,) = (dataset.root / "clips" / "h264").glob("*.tar")
    data = tar.read_bytes()
    assert b"Aigerim" not in data
    assert b"51.1282" not in data
    (clip,) = dataset.read("clips", Clip)
    with pack.PackReader(tar) as reader:
        (tmp_path / "clip.mp4").write_bytes(reader.read(clip.clip_id, field="mp4"))
    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert [s.type for s in container.streams] == ["video"]
        assert set(container.metadata) <= {"major_brand", "minor_version", "compatible_brands"}


def test_building_again_writes_nothing_and_in_another_folder_the_same_bytes(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    record(media / "a.mp4", num_frames=60, options=B_FRAMES)
    rows: list[dict[str, object]] = [
        {"recording": "a.mp4", "start": s, "end": s + 9, "unit": "frame"} for s in (40, 0, 5)
    ]
    first = build(tmp_path, media, rows)
    (tar,) = (first.root / "clips" / "h264").glob("*.tar")
    before = (tar.stat().st_mtime_ns, tar.read_bytes())
    again = build(tmp_path, media, rows)
    assert (tar.stat().st_mtime_ns, tar.read_bytes()) == before
    (tmp_path / "other").mkdir()
    other = build(tmp_path / "other", media, list(reversed(rows)))
    (twin,) = (other.root / "clips" / "h264").glob("*.tar")
    assert twin.name == tar.name
    assert twin.read_bytes() == before[1]
    assert again.clips.equals(other.clips)


def test_a_clip_that_lost_frames_on_its_way_is_an_error(tmp_path: Path) -> None:
    encoding = video.ENCODINGS["h264"]
    encoder = video.ClipEncoder(
        size=(64, 64), time_base=Fraction(1, 30), encoding=encoding, folder=tmp_path
    )
    grey = bytes([128]) * (64 * 64 * 3 // 2)
    for pts in range(5):
        encoder.add(pts, grey)
    encoder._pts.append(5)  # claims a frame that the encoder never got
    with pytest.raises(EncodeError, match="5 frames at other times than the 6"):
        encoder.finish()


@pytest.mark.parametrize("encoding", ["h264", "jpeg"])
@pytest.mark.parametrize("luma", [0, 255])
def test_black_and_white_are_the_pictures_that_went_in(
    tmp_path: Path, encoding: str, luma: int
) -> None:
    encoder = video.ClipEncoder(
        size=(64, 64), time_base=Fraction(1, 30), encoding=video.ENCODINGS[encoding],
        folder=tmp_path,
    )  # fmt: skip
    for pts in range(5):
        encoder.add(pts, bytes([luma]) * (64 * 64) + bytes([128]) * (64 * 32))
    assert encoder.finish().psnr_db > 40


def test_one_other_picture_among_many_is_an_error(tmp_path: Path) -> None:
    encoder = video.ClipEncoder(
        size=(64, 64), time_base=Fraction(1, 30), encoding=video.ENCODINGS["h264"],
        folder=tmp_path,
    )  # fmt: skip
    for pts in range(40):
        encoder.add(pts, bytes([60]) * (64 * 64) + bytes([128]) * (64 * 32))
    encoder._luma[7] += 110  # went in as another than the encoder got
    with pytest.raises(EncodeError, match=r"dB of frame 7; expected at least 26"):
        encoder.finish()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-40], "read back|other times"),
        (lambda data: data[: len(data) // 2], "read back|other times"),
        (lambda data: b"", "read back"),
    ],
)
def test_a_clip_that_cannot_be_read_back_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Any, message: str
) -> None:
    encoder = video.ClipEncoder(
        size=(64, 64), time_base=Fraction(1, 30), encoding=video.ENCODINGS["h264"],
        folder=tmp_path,
    )  # fmt: skip
    for pts in range(5):
        encoder.add(pts, bytes([60 + pts]) * (64 * 64 * 3 // 2))
    whole = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: damage(whole(path)))  # as it left the disk
    with pytest.raises(EncodeError, match=message):
        encoder.finish()


def test_pictures_of_another_size_are_an_error(tmp_path: Path) -> None:
    grey = bytes([128]) * (64 * 64 * 3 // 2)
    encoder = video.ClipEncoder(
        size=(64, 64), time_base=Fraction(1, 30), encoding=video.ENCODINGS["h264"],
        folder=tmp_path,
    )  # fmt: skip
    encoder.add(0, grey)
    encoder._luma[0] = encoder._luma[0][:1]
    with pytest.raises(EncodeError, match="64 × 64"):
        encoder.finish()


def test_the_same_frames_are_the_same_bytes_whatever_lay_in_memory(tmp_path: Path) -> None:
    """With AVX-512 a third of these would be other bytes."""
    random = np.random.default_rng(1)
    width, height = 34, 50
    picture = random.integers(16, 235, height * width * 3 // 2, dtype=np.uint8)
    picture[: height * width] //= 2
    frames = [np.roll(picture, 3 * k).tobytes() for k in range(13)]
    found = set()
    for size in random.integers(1_000, 300_000, 150).tolist():
        rubbish = [random.bytes(size) for _ in range(3)]
        del rubbish[1:]
        encoder = video.ClipEncoder(
            size=(width, height),
            time_base=Fraction(1, 30),
            encoding=video.ENCODINGS["h264"],
            folder=tmp_path,
        )
        for pts, frame in enumerate(frames):
            encoder.add(pts, frame)
        found.add(encoder.finish().data)
    assert len(found) == 1


@pytest.mark.parametrize(
    ("base", "gaps"),
    [
        (Fraction(1), [100_000, 1, 7]),
        (Fraction(1, 25), [2_200_000, 1, 1]),
        (Fraction(1, 90_000), [1_200_000_000, 3000, 3000]),
        (Fraction(1, 1_000_000), [1_100_000_000, 40_000, 500_000_000]),
        (Fraction(1, 1_000_000_000), [1_200_000_000, *[400_000_000] * 9]),
    ],
    ids=str,
)
def test_frames_far_apart_keep_their_times(tmp_path: Path, base: Fraction, gaps: list[int]) -> None:
    encoder = video.ClipEncoder(
        size=(32, 32), time_base=base, encoding=video.ENCODINGS["h264"], folder=tmp_path
    )
    times = [0, *np.cumsum(gaps).tolist()]
    for shade, pts in enumerate(times):
        encoder.add(pts, bytes([20 + 18 * shade]) * (32 * 32 * 3 // 2))
    data = encoder.finish().data  # which checks the times
    got = video.read_frames(data, indices=range(len(times)), planes=True)
    assert got[:, 0, 0].tolist() == pytest.approx([20 + 18 * n for n in range(len(times))], abs=3)


def test_a_clip_is_written_below_a_folder_of_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for encoding in video.ENCODINGS.values():
        encoder = video.ClipEncoder(
            size=(64, 64), time_base=Fraction(1, 30), encoding=encoding, folder=Path("pipe:9/%d")
        )
        for pts in range(5):
            encoder.add(pts, bytes([128]) * (64 * 64 * 3 // 2))
        assert encoder.finish().num_frames == 5
    assert not list(tmp_path.glob("pipe:9/%d/*"))


def test_an_encoder_that_is_not_there_is_named(tmp_path: Path) -> None:
    h264 = video.ENCODINGS["h264"]
    other = dataclasses.replace(h264, options={**h264.options, "vcodec": "libx999"})
    with pytest.raises(EncodeError, match="without the encoder libx999"):
        video.ClipEncoder(size=(64, 64), time_base=Fraction(1, 30), encoding=other, folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_clip_of_another_picture_is_an_error(tmp_path: Path) -> None:
    encoding = video.ENCODINGS["h264"]
    encoder = video.ClipEncoder(
        size=(64, 64), time_base=Fraction(1, 30), encoding=encoding, folder=tmp_path
    )
    for pts in range(5):
        encoder.add(pts, bytes([128]) * (64 * 64 * 3 // 2))
    encoder._luma = [255 - plane for plane in encoder._luma]
    encoder._luma[0][:] = 0
    with pytest.raises(EncodeError, match="not the picture that went in"):
        encoder.finish()


def test_many_overlapping_clips_are_cut_in_passes(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    record(media / "a.mp4", num_frames=50, options=X264)
    rows: list[dict[str, object]] = [
        {"recording": "a.mp4", "start": k, "end": 50 - k, "unit": "frame"} for k in range(20)
    ]
    dataset = build(tmp_path, media, rows)
    for clip in dataset.read("clips", Clip):
        numbers = [read_number(f) for f in frames_of(dataset, clip.clip_id)]
        assert numbers == list(range(clip.first_frame, clip.last_frame + 1))
    assert len(dataset.clips) == 20


def test_a_recording_that_changed_since_ingest_is_refused(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    record(media / "a.mp4", num_frames=30, options=X264)
    rows: list[dict[str, object]] = [{"recording": "a.mp4", "start": 0, "end": 9, "unit": "frame"}]
    dataset = build(tmp_path, media, rows)
    record(media / "a.mp4", num_frames=31, options=X264)
    for tar in (dataset.root / "clips" / "h264").iterdir():
        tar.unlink()
    options = clips.ClipOptions(fit="stretch")
    with pytest.raises(IncompleteDataset, match=r"a\.mp4 changed since it was ingested"):
        clips.resize(dataset, media=ingest.find_media([str(media)]).files, options=options)


def test_a_clip_has_the_same_bytes_alone_and_among_others(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    record(media / "a.mp4", num_frames=200, options=B_FRAMES)

    def packed(name: str, spans: list[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
        (tmp_path / name).mkdir()
        rows: list[dict[str, object]] = [
            {"recording": "a.mp4", "start": a, "end": b, "unit": "frame"} for a, b in spans
        ]
        dataset = build(tmp_path / name, media, rows)
        (tar,) = (dataset.root / "clips" / "h264").glob("*.tar")
        with pack.PackReader(tar) as reader:
            return {
                (c.first_frame, c.last_frame + 1): reader.read(c.clip_id, field="mp4")
                for c in dataset.read("clips", Clip)
            }

    # It begins where another ends, lies in one, overlaps some; more overlap than are open at once.
    others = [(k, 150 - k) for k in range(20)] + [(60, 80), (100, 199), (0, 200), (85, 95)]
    alone = packed("alone", [(80, 100)])
    among = packed("among", [*others, (80, 100)])
    assert len(among) == len(others) + 1
    assert among[80, 100] == alone[80, 100]


def test_more_stretches_than_a_decoder_is_told_of_are_decoded_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    media = tmp_path / "media"
    media.mkdir()
    record(media / "a.mp4", num_frames=120, options=B_FRAMES)
    rows: list[dict[str, object]] = [
        {"recording": "a.mp4", "start": k, "end": k + 3, "unit": "frame"} for k in range(5, 110, 10)
    ]
    monkeypatch.setattr(clips, "_MOST_STRETCHES", len(rows) - 1)
    dataset = build(tmp_path, media, rows)
    got = {
        clip.first_frame: [read_number(f) for f in frames_of(dataset, clip.clip_id)]
        for clip in dataset.read("clips", Clip)
    }
    assert got == {k: [k, k + 1, k + 2] for k in range(5, 110, 10)}


def test_a_decoder_can_be_told_of_so_many_stretches(tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    frames = 2 * clips._MOST_STRETCHES
    ffmpeg("-f", "lavfi", "-i", f"testsrc=s=32x32:r=25:d={frames / 25}", *X264, path)
    found = probe.probe(path)
    every_other = list(found.pts)[::2]
    with video.decoding(
        path, stream_index=0, time_base=found.time_base, origin_pts=found.origin_pts,
        geometry=video.geometry(32, 32, size=32, fit="pad"), wanted=[(p, p) for p in every_other],
    ) as decoded:  # fmt: skip
        assert [pts for pts, _ in decoded.frames] == every_other
    assert len(every_other) == clips._MOST_STRETCHES
    assert not decoded.errors


def test_block_edges_are_left_only_in_frames_to_which_no_other_refers(tmp_path: Path) -> None:
    path = tmp_path / "blocky.mp4"
    source = ["-f", "lavfi", "-i", "mandelbrot=s=960x720:r=25", "-t", "1"]
    ffmpeg(*source, "-c:v", "libx264", "-b:v", "500k", "-pix_fmt", "yuv420p", path)
    found = probe.probe(path)

    def decoded(*, smooth: bool) -> tuple[list[int], np.ndarray]:
        with video.decoding(
            path, stream_index=0, time_base=found.time_base, origin_pts=found.origin_pts,
            geometry=video.geometry(960, 720, size=224, fit="stretch"), smooth=smooth,
        ) as running:  # fmt: skip
            pts, frames = zip(*running.frames, strict=True)
        return list(pts), np.stack([np.frombuffer(f, np.uint8) for f in frames]).astype(float)

    pts, frames = decoded(smooth=False)
    exact_pts, exact = decoded(smooth=True)
    assert pts == exact_pts == list(found.pts)
    errors = ((frames - exact) ** 2).mean(axis=1)
    assert 0 < errors.max() < 255**2 / 10**5  # 50 dB
    assert (errors == 0).sum() > 5  # those to which others refer


@pytest.mark.parametrize(
    ("size", "other", "coarse"),
    [
        ((1280, 720), {}, True),
        ((720, 1280), {}, True),
        ((640, 640), {}, False),
        ((1280, 720), {"codec": "hevc"}, False),
        ((400, 720), {"display_width": 1280}, False),  # wide pixels: few are stored
        ((720, 400), {"display_width": 720, "display_height": 1280, "rotation": 90}, False),
        ((1280, 720), {"inset": (0, 0, 600, 700)}, False),
    ],
)
def test_where_block_edges_do_not_show(
    size: tuple[int, int], other: dict[str, Any], coarse: bool
) -> None:
    shown = {"display_width": size[0], "display_height": size[1], "rotation": 0, "codec": "h264"}
    fields = dict.fromkeys(f.name for f in dataclasses.fields(Recording))
    recording = Recording(**{**fields, **shown, "width": size[0], "height": size[1], **other})
    options = spans.ClipOptions(
        size=224, fit="stretch", crop="inset" if recording.inset else "none"
    )
    shape = spans.geometry(recording, options)
    assert shape is not None
    assert spans.is_coarse(recording, shape) == coarse


PEAK = """
import sys
from pathlib import Path
from kslds import probe, video
path = Path(sys.argv[1])
found = probe.probe(path)
fit = video.geometry(32, 32, size=32, fit="pad")
peak = lambda: int(next(l for l in open("/proc/self/status") if "VmHWM" in l).split()[1])
with video.decoding(
    path, stream_index=0, time_base=found.time_base, origin_pts=0, geometry=fit
) as decoded:
    count = sum(1 for _ in decoded.frames)
print(count, peak())
"""


def test_memory_does_not_grow_with_the_length_of_a_recording(tmp_path: Path) -> None:
    peaks = {}
    for frames in (1_000, 60_000):
        path = tmp_path / f"{frames}.mp4"
        ffmpeg("-f", "lavfi", "-i", f"color=s=32x32:r=25:d={frames / 25}", *X264, path)
        out = subprocess.run(
            [sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True
        )
        count, peak_kb = map(int, out.stdout.split())
        assert count == frames
        peaks[frames] = peak_kb
    # FFmpeg's own index of an MP4 takes some 50 bytes a frame.
    assert peaks[60_000] < peaks[1_000] + 8_000


BROKEN_OFF = """
import gc, sys
from pathlib import Path
from kslds import probe, video
gc.disable()
path = Path(sys.argv[1])
found = probe.probe(path)
fit = video.geometry(32, 32, size=32, fit="pad")
held = lambda: int(next(l for l in open("/proc/self/status") if "VmRSS" in l).split()[1])
for number in range(60):
    with video.decoding(
        path, stream_index=0, time_base=found.time_base, origin_pts=0, geometry=fit
    ) as decoded:
        next(decoded.frames)
    if number == 9:
        before = held()
print(held() - before)
"""


def test_a_decoder_that_is_broken_off_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=32x32:r=25:d=20", *X264, path)
    command = [sys.executable, "-c", BROKEN_OFF, str(path)]
    out = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(out.stdout) < 8_000  # kB; a reader takes some 400
