"""docker-compose.yml against the Compose schema, and what no schema knows."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.architecture.source import ROOT
from tests.architecture.test_docs import settable

HERE = ROOT / "tests" / "production"
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
WORKERS = ["worker", "operations", "transfers"]
OURS = ["web", "gateway", *WORKERS, "beat", "sealer", "forwarder", "migrate"]
OF_OTHERS = {
    "OLLAMA_NO_CLOUD",
    "POSTGRES_PASSWORD_FILE",
    "POSTGRES_INITDB_ARGS",
    "FUSEBOX_DOMAIN",
    "FUSEBOX_TLS",
}


def problems(document: object) -> list[str]:
    schema = json.loads((HERE / "compose.schema.json").read_text())
    found = jsonschema.Draft7Validator(schema).iter_errors(document)
    return [f"{error.json_path}: {error.message[:200]}" for error in found]


def test_it_is_a_valid_compose_file() -> None:
    assert problems(COMPOSE) == []


def test_a_mistake_would_be_found() -> None:
    assert problems({"services": {"web": {"image": "x", "helthcheck": {}}}}) != []


def test_it_has_every_part_of_the_house() -> None:
    wanted = {"proxy", *OURS, "postgres", "valkey", "ollama", "ollama-gpu"}
    assert set(SERVICES) == wanted


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_watched_or_says_why_not(name: str) -> None:
    check = SERVICES[name].get("healthcheck", {})
    assert "test" in check or SERVICES[name].get("x-no-healthcheck")


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged") and "docker.sock" not in str(service)
    assert service["restart"] in ("unless-stopped", "on-failure")


@pytest.mark.parametrize("name", OURS)
def test_our_own_services_cannot_write_their_image(name: str) -> None:
    assert SERVICES[name]["read_only"] is True
    assert "user" not in SERVICES[name] and "\nUSER fusebox\n" in (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize("name", SERVICES)
def test_every_environment_variable_is_known(name: str) -> None:
    given = SERVICES[name].get("environment", {})
    known = settable() | {f"{variable}_FILE" for variable in settable()} | OF_OTHERS
    assert set(given) <= known


@pytest.mark.parametrize("name", SERVICES)
def test_every_secret_is_declared_and_given_where_it_is_read(name: str) -> None:
    secrets = set(SERVICES[name].get("secrets", []))
    assert secrets <= set(COMPOSE["secrets"])
    read = set(re.findall(r"/run/secrets/([a-z_]+)", str(SERVICES[name])))
    assert read == secrets


def test_only_the_one_shot_holds_the_keys_of_owner_and_administrator() -> None:
    for name, service in SERVICES.items():
        held = set(service.get("secrets", []))
        if name != "migrate":
            assert not held & {"database_owner_url", "database_admin_url"}, name


def test_only_the_sealer_can_sign() -> None:
    for name, service in SERVICES.items():
        held, mounted = set(service.get("secrets", [])), str(service.get("volumes", []))
        if name not in ("sealer", "migrate"):
            assert "database_sealer_url" not in held, name
        if name != "sealer":
            assert "sealer:" not in mounted, name


def test_no_secret_stands_in_the_file() -> None:
    assert re.search(r"(?i)(password|secret|token)\s*[:=]\s*[\"']?[a-z0-9]{8,}", TEXT) is None


def test_only_the_proxy_can_be_reached_from_outside() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["proxy"]
    for name in ("postgres", "valkey"):
        assert SERVICES[name]["networks"] == ["back"]
    assert COMPOSE["networks"]["back"]["internal"] is True
    assert COMPOSE["networks"]["front"]["internal"] is True


def test_the_services_wait_for_what_they_need() -> None:
    for name in ("web", "gateway", *WORKERS, "beat", "sealer"):
        waits = SERVICES[name]["depends_on"]
        assert waits["migrate"]["condition"] == "service_completed_successfully"
        assert waits["postgres"]["condition"] == "service_healthy"
    for service in SERVICES.values():
        assert set(service.get("depends_on", {})) <= set(SERVICES)


def test_the_proxy_sends_the_inference_paths_to_the_gateway() -> None:
    caddy = COMPOSE["configs"]["caddyfile"]["content"]
    assert "path /v1 /v1/* /ollama /ollama/*" in caddy
    assert caddy.index("reverse_proxy gateway:8000") < caddy.index("reverse_proxy web:8000")
    assert "flush_interval -1" in caddy.split("reverse_proxy gateway:8000")[1][:60]
    # Compose reads a single $ as a variable of its own.
    assert re.search(r"(?<!\$)\$(?!\$)[A-Z{]", caddy) is None


def test_a_stream_has_time_to_end_before_the_container_is_killed() -> None:
    for name in ("web", "gateway"):
        allowed = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
        match = re.search(r"--timeout-graceful-shutdown (\d+)", SERVICES[name]["command"])
        assert match is not None
        assert int(match[1]) < allowed


def test_what_the_image_copies_is_let_through_to_the_builder() -> None:
    copied = re.findall(r"^COPY (?!--from)(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    let_through = set(re.findall(r"^!(\S+)", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    assert set(copied) == let_through
    for place in copied:
        assert (ROOT / place).exists(), place


def test_the_documented_commands_make_every_secret(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "production.md").read_text()
    match = re.search(r"```sh\n(.*?)```", page, re.DOTALL)
    assert match is not None
    subprocess.run(["sh", "-euc", match[1]], cwd=tmp_path, check=True)
    made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert set(made) == set(COMPOSE["secrets"])
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert len(made["secret_key"]) >= 50
    assert f":{made['postgres_password']}@postgres:5432/" in made["database_admin_url"]
    assert f":{made['valkey_password']}@valkey:6379/" in made["redis_url"]
    roles = {
        name: made[f"database_{name}url"].split("//")[1].split(":")[0] for name in ("", "owner_")
    }
    assert roles == {"": "fusebox_web", "owner_": "fusebox_owner"}
