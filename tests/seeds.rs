//! The fuzz entries run on the committed seeds, so that neither can rot
//! without a nightly compiler; `make fuzz` goes on from there.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that can't go on should say where"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use wsguard::{auth, config, frame, handshake, http1, inspect, quota, session};

type Entry = fn(&[u8]);

/// Every fuzz target and the entry that it calls.
const TARGETS: [(&str, Entry); 29] = [
    ("answer", handshake::answer::fuzz_answer),
    ("asking", session::fuzz_asking),
    ("ban_shard", quota::bans::fuzz_ban_shard),
    ("config", config::fuzz_config),
    ("cookie", auth::fuzz_cookie),
    ("decoder", frame::decoder::fuzz_decoder),
    ("extensions", handshake::extensions::fuzz_extensions),
    ("first_message", auth::fuzz_first_message),
    ("form", handshake::form::fuzz_form),
    ("from_envoy", config::fuzz_from_envoy),
    ("head", http1::fuzz_head),
    ("host", handshake::host::fuzz_host),
    ("inflate", frame::deflate::fuzz_inflate),
    ("jwks", auth::jwk::fuzz_jwks),
    ("keys_state", auth::fuzz_keys_state),
    ("members", quota::fuzz_members),
    ("message", auth::fuzz_message),
    ("origin", handshake::origin::fuzz_origin),
    ("path", handshake::path::fuzz_path),
    ("pings", session::fuzz_pings),
    ("query", auth::fuzz_query),
    ("rate", config::fuzz_rate),
    ("rate_shard", quota::rate::fuzz_rate_shard),
    ("rules", inspect::fuzz_rules),
    ("session", session::fuzz_session),
    ("shard", quota::fuzz_shard),
    ("template", auth::fuzz_template),
    ("token", auth::fuzz_token),
    ("units", config::fuzz_units),
];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(name)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn stems(folder: &Path) -> BTreeSet<String> {
    let stem = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    files(folder).iter().map(stem).collect()
}

#[test]
fn every_fuzz_entry_holds_on_its_seeds_and_on_every_prefix_of_them() {
    for (name, entry) in TARGETS {
        let seeds = files(&folder("seeds").join(name));
        assert!(!seeds.is_empty(), "{name} has no seeds");
        for path in seeds {
            // Says which one it was, should it panic.
            println!("{}", path.display());
            let seed = std::fs::read(&path).unwrap();
            entry(&seed);
            // Large seeds are cut at some places only, to keep this quick.
            let step = (seed.len() / 32).max(1);
            (0..seed.len()).step_by(step).for_each(|end| entry(&seed[..end]));
        }
    }
}

#[test]
fn every_fuzz_target_is_listed_and_has_its_file_and_seeds() {
    let listed: BTreeSet<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(stems(&folder("targets")), listed);
    assert_eq!(stems(&folder("seeds")), listed);
    let manifest = std::fs::read_to_string(folder("Cargo.toml")).unwrap();
    for name in listed {
        assert!(manifest.contains(&format!("path = \"targets/{name}.rs\"\n")), "{name}");
    }
}

/// The entries of the crate, by its sources, so that none is left out here.
#[test]
fn every_entry_of_the_crate_is_a_target() {
    fn entries(folder: &Path, found: &mut BTreeSet<String>) {
        for path in files(folder) {
            if path.is_dir() {
                entries(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let names = text.lines().filter_map(|l| l.strip_prefix("pub fn fuzz_"));
                found.extend(names.filter_map(|rest| Some(rest.split_once('(')?.0.to_owned())));
            }
        }
    }
    let mut found = BTreeSet::new();
    entries(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert_eq!(found, TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect());
}
