//! Models: the lists of key, team, member, user and organization (contract §7).
//!
//! A key works with a model when every list that binds it lets the model through. Refusals come
//! before anything is said about whether a model exists, so that names do not leak.

use std::collections::BTreeSet;

use base::{Code, Error, Result};

use crate::caller::{Caller, Reach, reaches};
use crate::snapshot::Snapshot;

/// The model that a requested name means: the key's alias first, then the team's, then the
/// gateway's.
pub fn resolve_alias<'a>(caller: &'a Caller, snapshot: &'a Snapshot, model: &'a str) -> &'a str {
    Names::of(caller, snapshot, model).resolved
}

/// Whether the caller may use a model, by the name that was requested.
///
/// # Errors
/// 403 with the code of the list that leaves the model out, key first (contract §5.1).
pub fn check_model(caller: &Caller, snapshot: &Snapshot, model: &str) -> Result<()> {
    match refusal(caller, snapshot, model) {
        None => Ok(()),
        Some(code) => Err(Error::new(
            code,
            format!(
                "The requested model '{model}' is not available for this API key, or the model name \
                 is invalid. Check the models available to you and try again."
            ),
        )
        .param("model")),
    }
}

/// The public names that the caller may use, each once: the gateway's in their order, its aliases,
/// and what the gateway's wildcards make of the caller's own lists and of `catalogue`, names in the
/// form `provider/model`.
pub fn visible_models<N: AsRef<str>>(
    caller: &Caller,
    snapshot: &Snapshot,
    catalogue: impl IntoIterator<Item = N>,
) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut visible = Vec::new();
    let mut see = |name: &str| {
        let fresh = !name.contains('*') && !seen.contains(name);
        if fresh && refusal(caller, snapshot, name).is_none() {
            seen.insert(name.to_owned());
            visible.push(name.to_owned());
        }
    };
    snapshot.names.iter().for_each(|name| see(name));
    snapshot.aliases.keys().for_each(|name| see(name));
    if snapshot.wildcards.is_empty() {
        return visible;
    }
    let is_reached = |name: &str| {
        let mut wildcards = snapshot.wildcards.iter();
        wildcards.any(|wildcard| is_match(wildcard, name))
    };
    let listed = binding(caller).flatten().map(String::as_str);
    listed.filter(|name| is_reached(name)).for_each(&mut see);
    for name in catalogue {
        if is_reached(name.as_ref()) {
            see(name.as_ref());
        }
    }
    visible
}

/// The gateway's wildcards that are open to the caller as they stand.
pub fn visible_wildcards<'a>(caller: &Caller, snapshot: &'a Snapshot) -> Vec<&'a str> {
    let wildcards = snapshot.wildcards.iter().map(String::as_str);
    wildcards
        .filter(|wildcard| refusal(caller, snapshot, wildcard).is_none())
        .collect()
}

/// The names that a requested one stands for, alias by alias.
struct Names<'a> {
    /// After the key's alias, which only replaces: whoever made the key may have chosen it.
    requested: &'a str,
    /// After the team's alias.
    of_team: &'a str,
    /// After the gateway's alias.
    resolved: &'a str,
    /// The public name, when a deployment was requested by its id.
    public: &'a str,
}

