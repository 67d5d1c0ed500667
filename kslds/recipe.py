"""Recipes, and the build that follows one: every stage in order, doing only what is missing."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import math
import os
import re
import shutil
import tomllib
import types
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from kslds import (
    agreement,
    baselines,
    clips,
    ingest,
    lexicon,
    merge,
    report,
    schema,
    shards,
    spans,
    split,
    validate,
    video,
    withdrawal,
)
from kslds.codes import CODES
from kslds.consensus import ConsensusOptions
from kslds.corpora import PUBLISHED_SIGNERS, demo
from kslds.engine import Progress
from kslds.errors import (
    MissingFile,
    RecipeError,
    UsageError,
)
from kslds.licences import strictest
from kslds.manifest import Dataset, bundled, canonical_json, key_of, write_bytes
from kslds.schema import Clip, Issue, Recording
from kslds.validate import Rules

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class LexiconOptions:
    """The `[lexicon]` part of a recipe."""

    file: str | None = None
    """A CSV, or the name of one under ``manifests/lexicon/``; None takes labels as they are."""
    unknown: str = "error"
    """What an unknown label does: ``error`` stops the build, ``drop``, ``keep``."""

    def __post_init__(self) -> None:
        _rules(unknown=self.unknown)
        if self.file is not None and not self.file.strip():
            raise RecipeError("[lexicon] file is empty; expected a path or a name.")


@dataclass(frozen=True, kw_only=True)
class ValidateOptions:
    """The `[validate]` part of a recipe: what is plausible."""

    min_ms: int = Rules.min_ms
    max_ms: int = Rules.max_ms
    min_signers: int = Rules.min_signers

    def __post_init__(self) -> None:
        _rules(**dataclasses.asdict(self))


def _rules(**values: Any) -> Rules:
    """The rules of validation.

    Raises:
        RecipeError: A value is out of range.
    """
    try:
        return Rules(**values)
    except UsageError as error:
        raise RecipeError(error.what, hint=error.hint) from error


@dataclass(frozen=True, kw_only=True)
class BaselineOptions:
    """The `[baseline]` part of a recipe: what a build ends with."""

    models: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ("gloss",)

    def __post_init__(self) -> None:
        for model in self.models:
            if model not in baselines.MODELS and not all(model.partition(":")):
                raise RecipeError(
                    f"[baseline] models: {model!r} is not one of {', '.join(baselines.MODELS)}.",
                    hint='A model of your own is named as "package.module:function".',
                )
        for task in self.tasks:
            if task not in baselines.TASKS:
                raise RecipeError(
                    f"[baseline] tasks: {task!r} is not one of {', '.join(baselines.TASKS)}."
                )


@dataclass(frozen=True, kw_only=True)
class ExpectedOptions:
    """The `[expected]` part of a recipe: counts that the collection's authors state."""

    clips: int | None = None
    recordings: int | None = None
    signers: int | None = None
    """Signers of whom there is a clip."""
    classes: int | None = None
    emotions: int | None = None
    sentences: int | None = None
    train: int | None = None
    """Clips on this side of the first split; the others likewise."""
    dev: int | None = None
    val: int | None = None
    validation: int | None = None
    test: int | None = None


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides what a build makes."""

    name: str = "dataset"
    licence: str | None = None
    demo: demo.Demo | None = None
    """Render these recordings into the dataset's folder ``raw`` and read them from there."""
    ingest: ingest.IngestOptions | None = None
    consensus: ConsensusOptions = field(default_factory=ConsensusOptions)
    merge: merge.MergeOptions | None = None
    """Made of built datasets instead of recordings."""
    lexicon: LexiconOptions = field(default_factory=LexiconOptions)
    validate: ValidateOptions = field(default_factory=ValidateOptions)
    clips: spans.ClipOptions = field(default_factory=spans.ClipOptions)
    split: split.SplitOptions = field(default_factory=split.SplitOptions)
    shards: shards.ShardOptions = field(default_factory=shards.ShardOptions)
    baseline: BaselineOptions = field(default_factory=BaselineOptions)
    expected: ExpectedOptions = field(default_factory=ExpectedOptions)

    def __post_init__(self) -> None:
        if len(self.name) > schema.MAX_KEY_CHARS or not re.fullmatch(_NAME, self.name):
            raise RecipeError(
                f"name = {self.name!r:.60}: expected at most {schema.MAX_KEY_CHARS} of the letters "
                "a-z and A-Z, digits, '.', '_' and '-', the first a letter or a digit.",
                hint="The dataset's folder gets this name.",
            )

    @property
    def rules(self) -> Rules:
        """What validation goes by."""
        adapter = self.ingest.adapter if self.ingest else ""
        return _rules(
            unknown=self.lexicon.unknown,
            pseudonyms=PUBLISHED_SIGNERS.get(adapter, frozenset()),
            **dataclasses.asdict(self.validate),
        )

    @property
    def sha256(self) -> str:
        """Hash of all that decides the result; where files lie does not."""
        document = dataclasses.asdict(self)
        del document["expected"]  # only looked at
        for section, keys in _PATHS.items():
            for key in keys:
                if document.get(section):
                    document[section].pop(key, None)
        return hashlib.sha256(canonical_json(document)).hexdigest()


