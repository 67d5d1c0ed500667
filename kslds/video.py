"""Frames and clips: with `probe` and `frames`, the only modules that know ffmpeg and PyAV.

A recording becomes scaled frames with their exact timestamps (`decoding`); frames become
the bytes of a clip (`ClipEncoder`), which `frames` reads back.

Raw recordings are decoded in an ffmpeg child process, which a broken file may crash
or hang without harm. The child is told by demuxer and protocol name what it may open,
so that a playlist is never followed.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

import av
import ffmpeg
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from kslds.errors import EncodeError, KsldsError
from kslds.frames import SPARSE, plane_rows, psnr, read_back
from kslds.frames import read_frames as read_frames
from kslds.frames import read_jpegs as read_jpegs

Fit = Literal["stretch", "pad", "center-crop", "short-side"]
FITS: tuple[Fit, ...] = ("stretch", "pad", "center-crop", "short-side")

# Demuxers of real containers and raw streams. Left out are those that open further files
# (hls, dash, concat, imf, image2 …), devices, and text.
_DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,live_flv,asf,ogg,mxf,"
    "dv,ivf,nut,h264,hevc,obu,av1,m4v,mjpeg,gif,rm,wtv,avr,h263,vc1"
)
MAX_PIXELS = 8192 * 8192
"""Of a recording's picture; a decoder makes room for several before it has seen one."""

SAFE_INPUT = {
    "protocol_whitelist": "file,pipe",
    "format_whitelist": _DEMUXERS,
    # With what decoders add to a picture.
    "max_pixels": str((8192 + 64) ** 2),
}

MAX_SIDE = 8192
"""Longest side of a clip, in pixels."""

_MAX_CHILD_BYTES = 8 << 30
STALL_SECONDS = 120


@cache
def ffmpeg_exe() -> str:
    """Path of the ffmpeg binary.

    The one that comes with `imageio-ffmpeg` is preferred to the system's: with the version
    pinned, every machine writes the same bytes. ``KSLDS_FFMPEG`` names another.

    Raises:
        KsldsError: There is none.
    """
    chosen = os.environ.get("KSLDS_FFMPEG")
    if chosen:
        if not Path(chosen).is_file():
            raise KsldsError(f"KSLDS_FFMPEG names {chosen!r}, which is not a file.")
        return chosen
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        system = shutil.which("ffmpeg")
        if system is None:
            raise KsldsError(
                "no ffmpeg was found.", hint="Run: pip install imageio-ffmpeg"
            ) from error
        return system


def encoder_version() -> str:
    """PyAV, whose libraries encode clips."""
    return f"PyAV {av.__version__}"


@cache
def ffmpeg_version() -> str:
    """The first line of ``ffmpeg -version``, up to the copyright."""
    out = subprocess.run([ffmpeg_exe(), "-version"], capture_output=True, text=True, check=True)
    return out.stdout.split(" Copyright", 1)[0].strip()


def _child_limits(pid: int) -> None:
    if hasattr(resource, "prlimit"):
        resource.prlimit(pid, resource.RLIMIT_AS, (_MAX_CHILD_BYTES, _MAX_CHILD_BYTES))


def safe_input(path: Path, **options: Any) -> Any:
    """A raw file as input of an ffmpeg command that opens nothing else."""
    # "file:" keeps a name such as "concat:a" or "-i" from being read as anything else.
    return ffmpeg.input(f"file:{path.absolute()}", **SAFE_INPUT, **options)


_TEXTS: dict[str, Any] = {}
if int(av.__version__.partition(".")[0]) < 19:  # later ones keep what is no UTF-8 as surrogates
    _TEXTS["metadata_errors"] = "replace"


def open_media(path: Path) -> Any:
    """A raw file as a container of PyAV's, which opens nothing else."""
    return av.open(f"file:{path.absolute()}", options=dict(SAFE_INPUT), **_TEXTS)


