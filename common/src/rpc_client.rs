//! The one way to call another service.

mod address;

use std::{io, path::PathBuf, time::Duration};

use rand::seq::SliceRandom;
use tokio::{net::lookup_host, time::timeout};
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use crate::{
    settings::Problems,
    tls::{self, ClientTls, Identity},
};

pub use address::Address;
use address::Dialled;

/// How long looking up names may take.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes of a stream, and of a connection, that may come before they are read.
const WINDOWS: [u32; 2] = [1 << 20, 1 << 21];
/// Bytes of each of many streams that are read at their own pace.
const STREAM_WINDOW: u32 = 1 << 16;
/// The largest window that there is (RFC 9113, section 6.9.1).
const MAX_WINDOW: u32 = (1 << 31) - 1;

/// Where another service is, and how it is reached: at every address of its name, or of several.
#[derive(Clone, Debug)]
pub struct Route {
    /// At least one.
    uris: Vec<Uri>,
    tls: Option<ClientTls>,
}

impl Route {
    /// The route of the setting `flag`, e.g. `https://platform:8081`, or several with commas between them; over TLS with this identity,
    /// or in plaintext if `insecure` (the setting `--insecure-` and `flag`) says so.
    pub fn check(
        flag: &str,
        urls: Option<&str>,
        insecure: bool,
        identity: Option<&Identity>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let expected = format!("where the {flag} is, e.g. https://{flag}:8081");
        let urls = problems.required(flag, urls, &expected)?;
        let read: Vec<Option<Uri>> = urls.split(',').map(|url| problems.url(flag, url)).collect();
        let uris: Vec<Uri> = read.into_iter().collect::<Option<_>>()?;
        let is_https = |uri: &Uri| uri.scheme_str() == Some("https");
        let (all, any) = (uris.iter().all(is_https), uris.iter().any(is_https));
        match (all, any, insecure, identity) {
            (_, false, true, _) => Some(Self { uris, tls: None }),
            (false, _, false, _) => {
                problems.add(flag, format_args!("expected https://; or say --insecure-{flag}"));
                None
            }
            (_, true, true, _) => {
                problems.add(&format!("insecure-{flag}"), "the URL says https: keep one of them");
                None
            }
            (true, _, false, None) => {
                problems.add("certificate", format_args!("missing: what this service shows to the {flag}"));
                None
            }
            (true, _, false, Some(identity)) => {
                let tls = identity.client().map_err(|problem| problems.add_free(problem)).ok()?;
                Some(Self { uris, tls: Some(tls) })
            }
        }
    }

    /// A route to `address` (`host:port`) of a caller without a certificate: over TLS to whoever has one of this CA, or in plaintext.
    ///
    /// # Errors
    /// When it is no address, or the file of the CA is none.
    pub fn to(address: &str, ca: Option<PathBuf>) -> Result<Self, String> {
        Self::at(address, ca.map(tls::public_client).transpose()?)
    }

    /// A route to another service at `address` (`host:port`), as whoever has this identity.
    ///
    /// # Errors
    /// When it is no address, or a file is not what it should be.
    pub fn as_service(address: &str, identity: &Identity) -> Result<Self, String> {
        Self::at(address, Some(identity.client()?))
    }

    fn at(address: &str, tls: Option<ClientTls>) -> Result<Self, String> {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let uri = format!("{scheme}://{address}").parse().map_err(|error| format!("{address:?}: {error}"))?;
        Ok(Self { uris: vec![uri], tls })
    }

    /// Whether calls travel over TLS.
    pub fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// Where the names lead now; those that can't be looked up are left out while another can.
    ///
    /// # Errors
    /// When none can.
    pub async fn addresses(&self) -> io::Result<Vec<Address>> {
        let mut addresses: Vec<Address> = Vec::new();
        let mut problem = None;
        for uri in &self.uris {
            match look_up(uri, self.tls.as_ref()).await {
                Ok(found) => {
                    for address in found {
                        if !addresses.contains(&address) {
                            addresses.push(address);
                        }
                    }
                }
                Err(error) => problem = Some(error),
            }
        }
        match problem {
            Some(error) if addresses.is_empty() => Err(error),
            _ => Ok(addresses),
        }
    }

