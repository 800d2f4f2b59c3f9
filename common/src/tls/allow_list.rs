//! Which service may call which RPC.

use std::collections::HashMap;

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

/// The RPCs that each identity may call; nobody else may call anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList(HashMap<String, Vec<Rpcs>>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rpcs {
    /// Every RPC of the service `/package.Service/`.
    Service(String),
    /// The RPC `/package.Service/Method`.
    One(String),
}

/// What an entry looks like.
const FORM: &str = "expected e.g. spiffe://rialto/gateway=rialto.platform.v1.PlatformService/*, \
                    with further RPCs behind commas";

impl AllowList {
    /// Reads entries `IDENTITY=RPC[,RPC…]`, where an RPC is `package.Service/Method`, or `package.Service/*` for all of a service.
    ///
    /// # Errors
    /// The first entry that is none, and why.
    pub fn parse(entries: &[String]) -> Result<Self, String> {
        let mut allowed: HashMap<String, Vec<Rpcs>> = HashMap::new();
        for entry in entries {
            let complain = |what: &str| format!("{entry:?}: {what}; {FORM}");
            let (identity, rpcs) = entry.rsplit_once('=').ok_or_else(|| complain("names no RPC"))?;
            if !is_identity(identity) {
                return Err(complain("names no identity"));
            }
            for rpc in rpcs.split(',') {
                let rpc =
                    Rpcs::parse(rpc.trim()).ok_or_else(|| complain("names something that is no RPC"))?;
                allowed.entry(identity.to_owned()).or_default().push(rpc);
            }
        }
        Ok(Self(allowed))
    }

    /// Whether whoever has the identity may call the RPC at this path of HTTP.
    pub fn allows(&self, identity: &str, path: &str) -> bool {
        self.0.get(identity).is_some_and(|rpcs| rpcs.iter().any(|rpc| rpc.covers(path)))
    }

    /// The services that are spoken of, for whoever knows which there are.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.0.values().flatten().filter_map(|rpcs| {
            let (Rpcs::Service(path) | Rpcs::One(path)) = rpcs;
            path.split('/').nth(1)
        })
    }
}

impl Rpcs {
    fn parse(text: &str) -> Option<Self> {
        let is_name = |name: &str| {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_'))
        };
        match text.split_once('/')? {
            (service, "*") if is_name(service) => Some(Self::Service(format!("/{service}/"))),
            (service, method) if is_name(service) && is_name(method) => Some(Self::One(format!("/{text}"))),
            _ => None,
        }
    }

    fn covers(&self, path: &str) -> bool {
        match self {
            Self::Service(prefix) => path.starts_with(prefix),
            Self::One(one) => path == one,
        }
    }
}

fn is_identity(text: &str) -> bool {
    text.parse().is_ok_and(|uri: tonic::transport::Uri| uri.scheme().is_some() && uri.host().is_some())
}

/// Who the holder of a certificate is: its one URI name. None or several are nobody (SPIFFE X509-SVID, section 2).
pub(crate) fn identity_of(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let mut names = certificate.valid_uri_names();
    let (name, None) = (names.next()?, names.next()) else { return None };
    Some(name.to_owned())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn list(entries: &[&str]) -> Result<AllowList, String> {
        AllowList::parse(&entries.iter().map(|&entry| entry.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_listed_is_allowed_and_nothing_else() {
        let list = list(&["spiffe://a/b=x.Y/Z, x.V/*", "spiffe://a/c=x.Y/*"]).expect("good");
        for (identity, path, allowed) in [
            ("spiffe://a/b", "/x.Y/Z", true),
            ("spiffe://a/b", "/x.Y/ZZ", false),
            ("spiffe://a/b", "/x.Y/", false),
            ("spiffe://a/b", "/x.V/W", true),
            ("spiffe://a/b", "/x.VV/W", false),
            ("spiffe://a/c", "/x.Y/W", true),
            ("spiffe://a/c", "/x.V/W", false),
            ("spiffe://a/B", "/x.Y/Z", false),
            ("", "/x.Y/Z", false),
        ] {
            assert_eq!(list.allows(identity, path), allowed, "{identity} {path}");
        }
        assert!(!AllowList::default().allows("spiffe://a/b", "/x.Y/Z"));
    }

    #[test]
    fn an_entry_that_says_nothing_sure_is_refused() {
        for bad in [
            "",
            "=",
            "spiffe://a/b",
            "spiffe://a/b=",
            "a=x.Y/Z",
            "/a=x.Y/Z",
            "spiffe://a/b=*",
            "spiffe://a/b=x.Y",
            "spiffe://a/b=x.Y/Z/W",
            "spiffe://a/b=x.Y/Z,,x.Y/W",
            "spiffe://a/b=/x.Y/Z",
        ] {
            assert!(list(&[bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_identity_is_the_one_uri_name() {
        let certificate = |uris: &[&str], hosts: &[&str]| {
            let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
            let mut params = CertificateParams::new(hosts).expect("hosts");
            let uris = uris.iter().map(|&uri| SanType::URI(uri.try_into().expect("ASCII")));
            params.subject_alt_names.extend(uris);
            params.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate").der().clone()
        };
        let identity = |uris: &[&str], hosts: &[&str]| identity_of(&certificate(uris, hosts));
        assert_eq!(identity(&["spiffe://a/b"], &["a.test", "127.0.0.1"]).as_deref(), Some("spiffe://a/b"));
        assert_eq!(identity(&[], &["a.test"]), None);
        assert_eq!(identity(&["spiffe://a/b", "spiffe://a/c"], &[]), None);
        assert_eq!(identity_of(&CertificateDer::from(vec![0; 16])), None);
    }
}
