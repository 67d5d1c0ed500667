"""The page of an audit: what the reviewer of a dataset would like to have before them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import accumulate

from kslds.audit.findings import Facts, Finding, Leak, Spread
from kslds.audit.records import File
from kslds.report.markup import Html, count, el, listed, percent, prose, size, table
from kslds.report.numbers import SEVERITIES
from kslds.report.page import head

_MAX_SIGNERS = 30
_MAX_BINS = 20
_SHOWN = 3  # examples that are seen without a click
_NAME = 14  # characters of a signer's name in a chart
_ONE = {"classes": "class"}
_ANSWER = {"yes": "Yes", "no": "No", "unknown": "Cannot be told", "no split": "No split"}


@dataclass(frozen=True, kw_only=True)
class _Data:
    files: Sequence[File]
    facts: Facts
    findings: Sequence[Finding]

    @property
    def sides(self) -> list[str]:
        return [side.name for side in self.facts.sides]


def _bar(parts: Sequence[tuple[int, str]], *, total: int, title: str) -> Html:
    """A bar of several parts; the numbers stand beside it in text."""
    starts = [0, *accumulate(n for n, _ in parts)]
    marks: list[Html] = [el("title", title)]
    for start, (n, kind) in zip(starts, parts, strict=False):
        if n:
            x, width = 1000 * start / total, max(1000 * n / total, 2)
            marks.append(el("rect", x=f"{x:.1f}", y="0", width=f"{width:.1f}", height="20",
                            class_=kind))  # fmt: skip
    return el("svg", marks, viewBox="0 0 1000 20", preserveAspectRatio="none", role="img",
              aria_label=title, class_="bar100")  # fmt: skip


def _colour(position: int) -> str:
    return f"side{min(position, 4)}"


def _legend(names: Sequence[str]) -> Html:
    items = [
        el("li", el("span", class_=f"swatch {_colour(i)}"), name) for i, name in enumerate(names)
    ]
    return el("ul", items, class_="legend")


def _sides(data: _Data) -> Sequence[object]:
    facts = data.facts
    if not facts.sides:
        return [el("p", "No file says which rows are for training and which are for testing.")]
    rows: list[Sequence[object]] = [
        (side.name, side.rows, percent(side.rows / facts.rows), side.classes, side.signers,
         percent(side.largest) if side.signers else "–")
        for side in facts.sides
    ]  # fmt: skip
    rows.append(
        (
            "All",
            facts.rows,
            percent(1.0),
            facts.classes,
            facts.signers,
            percent(facts.by_signer.most / facts.rows) if facts.by_signer else "–",
        )
    )
    header = ("Side", "Rows", "Share of rows", "Classes", "Signers", "Largest signer’s share")
    bar = _bar(
        [(side.rows, _colour(i)) for i, side in enumerate(facts.sides)], total=facts.rows,
        title="Rows: " + ", ".join(f"{side.name} {side.rows:,}" for side in facts.sides),
    )  # fmt: skip
    repeated = (
        f"{count(facts.repeated, 'row')} of later files repeat keys of earlier ones: they are "
        "compared, not counted again."
        if facts.repeated
        else ""
    )
    return [
        table("What is on each side", header, rows), _legend(data.sides), bar,
        el("p", repeated, class_="soft") if repeated else "",
    ]  # fmt: skip


def _leaks(data: _Data) -> Sequence[object]:
    facts = data.facts
    if not facts.leaks:
        return [el("p", facts.headline)]
    # Only some collections have a class for clips in which nothing is signed.
    empty = any(leak.signs_rows is not None for leak in facts.leaks)
    rows: list[Sequence[object]] = []
    content: list[object] = []
    for leak in facts.leaks:
        mark = "error" if leak.shared else "ok"
        rate = percent(leak.rows / leak.of_rows) if leak.of_rows else "–"
        signs = f"{leak.signs_rows or 0:,} of {leak.signs_of_rows or 0:,}"
        rows.append(
            (f"{leak.side} against {leak.of}", leak.signers, len(leak.shared), leak.of_rows,
             leak.rows, el("td", rate, class_=f"n {mark}"), *([signs] if empty else []),
             leak.same_class)
        )  # fmt: skip
        if leak.shared:
            content.append(_shared(leak))
    header = ("Sides", "Signers", "Of them on both", "Rows", "Rows by signers of both", "Share",
              *(["Without empty clips"] if empty else []),
              "Same sign, same signer on both")  # fmt: skip
    intro = (
        "A model that has seen a signer in training knows the person, not only the sign. So "
        "results on a side whose signers also train are too good for signers it has never seen."
    )
    bars = [
        el("figure",
           el("figcaption", f"{leak.side}: {leak.rows:,} rows by signers of {leak.of}, "
              f"{leak.of_rows - leak.rows:,} by others"),
           _bar([(leak.rows, "leaked"), (leak.of_rows - leak.rows, "unseen")],
                total=leak.of_rows or 1, title=f"{leak.side} against {leak.of}"))
        for leak in facts.leaks[:6]
    ]  # fmt: skip
    return [el("p", intro), table("Signers on two sides", header, rows), *bars, *content]


def _shared(leak: Leak) -> Html:
    shown = leak.shared[:_MAX_SIGNERS]
    listing = table(
        f"Signers of {leak.side} who are also in {leak.of}",
        ("Signer", f"Rows in {leak.of}", f"Rows in {leak.side}"),
        [(el("code", name), a, b) for name, a, b in shown],
        more=len(leak.shared) - len(shown),
    )
    what = f"Who they are: {count(len(leak.shared), 'signer')} of {leak.of} and {leak.side}"
    return el("details", el("summary", what), listing)


def _findings(data: _Data) -> Sequence[object]:
    if not data.findings:
        return [el("p", "Nothing was found.")]
    overview: list[Sequence[object]] = []
    details: list[Html] = []
    for i, f in enumerate(data.findings):
        badge = el("span", f.severity, class_=f"badge {f.severity}")
        link = el("a", f.title[:1].upper() + f.title[1:], href=f"#finding-{i}")
        overview.append(
            (
                link,
                badge,
                el("code", f.code),
                count(f.count, _ONE.get(f.unit, f.unit.removesuffix("s")), plural=f.unit),
            )
        )
        listing = [(el("code", e.where), e.text) for e in f.examples]
        first, rest = listing[:_SHOWN], listing[_SHOWN:]
        more = f.count - len(listing)
        header = ("Where", "What it says")
        details.append(
            el(
                "article",
                el("h3", badge, " ", f.title[:1].upper() + f.title[1:], " ", el("code", f.code)),
                el("p", el("strong", f.message)),
                el("p", prose(f.why)) if _says_more(f) else "",
                el("p", el("strong", "What to do: "), prose(f.action)),
                table("Examples", header, first, more=0 if rest else more) if first else "",
                el("details", el("summary", f"{len(rest):,} more examples"),
                   table("More examples", header, rest, more=more)) if rest else "",
                id=f"finding-{i}", class_=f.severity,
            )
        )  # fmt: skip
    numbers = Counter(f.severity for f in data.findings)
    told = ", ".join(f"{numbers[s]} of severity “{s}”" for s in SEVERITIES if numbers[s])
    return [
        el("p", f"{told}. Places are file and line."),
        table("Overview", ("Finding", "Severity", "Code", "How many"), overview),
        *details,
        el("p", "All of them, to open in a spreadsheet: ",
           el("a", "findings.csv", href="findings.csv"), "; for programs: ",
           el("a", "audit.json", href="audit.json"), "."),
    ]  # fmt: skip


def _spread(spread: Spread, noun: str) -> Html:
    return el(
        "p",
        f"{count(spread.number, noun, plural=_plural(noun))}: at least {spread.fewest:,}, in the "
        f"middle {spread.middle:,}, at most {spread.most:,} rows each. Gini coefficient "
        f"{spread.gini:.2f} (0: all have as many; near 1: one has nearly everything).",
    )


def _plural(noun: str) -> str:
    return "classes" if noun == "class" else f"{noun}s"


def _signers(data: _Data) -> Sequence[object]:
    facts = data.facts
    if facts.by_signer is None:
        return [el("p", "No row names its signer.")]
    most = max(sum(counts) for _, counts in facts.top_signers)
    shared = {name for leak in facts.leaks for name, _, _ in leak.shared}
    names = data.sides or ["all rows"]
    lines = []
    for name, counts in facts.top_signers:
        told = ", ".join(f"{n:,} {side}" for n, side in zip(counts, names, strict=True) if n)
        short = name if len(name) <= _NAME else f"{name[:_NAME]}…"
        both = el("strong", " on two sides", class_="error") if name in shared else ""
        title = f"{name}: {told}"
        lines.append(
            el(
                "tr",
                el("th", el("code", short, title=name), scope="row"),
                el("td", _bar([(n, _colour(i)) for i, n in enumerate(counts)], total=most,
                              title=title), class_="wide"),
                el("td", told, both, class_="told"),
            )
        )  # fmt: skip
    halves = next(
        (i for i, held in enumerate(accumulate(facts.signer_sizes), start=1)
         if 2 * held >= sum(facts.signer_sizes)), 0
    )  # fmt: skip
    hidden = facts.signers - len(facts.top_signers)
    chart = el("table", el("caption", "Signers with most rows"), el("tbody", lines), class_="bars")
    return [
        _spread(facts.by_signer, "signer"),
        el("p", f"Half of all rows are by {count(halves, 'signer')}."),
        _legend(names),
        el("div", chart, class_="scroll", role="region", tabindex=0,
           aria_label="Signers with most rows"),
        el("p", f"… and {count(hidden, 'more signer')}.", class_="more") if hidden else "",
    ]  # fmt: skip


def _classes(data: _Data) -> Sequence[object]:
    facts = data.facts
    if facts.by_class is None:
        return [el("p", "No row has a label.")]
    content: list[object] = [_spread(facts.by_class, "class")]
    if facts.signers_of_class is not None:
        s = facts.signers_of_class
        content.append(
            el("p", f"A class has from {s.fewest:,} to {s.most:,} signers; in the middle "
               f"{s.middle:,}.")
        )  # fmt: skip
    sizes = facts.class_sizes
    # The last bin takes the few classes that are far larger than others.
    usual = sizes[len(sizes) // 100]
    width = max(1, -(-(usual + 1) // _MAX_BINS))
    bins = min(_MAX_BINS, usual // width + 2)
    counts = Counter(min(n // width, bins - 1) for n in sizes)
    first = min(counts)
    content.append(
        _histogram(
            [counts[i] for i in range(first, bins)],
            names=[
                f"{i * width:,}+" if i == bins - 1 and sizes[0] > bins * width
                else f"{i * width:,}" if width == 1 else f"{i * width:,}–{(i + 1) * width - 1:,}"
                for i in range(first, bins)
            ],
            title="Classes by their number of rows",
        )
    )  # fmt: skip
    return content


def _histogram(counts: Sequence[int], *, names: Sequence[str], title: str) -> Html:
    step, base, high = 720 / max(len(counts), 4), 196.0, 160.0
    told = "; ".join(f"{name} rows: {n:,}" for name, n in zip(names, counts, strict=True) if n)
    marks: list[Html] = [el("title", f"{title}. {told}")]
    every = 1 if len(counts) <= 8 else 4
    for i, n in enumerate(counts):
        left, tall = 20 + i * step, high * n / max(counts)
        marks.append(
            el("rect", x=f"{left + 2:.1f}", y=f"{base - tall:.1f}", width=f"{step - 4:.1f}",
               height=f"{tall:.1f}", class_="bar")
        )  # fmt: skip
        if n:
            marks.append(el("text", n, x=f"{left + step / 2:.1f}", y=f"{base - tall - 6:.1f}",
                            text_anchor="middle"))  # fmt: skip
        if i % every == 0 or i == len(counts) - 1:
            marks.append(el("text", names[i], x=f"{left + step / 2:.1f}", y="214",
                            text_anchor="middle"))  # fmt: skip
    marks.append(el("rect", x="20", y=f"{base:.1f}", width="720", height="1", class_="axis"))
    marks.append(el("text", "rows of a class", x="380", y="234", text_anchor="middle"))
    chart = el("svg", marks, viewBox="0 0 760 240", role="img", aria_label=f"{title}. {told}",
               class_="chart")  # fmt: skip
    return el("figure", el("figcaption", f"{title}: how many classes have so many"), chart)


def _fine(data: _Data) -> Sequence[object]:
    facts = data.facts
    content: list[object] = [
        el("ul", [el("li", text) for text in facts.fine], class_="fine")
        if facts.fine else el("p", "Nothing.")
    ]  # fmt: skip
    if facts.skipped:
        content += [
            el("h3", "Not checked, or only noted"),
            el("ul", [el("li", text) for text in facts.skipped], class_="noted"),
        ]
    return content


def _provenance(data: _Data) -> Sequence[object]:
    files = [
        (f.name, f.rows, size(f.bytes) if f.bytes else "–", el("code", f.sha256 or "–"), f.format)
        for f in data.files
    ]
    columns = [
        (f.name, ", ".join(f"{k} ← {v}" for k, v in f.columns.items()),
         listed(f.unused, most=20) or "–")
        for f in data.files
    ]  # fmt: skip
    return [
        table("Files", ("File", "Rows", "Size", "SHA-256", "Read as"), files),
        table("Columns", ("File", "Field ← column", "Not read"), columns),
        el("p", f"Made by kslds {version('kslds')} from these files alone; the videos were not "
           "looked at. Every number on this page was counted in them, except what a collection "
           "states of itself, to which K406 compares it."),
    ]  # fmt: skip


_SECTIONS: Mapping[str, tuple[str, Callable[[_Data], Sequence[object]]]] = {
    "sides": ("Sides", _sides),
    "leaks": ("Signer leakage", _leaks),
    "findings": ("Findings", _findings),
    "signers": ("Signers", _signers),
    "classes": ("Classes", _classes),
    "fine": ("Checked and found fine", _fine),
    "provenance": ("Provenance", _provenance),
}

_MORE_STYLE = Html("""
:root { --s0: #1d5fc4; --s1: #c2571a; --s2: #1a8a7a; --s3: #8250b5; --s4: #6b7280;
  --bad-back: #fdecea; --ok-back: #e9f6ee; --warn-back: #fdf3e1; }
@media (prefers-color-scheme: dark) { :root { --s0: #6ea8fe; --s1: #f0935a; --s2: #4cc3b0;
  --s3: #b794e8; --s4: #9aa3af; --bad-back: #3a1d1b; --ok-back: #16301f; --warn-back: #362a14; } }
.verdict { display: grid; grid-template-columns: auto 1fr; gap: 0.25rem 1.5rem; align-items: center;
  margin: 1.25rem 0; padding: 1.1rem 1.4rem; border-radius: 0.6rem; border-left: 0.5rem solid;
  max-width: none; }
.verdict .q { color: var(--ink); font-size: 0.95rem; grid-column: 1 / -1; margin: 0; }
.verdict .a { font-size: 2.6rem; font-weight: 700; line-height: 1.1; margin: 0; }
.verdict .why { color: var(--ink); font-size: 1.15rem; margin: 0; max-width: none; }
.verdict.no { background: var(--bad-back); color: var(--bad); }
.verdict.yes { background: var(--ok-back); color: var(--ok); }
.verdict.open { background: var(--warn-back); color: var(--warn); }
.bar100 { display: block; width: 100%; height: 1.1rem; border-radius: 0.2rem;
  background: var(--card); }
.side0 { fill: var(--s0); background: var(--s0); }
.side1 { fill: var(--s1); background: var(--s1); }
.side2 { fill: var(--s2); background: var(--s2); }
.side3 { fill: var(--s3); background: var(--s3); }
.side4 { fill: var(--s4); background: var(--s4); }
.leaked { fill: var(--bad); } .unseen { fill: var(--s4); opacity: 0.35; }
.legend { display: flex; gap: 1.25rem; margin: 0.75rem 0; padding: 0; list-style: none;
  color: var(--soft); font-size: 0.9rem; }
.swatch { display: inline-block; width: 0.9rem; height: 0.9rem; margin-right: 0.4rem;
  border-radius: 0.2rem; vertical-align: -0.1rem; }
.bars { width: 100%; } .bars th { white-space: nowrap; } .bars .wide { width: 55%; max-width: none;
  vertical-align: middle; } .bars .told { white-space: nowrap; }
article { margin: 1.5rem 0; padding: 0.1rem 1.1rem 0.6rem; border-left: 4px solid var(--line);
  background: var(--card); border-radius: 0 0.4rem 0.4rem 0; }
article.error { border-color: var(--bad); color: inherit; }
article.warning { border-color: var(--warn); color: inherit; }
article h3 { margin: 0.7rem 0 0.3rem; font-size: 1.05rem; }
article h3 code { color: var(--soft); font-weight: 400; }
.fine { columns: 2 24rem; padding: 0; list-style: none; }
.fine li { break-inside: avoid; margin: 0.2rem 0; padding-left: 1.5rem; text-indent: -1.5rem; }
.fine li::before { content: "✓"; display: inline-block; width: 1.5rem; text-indent: 0;
  color: var(--ok); font-weight: 700; }
figcaption { margin: 0 0 0.3rem; }
td code, th code { overflow-wrap: anywhere; }
@media print { section { break-inside: auto; } details { display: block; } }
""")


def _says_more(finding: Finding) -> bool:
    """Does the reason say what the message does not?"""
    return finding.why.rstrip(".").casefold() not in finding.message.casefold()


def page(files: Sequence[File], *, facts: Facts, findings: Sequence[Finding]) -> Html:
    """The whole page: one file, no script, nothing from the network."""
    data = _Data(files=files, facts=facts, findings=findings)
    name = listed([file.name for file in files], most=3)
    numbers = Counter(f.severity for f in findings)
    tiles = [
        (facts.rows, "rows"),
        (facts.classes, "classes"),
        (facts.signers, "signers"),
        (len(facts.sides), "sides"),
        (numbers["error"], "errors"),
        (numbers["warning"], "warnings"),
        (numbers["info"], "notes"),
    ]
    tiles = [(n, noun if n != 1 else _ONE.get(noun, noun.removesuffix("s"))) for n, noun in tiles]
    kind = facts.verdict if facts.verdict in ("yes", "no") else "open"
    verdict = el(
        "div",
        el("p", "Is the published split independent of signers?", class_="q"),
        el("p", _ANSWER[facts.verdict], class_="a"),
        el("p", facts.headline, class_="why"),
        class_=f"verdict {kind}",
    )
    links = [el("li", el("a", title, href=f"#{key}")) for key, (title, _) in _SECTIONS.items()]
    sections = [
        el("section", el("h2", title, id=f"{key}-title"), write(data), "\n", id=key,
           aria_labelledby=f"{key}-title")
        for key, (title, write) in _SECTIONS.items()
    ]  # fmt: skip
    intro = el(
        "header",
        el("h1", "Audit of ", name),
        el("p", "What the annotation files of a collection say, and what is wrong with them. The "
           "videos were not needed.", class_="soft"),
        verdict,
        el("ul", [el("li", el("strong", n), " ", noun) for n, noun in tiles], class_="tiles"),
        el("nav", el("ul", links), aria_label="Sections"),
    )  # fmt: skip
    footer = el("footer", el("p", "Made again from the same files, this page is the same."))
    body = el("body", intro, "\n", el("main", sections), footer)
    return Html(
        f"<!DOCTYPE html>\n{el('html', head(f'{name}: audit', _MORE_STYLE), body, lang='en')}\n"
    )
