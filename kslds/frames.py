"""Reading frames of our own clips back, as fast as one core can: H.264 and JPEG.

Of a clip's frames, most are such that no other refers to them, so only what leads to a wanted
frame is decoded. PyAV is the default because it was measured to be the fastest with the
pixels of decord (docs/format.md, Decisions). Decoders let other Python threads run.
"""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib.util import find_spec
from typing import Any, cast

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from kslds import mp4
from kslds.errors import EncodeError, MediaError, MissingExtra, UsageError

MAX_SIDE = 8192
"""Longest side of a frame that is read, in pixels."""

MAX_PIXELS = 4096 * 8192
"""Of a frame that is read, as of one that is rendered. A file may state any number, and a decoder
makes room for several frames of it before it has seen one."""

_AGAIN = "Fetch the dataset again; of your own, run: kslds resize DIR, then kslds shard DIR."

Frames = npt.NDArray[np.uint8]
"""uint8 (T, H, W, 3), RGB; or (T, H * 3 / 2, W), planes."""

_of_thread = threading.local()


def read_frames(
    data: bytes,
    *,
    indices: Sequence[int],
    out: Frames | None = None,
    reader: str = "pyav",
    planes: bool = False,
) -> Frames:
    """Frames of one of our own clips (`mp4` bytes). Lets other threads run meanwhile.

    Args:
        data: The clip.
        indices: Frame numbers, any order, repeats allowed.
        out: Where they go, C-contiguous; a new array if not given.
        reader: One of `READERS`, which all give the same pixels.
        planes: Not RGB, but the planes that are stored (I420), as `planes_shape` says; by
            ``pyav`` only.

    Returns:
        uint8 (T, H, W, 3), RGB, or (T, H * 3 / 2, W), planes; `out` if given.

    Raises:
        MediaError: The bytes are not a clip that holds these frames, or not of this size.
    """
    try:
        if planes:
            return _pyav_frames(data, indices, out, planes=True)
        return READERS[reader](data, indices, out)
    except (
        av.FFmpegError, LookupError, MemoryError, RuntimeError, TypeError, ValueError
    ) as error:  # fmt: skip
        if isinstance(error, MediaError):
            raise
        raise MediaError(
            f"the clip cannot be decoded: {error}.", code="K331", hint=_AGAIN
        ) from error


def planes_shape(height: int, width: int) -> tuple[int, int]:
    """The shape of a frame as planes, a row of W bytes after the other (I420).

    H rows of Y, then U and V of (H / 2, W / 2) each, two of their rows in one of W.

    Raises:
        UsageError: H is not a multiple of 4, or W not of 2.
    """
    if height % 4 or width % 2:
        raise UsageError(
            f"frames of {width} × {height} do not fit into planes; expected a height that is a "
            "multiple of 4.",
            hint='Leave pixels="yuv" away.',
        )
    return height * 3 // 2, width


@dataclass(frozen=True, kw_only=True)
class _Coded:
    """A clip before it is decoded."""

    decoder: Any
    times: Sequence[int]
    """Of each packet, when it is shown, in the order of decoding."""
    track: mp4.Track | None
    """What is known of its packets where it has the form that kslds writes."""
    packet: Callable[[int], Any]
    """Number → what the decoder takes."""
    height: int
    width: int


def _pyav_frames(
    data: bytes, indices: Sequence[int], out: Frames | None, *, planes: bool = False
) -> Frames:
    with ExitStack() as stack:
        clip = _ours(data) or _any_form(data, stack)
        # One thread a clip: many clips are read at a time, and a clip is soon read.
        clip.decoder.thread_count = 1
        clip.decoder.options = {"max_pixels": str(_coded_pixels(clip.height, clip.width))}
        size = planes_shape(clip.height, clip.width) if planes else (clip.height, clip.width, 3)
        out = _place(out, (len(indices), *size))
        shown = sorted(clip.times)
        places: dict[int, list[int]] = {}
        for place, index in enumerate(indices):
            if not 0 <= index < len(shown):
                raise IndexError(f"it has {len(shown)} frames, none of them is number {index}")
            places.setdefault(shown[index], []).append(place)
        # Of other forms, what is said to be a keyframe need not be one.
        everything: Sequence[int] = range(len(clip.times))
        numbers = _needed(clip.track, wanted=places.keys()) if clip.track else everything
        copy = _copy_planes if planes else _copy_rgb
        for number in [*numbers, None]:
            if not places:
                break
            for frame in clip.decoder.decode(None if number is None else clip.packet(number)):
                if (frame.height, frame.width) != (clip.height, clip.width):
                    raise ValueError(
                        f"a frame has {frame.width} × {frame.height}, the clip {clip.width} × "
                        f"{clip.height}"
                    )
                first, *others = places.pop(cast(int, frame.pts), (None,))
                if first is not None:
                    copy(frame, out[first])
                    for place in others:
                        out[place] = out[first]
    if places:
        raise IndexError(f"{len(places)} of its frames did not come")
    return out


