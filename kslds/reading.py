"""How a stream reads and what it yields: the arguments of `kslds.load`, checked."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kslds.errors import MissingExtra, MissingFile, UsageError
from kslds.sampling import Sampling
from kslds.state import MOST_BLOCK, MOST_LANES, whole
from kslds.storage import Cache

_MOST_FRAMES = 100_000
_MOST_THREADS = 1_000


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a stream reads and what it yields: the arguments of `load`, checked."""

    num_frames: int | None
    sampling: Sampling
    output: str
    pixels: str
    batch_size: int | None
    drop_last: bool
    threads: int | None
    pin_memory: bool
    seed: int
    rank: int
    world_size: int
    even: bool

    @property
    def planes(self) -> bool:
        """Are frames left as they are stored?"""
        return self.pixels == "yuv"


def checked(**arguments: Any) -> Reading:
    """The arguments of `load` that say how to read.

    Raises:
        UsageError: One has the wrong type or range.
        MissingExtra: torch is asked for, and not installed.
    """
    reading = Reading(**arguments)
    if reading.num_frames is not None:
        number = whole("num_frames", reading.num_frames, least=1, most=_MOST_FRAMES)
        reading = replace(reading, num_frames=number)
    elif reading.sampling.windows > 1:
        raise UsageError("num_frames=None: several windows of a clip need a number of frames.")
    if reading.batch_size is not None:
        size = whole("batch_size", reading.batch_size, least=1, most=MOST_BLOCK)
        reading = replace(reading, batch_size=size)
    if reading.threads is not None:
        number = whole("threads", reading.threads, least=0, most=_MOST_THREADS)
        reading = replace(reading, threads=number)
    for name in ("drop_last", "pin_memory", "even"):
        if not isinstance(getattr(reading, name), bool):
            raise UsageError(f"{name}={getattr(reading, name)!r:.60}: expected True or False.")
    if reading.batch_size is None and (reading.drop_last or reading.pin_memory):
        raise UsageError("drop_last and pin_memory are about batches: give batch_size.")
    if reading.drop_last:  # or some ranks would have a batch more
        reading = replace(reading, even=True)
    if reading.pixels not in ("rgb", "yuv"):
        raise UsageError(f"pixels={reading.pixels!r:.60} is not 'rgb' or 'yuv'.")
    if reading.output not in ("numpy", "torch"):
        raise UsageError(f"output={reading.output!r} is not 'numpy' or 'torch'.")
    if reading.output == "torch":
        if find_spec("torch") is None:
            raise MissingExtra("torch", extra="train")
        import numpy.random  # noqa: F401 - or each worker takes its time for it
        import torch

        if reading.pin_memory and not torch.cuda.is_available():
            raise UsageError("pin_memory=True: torch finds no accelerator here.")
    elif reading.pin_memory:
        raise UsageError('pin_memory=True goes with output="torch".')
    return reading


def place(rank: int | None, world_size: int | None) -> tuple[int, int]:
    """This process among those that share an epoch: from 0, and how many there are.

    Raises:
        UsageError: They are no such numbers, or one is given alone.
    """
    if rank is None and world_size is None:
        return _distributed()
    if rank is None or world_size is None:
        raise UsageError(
            f"rank={rank!r:.60} and world_size={world_size!r:.60}: one says nothing without the "
            "other.",
            hint="Give both, or neither.",
        )
    world_size = whole("world_size", world_size, least=1, most=MOST_LANES)
    return whole("rank", rank, least=0, most=world_size - 1), world_size


def _distributed() -> tuple[int, int]:
    torch = sys.modules.get("torch")
    if (
        torch is not None
        and torch.distributed.is_available()
        and torch.distributed.is_initialized()
    ):
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def address_of(path: object) -> str:
    """Where a dataset is; a local folder has to be there.

    Raises:
        MissingFile: It is not.
        UsageError: It is a file, or this is no path.
    """
    if not isinstance(path, str | os.PathLike):
        raise UsageError(f"{path!r:.60} is not a path; expected a dataset's folder or address.")
    address = os.fsdecode(path)
    if "://" not in address and "::" not in address:
        folder = Path(address)
        if not folder.exists():
            raise MissingFile(f"there is no folder {address}.", hint="Check the path.")
        if not folder.is_dir():
            raise UsageError(f"{address} is a file; expected a dataset's folder.")
    return address


def cache_of(folder: str | os.PathLike[str] | None, gigabytes: object) -> Cache | None:
    """Where bytes of samples are kept, if anywhere.

    Raises:
        UsageError: The folder is none, or the size is not a number above 0.
    """
    if not isinstance(gigabytes, int | float) or not 0 < gigabytes < 1e6:
        raise UsageError(f"cache_gb={gigabytes!r:.60}: expected a number above 0.")
    if not isinstance(folder, str | os.PathLike | None):
        raise UsageError(f"cache={folder!r:.60}: expected a folder.")
    return None if folder is None else Cache(Path(folder), max_bytes=int(gigabytes * 1e9))
