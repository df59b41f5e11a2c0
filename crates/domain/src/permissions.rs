//! Who may do what: one table of every operation of the gateway, and the only source of it. The
//! middleware admits by it, the documentation is made from it (`docs/permissions.md`), and tests call
//! every operation as everybody and compare.
//!
//! A row says who gets through the door. Where the operation is about something that belongs to
//! somebody, the row's ties say what the caller must be to it; the rule behind the operation checks
//! them (`keys::permissions`, `teams::access`, `organizations::access` …). Administrators need no tie.
//! What has no row is denied. Nobody can give away more than they have: see [`crate::grants`].

mod admission;
mod overrides;
mod page;

pub use admission::{admit, admit_call, find, find_call, is_delegate, rows};
pub use overrides::{Overrides, not_public};
pub use page::page;

#[cfg(test)]
mod tests;

/// One operation, or several calls of one kind.
#[derive(Debug)]
pub struct Operation {
    /// `*` for calls of models, which are told apart by their paths alone.
    pub method: &'static str,
    /// As in the OpenAPI document. In paths of calls `?` at the start stands for `/v1` or nothing, and
    /// `*` at the end for any rest.
    pub path: &'static str,
    /// The groups of contract §4.2, which a key's `allowed_routes` can name.
    pub groups: &'static [Group],
    pub door: Door,
    /// What a caller must be to the object, who does not see or administer everything: one of these.
    /// Empty: it belongs to nobody, or the door is all there is to check.
    pub ties: &'static [Tie],
    pub why: &'static str,
}

/// Through which an operation is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Without a key.
    Open,
    /// The operation asks for credentials itself, of its own kind or in its own words.
    AsksItself,
    /// With a key or a session of one of these. The master key opens every door.
    Key(&'static [Who]),
}

/// What makes a caller one of those whom a row admits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// `proxy_admin`
    Admin,
    /// `proxy_admin_viewer`
    Viewer,
    /// `internal_user`
    User,
    /// `internal_user_viewer`
    UserViewer,
    /// A key without a user, or a user without a role.
    NoRole,
    /// `org_admin` in at least one organization, whatever the role.
    OrganizationAdmin,
    /// A key with the permission `get_spend_routes`, whatever the role.
    SpendReader,
}

/// What a caller is to the object of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tie {
    /// It is the caller's, or the caller themselves.
    Owner,
    /// It is the caller's team or organization, or belongs to it.
    Member,
    /// The same, and the team allows its members this operation (contract §10.6).
    Permitted,
    /// The caller administers its team.
    TeamAdmin,
    /// The caller administers its organization.
    OrganizationAdmin,
}

/// A group of operations that `allowed_routes` can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    OpenAi,
    Anthropic,
    Google,
    /// Providers' own paths.
    Passthrough,
    /// What clients of models need besides the calls.
    Facts,
    Info,
    Keys,
    Management,
    Spend,
    GlobalSpend,
    SelfManaged,
}

/// The names that `allowed_routes` may hold for groups.
pub const GROUPS: &[(&str, &[Group])] = &[
    (
        "llm_api_routes",
        &[OpenAi, Anthropic, Google, Passthrough, Facts],
    ),
    ("openai_routes", &[OpenAi]),
    ("anthropic_routes", &[Anthropic]),
    ("google_routes", &[Google]),
    ("mapped_pass_through_routes", &[Passthrough]),
    ("info_routes", &[Info]),
    ("key_management_routes", &[Keys]),
    ("management_routes", &[Management, Keys]),
    ("spend_tracking_routes", &[Spend]),
    ("global_spend_tracking_routes", &[GlobalSpend]),
    ("self_managed_routes", &[SelfManaged]),
];

/// The groups that `key_type` gives to anybody's keys.
pub const PRESETS: &[&str] = &["llm_api_routes", "info_routes"];

use Group::{
    Anthropic, Facts, GlobalSpend, Google, Info, Keys, Management, OpenAi, Passthrough,
    SelfManaged, Spend,
};
use Tie::{Member, OrganizationAdmin, Owner, Permitted, TeamAdmin};

