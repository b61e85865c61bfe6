//! Keys that an issuer publishes (`jwks_uri`), shared by all workers of an
//! Envoy.
//!
//! # One fetch for all
//!
//! Each key set has one value in shared data ([`state`]), made when a document
//! is loaded: what was published, and when. A worker that finds a fetch due
//! takes the *lease* by compare-and-set, and only it asks the issuer. The others
//! see the result at their next tick. A lease is good for the call's timeout and
//! a second: when its worker has trapped, another takes it then.
//!
//! Fetches begin and end on ticks of the root context, never in a connection's
//! callback: so the answer finds its worker whatever becomes of the connection
//! that waits for it.
//!
//! # When
//!
//! Keys are fetched ahead of need, after 80 to 90 % of `refresh`. After a
//! failure the next fetch comes after 1 s, 2 s, 4 s … 30 s, each by up to a
//! quarter earlier or later, so that a fleet of Envoys does not ask as one. What
//! was had stays good in the meantime, for at most [`STALE`]. A token that names
//! a key which is not in the set makes a fetch begin at once, at most one in
//! [`ASK_EVERY`], whoever sends such tokens; then its handshake waits, no longer
//! than the call's timeout.
//!
//! All times are of the steady clock, which is the same for all VMs of a process
//! and does not jump.

use super::jwk::KeySet;
use crate::host::{Call, CallAnswer, CallId, Cas, Host, Level};
use sha2::{Digest, Sha256};
use state::{State, ms, steady_ms};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

mod fetched;
mod state;
#[cfg(test)]
mod tests;

pub use state::fuzz_keys_state;

/// How long keys are good that can't be refreshed.
pub const STALE: Duration = Duration::from_secs(24 * 3600);

/// How often tokens with unknown keys can make a fetch begin.
pub const ASK_EVERY: Duration = Duration::from_secs(30);

/// Longest pause after a failed fetch.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// How much longer than the call's timeout a lease is.
const LEASE_MARGIN: Duration = Duration::from_secs(1);

/// How often shared data is looked at while nobody waits.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How often a value is written again that others were faster with.
const TRIES: u32 = 16;

/// `auth.jwt[].keys.jwks_uri`: where an issuer publishes its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysUri {
    /// The cluster that the issuer is reached by.
    pub cluster: String,
    /// The issuer's host.
    pub host: String,
    /// Path of the key set.
    pub path: String,
    /// How old keys may get before they are fetched again.
    pub refresh: Duration,
    /// How long a fetch may take, and a handshake wait for it.
    pub timeout: Duration,
}

/// The key sets of one document, as one worker knows them.
pub(crate) struct RemoteKeys {
    host: Rc<dyn Host>,
    sets: Vec<Rc<RemoteSet>>,
}

/// One key set.
pub(crate) struct RemoteSet {
    uri: KeysUri,
    /// Its key in shared data.
    place: String,
    known: RefCell<Known>,
    /// Why a fetch is wanted, and how many had ended then.
    wanted: Cell<Option<(Want, u64)>>,
    /// Our own fetch.
    fetching: Cell<Option<CallId>>,
    looked: Cell<Option<Duration>>,
}

/// What this worker last saw in shared data.
#[derive(Default)]
struct Known {
    state: State,
    cas: Option<Cas>,
    keys: Option<Rc<KeySet>>,
    /// Grows whenever the keys have changed.
    generation: u64,
}

/// Keys that are good now.
pub(crate) struct Held {
    pub(crate) keys: Rc<KeySet>,
    /// Differs whenever the keys have changed.
    pub(crate) generation: u64,
}

/// Why a fetch is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// There are no keys.
    Any,
    /// A token names one that is not there.
    Unknown,
}

