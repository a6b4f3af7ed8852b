"""Forms of nodes and deployments: shapes only. What is allowed is decided by the verbs."""

from __future__ import annotations

from typing import Any

import orjson
from django import forms
from django.utils.translation import gettext_lazy as _

from access.errors import Invalid
from console.forms import DeployableField
from deployments import connection, fit
from deployments.models import Deployment, Node, Operation, OperationKind, Revision
from deployments.placement import Placement
from deployments.recipes import DEFAULT_NUM_CTX, PARAMETERS
from deployments.scenarios import Scenario
from deployments.wishes import MAX_AT_ONCE, Keep, Strategy, read_timetable, show_timetable

GIGABYTE = 10**9
SERVER = ("parallel", "cache_type", "at_once")


class NodeForm(forms.Form):
    """A node: its address, its labels, and how it is reached behind a reverse proxy."""

    name = forms.CharField(
        label=_("Name"), max_length=63, help_text=_("Small letters, digits and hyphens.")
    )
    url = forms.CharField(
        label=_("Address"),
        max_length=300,
        help_text=_("Where Ollama answers, for example http://10.0.0.5:11434"),
    )
    labels = forms.CharField(
        label=_("Labels"),
        max_length=1000,
        required=False,
        help_text=_("Separated by commas, for example site=lyon, gpu"),
    )
    memory = forms.FloatField(
        label=_("Memory for models (GB)"),
        required=False,
        min_value=0.1,
        max_value=1_000_000,
        help_text=_("Only where no metrics are given below."),
    )
    exporter_url = forms.CharField(
        label=_("Metrics"),
        max_length=300,
        required=False,
        help_text=_(
            "Where Prometheus node_exporter or a GPU exporter answers, for example "
            "http://10.0.0.5:9100/metrics"
        ),
    )
    request_log_off = forms.BooleanField(
        label=_("I looked: its Ollama writes no requests to disk"),
        required=False,
        help_text=_(
            "OLLAMA_DEBUG_LOG_REQUESTS is not set there. Ollama itself does not tell; from version "
            "0.18.3 it can write what people ask into a file."
        ),
    )
    parallel = forms.IntegerField(
        label=_("Requests at once"),
        required=False,
        min_value=1,
        max_value=MAX_AT_ONCE,
        help_text=_("OLLAMA_NUM_PARALLEL, where somebody set it: each needs a context of its own."),
    )
    cache_type = forms.ChoiceField(
        label=_("Type of the KV cache"),
        required=False,
        choices=[("", _("as Ollama has it (f16)")), *((t, t) for t in fit.CACHE_TYPES)],
        help_text=_("OLLAMA_KV_CACHE_TYPE, where somebody set it."),
    )
    at_once = forms.IntegerField(
        label=_("Models at once"),
        required=False,
        min_value=1,
        max_value=MAX_AT_ONCE,
        help_text=_(
            "OLLAMA_MAX_LOADED_MODELS, where somebody set it. No trial then pushes out what serves."
        ),
    )
    headers = forms.CharField(
        label=_("Headers"),
        required=False,
        max_length=25_000,
        widget=forms.Textarea(attrs={"rows": 2, "autocomplete": "off", "spellcheck": "false"}),
        help_text=_("One a line, Name: value. Stored sealed and never shown again."),
    )
    ca = forms.CharField(
        label=_("Certificate authority (PEM)"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
    )
    client_certificate = forms.CharField(
        label=_("Client certificate (PEM)"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
    )
    client_key = forms.CharField(
        label=_("Its private key (PEM)"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "autocomplete": "off", "spellcheck": "false"}),
        help_text=_("Stored sealed and never shown again."),
    )

    @staticmethod
    def values_of(node: Node) -> dict[str, Any]:
        return {
            "name": node.name,
            "url": node.url,
            "labels": ", ".join(node.labels),
            "memory": node.memory_declared / GIGABYTE if node.memory_declared else None,
            "exporter_url": node.exporter_url,
            "request_log_off": node.request_log_off,
            **node.server,
            "ca": node.ca,
            "client_certificate": node.client_certificate,
        }

    def verb_arguments(self, *, again: bool) -> dict[str, Any]:
        """What the verb takes. `again`: secrets that were left empty stay as they are."""
        given = dict(self.cleaned_data)
        memory = given.pop("memory")
        headers, key = given.pop("headers"), given.pop("client_key")
        given["labels"] = given["labels"].split(",")
        given["server"] = {name: given.pop(name) for name in SERVER}
        given["memory_declared"] = int(memory * GIGABYTE) if memory else None
        if headers or not again:
            given["headers"] = connection.read_headers(headers)
        if key or not again or not given["client_certificate"]:
            given["client_key"] = key
        return given

    def fullness_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in ("exporter_url", "memory", *SERVER)]

    def reach_fields(self) -> list[forms.BoundField]:
        names = ("headers", "ca", "client_certificate", "client_key")
        return [self[name] for name in names]