/// Every valid key and session.
pub const EVERYBODY: &[Who] = &[
    Who::Admin,
    Who::Viewer,
    Who::User,
    Who::UserViewer,
    Who::NoRole,
];
/// The same for what changes something: a viewing administrator changes nothing.
pub const DOERS: &[Who] = &[Who::Admin, Who::User, Who::UserViewer, Who::NoRole];
/// Who makes and manages keys.
pub const KEY_MAKERS: &[Who] = &[Who::Admin, Who::User, Who::OrganizationAdmin];
/// Who has spend of their own to look at.
pub const SPENDERS: &[Who] = &[
    Who::Admin,
    Who::Viewer,
    Who::User,
    Who::UserViewer,
    Who::OrganizationAdmin,
];
pub const USERS: &[Who] = &[Who::Admin, Who::Viewer, Who::User];
pub const OVERSEERS: &[Who] = &[Who::Admin, Who::Viewer];
/// The same, and keys that may see what everybody spends.
pub const SPEND_READERS: &[Who] = &[Who::Admin, Who::Viewer, Who::SpendReader];
pub const ADMINS: &[Who] = &[Who::Admin];
/// The same, and those of an organization for what is in it.
pub const ORGANIZERS: &[Who] = &[Who::Admin, Who::OrganizationAdmin];

/// A row reads: method, path, groups, door, ties, why.
macro_rules! rows {
    (@door OPEN) => { Door::Open };
    (@door ITSELF) => { Door::AsksItself };
    (@door $who:ident) => { Door::Key($who) };
    ($($method:tt $path:literal [$($group:ident)*] $door:ident [$($tie:ident)*] $why:literal;)*) => {
        &[$(Operation {
            method: match stringify!($method).as_bytes() { b"CALL" => "*", _ => stringify!($method) },
            path: $path,
            groups: &[$($group),*],
            door: rows!(@door $door),
            ties: &[$($tie),*],
            why: $why,
        },)*]
    };
}

/// The table, in sections as the documentation shows them.
pub const TABLE: &[(&str, &[Operation])] = &[
    ("Keys", KEYS),
    ("Users", PEOPLE),
    ("Signing in and mail", SIGN_IN),
    ("Teams", TEAMS),
    ("Budgets", BUDGETS),
    ("Organizations", ORGANIZATIONS),
    ("Models", MODELS),
    ("Provider keys", PROVIDER_KEYS),
    ("Spend", SPENDING),
    ("Requests", REQUESTS),
    ("SCIM", SCIM),
    ("Audit log", AUDIT),
    ("The /v2 API", V2),
    ("Health and documentation", HEALTH),
    ("Calls of models", CALLS),
];

const KEYS: &[Operation] = rows! {
    POST "/key/generate"                 [Keys] KEY_MAKERS [Owner Permitted TeamAdmin OrganizationAdmin] "one makes keys for oneself, and in teams that let their members";
    POST "/key/service-account/generate" [Keys] KEY_MAKERS [Permitted TeamAdmin OrganizationAdmin] "a team's key that is nobody's own";
    GET  "/key/info"                     [Keys Info] EVERYBODY [Owner Member TeamAdmin OrganizationAdmin] "a key may see itself";
    POST "/v2/key/info"                  [Info] EVERYBODY [Owner Member TeamAdmin OrganizationAdmin] "the same of several; it only reads";
    GET  "/key/list"                     [Keys Info] EVERYBODY [Owner TeamAdmin OrganizationAdmin] "one's own, and those of teams that one administers";
    GET  "/key/aliases"                  [Keys Info] EVERYBODY [Owner TeamAdmin OrganizationAdmin] "of the keys that one may list";
    POST "/key/update"                   [Keys] KEY_MAKERS [Owner Permitted TeamAdmin OrganizationAdmin] "what one made for oneself, but not what it may spend";
    POST "/key/bulk_update"              [Keys] ADMINS [] "money of many keys at once";
    POST "/key/delete"                   [Keys] KEY_MAKERS [Owner Permitted TeamAdmin OrganizationAdmin] "one may always give back a key";
    POST "/key/regenerate"               [Keys] KEY_MAKERS [Owner Permitted TeamAdmin OrganizationAdmin] "whoever has a key may replace it";
    POST "/key/{key}/regenerate"         [Keys] KEY_MAKERS [Owner Permitted TeamAdmin OrganizationAdmin] "the same";
    POST "/key/block"                    [Keys] KEY_MAKERS [TeamAdmin OrganizationAdmin] "an owner could undo what an administrator has blocked";
    POST "/key/unblock"                  [Keys] KEY_MAKERS [TeamAdmin OrganizationAdmin] "the same";
    POST "/key/{key}/reset_spend"        [Keys] KEY_MAKERS [TeamAdmin OrganizationAdmin] "it lifts a limit";
    POST "/key/claim"                    [Keys] DOERS [Owner Permitted TeamAdmin OrganizationAdmin] "a key that is due to be replaced; it may claim its own successor";
    POST "/key/health"                   [Info] EVERYBODY [] "a key asks about itself; it only reads";
};

