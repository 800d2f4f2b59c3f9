//! Processes of services: which there are, and how they are started, ended and started again.

use std::{collections::BTreeMap, fmt, net::TcpListener, path::PathBuf, process::Command, time::Duration};

use super::{Service, Setup, System};
use crate::{BenchError, binaries, process::Process};

/// One of a service's processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Replica {
    /// Whose.
    pub service: Service,
    /// Which, from 0, the one that every system has.
    pub number: usize,
}

impl From<Service> for Replica {
    fn from(service: Service) -> Self {
        Self { service, number: 0 }
    }
}

impl fmt::Display for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            0 => f.write_str(self.service.name()),
            number => write!(f, "{}-{number}", self.service.name()),
        }
    }
}

/// The programs of a version.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Where they are.
    pub folder: PathBuf,
    /// Whether they take several URLs for a service that they call, rather than one.
    pub take_several_urls: bool,
}

impl Programs {
    /// Those that are built with this program.
    ///
    /// # Errors
    /// When the system does not say where that is.
    pub fn own() -> Result<Self, BenchError> {
        Ok(Self { folder: binaries::folder()?, take_several_urls: true })
    }

    /// Those in a folder.
    ///
    /// # Errors
    /// When they can't be asked what they take.
    pub fn at(folder: PathBuf) -> Result<Self, BenchError> {
        let help = Command::new(binaries::program_in(&folder, "gateway")?).arg("--help").output()?;
        let take_several_urls = String::from_utf8_lossy(&help.stdout).contains("several URLs");
        Ok(Self { folder, take_several_urls })
    }
}

/// Addresses for as many processes as there may be, when these are to be known before they are started.
pub(super) fn addresses(setup: &Setup) -> Result<BTreeMap<Replica, String>, BenchError> {
    if setup.places < 2 {
        return Ok(BTreeMap::new());
    }
    let services = [Service::Channel, Service::Platform, Service::Gateway];
    let replica = |service| (0..setup.places).map(move |number| Replica { service, number });
    let replicas: Vec<Replica> = services.into_iter().flat_map(replica).collect();
    let addresses = free_addresses(replicas.len())?;
    Ok(replicas.into_iter().zip(addresses).collect())
}

/// So many addresses that nobody listens at, for those that others must know before they are started.
///
/// # Errors
/// When there are none.
pub fn free_addresses(count: usize) -> Result<Vec<String>, BenchError> {
    // All ports are held at once, so that they differ.
    let held = (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<Vec<_>, _>>()?;
    held.iter().map(|listener| Ok(listener.local_addr()?.to_string())).collect()
}

impl System {
    /// A service's process.
    #[expect(clippy::panic, reason = "who asks for what was never started has a mistake to find")]
    pub fn process(&mut self, replica: impl Into<Replica>) -> &mut Process {
        let replica = replica.into();
        self.running.get_mut(&replica).unwrap_or_else(|| panic!("{replica} was never started"))
    }

    /// Starts a process, at its address if that is known, and waits until it has come up.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn launch(&mut self, replica: impl Into<Replica>) -> Result<(), BenchError> {
        let replica = replica.into();
        let address = self.addresses.get(&replica).cloned();
        let mut process = self.begin(replica, address.as_deref())?;
        let bound = process.wait_for_file(&self.address_file(replica))?;
        self.addresses.insert(replica, bound.trim().to_owned());
        self.running.insert(replica, process);
        Ok(())
    }

    /// Starts a process again, on the address that it had, and waits until it has come up.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn restart(&mut self, replica: impl Into<Replica>) -> Result<(), BenchError> {
        let replica = replica.into();
        self.begin_restart(replica)?;
        let address_file = self.address_file(replica);
        self.process(replica).wait_for_file(&address_file).map(drop)
    }

    /// Starts a process again, on the address that it had, without waiting for it to come up.
    ///
    /// # Errors
    /// When it cannot be ended or started.
    pub fn begin_restart(&mut self, replica: impl Into<Replica>) -> Result<(), BenchError> {
        let replica = replica.into();
        let address = self.address(replica).to_owned();
        let process = self.process(replica);
        if process.ended().is_none() {
            process.signal("KILL")?;
            process.wait(Duration::from_secs(5))?;
        }
        let process = self.begin(replica, Some(&address))?;
        self.running.insert(replica, process);
        Ok(())
    }

    /// The services of which a process has ended by itself.
    pub fn ended(&mut self) -> Vec<Service> {
        let ended =
            self.running.iter_mut().filter_map(|(replica, process)| process.ended().map(|_| replica.service));
        ended.collect()
    }

    /// Has a service be started from these programs from now on.
    pub fn use_programs(&mut self, service: Service, programs: Programs) {
        self.setup.programs.insert(service, programs);
    }
}
