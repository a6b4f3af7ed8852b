"""An acknowledgement of a rollback is an administrator's, and an event says so.

Looked at when the transaction ends: the verb writes the acknowledgement and then its event.
"""

from django.db import migrations

GUARD = """
CREATE FUNCTION office_guard_acknowledgement() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public AS $$
BEGIN
    IF EXISTS (SELECT FROM public.access_user u WHERE u.id = NEW.person_id AND u.is_active
               AND u.kind = 'person' AND u.role IN ('system', 'security', 'audit'))
        AND EXISTS (SELECT FROM public.ledger_event e WHERE e.act = 'audit.acknowledge'
                    AND e.outcome = 'success' AND e.actor_id = NEW.person_id::text
                    AND e.object_id = NEW.incident::text) THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'a rollback is acknowledged by an administrator, in an event'
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE CONSTRAINT TRIGGER office_acknowledgement_guard AFTER INSERT ON ledger_acknowledgement
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION office_guard_acknowledgement();
ALTER TABLE ledger_acknowledgement ENABLE ALWAYS TRIGGER office_acknowledgement_guard;
"""

UNGUARD = """
DROP TRIGGER office_acknowledgement_guard ON ledger_acknowledgement;
DROP FUNCTION office_guard_acknowledgement();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("access", "0003_proposal_guard"),
        ("ledger", "0011_intake_loses_nothing"),
        ("office", "0015_erasures_stay"),
    ]

    operations = [migrations.RunSQL(GUARD, UNGUARD)]