const PEOPLE: &[Operation] = rows! {
    POST "/user/new"             [Management] ORGANIZERS [OrganizationAdmin] "people come in through administrators";
    GET  "/user/info"            [Management Info] EVERYBODY [Owner OrganizationAdmin] "everybody may see themselves";
    GET  "/v2/user/info"         [Management Info] EVERYBODY [Owner OrganizationAdmin] "the same";
    GET  "/user/list"            [Management SelfManaged] EVERYBODY [OrganizationAdmin] "others are told that it is not theirs to see";
    POST "/user/update"          [Management] ORGANIZERS [OrganizationAdmin] "nobody gives themselves a role or a budget";
    POST "/user/bulk_update"     [Management] ADMINS [] "the same";
    POST "/user/delete"          [Management] ORGANIZERS [OrganizationAdmin] "it takes keys and memberships along";
    GET  "/user/available_users" [Management] OVERSEERS [] "how many there are";
    GET  "/user/filter/ui"       [Management Info] EVERYBODY [TeamAdmin] "whom one can add to a team: everybody for overseers, those of one's teams for others";
    GET  "/get/internal_user_settings" [Management] OVERSEERS [] "what new users get";
    GET  "/permissions"          [Info] EVERYBODY [] "what the caller may do";
    GET  "/user/available_roles" [Management SelfManaged] EVERYBODY [] "names of roles are no secret";
};

const SIGN_IN: &[Operation] = rows! {
    POST  "/login"                         [] OPEN [] "whoever signs in has nothing yet";
    POST  "/v2/login"                      [] OPEN [] "the same";
    GET   "/fallback/login"                [] OPEN [] "the sign-in page";
    POST  "/session/logout"                [SelfManaged] EVERYBODY [Owner] "one's own session";
    GET   "/session/list"                  [SelfManaged] EVERYBODY [Owner] "one's own sessions";
    POST  "/session/revoke"                [SelfManaged] EVERYBODY [Owner] "the same";
    POST  "/session/revoke_all"            [SelfManaged] EVERYBODY [Owner] "the same";
    POST  "/user/password/change"          [Management SelfManaged] EVERYBODY [Owner] "one's own password, with the current one";
    POST  "/user/password/forgot"          [] OPEN [] "whoever lost a password has nothing else";
    POST  "/user/password/reset"           [] ITSELF [] "asks for the token of a mailed link";
    POST  "/invitation/new"                [Management SelfManaged] DOERS [TeamAdmin OrganizationAdmin] "administrators of teams and organizations invite plain users of theirs who have never signed in";
    GET   "/invitation/info"               [Management] OVERSEERS [] "the id opens the invitation";
    POST  "/invitation/update"             [Management SelfManaged] DOERS [Owner] "whoever was invited may close the invitation";
    POST  "/invitation/delete"             [Management SelfManaged] DOERS [Owner] "whoever invited may take it back";
    GET   "/onboarding/get_token"          [] ITSELF [] "asks for the id of an invitation";
    POST  "/onboarding/claim_token"        [] ITSELF [] "asks for the proof that an invitation was opened";
    GET   "/sso/get/ui_settings"           [Info] EVERYBODY [] "where the web interface lives";
    GET   "/sso/key/generate"              [] OPEN [] "leads to the identity provider";
    GET   "/sso/callback"                  [] ITSELF [] "asks for what the identity provider sends along";
    GET   "/sso/readiness"                 [Info] OVERSEERS [] "what is configured";
    GET   "/.well-known/litellm-ui-config" [] OPEN [] "the same, before signing in";
    GET   "/email/event_settings"          [] OVERSEERS [] "what is mailed";
    PATCH "/email/event_settings"          [] ADMINS [] "the same";
    POST  "/email/event_settings/reset"    [] ADMINS [] "the same";
    GET   "/email/outbox"                  [] OVERSEERS [] "to whom mail was sent";
    GET   "/health/services"               [Info] ADMINS [] "it sends a mail";
};

