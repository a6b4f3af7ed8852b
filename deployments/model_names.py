"""Names of models as Ollama reads them: host[:port]/namespace/model:tag."""

from __future__ import annotations

import re

from django.utils.translation import gettext_lazy as _

from access.errors import Invalid

MODEL_NAME = re.compile(
    r"(?:[a-zA-Z0-9.-]+(?::\d{1,5})?/)?(?:[a-zA-Z0-9_.-]+/){0,3}[a-zA-Z0-9_.-]+(?::[a-zA-Z0-9_.-]+)?"
)
OURS = "fusebox/"


def valid_model_name(name: str) -> str:
    """The name with its tag, as a node lists it. Raises Invalid."""
    name = name.strip()
    if len(name) > 200 or not MODEL_NAME.fullmatch(name) or ".." in name:
        raise Invalid(
            _("Write a model name such as llama3.2:3b or registry.example/library/qwen3:4b."),
            field="name",
        )
    if name.startswith(OURS):
        raise Invalid(_("Names that begin with fusebox/ are kept for deployments."), field="name")
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"
