//! Identity providers: read from the environment (contract §15) and the file.

use anyhow::{Context as _, Result, bail};
use base::Secret;
use domain::Role;
use domain::config::SignInConfig;
use domain::federation::config::{Attributes, Endpoints, JwtConfig, RoleMappings};
use domain::federation::{FederationConfig, Kind, Provider};

use crate::environment::Environment;
use crate::litellm_config::Settings;
use crate::section::{Notes, read_boolean};

/// Which variables say that a provider is used: the first that is set wins.
const PROVIDERS: [(&str, Kind); 5] = [
    ("GOOGLE_CLIENT_ID", Kind::Google),
    ("MICROSOFT_CLIENT_ID", Kind::Microsoft),
    ("OKTA_CLIENT_ID", Kind::Okta),
    ("GITHUB_CLIENT_ID", Kind::GitHub),
    ("GENERIC_CLIENT_ID", Kind::Generic),
];
const SCOPE: &str = "openid email profile";

/// The settings of identity providers.
///
/// # Errors
/// A value that makes no sense. What is missing stops nothing: people sign in with passwords.
pub fn federation(
    environment: &Environment,
    settings: &mut Settings,
    sign_in: &SignInConfig,
    notes: &mut Notes,
) -> Result<FederationConfig> {
    let reader = Reader { environment };
    let mut missing = Vec::new();
    let provider = reader.provider(&mut missing)?;
    if let Some(provider) = &provider {
        if sign_in.public_url.is_none() {
            missing.push("PUBLIC_URL".to_owned());
        }
        if !missing.is_empty() {
            notes.warnings.push(format!(
                "signing in with {} does not work: these settings are missing: {}",
                provider.kind.title(),
                missing.join(", ")
            ));
        }
        warn_unprotected(provider, notes);
    }
    let domains = reader.text("ALLOWED_EMAIL_DOMAINS").unwrap_or_default();
    let domains = domains.split(',').map(|domain| {
        let domain = domain.trim().to_lowercase();
        domain.trim_start_matches('@').to_owned()
    });
    let auto = reader.flag("AUTO_REDIRECT_UI_LOGIN_TO_SSO")?;
    Ok(FederationConfig {
        provider,
        missing,
        allowed_domains: domains.filter(|domain| !domain.is_empty()).collect(),
        admin_subject: reader.text("PROXY_ADMIN_ID"),
        auto_redirect: auto.or(settings.auto_redirect).unwrap_or(false),
        team_claim: settings.sso_team_claim.take(),
        upserts_teams: settings.makes_teams,
        required_group: settings.required_group.take(),
        jwt: jwt(&reader, settings)?,
    })
}

fn warn_unprotected(provider: &Provider, notes: &mut Notes) {
    let endpoints = &provider.endpoints;
    let all = [
        &provider.issuer,
        &endpoints.authorization,
        &endpoints.token,
        &endpoints.userinfo,
        &endpoints.key_set,
    ];
    for address in all.into_iter().flatten() {
        if !address.starts_with("https://") {
            notes.warnings.push(format!(
                "THE IDENTITY PROVIDER IS NOT PROTECTED BY TLS at {address}: whoever is on the way \
                 there can sign in as anybody"
            ));
        }
    }
}

struct Reader<'a> {
    environment: &'a Environment,
}

