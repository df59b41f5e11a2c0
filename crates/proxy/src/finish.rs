//! The end of a call. Whatever way it ends, it is settled exactly once: the hold becomes the cost, and
//! a row of the ledger says what happened.

use std::sync::Arc;

use base::{Code, Error, Money, RequestId, Result};
use domain::budgets::Hold;
use domain::deployment::{Chosen, Priced};
use domain::ledger::{Entry, Place};
use http::HeaderMap;
use llm::cost::{LineItem, Receipt, Served};
use llm::price::PriceSource;
use llm::response::Observed;
use llm::{Usage, UsageSource};

use crate::background::End;
use crate::handle::Call;
use crate::{Proxy, admit, background, headers, passthrough};

/// A call that is not settled yet. Dropping it settles it as one whose client has left.
pub struct Settlement {
    pub call: Call,
    proxy: Proxy,
    admitted: Option<(Hold, Place)>,
    /// Room for the row of a call whose cost is another row's.
    settled_later: Option<Place>,
    /// What the parts of a session have used so far; budgets know of it already.
    parts: Option<Box<Bill>>,
    is_settled: bool,
}

/// How a call ended (money.md, "Terminal states").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Completed,
    CancelledByClient,
    UpstreamError,
    GatewayError,
    /// Never sent to an upstream: the request itself was turned down.
    Refused,
    /// Nobody has seen how it ended.
    Unknown,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Status::Completed => "completed",
            Status::CancelledByClient => "cancelled_by_client",
            Status::UpstreamError => "upstream_error",
            Status::GatewayError => "gateway_error",
            Status::Refused => "refused",
            Status::Unknown => "unknown",
        }
    }
}

/// What a call used and what that costs.
#[derive(Default)]
struct Bill {
    usage: Usage,
    source: UsageSource,
    /// `None`: unpriced.
    cost: Option<Money>,
    receipt: Receipt,
    price_version: Option<Arc<str>>,
}

impl Bill {
    fn add(&mut self, other: Bill) {
        self.usage = self.usage.plus(&other.usage);
        self.source = other.source;
        // what has no price makes the whole unpriced, which is not the same as free
        self.cost = match (self.cost, other.cost) {
            (Some(cost), Some(other)) => Some(cost.saturating_add(other)),
            _ => None,
        };
        self.price_version = other.price_version.or(self.price_version.take());
        for item in other.receipt.items {
            let same = |known: &&mut LineItem| {
                (known.bucket, known.priced_as, known.price)
                    == (item.bucket, item.priced_as, item.price)
            };
            match self.receipt.items.iter_mut().find(same) {
                Some(known) => {
                    known.quantity = known.quantity.saturating_add(item.quantity);
                    known.amount = known.price.times(known.quantity);
                }
                None => self.receipt.items.push(item),
            }
        }
    }
}

/// What the client is told of a settled call.
pub struct Settled {
    pub usage: Usage,
    pub cost: Option<Money>,
    pub usage_source: &'static str,
}

impl Settlement {
    pub fn new(proxy: Proxy, call: Call) -> Settlement {
        Settlement {
            call,
            proxy,
            admitted: None,
            settled_later: None,
            parts: None,
            is_settled: false,
        }
    }

    pub fn domain(&self) -> &domain::Domain {
        &self.proxy.0.domain
    }

    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    pub fn admitted(&mut self, hold: Hold, place: Place) {
        self.admitted = Some((hold, place));
    }

    /// The next attempt of a call that was let through: `model` at this deployment, at the expense of whoever
    /// pays there.
    ///
    /// # Errors
    /// When it is no longer the caller's own money, and the budgets of the gateway's are used up.
    pub fn turn_to(&mut self, chosen: &Chosen, model: &str) -> Result<()> {
        let before = self.call.chosen.replace(chosen.clone());
        self.call.attempts += 1;
        let was_personal = before.is_some_and(|before| before.is_on_callers_money());
        if was_personal
            && !chosen.is_on_callers_money()
            && let Some(caller) = self.call.caller.clone()
        {
            let (hold, place) = admit::budget(self.domain(), &caller, model, chosen)?;
            self.admitted(hold, place);
        }
        Ok(())
    }

    /// Headers that say which call this is and who answered.
    pub fn describe(&self, headers: &mut HeaderMap) {
        headers::common(headers, self.call.id);
        if let Some(chosen) = &self.call.chosen {
            let deployment = &chosen.deployment;
            headers::deployment(
                headers,
                &deployment.id,
                &deployment.model_name,
                self.call.attempts,
            );
            headers::paid_by(headers, chosen);
        }
        if !self.call.dropped.is_empty() {
            headers::dropped(headers, &self.call.dropped);
        }
        if self.call.is_estimate {
            headers::estimate(headers);
        }
        headers::duration(headers, self.call.started.elapsed());
    }

    /// The upstream's headers, as this call shows them.
    pub fn pass_headers(&self, headers: &mut HeaderMap, upstream: &HeaderMap) {
        match self.call.passes_through {
            true => passthrough::copy_headers(headers, upstream),
            false => headers::from_upstream(headers, upstream),
        }
    }

