//! Whose key at a provider pays a call: the caller's own, their team's, their organization's, or the
//! gateway's, in this order and as far as the policy of the provider lets it.
//!
//! A key pays for its owner and for nobody else, and goes to its provider's own host or to the one that
//! was stored with it. One that cannot be used is an error that says whose it is: nobody else's money
//! steps in, unless the owner's rule says so.

mod choose;
mod find;
mod place;

use std::ops::Deref;
use std::sync::Arc;

use base::{Code, Error, Result, Secret};
use llm::provider::{Api, Credential, Provider};

use crate::caller::Caller;
use crate::deployment::{Chosen, Target, Upstream};
use crate::provider_keys::{Fallback, Owner, ProviderKey};
use crate::{Domain, provider_keys};

use choose::{Asker, Lack, Own};

pub use find::{find, is_open, visible};
pub(crate) use place::is_same as is_same_host;

/// Whose key has paid, in the words of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaidBy {
    /// The caller's own key, that they keep here.
    Personal,
    Team,
    Organization,
    /// The gateway's: stored, or stated on the model.
    System,
    /// The gateway's, from its environment.
    Environment,
    /// The caller's own, sent along with the call.
    Header,
}

impl PaidBy {
    pub fn as_str(self) -> &'static str {
        match self {
            PaidBy::Personal => "personal",
            PaidBy::Team => "team",
            PaidBy::Organization => "organization",
            PaidBy::System => "system",
            PaidBy::Environment => "environment",
            PaidBy::Header => "header",
        }
    }

    /// The money is the caller's own, not the gateway's: budgets leave it out, unless they say other.
    pub fn is_callers(self) -> bool {
        matches!(self, PaidBy::Personal | PaidBy::Header)
    }

    /// Somebody other than the operator has brought the key.
    pub fn is_brought(self) -> bool {
        !matches!(self, PaidBy::System | PaidBy::Environment)
    }

    fn of(owner: Owner<'_>) -> PaidBy {
        match owner {
            Owner::System => PaidBy::System,
            Owner::Organization(_) => PaidBy::Organization,
            Owner::Team(_) => PaidBy::Team,
            Owner::User(_) => PaidBy::Personal,
        }
    }
}

/// Who pays in place of a deployment's own credential.
#[derive(Debug)]
pub enum Payer {
    Stored(Arc<ProviderKey>),
    /// A key that came with the call. It is kept no longer than the call lasts.
    Sent(Secret),
}

impl Payer {
    fn paid_by(&self) -> PaidBy {
        match self {
            Payer::Stored(key) => PaidBy::of(key.owner()),
            Payer::Sent(_) => PaidBy::Header,
        }
    }
}

/// Keys that a client has sent along with ours, each in the header in which a provider takes it.
#[derive(Debug, Default)]
pub struct SentKeys {
    /// `x-api-key`
    pub anthropic: Option<Secret>,
    /// `x-goog-api-key`
    pub google: Option<Secret>,
    /// `api-key`
    pub azure: Option<Secret>,
    /// `authorization`
    pub bearer: Option<Secret>,
}

impl SentKeys {
    /// The key that is meant for a provider: one of another provider is never sent to it.
    fn for_provider(&self, provider: &Provider) -> Option<&Secret> {
        let is_subscription = |key: &&Secret| key.expose().starts_with("sk-ant-oat");
        match provider.api {
            Api::Anthropic => {
                let bearer = self.bearer.as_ref().filter(is_subscription);
                self.anthropic.as_ref().or(bearer)
            }
            Api::Gemini | Api::Vertex => self.google.as_ref(),
            Api::Azure => self.azure.as_ref(),
            _ if provider.name == "openai" => {
                let bearer = self.bearer.as_ref();
                bearer.filter(|key| !is_subscription(key))
            }
            _ => None,
        }
    }
}

/// An upstream with the key of whoever pays a call.
#[derive(Debug)]
pub enum Ready<'a> {
    Own(&'a Upstream),
    Paid(Box<Upstream>),
}

impl Deref for Ready<'_> {
    type Target = Upstream;
    fn deref(&self) -> &Upstream {
        match self {
            Ready::Own(own) => own,
            Ready::Paid(paid) => paid,
        }
    }
}

/// What came of asking with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The provider's answer.
    Status(u16),
    /// There was none.
    Nothing,
    /// Nothing was asked: the request or the key could not be sent.
    Unsent,
}

impl Chosen {
    /// Whose key pays; `None` where no provider is asked.
    pub fn paid_by(&self) -> Option<PaidBy> {
        match (&self.payer, &self.deployment.target) {
            (Some(payer), _) => Some(payer.paid_by()),
            (None, Target::Upstream(upstream)) => Some(upstream.own),
            (None, Target::Demo | Target::Mock(_)) => None,
        }
    }

    pub fn is_on_callers_money(&self) -> bool {
        self.paid_by().is_some_and(PaidBy::is_callers)
    }

    /// The stored key that pays.
    pub fn provider_key(&self) -> Option<&Arc<ProviderKey>> {
        match self.payer.as_deref()? {
            Payer::Stored(key) => Some(key),
            Payer::Sent(_) => None,
        }
    }

