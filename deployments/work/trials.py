"""Trying a scenario: its samples, and one's own, asked of each model on a real node, and judged.

The operation's result: {model's id: {"model", "digest", "size", "node", "context", "memory",
"load_ms", "problem", "ended", "samples"}}, a sample being {"text", "problems", "first_ms",
"total_ms", "rate", "tokens"}. Of one's own samples only kinds of problems and figures are there;
their texts are in OwnSample. A worker that takes over begins again with the model at which the
last one was.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from django.utils.translation import gettext_noop as _

from access.said import say, to_json
from deployments import fleet, ollama, scenarios
from deployments.judging import Answer, Problem, judge
from deployments.lease import Lease
from deployments.models import Model, OwnSample
from deployments.scenarios import Sample, Scenario
from deployments.trial_places import Spot, spots

MAX_TEXT = 4000
PATIENCE_S = 300
Asked = tuple[Sample, OwnSample | None]


@dataclass(slots=True)
class _Trial:
    """One trial under way; `found` is the operation's result as it grows."""

    lease: Lease
    scenario: Scenario
    language: str
    asked: list[Asked]
    found: dict[str, Any]


def try_scenario(lease: Lease) -> None:
    arguments = lease.operation.arguments
    language = str(arguments["language"])
    scenario = scenarios.get(str(arguments["scenario"]))
    if scenario is None or scenarios.digest(scenario, language) != arguments["recipe"]:
        raise ollama.OllamaError(
            say(
                _("The scenario %(name)s was changed or removed meanwhile; begin again."),
                name=arguments["scenario"],
            )
        )
    asked = _asked(lease, scenario)
    trial = _Trial(lease, scenario, language, asked, dict(lease.operation.result))
    models = {str(m.pk): m for m in Model.objects.filter(pk__in=arguments["models"])}
    for pk in arguments["models"]:
        if not trial.found.get(pk, {}).get("ended"):
            _one(trial, pk, models.get(pk), str(arguments["names"][pk]))
    lease.operation.result = trial.found
    if trial.found and all(each["problem"] for each in trial.found.values()):
        raise ollama.OllamaError(say(_("No model could be tried; each says why.")))


def _asked(lease: Lease, scenario: Scenario) -> list[Asked]:
    """The scenario's samples, then those of one's own, as far as nobody forgot them."""
    own = OwnSample.objects.filter(operation=lease.operation)
    mine = [(Sample(o.text, o.text, o.fields, tuple(o.words)), o) for o in own]
    return [*((sample, None) for sample in scenario.samples), *mine]


def _one(trial: _Trial, pk: str, model: Model | None, name: str) -> None:
    """One model; what goes wrong with it is its own result, and the others are tried."""
    trial.found[pk] = _entry(name)
    try:
        if model is None:
            raise ollama.ModelMissing(say(_("No node has this model any more.")))
        _try(trial, pk, model)
    except ollama.OllamaError as error:
        trial.lease.note(say(_("%(node)s: %(reason)s"), node=name, reason=error.text))
        trial.found[pk]["problem"] = to_json(error.text)
    trial.found[pk]["ended"] = True
    trial.lease.write(result=trial.found)


def _entry(name: str, digest: str = "", size: int = 0) -> dict[str, Any]:
    return {"model": name, "digest": digest, "size": size, "samples": [], "problem": ""}


def _try(trial: _Trial, pk: str, model: Model) -> None:
    """On the best place; when its node dies meanwhile, on the next best, from the beginning."""
    trial.found[pk] = _entry(model.name, model.digest, model.size_bytes)
    places = spots(model, int(trial.scenario.parameters["num_ctx"]))
    for spot in places:
        trial.found[pk] = _entry(model.name, model.digest, model.size_bytes)
        trial.found[pk] |= {"node": spot.stored.node.name, "context": spot.context}
        try:
            _on(trial, pk, spot)
        except (ollama.Unreachable, ollama.Timeout) as error:
            if spot is places[-1]:
                raise
            next_one = say(
                _("%(node)s: %(reason)s The next node is asked."),
                node=spot.stored.node.name,
                reason=error.text,
            )
            trial.lease.note(next_one)
        else:
            return