const TEAMS: &[Operation] = rows! {
    POST "/team/new"                   [Management] ORGANIZERS [OrganizationAdmin] "a team has money of its own";
    GET  "/team/info"                  [Management Info] EVERYBODY [Member TeamAdmin OrganizationAdmin] "members see their team";
    GET  "/team/list"                  [Management Info] EVERYBODY [Member OrganizationAdmin] "one's own teams";
    GET  "/v2/team/list"               [Management Info] EVERYBODY [Member OrganizationAdmin] "the same";
    GET  "/team/available"             [Management Info] EVERYBODY [] "teams that are open to all";
    POST "/team/update"                [Management SelfManaged] DOERS [OrganizationAdmin] "money and models are the administrators' to give";
    PATCH "/team/{team_id}"            [Management SelfManaged] DOERS [OrganizationAdmin] "the same";
    POST "/team/key/bulk_update"       [Keys Management] KEY_MAKERS [TeamAdmin OrganizationAdmin] "the keys of a team at once";
    POST "/team/delete"                [Management] ORGANIZERS [OrganizationAdmin] "it takes keys along";
    POST "/team/block"                 [Management] ORGANIZERS [OrganizationAdmin] "it stops all of the team's keys";
    POST "/team/unblock"               [Management] ORGANIZERS [OrganizationAdmin] "the same";
    POST "/team/member_add"            [Management SelfManaged] DOERS [TeamAdmin OrganizationAdmin] "a team administrator manages members; all may join an open team";
    POST "/team/bulk_member_add"       [Management SelfManaged] DOERS [TeamAdmin OrganizationAdmin] "the same";
    POST "/team/member_update"         [Management SelfManaged] DOERS [TeamAdmin OrganizationAdmin] "the same";
    POST "/team/member_delete"         [Management SelfManaged] DOERS [TeamAdmin OrganizationAdmin] "the same";
    POST "/team/{team_id}/member/{user_id}/reset_spend" [Management SelfManaged] DOERS [TeamAdmin OrganizationAdmin] "it lifts a limit";
    POST "/team/{team_id}/member/{user_id}/reset_budget" [Management SelfManaged] DOERS [TeamAdmin OrganizationAdmin] "the member has the team's limit again";
    GET  "/team/{team_id}/members/me"  [Management SelfManaged] EVERYBODY [Member] "one's own membership";
    POST "/team/model/add"             [Management] ORGANIZERS [OrganizationAdmin] "models cost money";
    POST "/team/model/delete"          [Management] ORGANIZERS [OrganizationAdmin] "the same";
    GET  "/team/permissions_list"      [Management SelfManaged] EVERYBODY [Member TeamAdmin OrganizationAdmin] "members see what they may do";
    POST "/team/permissions_update"    [Management SelfManaged] DOERS [TeamAdmin OrganizationAdmin] "what members may do with the team's keys";
};

const ORGANIZATIONS: &[Operation] = rows! {
    POST   "/organization/new"                  [Management] ADMINS [] "an organization has money of its own";
    PATCH  "/organization/update"               [Management] ORGANIZERS [OrganizationAdmin] "its administrators give it nothing that it has not";
    PATCH  "/v2/organization/{organization_id}" [Management] ORGANIZERS [OrganizationAdmin] "the same";
    DELETE "/organization/delete"               [Management] ADMINS [] "it takes teams and keys along";
    GET    "/organization/list"                 [Management Info] EVERYBODY [Member OrganizationAdmin] "one's own organizations";
    GET    "/organization/info"                 [Management] EVERYBODY [Member OrganizationAdmin] "members see it, and themselves in it";
    POST   "/organization/info"                 [Management] EVERYBODY [Member OrganizationAdmin] "the same of several; it only reads";
    POST   "/organization/member_add"           [Management] ORGANIZERS [OrganizationAdmin] "who administers it manages its members";
    PATCH  "/organization/member_update"        [Management] ORGANIZERS [OrganizationAdmin] "the same";
    DELETE "/organization/member_delete"        [Management] ORGANIZERS [OrganizationAdmin] "the same";
};

const BUDGETS: &[Operation] = rows! {
    POST "/budget/new"      [Management] ADMINS [] "limits that many share";
    POST "/budget/update"   [Management] ADMINS [] "the same";
    POST "/budget/info"     [Management] ADMINS [] "the same";
    GET  "/budget/list"     [Management] OVERSEERS [] "the same";
    GET  "/budget/settings" [Management] OVERSEERS [] "the same";
    POST "/budget/delete"   [Management] ADMINS [] "the same";
};