# --------------------------------------------------------------------------- decoding


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """How a picture becomes the clip's: scaled to `scaled`, then padded or cropped to `size`."""

    scaled: tuple[int, int]
    size: tuple[int, int]
    box: tuple[int, int, int, int] | None = None
    """Cut out first: left, top, width and height, in stored pixels of the upright picture."""

    @property
    def filters(self) -> str:
        """The ffmpeg filter chain, for an upright picture of any pixel aspect.

        Bilinear, as in the KSL-Emo paper; swscale widens its kernel when it shrinks, so this
        does not alias. `bitexact` and `accurate_rnd` make every CPU compute the same bytes.
        The colours are stated as BT.601 in studio range, which is what readers assume of
        pictures this small when they assume anything.
        """
        (w, h), (width, height) = self.scaled, self.size
        chain = [] if self.box is None else ["crop={2}:{3}:{0}:{1}:exact=1".format(*self.box)]
        chain += [
            f"scale={w}:{h}:flags=bilinear+accurate_rnd+bitexact"
            ":out_color_matrix=bt601:out_range=tv",
            "format=yuv420p",
            "setsar=1",
        ]
        if w < width or h < height:
            chain.append(f"pad={width}:{height}:{_even((width - w) / 2)}:{_even((height - h) / 2)}")
        elif w > width or h > height:
            chain.append(
                f"crop={width}:{height}:{_even((w - width) / 2)}:{_even((h - height) / 2)}"
            )
        return ",".join(chain)


def _even(value: float | Fraction) -> int:
    return 2 * round(value / 2)


def geometry(
    width: int,
    height: int,
    *,
    size: int,
    fit: Fit,
    box: tuple[int, int, int, int] | None = None,
) -> Geometry:
    """How a picture of ``width × height`` square pixels is fitted.

    Args:
        width: Display width, after rotation and pixel aspect.
        height: Display height.
        size: Side of the square, in pixels; of the shorter side for ``short-side``. Even.
        fit: ``stretch`` ignores the aspect, ``pad`` adds black bars, ``center-crop`` cuts the
            longer side, ``short-side`` keeps it.
        box: What is cut out first, in stored pixels of the upright picture; `width` and
            `height` are then those of the box.
    """
    square = (size, size)
    if fit == "stretch":
        return Geometry(scaled=square, size=square, box=box)
    edge = max(width, height) if fit == "pad" else min(width, height)
    scaled = (
        max(2, _even(Fraction(width * size, edge))),
        max(2, _even(Fraction(height * size, edge))),
    )
    return Geometry(scaled=scaled, size=scaled if fit == "short-side" else square, box=box)


