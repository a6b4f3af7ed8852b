"""Finding events: every filter finds what it should, through an index, and pages join up."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from access.errors import Invalid
from access.models import User
from audit.ledger.acts import Act
from audit.ledger.event import Event as Made
from audit.ledger.log import Obj
from audit.ledger.models import Event
from audit.office import search
from audit.office.filters import Filter
from tests.audit.conftest import Happen

SOMEBODY = "00000000-0000-4000-8000-00000000000a"


def found(**values: str) -> set[str]:
    """Ids by page and by the whole query of an export: the two must agree."""
    wanted = Filter.parse(values)
    page = search.page(wanted)
    assert [e.pk for e in page.events] == [e.pk for e in search.events(wanted)][: search.PAGE]
    assert page.count == search.events(wanted).count()
    return {str(e.pk) for e in page.events}


def ids(*made: Made) -> set[str]:
    return {str(e.id) for e in made}


def test_each_filter_finds_what_it_should(happen: Happen) -> None:
    claims = Obj("deployment", "d-1", "claims")
    grant = happen(Act.GRANT_CREATE, claims, Obj("team", "t-1", "sales"), id="1", request="r-1")
    node = happen(Act.NODE_REMOVE, Obj("node", "n-1", "claims"), ip="10.0.0.7", outcome="failure")
    other = happen(Act.NODE_REGISTER, Obj("node", "n-2", "n2"), id=SOMEBODY)
    assert found() == ids(grant, node, other)
    assert found(act="grant.create") == ids(grant)
    assert found(act="node") == ids(node, other)
    assert found(outcome="failure") == ids(node)
    assert found(deployment="claims") == ids(grant)
    assert found(request="r-1") == ids(grant)
    assert found(address="10.0.0.7") == ids(node)
    assert found(person=SOMEBODY) == found(person=SOMEBODY.replace("-", "")) == ids(other)
    assert found(person=SOMEBODY.upper()) == ids(other)
    assert found(object="n-1") == ids(node)
    assert found(object="claims") == ids(grant, node)
    assert found(object="claims", act="node") == ids(node)
    assert found(object="claim") == set()


def test_an_object_is_found_wherever_it_stands_in_an_event(happen: Happen) -> None:
    others = [Obj("node", f"n-{i}", f"node {i}") for i in range(5)]
    made = happen(Act.DEPLOYMENT_STOP, Obj("deployment", "d-1", "claims"), *others)
    twice = happen(Act.OPERATION_RETRY, others[3], others[3])
    happen(Act.NODE_REMOVE, Obj("node", "n-9", "node 9"))
    assert found(object="n-4") == ids(made)
    assert found(object="n-3") == ids(made, twice)
    assert found(object="n-3", deployment="claims", act="deployment") == ids(made)


def test_people_are_found_by_a_part_of_their_names(happen: Happen, people: dict[str, User]) -> None:
    member = people["member"]
    did = happen(id=str(member.pk), name=member.username)
    failed = happen(Act.AUTH_LOGIN, id="", name="Member", outcome="failure")
    happen(Act.AUTH_LOGIN, id="", name="nobody", outcome="failure")
    assert found(person="embe") == ids(did, failed)
    assert found(person="MEMBER", outcome="failure") == ids(failed)
    assert found(person=str(member.pk)) == ids(did)
    assert found(person="%") == found(person="no such person") == set()


def test_what_was_done_to_a_person_is_found_by_name(
    happen: Happen, people: dict[str, User]
) -> None:
    member = people["member"].as_obj()
    made = happen(Act.TEAM_ADD_MEMBER, Obj("team", "t-1", "sales"), member)
    assert str(made.id) in found(object="Member")
    assert found(object="member", act="team") == ids(made)


def test_too_many_people_are_not_silently_cut(people: dict[str, User]) -> None:
    User.objects.bulk_create(User(username=f"clone-{i}") for i in range(search.MAX_PEOPLE + 1))
    with pytest.raises(Invalid) as refused:
        search.page(Filter(person="clone"))
    assert refused.value.field == "person"


def test_times_bound_what_is_found(happen: Happen) -> None:
    made = happen(ip="10.0.0.7")
    now = timezone.now()
    before, after = (
        (now - timedelta(minutes=1)).isoformat(),
        (now + timedelta(minutes=1)).isoformat(),
    )
    assert found(start=before, end=after) == ids(made)
    assert found(start=after) == found(end=before) == set()
    assert found(address="10.0.0.7", start=before) == ids(made)
    assert found(address="10.0.0.7", end=before) == set()


def test_pages_join_up_both_ways(happen: Happen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "PAGE", 4)
    made = [str(happen(Act.NODE_REFRESH).id) for _ in range(10)][::-1]
    pages, page = [], search.page(Filter())
    assert page.newer == ""
    while True:
        pages.append([str(e.pk) for e in page.events])
        if not page.older:
            break
        page = search.page(Filter(), before=page.older)
    assert pages == [made[:4], made[4:8], made[8:]]
    page = search.page(Filter(), after=page.newer)
    assert [str(e.pk) for e in page.events] == made[4:8]
    page = search.page(Filter(), after=page.newer)
    assert ([str(e.pk) for e in page.events], page.newer) == (made[:4], "")


def test_a_page_stays_where_it_is_while_events_arrive(happen: Happen) -> None:
    first = happen()
    happen()
    page = search.page(Filter(), before=str(happen().id))
    happen()
    assert [e.pk for e in search.page(Filter(), before=str(first.id)).events] != []
    again = search.page(Filter(), before=str(page.events[0].pk))
    assert [e.pk for e in again.events] == [first.id]


@pytest.mark.parametrize("key", ["", "x", "0", "'; --", "00000000-0000-0000-0000-000000000000"])
def test_a_bad_key_is_the_newest_page(happen: Happen, key: str) -> None:
    made = happen()
    assert [e.pk for e in search.page(Filter(), before=key).events] == [made.id]


def test_a_count_is_capped(happen: Happen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "COUNT_LIMIT", 3)
    monkeypatch.setattr(search, "PAGE", 2)
    for _ in range(3):
        happen(Act.NODE_REFRESH, Obj("node", "n-1"))
    assert (search.page(Filter()).count, search.page(Filter()).capped) == (3, False)
    happen(Act.NODE_REFRESH, Obj("node", "n-1"))
    for wanted in (Filter(), Filter(object="n-1"), Filter(act="node")):
        assert (search.page(wanted).count, search.page(wanted).capped) == (3, True)


def test_what_sifts_much_is_counted_in_the_newest_alone(
    happen: Happen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of ten thousand rows of an index, however few of them match; a page that is not full has
    been read to its end."""
    monkeypatch.setattr(search, "COUNT_LIMIT", 3)
    monkeypatch.setattr(search, "PAGE", 2)
    for number in range(8):
        happen(Act.NODE_REFRESH, Obj("node", "n-1"), outcome="failure" if number % 2 else "success")
    page = search.page(Filter(object="n-1", outcome="failure"))
    assert (len(page.events), page.count, page.capped) == (2, 2, True)
    rest = search.page(Filter(object="n-1", outcome="failure"), before=page.older)
    assert (len(rest.events), rest.capped) == (2, True)
    assert search.page(Filter(object="n-1", outcome="denied")).count == 0


