"""Sentences stored as what is meant, worded for the reader; others' words kept."""

from __future__ import annotations

import json

import pytest
from django.template import Context, Template
from django.utils.translation import gettext_noop, override

from access.said import Text, Words, english, from_json, join, quote, say, to_json
from deployments.models import Node

AWAY = say(gettext_noop("No connection to %(url)s."), url="http://a")
CASES: list[Text] = [
    "",
    "a text of before",
    Words("llama runner process has terminated"),
    AWAY,
    join(AWAY, say(gettext_noop("%(node)s: %(reason)s"), node="a", reason=quote("out of memory"))),
]


@pytest.mark.parametrize("text", CASES)
def test_what_is_stored_comes_back(text: Text) -> None:
    assert from_json(json.loads(json.dumps(to_json(text)))) == text


def test_it_is_worded_for_whoever_reads_it() -> None:
    assert str(AWAY) == "No connection to http://a."
    with override("zh-hans"):
        assert str(AWAY) == "无法连接 http://a。"
        assert english(AWAY) == "No connection to http://a."


def test_words_of_others_are_quoted_in_a_sentence_and_marked_on_a_page() -> None:
    text = say(gettext_noop("%(node)s: %(reason)s"), node="<a>", reason=quote("no\n <b>space</b>"))
    assert str(text) == "<a>: “no <b>space</b>”"
    with override("zh-hans"):
        page = Template("{{ text|said }}").render(Context({"text": text}))
    assert page == '&lt;a&gt;：<q lang="en">no &lt;b&gt;space&lt;/b&gt;</q>'


def test_what_turns_text_around_is_shown_as_what_it_is() -> None:
    page = Template("{{ text|said }}").render(Context({"text": quote("a\u202eb\x00")}))
    assert page == '<q lang="en">a&lt;U+202E&gt;b</q>'


def test_a_sentence_of_another_version_of_ours_can_still_be_read() -> None:
    assert str(from_json({"say": "%(who)s left %(what)s.", "with": {"who": "a"}})) == "a left ?."
    assert from_json(None) == ""
    assert from_json([1]) == ""


def test_words_may_look_like_a_sentence_and_stay_words(db: None) -> None:
    forged = quote('{"say": "%(node)s: %(reason)s"}')
    node = Node.objects.create(name="n", url="http://127.0.0.1:9", problem=forged)
    node.refresh_from_db()
    assert node.problem == forged
    assert Node.objects.exclude(problem="").get() == node
