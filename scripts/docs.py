"""Remake everything in the repository that is generated; with --check, say what is stale and exit 1."""

from __future__ import annotations

import json
import re
import sys
from functools import partial
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from typer.main import get_command

from pgaudit.catalog import find, pages
from pgaudit.catalog import format as check_format
from pgaudit.cli import app
from pgaudit.statements import vocabulary

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "reference" / "checks"
COMMANDS = ("", "check", "advise", "list", "explain", "test", "demo", "schema", "version")

Made = dict[Path, str]
"""Path to the text that should be there."""


def generated() -> Made:
    """Return every generated file with what should be in it."""
    checks = find.checks(find.sources(), proofs=True)
    made: Made = {PAGES / f"{check.id}.md": pages.page(check) for check in checks}
    made[PAGES / "index.md"] = (
        f"# Checks\n\nThe {len(checks)} built-in checks. "
        "`pgaudit explain CHECK` shows the same pages offline.\n\n"
        f"{pages.table(checks, folder='.')}\n"
    )
    made[ROOT / "checks" / "check.schema.json"] = json.dumps(check_format.schema(), indent=2) + "\n"
    made |= between(ROOT / "README.md", {"checks": pages.table(checks)})
    made |= between(
        ROOT / "docs" / "reference" / "cli.md", {"help": "\n\n".join(map(help_of, COMMANDS))}
    )
    made |= between(
        ROOT / "docs" / "reference" / "check-format.md", key_tables() | {"patterns": patterns()}
    )
    made |= between(
        ROOT / "docs" / "explanation" / "comparison.md", {"rows": comparison(compared())}
    )
    return made


def patterns() -> str:
    """Return the table of the patterns that statements are looked through for."""
    rows = (f"| `{name}` | {meaning} |" for name, meaning in vocabulary.MEANINGS.items())
    return "\n".join(["| pattern | a match is a statement that |", "| --- | --- |", *rows])


def compared() -> list[dict[str, Any]]:
    """Return the sections of what other tools look for, each with its rows."""
    text = (ROOT / "docs" / "explanation" / "comparison.yaml").read_text(encoding="utf-8")
    sections: list[dict[str, Any]] = yaml.safe_load(text)
    return sections


def comparison(sections: list[dict[str, Any]]) -> str:
    """Return a table for each section, and before them how many rows are covered."""
    rows = [row for section in sections for row in section["rows"]]
    covered = sum(1 for row in rows if row.get("by"))
    parts = [f"{len(rows)} rows: {covered} covered by checks, {len(rows) - covered} left out."]
    for section in sections:
        lines = [
            f"## {section['section']}",
            "",
            "| row | what it finds | here |",
            "| --- | --- | --- |",
        ]
        lines += [f"| {row['row']} | {row['finds']} | {decision(row)} |" for row in section["rows"]]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def decision(row: dict[str, Any]) -> str:
    """Return where a row went, and why."""
    links = ", ".join(f"[{name}](../reference/checks/{name}.md)" for name in row.get("by", []))
    why = row.get("because", "")
    return "; ".join(filter(None, (links or "left out", why)))


def between(path: Path, parts: dict[str, str]) -> Made:
    """Put text between the markers `<!-- name -->` and `<!-- /name -->` of a file written by hand."""
    text = path.read_text(encoding="utf-8")
    for name, part in parts.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not pattern.search(text):
            raise SystemExit(f"{path} has no markers for {name}")
        text = pattern.sub(partial(_placed, part), text)
    return {path: text}


def _placed(part: str, markers: re.Match[str]) -> str:
    return f"{markers[1]}{part}\n{markers[2]}"


def help_of(name: str) -> str:
    """Return what a command's --help says, as tables: the same words, whatever draws them."""
    group: Any = get_command(app)
    command = group.commands[name] if name else group
    lines = [f"## pgaudit {name}".rstrip(), "", " ".join(command.help.split("\n\n")[0].split()), ""]
    usage = [p for p in command.params if p.param_type_name == "argument"]
    words = " ".join(
        f"{p.metavar}..." if p.required else f"[{p.metavar}]..." for p in usage if p.nargs < 0
    )
    words += "".join(f" {p.metavar}" for p in usage if p.nargs > 0)
    lines += [f"`pgaudit {name} [OPTIONS] {words}`".replace("  ", " ").replace(" `", "`"), ""]
    lines += ["| option | meaning | default |", "| --- | --- | --- |"]
    lines += [option_line(p) for p in command.params if p.param_type_name == "option" and p.help]
    return "\n".join(lines)


def option_line(option: Any) -> str:
    """Return the row of one option."""
    flag = option.is_flag or option.count
    value = "" if flag else f" {option.metavar or option.name.strip('_').upper()}"
    names = ", ".join(f"`{name}{value}`" for name in option.opts)
    default = getattr(option.default, "value", option.default)
    shown = "" if default in (None, False, 0, "", ()) or callable(default) else f"`{default}`"
    variable = f" (`{option.envvar}`)" if option.envvar else ""
    return f"| {names} | {option.help}{variable} | {shown} |"


def key_tables() -> dict[str, str]:
    """Return the key table of each mapping of the check format, by marker."""
    models: dict[str, type[BaseModel]] = {
        "keys": check_format.CheckFile,
        "requires-keys": check_format.RequiresEntry,
        "evidence-keys": check_format.EvidenceEntry,
        "parameter-keys": check_format.ParameterEntry,
        "object-keys": check_format.ObjectEntry,
        "severity-keys": check_format.SeverityEntry,
        "remediation-keys": check_format.RemediationEntry,
        "test-keys": check_format.ProofEntry,
        "expect-keys": check_format.ExpectEntry,
    }
    return {name: key_table(model) for name, model in models.items()}


def key_table(model: type[BaseModel]) -> str:
    """Return need, type and meaning of a mapping's keys."""
    lines = ["| key | need | type | meaning |", "| --- | --- | --- | --- |"]
    for name, field in model.model_fields.items():
        need = "must" if field.is_required() else "may"
        lines.append(f"| `{name}` | {need} | {type_of(field.annotation)} | {field.description} |")
    return "\n".join(lines)


def type_of(annotation: Any) -> str:
    """Name a type for people."""
    text = str(annotation)
    if "SeverityEntry" in text and "Literal" in text:
        return "word or mapping"
    if "ExpectEntry" in text:
        return "list, or `not run`"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping"
    if "Literal[1]" in text:
        return "`1`"
    if "Literal" in text and "list" not in text and "dict" not in text:
        words = [str(word) for word in get_args(annotation) if word is not None]
        return ", ".join(f"`{w}`" for w in words) if all("[" not in w for w in words) else "word"
    for start, said in (("list", "list"), ("dict", "mapping")):
        if text.startswith(start) or f"[{start}" in text:
            return said
    if "bool" in text and "str" not in text:
        return "true or false"
    if "int" in text and "str" not in text:
        return "whole number"
    return "amount" if "float" in text else ("mapping" if "Entry" in text else "text")


def main() -> int:
    """Write what is stale, or say it."""
    made = generated()
    extra = sorted(set(PAGES.glob("*.md")) - set(made))
    stale = [
        p for p, text in made.items() if not p.exists() or p.read_text(encoding="utf-8") != text
    ]
    if "--check" in sys.argv:
        for path in (*stale, *extra):
            print(f"stale: {path.relative_to(ROOT)} (run scripts/docs.py)")
        return 1 if stale or extra else 0
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made[path], encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    for path in extra:
        path.unlink()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
