//! Where a key goes: to its provider's own host, or to the one that was stored with it, and nowhere
//! else. What operators put in a provider's place is the provider to their own keys alone.

use std::sync::Arc;

use base::Result;
use http::HeaderMap;
use llm::provider::{Credential, Endpoint, Site};
use url::Url;

use super::{PaidBy, Payer};
use crate::definition::text;
use crate::deployment::{Chosen, Host, Upstream};
use crate::destinations::Reach;
use crate::provider_keys::Owner;

/// Where a call goes that a key pays at a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Where the deployment's calls go.
    Deployment,
    /// To the host that was stored with the key.
    Own,
    /// The operator has put another host in the provider's place.
    Refused,
    /// The deployment is something else than the key is for.
    None,
}

/// Where a key with a host of its own, or without one, goes for a deployment.
pub(super) fn of(
    upstream: &Upstream,
    base_url: Option<&str>,
    is_system: bool,
    custom_hosts: bool,
) -> Place {
    match (upstream.host, base_url) {
        (Host::Stated, Some(own)) if is_same(own, &upstream.api_base) => Place::Deployment,
        (Host::Stated, _) => Place::None,
        (Host::Provider | Host::Replaced, Some(_)) => Place::Own,
        (Host::Provider, None) => Place::Deployment,
        (Host::Replaced, None) if is_system || custom_hosts => Place::Deployment,
        (Host::Replaced, None) => Place::Refused,
    }
}

/// Whether two addresses are at one host.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    match (Url::parse(one), Url::parse(other)) {
        (Ok(one), Ok(other)) => one.origin().is_tuple() && one.origin() == other.origin(),
        _ => false,
    }
}

/// The deployment as the payer's key asks it. Headers that an operator added stay with the operator's
/// keys, but for those that only choose a version.
pub(super) fn upstream(
    chosen: &Chosen,
    own: &Upstream,
    credential: Credential,
) -> Result<Upstream> {
    let (base_url, is_system) = match chosen.payer.as_deref() {
        Some(Payer::Stored(key)) => (key.base_url.as_deref(), key.owner() == Owner::System),
        Some(Payer::Sent(_)) | None => (None, false),
    };
    // at a server of the operator's the key's own host is the very same
    let base_url = base_url.filter(|_| own.host != Host::Stated);
    let project = match &credential {
        Credential::Google(account) => account.project_id.clone(),
        _ => None,
    };
    let endpoint = match (base_url, &project) {
        (None, None) => Arc::clone(&own.endpoint),
        (api_base, project) => Arc::new(elsewhere(chosen, own, api_base, project.as_deref())?),
    };
    let extra_headers = match (base_url, is_system) {
        (None, true) => own.extra_headers.clone(),
        (None, false) => versions(&own.extra_headers),
        (Some(_), _) => HeaderMap::new(),
    };
    Ok(Upstream {
        provider: own.provider,
        model: own.model.clone(),
        api_base: endpoint.api_base(),
        endpoint,
        credential,
        own: chosen.paid_by().unwrap_or(PaidBy::System),
        host: own.host,
        headers: HeaderMap::new(),
        other_headers: Vec::new(),
        extra_headers,
        reach: match base_url {
            Some(_) if !is_system => Reach::Public,
            _ => own.reach,
        },
        drops_params: own.drops_params,
        first_byte: own.first_byte,
        stream_first_byte: own.stream_first_byte,
    })
}

/// The same model at another host, or in another project.
fn elsewhere(
    chosen: &Chosen,
    own: &Upstream,
    api_base: Option<&str>,
    project: Option<&str>,
) -> Result<Endpoint> {
    let params = &chosen.deployment.params;
    let api_version = text(params, "api_version")?;
    let location = match own.endpoint.region() {
        Some(region) => Some(region.to_owned()),
        None => text(params, "vertex_location")?,
    };
    let site = Site {
        api_base,
        api_version: api_version.as_deref(),
        project,
        region: location.as_deref(),
        model: &chosen.model,
        chats_go_as: None,
    };
    Endpoint::new(own.provider, &site)
}

fn versions(extra: &HeaderMap) -> HeaderMap {
    const NAMES: [&str; 3] = ["anthropic-beta", "anthropic-version", "openai-beta"];
    let kept = extra
        .iter()
        .filter(|(name, _)| NAMES.contains(&name.as_str()));
    kept.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use base::Secret;
    use serde_json::{Value, json};

    use super::*;
    use crate::definition::{Definition, Object, Origin, Variables};
    use crate::deployment::Target;

    fn deployment(params: Value, variables: &[(&str, &str)]) -> Upstream {
        let Value::Object(params) = params else {
            panic!("an object is expected");
        };
        let pairs = variables.iter();
        let variables: Variables = pairs
            .map(|(name, value)| ((*name).to_owned(), Secret::new(*value)))
            .collect();
        let definition = Definition::new("m".to_owned(), params, Object::new(), Origin::File);
        match definition.deployment(&variables).unwrap().target {
            Target::Upstream(upstream) => *upstream,
            other => panic!("an upstream is expected, not {other:?}"),
        }
    }

    const MINE: &str = "https://mine.example/v1";

    #[test]
    fn a_key_goes_to_its_provider_or_to_its_own_host() {
        let provider = deployment(json!({"model": "openai/gpt-4o"}), &[]);
        assert_eq!(of(&provider, None, false, false), Place::Deployment);
        assert_eq!(of(&provider, Some(MINE), false, false), Place::Own);
        let stated = json!({"model": "openai/gpt-4o", "api_base": "https://api.openai.com/v1"});
        let stated = deployment(stated, &[]);
        assert_eq!(of(&stated, None, false, false), Place::Deployment);
    }

    #[test]
    fn a_host_in_the_provider_s_place_is_for_those_whom_the_operator_lets() {
        let variables = [("ANTHROPIC_BASE_URL", "http://egress.internal:8080")];
        let replaced = deployment(json!({"model": "anthropic/claude-x"}), &variables);
        assert_eq!(of(&replaced, None, false, false), Place::Refused);
        assert_eq!(of(&replaced, None, false, true), Place::Deployment);
        assert_eq!(of(&replaced, None, true, false), Place::Deployment);
        assert_eq!(of(&replaced, Some(MINE), false, true), Place::Own);
    }

    #[test]
    fn a_server_of_the_operator_s_gets_nobody_s_key() {
        let server = json!({"model": "openai/llama", "api_base": "http://vllm.internal:8000/v1"});
        let server = deployment(server, &[]);
        for (is_system, custom_hosts) in [(false, false), (false, true), (true, true)] {
            assert_eq!(of(&server, None, is_system, custom_hosts), Place::None);
            assert_eq!(
                of(&server, Some(MINE), is_system, custom_hosts),
                Place::None
            );
        }
        let same = "http://vllm.internal:8000";
        assert_eq!(of(&server, Some(same), false, false), Place::Deployment);
    }
}
