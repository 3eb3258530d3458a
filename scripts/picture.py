"""Draw docs/demo.svg from docs/demo.json, the report of a real demo; --record makes that report anew."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from pgaudit.render import json, table
from pgaudit.render.style import Style

ROOT = Path(__file__).parents[1]
REPORT = ROOT / "docs" / "demo.json"
PICTURE = ROOT / "docs" / "demo.svg"
WIDTH = 104
TOP = 44
BOTTOM = 3


def record() -> None:
    """Run the demo and keep its report."""
    words = [sys.executable, "-m", "pgaudit", "demo", "--format", "json"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    REPORT.write_text(json.write(json.read(said), Style(indent=True)) + "\n", encoding="utf-8")


def drawn() -> str:
    """Return the picture: the top of the report, then its end."""
    report = json.read(REPORT.read_text(encoding="utf-8"))
    lines = table.render(report, Style(width=WIDTH, color=True)).rstrip("\n").split("\n")
    top = max(n for n, line in enumerate(lines[:TOP]) if not line.strip())
    left_out = len(lines) - top - BOTTOM
    shown = [*lines[:top], "", f"  … {left_out} more lines …", "", *lines[-BOTTOM:]]
    console = Console(width=WIDTH, record=True, file=io.StringIO(), force_terminal=True)
    console.print(Text("$ pgaudit demo", style="bold"))
    for line in shown:
        console.print(Text.from_ansi(line), overflow="ignore", no_wrap=True, crop=True)
    return console.export_svg(title="pgaudit demo", theme=MONOKAI, unique_id="pgaudit")


if __name__ == "__main__":
    if "--record" in sys.argv:
        record()
    PICTURE.write_text(drawn(), encoding="utf-8")
