"""Retention, held by the database: the floors, who may change the policy, what may go, and holds.

The web cannot delete an event. It may call the owner's function, which removes exactly the spans
that an event which still waits to be sealed accounts for, after it has looked again, under a lock
that setting a hold takes, too, that all of it may go.
"""

from django.db import migrations

FLOORS = """
CREATE FUNCTION office_floor(act text) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN act IN ('audit.prune', 'audit.set_retention', 'audit.hold', 'audit.release_hold',
                     'audit.new_tree', 'audit.new_key', 'audit.acknowledge', 'audit.gap',
                     'audit.clock_step') THEN NULL
        WHEN act IN ('audit.export', 'audit.fetch_export', 'model.export') THEN 1096
        ELSE 183 END
$$;

CREATE FUNCTION office_guard_policy() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF EXISTS (SELECT FROM public.access_proposal p WHERE p.id = NEW.proposal_id
                   AND p.act = 'audit.set_retention' AND p.state = 'applied'
                   AND p.arguments ->> 'days' = NEW.days::text
                   AND p.arguments ->> 'outside_days' = NEW.outside_days::text)
           OR (NEW.proposal_id IS NULL
               AND NOT EXISTS (SELECT FROM public.office_retentionpolicy)) THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'retention changes by an approved proposal only'
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER office_policy_guard BEFORE INSERT OR UPDATE OR DELETE ON office_retentionpolicy
    FOR EACH ROW EXECUTE FUNCTION office_guard_policy();
ALTER TABLE office_retentionpolicy ENABLE ALWAYS TRIGGER office_policy_guard;
"""

HOLDS = """
CREATE FUNCTION office_guard_hold() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public AS $$
BEGIN
    -- Not beside a removal: either it sees this hold, or what it removed is logged already.
    PERFORM pg_advisory_xact_lock(24226);
    IF TG_OP = 'INSERT' AND NEW.released_at IS NULL AND NEW.release_id IS NULL THEN
        RETURN NEW;
    ELSIF TG_OP = 'UPDATE' AND OLD.released_at IS NULL AND NEW.released_at IS NOT NULL
        AND (NEW.id, NEW.kind, NEW.value, NEW.label, NEW.from_at, NEW.to_at, NEW.reason,
             NEW.set_by, NEW.set_at)
            IS NOT DISTINCT FROM
            (OLD.id, OLD.kind, OLD.value, OLD.label, OLD.from_at, OLD.to_at, OLD.reason,
             OLD.set_by, OLD.set_at)
        AND EXISTS (SELECT FROM public.access_proposal p WHERE p.id = NEW.release_id
                    AND p.act = 'audit.release_hold' AND p.state = 'applied'
                    AND p.target_id = OLD.id::text) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a hold is released by an approved proposal only'
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER office_hold_guard BEFORE INSERT OR UPDATE OR DELETE ON office_hold
    FOR EACH ROW EXECUTE FUNCTION office_guard_hold();
ALTER TABLE office_hold ENABLE ALWAYS TRIGGER office_hold_guard;

CREATE FUNCTION office_holds(e public.ledger_event) RETURNS SETOF public.office_hold
LANGUAGE sql STABLE SET search_path = pg_catalog, public AS $$
    SELECT h.* FROM public.office_hold h WHERE h.released_at IS NULL AND CASE h.kind
        WHEN 'event' THEN e.id::text = h.value
        WHEN 'period' THEN e.at >= h.from_at AND e.at < h.to_at
        ELSE h.value IN (e.actor_id, e.object_id)
            OR (h.kind = 'deployment' AND e.deployment = h.label)
            OR EXISTS (SELECT FROM public.ledger_mention m
                       WHERE m.object_id = h.value AND m.event_id = e.id) END
$$;
"""

