//! Strikes and bans, as sessions ask for them, and what is told of them.

use super::Guard;
use crate::config::{Mode, Policy};
use crate::event::{About, Event, Kind};
use crate::quota::bans::{Banned, Ended, Strike, Suspect, Who};
use crate::quota::rate::whole_seconds;
use crate::reason::Reason;
use std::net::IpAddr;

impl Guard {
    /// Whether any policy bans. Where none does, nobody is looked up.
    fn has_bans(&self) -> bool {
        self.config.policies.iter().any(|policy| policy.bans.is_some())
    }

    fn address(&self, address: Option<IpAddr>) -> Suspect<'static> {
        Suspect::Address(address, self.config.quotas.ipv6_prefix)
    }

    /// Whether an address may connect under this policy; to be asked at its
    /// place among the checks of the handshake.
    pub(crate) fn check_address_ban(
        &self,
        policy: &Policy,
        address: Option<IpAddr>,
    ) -> Result<(), Banned> {
        self.check_ban(policy, self.address(address))
    }

    /// Whether a user may, as soon as that is known.
    pub(crate) fn check_user_ban(&self, policy: &Policy, user: Option<&str>) -> Result<(), Banned> {
        user.map_or(Ok(()), |user| self.check_ban(policy, Suspect::User(user)))
    }

    fn check_ban(&self, policy: &Policy, suspect: Suspect<'_>) -> Result<(), Banned> {
        if !self.has_bans() {
            return Ok(());
        }
        self.quotas.banned(suspect, policy.mode == Mode::Report).map_or(Ok(()), Err)
    }

    /// Whether an open connection of this policy is to be ended because its
    /// address or user has been banned since; by what was known in the last
    /// round, so that it may be asked on every tick.
    pub(crate) fn ended_by_ban(
        &self,
        policy: &Policy,
        address: Option<IpAddr>,
        user: Option<&str>,
    ) -> bool {
        let report = policy.mode == Mode::Report;
        policy.bans.as_ref().is_some_and(|bans| bans.open)
            && (self.quotas.banned_lately(self.address(address), report)
                || user.is_some_and(|user| self.quotas.banned_lately(Suspect::User(user), report)))
    }

    /// Counts a refusal of what the client did, under the policy of this place,
    /// against its address and user; tells if that bans them. `user` is the one
    /// of the credential, as it is counted. Reasons that are no strikes count for
    /// nothing; what a server sent must not be told here.
    pub(crate) fn strike(&self, policy: usize, reason: Reason, about: &About, user: Option<&str>) {
        let Some(policy_rules) = self.policy(policy) else { return };
        let Some(rules) = &policy_rules.bans else { return };
        let report = policy_rules.mode == Mode::Report;
        let strike = Strike { policy: &policy_rules.name, rules, report, reason };
        for suspect in [Some(self.address(about.ip)), user.map(Suspect::User)].into_iter().flatten()
        {
            if !self.quotas.strike(strike, suspect) {
                continue;
            }
            let who = if matches!(suspect, Suspect::User(_)) { "user" } else { "address" };
            let seconds = whole_seconds(rules.duration);
            let mut event = Event::new(self.now(), Kind::Banned, policy_rules.mode, about);
            event.reason = Some(reason);
            event.detail = Some(format!("this {who} is banned for {seconds} s"));
            self.tell(Some(policy), event);
        }
    }

    /// Tells of the bans that have ended, and how many there are.
    pub(super) fn tell_bans(&self) {
        for Ended { ban, forgotten } in self.quotas.take_ended_bans() {
            let about = match ban.who {
                Who::Address(ip) => About { ip, ..About::default() },
                Who::User(user) => About { user: Some(user), ..About::default() },
            };
            let who = if about.user.is_some() { "user" } else { "address" };
            let mode = if ban.report { Mode::Report } else { Mode::Enforce };
            let mut event = Event::new(self.now(), Kind::Unbanned, mode, &about);
            event.detail = Some(if forgotten {
                format!("the ban of this {who} made room for others: too many are banned at once")
            } else {
                format!("the ban of this {who} has ended")
            });
            // Another document may have banned.
            let place = self.config.policies.iter().position(|p| p.name == ban.policy);
            self.tell_of(place, &ban.policy, event);
        }
        self.metrics.bans_active(&*self.host, self.quotas.bans_active());
    }
}
