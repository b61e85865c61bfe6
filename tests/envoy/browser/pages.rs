//! The pages: a server on loopback that has the same at every host's name.

use crate::peers::{node_modules, peer};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;

/// Serves until the test process ends; it holds nothing but its own port.
pub struct Pages {
    port: u16,
}

impl Pages {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || serve(&stream));
            }
        });
        Self { port }
    }

    /// The origin of pages of this host.
    pub fn origin(&self, host: &str) -> String {
        format!("http://{host}:{}", self.port)
    }

    /// A page of this host that knows the functions of tests/peers/page.
    pub fn page(&self, host: &str) -> String {
        format!("{}/page", self.origin(host))
    }

    /// The same, whose answer sets a cookie by the way.
    pub fn login(&self, host: &str, cookie: &str) -> String {
        let cookie = cookie.replace(' ', "+");
        format!("{}/login?{cookie}", self.origin(host))
    }
}

/// Answers one request.
fn serve(stream: &TcpStream) -> Option<()> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let line = lines.next()?;
    lines.find(String::is_empty)?;
    let target = line.split(' ').nth(1)?;
    let page = || {
        b"<!doctype html><script src=/talk.js></script><script src=/client.js></script>".to_vec()
    };
    let mut cookie = String::new();
    let (kind, body) = match target.split_once('?').unwrap_or((target, "")) {
        ("/page", _) => ("text/html", page()),
        ("/login", set) => {
            cookie = format!("set-cookie: {}\r\n", set.replace('+', " "));
            ("text/html", page())
        }
        ("/talk.js" | "/client.js", _) => {
            ("text/javascript", std::fs::read(peer(&format!("page{target}"))).unwrap())
        }
        (path, _) => ("text/javascript", std::fs::read(module(path)?).ok()?),
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {kind}; charset=utf-8\r\ncontent-length: {}\r\n\
         connection: close\r\n{cookie}\r\n",
        body.len()
    );
    (&mut &*stream).write_all(&[head.as_bytes(), &body].concat()).ok()
}

/// The file of an npm package.
fn module(path: &str) -> Option<PathBuf> {
    let path = path.strip_prefix("/modules/")?;
    Some(node_modules().join(path))
}
