"""The structure of a recording: streams, geometry, and the timestamp of every frame.

Read from the container without decoding; a file whose packets do not tell what is
presented is decoded once to see (`sound_pts`).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from array import array
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import numpy.typing as npt

from kslds.errors import MediaError
from kslds.video import (
    MAX_PIXELS,
    SAFE_INPUT,
    STALL_SECONDS,
    Geometry,
    decoding,
    ffmpeg_exe,
    open_media,
    safe_input,
)

SUFFIXES = frozenset(
    """
    .mp4 .m4v .mov .qt .3gp .3g2 .mkv .webm .avi .ts .mts .m2ts .mpg .mpeg .m2v .flv .f4v .wmv
    .asf .ogv .ogg .mxf .vob .dv .ivf .nut .h264 .264 .h265 .hevc .265 .obu .mjpeg .gif
    """.split()  # noqa: SIM905 - a list of literals would fill the page
)
"""File name endings that are taken for recordings when a folder is searched."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """The structure of one file, read without decoding (unless its packets do not tell)."""

    container: str
    codec: str
    pix_fmt: str | None
    stream_index: int
    width: int
    height: int
    rotation: int
    sar: Fraction
    time_base: Fraction
    origin_pts: int
    pts: Sequence[int]
    """Timestamps of the presented frames, ascending, in `time_base`, minus `origin_pts`."""
    keyframes: Sequence[int]
    end_ms: int
    is_vfr: bool
    has_audio: bool
    damage: str | None
    capture: Mapping[str, str]
    """Capture date, device and location tags of the container."""

    @property
    def display_size(self) -> tuple[int, int]:
        """Width and height in square pixels after rotation."""
        width, height = round(self.width * self.sar), self.height
        return (height, width) if self.rotation in (90, 270) else (width, height)

    @property
    def average_rate(self) -> Fraction:
        """Frames per second over the whole recording."""
        span = (self.pts[-1] - self.pts[0]) * self.time_base
        if len(self.pts) < 2 or span <= 0:
            return Fraction(1000, max(self.end_ms, 1))
        return (Fraction(len(self.pts) - 1) / span).limit_denominator(100_000)


def frame_ms(pts: int, time_base: Fraction) -> int:
    """``floor(1000 * pts)`` with pts in seconds: the millisecond a frame belongs to."""
    return pts * 1000 * time_base.numerator // time_base.denominator


def all_ms(pts: Sequence[int], time_base: Fraction) -> npt.NDArray[np.int64]:
    """`frame_ms` of each of many."""
    largest = max(map(abs, pts), default=0) * 1000 * time_base.numerator
    # Whole numbers of Python where 64 bits do not hold what is in between.
    found = frame_ms(cast(Any, np.array(pts, np.int64 if largest < 2**62 else object)), time_base)
    return np.asarray(found, np.int64)


def check_readable(path: Path) -> None:
    """Refuse what cannot be a recording before any library parses it.

    Raises:
        MediaError: K106 an empty file; K107 a playlist or another text.
    """
    with path.open("rb") as file:
        head = file.read(4096)
    if not head:
        raise MediaError(f"{path.name} is empty (0 bytes).", code="K106", hint="Copy it again.")
    with suppress(UnicodeDecodeError):
        text = head[: 4096 - 3].decode("utf-8-sig")
        if not re.search(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]", text):
            what = (
                "a playlist" if re.match(r"\s*(#EXTM3U|ffconcat|\[playlist\]|<)", text) else "text"
            )
            raise MediaError(
                f"{path.name} holds {what}, not video.",
                code="K107",
                hint="Playlists are not followed.",
            )


_CAPTURE_TAGS = {
    "creation_time": "date", "date": "date", "com.apple.quicktime.creationdate": "date",
    "make": "device", "model": "device", "com.apple.quicktime.make": "device",
    "com.apple.quicktime.model": "device", "com.android.manufacturer": "device",
    "com.android.model": "device", "com.apple.quicktime.software": "device",
    "location": "location", "location-eng": "location", "xyz": "location", "\u00a9xyz": "location",
    "com.apple.quicktime.location.iso6709": "location", "artist": "person", "author": "person",
    "comment": "comment", "title": "title",
}  # fmt: skip


def _capture(tags: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for key, text in sorted(tags.items()):
        # Bytes that are no UTF-8 may come as surrogates, which no table holds.
        value = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        kind = _CAPTURE_TAGS.get(key.lower())
        if kind and value and value not in found.get(kind, []):
            found.setdefault(kind, []).append(value[:200])
    return {kind: ", ".join(values) for kind, values in found.items()}


def _rotation(path: Path, stream_index: int) -> int:
    """Clockwise degrees by which a player turns the picture, as ffmpeg's banner states it."""
    command = [
        ffmpeg_exe(),
        "-nostdin",
        "-hide_banner",
        *safe_input(path).output("pipe:").get_args()[:-1],
    ]
    try:
        banner = subprocess.run(
            command, capture_output=True, timeout=STALL_SECONDS, check=False
        ).stderr.decode("utf-8", "replace")
    except subprocess.TimeoutExpired as error:
        raise MediaError(
            f"{path.name}: ffmpeg did not open it within {STALL_SECONDS} s.", code="K101"
        ) from error
    parts = re.split(r"Stream #0:(\d+)", banner)
    for index, text in zip(parts[1::2], parts[2::2], strict=True):
        found = re.search(r"matrix: rotation of (-?[\d.]+) degrees", text, re.IGNORECASE)
        if int(index) == stream_index and found:
            degrees = round(-float(found[1])) % 360
            return degrees if degrees % 90 == 0 else 0
    return 0