    /// Whether another may pay, or another deployment be asked, after this one came to nothing. Keys that
    /// people bring go by their owners' rules, and never on because they are not taken.
    pub fn may_go_on(&self, outcome: Outcome) -> bool {
        let is_quota = matches!(outcome, Outcome::Status(402 | 429));
        let is_failure = matches!(outcome, Outcome::Nothing | Outcome::Status(408 | 500..));
        let fallback = match self.payer.as_deref() {
            Some(Payer::Sent(_)) => Fallback::Never,
            Some(Payer::Stored(key)) if key.owner() != Owner::System => key.fallback,
            _ => {
                let is_refusal = matches!(outcome, Outcome::Status(401 | 403 | 429));
                return is_refusal || is_failure || outcome == Outcome::Unsent;
            }
        };
        match fallback {
            Fallback::Never => false,
            Fallback::OnQuota => is_quota,
            Fallback::OnError => is_quota || is_failure,
        }
    }

    /// What a call to this deployment needs, with the key of whoever pays. It holds the key in the clear:
    /// not to be kept.
    ///
    /// # Errors
    /// [`Code::ProviderKeyUnusable`] for a key that does not open.
    pub fn ready<'a>(&self, domain: &Domain, own: &'a Upstream) -> Result<Ready<'a>> {
        let Some(payer) = self.payer.as_deref() else {
            return Ok(Ready::Own(own));
        };
        let credential = match payer {
            Payer::Sent(key) => Credential::of_key(own.provider, key.clone()),
            Payer::Stored(key) => {
                key.note_used(domain.clock.now());
                key.open(&domain.vault)
            }
        };
        let credential = credential.map_err(|source| unusable(self, own.provider, source))?;
        let paid = place::upstream(self, own, credential)?;
        Ok(Ready::Paid(Box::new(paid)))
    }

    /// What the caller is told when the provider does not take a key that somebody brought: whose it is and
    /// what to do. `None` for the gateway's own keys.
    pub fn rejected(&self, status: u16) -> Option<Error> {
        let Target::Upstream(upstream) = &self.deployment.target else {
            return None;
        };
        let payer = self.payer.as_deref()?;
        if !payer.paid_by().is_brought() || !matches!(status, 401 | 403) {
            return None;
        }
        let what = match status {
            401 => "does not take",
            _ => "does not permit this call with",
        };
        let title = upstream.provider.title;
        let message = format!(
            "{title} {what} {} ({status}); {}",
            whose(payer),
            remedy(payer)
        );
        Some(Error::new(Code::ProviderKeyRejected, message).with_details(details(self, upstream)))
    }
}

/// Expands the deployments of a call by who pays at each, in the order in which they are tried: what
/// people bring comes before the gateway's money.
///
/// # Errors
/// [`Code::ProviderKeyMissing`] where the policy asks for a key of the caller's own that is not there;
/// [`Code::ProviderKeyUnusable`] for one that may not go where the calls go.
pub fn plan(
    domain: &Domain,
    caller: &Caller,
    found: Vec<Chosen>,
    sent: &SentKeys,
) -> Result<Vec<Chosen>> {
    /// How often a call is tried at the most.
    const MOST_ATTEMPTS: usize = 6;
    let mut plan = Vec::with_capacity(found.len());
    let mut lack = None;
    for chosen in found {
        match at(domain, caller, &chosen, sent) {
            Ok(payers) => plan.extend(payers.into_iter().map(|payer| paid(domain, &chosen, payer))),
            Err(error) => lack = lack.or(Some(error)),
        }
    }
    let is_brought = |chosen: &Chosen| chosen.paid_by().is_some_and(PaidBy::is_brought);
    if let Some(lack) = lack
        && (plan.is_empty() || lack.code() == Code::ProviderKeyUnusable)
        && !plan.iter().any(is_brought)
    {
        return Err(lack);
    }
    plan.sort_by_key(|chosen| !is_brought(chosen));
    plan.truncate(MOST_ATTEMPTS);
    Ok(plan)
}