impl RemoteKeys {
    /// The sets that these issuers need, each once; makes their keys in shared
    /// data where they are not there yet.
    pub(crate) fn open<'a>(host: Rc<dyn Host>, uris: impl Iterator<Item = &'a KeysUri>) -> Self {
        let mut sets: Vec<Rc<RemoteSet>> = Vec::new();
        for uri in uris {
            if !sets.iter().any(|set| set.uri == *uri) {
                sets.push(Rc::new(RemoteSet::open(&*host, uri)));
            }
        }
        Self { host, sets }
    }

    /// The set that is published there.
    pub(crate) fn find(&self, uri: &KeysUri) -> Option<&Rc<RemoteSet>> {
        self.sets.iter().find(|set| set.uri == *uri)
    }

    /// To be called on every tick of the root context: looks at what others
    /// have fetched, and fetches what is due.
    pub(crate) fn on_tick(&self) {
        for set in &self.sets {
            set.on_tick(&*self.host);
        }
    }

    /// Hands over the answer of a call that was made on a tick; whether it was
    /// one of these.
    pub(crate) fn on_answer(&self, id: CallId, answer: &CallAnswer) -> bool {
        let set = self.sets.iter().find(|set| set.fetching.get() == Some(id));
        set.is_some_and(|set| {
            set.fetching.set(None);
            set.end(&*self.host, answer);
            true
        })
    }
}

impl RemoteSet {
    fn open(host: &dyn Host, uri: &KeysUri) -> Self {
        // Fixed by the document, as keys of shared data must be: they stay.
        let name = [uri.cluster.as_str(), &uri.host, &uri.path].join("\n");
        let hash: String =
            Sha256::digest(name).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let set = Self {
            uri: uri.clone(),
            place: format!("wsguard/keys/2/{hash}"),
            known: RefCell::default(),
            wanted: Cell::default(),
            fetching: Cell::default(),
            looked: Cell::default(),
        };
        if host.load(&set.place).is_none() {
            let _ = host.store(&set.place, &State::default().encode(), None);
        }
        set.look(host);
        set
    }

    /// The keys, unless there are none or they are stale.
    pub(crate) fn held(&self, now: Duration) -> Option<Held> {
        let known = self.known.borrow();
        let age = State::age(steady_ms(now), known.state.fetched_ms)?;
        let keys = known.keys.as_ref().filter(|_| age <= STALE)?;
        Some(Held { keys: Rc::clone(keys), generation: known.generation })
    }

    /// Fetches that have ended so far, and whether the last one failed.
    pub(crate) fn rounds(&self) -> (u64, bool) {
        let known = self.known.borrow();
        (known.state.rounds, known.state.failures > 0)
    }

    /// Asks for a fetch, or for the one that is under way. `false`: there is
    /// none to wait for, the last one having failed or begun a moment ago.
    pub(crate) fn ask(&self, now: Duration, want: Want) -> bool {
        let now_ms = steady_ms(now);
        let known = self.known.borrow();
        if known.state.is_leased(now_ms, self.longest_lease()) || self.wanted.get().is_some() {
            return true;
        }
        let may = match want {
            Want::Any => true,
            Want::Unknown => {
                State::age(now_ms, known.state.asked_ms).is_none_or(|age| age >= ASK_EVERY)
            }
        };
        let rested = known.state.failures == 0 || self.is_due(&known.state, now_ms);
        if may && rested {
            self.wanted.set(Some((want, known.state.rounds)));
        }
        may && rested
    }

    /// How long a handshake waits for it.
    pub(crate) const fn timeout(&self) -> Duration {
        self.uri.timeout
    }

    fn on_tick(&self, host: &dyn Host) {
        let monotonic = host.monotonic();
        let waited_for = self.wanted.get().is_some()
            || self.known.borrow().state.is_leased(steady_ms(monotonic), self.longest_lease());
        let looked = self.looked.get();
        if waited_for || looked.is_none_or(|at| monotonic.saturating_sub(at) >= LOOK_EVERY) {
            self.looked.set(Some(monotonic));
            self.look(host);
            self.fetch_if_due(host);
        }
    }

    /// Takes over what stands in shared data.
    fn look(&self, host: &dyn Host) {
        let Some((bytes, cas)) = host.load(&self.place) else { return };
        let mut known = self.known.borrow_mut();
        if known.cas == Some(cas) {
            return;
        }
        known.cas = Some(cas);
        // Bytes that nobody of us wrote are overwritten by the next fetch.
        let state = State::decode(&bytes).unwrap_or_default();
        if state.body != known.state.body {
            known.generation += 1;
            known.keys = KeySet::from_published(&state.body).ok().map(Rc::new);
        }
        known.state = state;
    }

