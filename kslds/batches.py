"""Work done ahead by threads, batches without copies, and their way to an accelerator."""

from __future__ import annotations

import copy
import math
import operator
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from importlib.util import find_spec
from itertools import islice
from multiprocessing.reduction import ForkingPickler
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from kslds.errors import MissingExtra, UsageError
from kslds.shared import Block

T = TypeVar("T")

_MOST_FREE = 4
"""Blocks kept: those that are filled ahead, and one in the hands of the caller."""
_MOST_SHARED = 8
"""Likewise, besides those that are on their way to the other process."""
_MOST_SMALL = 1 << 20
"""Bytes of a tensor that goes to another process by its value."""


def in_order(
    tasks: Iterable[Callable[[], T]], *, threads: int, ahead: int, together: int = 1
) -> Iterator[T]:
    """The results of tasks, in the order of the tasks.

    Args:
        tasks: Called each once.
        threads: How many run at a time; 0: none, each task runs when its result is asked for.
        ahead: How many may be running or done before their result is asked for.
        together: How many are waited for at once. Each waiting costs the threads time, as all
            share one interpreter.

    Raises:
        Exception: What a task raised; the tasks after it do not run any more.
    """
    # Nothing here may hold on to a task that is done, nor to what it filled.
    if threads == 0:
        yield from map(operator.call, tasks)
        return
    pool = ThreadPoolExecutor(threads, thread_name_prefix="kslds")
    # Bound here, because modules are gone when what nobody finished ends with the interpreter.
    getpid, is_finalizing = os.getpid, sys.is_finalizing
    process = getpid()
    waiting: deque[Future[T]] = deque()
    try:
        for task in tasks:
            waiting.append(pool.submit(task))
            del task
            if len(waiting) == ahead + together:
                wait(islice(waiting, together))
                for _ in range(together):
                    yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        # Not waited for: this may run in the garbage collector, in one of these very threads.
        # A forked process has no such threads, and must not wait for their locks; an interpreter
        # that ends has waited for them already.
        if getpid() == process and not is_finalizing():
            pool.shutdown(wait=False, cancel_futures=True)


class Memory:
    """Where batches lie. A block is used again when nothing refers to its arrays any more.

    Fresh memory costs: the system clears every page of it, for JPEG half as long as decoding takes.

    Args:
        kind: ``plain``; ``pinned``, page-locked, which torch hands out and keeps while an
            accelerator reads it; or ``shared``, by torch, which another process gets without a
            copy.
    """

    def __init__(self, kind: str = "plain") -> None:
        self._kind, self._process = kind, os.getpid()
        self._free: deque[npt.NDArray[np.uint8]] = deque(maxlen=_MOST_FREE)
        self._shared: list[Block] = []
        self._lock = threading.Lock()

    def __reduce__(self) -> Any:
        return Memory, (self._kind,)  # blocks do not travel

    def lasting(self, kind: str) -> Memory:
        """This one, if it is of that kind and of this process; else a new one."""
        mine = (self._kind, self._process) == (kind, os.getpid())
        return self if mine else Memory(kind)

    def new(self, shape: tuple[int, ...]) -> tuple[npt.NDArray[np.uint8], Any]:
        """An array of a shape, not filled, and the tensor over it if torch allocated it."""
        size = math.prod(shape)
        if self._kind == "plain":
            return self._block(size)[:size].reshape(shape), None
        if self._kind == "shared":
            flat = self._shared_block(size).bytes[:size]
        else:
            import torch

            flat = torch.empty(size, dtype=torch.uint8, pin_memory=True)
        tensor = flat.view(shape)
        return tensor.numpy(), tensor

    def handed(self, tensor: Any) -> Any:
        """A view of a tensor from here as it is handed on: the block of a shared one is free when
        neither this process nor the one that gets it has it any more.
        """
        if self._kind != "shared":
            return tensor
        with self._lock:
            block = next((block for block in self._shared if block.holds(tensor)), None)
        return tensor if block is None else block.handed(tensor)  # forgotten meanwhile

    def _block(self, size: int) -> npt.NDArray[np.uint8]:
        try:
            block = self._free.pop()  # by one thread only, as deques are
        except IndexError:
            block = np.empty(size, np.uint8)
        return np.asarray(
            _Lease(block if block.size >= size else np.empty(size, np.uint8), self._free)
        )

    def _shared_block(self, size: int) -> Block:
        """At least so many bytes, taken."""
        with self._lock:  # or two threads take the same
            for block in self._shared:
                if len(block.bytes) > size and block.is_free():
                    break
            else:
                here = [block for block in self._shared if not block.is_on_its_way()]
                for block in here[: -_MOST_SHARED + 1]:  # the oldest
                    self._shared.remove(block)
                block = Block(size)
                self._shared.append(block)
            block.take()
        return block


