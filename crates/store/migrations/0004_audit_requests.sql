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

-- What people ask for, and what was decided.
CREATE TABLE requests (
    id TEXT PRIMARY KEY,
    -- budget, model, key, seat
    kind TEXT NOT NULL,
    user_id TEXT NOT NULL,
    -- the team it is about, whose administrators may decide
    team_id TEXT,
    organization_id TEXT,
    -- budget: whose; key, user, team_member, team, organization, gateway
    scope_kind TEXT,
    scope_id TEXT,
    -- which of its budgets
    budget_id TEXT,
    -- nano-dollars: more budget, or the budget of the key
    amount BIGINT,
    model TEXT,
    key_alias TEXT,
    -- for how long, in milliseconds after the decision; NULL: the configured time
    duration BIGINT,
    reason TEXT,
    -- the limit that was there when it was asked, so that a change is noticed
    asked_limit BIGINT,
    -- pending, approved, collected, declined, withdrawn, lapsed, ended
    status TEXT NOT NULL,
    decided_at BIGINT,
    decided_by TEXT,
    -- a person, or a rule
    decided_how TEXT,
    note TEXT,
    granted_amount BIGINT,
    -- when the grant ends
    granted_until BIGINT,
    -- what was made by it: the id of an increase, a grant, a membership or a key
    made_id TEXT,
    -- when nobody may decide any more
    lapses_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX requests_user ON requests (user_id, created_at);
CREATE INDEX requests_team ON requests (team_id, created_at);
CREATE INDEX requests_status ON requests (status, granted_until);

-- Links out of mails that decide: one approver, one request, one use.
CREATE TABLE request_links (
    id TEXT PRIMARY KEY,
    request_id TEXT NOT NULL,
    approver_id TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT
);
CREATE INDEX request_links_request ON request_links (request_id);

-- What a team's administrators may grant, and what is granted without anybody. A row without a team is
-- the gateway's.
CREATE TABLE request_rules (
    -- empty: the gateway
    team_id TEXT PRIMARY KEY,
    -- nano-dollars that the team's administrators may grant one person in a calendar month
    team_admin_limit BIGINT,
    -- nano-dollars that one person is granted in a calendar month without anybody being asked
    automatic_limit BIGINT,
    updated_at BIGINT NOT NULL,
    updated_by TEXT
);

-- Models that somebody may use for a time although lists leave them out.
CREATE TABLE model_grants (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    -- with keys of this team; NULL: with personal keys
    team_id TEXT,
    -- the key whose own list it goes past; NULL: that of none
    key_id TEXT,
    model TEXT NOT NULL,
    -- the widest list that it goes past: member (the person's), team, organization
    level TEXT NOT NULL,
    until BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX model_grants_user ON model_grants (user_id);
