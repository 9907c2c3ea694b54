-- REPLACE removes the entry that is in its way without asking the trigger on DELETE.
CREATE TRIGGER audit_log_replaces_no_entry BEFORE INSERT ON audit_log
WHEN EXISTS (SELECT 1 FROM audit_log WHERE id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
