"""A small dataset that several test files read: six signers, two signs, painted frames."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from kslds import recipe as recipes
from kslds.manifest import Dataset
from tests.painting import record


def write_small(root: Path) -> Path:
    """Media, annotations, signers and a recipe; returns the recipe's path."""
    media = root / "media"
    media.mkdir(parents=True)
    rows = []
    for signer in range(6):
        options = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-crf", "18")
        # The number of frames differs, so that no two recordings hold the same bytes.
        record(media / f"s{signer}.mp4", num_frames=70 + signer, options=options)
        for take in range(4):
            rows.append(
                {
                    "recording": f"s{signer}.mp4",
                    "gloss": ("әке", "әпке")[take % 2],
                    "start": 15 * take + signer,
                    "end": 15 * take + 12 + signer,
                    "unit": "frame",
                    "signer": f"subject_{signer:02d}",
                    # Only some rows have an emotion: the type must not be guessed from the rest.
                    "emotion": "sad" if take == 2 else "",
                }
            )
    with (root / "annotations.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    signers = ["signer_id,consent_scope", *(f"subject_{s:02d},publication" for s in range(6))]
    (root / "signers.csv").write_text("\n".join(signers) + "\n")
    path = root / "recipe.toml"
    path.write_text(
        """
name = "small"
licence = "CC0-1.0"
[ingest]
media = "media"
annotations = "annotations.csv"
signers = "signers.csv"
[lexicon]
file = "nspcrsie"
[clips]
size = 64
fit = "stretch"
[split]
fractions = { train = 0.67, test = 0.33 }
[shards]
encodings = ["h264", "jpeg"]
""",
        encoding="utf-8",
    )
    return path


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The small dataset, built; tests must not change it."""
    root = tmp_path_factory.mktemp("small")
    recipe = recipes.read(write_small(root))
    return recipes.build(recipe, out=root / "dataset")
