"""What a recipe may say, and what it is told when it says something else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kslds import recipe as recipes
from kslds.errors import RecipeError, UsageError
from kslds.manifest import Dataset
from kslds.validate import Rules
from tests.conftest import write_small


def read(folder: Path, text: str, *, encoding: str = "utf-8") -> recipes.Recipe:
    path = folder / "r.toml"
    path.write_text(text, encoding=encoding)
    return recipes.read(path)


def failure(folder: Path, text: str) -> str:
    with pytest.raises(RecipeError) as error:
        read(folder, text)
    return str(error.value)


@pytest.mark.parametrize(
    "name", ["../evil", "/evil", "", ".", "..", ".hidden", "a/b", "a\\\\b", "a\\u0000b", "a b\\n", "x" * 101]
)  # fmt: skip
def test_a_name_that_is_no_folder_of_its_own_is_refused(tmp_path: Path, name: str) -> None:
    message = failure(tmp_path, f'name = "{name}"')
    assert "r.toml: name = " in message
    assert "expected" in message


@pytest.mark.parametrize("name", ["demo", "KSL-Emo_v1.2", "9"])
def test_a_name_is_kept(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, f'name = "{name}"').name == name
    assert recipes.Recipe(name=name).name == name


def test_a_byte_order_mark_does_not_matter(tmp_path: Path) -> None:
    assert read(tmp_path, 'name = "x"', encoding="utf-8-sig").name == "x"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        ("[split]\nseed = " + "9" * 5000, "is not TOML"),
        ("[split]\nseed = " + "9" * 400, "r.toml [split]: seed: the number is too large"),
        ("[split]\nfractions = { train = " + "9" * 400 + " }", "the number is too large"),
        ("[clips]\nfps = nan", "fps = nan: expected a number"),
        ("[clips]\nfps = inf", "fps = inf: expected a number"),
        ('format_version = 99', "format_version = 99 is newer than this kslds reads (1). Upgrade"),
        ('format_version = "x"', "format_version = 'x': expected a whole number"),
        ("format_version = true", "format_version = True: expected a whole number"),
        ("format_version = 0", "format_version = 0: expected a whole number"),
        ('[baseline]\nmodels = ["nope"]', "[baseline]: models: 'nope' is not one of linear-probe"),
        ('[baseline]\nmodels = [":f"]', "models: ':f' is not one of"),
        ('[baseline]\ntasks = ["age"]', "[baseline]: tasks: 'age' is not one of gloss, emotion"),
        ("[validate]\nmin_ms = 200\nmax_ms = 100", "[validate]: max_ms = 100 is less than min_ms = 200"),
        ("[validate]\nmin_ms = -1", "[validate]: min_ms = -1: expected 0 or more"),
        ("[validate]\nmax_ms = -1", "[validate]: max_ms = -1"),
        ("[validate]\nmin_signers = -2", "[validate]: min_signers = -2: expected 0 or more"),
        ('[lexicon]\nunknown = "warn"', "[lexicon]: unknown = 'warn': expected one of 'error'"),
        ('[lexicon]\nfile = ""', "[lexicon]: file is empty"),
        ('[ingest]\nmedia = ""', "[ingest]: media is empty"),
        ("[ingest]\nmedia = []", "[ingest]: media is empty"),
        ('[ingest]\nmedia = "m"\nannotations = ["a", ""]', "[ingest]: annotations is empty"),
        ('[ingest]\nmedia = "m\\u0000"', "expected text without NUL characters"),
        ('[ingest]\nmedia = "m"\nunit = "h"', "r.toml [ingest]: unit = 'h' is not one of"),
        ("[clips]\nsize = 225", "r.toml [clips]: size = 225"),
    ],
)  # fmt: skip
def test_bad_values_are_found_when_the_recipe_is_read(
    tmp_path: Path, text: str, message: str
) -> None:
    found = failure(tmp_path, text)
    assert message in found
    assert found.count("r.toml") == 1
    section = text.partition("]")[0] + "]"
    assert found.count(section) <= 1


def test_a_key_of_very_many_parts_is_refused(tmp_path: Path) -> None:
    found = failure(tmp_path, "name" + ".a" * 5000 + " = 1")
    # Which of the two depends on how deep this Python can look.
    assert "nested too deeply" in found or "expected text in quotes" in found
    assert len(found) < 1000


def test_a_model_of_ones_own_is_not_looked_for(tmp_path: Path) -> None:
    assert read(tmp_path, '[baseline]\nmodels = "mine:fit"').baseline.models == ("mine:fit",)


def test_rules_by_hand_are_checked_too() -> None:
    with pytest.raises(UsageError, match="max_ms = 10 is less than min_ms = 150"):
        Rules(max_ms=10)


def test_a_file_that_is_no_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_bytes('name = "кз"'.encode("cp1251"))
    with pytest.raises(RecipeError, match=r"r\.toml is not TOML"):
        recipes.read(tmp_path / "r.toml")


def test_the_folder_of_the_recipe_can_be_that_of_everything(tmp_path: Path) -> None:
    """Annotations, recordings and dataset in one place, built twice: outputs are no inputs."""
    root = tmp_path / "in"
    recipe = write_small(root)
    text = recipe.read_text(encoding="utf-8")
    recipe.write_text(
        text.replace('"annotations.csv"', '"."').replace('media = "media"', 'media = "."')
        .replace('"signers.csv"', '"../signers.csv"').replace(', "jpeg"', ""),
        encoding="utf-8",
    )  # fmt: skip
    (root / "signers.csv").rename(tmp_path / "signers.csv")
    steps: list[tuple[str, int, int]] = []
    first = recipes.build(recipes.read(recipe), out=root / "out")
    before = json.dumps(first.provenance, sort_keys=True)
    again = recipes.build(
        recipes.read(recipe), out=root / "out", progress=lambda *step: steps.append(step)
    )
    assert len(again.recordings) == 6
    assert json.dumps(again.provenance, sort_keys=True) == before
    checked = [step for step in steps if step[0] == "validate"]
    assert {total for _, _, total in checked} == {7}
    assert [done for _, done, _ in checked] == [*range(8), *range(8)]


def test_a_dataset_of_a_newer_kslds_is_not_taken_for_an_old_one(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "d", create=True)
    (dataset.root / "kslds.toml").write_text('format_version = 2\nname = "x"\n')
    with pytest.raises(RecipeError, match="newer than this kslds reads"):
        recipes.of(dataset)
