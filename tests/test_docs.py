"""What the documentation says is so: commands run, examples work, lists are complete."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
import tomllib
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pyarrow.parquet as pq
import pytest
import typer
import yaml

from kslds import cli, lexicon, pack, schema, video
from kslds import recipe as recipes
from kslds.codes import CODES
from kslds.corpora import elan, table
from kslds.hub import MANIFEST
from kslds.manifest import Dataset
from kslds.merge.names import Corpus, read_map
from kslds.schema import Clip, Segment
from kslds.shards import sample_fields
from tests.conftest import write_small

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = [README, *sorted(DOCS.glob("*.md"))]


def text_of(page: Path | str) -> str:
    path = DOCS / page if isinstance(page, str) else page
    return path.read_text(encoding="utf-8")


def blocks(page: Path | str) -> list[tuple[str, str]]:
    """Language and content of every fenced block."""
    return re.findall(r"^```(\w*)\n(.*?)^```", text_of(page), re.DOTALL | re.MULTILINE)


def of_kind(page: Path | str, kind: str) -> list[str]:
    return [content for language, content in blocks(page) if language == kind]


def section(page: Path | str, heading: str) -> str:
    """A section up to the next heading of the same or a higher level."""
    text = text_of(page)
    assert f"\n{heading}\n" in text, heading
    level = heading.split()[0]
    rest = text.partition(f"\n{heading}\n")[2]
    return re.split(rf"^#{{1,{len(level)}}} ", rest, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The rows of the Markdown tables in a text, without headings and lines."""
    # A `|` between backticks is text, as in the list of delimiters.
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[0] not in ("key", "field", "column", "unit", "name")]


def names_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


# --------------------------------------------------------------------------- generated pages


@pytest.fixture(scope="module")
def generate() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    _read_help_here(module)
    return module


def _read_help_here(module: types.ModuleType) -> None:
    """Let it get the same texts from this process: starting twenty others takes long."""
    app = typer.main.get_command(cli.app)

    def help_of(*words: str) -> str:
        printed = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
            patch.setenv("COLUMNS", "100")
            app.main([*words, "--help"], prog_name="python -m kslds.cli", standalone_mode=False)
        return "\n".join(line.rstrip() for line in printed.getvalue().splitlines()).strip()

    assert module.help_of("info") == help_of("info")
    module.help_of = help_of  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["cli.md", "codes.md", "corpora.md", "format.md"])
def test_generated_pages_are_up_to_date(generate: types.ModuleType, name: str) -> None:
    assert set(generate.PAGES) == {"cli.md", "codes.md", "corpora.md", "format.md"}
    assert generate.PAGES[name]() == text_of(name), "run: python docs/generate.py"


def commands(group: Any, *words: str) -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *words, name)
        else:
            yield " ".join((*words, name))


def test_every_command_and_option_is_documented() -> None:
    text = text_of("cli.md")
    app = typer.main.get_command(cli.app)
    found = list(commands(app))
    assert len(found) > 10
    assert re.findall(r"^## kslds (.*)", text, re.MULTILINE) == found


def test_commands_and_options_in_the_pages_exist() -> None:
    known = {
        name: section("cli.md", f"## kslds {name}")
        for name in commands(typer.main.get_command(cli.app))
    }
    seen = 0
    for page in PAGES:
        for line in re.findall(r"`(kslds [^`]+)`|^\$? ?(kslds .*)$", text_of(page), re.MULTILINE):
            words = (line[0] or line[1]).split()[1:]
            if words[0].startswith("-") or not words[0].islower() or page.name == "cli.md":
                continue
            command = words[0] if words[0] in known else " ".join(words[:2])
            assert command in known, f"{page.name}: kslds {' '.join(words)}"
            for option in (word for word in words if word.startswith("--")):
                assert f"  {option} " in known[command], f"{page.name}: {command} {option}"
            seen += 1
    assert seen > 15


def test_every_code_is_documented_and_no_other_is_named() -> None:
    assert set(re.findall(r"^\| `(K\d{3})`", text_of("codes.md"), re.MULTILINE)) == set(CODES)
    for page in PAGES:
        assert set(re.findall(r"\bK\d{3}\b", text_of(page))) <= set(CODES), page.name
    raised = {
        code
        for path in (ROOT / "kslds").rglob("*.py")
        for code in re.findall(r"\bK\d{3}\b", path.read_text(encoding="utf-8"))
    }
    assert raised == set(CODES)


# --------------------------------------------------------------------------- every page


