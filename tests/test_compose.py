"""docker-compose.yml: no engine runs here, so its structure and everything it names are checked."""

from __future__ import annotations

import importlib.util
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from pgaudit import demo
from pgaudit.demo.__main__ import parser

ROOT = Path(__file__).resolve().parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
MAJORS = (14, 15, 16, 17, 18)

TOP_KEYS = {"name", "services", "configs", "x-pgaudit", "x-developer"}
SERVICE_KEYS = {
    "build", "command", "configs", "depends_on", "entrypoint", "environment", "healthcheck",
    "image", "ports", "profiles", "stop_grace_period", "tmpfs", "volumes",
}  # fmt: skip
IMAGES = re.compile(r"postgres:(14|15|16|17|18)|pgaudit:local")
DURATION = re.compile(r"\d+(ms|s|m|h)")
PORT = re.compile(r"127\.0\.0\.1:(\d{4,5}):5432")
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}
PROGRAMS = {
    # what each image brings; pgaudit's own are looked up in pyproject.toml and by import
    "postgres": {"postgres", "pg_isready"},
    "pgaudit": {"python", "test", "pgaudit"},
}


def services(key: str = "image") -> list[Any]:
    """Make a pytest parameter of each service that has the key."""
    return [pytest.param(service, id=name) for name, service in SERVICES.items() if key in service]


