"""The intake: where the inference path makes its events durable, and what moves them on.

`ledger_file` is the owner's: neither role may delete from the intake, and a trigger lets go of a
row only when its event is filed. No row can hold up the others: bytes that are no event are filed
with empty columns (verification then names them), what is too long for an index is cut, and what
is there already is not stored again.
"""

from django.db import migrations, models
from django.db.models.functions import Now

# As event.Event.columns and .mentions say it: texts that are searched by have 200 characters.
FILE = """
CREATE FUNCTION ledger_read(leaf bytea) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    RETURN convert_from(leaf, 'UTF8')::jsonb;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END $$;

CREATE FUNCTION ledger_text(value text, most integer) RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE
    WHEN value IS NULL THEN ''
    WHEN char_length(value) <= most THEN value
    ELSE left(value, most - 1) || '…' END;

CREATE FUNCTION ledger_file(most integer) RETURNS integer LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, public SET lock_timeout = '2s' AS $$
DECLARE
    taken bigint[];
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('ledger_file'));
    taken := ARRAY(SELECT number FROM public.ledger_intake ORDER BY number LIMIT most);
    IF cardinality(taken) = 0 THEN RETURN 0; END IF;
    WITH taken_in AS MATERIALIZED (
        SELECT i.*, public.ledger_read(i.leaf) AS said FROM public.ledger_intake i
        WHERE i.number = ANY(taken)
    ), filed AS (
        INSERT INTO public.ledger_event (
            id, leaf, leaf_hash, created_at, at, boot, wseq, writer, act, outcome, severity,
            actor_kind, actor_id, key_id, object_type, object_id, object_label, deployment,
            request_id)
        SELECT event_id, leaf, sha256('\\x00'::bytea || leaf), created_at, at, boot, wseq,
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
    DELETE FROM public.ledger_intake WHERE number = ANY(taken);
    RETURN cardinality(taken);
END $$;
"""

GUARDS = """
CREATE FUNCTION ledger_only_filed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF EXISTS (SELECT FROM public.ledger_event WHERE id = OLD.event_id)
            OR EXISTS (SELECT FROM public.ledger_event WHERE boot = OLD.boot AND wseq = OLD.wseq)
        THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER ledger_intake_append_only BEFORE UPDATE OR DELETE ON ledger_intake
    FOR EACH ROW EXECUTE FUNCTION ledger_only_filed();
CREATE TRIGGER ledger_intake_no_truncate BEFORE TRUNCATE ON ledger_intake
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
ALTER TABLE ledger_intake ENABLE ALWAYS TRIGGER ledger_intake_append_only;
ALTER TABLE ledger_intake ENABLE ALWAYS TRIGGER ledger_intake_no_truncate;
ALTER TABLE ledger_intake SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000
);

REVOKE ALL ON FUNCTION ledger_file(integer) FROM PUBLIC;
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'fusebox_web') THEN
        REVOKE ALL ON ledger_intake FROM fusebox_web;
        GRANT SELECT, INSERT ON ledger_intake TO fusebox_web;
        GRANT EXECUTE ON FUNCTION ledger_file(integer) TO fusebox_web;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'fusebox_sealer') THEN
        GRANT SELECT ON ledger_intake TO fusebox_sealer;
        GRANT EXECUTE ON FUNCTION ledger_file(integer) TO fusebox_sealer;
    END IF;
END $$;
"""

UNGUARD = """
SELECT ledger_file(2147483647);
DROP TRIGGER ledger_intake_append_only ON ledger_intake;
DROP TRIGGER ledger_intake_no_truncate ON ledger_intake;
DROP FUNCTION ledger_file(integer), ledger_only_filed(), ledger_text(text, integer),
    ledger_read(bytea);
"""

FIELDS = [
    ("number", models.BigAutoField(primary_key=True, serialize=False)),
    ("created_at", models.DateTimeField(db_default=Now())),
    ("event_id", models.UUIDField()),
    ("at", models.DateTimeField()),
    ("boot", models.UUIDField()),
    ("wseq", models.BigIntegerField()),
    ("leaf", models.BinaryField()),
    ("key", models.BinaryField()),
    ("values", models.JSONField()),
]


class Migration(migrations.Migration):
    dependencies = [("ledger", "0008_key_change")]

    operations = [
        migrations.CreateModel(
            name="Intake", fields=FIELDS, options={"verbose_name_plural": "intake"}
        ),
        migrations.RunSQL(FILE + GUARDS, UNGUARD),
    ]
