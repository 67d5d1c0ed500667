"""TimeSformer, VideoMAE and ViViT, fine-tuned as in the KSL-Emo paper.

The architectures and their Kinetics-400 weights come from Hugging Face
``transformers``; the training loop is our own, so that it can stop at any step and
go on to the same weights. Nothing pickled is ever read: weights and checkpoints are
safetensors.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kslds import manifest
from kslds.baselines import Job, Outcome
from kslds.engine import num_cores
from kslds.errors import (
    CorruptData,
    HubError,
    KsldsError,
    MissingExtra,
    MissingFile,
    UsageError,
)

_MAX_JSON_BYTES = 4 << 20


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """How pixels of 0 to 255 become what a model was trained on.

    ``(pixel * scale - offset - mean) / std``, mean and std per colour.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    scale: float = 1 / 255
    offset: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Family:
    """One architecture in ``transformers``."""

    model_type: str
    """What ``config.json`` calls it."""
    config_class: str
    model_class: str
    normalisation: Normalisation
    """For training from scratch, and for weights without a ``preprocessor_config.json``."""
    base: Mapping[str, Any] = field(default_factory=dict)
    """What differs from the config's defaults, which are those of the base size."""
    patches: Mapping[str, Any] = field(default_factory=lambda: {"patch_size": 16})
    frames_per_token: int = 1


_IMAGENET = Normalisation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
_VIDEOMAE = {
    "model_type": "videomae",
    "config_class": "VideoMAEConfig",
    "model_class": "VideoMAEForVideoClassification",
    "normalisation": _IMAGENET,
    "frames_per_token": 2,
}
# Means and deviations: the preprocessor configs of the checkpoints in `DEFAULTS`; of ViViT
# the [-1, 1] of the original code (the checkpoint's config scales twice, to [-3, 1]; with
# those weights that is followed, as transformers does).
FAMILIES: Mapping[str, Family] = {
    "timesformer": Family(
        model_type="timesformer",
        config_class="TimesformerConfig",
        model_class="TimesformerForVideoClassification",
        normalisation=Normalisation(mean=(0.45,) * 3, std=(0.225,) * 3),
    ),
    "videomae-base": Family(**_VIDEOMAE),  # type: ignore[arg-type]
    "videomae-small": Family(
        **_VIDEOMAE,  # type: ignore[arg-type]
        base={"hidden_size": 384, "num_attention_heads": 6, "intermediate_size": 1536},
    ),
    "vivit": Family(
        model_type="vivit",
        config_class="VivitConfig",
        model_class="VivitForVideoClassification",
        normalisation=Normalisation(mean=(0.5,) * 3, std=(0.5,) * 3),
        patches={"tubelet_size": [2, 16, 16]},
        frames_per_token=2,
    ),
}

TINY: Mapping[str, int] = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 128,
    "image_size": 112,
}
"""Config of `Settings.tiny`."""


