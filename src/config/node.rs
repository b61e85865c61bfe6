//! Reading the tree: a [`Node`] knows its path, and reports what is wrong with
//! it instead of giving it. So a section reads each of its keys in a line, and
//! every mistake is found in one pass.
//!
//! `None` from a reading function means: reported. The caller may put anything
//! in its place, for nothing becomes a [`super::Config`] once there is an error.

use super::error::{Collected, ConfigError, ConfigErrors};
use super::fault::{Amount, Fault, Name, Shape};
use super::tree::{Document, Tree, Value};
use super::units::{self, Bound};
use std::cell::RefCell;
use std::time::Duration;

/// Most items of one list.
const MAX_ITEMS: usize = 10_000;

/// What all nodes of a document share.
pub(super) struct Checker<'a> {
    environment: &'a dyn Fn(&str) -> Option<String>,
    collected: RefCell<Collected>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(environment: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { environment, collected: RefCell::default() }
    }

    pub(super) fn root(&'a self, document: &'a Document) -> Node<'a> {
        Node { tree: &document.0, path: String::new(), checker: self }
    }

    /// Everything reported so far; `None` when there was nothing.
    pub(super) fn finish(&self) -> Option<ConfigErrors> {
        self.collected.take().finish()
    }
}

/// A value and its path.
#[derive(Clone)]
pub(super) struct Node<'a> {
    pub(super) tree: &'a Tree,
    /// Empty for the root.
    pub(super) path: String,
    checker: &'a Checker<'a>,
}

