//! Configuration files in LiteLLM's format (contract §22).
//!
//! What we act on is read and checked; what LiteLLM knows and we do not act on is noted quietly;
//! everything else is warned about with its line. A wrong value stops the start.

mod known;
mod models;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::{Money, Secret};
use domain::addresses::Networks;
use domain::definition::{Definition, Object, Variables};
use domain::federation::config::JwtConfig;
use domain::periods::Period;
use domain::permissions::Overrides;
use domain::provider_keys::{Policies, Policy, provider_named};
use jiff::tz::TimeZone;

use crate::config::provider_variables;
use crate::environment::Environment;
use crate::section::{Notes, Section};
use crate::yaml::{self, Entry, Node, Place, Problem, Value};

/// What a file states; `None` where it says nothing.
#[derive(Default)]
pub struct Settings {
    pub master_key: Option<Secret>,
    pub database_url: Option<Secret>,
    pub key_header: Option<String>,
    /// `admin_only_routes`, `public_routes` and `allowed_routes` of `general_settings`
    pub routes: Overrides,
    pub user_param_required: Option<bool>,
    pub drop_params: Option<bool>,
    pub user_budget_on_team_keys: Option<bool>,
    /// `general_settings.forward_llm_provider_auth_headers`
    pub keys_from_headers: Option<bool>,
    pub custom_keys_disabled: Option<bool>,
    /// Bytes of a request's body on the data plane.
    pub max_request_bytes: Option<u64>,
    pub max_budget: Option<Money>,
    pub budget_duration: Option<String>,
    pub budget_exceeded_status: Option<u16>,
    pub zone: Option<TimeZone>,
    pub default_key_params: Object,
    pub upperbound_key_params: Object,
    pub key_generation: Object,
    pub personal_keys_disabled: Option<bool>,
    pub key_aliases_have_form: Option<bool>,
    pub default_user_params: Object,
    pub default_team_params: Object,
    pub upperbound_team_params: Object,
    /// `general_settings.allowed_ips`
    pub allowed_networks: Networks,
    /// `team_id_upsert` of `general_settings.litellm_jwtauth`
    pub makes_teams: bool,
    pub internal_user_budget: (Option<Money>, Option<String>),
    pub json_logs: Option<bool>,
    pub verbose: Option<bool>,
    pub metrics_need_key: Option<bool>,
    /// How long the first byte of an answer may take, where a deployment does not say.
    pub request_timeout: Option<Duration>,
    pub models: Vec<Definition>,
    /// Public names that mean another one (`model_group_alias`).
    pub aliases: BTreeMap<String, String>,
    /// `general_settings.ui_access_mode: admin_only`
    pub administrators_only: bool,
    /// `general_settings.auto_redirect_ui_login_to_sso`
    pub auto_redirect: Option<bool>,
    /// The claim that names teams of who signs in.
    pub sso_team_claim: Option<String>,
    /// A claim and the group that it must name (`ui_access_mode: {type: restricted_sso_group}`).
    pub required_group: Option<(String, String)>,
    /// Tokens on the inference path, where they are switched on.
    pub jwt: Option<JwtConfig>,
    pub server: Server,
}

/// The section `tollgate_settings`, which LiteLLM does not have.
#[derive(Default)]
pub struct Server {
    pub listen: Vec<String>,
    pub header_timeout: Option<Duration>,
    pub shutdown_timeout: Option<Duration>,
    /// How long nobody may say anything in a session over WebSocket.
    pub session_idle_timeout: Option<Duration>,
    /// How long somebody stays signed in, at the most and without doing anything.
    pub session_life: Option<Duration>,
    pub session_idle: Option<Duration>,
    pub shortest_password: Option<u64>,
    /// What a team's administrators may grant one person in a month, and what nobody is asked about.
    pub request_team_admin_limit: Option<Money>,
    pub request_automatic_limit: Option<Money>,
    /// How long a grant lasts if nobody says, and a request waits.
    pub request_grant_time: Option<Duration>,
    pub request_waiting_time: Option<Duration>,
    pub max_connections: Option<u64>,
    pub max_header_bytes: Option<u64>,
    pub max_management_bytes: Option<u64>,
    pub trusted_proxies: Networks,
    /// Where the own host of somebody's provider key may stand, beside the open internet.
    pub provider_key_networks: Networks,
    /// How long a key still works once it is due to be replaced.
    pub rotation_grace_period: Option<Period>,
    /// Where people may pay with their own keys, must, or may not.
    pub provider_key_policies: Policies,
}