const MODELS: &[Operation] = rows! {
    POST  "/model/new"               [Management SelfManaged] DOERS [TeamAdmin OrganizationAdmin] "a team's administrator keeps models with the team's own provider key";
    POST  "/model/update"            [Management SelfManaged] DOERS [TeamAdmin OrganizationAdmin] "the same";
    PATCH "/model/{model_id}/update" [Management SelfManaged] DOERS [TeamAdmin OrganizationAdmin] "the same";
    POST  "/model/delete"            [Management SelfManaged] DOERS [TeamAdmin OrganizationAdmin] "the same";
    GET   "/model/info"              [Facts Info Management] EVERYBODY [] "only models that the key may use";
    GET   "/v1/model/info"           [Facts Info Management] EVERYBODY [] "the same";
    GET   "/v2/model/info"           [Info Management] EVERYBODY [] "the same";
    GET   "/model_group/info"        [Facts Info Management] EVERYBODY [] "the same";
    GET   "/v1/models"               [OpenAi Anthropic Google Info] EVERYBODY [] "the same";
    GET   "/models"                  [OpenAi Anthropic Google Info] EVERYBODY [] "the same";
    GET   "/v1/models/{model_id}"    [OpenAi Anthropic Google] EVERYBODY [] "the same";
    GET   "/models/{model_id}"       [OpenAi Anthropic Google] EVERYBODY [] "the same";
    GET   "/v1beta/models"           [Google] EVERYBODY [] "the same";
    GET   "/v1beta/models/{model_id}" [Google] EVERYBODY [] "the same";
};

const PROVIDER_KEYS: &[Operation] = rows! {
    GET    "/provider_keys"                        [] EVERYBODY [Owner TeamAdmin OrganizationAdmin] "that there is a key, and never which";
    POST   "/provider_keys"                        [] DOERS [Owner TeamAdmin OrganizationAdmin] "a personal key is set by its owner after signing in, and by nobody else";
    PATCH  "/provider_keys/{provider_key_id}"      [] DOERS [Owner TeamAdmin OrganizationAdmin] "the same";
    DELETE "/provider_keys/{provider_key_id}"      [] DOERS [Owner TeamAdmin OrganizationAdmin] "an administrator can destroy what they cannot read";
    POST   "/provider_keys/{provider_key_id}/test" [] DOERS [Owner TeamAdmin OrganizationAdmin] "it asks the provider; nothing is paid";
    GET    "/credentials"                          [] OVERSEERS [] "the gateway's own, by LiteLLM's name";
    POST   "/credentials"                          [] ADMINS [] "the same";
    DELETE "/credentials/{credential_name}"        [] ADMINS [] "the same";
    GET    "/provider_key_policies"                [] EVERYBODY [] "where own keys may pay is no secret";
    POST   "/provider_key_policies"                [] ADMINS [] "it says who pays";
};

const SPENDING: &[Operation] = rows! {
    GET  "/v1/receipts/{request_id}"         [Facts] EVERYBODY [Owner Permitted TeamAdmin OrganizationAdmin] "what one's call has cost";
    GET  "/spend/logs"                       [Spend Keys] SPENDERS [Owner Permitted TeamAdmin OrganizationAdmin] "one's own calls, and those of teams that one administers";
    GET  "/spend/logs/v2"                    [Spend Keys] SPENDERS [Owner Permitted TeamAdmin OrganizationAdmin] "the same";
    GET  "/spend/logs/ui"                    [Spend] SPENDERS [Owner Permitted TeamAdmin OrganizationAdmin] "the same";
    GET  "/spend/logs/ui/{request_id}"       [Spend] SPENDERS [Owner Permitted TeamAdmin OrganizationAdmin] "the same";
    GET  "/spend/keys"                       [Spend] SPENDERS [Owner] "one's own keys";
    GET  "/spend/users"                      [Spend] SPENDERS [Owner] "oneself";
    GET  "/spend/tags"                       [Spend] SPENDERS [Owner] "of one's own calls";
    POST "/spend/calculate"                  [Spend] SPENDERS [] "what a call would cost; it only reads";
    GET  "/user/daily/activity"              [Management SelfManaged] EVERYBODY [Owner] "one's own";
    GET  "/user/daily/activity/aggregated"   [Management SelfManaged] EVERYBODY [Owner] "the same";
    GET  "/team/daily/activity"              [Keys SelfManaged] EVERYBODY [Owner Permitted TeamAdmin OrganizationAdmin] "one's own share, or the whole of teams that one administers";
    GET  "/team/daily/activity/aggregated"   [Keys SelfManaged] EVERYBODY [Owner Permitted TeamAdmin OrganizationAdmin] "the same";
    GET  "/organization/daily/activity"      [SelfManaged] EVERYBODY [Owner OrganizationAdmin] "one's own share, or the whole of organizations that one administers";
    GET  "/organization/daily/activity/aggregated" [SelfManaged] EVERYBODY [Owner OrganizationAdmin] "the same";
    GET  "/global/spend"                     [GlobalSpend] SPEND_READERS [] "what everybody spends";
    GET  "/global/spend/logs"                [GlobalSpend] SPEND_READERS [] "the same";
    GET  "/global/spend/keys"                [GlobalSpend] SPEND_READERS [] "the same";
    GET  "/global/spend/models"              [GlobalSpend] SPEND_READERS [] "the same";
    GET  "/global/spend/teams"               [GlobalSpend] SPEND_READERS [] "the same";
    POST "/global/spend/end_users"           [GlobalSpend] SPEND_READERS [] "the same; it only reads";
    GET  "/global/spend/provider"            [GlobalSpend] SPEND_READERS [] "the same";
    GET  "/global/spend/tags"                [GlobalSpend] SPEND_READERS [] "the same";
    GET  "/global/spend/all_tag_names"       [GlobalSpend] SPEND_READERS [] "the same";
    GET  "/global/activity"                  [] USERS [Owner] "users see their own";
    GET  "/global/activity/model"            [] USERS [Owner] "the same";
};

