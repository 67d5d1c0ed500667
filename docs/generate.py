"""Write the generated parts of the documentation: ``python docs/generate.py``.

`docs/cli.md`, `docs/codes.md` and `docs/corpora.md` are whole files; in `docs/format.md` the
part between the two marks is replaced. The tests compare what this makes with what is there.
"""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import tomllib
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


def first_paragraph(text: str) -> str:
    """What a command does, from its help text."""
    return " ".join(text.split("\n\n")[1].split())


def cli() -> str:
    """`docs/cli.md`."""
    top = help_of()
    sections, rows = [], ["| command | what it does |", "|---|---|"]
    for name in commands_in(top):
        text = help_of(name)
        group = commands_in(text)
        for words in [f"{name} {inner}" for inner in group] if group else [name]:
            if group:
                text = help_of(*words.split())
            shown = text.replace("python -m kslds.cli", "kslds")
            sections.append(f"## kslds {words}\n\n```\n{shown}\n```")
            rows.append(
                f"| [`{words}`](#kslds-{words.replace(' ', '-')}) | {first_paragraph(text)} |"
            )
    usage = top.partition("Commands:")[0].strip().replace("python -m kslds.cli", "kslds")
    parts = [
        "# The command line",
        "Generated from the program by `python docs/generate.py`. stdout is data, stderr is talk "
        "and progress. Exit codes: 0 done, 1 errors were found, 2 wrong usage, 130 stopped by "
        "Ctrl-C. A build that drops damaged files and bad rows is done: every row is out or "
        "dropped, and its closing table shows what was dropped and why. What stops a build, such "
        "as an unknown label or a leak between the sides of a split, is an error.",
        f"```\n{usage}\n```",
        "\n".join(rows),
        *sections,
    ]
    return "\n\n".join(parts) + "\n"


def codes() -> str:
    """`docs/codes.md`."""
    return (
        "# Codes\n\nGenerated from `kslds.codes.CODES` by `python docs/generate.py`. A code never "
        "changes its meaning. Each validation code has a folder under `tests/validation/` that "
        "holds an input that causes it and the message it gives.\n\nK1 is reading, K2 cutting, K3 "
        "validation, K4 splits, K5 lexicons, K6 audits, K7 merging.\n\n" + code_table()
    )


def format_page() -> str:
    """`docs/format.md` with the data dictionary of this version."""
    before, _, rest = (DOCS / "format.md").read_text(encoding="utf-8").partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n\n{schema.data_dictionary()}\n{END}{after}"


_CODE = re.compile(
    r"`[^`]*`|https?://\S+"  # left as they are
    r'|(?:\[\w+\] )?\w+ = (?:"[^"]*"|\{[^}]*\}|\[[^\]]*\])'  # settings
    r"|\[\w+\] \w+"
    r"|[^\s`(),;]*[_{*|][^\s`(),;]*[^\s`(),;.:]"  # file names and columns
    r"|[\w-]+\.(?:csv|tsv|json|txt|vtt)\b"
)


def marked(text: str) -> str:
    """Text as Markdown: what is code is marked, so that its `_`, `*` and `{` are kept."""
    return _CODE.sub(lambda m: m[0] if m[0][0] == "`" or "://" in m[0] else f"`{m[0]}`", text)


def sentence(text: str) -> str:
    """Text with a capital letter and a full stop; names of files and addresses stay as they are."""
    if re.match(r"[a-z]+[\s,;:]", text):
        text = text[0].upper() + text[1:]
    return text if text.endswith(".") or re.search(r"https?://\S+$", text) else f"{text}."


def table_cell(text: str) -> str:
    """Text as a cell."""
    return sentence(marked(text)).replace("|", "\\|")


def recipes_of(adapter: str) -> str:
    """Links to the recipes that use an adapter."""
    found = [
        path.name
        for path in sorted((DOCS.parent / "recipes").glob("*.toml"))
        if tomllib.loads(path.read_text(encoding="utf-8")).get("ingest", {}).get("adapter")
        == adapter
    ]
    return ", ".join(f"[{name}](../recipes/{name})" for name in found)


def corpora_page() -> str:
    """`docs/corpora.md`: a section for each adapter, from its module's ``ABOUT``."""
    rows = ["| `adapter` | reads | recipe |", "|---|---|---|"]
    sections = []
    for name, target in sorted(corpora.ADAPTERS.items()):
        about = importlib.import_module(target.partition(":")[0]).ABOUT
        anchor = re.sub(r"[^\w\- ]", "", about.title.lower()).replace(" ", "-")
        rows.append(f"| `{name}` | [{about.title}](#{anchor}) | {recipes_of(name)} |")
        facts = (
            ("Size", about.size),
            ("Licence", about.licence),
            ("Citation", about.citation),
            ("How to get it", about.access),
        )
        sections += [
            f"## {about.title}",
            f'`adapter = "{name}"`. {sentence(marked(about.what))}',
            "\n".join(f"- **{what}:** {sentence(marked(text))}" for what, text in facts if text),
        ]
        if about.defects:
            lines = ["| as published | what kslds does |", "|---|---|"]
            lines += [f"| {table_cell(a)} | {table_cell(b)} |" for a, b in about.defects]
            sections.append("\n".join(lines))
    parts = [
        "# Collections and annotation formats",
        "Generated from the modules of `kslds.corpora` by `python docs/generate.py`. The adapter "
        "is named in a recipe's `[ingest]` table; the recipes are complete but for your paths. "
        "Sizes and defects are those of the published annotation files; where a layout is a "
        "guess, it says so. No recording of any collection comes with kslds.",
        "\n".join(rows),
        *sections,
    ]
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