PRUNE = """
-- The newest signed head after which the log was seen for so many days. Time counts as far as heads
-- were signed in it: a jump of the clock, or a stop, counts as one day at most.
CREATE FUNCTION office_boundary(days integer)
RETURNS TABLE (tree smallint, size bigint, root bytea, signed_at timestamptz)
LANGUAGE sql STABLE SET search_path = pg_catalog, public AS $$
    SELECT s.tree, s.size, s.root, s.signed_at FROM (
        SELECT c.*, sum(greatest(least(coalesce(c.next_at - c.signed_at, interval '0'),
                                       interval '1 day'), interval '0'))
                    OVER (ORDER BY c.id DESC) AS seen
        FROM (SELECT k.*, lead(k.signed_at) OVER (ORDER BY k.id) AS next_at
              FROM public.ledger_checkpoint k) c) s
    WHERE s.seen >= make_interval(days => days) ORDER BY s.id DESC LIMIT 1
$$;

CREATE VIEW office_prunable AS
    WITH policy AS MATERIALIZED (
        SELECT greatest(days, 183) AS days, greatest(outside_days, 1096) AS outside
        FROM office_retentionpolicy ORDER BY id DESC LIMIT 1
    ), edges AS MATERIALIZED (
        SELECT p.days, p.outside, a.tree, a.size, b.tree AS outside_tree, b.size AS outside_size,
            least(now(), (SELECT max(signed_at) FROM ledger_checkpoint)) AS moment,
            (SELECT l.event_id FROM ledger_leaf l WHERE l.tree = a.tree AND l.position < a.size
             ORDER BY l.position DESC LIMIT 1) AS newest
        FROM policy p CROSS JOIN LATERAL office_boundary(p.days) a
        LEFT JOIN LATERAL office_boundary(p.outside) b ON true
    )
    SELECT l.tree, l.position, e.id AS event_id, octet_length(e.leaf) AS bytes, e.boot, e.wseq,
        EXISTS (SELECT FROM office_holds(e)) AS held
    FROM edges x JOIN ledger_event e ON e.id <= x.newest
    JOIN ledger_leaf l ON l.event_id = e.id
    WHERE CASE office_floor(e.act)
        WHEN 183 THEN (l.tree, l.position) < (x.tree, x.size)
            AND l.sealed_at <= x.moment - make_interval(days => x.days)
        WHEN 1096 THEN (l.tree, l.position) < (x.outside_tree, x.outside_size)
            AND l.sealed_at <= x.moment - make_interval(days => x.outside)
        ELSE false END;

CREATE FUNCTION office_prune(
    said uuid, of_tree smallint, firsts bigint[], lasts bigint[],
    boots uuid[], number_firsts bigint[], number_lasts bigint[]
) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    going uuid[];
    wanted bigint;
    found bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(24226);
    IF NOT EXISTS (SELECT FROM ledger_event e JOIN ledger_pending p ON p.event_id = e.id
                   WHERE e.id = said AND e.act = 'audit.prune')
       OR EXISTS (SELECT FROM ledger_removedspan s WHERE s.event_id = said) THEN
        RAISE EXCEPTION 'no event accounts for this removal'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    SELECT array_agg(v.event_id) INTO going FROM unnest(firsts, lasts) AS s (first, last)
        JOIN ledger_leaf l ON l.tree = of_tree AND l.position BETWEEN s.first AND s.last
        JOIN office_prunable v ON v.event_id = l.event_id AND NOT v.held;
    SELECT sum(s.last - s.first + 1) INTO wanted FROM unnest(firsts, lasts) AS s (first, last);
    found := coalesce(cardinality(going), 0);
    IF wanted IS DISTINCT FROM found OR (
        SELECT count(*) FROM ledger_event e WHERE e.id = ANY(going) AND e.wseq IS NOT NULL
    ) IS DISTINCT FROM (
        SELECT count(*) FROM ledger_event e
        JOIN unnest(boots, number_firsts, number_lasts) AS n (boot, first, last)
            ON n.boot = e.boot AND e.wseq BETWEEN n.first AND n.last
        WHERE e.id = ANY(going)
    ) THEN
        RAISE EXCEPTION 'not all of it may be removed: % of %', found, wanted
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO ledger_removedspan (tree, first, last, event_id)
        SELECT of_tree, s.first, s.last, said FROM unnest(firsts, lasts) AS s (first, last);
    INSERT INTO ledger_removednumbers (boot, first, last, event_id)
        SELECT n.boot, n.first, n.last, said
        FROM unnest(boots, number_firsts, number_lasts) AS n (boot, first, last);
    DELETE FROM ledger_mention WHERE event_id = ANY(going);
    DELETE FROM ledger_personal WHERE event_id = ANY(going);
    DELETE FROM ledger_event WHERE id = ANY(going);
    RETURN found;
END $$;
REVOKE ALL ON FUNCTION office_prune(uuid, smallint, bigint[], bigint[], uuid[], bigint[], bigint[])
    FROM PUBLIC;

INSERT INTO office_retentionpolicy (days, outside_days) VALUES (365, 1096);

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'fusebox_web') THEN
        REVOKE ALL ON office_prunable, office_retentionpolicy, office_hold FROM fusebox_web;
        GRANT SELECT ON office_prunable TO fusebox_web;
        GRANT SELECT, INSERT ON office_retentionpolicy TO fusebox_web;
        GRANT SELECT, INSERT, UPDATE (released_at, release_id) ON office_hold TO fusebox_web;
        GRANT EXECUTE ON FUNCTION
            office_prune(uuid, smallint, bigint[], bigint[], uuid[], bigint[], bigint[])
            TO fusebox_web;
    END IF;
END $$;
"""

UNGUARD = """
DROP FUNCTION office_prune(uuid, smallint, bigint[], bigint[], uuid[], bigint[], bigint[]);
DROP VIEW office_prunable;
DROP FUNCTION office_boundary(integer);
DROP FUNCTION office_holds(ledger_event);
DROP TRIGGER office_hold_guard ON office_hold;
DROP FUNCTION office_guard_hold();
DROP TRIGGER office_policy_guard ON office_retentionpolicy;
DROP FUNCTION office_guard_policy();
DROP FUNCTION office_floor(text);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("access", "0003_proposal_guard"),
        ("ledger", "0007_removed"),
        ("office", "0011_retention"),
    ]

    operations = [migrations.RunSQL(FLOORS + HOLDS + PRUNE, UNGUARD)]
