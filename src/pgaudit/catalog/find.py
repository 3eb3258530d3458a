"""Where check files are: built in, in folders, in plug-in packages → checks, by id."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path

from pgaudit.catalog import load
from pgaudit.errors import CheckError, Fault, UsageError
from pgaudit.model import Check

ENTRY_POINTS = "pgaudit.checks"
"""The entry-point group of packages that bring check files."""


@dataclass(frozen=True, slots=True)
class Source:
    """One check file that was found, unread: its path for people, where it came from, its content."""

    file: str
    origin: str
    content: Traversable

    @property
    def stem(self) -> str:
        """The file's name without its ending, which is its check's id."""
        return Path(self.file).stem


def built_in() -> Traversable:
    """Return the folder of the built-in checks: in the wheel, or in the source tree it was built from."""
    packaged = importlib.resources.files("pgaudit") / "checks"
    if packaged.is_dir():
        return packaged
    return Path(__file__).parents[3] / "checks"


def sources(folders: Sequence[Path] = ()) -> list[Source]:
    """Find every check file: built in, in the folders given, in plug-in packages.

    Raises UsageError for a folder that is not there or holds no check file.
    """
    found = [Source(name, "built-in", content) for name, content in _files(built_in())]
    for folder in folders:
        found += in_path(folder)
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        package = importlib.resources.files(entry.value)
        found += [Source(name, entry.name, content) for name, content in _files(package)]
    return found


def in_path(path: Path) -> list[Source]:
    """Find the check files of a folder, or take one file."""
    if path.is_file():
        return [Source(str(path), str(path.parent), path)]
    if not path.is_dir():
        raise UsageError(
            f"{path} is no check file and no folder of them.", hint="is the path right?"
        )
    found = [Source(name, str(path), content) for name, content in _files(path)]
    if not found:
        raise UsageError(f"{path} holds no check file.", hint="check files end in .yaml")
    return found


def checks(
    found: Iterable[Source],
    *,
    proofs: bool = False,
    wanted: Callable[[Source], bool] = lambda _: True,
) -> list[Check]:
    """Load files into checks, in the order of their ids.

    Raises CheckError with every fault of every file. A broken file that is not `wanted` is left out
    in silence, so that somebody else's broken check stops nobody who did not ask for it.
    """
    loaded: dict[str, Check] = {}
    faults: list[Fault] = []
    for source in found:
        text = _text(source, faults)
        check, wrong = load.check(text, source.file, origin=source.origin, proofs=proofs)
        if wrong and not wanted(source):
            continue
        faults += wrong
        if check is None:
            continue
        if check.id in loaded:
            what = f"'{check.id}' is also the id of {loaded[check.id].file}"
            faults.append(Fault(source.file, 1, "id", what, "prefix your own checks"))
            continue
        loaded[check.id] = check
    if faults:
        raise CheckError(faults)
    return [loaded[identifier] for identifier in sorted(loaded)]


def _text(source: Source, faults: list[Fault]) -> str:
    try:
        return source.content.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        faults.append(Fault(source.file, 1, "", f"cannot be read: {error}"))
        return "{}"


def _files(folder: Traversable) -> Iterator[tuple[str, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if entry.is_dir() and not entry.name.startswith((".", "__")):
            yield from _files(entry)
        elif entry.name.endswith((".yaml", ".yml")):
            yield str(entry), entry
