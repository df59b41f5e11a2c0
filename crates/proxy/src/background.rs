//! Answers that a provider makes after the call (`background: true` of OpenAI's responses).
//!
//! The call is a row of its own that costs nothing. Its hold on the budgets stays until the answer's end is
//! seen, by whoever looks first: the gateway, which asks again and again, or the client. Then the cost is a
//! row, too. What nobody has seen end when the process does is an estimate.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::{Code, Error, Result};
use bytes::Bytes;
use domain::deployment::{Chosen, Target, Upstream};
use http::{Method, StatusCode};
use llm::Format;
use llm::response::Observed;
use serde::Deserialize;

use crate::Proxy;
use crate::finish::Settlement;
use crate::handle::Call;
use crate::kept::{self, Action, Route};

/// Between the first two looks; each further pause is half as long again.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// An answer that is not there by then never comes.
const PATIENCE: Duration = Duration::from_secs(6 * 3600);

/// The answers whose end is waited for, by their id. Cheap to clone: workers share them.
#[derive(Clone, Default)]
pub struct Following(Arc<Mutex<HashMap<String, Settlement>>>);

/// How an answer's making ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With an answer, whole or cut off at its limit.
    Completed,
    Failed,
    Cancelled,
    /// Nobody could say.
    Unseen,
}

#[derive(Deserialize)]
struct Progress<'a> {
    status: Option<&'a str>,
}

impl End {
    /// How the answer ended; `None` while it is being made.
    fn read(status: StatusCode, body: &[u8]) -> Option<End> {
        if status == StatusCode::NOT_FOUND {
            return Some(End::Unseen);
        }
        let progress: Progress<'_> = serde_json::from_slice(body).ok()?;
        match progress.status? {
            "completed" | "incomplete" => Some(End::Completed),
            "failed" => Some(End::Failed),
            "cancelled" => Some(End::Cancelled),
            _ => None,
        }
    }
}

impl Following {
    fn has(&self, id: &str) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.contains_key(id)
    }

    fn take(&self, id: &str) -> Option<Settlement> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(id)
    }

    fn put(&self, id: String, settlement: Settlement) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(id, settlement);
    }
}

/// The id of the answer that the provider goes on making when the call is over.
pub fn followed(call: &Call, observed: &Observed) -> Option<String> {
    let is_kept_there = call.background && call.upstream_format == Format::OpenAiResponses;
    let id = observed.id.clone().filter(|_| is_kept_there)?;
    observed.usage.is_none().then_some(id)
}

/// Waits for the end of an answer beside the calls.
pub fn follow(id: String, settlement: Settlement) {
    let proxy = settlement.proxy().clone();
    let chosen = settlement.call.chosen.clone();
    proxy.0.background.put(id.clone(), settlement);
    let waiting = Waiting { proxy, id };
    let tasks = waiting.proxy.0.domain.tasks.clone();
    tasks.spawn(async move {
        let Some(chosen) = chosen else {
            return;
        };
        waiting.watch(&chosen).await;
    });
}

/// Whoever waits for an answer. Dropping it settles the answer as one that nobody has seen end.
struct Waiting {
    proxy: Proxy,
    id: String,
}

impl Waiting {
    async fn watch(&self, chosen: &Chosen) {
        let Proxy(services) = &self.proxy;
        let mut pause = FIRST_PAUSE;
        let mut waited = Duration::ZERO;
        while waited < PATIENCE {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = services.domain.tasks.stopping() => return,
            }
            waited += pause;
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
            if let Err(error) = look(&self.proxy, &self.id, chosen).await {
                tracing::debug!(response.id = self.id, %error, "a response could not be asked for");
            }
            if !services.background.has(&self.id) {
                return;
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(mut settlement) = self.proxy.0.background.take(&self.id) {
            settlement.background_ended(&Observed::default(), End::Unseen);
        }
    }
}

/// Asks with the key that paid for the answer.
async fn look(proxy: &Proxy, id: &str, chosen: &Chosen) -> Result<()> {
    let Target::Upstream(own) = &chosen.deployment.target else {
        return Ok(());
    };
    let target = &*chosen.ready(&proxy.0.domain, own)?;
    let route = Route {
        id: id.to_owned(),
        action: Action::Get,
    };
    let (head, body) = kept::asked(proxy, target, &route, &Method::GET, None).await?;
    seen(proxy, id, target, head.status, &body);
    Ok(())
}

/// Settles an answer whose end is seen here.
pub fn seen(proxy: &Proxy, id: &str, target: &Upstream, status: StatusCode, body: &Bytes) {
    let Some(end) = End::read(status, body) else {
        return;
    };
    if let Some(mut settlement) = proxy.0.background.take(id) {
        let rule = target.provider.usage_rule(&target.model);
        let (_, observed) = llm::response::observe(Format::OpenAiResponses, rule, body.clone(), "");
        settlement.background_ended(&observed, end);
    }
}

/// Whether an answer's cost is known, without which nobody can delete it.
///
/// # Errors
/// [`Code::Conflict`] while it is being made.
pub async fn may_be_deleted(proxy: &Proxy, id: &str) -> Result<()> {
    let following = &proxy.0.background;
    let chosen = {
        let all = following.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(id)
            .and_then(|settlement| settlement.call.chosen.clone())
    };
    if let Some(chosen) = chosen {
        look(proxy, id, &chosen).await?;
    }
    match following.has(id) {
        false => Ok(()),
        true => Err(Error::new(
            Code::Conflict,
            format!("Response '{id}' is still being made: cancel it first, then delete it."),
        )
        .param("response_id")),
    }
}