const REQUESTS: &[Operation] = rows! {
    POST "/requests/new"                  [] DOERS [] "asking is everybody's";
    GET  "/requests/list"                 [] EVERYBODY [Owner TeamAdmin OrganizationAdmin] "one's own, and those that one may decide";
    GET  "/requests/{request_id}"         [] EVERYBODY [Owner TeamAdmin OrganizationAdmin] "the same";
    POST "/requests/{request_id}/withdraw" [] DOERS [Owner TeamAdmin OrganizationAdmin] "one takes back one's own; who may decide ends what was given";
    POST "/requests/{request_id}/approve" [] DOERS [TeamAdmin OrganizationAdmin] "nobody decides their own, or gives more than they have";
    POST "/requests/{request_id}/decline" [] DOERS [TeamAdmin OrganizationAdmin] "nobody decides their own";
    POST "/requests/{request_id}/collect" [] DOERS [Owner] "only who asked for a key sees it";
    GET  "/requests/rules"                [] EVERYBODY [] "what is granted without asking is no secret";
    POST "/requests/rules"                [] ADMINS [] "it gives money away";
    GET  "/requests/ask"                  [] ITSELF [] "a signed link out of a refusal; it shows a form";
    POST "/requests/ask"                  [] ITSELF [] "the same, sent";
    GET  "/requests/decide"               [] ITSELF [] "a signed link out of a mail; it shows a form";
    POST "/requests/decide"               [] ITSELF [] "the same, sent: once, with the rights of whom it was mailed to";
};

const SCIM: &[Operation] = rows! {
    GET    "/scim/v2"                       [] OVERSEERS [] "what an identity provider can do here";
    GET    "/scim/v2/ServiceProviderConfig" [] OVERSEERS [] "the same";
    GET    "/scim/v2/ResourceTypes"         [] OVERSEERS [] "the same";
    GET    "/scim/v2/ResourceTypes/{name}"  [] OVERSEERS [] "the same";
    GET    "/scim/v2/Schemas"               [] OVERSEERS [] "the same";
    GET    "/scim/v2/Schemas/{urn}"         [] OVERSEERS [] "the same";
    GET    "/scim/v2/Users"                 [] OVERSEERS [] "everybody's";
    POST   "/scim/v2/Users"                 [] ADMINS [] "an identity provider has a key that an administrator has limited to `/scim/*`";
    GET    "/scim/v2/Users/{user_id}"       [] OVERSEERS [] "the same";
    PUT    "/scim/v2/Users/{user_id}"       [] ADMINS [] "the same";
    PATCH  "/scim/v2/Users/{user_id}"       [] ADMINS [] "the same";
    DELETE "/scim/v2/Users/{user_id}"       [] ADMINS [] "the same";
    GET    "/scim/v2/Groups"                [] OVERSEERS [] "everybody's";
    POST   "/scim/v2/Groups"                [] ADMINS [] "the same";
    GET    "/scim/v2/Groups/{team_id}"      [] OVERSEERS [] "the same";
    PUT    "/scim/v2/Groups/{team_id}"      [] ADMINS [] "the same";
    PATCH  "/scim/v2/Groups/{team_id}"      [] ADMINS [] "the same";
    DELETE "/scim/v2/Groups/{team_id}"      [] ADMINS [] "the same";
};