    /// Looks at the certificates' files from now on, so that each connection is made with those that there are.
    pub fn keep_current(&self) {
        if let Some(tls) = &self.tls {
            tls.keep_current();
        }
    }

    /// A connection that is made when first needed and again whenever it breaks, each time to any address that can be reached then, with
    /// the certificates that there are.
    pub fn connect(self) -> Channel {
        self.connect_with(WINDOWS)
    }

    /// The same for so many streams at once that live long and are read at their own pace: one that nobody reads holds up no other, since
    /// the connection's window is as large as those of all of them.
    pub fn connect_for_streams(self, streams: u32) -> Channel {
        self.connect_with([STREAM_WINDOW, STREAM_WINDOW.saturating_mul(streams).min(MAX_WINDOW)])
    }

    fn connect_with(self, windows: [u32; 2]) -> Channel {
        self.keep_current();
        // A route has at least one URL.
        let origin = self.uris.first().cloned().unwrap_or_default();
        endpoint(origin, windows).connect_with_connector_lazy(service_fn(move |_| {
            let route = self.clone();
            async move { route.dial().await }
        }))
    }

    async fn dial(&self) -> io::Result<Dialled> {
        let mut addresses = self.addresses().await?;
        addresses.shuffle(&mut rand::rng());
        let mut problem = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
        for address in addresses {
            match address.dial().await {
                Ok(connection) => return Ok(connection),
                Err(error) => problem = error,
            }
        }
        Err(problem)
    }
}

async fn look_up(uri: &Uri, tls: Option<&ClientTls>) -> io::Result<Vec<Address>> {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
    let looked_up = timeout(LOOK_UP_TIMEOUT, lookup_host((host, port))).await;
    let found =
        looked_up.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, format!("{uri}: no answer")))??;
    Ok(found.map(|socket| Address::new(uri.clone(), socket, tls.cloned())).collect())
}

fn endpoint(origin: Uri, [stream_window, connection_window]: [u32; 2]) -> Endpoint {
    Endpoint::from(origin)
        .http2_keep_alive_interval(Duration::from_secs(5))
        .keep_alive_timeout(Duration::from_secs(5))
        .keep_alive_while_idle(true)
        .initial_stream_window_size(stream_window)
        .initial_connection_window_size(connection_window)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    fn check(urls: &str, insecure: bool) -> Result<Route, String> {
        let mut problems = Problems::new();
        let route = Route::check("platform", Some(urls), insecure, None, &mut problems);
        problems.finish(|| route).map_err(|error| error.to_string())
    }

    #[test]
    fn every_url_of_a_list_is_looked_at() {
        let route = check("http://10.0.0.1:8081,http://10.0.0.2:8081", true).expect("good");
        assert_eq!(route.uris.len(), 2);
        for (urls, insecure, problem) in [
            ("http://a:1,ftp://b:1,c", true, "2 problems"),
            ("http://a:1,", true, "expected a URL"),
            ("http://a:1, http://b:1", true, "expected a URL"),
            ("http://a:1,https://b:1", true, "the URL says https"),
            ("https://a:1,http://b:1", false, "expected https://"),
            ("http://a:1,http://b:1", false, "expected https://"),
        ] {
            let said = check(urls, insecure).expect_err(urls);
            assert!(said.contains(problem), "{urls}: {said}");
        }
    }

    #[tokio::test]
    async fn what_can_be_looked_up_is_used_and_whoever_answers_is_called() {
        let alive = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
        let closed =
            TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
        let listening = TcpListener::bind(alive).await.expect("the port");
        let urls = format!("http://{closed},http://{alive},http://no-such-host.invalid:1,http://{alive}");
        let route = check(&urls, true).expect("good");
        let found: Vec<String> =
            route.addresses().await.expect("some").iter().map(ToString::to_string).collect();
        assert_eq!(found, [closed.to_string(), alive.to_string()], "each once");
        for _ in 0..16 {
            route.dial().await.expect("whichever comes first, one of them answers");
        }
        drop(listening);
        assert!(route.dial().await.is_err());
        assert!(check("http://no-such-host.invalid:1", true).expect("a name").addresses().await.is_err());
    }
}
