//! The client against servers of a few lines, which do what providers do on good days and bad ones.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::StatusCode;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(20);
const MOST: usize = 64 << 20;

/// For `localhost`, until 2126; it opens nothing but these tests.
const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBkjCCATigAwIBAgIUFe+gJOUsNbByGouvxiDOJo/IaLEwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMTIwMzgzMloYDzIxMjYxMDI4
MjAzODMyWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASAyghCLQODh/G73ctVCgONv4KPk+PlbzUocFYf9ae1Hr0hAY1MZBmn
79Tdo6BN+1lSk/fzmFbai1LYVSzrLdgOo2YwZDAdBgNVHQ4EFgQUMuQ2WGdJqOK9
WGJth62znyesdpYwHwYDVR0jBBgwFoAUMuQ2WGdJqOK9WGJth62znyesdpYwFAYD
VR0RBA0wC4IJbG9jYWxob3N0MAwGA1UdEwEB/wQCMAAwCgYIKoZIzj0EAwIDSAAw
RQIgUWKoakxINsEz2CQNI5CnAyMh0IGUHpy2IZTK9xYXrMUCIQD1gmCf1XaruD/P
3+TgobJ0a+UZ3NA6aAHYnGQPzH3Ehg==
-----END CERTIFICATE-----";
const KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgX1fQbUhfETc4e/cR
uNKeavtdP1YvcItA9mcOGp5hCkShRANCAASAyghCLQODh/G73ctVCgONv4KPk+Pl
bzUocFYf9ae1Hr0hAY1MZBmn79Tdo6BN+1lSk/fzmFbai1LYVSzrLdgO
-----END PRIVATE KEY-----";

/// What a server does with a request whose head it has read.
#[derive(Clone, Copy)]
enum Then {
    /// Reads the body, answers, and waits for the next.
    Answer(&'static str),
    /// Reads the body, answers, and closes.
    AnswerAndClose(&'static str),
    /// Answers without reading the body, which it never does.
    AnswerAtOnce(&'static str),
    Nothing,
}

struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Server {
    async fn start(then: Then, tls: Option<TlsAcceptor>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let tls = tls.clone();
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, then).await,
                        Some(tls) => serve(tls.accept(stream).await?, then).await,
                    }
                });
            }
        });
        Server {
            address,
            connections,
        }
    }

    fn uri(&self, scheme: &str) -> Uri {
        let uri = format!("{scheme}://localhost:{}/v1/chat", self.address.port());
        uri.parse().expect("a URI")
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, then: Then) -> io::Result<()> {
    let mut read = Vec::new();
    loop {
        let head = loop {
            if let Some(end) = memchr::memmem::find(&read, b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        };
        if let Then::AnswerAtOnce(answer) = then {
            stream.write_all(answer.as_bytes()).await?;
            stream.flush().await?;
            std::future::pending::<()>().await;
        }
        let text = String::from_utf8_lossy(&read[..head]).to_ascii_lowercase();
        let length = text.split("content-length: ").nth(1);
        let length = length.and_then(|rest| rest.split("\r\n").next()?.parse().ok());
        while read.len() < head + length.unwrap_or(0) {
            stream.read_buf(&mut read).await?;
        }
        read.clear();
        match then {
            Then::Answer(answer) => stream.write_all(answer.as_bytes()).await?,
            Then::AnswerAndClose(answer) => {
                stream.write_all(answer.as_bytes()).await?;
                return stream.shutdown().await;
            }
            Then::AnswerAtOnce(_) | Then::Nothing => std::future::pending().await,
        }
        stream.flush().await?;
    }
}

fn tls() -> (TlsAcceptor, Connector) {
    let certificate =
        CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("protocols")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .expect("a certificate with its key");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).expect("a root");
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("protocols")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut http =
        HttpConnector::new_with_resolver(Names::new(Reach::Anywhere, Networks::default()));
    http.enforce_http(false);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(client)
        .https_only()
        .enable_http1()
        .wrap_connector(http);
    (TlsAcceptor::from(Arc::new(server)), connector)
}

fn asked(uri: &Uri, body: Vec<u8>) -> Asked<'_> {
    Asked {
        method: Method::POST,
        uri,
        headers: HeaderMap::new(),
        body: Segments::new(vec![Bytes::from(body)]),
        first_byte: LONG,
        reach: Reach::Anywhere,
    }
}

async fn said(client: &Client, uri: &Uri, body: Vec<u8>) -> Result<(StatusCode, Bytes)> {
    let (head, body) = client.send(asked(uri, body)).await?.into_parts();
    Ok((head.status, whole(body, MOST, LONG).await?))
}

fn client() -> Client {
    Client::new(SECOND, &Networks::default()).expect("a client")
}

const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";

