//! A service that answers over HTTP by script, and keeps what it was asked.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// An answer.
#[derive(Clone)]
pub struct Reply {
    pub status: u16,
    pub body: Vec<u8>,
    pub after: Duration,
    /// It is given once this is let go.
    pub held: Option<Hold>,
}

/// What keeps answers back, and lets them all go.
#[derive(Clone, Default)]
pub struct Hold(Arc<(Mutex<bool>, Condvar)>);

impl Hold {
    pub fn let_go(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn wait(&self) {
        let held = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(held, |let_go| !*let_go).unwrap());
    }
}

impl Reply {
    pub fn new(status: u16, body: impl AsRef<[u8]>) -> Self {
        Self { status, body: body.as_ref().to_vec(), after: Duration::ZERO, held: None }
    }

    pub fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }

    pub fn held(self, hold: &Hold) -> Self {
        Self { held: Some(hold.clone()), ..self }
    }

    /// It never comes.
    pub fn never(self) -> Self {
        self.held(&Hold::default())
    }
}

/// What is asked: head and body, as text.
pub type Answer = dyn Fn(&str) -> Reply + Send + Sync;

/// The service. It ends with the test process.
pub struct Service {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    answer: Arc<Mutex<Arc<Answer>>>,
}

impl Service {
    /// Always the same answer.
    pub fn fixed(reply: Reply) -> Self {
        Self::start(move |_| reply.clone())
    }

    pub fn start(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let answer: Arc<Mutex<Arc<Answer>>> = Arc::new(Mutex::new(Arc::new(answer)));
        let (log, script) = (Arc::clone(&asked), Arc::clone(&answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, script) = (Arc::clone(&log), Arc::clone(&script));
                std::thread::spawn(move || serve(stream, &log, &script));
            }
        });
        Self { address, asked, answer }
    }

    /// Answers this from now on.
    pub fn answers(&self, reply: Reply) {
        *self.answer.lock().unwrap() = Arc::new(move |_| reply.clone());
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, log: &Mutex<Vec<String>>, script: &Mutex<Arc<Answer>>) {
    while let Some(request) = read(&mut stream) {
        log.lock().unwrap().push(request.clone());
        let answer = Arc::clone(&script.lock().unwrap());
        let reply = answer(&request);
        std::thread::sleep(reply.after);
        if let Some(hold) = &reply.held {
            hold.wait();
        }
        let head = format!(
            "HTTP/1.1 {} Said\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            reply.status,
            reply.body.len()
        );
        if stream.write_all(&[head.as_bytes(), &reply.body].concat()).is_err() {
            return;
        }
    }
}

fn read(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        bytes.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&bytes).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).ok()?;
    bytes.extend(body);
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
