//! The order of those who may pay, and nothing else: what keys there are is somebody else's to say.

use crate::caller::Caller;
use crate::provider_keys::{Owner, Policy};

/// Who asks, and under which rules.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker<'a> {
    pub user: Option<&'a str>,
    pub team: Option<&'a str>,
    pub organization: Option<&'a str>,
    pub policy: Policy,
    pub own: Own,
}

/// What a deployment can pay with by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    /// Its definition says with what, or that nothing is needed.
    Stated,
    /// The environment does: beneath the gateway's stored keys.
    Environment,
    None,
}

/// Why nobody pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    /// The policy asks for a key of the caller's own.
    Personal,
    Any,
}

impl<'a> Asker<'a> {
    /// A caller where all is allowed.
    pub fn of(caller: &'a Caller) -> Asker<'a> {
        let organization = caller.organization.as_ref();
        Asker {
            user: caller.user_id.as_deref(),
            team: caller.team_id(),
            organization: organization.map(|organization| organization.id.as_str()),
            policy: Policy::Allowed,
            own: Own::None,
        }
    }

    /// Whose stored keys may pay, the first to be asked first.
    pub fn owners(self) -> impl Iterator<Item = Owner<'a>> {
        let personal = self.user.filter(|_| self.policy != Policy::Forbidden);
        let others = self.policy != Policy::Required;
        let team = self.team.filter(|_| others);
        let organization = self.organization.filter(|_| others);
        let system = others && self.own != Own::Stated;
        [
            personal.map(Owner::User),
            team.map(Owner::Team),
            organization.map(Owner::Organization),
            system.then_some(Owner::System),
        ]
        .into_iter()
        .flatten()
    }
}

/// Those who may pay, in the order in which they are asked; `None` is the deployment itself.
pub(super) fn choose<K>(
    asker: &Asker<'_>,
    keys_of: impl Fn(Owner<'_>) -> Vec<K>,
) -> Result<Vec<Option<K>>, Lack> {
    let mut payers: Vec<Option<K>> = asker.owners().flat_map(&keys_of).map(Some).collect();
    if asker.policy != Policy::Required && asker.own != Own::None {
        payers.push(None);
    }
    match (payers.is_empty(), asker.policy) {
        (false, _) => Ok(payers),
        (true, Policy::Required) => Err(Lack::Personal),
        (true, _) => Err(Lack::Any),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// A key by its owner, and its place among that owner's.
    type Key = ((&'static str, String), usize);

    fn named(owner: Owner<'_>) -> (&'static str, String) {
        (owner.kind(), owner.id().to_owned())
    }

    fn policies() -> impl Strategy<Value = Policy> {
        prop_oneof![
            Just(Policy::Allowed),
            Just(Policy::Required),
            Just(Policy::Forbidden)
        ]
    }

    fn owns() -> impl Strategy<Value = Own> {
        prop_oneof![Just(Own::Stated), Just(Own::Environment), Just(Own::None)]
    }

    /// Ids are shared between kinds of owners on purpose: a team may be called like a user.
    fn ids() -> impl Strategy<Value = Option<String>> {
        proptest::option::weighted(0.8, "[abc]")
    }

    fn worlds() -> impl Strategy<Value = BTreeMap<(&'static str, String), usize>> {
        let kinds = prop_oneof![Just("user"), Just("team"), Just("organization")];
        let owner = prop_oneof![
            4 => (kinds, "[abc]"),
            1 => Just(("system", String::new())),
        ];
        proptest::collection::btree_map(owner, 1..4usize, 0..12)
    }

    proptest! {
        #[test]
        fn a_key_pays_for_its_owner_alone_and_as_the_policy_says(
            world in worlds(), user in ids(), team in ids(), organization in ids(),
            policy in policies(), own in owns(),
        ) {
            let asker = Asker {
                user: user.as_deref(),
                team: team.as_deref(),
                organization: organization.as_deref(),
                policy,
                own,
            };
            let keys_of = |owner: Owner<'_>| -> Vec<Key> {
                let count = world.get(&named(owner)).copied().unwrap_or(0);
                (0..count).map(|place| (named(owner), place)).collect()
            };
            let chosen = choose(&asker, keys_of);
            let payers = chosen.clone().unwrap_or_default();
            let mut ranks = Vec::new();
            for payer in &payers {
                let Some(((kind, id), place)) = payer else {
                    prop_assert!(own != Own::None && policy != Policy::Required);
                    ranks.push((4, 0));
                    continue;
                };
                let (rank, owner) = match *kind {
                    "user" => (0, &user),
                    "team" => (1, &team),
                    "organization" => (2, &organization),
                    _ => (3, &None),
                };
                prop_assert_eq!(owner.as_deref().unwrap_or_default(), id.as_str());
                prop_assert!(rank == 3 || owner.is_some());
                prop_assert!(rank != 0 || policy != Policy::Forbidden);
                prop_assert!(rank == 0 || policy != Policy::Required);
                prop_assert!(rank != 3 || own != Own::Stated);
                ranks.push((rank, *place));
            }
            prop_assert!(ranks.is_sorted(), "{:?}", ranks);
            // whoever may pay and can is among them
            let personal = user.as_ref().and_then(|id| world.get(&("user", id.clone())));
            if let Some(count) = personal.filter(|_| policy != Policy::Forbidden) {
                prop_assert_eq!(ranks.iter().filter(|(rank, _)| *rank == 0).count(), *count);
            }
            let lack = match (payers.is_empty(), policy) {
                (false, _) => None,
                (true, Policy::Required) => Some(Lack::Personal),
                (true, _) => Some(Lack::Any),
            };
            prop_assert_eq!(chosen.err(), lack);
        }
    }
}
