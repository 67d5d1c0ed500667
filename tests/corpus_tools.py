"""What the tests of collections share: files with invented rows, and the clips they give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from kslds import clips, ingest, validate
from kslds.corpora import Annotation, Source, adapter
from kslds.manifest import Dataset
from kslds.schema import Clip
from kslds.validate import Rules

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "corpora"


def write(folder: Path, files: Mapping[str, str | bytes]) -> tuple[Path, ...]:
    paths = []
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        paths.append(path)
    return tuple(paths)


def rows(name: str, files: Sequence[Path], **values: object) -> list[Annotation]:
    return list(adapter(name)(Source(files=tuple(files), **values)))  # type: ignore[arg-type]


def codes(found: Sequence[Annotation]) -> dict[str, str]:
    """Source → code of the rows that cannot be used."""
    return {row.source: row.problem[0] for row in found if row.problem}


def cut(root: Path, name: str, files: Sequence[Path], **values: object) -> Dataset:
    """The dataset that an adapter gives for the recordings in `root`/media."""
    dataset = Dataset(root / "dataset", create=True)
    ingest.ingest(
        dataset,
        options=ingest.IngestOptions(
            media=(str(root / "media"),),
            adapter=name,
            annotations=tuple(map(str, files)),
            **values,  # type: ignore[arg-type]
        ),
    )
    validate.validate(dataset, lexicon=None, rules=Rules(unknown="keep", min_ms=0))
    clips.trim(dataset, options=clips.ClipOptions(size=64), unknown="keep")
    return dataset


def spans(dataset: Dataset) -> set[tuple[str, int, int]]:
    """Source file, first and last frame of each clip."""
    return {(c.source_file, c.first_frame, c.last_frame) for c in dataset.read("clips", Clip)}


def dropped(dataset: Dataset) -> set[str]:
    return {str(row.code) for row in dataset.dropped.itertuples()}
