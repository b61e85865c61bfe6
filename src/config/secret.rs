//! Secrets: `{env: NAME}`, and no other way.

use super::fault::Secret;
use super::node::Node;

/// Longest name of a variable.
const MAX_VARIABLE_BYTES: usize = 256;

/// Reads `{env: NAME}` and gives what the environment holds under that name.
pub(super) fn read(node: &Node<'_>) -> Option<String> {
    let variable = node.sole("env", Secret::Form, Secret::Literal)?;
    let name = variable.text()?;
    if !is_variable(name) {
        variable.report(Secret::VariableName);
        return None;
    }
    match node.variable(name) {
        None => {
            let shown = is_surely_variable(name).then(|| name.to_owned());
            variable.report(Secret::Unset { variable: shown });
        }
        Some(secret) if secret.is_empty() => variable.report(Secret::Empty),
        Some(secret) if secret.ends_with(['\n', '\r']) => variable.report(Secret::LineBreak),
        Some(secret) => return Some(secret),
    }
    None
}

/// POSIX's names of environment variables (XBD 8.1), small letters allowed.
fn is_variable(name: &str) -> bool {
    name.len() <= MAX_VARIABLE_BYTES
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Whether it can be told in an error: a secret written in its place has small
/// letters (base64url), or no `_` (hexadecimal, base32, base64).
fn is_surely_variable(name: &str) -> bool {
    name.len() <= 64 && name.contains('_') && !name.contains(|c: char| c.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::super::node::Checker;
    use super::super::tree::Document;
    use super::*;

    fn secret(json: &str) -> Result<String, String> {
        let environment = |name: &str| match name {
            "JWT_SECRET" => Some("hunter2hunter2hunter2hunter2hunter2".to_owned()),
            "EMPTY" => Some(String::new()),
            "LINE" => Some("hunter2\n".to_owned()),
            _ => None,
        };
        let document = Document::from_json(json).unwrap();
        let checker = Checker::new(&environment);
        let read = read(&checker.root(&document));
        match checker.finish() {
            None => Ok(read.expect("a secret or an error")),
            Some(errors) => {
                assert_eq!(read, None);
                assert_eq!(errors.iter().count(), 1, "{errors}");
                let text = format!("{errors} {errors:?}");
                assert!(!text.contains("hunter2"), "{text}");
                Err(errors.to_string())
            }
        }
    }

    #[test]
    fn a_secret_comes_from_the_environment() {
        assert_eq!(
            secret(r#"{"env": "JWT_SECRET"}"#).as_deref(),
            Ok("hunter2hunter2hunter2hunter2hunter2")
        );
    }

    #[test]
    fn a_secret_that_is_written_out_is_refused_with_the_way_to_write_it() {
        for literal in [r#""hunter2""#, "4711", "true", r#"["hunter2"]"#] {
            let error = secret(literal).unwrap_err();
            assert!(error.starts_with("document: is a secret written out"), "{error}");
            assert!(error.contains("write {env: NAME}"), "{error}");
        }
        // YAML's `{hunter2}` is a key without a value.
        for other in [r#"{"hunter2": null}"#, r#"{"env": "A", "hunter2": 1}"#, "{}"] {
            let error = secret(other).unwrap_err();
            assert_eq!(error, "document: is no reference to a secret; write {env: NAME}");
        }
        assert!(secret("null").unwrap_err().contains("has no value (null)"));
    }

    #[test]
    fn a_variable_that_is_not_set_is_named_when_it_can_be_no_secret() {
        let error = secret(r#"{"env": "OTHER_SECRET"}"#).unwrap_err();
        assert_eq!(
            error,
            "env: OTHER_SECRET is not set in the plugin's environment; set it, and name \
             it in vm_config.environment_variables"
        );
        for perhaps_secret in ["hunter2", "hunter2_A", "DEADBEEF", "GEZDGNBVGY3TQOJQ"] {
            let error = secret(&format!(r#"{{"env": "{perhaps_secret}"}}"#)).unwrap_err();
            assert!(error.contains("the variable named here is not set"), "{error}");
            assert!(!error.contains(perhaps_secret), "{error}");
        }
        for no_name in ["hunter2/+=", "4hunter2", "A B", "A=B", "hunter2\\n"] {
            let error = secret(&format!(r#"{{"env": "{no_name}"}}"#)).unwrap_err();
            assert!(error.contains("is no name of an environment variable"), "{error}");
        }
    }

    #[test]
    fn an_empty_variable_and_a_line_break_are_told() {
        assert!(secret(r#"{"env": "EMPTY"}"#).unwrap_err().contains("the variable is empty"));
        assert!(secret(r#"{"env": "LINE"}"#).unwrap_err().contains("ends with a line break"));
        assert!(secret(r#"{"env": ""}"#).unwrap_err().contains("is an empty text"));
        assert!(secret(r#"{"env": null}"#).unwrap_err().contains("has no value"));
        assert!(secret(r#"{"env": 1}"#).unwrap_err().contains("is a number"));
    }
}