def _coded_pixels(height: int, width: int) -> int:
    """Most pixels of a frame with what decoders add: whole blocks, aligned rows, and edges."""
    return (height + 256) * (width + 256)


def _ours(data: bytes) -> _Coded | None:
    """A clip in the form that kslds writes, of which no more is read than is decoded."""
    track = mp4.track(data)
    if track is None:
        return None
    decoder = av.CodecContext.create(_h264(), "r")
    decoder.extradata = track.settings

    def packet(number: int) -> Any:
        start = track.starts[number]
        found = av.Packet(data[start : start + track.sizes[number]])
        found.pts = track.shown[number]
        return found

    return _Coded(
        decoder=decoder,
        times=track.shown,
        track=track,
        packet=packet,
        height=track.height,
        width=track.width,
    )


@cache
def _h264() -> Any:
    return av.codec.Codec("h264", "r")


def _any_form(data: bytes, stack: ExitStack) -> _Coded:
    """Any MP4 that FFmpeg reads; stays open until the stack is left."""
    mp4.check_counts(data)
    limit = {"max_pixels": str(MAX_PIXELS)}
    container = stack.enter_context(av.open(io.BytesIO(data), format="mov", options=limit))
    stream = container.streams.video[0]
    if cast(Any, stream.codec_context) is None:
        raise ValueError("its codec is unknown")
    packets = [packet for packet in container.demux(stream) if packet.size]
    if any(packet.is_discard for packet in packets):
        raise ValueError("it has frames that are not shown (an edit list)")
    times = [cast(int, packet.pts) for packet in packets]
    if len(set(times)) < len(times):
        raise ValueError("two of its frames are shown at the same time")
    return _Coded(
        decoder=stream.codec_context,
        times=times,
        track=None,
        packet=packets.__getitem__,
        height=stream.codec_context.height,
        width=stream.codec_context.width,
    )


def _needed(track: mp4.Track, *, wanted: AbstractSet[int]) -> list[int]:
    """Numbers of the packets to decode for these frames of a clip, in the order of decoding.

    A frame needs those from its keyframe on to which others refer, and none after itself.
    """
    needed: list[int] = []
    follows = False
    for number in range(len(track.shown) - 1, -1, -1):
        is_wanted = track.shown[number] in wanted
        follows = follows or is_wanted
        if is_wanted or (follows and number not in track.aside):
            needed.append(number)
        follows = follows and number not in track.keyframes
    return needed[::-1]


def _copy_rgb(frame: Any, out: Frames) -> None:
    scaler = getattr(_of_thread, "scaler", None)
    if scaler is None:
        # Kept, because its tables take longer to make than a frame to convert.
        scaler = _of_thread.scaler = VideoReformatter()
    plane = scaler.reformat(frame, format="rgb24", threads=1).planes[0]
    out[...] = plane_rows(plane, out.shape[1] * 3).reshape(out.shape)


def _copy_planes(frame: Any, out: Frames) -> None:
    if frame.format.name != "yuv420p":
        raise ValueError(f"its frames are {frame.format.name}, not yuv420p")
    width, first = out.shape[1], 0
    for plane in frame.planes:
        last = first + plane.height * plane.width // width
        out[first:last].reshape(plane.height, -1)[...] = plane_rows(plane, plane.width)
        first = last


def plane_rows(plane: Any, width: int) -> Frames:
    """The bytes of a plane without what pads its rows, as a view."""
    rows = np.frombuffer(cast(Any, plane), np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, :width]


def _place(out: Frames | None, shape: tuple[int, ...]) -> Frames:
    if max(shape[1:3]) > MAX_SIDE:
        raise ValueError(f"its frames have {shape[2]} × {shape[1]}, more than {MAX_SIDE}")
    if shape[1] * shape[2] > MAX_PIXELS * 3 // 2:  # planes stand below each other
        raise ValueError(f"its frames have {shape[2]} × {shape[1]}: more pixels than {MAX_PIXELS}")
    if out is None:
        return np.empty(shape, np.uint8)
    if out.shape != shape:
        raise ValueError(f"its frames are {shape[1:]}, where {out.shape[1:]} was expected")
    return out


@cache
def _decord() -> Any:
    try:
        import decord
    except (ImportError, OSError) as error:  # no wheel for this machine
        raise MissingExtra("decord", extra="test") from error
    decord.logging.set_level(decord.logging.FATAL)
    return decord


def _decord_frames(data: bytes, indices: Sequence[int], out: Frames | None) -> Frames:
    try:
        reader = _decord().VideoReader(io.BytesIO(data), num_threads=1)
        return _into(out, reader.get_batch(list(indices)).asnumpy())
    except _decord().DECORDError as error:
        raise ValueError(str(error).partition("\n")[0]) from error


