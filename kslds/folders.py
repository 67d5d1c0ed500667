"""Finding files: what lies below a folder or fits a pattern, and what is refused, with its reason.

Links to folders are never followed, and a dataset of kslds below the folder is passed over, so
that what was built is not taken for what to build from.
"""

from __future__ import annotations

import errno
import glob
import os
import re
import stat
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kslds.errors import MissingFile

_WRITTEN = frozenset({"clips", "parquet", "reports", "shards", "tables"})
"""Folders that a build writes into its dataset."""


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A file or folder that is not read."""

    path: Path
    name: str
    """Relative to its folder, ``/`` between parts; bytes that are not UTF-8 are replaced."""
    code: str
    """The code of its row in the table of dropped rows."""
    reason: str


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a pattern stands for."""

    root: Path
    """The folder that names are relative to."""
    files: tuple[Path, ...]
    """Sorted; each below `root`, of a name that is UTF-8."""
    refused: tuple[Refused, ...]


def find(pattern: str, *, suffixes: Collection[str] | None) -> Found:
    """The files below a folder or of a glob pattern, or the file of this name.

    Hidden files do not count.

    Args:
        pattern: A folder, a file or a glob pattern.
        suffixes: Lower-case endings of the files that count, such as ``.mp4``; None for all. A
            file that is named itself always counts.

    Raises:
        MissingFile: There is no such file or folder.
        OSError: The folder cannot be listed.
    """
    path = Path(pattern)
    refused: list[Refused] = []
    if path.is_dir():
        root = path
        paths, refused = _below(path)
    elif path.is_file():
        root, paths, suffixes = path.parent, [path], None
    elif glob.has_magic(pattern):
        root = Path(*path.parts[: next(i for i, p in enumerate(path.parts) if glob.has_magic(p))])
        found = sorted(Path(p) for p in glob.glob(pattern, recursive=True))  # noqa: PTH207
        paths = [p for p in found if not p.is_dir() and not _is_written(p, root)]
    else:
        raise MissingFile(
            f"there is no file or folder {pattern!r}.",
            hint="Check it; paths in a recipe are relative to the recipe.",
        )
    inside = root.resolve()
    files = []
    for each in paths:
        if suffixes is not None and each.suffix.lower() not in suffixes:
            continue
        wrong = _problem(each, root=root, inside=inside)
        if wrong is None:
            files.append(each)
        else:
            refused.append(_refused(each, root, *wrong))
    return Found(root=root, files=tuple(files), refused=tuple(refused))


def _refused(path: Path, root: Path, code: str, reason: str) -> Refused:
    name = os.fsencode(path.relative_to(root).as_posix()).decode("utf-8", "replace")
    return Refused(path=path, name=name, code=code, reason=reason)


def _below(root: Path) -> tuple[list[Path], list[Refused]]:
    """Every file below a folder, and the folders in it that cannot be read."""
    files: list[Path] = []
    refused: list[Refused] = []
    inside = root.resolve()

    def unreadable(error: OSError) -> None:
        folder = Path(error.filename)
        if folder == root:
            raise error
        refused.append(
            _refused(folder, root, "K126", f"the folder cannot be listed: {error.strerror}")
        )

    for folder, subfolders, names in os.walk(root, onerror=unreadable):
        here = Path(folder)
        entered = []
        for name in sorted(subfolders):
            path = here / name
            if name.startswith(".") or _is_written(path / "any", root):
                continue
            if not path.is_symlink():
                entered.append(name)
            elif not path.resolve().is_relative_to(inside):
                reason = "the link to a folder leads out of the media folder"
                refused.append(_refused(path, root, "K104", reason))
        subfolders[:] = entered
        files += [here / name for name in names if not name.startswith(".")]
    return sorted(files), refused


def _problem(path: Path, *, root: Path, inside: Path) -> tuple[str, str] | None:
    """Code and reason where a file must not be read."""
    try:
        os.fspath(path.relative_to(root)).encode()
    except UnicodeEncodeError:
        return "K122", "the name of the file is not UTF-8"
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if error.errno == errno.ELOOP:
            return "K104", "the link leads in a circle"
        if path.is_symlink():
            return "K104", "the link leads nowhere"
        return None  # whoever opens it says why it cannot be read
    if not path.resolve().is_relative_to(inside):
        return "K104", "the link leads out of the media folder"
    if not stat.S_ISREG(mode):
        return "K107", "it is neither a file nor a folder"
    return None


def _is_written(path: Path, root: Path) -> bool:
    """Did kslds write this file into a dataset at or below `root`?"""
    for folder in path.parents:
        if folder == root:
            return path.relative_to(root).parts[0] in _WRITTEN and _is_dataset(root)
        if _is_dataset(folder):
            return True
    return False


def _is_dataset(folder: Path) -> bool:
    return (folder / "kslds.toml").is_file() and (folder / "tables").is_dir()


# --------------------------------------------------------------------------- names


@dataclass
class Finder:
    """Which recording does an annotation mean? By path, else by name or stem.

    A row that names folders means a file in these; of several, the one deepest down.
    """

    known: Mapping[str, str]
    """Names of media files, relative to the media folder → what each holds: files of one value
    are copies of each other."""

    def __post_init__(self) -> None:
        self._by_tail: dict[str, set[str]] = defaultdict(set)
        self._alike: dict[str, str] = {}
        for name in self.known:
            path = PurePosixPath(name)
            for tail in {path.name, path.stem, path.with_suffix("").as_posix()}:
                self._by_tail[tail.strip()].add(name)
        for name in sorted(self.known, reverse=True):
            self._alike[_loosely(name)] = name

    def find(self, written: str) -> tuple[str | None, str, str]:
        """The file meant (or None), and the code and reason where there is none."""
        exact = unicodedata.normalize("NFC", written)
        wanted = exact.strip().replace("\\", "/").removeprefix("./")
        for name in (exact, exact.strip(), wanted):
            if name in self.known:
                return name, "", ""
        names = sorted(
            self._by_tail.get(wanted, ()) or self._by_tail.get(wanted.split("/")[-1], ())
        )
        # A row that names folders means no file of another folder, whatever it is called.
        names = [name for name in names if _agree(PurePosixPath(wanted), PurePosixPath(name))]
        if "/" in wanted:
            depth = max((name.count("/") for name in names), default=0)
            names = [name for name in names if name.count("/") == depth]
        if len({self.known[name] for name in names}) == 1:
            return names[0], "", ""
        if names:
            return None, "K121", f"{written!r} could be {' or '.join(names[:3])}"
        near = self._alike.get(_loosely(wanted))
        reason = f"{written!r} is not among the {len(self.known)} file(s) of the media folder"
        return None, "K103", reason + (f"; nearest: {near!r}" if near else "")


def _loosely(name: str) -> str:
    """A file's name without what people write otherwise: folders, ending, case, separators, and
    zeros before a number."""
    letters = re.sub(r"[\W_]+", " ", PurePosixPath(name).stem.casefold())
    return re.sub(r"(?<![0-9])0+(?=[0-9])", "", letters).replace(" ", "")


def _agree(one: PurePosixPath, other: PurePosixPath) -> bool:
    """Do two paths name the same folders, as far as both name any?"""
    pairs = zip(one.parts[-2::-1], other.parts[-2::-1], strict=False)
    return all(a == b for a, b in pairs)
