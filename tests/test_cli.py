"""What a person types, reads and gets back: messages, exit codes, JSON."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kslds.manifest import Dataset
from tests.conftest import write_small


def kslds(
    *words: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kslds.cli", *map(str, words)],
        capture_output=True, text=True, check=False, cwd=cwd, env={**os.environ, **(env or {})},
    )  # fmt: skip


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nimport kslds.cli\n"
        "heavy = {'numpy', 'pandas', 'pyarrow', 'av', 'torch', 'sklearn', 'matplotlib', 'rich.progress',"
        " 'huggingface_hub', 'fsspec', 'ffmpeg', 'decord', 'PIL'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_each_stage_as_a_command_gives_what_build_gives(tmp_path: Path, small: Dataset) -> None:
    root = tmp_path / "in"
    write_small(root)
    out = tmp_path / "small"  # the name of the dataset, which its samples bear
    steps = [
        ("ingest", root / "media", "--annotations", root / "annotations.csv", "--signers",
         root / "signers.csv", "--licence", "CC0-1.0", "--out", out),
        ("validate", out, "--lexicon", "nspcrsie"),
        ("trim", out),
        ("resize", out, "--size", "64", "--fit", "stretch", "--encoding", "h264,jpeg"),
        ("validate", out),
        ("split", out, "--by", "signer", "--fraction", "train=0.67", "--fraction", "test=0.33"),
        ("shard", out, "--format", "webdataset,parquet", "--encoding", "h264,jpeg"),
    ]  # fmt: skip
    for step in steps:
        done = kslds(*step)
        assert done.returncode == 0, (step, done.stderr)
    for folder in ("shards/h264", "shards/jpeg", "parquet"):
        for file in (small.root / folder).iterdir():
            if file.name != "index.json":  # it holds the name of the dataset
                assert (out / folder / file.name).read_bytes() == file.read_bytes(), file.name


def test_a_demo_is_built_where_the_user_stands(tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(
        'name = "tiny"\nlicence = "CC0-1.0"\n[demo]\nsigners = 2\nsigns = 1\nemotions = 1\n'
        '[lexicon]\nfile = "nspcrsie"\n[split]\nfractions = { train = 0.5, test = 0.5 }\n'
    )
    for _ in range(2):  # the second time it goes by the kslds.toml of the first
        done = kslds("build", "tiny.toml", "--format", "json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["clips"]["number"] == 2
    assert (tmp_path / "datasets" / "tiny" / "reports" / "index.html").is_file()
    done = kslds("resize", "datasets/tiny", "--size", "112", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_info_prints_json_for_scripts(small: Dataset) -> None:
    done = kslds("info", small.root, "--format", "json", "--verify")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["stages"]["shard"] == {"in": 24, "out": 24, "dropped": 0}
    assert "verified" in done.stderr


def test_the_closing_table_says_that_the_books_balance(small: Dataset) -> None:
    done = kslds("info", small.root)
    assert done.stdout.count(" ok ") == len(small.provenance["stages"])
    assert "WRONG" not in done.stdout


def test_damage_is_found_by_verify(small: Dataset, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(small.root, root)
    tar = next((root / "clips" / "h264").glob("*.tar"))
    data = bytearray(tar.read_bytes())
    data[1000] ^= 1
    tar.write_bytes(data)
    done = kslds("info", root, "--verify")
    assert done.returncode == 1
    assert tar.name in done.stderr


BAD_RECIPES = {
    'nmae = "x"': (2, ["unknown key 'nmae'", "Did you mean 'name'?"]),
    '[clips]\nsiez = 224': (2, ["[clips]", "unknown key 'siez'", "'size'"]),
    '[clips]\nsize = "big"': (2, ["size = 'big'", "a whole number"]),
    "[clips]\nsize = 225": (2, ["size = 225", "even number"]),
    '[clips]\nfit = "zoom"': (2, ["fit = 'zoom'", "'center-crop'"]),
    '[split]\nfractions = { train = 0.9, test = 0.2 }': (2, ["add up to 1"]),
    'name = "x': (2, ["r.toml is not TOML"]),
    'name = "x"': (2, ["no [ingest] table"]),
    '[ingest]\nunit = "ms"': (2, ["the key 'media' is missing"]),
    '[ingest]\nmedia = "nosuch"': (1, ["there is no file or folder", "nosuch"]),
    '[ingest]\nmedia = "media"\nannotations = "nosuch.csv"': (1, ["nosuch.csv"]),
    '[ingest]\nmedia = "media"\nannotations = "a.csv"\ncolumns = { gloss = "Label" }': (1, ["a.csv", "Label"]),
    '[ingest]\nmedia = "media"\nannotations = "a.csv"\n[lexicon]\nfile = "nosuch"': (1, ["nosuch", "nspcrsie"]),
    '[ingest]\nmedia = "media"\nadapter = "elan"\nannotations = "a.eaf"\ntiers = ["Gloss"]':
        (1, ["a.eaf", "Gloss", "gloss"]),
}  # fmt: skip


@pytest.mark.parametrize("text", BAD_RECIPES)
def test_bad_recipes_get_one_clear_message(text: str, tmp_path: Path) -> None:
    from tests.painting import record

    (tmp_path / "media").mkdir()
    record(tmp_path / "media" / "a.mp4", num_frames=5)
    (tmp_path / "a.csv").write_text("recording,gloss,start,end\na.mp4,su,0,100\n")
    (tmp_path / "a.eaf").write_text(EAF)
    recipe = tmp_path / "r.toml"
    recipe.write_text(text)
    done = kslds("build", recipe, "--out", tmp_path / "out")
    code, words = BAD_RECIPES[text]
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error:") == 1
    for word in words:
        assert word in done.stderr
    assert not (tmp_path / "out" / "shards").exists()


EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2024-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0">
<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds"><MEDIA_DESCRIPTOR MEDIA_URL="file:///a.mp4"
 MIME_TYPE="video/mp4" RELATIVE_MEDIA_URL="./a.mp4"/></HEADER>
<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="0"/><TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="100"/>
</TIME_ORDER>
<TIER LINGUISTIC_TYPE_REF="t" TIER_ID="gloss"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1"
 TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2"><ANNOTATION_VALUE>su</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION>
</ANNOTATION></TIER>
<LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="t" TIME_ALIGNABLE="true"/>
</ANNOTATION_DOCUMENT>
"""


