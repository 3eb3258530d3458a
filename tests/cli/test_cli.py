"""The program as a process: streams, exit codes, closed pipes, Ctrl-C, wrong passwords."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import jsonschema
import pytest
from psycopg import conninfo as libpq

import postgres
from pgaudit.postgres import scratch
from pgaudit.render import json as report_json

pytestmark = pytest.mark.ends

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "pgaudit"]


def environment(**more: str) -> dict[str, str]:
    kept = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith("PG") and k not in {"CI", "DATABASE_URL"}
    }
    return kept | {"PYTHONPATH": str(ROOT / "src")} | more


def run(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=60,
        stdin=subprocess.DEVNULL, env=environment(**(env or {})),
    )  # fmt: skip


@pytest.fixture
def unwell(database: str) -> str:
    scratch.run(
        database,
        "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY, a_id int REFERENCES a);"
        "CREATE INDEX one ON b (a_id); CREATE INDEX two ON b (a_id)",
    )
    return database


@pytest.fixture
def well(database: str) -> str:
    scratch.run(database, "CREATE TABLE a (id int PRIMARY KEY)")
    return database


INDEXES = ("--select", "duplicate-index,redundant-index,invalid-index,unindexed-foreign-key")


def test_clean_is_0(well: str) -> None:
    got = run("check", well, *INDEXES)
    assert (got.returncode, got.stderr) == (0, "")
    assert got.stdout == ""


def test_findings_are_1_and_lines_of_fields(unwell: str) -> None:
    got = run("check", unwell, *INDEXES)
    assert (got.returncode, got.stderr) == (1, "")
    fields = got.stdout.splitlines()[0].split("\t")
    assert fields[:3] == ["warning", "duplicate-index", "public.two"]


@pytest.mark.parametrize(
    ("gate", "code"), [("never", 0), ("critical", 0), ("warning", 1), ("info", 1)]
)
def test_the_gate(unwell: str, gate: str, code: int) -> None:
    assert run("check", unwell, *INDEXES, "--fail-on", gate).returncode == code
    assert run("check", unwell, *INDEXES, env={"PGAUDIT_FAIL_ON": gate}).returncode == code


def test_json_is_valid_whole_and_pipeable(unwell: str) -> None:
    got = run("check", unwell, *INDEXES, "--format", "json")
    document = json.loads(got.stdout)
    schema = json.loads(run("schema", "report").stdout)
    jsonschema.validate(document, schema)
    assert document["summary"]["findings"]["warning"] == 1
    assert {r["check"] for r in document["targets"][0]["results"]} == set(document["checks"])
    again = report_json.read(got.stdout)
    assert len(again.findings) == sum(document["summary"]["findings"].values())


def test_connects_as_psql_would(unwell: str, tmp_path: Path) -> None:
    parts = libpq.conninfo_to_dict(unwell)
    host, name = str(parts["host"]), str(parts["dbname"])
    service = tmp_path / "services"
    service.write_text(f"[shop]\nhost={host}\nuser=postgres\ndbname={name}\n")
    uri = f"postgresql://postgres@/{name}?host={host}"
    for arguments, env in (
        ([uri], {}),
        ([uri.replace("postgresql:", "postgresql+psycopg:")], {}),
        (["service=shop"], {"PGSERVICEFILE": str(service)}),
        ([name, "-h", host, "-U", "postgres"], {}),
        (["-h", host, "-U", "postgres", "-d", name], {}),
        ([], {"PGHOST": host, "PGUSER": "postgres", "PGDATABASE": name}),
        ([], {"DATABASE_URL": uri}),
        ([], {"DATABASE_URL": "postgresql://nowhere.invalid/x", "PGAUDIT_TARGET": uri}),
    ):
        got = run("check", *arguments, *INDEXES, env=env)
        assert got.returncode == 1, (arguments, env, got.stderr)
        assert "public.two" in got.stdout


def test_no_server_is_3_in_three_lines() -> None:
    got = run("check", "host=/nonexistent dbname=shop")
    assert (got.returncode, got.stdout) == (3, "")
    lines = got.stderr.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("Cannot connect to shop@")
    assert lines[1].startswith("  server: ")
    assert lines[2].startswith("  try: ")


@pytest.fixture(scope="module")
def guarded(server: postgres.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server on TCP that wants passwords."""
    if server.base is None:
        pytest.skip("needs a server that the tests started")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "listen_addresses": "127.0.0.1", "port": str(port), "password_encryption": "scram-sha-256",
    }  # fmt: skip
    with postgres.serve(postgres.wanted()[0], settings) as started:
        assert started.base is not None
        started.run("CREATE ROLE shop LOGIN PASSWORD 'sesame' IN ROLE pg_monitor")
        hba = started.base / "data" / "pg_hba.conf"
        hba.write_text("local all postgres trust\nhost all shop 127.0.0.1/32 scram-sha-256\n")
        started.run("SELECT pg_reload_conf()")
        yield f"postgresql://shop{{}}@127.0.0.1:{port}/postgres"