class _Lease:
    """Owner of the arrays over a block; without any, the block is free."""

    def __init__(self, block: npt.NDArray[np.uint8], free: deque[npt.NDArray[np.uint8]]) -> None:
        self._block, self._free = block, free
        self.__array_interface__ = block.__array_interface__

    def __del__(self) -> None:
        self._free.append(self._block)


class Buffer:
    """One batch of arrays of equal shape, allocated when the first shape is known.

    Args:
        size: How many arrays.
        memory: Where it lies.
    """

    def __init__(self, size: int, *, memory: Memory) -> None:
        self.size, self._memory = size, memory
        self._lock = threading.Lock()
        self.array: npt.NDArray[np.uint8] | None = None
        """uint8 (size, *shape), C-contiguous."""
        self.tensor: Any = None
        """The same as a tensor, if torch allocated it."""

    def slot(self, place: int, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
        """Where one array goes.

        Raises:
            UsageError: It has another shape than the first.
        """
        with self._lock:
            if self.array is None:
                self.array, self.tensor = self._memory.new((self.size, *shape))
        if self.array.shape[1:] != shape:
            raise UsageError(
                f"clips of {shape} and {self.array.shape[1:]} (frames, height, width, channels) "
                "do not fit into one batch.",
                hint="Give num_frames, and clips of one size; or leave batch_size away.",
            )
        slot: npt.NDArray[np.uint8] = self.array[place]
        return slot


def new_array(shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """A uint8 array, not filled."""
    return np.empty(shape, np.uint8)


def collate(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Fields of several samples: whole numbers int64 (B,), other numbers float32 (B,), arrays
    of one shape stacked, and all else in lists.
    """
    return {name: _column([sample[name] for sample in samples]) for name in samples[0]}


def _column(values: list[Any]) -> Any:
    kinds = {type(value) for value in values}
    if kinds == {int}:
        return np.array(values, dtype=np.int64)
    if kinds <= {int, float}:
        return np.array(values, dtype=np.float32)
    if kinds == {np.ndarray} and len({value.shape for value in values}) == 1:
        return np.stack(values)
    return values


def to_torch(batch: Mapping[str, Any]) -> dict[str, Any]:
    """Arrays as tensors over the same memory."""
    import torch

    return {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in batch.items()}


def to_send(batch: Mapping[str, Any]) -> dict[str, Any]:
    """The same for another process, to which small tensors go as bytes.

    As torch sends a tensor, both processes open a file and a connection for it, which takes half a
    millisecond: for the labels and sizes of a batch, a fifth of decoding it.
    """
    kind = _small_type()
    return {
        name: value.as_subclass(kind)
        if isinstance(batch[name], np.ndarray) and value.nbytes <= _MOST_SMALL
        else value
        for name, value in to_torch(batch).items()
    }


@cache
def _small_type() -> Any:
    import torch

    class Small(torch.Tensor):  # type: ignore[misc]
        """A tensor that goes to another process by its value. All else is done as with others."""

        __torch_function__ = torch._C._disabled_torch_function_impl

        def __reduce_ex__(self, protocol: Any) -> Any:
            return self.as_subclass(torch.Tensor).__reduce_ex__(protocol)

        def __deepcopy__(self, memo: Any) -> Any:
            return copy.deepcopy(self.as_subclass(torch.Tensor), memo)

    ForkingPickler.register(Small, lambda tensor: (torch.from_numpy, (tensor.numpy(),)))
    return Small


def to_device(
    batch: Mapping[str, Any],
    device: Any,
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    dtype: Any = None,
) -> dict[str, Any]:
    """Bring a batch to an accelerator; the video becomes what a model takes, there.

    Bytes travel, a quarter of what floats would be (with ``pixels="yuv"`` an eighth): from
    page-locked memory and without waiting, so that the copy runs while the host goes on. Colours,
    conversion and normalisation are worked out on the device.

    Args:
        batch: A batch or a sample of a stream with ``output="torch"``.
        device: Such as ``"cuda"``.
        mean: Of each channel, for video from 0 to 1; (0.485, 0.456, 0.406) is ImageNet's.
        std: Of each channel, likewise.
        dtype: Of the video, a floating type: ``(video / 255 - mean) / std``; torch.float32 if not
            given.

    Returns:
        The batch with its tensors on the device; ``video`` contiguous (…, T, C, H, W) there, made
        of ``yuv`` where the batch has that.

    Raises:
        MissingExtra: torch is not installed.
        UsageError: torch knows no such device, `dtype` is no floating type, `mean` or `std` are not
            three numbers, or the batch holds no tensor ``video`` or ``yuv`` of bytes.
    """
    if find_spec("torch") is None:
        raise MissingExtra("torch", extra="train")
    import torch

    dtype = dtype or torch.float32
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise UsageError(f"dtype={dtype!r}: expected a floating type such as torch.float16.")
    if not isinstance(batch, Mapping) or not any(
        isinstance(batch.get(name), torch.Tensor) for name in ("video", "yuv")
    ):
        raise UsageError("the batch holds no tensor 'video'.", hint='Load it with output="torch".')
    frames = batch["yuv" if "yuv" in batch else "video"]
    if frames.dtype != torch.uint8:
        raise UsageError(f"the video is {frames.dtype}, not torch.uint8: it was converted before.")
    mean = _three("mean", (0, 0, 0) if mean is None else mean)
    std = _three("std", (1, 1, 1) if std is None else std)
    try:
        target = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise UsageError(
            f"device={device!r:.60} is none that torch knows, such as 'cuda' or 'cpu'."
        ) from error

    def moved(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        if target.type == "cuda" and value.device.type == "cpu" and not value.is_pinned():
            value = value.pin_memory()
        return value.to(target, non_blocking=True)

    out = {name: moved(value) for name, value in batch.items()}
    video = _rgb(out.pop("yuv")) if "yuv" in out else out["video"].contiguous()
    # (v / 255 - mean) / std in one multiplication and one addition.
    scale = tuple(1 / (255 * s) for s in std)
    shift = tuple(-m / s for m, s in zip(mean, std, strict=True))
    video = video * _of_channels(scale, target)
    out["video"] = video.add_(_of_channels(shift, target)).to(dtype)
    return out


def _three(name: str, values: Any) -> tuple[float, ...]:
    """A number for each channel."""
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != 3 or not all(map(math.isfinite, numbers)):
        raise UsageError(f"{name}={values!r:.60}: expected three numbers, such as (0.5, 0.5, 0.5).")
    if name == "std" and min(numbers) <= 0:
        raise UsageError(f"std={values!r:.60}: expected numbers above 0.")
    return numbers


def _rgb(planes: Any) -> Any:
    """Planes, uint8 (…, H * 3 / 2, W), as RGB from 0 to 255, float (…, 3, H, W).

    BT.601 in studio range (ITU-R BT.601-7, 2.5): Y from 16 to 235, U and V 112 around 128. Four
    pixels share one U and V, as in the decoders that give RGB.
    """
    import torch

    *rest, rows, width = planes.shape
    height = rows * 2 // 3
    y, u, v = planes.split([height, height // 4, height // 4], dim=-2)
    y = (y.to(torch.float32) - 16) * (255 / 219)

    def spread(plane: Any) -> Any:
        plane = (plane.reshape(*rest, height // 2, width // 2).to(torch.float32) - 128) / 112
        return plane.repeat_interleave(2, -1).repeat_interleave(2, -2)

    # What is left of red and blue without luma has half the range of U and V.
    red, blue = 255 * (1 - _RED) * spread(v), 255 * (1 - _BLUE) * spread(u)
    green = (_RED * red + _BLUE * blue) / (_RED + _BLUE - 1)
    return torch.stack([y + red, y + green, y + blue], dim=-3).clamp_(0, 255)


_RED, _BLUE = 0.299, 0.114
"""Their part of luma (BT.601)."""


@cache
def _of_channels(values: tuple[float, ...], device: Any) -> Any:
    # Kept, because a copy of so little waits for all the others.
    import torch

    return torch.tensor(values, dtype=torch.float32, device=device).view(-1, 1, 1)
