//! A mail server on a real socket that keeps what it is given: SMTP as RFC 5321 has it, with STARTTLS
//! (RFC 3207), TLS from the start, and a sign-in (RFC 4954) that takes every name.
//!
//! The certificate beside this file is for `localhost` and for tests alone.

use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufStream,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

/// What clients must trust to speak TLS with it.
pub const CERTIFICATE: &str = include_str!("mailbox/certificate.pem");
const KEY: &str = include_str!("mailbox/key.pem");

/// How connections are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    None,
    StartTls,
    Tls,
}

/// A running mail server.
pub struct Mailbox {
    pub port: u16,
    shared: Arc<Shared>,
    accepting: tokio::task::JoinHandle<()>,
}

struct Shared {
    security: Security,
    acceptor: TlsAcceptor,
    mails: Mutex<Vec<Mail>>,
    /// What recipients are refused with.
    refusal: Mutex<Option<String>>,
    arrived: Notify,
}

/// A mail that was taken.
#[derive(Clone, Debug, Default)]
pub struct Mail {
    pub from: String,
    pub to: Vec<String>,
    /// As it came over the wire.
    pub raw: String,
    pub was_encrypted: bool,
    /// Who signed in, and with which password.
    pub login: Option<(String, String)>,
}

impl Mail {
    /// A header's value.
    pub fn header(&self, name: &str) -> &str {
        let head = self.raw.split("\r\n\r\n").next().unwrap_or_default();
        let mut lines = head.lines();
        let found = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        found.unwrap_or_default().trim()
    }

    /// Everything, with quoted-printable (RFC 2045 §6.7) undone.
    pub fn text(&self) -> String {
        let joined = self.raw.replace("=\r\n", "");
        let mut bytes = Vec::with_capacity(joined.len());
        let mut rest = joined.as_bytes();
        while let Some((&byte, after)) = rest.split_first() {
            let code = after.get(..2).filter(|_| byte == b'=');
            let code = code.and_then(|code| std::str::from_utf8(code).ok());
            match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
                Some(decoded) => {
                    bytes.push(decoded);
                    rest = &after[2..];
                }
                None => {
                    bytes.push(byte);
                    rest = after;
                }
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The first link in it that has this text in it.
    pub fn link(&self, part: &str) -> String {
        let text = self.text();
        let mut words =
            text.split(|letter: char| letter.is_whitespace() || "<>\"".contains(letter));
        let found = words.find(|word| word.starts_with("http") && word.contains(part));
        found
            .unwrap_or_else(|| panic!("no link with {part} in {text}"))
            .to_owned()
    }
}

impl Mailbox {
    pub async fn start(security: Security) -> Mailbox {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared {
            security,
            acceptor: TlsAcceptor::from(Arc::new(tls())),
            mails: Mutex::default(),
            refusal: Mutex::default(),
            arrived: Notify::new(),
        });
        #[expect(
            clippy::disallowed_methods,
            reason = "ends with the value; a test kit has no shutdown to wait for it"
        )]
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Mailbox {
            port,
            shared,
            accepting,
        }
    }

    /// Refuses all recipients with this answer, or takes them again.
    pub fn refuse(&self, answer: Option<&str>) {
        let mut refusal = self
            .shared
            .refusal
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *refusal = answer.map(str::to_owned);
    }

    /// The mail that has come until now.
    pub fn mails(&self) -> Vec<Mail> {
        let mails = self.shared.mails.lock();
        mails.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for so many mails.
    pub async fn wait_for(&self, count: usize) -> Vec<Mail> {
        let wait = async {
            loop {
                let arrived = self.shared.arrived.notified();
                let mails = self.mails();
                if mails.len() >= count {
                    return mails;
                }
                arrived.await;
            }
        };
        let waited = tokio::time::timeout(crate::PATIENCE, wait).await;
        waited.unwrap_or_else(|_| panic!("{count} mails did not come, but {:?}", self.mails()))
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn tls() -> ServerConfig {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider speaks TLS")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.expect("a certificate")],
            key.expect("a key"),
        )
        .expect("the key belongs to the certificate")
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        #[expect(
            clippy::disallowed_methods,
            reason = "ends with its client; a test kit has no shutdown to wait for it"
        )]
        tokio::spawn(async move {
            // a client that breaks off is its own affair
            let _ = serve(stream, &shared).await;
        });
    }
}