def test_passwords(guarded: str, tmp_path: Path) -> None:
    wrong = run("check", guarded.format(":open"))
    assert wrong.returncode == 3
    assert "password authentication failed" in wrong.stderr
    assert "open" not in wrong.stderr.replace("try: ", "")
    missing = run("check", guarded.format(""), env={"PGPASSFILE": "/dev/null"})
    assert missing.returncode == 3
    assert ".pgpass" in missing.stderr
    unknown = run("check", guarded.format(":sesame").replace("/postgres", "/nowhere"))
    assert "does not exist" in unknown.stderr
    refused = run("check", guarded.format(":sesame").replace("shop:", "nobody:"))
    assert "pg_hba.conf" in refused.stderr
    right = run("check", guarded.format(":sesame"), "-f", "json", *INDEXES)
    assert right.returncode == 0, right.stderr
    assert "sesame" not in right.stdout + right.stderr
    passfile = tmp_path / "pgpass"
    passfile.write_text("127.0.0.1:*:*:shop:sesame\n")
    passfile.chmod(0o600)
    assert (
        run("check", guarded.format(""), *INDEXES, env={"PGPASSFILE": str(passfile)}).returncode
        == 0
    )


def test_a_target_that_cannot_be_reached_leaves_the_others(unwell: str) -> None:
    got = run("check", "host=/nonexistent dbname=shop", unwell, "-f", "json", *INDEXES)
    assert got.returncode == 3
    assert "Cannot connect to shop" in got.stderr
    document = json.loads(got.stdout)
    assert [t["failure"] is not None for t in document["targets"]] == [True, False]
    assert document["summary"]["complete"] is False
    assert document["summary"]["findings"]["warning"] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check", "--select", "unused-indx"], "did you mean unused-index"),
        (["check", "--set", "unused-index.min_size=5 GB"], "did you mean '5 GiB'"),
        (["check", "--format", "jsn"], "did you mean json"),
        (["check", "-o", "report.doc"], "not clear from its name"),
        (["check", "-o", "-", "-f", "json"], "Two reports cannot both go to stdout"),
        (["check", "--checks", "/nonexistent"], "no folder of them"),
        (["check", "--timeout", "5"], "has no unit"),
        (["check", "postgresql://me:secret@[db1/shop"], "is no connection string"),
        (["check", "--nonsense"], "--nonsense"),
        (["explain", "unused-indx"], "did you mean unused-index"),
        (["schema", "nonsense"], "known are check, report"),
        (["list", "-f", "xml"], "known are table, plain, json"),
    ],
)
def test_usage_is_2(arguments: list[str], said: str) -> None:
    got = run(*arguments)
    assert (got.returncode, got.stdout) == (2, "")
    assert said in got.stderr
    assert "secret" not in got.stderr
    assert "Traceback" not in got.stderr


