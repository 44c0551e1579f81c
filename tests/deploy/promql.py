"""Evaluates the part of PromQL that our alerts use, over the syntax tree of a real parser of the language.

No package carries promtool. What stands here follows Prometheus: staleness after five minutes, `increase` extrapolated
to its window, set operators by labels. Anything else is refused, so that no alert is judged by half a language.
"""

import itertools
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import promql_parser as ast

Labels = frozenset[tuple[str, str]]
Vector = dict[Labels, float]
Value = Vector | float
LOOKBACK: Final = 300.0
_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}
_COUNT: Final[dict[str, Callable[[float, float], float]]] = {"-": operator.sub, "*": operator.mul}
_REDUCE: Final[dict[str, Callable[[Iterable[float]], float]]] = {"max": max, "sum": sum}


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One time series: its labels, its name among them, and (second, value) in order."""

    labels: Labels
    samples: Sequence[tuple[float, float]]


def evaluate(expression: str, series: Sequence[Series], now: float) -> Vector:
    """Give what an alert's expression comes to at a moment. Raises ValueError for what is not known here."""
    value = _Moment(series, now).value(ast.parse(expression))
    assert isinstance(value, dict), "an alert's expression gives series, not a number"
    return value


class _Moment:
    """All series at one moment."""

    def __init__(self, series: Sequence[Series], now: float) -> None:
        self._series = series
        self._now = now

    def value(self, tree: Any) -> Value:
        match tree:
            case ast.ParenExpr():
                return self.value(tree.expr)
            case ast.NumberLiteral():
                return float(tree.val)
            case ast.VectorSelector():
                return self._latest(tree)
            case ast.AggregateExpr():
                return self._aggregated(tree)
            case ast.Call():
                return self._called(tree)
            case ast.BinaryExpr():
                return self._combined(tree)
            case _:
                raise ValueError(f"{type(tree).__name__} is not known here: teach tests/deploy/promql.py")

    def _vector(self, tree: Any) -> Vector:
        value = self.value(tree)
        assert isinstance(value, dict), "series are needed here, not a number"
        return value

    def _latest(self, selector: Any) -> Vector:
        found, now = {}, self._now - (selector.offset or timedelta(0)).total_seconds()
        for each in self._selected(selector):
            fresh = [value for second, value in each.samples if now - LOOKBACK < second <= now]
            if fresh:
                found[each.labels] = fresh[-1]
        return found

    def _selected(self, selector: Any) -> list[Series]:
        assert selector.at is None, "@ is not known here"
        return [
            each
            for each in self._series
            if dict(each.labels)["__name__"] == selector.name
            and all(_matches(matcher, dict(each.labels)) for matcher in selector.matchers.matchers)
        ]

    def _aggregated(self, tree: Any) -> Vector:
        assert tree.modifier.type == ast.AggModifierType.By, "only `by` is known here"
        groups: dict[Labels, list[float]] = {}
        for labels, value in self._vector(tree.expr).items():
            groups.setdefault(_only(labels, tree.modifier.labels), []).append(value)
        return {labels: _REDUCE[str(tree.op)](values) for labels, values in groups.items()}

    def _called(self, call: Any) -> Value:
        match call.func.name:
            case "time":
                return self._now
            case "absent":
                return {} if self._vector(call.args[0]) else {_equalities(call.args[0]): 1.0}
            case "increase":
                (matrix,) = call.args
                assert matrix.vector_selector.offset is None, "offset is not known of a range"
                window = matrix.range.total_seconds()
                grown = {
                    _nameless(each.labels): _increase(each.samples, self._now - window, self._now)
                    for each in self._selected(matrix.vector_selector)
                }
                return {labels: value for labels, value in grown.items() if value is not None}
            case other:
                raise ValueError(f"{other}() is not known here: teach tests/deploy/promql.py")

    def _combined(self, tree: Any) -> Value:
        name = str(tree.op)
        left, right = self.value(tree.lhs), self.value(tree.rhs)
        if isinstance(left, dict) and isinstance(right, dict) and name in {"and", "or", "unless"}:
            return _set_operation(name, left, right, tree.modifier)
        if name in _COUNT:
            return _counted(_COUNT[name], left, right)
        if name in _COMPARE and isinstance(left, dict):
            return _compared(_COMPARE[name], left, right)
        raise ValueError(f"{name} between these is not known here: teach tests/deploy/promql.py")


