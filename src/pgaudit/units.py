"""Read and write sizes, durations, percentages, counts and timestamps: one table, `KINDS`.

Values inside the program are plain: a size is an int of bytes, a duration a float of seconds, a
percentage a float from 0 to 100, a count an int, a timestamp an aware datetime in UTC.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

Value = str | int | float | bool | datetime | None
"""What a column, a parameter or a threshold may hold."""

_SIZES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "PiB": 2**50}
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "day": 86400.0, "days": 86400.0}
_NEAR_SIZES = {"K": "KiB", "KB": "KiB", "MB": "MiB", "M": "MiB", "GB": "GiB", "G": "GiB"} | {
    "TB": "TiB", "T": "TiB", "kB": "KiB", "bytes": "B", "byte": "B",
}  # fmt: skip
_NEAR_SECONDS = {
    "second": "s", "seconds": "s", "sec": "s", "m": "min", "minute": "min", "minutes": "min",
    "hour": "h", "hours": "h", "d": "days", "us": "ms",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kind:
    """One type of value: how a person writes it, how it is shown, what it is called in JSON.

    `read` raises ValueError with a sentence; `unit` is empty where a number has none;
    `numeric` says whether a severity can measure it; `sql` is its type in PostgreSQL.
    """

    read: Callable[[object], Value]
    show: Callable[[Value], str]
    from_server: Callable[[object], Value]
    sql: str
    unit: str = ""
    numeric: bool = False


def _amount(text: object, units: Mapping[str, float], near: Mapping[str, str], what: str) -> float:
    """Split '1.5 GiB' and multiply; every refusal names what would have been right."""
    example = "100 MiB" if "MiB" in units else "15 min"
    if not isinstance(text, str):
        wanted = f"write a number and a unit, such as '{example}'"
        raise ValueError(f"{text!r} is not a {what}; {wanted}")  # noqa: TRY004 - one kind of error
    found = re.fullmatch(r"\s*(-?\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    if not found:
        raise ValueError(f"'{text}' is not a {what}; write it like '{example}'")
    number, unit = found.groups()
    if unit not in units:
        better = f"; did you mean '{number} {near[unit]}'?" if unit in near else ""
        known = ", ".join(units)
        said = f"has the unit '{unit}'" if unit else "has no unit"
        raise ValueError(f"'{text}' is not a {what}: it {said}; known are {known}{better}")
    if number.startswith("-"):
        raise ValueError(f"'{text}' is not a {what}: it is below zero")
    return float(Decimal(number) * Decimal(str(units[unit])))


def read_size(text: object) -> int:
    """Read binary sizes only, because MB means two things.

    >>> read_size("1.5 GiB")
    1610612736
    >>> read_size("1 GB")
    Traceback (most recent call last):
    ValueError: '1 GB' is not a size: it has the unit 'GB'; known are B, KiB, MiB, GiB, TiB, PiB; \
did you mean '1 GiB'?
    """
    return round(_amount(text, _SIZES, _NEAR_SIZES, "size"))


def read_duration(text: object) -> float:
    """Read a duration into seconds.

    >>> read_duration("15 min"), read_duration("250 ms"), read_duration("30 days")
    (900.0, 0.25, 2592000.0)
    """
    return _amount(text, _SECONDS, _NEAR_SECONDS, "duration")


def read_percent(text: object) -> float:
    """Read '80 %' (the sign is needed) into 0 to 100.

    >>> read_percent("99.5 %")
    99.5
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", text) if isinstance(text, str) else None
    if not found or float(found[1]) > 100:
        raise ValueError(f"{text!r} is not a percentage; write it like '80 %', from 0 to 100")
    return float(found[1])