def _on(trial: _Trial, pk: str, spot: Spot) -> None:
    lease, entry = trial.lease, trial.found[pk]
    tag, api = spot.stored.tag, fleet.api(spot.stored.node)
    here = {"model": entry["model"], "node": entry["node"], "version": api.version()}
    lease.step("check", say(_("%(model)s on %(node)s, Ollama %(version)s"), **here))
    kept = _kept(api) - set(spot.names)
    try:
        for number, (sample, own) in enumerate(trial.asked, 1):
            at = {"model": entry["model"], "number": number, "all": len(trial.asked)}
            lease.step("try", say(_("%(model)s: sample %(number)d of %(all)d"), **at))
            answer = _ask(trial, api, spot, sample)
            problems = judge(trial.scenario.schema, sample, answer)
            entry["samples"].append(_kept_of(answer, problems, own, pk))
            entry["load_ms"] = max(entry.get("load_ms", 0), answer.load_ms)
            loaded = api.loaded()
            _put_back(lease, api, tag, kept - {m.name for m in loaded})
            sizes = [m.size for m in loaded if m.name in spot.names]
            entry["memory"] = max(sizes, default=entry.get("memory", 0))
            lease.write(result=trial.found)
    finally:
        if not spot.shared:
            with suppress(ollama.OllamaError):
                api.unload(tag)


def _ask(trial: _Trial, api: ollama.Node, spot: Spot, sample: Sample) -> Answer:
    """One answer, at temperature 0, with the time until its first byte came here."""
    scenario, language = trial.scenario, trial.language
    messages = [
        {"role": "system", "content": scenario.text(language).prompt},
        {"role": "user", "content": sample.input(language)},
    ]
    options = {**scenario.parameters, "num_ctx": spot.context, "temperature": 0}
    begun, first, parts, last = time.monotonic(), 0.0, [], ollama.Piece("")
    pieces = api.chat(spot.stored.tag, messages, options=options, schema=scenario.schema)
    for last in trial.lease.follow(pieces):
        first = first or time.monotonic() - begun
        parts.append(last.text)
        if time.monotonic() - begun > PATIENCE_S:
            late = say(_("Its answer took longer than %(seconds)d s."), seconds=PATIENCE_S)
            raise ollama.Refused(late)
    total = time.monotonic() - begun
    if not last.last:
        raise ollama.Unreachable(
            say(_("%(url)s broke off in the middle of an answer."), url=api.url)
        )
    return Answer(
        "".join(parts),
        cut=last.cut,
        left_out=last.prompt_tokens >= spot.context - 1,
        first_ms=max(1, round(first * 1000) - last.load_ms),
        total_ms=max(1, round(total * 1000) - last.load_ms),
        load_ms=last.load_ms,
        rate=last.rate,
        tokens=last.tokens,
    )


def _kept_of(
    answer: Answer, problems: list[Problem], own: OwnSample | None, pk: str
) -> dict[str, Any]:
    """What the operation keeps; the words of one's own samples go to their own row."""
    figures = {name: getattr(answer, name) for name in ("first_ms", "total_ms", "rate", "tokens")}
    shown = {"text": answer.text[:MAX_TEXT], "problems": problems}
    if own is None:
        return {**figures, **shown}
    own.answers[pk] = shown
    # An update that finds no row brings none back: somebody may have had them forgotten.
    OwnSample.objects.filter(pk=own.pk).update(answers=own.answers)
    kinds = [{"what": problem["what"]} for problem in problems]
    return {**figures, "text": "", "problems": kinds, "own": own.number}


def _kept(api: ollama.Node) -> set[str]:
    """Revisions of ours that the node keeps in memory."""
    ours = [m for m in api.loaded() if m.name.startswith(fleet.OURS)]
    return {m.name for m in ours if fleet.pinned(asdict(m))}


def _put_back(lease: Lease, api: ollama.Node, tag: str, gone: set[str]) -> None:
    """What the node pushed out for the trial comes back at once, and the trial ends there."""
    if not gone:
        return
    names = ", ".join(sorted(gone))
    lease.note(say(_("%(tag)s pushed out %(names)s, which is loaded again."), tag=tag, names=names))
    api.unload(tag)
    for name in gone:
        lease.call(partial(api.load, name))
    raise ollama.Refused(
        say(
            _(
                "The node takes %(names)s out of memory to load this one. That was undone. Say on "
                "the node's page how many models it holds at a time, or give it more memory."
            ),
            names=names,
        )
    )
