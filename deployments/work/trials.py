"""Trying a scenario: its samples asked of each model on a real node, and the answers judged.

The operation's result: {model's id: {"model", "size", "node", "memory", "problem", "samples"}},
a sample being {"text", "problems", "first_ms", "total_ms", "rate", "tokens"}. A worker that takes
over begins again with the model at which the last one was.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jsonschema
import orjson

from deployments import fleet, ollama, room, scenarios
from deployments.lease import Lease
from deployments.models import Model, Node, NodeStatus, Replica, StoredModel
from deployments.scenarios import Sample, Scenario
from deployments.wishes import Duty

MAX_TEXT = 4000
PATIENCE_S = 300.0


def try_scenario(lease: Lease) -> None:
    arguments = lease.operation.arguments
    scenario = scenarios.get(str(arguments["scenario"]))
    if scenario is None:
        raise ollama.ModelMissing(f"The scenario {arguments['scenario']} is there no more.")
    found = dict(lease.operation.result)
    models = Model.objects.filter(pk__in=arguments["models"]).order_by("size_bytes", "name")
    for model in models:
        if found.get(str(model.pk), {}).get("ended"):
            continue
        found[str(model.pk)] = {
            "model": model.name,
            "size": model.size_bytes,
            "samples": [],
            "problem": "",
        }
        try:
            _try(lease, scenario, str(arguments["language"]), model, found)
        except ollama.OllamaError as error:
            lease.note(f"{model.name}: {error}")
            found[str(model.pk)]["problem"] = str(error)[:500]
        found[str(model.pk)]["ended"] = True
        lease.write(result=found)
    lease.operation.result = found
    if found and all(each["problem"] for each in found.values()):
        raise ollama.OllamaError("No model could be tried; each says why.")


def _try(
    lease: Lease, scenario: Scenario, language: str, model: Model, found: dict[str, Any]
) -> None:
    entry = found[str(model.pk)]
    stored = _where(model, int(scenario.parameters["num_ctx"]))
    node, tag, api = stored.node, stored.tag, fleet.api(stored.node)
    lease.step("check", f"{model.name} on {node.name}, Ollama {api.version()}")
    entry["node"] = node.name
    options = {k: v for k, v in scenario.parameters.items() if k != "num_predict"}
    try:
        for number, sample in enumerate(scenario.samples, 1):
            lease.step("try", f"{model.name}: sample {number} of {len(scenario.samples)}")
            ask = partial(
                api.probe,
                tag,
                sample.input(language),
                max_tokens=int(scenario.parameters["num_predict"]),
                schema=scenario.schema,
                system=scenario.text(language).prompt,
                options=options,
                patience_s=PATIENCE_S,
            )
            probe = lease.call(ask)
            entry["samples"].append(
                {
                    "text": probe.text[:MAX_TEXT],
                    "problems": judge(scenario, sample, probe),
                    "first_ms": probe.first_ms,
                    "total_ms": probe.total_ms - probe.load_ms,
                    "rate": probe.rate,
                    "tokens": probe.tokens,
                }
            )
            entry["memory"] = next((m.size for m in api.loaded() if m.name == tag), 0)
            lease.write(result=found)
    finally:
        if not _in_use(node, model):
            api.unload(tag)


def _where(model: Model, context: int) -> StoredModel:
    """A copy on a node that answers and has the room for it. Raises ModelMissing."""
    copies = StoredModel.objects.filter(
        model=model, node__status=NodeStatus.ONLINE, node__duty=Duty.OPEN
    ).select_related("node")
    by_node = {copy.node_id: copy for copy in copies}
    rooms = room.rooms(model, context, [copy.node for copy in by_node.values()])
    for each in sorted(rooms, key=lambda r: r.verdict != room.Verdict.FITS):
        if each.verdict is not room.Verdict.NOT:
            return by_node[each.node.pk]
    if rooms:
        raise ollama.ModelMissing(f"{model.name} does not fit on any node that stores it.")
    raise ollama.ModelMissing(f"No open node that answers stores {model.name}.")


def _in_use(node: Node, model: Model) -> bool:
    """Whether a deployment has the same weights on the node: those are in memory once."""
    rows = Replica.objects.filter(node=node).select_related("revision__model")
    return any(replica.revision.model.identity == model.identity for replica in rows)


def judge(scenario: Scenario, sample: Sample, probe: ollama.Probe) -> list[dict[str, str]]:
    """What is wrong with an answer: {"what": empty, cut, schema, field or word, "detail"}."""
    text = probe.text
    if not text.strip():
        return [{"what": "empty", "detail": ""}]
    problems = [{"what": "cut", "detail": ""}] if probe.cut else []
    if scenario.schema is not None:
        problems += _fields(scenario.schema, sample, text)
    problems += [{"what": "word", "detail": word} for word in sample.words if word not in text]
    return problems


def _fields(schema: dict[str, Any], sample: Sample, text: str) -> list[dict[str, str]]:
    try:
        answer = orjson.loads(text)
        jsonschema.validate(answer, schema)
    except orjson.JSONDecodeError:
        return [{"what": "schema", "detail": "no JSON"}]
    except jsonschema.ValidationError as error:
        return [{"what": "schema", "detail": str(error.message)[:200]}]
    return [
        {"what": "field", "detail": f"{name}: {_short(answer.get(name))} ≠ {_short(value)}"}
        for name, value in sample.fields.items()
        if answer.get(name) != value
    ]


def _short(value: object) -> str:
    return orjson.dumps(value).decode()[:80]
