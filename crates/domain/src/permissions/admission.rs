//! Letting callers through by the table: default deny, and nothing but the table decides.

use base::{Code, Error, Result};
use http::Method;

use super::{CALLS, Door, GROUPS, Group, Operation, Overrides, PRESETS, TABLE, Who};
use crate::caller::{Caller, Role};
use crate::federation::jwt;

/// Every row.
pub fn rows() -> impl Iterator<Item = &'static Operation> {
    TABLE.iter().flat_map(|(_, rows)| rows.iter())
}

/// The row of an operation of the management API.
pub fn find(method: &Method, template: &str) -> Option<&'static Operation> {
    let method = match *method {
        Method::HEAD => "GET",
        _ => method.as_str(),
    };
    rows().find(|row| row.method == method && row.path == template)
}

/// The row of a call of a model.
pub fn find_call(path: &str) -> Option<&'static Operation> {
    let row = CALLS.iter().find(|row| matches(row.path, path))?;
    let is_real = row.groups != [Group::Passthrough] || llm::provider::passthrough(path).is_some();
    is_real.then_some(row)
}

/// Whether the caller gets through an operation's door; what they may do behind it is for the rule
/// there. `path` is the one that was asked for.
///
/// # Errors
/// [`Code::RouteForbidden`] when the key is limited to other routes, [`Code::ReadOnlyRole`] when a
/// viewing administrator wants to write, [`Code::RoleForbidden`] otherwise.
pub fn admit(operation: &Operation, caller: &Caller, path: &str) -> Result<()> {
    if caller.is_master() {
        return Ok(());
    }
    let routes = caller.key.as_ref().map(|key| &key.allowed_routes.0);
    let routes = routes.map_or(&[][..], Vec::as_slice);
    let is_named = routes.iter().any(|entry| names(entry, operation, path));
    if !routes.is_empty() && !is_named {
        return Err(out_of_route(routes, path));
    }
    let Door::Key(admitted) = operation.door else {
        return Ok(());
    };
    if admitted.iter().any(|who| is(caller, *who)) {
        return Ok(());
    }
    // Only an administrator can have limited such a key to what it names. It acts for that
    // administrator where it is nobody's; as its user, where the rule behind asks whose the object is.
    let opens = !operation.ties.is_empty() || acts_for_administrator(caller, operation, path);
    if caller.role.is_none() && is_named && opens && !admitted.is_empty() {
        return Ok(());
    }
    let code = match caller.role {
        Some(Role::ProxyAdminViewer) => Code::ReadOnlyRole,
        _ => Code::RoleForbidden,
    };
    Err(refused(caller, code, path))
}

/// The same for a call of a model, which is known by its path alone.
///
/// # Errors
/// As [`admit`] and [`Overrides`]; [`Code::RoleForbidden`] for a path that has no row.
pub fn admit_call(caller: &Caller, path: &str, overrides: &Overrides) -> Result<()> {
    match find_call(path) {
        Some(row) => {
            overrides.check_operation(row, path)?;
            admit(row, caller, path)?;
            overrides.check_caller(row, caller, path)
        }
        None => Err(refused(caller, Code::RoleForbidden, path)),
    }
}

/// Whether the key acts for the administrator who made it: it has no user and no role, and is
/// limited to routes among which is this one. Groups that others than administrators can give to a
/// key (`key_type`) do not count.
pub fn is_delegate(caller: &Caller, operation: &Operation, path: &str) -> bool {
    caller.role.is_none() && acts_for_administrator(caller, operation, path)
}

fn acts_for_administrator(caller: &Caller, operation: &Operation, path: &str) -> bool {
    // the routes of a token are the configuration's, which makes nobody an administrator by them
    caller.user_id.is_none()
        && !jwt::is_of_token(caller)
        && caller.key.as_ref().is_some_and(|key| {
            let mut entries = key.allowed_routes.iter();
            entries.any(|entry| !PRESETS.contains(&entry.as_str()) && names(entry, operation, path))
        })
}

