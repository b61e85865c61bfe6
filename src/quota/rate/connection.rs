//! The rates of messages, asked once for each of them.

use super::table::{Asked, RuleId, SubjectId};
use super::{Measure, Per, Rate, RateExceeded, RateWindow, Rates};
use crate::frame::Sender;
use crate::quota::{Network, Quotas, Scope};
use std::net::IpAddr;
use std::time::Duration;

/// Who sends or is sent to: whom a connection's rates are about.
#[derive(Clone, Copy, Debug)]
pub struct RateClient<'a> {
    /// Its address; all clients without one count as one.
    pub address: Option<IpAddr>,
    /// Leading bits of an IPv6 address that make one client.
    pub ipv6_prefix: u8,
    /// Whom its credential names. Without one `per_user` does not apply.
    pub user: Option<&'a str>,
}

/// What one direction of a connection has taken of its rates lately; nothing
/// at first, and no memory where nothing is limited.
#[derive(Debug, Default)]
pub struct ConnectionRates {
    /// Of `per_connection`, once there was a message.
    windows: Option<Box<Windows>>,
    /// Names in the table; they are those of one policy and client.
    names: Option<Box<Names>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Windows {
    messages: RateWindow,
    bytes: RateWindow,
}

/// What one message asks of a window of the connection.
#[derive(Clone, Copy, Debug)]
struct Own {
    measure: Measure,
    rate: Rate,
    amount: u64,
}

fn own(measure: Measure, rate: Option<Rate>, amount: u64) -> Option<Own> {
    rate.map(|rate| Own { measure, rate, amount })
}

/// Hashing costs more than all else here, so it is done once.
#[derive(Debug)]
struct Names {
    /// Whether the user was known.
    user_known: bool,
    /// Subject of the address and the rates that it has, then of the user.
    shared: Vec<(SubjectId, Vec<Asked>)>,
}

/// The rates of messages of one direction in one policy.
#[derive(Clone, Copy, Debug)]
pub struct MessageRates<'a> {
    /// The policy's name.
    pub policy: &'a str,
    /// Who sends.
    pub direction: Sender,
    /// How many messages.
    pub messages: &'a Rates,
    /// How many bytes of payload.
    pub bytes: &'a Rates,
}

impl MessageRates<'_> {
    /// Takes one message of so many bytes from all rates, or from none.
    pub(in crate::quota) fn take(
        &self,
        quotas: &Quotas,
        client: RateClient<'_>,
        connection: &mut ConnectionRates,
        payload_bytes: u64,
    ) -> Result<(), RateExceeded> {
        let own = self.own(payload_bytes);
        if own.iter().any(Option::is_some) {
            // Looked at first, and counted when the shared ones have agreed.
            let now = quotas.rates().now();
            connection.windows.get_or_insert_default().check(now, &own)?;
        }
        if self.is_shared() {
            let names = connection.names.take();
            let names = names.filter(|names| names.user_known == client.user.is_some());
            let names = names.unwrap_or_else(|| Box::new(self.names(quotas, client)));
            let taken = take_shared(quotas, &names.shared, payload_bytes);
            connection.names = Some(names);
            taken?;
        }
        if let Some(windows) = &mut connection.windows {
            windows.add(&own);
        }
        Ok(())
    }

    /// What is asked of the connection's own windows: messages, then bytes.
    fn own(&self, payload_bytes: u64) -> [Option<Own>; 2] {
        [
            own(Measure::Messages, self.messages.per_connection, 1),
            own(Measure::Bytes, self.bytes.per_connection, payload_bytes),
        ]
    }

    fn is_shared(&self) -> bool {
        [self.messages, self.bytes].iter().any(|r| r.per_ip.is_some() || r.per_user.is_some())
    }

    fn names(&self, quotas: &Quotas, client: RateClient<'_>) -> Names {
        let salt = quotas.salt();
        let mut shared = Vec::new();
        let per_ip = self.asked(quotas, Per::Ip, self.messages.per_ip, self.bytes.per_ip);
        if !per_ip.is_empty() {
            let network = Network::of(client.address, client.ipv6_prefix);
            shared.push((SubjectId::address(salt, network), per_ip));
        }
        let per_user = self.asked(quotas, Per::User, self.messages.per_user, self.bytes.per_user);
        if let (Some(user), false) = (client.user, per_user.is_empty()) {
            shared.push((SubjectId::user(salt, user), per_user));
        }
        Names { user_known: client.user.is_some(), shared }
    }

    fn asked(
        &self,
        quotas: &Quotas,
        per: Per,
        messages: Option<Rate>,
        bytes: Option<Rate>,
    ) -> Vec<Asked> {
        let both = [(Measure::Messages, messages), (Measure::Bytes, bytes)];
        let written = both.into_iter().filter_map(|(measure, rate)| Some((measure, rate?)));
        let asked = written.map(|(measure, rate)| {
            let what = if measure == Measure::Bytes { "bytes" } else { "messages" };
            let name = format!("{}/{what}", self.direction.name());
            let scope = Scope::Policy(self.policy);
            let rule = RuleId::of(quotas.salt(), scope, &name, &rate, true);
            Asked { rule, rate, measure, per }
        });
        asked.collect()
    }
}

