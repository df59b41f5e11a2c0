//! `tollgate rotate-keys`: seals all stored secrets with the newest encryption key, beside gateways that
//! run or without one.

use std::io::Write as _;

use anyhow::{Result, bail};
use base::Clock;
use domain::reseal::{self, Report};
use domain::vault::Vault;

use crate::config::Config;
use crate::verify;

/// After how many secrets it is said how far it is.
const SAID: u64 = 10_000;

/// Seals everything; gives what is to be said, and whether the older keys can be taken away.
///
/// # Errors
/// When the database does not answer; what was done stays done. Keys that are not those of the database.
pub async fn run(config: &Config) -> Result<(String, bool)> {
    let db = verify::open(config).await?;
    let vault = Vault::new(&config.encryption_keys);
    if reseal::is_right(&db, &vault).await? == Some(false) {
        bail!(
            "none of the keys of TOLLGATE_ENCRYPTION_KEY is the one that the database's secrets were \
             sealed with: list the newest first and the older ones after it, separated by commas"
        );
    }
    let mut said = 0;
    let mut tell = |done| {
        if done / SAID > said {
            said = done / SAID;
            // that nobody listens is no reason to stop
            let _ = writeln!(std::io::stderr(), "{done} provider keys");
        }
    };
    let report = reseal::everything(&db, &vault, &Clock::system(), &mut tell).await?;
    db.close().await;
    Ok((
        say(&report, config.encryption_keys.len()),
        report.is_whole(),
    ))
}

fn say(report: &Report, keys: usize) -> String {
    let mut said = format!(
        "sealed anew: {} provider keys, {} models, {} letters\n",
        report.provider_keys, report.models, report.letters
    );
    for unopened in &report.unopened {
        said.push_str(&format!("not opened, and left as it is: {unopened}\n"));
    }
    said.push_str(match (report.is_whole(), keys) {
        (true, 1) => "all secrets are sealed with the encryption key\n",
        (true, _) => {
            "all secrets are sealed with the newest encryption key: the older ones can be taken out of \
             TOLLGATE_ENCRYPTION_KEY. Keep them where `tollgate audit verify` is run: entries of before \
             are checked with them. Links in mails of before end with them.\n"
        }
        (false, _) => {
            "KEEP THE OLDER KEYS: some secrets need them. Restart all gateways with the newest key first \
             in TOLLGATE_ENCRYPTION_KEY, and run this again\n"
        }
    });
    said
}