    /// Headers that say what the key has spent.
    pub fn describe_key(&self, headers: &mut HeaderMap) {
        if let Some(caller) = &self.call.caller {
            headers::key(headers, &self.proxy.0.domain, caller);
        }
    }

    /// A whole answer was received.
    pub fn completed(&mut self, observed: &Observed) -> Settled {
        self.follow_background(observed);
        self.settle(Status::Completed, 200, observed, None)
    }

    /// A stream came to its end. One that stops without saying so broke off, whatever TCP says.
    pub fn stream_ended(&mut self, observed: &Observed) -> Settled {
        let status = match observed.stream_error {
            true => Status::UpstreamError,
            false => Status::Completed,
        };
        self.follow_background(observed);
        self.settle(status, 200, observed, None)
    }

    pub fn stream_broke(&mut self, observed: &Observed, failure: &Error) {
        self.follow_background(observed);
        self.settle(Status::UpstreamError, 200, observed, Some(failure));
    }

    pub fn client_left(&mut self, observed: &Observed) {
        self.follow_background(observed);
        self.settle(Status::CancelledByClient, 499, observed, None);
    }

    /// If the provider works on after the call, its cost is settled with another row, when it is known;
    /// not so where the ledger has no room for that.
    fn follow_background(&mut self, observed: &Observed) {
        let Some(id) = background::followed(&self.call, observed) else {
            return;
        };
        let Ok(place) = self.domain().ledger.place() else {
            return;
        };
        let Some((hold, own)) = self.admitted.take() else {
            return;
        };
        let mut rest = Settlement::new(self.proxy.clone(), self.call.clone());
        rest.call.id = RequestId::new(self.domain().clock.now());
        rest.admitted(hold, place);
        self.settled_later = Some(own);
        background::follow(id, rest);
    }

    /// An answer that was made in the background has come to its end.
    pub fn background_ended(&mut self, observed: &Observed, end: End) {
        self.call.background = false;
        let status = match end {
            End::Completed => Status::Completed,
            End::Failed => Status::UpstreamError,
            End::Cancelled => Status::CancelledByClient,
            End::Unseen => Status::Unknown,
        };
        self.settle(status, 200, observed, None);
    }

    /// From here on the call is a session, which is settled part by part.
    pub fn in_parts(&mut self) {
        self.parts = Some(Box::new(Bill {
            cost: Some(Money::ZERO),
            ..Bill::default()
        }));
    }

    /// A part of a session is done: its cost counts at once.
    pub fn add_part(&mut self, usage: Usage) {
        let observed = Observed {
            usage: Some(usage),
            ..Observed::default()
        };
        let bill = self.bill(Status::Completed, &observed);
        let (Some(parts), Some((hold, _)), Some(chosen)) =
            (&mut self.parts, &mut self.admitted, &self.call.chosen)
        else {
            return;
        };
        let domain = &self.proxy.0.domain;
        let (now, zone) = (domain.clock.now(), &domain.config.zone);
        let cost = bill.cost.unwrap_or_default();
        let personal = chosen.is_on_callers_money();
        hold.settle_part(&chosen.deployment.model_name, cost, personal, now, zone);
        parts.add(bill);
    }

    /// A session is over; `failure` says why, where neither side simply ended it.
    pub fn session_ended(&mut self, observed: &Observed, failure: Option<&Error>) {
        let status = match failure.map(Error::code) {
            Some(Code::UpstreamUnavailable | Code::UpstreamTimeout) => Status::UpstreamError,
            _ => Status::Completed,
        };
        self.settle(status, 101, observed, failure);
    }

    pub fn upstream_refused(&mut self, failure: &Error) {
        let observed = Observed::default();
        self.settle(
            Status::UpstreamError,
            failure.status(),
            &observed,
            Some(failure),
        );
    }

    /// The gateway itself has answered with an error.
    pub fn refused(&mut self, failure: &Error) {
        let status = match failure.code() {
            Code::UpstreamUnavailable
            | Code::UpstreamTimeout
            | Code::UpstreamRefused
            | Code::ProviderKeyRejected => Status::UpstreamError,
            Code::Internal | Code::Unavailable => Status::GatewayError,
            _ => Status::Refused,
        };
        let observed = Observed::default();
        self.settle(status, failure.status(), &observed, Some(failure));
    }