#[tokio::test]
async fn a_connection_is_used_again_with_and_without_tls() {
    let (acceptor, connector) = tls();
    let over_tls = Client {
        open: connector,
        ..client()
    };
    for (client, scheme, tls) in [
        (client(), "http", None),
        (over_tls, "https", Some(acceptor)),
    ] {
        let server = Server::start(Then::Answer(CHUNKED), tls).await;
        for size in [0, 10, 3_000_000] {
            let (status, body) = said(&client, &server.uri(scheme), vec![b'x'; size])
                .await
                .expect("an answer");
            assert_eq!((status, &body[..]), (StatusCode::OK, &b"hello world"[..]));
        }
        assert_eq!(server.connections(), 1, "{scheme}");
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_while_it_waited_is_left_alone() {
    // it says that it stays open, and does not
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let server = Server::start(Then::AnswerAndClose(answer), None).await;
    let client = client();
    let origin = Origin::of(&server.uri("http"), Reach::Anywhere).expect("a host");
    for call in 1..4 {
        let (_, body) = said(&client, &server.uri("http"), Vec::new())
            .await
            .expect("an answer");
        assert_eq!(&body[..], b"ok");
        assert_eq!(server.connections(), call);
        // until the end of the connection is noticed
        while let Some(connection) = client.pool.take(&origin) {
            client.pool.put(origin.clone(), connection);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test]
async fn a_refusal_comes_through_before_the_body_is_read() {
    let answer = "HTTP/1.1 413 Too Large\r\ncontent-length: 4\r\n\r\nmuch";
    let server = Server::start(Then::AnswerAtOnce(answer), None).await;
    let client = client();
    for connections in 1..3 {
        let (status, body) = said(&client, &server.uri("http"), vec![b'x'; 32 << 20])
            .await
            .expect("an answer");
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(&body[..], b"much");
        // half a request is on the first
        assert_eq!(server.connections(), connections);
    }
}

#[tokio::test]
async fn an_answer_may_end_with_its_connection_and_not_before_its_length() {
    let until_close = "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\nall of it";
    let server = Server::start(Then::AnswerAndClose(until_close), None).await;
    let (_, body) = said(&client(), &server.uri("http"), Vec::new())
        .await
        .expect("an answer");
    assert_eq!(&body[..], b"all of it");

    for short in [
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\ncontent-le",
        "<html>what is this</html>",
        "",
    ] {
        let server = Server::start(Then::AnswerAndClose(short), None).await;
        let failure = said(&client(), &server.uri("http"), Vec::new())
            .await
            .expect_err(short);
        assert_eq!(failure.code(), Code::UpstreamUnavailable, "{short}");
    }
}

#[tokio::test]
async fn patience_ends() {
    let server = Server::start(Then::Nothing, None).await;
    let uri = server.uri("http");
    let impatient = Asked {
        first_byte: Duration::from_millis(30),
        ..asked(&uri, Vec::new())
    };
    let failure = client().send(impatient).await.expect_err("no answer");
    assert_eq!(failure.code(), Code::UpstreamTimeout);

    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";
    let server = Server::start(Then::Answer(answer), None).await;
    let uri = server.uri("http");
    let response = client()
        .send(asked(&uri, Vec::new()))
        .await
        .expect("a head");
    let silence = Duration::from_millis(30);
    let failure = whole(response.into_body(), MOST, silence).await;
    assert_eq!(failure.expect_err("half").code(), Code::UpstreamTimeout);
}

#[tokio::test]
async fn what_is_larger_than_the_limit_is_not_read() {
    for answer in ["HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n", CHUNKED] {
        let server = Server::start(Then::Answer(answer), None).await;
        let uri = server.uri("http");
        let response = client()
            .send(asked(&uri, Vec::new()))
            .await
            .expect("a head");
        let failure = whole(response.into_body(), 8, LONG).await;
        assert_eq!(
            failure.expect_err("too large").code(),
            Code::UpstreamUnavailable
        );
    }
}

/// What a call to a host that somebody chose comes to.
async fn chosen(client: &Client, uri: &str) -> Result<Response<Incoming>> {
    let uri = uri.parse().expect("a URI");
    let chosen = Asked {
        reach: Reach::Public,
        ..asked(&uri, Vec::new())
    };
    client.send(chosen).await
}

#[tokio::test]
async fn a_host_that_somebody_chose_is_reached_on_the_open_internet_alone() {
    let server = Server::start(Then::Answer(CHUNKED), None).await;
    let port = server.address.port();
    let client = client();
    // a connection that may reach anywhere waits to be used again
    let (status, _) = said(&client, &server.uri("http"), Vec::new())
        .await
        .expect("an answer");
    assert_eq!(status, StatusCode::OK);
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "0.0.0.0",
        "127.1",
        "2130706433",
        "0x7f000001",
        "10.0.0.1",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "[fe80::1]",
    ] {
        let failure = chosen(&client, &format!("http://{host}:{port}/v1/chat")).await;
        let failure = failure.expect_err(host);
        assert_eq!(failure.code(), Code::InvalidRequest, "{host}: {failure}");
    }
    assert_eq!(server.connections(), 1);
    let allowed = Networks::parse(&["127.0.0.0/8"]).expect("a network");
    let client = Client::new(SECOND, &allowed).expect("a client");
    let response = chosen(&client, &format!("http://127.0.0.1:{port}/v1/chat")).await;
    assert_eq!(response.expect("an answer").status(), StatusCode::OK);
}

#[tokio::test]
async fn a_name_that_means_another_address_each_time_gains_nothing() {
    let server = Server::start(Then::AnswerAndClose(CHUNKED), None).await;
    let open: std::net::IpAddr = "1.1.1.1".parse().expect("an address");
    let own = server.address.ip();
    let answers = vec![vec![own], vec![open, own], vec![own, open], Vec::new()];
    let names = Names::told(Reach::Public, answers);
    let client = Client {
        guarded: connector(SECOND, names).expect("a connector"),
        ..client()
    };
    let uri = format!("http://rebound.example:{}/v1/chat", server.address.port());
    for _ in 0..3 {
        let failure = chosen(&client, &uri).await.expect_err("it is refused");
        assert_eq!(failure.code(), Code::InvalidRequest);
    }
    let failure = chosen(&client, &uri).await.expect_err("nobody is there");
    assert_eq!(failure.code(), Code::UpstreamUnavailable);
    assert_eq!(server.connections(), 0);
}
