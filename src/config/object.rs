//! Objects: whose keys are the contract's ([`Node::object`]), or the user's ([`Node::map`]).

use super::fault::{Fault, Shape};
use super::names;
use super::node::Node;
use super::tree::{Tree, Value};

/// Longest key of the document that a path shows, in bytes.
const MAX_SHOWN_KEY: usize = 64;

/// An object whose keys are known.
pub(super) struct Object<'a> {
    node: Node<'a>,
    members: Vec<(&'a str, Node<'a>)>,
    /// What each unknown key was probably meant to be.
    meant: Vec<Option<&'static str>>,
}

impl<'a> Object<'a> {
    /// Reports what is wrong with the object as a whole.
    pub(super) fn report(&self, fault: impl Into<Fault>) {
        self.node.report(fault);
    }

    /// The value of a key, if it is written.
    pub(super) fn get(&self, key: &str) -> Option<&Node<'a>> {
        self.members.iter().find(|(name, _)| *name == key).map(|(_, node)| node)
    }

    /// The value of a key that has to be there.
    pub(super) fn require(&self, key: &'static str, write: &'static str) -> Option<&Node<'a>> {
        let found = self.get(key);
        if found.is_none() && !self.is_meant(key) {
            let dot = if self.node.path.is_empty() { "" } else { "." };
            let path = format!("{}{dot}{key}", self.node.path);
            self.node.report_at(path, Shape::Missing { write }.into());
        }
        found
    }

    /// Whether there are keys that nobody knows; they are reported already.
    pub(super) fn has_unknown_keys(&self) -> bool {
        !self.meant.is_empty()
    }

    /// Whether the key is written, or an unknown one was probably meant to be
    /// it, which is reported already.
    pub(super) fn is_meant(&self, key: &str) -> bool {
        self.get(key).is_some() || self.meant.iter().flatten().any(|meant| *meant == key)
    }

    /// The only one of these keys that is written; reports none and several.
    pub(super) fn one_of(
        &self,
        keys: &'static [&'static str],
    ) -> Option<(&'static str, &Node<'a>)> {
        let mut written = keys.iter().filter_map(|key| Some((*key, self.get(key)?)));
        match (written.next(), written.next()) {
            (Some(only), None) => return Some(only),
            (Some(_), Some(_)) => self.report(Shape::OnlyOneOf { known: keys }),
            // Whatever unknown key stands there was meant to be one of them.
            (None, _) if !self.meant.is_empty() => {}
            (None, _) => self.report(Shape::OneOf { known: keys }),
        }
        None
    }

    /// Refuses keys that are of the contract and not built yet.
    pub(super) fn not_yet(&self, keys: &[&str]) {
        for node in keys.iter().filter_map(|key| self.get(key)) {
            node.report(Fault::NotSupportedYet(None));
        }
    }
}

impl<'a> Node<'a> {
    /// An object with these keys and no others.
    pub(super) fn object(&self, keys: &'static [&'static str]) -> Option<Object<'a>> {
        let Value::Object(members) = &self.tree.value else {
            self.wrong_kind("an object (keys and values)");
            return None;
        };
        let (members, _) = self.members(members);
        let (known, unknown): (Vec<_>, _) =
            members.into_iter().partition(|(name, _)| keys.contains(name));
        let mut meant = Vec::new();
        for (name, node) in &unknown {
            let near = names::nearest(name, keys);
            node.report(Shape::UnknownKey { near, known: keys });
            meant.push(near);
        }
        Some(Object { node: self.clone(), members: known, meant })
    }

    /// The value in an object that has this key and nothing else. Reports `other`
    /// for other objects and `plain` for what is none, without showing any key:
    /// for places where keys may be secrets by mistake.
    pub(super) fn sole(
        &self,
        key: &str,
        other: impl Into<Fault>,
        plain: impl Into<Fault>,
    ) -> Option<Node<'a>> {
        match &self.tree.value {
            Value::Null => self.report(Shape::Null),
            Value::Object(members) => match members.as_slice() {
                [(name, tree)] if name == key => return Some(self.child(tree, key)),
                _ => self.report(other),
            },
            _ => self.report(plain),
        }
        None
    }

    /// An object whose keys the user chooses; never empty.
    pub(super) fn map(&self) -> Option<Vec<(&'a str, Node<'a>)>> {
        match &self.tree.value {
            Value::Object(members) if members.is_empty() => self.report(Shape::EmptyMap),
            Value::Object(members) => return Some(self.members(members).0),
            _ => self.wrong_kind("an object (keys and values)"),
        }
        None
    }

    /// The members, each name once: the first one counts, others are reported.
    /// Tells whether there were any.
    pub(super) fn members(
        &self,
        members: &'a [(String, Tree)],
    ) -> (Vec<(&'a str, Node<'a>)>, bool) {
        let mut names = std::collections::HashSet::new();
        let mut once = Vec::with_capacity(members.len());
        for (name, tree) in members {
            let node = self.child(tree, &step(name));
            if names.insert(name.as_str()) {
                once.push((name.as_str(), node));
            } else {
                node.report(Shape::Twice);
            }
        }
        let repeated = once.len() < members.len();
        (once, repeated)
    }
}

/// A key as a step of a path: in brackets and escaped where it is no plain word.
fn step(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !name.is_empty() && name.len() <= MAX_SHOWN_KEY && name.chars().all(plain) {
        return name.to_owned();
    }
    let shown: String = name.chars().take(MAX_SHOWN_KEY).collect();
    let cut = if shown.len() < name.len() { "…" } else { "" };
    format!("[{:?}]", shown + cut)
}
