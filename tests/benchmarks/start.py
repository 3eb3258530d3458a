"""How long it takes to start and to load every built-in check, beside what Python itself takes.

Run by name: python tests/benchmarks/start.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

LOAD = "from pgaudit.catalog import find; "
RUNS = 7


def seconds(code: str) -> float:
    """Return the median wall time of a Python process that runs some code."""
    taken = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def main() -> None:
    """Print each as seconds and as a multiple of bare Python."""
    bare = seconds("pass")
    imported = seconds(LOAD)
    rows = {
        "python": bare,
        "pgaudit --version": seconds(
            "import sys; sys.argv[1:] = ['--version']; from pgaudit.cli import main; main()"
        ),
        "import the catalog": imported,
        "load every check": seconds(LOAD + "find.checks(find.sources())") - imported,
        "load with proofs": seconds(LOAD + "find.checks(find.sources(), proofs=True)") - imported,
    }
    for name, taken in rows.items():
        print(f"{name:20} {1000 * taken:6.0f} ms  {taken / bare:5.1f} × python")


if __name__ == "__main__":
    main()
