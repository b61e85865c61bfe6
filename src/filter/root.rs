//! One worker: its configuration, its ticks, the sessions that are open.

use super::host::{self, Envoy};
use super::http::HttpFilter;
use crate::config::{Config, Document};
use crate::guard::Guard;
use crate::host::{Level, Log};
use crate::quota::Quotas;
use crate::session::Session;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// How often what has ended is given back (see [`Quotas::settle`]): a client
/// that comes back at once, to another worker, finds its place free.
const SETTLE: Duration = Duration::from_millis(50);

/// Of how many of those one looks at sessions for what no callback brings:
/// every 500 ms.
const TICKS: u32 = 10;

thread_local! {
    /// This VM's part in the table of counts. A VM has a root context for each
    /// listener and document, and what it owns in the table is its own.
    static QUOTAS: Rc<Quotas> = Quotas::open(Rc::new(Envoy), host::random());
}

/// A session that both its stream's callbacks and the tick can reach.
pub(super) type SharedSession = Rc<RefCell<Session>>;

/// What the streams of this worker share.
#[derive(Debug, Default)]
pub(super) struct Worker {
    guard: RefCell<Option<Rc<Guard>>>,
    /// Guards of earlier documents, as long as a session lives on them.
    retired: RefCell<Vec<Rc<Guard>>>,
    /// Counts to [`TICKS`].
    ticks: Cell<u32>,
    /// By context id.
    sessions: RefCell<BTreeMap<u32, SharedSession>>,
}

impl Worker {
    /// The guard of the newest document that loaded.
    pub(super) fn guard(&self) -> Option<Rc<Guard>> {
        self.guard.borrow().clone()
    }

    /// Lets ticks reach a session.
    pub(super) fn add(&self, id: u32, session: &SharedSession) {
        self.sessions.borrow_mut().insert(id, Rc::clone(session));
    }

    /// Its stream has ended.
    pub(super) fn remove(&self, id: u32) {
        self.sessions.borrow_mut().remove(&id);
    }

    fn configure(&self, config: Config) {
        let guard = Guard::new(config, Rc::new(Envoy), QUOTAS.with(Rc::clone));
        if let Some(old) = self.guard.replace(Some(guard)) {
            self.retired.borrow_mut().push(old);
        }
    }

    fn tick(&self) {
        if let Some(guard) = self.guard() {
            guard.on_tick();
        }
        self.retired.borrow_mut().retain(|old| {
            // Once more after its last session: its gauges go to 0.
            old.on_tick();
            Rc::strong_count(old) > 1
        });
        let due: Vec<u32> = self
            .sessions
            .borrow()
            .iter()
            .filter(|(_, session)| session.borrow().on_tick())
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            // Were the stream gone, the reset would hit another one.
            if host::enter(id) {
                host::reset();
            } else {
                self.remove(id);
            }
        }
    }
}

/// The root context.
#[derive(Debug)]
pub(super) struct Root {
    worker: Rc<Worker>,
}

impl Root {
    pub(super) fn new() -> Self {
        Self { worker: Rc::default() }
    }
}

impl Context for Root {
    /// Its listener and all streams of it have gone.
    fn on_done(&mut self) -> bool {
        QUOTAS.with(|quotas| quotas.on_tick());
        self.worker.tick();
        true
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        let document = host::document(size);
        let environment = |name: &str| std::env::var(name).ok();
        let parsed = Document::from_envoy(&document)
            .and_then(|document| Config::check(&document, &environment));
        match parsed {
            Ok(config) => {
                self.worker.configure(config);
                host::tick_every(SETTLE);
                true
            }
            Err(errors) => {
                for error in errors.to_string().lines() {
                    Envoy.write(Level::Error, &format!("wsguard configuration: {error}"));
                }
                false
            }
        }
    }

    fn on_tick(&mut self) {
        QUOTAS.with(|quotas| quotas.on_tick());
        let ticks = self.worker.ticks.get() + 1;
        self.worker.ticks.set(ticks % TICKS);
        if ticks == TICKS {
            self.worker.tick();
        }
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(HttpFilter::new(id, Rc::clone(&self.worker))))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}
