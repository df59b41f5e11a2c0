-- The audit log becomes a chain: each entry has a number and a hash over the one before it. Entries
-- from before have numbers up to 0 and no hash.
ALTER TABLE audit RENAME TO audit_before;

CREATE TABLE audit (
    sequence BIGINT PRIMARY KEY,
    id TEXT NOT NULL,
    at BIGINT NOT NULL,
    -- master_key, key, session, sso, scim, link, system; unknown
    how TEXT NOT NULL,
    actor_user_id TEXT,
    actor_key_id TEXT,
    session_id TEXT,
    -- who the caller says is behind it (`litellm-changed-by`)
    changed_by TEXT,
    client_address TEXT,
    user_agent TEXT,
    -- created, updated, deleted, blocked, unblocked, rotated …
    action TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    object_id TEXT NOT NULL,
    -- done, refused
    outcome TEXT NOT NULL,
    -- of a refusal
    reason TEXT,
    before TEXT,
    after TEXT,
    -- lower-case hex SHA-256 of the previous entry's hash and this entry
    hash TEXT NOT NULL,
    -- the hash, authenticated with a key that the database does not have: <key id>.<hex>
    seal TEXT NOT NULL
);

INSERT INTO audit (
    sequence, id, at, how, actor_user_id, actor_key_id, changed_by, action, object_kind, object_id,
    outcome, before, after, hash, seal)
SELECT ROW_NUMBER() OVER (ORDER BY at, id) - (SELECT COUNT(*) FROM audit_before), id, at, 'unknown',
    actor_user_id, actor_key_id, changed_by, action, object_kind, object_id, 'done', before, after,
    '', ''
FROM audit_before;
DROP TABLE audit_before;

CREATE UNIQUE INDEX audit_id ON audit (id);
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_object ON audit (object_kind, object_id);
CREATE INDEX audit_actor ON audit (actor_user_id, sequence);

-- Whom an entry concerns: the team, organization or user that an object belongs or belonged to.
CREATE TABLE audit_subjects (
    sequence BIGINT NOT NULL,
    -- team, organization, user
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (sequence, kind, id)
);
CREATE INDEX audit_subjects_id ON audit_subjects (kind, id, sequence);

-- One row, the log's end. Adding an entry locks it, so that there is one chain.
CREATE TABLE audit_head (
    name TEXT PRIMARY KEY,
    sequence BIGINT NOT NULL,
    hash TEXT NOT NULL
);
INSERT INTO audit_head (name, sequence, hash) VALUES ('audit', 0, '');
