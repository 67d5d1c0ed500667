"""A dataset on disk: its tables, its books, and how anything is written to it.

Whatever is written here is complete or absent: the bytes go to a temporary name,
are flushed to disk, and are renamed (`write_atomic`). Rows are sorted by key and
JSON is canonical, so the same content always gives the same bytes.
"""

from __future__ import annotations

import csv
import dataclasses
import fcntl
import hashlib
import io
import json
import os
import re
import shutil
import time
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

import pyarrow as pa
import pyarrow.parquet as pq

from kslds import schema
from kslds.errors import CorruptData, IncompleteDataset, MissingFile, UnbalancedBooks, UsageError

if TYPE_CHECKING:
    import pandas as pd

R = TypeVar("R")


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys, no spaces, UTF-8: one value, one byte string."""
    text = json.dumps(
        value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
    )
    return text.encode()


def readable_json(value: Any) -> bytes:
    """JSON for people to read; as deterministic as `canonical_json`."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, indent=1, allow_nan=False)
    return (text + "\n").encode()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def write_atomic(path: Path) -> Iterator[BinaryIO]:
    """Open a file that appears under its name only once it is complete on disk.

    An error inside the block, a full disk or a kill leaves the old file, or none.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file atomically; a file that already holds these bytes is left alone."""
    if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
        return
    with write_atomic(path) as file:
        file.write(data)


def write_parquet(path: Path, table: pa.Table) -> None:
    """Write one Parquet file atomically, with a checksum on each page."""
    with write_atomic(path) as file:
        pq.write_table(table, file, compression="zstd", write_page_checksum=True)


def write_spreadsheet(path: Path, rows: Iterable[Iterable[object]]) -> None:
    """Write a CSV for people: spreadsheets read its letters as such and run nothing in it."""
    with write_atomic(path) as file:
        # With the mark of utf-8-sig, spreadsheets know the encoding.
        text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        writer = csv.writer(text, lineterminator="\n")
        for row in rows:
            writer.writerow(
                ["" if c is None else shielded(c) if isinstance(c, str) else str(c) for c in row]
            )
        text.detach()


def shielded(cell: str) -> str:
    """A text as a cell of CSV that no spreadsheet takes for a formula.

    An apostrophe goes before what begins like one, also after a semicolon, tab or line break: a
    spreadsheet set to a language with decimal commas begins a cell there. `unshielded` takes
    exactly these apostrophes away.
    """
    return _FORMULA.sub(r"\1'", cell)


def unshielded(cell: str) -> str:
    """What was given to `shielded`."""
    return _SHIELDED.sub(r"\1", cell)


_FORMULA = re.compile(r"(^|[;\t\r\n])(?='*[=+\-@＝＋－＠])")
_SHIELDED = re.compile(r"(^|[;\t\r\n])'(?='*[=+\-@＝＋－＠])")