impl Reader<'_> {
    fn text(&self, name: &str) -> Option<String> {
        let text = self.environment.get(name)?.trim().to_owned();
        Some(text).filter(|text| !text.is_empty())
    }

    fn secret(&self, name: &str) -> Option<Secret> {
        self.text(name).map(Secret::new)
    }

    fn flag(&self, name: &str) -> Result<Option<bool>> {
        match self.environment.get(name) {
            None => Ok(None),
            Some(text) => match read_boolean(text) {
                Some(value) => Ok(Some(value)),
                None => bail!("{name} must be True or False, not {text:?}"),
            },
        }
    }

    fn address(&self, name: &str) -> Result<Option<String>> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let url = url::Url::parse(&text).ok();
        let is_one = url.is_some_and(|url| {
            matches!(url.scheme(), "http" | "https") && url.has_host() && url.username().is_empty()
        });
        match is_one {
            true => Ok(Some(text)),
            false => {
                bail!("{name} must be an address such as https://id.example.com, not {text:?}")
            }
        }
    }

    fn provider(&self, missing: &mut Vec<String>) -> Result<Option<Provider>> {
        let set = PROVIDERS
            .into_iter()
            .find_map(|(name, kind)| Some((kind, self.text(name)?)));
        let Some((kind, client_id)) = set else {
            return Ok(None);
        };
        let mut provider = Provider {
            kind,
            client_id,
            client_secret: None,
            issuer: None,
            endpoints: Endpoints::default(),
            scope: SCOPE.to_owned(),
            attributes: Attributes::default(),
            include_client_id: false,
            trusts_email: self.flag("SSO_TRUST_EMAIL")?.unwrap_or(false),
            roles: None,
        };
        match kind {
            Kind::Google => {
                provider.issuer = Some("https://accounts.google.com".to_owned());
                provider.client_secret = self.needed("GOOGLE_CLIENT_SECRET", missing);
            }
            Kind::Microsoft => self.microsoft(&mut provider, missing)?,
            Kind::Okta => {
                provider.issuer = self.address("OKTA_ISSUER")?;
                provider.client_secret = self.needed("OKTA_CLIENT_SECRET", missing);
                if provider.issuer.is_none() {
                    missing.push("OKTA_ISSUER".to_owned());
                }
            }
            Kind::GitHub => self.github(&mut provider, missing)?,
            Kind::Generic => self.generic(&mut provider, missing)?,
        }
        // whichever provider it is
        if provider.roles.is_none() {
            provider.roles = self.role_mappings()?;
        }
        Ok(Some(provider))
    }

    fn needed(&self, name: &str, missing: &mut Vec<String>) -> Option<Secret> {
        let secret = self.secret(name);
        if secret.is_none() {
            missing.push(name.to_owned());
        }
        secret
    }

    fn microsoft(&self, provider: &mut Provider, missing: &mut Vec<String>) -> Result<()> {
        provider.client_secret = self.needed("MICROSOFT_CLIENT_SECRET", missing);
        let Some(tenant) = self.text("MICROSOFT_TENANT") else {
            missing.push("MICROSOFT_TENANT".to_owned());
            return Ok(());
        };
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        if !tenant.bytes().all(is_plain) {
            bail!("MICROSOFT_TENANT must be the id or the domain of a tenant, not {tenant:?}");
        }
        // in a directory of one's own, addresses are given by its administrators; in that of
        // others anybody can be called anything
        let is_own = !["common", "organizations", "consumers"].contains(&tenant.as_str());
        provider.trusts_email |= is_own;
        provider.issuer = Some(format!("https://login.microsoftonline.com/{tenant}/v2.0"));
        provider.endpoints.authorization = self.address("MICROSOFT_AUTHORIZATION_ENDPOINT")?;
        provider.endpoints.token = self.address("MICROSOFT_TOKEN_ENDPOINT")?;
        provider.endpoints.userinfo = self.address("MICROSOFT_USERINFO_ENDPOINT")?;
        self.attributes("MICROSOFT", &mut provider.attributes);
        Ok(())
    }

    fn github(&self, provider: &mut Provider, missing: &mut Vec<String>) -> Result<()> {
        provider.client_secret = self.needed("GITHUB_CLIENT_SECRET", missing);
        let site = self.address("GITHUB_SSO_URL")?;
        let site = site.as_deref().unwrap_or("https://github.com");
        let site = site.trim_end_matches('/').to_owned();
        let api = self.address("GITHUB_SSO_API_URL")?;
        let api = api.as_deref().unwrap_or("https://api.github.com");
        provider.endpoints = Endpoints {
            authorization: Some(format!("{site}/login/oauth/authorize")),
            token: Some(format!("{site}/login/oauth/access_token")),
            userinfo: Some(format!("{}/user", api.trim_end_matches('/'))),
            key_set: None,
        };
        provider.scope = "read:user user:email".to_owned();
        Ok(())
    }

    fn generic(&self, provider: &mut Provider, missing: &mut Vec<String>) -> Result<()> {
        provider.client_secret = self.secret("GENERIC_CLIENT_SECRET");
        provider.issuer = self.address("GENERIC_ISSUER")?;
        provider.endpoints = Endpoints {
            authorization: self.address("GENERIC_AUTHORIZATION_ENDPOINT")?,
            token: self.address("GENERIC_TOKEN_ENDPOINT")?,
            userinfo: self.address("GENERIC_USERINFO_ENDPOINT")?,
            key_set: self.address("GENERIC_JWKS_URL")?,
        };
        if let Some(scope) = self.text("GENERIC_SCOPE") {
            provider.scope = scope;
        }
        provider.include_client_id = self.flag("GENERIC_INCLUDE_CLIENT_ID")?.unwrap_or(false);
        self.attributes("GENERIC", &mut provider.attributes);
        if provider.issuer.is_none() {
            let endpoints = &provider.endpoints;
            for (endpoint, name) in [
                (&endpoints.authorization, "GENERIC_AUTHORIZATION_ENDPOINT"),
                (&endpoints.token, "GENERIC_TOKEN_ENDPOINT"),
                (&endpoints.userinfo, "GENERIC_USERINFO_ENDPOINT"),
            ] {
                if endpoint.is_none() {
                    missing.push(name.to_owned());
                }
            }
        }
        Ok(())
    }

    fn attributes(&self, prefix: &str, attributes: &mut Attributes) {
        let named = |name: &str| self.text(&format!("{prefix}_USER_{name}_ATTRIBUTE"));
        let put = |place: &mut String, name: &str| {
            if let Some(claim) = named(name) {
                *place = claim;
            }
        };
        put(&mut attributes.id, "ID");
        put(&mut attributes.email, "EMAIL");
        put(&mut attributes.first_name, "FIRST_NAME");
        put(&mut attributes.last_name, "LAST_NAME");
        put(&mut attributes.role, "ROLE");
        attributes.display_name = named("DISPLAY_NAME");
    }

    fn role_mappings(&self) -> Result<Option<RoleMappings>> {
        const ROLES: &str = "GENERIC_ROLE_MAPPINGS_ROLES";
        const DEFAULT: &str = "GENERIC_ROLE_MAPPINGS_DEFAULT_ROLE";
        let Some(claim) = self.text("GENERIC_ROLE_MAPPINGS_GROUP_CLAIM") else {
            return Ok(None);
        };
        let role = |name: &str, variable: &str| {
            Role::parse(name).with_context(|| {
                let known = Role::ALL.map(Role::as_str).join(", ");
                format!("{variable} names the role {name:?}; roles are {known}")
            })
        };
        let text = self.text(ROLES).unwrap_or_else(|| "{}".to_owned());
        let mapped: std::collections::BTreeMap<String, Vec<String>> = serde_json::from_str(&text)
            .with_context(|| {
            format!("{ROLES} must be JSON such as {{\"proxy_admin\": [\"ops\"]}}")
        })?;
        let mut groups = Vec::new();
        for (name, names) in mapped {
            groups.push((role(&name, ROLES)?, names));
        }
        let default = self.text(DEFAULT).map(|name| role(&name, DEFAULT));
        Ok(Some(RoleMappings {
            claim,
            groups,
            default: default.transpose()?,
        }))
    }
}

