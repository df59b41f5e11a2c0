-- Keys at providers: the gateway's own, an organization's, a team's, a person's. The table of before was
-- never written.
DROP TABLE credentials;

CREATE TABLE provider_keys (
    id TEXT PRIMARY KEY,
    -- system, organization, team, user
    owner_kind TEXT NOT NULL,
    -- empty: the gateway
    owner_id TEXT NOT NULL DEFAULT '',
    provider TEXT NOT NULL,
    -- one of its owner's
    name TEXT NOT NULL,
    -- bound to this row, its owner and its provider
    sealed TEXT NOT NULL,
    -- the last four letters, so that people tell keys apart
    last4 TEXT NOT NULL,
    -- the lower is asked first
    position BIGINT NOT NULL DEFAULT 0,
    enabled BOOLEAN NOT NULL DEFAULT TRUE,
    -- whether the next key may pay when this one does not: never, on_quota, on_error
    fallback TEXT NOT NULL DEFAULT 'never',
    -- the models it pays for; empty: all
    models TEXT NOT NULL DEFAULT '[]',
    -- a host of the owner's, in place of the provider's
    base_url TEXT,
    -- valid, rejected, restricted, unverified, quota
    state TEXT NOT NULL DEFAULT 'unverified',
    -- when a provider last said what the state says
    verified_at BIGINT,
    last_used_at BIGINT,
    created_at BIGINT NOT NULL,
    created_by TEXT,
    updated_at BIGINT NOT NULL,
    updated_by TEXT
);
CREATE UNIQUE INDEX provider_keys_name ON provider_keys (owner_kind, owner_id, name);
