"""Every exception that kslds raises on purpose.

::

    KsldsError
    ├── UsageError (ValueError)            what the user typed or wrote is wrong        exit 2
    │   └── RecipeError                    a recipe key, value or type
    ├── MissingFile (FileNotFoundError)    a path that has to exist does not
    ├── AnnotationError (ValueError)       an annotation file cannot be read as declared
    ├── MediaError (RuntimeError)          a recording cannot be opened or decoded
    ├── EncodeError (RuntimeError)         an encoder failed, or wrote what was not asked
    ├── ValidationFailed (ValueError)      validation found errors; carries the issues
    ├── SplitLeak (ValueError)             a signer, recording or clip on two sides
    ├── ConsentError (PermissionError)     publication without the signers' consent
    ├── IncompleteDataset (RuntimeError)   an earlier stage has not run or was cut short
    ├── CorruptData (RuntimeError)         stored bytes do not match their recorded hash
    ├── UnbalancedBooks (RuntimeError)     a stage lost or invented rows
    ├── HubError (RuntimeError)            the Hub refused or returned something else
    └── MissingExtra (ImportError)         an optional dependency is not installed

Bad rows in the data are values (`kslds.schema.Issue`), not exceptions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kslds.schema import Issue


class KsldsError(Exception):
    """Base of all errors of the package.

    Args:
        what: What went wrong, where, and what was expected, in one or two sentences.
        hint: What the user can do next.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what} {self.hint}" if self.hint else self.what


class UsageError(KsldsError, ValueError):
    """What the user typed cannot be carried out as written."""

    exit_code = 2


class RecipeError(UsageError):
    """A recipe has an unknown key, a wrong type or a value out of range."""


class MissingFile(KsldsError, FileNotFoundError):
    """A file or folder that has to exist does not."""


class AnnotationError(KsldsError, ValueError):
    """An annotation file cannot be read the way the recipe says."""


class MediaError(KsldsError, RuntimeError):
    """A recording cannot be opened or decoded.

    Args:
        code: The stable code (`K101` …) that the dropped row gets.
    """

    def __init__(self, what: str, *, code: str, hint: str | None = None) -> None:
        super().__init__(what, hint=hint)
        self.code = code


class EncodeError(KsldsError, RuntimeError):
    """An encoder failed, or its output is not what went in."""


class ValidationFailed(KsldsError, ValueError):
    """Validation found errors; `issues` holds all of them."""

    def __init__(self, what: str, *, issues: Sequence[Issue], hint: str | None = None) -> None:
        super().__init__(what, hint=hint)
        self.issues = tuple(issues)


class SplitLeak(KsldsError, ValueError):
    """A signer, a recording or a byte-identical clip would be on two sides of a split."""


class ConsentError(KsldsError, PermissionError):
    """Clips of a signer who has not consented to publication would be published."""


class IncompleteDataset(KsldsError, RuntimeError):
    """A stage needs what an earlier stage has not (completely) written."""


class CorruptData(KsldsError, RuntimeError):
    """Stored bytes do not match their recorded size or hash."""


class UnbalancedBooks(KsldsError, RuntimeError):
    """A stage's rows in are not its rows out plus its dropped rows."""


class HubError(KsldsError, RuntimeError):
    """The Hub refused a request or holds something other than what was sent."""


class MissingExtra(KsldsError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, *, extra: str) -> None:
        super().__init__(
            f"this needs the package {package!r}, which is not installed.",
            hint=f'Install it with: pip install "kslds[{extra}]"',
        )
