//! Which document has taken the place of which, in one VM.
//!
//! Envoy makes a root context for every document, beside those that still have
//! connections, and says of none that it is the newer version of another. What
//! two versions have in common is their plugin's name and root id; but nobody has
//! to give each of two filters a name of its own. So a document takes the place of
//! the others of its plugin, unless they turn out to be at work side by side:
//!
//! - they came together, as those of a bootstrap do, with no tick between;
//! - or, once [`HANDOVER`] has passed since the newer one came, the older one is
//!   still given connections that are new. That one was brought back (Envoy then
//!   goes on with the root context it has), or is another listener's.
//!
//! From then on no document of this plugin takes another's place, which the
//! operator is told, until only one is left of them.

use super::Guard;
use crate::config::FilterKind;
use crate::host::{Host, Level};
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Duration;

/// How long after a newer version has come the listener with the older one may be
/// given connections: Envoy lets a listener wait for what it needs.
pub const HANDOVER: Duration = Duration::from_secs(10);

/// The documents at work in one VM, by their plugins.
pub struct Successions {
    vm: Rc<Vm>,
    lines: RefCell<Vec<Rc<Line>>>,
}

/// What tells a wsguard filter from others, as far as Envoy lets it be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugin {
    /// `name` of Envoy's `PluginConfig`.
    pub name: String,
    /// `root_id` of it.
    pub root_id: String,
    /// Which kind of filter its document is for.
    pub filter: FilterKind,
}

/// What all of them see.
struct Vm {
    host: Rc<dyn Host>,
    ticks: Cell<u64>,
    /// The newest connection that anything was asked about; Envoy numbers them
    /// in the order in which they come.
    newest_connection: Cell<u64>,
}

/// The versions of a plugin's document.
struct Line {
    plugin: Plugin,
    /// The oldest first.
    versions: RefCell<Vec<Weak<Version>>>,
    /// By documents that are at work side by side.
    is_shared: Cell<bool>,
    /// The operator has been told that they may be side by side.
    is_told: Cell<bool>,
}

/// A document at work. It counts until it is dropped.
pub struct Version {
    vm: Rc<Vm>,
    line: Rc<Line>,
    guard: Weak<Guard>,
    document: [u8; 32],
    came: Duration,
    came_at_tick: u64,
    /// The newest connection when [`HANDOVER`] was over.
    handed_over: Cell<Option<u64>>,
    /// The oldest connection that it was given.
    first_connection: Cell<Option<u64>>,
}

impl Successions {
    /// None are at work yet.
    #[must_use]
    pub fn new(host: Rc<dyn Host>) -> Self {
        let vm = Vm { host, ticks: Cell::default(), newest_connection: Cell::default() };
        Self { vm: Rc::new(vm), lines: RefCell::default() }
    }

    /// Puts a document to work, known by its SHA-256; it takes the place of those
    /// of the same plugin, unless they are at work side by side.
    #[must_use]
    pub fn enter(&self, plugin: Plugin, document: [u8; 32], guard: &Rc<Guard>) -> Rc<Version> {
        let line = self.line(plugin);
        let others = line.versions();
        let entered = Rc::new(Version {
            vm: Rc::clone(&self.vm),
            line: Rc::clone(&line),
            guard: Rc::downgrade(guard),
            document,
            came: self.vm.host.monotonic(),
            came_at_tick: self.vm.ticks.get(),
            handed_over: Cell::default(),
            first_connection: Cell::default(),
        });
        // Those of one document are no longer side by side with others.
        if others.windows(2).all(|pair| matches!(pair, [a, b] if a.document == b.document)) {
            line.is_shared.set(false);
            line.is_told.set(false);
        }
        let mut differing = others.iter().filter(|other| other.document != document);
        line.versions.replace(others.iter().chain([&entered]).map(Rc::downgrade).collect());
        if differing.any(|other| other.came_at_tick == entered.came_at_tick) {
            entered.share();
        }
        if !line.is_shared.get() {
            for older in others.iter().filter_map(|other| other.guard.upgrade()) {
                older.succeed_by(guard);
            }
        }
        entered
    }