async fn serve(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    if shared.security == Security::Tls {
        let stream = shared.acceptor.accept(stream).await?;
        let mut stream = BufStream::new(stream);
        return talk(&mut stream, shared, true, true).await.map(drop);
    }
    let mut plain = BufStream::new(stream);
    if talk(&mut plain, shared, false, true).await? {
        let stream = shared.acceptor.accept(plain.into_inner()).await?;
        let mut stream = BufStream::new(stream);
        talk(&mut stream, shared, true, false).await?;
    }
    Ok(())
}

/// Speaks SMTP until the client leaves, or wants TLS.
async fn talk<S>(
    stream: &mut S,
    shared: &Shared,
    was_encrypted: bool,
    greet: bool,
) -> std::io::Result<bool>
where
    S: AsyncRead + AsyncWrite + AsyncBufRead + Unpin,
{
    if greet {
        say(stream, "220 localhost ready").await?;
    }
    let mut mail = Mail::default();
    let mut login = None;
    while let Some(line) = hear(stream).await? {
        let word = line.split(' ').next().unwrap_or_default().to_uppercase();
        match word.as_str() {
            "EHLO" | "HELO" => {
                let mut answer = String::from("250-localhost\r\n250-8BITMIME\r\n");
                if shared.security == Security::StartTls && !was_encrypted {
                    answer += "250-STARTTLS\r\n";
                }
                say(stream, &format!("{answer}250 AUTH PLAIN")).await?;
            }
            "STARTTLS" => {
                say(stream, "220 go on").await?;
                return Ok(true);
            }
            "AUTH" => {
                let words = line.rsplit(' ').next().unwrap_or_default();
                let words = STANDARD.decode(words).unwrap_or_default();
                let words = String::from_utf8_lossy(&words).into_owned();
                let mut words = words.split('\0').skip(1).map(str::to_owned);
                login = words.next().zip(words.next());
                say(stream, "235 welcome").await?;
            }
            "MAIL" => {
                mail = Mail {
                    from: address(&line),
                    login: login.clone(),
                    was_encrypted,
                    ..Mail::default()
                };
                say(stream, "250 ok").await?;
            }
            "RCPT" => {
                let refusal = shared.refusal.lock();
                let refusal = refusal.unwrap_or_else(PoisonError::into_inner).clone();
                match refusal {
                    Some(refusal) => say(stream, &refusal).await?,
                    None => {
                        mail.to.push(address(&line));
                        say(stream, "250 ok").await?;
                    }
                }
            }
            "DATA" => {
                say(stream, "354 go on").await?;
                while let Some(line) = hear(stream).await? {
                    if line == "." {
                        break;
                    }
                    mail.raw += line.strip_prefix('.').unwrap_or(&line);
                    mail.raw += "\r\n";
                }
                let mails = shared.mails.lock();
                mails
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(std::mem::take(&mut mail));
                say(stream, "250 taken").await?;
                shared.arrived.notify_waiters();
            }
            "QUIT" => {
                say(stream, "221 bye").await?;
                return Ok(false);
            }
            _ => say(stream, "250 ok").await?,
        }
    }
    Ok(false)
}

fn address(line: &str) -> String {
    let inside = line
        .split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'));
    inside.map_or_else(String::new, |(address, _)| address.to_owned())
}

async fn say<S: AsyncWrite + Unpin>(stream: &mut S, line: &str) -> std::io::Result<()> {
    stream.write_all(format!("{line}\r\n").as_bytes()).await?;
    stream.flush().await
}

async fn hear<S: AsyncBufRead + Unpin>(stream: &mut S) -> std::io::Result<Option<String>> {
    let mut line = Vec::new();
    if stream.read_until(b'\n', &mut line).await? == 0 {
        return Ok(None);
    }
    let line = String::from_utf8_lossy(&line);
    Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()))
}
