"""Where a report goes, as far as a renderer has to know."""

from __future__ import annotations

from dataclasses import dataclass

from pgaudit.render import text


@dataclass(frozen=True, slots=True)
class Style:
    """Columns, colour, how much to say, and whether symbols beyond ASCII can be shown.

    `verbose` and `quiet` are counts; `indent` asks for JSON that people read.
    """

    width: int = 80
    color: bool = False
    verbose: int = 0
    quiet: int = 0
    ascii_only: bool = False
    indent: bool = False

    def words(self, said: str) -> str:
        """Make text fit for a terminal, before it is laid out: escapes are wider than characters."""
        return text.ascii_only(text.safe(said)) if self.ascii_only else text.safe(said)
