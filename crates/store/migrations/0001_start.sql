-- The first schema. One text for SQLite and PostgreSQL: times are unix milliseconds, money is
-- nano-dollars, JSON is text, ids are immutable text. Names given by people (aliases, hashes,
-- e-mail addresses) are never referred to by other tables.

CREATE TABLE organizations (
    id TEXT PRIMARY KEY,
    alias TEXT,
    models TEXT NOT NULL DEFAULT '[]',
    metadata TEXT NOT NULL DEFAULT '{}',
    settings TEXT NOT NULL DEFAULT '{}',
    blocked BOOLEAN NOT NULL DEFAULT FALSE,
    rpm_limit BIGINT,
    tpm_limit BIGINT,
    tpd_limit BIGINT,
    max_parallel_requests BIGINT,
    created_at BIGINT NOT NULL,
    created_by TEXT,
    updated_at BIGINT NOT NULL,
    updated_by TEXT
);

CREATE TABLE organization_members (
    organization_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    role TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (organization_id, user_id)
);
CREATE INDEX organization_members_user ON organization_members (user_id);

CREATE TABLE teams (
    id TEXT PRIMARY KEY,
    alias TEXT,
    organization_id TEXT,
    models TEXT NOT NULL DEFAULT '[]',
    model_aliases TEXT NOT NULL DEFAULT '{}',
    default_member_models TEXT NOT NULL DEFAULT '[]',
    member_permissions TEXT NOT NULL DEFAULT '[]',
    metadata TEXT NOT NULL DEFAULT '{}',
    -- what compatible clients store and read back, but the gateway does not act on
    settings TEXT NOT NULL DEFAULT '{}',
    blocked BOOLEAN NOT NULL DEFAULT FALSE,
    rpm_limit BIGINT,
    tpm_limit BIGINT,
    tpd_limit BIGINT,
    max_parallel_requests BIGINT,
    created_at BIGINT NOT NULL,
    created_by TEXT,
    updated_at BIGINT NOT NULL,
    updated_by TEXT
);
CREATE INDEX teams_organization ON teams (organization_id);

