"""What a dataset holds is what its recipe names, to the byte, whatever lay there before."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import kslds
from kslds import pack, shards, split
from kslds import recipe as recipes
from kslds.errors import CorruptData
from kslds.manifest import Dataset
from kslds.recipe import Recipe
from kslds.schema import Clip


@pytest.fixture
def lab(small: Dataset, tmp_path: Path) -> Path:
    """The small dataset in `dataset`, with all that it was built from."""
    shutil.copytree(small.root.parent, tmp_path / "lab")
    return tmp_path / "lab"


def products(root: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(root)): p.read_bytes()
        for p in sorted(root.rglob("*"))
        if p.is_file() and p.name not in (".lock", "kslds.toml")
    }


def changed(recipe: Recipe, **values: Any) -> Recipe:
    return dataclasses.replace(recipe, shards=dataclasses.replace(recipe.shards, **values))


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({"encodings": ("h264",)}, ["parquet", "shards/h264"]),
        ({"formats": ("webdataset",)}, ["shards/h264", "shards/jpeg"]),
        ({"formats": ("parquet",)}, ["parquet"]),
        ({"formats": ("webdataset",), "encodings": ("jpeg",)}, ["shards/jpeg"]),
    ],
)
def test_shards_that_the_recipe_names_no_more_are_deleted(
    lab: Path, options: dict[str, Any], left: list[str]
) -> None:
    root = lab / "dataset"
    recipe = changed(recipes.of(Dataset(root)), **options)
    shards.shard(Dataset(root), options=recipe.shards, name=recipe.name)
    found = [p.parent.relative_to(root).as_posix() for p in root.rglob("index.json")]
    assert sorted(found) == left
    assert not [
        p for p in root.rglob("*-00000.*") if p.parent.relative_to(root).as_posix() not in left
    ]


def test_a_build_of_a_smaller_recipe_is_that_of_a_fresh_one(lab: Path) -> None:
    recipe = changed(
        recipes.read(lab / "recipe.toml"), formats=("webdataset",), encodings=("h264",)
    )
    again = recipes.build(recipe, out=lab / "dataset")
    assert products(again.root) == products(recipes.build(recipe, out=lab / "fresh").root)


def test_files_of_others_stay(lab: Path) -> None:
    root = lab / "dataset"
    mine = [root / "shards" / "jpeg" / "notes.txt", root / "shards" / "h264" / "train.tar"]
    for path in mine:
        path.write_text("mine")
    options = shards.ShardOptions(max_mb=200)
    shards.shard(Dataset(root), options=options)
    assert all(path.read_text() == "mine" for path in mine)
    assert sorted(p.name for p in (root / "shards" / "jpeg").iterdir()) == ["notes.txt"]


@pytest.mark.parametrize("place", ["clips/h264", "clips/jpeg", "shards/h264", "parquet"])
def test_a_flipped_byte_is_repaired_by_the_next_build(
    small: Dataset, lab: Path, place: str
) -> None:
    folder = lab / "dataset" / place
    path = next(
        p for p in sorted(folder.iterdir()) if p.name.count(".") == 1 and p.suffix != ".json"
    )
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    recipes.build(recipes.read(lab / "recipe.toml"), out=lab / "dataset")
    assert products(lab / "dataset") == products(small.root)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"subject_01"', b'"subject_0x"'),
        (b'"ake"', b'"akx"'),
        (b'"samples": 16', b'"samples": 17'),
    ],
)
def test_an_index_that_says_something_else_is_corrected(
    small: Dataset, lab: Path, old: bytes, new: bytes
) -> None:
    index = lab / "dataset" / "shards" / "h264" / "index.json"
    data = index.read_bytes()
    assert old in data
    index.write_bytes(data.replace(old, new))
    dataset = Dataset(lab / "dataset")
    shards.shard(dataset, options=recipes.of(small).shards, name="small")
    assert index.read_bytes() == data


def test_another_name_is_written_into_the_index_and_nothing_else_is(lab: Path) -> None:
    dataset = Dataset(lab / "dataset")
    tars = {p: p.stat().st_mtime_ns for p in dataset.root.rglob("*-00000.*")}
    shards.shard(dataset, options=recipes.of(dataset).shards, name="another")
    for index in dataset.root.rglob("index.json"):
        assert json.loads(index.read_bytes())["name"] == "another"
    assert {p: p.stat().st_mtime_ns for p in tars} == tars


def test_a_pack_with_a_changed_byte_is_not_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with pack.writing(path) as writer:
        writer.add("one", field="mp4", data=b"a" * 700)
    assert pack.is_complete(path)
    data = bytearray(path.read_bytes())
    data[0] ^= 1  # in a header, which belongs to no member
    path.write_bytes(data)
    assert not pack.is_complete(path)
    with pytest.raises(CorruptData, match=r"damaged: headers.*kslds resize DIR"):
        pack.verify(path)


def test_verify_names_the_next_step_and_follows_no_path(lab: Path) -> None:
    folder = lab / "dataset" / "shards" / "h264"
    tar = folder / "train-00000.tar"
    data = tar.read_bytes()
    tar.write_bytes(data[:-1] + b"\x01")
    with pytest.raises(CorruptData, match=r"train-00000\.tar.*kslds shard DIR"):
        shards.verify(folder)
    tar.write_bytes(data)
    shutil.copy(tar, lab / "train-00000.tar")
    index = folder / "index.json"
    index.write_text(index.read_text().replace('"train-00000.tar"', '"../../../train-00000.tar"'))
    with pytest.raises(CorruptData, match="is not the name of a shard"):
        shards.verify(folder)


def test_shards_by_sentences(lab: Path) -> None:
    dataset = Dataset(lab / "dataset")
    clips = [
        dataclasses.replace(c, sentence=f"СӨЙЛЕМ {i % 4}")
        for i, c in enumerate(dataset.read("clips", Clip))
    ]
    dataset.write("clips", clips)
    counts = split.split(
        dataset, options=split.SplitOptions(by="sentence", fractions={"train": 0.5, "test": 0.5})
    )
    assert counts == {"sentence": {"train": 12, "test": 12}}
    shards.shard(dataset, options=shards.ShardOptions())
    index = json.loads((dataset.root / "shards" / "h264" / "index.json").read_bytes())
    assert (index["split"], index["unit"]) == ("sentence", "sentence")
    sides = [
        {sample["sentence"] for sample in kslds.load(dataset.root, split=side).fields()}
        for side in ("train", "test")
    ]
    assert sides[0].isdisjoint(sides[1])
    assert len(sides[0]) == len(sides[1]) == 2
    plain = lab / "plain"
    assert shards.export(dataset, out=plain) == 24
    assert len(list((plain / "test").glob("*.mp4"))) == 12
    table = pq.read_table(next((dataset.root / "parquet").glob("test-*.parquet")))
    assert set(table["sentence"].to_pylist()) == sides[1]


def test_the_index_of_a_split_by_signers_says_so(small: Dataset) -> None:
    for index in small.root.rglob("index.json"):
        assert json.loads(index.read_bytes())["unit"] == "signer_id"
