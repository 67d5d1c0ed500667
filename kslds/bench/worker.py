"""A process that does one run: ``python -m kslds.bench.worker``, with the job on stdin."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path

from kslds.bench.measure import peak_mb


def main() -> None:
    """Call what the job names, and write what it returns to the file that the job names."""
    job = json.load(sys.stdin)
    module, _, name = job["call"].partition(":")
    answer = getattr(import_module(module), name)(**job["arguments"])
    Path(job["answer"]).write_text(json.dumps({**answer, "own_peak_mb": peak_mb()}))


if __name__ == "__main__":
    main()
