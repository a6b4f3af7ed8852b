"""Nodes behind a proxy, what is sealed of it, how well and how full they are, whether they leak."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from django.db import connection as database
from django.test import Client
from pytest_django import Settings

from access.errors import Invalid, WrongState
from audit.ledger.actor import Actor
from audit.ledger.models import Event
from deployments import actions, alarming, attest, exporter, fleet, look, ollama, plan
from deployments.connection import Unsealable, read_headers
from deployments.fleet import check
from deployments.models import Deployment, Node, NodeCheck
from tests.certificates import Authority
from tests.deployments.test_nodes import something_else
from tests.fleet import RealNode
from tests.ports import free_port

ActorOf = Callable[[str], Actor]
SECRET = "gate-of-the-proxy-7312"


def certificates(folder: Path) -> dict[str, str]:
    """What a node behind the gate is registered with."""
    names = {"ca": "ca.pem", "client_certificate": "fusebox.pem", "client_key": "fusebox.key"}
    return {field: (folder / name).read_text() for field, name in names.items()}


@contextmanager
def gate(behind: str, folder: Path) -> Iterator[str]:
    """A reverse proxy before an Ollama: TLS, a client certificate and a header, or nothing."""
    authority = Authority(folder)
    authority.issue("proxy", host="localhost")
    authority.issue("fusebox")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "ca.pem"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(folder / "proxy.pem", folder / "proxy.key")
    target = ("127.0.0.1", int(behind.rsplit(":", 1)[1]))

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError, ValueError):
            while data := source.recv(65536):
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def serve(raw: socket.socket) -> None:
        with suppress(OSError), context.wrap_socket(raw, server_side=True) as client:
            first = client.recv(65536)
            if SECRET.encode() not in first:
                client.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\n\r\nno\r\n")
                return
            with socket.create_connection(target) as node:
                node.sendall(first)
                back = threading.Thread(target=pump, args=(node, client), daemon=True)
                back.start()
                pump(client, node)
                back.join(5)

    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    raw, _address = server.accept()
                    threading.Thread(target=serve, args=(raw,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"https://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def guarded(actor_of: ActorOf, model_node_url: str, tmp_path: Path) -> Iterator[Node]:
    """The real node behind TLS, registered with all that its proxy asks for."""
    with gate(model_node_url, tmp_path) as url:
        yield actions.register_node(
            actor=actor_of("system"),
            name="guarded",
            url=url,
            headers={"X-Gate": SECRET},
            **certificates(tmp_path),
        )


def test_a_node_behind_a_proxy_is_reached_with_its_header_and_certificate(guarded: Node) -> None:
    assert fleet.check(guarded) is not None
    assert Node.objects.get().status == "online"


def test_without_the_header_the_proxys_refusal_is_told(
    actor_of: ActorOf, model_node_url: str, tmp_path: Path
) -> None:
    with (
        gate(model_node_url, tmp_path) as url,
        pytest.raises(Invalid, match="No Ollama answers"),
    ):
        actions.register_node(
            actor=actor_of("system"),
            name="x",
            url=url,
            **certificates(tmp_path),
        )


def test_the_secrets_of_a_node_are_nowhere_in_the_clear(
    guarded: Node, client_of: Callable[[str], Client]
) -> None:
    with database.cursor() as cursor:
        cursor.execute("SELECT n::text FROM deployments_node n")
        row = cursor.fetchone()[0]
        cursor.execute("SELECT string_agg(convert_from(leaf, 'UTF8'), ' ') FROM ledger_event")
        log = cursor.fetchone()[0]
    shown = client_of("system").get(f"/api/v1/nodes/{guarded.pk}/").content.decode()
    shown += client_of("system").get(f"/nodes/{guarded.pk}/update/").content.decode()
    for text in (row, log, shown):
        assert SECRET not in text
        assert "PRIVATE KEY" not in text


def test_another_secret_key_says_what_to_do(guarded: Node, settings: Settings) -> None:
    settings.SECRET_KEY = "x" * 60
    with pytest.raises(Unsealable, match="Enter them again"):
        fleet.access_of(guarded)
    fleet.check(guarded)
    assert "FUSEBOX_SECRET_KEY has changed" in str(Node.objects.get().problem)


@pytest.mark.parametrize(
    "lines", ["no colon", "Host: x", "X Y: z", "X: a\x00b", ": x", "Content-Length: 1"]
)
def test_a_header_that_cannot_be_sent_is_refused(lines: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_headers(lines)
    assert refused.value.field == "headers"


def test_a_hung_runner_is_degraded_though_the_port_answers(
    deployment: Deployment, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "PROOF_S", 2.0)
    runners = pids("ollama-lib runner")
    for pid in runners:
        subprocess.run(["kill", "-STOP", str(pid)], check=True)
    try:
        fleet.check(node, prove=True)
    finally:
        for pid in runners:
            subprocess.run(["kill", "-CONT", str(pid)], check=True)
    hung = Node.objects.get()
    assert hung.status == "degraded"
    assert "does not" in str(hung.problem)
    assert look.presence(hung) is not plan.Presence.UP
    monkeypatch.setattr(fleet, "PROOF_S", 60.0)
    fleet.check(node, prove=True)
    assert Node.objects.get().status == "online"
    assert Node.objects.get().proof_ms is not None
    assert list(NodeCheck.objects.values_list("status", flat=True)) == ["online", "degraded"]


def pids(pattern: str) -> list[int]:
    """Runners of the node of this run: children of the servers that this process started."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            grandparent = int(Path(f"/proc/{parent}/stat").read_text().rsplit(")", 1)[1].split()[1])
            if pattern in line and grandparent == os.getpid():
                found.append(int(folder.name))
    return found


