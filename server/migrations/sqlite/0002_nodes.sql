-- License keys become keyed hashes, and the audit log tells who did what.

-- HMAC-SHA256 of the key in hex, and the key's last characters. The hashing needs the server's
-- secret, which SQL has not: a row whose hint is still empty holds a plain key, and the server
-- hashes it in the transaction that follows the migrations.
ALTER TABLE licenses RENAME COLUMN key TO key_hash;
ALTER TABLE licenses ADD COLUMN key_hint TEXT NOT NULL DEFAULT '';

-- 1: the next device that logs in takes the license over.
ALTER TABLE licenses ADD COLUMN rebinding INTEGER NOT NULL DEFAULT 0 CHECK (rebinding IN (0, 1));

-- What the next login may report although the history lacks it (docs/protocol.md, section 7).
ALTER TABLE licenses ADD COLUMN history_mark TEXT CHECK (history_mark IN ('restored', 'reset'));

-- What concerns the whole database, such as the check value of the secret that hashed its keys.
CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

DROP INDEX audit_log_by_license;
ALTER TABLE audit_log RENAME TO audit_log_before;

CREATE TABLE audit_log (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,
    -- 'admin:<user of the operating system>', 'client:<address>' or 'unknown'.
    who        TEXT    NOT NULL,
    action     TEXT    NOT NULL,
    license_id INTEGER REFERENCES licenses (id),
    product_id TEXT,
    detail     TEXT    NOT NULL,
    -- How often it happened: equal refusals of one minute are one entry.
    times      INTEGER NOT NULL DEFAULT 1 CHECK (times > 0)
) STRICT;

INSERT INTO audit_log (id, at, who, action, license_id, product_id, detail)
    SELECT audit_log_before.id, at, 'unknown', action, license_id, product_id, detail
    FROM audit_log_before JOIN licenses ON licenses.id = license_id;

DROP TABLE audit_log_before;

CREATE INDEX audit_log_by_license ON audit_log (license_id);
CREATE INDEX audit_log_by_moment ON audit_log (at);

CREATE TRIGGER audit_log_keeps_its_entries BEFORE UPDATE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;

CREATE TRIGGER audit_log_loses_no_entry BEFORE DELETE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