/// Reads a file with all that it includes. Variables that the file sets are added to the environment
/// where it does not set them itself.
///
/// # Errors
/// What stops a start: a file that cannot be read, text that is no YAML, a wrong value.
pub fn read(
    path: &Path,
    environment: &mut Environment,
    notes: &mut Notes,
) -> Result<Settings, Problem> {
    let mut root = load(path)?;
    include(path, &mut root)?;
    set_variables(&root, environment)?;
    resolve(&mut root, environment, notes);
    settings(&root, &provider_variables(environment), notes)
}

fn load(path: &Path) -> Result<Node, Problem> {
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => yaml::parse(&name, &text),
        Err(error) => Err(Problem {
            place: Place {
                file: name.into(),
                line: 1,
            },
            message: format!("the configuration file cannot be read: {error}"),
        }),
    }
}

/// Merges the files of `include`, which are relative to the file that names them.
fn include(path: &Path, root: &mut Node) -> Result<(), Problem> {
    let section = Section::new("", root)?;
    let mut files: Vec<(PathBuf, Node)> = Vec::new();
    for node in section.list("include")? {
        let Value::Text(name) = &node.value else {
            return Err(node.problem(format!(
                "include must be a list of files, not {}",
                node.kind()
            )));
        };
        let file = path.parent().unwrap_or(Path::new("")).join(name);
        if !file.is_file() {
            return Err(node.problem(format!("included file {} does not exist", file.display())));
        }
        files.push((file.clone(), load(&file)?));
    }
    for (file, node) in files {
        let nested = Section::new("", &node)?;
        if let Some(own) = nested.node("include") {
            return Err(own.problem(format!(
                "{} is itself included, so it cannot include",
                file.display()
            )));
        }
        merge(root, node);
    }
    Ok(())
}

/// Adds what an included file has: lists grow, sections are merged, the including file wins.
fn merge(into: &mut Node, from: Node) {
    match (&mut into.value, from.value) {
        (Value::Map(entries), Value::Map(added)) => {
            for entry in added {
                match entries.iter_mut().find(|own| own.name == entry.name) {
                    Some(own) => merge(&mut own.node, entry.node),
                    None => entries.push(entry),
                }
            }
        }
        (Value::List(nodes), Value::List(added)) => nodes.extend(added),
        (value @ Value::Null, added) => *value = added,
        _ => {}
    }
}

fn set_variables(root: &Node, environment: &mut Environment) -> Result<(), Problem> {
    let section = Section::new("", root)?.section("environment_variables")?;
    for Entry { name, node, .. } in section.entries() {
        match &node.value {
            Value::Null => {}
            Value::Text(text) => environment.fill(name, text.clone()),
            Value::Number(number) => environment.fill(name, number.to_string()),
            Value::Bool(value) => environment.fill(name, value.to_string()),
            Value::List(_) | Value::Map(_) => {
                return Err(node.problem(format!(
                    "environment_variables.{name} must be text, not {}",
                    node.kind()
                )));
            }
        }
    }
    Ok(())
}

