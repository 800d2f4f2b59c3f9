//! How to start the system.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use super::{BANKS, BankSetup, BankTimes, Programs, QUICK, Service};
use crate::{BenchError, certificates::Certificates, detour::Detours};

/// How to start the system.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where its files are; what is there already is used again.
    pub folder: PathBuf,
    /// The gateway's address; port 0 lets the system choose.
    pub gateway_listen: String,
    /// The banks.
    pub banks: Vec<BankSetup>,
    /// The banks' times.
    pub times: BankTimes,
    /// The banks' script (TOML), see `bank --help`.
    pub script: String,
    /// Banks, by their ids, whose payments wait for them while they are down.
    pub queueing: &'static [&'static str],
    /// Payments and return requests that each bank takes at once.
    pub max_in_flight: u32,
    /// Further settings of banks in the channel's directory: a bank's id, and a line of TOML.
    pub bank_settings: Vec<(&'static str, String)>,
    /// Further banks in the channel's directory, which are no simulated ones: whole entries (TOML). Their addresses are to be known before:
    /// [`super::free_addresses`].
    pub more_banks: Vec<String>,
    /// Banks, by their ids, with which messages, answers and notices are signed.
    pub signing: &'static [&'static str],
    /// Where the channel takes what banks say unasked, which they are told unless the port is 0; nowhere if there is none.
    pub notice_listen: Option<String>,
    /// Further flags, each for a service.
    pub flags: Vec<(Service, String)>,
    /// Further environment variables, each for a service: name and value.
    pub variables: Vec<(Service, String, String)>,
    /// Further settings of PostgreSQL, as `name=value`.
    pub database_settings: Vec<String>,
    /// Whether there is a synchronous standby of PostgreSQL.
    pub is_replicated: bool,
    /// Cargo features (`package/feature`) that the programs are built with.
    pub features: Vec<&'static str>,
    /// Whether nothing is encrypted, to see what that would save.
    pub is_plaintext: bool,
    /// Whether services have admin servers, and so measure what they do.
    pub is_measured: bool,
    /// How many of each service but the banks there may be, at addresses that those know who call them. One of each is started.
    pub places: usize,
    /// Services that are started from other programs than those that are built with this one.
    pub programs: BTreeMap<Service, Programs>,
    /// Where calls between the parts are led; nowhere else if there are none.
    pub detours: Option<Arc<dyn Detours>>,
    /// The certificates of another system, for the two to know each other; own ones are made if there are none.
    pub shared_certificates: Option<Certificates>,
}

impl Setup {
    /// A system in a folder of its own.
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            gateway_listen: "127.0.0.1:0".to_owned(),
            banks: BANKS.to_vec(),
            times: QUICK,
            script: String::new(),
            queueing: &[],
            max_in_flight: 1024,
            bank_settings: Vec::new(),
            more_banks: Vec::new(),
            signing: &[],
            notice_listen: None,
            flags: Vec::new(),
            variables: Vec::new(),
            database_settings: vec!["shared_buffers=256MB".to_owned()],
            is_replicated: false,
            features: Vec::new(),
            is_plaintext: false,
            is_measured: true,
            places: 1,
            programs: BTreeMap::new(),
            detours: None,
            shared_certificates: None,
        }
    }

    /// The certificates of such a system, which are made unless it shares another's.
    ///
    /// # Errors
    /// When they can't be written.
    pub fn certificates(&self) -> Result<Certificates, BenchError> {
        match &self.shared_certificates {
            Some(shared) => Ok(shared.clone()),
            None => {
                Certificates::make(&self.folder.join("certificates"), self.banks.iter().map(|bank| bank.id))
            }
        }
    }

    /// Has every bank reached over HTTP/2.
    #[must_use]
    pub fn over_http2(mut self) -> Self {
        self.bank_settings.extend(self.banks.iter().map(|bank| (bank.id, "http = \"2\"".to_owned())));
        self
    }
}