/// A word of the contract and what it means; `None`: not built yet.
pub(super) type Words<T> = [(&'static str, Option<T>)];

impl<'a> Node<'a> {
    /// As in `policies[0].client`; `document` for the root.
    pub(super) fn path(&self) -> &str {
        if self.path.is_empty() { "document" } else { &self.path }
    }

    /// Reports what is wrong here.
    pub(super) fn report(&self, fault: impl Into<Fault>) {
        self.report_below("", fault);
    }

    /// Reports what is wrong at a path below this one, which another reader gave.
    pub(super) fn report_below(&self, below: &str, fault: impl Into<Fault>) {
        let dot = if below.is_empty() || below.starts_with('[') { "" } else { "." };
        self.report_at(format!("{}{dot}{below}", self.path()), fault.into());
    }

    pub(super) fn report_at(&self, path: String, fault: Fault) {
        let error = ConfigError::new(path, fault, self.tree.position);
        self.checker.collected.borrow_mut().push(error);
    }

    /// Gives what was read, or reports why not.
    pub(super) fn take<T>(&self, read: Result<T, impl Into<Fault>>) -> Option<T> {
        read.map_err(|fault| self.report(fault)).ok()
    }

    /// Gives what another room read, or reports what that says.
    pub(super) fn take_from<T>(&self, read: Result<T, impl std::fmt::Display>) -> Option<T> {
        self.take(read.map_err(|error| Fault::room(&error)))
    }

    /// A variable of the environment that was handed to the check.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        (self.checker.environment)(name)
    }

    pub(super) fn child(&self, tree: &'a Tree, step: &str) -> Self {
        let path = match (self.path.is_empty(), step.strip_prefix('[')) {
            (false, None) => format!("{}.{step}", self.path),
            _ => format!("{}{step}", self.path),
        };
        Self { tree, path, checker: self.checker }
    }

    pub(super) fn wrong_kind(&self, needed: &'static str) {
        let found = match &self.tree.value {
            Value::Null => return self.report(Shape::Null),
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Object(_) => "an object (keys and values)",
        };
        self.report(Shape::Kind { found, needed });
    }

    /// A list; never empty.
    pub(super) fn list(&self) -> Option<Vec<Node<'a>>> {
        match &self.tree.value {
            Value::List(items) if items.is_empty() => self.report(Shape::EmptyList),
            Value::List(items) if items.len() > MAX_ITEMS => {
                self.report(Shape::TooManyItems { most: MAX_ITEMS });
            }
            Value::List(items) => return Some(self.items(items)),
            _ => self.wrong_kind("a list"),
        }
        None
    }

    fn items(&self, items: &'a [Tree]) -> Vec<Node<'a>> {
        let numbered = items.iter().enumerate();
        numbered.map(|(index, tree)| self.child(tree, &format!("[{index}]"))).collect()
    }

    /// A list in which nothing stands twice, each item read by `read`.
    pub(super) fn list_of<T: PartialEq>(
        &self,
        read: impl Fn(&Node<'a>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut seen: Vec<(T, String)> = Vec::new();
        for node in self.list()? {
            let Some(item) = read(&node) else { continue };
            match seen.iter().find(|(other, _)| *other == item) {
                Some((_, first)) => node.report(Shape::Repeated { first: first.clone() }),
                None => seen.push((item, node.path)),
            }
        }
        Some(seen.into_iter().map(|(item, _)| item).collect())
    }

    /// A text; never empty.
    pub(super) fn text(&self) -> Option<&'a str> {
        match &self.tree.value {
            Value::Text(text) if text.is_empty() => self.report(Shape::EmptyText),
            Value::Text(text) => return Some(text),
            _ => self.wrong_kind("a text, in quotes"),
        }
        None
    }

    /// A text that is compared with what comes over the wire: without control
    /// characters and without white space around it.
    pub(super) fn line(&self) -> Option<&'a str> {
        let text = self.text()?;
        if text.chars().any(char::is_control) {
            self.report(Name::ControlCharacter);
        } else if text.trim().len() != text.len() {
            self.report(Name::WhiteSpace);
        } else {
            return Some(text);
        }
        None
    }

    /// The text that stands here, if it is one; reports nothing.
    pub(super) fn plain_text(&self) -> Option<&'a str> {
        if let Value::Text(text) = &self.tree.value { Some(text) } else { None }
    }

    /// The items of the list that stands here, if it is one; reports nothing.
    pub(super) fn plain_items(&self) -> Vec<Node<'a>> {
        if let Value::List(items) = &self.tree.value { self.items(items) } else { Vec::new() }
    }

    /// Whether this is an object with this key; reports nothing.
    pub(super) fn has_member(&self, key: &str) -> bool {
        matches!(&self.tree.value, Value::Object(members) if members.iter().any(|(k, _)| k == key))
    }

    /// Reports that this says the same as an earlier place.
    pub(super) fn report_repeated(&self, first: &Node<'_>) {
        self.report(Shape::Repeated { first: first.path.clone() });
    }

    /// One of these words.
    pub(super) fn word<T: Copy>(&self, words: &Words<T>) -> Option<T> {
        let Value::Text(text) = &self.tree.value else {
            self.wrong_kind("a word, in quotes where it is one like yes, no, on or off");
            return None;
        };
        match words.iter().find(|(word, _)| word == text) {
            Some((_, Some(meaning))) => return Some(*meaning),
            Some((word, None)) => self.report(Fault::NotSupportedYet(Some(word))),
            None => {
                let built = words.iter().filter(|(_, meaning)| meaning.is_some());
                self.report(Shape::Word { known: built.map(|(word, _)| *word).collect() });
            }
        }
        None
    }

    /// True or false.
    pub(super) fn flag(&self) -> Option<bool> {
        let Value::Bool(flag) = self.tree.value else {
            self.wrong_kind("true or false, without quotes");
            return None;
        };
        Some(flag)
    }

    /// A whole number from 1 to the bound.
    pub(super) fn count(&self, bound: Bound) -> Option<u64> {
        let Value::Number(number) = &self.tree.value else {
            self.wrong_kind("a whole number, without quotes");
            return None;
        };
        self.take(units::whole(number).and_then(|count| bound.limit(count)))
    }

    /// A size from 1 byte to the bound.
    pub(super) fn size(&self, bound: Bound) -> Option<u64> {
        let bytes = match &self.tree.value {
            Value::Number(number) => units::whole(number),
            Value::Text(text) => units::size(text),
            _ => {
                self.wrong_kind("bytes as a number, or a size like \"64KiB\"");
                return None;
            }
        };
        self.take(bytes.and_then(|bytes| bound.limit(bytes)))
    }

    /// A duration of up to the bound (its seconds), which may be 0.
    pub(super) fn tolerance(&self, bound: Bound) -> Option<Duration> {
        let Value::Text(text) = &self.tree.value else {
            self.wrong_kind("a number with its unit, like \"30s\"");
            return None;
        };
        let read = units::duration(text);
        self.take(read.and_then(|d| bound.at_most(d.as_secs()).map(|_| d)))
    }

    /// A duration from 1 ms to the bound (its milliseconds).
    pub(super) fn duration(&self, bound: Bound) -> Option<Duration> {
        let Value::Text(text) = &self.tree.value else {
            self.wrong_kind("a number with its unit, like \"15m\"");
            return None;
        };
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.take(units::duration(text).and_then(|d| bound.limit(milliseconds(d)).map(|_| d)))
    }

    /// A duration of at most the bound (its seconds), and not 0.
    pub(super) fn period(&self, bound: Bound) -> Option<Duration> {
        let period = self.tolerance(bound)?;
        if period.is_zero() {
            self.report(Amount::ZeroDuration);
            return None;
        }
        Some(period)
    }

    /// A whole number from 0 to the bound.
    pub(super) fn whole(&self, bound: Bound) -> Option<u64> {
        let Value::Number(number) = &self.tree.value else {
            self.wrong_kind("a whole number, without quotes");
            return None;
        };
        self.take(units::whole(number).and_then(|count| bound.at_most(count)))
    }

    /// Whatever stands here, for a reader of its own; `None` when a member
    /// stands twice in it.
    pub(super) fn json(&self) -> Option<serde_json::Value> {
        Some(match &self.tree.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(flag) => (*flag).into(),
            Value::Number(number) => number.clone().into(),
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => {
                let read: Vec<_> = self.items(items).iter().map(Self::json).collect();
                serde_json::Value::Array(read.into_iter().collect::<Option<_>>()?)
            }
            Value::Object(members) => {
                let (members, repeated) = self.members(members);
                let read: Vec<_> = members
                    .iter()
                    .map(|(name, node)| Some(((*name).to_owned(), node.json()?)))
                    .collect();
                let read: Option<_> = read.into_iter().collect();
                serde_json::Value::Object(read.filter(|_| !repeated)?)
            }
        })
    }
}
