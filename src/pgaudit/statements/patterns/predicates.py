"""Patterns of how columns are compared: what keeps an index from being used."""

from __future__ import annotations

from collections.abc import Iterator

from pgaudit.statements.facts import Condition, Statement, Use, Value, Wrap
from pgaudit.statements.patterns.match import Match, comparisons, once, place
from pgaudit.statements.patterns.types import casts

_LIKES = frozenset(("LIKE", "ILIKE", "SIMILAR TO", "~", "~*", "~~", "~~*"))
_SEARCHED = frozenset(
    (
        "=", "<", ">", "<=", ">=", "IN", "BETWEEN", "= ANY", "LIKE", "ILIKE", "@>", "@@", "&&",
        "IS NULL",
    )
)  # fmt: skip


def function_on_column(statement: Statement) -> Iterator[Match]:
    """Find a function of a column where an index of the column would have served.

    >>> from pgaudit.statements.patterns.example import example
    >>> [m.expression for m in function_on_column(example("SELECT 1 FROM customer WHERE lower(name) = $1"))]
    ['lower(name)']
    """
    yield from _wrapped(statement, "function")


def arithmetic_on_column(statement: Statement) -> Iterator[Match]:
    """Find arithmetic on a column where it could be on the other side.

    >>> from pgaudit.statements.patterns.example import example
    >>> [m.expression for m in arithmetic_on_column(example("SELECT 1 FROM purchase WHERE id + 1 > $1"))]
    ['(id + 1)']
    """
    yield from _wrapped(statement, "arithmetic")


def cast_on_column(statement: Statement) -> Iterator[Match]:
    """Find an explicit cast of a column to a type with another order.

    >>> from pgaudit.statements.patterns.example import example
    >>> [m.expression for m in cast_on_column(example("SELECT 1 FROM purchase WHERE id::text = $1"))]
    ['(id)::text']
    >>> list(cast_on_column(example("SELECT 1 FROM purchase WHERE note::varchar = $1")))
    []
    """
    for match, use in _wraps(statement, "cast"):
        kind = _type(statement, use)
        if kind is None or casts(kind, use.by):
            yield match


def implicit_cast_on_column(statement: Statement) -> Iterator[Match]:
    """Find a comparison with a type for which the column, not the value, is cast.

    >>> from pgaudit.statements.patterns.example import example
    >>> found = implicit_cast_on_column(example("SELECT 1 FROM purchase WHERE id = $1::numeric"))
    >>> [(m.column, m.expression) for m in found]
    [('id', 'numeric')]
    >>> list(implicit_cast_on_column(example("SELECT 1 FROM purchase WHERE id = $1::integer")))
    []
    >>> text = "SELECT 1 FROM purchase p JOIN customer c ON c.id = p.total"
    >>> [(m.relid, m.other_column) for m in implicit_cast_on_column(example(text))]
    [(1, 'total')]
    """
    for condition in comparisons(statement):
        kind, other = _type(statement, condition.left), condition.right.type
        plain = not condition.left.wrap and condition.operator in _SEARCHED
        if plain and kind and other and casts(kind, other.removesuffix("[]")):
            yield _match(statement, condition.left, expression=other.removesuffix("[]"))
    for join in statement.joins:
        if join.operator not in _SEARCHED:
            continue
        for one, other_use in ((join.left, join.right), (join.right, join.left)):
            kind = _type(statement, one)
            other = other_use.by if other_use.wrap == "cast" else _type(statement, other_use)
            whole = not one.wrap and other_use.wrap in ("", "cast")
            if whole and kind and other and casts(kind, other) and place(statement, one):
                yield _match(statement, one, other_use, expression=other)


def leading_wildcard(statement: Statement) -> Iterator[Match]:
    """Find LIKE with a pattern that begins with a wildcard, or must.

    pg_stat_statements puts a number in the place of a constant, so that the wildcard itself is seldom to
    be seen. But constants are numbered after the parameters that an application sends: in `$2 || $1` the
    first part is a constant, and what else would stand before the text that is looked for; and three
    parts are taken for `'%' || text || '%'`.

    >>> from pgaudit.statements.patterns.example import example
    >>> def found(pattern):
    ...     return len(list(leading_wildcard(example("SELECT 1 FROM purchase WHERE note LIKE " + pattern))))
    >>> found("'%x'"), found("'x%'"), found("$2 || $1 || $3"), found("$1 || $2"), found("$1")
    (1, 0, 1, 0, 0)
    """
    for condition in comparisons(statement):
        if condition.operator in _LIKES and _leading(condition) is True:
            yield _match(statement, condition.left, expression=condition.operator)


