"""What a statement that is no query does, in PostgreSQL's words."""

from __future__ import annotations

import re

_OBJECTS = {
    "OBJECT_MATVIEW": "MATERIALIZED VIEW", "OBJECT_FOREIGN_TABLE": "FOREIGN TABLE",
    "OBJECT_TABCONSTRAINT": "CONSTRAINT",
}  # fmt: skip

DDL = {
    "CreateStmt": "CREATE TABLE",
    "IndexStmt": "CREATE INDEX",
    "AlterTableStmt": "ALTER TABLE",
    "DropStmt": "DROP",
    "TruncateStmt": "TRUNCATE",
    "RenameStmt": "ALTER … RENAME",
    "ViewStmt": "CREATE VIEW",
    "CreateTableAsStmt": "CREATE TABLE AS",
    "CreateSchemaStmt": "CREATE SCHEMA",
    "CreateFunctionStmt": "CREATE FUNCTION",
    "CreateSeqStmt": "CREATE SEQUENCE",
    "AlterSeqStmt": "ALTER SEQUENCE",
    "CreateEnumStmt": "CREATE TYPE",
    "CompositeTypeStmt": "CREATE TYPE",
    "CreateDomainStmt": "CREATE DOMAIN",
    "CreateTrigStmt": "CREATE TRIGGER",
    "AlterObjectSchemaStmt": "ALTER … SET SCHEMA",
    "AlterOwnerStmt": "ALTER … OWNER",
    "CreateExtensionStmt": "CREATE EXTENSION",
    "CreateStatsStmt": "CREATE STATISTICS",
    "AlterEnumStmt": "ALTER TYPE",
    "CommentStmt": "COMMENT",
    "GrantStmt": "GRANT",
    "CreatePolicyStmt": "CREATE POLICY",
    "RuleStmt": "CREATE RULE",
    "CreateRoleStmt": "CREATE ROLE",
    "AlterRoleStmt": "ALTER ROLE",
    "CreatedbStmt": "CREATE DATABASE",
    "DropdbStmt": "DROP DATABASE",
}
"""Statements that define something, by their node."""

QUERIES = {
    "SelectStmt": "SELECT", "InsertStmt": "INSERT", "UpdateStmt": "UPDATE", "DeleteStmt": "DELETE",
    "MergeStmt": "MERGE",
}  # fmt: skip

_SKIPPED = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?(?:\*/|$)|\()+", re.DOTALL)
_WORD = re.compile(r"[A-Za-z]{2,20}")


def verb(kind: str, node: object, text: str) -> str:
    """Name what a statement does, `CREATE TEMPORARY TABLE` where that is what is created.

    >>> verb("VacuumStmt", {}, "/* cron */ vacuum orders")
    'VACUUM'
    """
    said = QUERIES.get(kind) or DDL.get(kind)
    if said is None:
        return first_word(text)
    fields = node if isinstance(node, dict) else {}
    if kind == "DropStmt":
        what = str(fields.get("removeType", ""))
        return f"DROP {_OBJECTS.get(what, what.removeprefix('OBJECT_').replace('_', ' '))}"
    into = fields.get("into") or {}
    relation = fields.get("relation") or into.get("rel") or fields.get("view") or {}
    if isinstance(relation, dict) and relation.get("relpersistence") == "t":
        return said.replace("CREATE ", "CREATE TEMPORARY ")
    return said


def first_word(text: str) -> str:
    r"""Return the first word in capitals, behind comments and brackets; empty if there is none.

    >>> first_word("-- orm\n (select 1"), first_word("<insufficient privilege>")
    ('SELECT', '')
    """
    skipped = _SKIPPED.match(text)
    word = _WORD.match(text, skipped.end() if skipped else 0)
    return word[0].upper() if word else ""
