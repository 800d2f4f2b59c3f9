//! How a service is started, and what it is told.

use std::{fs, ops::Range, process::Command};

use super::{
    API_KEY_SECRET, KEY_FILE, NOTICE_ADDRESS, Programs, Replica, Service, System,
    banks::{banks_file, directory_file},
};
use crate::{
    BenchError, binaries,
    certificates::identity_of,
    detour::Link,
    process::{KILLED_WITH_PARENT, Process},
};

/// What a gateway asks of the platform.
const GATEWAYS_CALLS: &str = "gateway=rialto.platform.v1.PlatformService/Exchange,rialto.platform.v1.PlatformService/Watch,\
    rialto.platform.v1.PlatformService/ClaimDeliveries,rialto.platform.v1.PlatformService/ReportDelivery";

impl System {
    /// Starts a service without waiting for it to come up.
    pub(super) fn begin(&self, replica: Replica, address: Option<&str>) -> Result<Process, BenchError> {
        let (folder, service) = (&self.setup.folder, replica.service);
        let address_file = self.address_file(replica);
        let _ = fs::remove_file(&address_file);
        let programs = self.setup.programs.get(&service).cloned().map_or_else(Programs::own, Ok)?;
        let mut command = Command::new(binaries::program_in(&programs.folder, service.name())?);
        // A version that knows one URL calls the one of its own number.
        let called = if programs.take_several_urls {
            0..self.setup.places
        } else {
            replica.number..replica.number + 1
        };
        let listen = match (service, address) {
            (_, Some(address)) => address,
            (Service::Gateway, None) => &self.setup.gateway_listen,
            (_, None) => "127.0.0.1:0",
        };
        command.args(["--listen", listen]).arg("--address-file").arg(&address_file);
        if self.setup.is_measured && service != Service::Bank {
            let admin = self.admin_address_file(replica);
            let _ = fs::remove_file(&admin);
            command.args(["--admin-listen", "127.0.0.1:0"]).arg("--admin-address-file").arg(admin);
        }
        match service {
            Service::Bank => {
                fs::write(folder.join("banks.toml"), banks_file(&self.setup, &self.certificates))?;
                command
                    .arg("--banks")
                    .arg(folder.join("banks.toml"))
                    .arg("--books")
                    .arg(folder.join("books"));
                command.arg("--script").arg(folder.join("script.toml"));
            }
            Service::Channel => {
                let detour = match &self.setup.detours {
                    Some(_) => Some(self.way(Link::ChannelToBank, self.address(Service::Bank))?),
                    None => None,
                };
                let directory = directory_file(&self.setup, &self.certificates, detour.as_deref())?;
                fs::write(folder.join("directory.toml"), directory)?;
                command.arg("--directory").arg(folder.join("directory.toml"));
                self.let_in(&mut command, service, "platform=rialto.channel.v1.InstructionService/*");
                if let Some(listen) = &self.setup.notice_listen {
                    command.args(["--notice-listen", listen]);
                    command.arg("--notice-address-file").arg(folder.join(NOTICE_ADDRESS));
                    command.arg("--notice-certificate").arg(self.certificates.file("notices"));
                    command.arg("--notice-key").arg(self.certificates.key("notices"));
                }
            }
            Service::Platform => {
                command.arg("--migrate").arg("--channel").arg(self.urls(
                    Link::PlatformToChannel,
                    Service::Channel,
                    called,
                )?);
                command.env("RIALTO_DATABASE_URL", self.platforms_database_url()?).arg("--insecure-database");
                self.let_in(&mut command, service, GATEWAYS_CALLS);
                command.args(self.setup.is_plaintext.then_some("--insecure-channel"));
                command.arg("--audit-key-file").arg(&self.audit_key);
                command.arg("--data-key-file").arg(&self.data_key);
            }
            Service::Gateway => {
                let own = self.urls(Link::GatewayToPlatform, Service::Platform, called)?;
                let others = self.cells.iter().map(|urls| format!(";{urls}"));
                command.arg("--platform").arg(own + &others.collect::<String>());
                command.arg("--api-keys").arg(folder.join(KEY_FILE));
                command.env("RIALTO_API_KEY_SECRET", API_KEY_SECRET);
                // All the bench's callers are at one address.
                command.env("RIALTO_MAX_CALLS_PER_ADDRESS", "100000");
                if self.setup.is_plaintext {
                    command.args(["--insecure-listen", "--insecure-platform"]);
                } else {
                    command.arg("--public-certificate").arg(self.certificates.file("public"));
                    command.arg("--public-key").arg(self.certificates.key("public"));
                    command.args(self.certificates.identity_args(service.name()));
                }
            }
        }
        let flags = self.setup.flags.iter().filter(|(of, _)| *of == service);
        command.args(flags.map(|(_, flag)| flag));
        let variables = self.setup.variables.iter().filter(|(of, ..)| *of == service);
        command.envs(variables.map(|(_, name, value)| (name, value)));
        let log = folder.join(format!("{replica}.log"));
        Process::start(service.name(), command, KILLED_WITH_PARENT, &log)
    }

    /// Gives a service its identity, and lets another one call it; the bench may ask after its health.
    fn let_in(&self, command: &mut Command, service: Service, caller: &str) {
        if self.setup.is_plaintext {
            command.arg("--insecure-listen");
            return;
        }
        command.args(self.certificates.identity_args(service.name()));
        for allowed in [caller, "bench=grpc.health.v1.Health/*"] {
            command.arg("--allow-client").arg(identity_of(allowed));
        }
    }

    /// The URLs of the processes of a service that have these numbers.
    pub(super) fn urls(&self, link: Link, of: Service, numbers: Range<usize>) -> Result<String, BenchError> {
        let scheme = if self.setup.is_plaintext { "http" } else { "https" };
        let urls = numbers.map(|number| {
            let address = self.address(Replica { service: of, number });
            Ok(format!("{scheme}://{}", self.way(link, address)?))
        });
        Ok(urls.collect::<Result<Vec<String>, BenchError>>()?.join(","))
    }
}
