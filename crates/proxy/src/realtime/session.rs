//! A session under way. Frames pass as they come, in both directions at once; what the provider says is
//! watched (see [`llm::realtime`]). Each answer of the model is settled when it is done, and the session
//! ends there when its key or budget no longer lets it go on. The row of the ledger is written at the
//! end, with the sum.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::time::Duration;

use base::{Code, Error, Result, Secret};
use domain::budgets::{self, Pricing};
use domain::{Domain, auth};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use llm::realtime::{Event, Watch};
use llm::response::Observed;
use llm::websocket::{self, Frames, Kind, Step as FrameStep};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, timeout};

use super::way::{Step, Way};
use crate::finish::Settlement;
use crate::upstream::Connection;

/// How long both sides may take to leave HTTP behind.
const OPENING: Duration = Duration::from_secs(30);
/// How long the provider may take to say what an answer has cost that nobody waits for any more.
const LAST_WORD: Duration = Duration::from_secs(5);
/// How long the client may take to answer when the connection is closed.
const FAREWELL: Duration = Duration::from_secs(2);

/// Close codes (RFC 6455 §7.4.1).
const GOING_AWAY: u16 = 1001;
const POLICY: u16 = 1008;
const FAILED: u16 = 1011;

/// Under what conditions a session goes on.
pub struct Terms {
    pub key: Secret,
    /// The model, as budgets know it.
    pub model: String,
    pub pricing: Pricing,
    /// The session is on the caller's own money.
    pub is_personal: bool,
    /// The provider speaks OpenAI's realtime protocol, so that it says what was used.
    pub is_watched: bool,
}

/// A session that begins when the handshake is answered. Whoever serves the connection runs it; dropping
/// it ends it, and settles what was used.
pub struct Session(Pin<Box<dyn Future<Output = ()> + Send>>);

impl Session {
    pub(super) fn new(
        idle: Duration,
        terms: Terms,
        settlement: Settlement,
        client: OnUpgrade,
        upstream: Connection,
    ) -> Session {
        Session(Box::pin(run(idle, terms, settlement, client, upstream)))
    }

