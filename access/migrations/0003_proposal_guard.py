"""The second person, held by the database itself: whoever writes, and by whatever path.

What was asked for stays as it is; a decision is made once, in time, by another person who is active
and holds one of the roles that may approve. The person's row is locked, so that a role taken away
at the same moment waits or is seen.
"""

from django.db import migrations

GUARD = """
CREATE FUNCTION access_guard_proposal() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public AS $$
DECLARE
    decider public.access_user;
    refused text;
BEGIN
    IF TG_OP = 'DELETE' THEN
        refused := 'a proposal is not deleted';
    ELSIF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'waiting' THEN
            refused := 'a proposal begins by waiting';
        ELSIF NEW.expires_at > clock_timestamp() + interval '31 days' THEN
            refused := 'a proposal is open for at most 31 days';
        ELSIF NOT (NEW.roles <@ '["system", "security", "audit"]' AND NEW.roles <> '[]') THEN
            refused := 'administrators approve';
        ELSIF NOT EXISTS (SELECT FROM public.access_user u WHERE u.id = NEW.requester_id
                          AND u.is_active AND u.kind = 'person') THEN
            refused := 'a person who is active asks';
        END IF;
    ELSIF OLD.state <> 'waiting' OR NEW.state = 'waiting' THEN
        refused := 'a proposal is decided once';
    ELSIF (NEW.id, NEW.act, NEW.target_type, NEW.target_id, NEW.target_label, NEW.difference,
           NEW.arguments, NEW.fingerprint, NEW.reason, NEW.roles, NEW.requester_id, NEW.created_at,
           NEW.expires_at)
       IS DISTINCT FROM
          (OLD.id, OLD.act, OLD.target_type, OLD.target_id, OLD.target_label, OLD.difference,
           OLD.arguments, OLD.fingerprint, OLD.reason, OLD.roles, OLD.requester_id, OLD.created_at,
           OLD.expires_at) THEN
        refused := 'what was asked for stays as it is';
    ELSIF NEW.state IN ('applied', 'refused') AND NOT (NEW.alone AND NEW.approver_id IS NULL) THEN
        SELECT * INTO decider FROM public.access_user WHERE id = NEW.approver_id FOR SHARE;
        IF NOT FOUND OR NEW.approver_id = OLD.requester_id THEN
            refused := 'another person decides';
        ELSIF NOT decider.is_active OR decider.kind <> 'person'
              OR NOT jsonb_exists(OLD.roles, decider.role) THEN
            refused := 'the person who decides is active and has one of the roles';
        ELSIF clock_timestamp() >= OLD.expires_at THEN
            refused := 'the proposal has expired';
        END IF;
    END IF;
    IF refused IS NOT NULL THEN
        RAISE EXCEPTION '%', refused USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER access_proposal_guard BEFORE INSERT OR UPDATE OR DELETE ON access_proposal
    FOR EACH ROW EXECUTE FUNCTION access_guard_proposal();
ALTER TABLE access_proposal ENABLE ALWAYS TRIGGER access_proposal_guard;

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'fusebox_web') THEN
        REVOKE DELETE, TRUNCATE ON access_proposal FROM fusebox_web;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'fusebox_sealer') THEN
        GRANT SELECT ON access_proposal TO fusebox_sealer;
    END IF;
END $$;
"""

UNGUARD = """
DROP TRIGGER access_proposal_guard ON access_proposal;
DROP FUNCTION access_guard_proposal();
"""


class Migration(migrations.Migration):
    dependencies = [("access", "0002_proposal")]

    operations = [migrations.RunSQL(GUARD, UNGUARD)]