_Numbers = npt.NDArray[np.int64]


def _numbers(values: Sequence[int]) -> _Numbers:
    return np.asarray(values, np.int64)


@dataclass
class _Packets:
    """What one pass over a stream's packets found; arrays, as there are 100,000 in an hour."""

    stamps: array[int] = field(default_factory=lambda: array("q"))
    durations: array[int] = field(default_factory=lambda: array("q"))
    key: array[int] = field(default_factory=lambda: array("b"))
    """May decoding start there? 0 or 1."""
    unstamped: int = 0
    error: str | None = None


def _read_packets(container: Any, stream: Any) -> _Packets:
    """The packets of presented pictures.

    Raises:
        MediaError: K125 the clock goes back.
    """
    found = _Packets()
    torn, last = 0, None
    try:
        for packet in container.demux(stream):
            # What an edit list cuts away is decoded for reference, never presented.
            if not packet.size or packet.is_discard:
                continue
            torn += packet.is_corrupt
            if packet.dts is not None:
                if last is not None and (packet.dts - last) * stream.time_base < -_CLOCK_SLACK:
                    raise MediaError(
                        f"its clock goes back after frame {len(found.stamps)}.",
                        code="K125",
                        hint="It was joined from several recordings: separate them.",
                    )
                last = packet.dts
            if packet.pts is None:
                found.unstamped += 1
            else:
                key = packet.is_keyframe and _starts(packet, stream.codec_context)
                found.stamps.append(packet.pts)
                found.durations.append(packet.duration or 0)
                found.key.append(key)
    except (av.FFmpegError, OSError) as error:
        found.error = f"reading stops after {len(found.stamps)} frames: {error.strerror}"
    if torn and found.error is None:
        found.error = f"{torn} frame(s) arrived incomplete"
    return found


def _starts(packet: Any, context: Any) -> bool:
    """May decoding start at this keyframe? H.264 also marks such where it must not.

    Only an IDR picture makes a decoder forget what came before; a recovery point may need the
    frames around it. Their types stand in the first byte of each NAL unit (H.264, 7.4.1).
    """
    if context is None or context.name != "h264" or not context.extradata:
        return True
    if context.extradata[0] != 1:
        return True  # not the form of MP4 and Matroska, the only files that are sought in
    width, data, position = (context.extradata[4] & 3) + 1, bytes(packet), 0
    while position + width < len(data):
        kind = data[position + width] & 0x1F
        if kind in (1, 5):
            return bool(kind == 5)
        position += width + int.from_bytes(data[position : position + width], "big")
    return False


_CLOCK_SLACK = Fraction(1, 4)  # seconds; writers of transport streams are not exact


def _missing_bytes(path: Path) -> int:
    """By how much a file is shorter than its own header says (MP4, Matroska, AVI)."""
    size, position = path.stat().st_size, 0
    with path.open("rb") as file:
        head = file.read(64)
        if head[:4] == b"RIFF":
            return max(0, 8 + int.from_bytes(head[4:8], "little") - size)
        if head[:4] == b"\x1aE\xdf\xa3":
            start = 5 + (head[4] & 0x7F)  # behind the EBML header, whose length is one byte
            if head[start : start + 4] != b"\x18S\x80g" or not head[4] & 0x80:
                return 0
            width = 9 - head[start + 4].bit_length()
            number = int.from_bytes(head[start + 4 : start + 4 + width], "big")
            content = number & ((1 << 7 * width) - 1)
            unknown = content == (1 << 7 * width) - 1  # a live recording
            return 0 if unknown else max(0, start + 4 + width + content - size)
        if head[4:8] not in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            return 0
        while 0 <= position < size:
            file.seek(position)
            box = file.read(16)
            length = int.from_bytes(box[:4], "big")
            if length == 1:
                length = int.from_bytes(box[8:16], "big")
            if length < 8:
                return 0  # 0: to the end of the file
            position += length
    return position - size


