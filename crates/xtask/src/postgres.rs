//! A throw-away PostgreSQL server for the tests: loopback only, empty, gone at the end.
//!
//! PostgreSQL refuses to run as root, so root starts it as the user that Debian's package made.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Outcome, machine, process};

/// A running server; dropping it stops the server and removes its data.
pub struct Server {
    programs: PathBuf,
    folder: PathBuf,
    user: Option<User>,
    child: Child,
    /// `postgres://…`, a superuser without a password.
    pub url: String,
}

/// The system user that the server runs as.
#[derive(Clone, Copy)]
struct User {
    id: u32,
    group: u32,
}

pub fn start() -> Outcome<Server> {
    let programs = machine::postgres_programs()?;
    let user = if machine::is_root() {
        Some(unprivileged_user()?)
    } else {
        None
    };
    // not below target/: the server's user may not be allowed to enter our checkout
    let folder = std::env::temp_dir().join(format!("tollgate-ci-{}", std::process::id()));
    make_folder(&folder, user).map_err(|error| format!("cannot make {folder:?}: {error}"))?;

    let data = folder.join("data");
    let mut create = run_as(user, &programs.join("initdb"), &folder);
    create
        .arg("--pgdata")
        .arg(&data)
        .args(["--username", "postgres", "--auth", "trust"]);
    create.args([
        "--encoding",
        "UTF8",
        "--locale",
        "C",
        "--no-sync",
        "--no-instructions",
    ]);
    process::read(&mut create)?;

    let port = free_port().map_err(|error| format!("no free port on loopback: {error}"))?;
    let log = fs::File::create(folder.join("log")).map_err(|error| error.to_string())?;
    let mut serve = run_as(user, &programs.join("postgres"), &folder);
    serve
        .arg("-D")
        .arg(&data)
        .arg("-k")
        .arg(&folder)
        .args(["-h", "127.0.0.1", "-p"]);
    serve.arg(port.to_string());
    // nothing here must survive a crash; each test may open its own pool
    for setting in [
        "fsync=off",
        "synchronous_commit=off",
        "full_page_writes=off",
        "max_connections=400",
    ] {
        serve.args(["-c", setting]);
    }
    serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let child = serve
        .spawn()
        .map_err(|error| format!("cannot start PostgreSQL: {error}"))?;
    let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
    let mut server = Server {
        programs,
        folder,
        user,
        child,
        url,
    };
    server.wait_until_ready(port)?;
    process::say(&format!(
        "PostgreSQL from {} on port {port}",
        server.programs.display()
    ));
    Ok(server)
}

impl Server {
    /// Makes an empty database; gives its URL.
    pub fn create_database(&self, name: &str) -> Outcome<String> {
        let mut create = Command::new(self.programs.join("createdb"));
        process::read(create.args(["--maintenance-db", &self.url, name]))?;
        let server = self.url.trim_end_matches("postgres");
        Ok(format!("{server}{name}"))
    }

    fn wait_until_ready(&mut self, port: u16) -> Outcome {
        let deadline = Instant::now() + Duration::from_secs(60);
        let port = port.to_string();
        while Instant::now() < deadline {
            let mut ask = Command::new(self.programs.join("pg_isready"));
            if process::works(ask.args(["--host", "127.0.0.1", "--port", &port])) {
                return Ok(());
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                return Err(format!("PostgreSQL ended with {status}\n{log}"));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Err("PostgreSQL did not answer within a minute".to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut stop = run_as(self.user, &self.programs.join("pg_ctl"), &self.folder);
        stop.arg("stop")
            .arg("--pgdata")
            .arg(self.folder.join("data"));
        if !process::works(stop.args(["--mode", "immediate", "--silent"])) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A port that nobody listens on just now.
pub fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

fn unprivileged_user() -> Outcome<User> {
    let users =
        fs::read_to_string("/etc/passwd").map_err(|error| format!("/etc/passwd: {error}"))?;
    let find = |wanted: &str| users.lines().find_map(|line| user(line, wanted));
    find("postgres")
        .or_else(|| find("nobody"))
        .ok_or_else(|| "neither `postgres` nor `nobody` is in /etc/passwd".to_owned())
}

/// Reads `name:password:id:group:…`.
fn user(line: &str, wanted: &str) -> Option<User> {
    let mut fields = line.split(':');
    if fields.next() != Some(wanted) {
        return None;
    }
    Some(User {
        id: fields.nth(1)?.parse().ok()?,
        group: fields.next()?.parse().ok()?,
    })
}

#[cfg(unix)]
fn make_folder(folder: &Path, user: Option<User>) -> std::io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, chown};
    fs::DirBuilder::new().mode(0o700).create(folder)?;
    user.map_or(Ok(()), |user| {
        chown(folder, Some(user.id), Some(user.group))
    })
}

#[cfg(unix)]
fn run_as(user: Option<User>, program: &Path, folder: &Path) -> Command {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(program);
    command.current_dir(folder);
    if let Some(User { id, group }) = user {
        command.uid(id).gid(group);
    }
    command
}

#[cfg(not(unix))]
fn make_folder(folder: &Path, _user: Option<User>) -> std::io::Result<()> {
    fs::create_dir(folder)
}

#[cfg(not(unix))]
fn run_as(_user: Option<User>, program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let line = "postgres:x:101:104:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash";
        let found = user(line, "postgres").unwrap();
        assert_eq!((found.id, found.group), (101, 104));
        assert!(user(line, "post").is_none());
        assert!(user("postgres:x", "postgres").is_none());
    }
}
