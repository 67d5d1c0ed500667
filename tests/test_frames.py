"""Reading frames back: the right ones, the same pixels by every way, and clear refusals."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kslds import frames, mp4
from kslds.errors import MediaError, UsageError
from kslds.video import ENCODINGS
from tests.painting import ffmpeg, read_number, record
from tests.shard_tools import jpeg

FRAMES = 40


def clip(path: Path, **options: object) -> bytes:
    """Painted frames, encoded as clips are, but for what the options say."""
    ours = {**ENCODINGS["h264"].options, **options}
    names = {"vcodec": "c:v"}
    arguments = [part for k, v in ours.items() for part in (f"-{names.get(k, k)}", str(v))]
    return record(path, num_frames=FRAMES, options=arguments).read_bytes()


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    # The numbers change so much from frame to frame that most would become keyframes.
    return clip(tmp_path_factory.mktemp("clip") / "c.mp4", sc_threshold=0)


@pytest.fixture(scope="module")
def whole(ours: bytes) -> np.ndarray:
    """Every frame, decoded from the start by PyAV's own way."""
    with av.open(io.BytesIO(ours)) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


@settings(max_examples=60, deadline=None)
@given(indices=st.lists(st.integers(0, FRAMES - 1), min_size=1, max_size=12))
def test_any_frames_are_those_of_a_whole_decode(
    ours: bytes, whole: np.ndarray, indices: list[int]
) -> None:
    got = frames.read_frames(ours, indices=indices)
    assert (got == whole[indices]).all()


def test_the_frames_are_the_painted_ones(ours: bytes) -> None:
    got = frames.read_frames(ours, indices=range(FRAMES))
    assert [read_number(frame) for frame in got] == list(range(FRAMES))


def test_frames_go_where_they_are_asked_to(ours: bytes, whole: np.ndarray) -> None:
    batch = np.zeros((3, 2, *whole.shape[1:]), np.uint8)
    assert frames.read_frames(ours, indices=[7, 3], out=batch[1]) is not None
    assert (batch[1] == whole[[7, 3]]).all()
    assert not batch[[0, 2]].any()


@pytest.mark.parametrize("reader", [name for name in frames.READERS if name != "pyav"])
def test_other_readers_give_the_same_pixels(ours: bytes, whole: np.ndarray, reader: str) -> None:
    if find_spec(reader) is None:
        pytest.skip(f"{reader} is not installed")
    indices = [0, 11, 12, 13, 39, 5, 5]
    assert (frames.read_frames(ours, indices=indices, reader=reader) == whole[indices]).all()
    out = np.empty((1, *whole.shape[1:]), np.uint8)
    frames.read_frames(ours, indices=[20], out=out, reader=reader)
    assert (out[0] == whole[20]).all()


@pytest.mark.parametrize(
    ("wanted", "decoded"),
    [
        ({0}, [0]),
        ({12}, [0, 6, 12]),
        ({14}, [0, 6, 12, 18, 14]),
        ({34}, [0, 6, 12, 18, 24, 30, 35, 34]),
        ({2, 38}, [0, 6, 2, 36, 39, 38]),
    ],
)
def test_little_is_decoded_for_a_few_frames(
    ours: bytes, wanted: set[int], decoded: list[int]
) -> None:
    track = mp4.track(ours)
    assert track is not None
    assert track.keyframes == {0, 36}
    needed = frames._needed(track, wanted=wanted)
    assert [track.shown[number] for number in needed] == decoded


def test_the_frames_of_our_mp4_are_where_ffmpeg_finds_them(ours: bytes) -> None:
    track = mp4.track(ours)
    assert track is not None
    with av.open(io.BytesIO(ours)) as container:
        stream = container.streams.video[0]
        packets = [p for p in container.demux(stream) if p.size]
        assert track.settings == stream.codec_context.extradata
        assert (track.width, track.height) == (stream.width, stream.height)
    found = [ours[a : a + n] for a, n in zip(track.starts, track.sizes, strict=True)]
    assert found == [bytes(packet) for packet in packets]
    assert track.keyframes == {n for n, packet in enumerate(packets) if packet.is_keyframe}
    assert track.shown == np.argsort(np.argsort([packet.pts for packet in packets])).tolist()
    assert track.aside == {n for n, shown in enumerate(track.shown) if shown in _ASIDE}


