"""Recordings whose timestamps repeat, go back or are not those of the decoder."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import pytest

from kslds import clips, ingest, video
from kslds import probe as probing
from kslds.errors import MediaError
from kslds.manifest import Dataset
from kslds.probe import probe
from kslds.schema import Clip, Recording, Timing
from tests.painting import ffmpeg, read_number, record
from tests.test_clips import B_FRAMES, X264, build, frames_of

TRANSPORT_PACKET = 188


def numbers(dataset: Dataset) -> dict[tuple[int, int], list[int]]:
    return {
        (c.first_frame, c.last_frame): [read_number(f) for f in frames_of(dataset, c.clip_id)]
        for c in dataset.read("clips", Clip)
    }


def test_of_frames_with_one_time_the_first_counts(tmp_path: Path) -> None:
    twice = "settb=1/1000,setpts=floor(N/2)*66"
    options = (*X264, "-bf", "0", "-fps_mode", "passthrough", "-enc_time_base", "1/1000")
    path = record(
        tmp_path / "media.mkv", num_frames=60, filters=twice,
        options=(*options, "-avoid_negative_ts", "disabled"),
    )  # fmt: skip
    found = probe(path)
    assert found.damage is None or "repeat the time" in found.damage
    media = tmp_path / "media"
    media.mkdir()
    path.rename(media / path.name)
    row = {"recording": path.name, "start": 10, "end": 20, "unit": "frame"}
    dataset = build(tmp_path, media, [row])
    step = 60 // len(found.pts)
    assert step in (1, 2)
    assert numbers(dataset) == {(10, 19): [step * i for i in range(10, 20)]}


def test_a_clock_that_goes_back_is_refused(tmp_path: Path) -> None:
    part = record(tmp_path / "part.ts", num_frames=60, options=B_FRAMES)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(part.read_bytes() * 2)
    with pytest.raises(MediaError, match=r"joined.ts: its clock goes back after frame 60") as error:
        probe(joined)
    assert error.value.code == "K125"


def test_a_jump_of_the_clock_is_said(tmp_path: Path) -> None:
    part = record(tmp_path / "part.ts", num_frames=60, options=B_FRAMES)
    later = tmp_path / "later.ts"
    ffmpeg("-i", part, "-c", "copy", "-output_ts_offset", "100", later)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(part.read_bytes() + later.read_bytes())
    assert "no frame comes for" in (probe(joined).damage or "")


def test_a_table_that_does_not_count_as_the_decoder_does_gives_no_clip(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    record(media / "a.mp4", num_frames=60, options=B_FRAMES)
    rows = [{"recording": "a.mp4", "start": a, "end": a + 10, "unit": "frame"} for a in (5, 20, 40)]
    dataset = build(tmp_path, media, rows)
    assert len(dataset.clips) == 3
    (timing,) = dataset.read("timings", Timing)
    shifted = [pts - 512 for pts in timing.pts[1:]] + [timing.pts[-1]]
    dataset.write("timings", [dataclasses.replace(timing, pts=[p + 7 for p in shifted])])
    options = clips.ClipOptions(fit="stretch")
    clips.trim(dataset, options=options)
    # Another size, so that the packs of the first run do not count.
    options = clips.ClipOptions(fit="stretch", size=112)
    clips.resize(dataset, media=ingest.find_media([str(media)]).files, options=options)
    assert dataset.clips.empty
    assert list(dataset.dropped.code) == ["K125"] * 3


def test_a_picture_too_narrow_for_its_fit_is_dropped(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=2000x20:d=1:r=25", *X264, media / "thin.mp4")
    record(media / "b.mp4", num_frames=30, options=X264)
    rows = [{"recording": name, "start": 0, "end": 500} for name in ("thin.mp4", "b.mp4")]
    dataset = build(tmp_path, media, rows, fit="short-side")
    assert list(dataset.dropped.code) == ["K203"]
    assert "2000 × 20" in dataset.dropped.reason[0]
    assert list(dataset.clips.source_file) == ["b.mp4"]


def test_what_is_cut_away_by_an_edit_list_is_no_damage(tmp_path: Path) -> None:
    whole = record(tmp_path / "whole.mp4", num_frames=120, options=B_FRAMES)
    trimmed = tmp_path / "trimmed.mp4"
    ffmpeg("-ss", "2.5", "-i", whole, "-c", "copy", "-t", "1", trimmed)
    assert probe(trimmed).damage is None


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_a_file_that_ends_early_is_damaged(tmp_path: Path, suffix: str) -> None:
    options = (*B_FRAMES, "-movflags", "+faststart") if suffix == ".mp4" else (*X264, "-bf", "0")
    whole = record(tmp_path / f"whole{suffix}", num_frames=120, options=options)
    assert probe(whole).damage is None
    data = whole.read_bytes()
    short = tmp_path / f"short{suffix}"
    short.write_bytes(data[: len(data) * 3 // 4])
    if suffix == ".avi":
        # What decodes cannot be told from what does not where the container is silent.
        with pytest.raises(MediaError) as error:
            probe(short)
        assert error.value.code == "K125"
    else:
        found = probe(short)
        assert found.damage is not None
        assert len(found.pts) < 120


def test_a_lost_packet_of_a_transport_stream_is_damage(tmp_path: Path) -> None:
    whole = record(tmp_path / "whole.ts", num_frames=90, options=B_FRAMES)
    data = whole.read_bytes()
    packets = [data[i : i + TRANSPORT_PACKET] for i in range(0, len(data), TRANSPORT_PACKET)]
    starts = [
        i for i, p in enumerate(packets)
        if p[1] & 0x40 and ((p[1] & 0x1F) << 8 | p[2]) == 0x100
    ]  # fmt: skip
    sizes = [b - a for a, b in itertools.pairwise(starts)]
    lost = 1 + sizes[1:].index(max(sizes[1:]))  # a keyframe, but not the first
    lossy = tmp_path / "lossy.ts"
    lossy.write_bytes(b"".join(packets[: starts[lost]] + packets[starts[lost + 1] :]))
    found = probe(lossy)
    assert found.damage is not None
    # What comes before the next keyframe refers to the lost one.
    assert len(found.pts) < 85


def test_a_stream_that_begins_in_the_middle_loses_only_what_cannot_be_seen(tmp_path: Path) -> None:
    """x265 opens its groups: the first pictures after the cut refer to some before it."""
    options = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params",
               "log-level=none:keyint=30:min-keyint=30:bframes=3")  # fmt: skip
    whole = record(tmp_path / "whole.ts", num_frames=120, options=options)
    media = tmp_path / "media"
    media.mkdir()
    ffmpeg("-ss", "0.5", "-i", whole, "-c", "copy", media / "cut.ts")
    found = probe(media / "cut.ts")
    assert len(found.pts) > 80
    rows = [{"recording": "cut.ts", "start": 500, "end": 1600}]
    dataset = build(tmp_path, media, rows)
    ((_, shown),) = numbers(dataset).items()
    assert shown == list(range(shown[0], shown[0] + len(shown)))
    assert len(shown) > 25


def test_an_odd_rate_is_taken_as_the_fraction_it_means() -> None:
    options = clips.ClipOptions(fps=29.97002997002997)
    assert options.rate == Fraction(30000, 1001)
    assert clips.ClipOptions(fps=12.5).rate == Fraction(25, 2)


@pytest.mark.parametrize("width", [16, 24, 48, 72])
def test_narrow_clips_are_read(tmp_path: Path, width: int) -> None:
    path = tmp_path / "narrow.mp4"
    source = f"color=red:s={width}x224:d=1:r=5"
    ffmpeg("-f", "lavfi", "-i", source, *X264, "-bf", "0", path)
    frames = video.read_frames(path.read_bytes(), indices=[0, 4])
    assert frames.shape == (2, 224, width, 3)
    assert frames[..., 0].mean() > 200 > 50 > frames[..., 1:].mean()


LONG = {
    "b-frames.mp4": (*B_FRAMES, "-g", "30"),
    "b-frames.mkv": (*B_FRAMES, "-g", "30"),
    "open-gop.mp4": (*X264, "-g", "24", "-bf", "3", "-x264-params", "open-gop=1:b-adapt=0"),
    "intra-refresh.mp4": (*X264, "-g", "30", "-x264-params", "intra-refresh=1"),
    "hevc.mov": ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params",
                 "log-level=none:keyint=30", "-tag:v", "hvc1"),
    "late.mkv": (*B_FRAMES, "-g", "30", "-output_ts_offset", "7.3"),
    "vp9.webm": ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "30"),
}  # fmt: skip


@pytest.mark.parametrize("name", LONG)
def test_what_no_clip_needs_is_skipped_exactly(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clips, "_SKIP_PIXELS", 100 * 320 * 240)
    media = tmp_path / "media"
    media.mkdir()
    record(media / name, num_frames=900, options=LONG[name])
    spans = [(3, 9), (301, 312), (330, 333), (640, 671), (895, 900)]
    rows = [{"recording": name, "start": a, "end": b, "unit": "frame"} for a, b in spans]
    dataset = build(tmp_path, media, rows)
    assert numbers(dataset) == {(a, b - 1): list(range(a, b)) for a, b in spans}
    (recording,) = dataset.read("recordings", Recording)
    (timing,) = dataset.read("timings", Timing)
    job = clips._Job(
        recording=recording, timing=timing, clips=tuple(dataset.read("clips", Clip)),
        path=media / name, folder=tmp_path, options=clips.ClipOptions(), encodings=(), threads=1,
    )  # fmt: skip
    ordered = sorted(job.clips, key=lambda c: c.first_frame)
    runs = [len(group) for _, group in clips._runs(job, ordered)]
    if name in ("open-gop.mp4", "intra-refresh.mp4"):
        assert runs == [5]  # no frame but the first is safe to start at
    else:
        assert runs == [1, 2, 1, 1]


def decoded(
    packets: str, *, bad: set[int] = frozenset(), corrupt: set[int] = frozenset()
) -> probing._Decoded:
    """Packets in the order of the file: timestamps, a keyframe's with a K."""
    found = probing._Decoded(bad=set(bad), corrupt=set(corrupt))
    for word in packets.split():
        found.stamps.append(int(word.strip("K")))
        found.stamped.append(1)
        found.key.append("K" in word)
        found.shown.append(int(word.strip("K")))
    return found