const AUDIT: &[Operation] = rows! {
    GET "/audit"        [] EVERYBODY [Owner TeamAdmin OrganizationAdmin] "what one did, and what concerns a team or organization that one administers";
    GET "/audit/{id}"   [] EVERYBODY [Owner TeamAdmin OrganizationAdmin] "the same";
    GET "/audit/export" [] EVERYBODY [Owner TeamAdmin OrganizationAdmin] "the same";
    GET "/audit/head"   [] OVERSEERS [] "the end of the log is everybody's";
};

/// What changes an account, or opens doors to it, asks for a session or the master key beside the role.
const V2: &[Operation] = rows! {
    POST   "/v2/login/access-token"        [] OPEN [] "whoever signs in has nothing yet";
    POST   "/v2/login/test-token"          [Facts Info SelfManaged] EVERYBODY [Owner] "who one is; it only reads";
    POST   "/v2/password-recovery/{email}" [] OPEN [] "whoever lost a password has nothing else";
    POST   "/v2/reset-password"            [] ITSELF [] "asks for the token of a mailed link";
    GET    "/v2/users/me"                  [Facts Info SelfManaged] EVERYBODY [Owner] "one's own account";
    PATCH  "/v2/users/me"                  [SelfManaged] EVERYBODY [] "the same, signed in";
    DELETE "/v2/users/me"                  [SelfManaged] EVERYBODY [] "the same, signed in; administrators stay";
    PATCH  "/v2/users/me/password"         [SelfManaged] EVERYBODY [] "one's own password, signed in, with the current one";
    GET    "/v2/users/me/api-key-status"   [Facts Info SelfManaged] EVERYBODY [Owner] "which keys one has at providers";
    PATCH  "/v2/users/me/api-key"          [SelfManaged] EVERYBODY [] "one's own keys at providers, signed in";
    DELETE "/v2/users/me/api-key"          [SelfManaged] EVERYBODY [] "the same";
    DELETE "/v2/users/me/api-key/{provider}" [SelfManaged] EVERYBODY [] "the same";
    POST   "/v2/users/me/api-key/{provider}/test" [SelfManaged] EVERYBODY [] "the same";
    GET    "/v2/admin/llm-keys"            [Management] OVERSEERS [] "which keys the gateway has at providers";
    PATCH  "/v2/admin/llm-keys"            [Management] ADMINS [] "whoever has them spends its money";
    GET    "/v2/users"                     [Management] OVERSEERS [] "everybody's accounts";
    POST   "/v2/users"                     [Management] ADMINS [] "people come in through administrators";
    GET    "/v2/users/{user_id}"           [Management Info] EVERYBODY [Owner OrganizationAdmin] "everybody may see themselves";
    PATCH  "/v2/users/{user_id}"           [Management] ADMINS [] "nobody gives themselves a role";
    DELETE "/v2/users/{user_id}"           [Management] ADMINS [] "it takes keys and conversations along";
    GET    "/v2/llm-models"                [Facts Info] EVERYBODY [] "what the caller can use, and could with a key";
    GET    "/v2/llm-models/{model_id}"     [Facts Info] EVERYBODY [] "the same";
    GET    "/v2/conversations"             [Facts SelfManaged] EVERYBODY [Owner] "one's own alone";
    POST   "/v2/conversations"             [Facts SelfManaged] EVERYBODY [Owner] "the same";
    GET    "/v2/conversations/{conversation_id}"          [Facts SelfManaged] EVERYBODY [Owner] "the same";
    PUT    "/v2/conversations/{conversation_id}"          [Facts SelfManaged] EVERYBODY [Owner] "the same";
    DELETE "/v2/conversations/{conversation_id}"          [Facts SelfManaged] EVERYBODY [Owner] "the same";
    GET    "/v2/conversations/{conversation_id}/messages" [Facts SelfManaged] EVERYBODY [Owner] "the same";
    GET    "/v2/billing/usage/my-usage"    [Facts Spend SelfManaged] EVERYBODY [Owner] "one's own";
    GET    "/v2/billing/usage/report"      [GlobalSpend] SPEND_READERS [] "what everybody spends";
    GET    "/v2/billing/usage/export-csv"  [GlobalSpend] SPEND_READERS [] "the same";
    GET    "/v2/api-keys"                  [Facts Info SelfManaged] EVERYBODY [Owner] "one's own keys";
    POST   "/v2/api-keys"                  [Keys] KEY_MAKERS [] "for oneself, signed in";
    PATCH  "/v2/api-keys/{key_id}/toggle"  [Keys] KEY_MAKERS [] "one's own key, signed in; not what an administrator has blocked";
    DELETE "/v2/api-keys/{key_id}"         [Keys] KEY_MAKERS [] "one's own key, signed in";
};