def test_unknown_labels_stop_the_build_unless_the_recipe_says_otherwise(tmp_path: Path) -> None:
    root = tmp_path / "in"
    recipe = write_small(root)
    table = root / "annotations.csv"
    table.write_text(table.read_text().replace("әпке", "әпкее"))
    out = tmp_path / "out"
    done = kslds("build", recipe, "--out", out)
    assert done.returncode == 1
    assert "K301" in done.stderr
    assert "әпке" in done.stderr.replace("әпкее", "")
    assert not (out / "clips").exists()  # nothing was rendered for a build that stops
    recipe.write_text(
        recipe.read_text().replace('file = "nspcrsie"', 'file = "nspcrsie"\nunknown = "drop"')
    )
    done = kslds("build", recipe, "--out", out, "--format", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["stages"]["trim"]["dropped"] == 12


def test_dropped_rows_are_shown_and_no_error(tmp_path: Path) -> None:
    root = tmp_path / "in"
    recipe = write_small(root)
    (root / "media" / "broken.mp4").write_bytes(bytes(range(256)) * 40)
    table = root / "annotations.csv"
    table.write_text(table.read_text(encoding="utf-8") + "s0.mp4,әке,9,5,frame,subject_00,\n")
    recipe.write_text(recipe.read_text(encoding="utf-8").replace(', "jpeg"', ""))
    done = kslds("build", recipe, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    dropped = done.stdout.partition("\ndropped")[2]
    assert "K101" in dropped
    assert "broken.mp4" in dropped
    assert "K112" in dropped
    assert "annotations.csv:26" in dropped
    assert "validate" in done.stderr


def test_a_build_without_a_clip_says_why_and_where_all_rows_are_listed(tmp_path: Path) -> None:
    root = tmp_path / "in"
    recipe = write_small(root)
    table = root / "annotations.csv"
    table.write_text(
        table.read_text(encoding="utf-8").replace(",frame,", ",such,"), encoding="utf-8"
    )
    out = tmp_path / "out"
    done = kslds("build", recipe, "--out", out)
    assert done.returncode == 1
    assert "every segment was dropped (K111 24 times, as annotations.csv:" in done.stderr
    assert "'such' is not one of ms, s, frame, timecode" in done.stderr
    shown = kslds("info", "out", cwd=tmp_path).stdout
    places = re.findall(r"annotations\.csv:([0-9]+)", shown)
    assert places == [str(line) for line in range(2, 17)]
    assert not (out / "reports" / "dropped.csv").exists()
    assert "9 more, 24 in all; for all of them: kslds report out" in shown
    assert kslds("report", out).returncode == 0
    assert "see reports/dropped.csv" in kslds("info", out).stdout


def test_a_name_cannot_lead_out_of_the_folder_of_datasets(tmp_path: Path) -> None:
    root = tmp_path / "in"
    recipe = write_small(root)
    recipe.write_text(recipe.read_text(encoding="utf-8").replace('"small"', '"../evil"'))
    done = kslds("build", recipe, cwd=root)
    assert done.returncode == 2
    assert "name = '../evil': expected" in done.stderr
    assert not (root / "evil").exists()
    assert not (root / "datasets").exists()


def test_wrong_usage_exits_2_and_wrong_paths_do_not_trace(tmp_path: Path) -> None:
    assert kslds("nosuch").returncode == 2
    assert kslds("build").returncode == 2
    done = kslds("info", tmp_path / "nosuch")
    assert done.returncode == 1
    assert "is not a kslds dataset" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Traceback" in kslds("--debug", "info", tmp_path / "nosuch").stderr
    (tmp_path / "taken").write_text("")
    done = kslds("build", "demo", "--out", tmp_path / "taken")
    assert done.returncode == 2
    assert "is a file, not a folder" in done.stderr
    done = kslds("build", "nosuch.toml")
    assert "Bundled recipes: " in done.stderr
    assert " demo" in done.stderr


def test_a_broken_parquet_table_is_named(small: Dataset, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(small.root, root)
    (root / "tables" / "clips.parquet").write_bytes(b"PAR1 not really")
    done = kslds("split", root)
    assert done.returncode == 1
    assert "clips.parquet is not readable Parquet" in done.stderr
    assert "Traceback" not in done.stderr


def test_validation_errors_exit_1(small: Dataset, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(small.root, root)
    lexicon = tmp_path / "other.csv"
    lexicon.write_text(
        "gloss_id,kk,kk_latn,ru,en,category,num_hands,mirror_safe,aliases,source\nsu,су,,,water,food,,,,x\n"
    )
    done = kslds("validate", root, "--lexicon", lexicon)
    assert done.returncode == 1
    assert "K301" in done.stdout


def test_a_label_is_looked_up(tmp_path: Path) -> None:
    done = kslds("lexicon", "search", "ӘКЕ", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["gloss_id"] == "ake"
    assert kslds("lexicon", "search", "қшдлгк").returncode == 1


def test_the_version_is_that_of_the_package() -> None:
    from importlib.metadata import version

    done = subprocess.run(
        [sys.executable, "-m", "kslds.cli", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == version("kslds")