_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"

_PATHS = {
    "ingest": ("media", "annotations", "signers", "poses"),
    "merge": ("datasets", "map", "same_signers"),
    "lexicon": ("file",),
    "split": ("file",),
}
"""Keys that hold paths relative to the recipe."""


# --------------------------------------------------------------------------- reading


def read(path: str | os.PathLike[str]) -> Recipe:
    """Read a recipe: a file, or the name of a bundled one such as ``demo``.

    Raises:
        MissingFile: There is no such recipe.
        RecipeError: A key is unknown, or a value has the wrong type or range.
    """
    file = Path(path)
    if not file.is_file() and (bundled("recipes") / f"{path}.toml").is_file():
        file = bundled("recipes") / f"{path}.toml"
    if not file.is_file():
        names = ", ".join(sorted(p.stem for p in bundled("recipes").glob("*.toml")))
        raise MissingFile(f"there is no recipe {str(path)!r}.", hint=f"Bundled recipes: {names}.")
    deep = f"{file.name} is not a recipe: it is nested too deeply."
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except RecursionError as error:
        raise RecipeError(deep) from error
    except ValueError as error:  # not TOML, not UTF-8, or a number of thousands of digits
        raise RecipeError(
            f"{file.name} is not TOML: {error}.",
            hint='Text and paths stand in quotes, as in name = "my-signs"; save the file as UTF-8.',
        ) from error
    try:
        return _from_file(document, file)
    except RecursionError as error:
        raise RecipeError(deep) from error


def _from_file(document: dict[str, Any], file: Path) -> Recipe:
    written = document.pop("format_version", schema.FORMAT_VERSION)
    if type(written) is not int or written < 1:
        raise RecipeError(
            f"{file.name}: format_version = {written!r:.60}: expected a whole number."
        )
    if written > schema.FORMAT_VERSION:
        raise RecipeError(
            f"{file.name}: format_version = {written} is newer than this kslds reads "
            f"({schema.FORMAT_VERSION}).",
            hint="Upgrade kslds.",
        )
    return from_document(document, base=file.resolve().parent, where=file.name)


def from_document(document: Mapping[str, Any], *, base: Path, where: str = "recipe") -> Recipe:
    """A recipe from parsed TOML; paths in it are relative to `base`.

    Raises:
        RecipeError: A key is unknown, or a value has the wrong type or range.
    """
    recipe = _section(document, Recipe, where=where)
    resolved: dict[str, Any] = {}
    for section, keys in _PATHS.items():
        options = getattr(recipe, section)
        if options is None:
            continue
        changes: dict[str, Any] = {}
        for key in keys:
            value = getattr(options, key)
            if isinstance(value, tuple):
                changes[key] = tuple(os.path.normpath(base / v) for v in value)
            elif value is not None and not (section == "lexicon" and "/" not in value
                                            and not (base / value).is_file()):  # fmt: skip
                changes[key] = os.path.normpath(base / value)
        resolved[section] = dataclasses.replace(options, **changes)
    return dataclasses.replace(recipe, **resolved)