@pytest.mark.parametrize(
    ("packets", "bad", "corrupt", "sound"),
    [
        ("0K 1 2 3K 4 5", {1}, (), [0, 3, 4, 5]),  # until the next keyframe
        ("0K 1 2 3K 4 5", {4}, (), [0, 1, 2, 3]),  # until the end
        ("0K 1 2 3K 4 5", {0, 1}, {5}, [3, 4]),
        ("0K 2 1 5K 3 4 6", {1}, (), [0, 5, 6]),  # 3 and 4 refer to what is before their keyframe
        ("2K 0 1 3 4", {1}, (), [1, 2, 3, 4]),  # shown before the first keyframe: only that one
    ],
)
def test_what_refers_to_a_frame_that_does_not_decode_is_no_sound_frame(
    packets: str, bad: set[int], corrupt: set[int], sound: list[int]
) -> None:
    got, clean = probing._sound(decoded(packets, bad=bad, corrupt=set(corrupt)))
    assert got.tolist() == sound
    assert not clean


def test_an_hour_that_is_bad_throughout_is_gone_through_in_one_go() -> None:
    packets = " ".join(f"{n}{'K' * (n % 60 == 0)}" for n in range(108_000))
    found = decoded(packets, bad=set(range(108_000)))
    start = time.process_time()
    assert probing._sound(found)[0].tolist() == []
    assert time.process_time() - start < 20


def test_giant_pictures_are_refused_before_there_is_room_for_them(tmp_path: Path) -> None:
    path = tmp_path / "giant.mkv"
    giant = ("-f", "lavfi", "-i", "color=s=12000x12000:r=10:d=0.2")
    ffmpeg(*giant, "-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", path)
    text = (
        "import sys; from pathlib import Path; from kslds import errors, probe\n"
        "try: probe.probe(Path(sys.argv[1]))\n"
        "except errors.MediaError as error: print(error.code, error)\n"
        "print([line.split()[1] for line in open('/proc/self/status') if 'VmHWM' in line][0])"
    )
    command = [sys.executable, "-c", text, str(path)]
    out = subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()
    assert "K102 giant.mkv has pictures of 12000 × 12000; at most 67108864" in out[0]
    assert "scale=1920:-2" in out[0]
    assert int(out[1]) < 200_000  # kB; one such frame takes 216,000
