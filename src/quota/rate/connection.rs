//! The rates of messages, asked once for each of them.

use super::lease::{Account, Lease};
use super::table::{Asked, RuleId, SubjectId};
use super::{Load, Measure, Per, Rate, RateExceeded, RateWindow, Rates, micros};
use crate::frame::Sender;
use crate::quota::{Network, Quotas, Scope};
use std::net::IpAddr;
use std::rc::Rc;
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
/// at first, and no memory where nothing is limited. To be used with the same
/// rates and client always, whose user may become known later.
#[derive(Debug, Default)]
pub struct ConnectionRates {
    taken: Option<Box<Taken>>,
}

#[derive(Debug)]
struct Taken {
    /// Whether the user was known when `shared` was made.
    user_known: bool,
    /// Of `per_connection`.
    own: Vec<Own>,
    /// Of the address, then of the user. To find them is to hash, which costs
    /// more than all else here.
    shared: Vec<Rc<Account>>,
}

/// The time of one callback of Envoy, looked at when it is first asked for: all
/// that comes in one chunk comes at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moment {
    us: Option<u64>,
}

impl Moment {
    fn us(&mut self, quotas: &Quotas) -> u64 {
        *self.us.get_or_insert_with(|| micros(quotas.rates().now()))
    }
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
    /// Takes `load` from all rates, or from none.
    pub(in crate::quota) fn take(
        &self,
        quotas: &Quotas,
        client: RateClient<'_>,
        (connection, moment): (&mut ConnectionRates, &mut Moment),
        load: Load,
    ) -> Result<(), RateExceeded> {
        if !self.messages.is_set() && !self.bytes.is_set() {
            return Ok(());
        }
        let user_known = client.user.is_some();
        let taken = connection.taken.get_or_insert_with(|| {
            Box::new(Taken { user_known, own: self.own(), shared: self.shared(quotas, client) })
        });
        if taken.user_known != user_known {
            taken.user_known = user_known;
            taken.shared = self.shared(quotas, client);
        }
        // Looked at first, and counted when all have agreed.
        let now_us = moment.us(quotas);
        for own in &mut taken.own {
            own.check(now_us, load)?;
        }
        take_shared(quotas, &taken.shared, moment, load)?;
        taken.own.iter_mut().for_each(|own| own.spend(load));
        taken.shared.iter().for_each(|account| account.spend(load));
        Ok(())
    }

    fn own(&self) -> Vec<Own> {
        let both = [
            (Measure::Messages, self.messages.per_connection),
            (Measure::Bytes, self.bytes.per_connection),
        ];
        both.into_iter().filter_map(|(measure, rate)| Some(Own::new(measure, rate?))).collect()
    }

    fn shared(&self, quotas: &Quotas, client: RateClient<'_>) -> Vec<Rc<Account>> {
        let (table, salt) = (quotas.rates(), quotas.salt());
        let mut shared = Vec::new();
        let per_ip = self.asked(quotas, Per::Ip, self.messages.per_ip, self.bytes.per_ip);
        if !per_ip.is_empty() {
            let network = Network::of(client.address, client.ipv6_prefix);
            shared.push(table.account(SubjectId::address(salt, network), &per_ip));
        }
        let per_user = self.asked(quotas, Per::User, self.messages.per_user, self.bytes.per_user);
        if let (Some(user), false) = (client.user, per_user.is_empty()) {
            shared.push(table.account(SubjectId::user(salt, user), &per_user));
        }
        shared
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

/// Has each account hold what `load` needs: of the address, then of the
/// user. What the first took for it is given back when the second refuses.
fn take_shared(
    quotas: &Quotas,
    shared: &[Rc<Account>],
    moment: &mut Moment,
    load: Load,
) -> Result<(), RateExceeded> {
    let table = quotas.rates();
    let mut refilled = None;
    for account in shared {
        if account.covers(moment.us(quotas), load) {
            continue;
        }
        match table.refill(account, load) {
            Ok(now) => moment.us = Some(micros(now)),
            Err(exceeded) => {
                refilled.inspect(|account: &&Rc<Account>| table.give_back(account, false));
                return Err(exceeded);
            }
        }
        refilled = Some(account);
    }
    Ok(())
}

/// A rate of the connection's own. Nobody else takes of it, so all that is left
/// of a slot can be used without looking at the window.
#[derive(Debug)]
struct Own {
    measure: Measure,
    rate: Rate,
    /// What was used before the lease began.
    window: RateWindow,
    lease: Lease,
    /// What the lease began with.
    leased: u64,
}

impl Own {
    fn new(measure: Measure, rate: Rate) -> Self {
        let (window, lease) = (RateWindow::default(), Lease::default());
        Self { measure, rate, window, lease, leased: 0 }
    }

    fn check(&mut self, now_us: u64, load: Load) -> Result<(), RateExceeded> {
        let amount = load.of(self.measure);
        if self.lease.covers(now_us, amount) {
            return Ok(());
        }
        self.window.add(self.leased.saturating_sub(self.lease.left));
        let now = Duration::from_micros(now_us);
        let checked = self.window.check(now, amount, &self.rate);
        self.leased = self.rate.limit().saturating_sub(self.window.used());
        let ends_us = self.window.newest_ends_us(self.rate.slot_us());
        self.lease = Lease { ends_us, left: self.leased };
        checked.map_err(|exceeded| RateExceeded::Reached {
            measure: self.measure,
            per: Per::Connection,
            rate: self.rate,
            retry_after: exceeded.retry_after,
        })
    }

    fn spend(&mut self, load: Load) {
        self.lease.left = self.lease.left.saturating_sub(load.of(self.measure));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Timestamp;
    use crate::host::memory::MemoryHost;
    use crate::quota::Salt;

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
            passed += usize::from(
                rates
                    .take(quotas, *client, (connection, &mut Moment::default()), Load::message(10))
                    .is_ok(),
            );
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
        let mut take = |bytes_each| {
            let connection = (&mut ways[0].2, &mut Moment::default());
            rates(&messages, &bytes).take(&one, at, connection, Load::message(bytes_each))
        };
        let exceeded = take(10).unwrap_err();
        assert_eq!(exceeded.reason().name(), "byte_rate");
        host.advance(Duration::from_secs(64));
        (0..9).for_each(|_| take(0).unwrap());
        let exceeded = take(0).unwrap_err();
        assert_eq!(exceeded.reason().name(), "message_rate");
        assert!(ways[0].2.taken.as_ref().unwrap().shared.is_empty());
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
        let own = &connection.taken.as_ref().unwrap().own[0];
        assert_eq!(own.lease.left, 20 - 5);
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
        let taken = (&mut connection, &mut Moment::default());
        rates(&NONE, &NONE).take(&one, at, taken, Load::message(5)).unwrap();
        assert!(connection.taken.is_none());
        assert!(size_of::<ConnectionRates>() <= 16);
    }
}
