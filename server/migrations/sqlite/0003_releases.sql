-- Versions of products for clients to update to (docs/protocol.md, section 8). The files are in a
-- folder, each named by its SHA-256 in hex.
CREATE TABLE releases (
    product_id   TEXT    NOT NULL REFERENCES products (id),
    platform     TEXT    NOT NULL,
    -- In the full form of semantic versioning.
    version      TEXT    NOT NULL,
    sha256       TEXT    NOT NULL,
    -- The manifest and the signature over it, byte for byte as they are sent.
    manifest     BLOB    NOT NULL,
    signature    BLOB    NOT NULL,
    published_at INTEGER NOT NULL,
    PRIMARY KEY (product_id, platform, version)
) STRICT;

CREATE INDEX releases_by_file ON releases (sha256);
