-- Conversations of people, as the /v2 API keeps them: what was said, and what the answers took. The
-- ledger names a conversation in `session_id`, and outlives it.
CREATE TABLE conversations (
    id TEXT PRIMARY KEY,
    -- a user's id
    owner_id TEXT NOT NULL,
    title TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    -- when it was renamed or something was said
    updated_at BIGINT NOT NULL
);
CREATE INDEX conversations_owner ON conversations (owner_id, updated_at);

CREATE TABLE conversation_messages (
    id TEXT PRIMARY KEY,
    conversation_id TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    role TEXT NOT NULL,
    content TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    -- of an answer
    request_id TEXT,
    input_tokens BIGINT,
    output_tokens BIGINT,
    -- nano-dollars; null: unpriced, or no answer
    cost BIGINT
);
CREATE INDEX conversation_messages_time ON conversation_messages (conversation_id, created_at, id);
