"""An audit of a published annotation set, without its videos.

It reads the annotation files of a collection and tells what a careful reader of its paper
wants to know: is the split independent of signers, who signs how much, which labels
collide, which boundaries cannot be, and where its files disagree. `audit` looks,
`write` makes the page ``audit.html``, ``findings.csv`` and ``audit.json`` of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kslds.audit.checks import check
from kslds.audit.findings import Example, Facts, Finding, Leak
from kslds.audit.page import page
from kslds.audit.records import File, Options
from kslds.audit.rows import read
from kslds.errors import UsageError
from kslds.manifest import readable_json, write_bytes, write_spreadsheet

__all__ = ["Audit", "Example", "Facts", "Finding", "Leak", "Options", "audit", "write"]

EXAMPLES = 20
"""Places that a finding names unless told otherwise."""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What was read, counted and found."""

    files: tuple[File, ...]
    facts: Facts
    findings: tuple[Finding, ...]
    """Errors first, then by code."""

    def number(self, severity: str) -> int:
        """How many findings have this severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Everything in plain values, without the sizes of every signer and class."""
        facts = dataclasses.asdict(self.facts)
        for long in ("class_sizes", "signer_sizes"):
            del facts[long]
        return {
            "kslds": version("kslds"),
            "files": [dataclasses.asdict(file) for file in self.files],
            "facts": facts,
            "findings": [dataclasses.asdict(finding) for finding in self.findings],
        }


def audit(
    files: Sequence[Path], *, options: Options | None = None, examples: int = EXAMPLES
) -> Audit:
    """Read annotation files and look for everything that can be wrong with them.

    Rows of a file whose keys an earlier file has, too, are not counted again: they are another
    version of the same rows, and are compared with them.

    Args:
        files: Annotation files of one collection (also ``.gz``), a folder of them, or the folder
            of a dataset.
        options: How to read them.
        examples: Most places that a finding names, at least 1.

    Raises:
        MissingFile: A file is not there.
        AnnotationError: A file cannot be read or is not recognised.
        UsageError: No file is named, or an option cannot be carried out.
    """
    if not files or examples < 1:
        raise UsageError(
            "name the annotation files to audit." if not files else "examples has to be positive.",
            hint="kslds audit annotations.csv",
        )
    table = read(files, options=options or Options())
    facts, findings = check(table, examples=examples)
    return Audit(files=table.files, facts=facts, findings=tuple(findings))


def write(result: Audit, *, out: Path) -> Path:
    """Write ``audit.html``, ``findings.csv`` and ``audit.json``, the same bytes every time.

    Args:
        result: What `audit` returned.
        out: The folder, made if it is missing.

    Returns:
        The page.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file, not a folder.", hint="Name another with --out.")
    out.mkdir(parents=True, exist_ok=True)
    write_bytes(out / "audit.json", readable_json(result.as_json()))
    rows = [
        ("severity", "code", "title", "count", "unit", "message", "where", "example", "what to do")
    ]
    rows += [
        (f.severity, f.code, f.title, str(f.count), f.unit, f.message, e.where, e.text, f.action)
        for f in result.findings
        for e in f.examples or (Example(where="", text=""),)
    ]
    write_spreadsheet(out / "findings.csv", rows)
    path = out / "audit.html"
    write_bytes(path, page(result.files, facts=result.facts, findings=result.findings).encode())
    return path
