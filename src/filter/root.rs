//! One worker: its configuration, its ticks, the sessions that are open.

use super::host::{self, Envoy};
use super::http::HttpFilter;
use super::stream::{SharedConnection, StreamFilter};
use crate::config::{Config, Document, FilterKind};
use crate::guard::Guard;
use crate::host::{Level, Log};
use crate::quota::Quotas;
use crate::reason::Reason;
use crate::session::Session;
use proxy_wasm::traits::{Context, HttpContext, RootContext, StreamContext};
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

/// What is open under a context id.
#[derive(Debug)]
pub(super) enum Live {
    /// A session on an HTTP stream.
    Http(SharedSession),
    /// A connection before `tcp_proxy`.
    Stream(SharedConnection),
}

impl Live {
    /// Whether it is to be ended, and why if that is news.
    fn on_tick(&self) -> (bool, Option<Reason>) {
        match self {
            Self::Http(session) => (session.borrow_mut().on_tick(), None),
            Self::Stream(connection) => {
                let outcome = connection.borrow_mut().on_tick();
                (outcome.reset, outcome.refused)
            }
        }
    }
}

/// What the streams of this worker share.
#[derive(Debug, Default)]
pub(super) struct Worker {
    guard: RefCell<Option<Rc<Guard>>>,
    /// Guards of earlier documents, as long as a session lives on them.
    retired: RefCell<Vec<Rc<Guard>>>,
    /// Counts to [`TICKS`].
    ticks: Cell<u32>,
    /// By context id.
    live: RefCell<BTreeMap<u32, Live>>,
}

impl Worker {
    /// The guard of the newest document that loaded.
    pub(super) fn guard(&self) -> Option<Rc<Guard>> {
        self.guard.borrow().clone()
    }

    /// Lets ticks reach it.
    pub(super) fn add(&self, id: u32, live: Live) {
        self.live.borrow_mut().insert(id, live);
    }

    /// Its stream has ended.
    pub(super) fn remove(&self, id: u32) {
        self.live.borrow_mut().remove(&id);
    }

    fn configure(&self, config: Config) {
        let guard = Guard::with_quotas(config, Rc::new(Envoy), QUOTAS.with(Rc::clone));
        if let Some(old) = self.guard.replace(Some(guard)) {
            self.retired.borrow_mut().push(old);
        }
    }

    fn tick(&self) {
        if let Some(guard) = self.guard() {
            guard.on_tick();
        }
        let newest = self.guard();
        self.retired.borrow_mut().retain(|old| {
            // Once more after its last session, and as long as another worker has
            // one: its gauges go to 0.
            old.on_tick();
            Rc::strong_count(old) > 1 || newest.as_ref().is_some_and(|new| !old.is_settled(new))
        });
        let (mut due, mut pushes) = (Vec::new(), Vec::new());
        for (id, live) in self.live.borrow().iter() {
            if let (true, reason) = live.on_tick() {
                due.push((*id, matches!(live, Live::Stream(_)), reason));
            } else if let Live::Http(session) = live
                && session.borrow().has_to_push()
            {
                pushes.push((*id, Rc::clone(session)));
            }
        }
        for (id, session) in pushes {
            if host::enter(id) {
                super::http::push(&mut session.borrow_mut());
            }
        }
        for (id, is_stream, reason) in due {
            // Were the stream gone, the reset would hit another one.
            if !host::enter(id) {
                self.remove(id);
                continue;
            }
            if let Some(reason) = reason {
                host::set_filter_state("reason", reason.name());
            }
            if is_stream { host::close() } else { host::reset() }
        }
    }

    /// Which kind of filter the document is for.
    fn kind(&self) -> ContextType {
        match self.guard().map(|guard| guard.config().filter) {
            Some(FilterKind::Stream) => ContextType::StreamContext,
            Some(FilterKind::Http) | None => ContextType::HttpContext,
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

    fn create_stream_context(&self, id: u32) -> Option<Box<dyn StreamContext>> {
        Some(Box::new(StreamFilter::new(id, Rc::clone(&self.worker))))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(self.worker.kind())
    }
}
