-- A membership of an organization has an id of its own, because budgets and counters hang on it.
ALTER TABLE organization_members ADD COLUMN id TEXT NOT NULL DEFAULT '';
ALTER TABLE organization_members ADD COLUMN updated_at BIGINT NOT NULL DEFAULT 0;
UPDATE organization_members SET id = organization_id || '/' || user_id, updated_at = created_at;
CREATE UNIQUE INDEX organization_members_id ON organization_members (id);
CREATE INDEX keys_organization ON keys (organization_id);