_ASIDE = set(range(FRAMES)) - {0, 6, 12, 18, 24, 30, 35, 36, 39}
"""Frames to which no other refers: five at a time, unless a group ends before."""


def test_a_clip_of_keyframes_has_no_table_of_them(tmp_path: Path) -> None:
    track = mp4.track(clip(tmp_path / "c.mp4", g=1))
    assert track is not None
    assert track.keyframes == set(range(FRAMES))


def test_other_forms_are_left_to_ffmpeg(tmp_path: Path, whole: np.ndarray) -> None:
    forms = {
        "fragments": {"movflags": "frag_keyframe+empty_moov", "sc_threshold": 0},
        "an edit list": {"movflags": "faststart", "sc_threshold": 0},
        "open groups": {"x264-params": "open-gop=1", "sc_threshold": 0},
        "no whole keyframes": {"x264-params": "intra-refresh=1:keyint=8:ref=4", "bf": 0},
    }
    for name, options in forms.items():
        data = clip(tmp_path / f"{name}.mp4", **options)
        assert mp4.track(data) is None
        got = frames.read_frames(data, indices=[31, 2])
        assert [read_number(frame) for frame in got] == [31, 2]


@pytest.mark.parametrize(
    "options",
    [
        {"movflags": "+faststart", "use_editlist": 0},
        {"g": 1},
        {"tune": "zerolatency", "refs": 4},
        {"x264-params": "repeat-headers=1"},
        {"movflags": "hybrid_fragmented"},
        {"movflags": "negative_cts_offsets", "bf": 2},
        {"vcodec": "libx265", "x265-params": "log-level=none", "tag:v": "hvc1"},
        {"output_ts_offset": 3.5},
        {"moov_size": 9000, "movflags": "default_base_moof"},
        {"f": "mov", "timecode": "00:00:00:00"},
        {"qp": 0, "tune": "film", "x264-params": "no-cabac=1"},
    ],
    ids=str,
)
def test_what_ffmpeg_writes_is_read_right(tmp_path: Path, options: dict[str, object]) -> None:
    data = clip(tmp_path / "c.mp4", **options)
    indices = [FRAMES - 1, 0, 13, 13]
    got = frames.read_frames(data, indices=indices)
    assert [read_number(frame) for frame in got] == indices


