//! The bytes that the connections of a worker hold, and the connections that give way.

use super::Guard;
use crate::message::budget::Holder;
use std::net::IpAddr;
use std::rc::Rc;

impl Guard {
    /// A new connection from this address, to the account of held bytes.
    pub(crate) fn holder(&self, address: Option<IpAddr>) -> Rc<Holder> {
        Holder::new(&self.budget, address, self.config.quotas.ipv6_prefix)
    }

    /// Bytes that the connections of its worker hold now, those of older documents too.
    #[must_use]
    pub fn buffered_bytes(&self) -> u64 {
        self.budget.used_bytes()
    }

    /// The connections that have given way since this was last asked, where held bytes
    /// ran short, by the filter's numbers. To be asked after each callback, and they are
    /// to be ended then: their memory is still taken.
    #[must_use]
    pub fn take_given_way(&self) -> Vec<u32> {
        self.budget.take_given_way()
    }

    /// Like the other gauges, of all workers and by the table: what a VM held that
    /// has trapped is left out after the lease.
    pub(super) fn tell_buffered(&self, used_bytes: u64) {
        let told = self.budget.tell(used_bytes);
        self.quotas.hold_bytes(told, used_bytes);
        if let Some(held) = self.quotas.held_bytes() {
            self.metrics.buffered(&*self.host, held);
        }
    }
}