    fn line(&self, plugin: Plugin) -> Rc<Line> {
        let mut lines = self.lines.borrow_mut();
        lines.retain(|line| !line.versions().is_empty());
        if let Some(line) = lines.iter().find(|line| line.plugin == plugin) {
            return Rc::clone(line);
        }
        let (is_shared, is_told) = Default::default();
        let line = Rc::new(Line { plugin, versions: RefCell::default(), is_shared, is_told });
        lines.push(Rc::clone(&line));
        line
    }

    /// To be called on every tick of each root context.
    pub fn on_tick(&self) {
        let now = self.vm.host.monotonic();
        self.vm.ticks.set(self.vm.ticks.get().wrapping_add(1));
        for version in self.lines.borrow().iter().flat_map(|line| line.versions()) {
            let waits = version.handed_over.get().is_none();
            if waits && now.saturating_sub(version.came) >= HANDOVER {
                version.handed_over.set(Some(self.vm.newest_connection.get()));
            }
        }
    }
}

impl Line {
    /// Those that are still at work.
    fn versions(&self) -> Vec<Rc<Version>> {
        self.versions.borrow().iter().filter_map(Weak::upgrade).collect()
    }
}

impl Version {
    /// To be called for each connection, or stream of one, that comes to this
    /// document.
    pub fn is_given(&self, connection: u64) {
        let newest = self.vm.newest_connection.get();
        self.vm.newest_connection.set(newest.max(connection));
        let first = self.first_connection.get().map_or(connection, |first| first.min(connection));
        self.first_connection.set(Some(first));
        if self.line.is_shared.get() {
            return;
        }
        let newer = self.line.versions().into_iter().rev();
        let newer = newer.take_while(|other| !std::ptr::eq(Rc::as_ptr(other), self));
        for other in newer.filter(|other| other.document != self.document) {
            if other.handed_over.get().is_none_or(|newest| connection <= newest) {
                continue;
            }
            // One that came before those of the newer document may only have been
            // silent until now; where that has none, nobody knows.
            match other.first_connection.get() {
                Some(first) if connection > first => return self.share(),
                Some(_) => {}
                None => self.tell(),
            }
        }
    }

    /// None of them takes another's place.
    fn share(&self) {
        if self.line.is_shared.replace(true) {
            return;
        }
        for guard in self.line.versions().iter().filter_map(|version| version.guard.upgrade()) {
            guard.stand_alone();
        }
        self.tell();
    }

    fn tell(&self) {
        if self.line.is_told.replace(true) {
            return;
        }
        let line = format!(
            "wsguard: plugins named {:?} have different documents; give each wsguard filter a \
             `name` of its own, or keys that are removed end no open connections, or others do",
            self.line.plugin.name
        );
        self.vm.host.write(Level::Warn, &line);
    }
}

impl std::fmt::Debug for Successions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines = self.lines.borrow();
        f.debug_set().entries(lines.iter().map(|line| &line.plugin)).finish()
    }
}

