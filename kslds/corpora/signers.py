"""The file of signers: who they are, by pseudonym, and what they consented to."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path

from kslds.corpora.table import read_rows
from kslds.errors import AnnotationError, MissingFile
from kslds.manifest import key_of
from kslds.orthography import TO_CYRILLIC
from kslds.schema import Signer

SCOPES = ("internal", "research", "publication")
_WITHDRAWN = {
    **dict.fromkeys(("true", "yes", "1"), True),
    **dict.fromkeys(("false", "no", "0", ""), False),
}


def read(path: str) -> dict[str, Signer]:
    """The signers of a CSV with the columns of `Signer`, by key.

    Consent is a matter of law, so nothing in this file is guessed or passed over.

    Raises:
        MissingFile: There is no such file.
        AnnotationError: Anything is wrong with the file: see `read_rows`; a column is unknown,
            a signer is listed twice, or a cell on consent has another value than it may.
    """
    file = Path(path)
    if not file.is_file():
        raise MissingFile(
            f"there is no signers file {path!r}.",
            hint="Correct [ingest] signers, or write the file: a CSV with the columns signer_id "
            "and consent_scope.",
        )
    names = [f.name for f in dataclasses.fields(Signer)]
    signers: dict[str, Signer] = {}
    lines: dict[str, int] = {}
    for line, cells in read_rows(file, names=("signer_id",), known=names):
        signer = _signer(cells, where=f"{file.name}:{line}")
        if signer.signer_id in signers:
            raise AnnotationError(
                f"{file.name}:{line}: signer {signer.signer_id!r} is listed twice, first on line "
                f"{lines[signer.signer_id]}.",
                hint="Keep one row, the one with the signer's last word on consent. Letter case, "
                "blanks and dots make no other signer.",
            )
        lines[signer.signer_id] = line
        signers[signer.signer_id] = signer
    return signers


def strangers(path: str, *, written: Iterable[str]) -> Iterator[tuple[str, str, str | None]]:
    """Withdrawn signers of the file whom no annotation names.

    Args:
        path: The file, which `read` accepted.
        written: The signers as annotations write them.

    Yields:
        Key, file and line, and the key of a signer whose name looks the same, if there is one.
    """
    keys = {key_of(name, prefix="signer") for name in written}
    looks = {_look(name): key_of(name, prefix="signer") for name in sorted(written)}
    file = Path(path)
    for line, cells in read_rows(file, names=("signer_id",)):
        name = cells["signer_id"]
        key = key_of(name, prefix="signer")
        if _WITHDRAWN[cells.get("consent_withdrawn", "").lower()] and key not in keys:
            yield key, f"{file.name}:{line}", looks.get(_look(name))


def seen_before(
    known: Mapping[str, Iterable[str]], *, signers: Mapping[str, Signer]
) -> dict[str, set[str]]:
    """Content hash of a recording → who has withdrawn from it, as earlier builds noted.

    The files may have been deleted since. Whoever consents again is left out.
    """
    found: dict[str, set[str]] = {}
    for digest, keys in known.items():
        still = {k for k in keys if k not in signers or signers[k].consent_withdrawn}
        if still:
            found[digest] = still
    return found


def _look(name: str) -> str:
    """What a name looks like, whatever alphabet its letters are of."""
    return key_of(name.casefold().translate(_MORE_LOOKALIKES).translate(TO_CYRILLIC), prefix="look")


_MORE_LOOKALIKES = str.maketrans("ѕјԁԛԝ", "sjdqw")


def _signer(cells: Mapping[str, str], *, where: str) -> Signer:
    name, scope = cells["signer_id"], cells.get("consent_scope", "")
    withdrawn = cells.get("consent_withdrawn", "").lower()
    if not name:
        raise AnnotationError(
            f"{where}: the cell 'signer_id' is empty.", hint="Fill in the pseudonym."
        )
    if withdrawn not in _WITHDRAWN:
        raise AnnotationError(
            f"{where}, column 'consent_withdrawn': {withdrawn!r:.60} is not true or false."
        )
    if scope not in ("", *SCOPES):
        raise AnnotationError(
            f"{where}, column 'consent_scope': {scope!r:.60} is not internal, research or "
            "publication."
        )
    if not _is_date(cells.get("consent_date", "")):
        raise AnnotationError(
            f"{where}, column 'consent_date': {cells['consent_date']!r:.60} is not a date; "
            "expected one such as 2024-01-15."
        )
    values = {column: text or None for column, text in cells.items()}
    values["signer_id"] = key_of(name, prefix="signer")
    return Signer(**{**values, "consent_withdrawn": _WITHDRAWN[withdrawn]})  # type: ignore[arg-type]


def _is_date(text: str) -> bool:
    if not text:
        return True
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
