//! Logs: lines for people on a terminal, JSON for machines elsewhere. On standard error, so that
//! standard output stays free.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::SystemTime;

use crate::environment::Environment;
use crate::section::read_boolean;

/// What is logged, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Directives such as `info` or `proxy=debug`.
    pub filter: Option<String>,
    /// `None`: JSON unless on a terminal.
    pub json: Option<bool>,
}

impl Config {
    /// What the environment asks for.
    pub fn of(environment: &Environment) -> Config {
        let filter = environment
            .first(&["TOLLGATE_LOG", "RUST_LOG", "LITELLM_LOG"])
            .map(|(_, filter)| filter.to_ascii_lowercase());
        let json = match environment.first(&["TOLLGATE_LOG_FORMAT", "JSON_LOGS"]) {
            Some(("TOLLGATE_LOG_FORMAT", format)) => Some(format == "json"),
            Some((_, text)) => read_boolean(text),
            None => None,
        };
        Config { filter, json }
    }
}

/// Starts logging for the process. A filter that cannot be read is replaced by the default, and a
/// process that logs already keeps its way.
pub fn start(config: &Config) {
    const DEFAULT: &str = "info";
    let filter = config.filter.as_deref().unwrap_or(DEFAULT);
    // Python's name for it
    let filter = filter
        .replace("warning", "warn")
        .replace("critical", "error");
    let parsed = EnvFilter::try_new(&filter);
    let refused = parsed.is_err();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(parsed.unwrap_or_else(|_| EnvFilter::new(DEFAULT)))
        .with_writer(std::io::stderr)
        .with_timer(SystemTime);
    let is_terminal = std::io::stderr().is_terminal();
    let started = match config.json.unwrap_or(!is_terminal) {
        true => subscriber
            .json()
            .flatten_event(true)
            .with_ansi(false)
            .try_init(),
        false => subscriber
            .with_ansi(is_terminal)
            .with_target(false)
            .try_init(),
    };
    if refused && started.is_ok() {
        tracing::warn!(
            filter,
            "the log filter cannot be read; logging at {DEFAULT}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(variables: &[(&str, &str)]) -> Config {
        Config::of(&variables.iter().copied().collect())
    }

    #[test]
    fn our_names_win_over_the_others() {
        let both = [("LITELLM_LOG", "DEBUG"), ("TOLLGATE_LOG", "warn")];
        assert_eq!(config(&both).filter.as_deref(), Some("warn"));
        assert_eq!(config(&both[..1]).filter.as_deref(), Some("debug"));
        assert_eq!(config(&[("JSON_LOGS", "True")]).json, Some(true));
        assert_eq!(
            config(&[("TOLLGATE_LOG_FORMAT", "human")]).json,
            Some(false)
        );
        assert_eq!(config(&[]), Config::default());
    }
}
