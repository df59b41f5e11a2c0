//! A gateway for one test: the real one, in this process, on a free loopback port.
//!
//! ```ignore
//! each_database(async |app| {
//!     let made = app.post("/key/generate", json!({"max_budget": 1})).await;
//!     assert_eq!(made.status, 200, "{made}");
//!     let key = made.text("/key");
//!     let models = app.get("/v1/models").with_key(&key).await;
//! })
//! .await;
//! ```
//!
//! Requests are made with the master key unless they say otherwise. Its models are those that the
//! golden answers were recorded with; their upstream is a [`FakeProvider`]. No answer may hold a provider's
//! key: see [`crate::watch`].

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;

use base::Clock;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use store::ledger::LedgerRow;
use testkit::{Database, FakeProvider};
use tollgate::Running;
use tollgate::cli::Cli;
use tollgate::environment::Environment;

use crate::watch::{Read, Watch};

/// The administrator's key of every test.
pub const MASTER_KEY: &str = "sk-test-master-key-of-every-test";
/// The key of the default configuration's models.
pub const PROVIDER_KEY: &str = "sk-the-provider-s-own-3b1f7c";
const ENCRYPTION_KEY: &str = "an encryption key for tests alone";

/// A running gateway with all that is around it.
pub struct TestApp {
    /// `http://127.0.0.1:port`
    pub url: String,
    pub provider: FakeProvider,
    pub clock: Clock,
    pub database: Database,
    pub watch: Watch,
    setup: Setup,
    running: Option<Running>,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// What a test wants to be different from the default.
#[derive(Clone, Default)]
pub struct Setup {
    config: Option<String>,
    extra: String,
    variables: Vec<(String, String)>,
    clock: Clock,
}

/// Runs a test on a gateway with SQLite and on one with PostgreSQL.
pub async fn each_database(test: impl AsyncFn(&mut TestApp)) {
    Setup::default().each_database(test).await;
}

impl Setup {
    /// Another configuration file in place of the default one. `PROVIDER` in it becomes the fake
    /// provider's base URL.
    pub fn config(mut self, yaml: &str) -> Setup {
        self.config = Some(yaml.to_owned());
        self
    }

    /// Sections besides the default model list.
    pub fn with(mut self, yaml: &str) -> Setup {
        self.extra = yaml.to_owned();
        self
    }

    /// A variable of the gateway's environment; `PROVIDER` becomes the fake provider's base URL.
    pub fn variable(mut self, name: &str, value: &str) -> Setup {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn clock(mut self, clock: Clock) -> Setup {
        self.clock = clock;
        self
    }

    pub async fn each_database(self, test: impl AsyncFn(&mut TestApp)) {
        let begins = self.clock.now();
        for database in testkit::databases().await {
            // a test that moves its clock finds it as it was for each database
            self.clock.set(begins);
            eprintln!("on {}", database.dialect);
            let mut app = TestApp::start(self.clone(), database).await;
            test(&mut app).await;
            app.stop().await;
        }
    }

    /// A gateway on SQLite alone, for what has nothing to do with the database.
    pub async fn start(self) -> TestApp {
        TestApp::start(self, testkit::sqlite().await).await
    }
}

impl TestApp {
    pub async fn start(setup: Setup, database: Database) -> TestApp {
        let provider = FakeProvider::start().await;
        let mut app = TestApp {
            url: String::new(),
            provider,
            clock: setup.clock.clone(),
            database,
            watch: Watch::default(),
            setup,
            running: None,
            client: Client::builder(TokioExecutor::new()).build_http(),
        };
        app.run().await;
        app
    }

    async fn run(&mut self) {
        let running = tollgate::start(&self.config(), self.clock.clone())
            .await
            .expect("the gateway starts");
        self.url = format!("http://{}", running.server.addresses[0]);
        self.running = Some(running);
    }

    /// The ledger's row of a call.
    pub async fn row(&self, answer: &Answer) -> LedgerRow {
        self.row_of(answer.header("x-litellm-call-id")).await
    }

    /// The same for a call's id.
    pub async fn row_of(&self, id: &str) -> LedgerRow {
        let domain = self.domain();
        domain.ledger.flush().await.expect("the ledger is written");
        let found = store::ledger::find(&domain.db, id)
            .await
            .expect("rows can be found");
        found.unwrap_or_else(|| panic!("no row of the call {id}"))
    }

    /// What the gateway is started with.
    pub fn config(&self) -> tollgate::config::Config {
        let folder = self.database.folder.path();
        let here = |text: &str| text.replace("PROVIDER", &self.provider.url());
        let file = folder.join("config.yaml");
        let yaml = self.setup.config.as_deref().unwrap_or(MODELS);
        let text = here(&format!("{yaml}\n{}", self.setup.extra));
        self.watch.learn_file(&text);
        std::fs::write(&file, text).expect("the folder of the test can be written");
        let own = [
            ("TOLLGATE_MASTER_KEY", MASTER_KEY),
            ("TOLLGATE_ENCRYPTION_KEY", ENCRYPTION_KEY),
        ];
        let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let url = self.database.url.clone();
        let variables = own
            .into_iter()
            .chain(url.map(|url| ("DATABASE_URL".to_owned(), url)))
            .chain(
                self.setup
                    .variables
                    .iter()
                    .map(|(name, value)| (name.clone(), here(value))),
            );
        let cli = Cli {
            listen: vec!["127.0.0.1:0".to_owned()],
            config: Some(file),
            data_dir: Some(folder.to_owned()),
            ..Cli::default()
        };
        let environment: Environment = variables
            .inspect(|(name, value)| self.watch.learn_variable(name, value))
            .collect();
        tollgate::config::load(&cli, environment).expect("the configuration of the test is right")
    }

