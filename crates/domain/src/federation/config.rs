//! What is configured about identity providers (contract §15, §22).

use base::Secret;

use crate::caller::Role;

/// Everything about identity providers.
#[derive(Clone, Debug, Default)]
pub struct FederationConfig {
    /// Where people sign in; `None`: nowhere but here.
    pub provider: Option<Provider>,
    /// Settings without which the provider cannot be used.
    pub missing: Vec<String>,
    /// Domains of e-mail addresses that may sign in; empty: all.
    pub allowed_domains: Vec<String>,
    /// Who becomes an administrator, by the provider's id of them (`PROXY_ADMIN_ID`).
    pub admin_subject: Option<String>,
    /// The sign-in page leads to the provider at once.
    pub auto_redirect: bool,
    /// The claim that names teams.
    pub team_claim: Option<String>,
    /// Teams that are named and not there are made.
    pub upserts_teams: bool,
    /// A claim, and the group that it must name.
    pub required_group: Option<(String, String)>,
    /// Tokens on the inference path.
    pub jwt: Option<JwtConfig>,
}

impl FederationConfig {
    /// The provider, if it can be used.
    pub fn usable(&self) -> Option<&Provider> {
        self.provider.as_ref().filter(|_| self.missing.is_empty())
    }
}

/// Which provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Google,
    Microsoft,
    Okta,
    /// OAuth 2 without tokens of identity: the user is asked for at its API.
    GitHub,
    Generic,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Google => "google",
            Kind::Microsoft => "microsoft",
            Kind::Okta => "okta",
            Kind::GitHub => "github",
            Kind::Generic => "generic",
        }
    }

    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Kind::Google => "Google",
            Kind::Microsoft => "Microsoft",
            Kind::Okta => "Okta",
            Kind::GitHub => "GitHub",
            Kind::Generic => "Generic",
        }
    }
}

/// An identity provider.
#[derive(Clone, Debug)]
pub struct Provider {
    pub kind: Kind,
    pub client_id: String,
    /// `None` for a public client, which has PKCE alone.
    pub client_secret: Option<Secret>,
    /// Where discovery begins, and what tokens must name as their issuer.
    pub issuer: Option<String>,
    /// Those that are configured; discovery gives the others.
    pub endpoints: Endpoints,
    pub scope: String,
    pub attributes: Attributes,
    /// The client's id also stands in the body of the exchange.
    pub include_client_id: bool,
    /// Every e-mail address of the provider counts as verified.
    pub trusts_email: bool,
    pub roles: Option<RoleMappings>,
}

/// Addresses of a provider.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    pub authorization: Option<String>,
    pub token: Option<String>,
    pub userinfo: Option<String>,
    pub key_set: Option<String>,
}

/// The claims that describe a person.
#[derive(Clone, Debug)]
pub struct Attributes {
    pub id: String,
    pub email: String,
    pub display_name: Option<String>,
    pub first_name: String,
    pub last_name: String,
    pub role: String,
}

impl Default for Attributes {
    fn default() -> Attributes {
        Attributes {
            id: "sub".to_owned(),
            email: "email".to_owned(),
            display_name: None,
            first_name: "given_name".to_owned(),
            last_name: "family_name".to_owned(),
            role: "role".to_owned(),
        }
    }
}

/// Roles by groups.
#[derive(Clone, Debug, Default)]
pub struct RoleMappings {
    pub claim: String,
    pub groups: Vec<(Role, Vec<String>)>,
    /// Of who is in none of them.
    pub default: Option<Role>,
}

impl RoleMappings {
    /// The greatest role that groups give.
    pub fn role(&self, groups: &[String]) -> Option<Role> {
        let gives = |role: Role| {
            let mut mapped = self.groups.iter().filter(|(of, _)| *of == role);
            mapped.any(|(_, names)| names.iter().any(|name| groups.contains(name)))
        };
        let found = Role::ALL.into_iter().find(|role| gives(*role));
        found.or(self.default)
    }
}

/// Tokens of an identity provider in place of keys (`enable_jwt_auth`, `litellm_jwtauth`).
#[derive(Clone, Debug, Default)]
pub struct JwtConfig {
    /// Where the keys are published.
    pub key_sets: Vec<String>,
    pub issuer: Option<String>,
    pub audiences: Vec<String>,
    /// The scope that makes an administrator.
    pub admin_scope: String,
    pub user_claim: String,
    pub email_claim: Option<String>,
    pub email_domain: Option<String>,
    pub team_claim: Option<String>,
    pub teams_claim: Option<String>,
    pub default_team: Option<String>,
    pub organization_claim: Option<String>,
    /// A claim with roles, and which of them may call.
    pub roles_claim: Option<String>,
    pub allowed_roles: Vec<String>,
    /// Unknown users are made.
    pub upserts_users: bool,
    /// Unknown teams are made.
    pub upserts_teams: bool,
    /// The routes of tokens that make an administrator; none: all.
    pub admin_routes: Vec<String>,
    /// The routes of tokens that name a team; none: all.
    pub team_routes: Vec<String>,
}