def test_broken_check_files_are_2_with_every_fault(tmp_path: Path) -> None:
    (tmp_path / "a-check.yaml").write_text("format: 1\nid: b-check\ntitel: x\n")
    (tmp_path / "c-check.yaml").write_text("format: [\n")
    got = run("check", "--checks", str(tmp_path))
    assert (got.returncode, got.stdout) == (2, "")
    assert f"{tmp_path}/a-check.yaml:2: id: is not the file's name" in got.stderr
    assert "did you mean 'title'?" in got.stderr
    assert f"{tmp_path}/c-check.yaml:" in got.stderr
    assert "Traceback" not in got.stderr


def test_somebody_else_s_broken_check_stops_nobody(well: str, tmp_path: Path) -> None:
    (tmp_path / "a-check.yaml").write_text("format: 1\n")
    assert run("check", well, "--checks", str(tmp_path), *INDEXES).returncode == 0


def test_own_checks(well: str, tmp_path: Path) -> None:
    (tmp_path / "acme-any.yaml").write_text(
        "format: 1\nid: acme-any\ntitle: Anything\ncategory: acme\nsince: 0.1.0\nstatus: stable\nwhy: x\n"
        "scope: database\ncolumns: {name: text}\nsql:\n  14: SELECT relname::text AS name FROM pg_class "
        "WHERE relname = 'a' ORDER BY 1\nobject: {kind: table, name: [name]}\nseverity: critical\n"
        "message: '{object} is there.'\nremediation: {text: Nothing.}\ntests: []\n"
    )
    got = run("check", well, "--checks", str(tmp_path), "--select", "acme")
    assert (got.returncode, got.stdout.split("\t")[:3]) == (1, ["critical", "acme-any", "a"])


def test_files_appear_whole(unwell: str, tmp_path: Path) -> None:
    target, plain = tmp_path / "audit.json", tmp_path / "audit.out"
    got = run("check", unwell, *INDEXES, "-o", str(target), "-o", f"plain={plain}")
    assert got.returncode == 1
    assert json.loads(target.read_text())["format"] == 1
    assert plain.read_text() == got.stdout
    assert sorted(p.name for p in tmp_path.iterdir()) == ["audit.json", "audit.out"]
    refused = run("check", unwell, *INDEXES, "-o", "/nonexistent/audit.json")
    assert refused.returncode == 2
    assert "Cannot write" in refused.stderr


def test_quiet(unwell: str) -> None:
    got = run("check", unwell, "-qq")
    assert (got.returncode, got.stdout) == (1, "")
    assert "skipped" not in run("check", unwell, "-q").stdout
    assert "skipped" in run("check", unwell).stdout


def test_sql_is_shown_with_vv(well: str) -> None:
    got = run("check", well, "--select", "duplicate-index", "-vv")
    assert "pgaudit: duplicate-index" in got.stderr


def test_dry_run_ends_with_the_smallest_grants(database: str) -> None:
    target = libpq.make_conninfo(database, user="nobody")
    got = run("check", target, "--dry-run", "--select", "sessions,duplicate-index")
    assert got.returncode == 0
    assert "duplicate-index" in got.stdout
    assert 'GRANT pg_read_all_stats TO "nobody";' in got.stdout
    assert json.loads(run("check", target, "--dry-run", "-f", "json").stdout)["grants"]


def test_strict(database: str) -> None:
    target = libpq.make_conninfo(database, user="nobody")
    arguments = ("check", target, "--select", "sessions")
    assert run(*arguments).returncode == 0
    assert run(*arguments, "--strict").returncode == 3


def test_all_databases(server: postgres.Server, unwell: str) -> None:
    name = libpq.conninfo_to_dict(unwell)["dbname"]
    with server.database() as other:
        second = libpq.conninfo_to_dict(other)["dbname"]
        got = run("check", server.conninfo, "--all-databases", "-f", "json")
        targets = json.loads(got.stdout)["targets"]
        assert {name, second, "postgres"} <= {t["server"]["database"] for t in targets}
        asked = [{r["check"] for r in t["results"]} for t in targets]
        assert "connections-near-limit" in asked[0]
        assert all("connections-near-limit" not in each for each in asked[1:])
        assert all("duplicate-index" in each for each in asked)
        some = run("check", server.conninfo, "--database", f"{name}*", "-f", "json")
        assert [t["server"]["database"] for t in json.loads(some.stdout)["targets"]] == [name]
        none = run("check", server.conninfo, "--database", "zzz*")
        assert none.returncode == 3
        assert "No database" in none.stderr


