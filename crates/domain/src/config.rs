//! What the rules are told at start: identities, defaults and caps, most of them from the sections
//! `general_settings` and `litellm_settings` of a LiteLLM file (contract §22).

use std::time::Duration;

use base::{Money, Secret};
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use crate::addresses::Networks;
use crate::definition::Configured;
use crate::federation::FederationConfig;
use crate::mail::MailConfig;
use crate::periods::Period;
use crate::provider_keys::Policies;
use crate::requests::RequestConfig;

/// Settings of the rules. [`Config::new`] gives the defaults of contract §21–22.
#[derive(Clone, Debug)]
pub struct Config {
    /// The administrator's key. Compared in constant time, never stored.
    pub master_key: Secret,
    /// Who the master key acts as.
    pub admin_user_id: String,
    /// The zone that budgets are reset in.
    pub zone: TimeZone,
    /// What a used-up budget answers (contract §5.4).
    pub budget_exceeded_status: u16,
    /// A header that carries the key and is read before all others.
    pub key_header: Option<String>,
    /// Whether custom plain-text keys may be given to `/key/generate`.
    pub custom_keys: bool,
    /// Users may only make keys in teams.
    pub personal_keys_disabled: bool,
    /// A user's own budget also counts for their keys in teams (contract §5.8).
    pub user_budget_on_team_keys: bool,
    /// The budget of everything that runs through the gateway, and its period.
    pub gateway_budget: Option<(Money, Option<String>)>,
    /// `litellm_settings.default_key_generate_params`
    pub default_key_params: Map<String, Value>,
    /// `litellm_settings.upperbound_key_generate_params`
    pub upperbound_key_params: Map<String, Value>,
    /// `litellm_settings.key_generation_settings`
    pub key_generation: Map<String, Value>,
    /// `litellm_settings.default_internal_user_params`
    pub default_user_params: Map<String, Value>,
    /// What users with the role of an internal user may spend, and the period, where nothing else is
    /// said (`max_internal_user_budget`, `internal_user_budget_duration`).
    pub internal_user_budget: (Option<Money>, Option<String>),
    /// `litellm_settings.upperbound_team_params`
    pub upperbound_team_params: Map<String, Value>,
    /// `litellm_settings.default_team_params`
    pub default_team_params: Map<String, Value>,
    /// LLM calls need a `user` (`general_settings.enforce_user_param`).
    pub user_param_required: bool,
    /// What a provider of another protocol does not know is left out of a request instead of refusing
    /// it (`litellm_settings.drop_params`).
    pub drop_params: bool,
    /// Proxies that say in `X-Forwarded-For` for whom they connect.
    pub trusted_proxies: Networks,
    pub payers: PayerConfig,
    /// How long a key still works once it is due to be replaced, where the key itself does not say.
    pub rotation_grace_period: Period,
    /// Aliases of keys have a form (`enable_key_alias_format_validation`).
    pub key_aliases_have_form: bool,
    /// From where keys and sessions are used; none: from everywhere.
    pub allowed_networks: Networks,
    /// What the configuration takes away from the table of permissions, or opens in it.
    pub routes: crate::permissions::Overrides,
    /// `GET /metrics` needs a key.
    pub metrics_need_key: bool,
    pub sign_in: SignInConfig,
    pub federation: FederationConfig,
    /// How mail is sent; `None`: not at all.
    pub mail: Option<MailConfig>,
    pub requests: RequestConfig,
    /// Whether people may pay with their own keys at a provider, where administrators have not said so
    /// since (`general_settings.provider_key_policies`).
    pub provider_key_policies: Policies,
    /// Models of the configuration file, and what the environment says of providers.
    pub models: Configured,
}

impl Config {
    pub fn new(master_key: Secret) -> Config {
        Config {
            master_key,
            admin_user_id: "default_user_id".to_owned(),
            zone: TimeZone::UTC,
            budget_exceeded_status: 422,
            key_header: None,
            custom_keys: true,
            personal_keys_disabled: false,
            user_budget_on_team_keys: false,
            gateway_budget: None,
            default_key_params: Map::new(),
            upperbound_key_params: Map::new(),
            key_generation: Map::new(),
            default_user_params: Map::new(),
            internal_user_budget: (None, None),
            upperbound_team_params: Map::new(),
            default_team_params: Map::new(),
            user_param_required: false,
            drop_params: false,
            trusted_proxies: Networks::default(),
            payers: PayerConfig::default(),
            rotation_grace_period: Period::Days(7),
            key_aliases_have_form: false,
            allowed_networks: Networks::default(),
            routes: crate::permissions::Overrides::default(),
            metrics_need_key: true,
            sign_in: SignInConfig::default(),
            federation: FederationConfig::default(),
            mail: None,
            requests: RequestConfig::default(),
            provider_key_policies: Policies::new(),
            models: Configured::default(),
        }
    }
}

/// Where provider keys go that are not the operator's, and where they may come from.
#[derive(Clone, Debug, Default)]
pub struct PayerConfig {
    /// Networks beside the open internet in which a provider key's own host may stand
    /// (`tollgate_settings.provider_key_networks`).
    pub networks: Networks,
    /// Whether they are sent to the host that the operator has put in place of a provider's
    /// (`TOLLGATE_BYOK_CUSTOM_HOSTS=allow`).
    pub custom_hosts: bool,
    /// Clients may send a provider's key along with ours
    /// (`general_settings.forward_llm_provider_auth_headers`).
    pub from_headers: bool,
}

/// How people sign in, and where they are sent.
#[derive(Clone, Debug)]
pub struct SignInConfig {
    /// The address that people reach the gateway at, without a slash at its end (`PROXY_BASE_URL`).
    pub public_url: Option<String>,
    /// The prefix of all paths, such as `/llm` (`SERVER_ROOT_PATH`); empty for none.
    pub root_path: String,
    /// Where somebody goes after signing out (`PROXY_LOGOUT_URL`).
    pub logout_url: Option<String>,
    /// The name of the administrator of the configuration (`UI_USERNAME`).
    pub admin_name: String,
    /// Their password (`UI_PASSWORD`); `None`: the master key.
    pub admin_password: Option<Secret>,
    /// How long a session lasts, whatever is done meanwhile.
    pub session_life: Duration,
    /// How long a session lasts that nobody uses.
    pub session_idle: Duration,
    /// The fewest letters of a password.
    pub shortest_password: usize,
    /// Only administrators sign in (`general_settings.ui_access_mode: admin_only`).
    pub administrators_only: bool,
}

impl Default for SignInConfig {
    fn default() -> SignInConfig {
        const HOUR: Duration = Duration::from_secs(60 * 60);
        SignInConfig {
            public_url: None,
            root_path: String::new(),
            logout_url: None,
            admin_name: "admin".to_owned(),
            admin_password: None,
            session_life: 24 * HOUR,
            session_idle: 8 * HOUR,
            shortest_password: 12,
            administrators_only: false,
        }
    }
}

impl SignInConfig {
    /// The address of a path of ours: whole where the public address is configured, and below the
    /// prefix.
    pub fn link(&self, path: &str) -> String {
        let Some(base) = &self.public_url else {
            return format!("{}{path}", self.root_path);
        };
        // people write the prefix into the public address, or do not
        match base.ends_with(&self.root_path) {
            true => format!("{base}{path}"),
            false => format!("{base}{}{path}", self.root_path),
        }
    }

    /// Whether cookies may only travel over TLS.
    pub fn is_secure(&self) -> bool {
        let url = self.public_url.as_deref();
        url.is_some_and(|url| url.starts_with("https://"))
    }
}
