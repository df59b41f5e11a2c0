-- What an identity provider says over SCIM of the users and groups (teams) that it keeps, besides what
-- their own rows hold.
CREATE TABLE scim_resources (
    -- user, team
    kind TEXT NOT NULL,
    -- of the user or the team
    id TEXT NOT NULL,
    -- a user's userName in lower case; teams have none
    name TEXT,
    -- the provider's own id
    external_id TEXT,
    -- the other attributes as they were sent, as JSON
    attributes TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (kind, id)
);
CREATE UNIQUE INDEX scim_resources_name ON scim_resources (kind, name);
CREATE INDEX scim_resources_external_id ON scim_resources (kind, external_id);
