"""What a machine's own Prometheus exporters say: memory, processors, load, GPUs. Scraped, bounded.

node_exporter for the machine; DCGM or nvidia_gpu_exporter for its GPUs, at the same address or
through a proxy that joins them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext_noop as _

from access.errors import Invalid
from access.said import say, to_json
from deployments import ollama
from deployments.addresses import checked_url

MAX_BYTES = 4 * 1024 * 1024
# A label's value may hold anything, braces too, in its quotes.
LABELS = r'\{(?:[^"}]|"(?:\\.|[^"\\])*")*\}'
LINE = re.compile(rf"^([a-zA-Z_:][a-zA-Z0-9_:]*)({LABELS})?\s+([0-9.eE+-]+|NaN)")
SUMS = {
    "node_memory_MemTotal_bytes": "memory_total",
    "node_memory_MemAvailable_bytes": "memory_free",
    "node_load1": "load",
    "DCGM_FI_DEV_FB_USED": "gpu_used_mib",
    "DCGM_FI_DEV_FB_FREE": "gpu_free_mib",
    "DCGM_FI_DEV_FB_RESERVED": "gpu_reserved_mib",
    "nvidia_smi_memory_used_bytes": "gpu_used",
    "nvidia_smi_memory_total_bytes": "gpu_total",
}
MEANS = {"DCGM_FI_DEV_GPU_UTIL": "gpu_busy", "nvidia_smi_utilization_gpu_ratio": "gpu_busy_ratio"}


def read(url: str) -> dict[str, Any]:
    """The figures, or {"problem": why there are none}. Never raises."""
    try:
        text = ollama.fetch_text(checked_url(url), MAX_BYTES)
    except (ollama.OllamaError, Invalid) as error:
        return {"problem": to_json(error.text)}
    nothing = say(_("No figures of node_exporter or of a GPU exporter there."))
    return figures(text) or {"problem": to_json(nothing)}


def figures(text: str) -> dict[str, Any]:
    """Sums and means of the samples that matter."""
    found: dict[str, float] = {}
    busy: dict[str, list[float]] = {}
    cores: set[str] = set()
    for name, labels, value in _samples(text):
        if key := SUMS.get(name):
            found[key] = found.get(key, 0.0) + value
        elif key := MEANS.get(name):
            busy.setdefault(key, []).append(value)
        elif name == "node_cpu_seconds_total" and (cpu := re.search(r'cpu="([^"]*)"', labels)):
            cores.add(cpu[1])
    result: dict[str, Any] = {
        k: round(v, 2) if k == "load" else int(v)
        for k, v in found.items()
        if not k.startswith("gpu_")
    }
    if cores:
        result["cores"] = len(cores)
    used, total = found.get("gpu_used"), found.get("gpu_total")
    if "gpu_used_mib" in found:
        used = found["gpu_used_mib"] * 2**20
        rest = found.get("gpu_free_mib", 0.0) + found.get("gpu_reserved_mib", 0.0)
        total = used + rest * 2**20
    if used is not None and total:
        result |= {"gpu_used": int(used), "gpu_total": int(total)}
    for key, values in busy.items():
        scale = 100 if key.endswith("ratio") else 1
        result["gpu_busy"] = int(sum(values) / len(values) * scale)
    return result


def _samples(text: str) -> Iterator[tuple[str, str, float]]:
    for line in text.splitlines():
        if (found := LINE.match(line)) and found[3] != "NaN":
            try:
                value = float(found[3])
            except ValueError:
                continue
            if 0 <= value < 2**63:
                yield found[1], found[2] or "", value
