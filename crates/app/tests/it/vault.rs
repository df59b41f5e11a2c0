//! Secrets at rest: they open at their place alone, are sealed anew beside a gateway that serves, and
//! stand nowhere in the clear.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use base::{Clock, Secret};
use domain::provider_keys::Owner;
use domain::reseal;
use domain::vault::{Place, Vault};
use http::Method;
use serde_json::{Value, json};
use store::provider_keys as rows;
use store::settings::SettingRow;
use store::{Db, sql};

use crate::app::{MASTER_KEY, Setup, TestApp, each_database};
use crate::openapi;
use crate::sign_in::{PASSWORD, member, session};

const OLD: &str = "an older encryption key of these tests";
const NEW: &str = "a newer encryption key of these tests";

/// A key of the gateway that is never asked about.
fn system(name: &str, key: &str) -> Value {
    json!({"owner_kind": "system", "provider": "anthropic", "name": name, "api_key": key,
        "base_url": "http://127.0.0.1:9"})
}

#[tokio::test]
async fn a_ciphertext_that_was_moved_does_not_open() {
    each_database(async |app| {
        let mut ids = Vec::new();
        for name in ["one", "two"] {
            let new = system(name, &format!("sk-ant-{name}-0123456789"));
            let made = app.post("/provider_keys", new).await;
            assert_eq!(made.status, 200, "{made}");
            ids.push(made.text("/id"));
        }
        swap(app, &ids[0], &ids[1]).await;
        app.restart().await;
        let domain = app.domain();
        let provider = llm::provider::find("anthropic").unwrap();
        let keys = domain.provider_keys.of(Owner::System, provider);
        assert_eq!(keys.len(), 2);
        for key in keys {
            let error = key.open(&domain.vault).unwrap_err();
            assert!(error.to_string().contains("does not open"), "{error}");
            assert_eq!(error.message(), "Internal server error");
        }
    })
    .await;
}

/// Swaps two ciphertexts by hand.
async fn swap(app: &TestApp, one: &str, two: &str) {
    let db = &app.domain().db;
    let sealed = async |id: &str| {
        let row = rows::find(db, id).await.unwrap();
        row.unwrap().sealed
    };
    let (first, second) = (sealed(one).await, sealed(two).await);
    let mut tx = db.begin().await.unwrap();
    for (id, old, new) in [(one, &first, &second), (two, &second, &first)] {
        let moved = rows::reseal(&mut tx, id, old, new).await;
        assert_eq!(moved.unwrap(), 1);
    }
    tx.commit().await.unwrap();
}

/// The binary beside a test's gateway, on the same database.
fn binary(app: &TestApp, keys: &str) -> Command {
    let folder = app.database.folder.path();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command
        .env_clear()
        .env("TOLLGATE_MASTER_KEY", MASTER_KEY)
        .env("TOLLGATE_ENCRYPTION_KEY", keys)
        .arg("--data-dir")
        .arg(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(url) = &app.database.url {
        command.env("DATABASE_URL", url);
    }
    command
}

/// Waits for the end of a process beside all else; gives its exit code and what it said.
async fn ended(mut child: Child) -> (Option<i32>, String) {
    let code = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status.code(),
            None => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    let mut said = String::new();
    for stream in [
        child
            .stdout
            .take()
            .map(|it| Box::new(it) as Box<dyn std::io::Read>),
        child
            .stderr
            .take()
            .map(|it| Box::new(it) as Box<dyn std::io::Read>),
    ] {
        stream.unwrap().read_to_string(&mut said).unwrap();
    }
    (code, said)
}

/// The plain text of a key that [`fill`] makes.
fn plain(number: usize) -> String {
    format!("sk-ant-of-user-{number:06}")
}

/// Puts keys of that many users into the database.
async fn fill(db: &Db, vault: &Vault, count: usize) {
    for first in (0..count).step_by(1_000) {
        let rows = (first..count.min(first + 1_000)).map(|number| {
            let (id, owner) = (format!("k{number:06}"), format!("u{number:06}"));
            let place = Place {
                table: "provider_keys",
                column: "sealed/anthropic",
                row: &id,
                owner: &format!("user/{owner}"),
            };
            let sealed = vault.seal(place, &Secret::new(plain(number))).unwrap();
            json!({"id": id, "owner": owner, "sealed": sealed})
        });
        let rows = Value::from_iter(rows).to_string();
        let query = match db {
            Db::Sqlite(_) => sql!(
                Sqlite,
                "INSERT INTO provider_keys (id, owner_kind, owner_id, provider, name, sealed, last4,
                    created_at, updated_at)
                 SELECT value ->> 'id', 'user', value ->> 'owner', 'anthropic', 'anthropic',
                    value ->> 'sealed', '', 1, 1 FROM json_each($1)"
            ),
            Db::Postgres(_) => sql!(
                Postgres,
                "INSERT INTO provider_keys (id, owner_kind, owner_id, provider, name, sealed, last4,
                    created_at, updated_at)
                 SELECT value ->> 'id', 'user', value ->> 'owner', 'anthropic', 'anthropic',
                    value ->> 'sealed', '', 1, 1 FROM json_array_elements($1::json)"
            ),
        };
        query.bind(&rows).execute(db).await.unwrap();
    }
}

