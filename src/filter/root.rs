//! One worker: its configuration, its ticks, the sessions that are open.

use super::host::{self, Envoy};
use super::http::HttpFilter;
use super::live::Live;
use super::stream::StreamFilter;
use crate::config::{Config, Document, FilterKind};
use crate::guard::Guard;
use crate::guard::succession::{Plugin, Successions, Version};
use crate::host::{CallAnswer, CallId, Clock, Level, Log};
use crate::quota::Quotas;
use proxy_wasm::traits::{Context, HttpContext, RootContext, StreamContext};
use proxy_wasm::types::ContextType;
use sha2::{Digest, Sha256};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

/// How often what has ended is given back (see [`Quotas::settle`]): a client
/// that comes back at once, to another worker, finds its place free.
const SETTLE: Duration = Duration::from_millis(50);

/// How often ticks come as long as a client has to be written more than could go
/// on at once (see [`super::downlink`]).
const HURRY: Duration = Duration::from_millis(1);

/// Every so many ticks, sessions are looked at for what no callback brings. Nine ticks of
/// [`SETTLE`] are 450 ms. The 50 ms to spare keep that below 500 ms, since the next tick is
/// only due [`SETTLE`] after the one before has ended.
const TICKS: u32 = 9;

thread_local! {
    /// This VM's part in the table of counts. A VM has a root context for each
    /// listener and document, and what it owns in the table is its own.
    static QUOTAS: Rc<Quotas> = Quotas::open(Rc::new(Envoy), host::random());

    /// The documents of all its root contexts.
    static SUCCESSIONS: Successions = Successions::new(Rc::new(Envoy));
}

/// What the streams of this worker share.
#[derive(Debug, Default)]
pub(super) struct Worker {
    guard: RefCell<Option<Rc<Guard>>>,
    /// The same, among the documents of this VM.
    version: RefCell<Option<Rc<Version>>>,
    /// Guards of earlier documents, as long as a session lives on them.
    retired: RefCell<Vec<Rc<Guard>>>,
    /// Counts to [`TICKS`].
    ticks: Cell<u32>,
    /// By context id.
    live: RefCell<BTreeMap<u32, Live>>,
    /// Of those, the ones that wait for somebody else's answer.
    waiting: RefCell<BTreeSet<u32>>,
    /// Of those, the ones whose client has to be written more.
    behind: RefCell<BTreeSet<u32>>,
    /// Ticks come every [`HURRY`].
    hurries: Cell<bool>,
    /// When something was last done on a tick of every [`SETTLE`].
    settled: Cell<Duration>,
}

impl Worker {
    /// The guard of the newest document that loaded.
    fn guard(&self) -> Option<Rc<Guard>> {
        self.guard.borrow().clone()
    }

    /// The same, for a stream of this connection.
    pub(super) fn guard_for(&self, connection: Option<u64>) -> Option<Rc<Guard>> {
        if let (Some(version), Some(connection)) = (&*self.version.borrow(), connection) {
            version.is_given(connection);
        }
        self.guard()
    }

    /// Lets ticks reach it.
    pub(super) fn add(&self, id: u32, live: Live) {
        live.set_number(id);
        if live.is_waiting() {
            self.waiting.borrow_mut().insert(id);
        }
        self.live.borrow_mut().insert(id, live);
    }

    /// Lets ticks look whether what waits in it can be decided.
    pub(super) fn wait(&self, id: u32) {
        self.waiting.borrow_mut().insert(id);
    }

    /// Its stream has ended.
    pub(super) fn remove(&self, id: u32) {
        self.live.borrow_mut().remove(&id);
        self.waiting.borrow_mut().remove(&id);
        self.behind.borrow_mut().remove(&id);
    }

    /// Ends the connections that have given way in this callback, where held bytes ran
    /// short, so that their memory is free. Their clients are told on the next tick: a
    /// callback must not end another one's stream. No stream may be borrowed.
    pub(super) fn end_given_way(&self) {
        let given_way = |guard: &Rc<Guard>| guard.take_given_way();
        let mut ids = self.guard.borrow().as_ref().map(given_way).unwrap_or_default();
        ids.extend(self.retired.borrow().iter().flat_map(given_way));
        for id in ids {
            if let Some(live) = self.live.borrow().get(&id) {
                live.give_way();
                self.wait(id);
            }
        }
    }

    /// Its client has to be written more than could go on at once.
    pub(super) fn hurry(&self, id: u32) {
        self.behind.borrow_mut().insert(id);
        if !self.hurries.replace(true) {
            host::tick_every(HURRY);
        }
    }

