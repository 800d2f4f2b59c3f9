//! Where a service listens.

use std::{io, net::SocketAddr, path::Path};

use tokio::net::TcpListener;

/// Binds the address, and writes down in `address_file` which one it became.
///
/// # Errors
/// When the address is taken or the file can't be written.
pub async fn bind(listen: SocketAddr, address_file: Option<&Path>) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {listen}: {error}")))?;
    if let Some(path) = address_file {
        let unfinished = path.with_extension("unfinished");
        std::fs::write(&unfinished, listener.local_addr()?.to_string())
            .and_then(|()| std::fs::rename(&unfinished, path))
            .map_err(|error| {
                io::Error::new(error.kind(), format!("cannot write {}: {error}", path.display()))
            })?;
    }
    Ok(listener)
}