/// Who pays at one deployment, `None` for the deployment's own credential.
fn at(
    domain: &Domain,
    caller: &Caller,
    chosen: &Chosen,
    sent: &SentKeys,
) -> Result<Vec<Option<Payer>>> {
    let Target::Upstream(upstream) = &chosen.deployment.target else {
        return Ok(vec![None]);
    };
    let provider = upstream.provider;
    let keys = &domain.provider_keys;
    let custom_hosts = domain.config.payers.custom_hosts;
    let asker = Asker {
        policy: keys.policy(provider),
        own: own(upstream),
        ..Asker::of(caller)
    };
    if let Some(key) = sent.for_provider(provider)
        && asker.policy != provider_keys::Policy::Forbidden
    {
        match place::of(upstream, None, false, custom_hosts) {
            place::Place::None => {}
            place::Place::Refused => return Err(pinned(upstream, &Payer::Sent(key.clone()))),
            place::Place::Deployment | place::Place::Own => {
                return Ok(vec![Some(Payer::Sent(key.clone()))]);
            }
        }
    }
    let refused = std::cell::Cell::new(None);
    let usable = |owner: Owner<'_>| {
        let mut usable = keys.of(owner, provider);
        usable.retain(|key| {
            let is_system = owner == Owner::System;
            let place = place::of(upstream, key.base_url.as_deref(), is_system, custom_hosts);
            if !key.pays_for(&chosen.model) || place == place::Place::None {
                return false;
            }
            if place == place::Place::Refused {
                refused.set(Some(Arc::clone(key)));
            }
            place != place::Place::Refused
        });
        // one that is known to be rejected is asked only where there is no other
        usable.sort_by_key(|key| key.state() == provider_keys::State::Rejected);
        usable
    };
    let payers = choose::choose(&asker, usable);
    if let Some(key) = refused.take()
        && !payers
            .as_ref()
            .is_ok_and(|payers| payers.first().is_some_and(Option::is_some))
    {
        return Err(pinned(upstream, &Payer::Stored(key)));
    }
    match payers {
        Ok(payers) => Ok(payers
            .into_iter()
            .map(|payer| payer.map(Payer::Stored))
            .collect()),
        Err(lack) => Err(lacking(provider, lack)),
    }
}

/// What the deployment itself can pay with.
fn own(upstream: &Upstream) -> Own {
    match (upstream.credential.is_none(), upstream.own) {
        (true, _) if upstream.provider.needs_key => Own::None,
        (_, PaidBy::Environment) => Own::Environment,
        _ => Own::Stated,
    }
}

fn paid(domain: &Domain, chosen: &Chosen, payer: Option<Payer>) -> Chosen {
    let mut chosen = chosen.clone();
    let Some(payer) = payer else {
        return chosen;
    };
    if payer.paid_by().is_callers() {
        // what an operator charges for a model is not what its provider charges somebody else
        chosen.price = domain.models.now().list_price(&chosen);
    }
    chosen.payer = Some(Arc::new(payer));
    chosen
}

/// A key in words, as its owner knows it.
fn whose(payer: &Payer) -> String {
    let key = match payer {
        Payer::Sent(_) => return "the key that you sent with the call".to_owned(),
        Payer::Stored(key) => key,
    };
    let whose = match key.owner() {
        Owner::User(_) => "your personal key".to_owned(),
        Owner::Team(id) => format!("the key of the team {id}"),
        Owner::Organization(id) => format!("the key of the organization {id}"),
        Owner::System => "the gateway's key".to_owned(),
    };
    let end = match key.last4.as_str() {
        "" => String::new(),
        last4 => format!(" that ends in {last4}"),
    };
    format!("{whose} '{}'{end}", key.name)
}

/// What whoever reads it can do.
fn remedy(payer: &Payer) -> &'static str {
    let Payer::Stored(key) = payer else {
        return "send another, or none";
    };
    match key.owner() {
        Owner::User(_) => "replace it, test it or remove it in Profile, API Configuration",
        Owner::Team(_) => "an administrator of the team can replace or remove it",
        Owner::Organization(_) => "an administrator of the organization can replace or remove it",
        Owner::System => "an administrator can replace or remove it",
    }
}

fn details(chosen: &Chosen, upstream: &Upstream) -> serde_json::Value {
    serde_json::json!({
        "provider": upstream.provider.name,
        "paid_by": chosen.paid_by().map(PaidBy::as_str),
        "provider_key_id": chosen.provider_key().map(|key| key.id.as_str()),
    })
}

/// A key that does not open: nobody else pays for that.
fn unusable(chosen: &Chosen, provider: &Provider, source: Error) -> Error {
    let payer = chosen.payer.as_deref();
    let (whose, remedy) =
        payer.map_or_else(Default::default, |payer| (whose(payer), remedy(payer)));
    Error::new(
        Code::ProviderKeyUnusable,
        format!(
            "{whose} of {} cannot be used: it does not open; {remedy}",
            provider.title
        ),
    )
    .caused_by(source)
}

/// A key that may not go where an operator sends the calls of its provider.
fn pinned(upstream: &Upstream, payer: &Payer) -> Error {
    Error::new(
        Code::ProviderKeyUnusable,
        format!(
            "{} goes to {} itself alone, and this gateway sends such calls to {}; an administrator can \
             allow that with TOLLGATE_BYOK_CUSTOM_HOSTS=allow, or you do without the key",
            whose(payer),
            upstream.provider.title,
            upstream.api_base,
        ),
    )
}

fn lacking(provider: &Provider, lack: Lack) -> Error {
    let title = provider.title;
    let message = match lack {
        Lack::Personal => format!(
            "this gateway asks for your own key of {title}: store one in Profile, API Configuration"
        ),
        Lack::Any => format!(
            "no API key is configured for {title}; store your own in Profile, API Configuration, or an \
             administrator can set one on the model, among the gateway's keys, or in the environment \
             as {}",
            provider.key_variables.first().unwrap_or(&"api_key"),
        ),
    };
    let error = Error::new(Code::ProviderKeyMissing, message);
    match lack {
        Lack::Personal => error.with_status(400),
        Lack::Any => error,
    }
}