def _torchcodec_frames(data: bytes, indices: Sequence[int], out: Frames | None) -> Frames:
    try:
        from torchcodec.decoders import VideoDecoder
    except (ImportError, OSError, RuntimeError) as error:  # it needs ffmpeg's libraries
        raise MissingExtra("torchcodec", extra="train") from error
    decoder = VideoDecoder(data, num_ffmpeg_threads=1, dimension_order="NHWC")
    return _into(out, decoder.get_frames_at(list(indices)).data.numpy())


def _into(out: Frames | None, frames: Frames) -> Frames:
    if out is None:
        return frames
    _place(out, frames.shape)[...] = frames
    return out


READERS: Mapping[str, Callable[[bytes, Sequence[int], Frames | None], Frames]] = {
    "pyav": _pyav_frames,
    "decord": _decord_frames,
    "torchcodec": _torchcodec_frames,
}


def read_jpegs(frames: Sequence[bytes], *, out: Frames | None = None) -> Frames:
    """Decode JPEG frames of one clip. Lets other threads run meanwhile.

    Args:
        frames: The frames, at least one.
        out: Where they go, C-contiguous; a new array if not given.

    Returns:
        uint8 (T, H, W, 3), RGB; `out` if given.

    Raises:
        MediaError: The bytes are not JPEGs of one size, or not of this size.
    """
    decode = _pillow if find_spec("simplejpeg") is None else _simplejpeg
    if not frames:
        raise MediaError("the clip has no frames.", code="K331")
    try:
        return decode(frames, out)
    except (ValueError, OSError) as error:
        raise MediaError(
            f"the clip cannot be decoded: {error}.", code="K331", hint=_AGAIN
        ) from error


def _simplejpeg(frames: Sequence[bytes], out: Frames | None) -> Frames:
    from simplejpeg import decode_jpeg, decode_jpeg_header

    height, width, *_ = decode_jpeg_header(frames[0])
    out = _place(out, (len(frames), height, width, 3))
    for place, jpeg in enumerate(frames):
        # Its faster transforms change pixels; these are those of Pillow.
        decoded = decode_jpeg(jpeg, colorspace="RGB", buffer=out[place])
        if decoded.shape != (height, width, 3):
            raise ValueError(f"a frame is {decoded.shape}, the first {(height, width, 3)}")
    return out


def _pillow(frames: Sequence[bytes], out: Frames | None) -> Frames:
    from PIL import Image

    try:
        for place, jpeg in enumerate(frames):
            with Image.open(io.BytesIO(jpeg)) as picture:
                out = _place(out, (len(frames), picture.height, picture.width, 3))
                out[place] = np.asarray(picture.convert("RGB"))
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from error
    return cast(Frames, out)


SPARSE = np.s_[::4, ::4]
"""Of a plane, what is compared: every 16th pixel."""


@dataclass
class ReadBack:
    """What was encoded, as a decoder gives it."""

    time_base: Fraction
    pts: list[int]
    squared: list[float]
    """Mean squared error of each frame's luma, of the pixels that are `SPARSE`."""
    packets: list[bytes]


def read_back(
    container: bytes, *, luma: Sequence[npt.NDArray[np.uint8]], full_range: bool
) -> ReadBack:
    """Decode a clip that was just encoded, beside what went in.

    Args:
        container: The file.
        luma: Of each frame that went in, the pixels that are `SPARSE`; studio range.
        full_range: The clip has full range.

    Raises:
        EncodeError: It does not decode, or its pictures have another size.
    """
    # Full range is brought to studio range: 219 / 255 of it, and 16. Whole numbers are
    # the same on every machine.
    unit, scale, offset = (255, 219, 16 * 255) if full_range else (1, 1, 0)
    try:
        with av.open(io.BytesIO(container)) as file:
            stream = file.streams.video[0]
            stream.codec_context.thread_count = 1
            read = ReadBack(Fraction(cast(Any, stream.time_base)), [], [], [])
            for packet in file.demux(stream):
                if packet.size:
                    read.packets.append(bytes(packet))
                for frame in packet.decode():
                    plane = cast(Any, frame).planes[0]
                    got = plane_rows(plane, plane.width)[SPARSE].astype(np.int64)
                    if len(read.pts) == len(luma):
                        raise ValueError(f"it has more frames than the {len(luma)} that went in")
                    given = luma[len(read.pts)].astype(np.int64)
                    if got.shape != given.shape:
                        raise ValueError(f"a frame has {plane.width} × {plane.height}")
                    if full_range:
                        given = given.clip(16, 235)  # it has no more
                    off = (got * scale + offset - given * unit).ravel()
                    read.squared.append(int(off.dot(off)) / off.size / unit**2)
                    read.pts.append(cast(int, frame.pts))
    except (av.FFmpegError, LookupError, ValueError) as error:
        raise EncodeError(f"the encoded clip cannot be read back: {error}.") from error
    return read


def psnr(squared: float) -> float:
    """In dB, of 8 bits; 99 at most."""
    return 99.0 if squared < 1e-4 else min(99.0, 10 * math.log10(255**2 / squared))
