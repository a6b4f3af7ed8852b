"""A person can be erased: personal values go where a recorded erasure says so, and nowhere else.

The web may not change them. It may call a function of the owner's, which does exactly what an event
that still waits to be sealed says, to the digit. The trigger lets nobody do more, not even the
owner: a value can only disappear, and only from an event that an erasure names.
"""

from django.db import migrations, models

GUARDS = """
CREATE FUNCTION ledger_only_erase() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.event_id = OLD.event_id AND OLD."values" @> NEW."values" AND NEW.ip IN ('', OLD.ip)
            AND EXISTS (SELECT FROM public.ledger_erased WHERE event_id = OLD.event_id)
        THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;

DROP TRIGGER ledger_personal_append_only ON ledger_personal;
CREATE TRIGGER ledger_personal_append_only BEFORE UPDATE OR DELETE ON ledger_personal
    FOR EACH ROW EXECUTE FUNCTION ledger_only_erase();
ALTER TABLE ledger_personal ENABLE ALWAYS TRIGGER ledger_personal_append_only;

CREATE TRIGGER ledger_erased_append_only BEFORE UPDATE OR DELETE ON ledger_erased
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_erased_no_truncate BEFORE TRUNCATE ON ledger_erased
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
ALTER TABLE ledger_erased ENABLE ALWAYS TRIGGER ledger_erased_append_only;
ALTER TABLE ledger_erased ENABLE ALWAYS TRIGGER ledger_erased_no_truncate;

CREATE FUNCTION ledger_erase(
    erasure uuid, events uuid[], keys bytea[], remaining jsonb[], rests text[]
) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    said jsonb;
    digest text;
    changed bigint;
BEGIN
    -- One at a time: what is numbered last is what was done last.
    PERFORM pg_advisory_xact_lock(7210418);
    SELECT convert_from(e.leaf, 'UTF8')::jsonb INTO said FROM public.ledger_event e
        WHERE e.id = erasure AND e.act = 'user.erased'
            AND EXISTS (SELECT FROM public.ledger_pending p WHERE p.event_id = e.id);
    SELECT encode(sha256(convert_to(coalesce(
            string_agg(t.event::text || ':' || t.rest || E'\\n', '' ORDER BY t.event), ''
        ), 'UTF8')), 'hex')
        INTO digest FROM unnest(events, rests) AS t (event, rest);
    IF said IS NULL OR said #>> '{details,digest}' IS DISTINCT FROM digest
        OR said #>> '{details,count}' IS DISTINCT FROM cardinality(events)::text
    THEN
        RAISE EXCEPTION 'no recorded erasure says this' USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO public.ledger_erased (event_id, erasure_id, rest)
        SELECT t.event, erasure, t.rest FROM unnest(events, rests) AS t (event, rest);
    UPDATE public.ledger_personal p
        SET key = t.key, "values" = t.kept,
            ip = CASE WHEN t.kept ? 'src.ip' THEN p.ip ELSE '' END
        FROM unnest(events, keys, remaining) AS t (event, key, kept) WHERE p.event_id = t.event;
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed <> cardinality(events) THEN
        RAISE EXCEPTION 'an event of the erasure has no personal values'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN changed;
END $$;
REVOKE ALL ON FUNCTION ledger_erase(uuid, uuid[], bytea[], jsonb[], text[]) FROM PUBLIC;

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'fusebox_web') THEN
        REVOKE ALL ON ledger_erased FROM fusebox_web;
        GRANT SELECT ON ledger_erased TO fusebox_web;
        GRANT EXECUTE ON FUNCTION ledger_erase(uuid, uuid[], bytea[], jsonb[], text[])
            TO fusebox_web;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'fusebox_sealer') THEN
        GRANT SELECT ON ledger_erased TO fusebox_sealer;
    END IF;
END $$;
"""

UNGUARD = """
DROP TRIGGER ledger_erased_append_only ON ledger_erased;
DROP TRIGGER ledger_erased_no_truncate ON ledger_erased;
DROP FUNCTION ledger_erase(uuid, uuid[], bytea[], jsonb[], text[]);
DROP TRIGGER ledger_personal_append_only ON ledger_personal;
CREATE TRIGGER ledger_personal_append_only BEFORE UPDATE OR DELETE ON ledger_personal
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
ALTER TABLE ledger_personal ENABLE ALWAYS TRIGGER ledger_personal_append_only;
DROP FUNCTION ledger_only_erase();
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0005_sealing_guards")]

    operations = [
        migrations.CreateModel(
            name="Erased",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("event_id", models.UUIDField()),
                ("erasure_id", models.UUIDField()),
                ("rest", models.TextField(blank=True)),
            ],
            options={
                "verbose_name_plural": "erased",
                "indexes": [models.Index(fields=["event_id", "id"], name="erased_by_event")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("event_id", "erasure_id"), name="erased_once_each"
                    )
                ],
            },
        ),
        migrations.RunSQL(GUARDS, UNGUARD),
    ]
