-- Signing in at an identity provider: ways there and back that were gone, so that none is gone twice.
CREATE TABLE sso_states (
    -- SHA-256 of the state
    hash TEXT PRIMARY KEY,
    -- when the state itself has expired, and this is not needed any more
    expires_at BIGINT NOT NULL
);
CREATE INDEX sso_states_expiry ON sso_states (expires_at);
