"""`CHECK.PARAMETER=VALUE` → checks with that value in force."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pgaudit.errors import EVERY_CHECK, UsageError, did_you_mean
from pgaudit.model import Check, Parameter
from pgaudit.units import KINDS, Value, show


@dataclass(frozen=True, slots=True)
class Override:
    """One parameter of one check, and the text of its new value."""

    check: str
    parameter: str
    value: str


def parse(text: str) -> Override:
    """Read `unused-index.min_size=10 MiB`; raises UsageError.

    >>> parse("unused-index.min_size = 10 MiB")
    Override(check='unused-index', parameter='min_size', value='10 MiB')
    """
    name, equals, value = text.partition("=")
    check, dot, parameter = name.strip().partition(".")
    if not (equals and dot and check and parameter and value.strip()):
        raise UsageError(
            f"--set {text} is not CHECK.PARAMETER=VALUE.",
            hint='write it like --set unused-index.min_size="10 MiB"',
        )
    return Override(check, parameter, value.strip())


def apply(checks: Sequence[Check], overrides: Iterable[Override]) -> list[Check]:
    """Return the checks with overrides in force; raises UsageError for one that fits no check."""
    changed = {check.id: check for check in checks}
    aliases = {alias: check.id for check in checks for alias in check.aliases}
    for override in overrides:
        identifier = aliases.get(override.check, override.check)
        if identifier not in changed:
            raise UsageError(
                f"--set names the check '{override.check}', which does not exist.",
                hint=did_you_mean(override.check, changed, EVERY_CHECK),
            )
        check = changed[identifier]
        changed[identifier] = check.having({override.parameter: _value(check, override)})
    return [changed[check.id] for check in checks]


def _value(check: Check, override: Override) -> Value:
    parameter = check.parameters.get(override.parameter)
    if parameter is None:
        raise UsageError(
            f"{check.id} has no parameter '{override.parameter}'.",
            hint=did_you_mean(
                override.parameter,
                check.parameters,
                f"known are {', '.join(sorted(check.parameters))}",
            ),
        )
    try:
        value = KINDS[parameter.type].read(override.value)
    except ValueError as error:
        said = str(error)
        stop = "" if said.endswith(("?", ".")) else "."
        raise UsageError(f"--set {check.id}.{override.parameter}: {said}{stop}") from None
    _bounded(override, parameter, value)
    return value


def _bounded(override: Override, parameter: Parameter, value: Value) -> None:
    number = float(str(value)) if KINDS[parameter.type].numeric else None
    for bound, word, sign in ((parameter.minimum, "least", 1), (parameter.maximum, "most", -1)):
        if number is not None and bound is not None and sign * number < sign * float(str(bound)):
            raise UsageError(
                f"--set {override.check}.{override.parameter}: it must be at {word} "
                f"{show(parameter.type, bound)}."
            )
