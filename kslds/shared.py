"""Memory that another process gets without a copy, and that is used again when that one lets go.

A worker fills a `Block` and sends a tensor over it. Torch sends an open file with every tensor,
which takes both processes as long as decoding half a clip; so here only the place of that file is
sent, and the other process keeps what it has opened. The block's last byte says who has it.
"""

from __future__ import annotations

import copy
import os
import sys
from functools import cache
from itertools import islice
from multiprocessing import active_children
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any, NamedTuple, cast
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np

_FREE, _TAKEN, _ARRIVED = range(3)
"""What a block's last byte says: nobody has it; it was taken, and may be on its way; the other
process has it."""


class _Forks:
    """How often this process, or one that it comes from, was forked.

    A forked process has all shared memory of its parent, and nobody is told when it lets go.
    """

    number = 0

    @classmethod
    def another(cls) -> None:
        """One more, from here on."""
        cls.number += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_Forks.another)


class _Place(NamedTuple):
    """Where another process finds a block."""

    process: int
    file: int
    """Number of the open file in that process."""
    identity: tuple[int, int]
    """Device and number of the file itself."""
    size: int

    @property
    def path(self) -> Path:
        """Its name, for as long as that process has it open."""
        return Path(f"/proc/{self.process}/fd/{self.file}")


class Block:
    """Memory for one batch; other processes get it by `handed`.

    Args:
        size: In bytes.
    """

    def __init__(self, size: int) -> None:
        import torch

        self._forks = _Forks.number
        # As torch's own collate function allocates it, so that whatever is made of it in a worker
        # is shared without a copy.
        self._storage = torch.UntypedStorage._new_shared(size + 1, device="cpu")
        self.bytes = torch.empty(0, dtype=torch.uint8).set_(cast(Any, self._storage))
        self._state = self.bytes.numpy()[-1:]
        self.place = _place_of(self._storage)
        """Where the other process finds it, if it may look there."""
        self._sent = False
        self._lost = False
        self._own = self._references()

    def _references(self) -> int:
        """How many tensors of this process lie in it, and arrays and views of these, and so on."""
        import torch

        return int(torch._C._storage_Use_Count(self._storage._cdata))

    def holds(self, tensor: Any) -> bool:
        """Does a tensor lie here?"""
        return bool(tensor.untyped_storage()._cdata == self._storage._cdata)

    def is_free(self) -> bool:
        """Does nobody have it, here or elsewhere?"""
        if self._lost or self._forks != _Forks.number:
            return False
        return self._references() == self._own and self._state[0] == _FREE

    def is_on_its_way(self) -> bool:
        """Was its place sent, and not looked at yet? Then the file must stay open."""
        return self in _on_their_way and self._state[0] == _TAKEN

    def take(self) -> None:
        """It is somebody's from here on."""
        _on_their_way.discard(self)
        self._state[0] = _TAKEN
        self._sent = False

    def lose(self) -> None:
        """Who has it cannot be told any more; it is not used again."""
        self._lost = True

    def send(self) -> bool:
        """One tensor over it goes to another process, now. Will that one say when it lets go?

        Only of one, and of all that lies in it.
        """
        if self._sent or self._forks != _Forks.number or self._references() > self._own + 1:
            self.lose()
        self._sent = True
        return not self._lost

    def stay(self) -> None:
        """Its place is sent: the file stays open until the other process has looked there."""
        for block in list(_on_their_way):
            if not block.is_on_its_way():
                _on_their_way.discard(block)
        _on_their_way.add(self)

    def handed(self, tensor: Any) -> Any:
        """A view of its tensor as it is handed on."""
        handed = tensor.as_subclass(_handed_type())
        handed.block = self
        return handed


_on_their_way: set[Block] = set()
"""Kept here, because whoever filled them may be gone before they arrive."""


def _place_of(storage: Any) -> _Place | None:
    """None where others cannot open it by its place."""
    from torch.multiprocessing import get_sharing_strategy

    if get_sharing_strategy() != "file_descriptor" or not _others_open(os.getppid()):
        return None
    file, size = storage._share_fd_cpu_()
    status = os.fstat(file)
    return _Place(os.getpid(), file, (status.st_dev, status.st_ino), size)


@cache
def _others_open(process: int) -> bool:
    """May this process open the files that another has open? Then the other one may, too."""
    if sys.platform != "linux":
        return False
    try:
        return any(file.stat() for file in islice(Path(f"/proc/{process}/fd").iterdir(), 1))
    except OSError:
        return False


