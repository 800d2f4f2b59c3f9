//! Who is let in: everybody, everybody over TLS, or services by their certificates.

use std::{path::PathBuf, sync::Arc};

use tonic::{Code, Status, body::Body, codegen::http::Request};
use tower::BoxError;

use crate::{
    settings::Problems,
    tls::{self, AllowList, Identity, ServerTls},
};

use super::connection::Peer;

/// How callers come in.
#[derive(Clone, Debug)]
pub enum Door {
    /// In plaintext, whoever they are.
    Insecure,
    /// Over TLS, whoever they are: their calls say it.
    Public(ServerTls),
    /// Over TLS with a certificate, and only to the RPCs that its holder may call.
    Peers(ServerTls, Arc<AllowList>),
}

/// Who may call a service that only other services call.
#[derive(clap::Args, Debug, Clone)]
#[command(next_help_heading = "Server")]
pub struct PeersArgs {
    /// Which service may call what: IDENTITY=RPC[,RPC…], e.g. spiffe://rialto/gateway=rialto.platform.v1.PlatformService/*. May be
    /// given several times, in the environment with a space between two. Everything else is refused.
    #[arg(long, env = "RIALTO_ALLOW_CLIENT", value_name = "IDENTITY=RPC", value_delimiter = ' ')]
    allow_client: Vec<String>,
    /// Serve without TLS to whoever reaches the address: for a machine of one's own, never for real money.
    #[arg(long, env = "RIALTO_INSECURE_LISTEN")]
    insecure_listen: bool,
}

/// How a service that anybody may call is known.
#[derive(clap::Args, Debug, Clone)]
#[command(next_help_heading = "Server")]
pub struct PublicArgs {
    /// The certificate that callers see, and those between it and its CA (PEM); read again when it changes.
    #[arg(long, env = "RIALTO_PUBLIC_CERTIFICATE", value_name = "FILE")]
    public_certificate: Option<PathBuf>,
    /// Its private key (PEM).
    #[arg(long, env = "RIALTO_PUBLIC_KEY", value_name = "FILE")]
    public_key: Option<PathBuf>,
    /// Serve without TLS, so that everybody on the way can read API keys and payments: for a machine of one's own.
    #[arg(long, env = "RIALTO_INSECURE_LISTEN")]
    insecure_listen: bool,
}

const KEEP_ONE: &str = "a certificate is given as well: keep one of them";

impl PeersArgs {
    /// The door of a service with this identity.
    pub fn check(&self, identity: Option<&Identity>, problems: &mut Problems) -> Option<Door> {
        let Some(identity) = identity else {
            if !self.insecure_listen {
                problems.add(
                    "certificate",
                    "missing: what this service shows of itself; or say --insecure-listen",
                );
            }
            return self.insecure_listen.then_some(Door::Insecure);
        };
        if self.insecure_listen {
            problems.add("insecure-listen", KEEP_ONE);
        }
        if self.allow_client.is_empty() {
            problems.add("allow-client", "missing: without it nobody may call; see --help");
        }
        let allowed = AllowList::parse(&self.allow_client);
        let allowed = allowed.map_err(|problem| problems.add("allow-client", problem)).ok()?;
        let tls = identity.server().map_err(|problem| problems.add_free(problem)).ok()?;
        Some(Door::Peers(tls, Arc::new(allowed)))
    }
}

impl PublicArgs {
    /// The door.
    pub fn check(&self, problems: &mut Problems) -> Option<Door> {
        let (certificate, key) = match (&self.public_certificate, &self.public_key) {
            (None, None) if self.insecure_listen => return Some(Door::Insecure),
            (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
            (None, _) => {
                let missing = "missing: what callers see; or say --insecure-listen";
                problems.add("public-certificate", missing);
                return None;
            }
            (_, None) => {
                problems.add("public-key", "missing: the key of --public-certificate");
                return None;
            }
        };
        if self.insecure_listen {
            problems.add("insecure-listen", KEEP_ONE);
        }
        tls::public_server(certificate, key)
            .map_err(|problem| problems.add_free(problem))
            .ok()
            .map(Door::Public)
    }
}

impl Door {
    /// TLS, if callers come in over it.
    pub(super) fn tls(&self) -> Option<&ServerTls> {
        match self {
            Self::Insecure => None,
            Self::Public(tls) | Self::Peers(tls, _) => Some(tls),
        }
    }

    /// Lets a call pass if whoever opened its connection may make it.
    pub(super) fn admit(&self, request: Request<Body>) -> Result<Request<Body>, BoxError> {
        let Self::Peers(_, allowed) = self else { return Ok(request) };
        let identity = request.extensions().get::<Peer>().and_then(|peer| peer.identity.as_deref());
        if identity.is_some_and(|identity| allowed.allows(identity, request.uri().path())) {
            return Ok(request);
        }
        tracing::warn!(
            identity,
            rpc = request.uri().path(),
            "refused: the caller's certificate does not allow it"
        );
        Err(Status::new(Code::PermissionDenied, "this certificate does not allow this call").into())
    }
}
