//! Usage reports of the `/v2` API: what people and models used, from where, and with whose keys. The
//! same ledger that all other reports are read from, summed by the database.

use std::collections::BTreeMap;

use base::{Money, Result};
use store::usage::{UsageLine, UsageSum, Window};

use crate::{Domain, storage};

/// Calls that an export reads at once.
const LINES: i64 = 1_000;

/// What some calls used together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub requests: i64,
    pub input_tokens: i64,
    pub output_tokens: i64,
    pub cost: Money,
}

impl Totals {
    fn add(&mut self, sum: &UsageSum) {
        self.requests += sum.requests;
        self.input_tokens += sum.input_tokens;
        self.output_tokens += sum.output_tokens;
        self.cost = self.cost.saturating_add(sum.cost);
    }

    pub fn tokens(&self) -> i64 {
        self.input_tokens + self.output_tokens
    }
}

/// A model that was used, as a report names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ModelKey {
    pub model: String,
    pub name: String,
    pub provider: Option<String>,
}

/// What was used, told apart in each way. Lists are sorted by cost, the highest first.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    pub totals: Totals,
    pub by_source: Vec<(String, Totals)>,
    pub by_key_source: Vec<(String, Totals)>,
    pub by_model: Vec<(ModelKey, Totals)>,
}

/// One person's share of a report.
#[derive(Clone, Debug)]
pub struct Share {
    pub user_id: String,
    /// `None`: they are gone, or have no address.
    pub email: Option<String>,
    pub usage: Usage,
}

/// A report on everybody.
#[derive(Clone, Debug)]
pub struct Report {
    pub shares: Vec<Share>,
    pub usage: Usage,
}

/// Whether a call was paid with its caller's own key.
pub fn key_source(paid_by: &str) -> &'static str {
    match paid_by {
        "personal" | "header" => "personal",
        _ => "system",
    }
}

/// What one person used.
pub async fn of_user(domain: &Domain, user_id: &str, mut window: Window) -> Result<Usage> {
    window.user_id = Some(user_id.to_owned());
    let sums = sums(domain, &window).await?;
    Ok(usage(&sums))
}

/// What everybody used.
pub async fn report(domain: &Domain, window: &Window) -> Result<Report> {
    let sums = sums(domain, window).await?;
    let mut by_user: BTreeMap<String, Vec<UsageSum>> = BTreeMap::new();
    for sum in &sums {
        let user_id = sum.user_id.clone().unwrap_or_default();
        by_user.entry(user_id).or_default().push(sum.clone());
    }
    let mut shares: Vec<Share> = by_user
        .into_iter()
        .map(|(user_id, sums)| Share {
            user_id,
            email: sums.iter().find_map(|sum| sum.email.clone()),
            usage: usage(&sums),
        })
        .collect();
    shares.sort_by_key(|share| std::cmp::Reverse(share.usage.totals.cost));
    Ok(Report {
        shares,
        usage: usage(&sums),
    })
}

/// Calls one by one, the oldest first: a page, and where the next one begins.
pub async fn lines(
    domain: &Domain,
    window: &Window,
    after: Option<&UsageLine>,
) -> Result<Vec<UsageLine>> {
    let after = after.map(|line| (line.started_at, line.request_id.as_str()));
    if after.is_none() {
        domain.ledger.flush().await?;
    }
    store::usage::lines(&domain.db, window, after, LINES)
        .await
        .map_err(storage)
}

async fn sums(domain: &Domain, window: &Window) -> Result<Vec<UsageSum>> {
    domain.ledger.flush().await?;
    store::usage::sums(&domain.db, window)
        .await
        .map_err(storage)
}

fn usage(sums: &[UsageSum]) -> Usage {
    let mut totals = Totals::default();
    sums.iter().for_each(|sum| totals.add(sum));
    Usage {
        totals,
        by_source: grouped(sums, |sum| sum.source.clone()),
        by_key_source: grouped(sums, |sum| key_source(&sum.paid_by).to_owned()),
        by_model: grouped(sums, |sum| ModelKey {
            model: sum.model.clone(),
            name: name_of(sum),
            provider: sum.provider.clone(),
        }),
    }
}

/// The name that a model is shown by: the public one, unless that stands for many.
fn name_of(sum: &UsageSum) -> String {
    let group = sum.model_group.as_ref();
    let group = group.filter(|group| !group.contains('*'));
    group.unwrap_or(&sum.model).clone()
}

fn grouped<K: Ord>(sums: &[UsageSum], key: impl Fn(&UsageSum) -> K) -> Vec<(K, Totals)> {
    let mut groups: BTreeMap<K, Totals> = BTreeMap::new();
    for sum in sums {
        groups.entry(key(sum)).or_default().add(sum);
    }
    let mut groups: Vec<(K, Totals)> = groups.into_iter().collect();
    groups.sort_by_key(|(_, totals)| std::cmp::Reverse(totals.cost));
    groups
}