impl<'a> Names<'a> {
    fn of(caller: &'a Caller, snapshot: &'a Snapshot, model: &'a str) -> Names<'a> {
        let key_aliases = caller.key.as_ref().map(|key| &key.aliases.0);
        let requested = key_aliases.and_then(|aliases| aliases.get(model));
        let requested = requested.map_or(model, String::as_str);
        let team_aliases = caller.team.as_ref().map(|team| &team.model_aliases.0);
        let of_team = team_aliases.and_then(|aliases| aliases.get(requested));
        let of_team = of_team.map_or(requested, String::as_str);
        let resolved = snapshot
            .aliases
            .get(of_team)
            .map_or(of_team, String::as_str);
        let public = snapshot
            .deployments
            .get(resolved)
            .map_or(resolved, |deployment| deployment.model_name.as_str());
        Names {
            requested,
            of_team,
            resolved,
            public,
        }
    }
}

/// The lists of models that bind a caller.
fn binding(caller: &Caller) -> impl Iterator<Item = &Vec<String>> {
    let key = caller.key.as_ref().map(|key| &key.models.0);
    let team = caller.team.as_ref().map(|team| &team.models.0);
    let organization = caller.organization.as_ref();
    let organization = organization.map(|organization| &organization.models.0);
    [key, team, members(caller), users(caller), organization]
        .into_iter()
        .flatten()
}

/// The user's own list, which binds personal keys only.
fn users(caller: &Caller) -> Option<&Vec<String>> {
    match caller.team_id() {
        None => caller.user.as_ref().map(|user| &user.models.0),
        Some(_) => None,
    }
}

/// The member's list, or what the team gives to members without one.
fn members(caller: &Caller) -> Option<&Vec<String>> {
    let member = caller.member.as_ref()?;
    match member.allowed_models.is_empty() {
        false => Some(&member.allowed_models.0),
        true => caller
            .team
            .as_ref()
            .map(|team| &team.default_member_models.0),
    }
}

/// Why the caller may not use a model; `None`: it may.
fn refusal(caller: &Caller, snapshot: &Snapshot, model: &str) -> Option<Code> {
    let key = caller.key.as_ref()?;
    let names = Names::of(caller, snapshot, model);
    let gateway = [names.of_team, names.resolved, names.public];
    let team = [names.requested, names.resolved, names.public];
    let any = |list: &[String], names: [&str; 3]| is_listed(list, snapshot, names);

    let granted = |reach: Reach| {
        let mut grants = caller.model_grants.iter();
        grants.any(|grant| reaches(grant, reach) && team.contains(&grant.model.as_str()))
    };
    let all_of_team = key.models.iter().any(|entry| entry == "all-team-models");
    if !all_of_team && !any(&key.models, team) && !granted(Reach::Key(&key.id)) {
        return Some(Code::KeyModelForbidden);
    }
    if let Some(row) = &caller.team
        && !any(&row.models, team)
        && !granted(Reach::Team)
    {
        return Some(Code::TeamModelForbidden);
    }
    if let Some(list) = members(caller)
        && !any(list, team)
        && !granted(Reach::Person)
    {
        return Some(Code::TeamModelForbidden);
    }
    if let Some(list) = users(caller)
        && !any(list, gateway)
        && !granted(Reach::Person)
    {
        return Some(Code::UserModelForbidden);
    }
    if let Some(row) = &caller.organization
        && !any(&row.models, gateway)
        && !granted(Reach::Organization)
    {
        return Some(Code::OrganizationModelForbidden);
    }
    None
}

/// Whether a list lets through what an entry of another list names: a model, a wildcard, a group. For
/// all models at once it must be open itself.
pub fn lets_through(list: &[String], snapshot: &Snapshot, entry: &str) -> bool {
    match entry {
        "*" | "all-proxy-models" => {
            list.is_empty()
                || list
                    .iter()
                    .any(|it| matches!(it.as_str(), "*" | "all-proxy-models"))
        }
        "all-team-models" | "no-default-models" => true,
        name => is_listed(list, snapshot, [name; 3]),
    }
}

/// Whether a list lets any of the names through; an empty list lets everything through.
fn is_listed(list: &[String], snapshot: &Snapshot, names: [&str; 3]) -> bool {
    list.is_empty()
        || list.iter().any(|entry| match entry.as_str() {
            "*" | "all-proxy-models" => true,
            // says that nothing is open by default; it opens nothing itself
            "no-default-models" => false,
            entry => names.iter().any(|name| is_meant(entry, snapshot, name)),
        })
}

/// Whether an entry names a model: by its name, a wildcard, or an access group.
fn is_meant(entry: &str, snapshot: &Snapshot, name: &str) -> bool {
    if entry == name {
        return true;
    }
    if entry.contains('*') {
        return is_match(entry, name) || is_of_provider(entry, name);
    }
    let group = snapshot.access_groups.get(entry);
    group.is_some_and(|group| group.contains(name))
}

/// Whether a wildcard such as `openai/*` takes in a bare name such as `gpt-4o`, whose provider can
/// be told from it.
fn is_of_provider(wildcard: &str, name: &str) -> bool {
    let Some((prefix, rest)) = wildcard.split_once('/') else {
        return false;
    };
    !name.contains('/')
        && is_match(rest, name)
        && llm::provider::resolve(name, None, None).is_ok_and(|named| named.provider.name == prefix)
}

/// Whether a name fits a pattern in which each `*` stands for any text.
fn is_match(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    let inner = name.strip_prefix(start);
    let Some(mut inner) = inner.and_then(|inner| inner.strip_suffix(end)) else {
        return false;
    };
    // the earliest place for each part leaves the most for the parts after it
    for part in middle.split('*') {
        match inner.find(part) {
            Some(at) => inner = &inner[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use base::Millis;
    use store::Json;
    use store::organizations::OrganizationRow;
    use store::teams::{MemberRow, TeamRow};
    use store::users::UserRow;

    use super::*;
    use crate::caller::tests::{caller, key, master};

    fn strings(entries: &[&str]) -> Json<Vec<String>> {
        Json(entries.iter().map(ToString::to_string).collect())
    }

    fn pairs(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(from, to): &(&str, &str)| (from.to_string(), to.to_string());
        entries.iter().map(owned).collect()
    }

    fn snapshot() -> Snapshot {
        Snapshot {
            names: strings(&["gpt-4o", "gpt-4o-mini", "local", "openai/*"]).0,
            wildcards: strings(&["openai/*"]).0,
            aliases: pairs(&[("smart", "gpt-4o")]),
            access_groups: [("beta".to_owned(), BTreeSet::from(["local".to_owned()]))].into(),
            ..Snapshot::default()
        }
    }

    fn with_models(models: &[&str]) -> Caller {
        let mut key = key();
        key.models = strings(models);
        caller(None, key)
    }

    fn team(models: &[&str]) -> TeamRow {
        TeamRow {
            id: "team-1".to_owned(),
            alias: None,
            organization_id: None,
            models: strings(models),
            model_aliases: Json::default(),
            default_member_models: Json::default(),
            member_permissions: Json::default(),
            metadata: Json::default(),
            settings: Json::default(),
            blocked: false,
            rpm_limit: None,
            tpm_limit: None,
            tpd_limit: None,
            max_parallel_requests: None,
            created_at: Millis(0),
            created_by: None,
            updated_at: Millis(0),
            updated_by: None,
        }
    }

    fn organization(models: &[&str]) -> OrganizationRow {
        OrganizationRow {
            id: "organization-1".to_owned(),
            alias: None,
            models: strings(models),
            metadata: Json::default(),
            settings: Json::default(),
            blocked: false,
            rpm_limit: None,
            tpm_limit: None,
            tpd_limit: None,
            max_parallel_requests: None,
            created_at: Millis(0),
            created_by: None,
            updated_at: Millis(0),
            updated_by: None,
        }
    }

    fn user(models: &[&str]) -> UserRow {
        UserRow {
            id: "user-1".to_owned(),
            email: None,
            alias: None,
            role: None,
            sso_subject: None,
            password_hash: None,
            models: strings(models),
            metadata: Json::default(),
            settings: Json::default(),
            blocked: false,
            rpm_limit: None,
            tpm_limit: None,
            tpd_limit: None,
            max_parallel_requests: None,
            created_at: Millis(0),
            created_by: None,
            updated_at: Millis(0),
            updated_by: None,
        }
    }

    fn in_team(key_models: &[&str], team: TeamRow) -> Caller {
        let mut caller = with_models(key_models);
        if let Some(key) = &mut caller.key {
            key.team_id = Some(team.id.clone());
        }
        caller.team = Some(team);
        caller
    }

    fn refused(caller: &Caller, model: &str) -> Option<Code> {
        let found = check_model(caller, &snapshot(), model).err();
        found.map(|error| error.code())
    }

    #[test]
    fn the_entries_of_a_list_mean_what_the_contract_says() {
        let cases: &[(&[&str], &str, bool)] = &[
            (&[], "anything", true),
            (&["gpt-4o"], "gpt-4o", true),
            (&["gpt-4o"], "gpt-4o-mini", false),
            (&["gpt-4o"], "GPT-4o", false),
            (&["*"], "anything", true),
            (&["all-proxy-models"], "local", true),
            (&["all-team-models"], "local", true),
            (&["no-default-models"], "gpt-4o", false),
            (&["no-default-models", "local"], "local", true),
            (&["openai/*"], "openai/o3", true),
            (&["openai/*"], "gpt-4o", true),
            (&["openai/*"], "local", false),
            (&["openai/gpt-4o*"], "gpt-4o-mini", true),
            (&["openai/gpt-4o*"], "o3", false),
            (&["anthropic/claude-*"], "anthropic/claude-opus-4", true),
            (&["anthropic/claude-*"], "gpt-4o", false),
            (&["*4o*ni"], "gpt-4o-mini", true),
            (&["gpt-4o-mini*ni"], "gpt-4o-mini", false),
            (&["beta"], "local", true),
            (&["beta"], "gpt-4o", false),
            (&["gpt-4o"], "smart", true),
            (&["smart"], "smart", true),
            (&["local"], "smart", false),
            (&["local"], "no-such-model", false),
        ];
        for (list, model, expected) in cases {
            let found = refused(&with_models(list), model);
            assert_eq!(found.is_none(), *expected, "{model} with {list:?}");
            assert!(found.is_none_or(|code| code == Code::KeyModelForbidden));
        }
    }

    #[test]
    fn a_key_in_a_team_passes_both_lists() {
        let caller = in_team(&["gpt-4o", "local"], team(&["gpt-4o"]));
        assert_eq!(refused(&caller, "gpt-4o"), None);
        assert_eq!(refused(&caller, "local"), Some(Code::TeamModelForbidden));
        assert_eq!(
            refused(&caller, "gpt-4o-mini"),
            Some(Code::KeyModelForbidden)
        );
        let caller = in_team(&["all-team-models"], team(&["local"]));
        assert_eq!(refused(&caller, "local"), None);
        assert_eq!(refused(&caller, "gpt-4o"), Some(Code::TeamModelForbidden));
    }

    #[test]
    fn a_member_and_an_organization_bind_as_well() {
        let mut caller = in_team(&[], team(&[]));
        caller.member = Some(MemberRow {
            id: "member-1".to_owned(),
            team_id: "team-1".to_owned(),
            user_id: "user-1".to_owned(),
            role: "user".to_owned(),
            allowed_models: strings(&["gpt-4o", "local"]),
            rpm_limit: None,
            tpm_limit: None,
            created_at: Millis(0),
            updated_at: Millis(0),
        });
        caller.organization = Some(organization(&["gpt-4o"]));
        assert_eq!(refused(&caller, "gpt-4o"), None);
        assert_eq!(
            refused(&caller, "gpt-4o-mini"),
            Some(Code::TeamModelForbidden)
        );
        assert_eq!(
            refused(&caller, "local"),
            Some(Code::OrganizationModelForbidden)
        );
    }

    #[test]
    fn a_user_s_list_binds_personal_keys_only() {
        let mut personal = with_models(&[]);
        personal.user = Some(user(&["local"]));
        assert_eq!(refused(&personal, "local"), None);
        assert_eq!(refused(&personal, "gpt-4o"), Some(Code::UserModelForbidden));
        let mut shared = in_team(&[], team(&[]));
        shared.user = Some(user(&["local"]));
        assert_eq!(refused(&shared, "gpt-4o"), None);
    }

    #[test]
    fn aliases_are_followed_from_the_key_to_the_gateway() {
        let mut shared = in_team(&[], team(&[]));
        if let (Some(key), Some(team)) = (&mut shared.key, &mut shared.team) {
            key.aliases = Json(pairs(&[("mine", "ours")]));
            team.model_aliases = Json(pairs(&[("ours", "smart")]));
        }
        let snapshot = snapshot();
        assert_eq!(resolve_alias(&shared, &snapshot, "mine"), "gpt-4o");
        assert_eq!(resolve_alias(&shared, &snapshot, "ours"), "gpt-4o");
        assert_eq!(resolve_alias(&shared, &snapshot, "local"), "local");
    }

    #[test]
    fn an_alias_of_a_key_s_own_opens_nothing() {
        let mut sly = with_models(&["local"]);
        if let Some(key) = &mut sly.key {
            key.aliases = Json(pairs(&[("local", "gpt-4o")]));
        }
        assert_eq!(refused(&sly, "local"), Some(Code::KeyModelForbidden));
        let mut sly = with_models(&[]);
        sly.user = Some(user(&["local"]));
        if let Some(key) = &mut sly.key {
            key.aliases = Json(pairs(&[("local", "gpt-4o")]));
        }
        assert_eq!(refused(&sly, "local"), Some(Code::UserModelForbidden));
    }

    #[test]
    fn a_team_s_alias_does_not_widen_the_organization_s_list() {
        let mut row = team(&["gpt-4o"]);
        row.model_aliases = Json(pairs(&[("gpt-4o", "local")]));
        let mut caller = in_team(&[], row);
        assert_eq!(refused(&caller, "gpt-4o"), None);
        caller.organization = Some(organization(&["gpt-4o"]));
        let found = refused(&caller, "gpt-4o");
        assert_eq!(found, Some(Code::OrganizationModelForbidden));
    }

    #[test]
    fn each_sees_what_it_may_call() {
        let snapshot = snapshot();
        let catalogue = ["openai/o3", "anthropic/claude-opus-4"];
        let seen = |caller: &Caller| visible_models(caller, &snapshot, catalogue);
        assert_eq!(
            seen(&master()),
            ["gpt-4o", "gpt-4o-mini", "local", "smart", "openai/o3"]
        );
        assert_eq!(seen(&with_models(&["beta"])), ["local"]);
        assert_eq!(seen(&with_models(&["gpt-4o"])), ["gpt-4o", "smart"]);
        assert_eq!(seen(&with_models(&["openai/ft:mine"])), ["openai/ft:mine"]);
        assert_eq!(visible_wildcards(&master(), &snapshot), ["openai/*"]);
        assert!(visible_wildcards(&with_models(&["gpt-4o"]), &snapshot).is_empty());
    }

    #[test]
    fn refusals_name_the_model_that_was_asked_for() {
        let error = check_model(&with_models(&["local"]), &snapshot(), "gpt-4o").unwrap_err();
        assert_eq!(error.status(), 403);
        assert_eq!(error.parameter(), Some("model"));
        assert!(error.message().contains("'gpt-4o'"));
    }
}
