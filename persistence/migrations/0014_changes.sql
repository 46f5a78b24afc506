-- Notes what has changed of an event, so that front doors read only that.

-- What has changed of an event, by the version from which on everybody has read it: front doors that know an older one
-- read only that. Triggers write it, so that no change can forget to. Id 0 stands for all of a kind.
CREATE TABLE catalogue_changes (
    event_id bigint NOT NULL,
    kind     text NOT NULL,
    id       bigint NOT NULL,
    version  bigint NOT NULL,
    CONSTRAINT catalogue_changes_pkey PRIMARY KEY (event_id, kind, id),
    CONSTRAINT catalogue_changes_event_fkey FOREIGN KEY (event_id) REFERENCES events (id)
);
CREATE INDEX catalogue_changes_version_idx ON catalogue_changes (event_id, version);

-- Notes a kind of thing, and the column with its id. The version is the one after the change's own: who has read the
-- event in the middle of the change, or before a change that counted none, reads it again.
CREATE FUNCTION note_catalogue_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed jsonb := CASE TG_OP WHEN 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END;
BEGIN
    INSERT INTO catalogue_changes (event_id, kind, id, version)
    SELECT e.id, TG_ARGV[0], coalesce((changed ->> TG_ARGV[1])::bigint, 0), e.version + 1
    FROM events e WHERE e.id = (changed ->> 'event_id')::bigint
    ON CONFLICT ON CONSTRAINT catalogue_changes_pkey DO UPDATE SET version = excluded.version
    WHERE catalogue_changes.version < excluded.version;
    RETURN NULL;
END
$$;

CREATE TRIGGER items_noted AFTER INSERT OR UPDATE OR DELETE ON items
    FOR EACH ROW EXECUTE FUNCTION note_catalogue_change('item', 'id');
CREATE TRIGGER variations_noted AFTER INSERT OR UPDATE OR DELETE ON variations
    FOR EACH ROW EXECUTE FUNCTION note_catalogue_change('item', 'item_id');
CREATE TRIGGER item_links_noted AFTER INSERT OR UPDATE OR DELETE ON item_links
    FOR EACH ROW EXECUTE FUNCTION note_catalogue_change('item', 'item_id');
CREATE TRIGGER tax_rules_noted AFTER INSERT OR UPDATE OR DELETE ON tax_rules
    FOR EACH ROW EXECUTE FUNCTION note_catalogue_change('tax_rule', 'id');
CREATE TRIGGER questions_noted AFTER INSERT OR UPDATE OR DELETE ON questions
    FOR EACH ROW EXECUTE FUNCTION note_catalogue_change('question', 'id');
CREATE TRIGGER question_options_noted AFTER INSERT OR UPDATE OR DELETE ON question_options
    FOR EACH ROW EXECUTE FUNCTION note_catalogue_change('question', 'question_id');
CREATE TRIGGER subevents_noted AFTER INSERT OR UPDATE OR DELETE ON subevents
    FOR EACH ROW EXECUTE FUNCTION note_catalogue_change('subevent', 'id');
CREATE TRIGGER quotas_noted AFTER INSERT OR UPDATE OR DELETE ON quotas
    FOR EACH ROW EXECUTE FUNCTION note_catalogue_change('quota', 'id');
CREATE TRIGGER waiting_entries_noted AFTER INSERT OR UPDATE OR DELETE ON waiting_entries
    FOR EACH ROW EXECUTE FUNCTION note_catalogue_change('waiting');
-- of vouchers everybody knows only those that keep units free
CREATE TRIGGER vouchers_added_noted AFTER INSERT ON vouchers
    FOR EACH ROW WHEN ((NEW.body ->> 'block_quota')::boolean)
    EXECUTE FUNCTION note_catalogue_change('voucher', 'id');
CREATE TRIGGER vouchers_changed_noted AFTER UPDATE ON vouchers
    FOR EACH ROW WHEN ((OLD.body ->> 'block_quota')::boolean OR (NEW.body ->> 'block_quota')::boolean)
    EXECUTE FUNCTION note_catalogue_change('voucher', 'id');
CREATE TRIGGER vouchers_removed_noted AFTER DELETE ON vouchers
    FOR EACH ROW WHEN ((OLD.body ->> 'block_quota')::boolean)
    EXECUTE FUNCTION note_catalogue_change('voucher', 'id');