    /// Runs to the end of the session.
    pub async fn run(self) {
        self.0.await;
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

async fn run(
    idle: Duration,
    terms: Terms,
    mut settlement: Settlement,
    client: OnUpgrade,
    upstream: Connection,
) {
    let client = match timeout(OPENING, client).await {
        Ok(Ok(client)) => client,
        Ok(Err(_)) | Err(_) => return settlement.client_left(&Observed::default()),
    };
    let (from_client, to_client) = tokio::io::split(TokioIo::new(client));
    let (from_upstream, to_upstream) = tokio::io::split(upstream);
    let domain = settlement.domain().clone();
    let mut talk = Talk {
        up: Way::new(Box::new(from_client), Box::new(to_upstream)),
        down: Way::new(Box::new(from_upstream), Box::new(to_client)),
        provider: Watch::default(),
        client: Frames::default(),
        client_closes: false,
        provider_closes: None,
        open_answers: 0,
        unheard: Vec::new(),
        observed: Observed::default(),
        terms,
        settlement,
    };
    let end = talk.go_on(&domain, idle).await;
    talk.end(end).await;
}

/// Why a session is over.
enum End {
    /// The client has left, or does not take what it is sent.
    Client,
    /// The provider has ended the connection.
    Provider,
    /// The gateway ends it, with this code.
    Gateway(u16, Error),
}

struct Talk {
    /// From the client to the provider.
    up: Way,
    /// From the provider to the client.
    down: Way,
    provider: Watch,
    client: Frames,
    client_closes: bool,
    /// The provider has sent a close frame, with this code.
    provider_closes: Option<Option<u16>>,
    /// Answers of the model that have begun and are not done.
    open_answers: usize,
    /// What arrived behind the place where the session is ended.
    unheard: Vec<u8>,
    observed: Observed,
    terms: Terms,
    settlement: Settlement,
}

impl Talk {
    async fn go_on(&mut self, domain: &Domain, idle: Duration) -> End {
        let mut last_heard = Instant::now();
        let mut alarm = pin!(tokio::time::sleep(idle));
        let mut draining = pin!(domain.tasks.draining());
        let (mut is_draining, mut can_send_up) = (false, true);
        loop {
            if is_draining && self.is_at_rest() {
                let failure = Error::new(Code::Unavailable, "the gateway is stopping");
                return End::Gateway(GOING_AWAY, failure);
            }
            tokio::select! {
                step = self.down.step() => match step {
                    Step::Arrived => {
                        if let Some(end) = self.hear_provider(domain).await {
                            return end;
                        }
                    }
                    Step::Moved => {}
                    Step::Ended => return End::Provider,
                    Step::Stuck => return End::Client,
                },
                step = self.up.step(), if can_send_up => match step {
                    Step::Arrived => self.hear_client(),
                    Step::Moved => {}
                    Step::Ended => return End::Client,
                    // the provider may still have something to say
                    Step::Stuck => can_send_up = false,
                },
                () = &mut alarm => {
                    if last_heard.elapsed() >= idle {
                        let message = format!("nothing was said for {idle:?}");
                        return End::Gateway(GOING_AWAY, Error::new(Code::RequestTimeout, message));
                    }
                    alarm.as_mut().reset(last_heard + idle);
                    continue;
                }
                () = &mut draining, if !is_draining => {
                    is_draining = true;
                    continue;
                }
            }
            last_heard = Instant::now();
        }
    }

    /// Whether the session may be ended without cutting anything off.
    fn is_at_rest(&self) -> bool {
        self.open_answers == 0 && self.down.held().is_empty() && self.provider.is_between_messages()
    }

    /// Reads what has just arrived from the provider.
    async fn hear_provider(&mut self, domain: &Domain) -> Option<End> {
        let mut at = 0;
        while at < self.down.held().len() {
            let (taken, event) = self.provider.feed(&self.down.held()[at..]);
            at += taken;
            let is_done = matches!(event, Some(Event::Done(_)));
            self.note(event);
            if is_done
                && self.terms.is_watched
                && let Err(failure) =
                    may_go_on(&self.terms, domain, self.settlement.call.client).await
            {
                // what comes behind the answer is not for this client any more
                self.unheard = self.down.held()[at..].to_vec();
                self.down.truncate(at);
                return Some(End::Gateway(POLICY, failure));
            }
        }
        None
    }

    fn note(&mut self, event: Option<Event>) {
        match event {
            None => {}
            Some(Event::Closed(code)) => self.provider_closes = Some(code),
            Some(_) if !self.terms.is_watched => {}
            Some(Event::Opened { id, model }) => {
                self.observed.id = id;
                self.observed.model = model;
            }
            Some(Event::Began) => self.open_answers += 1,
            Some(Event::Done(usage)) => {
                self.open_answers = self.open_answers.saturating_sub(1);
                if let Some(usage) = usage {
                    self.settlement.add_part(usage);
                }
            }
        }
    }

    fn hear_client(&mut self) {
        let mut rest = self.up.held();
        while !rest.is_empty() {
            let (taken, step) = self.client.step(rest);
            rest = &rest[taken..];
            if let FrameStep::Head(head) = step {
                self.client_closes |= head.kind == Kind::Close;
            }
        }
    }

    async fn end(mut self, end: End) {
        match end {
            End::Provider => self.provider_left().await,
            End::Client => {
                let is_cut = self.open_answers > 0;
                self.hear_out().await;
                match is_cut && self.open_answers > 0 {
                    true => self.settlement.client_left(&self.observed),
                    false => self.settlement.session_ended(&self.observed, None),
                }
            }
            End::Gateway(code, failure) => {
                tracing::debug!(
                    request.id = %self.settlement.call.id, error = %failure, "session ended"
                );
                self.tell_client(code, &failure).await;
                self.hear_out().await;
                self.settlement
                    .session_ended(&self.observed, Some(&failure));
                self.wait_for_client().await;
            }
        }
    }

    async fn provider_left(mut self) {
        let failure = match self.provider_closes {
            // 1005: a close frame without a code
            Some(None | Some(1000 | 1001 | 1005)) => None,
            Some(Some(code)) => Some(format!("the provider closed the session with code {code}")),
            None if self.client_closes => None,
            None => Some("the provider broke off the session".to_owned()),
        };
        let failure = failure.map(|message| Error::new(Code::UpstreamUnavailable, message));
        if let (Some(failure), None) = (&failure, self.provider_closes) {
            self.tell_client(FAILED, failure).await;
        }
        self.settlement
            .session_ended(&self.observed, failure.as_ref());
        // the client reads the end of the connection, as it would from the provider
        let _ = timeout(FAREWELL, self.down.writer.shutdown()).await;
    }

    /// Sends the client what it has not read yet, an error that says why there is no more, and a close
    /// frame; as far as it stands at a place where these may be sent.
    async fn tell_client(&mut self, code: u16, failure: &Error) {
        let mut last = Vec::new();
        if self.terms.is_watched && self.provider.is_between_messages() {
            let event = json!({
                "type": "error",
                "event_id": format!("event_{}", self.settlement.call.id.0.simple()),
                "error": {
                    "type": failure.kind(),
                    "code": failure.kind(),
                    "message": failure.message(),
                    "param": failure.parameter(),
                    "event_id": null,
                },
            });
            last = websocket::frame(Kind::Text, event.to_string().as_bytes(), None);
        }
        if self.provider.is_between_frames() && self.provider_closes.is_none() {
            last.extend(websocket::close(code, failure.message(), None));
        }
        // one that does not read is gone in any case
        let _ = timeout(FAREWELL, self.down.finish(&last)).await;
    }

    /// Ends the connection to the provider. An answer that is under way is cancelled, and the provider
    /// heard until it says what that has used.
    async fn hear_out(&mut self) {
        let mask = self.mask();
        let mut last = Vec::new();
        let can_speak = !self.client_closes && self.up.held().is_empty();
        let wants_word = self.terms.is_watched && self.open_answers > 0;
        if wants_word && can_speak && self.client.is_between_messages() {
            last = websocket::frame(Kind::Text, br#"{"type":"response.cancel"}"#, Some(mask));
        }
        let close = websocket::close(GOING_AWAY, "", Some(mask));
        let may_close = can_speak && self.client.is_between_frames();
        if may_close && last.is_empty() {
            last.clone_from(&close);
        }
        if !last.is_empty() && !matches!(timeout(FAREWELL, self.up.finish(&last)).await, Ok(Ok(())))
        {
            return;
        }
        if wants_word {
            let _ = timeout(LAST_WORD, self.hear_last_word()).await;
            if may_close {
                let _ = timeout(FAREWELL, self.up.finish(&close)).await;
            }
        }
        let _ = timeout(FAREWELL, self.up.writer.shutdown()).await;
    }

    async fn hear_last_word(&mut self) {
        let mut bytes = std::mem::take(&mut self.unheard);
        loop {
            let mut at = 0;
            while at < bytes.len() {
                let (taken, event) = self.provider.feed(&bytes[at..]);
                at += taken;
                self.note(event);
            }
            if self.open_answers == 0 {
                return;
            }
            match self.down.read().await {
                Some(arrived) => bytes = arrived.to_vec(),
                None => return,
            }
        }
    }

    /// Waits until the client has closed its side, so that what it was told is not lost on the way.
    async fn wait_for_client(&mut self) {
        let farewell = async {
            let _ = self.down.writer.shutdown().await;
            while self.up.read().await.is_some() {}
        };
        let _ = timeout(FAREWELL, farewell).await;
    }

    /// A mask for frames of our own to the provider, which no other client can foresee.
    fn mask(&self) -> [u8; 4] {
        let id = base::RequestId::new(self.settlement.domain().clock.now());
        let [.., a, b, c, d] = *id.0.as_bytes();
        [a, b, c, d]
    }
}

/// Whether the key is still good and the budgets hold another answer.
async fn may_go_on(terms: &Terms, domain: &Domain, client: IpAddr) -> Result<()> {
    let caller = auth::authenticate(domain, terms.key.expose(), Some(client)).await?;
    budgets::admit(
        domain,
        &caller,
        &terms.model,
        terms.pricing,
        terms.is_personal,
    )?;
    Ok(())
}