def fit(job: Job) -> Outcome:
    """Fine-tune on the training split and predict the test split.

    Leaves the trained model in ``model/``, in the format that `Settings.weights` takes,
    and its checkpoint in ``checkpoint.safetensors``; an existing checkpoint of the same
    run is gone on from.

    Raises:
        MissingExtra: torch or transformers is not installed.
        MissingFile: The weights are not here and cannot be fetched.
        UsageError: The weights are of another kind or number of frames, or the checkpoint is
            that of another run.
        CorruptData: Weights or checkpoint are damaged or incomplete.
    """
    for package in ("torch", "transformers"):
        if find_spec(package) is None:
            raise MissingExtra(package, extra="train")
    import torch

    # The caller's random state is left as it was.
    with torch.random.fork_rng(range(torch.cuda.device_count())), _quiet():
        torch.manual_seed(job.settings.seed)
        model, normalisation, facts = _build(job)
        trainer = _Trainer(job, model=model, normalisation=normalisation, facts=facts)
        resumed = trainer.resume()
        began = time.monotonic()
        trainer.train()
        seconds = time.monotonic() - began
        predicted = trainer.predict()
        _save_model(job.out / "model", model, normalisation)
    return Outcome(
        predicted=predicted,
        train_seconds=seconds,
        facts=facts,
        run={
            "device": str(trainer.device),
            "precision": str(trainer.precision).removeprefix("torch."),
            "resumed_from_step": resumed,
        },
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars and load reports of transformers on somebody's screen."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


# ------------------------------------------------------------------------------ models


def _build(job: Job) -> tuple[Any, Normalisation, dict[str, Any]]:
    """The model with a new head for the job's classes, and what is known about it."""
    import transformers
    from torch import nn

    settings = job.settings
    family = FAMILIES[settings.model]
    labels = {
        "id2label": dict(enumerate(job.classes)),
        "label2id": {name: i for i, name in enumerate(job.classes)},
    }
    facts: dict[str, Any] = {}
    config_class = getattr(transformers, family.config_class)
    model_class = getattr(transformers, family.model_class)
    if settings.weights is None:
        if (settings.num_frames or 0) % family.frames_per_token:
            raise UsageError(
                f"{settings.model} takes frames in groups of {family.frames_per_token}; "
                f"num_frames is {settings.num_frames}."
            )
        sizes = {**family.base, **(TINY if settings.tiny else {}), **family.patches}
        model = model_class(config_class(num_frames=settings.num_frames, **sizes, **labels))
        normalisation = family.normalisation
    else:
        folder = weights_folder(settings.weights)
        _check_config(folder, family=family, settings_frames=settings.num_frames)
        config = config_class.from_pretrained(folder, local_files_only=True, **labels)
        model = _load(model_class, folder, config=config)
        normalisation = _normalisation(folder, default=family.normalisation)
        facts = {"weights_sha256": _weights_sha256(folder)}
    # A head that happens to have the right size would otherwise be kept.
    nn.init.normal_(model.classifier.weight, std=model.config.initializer_range)
    nn.init.zeros_(model.classifier.bias)
    facts |= {
        "parameters": sum(p.numel() for p in model.parameters()),
        "normalisation": asdict(normalisation),
    }
    return model.float(), normalisation, facts


def _load(model_class: Any, folder: Path, *, config: Any) -> Any:
    """The weights of a folder, all but the head."""
    from safetensors import SafetensorError

    try:
        model, info = model_class.from_pretrained(
            folder,
            config=config,
            ignore_mismatched_sizes=True,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise CorruptData(
            f"the weights in {folder} cannot be read: {error}.", hint="Fetch them again."
        ) from error
    names = [*info["missing_keys"], *(entry[0] for entry in info["mismatched_keys"])]
    lacking = sorted(name for name in names if not name.startswith("classifier."))
    if lacking:
        raise CorruptData(
            f"the weights in {folder} lack {len(lacking)} tensors of the model, or have them in "
            f"another size: {', '.join(lacking[:3])}.",
            hint="Name weights of the same architecture and size.",
        )
    return model


def weights_folder(weights: str) -> Path:
    """The folder of a local or published model, fetched from the Hub where necessary.

    Only its configs and safetensors are fetched.

    Args:
        weights: A folder, or ``org/name`` with an optional ``@revision``.

    Raises:
        MissingFile: There is no such folder, or it holds no safetensors.
        HubError: The Hub cannot be reached, and the weights are not in its cache.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    folder = Path(weights).expanduser()
    name, _, revision = weights.partition("@")
    if not folder.is_dir():
        if name.count("/") != 1 or name.startswith((".", "/", "~")):
            raise MissingFile(
                f"there is no folder {weights!r} with weights.",
                hint="Name a folder, or a model on the Hub as org/name or org/name@revision.",
            )
        try:
            fetched = snapshot_download(
                name,
                revision=revision or None,
                allow_patterns=["config.json", "preprocessor_config.json", "model*.safetensors*"],
            )
        except HFValidationError as error:
            raise UsageError(f"{weights!r} is not a name on the Hub: {error}.") from error
        except OSError as error:
            raise HubError(
                f"the weights {weights!r} are not on this machine and cannot be fetched: "
                f"{_first_line(error)}",
                hint="Fetch them where there is a network (hf download "
                f"{name}{' --revision ' + revision if revision else ''} --local-dir DIR) and "
                "name the folder with --weights, or train with --from-scratch.",
            ) from error
        folder = Path(fetched)
    if not (folder / "config.json").is_file() or not any(folder.glob("model*.safetensors")):
        raise MissingFile(
            f"{weights} does not hold config.json and model.safetensors; pickled weights "
            "(*.bin) are not read, since reading them can run any code.",
            hint="On the Hub, look among the model's pull requests for 'Adding safetensors "
            "variant' and name it as org/name@refs/pr/NUMBER.",
        )
    return folder


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise ValueError(f"it has more than {_MAX_JSON_BYTES} bytes")
        document = json.loads(path.read_bytes())
        if not isinstance(document, dict):
            raise ValueError("it does not hold an object")
    except (OSError, ValueError) as error:
        raise CorruptData(f"{path} cannot be read: {error}.") from error
    return document


def _check_config(folder: Path, *, family: Family, settings_frames: int | None) -> None:
    config = _read_json(folder / "config.json")
    if config.get("model_type") != family.model_type:
        raise UsageError(
            f"{folder} holds a model of type {config.get('model_type')!r}; expected "
            f"{family.model_type!r}.",
            hint="Choose the --model that belongs to these weights.",
        )
    frames = config.get("num_frames", settings_frames)
    if frames != settings_frames:
        raise UsageError(
            f"the weights in {folder} take {frames} frames; num_frames is {settings_frames}."
        )


def _normalisation(folder: Path, *, default: Normalisation) -> Normalisation:
    """What the folder's image processor does to pixels."""
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        return default
    config = _read_json(path)
    # The processor of ViViT subtracts 1 unless told not to; the others have no such option.
    is_vivit = "vivit" in str(config.get("image_processor_type", "")).lower()
    rescales = config.get("do_rescale", True)
    normalises = config.get("do_normalize", True)
    try:
        mean = _three(config.get("image_mean", default.mean)) if normalises else (0.0,) * 3
        std = _three(config.get("image_std", default.std)) if normalises else (1.0,) * 3
        scale = float(config.get("rescale_factor", 1 / 127.5 if is_vivit else 1 / 255))
        if min(std) <= 0 or not math.isfinite(scale):
            raise ValueError("image_std has to be above 0 and rescale_factor finite")
    except (TypeError, ValueError) as error:
        raise CorruptData(f"{path} is not a usable image processor: {error}.") from error
    offset = 1.0 if rescales and config.get("offset", is_vivit) else 0.0
    return Normalisation(mean=mean, std=std, scale=scale if rescales else 1.0, offset=offset)


def _three(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    if not all(map(math.isfinite, (red, green, blue))):
        raise ValueError("a value is not finite")
    return red, green, blue


def _weights_sha256(folder: Path) -> str:
    """One hash over all files of weights."""
    digests = [manifest.sha256_file(path) for path in sorted(folder.glob("model*.safetensors"))]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _save_model(folder: Path, model: Any, normalisation: Normalisation) -> None:
    """Write the model whole or not at all, so that it can serve as `Settings.weights`."""
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    model.save_pretrained(temporary)
    processor = {
        "do_rescale": True,
        "do_normalize": True,
        "image_mean": normalisation.mean,
        "image_std": normalisation.std,
        "rescale_factor": normalisation.scale,
        "offset": bool(normalisation.offset),
    }
    manifest.write_bytes(temporary / "preprocessor_config.json", manifest.readable_json(processor))
    if folder.exists():
        shutil.rmtree(folder)
    temporary.replace(folder)


# ---------------------------------------------------------------------------- training


class _Trainer:
    """Trains one model; its state after any step fits into a checkpoint."""

    def __init__(
        self, job: Job, *, model: Any, normalisation: Normalisation, facts: Mapping[str, Any]
    ) -> None:
        import torch

        settings = job.settings
        self._job, self._settings = job, settings
        self.device = _device(settings.device)
        self.precision = torch.float32
        if self.device.type == "cuda":
            native = torch.cuda.get_device_capability(self.device) >= (8, 0)
            self.precision = torch.bfloat16 if native else torch.float16
        self._model = model.to(self.device)
        size = model.config.image_size
        self._size: int = size if isinstance(size, int) else size[0]
        self._scale = normalisation.scale
        self._mean = self._column(normalisation.mean) + normalisation.offset
        self._std = self._column(normalisation.std)
        self._optimizer = torch.optim.AdamW(
            model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        half = self.precision is torch.float16
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=half)
        self._step, self._seen = 0, 0
        self._steps_per_epoch = -(-len(job.train) // (settings.batch_size or 1))
        self._total = self._steps_per_epoch * (settings.epochs or 0)
        self._checkpoint = job.out / "checkpoint.safetensors"
        # What the weights after a step depend on; not where and how fast they are computed.
        aside = ("device", "workers", "checkpoint_steps", "weights", "test_split")
        run = {name: value for name, value in asdict(settings).items() if name not in aside}
        run |= {"dataset_sha256": job.dataset_sha256, "classes": list(job.classes), **facts}
        self._identity: dict[str, Any] = json.loads(manifest.canonical_json(run))

    def _column(self, values: tuple[float, ...]) -> Any:
        import torch

        return torch.tensor(values, dtype=torch.float32, device=self.device).reshape(-1, 1, 1)

    # what goes in

    def _batches(self, *, epoch: int | None) -> Iterator[tuple[list[str], Any]]:
        """Keys and uint8 (B, T, 3, H, W) of the labelled clips.

        Of the training split in the order of an epoch, from where it stands; of the test
        split where `epoch` is None. Batches are made here and not in the workers, so that
        they are the same with any number of workers.
        """
        import torch
        from torch.utils.data import DataLoader

        settings, training = self._settings, epoch is not None
        stream = self._job.stream(
            settings.train_split if training else settings.test_split,
            output="torch",
            shuffle=training,
            seed=settings.seed,
            rank=0,
            world_size=1,
        )
        stream.set_epoch(epoch or 0)
        if training and self._seen:
            stream.load_state_dict(stream.state_dict(batches=self._seen))
        workers = settings.workers
        if workers is None:
            workers = min(8, num_cores()) if self.device.type == "cuda" else 0
        wanted = {e.key for e in (self._job.train if training else self._job.test)}
        keys: list[str] = []
        videos: list[Any] = []
        for sample in DataLoader(stream, batch_size=None, num_workers=workers):
            # Counts unlabelled clips too: it is a place in the stream.
            self._seen += training
            if sample["key"] in wanted:
                keys.append(sample["key"])
                videos.append(_resized(sample["video"], self._size))
            if len(keys) == settings.batch_size:
                yield keys, torch.stack(videos)
                keys, videos = [], []
        if keys:
            yield keys, torch.stack(videos)

    def _logits(self, videos: Any) -> Any:
        import torch

        pixels = videos.to(self.device).float() * self._scale
        pixels = (pixels - self._mean) / self._std
        reduced = self.precision is not torch.float32
        with torch.autocast(self.device.type, dtype=self.precision, enabled=reduced):
            logits = self._model(pixel_values=pixels).logits
        return logits.float()

    # learning

    def train(self) -> None:
        """Train from where it stands to the end, with checkpoints on the way."""
        targets, settings = self._job.targets(self._job.train), self._settings
        self._model.train()
        while self._step < self._total:
            epoch = self._step // self._steps_per_epoch
            end = (epoch + 1) * self._steps_per_epoch
            for keys, videos in self._batches(epoch=epoch):
                loss = self._learn(videos, [targets[key] for key in keys])
                due = self._step % settings.checkpoint_steps == 0 or self._step == end
                if due and not math.isfinite(loss.item()):
                    raise KsldsError(
                        f"training came apart: the loss of step {self._step} is {loss.item()}.",
                        hint=f"Lower --learning-rate; it is {settings.learning_rate:g}.",
                    )
                if due and self._step < end:
                    self._save()
                if self._job.progress is not None:
                    self._job.progress("train", self._step, self._total)
            if self._step != end:
                raise CorruptData(
                    f"epoch {epoch} had {self._step + self._steps_per_epoch - end} batches instead "
                    f"of {self._steps_per_epoch}: the dataset changed while it was read.",
                    hint="Run the command again when nothing writes to the dataset.",
                )
            self._seen = 0
            self._save()

    def _learn(self, videos: Any, targets: list[int]) -> Any:
        """One step of AdamW; the rate falls linearly to 0, gradients are clipped to norm 1."""
        import torch

        # Dropout draws the same whether or not the run was interrupted before.
        torch.manual_seed((self._settings.seed * 1_000_003 + self._step) % 2**63)
        for group in self._optimizer.param_groups:
            rate = self._settings.learning_rate or 0.0
            group["lr"] = rate * (1 - self._step / self._total)
        wanted = torch.tensor(targets, device=self.device)
        loss = torch.nn.functional.cross_entropy(self._logits(videos), wanted)
        self._optimizer.zero_grad()
        self._scaler.scale(loss).backward()
        self._scaler.unscale_(self._optimizer)
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._step += 1
        return loss.detach()

    def predict(self) -> dict[str, int]:
        """Key of every test clip to the index of the likeliest class."""
        import torch

        predicted: dict[str, int] = {}
        self._model.eval()
        with torch.inference_mode():
            for keys, videos in self._batches(epoch=None):
                guesses = self._logits(videos).argmax(dim=1).tolist()
                predicted |= dict(zip(keys, guesses, strict=True))
                if self._job.progress is not None:
                    self._job.progress("predict", len(predicted), len(self._job.test))
        return predicted

    # stopping and going on

    def _save(self) -> None:
        """Write the checkpoint; after the last step without what only training needs."""
        from safetensors.torch import save_file

        tensors = {f"model.{name}": t for name, t in self._model.state_dict().items()}
        if self._step < self._total:
            for name, parameter in self._model.named_parameters():
                for kind, value in self._optimizer.state[parameter].items():
                    tensors[f"optimizer.{kind}.{name}"] = value
        state = {
            "step": self._step,
            "seen": self._seen,
            "scaler": self._scaler.state_dict(),
            "identity": self._identity,
        }
        metadata = {"state": manifest.canonical_json(state).decode()}
        with manifest.write_atomic(self._checkpoint) as file:
            # It replaces the open file by another of the same name, which has to be on
            # disk before it gets its final one.
            save_file({n: t.contiguous() for n, t in tensors.items()}, file.name, metadata)
            with Path(file.name).open("rb") as written:
                os.fsync(written.fileno())

    def resume(self) -> int:
        """Go to where the checkpoint was written, if there is one; returns the step.

        Raises:
            UsageError: It belongs to a run with other settings or data.
            CorruptData: It cannot be read.
        """
        from safetensors import SafetensorError, safe_open

        if not self._checkpoint.is_file():
            return 0
        restart = f"Delete {self._checkpoint}, or choose another folder with --out."
        try:
            with safe_open(self._checkpoint, framework="pt") as file:
                state = json.loads((file.metadata() or {})["state"])
                theirs, mine = state["identity"], self._identity
                differing = [
                    f"{name} is {theirs.get(name)!r} there and {mine.get(name)!r} here"
                    for name in sorted(theirs.keys() | mine.keys())
                    if theirs.get(name) != mine.get(name)
                ]
                if differing:
                    raise UsageError(
                        f"{self._checkpoint} belongs to another run: {'; '.join(differing[:3])}.",
                        hint=restart,
                    )
                self._restore({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
            if state["scaler"]:
                self._scaler.load_state_dict(state["scaler"])
            self._step, self._seen = int(state["step"]), int(state["seen"])
        except UsageError:
            raise
        except (SafetensorError, RuntimeError, ValueError, KeyError, TypeError) as error:
            raise CorruptData(
                f"{self._checkpoint} is damaged: {_first_line(error)}", hint=restart
            ) from error
        return self._step

    def _restore(self, tensors: Mapping[str, Any]) -> None:
        prefix = "model."
        self._model.load_state_dict(
            {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
        )
        for name, parameter in self._model.named_parameters():
            found = {
                kind: tensors[f"optimizer.{kind}.{name}"]
                for kind in ("step", "exp_avg", "exp_avg_sq")
                if f"optimizer.{kind}.{name}" in tensors
            }
            # AdamW keeps its count of steps on the CPU.
            self._optimizer.state[parameter] = {
                kind: t if kind == "step" else t.to(self.device) for kind, t in found.items()
            }


def _device(name: str | None) -> Any:
    import torch

    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"the device {name!r} cannot be used: {_first_line(error)}",
            hint="Use cpu, or leave it out to take what there is.",
        ) from error
    return device


def _resized(video: Any, size: int) -> Any:
    """uint8 (T, 3, H, W) as (T, 3, size, size); clips of another size are stretched."""
    import torch

    if tuple(video.shape[-2:]) == (size, size):
        return video
    scaled = torch.nn.functional.interpolate(
        video.float(), size=(size, size), mode="bilinear", antialias=True
    )
    return scaled.round().clamp(0, 255).to(torch.uint8)