class _Watched(io.RawIOBase):
    """A child's output; the child is killed when nothing arrives for `STALL_SECONDS`."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._stream = cast(Any, process.stdout)
        self._arrived = threading.Event()
        self._ended = threading.Event()
        self.stalled = False
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while not self._ended.is_set():
            if not self._arrived.wait(STALL_SECONDS) and not self._ended.is_set():
                self.stalled = True
                self._process.kill()
                return
            self._arrived.clear()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = cast(bytes, self._stream.read(size))
        self._arrived.set()
        return data

    def close(self) -> None:
        self._ended.set()
        self._arrived.set()
        super().close()


@dataclass
class Decoding:
    """A running decode: iterate it for ``(pts, frame)``; `errors` is valid after the end."""

    frames: Iterator[tuple[int, bytes]]
    errors: str = ""
    """What the decoder complained of; empty where nothing was wrong."""
    at_end: bool = False
    """Every frame was read; otherwise the child is stopped when the block ends."""


@contextmanager
def decoding(
    path: Path,
    *,
    stream_index: int,
    time_base: Fraction,
    origin_pts: int,
    geometry: Geometry,
    start_pts: int | None = None,
    wanted: Sequence[tuple[int, int]] = (),
    threads: int = 1,
    smooth: bool = True,
) -> Iterator[Decoding]:
    """Decode a recording once, in a child process, into scaled upright frames.

    Args:
        path: The recording.
        stream_index: Its video stream.
        time_base: Unit of its timestamps, in seconds.
        origin_pts: What is subtracted from them.
        geometry: How its pictures are fitted.
        start_pts: Begin at the last keyframe before this timestamp (minus origin), or somewhat
            earlier; None begins with the first frame.
        wanted: Ascending ranges of timestamps (minus origin), first and last; other frames are
            decoded, but neither scaled nor given, and decoding ends with the last range. None
            given means every frame.
        threads: The decoder's. One costs the least CPU and memory; more give the same frames of
            a sound recording sooner.
        smooth: Smooth the edges of blocks, as is right, also in frames to which no other refers.

    Yields:
        A `Decoding`. Its frames come in presentation order as ``(pts, frame)``: pts in
        `time_base` minus `origin_pts`, ascending; frame the packed yuv420p planes of
        `geometry.size`. Of frames that claim one time only the first is given.
    """
    options = {"copyts": None, "threads": threads, **_seek(start_pts, origin_pts, time_base)}
    if not smooth:
        options["skip_loop_filter"] = "noref"
    command = _decoder(
        safe_input(path, **options),
        stream_index=stream_index,
        time_base=time_base,
        # The origin is subtracted here because NUT cannot hold what comes before zero.
        filters=f"setpts=PTS-({origin_pts}),{_chosen(wanted)}{geometry.filters}",
    )
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            # Ctrl-C is for us: a decoder that it ends would look like a damaged file.
            start_new_session=True,
        )
        with suppress(ProcessLookupError):
            _child_limits(process.pid)
        watched = _Watched(process)
        result = Decoding(frames=iter(()))

        def frames() -> Generator[tuple[int, bytes], None, None]:
            yield from _nut_frames(watched, time_base=time_base)
            result.at_end = True

        running = frames()
        result.frames = running
        try:
            yield result
            killed = result.at_end and process.wait(STALL_SECONDS) == -signal.SIGKILL
            if killed and not watched.stalled:
                raise EncodeError(
                    f"the decoder of {path.name} was killed from outside.",
                    hint="Is there enough memory? Run the same command again.",
                )
        finally:
            process.kill()
            process.wait()
            # It and `result` hold each other, and would hold a megabyte until the next collection.
            running.close()
            watched.close()
            cast(Any, process.stdout).close()
            log.seek(0)
            result.errors = log.read(4000).decode("utf-8", "replace").strip()
            if watched.stalled:
                result.errors += f" nothing came for {STALL_SECONDS} s; stopped."
            elif process.returncode not in (0, -9) and not result.errors:
                result.errors = f"ffmpeg ended with status {process.returncode}."


def _seek(start_pts: int | None, origin_pts: int, time_base: Fraction) -> dict[str, Any]:
    """Options of an input that begins at the last keyframe before this timestamp."""
    if start_pts is None:
        return {}
    # Rounded up: a time just before a keyframe would lead to the one before.
    micros = -(-(start_pts + origin_pts) * time_base * 1_000_000 // 1)
    return {"ss": f"{micros}us", "seek_timestamp": 1, "noaccurate_seek": None}


def _decoder(source: Any, *, stream_index: int, time_base: Fraction, filters: str) -> list[str]:
    """A command that writes frames as they come, with their timestamps, to its output."""
    output = source.output(
        "pipe:1",
        map=f"0:{stream_index}",
        vf=filters,
        map_metadata=-1,
        map_chapters=-1,
        fps_mode="passthrough",
        enc_time_base=f"{time_base.numerator}/{time_base.denominator}",
        vcodec="rawvideo",
        pix_fmt="yuv420p",
        f="nut",
        # What lets a reader seek is kept in memory on both sides of the pipe, for every frame.
        syncpoints="none",
        write_index=0,
        strict="experimental",
        loglevel="error",
    )
    # Scaling takes a tenth of decoding; threads that share so little cost more than they save.
    return [ffmpeg_exe(), "-nostdin", "-filter_threads", "1", *output.get_args()]


def _chosen(wanted: Sequence[tuple[int, int]]) -> str:
    """Filters that let frames in these ranges through, and end with the last; all where none."""
    return f"trim=end_pts={wanted[-1][1] + 1},select={_among(wanted)}," if wanted else ""


def _among(wanted: Sequence[tuple[int, int]]) -> str:
    """An expression of ffmpeg's: is ``pts`` in one of these ranges?

    A tree: of a sum of more than 100 terms ffmpeg says that it cannot parse it.
    """
    if len(wanted) == 1:
        return "between(pts\\,{}\\,{})".format(*wanted[0])
    before, after = wanted[: len(wanted) // 2], wanted[len(wanted) // 2 :]
    return f"if(lt(pts\\,{after[0][0]})\\,{_among(before)}\\,{_among(after)})"


def _nut_frames(stream: Any, *, time_base: Fraction) -> Iterator[tuple[int, bytes]]:
    try:
        container = av.open(stream, format="nut", buffer_size=1 << 20, **_TEXTS)
    except av.FFmpegError:
        return  # The child wrote nothing; its own complaint is in its log.
    with container:
        video = container.streams.video[0]
        tick = Fraction(cast(Any, video.time_base))
        whole = video.width * video.height * 3 // 2
        last: int | None = None
        try:
            for packet in container.demux(video):
                if 0 < packet.size < whole:
                    return  # Cut off in mid-frame; no error says so.
                # ffmpeg moves a frame that does not come after its predecessor one tick on.
                if packet.size and (last is None or cast(int, packet.pts) > last + 1):
                    yield int(cast(int, packet.pts) * tick / time_base), bytes(packet)
                last = packet.pts if packet.size else last
        except av.FFmpegError:
            return  # Cut off in mid-frame: the frames before are whole.


# --------------------------------------------------------------------------- encoding


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """A way to store a clip."""

    name: str
    field: str
    """Name of the member in a shard, after the key."""
    options: Mapping[str, str | float]
    """ffmpeg output options."""
    muxer: str
    min_psnr_db: float
    """A decoded clip below this luma PSNR is not the picture that went in."""


ENCODINGS: Mapping[str, Encoding] = {
    "h264": Encoding(
        name="h264",
        field="mp4",
        # A keyframe every 36 frames, and between frames to which others refer five to which none
        # does, so that a reader of some frames leaves out most others: to a frame lead seven others
        # at most. One thread: the same bytes on any number of cores.
        options={
            "vcodec": "libx264", "preset": "superfast", "tune": "fastdecode", "crf": 17.5,
            "mbtree": 1, "rc-lookahead": 10, "g": 36, "bf": 5, "b_strategy": 0,
            "b-pyramid": "none", "pix_fmt": "yuv420p", "threads": 1,
            "colorspace": "smpte170m", "color_primaries": "smpte170m", "color_trc": "smpte170m",
            "color_range": "tv", "movflags": "+faststart+negative_cts_offsets",
            "flags:v": "+bitexact",
        },
        muxer="mp4",
        min_psnr_db=26.0,
    ),
    "jpeg": Encoding(
        name="jpeg",
        field="mjpeg",
        options={
            "vcodec": "mjpeg", "q:v": 3, "huffman": "optimal", "pix_fmt": "yuvj420p",
            "threads": 1, "flags:v": "+bitexact",
        },
        muxer="nut",
        min_psnr_db=26.0,
    ),
}  # fmt: skip

_FINEST = Fraction(1, 1_000_000)
"""Unit of timestamps, in seconds, up to which frames may be stored in another order than shown."""
_LONGEST_LEAD = 600
"""Seconds between the first two frames' turns; from 1,073 on FFmpeg ends the process."""
_LAST_FRAME = Fraction(1, 25)
"""How long the last frame of a clip is shown, in seconds."""
_FRAME_BELOW_CLIP = 12
"""How far below that one frame may be, in dB; noise of a few pixels is at 7."""
_FRAMES_AHEAD = 8
"""Frames of a clip that wait for its encoder."""


