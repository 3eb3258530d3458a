"""What it costs to read the statements of a large workload: 5,000 different texts, every pattern.

    PYTHONPATH=src python tests/benchmarks/statements.py

The texts are made, as ORMs and people write them: one table to six, up to thirty columns. The target is
1.5 s on one core for 5,000 of them, parsed, resolved and matched against every pattern.
"""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Callable
from typing import TypeVar

from pgaudit.postgres.workload import words
from pgaudit.statements import read, tree
from pgaudit.statements.facts import Statement
from pgaudit.statements.patterns import PATTERNS
from pgaudit.statements.schema import Column, ForeignKey, Relation, Schema

MANY = 5_000
TABLES = 400
COLUMNS = 24
Made = TypeVar("Made")


def schema() -> Schema:
    def relation(number: int) -> Relation:
        names = ("id", "parent_id", *(f"col_{n}" for n in range(COLUMNS)))
        columns = {name: Column(name, "bigint" if "id" in name else "text") for name in names}
        foreign = (ForeignKey(("parent_id",), max(1, number - 1), ("id",)),)
        return Relation(number, "public", f"t_{number}", "r", 1e6, columns, (("id",),), foreign)

    return Schema([relation(n) for n in range(1, TABLES + 1)])


def texts(dice: random.Random) -> list[str]:
    shapes = (_lookup, _orm, _report, _write, _insert, _nested)
    return [dice.choice(shapes)(dice, f"/* request={n} */ ") for n in range(MANY)]


def _table(dice: random.Random) -> str:
    return f"t_{dice.randint(1, TABLES)}"


def _column(dice: random.Random) -> str:
    return f"col_{dice.randrange(COLUMNS)}"


def _lookup(dice: random.Random, tag: str) -> str:
    table = _table(dice)
    return f'{tag}SELECT "{table}".* FROM "{table}" WHERE "{table}"."id" = $1 LIMIT $2'


def _orm(dice: random.Random, tag: str) -> str:
    one, other = _table(dice), _table(dice)
    listed = ", ".join(f'"a"."col_{n}" AS a_{n}, "b"."col_{n}" AS b_{n}' for n in range(15))
    numbers = ", ".join(f"${n}" for n in range(2, dice.randint(3, 60)))
    return (
        f'{tag}SELECT {listed} FROM "{one}" "a" INNER JOIN "{other}" "b" ON ("a"."parent_id" = "b"."id")'
        f' WHERE ("a"."{_column(dice)}" = $1 AND "b"."id" IN ({numbers}) AND NOT ("a"."col_3" IS NULL))'
        f' ORDER BY "a"."{_column(dice)}" DESC LIMIT 25'
    )


def _report(dice: random.Random, tag: str) -> str:
    joins = "\n".join(
        f"LEFT JOIN {_table(dice)} j{n} ON j{n}.id = b.parent_id AND j{n}.{_column(dice)} = $9{n}"
        for n in range(dice.randint(1, 5))
    )
    return (
        f"{tag}SELECT b.{_column(dice)}, count(*) AS n, sum(length(j0.col_1)) FILTER (WHERE b.col_2 > $1)\n"
        f"FROM {_table(dice)} b\n{joins}\nWHERE lower(b.{_column(dice)}) = lower($2)\n"
        f"  AND (b.col_5 LIKE '%' || $3 OR b.col_6 BETWEEN $4 AND $5)\n"
        f"GROUP BY 1 HAVING count(*) > $6 ORDER BY n DESC OFFSET $7"
    )


def _write(dice: random.Random, tag: str) -> str:
    sets = ", ".join(f"col_{n} = ${n + 2}" for n in range(dice.randint(1, 12)))
    return f"{tag}UPDATE {_table(dice)} SET {sets} WHERE id = $1 RETURNING id"


def _insert(dice: random.Random, tag: str) -> str:
    rows = ", ".join(
        f"({', '.join(f'${n * 8 + m}' for m in range(1, 9))})" for n in range(dice.randint(1, 20))
    )
    names = ", ".join(f"col_{n}" for n in range(8))
    return f"{tag}INSERT INTO {_table(dice)} ({names}) VALUES {rows} ON CONFLICT (id) DO NOTHING"


def _nested(dice: random.Random, tag: str) -> str:
    return (
        f"{tag}WITH recent AS (SELECT * FROM {_table(dice)} WHERE col_1 > now() - $1::interval)\n"
        f"SELECT r.id, (SELECT max(x.id) FROM {_table(dice)} x WHERE x.parent_id = r.id)\n"
        f"FROM recent r WHERE NOT EXISTS (SELECT FROM {_table(dice)} y WHERE y.parent_id = r.id)\n"
        f"  AND r.id NOT IN (SELECT parent_id FROM {_table(dice)} WHERE col_2 = ANY ($2))"
    )


def timed(what: str, make: Callable[[], Made]) -> tuple[Made, float]:
    started = time.process_time()
    made = make()
    seconds = time.process_time() - started
    print(f"{what:<44}{seconds:7.3f} s {seconds / MANY * 1e6:7.1f} µs each")
    return made, seconds


def main() -> None:
    written = texts(random.Random(6))
    shop = schema()
    tree.parse("SELECT 1")
    length = sum(map(len, written)) // MANY
    print(f"{MANY} texts of {length} characters on average, {TABLES} tables")
    timed("the grammar alone", lambda: [tree.parse(text).__class__ for text in written])
    _, searching = timed("words that may be names", lambda: words(written))
    found, reading = timed("facts", lambda: facts(written, shop))
    counted, matching = timed("every pattern", lambda: count(found))
    print(
        f"{'in all (names, facts, patterns)':<44}{searching + reading + matching:7.3f} s, target 1.5 s"
    )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{sum(counted.values())} matches, {memory:.0f} MiB at most")
    assert all(statement.kind != "unparsed" for statement in found)


def facts(written: list[str], shop: Schema) -> list[Statement]:
    with read.uncollected():
        return [read.statement(text, shop) for text in written]


def count(found: list[Statement]) -> dict[str, int]:
    return {
        name: sum(len(list(pattern(statement))) for statement in found)
        for name, pattern in PATTERNS.items()
    }


if __name__ == "__main__":
    main()