def _matches(matcher: Any, labels: Mapping[str, str]) -> bool:
    same = bool(labels.get(matcher.name, "") == matcher.value)
    match matcher.op:
        case ast.MatchOp.Equal:
            return same
        case ast.MatchOp.NotEqual:
            return not same
        case _:
            raise ValueError("matching by a pattern is not known here")


def _only(labels: Labels, names: Iterable[str]) -> Labels:
    return frozenset(pair for pair in labels if pair[0] in set(names))


def _nameless(labels: Labels) -> Labels:
    return frozenset(pair for pair in labels if pair[0] != "__name__")


def _equalities(selector: Any) -> Labels:
    """Give the labels that absent() gives: those that the selector demands."""
    return frozenset((each.name, each.value) for each in selector.matchers.matchers if each.op == ast.MatchOp.Equal)


def _set_operation(name: str, left: Vector, right: Vector, modifier: Any) -> Vector:
    on = modifier.matching.labels if modifier and modifier.matching else None

    def key(labels: Labels) -> Labels:
        return _nameless(labels) if on is None else _only(labels, on)

    theirs = {key(labels) for labels in right}
    match name:
        case "and":
            return {labels: value for labels, value in left.items() if key(labels) in theirs}
        case "unless":
            return {labels: value for labels, value in left.items() if key(labels) not in theirs}
        case _:
            ours = {key(labels) for labels in left}
            return left | {labels: value for labels, value in right.items() if key(labels) not in ours}


def _counted(count: Callable[[float, float], float], left: Value, right: Value) -> Value:
    if isinstance(left, dict) and isinstance(right, dict):
        theirs = {_nameless(labels): value for labels, value in right.items()}
        ours = {_nameless(labels): value for labels, value in left.items()}
        return {labels: count(value, theirs[labels]) for labels, value in ours.items() if labels in theirs}
    if isinstance(left, dict):
        assert not isinstance(right, dict)
        return {_nameless(labels): count(value, right) for labels, value in left.items()}
    if isinstance(right, dict):
        return {_nameless(labels): count(left, value) for labels, value in right.items()}
    return count(left, right)


def _compared(compare: Callable[[float, float], bool], left: Vector, right: Value) -> Vector:
    """Keep what compares so; a comparison filters and keeps the left value, with its name."""
    if not isinstance(right, dict):
        return {labels: value for labels, value in left.items() if compare(value, right)}
    theirs = {_nameless(labels): value for labels, value in right.items()}
    return {
        labels: value
        for labels, value in left.items()
        if _nameless(labels) in theirs and compare(value, theirs[_nameless(labels)])
    }


def _increase(samples: Sequence[tuple[float, float]], begin: float, end: float) -> float | None:
    """Give how much a counter grew in a window, extrapolated as Prometheus does (`extrapolatedRate`)."""
    inside = [(second, value) for second, value in samples if begin <= second <= end]
    if len(inside) < 2:
        return None
    (first, start), (last, _) = inside[0], inside[-1]
    grown = 0.0
    for (_, before), (_, after) in itertools.pairwise(inside):
        grown += after - before if after >= before else after  # a restarted process counts from nothing
    sampled = last - first
    between = sampled / (len(inside) - 1)
    to_begin, to_end = first - begin, end - last
    if to_begin >= between * 1.1:
        to_begin = between / 2
    if grown > 0 and start >= 0:
        to_begin = min(to_begin, sampled * start / grown)  # a counter is never below nothing
    if to_end >= between * 1.1:
        to_end = between / 2
    return grown * (sampled + to_begin + to_end) / sampled
