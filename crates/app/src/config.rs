//! The configuration of the whole process, put together from the command line, the environment, a
//! file and defaults, in this order of precedence.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use base::Secret;
use domain::definition::{Configured, Variables};
use domain::provider_keys;

use crate::cli::Cli;
use crate::data_folder::{DataFolder, KeptKey};
use crate::environment::Environment;
use crate::litellm_config::{self, Settings};
use crate::section::{Notes, read_boolean};
use crate::{federation, payers, people, serve, telemetry};

/// Everything a start needs to know.
pub struct Config {
    /// Addresses as `host:port`.
    pub listen: Vec<String>,
    pub database: Database,
    /// Whether pending migrations are applied.
    pub migrate: bool,
    /// The newest first.
    pub encryption_keys: Vec<Secret>,
    /// The file of an encryption key that was made just now, because none is configured.
    pub new_encryption_key: Option<PathBuf>,
    /// A master key that was made just now, to be shown once.
    pub new_master_key: Option<KeptKey>,
    /// Identities, defaults and caps, and the configured models.
    pub rules: domain::Config,
    /// Limits of model calls.
    pub calls: proxy::Config,
    pub serve: serve::Config,
    pub logs: telemetry::Config,
    /// What the user should hear about the configuration.
    pub notes: Notes,
}

/// Which database.
#[derive(Clone, Debug)]
pub enum Database {
    /// The embedded one, in this file.
    Sqlite(PathBuf),
    /// A PostgreSQL server, by its URL.
    Postgres(Secret),
}

/// Reads all sources. Makes the data folder, and keys in it where none are configured.
///
/// # Errors
/// A wrong value, with its source and what is allowed; a folder or file that cannot be used.
pub fn load(cli: &Cli, mut environment: Environment) -> Result<Config> {
    let mut notes = Notes::default();
    let file = cli.config.clone().or_else(|| {
        let named = environment.first(&["TOLLGATE_CONFIG", "CONFIG_FILE_PATH"]);
        named.map(|(_, path)| PathBuf::from(path))
    });
    let mut settings = match file {
        Some(path) => litellm_config::read(&path, &mut environment, &mut notes)?,
        None => Settings::default(),
    };
    let data = DataFolder::open(&data_folder(cli, &environment))?;
    let database = database(&environment, &settings, &data)?;
    let (master_key, new_master_key) = master_key(&environment, &settings, &data, &mut notes)?;
    let (encryption_keys, new_encryption_key) = encryption_keys(&environment, &data)?;
    note_unused(&environment, &mut notes);
    note_placeholders(&environment, &mut notes);
    let mut rules = rules(master_key, &environment, &mut settings);
    rules.sign_in = people::sign_in(&environment, &settings)?;
    rules.requests = people::requests(&settings);
    rules.payers = payers::payers(&environment, &mut settings)?;
    rules.mail = people::mail(&environment, &rules.sign_in, &mut notes)?;
    rules.federation =
        federation::federation(&environment, &mut settings, &rules.sign_in, &mut notes)?;
    Ok(Config {
        listen: listen(cli, &environment, &settings)?,
        database,
        migrate: !cli.no_migrate && !is_set(&environment, "DISABLE_SCHEMA_UPDATE"),
        encryption_keys,
        new_encryption_key,
        new_master_key,
        calls: calls(&settings),
        serve: serve(&settings),
        logs: logs(&environment, &settings),
        rules,
        notes,
    })
}

fn is_set(environment: &Environment, name: &str) -> bool {
    environment.get(name).and_then(read_boolean) == Some(true)
}

fn data_folder(cli: &Cli, environment: &Environment) -> PathBuf {
    match (&cli.data_dir, environment.get("TOLLGATE_DATA_DIR")) {
        (Some(path), _) => path.clone(),
        (None, Some(path)) => PathBuf::from(path),
        (None, None) => PathBuf::from("data"),
    }
}

