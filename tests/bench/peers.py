"""What others put in front of the same upstream: nginx and LiteLLM, where they are installed.

`make bench-gateway` installs both. Neither keeps an event of what it passes on: LiteLLM has a
master key, no database and one worker.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

from console.embedded import spawn
from tests.engines import Engines
from tests.ports import free_port

KEY = "sk-bench"
LITELLM = os.environ.get("LITELLM", "")
NGINX_CONF = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx-error.log;
events {{ worker_connections 256; }}
http {{
    access_log off; proxy_temp_path {folder}; client_body_temp_path {folder};
    fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
    keepalive_requests 100000000;
    upstream canned {{
        server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 100000000;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://canned; proxy_http_version 1.1; proxy_buffering off;
            proxy_set_header Connection "";
        }}
    }}
}}
"""
LITELLM_CONF = """
model_list:
  - model_name: bench
    litellm_params: {{model: openai/bench, api_base: "http://127.0.0.1:{upstream}/v1", api_key: none}}
general_settings: {{master_key: {key}}}
"""


def start(engines: Engines, upstream: int) -> dict[str, int]:
    """The port of each, by its name. Says which are not there."""
    ports = {}
    folder = engines.installation.logs
    if nginx := shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin"):
        ports["nginx"] = port = free_port()
        conf = folder / "nginx.conf"
        conf.write_text(NGINX_CONF.format(folder=folder, upstream=upstream, port=port))
        _begin(engines, [nginx, "-c", conf], "nginx")
    litellm = Path(f".venv/peers/litellm-{LITELLM}/bin/litellm").absolute()
    if LITELLM and litellm.exists():
        ports[f"LiteLLM {LITELLM}"] = port = free_port()
        conf = folder / "litellm.yaml"
        conf.write_text(LITELLM_CONF.format(upstream=upstream, key=KEY))
        command: list[str | Path] = [
            litellm, "--config", conf, "--host", "127.0.0.1", "--port", str(port),
            "--num_workers", "1",
        ]  # fmt: skip
        _begin(engines, command, "litellm")
    for name in ("nginx", "LiteLLM"):
        if not any(each.startswith(name) for each in ports):
            print(f"{name} is not installed: it is not in this run")
    return ports


def _begin(engines: Engines, command: Sequence[str | Path], name: str) -> None:
    child = spawn.start(
        command,
        env={**os.environ, "NO_PROXY": "127.0.0.1", "LITELLM_TELEMETRY": "False"},
        log=engines.installation.logs / f"{name}.log",
    )
    engines.children.append((child, signal.SIGTERM))
