"""Where alarms are sent: the receivers, what they were sent last, and a test."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from access import policy
from audit.ledger.acts import Act
from audit.office import actions
from audit.office.models import Channel, Notice
from console.alarm_forms import ChannelForm
from console.htmx import redirect, render_page
from console.requests import PageRequest, act, submit
from console.views.secret import secret_once

NOTICES_SHOWN = 20


def channel_list(request: PageRequest) -> HttpResponse:
    policy.require(request.actor, Act.ALARM_ADD_CHANNEL)
    notices = Notice.objects.select_related("channel")[:NOTICES_SHOWN]
    context = {
        "channels": Channel.objects.all(),
        "notices": notices,
        "live": any(notice.ended_at is None for notice in notices),
        "mail": settings.SMTP_HOST,
    }
    return render_page(request, "alarms/channels.html", context, partial="channels")


def channel_add(request: PageRequest) -> HttpResponse:
    """A new receiver; the signing key of a webhook is shown once."""
    policy.require(request.actor, Act.ALARM_ADD_CHANNEL)
    form = ChannelForm(request.POST or None, initial={"language": request.LANGUAGE_CODE})
    if request.method == "POST":
        verb = partial(actions.add_channel, actor=request.actor)
        if made := submit(request, form, lambda given: verb(**given)):
            channel, key = made
            if not key:
                return redirect(request, reverse("channel-list"))
            return secret_once(
                request,
                title=_("The signing key of %(name)s") % {"name": channel.name},
                label=_("Signing key"),
                secret=key,
                note=_("Give it to the receiver: with it, it checks that a message is ours."),
                then=reverse("channel-list"),
            )
    context = {"form": form, "title": _("New receiver")}
    return render(request, "alarms/channel.html", context, status=422 if form.errors else 200)


def channel_change(request: PageRequest, pk: UUID) -> HttpResponse:
    channel = _get(request, Act.ALARM_CHANGE_CHANNEL, pk)
    form = ChannelForm.of(channel, request.POST or None)
    if request.method == "POST":
        verb = partial(actions.change_channel, actor=request.actor, channel=channel)
        if submit(request, form, lambda given: verb(**given)):
            return redirect(request, reverse("channel-list"))
    context = {"form": form, "title": channel.name, "channel": channel}
    return render(request, "alarms/channel.html", context, status=422 if form.errors else 200)


def channel_remove(request: PageRequest, pk: UUID) -> HttpResponse:
    channel = _get(request, Act.ALARM_REMOVE_CHANNEL, pk)
    if request.method == "POST":
        return act(
            request,
            lambda: actions.remove_channel(actor=request.actor, channel=channel),
            done=_("The receiver is removed."),
            then=reverse("channel-list"),
        )
    context = {
        "title": _("Remove the receiver %(name)s?") % {"name": channel.name},
        "consequences": [
            _("Alarms are not sent there any more, nor is what waits to be sent."),
            _("The alarms themselves stay on their page."),
        ],
        "verb": _("Remove it"),
        "cancel_url": reverse("channel-list"),
    }
    return render(request, "confirm.html", context)


@require_POST
def channel_test(request: PageRequest, pk: UUID) -> HttpResponse:
    channel = _get(request, Act.ALARM_TEST_CHANNEL, pk)
    return act(
        request,
        lambda: actions.test_channel(actor=request.actor, channel=channel),
        done=_("A test is on its way; how it went stands below in a moment."),
        then=reverse("channel-list"),
    )


def _get(request: PageRequest, permission: Act, pk: UUID) -> Channel:
    rows: QuerySet[Channel] = Channel.objects.all()
    return policy.get_for(request.actor, permission, rows, pk)