@dataclass(frozen=True, kw_only=True)
class EncodedClip:
    """A clip's bytes, checked against what went in."""

    data: bytes
    frame_sizes: tuple[int, ...]
    """Bytes of each frame in `data` where frames are stored one by one (`jpeg`), else empty."""
    frames_sha256: str
    psnr_db: float
    num_frames: int


def _opened(
    out: Path, size: tuple[int, int], time_base: Fraction, encoding: Encoding
) -> tuple[Any, Any]:
    """A file to write a clip to, and its stream.

    Raises:
        EncodeError: There is no such encoder.
    """
    given = {key.partition(":")[0]: str(value) for key, value in encoding.options.items()}
    mux_options = {"fflags": "+bitexact"}
    if "movflags" in given:
        mux_options["movflags"] = given.pop("movflags")
    # Absolute: FFmpeg would take what precedes a colon for a protocol.
    mux = av.open(str(out.absolute()), "w", format=encoding.muxer, options=mux_options)
    codec = given.pop("vcodec")
    try:
        stream: Any = mux.add_stream(codec, rate=25)
    except ValueError as error:
        raise EncodeError(
            f"{encoder_version()} comes without the encoder {codec}.",
            hint="Install the one of PyPI: pip install --force-reinstall av",
        ) from error
    context = stream.codec_context
    context.width, context.height = size
    context.pix_fmt = given.pop("pix_fmt")
    stream.time_base = context.time_base = time_base
    context.thread_count = int(given.pop("threads"))
    if "q" in given:  # -q:v of the program, which here would be a property of each picture
        given["qmin"] = given["qmax"] = given.pop("q")
    if codec == "libx264" and _has_avx512():
        # With these instructions x264 gives other bytes for the same pixels now and then, because
        # it looks at memory that nobody has written (docs/format.md, Decisions).
        given["x264-params"] = "asm=AVX2"
    if time_base < _FINEST:
        # Between a frame's turn in the file and when it is shown fit 2**31 ticks.
        given["bf"] = "0"
    context.options = given
    return mux, stream