    fn settle(
        &mut self,
        status: Status,
        http_status: u16,
        observed: &Observed,
        failure: Option<&Error>,
    ) -> Settled {
        self.is_settled = true;
        let parts = self.parts.take();
        // parts have been settled when they were done
        let counted = parts.is_some();
        let bill = match parts {
            Some(parts) => *parts,
            None => self.bill(status, observed),
        };
        let settled = Settled {
            usage: bill.usage,
            cost: bill.cost,
            usage_source: bill.source.name(),
        };
        let domain = self.proxy.0.domain.clone();
        let (hold, place) = match self.admitted.take() {
            Some((hold, place)) => (Some(hold), Some(place)),
            None if self.settled_later.is_some() => (None, self.settled_later.take()),
            // a refusal of a known caller is a row too, as long as there is room for it
            None if self.call.caller.is_some() => (None, domain.ledger.place().ok()),
            None => (None, None),
        };
        let now = domain.clock.now();
        let model = match &self.call.chosen {
            Some(chosen) => chosen.deployment.model_name.as_str(),
            None => self.call.requested_model.as_str(),
        };
        let chosen = self.call.chosen.as_ref();
        let personal = chosen.is_some_and(Chosen::is_on_callers_money);
        let settled_scopes = match hold {
            Some(hold) => {
                let cost = bill.cost.filter(|_| !counted).unwrap_or_default();
                hold.settle(model, cost, personal, now, &domain.config.zone)
            }
            None => Vec::new(),
        };
        if let Some(place) = place {
            let entry = self.entry(status, http_status, observed, failure, bill);
            place.record(Entry {
                ended_at: now,
                settled: settled_scopes,
                ..entry
            });
        }
        settled
    }

    /// Usage as the provider counted it; where it did not and text has flowed, an estimate.
    fn bill(&self, status: Status, observed: &Observed) -> Bill {
        let price = self
            .call
            .chosen
            .as_ref()
            .and_then(|chosen| chosen.price.as_ref());
        let (usage, source) = match observed.usage {
            Some(usage) => (usage, UsageSource::Provider),
            None if self.was_served(status, observed) => {
                (self.estimate(price, observed), UsageSource::Estimated)
            }
            None => {
                return Bill {
                    cost: Some(Money::ZERO),
                    ..Bill::default()
                };
            }
        };
        let reported = observed.provider_cost.filter(|cost| *cost > Money::ZERO);
        let is_override = price.is_some_and(|price| price.record.source == PriceSource::Override);
        let served = Served {
            service_tier: observed.service_tier.as_deref(),
            search_context: observed.search_context,
        };
        let receipt = price.and_then(|price| llm::cost::cost(&usage, &price.record, served));
        // contract §5.5: our own price, else what the provider says it charges, else the catalogue
        match (reported, receipt, price) {
            (Some(cost), receipt, _) if !is_override => Bill {
                usage,
                source,
                cost: Some(cost),
                receipt: receipt.unwrap_or_default(),
                price_version: Some("reported by the provider".into()),
            },
            (_, Some(receipt), Some(Priced { version, .. })) => Bill {
                usage,
                source,
                cost: Some(receipt.total),
                receipt,
                price_version: Some(Arc::clone(version)),
            },
            _ => Bill {
                usage,
                source,
                ..Bill::default()
            },
        }
    }

    /// Whether an upstream has done work that it may charge for.
    fn was_served(&self, status: Status, observed: &Observed) -> bool {
        let asked = self.call.chosen.is_some() && self.call.first_byte_at.is_some();
        let asked = asked && self.settled_later.is_none();
        match status {
            Status::Completed | Status::Unknown => asked,
            Status::CancelledByClient | Status::UpstreamError => asked && observed.output_bytes > 0,
            Status::GatewayError | Status::Refused => false,
        }
    }

    fn estimate(&self, price: Option<&Priced>, observed: &Observed) -> Usage {
        let price = price.map(|price| &*price.record);
        let call = &self.call;
        call.measure
            .usage(call.format, observed.output_bytes, price)
    }

    /// The call for the ledger, but for its end and what it has moved.
    fn entry(
        &mut self,
        status: Status,
        http_status: u16,
        observed: &Observed,
        failure: Option<&Error>,
        bill: Bill,
    ) -> Entry {
        let call = &mut self.call;
        Entry {
            id: call.id,
            started_at: call.started_at,
            ended_at: call.started_at,
            first_token_at: call.first_byte_at,
            client: call.client,
            user_agent: call.user_agent.take(),
            caller: call.caller.clone(),
            end_user: call.end_user.take(),
            tags: std::mem::take(&mut call.tags),
            endpoint: match call.passes_through {
                true => "pass_through_endpoint",
                false => call.format.call_type(),
            },
            stream: call.stream,
            requested_model: std::mem::take(&mut call.requested_model),
            answered_model: observed.model.clone(),
            chosen: call.chosen.clone(),
            attempts: call.attempts,
            status: status.name(),
            http_status,
            error_code: failure.map(|failure| failure.kind().to_owned()),
            error_message: failure.map(|failure| failure.message().to_owned()),
            upstream_id: observed.id.clone(),
            service_tier: observed.service_tier.clone(),
            usage: bill.usage,
            usage_source: bill.source,
            price_version: bill.price_version,
            lines: bill.receipt.items,
            cost: bill.cost,
            provider_cost: observed.provider_cost,
            settled: Vec::new(),
            session_id: call.conversation_id.take(),
        }
    }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        if !self.is_settled {
            // the client left before the upstream had answered
            self.client_left(&Observed::default());
        }
    }
}
