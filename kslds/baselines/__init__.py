"""Baselines: models trained on one split of a dataset and measured on another.

`run` reads both splits through the loader, refuses to measure where a signer is on
both sides, trains, predicts, and leaves a report. The defaults of the transformers
are the settings of the KSL-Emo paper, whose figures are shown beside one's own.
"""

from __future__ import annotations

import difflib
import importlib
import platform
import re
import types
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

from kslds import manifest, schema
from kslds.baselines import metrics
from kslds.baselines.metrics import UNKNOWN_SIGNER, Example, Figure, Result, SignerScore
from kslds.engine import Progress
from kslds.errors import IncompleteDataset, SplitLeak, UnbalancedBooks, UsageError

__all__ = [
    "DEFAULTS",
    "MODELS",
    "TASKS",
    "Defaults",
    "Example",
    "Figure",
    "Job",
    "Outcome",
    "Result",
    "Settings",
    "SignerScore",
    "run",
]

TASKS = ("gloss", "emotion")

MODELS: Mapping[str, str] = types.MappingProxyType(
    {
        "linear-probe": "kslds.baselines.probe:fit",
        "timesformer": "kslds.baselines.video_models:fit",
        "videomae-base": "kslds.baselines.video_models:fit",
        "videomae-small": "kslds.baselines.video_models:fit",
        "vivit": "kslds.baselines.video_models:fit",
    }
)
"""Model name to ``module:function``; a model may also be named as its own ``module:function``.

The function takes a `Job` and returns an `Outcome`.
"""


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """What a model uses where `Settings` leaves something open."""

    num_frames: int = 16
    batch_size: int = 8
    epochs: int = 10
    learning_rate: float = 5e-5
    weights: str | None = None
    """Name on the Hub, with the revision that holds safetensors after an ``@``."""
    figures: Mapping[str, Figure] = field(default_factory=dict)
    """Task to what the paper reports."""


