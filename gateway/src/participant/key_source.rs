//! Where the identity provider's keys come from: a file, or a URL.

use std::{path::PathBuf, time::Duration};

use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Uri, body::Bytes};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use url::{Host, Url};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(3);
/// The largest document that is read.
const MAX_BYTES: usize = 256 << 10;

/// Where keys come from.
#[derive(Debug)]
pub enum KeySource {
    /// A file.
    File(PathBuf),
    /// A URL, and who asks for it.
    Url(Uri, Box<Client<HttpsConnector<HttpConnector>, Empty<Bytes>>>),
}

impl KeySource {
    /// Reads the setting: `https://…`, `http://…` to this machine alone, or the path of a file.
    ///
    /// # Errors
    /// What it must be instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.starts_with("https:") && !text.starts_with("http:") {
            return Ok(Self::File(text.into()));
        }
        let url = Url::parse(text).map_err(|error| format!("is no URL: {error}"))?;
        // Whoever can change the keys on their way can let anybody in.
        if url.scheme() == "http" && !is_loopback(&url) {
            return Err("must be https:// unless it is on this machine".to_owned());
        }
        let uri = url.as_str().parse().map_err(|error| format!("is no URL: {error}"))?;
        let tls = HttpsConnectorBuilder::new()
            .with_provider_and_platform_verifier(rustls::crypto::aws_lc_rs::default_provider())
            .map_err(|error| format!("can't be asked over TLS: {error}"))?;
        let connector = tls.https_or_http().enable_http1().build();
        Ok(Self::Url(uri, Box::new(Client::builder(TokioExecutor::new()).build(connector))))
    }

    /// Reads the document. A file is read at once.
    ///
    /// # Errors
    /// Why it can't be had.
    pub(super) async fn read(&self) -> Result<Vec<u8>, String> {
        match self {
            Self::File(path) => {
                std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
            }
            Self::Url(uri, client) => {
                let asked = fetch(uri, client);
                tokio::time::timeout(TIMEOUT, asked).await.map_err(|_| "no answer in time".to_owned())?
            }
        }
    }
}

async fn fetch(
    uri: &Uri,
    client: &Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
) -> Result<Vec<u8>, String> {
    let response = client.get(uri.clone()).await.map_err(|error| format!("no answer: {error}"))?;
    // A redirect as well: only the URL of the settings is trusted.
    if response.status() != hyper::StatusCode::OK {
        return Err(format!("answered {}", response.status()));
    }
    let body = Limited::new(response.into_body(), MAX_BYTES).collect().await;
    Ok(body.map_err(|error| format!("half an answer: {error}"))?.to_bytes().to_vec())
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_from_a_file_or_over_tls() {
        for good in ["keys.json", "/etc/keys.json", "https://id.example/keys", "http://127.0.0.1:1/keys"] {
            assert!(KeySource::parse(good).is_ok(), "{good}");
        }
        for bad in ["http://id.example/keys", "http://10.0.0.1/keys", "https://", "http://localhost.evil/"] {
            assert!(KeySource::parse(bad).is_err(), "{bad}");
        }
    }
}