def test_the_machines_own_exporter_says_how_full_it_is(actor_of: ActorOf, node: Node) -> None:
    program = shutil.which("prometheus-node-exporter") or shutil.which("node_exporter")
    assert program, "prometheus-node-exporter is not installed; `make test` says how to get it"
    port = free_port()
    child = subprocess.Popen(
        [program, f"--web.listen-address=127.0.0.1:{port}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}/metrics"
        deadline = time.monotonic() + 20
        while "memory_total" not in exporter.read(url) and time.monotonic() < deadline:
            time.sleep(0.2)
        actions.update_node(actor=actor_of("system"), node=node, exporter_url=url)
        fleet.check(Node.objects.get(), prove=True)
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(10)
    machine = Node.objects.get().machine
    assert machine["memory_total"] > machine["memory_free"] > 0
    assert machine["cores"] > 0
    assert Node.objects.get().capacity_bytes == machine["memory_total"]


def test_an_exporter_that_is_away_says_so() -> None:
    assert "problem" in exporter.read("http://127.0.0.1:9/metrics")
    assert "problem" in exporter.read("http://169.254.169.254/metrics")


def test_figures_of_gpus_are_added_up() -> None:
    text = (
        'DCGM_FI_DEV_FB_USED{gpu="0"} 1024\nDCGM_FI_DEV_FB_USED{gpu="1"} 1024\n'
        'DCGM_FI_DEV_FB_FREE{gpu="0"} 2048\nDCGM_FI_DEV_GPU_UTIL{gpu="0"} 50\n'
        'node_load1 1e999\nnonsense{ 3\nDCGM_FI_DEV_GPU_UTIL{gpu="1"} NaN\n'
    )
    assert exporter.figures(text) == {"gpu_used": 2 * 2**30, "gpu_total": 4 * 2**30, "gpu_busy": 50}


def test_figures_of_dcgm_exporter_as_it_writes_them() -> None:
    labels = (
        'UUID="GPU-1f3a",pci_bus_id="00000000:3B:00.0",device="nvidia{}",modelName="NVIDIA L4",'
        'Hostname="gpu{{7}}",DCGM_FI_DRIVER_VERSION="560.35.03"'
    )
    figures = {"GPU_UTIL": (90, 30), "FB_FREE": (17000, 20000), "FB_USED": (5000, 2000),
               "FB_RESERVED": (500, 500), "XID_ERRORS": (0, 0)}  # fmt: skip
    lines = []
    for name, values in figures.items():
        lines.append(f"# HELP DCGM_FI_DEV_{name} Something (in MiB).")
        lines.append(f"# TYPE DCGM_FI_DEV_{name} gauge")
        for gpu, value in enumerate(values):
            more = labels.format(gpu)
            lines.append(f'DCGM_FI_DEV_{name}{{gpu="{gpu}",{more}}} {value}')
    assert exporter.figures("\n".join(lines)) == {
        "gpu_used": 7000 * 2**20,
        "gpu_total": 45000 * 2**20,
        "gpu_busy": 60,
    }


def test_figures_of_nvidia_gpu_exporter_as_it_writes_them() -> None:
    text = """
# HELP nvidia_smi_gpu_info A metric with a constant '1' value labeled by gpu uuid, name.
# TYPE nvidia_smi_gpu_info gauge
nvidia_smi_gpu_info{uuid="8f1c",name="NVIDIA RTX {A} \\"x\\" }",driver_version="535.161"} 1
# HELP nvidia_smi_memory_total_bytes memory.total [MiB]
# TYPE nvidia_smi_memory_total_bytes gauge
nvidia_smi_memory_total_bytes{uuid="8f1c"} 8.589934592e+09
# HELP nvidia_smi_memory_used_bytes memory.used [MiB]
# TYPE nvidia_smi_memory_used_bytes gauge
nvidia_smi_memory_used_bytes{uuid="8f1c"} 7.06740224e+08
# HELP nvidia_smi_utilization_gpu_ratio utilization.gpu [%]
# TYPE nvidia_smi_utilization_gpu_ratio gauge
nvidia_smi_utilization_gpu_ratio{uuid="8f1c"} 0.42
nvidia_smi_power_draw_watts{uuid="8f1c"} +Inf
nvidia_smi_last_collect_success 1 1751475457000
"""
    assert exporter.figures(text) == {
        "gpu_used": 706740224,
        "gpu_total": 8589934592,
        "gpu_busy": 42,
    }


def test_a_node_that_is_held_answers_nothing_and_is_away_until_it_goes_on(
    fleet: list[Node], real_nodes: list[RealNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGSTOP: it still takes connections."""
    monkeypatch.setattr(ollama, "READ_S", 2.0)
    real_nodes[1].hold(signal.SIGSTOP)
    try:
        check(fleet[1])
        held = Node.objects.get(pk=fleet[1].pk)
        assert held.status == "unreachable"
        assert "did not answer within" in str(held.problem)
    finally:
        real_nodes[1].hold(signal.SIGCONT)
    monkeypatch.undo()
    check(fleet[1])
    assert Node.objects.get(pk=fleet[1].pk).status == "online"


def test_a_model_of_a_vendors_cloud_is_an_alarm_and_is_not_offered(node: Node) -> None:
    house = ollama.House(cloud_off=False, remote=["big:cloud"])
    report = fleet.ask(node.url)
    remote = ollama.Tag("big:cloud", "c" * 64, 100)
    changed = {**{f: getattr(report, f) for f in report.__dataclass_fields__}}
    changed |= {"house": house, "tags": [*report.tags, remote]}
    fleet.store(node, fleet.Report(**changed))
    node.refresh_from_db()
    assert {a.rule for a in alarming.open_about([node])} == {"remote_model", "cloud_on"}
    assert not node.stored.filter(tag="big:cloud").exists()
    assert Event.objects.filter(act="alarm.raise").count() == 2
    fleet.store(node, fleet.Report(**changed))
    assert Event.objects.filter(act="alarm.raise").count() == 2


def test_a_clock_that_is_off_is_an_alarm_until_it_is_right(node: Node) -> None:
    report = fleet.ask(node.url)
    assert report.house is not None
    assert report.house.ahead_s is not None
    assert abs(report.house.ahead_s) < attest.CLOCK_S
    for ahead, alarms in ((-3600.0, ["clock_off"]), (61.0, ["clock_off"]), (1.0, [])):
        changed = dataclasses.replace(report.house, ahead_s=ahead)
        fleet.store(node, dataclasses.replace(report, house=changed))
        node.refresh_from_db()
        assert [a.rule for a in alarming.open_about([node])] == alarms


@pytest.mark.parametrize(
    ("version", "old"),
    [("0.1.48", True), ("0.5.4", True), ("0.5.5", False), ("0.9.3", False), ("1.0.0-rc1", False),
     ("0.0.0", False), ("", False), ("v0.5.4", True)],
)  # fmt: skip
def test_an_ollama_that_is_too_old(version: str, old: bool) -> None:
    assert attest.is_too_old(version) is old


def test_a_node_that_is_too_old_is_not_added(actor_of: ActorOf) -> None:
    """Something that answers every question as an old Ollama would."""
    body = json.dumps({"version": "0.1.48", "models": []}).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
    answer = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with something_else(answer) as url, pytest.raises(Invalid, match="too old") as refused:
        actions.register_node(actor=actor_of("system"), name="old", url=url)
    assert refused.value.field == "url"
    assert not Node.objects.filter(name="old").exists()


@pytest.mark.parametrize(
    ("version", "said", "closed"),
    [("0.9.3", None, True), ("0.13.0", None, None), ("0.17.0", True, True), ("0.17", False, False)],
)
def test_whether_the_house_is_closed(version: str, said: bool | None, closed: bool | None) -> None:
    assert attest.is_closed(Node(version=version, house={"cloud_off": said})) is closed


@pytest.mark.parametrize(
    ("version", "looked", "keeps_none"),
    [("0.9.3", False, True), ("0.18.3", False, None), ("0.18.3", True, True), ("", False, None)],
)
def test_whether_requests_stay_off_its_disk(
    version: str, looked: bool, keeps_none: bool | None
) -> None:
    node = Node(version=version, request_log_off=looked)
    assert attest.keeps_no_requests(node) is keeps_none


def test_who_looked_is_an_event_and_another_address_is_not_looked_at(
    actor_of: ActorOf, node: Node
) -> None:
    looked = actions.update_node(actor=actor_of("system"), node=node, request_log_off=True)
    assert looked.request_log_off
    event = Event.objects.filter(act="node.update").latest("id")
    assert b'"request_log_off"' in bytes(event.leaf)
    elsewhere = node.url.replace("127.0.0.1", "localhost")
    moved = actions.update_node(actor=actor_of("system"), node=node, url=elsewhere)
    assert not moved.request_log_off


def test_what_a_newer_node_says_of_clouds_is_read() -> None:
    models = {"models": [{"name": "a:1"}, {"name": "b", "remote_host": "https://x"}, "nonsense"]}
    body = json.dumps({**models, "cloud": {"disabled": True, "source": "env"}}).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
    answer = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with something_else(answer) as url:
        assert ollama.Node(url).house() == ollama.House(True, ["b"])


def test_cordoning_twice_is_refused(actor_of: ActorOf, node: Node) -> None:
    actions.cordon(actor=actor_of("system"), node=node)
    with pytest.raises(WrongState):
        actions.cordon(actor=actor_of("system"), node=node)
    actions.uncordon(actor=actor_of("system"), node=node)
    acts = Event.objects.filter(act__startswith="node.").order_by("id")
    assert [e.act for e in acts][-2:] == ["node.cordon", "node.uncordon"]


@pytest.mark.parametrize("label", ["ü", "a b", "x" * 64, "-x", "a\x00"])
def test_a_label_that_is_none_is_refused(actor_of: ActorOf, node: Node, label: str) -> None:
    with pytest.raises(Invalid) as refused:
        actions.update_node(actor=actor_of("system"), node=node, labels=[label])
    assert refused.value.field == "labels"