class PlacementForm(forms.Form):
    """Where a deployment runs, how it is rolled out, when it is loaded."""

    replicas = forms.IntegerField(
        label=_("Replicas"),
        required=False,
        min_value=1,
        max_value=100,
        initial=1,
        help_text=_("Empty: one on each node that matches."),
    )
    labels = forms.CharField(
        label=_("Only on nodes with the labels"),
        required=False,
        max_length=1000,
        help_text=_("Separated by commas. Empty: any node that stores the model."),
    )
    nodes = forms.ModelMultipleChoiceField(
        label=_("Only on these nodes"),
        queryset=Node.objects.all(),
        required=False,
        help_text=_("None chosen: any node."),
    )
    strategy = forms.ChoiceField(
        label=_("A new revision is opened"), choices=Strategy.choices, required=False
    )
    keep = forms.ChoiceField(label=_("In memory"), choices=Keep.choices, required=False)
    timetable = forms.CharField(
        label=_("Timetable"),
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("For example Mon-Fri 08:00-18:00, one line each."),
    )

    @staticmethod
    def values_of(deployment: Deployment) -> dict[str, Any]:
        return {
            "replicas": deployment.replicas_wanted,
            "labels": ", ".join(deployment.labels),
            "nodes": deployment.nodes.all(),
            "strategy": deployment.strategy,
            "keep": deployment.keep,
            "timetable": show_timetable(deployment.timetable),
        }

    def placement(self) -> Placement:
        given = self.cleaned_data
        return Placement(
            replicas=given["replicas"],
            labels=given["labels"].split(","),
            nodes=list(given["nodes"]),
            strategy=given["strategy"] or Strategy.TOGETHER,
            keep=given["keep"] or Keep.ALWAYS,
            timetable=read_timetable(given["timetable"]),
        )

    def placement_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in PlacementForm.base_fields]


def shown_schema(schema: dict[str, Any] | None) -> str:
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2).decode() if schema else ""


