//! An upstream that counts who is there.

use crate::support::wait_for;
use crate::upstream::accepted;
use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Accepts every WebSocket, and counts how many are open at once.
///
/// One thread, so that it counts right: it takes the requests that have come,
/// and only then looks who of all is still there. So those that it counts were
/// open together, when the last request came. Connections without a request are
/// not counted: Envoy keeps one that it had begun for a client that has left.
pub struct Gate {
    pub address: SocketAddr,
    open: Arc<AtomicUsize>,
    answered: Arc<AtomicUsize>,
    most: Arc<Mutex<Most>>,
}

/// The most that were open at once.
#[derive(Clone, Debug, Default)]
pub struct Most {
    pub all: usize,
    /// By the first address of `x-forwarded-for`.
    pub of: HashMap<String, usize>,
}

struct Guest {
    stream: TcpStream,
    head: Vec<u8>,
    /// Whom it is for, once it is answered.
    client: Option<String>,
}

impl Gate {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let gate = Self {
            address: listener.local_addr().unwrap(),
            open: Arc::default(),
            answered: Arc::default(),
            most: Arc::default(),
        };
        let (open, most) = (Arc::clone(&gate.open), Arc::clone(&gate.most));
        let answered = Arc::clone(&gate.answered);
        // Ends with the test process; it holds nothing but its own port.
        std::thread::spawn(move || {
            let mut guests: Vec<Guest> = Vec::new();
            loop {
                let new = listener.accept().ok();
                let idle = new.is_none();
                if let Some((stream, _)) = new {
                    stream.set_nonblocking(true).unwrap();
                    guests.push(Guest { stream, head: Vec::new(), client: None });
                }
                guests.retain_mut(Guest::read);
                let new = guests.iter_mut().filter_map(Guest::answer).count();
                answered.fetch_add(new, Ordering::SeqCst);
                guests.retain_mut(Guest::read);
                let count = guests.iter().filter(|guest| guest.client.is_some()).count();
                open.store(count, Ordering::SeqCst);
                if new > 0 {
                    most.lock().unwrap().see(&guests);
                }
                if idle {
                    std::thread::sleep(Duration::from_micros(200));
                }
            }
        });
        gate
    }

    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// How many it has let in so far.
    pub fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }

    pub fn most(&self) -> Most {
        self.most.lock().unwrap().clone()
    }

    pub fn wait_for(&self, open: usize) {
        let what = format!("{open} connections at upstream");
        wait_for(&what, || (self.open() == open).then_some(()));
    }
}

impl Most {
    fn see(&mut self, guests: &[Guest]) {
        let mut now = HashMap::<&str, usize>::new();
        for client in guests.iter().filter_map(|guest| guest.client.as_deref()) {
            *now.entry(client).or_default() += 1;
        }
        self.all = self.all.max(now.values().sum());
        for (client, count) in now {
            match self.of.get_mut(client) {
                Some(most) => *most = count.max(*most),
                None => drop(self.of.insert(client.to_owned(), count)),
            }
        }
    }
}

impl Guest {
    /// Reads what is there; false when it has ended.
    fn read(&mut self) -> bool {
        let mut chunk = [0; 4096];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return false,
                Ok(length) if self.client.is_none() => {
                    self.head.extend_from_slice(&chunk[..length]);
                }
                Ok(_) => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
    }

    /// Answers the request, once it is there.
    fn answer(&mut self) -> Option<()> {
        let due = self.client.is_none() && self.head.ends_with(b"\r\n\r\n");
        due.then(|| {
            let head = String::from_utf8_lossy(&self.head);
            let forwarded = head.lines().find_map(|line| line.strip_prefix("x-forwarded-for: "));
            let client = forwarded.and_then(|list| list.split(',').next()).unwrap_or_default();
            self.client = Some(client.to_owned());
            let answer = accepted(&head, "");
            // And a message, so that who leaves without reading it resets.
            let message = b"\x81\x02hi";
            let _ = self.stream.write_all(&[answer.as_bytes(), message].concat());
        })
    }
}
