//! What the configuration takes away from the table, or opens in it (contract §4.3). It gives nobody
//! more than their role: only what belongs to nobody and changes nothing can be made public.

use base::{Code, Error, Result};

use super::admission::{is_delegate, names, refused};
use super::{Door, Group, Operation, rows};
use crate::caller::Caller;

/// Entries are what `allowed_routes` of a key may hold: paths, patterns, groups.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// For administrators alone (`general_settings.admin_only_routes`).
    pub admin_only: Vec<String>,
    /// Without a key (`general_settings.public_routes`).
    pub public: Vec<String>,
    /// Nothing else can be called at all (`general_settings.allowed_routes`); empty: everything.
    pub allowed: Vec<String>,
    /// `DISABLE_ADMIN_ENDPOINTS`
    pub management_is_off: bool,
    /// `DISABLE_LLM_API_ENDPOINTS`
    pub calls_are_off: bool,
}

impl Overrides {
    /// Whether the operation needs no key here.
    pub fn opens(&self, operation: &Operation, path: &str) -> bool {
        may_be_public(operation) && is_named(&self.public, operation, path)
    }

    /// Whether an operation is there at all.
    ///
    /// # Errors
    /// [`Code::RouteForbidden`].
    pub fn check_operation(&self, operation: &Operation, path: &str) -> Result<()> {
        let off = |what: &str| {
            let message = format!("{what} are disabled for this instance.");
            Err(Error::new(Code::RouteForbidden, message))
        };
        let is_management = operation
            .groups
            .iter()
            .any(|group| matches!(group, Group::Management | Group::Keys));
        if self.management_is_off && is_management {
            return off("Management routes");
        }
        if self.calls_are_off && operation.method == "*" {
            return off("LLM API routes");
        }
        let is_open = operation.door == Door::Open;
        if self.allowed.is_empty() || is_open || is_named(&self.allowed, operation, path) {
            return Ok(());
        }
        let message = "this route is not among those that this gateway serves (allowed_routes)";
        Err(Error::new(Code::RouteForbidden, message))
    }

    /// Whether the caller may call an operation that the table opens to them.
    ///
    /// # Errors
    /// [`Code::RoleForbidden`].
    pub fn check_caller(&self, operation: &Operation, caller: &Caller, path: &str) -> Result<()> {
        let is_for_admins = is_named(&self.admin_only, operation, path);
        let is_admin = caller.is_admin() || is_delegate(caller, operation, path);
        match is_for_admins && !is_admin {
            true => Err(refused(caller, Code::RoleForbidden, path)),
            false => Ok(()),
        }
    }
}

/// The entries of `public_routes` that open nothing, because what they name belongs to somebody,
/// changes or costs something.
pub fn not_public(entries: &[String]) -> Vec<&String> {
    let opens =
        |entry: &&String| rows().any(|row| may_be_public(row) && names(entry, row, row.path));
    entries.iter().filter(|entry| !opens(entry)).collect()
}

/// What everybody may read and what belongs to nobody.
fn may_be_public(operation: &Operation) -> bool {
    let is_everybodys = operation.door == Door::Key(super::EVERYBODY)
        || operation.door == Door::Key(super::SPENDERS);
    operation.method != "*" && is_everybodys && operation.ties.is_empty()
}

fn is_named(entries: &[String], operation: &Operation, path: &str) -> bool {
    entries.iter().any(|entry| names(entry, operation, path))
}