class RecipeForm(forms.Form):
    """What a revision is made of."""

    model = DeployableField(label=_("Model"))
    system_prompt = forms.CharField(
        label=_("System prompt"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 6}),
        help_text=_("Who the model is and how it should answer."),
    )
    schema = forms.CharField(
        label=_("JSON schema"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
        help_text=_("With one, every answer is JSON of this shape."),
    )
    template = forms.CharField(
        label=_("Template"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
        help_text=_("Ollama's prompt template. Empty: the model's own."),
    )

    scenario = forms.CharField(required=False, max_length=63, widget=forms.HiddenInput)
    fit_reason = forms.CharField(
        label=_("It is to be tried although it does not fit, because"),
        max_length=300,
        required=False,
        help_text=_("Written into the log."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for parameter in PARAMETERS:
            whole = parameter.kind is int
            field_type = forms.IntegerField if whole else forms.FloatField
            self.fields[parameter.name] = field_type(
                label=parameter.title,
                required=False,
                min_value=parameter.least,  # type: ignore[arg-type]
                max_value=parameter.most,  # type: ignore[arg-type]
                help_text=parameter.help,
                initial=DEFAULT_NUM_CTX if parameter.name == "num_ctx" else None,
            )

    def recipe(self) -> dict[str, Any]:
        """What the verbs take of it."""
        given = self.cleaned_data
        return {
            "model": given["model"],
            "system_prompt": given["system_prompt"],
            "template": given["template"],
            "schema": given["schema"],
            "parameters": {p.name: given.get(p.name) for p in PARAMETERS},
            "fit_reason": given["fit_reason"],
            "scenario": given["scenario"],
        }

    def parameter_fields(self) -> list[forms.BoundField]:
        return [self[p.name] for p in PARAMETERS]


def free_name(name: str) -> str:
    """The name, or the first of name-2, name-3 … that no deployment has."""
    taken = set(Deployment.objects.present().values_list("name", flat=True))
    others = (f"{name[:58]}-{number}" for number in range(2, 1000))
    return next((each for each in (name, *others) if each not in taken), name)


class DeploymentForm(PlacementForm, RecipeForm):
    """A new deployment: name, recipe, placement."""

    name = forms.CharField(
        label=_("Name"),
        max_length=63,
        help_text=_("What clients ask for as the model: small letters, digits, dots and hyphens."),
    )
    description = forms.CharField(
        label=_("Description"),
        max_length=300,
        required=False,
        help_text=_("Shown to those who may use it."),
    )
    node = forms.ModelChoiceField(
        label=_("Node"),
        queryset=Node.objects.all(),
        required=False,
        empty_label=_("Any node that stores the model"),
    )
    trial = forms.ModelChoiceField(
        queryset=Operation.objects.filter(kind=OperationKind.TRY),
        required=False,
        widget=forms.HiddenInput,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The page offers only nodes that store what is chosen.
        models = self.fields["model"]
        assert isinstance(models, DeployableField)  # noqa: S101  for the type checker
        models.widget.attrs["data-stored-on"] = ""
        models.offer_each_once()

    @staticmethod
    def begun_with(scenario: Scenario, language: str) -> dict[str, Any]:
        """The form as the scenario fills it in."""
        text = scenario.text(language)
        return {
            "scenario": scenario.key,
            "name": free_name(scenario.key),
            "description": text.title,
            "system_prompt": text.prompt,
            "schema": shown_schema(scenario.schema),
            **scenario.parameters,
        }

    def placement(self) -> Placement:
        """One node chosen above is the whole placement, unless several are named below."""
        placement = super().placement()
        node = self.cleaned_data["node"]
        if node is None or placement.nodes:
            return placement
        return Placement(1, (), [node], placement.strategy, placement.keep, placement.timetable)


class ChangeForm(RecipeForm):
    """A new revision of a deployment, beginning with what is wanted now."""

    version = forms.IntegerField(widget=forms.HiddenInput)
    note = forms.CharField(
        label=_("Why"), max_length=300, required=False, help_text=_("Shown beside the revision.")
    )

    @staticmethod
    def values_of(deployment: Deployment, revision: Revision) -> dict[str, Any]:
        return {
            "version": deployment.version,
            "model": revision.model,
            "scenario": revision.scenario,
            "system_prompt": revision.system_prompt,
            "template": revision.template,
            "schema": shown_schema(revision.schema),
            **revision.parameters,
        }


class PlaceForm(PlacementForm):
    version = forms.IntegerField(widget=forms.HiddenInput)
    fit_reason = forms.CharField(
        label=_("It is to be tried although it does not fit, because"),
        max_length=300,
        required=False,
        help_text=_("Written into the log."),
    )


class VersionForm(forms.Form):
    """The wish that was seen by whoever clicks."""

    version = forms.IntegerField(widget=forms.HiddenInput)


def valid(form: forms.Form, name: str) -> Any:
    """A cleaned value of a form without fields to show, or Invalid."""
    if not form.is_valid():
        raise Invalid(_("Reload the page and try again."), field=name)
    return form.cleaned_data[name]
