-- The whole state of the server but its connections.
-- Moments are unix seconds (UTC), calendar dates are 'YYYY-MM-DD', booleans are 0 or 1.

CREATE TABLE products (
    id              TEXT PRIMARY KEY,
    -- Versions below it are answered OUTDATED_VERSION; NULL: every version may log in.
    minimum_version TEXT,
    -- Where a newer version is to be had; NULL: the default place (docs/protocol.md, section 8).
    update_url      TEXT
) STRICT;

CREATE TABLE plans (
    id     TEXT PRIMARY KEY,
    -- Period of a license, in calendar months from its activation.
    months INTEGER NOT NULL CHECK (months > 0)
) STRICT;

CREATE TABLE plan_limits (
    plan_id TEXT    NOT NULL REFERENCES plans (id),
    name    TEXT    NOT NULL,
    value   INTEGER NOT NULL,
    PRIMARY KEY (plan_id, name)
) STRICT, WITHOUT ROWID;

INSERT INTO plans (id, months) VALUES
    ('telepower.licensePlan.release.monthly', 1),
    ('telepower.licensePlan.release.quarterly', 3),
    ('telepower.licensePlan.release.yearly', 12);

INSERT INTO plan_limits (plan_id, name, value)
    SELECT id, 'engine.limits.inviteToChannel.dailyLimit', 500 FROM plans
    UNION ALL
    SELECT id, 'engine.limits.sendMessage.dailyLimit', 150 FROM plans;

-- A license is bound to a device by its first login: the four columns are set together, once.
CREATE TABLE licenses (
    id                   INTEGER PRIMARY KEY,
    key                  TEXT    NOT NULL UNIQUE,
    product_id           TEXT    NOT NULL REFERENCES products (id),
    plan_id              TEXT    NOT NULL REFERENCES plans (id),
    issued_at            INTEGER NOT NULL,
    suspended            INTEGER NOT NULL DEFAULT 0 CHECK (suspended IN (0, 1)),
    activation_date      TEXT,
    expiry_date          TEXT,
    device_serial_number TEXT,
    cs_product_uuid      TEXT,
    CHECK ((activation_date IS NULL) = (expiry_date IS NULL)
       AND (activation_date IS NULL) = (device_serial_number IS NULL)
       AND (activation_date IS NULL) = (cs_product_uuid IS NULL))
) STRICT;

-- What an administrator set for one license; it goes before the limits of the plan.
CREATE TABLE license_limits (
    license_id INTEGER NOT NULL REFERENCES licenses (id),
    name       TEXT    NOT NULL,
    value      INTEGER NOT NULL,
    PRIMARY KEY (license_id, name)
) STRICT, WITHOUT ROWID;

-- Every login ever accepted. The order of acceptance is the order of ids: clients' clocks may run backwards.
CREATE TABLE logins (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    license_id  INTEGER NOT NULL REFERENCES licenses (id),
    -- The timestamp of the request, the value that the client reports at its next login.
    value       INTEGER NOT NULL,
    accepted_at INTEGER NOT NULL,
    -- 1: it was accepted out of the resync budget.
    resync      INTEGER NOT NULL CHECK (resync IN (0, 1)),
    -- 1: the client is known to have received the answer.
    confirmed   INTEGER NOT NULL DEFAULT 0 CHECK (confirmed IN (0, 1))
) STRICT;

CREATE INDEX logins_by_value ON logins (license_id, value);
CREATE INDEX logins_confirmed ON logins (license_id) WHERE confirmed = 1;
CREATE INDEX logins_counted ON logins (license_id, accepted_at) WHERE resync = 1 AND confirmed = 1;

CREATE TABLE events (
    id          INTEGER PRIMARY KEY,
    license_id  INTEGER NOT NULL REFERENCES licenses (id),
    event       TEXT    NOT NULL,
    -- The MessagePack of the data, byte for byte as it came.
    data        BLOB    NOT NULL,
    -- Chosen by the client; a repeat of it is dropped.
    event_id    TEXT,
    sent_at     INTEGER NOT NULL,
    received_at INTEGER NOT NULL
) STRICT;

CREATE INDEX events_by_license ON events (license_id);
CREATE UNIQUE INDEX events_once ON events (license_id, event_id) WHERE event_id IS NOT NULL;

CREATE TABLE audit_log (
    id         INTEGER PRIMARY KEY,
    at         INTEGER NOT NULL,
    license_id INTEGER NOT NULL REFERENCES licenses (id),
    action     TEXT    NOT NULL,
    detail     TEXT    NOT NULL
) STRICT;

CREATE INDEX audit_log_by_license ON audit_log (license_id);