def test_a_check_of_the_server_is_asked_where_its_extension_is(
    server: postgres.Server, unwell: str
) -> None:
    with server.database(extensions=("pg_stat_statements",)):
        arguments = (
            "--select",
            "statements-evicted",
            "--set",
            "statements-evicted.minimum_window=0 s",
        )
        got = run("check", server.conninfo, "--all-databases", *arguments, "-f", "json")
        results = [r for t in json.loads(got.stdout)["targets"] for r in t["results"]]
        assert [r["status"] for r in results] == ["passed"], results
        planned = run("check", server.conninfo, "--all-databases", *arguments, "--dry-run").stdout
        assert planned.count("statements-evicted") == 1, planned


def test_what_cannot_be_written_is_said_before_anything_is_asked(
    unwell: str, tmp_path: Path
) -> None:
    for path, said in (
        (tmp_path / "nowhere" / "a.json", "there is no folder"),
        (tmp_path, "is not clear from its name"),
    ):
        got = run("check", "host=127.0.0.1 port=1", "-o", str(path))
        assert got.returncode == 2
        assert said in got.stderr
    got = run("check", unwell, "--dry-run", "-o", str(tmp_path / "a.json"))
    assert (got.returncode, got.stdout) == (2, "")
    assert not (tmp_path / "a.json").exists()


def test_a_database_that_cannot_be_entered_makes_it_incomplete(
    server: postgres.Server, unwell: str
) -> None:
    name = libpq.conninfo_to_dict(unwell)["dbname"]
    server.run(f'REVOKE CONNECT ON DATABASE "{name}" FROM PUBLIC')
    target = libpq.make_conninfo(server.conninfo, user="reader")
    got = run("check", target, "--database", "postgres", "--database", str(name), *INDEXES)
    assert got.returncode == 3
    assert "permission denied" in got.stderr


