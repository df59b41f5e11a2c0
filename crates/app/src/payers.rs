//! Where provider keys that are not the operator's may go: read from the environment and the file.

use anyhow::{Context as _, Result, bail};
use domain::addresses::Networks;
use domain::config::PayerConfig;

use crate::environment::Environment;
use crate::litellm_config::Settings;

/// # Errors
/// A word or a network that is none: what was meant to be open or closed must not be guessed.
pub fn payers(environment: &Environment, settings: &mut Settings) -> Result<PayerConfig> {
    const HOSTS: &str = "TOLLGATE_BYOK_CUSTOM_HOSTS";
    const NETWORKS: &str = "TOLLGATE_PROVIDER_KEY_NETWORKS";
    let custom_hosts = match environment.get(HOSTS).map(str::trim) {
        None | Some("deny") => false,
        Some("allow") => true,
        Some(other) => bail!("{HOSTS} must be allow or deny, not {other:?}"),
    };
    let networks = match environment.get(NETWORKS) {
        None => std::mem::take(&mut settings.server.provider_key_networks),
        Some(text) => {
            let entries: Vec<&str> = text
                .split(',')
                .map(str::trim)
                .filter(|entry| !entry.is_empty())
                .collect();
            Networks::parse(&entries)
                .map_err(|error| anyhow::anyhow!(error.message().to_owned()))
                .context(NETWORKS)?
        }
    };
    Ok(PayerConfig {
        networks,
        custom_hosts,
        from_headers: settings.keys_from_headers.unwrap_or(false),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<PayerConfig> {
        let environment = variables.iter().copied().collect();
        payers(&environment, &mut Settings::default())
    }

    #[test]
    fn nothing_is_open_unless_it_is_said_plainly() {
        let closed = read(&[]).unwrap();
        assert!(!closed.custom_hosts && !closed.from_headers && closed.networks.is_empty());
        let open = read(&[
            ("TOLLGATE_BYOK_CUSTOM_HOSTS", "allow"),
            ("TOLLGATE_PROVIDER_KEY_NETWORKS", "10.0.0.0/8, fd00::/8"),
        ])
        .unwrap();
        assert!(open.custom_hosts);
        assert!(open.networks.contains("10.1.2.3".parse().unwrap()));
        assert!(read(&[("TOLLGATE_BYOK_CUSTOM_HOSTS", "true")]).is_err());
        assert!(read(&[("TOLLGATE_PROVIDER_KEY_NETWORKS", "intranet")]).is_err());
    }
}