const HEALTH: &[Operation] = rows! {
    GET "/health"                   [Info] EVERYBODY [] "of the models that the key may use";
    GET "/health/readiness/details" [] OVERSEERS [] "it tells about the inside";
    GET "/health/liveliness"        [] OPEN [] "asked by whatever runs the gateway";
    GET "/health/liveness"          [] OPEN [] "the same";
    GET "/health/readiness"         [] OPEN [] "the same";
    GET "/metrics"                  [] ITSELF [] "overseers, or a key that is limited to it, unless configured to be open";
    GET "/metrics/"                 [] ITSELF [] "the same";
    GET "/"                         [] OPEN [] "leads to the documentation";
    GET "/openapi.json"             [] OPEN [] "documentation";
    GET "/routes"                   [] OPEN [] "documentation";
};

/// Every valid key may call models; which, its lists say ([`crate::access`]).
const CALLS: &[Operation] = rows! {
    CALL "?/chat/completions"     [OpenAi] EVERYBODY [] "";
    CALL "?/completions"          [OpenAi] EVERYBODY [] "";
    CALL "/v2/llm/chat/completions"        [OpenAi] EVERYBODY [] "a chat of the /v2 API; of keys, those of users";
    CALL "/v2/llm/chat/completions/stream" [OpenAi] EVERYBODY [] "the same";
    CALL "?/embeddings"           [OpenAi] EVERYBODY [] "";
    CALL "?/responses"            [OpenAi] EVERYBODY [] "";
    CALL "?/responses/*"          [OpenAi] EVERYBODY [Owner] "an answer that is kept is its caller's";
    CALL "?/moderations"          [OpenAi] EVERYBODY [] "";
    CALL "?/images/*"             [OpenAi] EVERYBODY [] "";
    CALL "?/audio/*"              [OpenAi] EVERYBODY [] "";
    CALL "?/rerank"               [OpenAi] EVERYBODY [] "";
    CALL "/v2/rerank"             [OpenAi] EVERYBODY [] "";
    CALL "?/realtime"             [OpenAi] EVERYBODY [] "";
    CALL "/openai/realtime"       [OpenAi] EVERYBODY [] "";
    CALL "/openai/v1/realtime"    [OpenAi] EVERYBODY [] "";
    CALL "?/engines/*"            [OpenAi] EVERYBODY [] "";
    CALL "?/openai/deployments/*" [OpenAi] EVERYBODY [] "";
    CALL "?/files"                [OpenAi] EVERYBODY [] "passed on with the gateway's key at the provider";
    CALL "?/files/*"              [OpenAi] EVERYBODY [] "the same";
    CALL "?/batches"              [OpenAi] EVERYBODY [] "the same";
    CALL "?/batches/*"            [OpenAi] EVERYBODY [] "the same";
    CALL "?/fine_tuning/*"        [OpenAi] EVERYBODY [] "the same";
    CALL "?/vector_stores"        [OpenAi] EVERYBODY [] "the same";
    CALL "?/vector_stores/*"      [OpenAi] EVERYBODY [] "the same";
    CALL "?/uploads"              [OpenAi] EVERYBODY [] "the same";
    CALL "?/uploads/*"            [OpenAi] EVERYBODY [] "the same";
    CALL "/v1/messages"           [Anthropic] EVERYBODY [] "";
    CALL "/v1/messages/*"         [Anthropic] EVERYBODY [] "";
    CALL "/v1beta/models/*"       [Google] EVERYBODY [] "";
    CALL "?/models/*"             [Google] EVERYBODY [] "Gemini's calls are known here, too";
    CALL "/{provider}/*"          [Passthrough] EVERYBODY [] "a provider's own path, passed on as it is";
};