def test_the_reader_went_away(unwell: str) -> None:
    read, write = os.pipe()
    os.close(read)
    process = subprocess.Popen(
        [*COMMAND, "check", unwell, "-f", "json"],
        stdout=write,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    os.close(write)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 141
    assert said == b""


def test_ctrl_c_prints_what_is_known(unwell: str, tmp_path: Path) -> None:
    (tmp_path / "zzz-slow.yaml").write_text(
        "format: 1\nid: zzz-slow\ntitle: Slow one\ncategory: zzz\nsince: 0.1.0\nstatus: stable\nwhy: x\n"
        "scope: database\ncolumns: {name: text}\nsql:\n  14: SELECT count(*)::text AS name"
        " FROM pg_class a, pg_class b, pg_class c, pg_class d, pg_class e ORDER BY 1\n"
        "object: {kind: table, name: [name]}\nseverity: info\nmessage: '{object}'\n"
        "remediation: {text: Nothing.}\ntimeout: 60 s\ntests: []\n"
    )
    process = subprocess.Popen(
        [*COMMAND, "check", unwell, "--checks", str(tmp_path), "--select", "duplicate-index,zzz", "-fjson"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    with contextlib.closing(scratch.connect(unwell)) as watcher:
        asked = (
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE %s AND pid <> pg_backend_pid()"
        )
        end = time.monotonic() + 20
        while watcher.execute(asked, ("%/* pgaudit: zzz-slow %",)).fetchone() == (0,):
            assert time.monotonic() < end, "the slow check was never asked"
            time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    document = json.loads(out)
    assert document["interrupted"] is True
    assert document["summary"]["complete"] is False
    assert [r["status"] for r in document["targets"][0]["results"]] == ["failed", "skipped"]


def on_a_terminal(*arguments: str, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Run with stdout and stderr on a pseudo-terminal."""
    process_id, descriptor = pty.fork()
    if process_id == 0:
        os.execve(
            sys.executable,
            [*COMMAND, *arguments],
            environment(TERM="xterm", COLUMNS="90", **(env or {})),
        )
    text = b""
    while True:
        ready, _, _ = select.select([descriptor], [], [], 60)
        if not ready:
            break
        try:
            chunk = os.read(descriptor, 65536)
        except OSError:
            break
        if not chunk:
            break
        text += chunk
    _, status = os.waitpid(process_id, 0)
    return os.waitstatus_to_exitcode(status), text.decode()


def test_a_terminal_gets_the_table_in_colour(unwell: str) -> None:
    code, text = on_a_terminal("check", unwell, *INDEXES)
    assert code == 1
    assert "duplicate-index" in text
    assert "\x1b[" in text
    assert "pgaudit explain duplicate-index" in text
    _, plain = on_a_terminal("check", unwell, *INDEXES, env={"NO_COLOR": "1"})
    assert "\x1b[3" not in plain
    _, forced = on_a_terminal(
        "check", unwell, *INDEXES, "--color", "never", env={"FORCE_COLOR": "1"}
    )
    assert "\x1b[3" not in forced


def test_an_ascii_terminal(unwell: str) -> None:
    got = run(
        "check",
        unwell,
        *INDEXES,
        "-f",
        "table",
        env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    )
    assert got.returncode == 1
    assert got.stdout.isascii()


def test_bare_version_help() -> None:
    bare = run()
    assert (bare.returncode, bare.stderr) == (0, "")
    assert "pgaudit check" in bare.stdout
    assert run("--version").stdout.startswith("pgaudit 0.")
    assert json.loads(run("version", "-f", "json").stdout)["checks"] >= 24
    assert "libpq" in run("version").stdout
    assert "--fail-on" in run("check", "--help").stdout
    assert run("check", "-?").returncode == 0


def test_version_is_quick_because_it_imports_little() -> None:
    code = (
        "import sys; sys.argv = ['pgaudit', 'version']\n"
        "from pgaudit.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "bad = [m for m in sys.modules if m.split('.')[0] in ('psycopg', 'rich')]\n"
        "assert not bad, bad\n"
    )
    got = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment()
    )
    assert got.returncode == 0, got.stderr


def test_list_and_explain() -> None:
    listed = run("list").stdout.splitlines()
    assert any(line.startswith("unused-index\tindexes\t") for line in listed)
    assert run("list", "--select", "cache", "-f", "json").stdout.count('"id"') == 12
    assert "built-in" in run("list", "--origin").stdout
    page = run("explain", "unused-index").stdout
    assert page.startswith("# unused-index\n")
    assert "## Why it matters" in page
    assert (
        json.loads(run("explain", "unused-index", "-f", "json").stdout)[0]["id"] == "unused-index"
    )
    sql = run(
        "explain",
        "unused-index",
        "--sql",
        "--server-version",
        "14",
        "--set",
        "unused-index.min_size=7 MiB",
    )
    assert "'7340032'::bigint" in sql.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("arguments", [["list"], ["version"], ["check", "--help"]])
def test_a_full_disk_is_2_and_says_so(arguments: list[str]) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        got = subprocess.run(
            [*COMMAND, *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(),
            text=True,
            check=False,
        )
        both = subprocess.run(
            [*COMMAND, *arguments], stdout=full, stderr=full, env=environment(), check=False
        )
    assert got.returncode == 2
    assert got.stderr == "Cannot write to standard output: No space left on device.\n"
    assert both.returncode == 2


def test_a_bug_is_4_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pgaudit.commands import guard

    def broken() -> int:
        raise RuntimeError("boom")

    assert guard.guard(broken) == 4  # type: ignore[arg-type]
    said = capsys.readouterr().err
    assert "This is a bug in pgaudit." in said
    assert "boom" in said


def test_proofs_from_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "acme-any.yaml"
    file.write_text(
        "format: 1\nid: acme-any\ntitle: Anything\ncategory: acme\nsince: 0.1.0\nstatus: stable\nwhy: x\n"
        "scope: database\ncolumns: {name: text}\nsql:\n  14: SELECT 'x' AS name ORDER BY 1\n"
        "object: {kind: table, name: [name]}\nseverity: info\nmessage: '{object} is.'\n"
        "remediation: {text: Nothing.}\ntests:\n"
        "  - {name: holds, rows: [{name: a}], expect: [{object: a, severity: info}]}\n"
        "  - {name: does not, rows: [{name: a}], expect: []}\n"
    )
    got = run("test", str(file), "--no-server")
    assert got.returncode == 1
    assert f"failed  {file}:18: acme-any: does not" in got.stdout
    assert "1 proofs hold, 1 failed" in got.stdout
    bad = run("test", "/nonexistent")
    assert bad.returncode == 2


def test_a_broken_file_is_named_where_its_category_is_asked_for(well: str, tmp_path: Path) -> None:
    (tmp_path / "acme-bad.yaml").write_text("format: 1\nid: acme-bad\ncategory: acme\n")
    got = run("check", well, "--checks", str(tmp_path), "--select", "acme")
    assert got.returncode == 2
    assert "acme-bad.yaml:1: title: is missing" in got.stderr


def test_a_lost_connection_is_said_once(server: postgres.Server, tmp_path: Path) -> None:
    """A check ends its own session: the report says so, and stderr has no chatter of the driver."""
    with server.database() as made:
        scratch.run(
            made,
            "CREATE FUNCTION gone() RETURNS boolean LANGUAGE sql"
            " AS 'SELECT pg_terminate_backend(pg_backend_pid())'",
        )
        (tmp_path / "zzz-gone.yaml").write_text(
            "format: 1\nid: zzz-gone\ntitle: Gone\ncategory: zzz\nsince: 0.1.0\nstatus: stable\nwhy: x\n"
            "scope: database\ncolumns: {name: text}\nsql:\n"
            "  14: SELECT public.gone()::text AS name ORDER BY 1\n"
            "object: {kind: table, name: [name]}\nseverity: info\nmessage: '{object}'\n"
            "remediation: {text: Nothing.}\ntests: []\n"
        )
        got = run("check", made, "--checks", str(tmp_path), "--select", "zzz,duplicate-index")
    assert got.returncode == 3
    assert got.stderr == ""
    assert "the connection was lost" in got.stdout


def test_checks_from_a_plug_in_package(well: str, tmp_path: Path) -> None:
    package, information = tmp_path / "acme_checks", tmp_path / "acme_checks-1.0.dist-info"
    package.mkdir()
    information.mkdir()
    (package / "__init__.py").write_text("")
    (package / "acme-any.yaml").write_text(
        "format: 1\nid: acme-any\ntitle: Anything\ncategory: acme\nsince: 0.1.0\nstatus: stable\nwhy: x\n"
        "scope: database\ncolumns: {name: text}\nsql:\n  14: SELECT 'x' AS name ORDER BY 1\n"
        "object: {kind: table, name: [name]}\nseverity: critical\nmessage: '{object} is there.'\n"
        "remediation: {text: Nothing.}\ntests: []\n"
    )
    (information / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: acme-checks\nVersion: 1.0\n"
    )
    (information / "entry_points.txt").write_text("[pgaudit.checks]\nacme = acme_checks\n")
    path = f"{ROOT / 'src'}{os.pathsep}{tmp_path}"
    assert "acme" in run("list", "--select", "acme", "--origin", env={"PYTHONPATH": path}).stdout
    got = run("check", well, "--select", "acme", env={"PYTHONPATH": path})
    assert (got.returncode, got.stdout.split("\t")[1]) == (1, "acme-any")
