//! Which bytes a callback of Envoy's is about.

use crate::frame::Sender;
use proxy_wasm::types::BufferType;

/// Which buffer a body callback is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body {
    Request,
    Response,
    /// What the client of a connection before `tcp_proxy` sent.
    Downstream,
    /// What upstream sent on it.
    Upstream,
}

impl Body {
    /// Who sent what stands in it.
    pub(super) const fn sender(self) -> Sender {
        match self {
            Self::Request | Self::Downstream => Sender::Client,
            Self::Response | Self::Upstream => Sender::Server,
        }
    }

    /// Where the host keeps it.
    pub(super) const fn buffer(self) -> BufferType {
        match self {
            Self::Request => BufferType::HttpRequestBody,
            Self::Response => BufferType::HttpResponseBody,
            Self::Downstream => BufferType::DownstreamData,
            Self::Upstream => BufferType::UpstreamData,
        }
    }
}
