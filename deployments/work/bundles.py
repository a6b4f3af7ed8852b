"""Writing a model of a node into a bundle, and bringing a bundle to a node."""

from __future__ import annotations

from pathlib import Path

from django.utils.translation import gettext_noop as _

from access.said import quote, say
from deployments import bundle, ollama
from deployments.lease import Lease
from deployments.models import Model
from deployments.work.copies import fetch, folder_of, give
from deployments.work.models import node_of, record


def export(lease: Lease) -> None:
    node, arguments = node_of(lease), lease.operation.arguments
    model = Model.objects.filter(digest=arguments["digest"]).first()
    if model is None:
        raise ollama.ModelMissing(
            say(_("%(tag)s is no longer in the catalogue."), tag=arguments["tag"])
        )
    with folder_of(lease, model.size_bytes) as folder:
        fetch(lease, node, str(arguments["tag"]), folder, model.size_bytes)
        lease.step("sign", Path(arguments["path"]).name)
        try:
            signer = lease.call(
                lambda: bundle.write(folder, str(arguments["tag"]), Path(arguments["path"]))
            )
        except (OSError, bundle.Bad) as error:
            reason = error.text if isinstance(error, bundle.Bad) else quote(error)
            raise ollama.OllamaError(
                say(_("The bundle cannot be written: %(reason)s"), reason=reason)
            ) from error
        lease.note(say(_("signed by %(signer)s"), signer=signer))


def unpack(lease: Lease) -> None:
    node, arguments = node_of(lease), lease.operation.arguments
    path = Path(arguments["path"])
    lease.step("verify", path.name)
    try:
        with folder_of(lease, path.stat().st_size) as folder:
            head = lease.call(
                lambda: bundle.read(path, folder, trust=str(arguments.get("trust", "")))
            )
            lease.note(
                say(
                    _("%(tag)s, %(number)d parts, signed by %(signer)s"),
                    tag=head.tag,
                    number=len(head.blobs),
                    signer=head.signer,
                )
            )
            give(lease, node, str(arguments["name"] or head.tag), folder)
    except bundle.Bad as error:
        raise ollama.OllamaError(
            say(_("Nothing was imported. %(reason)s"), reason=error.text)
        ) from error
    except OSError as error:
        raise ollama.OllamaError(
            say(_("The bundle cannot be read: %(reason)s"), reason=quote(error.strerror))
        ) from error
    record(lease, node)
