"""What is durable is filed, whatever somebody stored before it under its number or its id.

A row leaves the intake when its own bytes are filed under its id, and for nothing else. Where
another event has its number, it is filed without one: its bytes still say it, the sealer tells of
it, and verification names it. Where another event has its id, it stays, and is told to wait.
"""

from importlib import import_module

from django.db import migrations

BEFORE = import_module("audit.ledger.migrations.0009_intake")

# A body as text: what PostgreSQL makes of one that it has parsed differs from version to version.
TEXT = """
CREATE OR REPLACE FUNCTION ledger_text(value text, most integer) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN value IS NULL THEN ''
        WHEN char_length(value) <= most THEN value
        ELSE left(value, most - 1) || '…' END
$$;
"""

FILE = """
CREATE FUNCTION ledger_file_rows(taken bigint[], numbered boolean) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
DECLARE
    gone integer;
BEGIN
    WITH taken_in AS MATERIALIZED (
        SELECT i.*, public.ledger_read(i.leaf) AS said FROM public.ledger_intake i
        WHERE i.number = ANY(taken)
    ), filed AS (
        INSERT INTO public.ledger_event (
            id, leaf, leaf_hash, created_at, at, boot, wseq, writer, act, outcome, severity,
            actor_kind, actor_id, key_id, object_type, object_id, object_label, deployment,
            request_id)
        SELECT event_id, leaf, sha256('\\x00'::bytea || leaf), created_at, at, boot,
            CASE WHEN numbered THEN wseq END,
            public.ledger_text(said ->> 'writer', 512),
            public.ledger_text(said ->> 'act', 512),
            CASE WHEN said ->> 'outcome' IN ('success', 'failure', 'denied', 'error', 'aborted')
                THEN said ->> 'outcome' ELSE 'error' END,
            CASE WHEN said ->> 'sev' ~ '^[0-9]$' THEN (said ->> 'sev')::smallint ELSE 0 END,
            public.ledger_text(said -> 'actor' ->> 'type', 512),
            public.ledger_text(said -> 'actor' ->> 'id', 512),
            public.ledger_text(said -> 'actor' ->> 'key', 512),
            public.ledger_text(said -> 'obj' -> 0 ->> 'type', 512),
            public.ledger_text(said -> 'obj' -> 0 ->> 'id', 200),
            public.ledger_text(said -> 'obj' -> 0 ->> 'label', 200),
            public.ledger_text(jsonb_path_query_first(
                said, '$.obj[*] ? (@.type == "deployment")') ->> 'label', 200),
            public.ledger_text(said -> 'req' ->> 'id', 512)
        FROM taken_in ORDER BY number
        ON CONFLICT DO NOTHING RETURNING id
    ), personal AS (
        INSERT INTO public.ledger_personal (event_id, key, ip, "values")
        SELECT event_id, key, public.ledger_text("values" ->> 'src.ip', 512), "values"
        FROM taken_in JOIN filed ON filed.id = event_id ORDER BY number
        ON CONFLICT DO NOTHING
    )
    INSERT INTO public.ledger_mention (object_id, event_id)
    SELECT public.ledger_text(mentioned, 200), event_id
    FROM taken_in JOIN filed ON filed.id = event_id
    CROSS JOIN LATERAL (
        SELECT jsonb_path_query(said, '$.obj[1 to 19].id') #>> '{}'
        UNION ALL SELECT said -> 'appr' ->> 'id') AS m (mentioned)
    WHERE mentioned <> ''
    ON CONFLICT DO NOTHING;
    DELETE FROM public.ledger_intake i USING public.ledger_event e
        WHERE i.number = ANY(taken) AND e.id = i.event_id AND e.leaf = i.leaf;
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$;
REVOKE ALL ON FUNCTION ledger_file_rows(bigint[], boolean) FROM PUBLIC;

CREATE OR REPLACE FUNCTION ledger_file(most integer) RETURNS integer LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, public SET lock_timeout = '2s' AS $$
DECLARE
    taken bigint[];
    filed integer := 0;
    last bigint := -1;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('ledger_file'));
    -- Past what has to stay, until something could be filed.
    WHILE filed = 0 LOOP
        taken := ARRAY(SELECT number FROM public.ledger_intake WHERE number > last
                       ORDER BY number LIMIT most);
        EXIT WHEN cardinality(taken) = 0;
        filed := public.ledger_file_rows(taken, true);
        IF filed < cardinality(taken) THEN
            filed := filed + public.ledger_file_rows(taken, false);
        END IF;
        last := taken[cardinality(taken)];
    END LOOP;
    RETURN filed;
END $$;

CREATE OR REPLACE FUNCTION ledger_only_filed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF EXISTS (SELECT FROM public.ledger_event WHERE id = OLD.event_id AND leaf = OLD.leaf) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;
"""


def again(sql: str) -> str:
    return sql.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")


ONLY_FILED = BEFORE.GUARDS.split("CREATE TRIGGER")[0]
UNDO = again(BEFORE.FILE + ONLY_FILED) + "DROP FUNCTION ledger_file_rows(bigint[], boolean);"


class Migration(migrations.Migration):
    dependencies = [("ledger", "0010_covering_indexes")]

    operations = [migrations.RunSQL(TEXT + FILE, UNDO)]