def hidden_pattern(statement: Statement) -> Iterator[Match]:
    """Find a match against a pattern of which nothing is known; its cost must tell.

    >>> from pgaudit.statements.patterns.example import example
    >>> [m.expression for m in hidden_pattern(example("SELECT 1 FROM purchase WHERE note ILIKE $1"))]
    ['ILIKE']
    """
    for condition in comparisons(statement):
        if condition.operator in _LIKES and _leading(condition) is None:
            yield _match(statement, condition.left, expression=condition.operator)


def or_across_columns(statement: Statement) -> Iterator[Match]:
    """Find alternatives on different columns, which one index cannot serve: each with the first.

    >>> from pgaudit.statements.patterns.example import example
    >>> text = "SELECT 1 FROM purchase WHERE id = $1 OR note = $2 OR note = $3"
    >>> [(m.column, m.other_column, m.number) for m in or_across_columns(example(text))]
    [('id', 'note', 2)]
    >>> text = "SELECT 1 FROM purchase WHERE id = $1 OR note = $2 OR total = $3"
    >>> [(m.column, m.other_column, m.number) for m in or_across_columns(example(text))]
    [('id', 'note', 3), ('id', 'total', 3)]
    """
    grouped: dict[int, dict[tuple[int | None, str], Use]] = {}
    for condition in comparisons(statement):
        if condition.group:
            use = condition.left
            grouped.setdefault(condition.group, {})[use.table, use.column] = use
    for uses in grouped.values():
        one, *others = uses.values()
        for other in others:
            yield _match(statement, one, other, number=len(uses))


def long_in_list(statement: Statement) -> Iterator[Match]:
    """Find a comparison with a list of ten or more.

    >>> from pgaudit.statements.patterns.example import example
    >>> numbers = ", ".join(f"${n}" for n in range(1, 41))
    >>> [m.number for m in long_in_list(example(f"SELECT 1 FROM purchase WHERE id IN ({numbers})"))]
    [40]
    """
    for condition in comparisons(statement):
        if condition.operator in ("IN", "= ANY", "<> ALL") and condition.right.count >= 10:
            yield _match(statement, condition.left, number=condition.right.count)


def not_in_subquery(statement: Statement) -> Iterator[Match]:
    """Find NOT IN (SELECT …): a NULL inside makes it false for all, so it cannot become an anti-join.

    >>> from pgaudit.statements.patterns.example import example
    >>> text = "SELECT 1 FROM customer WHERE id NOT IN (SELECT customer_id FROM purchase)"
    >>> [(m.relid, m.other_relid, m.other_column) for m in not_in_subquery(example(text))]
    [(1, 2, 'customer_id')]
    """
    for block in statement.blocks:
        if block.place == "not in":
            inner = block.output.columns[0] if block.output.columns else None
            outer = place(statement, block.compared)
            other = place(statement, inner) or next(
                (statement.tables[t] for t in block.tables), None
            )
            yield Match(
                outer.relid if outer else None,
                block.compared.column if block.compared else None,
                other.relid if other else None,
                inner.column if inner else None,
            )


def _leading(condition: Condition) -> bool | None:
    """Say whether the pattern begins with a wildcard, None where that cannot be known."""
    value: Value = condition.right
    if value.kind == "constant":
        text = value.text or ""
        anchored = condition.operator in ("~", "~*")
        return not text.startswith("^") if anchored else text.startswith(("%", "_"))
    if not value.parts:
        return None
    first, *rest = value.parts
    if isinstance(first, str):
        return first.startswith(("%", "_"))
    if first is None:
        return False
    numbers = [part for part in rest if isinstance(part, int)]
    if None in rest or len(value.parts) > 2 or any(number < first for number in numbers):
        return True
    return None


def _wrapped(statement: Statement, wrap: Wrap) -> Iterator[Match]:
    yield from once(match for match, _ in _wraps(statement, wrap))


def _wraps(statement: Statement, wrap: Wrap) -> Iterator[tuple[Match, Use]]:
    for condition in comparisons(statement):
        if condition.left.wrap == wrap and condition.operator in _SEARCHED:
            yield (
                _match(statement, condition.left, expression=condition.left.expression),
                (condition.left),
            )
    for join in statement.joins:
        for one, other in ((join.left, join.right), (join.right, join.left)):
            if one.wrap == wrap and join.clause != "having" and place(statement, one):
                yield _match(statement, one, other, expression=one.expression), one


def _match(
    statement: Statement,
    use: Use,
    other: Use | None = None,
    *,
    expression: str | None = None,
    number: int | None = None,
) -> Match:
    here, there = place(statement, use), place(statement, other)
    return Match(
        here.relid if here else None,
        use.column,
        there.relid if there else None,
        other.column if other else None,
        expression,
        number,
    )


def _type(statement: Statement, use: Use) -> str | None:
    relation = statement.relation(use)
    column = relation.columns.get(use.column) if relation else None
    return column.type if column else None
