//! Subprotocols (RFC 6455 §1.9).

use crate::reason::Reason;

/// What remains of a client's offer (without its credential), in its order.
/// Names are compared byte for byte.
///
/// # Errors
/// [`SubprotocolDenied`] where there is a list and none of the offer is on it;
/// who offers none has not agreed to speak one that is.
pub fn judge<'a>(
    allowed: Option<&'a [String]>,
    offer: &[String],
) -> Result<Vec<String>, SubprotocolDenied<'a>> {
    let Some(allowed) = allowed else { return Ok(offer.to_vec()) };
    let remaining: Vec<_> = offer.iter().filter(|name| allowed.contains(name)).cloned().collect();
    if remaining.is_empty() {
        return Err(SubprotocolDenied { allowed, offered: !offer.is_empty() });
    }
    Ok(remaining)
}

/// None of the offered subprotocols is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubprotocolDenied<'a> {
    allowed: &'a [String],
    offered: bool,
}

impl SubprotocolDenied<'_> {
    /// What the refusal is called.
    #[must_use]
    pub const fn reason(self) -> Reason {
        Reason::SubprotocolDenied
    }
}

impl std::fmt::Display for SubprotocolDenied<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fault = if self.offered { "none of the offered is allowed" } else { "none is offered" };
        write!(
            f,
            "of the subprotocols {fault}: offer one of {} in Sec-WebSocket-Protocol",
            self.allowed.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_is_not_allowed_leaves_the_offer_in_the_clients_order() {
        let allowed = names(&["ag-ui", "graphql-transport-ws"]);
        let offer = names(&["graphql-transport-ws", "x", "ag-ui", "AG-UI"]);
        let remaining = judge(Some(&allowed), &offer);
        assert_eq!(remaining, Ok(names(&["graphql-transport-ws", "ag-ui"])));
        assert_eq!(judge(None, &offer), Ok(offer));
        assert_eq!(judge(None, &[]), Ok(vec![]));
    }

    #[test]
    fn an_offer_without_an_allowed_one_is_denied_and_told_which_are() {
        let allowed = names(&["ag-ui", "graphql-transport-ws"]);
        for offer in [names(&["x"]), names(&[]), names(&["AG-UI"])] {
            let told = judge(Some(&allowed), &offer).unwrap_err().to_string();
            assert!(told.contains("ag-ui, graphql-transport-ws"), "{told}");
        }
    }
}