fn is(caller: &Caller, who: Who) -> bool {
    match who {
        Who::Admin => caller.role == Some(Role::ProxyAdmin),
        Who::Viewer => caller.role == Some(Role::ProxyAdminViewer),
        Who::User => caller.role == Some(Role::InternalUser),
        Who::UserViewer => caller.role == Some(Role::InternalUserViewer),
        Who::NoRole => caller.role.is_none(),
        Who::OrganizationAdmin => !caller.administers.is_empty(),
        Who::SpendReader => caller.key.as_ref().is_some_and(|key| {
            key.permissions.get("get_spend_routes") == Some(&serde_json::Value::Bool(true))
        }),
    }
}

/// Whether an entry of `allowed_routes` names an operation, by itself or with a group.
pub(super) fn names(entry: &str, operation: &Operation, path: &str) -> bool {
    match GROUPS.iter().find(|(name, _)| *name == entry) {
        Some((_, groups)) => {
            let mut of = operation.groups.iter();
            of.any(|group| groups.contains(group)) || is_of_provider(groups, operation, path)
        }
        None => matches(entry, path),
    }
}

/// Whether a provider's own path belongs to a group of its protocol.
fn is_of_provider(groups: &[Group], operation: &Operation, path: &str) -> bool {
    let Some(found) = llm::provider::passthrough(path) else {
        return false;
    };
    let protocol = match found.provider.name {
        "openai" | "azure" => Group::OpenAi,
        "anthropic" => Group::Anthropic,
        "gemini" | "vertex_ai" => Group::Google,
        _ => return false,
    };
    operation.groups == [Group::Passthrough] && groups.contains(&protocol)
}

fn out_of_route(allowed: &[String], path: &str) -> Error {
    // a list as clients know it from the reference: `['a', 'b']`
    Error::new(
        Code::RouteForbidden,
        format!(
            "Virtual key is not allowed to call this route. Only allowed to call routes: ['{}']. \
             Tried to call route: {}",
            allowed.join("', '"),
            shown(path)
        ),
    )
}

/// What a caller reads whose role is too small for a route.
pub(super) fn refused(caller: &Caller, code: Code, path: &str) -> Error {
    let role = caller.role.map_or("unknown", Role::as_str);
    let path = shown(path);
    let message = match code {
        Code::ReadOnlyRole => {
            format!("user not allowed to access this route, role= {role}. Trying to access: {path}")
        }
        _ => format!(
            "Authentication Error, Only proxy admin can be used to generate, delete, update info \
             for new keys/users/teams. Route={path}. Your role={role}. Your user_id={}",
            caller.user_id.as_deref().unwrap_or("unknown"),
        ),
    };
    Error::new(code, message)
}

/// A path without the keys that some routes have in it.
fn shown(path: &str) -> String {
    let segments = path
        .split('/')
        .map(|segment| match segment.starts_with("sk-") {
            true => "sk-...",
            false => segment,
        });
    segments.collect::<Vec<_>>().join("/")
}

/// `?` at the start stands for `/v1` or nothing, `{…}` for one segment, `*` at the end for any rest.
fn matches(pattern: &str, path: &str) -> bool {
    if let Some(pattern) = pattern.strip_prefix('?') {
        let rest = path.strip_prefix("/v1");
        return rest.is_some_and(|rest| matches(pattern, rest)) || matches(pattern, path);
    }
    // as most calls are, which are all asked for here
    if pattern == path {
        return true;
    }
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if wanted.starts_with('{') && !given.is_empty() => {}
            (Some(wanted), Some(given)) if wanted == given => {}
            (Some(last), Some(given)) if wanted.clone().next().is_none() => {
                let start = last.strip_suffix('*');
                return start.is_some_and(|start| given.starts_with(start));
            }
            _ => return false,
        }
    }
}