fn listen(cli: &Cli, environment: &Environment, settings: &Settings) -> Result<Vec<String>> {
    let addresses = if !cli.listen.is_empty() {
        cli.listen.clone()
    } else if cli.host.is_none()
        && cli.port.is_none()
        && environment.first(&["HOST", "PORT"]).is_none()
        && !settings.server.listen.is_empty()
    {
        settings.server.listen.clone()
    } else {
        let host = cli
            .host
            .as_deref()
            .or(environment.get("HOST"))
            .unwrap_or("0.0.0.0");
        let port = match (cli.port, environment.get("PORT")) {
            (Some(port), _) => port,
            (None, Some(text)) => text
                .parse()
                .with_context(|| format!("PORT must be a number from 0 to 65535, not {text:?}"))?,
            (None, None) => 4000,
        };
        match host.contains(':') && !host.starts_with('[') {
            true => vec![format!("[{host}]:{port}")],
            false => vec![format!("{host}:{port}")],
        }
    };
    for address in &addresses {
        let port = address
            .rsplit_once(':')
            .and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none() {
            bail!(
                "an address to listen on must be host:port, such as 127.0.0.1:4000, not {address:?}"
            );
        }
    }
    Ok(addresses)
}

fn database(environment: &Environment, settings: &Settings, data: &DataFolder) -> Result<Database> {
    let from_parts = || postgres_from_parts(environment);
    let url = environment
        .get("DATABASE_URL")
        .map(str::to_owned)
        .or_else(|| {
            settings
                .database_url
                .as_ref()
                .map(|url| url.expose().to_owned())
        })
        .or_else(from_parts);
    let Some(url) = url else {
        return Ok(Database::Sqlite(data.database()));
    };
    match url.split_once(':') {
        Some(("postgres" | "postgresql", _)) => {
            url::Url::parse(&url).context("DATABASE_URL is no valid URL")?;
            Ok(Database::Postgres(Secret::new(url)))
        }
        Some(("sqlite", rest)) => {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            Ok(Database::Sqlite(PathBuf::from(path)))
        }
        // the rest of the URL may hold a password
        _ => bail!(
            "DATABASE_URL must begin with postgres:// or sqlite://; without it the gateway keeps its \
             data in {}",
            data.database().display()
        ),
    }
}

/// LiteLLM's other way to name a database: `DATABASE_HOST` and its companions.
fn postgres_from_parts(environment: &Environment) -> Option<String> {
    let host = environment.get("DATABASE_HOST")?;
    let name = environment.get("DATABASE_NAME")?;
    let mut url = url::Url::parse(&format!("postgres://{host}")).ok()?;
    let user = environment.first(&["DATABASE_USERNAME", "DATABASE_USER"]);
    url.set_username(user.map_or("postgres", |(_, user)| user))
        .ok()?;
    url.set_password(environment.get("DATABASE_PASSWORD"))
        .ok()?;
    if let Some(port) = environment.get("DATABASE_PORT") {
        url.set_port(Some(port.parse().ok()?)).ok()?;
    }
    url.set_path(name);
    Some(url.into())
}

const MASTER_KEY_NAMES: &[&str] = &["TOLLGATE_MASTER_KEY", "LITELLM_MASTER_KEY"];
/// Keys shorter than this can be guessed.
const SHORTEST_MASTER_KEY: usize = 16;

fn master_key(
    environment: &Environment,
    settings: &Settings,
    data: &DataFolder,
    notes: &mut Notes,
) -> Result<(Secret, Option<KeptKey>)> {
    let configured = match environment.first(MASTER_KEY_NAMES) {
        Some((name, key)) => Some((name, Secret::new(key.trim()))),
        None => settings
            .master_key
            .clone()
            .map(|key| ("general_settings.master_key", key)),
    };
    let Some((name, key)) = configured else {
        let kept = data.key("master-key")?;
        return Ok((kept.secret.clone(), Some(kept).filter(|kept| kept.is_new)));
    };
    if !key.expose().starts_with("sk-") {
        bail!("{name} must begin with sk-");
    }
    if key.expose().len() < SHORTEST_MASTER_KEY {
        notes.warnings.push(format!(
            "THE MASTER KEY IS WEAK: {name} has fewer than {SHORTEST_MASTER_KEY} characters and can be \
             guessed; whoever has it owns this gateway and its provider keys. Use it for trying things \
             out only; a good one is made by: echo sk-$(openssl rand -hex 24)"
        ));
    }
    Ok((key, None))
}