    /// Writes on to the clients that have to be written more, if that is all that
    /// this tick is for: whether it was. Every so often it is for all else; that
    /// writes to these clients, too, and twice in one callback would be in the
    /// wrong order.
    fn catch_up(&self) -> bool {
        let now = Envoy.monotonic();
        if !self.hurries.get() || now.saturating_sub(self.settled.get()) >= SETTLE {
            self.settled.set(now);
            return false;
        }
        let behind = self.behind.borrow().clone();
        for id in behind {
            let stream = match self.live.borrow().get(&id) {
                Some(Live::Http(stream)) => Rc::clone(stream),
                _ => continue,
            };
            let mut stream = stream.borrow_mut();
            // Were the stream gone, the bytes would go to another client.
            if stream.is_behind() && host::enter(id) {
                stream.push();
            }
            if !stream.is_behind() {
                self.behind.borrow_mut().remove(&id);
            }
        }
        if self.behind.borrow().is_empty() {
            self.hurries.set(false);
            host::tick_every(SETTLE);
        }
        true
    }

    /// What handshakes wait for, and those that need not wait any longer.
    fn tend(&self) {
        for guard in self.guards() {
            guard.on_short_tick();
        }
        self.advance();
    }

    /// The answer is for keys, which all may wait for, or for one stream that went
    /// on on a tick. As many answers come as streams wait: each must not be work
    /// for all of them. Who waits for the place of that one's question has it on
    /// the next tick.
    fn on_answer(&self, call: CallId, answer: &CallAnswer) {
        if self.guards().iter().any(|guard| guard.on_call_answer(call, answer)) {
            return self.advance();
        }
        let asked = {
            let live = self.live.borrow();
            let is_own = |id: &u32| live.get(id).is_some_and(|live| live.on_answer(call, answer));
            self.waiting.borrow().iter().copied().find(is_own)
        };
        if let Some(id) = asked {
            self.advance_one(id);
        }
    }

    fn advance(&self) {
        let waiting = self.waiting.borrow().clone();
        for id in waiting {
            self.advance_one(id);
        }
    }

    fn advance_one(&self, id: u32) {
        let live = self.live.borrow();
        let Some(live) = live.get(&id).filter(|live| live.is_waiting()) else {
            self.waiting.borrow_mut().remove(&id);
            return;
        };
        // Were the stream gone, another one would go on.
        if host::enter(id) {
            live.advance();
        }
        if live.is_behind() {
            self.hurry(id);
        }
    }

    /// Those of all documents that something lives on.
    fn guards(&self) -> Vec<Rc<Guard>> {
        let retired = self.retired.borrow();
        self.guard.borrow().iter().chain(retired.iter()).map(Rc::clone).collect()
    }

    fn configure(&self, config: Config, document: &[u8]) {
        let guard = match self.guard() {
            Some(old) => old.replaced_by(config),
            None => Guard::with_quotas(config, Rc::new(Envoy), QUOTAS.with(Rc::clone)),
        };
        // Those of the other kind are other filters', whatever they are called.
        let [name, root_id] = host::plugin();
        let plugin = Plugin { name, root_id, filter: guard.config().filter };
        // The one before counts no more.
        self.version.take();
        let hash = Sha256::digest(document).into();
        let version = SUCCESSIONS.with(|all| all.enter(plugin, hash, &guard));
        self.version.replace(Some(version));
        if let Some(old) = self.guard.replace(Some(Rc::clone(&guard))) {
            self.retired.borrow_mut().push(old);
        }
        for old in self.retired.borrow().iter() {
            old.succeed_by(&guard);
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
        let (mut due, mut pushes, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        for (id, live) in self.live.borrow().iter() {
            let (ends, reason) = live.on_tick();
            if ends || reason.is_some() {
                due.push((*id, matches!(live, Live::Stream(_)), ends, reason));
            }
            let Live::Http(stream) = live else { continue };
            if !ends && stream.borrow().has_to_push() {
                pushes.push((*id, Rc::clone(stream)));
            }
            if stream.borrow().is_refused() {
                refused.push(*id);
            }
        }
        refused.into_iter().for_each(|id| self.advance_one(id));
        for (id, stream) in pushes {
            if host::enter(id) {
                stream.borrow_mut().push();
            }
            if stream.borrow().is_behind() {
                self.hurry(id);
            }
        }
        for (id, is_stream, ends, reason) in due {
            // Were the stream gone, the reset would hit another one.
            if !host::enter(id) {
                self.remove(id);
                continue;
            }
            if let Some(reason) = reason {
                host::set_filter_state("reason", reason.name());
            }
            match (ends, is_stream) {
                (false, _) => {}
                (true, true) => host::close(),
                (true, false) => host::reset(),
            }
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
    /// The answer of a call that a tick made.
    fn on_http_call_response(&mut self, token: u32, headers: usize, body_bytes: usize, _: usize) {
        let answer = host::call_answer(headers, body_bytes);
        self.worker.on_answer(CallId(token), &answer);
        self.worker.end_given_way();
    }

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
                self.worker.configure(config, &document);
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
        SUCCESSIONS.with(Successions::on_tick);
        if self.worker.catch_up() {
            return;
        }
        QUOTAS.with(|quotas| quotas.on_tick());
        let ticks = self.worker.ticks.get() + 1;
        self.worker.ticks.set(ticks % TICKS);
        // Both may write to the same client, and twice in one callback would be
        // in the wrong order.
        if ticks == TICKS {
            self.worker.tick();
        } else {
            self.worker.tend();
        }
        self.worker.end_given_way();
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