@cache
def _has_avx512() -> bool:
    """Does this processor know AVX-512? Only Linux tells."""
    try:
        return "avx512f" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


class ClipEncoder:
    """Frames go in as they are decoded, `finish` returns the checked clip. Works in a thread of its
    own.

    Args:
        size: Width and height of the frames, in pixels.
        time_base: Unit of the timestamps.
        encoding: How to store the clip.
        folder: Where it is written, in a folder of its own that goes when the clip is read.
    """

    def __init__(
        self, *, size: tuple[int, int], time_base: Fraction, encoding: Encoding, folder: Path
    ) -> None:
        self._size, self._time_base, self._encoding = size, time_base, encoding
        self._digest = hashlib.sha256()
        self._luma: list[npt.NDArray[np.uint8]] = []
        self._pts: list[int] = []
        folder.mkdir(parents=True, exist_ok=True)
        # Of this name, so that what a killed run leaves is swept by the next (Dataset.lock).
        self._folder = tempfile.TemporaryDirectory(prefix=".", suffix=".tmp", dir=folder)
        self._out = Path(self._folder.name) / "clip"
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="kslds")
        self._encoded: deque[Future[None]] = deque()
        self._scaler = VideoReformatter()
        try:
            self._mux, self._stream = _opened(self._out, size, time_base, encoding)
        except BaseException:
            self.abort()
            raise

    def add(self, pts: int, frame: bytes) -> None:
        """Hand over the next frame: ascending pts in the time base, packed yuv420p planes."""
        width, height = self._size
        if len(frame) != width * height * 3 // 2:
            raise EncodeError(f"a frame has {len(frame)} bytes, not those of {width} × {height}.")
        self._digest.update(frame)
        luma = np.frombuffer(frame, np.uint8, width * height).reshape(height, width)
        self._luma.append(luma[SPARSE].copy())
        self._pts.append(pts)
        self._encoded.append(self._worker.submit(self._encode, pts - self._pts[0], frame))
        while len(self._encoded) > _FRAMES_AHEAD:
            self._wait()

    def _encode(self, pts: int, frame: bytes) -> None:
        self._write(self._stream.encode(self._picture(pts, frame)))

    def _picture(self, pts: int, frame: bytes) -> av.VideoFrame:
        width, height = self._size
        picture = av.VideoFrame(width, height, "yuv420p")
        first = 0
        for plane in picture.planes:
            size = plane.height * plane.width
            given = np.frombuffer(frame, np.uint8, size, first)
            plane_rows(plane, plane.width)[...] = given.reshape(plane.height, plane.width)
            first += size
        if self._stream.pix_fmt == "yuvj420p":
            picture = self._scaler.reformat(
                picture,
                format="yuvj420p",
                src_color_range="MPEG",
                dst_color_range="JPEG",
                threads=1,
            )
        picture.pts, picture.time_base = pts, self._time_base
        return picture

    def _write(self, packets: list[av.Packet]) -> None:
        for packet in packets:
            # Counts for the last only; the others end where the next begins.
            packet.duration = max(1, round(_LAST_FRAME / self._time_base))
            if packet.dts is not None:  # below 0 for the first, as long as that is shown
                packet.dts = max(packet.dts, -round(_LONGEST_LEAD / self._time_base))
        self._mux.mux(packets)

    def _wait(self) -> None:
        """For the first frame that is not encoded yet."""
        try:
            self._encoded.popleft().result()
        except (av.FFmpegError, OSError) as error:
            raise _stopped(error) from error

    def abort(self) -> None:
        """Stop and delete what was written. Harmless after `finish`."""
        self._worker.shutdown(cancel_futures=True)
        self._encoded.clear()
        self._folder.cleanup()

    def finish(self) -> EncodedClip:
        """Close the clip, decode it back and compare.

        Raises:
            EncodeError: The encoder failed, the count or a timestamp differs, or the picture
                is not the one that went in.
            OSError: The disk is full.
        """
        try:
            while self._encoded:
                self._wait()
            self._write(self._stream.encode(None))
            self._mux.close()
            container = self._out.read_bytes()
        except (av.FFmpegError, OSError) as error:
            raise _stopped(error) from error
        finally:
            self.abort()
        read = read_back(container, luma=self._luma, full_range=self._encoding.name == "jpeg")
        unit = read.time_base / self._time_base
        got = [(p - read.pts[0]) * unit.numerator for p in read.pts]
        if got != [(p - self._pts[0]) * unit.denominator for p in self._pts]:
            raise EncodeError(
                f"the encoded clip has {len(got)} frames at other times than the "
                f"{len(self._pts)} that went in."
            )
        clip_db = psnr(sum(read.squared) / len(read.squared))
        worst_db, least_db = psnr(max(read.squared)), self._encoding.min_psnr_db
        if clip_db < least_db or worst_db < least_db - _FRAME_BELOW_CLIP:
            raise EncodeError(
                f"the encoded clip is not the picture that went in: PSNR {clip_db:.1f} dB, "
                f"{worst_db:.1f} dB of frame {read.squared.index(max(read.squared))}; expected at "
                f"least {least_db} and {least_db - _FRAME_BELOW_CLIP} dB."
            )
        single = self._encoding.name == "jpeg"
        return EncodedClip(
            data=b"".join(read.packets) if single else container,
            frame_sizes=tuple(map(len, read.packets)) if single else (),
            frames_sha256=self._digest.hexdigest(),
            psnr_db=round(clip_db, 2),
            num_frames=len(read.pts),
        )


def _stopped(error: Exception) -> Exception:
    """Why an encoder could not go on."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return OSError(error.errno, os.strerror(error.errno), error.filename)
    return EncodeError(f"the encoder stopped: {error}.")