    /// The running gateway's inside, for what cannot be seen from outside.
    pub fn domain(&self) -> &domain::Domain {
        let running = self.running.as_ref().expect("the gateway runs");
        &running.domain
    }

    /// Where the gateway listens.
    pub fn address(&self) -> std::net::SocketAddr {
        let running = self.running.as_ref().expect("the gateway runs");
        running.server.addresses[0]
    }

    /// The running gateway, for a test that ends it itself.
    pub fn take_running(&mut self) -> Running {
        self.running.take().expect("the gateway runs")
    }

    /// Stops as on SIGTERM, and waits for the end.
    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
    }

    /// Changes a variable of the environment for the next start.
    pub fn set_variable(&mut self, name: &str, value: &str) {
        self.setup
            .variables
            .push((name.to_owned(), value.to_owned()));
    }

    /// Stops and starts again on the same data.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.run().await;
    }

    pub fn get(&self, path: &str) -> Call<'_> {
        self.call(Method::GET, path, None)
    }

    pub fn post(&self, path: &str, body: Value) -> Call<'_> {
        self.call(Method::POST, path, Some(body))
    }

    pub fn call(&self, method: Method, path: &str, body: Option<Value>) -> Call<'_> {
        let mut call = Call {
            app: self,
            method,
            path: path.to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        };
        if let Some(body) = body {
            call = call.header("content-type", "application/json");
            call.body = body.to_string().into();
        }
        call.with_key(MASTER_KEY)
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.watch.learn_proofs(&self.provider.requests());
        let found = self.watch.findings();
        // a test that fails already says why
        if !std::thread::panicking() {
            assert!(found.is_empty(), "answers hold a provider's key: {found:?}");
        }
    }
}

/// A request that is sent when it is awaited.
pub struct Call<'a> {
    app: &'a TestApp,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Call<'_> {
    pub fn with_key(self, key: &str) -> Self {
        self.header("authorization", &format!("Bearer {key}"))
    }

    pub fn without_key(mut self) -> Self {
        self.headers.remove("authorization");
        self
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        let value = value.parse().expect("a header's value");
        self.headers.insert(name, value);
        self
    }

    /// Bytes in place of the body.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends it and leaves the answer's body to be read as it comes.
    pub async fn send(self) -> Response<Read> {
        let watch = &self.app.watch;
        watch.learn_body(&self.body);
        let uri = format!("{}{}", self.app.url, self.path);
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(uri)
            .body(Full::new(self.body))
            .expect("a request that can be sent");
        *request.headers_mut() = self.headers;
        let answer = self.app.client.request(request);
        let answer = tokio::time::timeout(testkit::PATIENCE, answer)
            .await
            .expect("the gateway answers in time")
            .expect("the gateway answers");
        watch.over(&self.method, &self.path, answer)
    }
}

impl<'a> IntoFuture for Call<'a> {
    type Output = Answer;
    type IntoFuture = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (head, body) = self.send().await.into_parts();
            let body = tokio::time::timeout(testkit::PATIENCE, body.collect())
                .await
                .expect("the answer ends in time")
                .expect("the answer is whole")
                .to_bytes();
            Answer {
                status: head.status.as_u16(),
                headers: head.headers,
                json: serde_json::from_slice(&body).unwrap_or_default(),
                body,
            }
        })
    }
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The body, or null when it is no JSON.
    pub json: Value,
}

impl Answer {
    /// The text at a JSON pointer (`/key`).
    pub fn text(&self, pointer: &str) -> String {
        match self.json.pointer(pointer).and_then(Value::as_str) {
            Some(text) => text.to_owned(),
            None => panic!("no text at {pointer} of {self}"),
        }
    }

    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default()
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, String::from_utf8_lossy(&self.body))
    }
}

/// The models that the golden answers were recorded with.
const MODELS: &str = r#"
model_list:
  - model_name: fake-openai-endpoint
    litellm_params: {model: openai/gpt-4o-mini, api_key: sk-the-provider-s-own-3b1f7c, api_base: PROVIDER}
  - model_name: gpt-4o
    litellm_params: {model: openai/gpt-4o, api_key: sk-the-provider-s-own-3b1f7c, api_base: PROVIDER}
  - model_name: gpt-3.5-turbo
    litellm_params: {model: openai/gpt-3.5-turbo, api_key: sk-the-provider-s-own-3b1f7c, api_base: PROVIDER}
    model_info: {id: fixed-model-id-35, access_groups: [beta-models]}
  - model_name: mock-model
    litellm_params: {model: openai/gpt-4o-mini, api_key: sk-the-provider-s-own-3b1f7c, mock_response: This is a mock}
  - model_name: text-embedding-3-small
    litellm_params: {model: openai/text-embedding-3-small, api_key: sk-the-provider-s-own-3b1f7c, api_base: PROVIDER}
    model_info: {mode: embedding}
  - model_name: broken-upstream
    litellm_params: {model: openai/gpt-4o-mini, api_key: sk-the-provider-s-own-3b1f7c, api_base: "http://127.0.0.1:9/v1"}
  - model_name: openai/*
    litellm_params: {model: openai/*, api_key: sk-the-provider-s-own-3b1f7c, api_base: PROVIDER}
"#;