impl Windows {
    fn check(&mut self, now: Duration, own: &[Option<Own>; 2]) -> Result<(), RateExceeded> {
        for (own, window) in self.with(own) {
            let Own { measure, rate, amount } = *own;
            window.check(now, amount, &rate).map_err(|exceeded| RateExceeded::Reached {
                measure,
                per: Per::Connection,
                rate,
                retry_after: exceeded.retry_after,
            })?;
        }
        Ok(())
    }

    fn add(&mut self, own: &[Option<Own>; 2]) {
        self.with(own).for_each(|(own, window)| window.add(own.amount));
    }

    fn with<'a>(
        &'a mut self,
        own: &'a [Option<Own>; 2],
    ) -> impl Iterator<Item = (&'a Own, &'a mut RateWindow)> {
        let both = own.iter().zip([&mut self.messages, &mut self.bytes]);
        both.filter_map(|(own, window)| Some((own.as_ref()?, window)))
    }
}

/// Takes from the address, then from the user; what the first gave is given back
/// when the second refuses.
fn take_shared(
    quotas: &Quotas,
    shared: &[(SubjectId, Vec<Asked>)],
    payload_bytes: u64,
) -> Result<(), RateExceeded> {
    let table = quotas.rates();
    for (place, (subject, asked)) in shared.iter().enumerate() {
        if let Err(exceeded) = table.take(*subject, asked, payload_bytes) {
            for (subject, asked) in shared.iter().take(place) {
                table.give_back(*subject, asked, payload_bytes);
            }
            return Err(exceeded);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Timestamp;
    use crate::host::memory::MemoryHost;
    use crate::quota::Salt;
    use std::rc::Rc;

    const NONE: Rates = Rates { per_connection: None, per_ip: None, per_user: None };

    fn rate(limit: u64) -> Option<Rate> {
        Rate::new(limit, Duration::from_secs(60))
    }

    fn rates<'a>(messages: &'a Rates, bytes: &'a Rates) -> MessageRates<'a> {
        MessageRates { policy: "chat", direction: Sender::Client, messages, bytes }
    }

    fn client<'a>(address: &str, user: Option<&'a str>) -> RateClient<'a> {
        RateClient { address: Some(address.parse().unwrap()), ipv6_prefix: 64, user }
    }

    fn process() -> (Rc<MemoryHost>, [Rc<Quotas>; 2]) {
        let host = Rc::new(MemoryHost::at(Timestamp::default()));
        let worker = || Quotas::open(Rc::clone(&host) as _, Salt([1; 16]));
        let workers = [worker(), worker()];
        (host, workers)
    }

    /// How many of these messages pass, from connections in turn.
    fn pass(
        rates: MessageRates<'_>,
        ways: &mut [(&Rc<Quotas>, RateClient<'_>, ConnectionRates)],
        count: usize,
    ) -> usize {
        let mut passed = 0;
        for message in 0..count {
            let turn = message % ways.len();
            let (quotas, client, connection) = &mut ways[turn];
            passed += usize::from(rates.take(quotas, *client, connection, 10).is_ok());
        }
        passed
    }

    #[test]
    fn an_address_has_its_rate_over_four_connections_on_two_workers() {
        let (_, [one, other]) = process();
        let messages = Rates { per_ip: rate(100), ..NONE };
        let at = client("192.0.2.1", None);
        let mut ways = [&one, &one, &other, &other].map(|w| (w, at, ConnectionRates::default()));
        assert_eq!(pass(rates(&messages, &NONE), &mut ways, 400), 100);
        let elsewhere = client("192.0.2.2", None);
        let mut ways = [(&one, elsewhere, ConnectionRates::default())];
        assert_eq!(pass(rates(&messages, &NONE), &mut ways, 400), 100);
    }

    #[test]
    fn a_user_has_its_rate_over_two_addresses() {
        let (_, [one, other]) = process();
        let messages = Rates { per_user: rate(100), ..NONE };
        let mut ways = [
            (&one, client("192.0.2.1", Some("ann")), ConnectionRates::default()),
            (&other, client("2001:db8::1", Some("ann")), ConnectionRates::default()),
        ];
        assert_eq!(pass(rates(&messages, &NONE), &mut ways, 300), 100);
        let mut nobody = [(&one, client("192.0.2.1", None), ConnectionRates::default())];
        assert_eq!(pass(rates(&messages, &NONE), &mut nobody, 300), 300, "no user, no rate");
    }

    #[test]
    fn a_connection_has_its_own_and_the_table_is_not_asked() {
        let (host, [one, _]) = process();
        let (messages, bytes) =
            (Rates { per_connection: rate(9), ..NONE }, Rates { per_connection: rate(50), ..NONE });
        let at = client("192.0.2.1", None);
        let mut ways =
            [(&one, at, ConnectionRates::default()), (&one, at, ConnectionRates::default())];
        assert_eq!(pass(rates(&messages, &bytes), &mut ways, 60), 10, "50 bytes each");
        let exceeded = rates(&messages, &bytes).take(&one, at, &mut ways[0].2, 10).unwrap_err();
        assert_eq!(exceeded.reason().name(), "byte_rate");
        host.advance(Duration::from_secs(64));
        (0..9).for_each(|_| rates(&messages, &bytes).take(&one, at, &mut ways[0].2, 0).unwrap());
        let exceeded = rates(&messages, &bytes).take(&one, at, &mut ways[0].2, 0).unwrap_err();
        assert_eq!(exceeded.reason().name(), "message_rate");
        assert!(ways[0].2.names.is_none());
    }

    #[test]
    fn a_message_that_one_rate_refuses_is_counted_by_none() {
        let (_, [one, _]) = process();
        let all = Rates { per_connection: rate(20), per_ip: rate(10), per_user: rate(5) };
        let mut ways = [(&one, client("192.0.2.1", Some("ann")), ConnectionRates::default())];
        assert_eq!(pass(rates(&all, &NONE), &mut ways, 100), 5);
        let (_, _, connection) = &mut ways[0];
        let bob = client("192.0.2.1", Some("bob"));
        let mut ways = [(&one, bob, ConnectionRates::default())];
        assert_eq!(pass(rates(&all, &NONE), &mut ways, 100), 5, "what ann did not get is there");
        let window = connection.windows.as_ref().unwrap().messages;
        assert_eq!(window.used(), 5);
    }

    #[test]
    fn a_user_who_is_known_later_is_counted_from_then_on() {
        let (_, [one, _]) = process();
        let messages = Rates { per_user: rate(5), ..NONE };
        let mut ways = [(&one, client("192.0.2.1", None), ConnectionRates::default())];
        assert_eq!(pass(rates(&messages, &NONE), &mut ways, 10), 10);
        ways[0].1.user = Some("ann");
        assert_eq!(pass(rates(&messages, &NONE), &mut ways, 10), 5);
    }

    #[test]
    fn directions_and_policies_have_their_own() {
        let (_, [one, _]) = process();
        let messages = Rates { per_ip: rate(5), ..NONE };
        let at = client("192.0.2.1", None);
        for (policy, direction) in
            [("chat", Sender::Client), ("chat", Sender::Server), ("feed", Sender::Client)]
        {
            let rates = MessageRates { policy, direction, messages: &messages, bytes: &NONE };
            let mut ways = [(&one, at, ConnectionRates::default())];
            assert_eq!(pass(rates, &mut ways, 10), 5);
        }
    }

    #[test]
    fn a_connection_without_rates_takes_no_memory() {
        let (_, [one, _]) = process();
        let mut connection = ConnectionRates::default();
        let at = client("192.0.2.1", None);
        rates(&NONE, &NONE).take(&one, at, &mut connection, 5).unwrap();
        assert!(connection.windows.is_none() && connection.names.is_none());
        assert!(size_of::<ConnectionRates>() <= 16);
    }
}