-- A membership has an id of its own, because budgets and counters hang on it.
CREATE TABLE team_members (
    id TEXT PRIMARY KEY,
    team_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    role TEXT NOT NULL,
    allowed_models TEXT NOT NULL DEFAULT '[]',
    rpm_limit BIGINT,
    tpm_limit BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX team_members_team_user ON team_members (team_id, user_id);
CREATE INDEX team_members_user ON team_members (user_id);

CREATE TABLE users (
    id TEXT PRIMARY KEY,
    -- lower case; unique, so that nobody can be invited twice
    email TEXT,
    alias TEXT,
    role TEXT,
    sso_subject TEXT,
    password_hash TEXT,
    models TEXT NOT NULL DEFAULT '[]',
    metadata TEXT NOT NULL DEFAULT '{}',
    settings TEXT NOT NULL DEFAULT '{}',
    blocked BOOLEAN NOT NULL DEFAULT FALSE,
    rpm_limit BIGINT,
    tpm_limit BIGINT,
    tpd_limit BIGINT,
    max_parallel_requests BIGINT,
    created_at BIGINT NOT NULL,
    created_by TEXT,
    updated_at BIGINT NOT NULL,
    updated_by TEXT
);
CREATE UNIQUE INDEX users_email ON users (email);
CREATE UNIQUE INDEX users_sso_subject ON users (sso_subject);

-- Virtual keys. `id` never changes, `hash` does when a key is rotated. Deleted keys stay, marked.
CREATE TABLE keys (
    id TEXT PRIMARY KEY,
    -- lower-case hex SHA-256 of the whole key
    hash TEXT NOT NULL,
    -- masked form for people: sk-...abcd
    name TEXT NOT NULL,
    alias TEXT,
    user_id TEXT,
    team_id TEXT,
    organization_id TEXT,
    models TEXT NOT NULL DEFAULT '[]',
    aliases TEXT NOT NULL DEFAULT '{}',
    allowed_routes TEXT NOT NULL DEFAULT '[]',
    key_type TEXT,
    permissions TEXT NOT NULL DEFAULT '{}',
    metadata TEXT NOT NULL DEFAULT '{}',
    settings TEXT NOT NULL DEFAULT '{}',
    blocked BOOLEAN,
    expires_at BIGINT,
    rpm_limit BIGINT,
    tpm_limit BIGINT,
    tpd_limit BIGINT,
    max_parallel_requests BIGINT,
    auto_rotate BOOLEAN NOT NULL DEFAULT FALSE,
    rotation_interval TEXT,
    rotation_count BIGINT NOT NULL DEFAULT 0,
    last_rotation_at BIGINT,
    next_rotation_at BIGINT,
    last_used_at BIGINT,
    created_at BIGINT NOT NULL,
    created_by TEXT,
    updated_at BIGINT NOT NULL,
    updated_by TEXT,
    deleted_at BIGINT,
    deleted_by TEXT
);
CREATE UNIQUE INDEX keys_hash ON keys (hash) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX keys_alias ON keys (alias) WHERE deleted_at IS NULL;
CREATE INDEX keys_any_hash ON keys (hash);
CREATE INDEX keys_user ON keys (user_id);
CREATE INDEX keys_team ON keys (team_id);
CREATE INDEX keys_created ON keys (created_at);

-- Hashes that a rotated key still answers to until its grace period ends.
CREATE TABLE previous_hashes (
    hash TEXT PRIMARY KEY,
    key_id TEXT NOT NULL,
    valid_until BIGINT NOT NULL
);
CREATE INDEX previous_hashes_key ON previous_hashes (key_id);

-- Limits on money. A scope (scope_kind, scope_id) may have several.
CREATE TABLE budgets (
    id TEXT PRIMARY KEY,
    -- gateway, organization, team, team_member, user, key, end_user, tag
    scope_kind TEXT NOT NULL,
    scope_id TEXT NOT NULL,
    -- NULL: whatever the model
    model TEXT,
    -- nano-dollars; NULL: no limit, the period alone (spend is reset, nothing is refused)
    amount BIGINT,
    -- a temporary increase of the amount, in nano-dollars, and when it ends
    increase BIGINT,
    increase_until BIGINT,
    -- 'total', or a duration (`1d`, `30d`, `1mo`) of contract §5.6
    period TEXT NOT NULL DEFAULT 'total',
    zone TEXT NOT NULL DEFAULT 'UTC',
    -- hard: refuse; soft: tell
    enforcement TEXT NOT NULL DEFAULT 'hard',
    include_byok BOOLEAN NOT NULL DEFAULT FALSE,
    -- the counter of the scope that measures it: 'main', or the budget's own id
    counter TEXT NOT NULL,
    -- the named plan it was made from
    plan_id TEXT,
    resets_at BIGINT,
    created_at BIGINT NOT NULL,
    created_by TEXT,
    updated_at BIGINT NOT NULL,
    updated_by TEXT
);
CREATE INDEX budgets_scope ON budgets (scope_kind, scope_id);
CREATE INDEX budgets_plan ON budgets (plan_id);

-- Named sets of limits that many scopes can share (LiteLLM's budget rows).
CREATE TABLE budget_plans (
    id TEXT PRIMARY KEY,
    max_budget BIGINT,
    soft_budget BIGINT,
    period TEXT,
    rpm_limit BIGINT,
    tpm_limit BIGINT,
    tpd_limit BIGINT,
    max_parallel_requests BIGINT,
    model_budgets TEXT NOT NULL DEFAULT '{}',
    resets_at BIGINT,
    created_at BIGINT NOT NULL,
    created_by TEXT,
    updated_at BIGINT NOT NULL,
    updated_by TEXT
);

-- What a scope has spent: 'lifetime' (never reset), 'main' (what APIs call `spend`), and one for
-- each further budget, named by its id. Written in the transaction that writes the ledger rows.
CREATE TABLE counters (
    scope_kind TEXT NOT NULL,
    scope_id TEXT NOT NULL,
    counter TEXT NOT NULL,
    -- start of the window that `settled` counts
    started_at BIGINT NOT NULL DEFAULT 0,
    -- paid by the gateway's or a team's credentials
    settled BIGINT NOT NULL DEFAULT 0,
    -- paid by personal credentials, at list price
    personal BIGINT NOT NULL DEFAULT 0,
    requests BIGINT NOT NULL DEFAULT 0,
    updated_at BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (scope_kind, scope_id, counter)
);

-- A deployment: one upstream model that answers to a public model name.
CREATE TABLE deployments (
    id TEXT PRIMARY KEY,
    model_name TEXT NOT NULL,
    -- litellm_params; the values of secret names are sealed
    params TEXT NOT NULL,
    info TEXT NOT NULL DEFAULT '{}',
    team_id TEXT,
    blocked BOOLEAN NOT NULL DEFAULT FALSE,
    created_at BIGINT NOT NULL,
    created_by TEXT,
    updated_at BIGINT NOT NULL,
    updated_by TEXT
);
CREATE INDEX deployments_model ON deployments (model_name);

-- Provider keys: the gateway's, a team's or a user's own. Sealed; bound to the provider's host.
CREATE TABLE credentials (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    -- system, team, user
    owner_kind TEXT NOT NULL,
    owner_id TEXT NOT NULL DEFAULT '',
    provider TEXT NOT NULL,
    host TEXT NOT NULL,
    sealed TEXT NOT NULL,
    info TEXT NOT NULL DEFAULT '{}',
    created_at BIGINT NOT NULL,
    created_by TEXT,
    updated_at BIGINT NOT NULL,
    updated_by TEXT
);
CREATE UNIQUE INDEX credentials_owner ON credentials (owner_kind, owner_id, name);

-- Prices beyond the shipped catalogue. A row is never changed but to end its validity.
CREATE TABLE prices (
    id TEXT PRIMARY KEY,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    team_id TEXT,
    version BIGINT NOT NULL,
    valid_from BIGINT NOT NULL,
    valid_until BIGINT,
    source TEXT NOT NULL,
    record TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT
);
CREATE UNIQUE INDEX prices_version ON prices (provider, model, version);

-- The ledger is append-only: one row of `ledger_calls` for each request that reached a decision, and
-- what it has in common with many others (who called, what answered, at which prices, how it ended)
-- once in `ledger_contexts`. Queries read the view `ledger`, which puts the two together.
CREATE TABLE ledger_contexts (
    id BIGINT PRIMARY KEY,
    -- of all that follows, so that the same is kept once
    hash TEXT NOT NULL,
    -- call; correction (compensates another row, named in `corrects`)
    kind TEXT NOT NULL,
    key_id TEXT,
    key_hash TEXT,
    user_id TEXT,
    team_id TEXT,
    team_member_id TEXT,
    organization_id TEXT,
    end_user TEXT,
    endpoint TEXT NOT NULL,
    stream BOOLEAN NOT NULL,
    -- api, playground
    source TEXT NOT NULL,
    requested_model TEXT NOT NULL,
    answered_model TEXT,
    deployment_id TEXT,
    -- the public name that the deployment answers to
    model_group TEXT,
    provider TEXT,
    upstream_model TEXT,
    api_base TEXT,
    -- system, team, personal, none
    paid_by TEXT NOT NULL,
    credential_id TEXT,
    attempts BIGINT NOT NULL,
    -- completed, cancelled_by_client, upstream_error, gateway_error, refused, unknown
    status TEXT NOT NULL,
    http_status BIGINT NOT NULL,
    error_code TEXT,
    service_tier TEXT,
    -- provider, estimated, none
    usage_source TEXT NOT NULL,
    -- which version of which price; NULL: unpriced
    price_version TEXT,
    -- the receipt's lines without their quantities, as JSON
    line_prices TEXT NOT NULL,
    tags TEXT NOT NULL,
    user_agent TEXT,
    client_address TEXT
);
CREATE UNIQUE INDEX ledger_contexts_hash ON ledger_contexts (hash);
CREATE INDEX ledger_contexts_key ON ledger_contexts (key_id);
CREATE INDEX ledger_contexts_user ON ledger_contexts (user_id);
CREATE INDEX ledger_contexts_team ON ledger_contexts (team_id);

-- What is a call's own. Columns that few calls fill are NULL, which takes no room.
CREATE TABLE ledger_calls (
    request_id TEXT PRIMARY KEY,
    started_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,
    first_token_at BIGINT,
    context_id BIGINT NOT NULL,
    upstream_id TEXT,
    input_tokens BIGINT NOT NULL DEFAULT 0,
    output_tokens BIGINT NOT NULL DEFAULT 0,
    cache_read_tokens BIGINT NOT NULL DEFAULT 0,
    cache_write_5m_tokens BIGINT NOT NULL DEFAULT 0,
    cache_write_1h_tokens BIGINT NOT NULL DEFAULT 0,
    input_audio_tokens BIGINT NOT NULL DEFAULT 0,
    input_image_tokens BIGINT NOT NULL DEFAULT 0,
    reasoning_tokens BIGINT NOT NULL DEFAULT 0,
    output_audio_tokens BIGINT NOT NULL DEFAULT 0,
    output_image_tokens BIGINT NOT NULL DEFAULT 0,
    -- nano-dollars; NULL: unpriced, which is not the same as free
    cost BIGINT,
    -- what the provider itself said it cost
    provider_cost BIGINT,
    -- counted units other than tokens, as JSON
    units TEXT,
    corrects TEXT,
    error_message TEXT,
    metadata TEXT,
    session_id TEXT
);
CREATE INDEX ledger_calls_started ON ledger_calls (started_at);
CREATE INDEX ledger_calls_context ON ledger_calls (context_id, started_at);
-- clients know a call by the id of its answer
CREATE INDEX ledger_calls_upstream ON ledger_calls (upstream_id) WHERE upstream_id IS NOT NULL;

CREATE VIEW ledger AS
SELECT call.request_id, context.kind, call.corrects,
    call.started_at, call.ended_at, call.first_token_at,
    context.key_id, context.key_hash, context.user_id, context.team_id, context.team_member_id,
    context.organization_id, context.end_user, context.endpoint, context.stream, context.source,
    context.requested_model, context.answered_model, context.deployment_id, context.model_group,
    context.provider, context.upstream_model, context.api_base, context.paid_by,
    context.credential_id, context.attempts, context.status, context.http_status,
    context.error_code, call.error_message, call.upstream_id, context.service_tier,
    context.usage_source, call.input_tokens, call.cache_read_tokens, call.cache_write_5m_tokens,
    call.cache_write_1h_tokens, call.input_audio_tokens, call.input_image_tokens,
    call.output_tokens, call.reasoning_tokens, call.output_audio_tokens, call.output_image_tokens,
    COALESCE(call.units, '{}') AS units, context.price_version, context.line_prices, call.cost,
    call.provider_cost, context.tags, COALESCE(call.metadata, '{}') AS metadata,
    context.user_agent, context.client_address, call.session_id
FROM ledger_calls AS call JOIN ledger_contexts AS context ON context.id = call.context_id;

CREATE TABLE audit (
    id TEXT PRIMARY KEY,
    at BIGINT NOT NULL,
    actor_user_id TEXT,
    actor_key_id TEXT,
    -- who the caller says is behind it (`litellm-changed-by`)
    changed_by TEXT,
    -- created, updated, deleted, blocked, unblocked, rotated
    action TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    object_id TEXT NOT NULL,
    before TEXT,
    after TEXT
);
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_object ON audit (object_kind, object_id);

CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- Answers of /v1/responses that the gateway keeps, because the provider that gave them has no such
-- thing. A conversation goes on from them by `previous_response_id`.
CREATE TABLE responses (
    id TEXT PRIMARY KEY,
    key_id TEXT,
    user_id TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    -- all that the model was given, earlier turns too, as a JSON list of items
    input TEXT NOT NULL,
    -- the answer, as the client got it
    body TEXT NOT NULL
);
CREATE INDEX responses_expiry ON responses (expires_at);

-- What changed, in order of commit, for the caches of this and other processes.
CREATE TABLE changes (
    sequence BIGINT PRIMARY KEY,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    at BIGINT NOT NULL
);
-- One row. Adding a change locks it, so that sequences are committed in order.
CREATE TABLE change_sequence (
    name TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO change_sequence (name, value) VALUES ('changes', 0);
