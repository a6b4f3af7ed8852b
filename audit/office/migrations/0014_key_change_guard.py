"""A change of the signing key comes of an approved proposal, whoever writes it down."""

from django.db import migrations

GUARD = """
CREATE FUNCTION office_guard_key_change() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public AS $$
BEGIN
    IF EXISTS (SELECT FROM public.access_proposal p WHERE p.id = NEW.proposal_id
               AND p.act = 'audit.new_key' AND p.state = 'applied') THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the key changes by an approved proposal only'
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER office_key_change_guard BEFORE INSERT ON ledger_keychange
    FOR EACH ROW EXECUTE FUNCTION office_guard_key_change();
ALTER TABLE ledger_keychange ENABLE ALWAYS TRIGGER office_key_change_guard;
"""

UNGUARD = """
DROP TRIGGER office_key_change_guard ON ledger_keychange;
DROP FUNCTION office_guard_key_change();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("access", "0003_proposal_guard"),
        ("ledger", "0008_key_change"),
        ("office", "0013_content_holds"),
    ]

    operations = [migrations.RunSQL(GUARD, UNGUARD)]
