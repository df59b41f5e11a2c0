//! nginx as a plain reverse proxy: the least that a proxy can cost, and so the measure of ours.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use http::Method;

use crate::process::Process;
use crate::{Result, web};

pub struct Nginx {
    pub address: SocketAddr,
    pub process: Process,
}

/// Starts it and waits until it passes a request on.
pub async fn start(program: &Path, folder: &Path, upstream: SocketAddr) -> Result<Nginx> {
    let address = web::free_port()?;
    let file = folder.join("nginx.conf");
    fs::write(&file, configuration(folder, address, upstream))
        .map_err(|error| format!("{}: {error}", file.display()))?;
    let mut command = Command::new(program);
    command.arg("-p").arg(folder).arg("-c").arg(&file);
    let mut process = Process::start("nginx", &mut command, folder)?;
    let begun = Instant::now();
    let hello = web::hello();
    loop {
        process.check()?;
        let path = "/v1/chat/completions";
        match web::call(Method::POST, address, path, "sk", Some(&hello)).await {
            Ok(_) => return Ok(Nginx { address, process }),
            Err(error) if begun.elapsed() > Duration::from_secs(10) => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// As good at this work as nginx gets: connections kept on both sides, no logs, no buffering of
/// streams or prompts, two workers that do not share a listener.
fn configuration(folder: &Path, address: SocketAddr, upstream: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        "daemon off;
worker_processes 2;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 8192; multi_accept off; }}
http {{
    access_log off;
    tcp_nodelay on;
    keepalive_requests 100000000;
    keepalive_timeout 300s;
    client_max_body_size 64m;
    client_body_buffer_size 256k;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    upstream provider {{ server {upstream}; keepalive 512; keepalive_requests 100000000; }}
    server {{
        listen {address} reuseport backlog=4096;
        location / {{
            proxy_pass http://provider;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_set_header Authorization \"Bearer sk-provider\";
            proxy_buffering off;
            proxy_request_buffering off;
        }}
    }}
}}
"
    )
}
