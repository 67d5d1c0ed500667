"""kslds: from raw sign-language recordings to a dataset that trainers stream.

`open` gives a dataset's tables as pandas frames, `load` streams its samples, `build` makes one
from a recipe. Each stage is a function of its own module, such as `kslds.clips.trim`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kslds.loader import Sampling, Stream, load, merge_states, mix, to_device
    from kslds.manifest import Dataset
    from kslds.manifest import Dataset as open  # noqa: A004
    from kslds.recipe import build
    from kslds.recipe import read as read_recipe

__all__ = [
    "Dataset",
    "Sampling",
    "Stream",
    "build",
    "load",
    "merge_states",
    "mix",
    "open",
    "read_recipe",
    "to_device",
]

_HOMES = {
    "Dataset": ("manifest", "Dataset"),
    "Sampling": ("sampling", "Sampling"),
    "Stream": ("loader", "Stream"),
    "build": ("recipe", "build"),
    "load": ("loader", "load"),
    "merge_states": ("state", "merge_states"),
    "mix": ("loader", "mix"),
    "open": ("manifest", "Dataset"),
    "read_recipe": ("recipe", "read"),
    "to_device": ("batches", "to_device"),
}


def __getattr__(name: str) -> Any:
    # Each name is imported when it is first used: `kslds --help` and `kslds.load` in a trainer
    # do not pay for what they do not need.
    if name not in _HOMES:
        raise AttributeError(f"module 'kslds' has no attribute {name!r}")
    from importlib import import_module

    module, attribute = _HOMES[name]
    return getattr(import_module(f"kslds.{module}"), attribute)
