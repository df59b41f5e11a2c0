//! The gateway under test: started with everything on, given a user, a team and a key with a
//! budget each, and asked in the end whether it wrote down exactly what was used.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use base::{Clock, Millis};
use http::Method;
use serde_json::{Value, json};
use testkit::processes::{self, Memory};

use crate::process::Process;
use crate::runs::Upstream;
use crate::{Result, web};

/// What the client calls the model.
pub const MODEL: &str = "bench-model";
const MASTER_KEY: &str = "sk-bench-master-0123456789";
/// Nano-dollars a token, so that every sum is whole.
const PROMPT_PRICE: u64 = 150;
const COMPLETION_PRICE: u64 = 600;
const RESTARTS: usize = 5;
/// Memory is called idle after so long without a request.
const REST: Duration = Duration::from_secs(2);

pub struct Gateway {
    program: PathBuf,
    folder: PathBuf,
    pub address: SocketAddr,
    pub key: String,
    /// Absent only while it restarts.
    process: Option<Process>,
    fresh: Memory,
}

/// What is known of the gateway besides its runs.
pub struct Conclusion {
    /// After the first start, on an empty database.
    pub fresh: Memory,
    /// After all the load.
    pub loaded: Memory,
    /// After a start on the data of the whole run, one request answered.
    pub restarted: Memory,
    /// From the start of the process to the first answer, on the data of the whole run.
    pub starts: Vec<Duration>,
    /// From the signal to the end of the process.
    pub stops: Vec<Duration>,
    pub calls: u64,
    /// What the calls cost, in nano-dollars, by the upstream's count.
    pub cost: u64,
    /// Where another sum is recorded, and which.
    pub wrong: Vec<String>,
}

impl Gateway {
    pub async fn start(program: &Path, folder: &Path, upstream: SocketAddr) -> Result<Gateway> {
        let configuration = folder.join("config.yaml");
        let text = configuration_text(upstream);
        fs::write(&configuration, text)
            .map_err(|error| format!("{}: {error}", configuration.display()))?;
        let mut gateway = Gateway {
            program: program.to_owned(),
            folder: folder.to_owned(),
            address: web::free_port()?,
            key: String::new(),
            process: None,
            fresh: Memory::default(),
        };
        gateway.process = Some(gateway.spawn()?);
        gateway.until_alive().await?;
        gateway.key = gateway.create_key().await?;
        gateway
            .call(
                Method::POST,
                "/v1/chat/completions",
                &gateway.key,
                Some(&web::hello()),
            )
            .await?;
        tokio::time::sleep(REST).await;
        gateway.fresh = gateway.memory();
        Ok(gateway)
    }

    /// The id of the running process; 0, of which `/proc` knows nothing, when there is none.
    pub fn id(&self) -> u32 {
        self.process.as_ref().map_or(0, Process::id)
    }

    pub fn memory(&self) -> Memory {
        processes::memory(self.id())
    }

    fn spawn(&self) -> Result<Process> {
        let mut command = Command::new(&self.program);
        command
            .arg("--config")
            .arg(self.folder.join("config.yaml"))
            .arg("--listen")
            .arg(self.address.to_string())
            // No provider key or database of whoever runs this.
            .env_clear()
            .env("TOLLGATE_MASTER_KEY", MASTER_KEY)
            .env("TOLLGATE_DATA_DIR", self.folder.join("data"))
            .current_dir(&self.folder);
        Process::start("gateway", &mut command, &self.folder)
    }