/// Tokens on the inference path; `None` unless they are switched on.
fn jwt(reader: &Reader<'_>, settings: &mut Settings) -> Result<Option<JwtConfig>> {
    let Some(mut jwt) = settings.jwt.take() else {
        return Ok(None);
    };
    let several = |name: &str| {
        let text = reader.text(name).unwrap_or_default();
        let items = text.split(',').map(|item| item.trim().to_owned());
        items.filter(|item| !item.is_empty()).collect::<Vec<_>>()
    };
    jwt.key_sets = several("JWT_PUBLIC_KEY_URL");
    jwt.audiences = several("JWT_AUDIENCE");
    jwt.issuer = reader.text("JWT_ISSUER");
    if jwt.key_sets.is_empty() {
        bail!(
            "general_settings.enable_jwt_auth is set and JWT_PUBLIC_KEY_URL is not: tokens are \
             checked with the keys that the identity provider publishes there"
        );
    }
    if jwt.audiences.is_empty() {
        bail!(
            "general_settings.enable_jwt_auth is set and JWT_AUDIENCE is not: without it, tokens \
             that the identity provider gave to other services would be accepted here"
        );
    }
    Ok(Some(jwt))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<FederationConfig> {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment = pairs.iter().map(pair).collect();
        let sign_in = SignInConfig {
            public_url: Some("https://llm.example".to_owned()),
            ..SignInConfig::default()
        };
        let mut settings = Settings::default();
        federation(&environment, &mut settings, &sign_in, &mut Notes::default())
    }

    #[test]
    fn the_first_provider_that_is_set_wins_and_knows_where_it_is() {
        let config = read(&[
            ("GENERIC_CLIENT_ID", "g"),
            ("GOOGLE_CLIENT_ID", "a"),
            ("GOOGLE_CLIENT_SECRET", "b"),
        ])
        .unwrap();
        let provider = config.usable().unwrap();
        assert_eq!(provider.kind, Kind::Google);
        assert_eq!(
            provider.issuer.as_deref(),
            Some("https://accounts.google.com")
        );
        assert!(!provider.trusts_email);
    }

    #[test]
    fn only_a_tenant_of_ones_own_vouches_for_addresses() {
        for (tenant, trusts) in [("11111111-2222", true), ("common", false)] {
            let config = read(&[
                ("MICROSOFT_CLIENT_ID", "a"),
                ("MICROSOFT_CLIENT_SECRET", "b"),
                ("MICROSOFT_TENANT", tenant),
            ]);
            assert_eq!(config.unwrap().usable().unwrap().trusts_email, trusts);
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let config = read(&[("OKTA_CLIENT_ID", "a")]).unwrap();
        assert_eq!(config.missing, ["OKTA_CLIENT_SECRET", "OKTA_ISSUER"]);
        assert!(config.usable().is_none());
        let config = read(&[("GENERIC_CLIENT_ID", "a")]).unwrap();
        assert_eq!(config.missing.len(), 3);
    }

    #[test]
    fn wrong_values_are_refused_by_name() {
        for pair in [
            ("GENERIC_ISSUER", "id.example"),
            ("GENERIC_TOKEN_ENDPOINT", "javascript:x"),
            ("GENERIC_INCLUDE_CLIENT_ID", "maybe"),
            ("SSO_TRUST_EMAIL", "perhaps"),
        ] {
            let error = read(&[("GENERIC_CLIENT_ID", "a"), pair]).unwrap_err();
            assert!(error.to_string().contains(pair.0), "{error}");
        }
        let claim = ("GENERIC_ROLE_MAPPINGS_GROUP_CLAIM", "groups");
        let roles = ("GENERIC_ROLE_MAPPINGS_ROLES", "{\"boss\": [\"x\"]}");
        let error = read(&[("GENERIC_CLIENT_ID", "a"), claim, roles]).unwrap_err();
        assert!(error.to_string().contains("boss"), "{error}");
    }
}