def anchors(page: Path) -> set[str]:
    """What links can point to, as GitHub names headings."""
    headings = re.findall(r"^#+ (.*)", re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL),
                          re.MULTILINE)  # fmt: skip
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in kept}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL))
    for link in links:
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_file(), f"{page.name}: {link}"
        assert target.is_relative_to(ROOT), f"{page.name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{page.name}: {link}"


def test_every_page_can_be_found_from_the_readme() -> None:
    for page in PAGES[1:]:
        assert f"](docs/{page.name}" in text_of(README), page.name


def test_the_picture_is_there_and_not_large() -> None:
    picture = (DOCS / "contact-sheet.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 500_000
    assert "](docs/contact-sheet.png)" in text_of(README)


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert f"\n## {project['version']}\n" in text_of("changelog.md")


def test_the_house_that_is_drawn_is_the_one_that_is_kept() -> None:
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    (house,) = (c for c in tool["importlinter"]["contracts"] if c["type"] == "layers")
    kept = [layer.replace("kslds.", "").split(" | ") for layer in house["layers"]]
    (drawn,) = of_kind("contributing.md", "")
    layers: list[list[str]] = []
    for line in drawn.splitlines():
        names = re.split(r" {3,}", line)[0].split()
        if line.startswith(" "):
            layers[-1] += names
        else:
            layers.append(names)
    assert layers == kept


# --------------------------------------------------------------------------- README


def test_the_readme_sets_up_with_two_commands() -> None:
    first, second = of_kind(README, "bash")[:2]
    for command in (first, second):
        assert len(command.splitlines()) == 1
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install")
        assert "-c tests/constraints.txt" in command
    assert first.rstrip().endswith("kslds build recipes/demo.toml")
    assert second.rstrip().endswith("pytest")
    # What runs before a change lands is the second of them.
    assert 'findall(r"```bash' in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert recipes.read(ROOT / "recipes" / "demo.toml").demo is not None


def run(command: list[str], *, cwd: Path) -> str:
    """Run a command as a reader would, with the tested `kslds` first; returns what it printed."""
    here = Path(sys.executable).parent
    assert (here / "kslds").exists(), "install the package: pip install -e ."
    path = f"{here}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=cwd, text=True, check=False, env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout}"
    return done.stdout


def test_the_readme_builds_the_same_on_the_command_line_and_in_python(tmp_path: Path) -> None:
    bash = of_kind(README, "bash")[2]
    build, load = of_kind(README, "python")
    shape = re.search(r"# uint8 (\(.*\))", load)
    assert shape is not None
    check = f'    assert sample["video"].shape == {shape[1]}\n    assert sample["gloss_id"]\nsample'
    shards = {}
    for name, command in (
        ("shell", ["bash", "-c", bash]),
        ("python", [sys.executable, "-c", build + load + check]),
    ):
        root = tmp_path / name
        write_small(root)
        lines = (root / "annotations.csv").read_text(encoding="utf-8").splitlines(keepends=True)
        (root / "annotations.csv").write_text("".join([lines[0], *lines[1::3]]), encoding="utf-8")
        (root / "my-signs.toml").write_text(of_kind(README, "toml")[0], encoding="utf-8")
        run(command, cwd=root)
        shards[name] = root / "datasets" / "my-signs" / "shards" / "h264"
    for path in sorted(shards["shell"].iterdir()):
        assert path.read_bytes() == (shards["python"] / path.name).read_bytes(), path.name
    assert len(list(shards["shell"].iterdir())) == 5


# --------------------------------------------------------------------------- tutorial


def likeness(line: str) -> str:
    """A printed line without what differs from run to run: numbers, spacing, rulers."""
    line = re.sub(r"\d+(\.\d+)?", "0", line)
    return re.sub(r"[\s│┃]+", " ", line).strip()


def test_the_tutorial_runs_and_prints_what_it_shows(tmp_path: Path) -> None:
    printed = ""
    ran = shown = 0
    for language, content in blocks("tutorial.md"):
        if language == "bash":
            printed = run(["bash", "-euo", "pipefail", "-c", content], cwd=tmp_path)
            ran += 1
        elif language == "python":
            if "torch" in content and importlib.util.find_spec("torch") is None:
                continue
            printed = run([sys.executable, "-c", content], cwd=tmp_path)
            ran += 1
        elif language == "text":
            found = {likeness(line) for line in printed.splitlines()}
            for line in content.splitlines():
                if line != "…":
                    assert likeness(line) in found, f"{line}\nis not in\n{printed}"
                    shown += 1
    assert ran >= 13
    assert shown >= 30
    assert (tmp_path / "datasets" / "lab" / "reports" / "index.html").is_file()


# --------------------------------------------------------------------------- recipes.md

SECTIONS: dict[str, Any] = {
    "## Top level": recipes.Recipe(),
    "## [ingest]": None,
    "## [consensus]": recipes.Recipe().consensus,
    "## [merge]": None,
    "## [lexicon]": recipes.LexiconOptions(),
    "## [validate]": recipes.ValidateOptions(),
    "## [clips]": recipes.Recipe().clips,
    "## [split]": recipes.Recipe().split,
    "## [shards]": recipes.Recipe().shards,
    "## [expected]": recipes.ExpectedOptions(),
    "## [baseline]": recipes.BaselineOptions(),
    "## [demo]": None,
}


def default_options(heading: str) -> Any:
    if SECTIONS[heading] is not None:
        return SECTIONS[heading]
    kind = get_type_hints(recipes.Recipe)[heading[4:-1]]
    record = next(k for k in get_args(kind) if k is not type(None))
    needed = {"## [ingest]": {"media": ("a",)}, "## [merge]": {"datasets": ("a", "b")}}
    return record(**needed.get(heading, {}))


def plain(value: Any) -> Any:
    """A value as TOML has it."""
    if isinstance(value, tuple):
        return [plain(v) for v in value]
    return dict(value) if isinstance(value, dict) else value


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_key_of_a_recipe_is_documented_with_its_default(heading: str) -> None:
    options = default_options(heading)
    # The keys are in the first table of a section, before what its subsections list.
    own = section("recipes.md", heading).partition("\n### ")[0]
    documented = {name: row[1] for row in rows(own) for name in names_in(row[0])}
    fields = {
        f.name: getattr(options, f.name)
        for f in dataclasses.fields(options)
        if not (heading == "## Top level" and f"## [{f.name}]" in SECTIONS)
    }
    assert set(documented) == set(fields)
    for name, stated in documented.items():
        if stated == "required":
            assert (heading, name) in {("## [ingest]", "media"), ("## [merge]", "datasets")}
        elif stated == "none":
            assert fields[name] is None, name
        else:
            value = tomllib.loads(f"x = {names_in(stated)[0]}")["x"]
            assert value == plain(fields[name]), name


def test_every_section_of_a_recipe_has_its_place() -> None:
    nested = {f.name for f in dataclasses.fields(recipes.Recipe) if f"## [{f.name}]" in SECTIONS}
    assert set(re.findall(r"^## \[(\w+)\]", text_of("recipes.md"), re.MULTILINE)) == nested


def test_allowed_values_are_all_named() -> None:
    from kslds import baselines, shards, split, validate
    from kslds.corpora import ADAPTERS, UNITS

    for heading, values in {
        "## [ingest]": [*ADAPTERS, *UNITS],
        "## [lexicon]": validate.UNKNOWN,
        "## [clips]": video.FITS,
        "## [split]": split.RULES,
        "## [shards]": [*shards.FORMATS, *video.ENCODINGS],
        "## [baseline]": baselines.TASKS,
    }.items():
        for value in values:
            assert f'"{value}"' in section("recipes.md", heading), (heading, value)
    assert {n for r in rows(section("recipes.md", "### Tables")) for n in names_in(r[0])} == {
        *table.FIELDS, *UNITS,
    }  # fmt: skip
    for field in elan.FIELDS:
        assert f"`{field}`" in section("recipes.md", "### ELAN"), field
    columns = section("recipes.md", "### Signers and consent")
    for name in (f.name for f in dataclasses.fields(schema.Signer)):
        assert name in columns, name


def test_the_recipes_that_are_shown_can_be_read(tmp_path: Path) -> None:
    shown = [t for page in PAGES for t in of_kind(page, "toml")]
    assert len(shown) >= 4
    for text in shown:
        recipes.from_document(tomllib.loads(text), base=tmp_path)
    whole, elan_files, _ = of_kind("recipes.md", "toml")
    assert recipes.from_document(tomllib.loads(whole), base=tmp_path).ingest is not None
    assert recipes.from_document(tomllib.loads(elan_files), base=tmp_path).ingest is not None


def test_the_tables_that_are_shown_can_be_read(tmp_path: Path) -> None:
    signers, same, words = of_kind("recipes.md", "csv")
    (tmp_path / "signs.csv").write_text(same, encoding="utf-8")
    ours = Dataset(tmp_path / "ours", create=True), Dataset(tmp_path / "theirs", create=True)
    assert read_map(
        str(tmp_path / "signs.csv"),
        corpora=[
            Corpus(name=made.root.name, dataset=made, licence=None, rendering={}) for made in ours
        ],
    ) == {("ours", "gloss_id", "su"): "water", ("theirs", "gloss_id", "voda"): "water"}
    path = tmp_path / "words.csv"
    path.write_text(words, encoding="utf-8")
    found = lexicon.load(path)
    assert [sign.gloss_id for sign in found.signs] == ["ake", "ake-2"]
    assert found.problems == ()
    known = {f.name for f in dataclasses.fields(schema.Signer)}
    assert set(next(csv.reader(io.StringIO(signers)))) <= known
    root = tmp_path / "in"
    write_small(root)
    (root / "signers.csv").write_text(signers, encoding="utf-8")
    made = Dataset(tmp_path / "out", create=True)
    recipes.run_ingest(made, recipes.read(root / "recipe.toml"))
    agreed = dict(zip(made.signers["signer_id"], made.signers["consent_scope"], strict=True))
    assert agreed["subject_01"] == "publication"
    assert agreed["subject_02"] == "research"


def test_the_adapter_that_is_shown_reads_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_small(tmp_path)
    text = section("recipes.md", "## Your own format")
    line = next(example for example in names_in(text) if example.startswith("{"))
    (tmp_path / "signs.jsonl").write_text(f"{line}\n", encoding="utf-8")
    (tmp_path / "my_corpus.py").write_text(of_kind("recipes.md", "python")[0], encoding="utf-8")
    (tmp_path / "recipe.toml").write_text(of_kind("recipes.md", "toml")[-1], encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    made = Dataset(tmp_path / "out", create=True)
    recipes.run_ingest(made, recipes.read(tmp_path / "recipe.toml"))
    (segment,) = made.read("segments", Segment)
    row = json.loads(line)
    assert (segment.start_ms, segment.end_ms) == (1000 * row["from"], 1000 * row["to"])
    assert (segment.label, segment.signer_id) == (row["sign"], row["who"])


# --------------------------------------------------------------------------- format.md


def test_the_fields_of_a_sample_are_those_of_the_program(small: Dataset) -> None:
    documented = [names_in(row[0])[0] for row in rows(section("format.md", "## Samples"))]
    clip = small.read("clips", Clip)[0]
    assert documented == list(sample_fields(clip, classes={str(clip.gloss_id): 0}))
    for encoding, added in (("h264", set()), ("jpeg", {"frame_sizes", "frame_crc32"})):
        tar = next((small.root / "shards" / encoding).glob("*.tar"))
        with pack.PackReader(tar) as reader:
            sample = json.loads(reader.read(reader.keys[0], field="json"))
        assert set(sample) == {*documented, *added}
    columns = pq.read_schema(next((small.root / "parquet").glob("*.parquet"))).names
    assert set(columns) == {"video", *documented}


def test_the_index_and_the_provenance_are_those_of_the_program(small: Dataset) -> None:
    page = section("format.md", "## index.json")
    index = json.loads((small.root / "shards" / "h264" / "index.json").read_bytes())
    assert {names_in(row[0])[0] for row in rows(page)} == set(index)
    side = next(iter(index["splits"].values()))
    for name in (*side, *side["shards"][0]):
        assert f"`{name}`" in page, name
    books = section("format.md", "## Provenance and books")
    for name in (*small.provenance, *small.provenance["stages"]):
        if not name.startswith("format"):
            assert f"`{name}`" in books, name


def test_the_index_of_a_pack_is_that_of_the_program(small: Dataset) -> None:
    path = next((small.root / "clips" / "h264").glob("*.tar"))
    found = pq.read_schema(pack.index_path(path))
    page = section("format.md", "## Packs")
    documented = {names_in(row[0])[0]: row[1] for row in rows(page)}
    assert documented == {field.name: str(field.type) for field in found}
    assert {name.decode() for name in found.metadata} >= {"tar_sha256", "tar_size"}
    with pack.PackReader(path) as reader:
        for name in json.loads(reader.read(reader.keys[0], field="json")):
            assert f"`{name}`" in page, name


def test_the_layout_names_every_file_of_a_dataset(small: Dataset) -> None:
    layout = section("format.md", "## Layout")
    for path in small.root.iterdir():
        assert path.name in layout, path.name
    for path in (small.root / "tables").iterdir():
        assert path.name in layout, path.name
    for name in (*video.ENCODINGS, MANIFEST):
        assert f"`{name}`" in text_of("format.md"), name
    for name, encoding in video.ENCODINGS.items():
        found = [r for r in rows(section("format.md", "## Encodings")) if r[0] == f"`{name}`"]
        assert f"<clip_id>.{encoding.field}" in found[0][1]
