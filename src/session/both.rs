//! Something that each end of a connection has.

use crate::frame::Sender;

/// One for the client, one for the server.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Both<T> {
    pub(super) client: T,
    pub(super) server: T,
}

impl<T> Both<T> {
    /// What `end` has.
    pub(super) const fn of(&mut self, end: Sender) -> &mut T {
        match end {
            Sender::Client => &mut self.client,
            Sender::Server => &mut self.server,
        }
    }
}