def _section(raw: Mapping[str, Any], record: type[T], *, where: str) -> T:
    hints = get_type_hints(record)
    known = [f.name for f in dataclasses.fields(cast(Any, record))]
    values = {}
    for key, value in raw.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            raise RecipeError(
                f"{where}: unknown key {key!r}.",
                hint=f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(known)}.",
            )
        values[key] = _value(value, hints[key], where=f"{where}: {key}")
    missing = [
        f.name
        for f in dataclasses.fields(cast(Any, record))
        if f.name not in values
        and f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise RecipeError(f"{where}: the key {missing[0]!r} is missing.")
    try:
        return record(**values)
    except RecipeError as error:
        section = f"{where.rpartition(' ')[2]} "  # records name it for those who make them
        raise RecipeError(
            f"{where}: {error.what.removeprefix(section)}", hint=error.hint
        ) from error


def _value(value: Any, kind: Any, *, where: str) -> Any:
    """A TOML value as the type of a field; a single value stands for a list of one."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        inner = tuple(k for k in inner if k is not type(None))
        for option in inner:
            try:
                return _value(value, option, where=where)
            except RecipeError:
                if option is inner[-1]:
                    raise
    if dataclasses.is_dataclass(kind):
        if isinstance(value, Mapping):
            return _section(value, cast(Any, kind), where=" [".join(where.rsplit(": ", 1)) + "]")
        raise RecipeError(f"{where} = {value!r:.200}: expected a table, [{where.split(': ')[-1]}].")
    if origin is tuple:
        if not isinstance(value, list):
            value = [value]
        each = inner[0]
        if inner[-1] is not Ellipsis and len(value) != len(inner):
            raise RecipeError(f"{where} = {value!r:.200}: expected {len(inner)} values.")
        return tuple(_value(v, each, where=where) for v in value)
    if get_origin(kind) is Literal:
        if value in inner:
            return value
        raise RecipeError(
            f"{where} = {value!r:.200}: expected one of {', '.join(map(repr, inner))}."
        )
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if isinstance(value, Mapping):
            return {str(k): _value(v, inner[1], where=f"{where}.{k}") for k, v in value.items()}
        raise RecipeError(f"{where} = {value!r:.200}: expected a table such as {{ train = 0.8 }}.")
    if isinstance(value, int) and abs(value) >= 1 << 63:
        raise RecipeError(f"{where}: the number is too large.")
    if isinstance(value, float) and not math.isfinite(value):
        raise RecipeError(f"{where} = {value}: expected a number.")
    if isinstance(value, str) and "\0" in value:
        raise RecipeError(f"{where} = {value!r:.60}: expected text without NUL characters.")
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    raise RecipeError(f"{where} = {value!r:.200}: expected {_NAMES.get(kind, kind)}.")


_NAMES = {str: "text in quotes", int: "a whole number", float: "a number", bool: "true or false"}


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_toml(str(k))} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(_toml, value)) + "]"
    # A JSON string is a TOML basic string.
    return canonical_json(str(value)).decode()


def write(recipe: Recipe, *, root: Path) -> None:
    """Write a recipe as resolved to ``kslds.toml``, itself a recipe, with paths relative to it."""
    plain = [f"format_version = {schema.FORMAT_VERSION}"]
    sections = []
    for f in dataclasses.fields(recipe):
        value = getattr(recipe, f.name)
        if value is None:
            continue
        if not dataclasses.is_dataclass(value):
            plain.append(f"{f.name} = {_toml(value)}")
            continue
        lines = [f"\n[{f.name}]"]
        for inner in dataclasses.fields(value):
            item = getattr(value, inner.name)
            if item is None or item in ((), {}):
                continue
            if inner.name in _PATHS.get(f.name, ()):
                item = _relative(item, root)
            lines.append(f"{inner.name} = {_toml(item)}")
        if len(lines) > 1:
            sections.append("\n".join(lines))
    write_bytes(root / "kslds.toml", ("\n".join([*plain, *sections]) + "\n").encode())


def _relative(item: str | Sequence[str], root: Path) -> str | list[str]:
    if not isinstance(item, str):
        return [cast(str, _relative(i, root)) for i in item]
    return os.path.relpath(item, root.resolve()) if os.path.isabs(item) else item  # noqa: PTH117


def of(dataset: Dataset) -> Recipe:
    """The recipe a dataset was made with, or the defaults and the name of its folder."""
    path = dataset.root / "kslds.toml"
    if path.is_file():
        return read(path)
    name = dataset.root.resolve().name[: schema.MAX_KEY_CHARS]
    return Recipe(name=name) if re.fullmatch(_NAME, name) else Recipe()


# --------------------------------------------------------------------------- stages


def run_ingest(
    dataset: Dataset,
    recipe: Recipe,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Render the demo if the recipe has one, then read recordings and annotations.

    Raises:
        RecipeError: The recipe names no media.
    """
    _not_merged(recipe)
    options = recipe.ingest
    if recipe.demo is not None:
        raw = dataset.root.absolute() / "raw"
        signs = _lexicon(recipe)
        if signs is None:
            raise RecipeError("[demo] draws its labels from a lexicon; name one in [lexicon] file.")
        demo.render(raw, demo=recipe.demo, signs=signs.signs, workers=workers, progress=progress)
        options = options or ingest.IngestOptions(
            media=(str(raw / "media"),),
            annotations=(str(raw / "annotations.csv"),),
            columns={"recording": "file", "gloss": "label"},
            signers=str(raw / "signers.csv"),
        )
    if options is None:
        raise RecipeError("the recipe has no [ingest] table.", hint="Name the media in it.")
    seen = withdrawal.signers_of_clips(dataset)  # asked first: ingest begins new tables
    withdrawal.heed(dataset, options.signers, signer_of=seen)
    ingest.ingest(
        dataset, options=options, licence=recipe.licence, workers=workers, progress=progress
    )
    try:
        agreement.consensus(dataset, options=recipe.consensus, lexicon=_lexicon(recipe))
    finally:
        withdrawal.retract(dataset, signer_of=seen)
    if recipe.clips.crop == "inset":
        media = ingest.find_media(options.media).files
        clips.find_insets(dataset, media=media, workers=workers, progress=progress)
    write(dataclasses.replace(recipe, ingest=options), root=dataset.root)
    dataset.update_provenance(
        name=recipe.name,
        licence=recipe.licence,
        recipe_sha256=recipe.sha256,
        ffmpeg=video.ffmpeg_version(),
        encoder=video.encoder_version(),
        kslds=_version(),
    )


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("kslds")
    except PackageNotFoundError:
        return "source"


def _lexicon(recipe: Recipe) -> lexicon.Lexicon | None:
    return None if recipe.lexicon.file is None else lexicon.load(recipe.lexicon.file)


def run_validate(
    dataset: Dataset, recipe: Recipe, *, progress: Progress | None = None
) -> validate.Report:
    """Check the dataset against the recipe's lexicon and rules; returns every issue."""
    vocabulary = _lexicon(recipe)
    if vocabulary is None and recipe.merge is not None:
        # Its labels are keys of signs, and in several languages a word may name several signs.
        signs = dataset.read("signs", schema.Sign)
        vocabulary = lexicon.Lexicon(name=recipe.name, signs=tuple(signs))
    rules = dataclasses.replace(recipe.rules, pseudonyms=_published_signers(dataset, recipe))
    return validate.validate(dataset, lexicon=vocabulary, rules=rules, progress=progress)


def _published_signers(dataset: Dataset, recipe: Recipe) -> frozenset[str]:
    """Keys that a collection publishes; those of a merged dataset have its name before them."""
    return frozenset({*recipe.rules.pseudonyms, *dataset.provenance.get("published_signers", ())})


def _not_merged(recipe: Recipe) -> None:
    if recipe.merge is not None:
        raise UsageError(
            "this dataset was merged from others; it has no recordings of its own.",
            hint="Change those, build them again, and run: kslds merge … again.",
        )


def run_merge(dataset: Dataset, recipe: Recipe, *, progress: Progress | None = None) -> None:
    """Merge the datasets that the recipe names, and check the result.

    Clips are what they are there: the recipe gets their size and the encodings they all have.

    Raises:
        RecipeError: The recipe names no datasets, or recordings too.
        KsldsError: See `kslds.merge.merge`.
    """
    options = recipe.merge
    if options is None or recipe.ingest is not None or recipe.demo is not None:
        raise RecipeError("a recipe that merges has [merge] datasets, and no [ingest] or [demo].")
    made: dict[str, Recipe] = {}
    corpora = []
    for path in options.datasets:
        part = Dataset(path)
        made[path] = of(part)
        stated = part.provenance
        corpora.append(
            merge.Corpus(
                name=key_of(str(stated.get("name") or made[path].name), prefix="corpus"),
                dataset=part,
                licence=stated.get("licence"),
                published_signers=_published_signers(part, made[path]),
                rendering={
                    "size": made[path].clips.size,
                    "fit": made[path].clips.fit,
                    "fps": str(made[path].clips.rate or "source"),
                    "encodings": tuple(sorted(made[path].shards.encodings)),
                },
            )
        )
    seen = withdrawal.signers_of_clips(dataset)  # asked first: merging begins new tables
    merge.merge(dataset, corpora=corpora, options=options, progress=progress)
    # Whoever is one person with somebody else has another name now, and has not left.
    left = seen.keys() - withdrawal.signers_of_clips(dataset).keys()
    withdrawal.retract(dataset, signer_of={clip: seen[clip] for clip in sorted(left)})
    in_order = [str(c.dataset.root) for c in sorted(corpora, key=lambda c: c.name)]
    common = made[in_order[0]]
    alike = recipe.validate == ValidateOptions() and len({m.validate for m in made.values()}) == 1
    rendered = [e for e in recipe.shards.encodings if e in common.shards.encodings]
    recipe = dataclasses.replace(
        recipe,
        merge=dataclasses.replace(options, datasets=tuple(in_order)),
        # What all of them call plausible is so here too.
        validate=common.validate if alike else recipe.validate,
        clips=common.clips,
        shards=dataclasses.replace(recipe.shards, encodings=tuple(rendered)),
    )
    write(recipe, root=dataset.root)
    _state_licence(dataset, recipe)
    dataset.update_provenance(name=recipe.name, recipe_sha256=recipe.sha256, kslds=_version())
    run_validate(dataset, recipe, progress=progress)


def _state_licence(dataset: Dataset, recipe: Recipe) -> None:
    """The licence of all clips: the recipe's, if it has one and all recordings have theirs."""
    recordings = dataset.read("recordings", Recording)
    together = strictest(row.licence for row in recordings)
    issues = [row for row in dataset.read("issues", Issue) if row.code != "K710"]
    issues += merge.stated_for_all(recipe.licence, of_recordings=together)
    dataset.write("issues", issues)
    # Where some have no licence, nobody can say that all are under one.
    dataset.update_provenance(licence=recipe.licence if together and recipe.licence else together)


def run_agreement(dataset: Dataset, recipe: Recipe) -> dict[str, Any] | None:
    """How far annotators agree, by the recipe's rule; None where there is one annotator."""
    return agreement.measure(dataset, options=recipe.consensus, lexicon=_lexicon(recipe))


def run_trim(dataset: Dataset, recipe: Recipe) -> None:
    """Plan the clips."""
    _not_merged(recipe)
    clips.trim(dataset, options=recipe.clips, unknown=recipe.lexicon.unknown)


def run_resize(
    dataset: Dataset,
    recipe: Recipe,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Plan the clips anew (it costs nothing) and render what is missing.

    Raises:
        RecipeError: The recipe names no media.
    """
    _not_merged(recipe)
    if recipe.ingest is None:
        raise RecipeError("the dataset's kslds.toml names no media.", hint="Run: kslds ingest …")
    run_trim(dataset, recipe)
    clips.resize(
        dataset,
        media=ingest.find_media(recipe.ingest.media).files,
        options=recipe.clips,
        encodings=recipe.shards.encodings,
        poses=None if recipe.ingest.poses is None else Path(recipe.ingest.poses),
        workers=workers,
        progress=progress,
    )


def run_shard(
    dataset: Dataset, recipe: Recipe, *, split: str | None = None, progress: Progress | None = None
) -> None:
    """Copy the clips into shards; results of baselines on other clips are deleted."""
    shards.shard(dataset, options=recipe.shards, split=split, name=recipe.name, progress=progress)
    check_expected(dataset, recipe, split=split)
    for result in (dataset.root / "reports" / "baselines").glob("*/result.json"):
        if (
            json.loads(result.read_bytes()).get("dataset_sha256")
            != dataset.provenance["dataset_sha256"]
        ):
            shutil.rmtree(result.parent)


def check_expected(dataset: Dataset, recipe: Recipe, *, split: str | None = None) -> None:
    """Compare the dataset with what its recipe expects; every difference is an issue (K406).

    Args:
        dataset: One that has been split.
        recipe: The recipe with its `[expected]` part.
        split: The split whose sides are counted; the first by default.
    """
    expected = {k: v for k, v in dataclasses.asdict(recipe.expected).items() if v is not None}
    if not expected:
        return
    made = dataset.read("clips", Clip)
    counts = Counter(
        clips=len(made),
        recordings=len({c.recording_id for c in made}),
        signers=len({c.signer_id for c in made} - {None}),
        classes=len({c.gloss_id for c in made} - {None}),
        emotions=len({c.emotion for c in made} - {None}),
        sentences=len({c.sentence for c in made} - {None}),
    )
    unit, sides = dataset.sides(split or min(dataset.splits))
    counts.update(sides[v] for c in made if (v := getattr(c, unit)) in sides)
    known = CODES["K406"]
    wrong = [
        Issue(severity=known.severity, code="K406", table="expected", key=key, hint=known.action,
              message=f"{key}: expected {number}, the dataset has {counts[key]}")
        for key, number in expected.items()
        if counts[key] != number
    ]  # fmt: skip
    dataset.write("issues", [*(i for i in issues_of(dataset) if i.code != "K406"), *wrong])


def build(
    recipe: Recipe,
    *,
    out: str | os.PathLike[str],
    workers: int | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Run every stage in order, doing only what is missing.

    Args:
        recipe: What to build.
        out: The dataset's folder.
        workers: Jobs at a time; all cores by default.
        progress: Told after each step of each stage.

    Returns:
        The finished dataset.

    Raises:
        ValidationFailed: Validation found errors; nothing was rendered from them.
        KsldsError: See each stage.
    """
    dataset = Dataset(out, create=True)
    with dataset.lock():
        if recipe.merge is not None:
            run_merge(dataset, recipe, progress=progress)
            recipe = of(dataset)
        else:
            run_ingest(dataset, recipe, workers=workers, progress=progress)
            recipe = of(dataset)
            validate.stop_on_errors(run_validate(dataset, recipe, progress=progress))
            run_resize(dataset, recipe, workers=workers, progress=progress)
        found = run_validate(dataset, recipe, progress=progress)
        split.split(dataset, options=recipe.split)
        validate.stop_on_errors(found)
        run_shard(dataset, recipe, progress=progress)
        _baselines(dataset, recipe, progress=progress)
        report.report(dataset, progress=progress)
    return dataset


def _baselines(dataset: Dataset, recipe: Recipe, *, progress: Progress | None) -> None:
    if not recipe.baseline.models:
        return
    for model in recipe.baseline.models:
        for task in recipe.baseline.tasks:
            settings = baselines.Settings(model=model, task=task)
            baselines.run(str(dataset.root), settings=settings, progress=progress)


def issues_of(dataset: Dataset) -> list[Issue]:
    """What the last validation found."""
    return dataset.read("issues", Issue) if dataset.has("issues") else []