@cache
def _handed_type() -> Any:
    import torch

    class Handed(torch.Tensor):  # type: ignore[misc]
        """A tensor in shared memory on its way to another process.

        Whatever else is done with it, such as taking a view, may end in others that refer to its
        memory and are sent as well; then its block is not used again.
        """

        block: Block

        def lose(self) -> torch.Tensor:
            """The same as an ordinary tensor."""
            return self.as_subclass(torch.Tensor)

        def as_subclass(self, cls: Any) -> Any:  # of which torch does not tell below
            self.block.lose()
            return torch.Tensor.as_subclass(self, cls)

        @classmethod
        def __torch_function__(
            cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            waiting = [*args, *(kwargs or {}).values()]
            while waiting:
                value = waiting.pop()
                if isinstance(value, cls):
                    value.block.lose()
                elif isinstance(value, list | tuple):
                    waiting.extend(value)
            return torch._C._disabled_torch_function_impl(func, types, args, kwargs or {})

        # Copies, and what is saved to a file, are ordinary tensors.

        def __reduce_ex__(self, protocol: Any) -> Any:
            return self.lose().__reduce_ex__(protocol)

        def __deepcopy__(self, memo: Any) -> Any:
            return copy.deepcopy(self.lose(), memo)

    def sent(tensor: Handed) -> Any:
        told, place = tensor.block.send(), tensor.block.place
        with torch._C.DisableTorchFunctionSubclass():
            if told and place is not None:
                tensor.block.stay()
                shape = tuple(tensor.shape), tensor.stride()
                return _found, (place, tensor.storage_offset(), *shape)
            plain = torch.Tensor.as_subclass(tensor, torch.Tensor)
            return _received if told else _unchanged, (plain,)

    # This is asked where a tensor is for another process, and nowhere else.
    ForkingPickler.register(Handed, sent)
    return Handed


# --------------------------------------------------------------------------- the other process


def _unchanged(tensor: Any) -> Any:
    return tensor


_senders: WeakValueDictionary[int, BaseProcess] = WeakValueDictionary()
_open: WeakKeyDictionary[BaseProcess, dict[_Place, Any]] = WeakKeyDictionary()
"""The blocks that each worker has, in use or not, for as long as anybody knows of the worker."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_open.clear)  # or it keeps them when all others have gone


def _found(place: _Place, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> Any:
    """The tensor that lies in a block like this."""
    import torch

    if place.process not in _senders:
        _senders.update({child.pid: child for child in active_children() if child.pid})
    sender = _senders.get(place.process)
    known = {} if sender is None else _open.setdefault(sender, {})
    storage = known.get(place)
    if storage is None:
        # The worker has a new block, and has forgotten others for it.
        for old in [old for old in list(known) if not _is_there(old)]:
            known.pop(old, None)
        storage = known[place] = _opened(place)
    tensor = torch.empty(0, dtype=torch.uint8).set_(storage, offset, shape, stride)
    return _received(tensor)


def _is_there(place: _Place) -> bool:
    """Does its worker still have it?"""
    try:
        status = place.path.stat()
    except OSError:
        return False
    return (status.st_dev, status.st_ino) == place.identity


def _opened(place: _Place) -> Any:
    """A block's memory.

    Raises:
        RuntimeError: The worker has ended, and its memory with it.
    """
    import torch

    try:
        file = os.open(place.path, os.O_RDWR)
    except OSError as error:
        raise RuntimeError(
            f"the memory of worker {place.process} cannot be opened: {error}. Has the worker ended?"
        ) from error
    try:
        status = os.fstat(file)
        if (status.st_dev, status.st_ino) != place.identity:
            raise RuntimeError(f"worker {place.process} has ended, and its memory with it.")
        # Not by its number, for which torch would keep a file open as long as there is a batch.
        return torch.UntypedStorage.from_file(f"/proc/self/fd/{file}", True, place.size)
    finally:
        os.close(file)


def _received(tensor: Any) -> Any:
    """A tensor over a block that is free when nothing refers to its arrays any more."""
    import torch

    return torch.from_numpy(np.asarray(_Received(tensor)))


class _Received:
    """Owner of the arrays over a block of another process; without any, the block is free there."""

    def __init__(self, tensor: Any) -> None:
        import torch

        storage = tensor.untyped_storage()
        self._forks = _Forks.number
        self._array = tensor.numpy()
        self._state = torch.empty(0, dtype=torch.uint8).set_(storage).numpy()[-1:]
        self._state[0] = _ARRIVED
        self.__array_interface__ = self._array.__array_interface__

    def __del__(self, forks: type[_Forks] = _Forks) -> None:
        # Bound here, because modules are gone when the last arrays go at the end of a process.
        if forks.number == self._forks:
            self._state[0] = 0  # free