/// The keys, the newest first, and the file of one that was made just now.
fn encryption_keys(
    environment: &Environment,
    data: &DataFolder,
) -> Result<(Vec<Secret>, Option<PathBuf>)> {
    if let Some(keys) = environment.get("TOLLGATE_ENCRYPTION_KEY") {
        let keys: Vec<Secret> = keys
            .split(',')
            .map(str::trim)
            .filter(|key| !key.is_empty())
            .map(Secret::new)
            .collect();
        if keys.is_empty()
            || keys
                .iter()
                .any(|key| key.expose().len() < SHORTEST_MASTER_KEY)
        {
            bail!(
                "TOLLGATE_ENCRYPTION_KEY must have at least {SHORTEST_MASTER_KEY} characters; several \
                 keys are separated by commas, the newest first"
            );
        }
        return Ok((keys, None));
    }
    if let Some(key) = environment.get("LITELLM_SALT_KEY") {
        return Ok((vec![Secret::new(key)], None));
    }
    let kept = data.key("encryption-key")?;
    Ok((vec![kept.secret], Some(kept.file).filter(|_| kept.is_new)))
}

/// Variables that people bring along and that do nothing here yet.
fn note_unused(environment: &Environment, notes: &mut Notes) {
    for name in ["REDIS_URL", "REDIS_HOST"] {
        if environment.get(name).is_some() {
            notes.unused.push(name.to_owned());
        }
    }
}

fn calls(settings: &Settings) -> proxy::Config {
    let default = proxy::Config::default();
    proxy::Config {
        request_bytes: settings
            .max_request_bytes
            .and_then(|bytes| usize::try_from(bytes).ok())
            .unwrap_or(default.request_bytes),
        first_byte: settings.request_timeout.unwrap_or(default.first_byte),
        session_idle: settings
            .server
            .session_idle_timeout
            .unwrap_or(default.session_idle),
        ..default
    }
}

fn serve(settings: &Settings) -> serve::Config {
    let default = serve::Config::default();
    let server = &settings.server;
    let size = |bytes: Option<u64>, default: usize| {
        bytes.map_or(default, |bytes| {
            usize::try_from(bytes).unwrap_or(usize::MAX)
        })
    };
    serve::Config {
        header_timeout: server.header_timeout.unwrap_or(default.header_timeout),
        shutdown_timeout: server.shutdown_timeout.unwrap_or(default.shutdown_timeout),
        max_connections: size(server.max_connections, default.max_connections),
        max_header_bytes: size(server.max_header_bytes, default.max_header_bytes),
        max_management_bytes: size(server.max_management_bytes, default.max_management_bytes),
    }
}

fn logs(environment: &Environment, settings: &Settings) -> telemetry::Config {
    let mut logs = telemetry::Config::of(environment);
    logs.json = logs.json.or(settings.json_logs);
    if logs.filter.is_none() && settings.verbose == Some(true) {
        logs.filter = Some("debug".to_owned());
    }
    logs
}

/// What the environment says of providers; nothing else of it reaches the rules. A key file that is
/// named there is read.
pub fn provider_variables(environment: &Environment) -> Variables {
    domain::providers::variables()
        .filter_map(|name| {
            let value = environment.get(name)?.trim();
            if is_placeholder_key(name, value) {
                return None;
            }
            let is_file = domain::providers::file_variables().any(|known| known == name);
            let content = if is_file { key_file(value) } else { None };
            Some((
                name.to_owned(),
                Secret::new(content.as_deref().unwrap_or(value)),
            ))
        })
        .collect()
}

