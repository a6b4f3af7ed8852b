"""The log is append-only: the web's role may INSERT and SELECT, triggers refuse the rest."""

from django.db import migrations

GUARDS = """
CREATE FUNCTION ledger_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER ledger_event_append_only BEFORE UPDATE OR DELETE ON ledger_event
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_event_no_truncate BEFORE TRUNCATE ON ledger_event
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_personal_append_only BEFORE UPDATE OR DELETE ON ledger_personal
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_personal_no_truncate BEFORE TRUNCATE ON ledger_personal
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();

ALTER TABLE ledger_event ENABLE ALWAYS TRIGGER ledger_event_append_only;
ALTER TABLE ledger_event ENABLE ALWAYS TRIGGER ledger_event_no_truncate;
ALTER TABLE ledger_personal ENABLE ALWAYS TRIGGER ledger_personal_append_only;
ALTER TABLE ledger_personal ENABLE ALWAYS TRIGGER ledger_personal_no_truncate;

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'fusebox_web') THEN
        REVOKE ALL ON ledger_event, ledger_personal FROM fusebox_web;
        GRANT SELECT, INSERT ON ledger_event, ledger_personal TO fusebox_web;
    END IF;
END $$;
"""

UNGUARD = """
DROP TRIGGER ledger_event_append_only ON ledger_event;
DROP TRIGGER ledger_event_no_truncate ON ledger_event;
DROP TRIGGER ledger_personal_append_only ON ledger_personal;
DROP TRIGGER ledger_personal_no_truncate ON ledger_personal;
DROP FUNCTION ledger_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0001_initial")]

    operations = [migrations.RunSQL(GUARDS, UNGUARD)]
