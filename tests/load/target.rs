//! The gateway that is loaded: as it was said, or that of the demo that is up.

use std::{fs, path::PathBuf};

use common::rpc_client::Route;
use harness::{BenchError, binaries};

use crate::args::Args;

const ADVICE: &str = "say where the gateway is with --gateway, --key and --second-key (or GATEWAY, KEY and SECOND_KEY in the environment), or start \
                      `cargo demo` in another shell and try again when it says that the system is up";

/// Where the load goes.
#[derive(Clone, Debug)]
pub struct Target {
    /// The gateway's address.
    pub gateway: String,
    /// The CA that its certificate is of; none without TLS.
    pub ca: Option<PathBuf>,
    /// The API key.
    pub key: String,
    /// The API key of another operator.
    pub second_key: String,
    /// Where the simulated banks take their scripts, if it is known.
    pub bank_control: Option<String>,
    /// Whether the demo left the address.
    pub is_demo: bool,
}

impl Target {
    /// Where the arguments say, or else the demo.
    ///
    /// # Errors
    /// When neither is there, or only half of it.
    pub fn find(args: &Args) -> Result<Self, BenchError> {
        let bank_control = args.bank_control.clone();
        match (args.gateway.clone(), args.key.clone()) {
            (Some(gateway), Some(key)) => {
                let gateway = without_scheme(&gateway, args.ca.is_some())?;
                let second_key = args.second_key.clone().ok_or(
                    "--gateway needs a --second-key (or SECOND_KEY in the environment): deposits take two operators",
                )?;
                Ok(Self { gateway, ca: args.ca.clone(), key, second_key, bank_control, is_demo: false })
            }
            (Some(_), None) => Err("--gateway needs a --key (or KEY in the environment)".into()),
            (None, Some(_)) => Err("--key needs a --gateway (or GATEWAY in the environment)".into()),
            (None, None) => {
                let file = binaries::target()?.join("demo/env");
                let text = fs::read_to_string(file).map_err(|_| format!("no gateway to load: {ADVICE}"))?;
                let demo = of_demo(&text)
                    .ok_or_else(|| format!("the demo's target/demo/env is cut off: {ADVICE}"))?;
                Ok(Self { bank_control: bank_control.or(demo.bank_control), ..demo })
            }
        }
    }

    /// The API keys of both operators.
    pub fn keys(&self) -> [&str; 2] {
        [&self.key, &self.second_key]
    }

    /// How it is reached.
    ///
    /// # Errors
    /// When its address is none, or its CA can't be read.
    pub fn route(&self) -> Result<Route, BenchError> {
        Route::to(&self.gateway, self.ca.clone()).map_err(|problem| {
            format!("--gateway {}: expected an address such as 127.0.0.1:8080: {problem}", self.gateway)
                .into()
        })
    }

    /// What to do when nobody answers there.
    pub fn advice(&self) -> &'static str {
        if self.is_demo {
            "the demo that wrote target/demo/env has ended: start `cargo demo` in another shell"
        } else {
            ADVICE
        }
    }
}

fn without_scheme(gateway: &str, is_over_tls: bool) -> Result<String, BenchError> {
    let (scheme, address) = gateway.split_once("://").unwrap_or(("", gateway));
    match scheme {
        "https" if !is_over_tls => Err("--gateway https://… needs --ca, the file of the CA to trust".into()),
        "http" if is_over_tls => Err("--gateway http://… is without TLS, and --ca is given: keep one".into()),
        "" | "http" | "https" => Ok(address.trim_end_matches('/').to_owned()),
        _ => Err(format!("--gateway {gateway}: expected an address such as 127.0.0.1:8080").into()),
    }
}

/// What the demo wrote for shells.
fn of_demo(environment: &str) -> Option<Target> {
    let value = |name: &str| {
        let mut values = environment.lines().filter_map(|line| line.split_once('='));
        values.find(|(own, _)| *own == name).map(|(_, value)| value.to_owned())
    };
    Some(Target {
        gateway: value("GATEWAY")?,
        ca: value("CA").map(PathBuf::from),
        key: value("KEY")?,
        second_key: value("SECOND_KEY")?,
        bank_control: value("BANKS"),
        is_demo: true,
    })
}

#[cfg(test)]
mod tests {
    use super::{of_demo, without_scheme};

    #[test]
    fn what_the_demo_wrote_is_read() {
        let demo = of_demo(
            "GATEWAY=127.0.0.1:1\nCA=/ca.pem\nKEY=rk_a=\nSECOND_KEY=rk_b=\nBANKS=http://127.0.0.1:2\n",
        )
        .unwrap();
        assert_eq!(demo.ca.as_deref(), Some("/ca.pem".as_ref()));
        assert_eq!((demo.gateway.as_str(), demo.keys()), ("127.0.0.1:1", ["rk_a=", "rk_b="]));
        assert_eq!(demo.bank_control.as_deref(), Some("http://127.0.0.1:2"));
        assert!(of_demo("GATEWAY=127.0.0.1:1\n").is_none());
    }

    #[test]
    fn an_address_may_have_a_scheme_that_is_spoken() {
        assert_eq!(without_scheme("http://127.0.0.1:1/", false).unwrap(), "127.0.0.1:1");
        assert_eq!(without_scheme("https://127.0.0.1:1/", true).unwrap(), "127.0.0.1:1");
        assert_eq!(without_scheme("127.0.0.1:1", true).unwrap(), "127.0.0.1:1");
        assert!(without_scheme("https://127.0.0.1:1", false).unwrap_err().to_string().contains("--ca"));
        assert!(without_scheme("http://127.0.0.1:1", true).unwrap_err().to_string().contains("keep one"));
        assert!(without_scheme("ftp://127.0.0.1:1", false).is_err());
    }
}
