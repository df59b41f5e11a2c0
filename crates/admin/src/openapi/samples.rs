//! Values that stand for what people would write: bodies of requests by the name of their schema, and
//! fields of answers by their own name.

/// What a request may hold, by the schema of its body.
pub const BODIES: &[(&str, &str)] = &[
    ("PlanId", r#"{"id": "free-tier"}"#),
    ("PlanIds", r#"{"budgets": ["free-tier"]}"#),
    (
        "PlanBody",
        r#"{"budget_id": "free-tier", "max_budget": 5, "budget_duration": "30d"}"#,
    ),
    (
        "ChangedEvents",
        r#"{"settings": [{"event": "New User Invitation", "enabled": true}]}"#,
    ),
    (
        "EndUsersBody",
        r#"{"startTime": "2026-11-01", "endTime": "2026-11-30"}"#,
    ),
    (
        "NewInvitation",
        r#"{"user_id": "ada", "send_invite_email": true}"#,
    ),
    (
        "InvitationId",
        r#"{"invitation_id": "0198c2a0-7b1e-7000-8000-000000000001"}"#,
    ),
    (
        "InvitationUpdate",
        r#"{"invitation_id": "0198c2a0-7b1e-7000-8000-000000000001", "is_accepted": true}"#,
    ),
    ("KeyBody", r#"{"key": "sk-..."}"#),
    (
        "BulkChange",
        r#"{"keys": [{"key": "sk-...", "max_budget": 20}]}"#,
    ),
    ("KeyClaim", r#"{"key": "sk-..."}"#),
    ("DeleteBody", r#"{"keys": ["sk-..."]}"#),
    (
        "NewKey",
        r#"{"key_alias": "ada-laptop", "user_id": "ada", "team_id": "research", "models": ["gpt-4o"],
            "max_budget": 10, "budget_duration": "30d", "duration": "90d"}"#,
    ),
    ("KeyRotation", r#"{"key": "sk-...", "grace_period": "24h"}"#),
    (
        "KeyChange",
        r#"{"key": "sk-...", "models": ["gpt-4o"], "max_budget": 20}"#,
    ),
    ("KeysBody", r#"{"keys": ["sk-..."]}"#),
    ("ResetBody", r#"{"reset_to": 0}"#),
    ("ResetMember", r#"{"reset_to": 0}"#),
    (
        "Credentials",
        r#"{"username": "ada@example.com", "password": "correct horse battery staple"}"#,
    ),
    ("ModelId", r#"{"id": "gpt-4o-eu"}"#),
    (
        "NewModel",
        r#"{"model_name": "gpt-4o", "litellm_params": {"model": "openai/gpt-4o", "api_key": "sk-..."},
            "model_info": {"id": "gpt-4o-eu"}}"#,
    ),
    (
        "ModelChanges",
        r#"{"model_info": {"id": "gpt-4o-eu"}, "litellm_params": {"rpm": 100}}"#,
    ),
    (
        "ClaimBody",
        r#"{"invitation_link": "0198c2a0-7b1e-7000-8000-000000000001", "user_id": "ada",
            "password": "correct horse battery staple"}"#,
    ),
    ("OrganizationIds", r#"{"organization_ids": ["acme"]}"#),
    ("SeveralOrganizations", r#"{"organizations": ["acme"]}"#),
    (
        "AddOrganizationMembers",
        r#"{"organization_id": "acme", "member": {"role": "internal_user", "user_id": "ada"}}"#,
    ),
    (
        "RemoveOrganizationMember",
        r#"{"organization_id": "acme", "user_id": "ada"}"#,
    ),
    (
        "ChangeOrganizationMember",
        r#"{"organization_id": "acme", "user_id": "ada", "role": "org_admin"}"#,
    ),
    (
        "NewOrganization",
        r#"{"organization_alias": "Acme", "models": ["gpt-4o"], "max_budget": 500, "budget_duration": "30d"}"#,
    ),
    (
        "ChangedOrganization",
        r#"{"organization_id": "acme", "max_budget": 800}"#,
    ),
    (
        "OrganizationBody",
        r#"{"organization_alias": "Acme", "max_budget": 800}"#,
    ),
    (
        "AskForm",
        r#"{"token": "…", "amount": "20", "duration": "7d", "reason": "the evaluation runs until Friday"}"#,
    ),
    (
        "DecideForm",
        r#"{"link": "…", "decision": "approve", "amount": "20", "note": "until Friday"}"#,
    ),
    (
        "NewRequest",
        r#"{"kind": "budget", "scope": "user", "amount": 20, "duration": "7d",
            "reason": "the evaluation runs until Friday"}"#,
    ),
    (
        "RuleBody",
        r#"{"team_id": "research", "automatic_limit": 5}"#,
    ),
    ("DecisionBody", r#"{"amount": 20, "note": "until Friday"}"#),
    (
        "SessionId",
        r#"{"session_id": "0198c2a0-7b1e-7000-8000-000000000002"}"#,
    ),
    ("OfUser", r#"{"user_id": "ada"}"#),
    (
        "Calculation",
        r#"{"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello!"}]}"#,
    ),
    ("TeamRef", r#"{"team_id": "research"}"#),
    (
        "AddManyMembers",
        r#"{"team_id": "research", "members": [{"role": "user", "user_id": "ada"}]}"#,
    ),
    ("TeamIds", r#"{"team_ids": ["research"]}"#),
    (
        "ChangeTeamKeys",
        r#"{"team_id": "research", "key_ids": ["sk-..."], "update_fields": {"rpm_limit": 60}}"#,
    ),
    (
        "AddMembers",
        r#"{"team_id": "research", "member": {"role": "user", "user_email": "ada@example.com"},
            "max_budget_in_team": 10}"#,
    ),
    (
        "RemoveMember",
        r#"{"team_id": "research", "user_id": "ada"}"#,
    ),
    (
        "ChangeMember",
        r#"{"team_id": "research", "user_id": "ada", "max_budget_in_team": 20}"#,
    ),
    (
        "TeamModels",
        r#"{"team_id": "research", "models": ["gpt-4o"]}"#,
    ),
    (
        "NewTeam",
        r#"{"team_alias": "Research", "models": ["gpt-4o"], "max_budget": 100, "budget_duration": "30d",
            "members_with_roles": [{"role": "admin", "user_id": "ada"}]}"#,
    ),
    (
        "SetPermissions",
        r#"{"team_id": "research", "team_member_permissions": ["/key/generate"]}"#,
    ),
    (
        "ChangedTeam",
        r#"{"team_id": "research", "max_budget": 150}"#,
    ),
    (
        "ChangeUsers",
        r#"{"users": [{"user_id": "ada", "max_budget": 20}]}"#,
    ),
    ("UserIds", r#"{"user_ids": ["ada"]}"#),
    (
        "NewUser",
        r#"{"user_id": "ada", "user_email": "ada@example.com", "user_role": "internal_user",
            "max_budget": 50, "budget_duration": "30d"}"#,
    ),
    (
        "PasswordChange",
        r#"{"current_password": "correct horse battery staple", "new_password": "an even better one"}"#,
    ),
    ("Lost", r#"{"user_email": "ada@example.com"}"#),
    (
        "Reset",
        r#"{"token": "…", "password": "correct horse battery staple"}"#,
    ),
];

/// What a field is in an example, as JSON.
pub const FIELDS: &[(&str, &str)] = &[
    ("user_id", r#""ada""#),
    ("user_email", r#""ada@example.com""#),
    ("email", r#""ada@example.com""#),
    ("user_alias", r#""Ada Lovelace""#),
    ("user_role", r#""internal_user""#),
    ("role", r#""user""#),
    ("team_id", r#""research""#),
    ("team_alias", r#""Research""#),
    ("organization_id", r#""acme""#),
    ("organization_alias", r#""Acme""#),
    ("budget_id", r#""free-tier""#),
    ("budget_duration", r#""30d""#),
    ("key", r#""sk-...""#),
    ("key_name", r#""sk-...abcd""#),
    ("key_alias", r#""ada-laptop""#),
    (
        "token",
        r#""88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b""#,
    ),
    (
        "token_id",
        r#""88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b""#,
    ),
    ("key_type", r#""default""#),
    ("models", r#"["gpt-4o"]"#),
    ("model", r#""gpt-4o""#),
    ("model_name", r#""gpt-4o""#),
    ("model_group", r#""gpt-4o""#),
    ("model_id", r#""gpt-4o-eu""#),
    ("messages", r#"[{"role": "user", "content": "Hello!"}]"#),
    (
        "contents",
        r#"[{"role": "user", "parts": [{"text": "Hello!"}]}]"#,
    ),
    ("content", r#"{"parts": [{"text": "Hello!"}]}"#),
    (
        "requests",
        r#"[{"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "Hello!"}]}}]"#,
    ),
    ("prompt", r#""A lighthouse in the fog""#),
    ("input", r#""Hello!""#),
    ("query", r#""Who wrote the first program?""#),
    (
        "documents",
        r#"["Ada Lovelace wrote it.", "Nobody knows."]"#,
    ),
    ("max_tokens", "1024"),
    ("file", r#""(bytes)""#),
    ("image", r#""(bytes)""#),
    ("spend", "1.25"),
    ("max_budget", "10.0"),
    ("soft_budget", "8.0"),
    ("created_at", r#""2026-11-21T10:00:00Z""#),
    ("updated_at", r#""2026-11-21T10:00:00Z""#),
    ("expires_at", r#""2026-11-28T10:00:00Z""#),
    ("expires", r#""2027-02-19T10:00:00Z""#),
    ("budget_reset_at", r#""2026-12-01T00:00:00Z""#),
    ("started_at", r#""2026-11-21T10:00:00Z""#),
    ("ended_at", r#""2026-11-21T10:00:02Z""#),
    ("date", r#""2026-11-21""#),
    ("created_by", r#""default_user_id""#),
    ("updated_by", r#""default_user_id""#),
    ("id", r#""0198c2a0-7b1e-7000-8000-000000000001""#),
    ("request_id", r#""0198c2a0-7b1e-7000-8000-000000000003""#),
    ("status", r#""active""#),
    ("message", r#""what happened, in a sentence""#),
    ("page", "1"),
    ("page_size", "25"),
    ("total", "1"),
    ("total_pages", "1"),
    (
        "schemas",
        r#"["urn:ietf:params:scim:schemas:core:2.0:User"]"#,
    ),
];
