"""Markup that cannot be broken into: text is escaped where it is put into an element."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

_MAX_PICTURE_BYTES = 16 << 20
_EMPTY_TAGS = ("img", "meta")


class Html(str):
    """Markup. Whatever is not of this type is text."""

    __slots__ = ()


def escaped(value: object) -> str:
    """Markup as it is, lists part by part, whole numbers with separators, all else escaped."""
    if isinstance(value, Html):
        return value
    if isinstance(value, list | tuple):
        return "".join(map(escaped, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if value is None or (isinstance(value, float) and value != value):
        return ""
    # Control characters are not allowed in HTML, not even escaped.
    text = re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]", "\ufffd", str(value))
    return html.escape(text)


def el(tag: str, *children: object, **attributes: object) -> Html:
    """An element; `_` in attribute names stands for `-`, and `class_` for `class`."""
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escaped(str(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    if tag in _EMPTY_TAGS:
        return Html(f"<{tag}{written}>")
    return Html(f"<{tag}{written}>{escaped(children)}</{tag}>")


def prose(text: str) -> list[object]:
    """A sentence about a code, in which backticks set off what is typed, as in Markdown."""
    return [el("code", part) if i % 2 else part for i, part in enumerate(text.split("`"))]


def _cell(value: object) -> Html:
    if isinstance(value, Html) and value.startswith("<td"):
        return value
    return el("td", value, class_="n" if isinstance(value, int | float) else None)


def table(
    caption: str, header: Sequence[object], rows: Iterable[Sequence[object]], *, more: int = 0
) -> Html:
    """A table; the first cell of a row names it, numbers stand to the right.

    Args:
        caption: What the table says.
        header: Names of the columns.
        rows: Their cells; a cell may be a whole ``<td>``.
        more: Rows that are not shown.
    """
    numeric: set[int] = set()
    body = []
    for first, *rest in rows:
        cells = [_cell(value) for value in rest]
        numeric |= {i for i, cell in enumerate(cells, start=1) if cell.startswith('<td class="n')}
        body.append(el("tr", el("th", first, scope="row"), cells))
    names = [
        el("th", name, scope="col", class_="n" if i in numeric else None)
        for i, name in enumerate(header)
    ]
    head = el("thead", el("tr", names))
    whole = el("table", el("caption", caption), head, el("tbody", body))
    # Wide tables scroll on their own; with a tab stop they do so from the keyboard, too.
    scroll = el("div", whole, class_="scroll", role="region", tabindex=0, aria_label=caption)
    below = el("p", f"… and {more:,} more.", class_="more") if more > 0 else ""
    return Html(scroll + below)


def picture(path: Path, *, alt: str, folder: Path) -> Html:
    """A PNG as part of the page; or a link from `folder`, where it is too large for that."""
    if path.stat().st_size > _MAX_PICTURE_BYTES:
        return el("a", alt, href=quote(path.relative_to(folder).as_posix()))
    data = base64.b64encode(path.read_bytes()).decode()
    return el("img", src=f"data:image/png;base64,{data}", alt=alt)


def duration(seconds: float) -> str:
    """A length of time for reading."""
    if seconds < 60:
        return f"{seconds:.1f}\N{NO-BREAK SPACE}s"
    if seconds < 3600:
        minutes, rest = divmod(int(seconds), 60)
        return f"{minutes} min {rest} s".replace(" ", "\N{NO-BREAK SPACE}")
    return f"{seconds / 3600:,.2f}\N{NO-BREAK SPACE}h"


def size(number: int) -> str:
    """A number of bytes for reading."""
    for unit, step in (("GB", 10**9), ("MB", 10**6), ("kB", 1000)):
        if number >= step:
            return f"{number / step:,.1f}\N{NO-BREAK SPACE}{unit}"
    return f"{number} bytes"


def percent(rate: float | None) -> str:
    """A rate from 0 to 1 as percent."""
    return "" if rate is None else f"{100 * rate:.1f}\N{NO-BREAK SPACE}%"


def count(number: int, noun: str, *, plural: str | None = None) -> str:
    """A number with its noun."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def listed(values: Sequence[str], *, most: int) -> str:
    """Values with commas, the first so many of them."""
    rest = f", … and {len(values) - most:,} more" if len(values) > most else ""
    return ", ".join(values[:most]) + rest