    fn fetch_if_due(&self, host: &dyn Host) {
        let now_ms = steady_ms(host.monotonic());
        let leased = {
            let known = self.known.borrow();
            // What has ended since it was wanted may be what was wanted.
            let want = self.wanted.get().filter(|(_, rounds)| *rounds == known.state.rounds);
            let want = want.map(|(want, _)| want);
            let leased = known.state.is_leased(now_ms, self.longest_lease());
            if leased || (want.is_none() && !self.is_due(&known.state, now_ms)) {
                self.wanted.set(None);
                return;
            }
            let mut state = known.state.clone();
            state.tried_ms = now_ms;
            state.lease_ms = now_ms.saturating_add(ms(self.longest_lease()));
            if want == Some(Want::Unknown) {
                state.asked_ms = now_ms;
            }
            host.store(&self.place, &state.encode(), known.cas).is_ok()
        };
        // Somebody was faster: seen at the next tick.
        if !leased {
            return;
        }
        self.wanted.set(None);
        self.look(host);
        match host.call(&self.call()) {
            Ok(id) => self.fetching.set(Some(id)),
            Err(_) => self.end(host, &CallAnswer::Reset),
        }
    }

    fn call(&self) -> Call {
        Call {
            cluster: self.uri.cluster.clone(),
            method: "GET",
            authority: self.uri.host.clone(),
            path: self.uri.path.clone(),
            headers: vec![
                ("accept", "application/json".to_owned()),
                ("user-agent", "wsguard".to_owned()),
            ],
            body: Vec::new(),
            timeout: self.uri.timeout,
        }
    }

    /// Our fetch has ended: tells all workers, and Envoy's log if it failed.
    fn end(&self, host: &dyn Host, answer: &CallAnswer) {
        let read = fetched::read(answer);
        if let Err(error) = &read {
            let line = format!(
                "wsguard keys: those of cluster {} at {}{} can't be had: {error}",
                self.uri.cluster, self.uri.host, self.uri.path
            );
            host.write(Level::Warn, &line);
        }
        for _ in 0..TRIES {
            self.look(host);
            let known = self.known.borrow();
            let mut state = known.state.clone();
            state.rounds += 1;
            state.lease_ms = 0;
            match &read {
                Ok(body) => {
                    state.failures = 0;
                    state.fetched_ms = steady_ms(host.monotonic());
                    state.body = body.to_vec();
                }
                Err(_) => state.failures = state.failures.saturating_add(1),
            }
            if host.store(&self.place, &state.encode(), known.cas).is_ok() {
                break;
            }
        }
        self.look(host);
    }

    fn longest_lease(&self) -> Duration {
        self.uri.timeout + LEASE_MARGIN
    }

    /// Whether it is time for the next fetch by itself.
    fn is_due(&self, state: &State, now_ms: u64) -> bool {
        let Some(since) = State::age(now_ms, state.tried_ms) else { return true };
        // Of this attempt, and another one in each Envoy.
        let luck = mixed(state.tried_ms ^ state.rounds) % 1_000;
        let pause = match state.failures {
            // Whoever fetched has died, and its lease is over.
            0 if state.tried_ms > state.fetched_ms => Duration::ZERO,
            0 => self.uri.refresh / 10_000 * (8_000 + u32::try_from(luck).unwrap_or(0)),
            failures => {
                let doubled = 1_u32.checked_shl(failures - 1).unwrap_or(u32::MAX);
                let pause = Duration::from_secs(1).saturating_mul(doubled).min(MAX_PAUSE);
                pause / 2_000 * (1_500 + u32::try_from(luck).unwrap_or(0))
            }
        };
        since >= pause
    }
}

/// Spreads numbers that lie close together (the finalizer of SplitMix64).
const fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

/// Says where, and whether there are keys.
impl std::fmt::Debug for RemoteKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.sets).finish()
    }
}

impl std::fmt::Debug for RemoteSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let has_keys = self.known.borrow().keys.is_some();
        f.debug_tuple("RemoteSet").field(&self.uri).field(&has_keys).finish()
    }
}
