"""What retention removes is written down first, and only what is written down can be removed.

Spans of positions, and of the numbers that processes gave to their events, name the event that says
so. The rows of an event may go when a span has its position; nothing else of the log may.
"""

from django.db import migrations, models

GUARDS = """
CREATE FUNCTION ledger_is_removed(gone uuid) RETURNS boolean LANGUAGE sql STABLE
SET search_path = pg_catalog, public AS $$
    SELECT coalesce((
        SELECT (SELECT s.last FROM public.ledger_removedspan s
                WHERE s.tree = l.tree AND s.first <= l.position
                ORDER BY s.first DESC LIMIT 1) >= l.position
        FROM public.ledger_leaf l WHERE l.event_id = gone), false)
$$;

CREATE FUNCTION ledger_refuse_unless_removed() RETURNS trigger LANGUAGE plpgsql
AS $$
DECLARE
    gone uuid;
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF TG_TABLE_NAME = 'ledger_event' THEN gone := OLD.id; ELSE gone := OLD.event_id; END IF;
        IF public.ledger_is_removed(gone) THEN RETURN OLD; END IF;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;
"""

REPLACE = """
DROP TRIGGER ledger_{0}_append_only ON ledger_{0};
CREATE TRIGGER ledger_{0}_append_only BEFORE UPDATE OR DELETE ON ledger_{0}
    FOR EACH ROW EXECUTE FUNCTION {1}();
ALTER TABLE ledger_{0} ENABLE ALWAYS TRIGGER ledger_{0}_append_only;
"""

APPEND_ONLY = """
CREATE TRIGGER ledger_{0}_append_only BEFORE UPDATE OR DELETE ON ledger_{0}
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_{0}_no_truncate BEFORE TRUNCATE ON ledger_{0}
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
ALTER TABLE ledger_{0} ENABLE ALWAYS TRIGGER ledger_{0}_append_only;
ALTER TABLE ledger_{0} ENABLE ALWAYS TRIGGER ledger_{0}_no_truncate;

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'fusebox_web') THEN
        REVOKE ALL ON ledger_{0} FROM fusebox_web;
        GRANT SELECT ON ledger_{0} TO fusebox_web;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'fusebox_sealer') THEN
        GRANT SELECT ON ledger_{0} TO fusebox_sealer;
    END IF;
END $$;
"""

ERASE_OR_REMOVE = """
CREATE OR REPLACE FUNCTION ledger_only_erase() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.event_id = OLD.event_id AND OLD."values" @> NEW."values" AND NEW.ip IN ('', OLD.ip)
            AND EXISTS (SELECT FROM public.ledger_erased WHERE event_id = OLD.event_id)
        THEN
            RETURN NEW;
        END IF;
    ELSIF TG_OP = 'DELETE' THEN
        IF public.ledger_is_removed(OLD.event_id) THEN RETURN OLD; END IF;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;
"""

UNGUARD = """
DROP FUNCTION ledger_refuse_unless_removed();
DROP FUNCTION ledger_is_removed(uuid);
"""

SHRINKING = ("event", "mention")


def replaced(table: str) -> migrations.RunSQL:
    return migrations.RunSQL(
        REPLACE.format(table, "ledger_refuse_unless_removed"),
        REPLACE.format(table, "ledger_refuse_change"),
    )


class Migration(migrations.Migration):
    dependencies = [("ledger", "0006_erasure")]

    operations = [
        migrations.CreateModel(
            name="RemovedSpan",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tree", "first", blank=True, editable=False, primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tree", models.PositiveSmallIntegerField()),
                ("first", models.BigIntegerField()),
                ("last", models.BigIntegerField()),
                ("event_id", models.UUIDField()),
            ],
        ),
        migrations.CreateModel(
            name="RemovedNumbers",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "boot", "first", blank=True, editable=False, primary_key=True,
                        serialize=False,
                    ),
                ),
                ("boot", models.UUIDField()),
                ("first", models.BigIntegerField()),
                ("last", models.BigIntegerField()),
                ("event_id", models.UUIDField()),
            ],
            options={"verbose_name_plural": "removed numbers"},
        ),
        migrations.RunSQL(GUARDS, UNGUARD),
        migrations.RunSQL(ERASE_OR_REMOVE, migrations.RunSQL.noop),
        *(replaced(table) for table in SHRINKING),
        *(
            migrations.RunSQL(APPEND_ONLY.format(table), migrations.RunSQL.noop)
            for table in ("removedspan", "removednumbers")
        ),
    ]  # fmt: skip
