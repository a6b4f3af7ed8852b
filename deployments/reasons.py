"""What Ollama's own words mean, where they are known: what to do about it, with the words in it."""

from __future__ import annotations

import re

from django.utils.translation import gettext_noop as _

from access.said import Said, Words, say

# Looked for in this order, in any case of letters.
KNOWN: tuple[tuple[str, str], ...] = (
    (
        "no space left on device",
        _("The node's disk is full. Make room there, then try again: %(reason)s"),
    ),
    (
        "pull model manifest: file does not exist|manifest unknown",
        _("The registry has no model of this name and tag. Check both: %(reason)s"),
    ),
    (
        "x509|certificate",
        _(
            "The node does not trust the registry's certificate. Install its authority on the "
            "node: %(reason)s"
        ),
    ),
    (
        "dial tcp|no such host|network is unreachable|i/o timeout",
        _("The node does not reach the registry. Check its name and the network: %(reason)s"),
    ),
    (
        "more system memory",
        _("The node has too little memory free for this model: %(reason)s"),
    ),
    (
        "runner process has terminated|unable to load model|unknown model architecture",
        _(
            "The node cannot load this model. Its Ollama may not know this kind of model, or it "
            "has too little memory: %(reason)s"
        ),
    ),
)


def explained(words: Words) -> Said | Words:
    """The words in a sentence that says what to do, or as they came."""
    for pattern, sentence in KNOWN:
        if re.search(pattern, words.text, re.IGNORECASE):
            return say(sentence, reason=words)
    return words