def test_of_what_has_to_be_looked_up_fewer_are_counted(
    happen: Happen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "COUNT_LIMIT", 4)
    monkeypatch.setattr(search, "LOOKED_UP", 3)
    monkeypatch.setattr(search, "PAGE", 2)
    for _ in range(5):
        happen(Act.NODE_REFRESH, Obj("node", "n-1"), ip="10.0.0.7")
    alone, sifted = Filter(address="10.0.0.7"), Filter(address="10.0.0.7", outcome="success")
    assert [(p.count, p.capped) for p in map(search.page, (alone, sifted))] == [
        (4, True),
        (3, True),
    ]


def test_of_several_filters_the_one_that_finds_few_leads(
    happen: Happen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "COUNT_LIMIT", 3)
    for number in range(5):
        happen(Act.NODE_REFRESH, Obj("node", f"n-{number}"), ip="10.0.0.7")
    wanted = Filter(address="10.0.0.7", object="n-4")
    [*ways] = search._ways(wanted)
    assert {way.whole.model.__name__ for way in ways} == {"Event", "Mention"}
    page = search.page(wanted)
    assert (len(page.events), page.count, page.capped) == (1, 1, False)


def test_the_events_of_a_request_belong_together(happen: Happen) -> None:
    happen(request="r-2")
    made = [happen(request="r-1"), happen(request="r-1")]
    event = Event.objects.get(pk=made[1].id)
    assert [e.pk for e in search.same_request(event)] == [e.id for e in made]
    assert search.same_request(Event.objects.get(pk=happen().id)) == []


MANY = """
INSERT INTO ledger_event (id, leaf, leaf_hash, at, writer, act, outcome, severity, actor_kind,
    actor_id, key_id, object_type, object_id, object_label, deployment, request_id)
SELECT ('019' || lpad(to_hex(n), 5, '0') || '-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
    '', '', now(), '', CASE n % 400 WHEN 0 THEN 'key.issue' ELSE 'node.refresh' END,
    CASE n % 300 WHEN 0 THEN 'denied' ELSE 'success' END, 1, 'user', 'actor-' || n % 500, '',
    'node', 'node-' || n % 200, 'label-' || n % 200, 'deployment-' || n % 100, 'request-' || n / 2
FROM generate_series(1, 20000) AS n;
INSERT INTO ledger_mention SELECT 'model-' || right(object_id, 1), id FROM ledger_event;
INSERT INTO ledger_personal SELECT id, '', '10.0.0.' || right(object_id, 1), '{}' FROM ledger_event;
ANALYZE ledger_event, ledger_mention, ledger_personal;
"""
INDEXES = {
    "person=actor-7": [],  # a name: nobody has it, so only sign-ins that failed are looked at
    "person=00000000-0000-4000-8000-000000000000": ["event_by_actor"],
    "act=key.issue": ["event_by_act"],
    "act=key": ["event_by_act"],
    "object=model-7": ["event_by_object", "event_by_label", "ledger_mention_pkey"],
    "deployment=deployment-7": ["event_by_deployment"],
    "outcome=denied": ["event_by_outcome"],
    "request=request-7": ["event_by_request"],
    "address=10.0.0.7": ["personal_by_ip"],
    "start=2000-01-01&end=2000-01-02": ["ledger_event_pkey"],
    "": ["ledger_event_pkey"],
}


def test_every_filter_goes_through_its_index(happen: Happen) -> None:
    with connection.cursor() as cursor:
        cursor.execute(MANY)
        for values, indexes in INDEXES.items():
            with CaptureQueriesContext(connection) as seen:
                search.page(Filter.parse(QueryDict(values).dict()))
            plans = []
            for query in seen.captured_queries:
                if "ledger_" in query["sql"]:
                    cursor.execute("EXPLAIN " + query["sql"])
                    plans += [row[0] for row in cursor.fetchall()]
            page = "\n".join(plans)
            assert [i for i in indexes if i not in page] == [], f"{values}\n{page}"
            assert values == "" or "Seq Scan on ledger_" not in page, f"{values}\n{page}"
