"""Sealing belongs to the sealer's role: the web may read what is sealed and write none of it.

Every event waits in ledger_pending from the transaction that stores it, put there by a trigger
that runs with its owner's rights, so that nobody can store an event that does not wait.
"""

from django.db import migrations

SEALED = ("leaf", "subtree", "checkpoint", "tree", "signingkey", "acknowledgement")

GUARDS = """
CREATE FUNCTION ledger_await_seal() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    INSERT INTO public.ledger_pending (event_id) SELECT id FROM arrived ORDER BY id;
    RETURN NULL;
END $$;

CREATE TRIGGER ledger_event_await_seal AFTER INSERT ON ledger_event
    REFERENCING NEW TABLE AS arrived FOR EACH STATEMENT EXECUTE FUNCTION ledger_await_seal();
ALTER TABLE ledger_event ENABLE ALWAYS TRIGGER ledger_event_await_seal;

INSERT INTO ledger_pending (event_id) SELECT id FROM ledger_event ORDER BY id;
"""

APPEND_ONLY = """
CREATE TRIGGER ledger_{0}_append_only BEFORE UPDATE OR DELETE ON ledger_{0}
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_{0}_no_truncate BEFORE TRUNCATE ON ledger_{0}
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
ALTER TABLE ledger_{0} ENABLE ALWAYS TRIGGER ledger_{0}_append_only;
ALTER TABLE ledger_{0} ENABLE ALWAYS TRIGGER ledger_{0}_no_truncate;
"""

RIGHTS = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'fusebox_web') THEN
        REVOKE ALL ON ledger_pending, ledger_leaf, ledger_subtree, ledger_checkpoint, ledger_tree,
            ledger_signingkey, ledger_sealer, ledger_acknowledgement, ledger_process
            FROM fusebox_web;
        GRANT SELECT ON ledger_pending, ledger_leaf, ledger_subtree, ledger_checkpoint,
            ledger_tree, ledger_signingkey, ledger_sealer, ledger_acknowledgement, ledger_process
            TO fusebox_web;
        GRANT INSERT ON ledger_acknowledgement, ledger_process TO fusebox_web;
        GRANT UPDATE (name, beat_at) ON ledger_process TO fusebox_web;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'fusebox_sealer') THEN
        GRANT SELECT, INSERT ON ledger_event, ledger_personal, ledger_mention, ledger_leaf,
            ledger_subtree, ledger_checkpoint, ledger_tree, ledger_signingkey TO fusebox_sealer;
        GRANT SELECT, DELETE ON ledger_pending TO fusebox_sealer;
        GRANT SELECT, INSERT, UPDATE ON ledger_sealer TO fusebox_sealer;
        GRANT SELECT ON ledger_acknowledgement TO fusebox_sealer;
        GRANT SELECT ON ledger_process TO fusebox_sealer;
        GRANT UPDATE (closed_at) ON ledger_process TO fusebox_sealer;
    END IF;
END $$;
"""

UNGUARD = """
DROP TRIGGER ledger_event_await_seal ON ledger_event;
DROP FUNCTION ledger_await_seal();
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0004_sealing")]

    operations = [
        migrations.RunSQL(GUARDS, UNGUARD),
        *(migrations.RunSQL(APPEND_ONLY.format(table), migrations.RunSQL.noop) for table in SEALED),
        migrations.RunSQL(RIGHTS, migrations.RunSQL.noop),
    ]
