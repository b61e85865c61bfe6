//! Proxies that are not Envoy: HAProxy and nginx as a distribution has them, and
//! the gateways that teams write themselves.

use crate::load::Trouble;
use crate::policy::{AUDIENCE, ISSUER, PATTERNS};
use crate::proxy::{Launch, Proxy, free_port, listening};
use crate::setup::Parts;
use serde_json::json;
use std::path::PathBuf;
use std::process::Command;

/// A proxy, or why there is none.
type Found = Result<Result<Proxy, String>, Trouble>;

/// `make bench PEERS=1` puts Debian's packages here, unpacked.
fn folder(parts: &Parts) -> PathBuf {
    std::env::var_os("WSGUARD_PEERS").map_or_else(|| parts.root.join(".tools/peers"), PathBuf::from)
}

/// A program of the system's or of an unpacked package.
fn program(parts: &Parts, name: &str) -> Result<PathBuf, String> {
    let mut places = vec![folder(parts).join("usr/sbin").join(name)];
    places.extend(["/usr/sbin", "/usr/bin", "/usr/local/bin"].map(|d| PathBuf::from(d).join(name)));
    let found = places.into_iter().find(|place| place.exists());
    found.ok_or_else(|| format!("{name} is not here (PEERS=1 fetches it)"))
}

pub fn haproxy(parts: &Parts) -> Found {
    let program = match program(parts, "haproxy") {
        Ok(program) => program,
        Err(why) => return Ok(Err(why)),
    };
    let (port, upstream) = (free_port()?, parts.upstream);
    let mut launch = Launch::new(program.as_os_str())?;
    let config = launch.dir.path().join("haproxy.cfg");
    std::fs::write(
        &config,
        format!(
            "global\n  nbthread 1\n  maxconn 9000\n\
             defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n\
             \x20 timeout server 60s\n  timeout tunnel 1h\n\
             frontend edge\n  bind 127.0.0.1:{port}\n  default_backend app\n\
             backend app\n  server app {upstream}\n"
        ),
    )?;
    libraries(parts, &mut launch.command);
    launch.command.arg("-db").arg("-f").arg(config);
    launch.start(&parts.cpus, |_| listening(port)).map(Ok)
}

pub fn nginx(parts: &Parts) -> Found {
    let program = match program(parts, "nginx") {
        Ok(program) => program,
        Err(why) => return Ok(Err(why)),
    };
    let (port, upstream) = (free_port()?, parts.upstream);
    let mut launch = Launch::new(program.as_os_str())?;
    let folder = launch.dir.path().to_owned();
    let kept: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("  {kind}_temp_path {}/{kind};\n", folder.display()))
        .collect();
    std::fs::write(
        folder.join("nginx.conf"),
        format!(
            "daemon off;\nmaster_process off;\nworker_processes 1;\npid {}/pid;\n\
             error_log stderr;\nevents {{ worker_connections 18000; }}\nhttp {{\n  access_log off;\n\
             {kept}  server {{\n    listen 127.0.0.1:{port};\n    location / {{\n\
             \x20     proxy_pass http://{upstream};\n      proxy_http_version 1.1;\n\
             \x20     proxy_set_header Upgrade $http_upgrade;\n\
             \x20     proxy_set_header Connection \"upgrade\";\n      proxy_read_timeout 1h;\n\
             \x20   }}\n  }}\n}}\n",
            folder.display()
        ),
    )?;
    libraries(parts, &mut launch.command);
    launch
        .command
        .args(["-e", "stderr", "-p"])
        .arg(&folder)
        .arg("-c")
        .arg(folder.join("nginx.conf"));
    launch.start(&parts.cpus, |_| listening(port)).map(Ok)
}

/// Libraries of the unpacked packages, for programs that are from there.
fn libraries(parts: &Parts, command: &mut Command) {
    let unpacked = folder(parts).join("usr/lib");
    let kinds = std::fs::read_dir(&unpacked).into_iter().flatten().flatten();
    let places = kinds.map(|kind| kind.path()).filter(|path| path.is_dir());
    if let Ok(places) = std::env::join_paths(places) {
        command.env("LD_LIBRARY_PATH", places);
    }
}

/// What both gateways are told.
fn rules(parts: &Parts, port: u16) -> String {
    json!({
        "port": port,
        "upstream": parts.upstream.to_string(),
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "keys": parts.keys["keys"],
        "patterns": PATTERNS.as_slice(),
        "max_message": 1 << 20,
    })
    .to_string()
}

pub fn python(parts: &Parts) -> Result<Proxy, Trouble> {
    let port = free_port()?;
    let mut launch = Launch::new(parts.python.as_os_str())?;
    launch.command.arg(parts.root.join("tests/bench/peers/gateway.py")).arg(rules(parts, port));
    launch.start(&parts.cpus, |_| listening(port))
}

pub fn node(parts: &Parts) -> Found {
    let program = match program(parts, "node") {
        Ok(program) => program,
        Err(why) => return Ok(Err(why)),
    };
    let modules = folder(parts).join("usr/share/nodejs");
    let places = [modules.clone(), PathBuf::from("/usr/share/nodejs")];
    if !places.iter().any(|place| place.join("ws").exists()) {
        return Ok(Err("Node's ws is not here (PEERS=1 fetches it)".into()));
    }
    let port = free_port()?;
    let mut launch = Launch::new(program.as_os_str())?;
    let places = std::env::join_paths(places)?;
    launch.command.env("NODE_PATH", places).env("NODE_ENV", "production");
    launch.command.arg(parts.root.join("tests/bench/peers/gateway.cjs")).arg(rules(parts, port));
    launch.start(&parts.cpus, |_| listening(port)).map(Ok)
}
