-- The life of keys: from where they may be used, how they are replaced in time, and keys that nobody
-- should ever use. And budgets that many scopes follow.

-- addresses and networks (`10.0.0.0/8`); none: from everywhere
ALTER TABLE keys ADD COLUMN allowed_ips TEXT NOT NULL DEFAULT '[]';
-- bait: refused as an unknown key is, and told
ALTER TABLE keys ADD COLUMN canary BOOLEAN NOT NULL DEFAULT FALSE;
-- how long a key that is due to be replaced still works
ALTER TABLE keys ADD COLUMN rotation_grace_period TEXT;
-- the key is due to be replaced and stops working then
ALTER TABLE keys ADD COLUMN rotate_by BIGINT;
-- of how many days before it expires its owner was last reminded
ALTER TABLE keys ADD COLUMN expiry_reminder BIGINT;
CREATE INDEX keys_rotation ON keys (next_rotation_at) WHERE auto_rotate AND deleted_at IS NULL;
CREATE INDEX keys_expiry ON keys (expires_at) WHERE expires_at IS NOT NULL AND deleted_at IS NULL;

-- Scopes that follow a named plan: its limits hold where the scope has none of its own.
CREATE TABLE budget_links (
    -- key, user, team, team_member, organization
    scope_kind TEXT NOT NULL,
    scope_id TEXT NOT NULL,
    plan_id TEXT NOT NULL,
    -- what the scope itself says of its budgets, as JSON
    own TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (scope_kind, scope_id)
);
CREATE INDEX budget_links_plan ON budget_links (plan_id);
