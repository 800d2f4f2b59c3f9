//! The one way to call another service.

use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

/// Whether calls to `url` travel over TLS.
pub fn is_encrypted(url: &str) -> bool {
    url.starts_with("https://")
}

/// A connection that is made when first needed and again whenever it breaks.
///
/// # Errors
/// When `url` is no URL.
pub fn connect(url: &str) -> Result<Channel, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(url.to_owned())?
        .connect_timeout(Duration::from_secs(2))
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(5))
        .keep_alive_timeout(Duration::from_secs(5))
        .keep_alive_while_idle(true)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(1 << 21);
    Ok(endpoint.connect_lazy())
}