def settings(command: list[str]) -> dict[str, str]:
    """Read the `-c name=value` options of a postgres command."""
    assert command[0] == "postgres"
    assert command[1::2] == ["-c"] * (len(command) // 2)
    return dict(option.split("=", 1) for option in command[2::2])


def test_has_only_keys_that_compose_knows() -> None:
    assert set(COMPOSE) <= TOP_KEYS
    for name, service in SERVICES.items():
        assert set(service) <= SERVICE_KEYS, name


def test_has_the_three_services_and_the_matrix() -> None:
    unconditional = {name for name, service in SERVICES.items() if "profiles" not in service}
    assert unconditional == {"postgres", "workload", "pgaudit"}
    matrix = {name: s["image"] for name, s in SERVICES.items() if s.get("profiles") == ["matrix"]}
    assert matrix == {f"postgres-{major}": f"postgres:{major}" for major in MAJORS}


@pytest.mark.parametrize("service", services())
def test_every_image_has_an_explicit_tag(service: dict[str, Any]) -> None:
    assert IMAGES.fullmatch(service["image"]), service["image"]
    # An image of our own has to be built, a foreign one must not be.
    assert ("build" in service) == (service["image"] == "pgaudit:local")


@pytest.mark.parametrize("service", services())
def test_every_program_exists_in_its_image(service: dict[str, Any]) -> None:
    programs = PROGRAMS[service["image"].split(":")[0]]
    command = [*service.get("entrypoint", []), *service["command"]]
    assert all(isinstance(word, str) for word in command), "YAML must not turn words into numbers"
    assert command[0] in programs
    if "healthcheck" in service:
        assert service["healthcheck"]["test"][1] in programs


def test_the_image_is_built_from_files_that_exist_and_installs_the_project() -> None:
    build = SERVICES["pgaudit"]["build"]
    assert build == SERVICES["workload"]["build"]
    assert build["context"] == "."
    lines = build["dockerfile_inline"].splitlines()
    assert lines[0] == "FROM python:3.12-slim"
    assert "RUN pip install --no-cache-dir ." in lines
    copied = [
        source for line in lines if line.startswith("COPY ") for source in shlex.split(line)[1:-1]
    ]
    assert {"pyproject.toml", "src", "checks", "README.md", "LICENSE"} <= set(copied)
    missing = [source for source in copied if not (ROOT / source).exists()]
    assert missing == []


def test_the_build_copies_what_the_metadata_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    recipe = SERVICES["pgaudit"]["build"]["dockerfile_inline"]
    for file in (project["readme"], *project["license-files"]):
        assert file in shlex.split(recipe)
    assert project["scripts"]["pgaudit"]


@pytest.mark.parametrize("service", services("volumes"))
def test_every_mounted_file_exists_and_is_read_only(service: dict[str, Any]) -> None:
    for volume in service["volumes"]:
        source, target, mode = volume.split(":")
        assert (ROOT / source).is_file(), source
        assert re.fullmatch(r"/docker-entrypoint-initdb\.d/\d\d-[a-z]+\.sql", target)
        assert mode == "ro"


def test_every_config_is_defined_and_used() -> None:
    used = [config for service in SERVICES.values() for config in service.get("configs", [])]
    assert {config["source"] for config in used} == set(COMPOSE["configs"])
    assert all(config["target"].startswith("/docker-entrypoint-initdb.d/") for config in used)


@pytest.mark.parametrize("service", services("healthcheck"))
def test_every_healthcheck_is_complete(service: dict[str, Any]) -> None:
    check = service["healthcheck"]
    assert set(check) == {"test", "interval", "timeout", "retries"}
    assert check["test"][0] == "CMD"
    assert DURATION.fullmatch(check["interval"])
    assert DURATION.fullmatch(check["timeout"])
    assert check["retries"] > 0


@pytest.mark.parametrize("service", services("depends_on"))
def test_every_dependency_can_be_met(service: dict[str, Any]) -> None:
    for name, dependency in service["depends_on"].items():
        assert dependency["condition"] in CONDITIONS
        assert "profiles" not in SERVICES[name], "a service of a profile need not be there"
        if dependency["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[name]


def test_the_audit_waits_for_the_workload_and_that_for_the_server() -> None:
    assert SERVICES["pgaudit"]["depends_on"] == {"workload": {"condition": "service_healthy"}}
    assert SERVICES["workload"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}


def test_ports_are_local_and_differ() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    matches = [PORT.fullmatch(port) for port in ports]
    assert all(matches), ports
    assert len({match[1] for match in matches if match}) == len(ports) == 1 + len(MAJORS)


@pytest.mark.parametrize("service", services("tmpfs"))
def test_the_data_directory_of_each_major_is_in_memory(service: dict[str, Any]) -> None:
    major = int(service["image"].split(":")[1])
    # The images of 18 and later keep their data, and declare their volume, one level higher.
    expected = "/var/lib/postgresql" if major >= 18 else "/var/lib/postgresql/data"
    assert service["tmpfs"] == [expected]


DEFAULTS = {"fsync", "full_page_writes", "synchronous_commit"}


def test_the_server_has_the_settings_of_the_demo() -> None:
    found = settings(SERVICES["postgres"]["command"])
    # What a server has unless it is told otherwise is said of throwaway ones only.
    told = {n: v for n, v in demo.SETTINGS.items() if n not in DEFAULTS}
    assert {name: found.get(name) for name in told} == told
    for major in MAJORS:
        assert "shared_preload_libraries" in settings(SERVICES[f"postgres-{major}"]["command"])


def test_every_client_connects_to_a_role_that_exists() -> None:
    server = SERVICES["postgres"]["environment"]
    script = COMPOSE["configs"]["auditor"]["content"]
    for name in ("workload", "pgaudit"):
        client = SERVICES[name]["environment"]
        assert client["PGHOST"] == "postgres"
        assert client["PGDATABASE"] == server["POSTGRES_DB"]
    owner = SERVICES["workload"]["environment"]
    assert owner["PGUSER"] == server["POSTGRES_USER"]
    assert owner["PGPASSWORD"] == server["POSTGRES_PASSWORD"]
    auditor = SERVICES["pgaudit"]["environment"]
    created = re.search(r"CREATE ROLE (\w+) LOGIN PASSWORD '([^']+)'", script)
    assert created is not None
    assert created.groups() == (auditor["PGUSER"], auditor["PGPASSWORD"])
    assert f"GRANT pg_monitor TO {auditor['PGUSER']};" in script


def test_no_password_looks_like_a_real_one() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if name.endswith("PASSWORD"):
                assert value == "local-demo-only"


def test_the_workload_command_parses_and_makes_the_file_that_is_waited_for() -> None:
    python, dash_m, module, *options = SERVICES["workload"]["command"]
    assert (python, dash_m) == ("python", "-m")
    assert importlib.util.find_spec(f"{module}.__main__") is not None
    parsed = parser().parse_args(options)
    assert parsed.forever
    assert SERVICES["workload"]["healthcheck"]["test"] == ["CMD", "test", "-e", str(parsed.ready)]


def test_the_audit_command_has_only_options_that_exist() -> None:
    from typer.main import get_command

    from pgaudit.cli import app

    assert SERVICES["pgaudit"]["entrypoint"] == ["pgaudit"]
    name, *options = SERVICES["pgaudit"]["command"]
    group = get_command(app)
    command = group.commands[name]  # type: ignore[attr-defined]
    command.make_context(name, list(options), resilient_parsing=False)