/// Whether a variable that should hold a provider's key holds what guides print in its place.
fn is_placeholder_key(name: &str, value: &str) -> bool {
    provider_keys::key_variables().any(|known| known == name)
        && provider_keys::is_placeholder(value)
}

/// Says which keys of the environment are none.
fn note_placeholders(environment: &Environment, notes: &mut Notes) {
    let mut names: Vec<&str> = provider_keys::key_variables()
        .filter(|name| {
            let value = environment.get(name);
            value.is_some_and(|value| is_placeholder_key(name, value.trim()))
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        notes.warnings.push(format!(
            "{name} holds a placeholder and no key: it is ignored, as if it were not set"
        ));
    }
}

/// What stands in the key file that a parameter names; none where it holds the text itself, or names
/// no file that can be read, which is told when a model needs it.
pub fn key_file(text: &str) -> Option<String> {
    /// A key file is a few kilobytes.
    const LARGEST: u64 = 1 << 20;
    let path = std::path::Path::new(text.trim());
    if text.trim_start().starts_with('{') || path.metadata().ok()?.len() > LARGEST {
        return None;
    }
    std::fs::read_to_string(path).ok()
}

fn rules(master_key: Secret, environment: &Environment, settings: &mut Settings) -> domain::Config {
    let default = domain::Config::new(master_key);
    let admin = environment.first(&["PROXY_ADMIN_ID", "LITELLM_PROXY_ADMIN_NAME"]);
    let take = std::mem::take::<domain::definition::Object>;
    domain::Config {
        admin_user_id: admin.map_or(default.admin_user_id, |(_, id)| id.to_owned()),
        zone: settings.zone.clone().unwrap_or(default.zone),
        budget_exceeded_status: settings
            .budget_exceeded_status
            .unwrap_or(default.budget_exceeded_status),
        key_header: settings.key_header.take(),
        routes: domain::permissions::Overrides {
            management_is_off: is_set(environment, "DISABLE_ADMIN_ENDPOINTS"),
            calls_are_off: is_set(environment, "DISABLE_LLM_API_ENDPOINTS"),
            ..std::mem::take(&mut settings.routes)
        },
        custom_keys: settings
            .custom_keys_disabled
            .map_or(default.custom_keys, |disabled| !disabled),
        personal_keys_disabled: settings
            .personal_keys_disabled
            .unwrap_or(default.personal_keys_disabled),
        key_aliases_have_form: settings
            .key_aliases_have_form
            .unwrap_or(default.key_aliases_have_form),
        trusted_proxies: std::mem::take(&mut settings.server.trusted_proxies),
        rotation_grace_period: settings
            .server
            .rotation_grace_period
            .unwrap_or(default.rotation_grace_period),
        user_budget_on_team_keys: settings
            .user_budget_on_team_keys
            .unwrap_or(default.user_budget_on_team_keys),
        gateway_budget: settings
            .max_budget
            .map(|amount| (amount, settings.budget_duration.take())),
        default_key_params: take(&mut settings.default_key_params),
        upperbound_key_params: take(&mut settings.upperbound_key_params),
        upperbound_team_params: take(&mut settings.upperbound_team_params),
        allowed_networks: std::mem::take(&mut settings.allowed_networks),
        key_generation: take(&mut settings.key_generation),
        default_user_params: take(&mut settings.default_user_params),
        default_team_params: take(&mut settings.default_team_params),
        internal_user_budget: std::mem::take(&mut settings.internal_user_budget),
        user_param_required: settings
            .user_param_required
            .unwrap_or(default.user_param_required),
        drop_params: settings.drop_params.unwrap_or(default.drop_params),
        provider_key_policies: std::mem::take(&mut settings.server.provider_key_policies),
        metrics_need_key: settings
            .metrics_need_key
            .unwrap_or(default.metrics_need_key),
        models: Configured {
            definitions: std::mem::take(&mut settings.models),
            aliases: std::mem::take(&mut settings.aliases),
            variables: provider_variables(environment),
        },
        ..default
    }
}
