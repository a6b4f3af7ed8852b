"""A legal hold keeps captured content, too, whoever deletes it."""

from django.db import migrations

HOLDS = """
CREATE FUNCTION office_content_held(c public.office_content) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, public AS $$
    SELECT EXISTS (SELECT FROM public.office_hold h WHERE h.released_at IS NULL AND CASE h.kind
        WHEN 'person' THEN h.value = c.person_id::text
        WHEN 'deployment' THEN h.value = c.deployment_id::text
        WHEN 'period' THEN c.at >= h.from_at AND c.at < h.to_at
        ELSE EXISTS (SELECT FROM public.ledger_mention m
                     WHERE m.object_id = c.id::text AND m.event_id::text = h.value) END)
$$;

CREATE FUNCTION office_guard_content() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public AS $$
BEGIN
    -- The lock that setting a hold takes.
    PERFORM pg_advisory_xact_lock(24226);
    IF public.office_content_held(OLD) THEN
        RAISE EXCEPTION 'a legal hold covers this content'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER office_content_guard BEFORE DELETE ON office_content
    FOR EACH ROW EXECUTE FUNCTION office_guard_content();
ALTER TABLE office_content ENABLE ALWAYS TRIGGER office_content_guard;
"""

UNGUARD = """
DROP TRIGGER office_content_guard ON office_content;
DROP FUNCTION office_guard_content();
DROP FUNCTION office_content_held(office_content);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("office", "0012_retention_guard"),
    ]

    operations = [migrations.RunSQL(HOLDS, UNGUARD)]