    async fn until_alive(&mut self) -> Result<()> {
        let begun = Instant::now();
        loop {
            if let Some(process) = &mut self.process {
                process.check()?;
            }
            let path = "/health/readiness";
            match self.call(Method::GET, path, MASTER_KEY, None).await {
                Ok(_) => return Ok(()),
                Err(error) if begun.elapsed() > Duration::from_secs(20) => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }

    async fn create_key(&self) -> Result<String> {
        let post = |path: &'static str, body: Value| async move {
            self.call(Method::POST, path, MASTER_KEY, Some(&body)).await
        };
        let budget = 1_000_000;
        let user = json!({"user_id": "bench-user", "user_role": "internal_user",
            "max_budget": budget, "auto_create_key": false});
        post("/user/new", user).await?;
        let member = json!({"role": "user", "user_id": "bench-user"});
        let team = json!({"team_id": "bench-team", "team_alias": "bench",
            "max_budget": budget, "members_with_roles": [member]});
        post("/team/new", team).await?;
        let key = json!({"user_id": "bench-user", "team_id": "bench-team",
            "models": [MODEL], "max_budget": budget});
        let key = post("/key/generate", key).await?;
        let secret = key["key"].as_str().map(str::to_owned);
        secret.ok_or_else(|| format!("/key/generate gave no key: {key}"))
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        key: &str,
        body: Option<&Value>,
    ) -> Result<Value> {
        web::call(method, self.address, path, key, body).await
    }

    /// Ends the process and starts another on the same data, which answers and then rests.
    pub async fn start_anew(&mut self) -> Result<()> {
        self.stop()?;
        self.restart().await?;
        tokio::time::sleep(REST).await;
        Ok(())
    }

    /// Checks the books, then restarts on the data that the run left. `loaded`: its memory after the
    /// load.
    pub async fn conclude(&mut self, upstream: &Upstream, loaded: Memory) -> Result<Conclusion> {
        let mut conclusion = Conclusion {
            fresh: self.fresh,
            loaded,
            restarted: Memory::default(),
            starts: Vec::new(),
            stops: Vec::new(),
            calls: 0,
            cost: 0,
            wrong: Vec::new(),
        };
        self.check_books(upstream, "", &mut conclusion).await?;
        for _ in 0..RESTARTS {
            conclusion.stops.push(self.stop()?);
            conclusion.starts.push(self.restart().await?);
        }
        tokio::time::sleep(REST).await;
        conclusion.restarted = self.memory();
        self.check_books(upstream, " after a restart", &mut conclusion)
            .await?;
        Ok(conclusion)
    }

    fn stop(&mut self) -> Result<Duration> {
        let begun = Instant::now();
        let Some(process) = self.process.take() else {
            return Ok(Duration::ZERO);
        };
        let messages = process.messages();
        let status = process.stop()?;
        if !status.success() {
            let last = messages.lines().last().unwrap_or_default().to_owned();
            return Err(format!("the gateway ended with {status}: {last}"));
        }
        Ok(begun.elapsed())
    }

    /// The time from the start of the process to its first answer.
    async fn restart(&mut self) -> Result<Duration> {
        let begun = Instant::now();
        self.process = Some(self.spawn()?);
        let hello = web::hello();
        loop {
            let path = "/v1/chat/completions";
            let answer = self.call(Method::POST, path, &self.key, Some(&hello)).await;
            match answer {
                Ok(_) => return Ok(begun.elapsed()),
                Err(error) if begun.elapsed() > Duration::from_secs(20) => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    }

    /// Compares what the upstream served with every place where spend is kept. Rows are written
    /// behind the calls, so each has some seconds to arrive.
    async fn check_books(
        &self,
        upstream: &Upstream,
        when: &str,
        conclusion: &mut Conclusion,
    ) -> Result<()> {
        let counts = upstream.counts().await?;
        let count = |name: &str| counts[name].as_u64().unwrap_or(0);
        conclusion.calls = count("answers");
        conclusion.cost =
            count("prompt_tokens") * PROMPT_PRICE + count("completion_tokens") * COMPLETION_PRICE;
        for place in Place::ALL {
            let begun = Instant::now();
            loop {
                let found = self.recorded(place).await?;
                if found == Some(conclusion.cost) {
                    break;
                }
                if begun.elapsed() > Duration::from_secs(15) {
                    let found = found.map_or_else(|| "nothing".to_owned(), dollars);
                    let wanted = dollars(conclusion.cost);
                    let sentence = format!("{}{when} says {found} and not {wanted}", place.name());
                    conclusion.wrong.push(sentence);
                    break;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        Ok(())
    }

    /// Nano-dollars by what the gateway says of a place; `None` where it says nothing.
    async fn recorded(&self, place: Place) -> Result<Option<u64>> {
        let (path, spend) = match place {
            Place::Key => (format!("/key/info?key={}", self.key), "/info/spend"),
            Place::Team => ("/team/info?team_id=bench-team".into(), "/team_info/spend"),
            Place::User => ("/user/info?user_id=bench-user".into(), "/user_info/spend"),
            Place::Ledger => (ledger_days(), ""),
        };
        let answer = self.call(Method::GET, &path, MASTER_KEY, None).await?;
        let dollars = match place {
            Place::Ledger => {
                let days = answer.as_array().into_iter().flatten();
                days.map(|day| day["spend"].as_f64()).sum()
            }
            _ => answer.pointer(spend).and_then(Value::as_f64),
        };
        Ok(dollars.map(|dollars: f64| (dollars * 1e9).round() as u64))
    }
}

/// Where spend is kept.
#[derive(Clone, Copy)]
enum Place {
    Key,
    Team,
    User,
    /// The sum of the rows.
    Ledger,
}

impl Place {
    const ALL: [Place; 4] = [Place::Key, Place::Team, Place::User, Place::Ledger];

    fn name(self) -> &'static str {
        match self {
            Place::Key => "the key",
            Place::Team => "the team",
            Place::User => "the user",
            Place::Ledger => "the ledger",
        }
    }
}

/// The ledger summed by day, from yesterday to tomorrow, whenever the run crosses midnight.
fn ledger_days() -> String {
    let day = Duration::from_secs(86_400);
    let now = Clock::system().now();
    let date = |at: Millis| at.to_rfc3339().chars().take(10).collect::<String>();
    let (first, last) = (date(now - day), date(now + day));
    format!("/spend/logs?start_date={first}&end_date={last}")
}

pub fn dollars(nanos: u64) -> String {
    format!("${}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
}

/// A provider that speaks chat completions alone, so that other clients' calls are translated.
fn configuration_text(upstream: SocketAddr) -> String {
    let price = |nanos: u64| format!("0.{nanos:09}");
    format!(
        "model_list:
  - model_name: {MODEL}
    litellm_params:
      model: openai_like/bench-upstream
      api_base: http://{upstream}/gateway/v1
      api_key: sk-provider
      input_cost_per_token: {}
      output_cost_per_token: {}
",
        price(PROMPT_PRICE),
        price(COMPLETION_PRICE)
    )
}