def _origin(first_pts: int, *, time_base: Fraction, sound_starts: Sequence[Fraction]) -> int:
    """The timestamp players call zero: the earliest start of picture and sound.

    Sound that starts before zero is encoder priming, which players skip.
    """
    starts = [first_pts * time_base, *(max(Fraction(0), start) for start in sound_starts)]
    return min(first_pts, int(min(starts) // time_base))


def _best_stream(container: Any) -> Any:
    moving = [s for s in container.streams.video if "attached_pic" not in str(s.disposition.name)]
    if not moving:
        raise MediaError("there is no video stream.", code="K102", hint="Is it a sound recording?")
    best = container.streams.best("video")
    return best if best in moving else moving[0]


def _is_vfr(pts: _Numbers, time_base: Fraction) -> bool:
    """Do frame intervals differ by more than rounding to the time base (or to 1 ms) explains?"""
    steps = np.diff(pts)
    if len(steps) < 2:
        return False
    grain = max(1, int(Fraction(1, 1000) / time_base))
    return int(steps.max() - steps.min()) > 2 * grain


_EXACT = frozenset({"mov", "matroska", "mpegts", "ogg", "nut", "flv", "gif", "ivf"})
"""Demuxers of containers that state of every picture when it is shown."""

_HIDING = frozenset({"vp8", "vp6f", "mpeg4", "msmpeg4v3"})
"""Codecs with packets that show nothing."""


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """A file as its demuxer sees it."""

    facts: dict[str, Any]
    """Fields of `Probe`."""
    packets: _Packets
    sound_starts: list[Fraction]
    rate: Fraction | None
    guesses: bool
    """The container leaves it to the decoder in which order pictures are shown."""


def _open(path: Path) -> _Opened:
    try:
        with open_media(path) as container:
            stream = _best_stream(container)
            packets = _read_packets(container, stream)
            context = stream.codec_context
            if context is None:
                raise MediaError(
                    "the video's codec is unknown or encrypted.",
                    code="K101",
                    hint="Export it again as H.264.",
                )
            exact = _EXACT & set(container.format.name.split(","))
            return _Opened(
                facts={
                    "container": container.format.name,
                    "codec": context.name,
                    "pix_fmt": context.pix_fmt,
                    "stream_index": stream.index,
                    "width": context.width,
                    "height": context.height,
                    "sar": Fraction(stream.sample_aspect_ratio or 1),
                    "time_base": Fraction(stream.time_base),
                    "has_audio": bool(container.streams.audio),
                    "capture": _capture({**container.metadata, **stream.metadata}),
                },
                packets=packets,
                sound_starts=[
                    other.start_time * Fraction(other.time_base)
                    for other in container.streams.audio
                    if other.start_time is not None
                ],
                rate=Fraction(stream.average_rate) if stream.average_rate else None,
                guesses=bool(packets.unstamped or (not exact and context.codec.reorder)),
            )
    except MediaError as error:
        raise MediaError(f"{path.name}: {error.what}", code=error.code, hint=error.hint) from error
    except (av.FFmpegError, OSError) as error:
        raise MediaError(
            f"{path.name} cannot be opened as video: {error.strerror or error}.",
            code="K101",
            hint="Play it to check; copy it again from the camera.",
        ) from error


def _decoded_pts(path: Path, opened: _Opened) -> Sequence[int]:
    """Timestamps as they come when the recording is cut; for containers that leave them open.

    Raises:
        MediaError: K125 the recording does not decode without complaint.
    """
    index, base = opened.facts["stream_index"], opened.facts["time_base"]
    small = Geometry(scaled=(16, 16), size=(16, 16))
    with decoding(
        path, stream_index=index, time_base=base, origin_pts=0, geometry=small
    ) as decoded:
        pts = array("q", (pts for pts, _ in decoded.frames))
    sound, clean = sound_pts(path, stream_index=index)
    if decoded.errors or not clean or len(sound) != len(pts):
        raise MediaError(
            f"{path.name}: its container does not state when each frame is shown, and the frames "
            "do not all decode.",
            code="K125",
            hint=f"Convert it: ffmpeg -i {path.name} -crf 12 out.mp4, and look at the result.",
        )
    return pts


def _gap(pts: _Numbers, time_base: Fraction) -> str | None:
    """A stretch without frames that no camera leaves.

    Raises:
        MediaError: K125 it lasts over an hour: the clock went wrong.
    """
    # As floats, because whole numbers of 64 bits do not hold every step.
    seconds = np.diff(pts.astype(np.float64)) * float(time_base)
    if not len(seconds) or seconds.max() <= max(10.0, 100 * float(np.median(seconds))):
        return None
    before = int(seconds.argmax())
    if seconds[before] > 3600:
        raise MediaError(
            f"its clock jumps by {seconds[before]:.0f} s after frame {before}.", code="K125"
        )
    return f"no frame comes for {seconds[before]:.1f} s after frame {before}"


def probe(path: Path) -> Probe:
    """Read a recording's structure and the timestamp of every frame.

    Timestamps come from the packets. Where packets do not tell what is presented (missing or
    doubled timestamps, hidden frames, pictures before the first keyframe, a file that ends
    early), the frames are decoded once to see.

    Raises:
        MediaError: K101 cannot be opened, K102 holds no video, K106 is empty, K107 is a text,
            K125 has timestamps that cannot be trusted.
    """
    check_readable(path)
    opened = _open(path)
    facts, packets, base = opened.facts, opened.packets, opened.facts["time_base"]
    if not facts["width"] or not facts["height"]:
        raise MediaError(f"{path.name} states no picture size.", code="K102")
    if facts["width"] * facts["height"] > MAX_PIXELS:
        raise MediaError(
            f"{path.name} has pictures of {facts['width']} × {facts['height']}; at most "
            f"{MAX_PIXELS} pixels are read.",
            code="K102",
            hint=f"Is that so? Make them smaller: ffmpeg -i {path.name} -vf scale=1920:-2 out.mp4",
        )
    if packets.unstamped and not packets.stamps:
        raise MediaError(
            f"{path.name} is a raw stream without timestamps.",
            code="K101",
            hint=f"Put it into a container: ffmpeg -framerate 30 -i {path.name} -c copy out.mp4",
        )
    stamps = _numbers(packets.stamps)
    keys = stamps[np.array(packets.key, bool)]
    shown, damage = _shown(path, opened, stamps=stamps, keys=keys)
    first = shown[0] if opened.guesses else stamps.min()
    origin = _origin(int(first), time_base=base, sound_starts=opened.sound_starts)
    last = int(_numbers(packets.durations)[stamps == shown[-1]].max(initial=0))
    if not last and len(shown) > 1:
        last = int(shown[-1] - shown[-2])
    last = last or int(1 / (opened.rate or 25) / base)
    end = int(shown[-1]) - origin
    return Probe(
        **facts,
        rotation=_rotation(path, facts["stream_index"]),
        origin_pts=origin,
        pts=array("q", (shown - origin).tobytes()),
        keyframes=array("q", np.flatnonzero(np.isin(shown, keys)).astype(np.int64).tobytes()),
        end_ms=max(frame_ms(end + last, base), frame_ms(end, base) + 1),
        is_vfr=_is_vfr(shown, base),
        damage=damage,
    )


def _shown(
    path: Path, opened: _Opened, *, stamps: _Numbers, keys: _Numbers
) -> tuple[_Numbers, str | None]:
    """Timestamps of the presented frames, ascending, and what is damaged.

    Args:
        path: The recording.
        opened: What its demuxer says.
        stamps: Timestamps of its packets.
        keys: Of those that decoding can start at.

    Raises:
        MediaError: K102 no frame decodes; K125 the timestamps cannot be trusted.
    """
    facts, base = opened.facts, opened.facts["time_base"]
    damage = opened.packets.error
    if damage is None and (short := _missing_bytes(path)):
        damage = f"the file ends {short} bytes early"
    shown = np.unique(stamps)
    if damage is None and len(shown) < len(stamps):
        damage = f"{len(stamps) - len(shown)} frame(s) repeat the time of another"
    if opened.guesses:
        shown = _numbers(_decoded_pts(path, opened))
    elif damage or not len(keys) or shown[0] < keys.min() or facts["codec"] in _HIDING:
        shown = _numbers(sound_pts(path, stream_index=facts["stream_index"])[0])
    if not len(shown):
        raise MediaError(f"{path.name} holds no frame that decodes.", code="K102")
    gap = _gap(shown, base)
    missing = len(np.setdiff1d(stamps, shown))
    if damage is None and missing and facts["codec"] not in _HIDING and not opened.guesses:
        damage = f"{missing} frame(s) do not decode"
    return shown, damage or gap


# --------------------------------------------------------------------------- what decodes


def sound_pts(path: Path, *, stream_index: int) -> tuple[Sequence[int], bool]:
    """Timestamps (in the stream's time base, ascending) of the frames that decode without an error.

    After a packet that does not decode, pictures are guesses until the next keyframe; they are
    left out. Runs in a child of its own, since decoders crash on broken data.

    Returns:
        The timestamps, and whether everything decoded.

    Raises:
        MediaError: K101 the child crashed or hung.
    """
    command = [sys.executable, "-m", "kslds.probe", str(path.absolute()), str(stream_index)]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=3600, check=False, start_new_session=True
        )
        if done.returncode == 0:
            found = json.loads(done.stdout)
            return array("q", found["pts"]), bool(found["clean"])
        why = f"the decoder ended with status {done.returncode}"
    except subprocess.TimeoutExpired:
        why = "decoding took over an hour"
    raise MediaError(f"{path.name} cannot be decoded: {why}.", code="K101")


@dataclass
class _Decoded:
    """What one pass of decoding found; arrays, as of packets."""

    shown: array[int] = field(default_factory=lambda: array("q"))
    """Timestamps of frames."""
    stamps: array[int] = field(default_factory=lambda: array("q"))
    """Of packets, in the order of the file; 0 where there is none."""
    stamped: array[int] = field(default_factory=lambda: array("b"))
    key: array[int] = field(default_factory=lambda: array("b"))
    bad: set[int] = field(default_factory=set)
    """Numbers of packets that do not decode."""
    corrupt: set[int] = field(default_factory=set)
    """Timestamps of frames that the decoder calls so."""

    def take(self, packet: Any) -> None:
        """Note a packet."""
        if packet.is_corrupt:
            self.bad.add(len(self.stamps))
        self.stamps.append(packet.pts or 0)
        self.stamped.append(packet.pts is not None)
        self.key.append(packet.is_keyframe)


def _decode(path: str, stream_index: int) -> _Decoded:
    found = _Decoded()
    with open_media(Path(path)) as container:
        stream = container.streams[stream_index]
        context = cast(Any, stream.codec_context)
        context.thread_type = "NONE"
        context.options = {"err_detect": "explode", "max_pixels": SAFE_INPUT["max_pixels"]}
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.FFmpegError, OSError):
                packet = None
            flush = packet is None or not packet.size
            if packet is not None and packet.size:
                found.take(packet)
            try:
                for frame in context.decode(None if flush else packet):
                    if frame.pts is not None and frame.is_corrupt:
                        found.corrupt.add(frame.pts)
                    elif frame.pts is not None:
                        found.shown.append(frame.pts)
            except av.EOFError:
                break
            except av.FFmpegError:
                found.bad.add(len(found.stamps) - 1)
            if flush:
                break
    return found


