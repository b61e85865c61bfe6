//! Client addresses.
use ipnet::IpNet;

/// Which client addresses may connect.
#[derive(Clone, Debug, Default)]
pub struct AddressRules {
    /// Only these; `None`: all.
    pub allow: Option<Vec<IpNet>>,
    /// Never these, even where allowed.
    pub deny: Vec<IpNet>,
}