@pytest.mark.parametrize("codec", ["mpeg4", "mpeg2video", "libx265", "libsvtav1"])
def test_other_codecs_have_the_room_that_they_need(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "c.mp4"
    record(path, num_frames=12, options=["-c:v", codec, "-b:v", "4M", "-pix_fmt", "yuv420p"])
    got = frames.read_frames(path.read_bytes(), indices=[11, 0])
    assert [read_number(frame) for frame in got] == [11, 0]


def test_a_long_clip_in_many_chunks_is_read_right(tmp_path: Path) -> None:
    data = clip(tmp_path / "c.mp4", qp=0, filter="noise=alls=60:allf=t")
    assert len(data) > 1_500_000
    assert mp4.track(data) is not None
    got = frames.read_frames(data, indices=[FRAMES - 1, 0, 13])
    assert [read_number(frame) for frame in got] == [FRAMES - 1, 0, 13]


def test_frames_that_an_edit_list_leaves_out_are_not_counted(tmp_path: Path) -> None:
    """The first six are before time 0: which one frame 0 is depends on who reads."""
    data = clip(tmp_path / "c.mp4", output_ts_offset=-0.2)
    assert mp4.track(data) is None
    with pytest.raises(MediaError, match="frames that are not shown"):
        frames.read_frames(data, indices=[0])


@pytest.mark.parametrize("number", [1, 2, 6, 7, 37])
def test_a_clip_of_any_length_is_read_without_ffmpeg(tmp_path: Path, number: int) -> None:
    path = tmp_path / "whole.mp4"
    path.write_bytes(clip(path, **{"frames:v": number}))
    track = mp4.track(path.read_bytes())
    assert track is not None
    assert sorted(track.shown) == list(range(number))
    got = frames.read_frames(path.read_bytes(), indices=range(number))
    assert [read_number(frame) for frame in got] == list(range(number))


def _changed(data: bytes, box: bytes, offset: int, value: int) -> bytes:
    """With another 32-bit number in a box, so many bytes after its type."""
    at = data.index(box) + 4 + offset
    return data[:at] + struct.pack(">I", value) + data[at + 4 :]


@pytest.mark.parametrize(
    ("box", "offset", "value"),
    [
        (b"elst", 8, 100),  # shows a tenth of a second
        (b"stsc", 12, 1),  # one frame in a chunk, of which there is one
        (b"ctts", 12, 2**32 - 9000),  # the first frames are shown before time 0
        (b"hdlr", 8, 0x736F756E),  # sound
        (b"stss", 8, 2),  # a frame that is no keyframe
    ],
)
def test_tables_that_ffmpeg_understands_otherwise_are_left_to_it(
    ours: bytes, box: bytes, offset: int, value: int
) -> None:
    assert mp4.track(_changed(ours, box, offset, value)) is None


@pytest.mark.parametrize(
    "data",
    [
        b"ffconcat version 1.0\nfile other.mp4\n",
        b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        b"m=video 50004 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n",
        b"#EXTM3U\n#EXTINF:1,\nother.mp4\n",
    ],
)
@pytest.mark.timeout(15)  # for a stream that nobody sends
def test_nothing_else_is_opened_for_a_clip(
    ours: bytes, data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other.mp4").write_bytes(ours)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MediaError):
        frames.read_frames(data, indices=[0])


def test_there_is_no_room_for_frames_that_cannot_be_there(ours: bytes) -> None:
    many = 20_000_000
    lie = _changed(_changed(ours, b"stsz", 4, 1), b"stsz", 8, many)
    with pytest.raises(MediaError, match=f"states {many} frames in {len(ours)} bytes"):
        frames.read_frames(lie, indices=[0])


def test_many_boxes_are_not_gone_through(ours: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = b"".join(struct.pack(">II", 8, 0x61000000 + n) for n in range(100_000))
    walk, seen = mp4._walk, 0

    def counted(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
        nonlocal seen
        for box in walk(data, start, end):
            seen += 1
            yield box

    monkeypatch.setattr(mp4, "_walk", counted)
    assert mp4.track(boxes + ours) is None
    assert seen <= 21


@settings(max_examples=300, deadline=None)
@given(
    place=st.integers(0, 1300), value=st.binary(min_size=1, max_size=8), cut=st.integers(0, 20_000)
)
def test_a_damaged_mp4_is_read_or_refused(ours: bytes, place: int, value: bytes, cut: int) -> None:
    data = (ours[:place] + value + ours[place + len(value) :])[: len(ours) - cut]
    track = mp4.track(data)
    if track is not None:
        assert min(track.sizes) > 0
        assert track.starts[-1] + track.sizes[-1] <= len(data)
    try:
        got = frames.read_frames(data, indices=[3, 17])
    except MediaError:
        return
    assert got.shape[0] == 2


def test_planes_are_those_that_are_stored(ours: bytes) -> None:
    with av.open(io.BytesIO(ours)) as container:
        stored = np.stack([f.to_ndarray(format="yuv420p") for f in container.decode(video=0)])
    got = frames.read_frames(ours, indices=[5, 39, 5], planes=True)
    assert got.shape[1:] == frames.planes_shape(*got_size(ours))
    assert (got == stored[[5, 39, 5]]).all()
    with pytest.raises(UsageError, match="40 × 30 do not fit into planes"):
        frames.planes_shape(30, 40)


def got_size(data: bytes) -> tuple[int, int]:
    with av.open(io.BytesIO(data)) as container:
        return container.streams.video[0].height, container.streams.video[0].width


def test_frames_shown_in_another_order_than_stored_are_right(tmp_path: Path) -> None:
    data = clip(tmp_path / "b.mp4", bf=3, tune="animation")
    got = frames.read_frames(data, indices=[39, 1, 17, 30])
    assert [read_number(frame) for frame in got] == [39, 1, 17, 30]


@pytest.mark.parametrize("reader", ["pyav", "decord"])
@pytest.mark.parametrize(
    ("change", "indices"),
    [
        (lambda data: data, [FRAMES]),
        (lambda data: data, [-1]),
        (lambda data: b"", [0]),
        (lambda data: b"no clip at all" * 9, [0]),
        (lambda data: data[:1500], [0]),
    ],
)
def test_what_is_not_there_is_refused(ours: bytes, change, indices, reader: str) -> None:
    if reader == "decord" and find_spec("decord") is None:
        pytest.skip("decord is not installed")
    if reader == "decord" and indices == [-1]:
        pytest.skip("decord counts from the end")
    with pytest.raises(MediaError, match="the clip cannot be decoded"):
        frames.read_frames(change(ours), indices=indices, reader=reader)


def test_a_clip_of_another_size_is_refused(ours: bytes) -> None:
    with pytest.raises(MediaError, match=r"where .* was expected"):
        frames.read_frames(ours, indices=[0], out=np.empty((1, 10, 10, 3), np.uint8))


@pytest.mark.parametrize("without", [False, True])
def test_jpegs_are_what_pillow_sees(monkeypatch: pytest.MonkeyPatch, without: bool) -> None:
    if without:
        monkeypatch.setattr(frames, "find_spec", lambda name: None)
    pictures = [jpeg(n, size=(45, 33)) for n in (3, 500)]
    expected = np.stack([np.asarray(Image.open(io.BytesIO(p)).convert("RGB")) for p in pictures])
    assert (frames.read_jpegs(pictures) == expected).all()
    batch = np.zeros((2, 2, 33, 45, 3), np.uint8)
    frames.read_jpegs(pictures, out=batch[1])
    assert (batch[1] == expected).all()
    assert not batch[0].any()


@pytest.mark.parametrize("without", [False, True])
def test_odd_jpegs_are_refused(monkeypatch: pytest.MonkeyPatch, without: bool) -> None:
    if without:
        monkeypatch.setattr(frames, "find_spec", lambda name: None)
    good = jpeg(1)
    for pictures in (
        [],
        [b""],
        [b"nothing"],
        [good[:-40]],
        [good, jpeg(1, size=(20, 32))],
        [good, jpeg(1, size=(80, 32))],
    ):
        with pytest.raises(MediaError):
            frames.read_jpegs(pictures)
    with pytest.raises(MediaError, match="was expected"):
        frames.read_jpegs([good], out=np.empty((1, 9, 9, 3), np.uint8))


def test_a_giant_picture_is_refused_before_there_is_room_for_it(tmp_path: Path) -> None:
    path = tmp_path / "giant.mp4"
    giant = ("-f", "lavfi", "-i", "color=s=12000x12000:r=10:d=0.2")
    ffmpeg(*giant, "-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", path)
    data = bytearray(path.read_bytes())
    entry = data.index(b"avc1", data.index(b"stsd")) + 4
    lie = data.copy()
    struct.pack_into(">HH", lie, entry + 24, 224, 224)
    for number, (clip, why) in enumerate(
        ((data, "12000 × 12000, more than 8192"), (lie, "Invalid"))
    ):
        held = tmp_path / f"{number}.mp4"
        held.write_bytes(clip)
        text = (
            "import resource, sys; from kslds import errors, frames\n"
            "try: frames.read_frames(open(sys.argv[1], 'rb').read(), indices=[1])\n"
            "except errors.MediaError as error: print(error.what, error.hint)\n"
            "print([line.split()[1] for line in open('/proc/self/status') if 'VmHWM' in line][0])"
        )
        out = subprocess.run(
            [sys.executable, "-c", text, str(held)], capture_output=True, check=True, text=True
        ).stdout.splitlines()
        assert why in out[0]
        assert "Fetch the dataset again" in out[0]
        assert int(out[1]) < 170_000  # kB; one such frame takes 216,000


@pytest.mark.parametrize("size", ["16x16", "66x130", "126x34", "8190x100", "4096x2048"])
def test_pictures_of_any_usual_size_are_read(tmp_path: Path, size: str) -> None:
    path = tmp_path / "clip.mp4"
    source = ("-f", "lavfi", "-i", f"color=s={size}:r=10:d=0.3")
    ffmpeg(*source, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", path)
    width, height = map(int, size.split("x"))
    assert frames.read_frames(path.read_bytes(), indices=[2]).shape == (1, height, width, 3)