# Frames, batch sizes, epochs, learning rate and figures: KSL-Emo paper. It does not name
# its checkpoints; these are the Kinetics-400 ones of the same architectures. On the main
# branch of two of them lie pickled weights only, hence the revisions.
DEFAULTS: Mapping[str, Defaults] = types.MappingProxyType(
    {
        "linear-probe": Defaults(),
        "timesformer": Defaults(
            num_frames=8,
            batch_size=4,
            weights="facebook/timesformer-base-finetuned-k400@refs/pr/5",
            figures={
                "gloss": Figure(top1=0.9663, macro_f1=0.9659),
                "emotion": Figure(top1=0.8087, macro_f1=None),
            },
        ),
        "videomae-base": Defaults(
            weights="MCG-NJU/videomae-base-finetuned-kinetics",
            figures={
                "gloss": Figure(top1=0.9451, macro_f1=0.9447),
                "emotion": Figure(top1=0.7458, macro_f1=None),
            },
        ),
        "videomae-small": Defaults(
            weights="MCG-NJU/videomae-small-finetuned-kinetics",
            figures={
                "gloss": Figure(top1=0.9160, macro_f1=0.9153),
                "emotion": Figure(top1=0.7191, macro_f1=None),
            },
        ),
        "vivit": Defaults(
            num_frames=32,
            batch_size=2,
            weights="google/vivit-b-16x2-kinetics400@refs/pr/3",
            figures={"gloss": Figure(top1=0.9160, macro_f1=0.9173)},
        ),
    }
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to run. None means the model's default (see `DEFAULTS`)."""

    model: str
    """A name in `MODELS`, or ``module:function``."""
    task: str = "gloss"
    """One of `TASKS`."""
    num_frames: int | None = None
    """Frames per clip, evenly spaced."""
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    """At the first step; falls linearly to 0. With `tiny` the default is 1e-3."""
    weight_decay: float = 0.0
    """Of AdamW. The paper does not say; this is what Hugging Face's trainer uses."""
    seed: int = 17
    weights: str | None = None
    """Folder with ``config.json`` and ``*.safetensors``, or ``org/name[@revision]`` on the Hub."""
    from_scratch: bool = False
    """Start from random weights."""
    tiny: bool = False
    """A model of the same kind that trains on a CPU: 2 layers of width 64, 112 pixels."""
    device: str | None = None
    """Torch device; None takes ``cuda`` where there is one, else ``cpu``."""
    workers: int | None = None
    """Processes that decode; None takes up to 8 beside a GPU and none without."""
    checkpoint_steps: int = 500
    """A checkpoint is written after every epoch, and every so many steps within one."""
    train_split: str = "train"
    test_split: str = "test"


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a model is given. The settings have every default of the model filled in."""

    dataset: str
    dataset_sha256: str
    settings: Settings
    classes: tuple[str, ...]
    train: tuple[Example, ...]
    test: tuple[Example, ...]
    out: Path
    """Folder for checkpoints and what else the model leaves; it need not exist yet."""
    progress: Progress | None = None

    def stream(self, split: str, **options: Any) -> Any:
        """The loader's stream over one split, `num_frames` evenly spaced frames a clip.

        It yields unlabelled clips too; `targets` tells which ones count.
        """
        from kslds import loader

        return loader.load(
            self.dataset, split=split, num_frames=self.settings.num_frames, **options
        )

    def targets(self, examples: tuple[Example, ...]) -> dict[str, int]:
        """Clip key to class index."""
        return {example.key: example.target for example in examples}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a model hands back."""

    predicted: Mapping[str, int]
    """Key of every test clip to the predicted index into `Job.classes`."""
    train_seconds: float
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else is worth recording and the same in every run."""
    run: Mapping[str, Any] = field(default_factory=dict)
    """What else is worth recording of this run alone: device, resumed from, …"""


def run(
    dataset_path: str,
    *,
    settings: Settings,
    out: Path | None = None,
    progress: Progress | None = None,
) -> Result:
    """Train on one split, predict another, measure, and write a report.

    Writes ``result.json``, ``predictions.csv``, ``confusion.csv`` and ``confusion.png``. Where
    they already hold the result of this very run, it is returned and nothing is done.

    Args:
        dataset_path: Folder or address of a dataset, as `kslds.load` takes it.
        settings: Model, task and training settings.
        out: Folder for the report; by default ``reports/baselines/<model>-<task>`` in the
            dataset, where that is a local folder.
        progress: Told of the clips done within a stage.

    Raises:
        UsageError: A setting is unknown or out of range, or `out` is needed and missing.
        IncompleteDataset: A split is empty, or no clip of it has a label for the task.
        SplitLeak: A signer is on both sides.
        MissingExtra: The model needs a package that is not installed.
    """
    function, settings = _resolve(settings)
    folder = out or _default_out(dataset_path, settings)
    finished = _finished(dataset_path, settings, folder)
    if finished is not None:
        return finished
    job, skipped = _prepare(dataset_path, settings, folder, progress)
    outcome = function(job)
    wanted = {example.key for example in job.test}
    if outcome.predicted.keys() != wanted:
        raise UnbalancedBooks(
            f"{settings.model} predicted {len(outcome.predicted)} clips; the split "
            f"{settings.test_split!r} holds {len(wanted)}.",
            hint="This is a defect of the model; please report it with the command you ran.",
        )
    default = DEFAULTS.get(settings.model, Defaults())
    names = ("confusion.csv", "confusion.png", "predictions.csv", "result.json")
    result = Result(
        model=settings.model,
        task=settings.task,
        **metrics.measure(outcome.predicted, train=job.train, test=job.test, classes=job.classes),
        n_train=len(job.train),
        n_test=len(job.test),
        skipped=skipped,
        paper=None if settings.tiny else default.figures.get(settings.task),
        dataset_sha256=job.dataset_sha256,
        settings=_recorded(settings),
        facts=outcome.facts,
        run={
            "train_seconds": round(outcome.train_seconds, 1),
            "versions": _versions(),
            **outcome.run,
        },
        files={name: str(folder / name) for name in names},
    )
    metrics.write_predictions(
        folder / "predictions.csv", outcome.predicted, test=job.test, classes=job.classes
    )
    metrics.write_report(folder, result, names=_class_names(dataset_path))
    return result


def _resolve(settings: Settings) -> tuple[Callable[[Job], Outcome], Settings]:
    """The model's function, and the settings with its defaults filled in."""
    name = settings.model
    target = MODELS.get(name, name)
    module, _, attribute = target.partition(":")
    if not attribute:
        close = difflib.get_close_matches(name, MODELS, n=1)
        raise UsageError(
            f"unknown model {name!r}; known are {', '.join(MODELS)}.",
            hint=f"Did you mean {close[0]!r}?" if close else None,
        )
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"the model {target!r} cannot be imported: {error}.") from error
    if settings.task not in TASKS:
        raise UsageError(f"unknown task {settings.task!r}; known are {', '.join(TASKS)}.")
    if settings.weights and settings.from_scratch:
        raise UsageError("weights and from-scratch exclude each other.", hint="Name one of them.")
    if settings.tiny and not settings.from_scratch:
        raise UsageError(
            "a tiny model has no pretrained weights.", hint="Add --from-scratch to --tiny."
        )
    default = DEFAULTS.get(name, Defaults())
    rate = 1e-3 if settings.tiny else default.learning_rate
    filled = replace(
        settings,
        num_frames=default.num_frames if settings.num_frames is None else settings.num_frames,
        epochs=default.epochs if settings.epochs is None else settings.epochs,
        batch_size=default.batch_size if settings.batch_size is None else settings.batch_size,
        learning_rate=rate if settings.learning_rate is None else settings.learning_rate,
        weights=None if settings.from_scratch else settings.weights or default.weights,
    )
    for option in ("num_frames", "epochs", "batch_size", "learning_rate", "checkpoint_steps"):
        if not getattr(filled, option) > 0:
            raise UsageError(f"{option} has to be above 0; it is {getattr(filled, option)}.")
    for option in ("weight_decay", "seed", "workers"):
        if (getattr(filled, option) or 0) < 0:
            raise UsageError(f"{option} has to be 0 or more; it is {getattr(filled, option)}.")
    if filled.train_split == filled.test_split:
        raise UsageError(
            f"the training and the test split are both {filled.test_split!r}.",
            hint="Name two different splits.",
        )
    return cast("Callable[[Job], Outcome]", function), filled