impl std::fmt::Debug for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Version").field("plugin", &self.line.plugin).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::host::Timestamp;
    use crate::host::memory::MemoryHost;

    /// A VM, and how many connections Envoy has had.
    struct Rig {
        host: Rc<MemoryHost>,
        all: Successions,
        connections: Cell<u64>,
    }

    /// A root context and its document.
    struct Root {
        guard: Rc<Guard>,
        version: Rc<Version>,
    }

    impl Rig {
        fn new() -> Self {
            let host = Rc::new(MemoryHost::at(Timestamp::default()));
            let all = Successions::new(Rc::<MemoryHost>::clone(&host));
            Self { host, all, connections: Cell::default() }
        }

        fn enter(&self, name: &str, document: u8) -> Root {
            let config = Config::parse(r#"{"policies": [{"name": "chat"}]}"#, &|_| None).unwrap();
            let guard = Guard::new(config, Rc::<MemoryHost>::clone(&self.host));
            let plugin = Plugin {
                name: name.to_owned(),
                root_id: "wsguard".to_owned(),
                filter: FilterKind::Http,
            };
            let version = self.all.enter(plugin, [document; 32], &guard);
            Root { guard, version }
        }

        /// The same, some time after those of before.
        fn update(&self, name: &str, document: u8) -> Root {
            self.pass(Duration::from_millis(50));
            self.enter(name, document)
        }

        fn pass(&self, time: Duration) {
            self.host.advance(time);
            self.all.on_tick();
        }

        /// A new connection, of which a stream comes to this root.
        fn connects(&self, root: &Root) -> u64 {
            self.connections.set(self.connections.get() + 1);
            root.version.is_given(self.connections.get());
            self.connections.get()
        }

        /// What the operator has been told.
        fn told(&self) -> usize {
            let lines = self.host.take_lines();
            assert!(lines.iter().all(|(_, line)| line.contains("`name` of its own")), "{lines:?}");
            lines.len()
        }
    }

    impl Root {
        fn is_succeeded_by(&self, other: &Self) -> bool {
            self.guard.successor().is_some_and(|newer| Rc::ptr_eq(&newer, &other.guard))
        }

        fn stands_alone(&self) -> bool {
            self.guard.successor().is_none()
        }
    }

    #[test]
    fn a_newer_version_takes_the_place_of_all_older_ones() {
        let rig = Rig::new();
        let first = rig.enter("chat", 1);
        rig.connects(&first);
        let second = rig.update("chat", 2);
        assert!(first.is_succeeded_by(&second) && second.stands_alone());
        // While it is handed over, the older one may be given some more.
        rig.pass(HANDOVER / 2);
        rig.connects(&first);
        rig.connects(&second);
        let third = rig.update("chat", 3);
        assert!(first.is_succeeded_by(&third) && second.is_succeeded_by(&third));
        assert_eq!(rig.told(), 0);
    }

    #[test]
    fn another_plugin_is_none_of_its_business() {
        let rig = Rig::new();
        let (chat, games) = (rig.enter("chat", 1), rig.enter("games", 2));
        let newer = rig.update("games", 3);
        assert!(chat.stands_alone() && games.is_succeeded_by(&newer));
        assert_eq!(rig.told(), 0);
    }

    #[test]
    fn those_that_come_together_take_no_places() {
        let rig = Rig::new();
        let (one, other) = (rig.enter("wsguard", 1), rig.enter("wsguard", 2));
        assert!(one.stands_alone() && other.stands_alone());
        let third = rig.update("wsguard", 3);
        assert!(one.stands_alone() && other.stands_alone() && third.stands_alone());
        assert_eq!(rig.told(), 1, "once");
        // As long as there are several, and no longer.
        drop((one, other));
        let fourth = rig.update("wsguard", 4);
        assert!(third.is_succeeded_by(&fourth));
    }

    #[test]
    fn the_same_document_twice_is_one() {
        let rig = Rig::new();
        let (inbound, outbound) = (rig.enter("chat", 1), rig.enter("chat", 1));
        let newer = rig.update("chat", 2);
        assert!(inbound.is_succeeded_by(&newer) && outbound.is_succeeded_by(&newer));
        rig.pass(HANDOVER);
        let twin = rig.update("chat", 2);
        rig.pass(HANDOVER);
        rig.connects(&newer);
        assert!(outbound.is_succeeded_by(&twin));
        assert_eq!(rig.told(), 0);
    }

    /// Or whoever holds a removed key could keep it at work that way.
    #[test]
    fn a_connection_that_was_silent_until_later_on_says_nothing() {
        let rig = Rig::new();
        let first = rig.enter("wsguard", 1);
        rig.connects(&first);
        let silent = rig.connections.get() + 1;
        rig.connections.set(silent);
        let second = rig.update("wsguard", 2);
        rig.pass(HANDOVER);
        first.version.is_given(silent);
        assert!(first.is_succeeded_by(&second));
        assert_eq!(rig.told(), 1, "it may be otherwise");
        rig.connects(&second);
        first.version.is_given(silent);
        assert!(first.is_succeeded_by(&second));
        rig.connects(&first);
        assert!(first.stands_alone());
    }

    #[test]
    fn one_that_is_given_new_connections_later_on_is_at_work() {
        let rig = Rig::new();
        let first = rig.enter("wsguard", 1);
        let old = rig.connects(&first);
        let second = rig.update("wsguard", 2);
        rig.connects(&second);
        rig.pass(HANDOVER);
        // A new stream of an old connection says nothing.
        first.version.is_given(old);
        assert!(first.is_succeeded_by(&second));
        rig.connects(&second);
        assert!(first.is_succeeded_by(&second));
        rig.connects(&first);
        assert!(first.stands_alone());
        assert_eq!(rig.told(), 1);
        rig.connects(&first);
        assert!(rig.update("wsguard", 3).stands_alone() && second.stands_alone());
        assert_eq!(rig.told(), 0, "once is enough");
    }
}