def read_count(value: object) -> int:
    """Read a whole number; from the command line it comes as digits.

    >>> read_count("1000"), read_count(7)
    (1000, 7)
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"\s*-?\d+\s*", value):
        return int(value)
    raise ValueError(f"{value!r} is not a count; write a whole number, such as 1000")


def read_timestamp(text: object) -> datetime:
    """Read RFC 3339 with a zone, into UTC.

    >>> read_timestamp("2025-09-01T02:00:00+02:00").isoformat()
    '2025-09-01T00:00:00+00:00'
    """
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError(f"{text!r} is not a timestamp; write it like 2026-01-31T06:00:00Z")
    return moment.astimezone(UTC)


def read_text(value: object) -> str:
    """Take text as it is.

    >>> read_text("public")
    'public'
    """
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not text; put it in quotes")  # noqa: TRY004
    return value


def read_boolean(value: object) -> bool:
    """Read true and false, as YAML 1.2 knows them.

    >>> read_boolean("true"), read_boolean(False)
    (True, False)
    """
    words = {"true": True, "false": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in words:
        return words[value]
    raise ValueError(f"{value!r} is neither true nor false")


def show_size(value: Value) -> str:
    """Write bytes for people.

    >>> show_size(1288490188), show_size(1023), show_size(100 * 2**20)
    ('1.2 GiB', '1,023 B', '100 MiB')
    """
    size = float(value) if isinstance(value, int | float) else 0.0
    unit = next((u for u in reversed(_SIZES) if abs(size) >= _SIZES[u]), "B")
    amount = size / _SIZES[unit]
    return f"{amount:,.0f} {unit}" if unit == "B" or amount >= 100 else f"{_short(amount)} {unit}"


_PAIRS = (("day", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1))


def show_duration(value: Value) -> str:
    """Write seconds for people, in at most two units.

    >>> show_duration(275400.0), show_duration(0.0421), show_duration(90), show_duration(2592000)
    ('3 days 4 h', '42.1 ms', '1 min 30 s', '30 days')
    >>> show_duration(0.0004), show_duration(0), show_duration(1.25)
    ('0.4 ms', '0 s', '1.25 s')
    """
    seconds = float(value) if isinstance(value, int | float) else 0.0
    if seconds == 0:
        return "0 s"
    if seconds < 0:
        return f"-{show_duration(-seconds)}"
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    for unit, size, lower, step in _PAIRS:
        if whole >= size:
            rest = whole % size // step
            many = "s" if unit == "day" and whole // size > 1 else ""
            return f"{whole // size} {unit}{many}" + (f" {rest} {lower}" if rest else "")
    return f"{whole} s"


def show_percent(value: Value) -> str:
    """Write a percentage with at most one decimal.

    >>> show_percent(91.27), show_percent(100.0), show_percent(0.04)
    ('91.3 %', '100 %', '< 0.1 %')
    """
    share = float(value) if isinstance(value, int | float) else 0.0
    if 0 < share < 0.05:
        return "< 0.1 %"
    return f"{_short(share)} %" if share < 1000 else f"{share:,.0f} %"


def show_count(value: Value) -> str:
    """Write a number with its thousands apart.

    >>> show_count(12345)
    '12,345'
    """
    return f"{value:,}" if isinstance(value, int | float) else "0"


def show_timestamp(value: Value) -> str:
    """Write a moment to the minute, in UTC.

    >>> show_timestamp(read_timestamp("2026-01-04T09:12:45Z"))
    '2026-01-04 09:12 UTC'
    """
    return (
        value.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC") if isinstance(value, datetime) else ""
    )


def show_boolean(value: Value) -> str:
    """Write yes or no.

    >>> show_boolean(True)
    'yes'
    """
    return "yes" if value else "no"


def one_line(text: str, most: int) -> str:
    r"""Put a text on one line of at most so many characters.

    >>> one_line("SELECT *\n  FROM t", 14), one_line("SELECT *\n  FROM t", 10)
    ('SELECT * FROM…', 'SELECT *…')
    """
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def _whole(value: object) -> Value:
    return None if value is None else int(str(value).split(".", maxsplit=1)[0])


def _number(value: object) -> Value:
    return None if value is None else float(str(value))


def _seconds(value: object) -> Value:
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, timedelta):
        return value.total_seconds()
    raise TypeError(f"{value!r} is no interval")


def _moment(value: object) -> Value:
    return value.astimezone(UTC) if isinstance(value, datetime) else None


def _text(value: object) -> Value:
    return None if value is None else str(value)


def _boolean(value: object) -> Value:
    return None if value is None else bool(value)


KINDS: Mapping[str, Kind] = {
    "size": Kind(read_size, show_size, _whole, "bigint", "bytes", numeric=True),
    "duration": Kind(read_duration, show_duration, _seconds, "interval", "seconds", numeric=True),
    "percent": Kind(read_percent, show_percent, _number, "numeric", "percent", numeric=True),
    "count": Kind(read_count, show_count, _whole, "bigint", "", numeric=True),
    "timestamp": Kind(read_timestamp, show_timestamp, _moment, "timestamptz"),
    "text": Kind(read_text, str, _text, "text"),
    "boolean": Kind(read_boolean, show_boolean, _boolean, "boolean"),
    "sql": Kind(read_text, str, _text, "text"),
}
"""Every type of column and parameter; the check format's `type` words are these keys."""


def to_json(value: Value) -> str | int | float | bool | None:
    """Turn a value into what JSON can hold; timestamps become RFC 3339 in UTC.

    >>> to_json(read_timestamp("2026-01-04T09:12:45Z"))
    '2026-01-04T09:12:45Z'
    """
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no word for it
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value


def show(kind: str, value: Value) -> str:
    """Write any value for people; NULL is an honest word.

    >>> show("size", 2048), show("count", None)
    ('2 KiB', 'unknown')
    """
    return "unknown" if value is None else KINDS[kind].show(value)
