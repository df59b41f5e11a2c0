-- Signing in: sessions, invitations, password resets, the addresses and devices that somebody
-- signed in from, and mail on its way. Whatever opens a door is kept as its SHA-256 alone.

CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    -- password, invitation, sso, administrator (the name and password of the configuration)
    method TEXT NOT NULL,
    -- of administrators of the configuration: says with which password, without telling it
    stamp TEXT,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    -- whatever is done meanwhile
    expires_at BIGINT NOT NULL,
    address TEXT,
    user_agent TEXT
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

-- What a client shows. A cookie's is replaced now and then; the one before stays valid for a moment.
CREATE TABLE session_tokens (
    hash TEXT PRIMARY KEY,
    session_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    valid_until BIGINT
);
CREATE INDEX session_tokens_session ON session_tokens (session_id);

CREATE TABLE invitations (
    -- of the id in the link
    hash TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    accepted_at BIGINT,
    expires_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT,
    updated_at BIGINT NOT NULL,
    updated_by TEXT
);
CREATE INDEX invitations_user ON invitations (user_id);

CREATE TABLE password_resets (
    hash TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX password_resets_user ON password_resets (user_id);

-- Where somebody has signed in from: guesses of others do not slow them down there.
CREATE TABLE known_places (
    user_id TEXT NOT NULL,
    -- address, device
    kind TEXT NOT NULL,
    -- SHA-256 of the address or of the device's token
    hash TEXT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, kind, hash)
);

-- Mail that is to be sent, or was. Written in the transaction of what it tells.
CREATE TABLE outbox (
    id TEXT PRIMARY KEY,
    event TEXT NOT NULL,
    recipient TEXT NOT NULL,
    subject TEXT NOT NULL,
    -- sealed, for it may hold a link that opens a door; emptied when it was sent or given up
    content TEXT NOT NULL,
    -- NULL, or what must be told only once
    once TEXT,
    created_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    -- NULL: sent or given up
    next_attempt_at BIGINT,
    sent_at BIGINT,
    failed_at BIGINT,
    last_error TEXT
);
CREATE INDEX outbox_due ON outbox (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX outbox_created ON outbox (created_at);
CREATE UNIQUE INDEX outbox_once ON outbox (once);
