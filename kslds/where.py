"""Choosing samples by their fields: ``emotion == 'sad' and num_frames >= 16``.

The expression is parsed as Python and interpreted here, never evaluated: a field, an operator
(``== != < <= > >= in, not in``) and constants, joined by ``and``, ``or``, ``not`` and brackets.
"""

from __future__ import annotations

import ast
import operator
import unicodedata
import warnings
from collections.abc import Callable, Collection, Mapping
from typing import Any

from kslds.errors import UsageError

Row = Mapping[str, Any]
Test = Callable[[Row], Any]

_OPERATORS: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Is: operator.eq,
    ast.IsNot: operator.ne,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_ORDERING = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_LONGEST = 10_000


def parse(text: object, *, columns: Collection[str]) -> Test:
    """A test of rows.

    Args:
        text: The expression.
        columns: Names of the fields that rows have.

    Returns:
        A function from a row to whether it is chosen. An unknown value (None) equals None only,
        and is neither less nor more than anything.

    Raises:
        UsageError: It is not such an expression, or names another field. The function raises
            it where text is compared with a number.
    """
    if not isinstance(text, str) or len(text) > _LONGEST:
        raise UsageError(f"where={text!r:.60}: expected an expression such as emotion == 'sad'.")
    text = unicodedata.normalize("NFC", text).strip()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            tree = ast.parse(text, mode="eval")
        return _Parser(text, columns).test(tree.body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(
            f"where={text!r:.200} cannot be read: {getattr(error, 'msg', error)}.",
            hint="Write it like: emotion == 'sad' and signer_id in ['subject_01', 'subject_02']",
        ) from error


class _Parser:
    def __init__(self, text: str, columns: Collection[str]) -> None:
        self._text, self._columns = text, columns

    def _refuse(self, node: ast.AST) -> UsageError:
        part = ast.get_source_segment(self._text, node) or type(node).__name__
        return UsageError(
            f"where={self._text!r:.200}: {part!r:.60} is not a comparison of a field with "
            "constants.",
            hint="Known are == != < <= > >= in, not in, and, or, not.",
        )

    def test(self, node: ast.expr) -> Test:
        if isinstance(node, ast.BoolOp):
            parts = [self.test(value) for value in node.values]
            every = all if isinstance(node.op, ast.And) else any
            return lambda row: every(part(row) for part in parts)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            inner = self.test(node.operand)
            return lambda row: not inner(row)
        if isinstance(node, ast.Compare):
            return self._compare(node)
        raise self._refuse(node)

    def _compare(self, node: ast.Compare) -> Test:
        sides = [self._value(n) for n in (node.left, *node.comparators)]
        if not any(isinstance(n, ast.Name) for n in (node.left, *node.comparators)):
            raise self._refuse(node)
        for kind, other in zip(node.ops, node.comparators, strict=True):
            listed = isinstance(other, ast.List | ast.Tuple | ast.Set)
            if listed is not isinstance(kind, ast.In | ast.NotIn):
                raise self._refuse(node)
        ops = [(_OPERATORS[type(op)], isinstance(op, _ORDERING)) for op in node.ops]

        def compare(row: Row) -> bool:
            values = [side(row) for side in sides]
            for (op, ordering), left, right in zip(ops, values, values[1:], strict=False):
                if ordering and (left is None or right is None):
                    return False
                try:
                    if not op(left, right):
                        return False
                except TypeError as error:
                    raise UsageError(
                        f"where={self._text!r:.200}: {left!r:.40} and {right!r:.40} cannot be "
                        "compared."
                    ) from error
            return True

        return compare

    def _value(self, node: ast.expr) -> Test:
        if isinstance(node, ast.Name):
            name = node.id
            if name not in self._columns:
                raise UsageError(
                    f"where={self._text!r:.200}: there is no field {name!r}; there are "
                    f"{', '.join(sorted(self._columns))}."
                )
            return lambda row: row[name]
        constant = self._constant(node)
        return lambda row: constant

    def _constant(self, node: ast.expr) -> Any:
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            return tuple(self._constant(element) for element in node.elts)
        if (
            isinstance(node, ast.UnaryOp)
            and isinstance(node.op, ast.USub)
            and isinstance(node.operand, ast.Constant)
            and type(node.operand.value) in (int, float)
        ):
            return -node.operand.value  # type: ignore[operator]
        if isinstance(node, ast.Constant) and (
            node.value is None or isinstance(node.value, str | int | float)
        ):
            return node.value
        raise self._refuse(node)