/// Opens every key that is in memory and compares it with what was stored.
fn open_all(app: &TestApp, count: usize) {
    let domain = app.domain();
    let provider = llm::provider::find("anthropic").unwrap();
    for number in 0..count {
        let owner = format!("u{number:06}");
        let keys = domain.provider_keys.of(Owner::User(&owner), provider);
        let opened = keys[0].open(&domain.vault).unwrap();
        let llm::provider::Credential::Key(key) = opened else {
            panic!("a key is expected");
        };
        assert_eq!(key.expose(), plain(number));
    }
}

/// Calls models and changes provider keys until it is told to stop; gives how many calls there were.
async fn calls(app: &TestApp, key_id: &str, stop: &AtomicBool) -> usize {
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        let body = json!({"model": "sealed", "messages": [{"role": "user", "content": "hello"}]});
        let answer = app.post("/v1/chat/completions", body).await;
        assert_eq!(answer.status, 200, "{answer}");
        count += 1;
        if count % 10 == 0 {
            let path = format!("/provider_keys/{key_id}");
            let change = json!({"name": format!("name-{count}")});
            let changed = app.call(Method::PATCH, &path, Some(change)).await;
            assert_eq!(changed.status, 200, "{changed}");
        }
    }
    count
}

/// Seals so many keys anew while calls go on, is killed once, goes on, and lets the old key go.
async fn rotate(count: usize) {
    let setup = Setup::default().variable("TOLLGATE_ENCRYPTION_KEY", OLD);
    let test = async |app: &mut TestApp| {
        fill(&app.domain().db, &app.domain().vault, count).await;
        let model = json!({"model_name": "sealed", "model_info": {"id": "sealed"},
            "litellm_params": {"model": "openai/gpt-4o", "api_key": "sk-of-a-model-0123456789",
                "api_base": app.provider.url()}});
        assert_eq!(app.post("/model/new", model).await.status, 200);
        let made = app
            .post("/provider_keys", system("one", "sk-ant-0123456789"))
            .await;
        let id = made.text("/id");
        let both = format!("{NEW},{OLD}");
        app.set_variable("TOLLGATE_ENCRYPTION_KEY", &both);
        app.restart().await;
        open_all(app, count.min(1_000));

        let newest = Vault::new(&[Secret::new(NEW)]).known();
        let stop = AtomicBool::new(false);
        let rotating = async {
            let db = &app.domain().db;
            let left = async || rows::count_not_sealed_with(db, &newest).await.unwrap();
            let all = left().await;
            let mut killed = binary(app, &both).arg("rotate-keys").spawn().unwrap();
            while left().await == all {
                assert!(
                    killed.try_wait().unwrap().is_none(),
                    "it ended and did nothing"
                );
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            killed.kill().unwrap();
            let (code, said) = ended(killed).await;
            assert_eq!(code, None, "it was killed: {said}");
            let after = left().await;
            assert!(after > 0 && after < all, "{after} of {all}");
            let begun = Instant::now();
            let again = binary(app, &both).arg("rotate-keys").spawn().unwrap();
            let (code, said) = ended(again).await;
            assert_eq!(code, Some(0), "{said}");
            assert!(said.contains("can be taken out"), "{said}");
            assert_eq!(left().await, 0);
            eprintln!(
                "{after} of {all} secrets after the kill in {:?}",
                begun.elapsed()
            );
            stop.store(true, Ordering::Relaxed);
        };
        let (count_of_calls, ()) = tokio::join!(calls(app, &id, &stop), rotating);
        assert!(count_of_calls > 0);
        eprintln!("{count_of_calls} calls went on, none failed");
        open_all(app, count.min(1_000));

        // the old key is gone
        app.set_variable("TOLLGATE_ENCRYPTION_KEY", NEW);
        app.restart().await;
        open_all(app, count);
        let stopped = AtomicBool::new(false);
        let once = async { stopped.store(true, Ordering::Relaxed) };
        let (count_of_calls, ()) = tokio::join!(calls(app, &id, &stopped), once);
        assert_eq!(count_of_calls, 1);
    };
    setup.each_database(test).await;
}

#[tokio::test]
async fn secrets_are_sealed_anew_beside_a_gateway_that_serves() {
    rotate(4_000).await;
}

#[tokio::test]
#[ignore = "takes minutes: the same with as many keys as a large company has"]
async fn a_hundred_thousand_secrets_are_sealed_anew() {
    rotate(100_000).await;
}

#[tokio::test]
async fn a_gateway_does_not_start_without_the_key_of_its_secrets() {
    each_database(async |app| {
        let made = app
            .post("/provider_keys", system("one", "sk-ant-0123456789"))
            .await;
        assert_eq!(made.status, 200, "{made}");
        app.stop().await;
        let refusal = async |config: &tollgate::config::Config| match tollgate::start(
            config,
            Clock::system(),
        )
        .await
        {
            Ok(_) => panic!("it starts"),
            Err(error) => format!("{error:#}"),
        };
        // none at all: one is made, and does not stay
        let folder = app.database.folder.path();
        let cli = tollgate::cli::Cli {
            data_dir: Some(folder.to_owned()),
            listen: vec!["127.0.0.1:0".to_owned()],
            ..Default::default()
        };
        let url = app.database.url.clone();
        let url = url.map(|url| ("DATABASE_URL".to_owned(), url));
        let environment = url.into_iter().collect();
        let config = tollgate::config::load(&cli, environment).unwrap();
        let said = refusal(&config).await;
        assert!(said.contains("no encryption key is configured"), "{said}");
        assert!(!folder.join("encryption-key").exists());
        // another one
        let mut config = app.config();
        let right = std::mem::replace(&mut config.encryption_keys, vec![Secret::new(NEW)]);
        let said = refusal(&config).await;
        assert!(said.contains("another encryption key"), "{said}");
        let child = binary(app, NEW).arg("rotate-keys").spawn().unwrap();
        let (code, said) = ended(child).await;
        assert_eq!(code, Some(2), "{said}");
        // one that was taken away too soon
        let db = &app.database.db;
        reseal::check(db, &Vault::new(&[Secret::new(NEW)]), &Clock::system())
            .await
            .unwrap();
        let said = refusal(&config).await;
        assert!(
            said.contains("1 provider keys") && said.contains("rotate-keys"),
            "{said}"
        );
        config.encryption_keys.extend(right);
        let running = tollgate::start(&config, Clock::system()).await.unwrap();
        running.stop().await;
    })
    .await;
}

/// A text that stands nowhere else, in the form of a key.
fn canary(number: usize) -> String {
    format!("sk-canary-{number:02}-{}", "9f3ac7e15d".repeat(3))
}

/// What is looked for: all canaries have it in common.
const MARK: &[u8] = b"9f3ac7e15d9f3ac7e15d";

/// The real binary, with everything that it logs, on the database of a test whose own gateway is stopped.
struct Gateway {
    child: Child,
    log: PathBuf,
}

impl Gateway {
    async fn start(app: &mut TestApp, name: &str) -> Gateway {
        app.stop().await;
        let log = app.database.folder.path().join(name);
        let file = std::fs::File::create(&log).unwrap();
        // writes the file
        app.config();
        let child = binary(app, OLD)
            .env("TOLLGATE_LOG", "trace")
            .arg("--config")
            .arg(app.database.folder.path().join("config.yaml"))
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .unwrap();
        let gateway = Gateway { child, log };
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < testkit::PATIENCE, "it does not listen");
            let said = std::fs::read_to_string(&gateway.log).unwrap();
            let line = said.lines().find(|line| line.contains("\"listening\""));
            if let Some(line) = line {
                let line: Value = serde_json::from_str(line).unwrap();
                app.url = format!("http://{}", line["address"].as_str().unwrap());
                return gateway;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// How often the mark stands in the process's memory.
    fn in_memory(&self) -> usize {
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", self.child.id())).unwrap();
        let mut memory = std::fs::File::open(format!("/proc/{}/mem", self.child.id())).unwrap();
        let mut found = 0;
        for line in maps.lines().filter(|line| line.contains(" rw")) {
            let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
            let number = |text: &str| u64::from_str_radix(text, 16).unwrap();
            let (mut at, to) = (number(from), number(to));
            while at < to {
                let mut part = vec![0; usize::try_from((to - at).min(PART)).unwrap()];
                memory.seek(SeekFrom::Start(at)).unwrap();
                // some areas are the kernel's and cannot be read
                if memory.read_exact(&mut part).is_ok() {
                    found += count(&part);
                }
                at += PART;
            }
        }
        found
    }

    fn stop(mut self) -> Vec<u8> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::fs::read(&self.log).unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // a test that fails leaves no process behind
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How much of a process's memory is looked at at once.
const PART: u64 = 16 << 20;

/// How often the mark stands in bytes. Most of a process's memory is empty, and passed over.
fn count(bytes: &[u8]) -> usize {
    const PAGE: usize = 4096;
    let within = |part: &[u8]| part.windows(MARK.len()).filter(|it| *it == MARK).count();
    let (mut found, mut from) = (0, 0);
    for (number, page) in bytes.chunks(PAGE).enumerate() {
        if page == &[0; PAGE][..page.len()] {
            found += within(&bytes[from..number * PAGE]);
            from = number * PAGE + page.len();
        }
    }
    found + within(&bytes[from..])
}

/// Stores canaries as keys of everybody, in models, and in bodies that are refused; every answer is looked
/// through.
async fn store_canaries(app: &TestApp) -> Vec<String> {
    let (_, session) = {
        let id = member(app, "ada@example.com").await;
        (id, session(app, "ada@example.com", PASSWORD).await.0)
    };
    for (path, body) in [
        (
            "/organization/new",
            json!({"organization_id": "o", "organization_alias": "o"}),
        ),
        ("/team/new", json!({"team_id": "t"})),
    ] {
        assert_eq!(app.post(path, body).await.status, 200);
    }
    let mut ids = Vec::new();
    for number in 0..16 {
        let (kind, owner) = [
            ("system", Value::Null),
            ("user", Value::Null),
            ("team", "t".into()),
            ("organization", "o".into()),
        ][number % 4]
            .clone();
        let key = if kind == "user" { &session } else { MASTER_KEY };
        let body = json!({"owner_kind": kind, "owner_id": owner, "provider": "anthropic",
            "api_key": canary(number), "base_url": app.provider.url()});
        let made = app.post("/provider_keys", body).with_key(key).await;
        assert_eq!((made.status, count(&made.body)), (200, 0), "{made}");
        ids.push(made.text("/id"));
    }
    let model = json!({"model_name": "m", "model_info": {"id": "m"}, "litellm_params":
        {"model": "openai/gpt-4o", "api_key": canary(16), "api_base": app.provider.url()}});
    assert_eq!(app.post("/model/new", model).await.status, 200);
    let path = format!("/provider_keys/{}", ids[0]);
    for (number, change) in [
        (17, json!({"api_key": canary(17)})),
        (
            18,
            json!({"api_key": format!("{}\n", canary(18)), "fallback": "perhaps"}),
        ),
        (19, json!({"api_key": [canary(19)]})),
        (
            20,
            json!({"api_key": format!("{} {}", canary(19), canary(19))}),
        ),
    ] {
        let answer = app.call(Method::PATCH, &path, Some(change)).await;
        assert_eq!(answer.status == 200, number == 17, "{answer}");
        assert_eq!(count(&answer.body), 0, "{answer}");
    }
    let broken = app.post("/provider_keys", json!({}));
    let broken = broken
        .body(format!("{{\"api_key\": \"{}\"", canary(19)))
        .await;
    assert_eq!((broken.status, count(&broken.body)), (422, 0), "{broken}");
    ids
}

/// Calls every operation of the document, with the ids of keys that are there.
async fn call_everything(app: &TestApp, ids: &[String]) {
    let document = openapi::document();
    for (method, path, operation) in openapi::operations(&document) {
        if operation["tags"][0] == "calls" || path.contains("logout") {
            continue;
        }
        let filled = path.replace("{provider_key_id}", &ids[0]);
        let query = if method == "GET" {
            "?owner_kind=system"
        } else {
            ""
        };
        let body = (method != "GET").then(|| json!({}));
        let path = format!("{}{query}", openapi::filled(&filled));
        let answer = app.call(method.parse().unwrap(), &path, body).await;
        assert!(
            answer.status < 500 || answer.status == 503,
            "{path}: {answer}"
        );
        assert_eq!(count(&answer.body), 0, "{path}: {answer}");
    }
    let call = json!({"model": "m", "messages": [{"role": "user", "content": "hello"}]});
    app.provider
        .always(testkit::Reply::error(401, "auth", "no such key"));
    let answer = app.post("/v1/chat/completions", call).await;
    assert_eq!(count(&answer.body), 0, "{answer}");
}

/// Everything that the database says of itself.
async fn dump(db: &Db) -> Vec<u8> {
    if !matches!(db, Db::Postgres(_)) {
        return Vec::new();
    }
    let all: Vec<SettingRow> = sql!(
        Postgres,
        "SELECT table_name::text AS name, CAST(0 AS BIGINT) AS updated_at,
            query_to_xml(format('SELECT * FROM %I', table_name), true, false, '')::text AS value
         FROM information_schema.tables WHERE table_schema = 'public'"
    )
    .all(db)
    .await
    .unwrap();
    assert!(all.len() > 20);
    all.into_iter()
        .flat_map(|it| it.value.into_bytes())
        .collect()
}

/// What stands in the files of a folder.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|it| it.unwrap().path());
    let files = entries.filter(|path| path.is_file());
    files
        .map(|path| {
            let bytes = std::fs::read(&path).unwrap();
            (path, bytes)
        })
        .collect()
}

#[tokio::test]
async fn no_key_stands_anywhere_in_the_clear() {
    let setup = Setup::default().variable("TOLLGATE_ENCRYPTION_KEY", OLD);
    let test = async |app: &mut TestApp| {
        let gateway = Gateway::start(app, "first.log").await;
        let ids = store_canaries(app).await;
        call_everything(app, &ids).await;
        // buffers of connections are not wiped; the figure is for whoever changes that
        eprintln!("{} canaries in memory just after use", gateway.in_memory());
        let folder = app.database.folder.path().to_owned();
        for (path, bytes) in files(&folder) {
            assert_eq!(count(&bytes), 0, "{}", path.display());
        }
        assert_eq!(count(&dump(&app.database.db).await), 0);
        let logged = gateway.stop();
        assert!(
            logged.windows(7).any(|part| part == b"\"TRACE\""),
            "it logs everything"
        );
        assert_eq!(count(&logged), 0, "the log has a key");
        // a gateway that has read all keys and used none holds none in the clear
        let second = Gateway::start(app, "second.log").await;
        let listed = app.get("/provider_keys?owner_kind=system").await;
        assert_eq!(listed.status, 200, "{listed}");
        // the key of a model is opened when models are read, and stands ready to be sent
        assert!(second.in_memory() <= 8, "{} in memory", second.in_memory());
        second.stop();
    };
    setup.each_database(test).await;
}