/// Puts the variable's value wherever the file says `os.environ/NAME`.
fn resolve(node: &mut Node, environment: &Environment, notes: &mut Notes) {
    match &mut node.value {
        Value::Text(text) => {
            let Some(name) = text.strip_prefix("os.environ/") else {
                return;
            };
            node.value = match environment.get(name) {
                Some(value) => Value::Text(value.to_owned()),
                None => {
                    let message = format!("environment variable {name} is not set");
                    notes.warn(&node.place, &message);
                    Value::Null
                }
            };
        }
        Value::List(nodes) => {
            for node in nodes {
                resolve(node, environment, notes);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                resolve(&mut entry.node, environment, notes);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn settings(root: &Node, variables: &Variables, notes: &mut Notes) -> Result<Settings, Problem> {
    let top = Section::new("", root)?;
    let mut settings = Settings::default();
    general(top.section("general_settings")?, &mut settings, notes)?;
    litellm(top.section("litellm_settings")?, &mut settings, notes)?;
    router(top.section("router_settings")?, &mut settings, notes)?;
    settings.server = server(top.section("tollgate_settings")?, notes)?;
    settings.models = models::read(top.list("model_list")?, variables, notes)?;
    for read in ["include", "environment_variables"] {
        top.node(read);
    }
    top.finish(known::TOP, notes);
    Ok(settings)
}

fn general(
    section: Section<'_>,
    settings: &mut Settings,
    notes: &mut Notes,
) -> Result<(), Problem> {
    settings.master_key = section.secret("master_key")?;
    settings.database_url = section.secret("database_url")?;
    settings.key_header = section.text("litellm_key_header_name")?;
    if let Some(name) = &settings.key_header
        && http::HeaderName::try_from(name).is_err()
    {
        return Err(section.refused("litellm_key_header_name", "the name of a header", name));
    }
    settings.routes = Overrides {
        admin_only: texts(&section, "admin_only_routes")?,
        public: texts(&section, "public_routes")?,
        allowed: texts(&section, "allowed_routes")?,
        ..Overrides::default()
    };
    for entry in domain::permissions::not_public(&settings.routes.public) {
        if let Some(node) = section.node("public_routes") {
            let message = format!(
                "general_settings.public_routes: '{entry}' stays closed: only what belongs to nobody \
                 and costs nothing can be open"
            );
            notes.warn(&node.place, &message);
        }
    }
    settings.allowed_networks = networks(&section, "allowed_ips")?;
    settings.user_param_required = section.boolean("enforce_user_param")?;
    settings.user_budget_on_team_keys = section.boolean("apply_user_budget_to_team_keys")?;
    settings.keys_from_headers = section.boolean("forward_llm_provider_auth_headers")?;
    settings.custom_keys_disabled = section.boolean("disable_custom_api_keys")?;
    settings.personal_keys_disabled = section.boolean("default_team_disabled")?;
    if section.boolean("use_x_forwarded_for")? == Some(true)
        && let Some(node) = section.node("use_x_forwarded_for")
    {
        notes.warn(
            &node.place,
            "general_settings.use_x_forwarded_for believes whoever writes the header: name your \
             proxies in tollgate_settings.trusted_proxies instead",
        );
    }
    settings.max_request_bytes = section
        .integer("max_request_size_mb", 1..=4096)?
        .map(|megabytes| megabytes * 1024 * 1024);
    // models made through the API are always stored, so saying no cannot be followed
    if section.boolean("store_model_in_db")? == Some(false)
        && let Some(node) = section.node("store_model_in_db")
    {
        notes.warn(
            &node.place,
            "general_settings.store_model_in_db is always true here",
        );
    }
    settings.auto_redirect = section.boolean("auto_redirect_ui_login_to_sso")?;
    match section.node("ui_access_mode").map(|node| &node.value) {
        Some(Value::Map(_)) => {
            let mode = section.section("ui_access_mode")?;
            let (group, claim) = (
                mode.text("restricted_sso_group")?,
                mode.text("sso_group_jwt_field")?,
            );
            settings.required_group =
                group.map(|group| (claim.unwrap_or_else(|| "groups".to_owned()), group));
            mode.finish(&["type"], notes);
        }
        Some(Value::Text(mode)) => settings.administrators_only = mode == "admin_only",
        _ => {}
    }
    tokens(&section, settings, notes)?;
    section.finish(known::GENERAL, notes);
    Ok(())
}

/// A list of texts.
fn texts<'a>(section: &Section<'a>, key: &'a str) -> Result<Vec<String>, Problem> {
    let text = |node: &Node| match &node.value {
        Value::Text(text) => Ok(text.clone()),
        _ => Err(node.problem(format!(
            "{key} must be a list of texts, not {}",
            node.kind()
        ))),
    };
    section.list(key)?.iter().map(text).collect()
}

/// `enable_jwt_auth` and `litellm_jwtauth`: tokens of an identity provider in place of keys.
fn tokens(
    section: &Section<'_>,
    settings: &mut Settings,
    notes: &mut Notes,
) -> Result<(), Problem> {
    let is_on = section.boolean("enable_jwt_auth")? == Some(true);
    let fields = section.section("litellm_jwtauth")?;
    settings.sso_team_claim = fields.text("team_ids_jwt_field")?;
    let or = |text: Option<String>, default: &str| text.unwrap_or_else(|| default.to_owned());
    settings.makes_teams = fields.boolean("team_id_upsert")?.unwrap_or(false);
    let jwt = JwtConfig {
        admin_scope: or(fields.text("admin_jwt_scope")?, "litellm_proxy_admin"),
        user_claim: or(fields.text("user_id_jwt_field")?, "sub"),
        email_claim: fields.text("user_email_jwt_field")?,
        email_domain: fields
            .text("user_allowed_email_domain")?
            .map(|domain| domain.trim_start_matches('@').to_lowercase()),
        team_claim: fields.text("team_id_jwt_field")?,
        teams_claim: settings.sso_team_claim.clone(),
        default_team: fields.text("team_id_default")?,
        organization_claim: fields.text("org_id_jwt_field")?,
        roles_claim: fields.text("user_roles_jwt_field")?,
        allowed_roles: texts(&fields, "user_allowed_roles")?,
        admin_routes: texts(&fields, "admin_allowed_routes")?,
        team_routes: texts(&fields, "team_allowed_routes")?,
        upserts_teams: settings.makes_teams,
        upserts_users: fields.boolean("user_id_upsert")?.unwrap_or(false),
        ..JwtConfig::default()
    };
    fields.finish(known::JWT, notes);
    settings.jwt = Some(jwt).filter(|_| is_on);
    Ok(())
}

fn litellm(
    section: Section<'_>,
    settings: &mut Settings,
    notes: &mut Notes,
) -> Result<(), Problem> {
    // LiteLLM's default of 0 means that there is no budget
    settings.max_budget = section
        .money("max_budget")?
        .filter(|amount| *amount > Money::ZERO);
    settings.drop_params = section.boolean("drop_params")?;
    settings.budget_duration = section.text("budget_duration")?;
    if let Some(duration) = &settings.budget_duration
        && domain::periods::Period::parse(duration).is_err()
    {
        return Err(section.refused(
            "budget_duration",
            "a period such as 1d, 7d, 30d or 1mo",
            duration,
        ));
    }
    settings.budget_exceeded_status = section
        .integer("budget_exceeded_status_code", 400..=499)?
        .and_then(|status| u16::try_from(status).ok());
    if let Some(name) = section.text("timezone")? {
        let zone = TimeZone::get(&name);
        settings.zone = Some(zone.map_err(|_| {
            section.refused(
                "timezone",
                "a time zone such as UTC or Europe/Berlin",
                &name,
            )
        })?);
    }
    settings.default_key_params = section.object("default_key_generate_params")?;
    settings.upperbound_key_params = section.object("upperbound_key_generate_params")?;
    settings.key_generation = section.object("key_generation_settings")?;
    settings.default_user_params = section.object("default_internal_user_params")?;
    settings.default_team_params = section.object("default_team_params")?;
    settings.upperbound_team_params = section.object("upperbound_team_params")?;
    check_params(&section, settings)?;
    settings.internal_user_budget = (
        section.money("max_internal_user_budget")?,
        period_text(&section, "internal_user_budget_duration")?,
    );
    settings.key_aliases_have_form = section.boolean("enable_key_alias_format_validation")?;
    settings.json_logs = section.boolean("json_logs")?;
    settings.verbose = section.boolean("set_verbose")?;
    settings.metrics_need_key = section.boolean("require_auth_for_metrics_endpoint")?;
    settings.request_timeout = section.seconds("request_timeout")?;
    section.finish(known::LITELLM, notes);
    Ok(())
}

fn router(section: Section<'_>, settings: &mut Settings, notes: &mut Notes) -> Result<(), Problem> {
    for entry in section.section("model_group_alias")?.entries() {
        let model = match &entry.node.value {
            Value::Text(model) => Some(model.clone()),
            Value::Map(_) => {
                Section::new("router_settings.model_group_alias", &entry.node)?.text("model")?
            }
            _ => None,
        };
        let Some(model) = model else {
            return Err(entry.node.problem(format!(
                "router_settings.model_group_alias.{} must be a model's name, not {}",
                entry.name,
                entry.node.kind()
            )));
        };
        settings.aliases.insert(entry.name.clone(), model);
    }
    if let Some(timeout) = section.seconds("timeout")? {
        settings.request_timeout = Some(timeout);
    }
    section.finish(known::ROUTER, notes);
    Ok(())
}

/// Addresses and networks.
fn networks(section: &Section<'_>, name: &'static str) -> Result<Networks, Problem> {
    let mut all = Vec::new();
    for node in section.list(name)? {
        let Value::Text(text) = &node.value else {
            return Err(node.problem(format!(
                "{name} must be a list of addresses and networks, not {}",
                node.kind()
            )));
        };
        Networks::parse(&[text]).map_err(|error| node.problem(error.message().to_owned()))?;
        all.push(text.as_str());
    }
    Ok(Networks::parse(&all).expect("each of them was read"))
}

/// What would otherwise be noticed by the first user or key that is made.
fn check_params(section: &Section<'_>, settings: &Settings) -> Result<(), Problem> {
    for (name, checked) in [
        (
            "default_internal_user_params",
            domain::users::check_defaults(&settings.default_user_params),
        ),
        (
            "upperbound_key_generate_params",
            domain::keys::check_settings(&settings.upperbound_key_params),
        ),
        (
            "upperbound_team_params",
            domain::keys::check_settings(&settings.upperbound_team_params),
        ),
    ] {
        if let (Err(error), Some(node)) = (checked, section.node(name)) {
            return Err(node.problem(format!("litellm_settings.{name}: {}", error.message())));
        }
    }
    Ok(())
}

/// The same as text, which is read again where it is used.
fn period_text(section: &Section<'_>, name: &'static str) -> Result<Option<String>, Problem> {
    period(section, name)?;
    section.text(name)
}

/// A span of time such as `7d`.
fn period(section: &Section<'_>, name: &'static str) -> Result<Option<Period>, Problem> {
    let Some(text) = section.text(name)? else {
        return Ok(None);
    };
    let period = Period::parse(&text);
    period
        .map(Some)
        .map_err(|_| section.refused(name, "a duration such as 12h, 7d or 1mo", &text))
}

fn server(section: Section<'_>, notes: &mut Notes) -> Result<Server, Problem> {
    const KILOBYTE: u64 = 1024;
    let mut listen = Vec::new();
    for node in section.list("listen")? {
        match &node.value {
            Value::Text(address) => listen.push(address.clone()),
            _ => return Err(node.problem("tollgate_settings.listen must be a list of host:port")),
        }
    }
    let server = Server {
        listen,
        trusted_proxies: networks(&section, "trusted_proxies")?,
        provider_key_networks: networks(&section, "provider_key_networks")?,
        rotation_grace_period: period(&section, "key_rotation_grace_period")?,
        provider_key_policies: policies(&section)?,
        header_timeout: section.seconds("header_timeout")?,
        shutdown_timeout: section.seconds("shutdown_timeout")?,
        session_idle_timeout: section.seconds("session_idle_timeout")?,
        session_life: section.seconds("sign_in_lifetime")?,
        session_idle: section.seconds("sign_in_idle_timeout")?,
        shortest_password: section.integer("password_min_length", 8..=128)?,
        request_team_admin_limit: section.money("request_team_admin_limit")?,
        request_automatic_limit: section.money("request_automatic_limit")?,
        request_grant_time: section.seconds("request_grant_time")?,
        request_waiting_time: section.seconds("request_waiting_time")?,
        max_connections: section.integer("max_connections", 1..=1_000_000)?,
        max_header_bytes: section
            .integer("max_header_kb", 8..=1024)?
            .map(|kilobytes| kilobytes * KILOBYTE),
        max_management_bytes: section
            .integer("max_management_body_kb", 1..=1_048_576)?
            .map(|kilobytes| kilobytes * KILOBYTE),
    };
    section.finish(&[], notes);
    Ok(server)
}

/// Where people may pay with their own keys, by provider.
fn policies(section: &Section<'_>) -> Result<Policies, Problem> {
    let mut policies = Policies::new();
    for entry in section.section("provider_key_policies")?.entries() {
        let policy = match &entry.node.value {
            Value::Text(word) => Policy::parse(word),
            _ => None,
        };
        let provider = provider_named(&entry.name).map_err(|_| {
            let message = format!(
                "tollgate_settings.provider_key_policies: no provider has the name {}",
                entry.name
            );
            entry.node.problem(message)
        })?;
        let policy = policy.ok_or_else(|| {
            let message = format!(
                "tollgate_settings.provider_key_policies.{} must be allowed, required or forbidden",
                entry.name
            );
            entry.node.problem(message)
        })?;
        policies.insert(provider.name, policy);
    }
    Ok(policies)
}
