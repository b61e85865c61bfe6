//! What README.md says of reasons, refusals and what is not built is what the
//! code does.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that can't go on should say where"
)]

use wsguard::config::Config;
use wsguard::metric::{Family, Label};
use wsguard::reason::Reason;
use wsguard::session::Refusal;

const README: &str = include_str!("../README.md");

/// The text under a heading, up to the next one.
fn section(heading: &str) -> &'static str {
    let begin = README.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    let rest = &README[begin + heading.len() + 2..];
    &rest[..rest.find("\n#").unwrap_or(rest.len())]
}

/// A document with every section that goes with the others: identity headers do
/// not with a first message.
fn every_section() -> String {
    let document = include_str!("fuzz/seeds/config/every-section");
    let mut document: serde_json::Value = serde_json::from_str(document).unwrap();
    let auth = document["policies"][0]["auth"].as_object_mut().unwrap();
    assert!(auth.remove("identity_headers").is_some());
    document.to_string()
}

#[test]
fn every_reason_is_listed_with_its_status_and_close_code() {
    let told = |code: Option<u16>| code.map_or("–".to_owned(), |code| code.to_string());
    let rows: Vec<Vec<&str>> = section("### Reasons")
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('|').map(str::trim).skip(1).take(3).collect())
        .collect();
    let expected: Vec<Vec<String>> = Reason::ALL
        .iter()
        .map(|r| vec![format!("`{}`", r.name()), told(r.http_status()), told(r.close_code())])
        .collect();
    assert_eq!(rows, expected);
}

#[test]
fn every_metric_is_listed_with_its_kind_and_labels() {
    let rows: Vec<Vec<&str>> = section("### Metrics")
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('|').map(str::trim).skip(1).take(3).collect())
        .collect();
    let labels = |family: Family| family.labels().iter().map(|l| l.name()).collect::<Vec<_>>();
    let expected: Vec<Vec<String>> = Family::ALL
        .iter()
        .map(|family| {
            let kind = format!("{:?}", family.kind()).to_lowercase();
            vec![format!("`{}`", family.name()), kind, labels(*family).join(", ")]
        })
        .collect();
    assert_eq!(rows, expected);
    let all: Vec<_> = Label::ALL.iter().map(|label| label.name()).collect();
    let listed = format!("extraStatTags: [{}]", all.join(", "));
    assert!(section("### Metrics").contains(&listed), "{listed}");
}

/// As `(policy=\.=(.*?);\.;)`, which Istio makes of `extraStatTags`.
#[test]
fn every_example_takes_every_label_out_of_the_names() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("envoy");
    let mut examples = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        examples += 1;
        let text = std::fs::read_to_string(&path).unwrap();
        let tags: Vec<String> = text
            .lines()
            .filter(|line| line.contains("tag_name:"))
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        let expected = Label::ALL.map(|label| {
            let name = label.name();
            format!("- {{tag_name: {name}, regex: '({name}=\\.=(.*?);\\.;)'}}")
        });
        assert_eq!(tags, expected, "{}", path.display());
    }
    assert!(examples >= 4);
}

#[test]
fn the_refusal_is_shown_as_it_is() {
    let refusal = Refusal::http(Reason::OriginDenied, "pages of this origin may not connect here");
    let shown: String = section("### The client").lines().map(str::trim).collect();
    assert!(shown.contains(std::str::from_utf8(&refusal.body).unwrap()), "{shown}");
    for (name, value) in refusal.headers {
        assert!(shown.contains(&format!("{name}: {value}")), "{name}");
    }
}

#[test]
fn what_is_not_built_is_said_to_be() {
    let errors = Config::parse(&every_section(), &|_| Some("x".repeat(64))).unwrap_err();
    let section = section("### Not built yet");
    for error in &errors {
        assert!(error.is_not_supported_yet(), "{error}");
        // `…client.rate`, or `…client.json: required`
        let told = error.to_string();
        let path = told.strip_prefix("not supported yet: ").unwrap();
        let last = path.rsplit('.').next().unwrap();
        assert!(section.contains(last), "{told}");
    }
}

/// The other way round: what is on the list is refused, so that what gets built
/// leaves it.
#[test]
fn what_is_said_to_be_not_built_is_refused() {
    let errors = Config::parse(&every_section(), &|_| Some("x".repeat(64))).unwrap_err();
    let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let list = section("### Not built yet").split_once(':').unwrap().1;
    // What stands in brackets is part of what stands before it.
    let outside = list.split(['(', ')']).step_by(2).collect::<String>();
    for name in outside.split('`').skip(1).step_by(2) {
        assert!(told.iter().any(|told| told.ends_with(name)), "{name} is built");
    }
}

#[test]
fn links_go_somewhere() {
    let anchor = |heading: &str| {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || *c == ' ' || *c == '-');
        kept.collect::<String>().trim().to_lowercase().replace(' ', "-")
    };
    let headings: Vec<String> = README
        .lines()
        .filter_map(|l| Some(anchor(l.strip_prefix('#')?.trim_start_matches('#'))))
        .collect();
    let links = README.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    for link in links.filter(|link| !link.starts_with("https://")) {
        let there = match link.strip_prefix('#') {
            Some(heading) => headings.iter().any(|h| h == heading),
            None => std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(link).exists(),
        };
        assert!(there, "{link}");
    }
}
