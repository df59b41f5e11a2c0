//! The command line. Called without a sub-command the gateway serves.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// A self-hosted gateway to LLM providers with keys, budgets and an exact ledger.
///
/// Every flag has an environment variable; flags win over the environment, the environment over the
/// configuration file.
#[derive(Clone, Debug, Default, Parser)]
#[command(name = "tollgate", version, after_help = VARIABLES)]
pub struct Cli {
    /// Address to listen on, as host:port; may be given several times [default: 0.0.0.0:4000]
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Vec<String>,

    /// Configuration file, in LiteLLM's format
    #[arg(long, short, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,

    /// Folder for the embedded database and generated keys [default: ./data]
    #[arg(long, value_name = "FOLDER", global = true)]
    pub data_dir: Option<PathBuf>,

    /// Refuse to start when the database needs a migration, in place of applying it
    #[arg(long)]
    pub no_migrate: bool,

    /// Port to listen on, when --listen is not given
    #[arg(long)]
    pub port: Option<u16>,

    /// Host to listen on, when --listen is not given
    #[arg(long)]
    pub host: Option<String>,

    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What else than serving the binary can do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// The audit log
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Seal all stored secrets with the newest encryption key, beside gateways that serve
    RotateKeys,
}

#[derive(Clone, Debug, Subcommand)]
pub enum AuditCommand {
    /// Check that no entry was changed, removed or put in: exit code 1 names the first that was
    Verify {
        /// A hash that `GET /audit/head` gave before: fails when the log does not have it any more
        #[arg(long, value_name = "HASH")]
        head: Option<String>,
    },
}

const VARIABLES: &str = "\
Environment (names after / are LiteLLM's and mean the same):
  TOLLGATE_MASTER_KEY / LITELLM_MASTER_KEY    the administrator's key; generated when not set
  TOLLGATE_ENCRYPTION_KEY / LITELLM_SALT_KEY  seals provider keys in the database; generated when not set
  TOLLGATE_DATA_DIR                           as --data-dir
  TOLLGATE_CONFIG / CONFIG_FILE_PATH          as --config
  TOLLGATE_LOG / LITELLM_LOG, RUST_LOG        what is logged: error, warn, info, debug
  TOLLGATE_LOG_FORMAT / JSON_LOGS             human or json [default: human on a terminal]
  DATABASE_URL                                postgres://…; the embedded SQLite when not set
  PUBLIC_URL / PROXY_BASE_URL                 the address that people reach the gateway at
  SERVER_ROOT_PATH                            a prefix of all paths
  UI_USERNAME, UI_PASSWORD                    the administrator's sign-in
  SMTP_HOST, SMTP_PORT, SMTP_SENDER_EMAIL …   mail, see docs/mail.md
  HOST, PORT                                  as --host and --port
  OPENAI_API_KEY, OPENAI_BASE_URL, …          make a provider's models available without a file";
