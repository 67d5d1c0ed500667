"""Recordings with the frame number painted into the picture, and how to read it back."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from kslds.video import ffmpeg_exe

BITS = 10
WIDTH, HEIGHT = 320, 240


def paint(number: int, *, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """RGB frame (H, W, 3): `BITS` upright bars, white for 1, most significant first."""
    bits = [(number >> (BITS - 1 - k)) & 1 for k in range(BITS)]
    row = np.repeat(np.array(bits, np.uint8) * 235 + 10, width // BITS)
    row = np.pad(row, (0, width - len(row)), constant_values=128)
    return np.broadcast_to(row[None, :, None], (height, width, 3))


def read_number(frame: np.ndarray) -> int:
    """The number painted into a frame (H, W, 3) of any size, stretched or not."""
    height, width = frame.shape[:2]
    row = frame[height // 3 : 2 * height // 3].mean(axis=(0, 2))
    bar = width * (WIDTH // BITS) / WIDTH
    number = 0
    for k in range(BITS):
        middle = row[int((k + 0.3) * bar) : int((k + 0.7) * bar) + 1].mean()
        number = number * 2 + int(middle > 128)
    return number


def ffmpeg(*arguments: str | Path, data: bytes | None = None) -> bytes:
    """Run ffmpeg; returns its stdout."""
    command = [ffmpeg_exe(), "-y", "-nostdin", "-loglevel", "error", *map(str, arguments)]
    if data is not None:
        command.remove("-nostdin")
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


def record(
    path: Path,
    *,
    num_frames: int,
    rate: Fraction = Fraction(30),
    options: Sequence[str] = (),
    filters: str = "null",
    inputs: Sequence[str] = (),
) -> Path:
    """Encode `num_frames` painted frames."""
    data = b"".join(paint(n).tobytes() for n in range(num_frames))
    ffmpeg(
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-r", str(rate)),
        *("-i", "pipe:0", *inputs, "-vf", filters, *options, path),
        data=data,
    )
    return path


def shown_numbers(path: Path) -> list[int]:
    """The numbers that ffmpeg itself presents, in order: an independent decode of the file."""
    raw = ffmpeg(
        *(
            "-i",
            path,
            "-map",
            "0:v:0",
            "-vf",
            f"scale={WIDTH}:{HEIGHT}",
            "-fps_mode",
            "passthrough",
        ),
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"),
    )
    frames = np.frombuffer(raw, np.uint8).reshape(-1, HEIGHT, WIDTH, 3)
    return [read_number(frame) for frame in frames]