def _sound(found: _Decoded) -> tuple[_Numbers, bool]:
    """Timestamps of the frames that do not depend on what does not decode, and whether all do.

    In one go over what is bad: a long recording may be bad from one end to the other.
    """
    stamps, stamped = _numbers(found.stamps), np.array(found.stamped, bool)
    corrupt = np.isin(stamps, list(found.corrupt)) & stamped
    bad = sorted(found.bad.union(np.flatnonzero(corrupt).tolist()))
    keys = np.flatnonzero(found.key)
    lost = np.zeros(len(stamps), bool)
    reached = -1
    for start in bad:
        place = int(np.searchsorted(keys, start))
        before = int(keys[place - 1]) if place else start
        if stamped[start] and stamped[before] and stamps[start] < stamps[before]:
            # A picture shown before its keyframe, whose references are not there: nothing
            # that is shown after the keyframe refers to it.
            lost[start] = True
            continue
        while place < len(keys) and _same(start, keys[place], stamps, stamped):
            place += 1
        if place == len(keys):
            lost[start:] = True
            break
        if reached == keys[place]:
            continue  # all of it is lost already
        reached = int(keys[place])
        lost[start:reached] = True
        if stamped[reached]:
            # Pictures shown before this keyframe may still refer to the broken ones.
            lost[start:] |= stamps[start:] < stamps[reached]
    shown = np.setdiff1d(_numbers(found.shown), stamps[lost & stamped])
    return shown, not bad


def _same(one: int, other: int, stamps: _Numbers, stamped: npt.NDArray[np.bool_]) -> bool:
    """Have two packets the same time, or both none?"""
    return bool(stamped[one] == stamped[other] and stamps[one] == stamps[other])


if __name__ == "__main__":
    sound, clean = _sound(_decode(sys.argv[1], int(sys.argv[2])))
    sys.stdout.write(json.dumps({"pts": sound.tolist(), "clean": clean}))
