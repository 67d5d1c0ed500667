"""Write the generated parts of the documentation: ``python docs/generate.py``.

`docs/cli.md`, `docs/codes.md` and `docs/corpora.md` are whole files; in `docs/format.md` the
part between the two marks is replaced. The tests compare what this makes with what is there.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

from kslds import corpora, schema
from kslds.codes import code_table

DOCS = Path(__file__).parent
START, END = "<!-- generated: data dictionary -->", "<!-- end of the generated part -->"


def help_of(*words: str) -> str:
    """The help text of a command, 100 columns wide and without colour."""
    environment = {**os.environ, "COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "kslds.cli", *words, "--help"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return "\n".join(line.rstrip() for line in done.stdout.splitlines()).strip()


def commands_in(text: str) -> list[str]:
    """The names listed under ``Commands:``."""
    lines = text.partition("Commands:")[2].splitlines()
    return [line.split()[0] for line in lines if line.startswith("  ") and line[2] != " "]


def cli() -> str:
    """`docs/cli.md`."""
    top = help_of()
    parts = [
        "# The command line",
        "Generated from the program by `python docs/generate.py`. stdout is data, stderr is talk "
        "and progress. Exit codes: 0 done, 1 errors were found, 2 wrong usage, 130 stopped by "
        "Ctrl-C. A build that drops damaged files and bad rows is done: every row is out or "
        "dropped, and its closing table shows what was dropped and why. What stops a build, such "
        "as an unknown label or a leak between the sides of a split, is an error.",
        f"```\n{top.replace('python -m kslds.cli', 'kslds')}\n```",
    ]
    for name in commands_in(top):
        text = help_of(name)
        group = commands_in(text)
        for words in [(name, inner) for inner in group] if group else [(name,)]:
            text = help_of(*words).replace("python -m kslds.cli", "kslds")
            parts.append(f"## kslds {' '.join(words)}\n\n```\n{text}\n```")
    return "\n\n".join(parts) + "\n"


def codes() -> str:
    """`docs/codes.md`."""
    return (
        "# Codes\n\nGenerated from `kslds.codes.CODES` by `python docs/generate.py`. A code never "
        "changes its meaning. Each validation code has a folder under `tests/validation/` that "
        "holds an input that causes it and the message it gives.\n\n" + code_table()
    )


def format_page() -> str:
    """`docs/format.md` with the data dictionary of this version."""
    before, _, rest = (DOCS / "format.md").read_text(encoding="utf-8").partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n\n{schema.data_dictionary()}\n{END}{after}"


def corpora_page() -> str:
    """`docs/corpora.md`: a section for each adapter whose module names an ``ABOUT``."""
    parts = [
        "# Collections and annotation formats",
        "Generated from the modules of `kslds.corpora` by `python docs/generate.py`. The adapter "
        "is named in a recipe's `[ingest]` table; each collection has a recipe under `recipes/`.",
    ]
    for name, target in sorted(corpora.ADAPTERS.items()):
        about = getattr(importlib.import_module(target.partition(":")[0]), "ABOUT", None)
        if about is None:
            continue
        lines = [f"## {about.title}", f'`adapter = "{name}"`', about.what]
        facts = (
            ("Size", about.size),
            ("Licence", about.licence),
            ("Citation", about.citation),
            ("How to get it", about.access),
        )
        lines.append("\n".join(f"- **{what}:** {text}" for what, text in facts if text))
        if about.defects:
            rows = ["| as published | what kslds does |", "|---|---|"]
            cells = ([cell.replace("|", "\\|") for cell in row] for row in about.defects)
            lines.append("\n".join([*rows, *(f"| {a} | {b} |" for a, b in cells)]))
        parts += lines
    return "\n\n".join(parts) + "\n"


PAGES = {
    "cli.md": cli,
    "codes.md": codes,
    "corpora.md": corpora_page,
    "format.md": format_page,
}

if __name__ == "__main__":
    for name, make in PAGES.items():
        (DOCS / name).write_text(make(), encoding="utf-8")