def read_parquet(path: Path) -> pa.Table:
    """Read one Parquet file and check its pages.

    Raises:
        CorruptData: The file is not readable, or its bytes changed.
    """
    try:
        return pq.read_table(path, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        why = str(error).splitlines()[0]
        raise CorruptData(f"{path} is not readable Parquet: {why}", hint=_AGAIN) from error


class Dataset:
    """A dataset folder; `kslds.open` returns one.

    `signers`, `signs`, `recordings`, `segments`, `clips`, `dropped` and `issues` are the
    tables as pandas frames; `splits` maps a split's name to its frame.

    Args:
        root: The folder.
        create: Make the folder if it is missing.

    Raises:
        MissingFile: There is no such folder, or it holds no dataset.
        IncompleteDataset: The dataset was written by a newer format.
    """

    def __init__(self, root: str | os.PathLike[str], *, create: bool = False) -> None:
        self.root = Path(root)
        folders = (self.root / "tables", self.root, *self.root.parents) if create else ()
        self._made = [folder for folder in folders if not folder.exists()]
        self._hashed: dict[Path, tuple[tuple[int, ...], str]] = {}
        if create and self.root.exists() and not self.root.is_dir():
            raise UsageError(
                f"{self.root} is a file, not a folder.", hint="Name another folder with --out."
            )
        if create:
            (self.root / "tables").mkdir(parents=True, exist_ok=True)
            try:
                self.provenance.get("format_version")
            except CorruptData:
                (self.root / "provenance.json").unlink()  # a build writes it anew
        elif not (self.root / "tables").is_dir():
            raise MissingFile(
                f"{self.root} is not a kslds dataset: it has no folder 'tables'.",
                hint="Build one with: kslds build RECIPE --out DIR",
            )
        version = self.provenance.get("format_version", schema.FORMAT_VERSION)
        if version > schema.FORMAT_VERSION:
            raise IncompleteDataset(
                f"{self.root} has format version {version}; this kslds reads up to "
                f"{schema.FORMAT_VERSION}.",
                hint="Upgrade kslds.",
            )

    def __repr__(self) -> str:
        return f"Dataset({str(self.root)!r})"

    # inputs

    def sha256_of(self, path: Path) -> str:
        """SHA-256 of a file that is read, hex. Stages of one build read it once.

        What was hashed before counts as long as the file is the same one by device, number, size
        and both its times, of which no program can set the second. Nothing of it is kept on disk,
        where another machine could take it for its own.
        """
        known = self._hashed.get(path)
        if known is not None and known[0] == _identity(path):
            return known[1]
        before, now = _identity(path), time.time_ns()
        digest = sha256_file(path)
        # A file written within the grain of the clock of its folder could change once more
        # and keep its times.
        if max(before[-2:]) < now - _GRAIN_NS and _identity(path) == before:
            self._hashed[path] = before, digest
        return digest

    # tables

    def path(self, table: str) -> Path:
        """Where a table lies."""
        return self.root / "tables" / f"{table}.parquet"

    def has(self, table: str) -> bool:
        """Has this table been written?"""
        return self.path(table).is_file()

    def arrow(self, table: str) -> pa.Table:
        """A table as Arrow.

        Raises:
            IncompleteDataset: The table has not been written yet.
            CorruptData: The file is not readable Parquet.
        """
        path = self.path(table)
        if not path.is_file():
            raise IncompleteDataset(
                f"{self.root} has no table {table!r} yet.",
                hint=f"Run the stage that writes it: kslds {_WRITERS.get(table, 'build')}.",
            )
        record = schema.TABLES.get(table)
        found = read_parquet(path)
        return found if record is None else schema.completed(record, found)

    def read(self, table: str, record: type[R]) -> list[R]:
        """A table as records of the given type."""
        return schema.from_table(record, self.arrow(table))

    def write(self, table: str, rows: Iterable[Any], *, record: type | None = None) -> None:
        """Write a table from records, sorted by their first field (then the others)."""
        record = record or schema.TABLES[table]
        arrow = schema.to_table(record, rows)
        order = [
            (field.name, "ascending") for field in arrow.schema if not pa.types.is_list(field.type)
        ]
        arrow = arrow.sort_by(order) if arrow.num_rows else arrow
        path = self.path(table)
        try:
            if path.is_file() and self.arrow(table).equals(arrow):
                return
        except CorruptData:
            path.unlink()  # damaged; it is being written anew
        write_parquet(path, arrow)

    def frame(self, table: str) -> pd.DataFrame:
        """A table as a pandas frame."""
        return cast("pd.DataFrame", self.arrow(table).to_pandas())

    @property
    def signers(self) -> pd.DataFrame:
        """The signers, one row each."""
        return self.frame("signers")

    @property
    def signs(self) -> pd.DataFrame:
        """The lexicon entries in use."""
        return self.frame("signs")

    @property
    def recordings(self) -> pd.DataFrame:
        """The recordings, one row each."""
        return self.frame("recordings")

    @property
    def segments(self) -> pd.DataFrame:
        """The annotated intervals."""
        return self.frame("segments")

    @property
    def clips(self) -> pd.DataFrame:
        """The clips: planned after `trim`, rendered after `resize`."""
        return self.frame("clips")

    @property
    def dropped(self) -> pd.DataFrame:
        """Every row that a stage did not pass on, with code and reason."""
        return self.frame("dropped")

    @property
    def issues(self) -> pd.DataFrame:
        """What the last validation found."""
        return self.frame("issues")

    @property
    def splits(self) -> dict[str, pd.DataFrame]:
        """Every split by name: columns `split`, `unit`, `value`."""
        names = sorted(p.stem for p in (self.root / "tables" / "splits").glob("*.parquet"))
        return {name: self.frame(f"splits/{name}") for name in names}

    def sides(self, split: str) -> tuple[str, dict[str, str]]:
        """What a split assigns (a column of `clips`), and on which side each of its values is.

        Raises:
            IncompleteDataset: There is no such split.
            CorruptData: The table is not that of a split.
        """
        rows = self.read(f"splits/{split}", schema.SplitRow)
        unit, *others = {row.unit for row in rows} or {"signer_id"}
        if others or unit not in {field.name for field in dataclasses.fields(schema.Clip)}:
            raise CorruptData(
                f"{self.path(f'splits/{split}')} does not say what it assigns.",
                hint="Run: kslds split DIR",
            )
        return unit, {row.value: row.split for row in rows}

    def verify(self) -> int:
        """Read every table to its last byte, and compare the rows with the books.

        Returns:
            Number of tables.

        Raises:
            CorruptData: A table is damaged, or has other columns or rows than it should.
        """
        folder = self.root / "tables"
        paths = sorted(folder.rglob("*.parquet"))
        out = {stage: books.get("out") for stage, books in self._stages().items()}
        for name, stages in _COUNTED.items():
            if not self.has(name) and any(stage in out for stage in stages):
                raise CorruptData(f"{self.path(name)} is missing.", hint=_AGAIN)
        for path in paths:
            name = path.relative_to(folder).with_suffix("").as_posix()
            table = read_parquet(path)
            record = schema.SplitRow if name.startswith("splits/") else schema.TABLES.get(name)
            table = table if record is None else schema.completed(record, table)
            if record is not None and not table.schema.equals(schema.arrow_schema(record)):
                raise CorruptData(f"{path} has other columns than it should.", hint=_AGAIN)
            counted = next((s for s in reversed(_COUNTED.get(name, ())) if s in out), "")
            if name == "clips" and table["width"].null_count:
                counted = "trim"
            if counted in out and table.num_rows != out[counted]:
                raise CorruptData(
                    f"{path} has {table.num_rows} rows; {out[counted]} came out of {counted!r}.",
                    hint=_AGAIN,
                )
            if name == "dropped":
                self._check_dropped(Counter(table["stage"].to_pylist()))
        return len(paths)

    def _check_dropped(self, found: Mapping[str, int]) -> None:
        for stage, books in self._stages().items():
            if found.get(stage, 0) != books.get("dropped"):
                raise CorruptData(
                    f"{self.path('dropped')} has {found.get(stage, 0)} rows of {stage!r}; "
                    f"the books say {books.get('dropped')}.",
                    hint=_AGAIN,
                )

    # books

    def _stages(self) -> dict[str, dict[str, Any]]:
        stages = self.provenance.get("stages", {})
        if not isinstance(stages, dict) or not all(isinstance(b, dict) for b in stages.values()):
            raise CorruptData(f"{self.root / 'provenance.json'} holds no books.", hint=_AGAIN)
        return stages

    @property
    def provenance(self) -> dict[str, Any]:
        """What was built from what: versions, hashes and the counts of every stage."""
        path = self.root / "provenance.json"
        if not path.is_file():
            return {}
        try:
            loaded = json.loads(path.read_bytes())
        except ValueError as error:
            raise CorruptData(f"{path} is not JSON: {error}.", hint="Build again.") from error
        if not isinstance(loaded, dict):
            raise CorruptData(f"{path} does not hold a JSON object.", hint="Build again.")
        return loaded

    def update_provenance(self, **values: Any) -> None:
        """Set top-level entries of the provenance."""
        document = {**self.provenance, "format_version": schema.FORMAT_VERSION, **values}
        write_bytes(self.root / "provenance.json", readable_json(document))

    def open_books(self) -> None:
        """Begin a new ledger: what later stages made of the tables before says nothing any more.

        Rendered clips and shards stay where they are, and are found again by content.
        """
        self.path("clips").unlink(missing_ok=True)
        self.write("dropped", [])
        self.update_provenance(stages={})

    def close_books(
        self,
        stage: str,
        *,
        rows_in: int,
        rows_out: int,
        dropped: Iterable[schema.Dropped] = (),
        facts: Mapping[str, int] | None = None,
    ) -> None:
        """Record a stage's counts and its dropped rows, replacing those of its last run.

        Args:
            stage: The stage that ends.
            rows_in: Rows it was given.
            rows_out: Rows it passed on.
            dropped: The rows it did not pass on, one each.
            facts: Further counts worth keeping, such as frames or bytes.

        Raises:
            UnbalancedBooks: ``rows_in != rows_out + dropped``.
        """
        rows = list(dropped)
        if rows_in != rows_out + len(rows):
            raise UnbalancedBooks(
                f"the books of {stage!r} do not balance: {rows_in} in, {rows_out} out, "
                f"{len(rows)} dropped.",
                hint="This is a defect of kslds; please report it with the command you ran.",
            )
        kept = self.read("dropped", schema.Dropped) if self.has("dropped") else []
        self.write("dropped", [*(row for row in kept if row.stage != stage), *rows])
        stages = dict(self.provenance.get("stages", {}))
        stages[stage] = {"in": rows_in, "out": rows_out, "dropped": len(rows), **(facts or {})}
        self.update_provenance(stages=stages)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep a second process from writing to the dataset at the same time.

        What a killed process left half-written is deleted; so is the folder, if an error ends
        the block before anything is in it.

        Raises:
            UsageError: Another process holds it.
        """
        with (self.root / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UsageError(
                    f"another kslds command is writing to {self.root}.",
                    hint="Wait for it, or choose another folder with --out.",
                ) from error
            for leftover in sorted(self.root.rglob(".*.tmp")):
                if leftover.is_dir():
                    shutil.rmtree(leftover)
                else:
                    leftover.unlink()
            try:
                yield
            except BaseException:
                self._leave_nothing()
                raise

    def _leave_nothing(self) -> None:
        """Delete the folders that were made for the dataset, if nothing is in them yet."""
        lock = self.root / ".lock"
        if self._made and not any(p != lock and not p.is_dir() for p in self.root.rglob("*")):
            lock.unlink()
            for folder in self._made:
                if any(folder.iterdir()):
                    break
                folder.rmdir()


def _identity(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


_GRAIN_NS = 3_000_000_000
"""FAT's clock is the coarsest, with 2 s."""

_AGAIN = "Run: kslds build … again."

_COUNTED: Mapping[str, tuple[str, ...]] = {
    "recordings": ("ingest-recordings", "merge-recordings"),
    "segments": ("ingest-segments", "consensus", "merge-segments"),
    "clips": ("trim", "resize", "merge-segments"),
}
"""Table → the stages that write it; the books of the last that has run tell its number of rows.
Clips that are planned anew are those of ``trim`` again."""

_WRITERS = {
    "signers": "ingest",
    "recordings": "ingest",
    "timings": "ingest",
    "segments": "ingest",
    "signs": "validate",
    "issues": "validate",
    "clips": "trim",
}


def key_of(text: str, *, prefix: str) -> str:
    """A key for a name as written: itself, lower-cased, where that is safe and short; else a hash.

    A name outside ASCII could be a person's and must not be spelled out in keys. Letter case,
    blanks and dots make no other person, in whatever alphabet: two keys would be on two sides.
    """
    # Full-width letters and invisible characters do not make another person.
    text = "".join(
        c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf"
    )
    key = re.sub(r"[\s.]+", "_", text.strip().lower())
    if len(key) <= schema.MAX_KEY_CHARS and re.fullmatch(schema.KEY_PATTERN, key):
        return key
    return f"{prefix}_{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def is_hashed(key: str, *, prefix: str) -> bool:
    """Did `key_of` put a hash in the place of a name?"""
    return re.fullmatch(f"{prefix}_[0-9a-f]{{8}}", key) is not None


def segment_key(values: Mapping[str, object]) -> str:
    """The `segment_id` of what a segment says.

    A column that the first datasets did not have counts where it says something: other segments
    keep their keys, and their clips with them.
    """
    told = {k: v for k, v in values.items() if k != "translation_kk" or v is not None}
    return f"seg_{hashlib.sha256(canonical_json(told)).hexdigest()[:16]}"


def bundled(folder: str) -> Path:
    """Where `recipes` or `manifests` lie: inside an installed package, or beside it in a clone."""
    package = Path(__file__).parent
    inside = package / "_bundled" / folder
    return inside if inside.is_dir() else package.parent / folder