def _default_out(dataset_path: str, settings: Settings) -> Path:
    if not Path(dataset_path).is_dir():
        raise UsageError(
            f"{dataset_path} is not a local folder, so the report has no place in it.",
            hint="Say where it goes with --out.",
        )
    name = re.sub(r"[^a-z0-9_-]+", "-", settings.model.lower())
    return Path(dataset_path) / "reports" / "baselines" / f"{name}-{settings.task}"


def _finished(dataset_path: str, settings: Settings, out: Path) -> Result | None:
    """The result in the folder, if it is that of the same data, settings and versions."""
    from kslds import loader

    # What a model from outside or a folder of weights holds is not known without running it.
    result = None if settings.weights or settings.model not in MODELS else metrics.read_report(out)
    if result is None or result.settings != _recorded(settings):
        return None
    stream = loader.load(dataset_path, split=settings.test_split, num_frames=1)
    same = (stream.dataset_sha256, _versions())
    return result if same == (result.dataset_sha256, result.run.get("versions")) else None


def _prepare(
    dataset_path: str, settings: Settings, out: Path, progress: Progress | None
) -> tuple[Job, dict[str, int]]:
    """The job, checked, and the number of unlabelled clips of each split."""
    from kslds import loader

    rows: dict[str, list[dict[str, Any]]] = {}
    for split in (settings.train_split, settings.test_split):
        stream = loader.load(dataset_path, split=split, num_frames=1, rank=0, world_size=1)
        rows[split] = []
        for sample in stream.fields():
            rows[split].append({k: sample[k] for k in ("key", "gloss_id", "emotion", "signer_id")})
            if progress is not None:
                progress(f"labels of {split}", len(rows[split]), len(stream))
    label = "gloss_id" if settings.task == "gloss" else "emotion"
    classes = tuple(
        stream.classes
        if settings.task == "gloss"
        else sorted({row[label] for side in rows.values() for row in side if row[label]})
    )
    index = {name: i for i, name in enumerate(classes)}
    examples = {
        split: tuple(
            Example(
                key=row["key"],
                signer_id=row["signer_id"] or UNKNOWN_SIGNER,
                target=index[row[label]],
            )
            for row in side
            if row[label]
        )
        for split, side in rows.items()
    }
    skipped = {split: len(side) - len(examples[split]) for split, side in rows.items()}
    train, test = examples[settings.train_split], examples[settings.test_split]
    _check(rows, examples, settings)
    job = Job(
        dataset=dataset_path,
        dataset_sha256=stream.dataset_sha256,
        settings=settings,
        classes=classes,
        train=train,
        test=test,
        out=out,
        progress=progress,
    )
    return job, skipped


def _check(
    rows: Mapping[str, list[dict[str, Any]]],
    examples: Mapping[str, tuple[Example, ...]],
    settings: Settings,
) -> None:
    for split, kept in examples.items():
        if not kept:
            raise IncompleteDataset(
                f"the split {split!r} has {len(rows[split])} clips, none with a "
                f"{settings.task} label.",
                hint="Look at the splits with: kslds info DIR.",
            )
    train, test = examples[settings.train_split], examples[settings.test_split]
    both = sorted({e.signer_id for e in train} & {e.signer_id for e in test})
    if both:
        raise SplitLeak(
            f"{len(both)} signers are in both {settings.train_split!r} and "
            f"{settings.test_split!r}: {', '.join(both[:5])}; the accuracy would not be one on "
            "unseen signers.",
            hint="Split by signer: kslds split DIR --by signer.",
        )
    doubled = [key for key, n in Counter(e.key for e in (*train, *test)).items() if n > 1]
    if doubled:
        raise SplitLeak(f"{len(doubled)} clips are listed twice, such as {doubled[0]}.")
    if len({e.target for e in train}) < 2:
        raise IncompleteDataset(
            f"the split {settings.train_split!r} holds one class only; nothing can be learnt.",
            hint="Look at the splits with: kslds info DIR.",
        )


def _class_names(dataset_path: str) -> dict[str, str]:
    """What people call each sign, where the dataset lies here and tells."""
    if not (Path(dataset_path) / "tables" / "signs.parquet").is_file():
        return {}
    signs = manifest.Dataset(dataset_path).read("signs", schema.Sign)
    return {s.gloss_id: s.kk or s.kk_latn or s.ru or s.en or s.gloss_id for s in signs}


def _recorded(settings: Settings) -> dict[str, Any]:
    """The settings for the report, without the path to a local folder of weights."""
    weights = settings.weights
    if weights and Path(weights).expanduser().is_dir():
        weights = Path(weights).name
    return {**asdict(settings), "weights": weights}


def _versions() -> dict[str, str]:
    """Versions of what the numbers depend on, where it is installed."""
    versions = {"python": platform.python_version()}
    for package in ("kslds", "numpy", "scikit-learn", "torch", "transformers", "decord", "av"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
