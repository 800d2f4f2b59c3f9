//! The system run out of its images, as Kubernetes would: on read-only roots as nobody, with what the overlay `dev` says.

use std::{
    env, fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use common::rpc_client::Route;
use harness::{
    BenchError,
    client::{Client, order, payee_by_iban},
    postgres::{Postgres, own_folder},
    process::{KILLED_WITH_PARENT, Process},
    scrape::Scrape,
    system::BANKS,
    wait,
};
use proto::payments::PaymentState;

use crate::{
    images::{Container, NOBODY, built},
    manifests::{Deployed, container, list, overlay, pod, text, variables},
    settings::files,
    tools::said,
};

/// What of a workload is another here than in a cluster.
#[derive(Default)]
struct Changes {
    variables: Vec<(&'static str, String)>,
    arguments: Option<Vec<String>>,
    /// Files of Secrets: what stands in them, by their paths.
    files: Vec<(&'static str, String)>,
}

/// A place for containers and what they leave.
struct Host {
    folder: PathBuf,
    deployed: &'static Deployed,
}

impl Host {
    /// The command that runs a workload's container: its image on a read-only root, as nobody, without rights, with its Secrets.
    fn command(&self, kind: &str, called: &str, changes: &Changes) -> Result<Command, BenchError> {
        let workload = self.deployed.one(kind, called);
        let (_, program) = text(&container(workload)["image"]).rsplit_once('/').ok_or("no image")?;
        let program = program.split(':').next().unwrap_or_default();
        let Container(_, root) = built().containers.get(program).ok_or("no image of it")?;
        let mut script = "set -e; root=$1; shift; mount --bind \"$root\" \"$root\"\n".to_owned();
        let mut bind = |from: &Path, to: &str, options: &str| -> Result<(), BenchError> {
            let inside = root.join(to.trim_start_matches('/'));
            fs::create_dir_all(&inside)?;
            let (from, inside) = (from.display(), inside.display());
            script +=
                &format!("mount --bind '{from}' '{inside}'; mount -o remount,bind,{options} '{inside}'\n");
            Ok(())
        };
        for (path, secrets) in self.deployed.mounts(workload) {
            let folder = self.folder.join(called).join(path.trim_start_matches('/'));
            fs::create_dir_all(&folder)?;
            for secret in &secrets {
                for (name, content) in files(self.deployed.one("Secret", secret)) {
                    self.write(&folder.join(&name), &content)?;
                }
            }
            for (changed, content) in &changes.files {
                if let Some(name) = changed.strip_prefix(&format!("{path}/")) {
                    self.write(&folder.join(name), content.as_bytes())?;
                }
            }
            if secrets.is_empty() {
                chown(&folder, Some(NOBODY), Some(NOBODY))?;
            }
            bind(&folder, &path, if secrets.is_empty() { "rw" } else { "ro" })?;
        }
        let out = self.out(called);
        fs::create_dir_all(&out)?;
        chown(&out, Some(NOBODY), Some(NOBODY))?;
        bind(&out, "/out", "rw")?;
        let (user, group) =
            (&pod(workload)["securityContext"]["runAsUser"], &pod(workload)["securityContext"]["fsGroup"]);
        script += &format!(
            "mount -o remount,bind,ro \"$root\"\n\
             exec setpriv --no-new-privs chroot --userspec={user}:{group} --groups={group} \"$root\" \"$@\"\n"
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script, "sh"]).arg(root).arg(format!("/{program}"));
        let own = list(&container(workload)["args"]).iter().map(|word| text(word).to_owned()).collect();
        command.args(changes.arguments.clone().unwrap_or(own)).env_clear().env("PATH", env::var("PATH")?);
        command.envs(variables(workload));
        command.envs(changes.variables.iter().map(|(name, value)| (*name, value)));
        Ok(command)
    }

    /// A file as a Secret's is: the group's to read, and nobody's to write.
    fn write(&self, file: &Path, content: &[u8]) -> Result<(), BenchError> {
        drop(fs::remove_file(file));
        fs::write(file, content)?;
        fs::set_permissions(file, fs::Permissions::from_mode(0o440))?;
        Ok(chown(file, Some(0), Some(NOBODY))?)
    }

    /// Where a workload may write.
    fn out(&self, called: &str) -> PathBuf {
        self.folder.join(called).join("out")
    }

    /// Starts a service and waits until it has said where it listens.
    fn start(&self, called: &'static str, mut changes: Changes) -> Result<(Process, String), BenchError> {
        if changes.arguments.is_none() {
            for (variable, value) in [
                ("RIALTO_LISTEN", "127.0.0.1:0"),
                ("RIALTO_ADDRESS_FILE", "/out/address"),
                ("RIALTO_ADMIN_LISTEN", "127.0.0.1:0"),
                ("RIALTO_ADMIN_ADDRESS_FILE", "/out/admin"),
            ] {
                changes.variables.push((variable, value.to_owned()));
            }
        }
        let command = self.command("Deployment", called, &changes)?;
        for left in ["address", "admin"] {
            drop(fs::remove_file(self.out(called).join(left)));
        }
        let log = self.folder.join(format!("{called}.log"));
        let mut process = Process::start(called, command, KILLED_WITH_PARENT, &log)?;
        let address = process.wait_for_file(&self.out(called).join("address"))?;
        Ok((process, address))
    }

    /// What a service's admin server answers.
    async fn admin(&self, called: &str, path: &str) -> Option<String> {
        let address = fs::read_to_string(self.out(called).join("admin")).ok()?;
        let answer = reqwest::get(format!("http://{address}{path}")).await.ok()?;
        if answer.status().is_success() { answer.text().await.ok() } else { None }
    }
}

/// Fails unless a process is nobody's and may do nothing that is not everybody's.
fn has_no_rights(process: &Process) -> Result<(), BenchError> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid()))?;
    let line =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
    assert!(line("Uid:").split_whitespace().all(|id| id == NOBODY.to_string()), "{status}");
    assert_eq!(
        (line("CapEff:"), line("CapPrm:"), line("NoNewPrivs:")),
        ("0000000000000000", "0000000000000000", "1")
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_is_made_by_a_system_that_runs_out_of_images() -> Result<(), BenchError> {
    let host = Host { folder: own_folder("containers")?, deployed: overlay("dev") };
    let postgres = Postgres::start(&own_folder("images-postgres")?, &[]).await?;
    postgres.create_database("rialto", None).await?;
    let database = || ("/run/rialto/database/url", format!("{}?sslmode=disable", postgres.url("rialto")));
    let of = |files| Changes { files, ..Changes::default() };

    let listen = ["--listen=127.0.0.1:0".to_owned(), "--address-file=/out/address".to_owned()];
    let own = list(&container(host.deployed.one("Deployment", "banks"))["args"]).iter().map(text);
    let own = own.filter(|word| !word.starts_with("--listen")).map(str::to_owned);
    let arguments = Some(own.chain(listen).collect());
    let (banks, address) = host.start("banks", Changes { arguments, ..Changes::default() })?;

    let directory = files(host.deployed.one("Secret", &channel_banks(host.deployed)));
    let directory = String::from_utf8(directory["banks.toml"].clone())?.replace("banks:8080", &address);
    let (channel, address) = host.start("channel", of(vec![("/run/rialto/banks/banks.toml", directory)]))?;

    let platform = || Changes {
        variables: vec![("RIALTO_CHANNEL", format!("https://{address}"))],
        files: vec![database()],
        ..Changes::default()
    };
    let (mut refused, _) = host.start("platform", platform())?;
    assert!(!refused.wait(Duration::from_secs(10))?.success(), "it serves on an empty database");
    let log = fs::read_to_string(host.folder.join("platform.log"))?;
    assert!(log.contains("run `platform migrate`"), "{log}");
    said(&mut host.command("Job", "migrate", &of(vec![database()]))?)?;
    let (platform, address) = host.start("platform", platform())?;

    let new_key =
        ["new-key", "--participant=house", "--role=operator", "--role=payer-app"].map(str::to_owned).to_vec();
    let new_key = || {
        host.command(
            "Deployment",
            "gateway",
            &Changes { arguments: Some(new_key.clone()), ..Changes::default() },
        )
    };
    let made = [said(&mut new_key()?)?, said(&mut new_key()?)?];
    let key = |made: &str| made.split_whitespace().find(|word| word.starts_with("rk_")).map(str::to_owned);
    let variables = vec![("RIALTO_PLATFORM", format!("https://{address}"))];
    let files = vec![("/run/rialto/keys/api-keys.toml", made.concat())];
    let (gateway, address) = host.start("gateway", Changes { variables, files, arguments: None })?;

    let services = [("gateway", &gateway), ("platform", &platform), ("channel", &channel)];
    for (called, process) in services {
        has_no_rights(process)?;
        for path in ["/healthz", "/readyz"] {
            let answers = async || host.admin(called, path).await;
            wait::until(called, Duration::from_secs(10), answers).await?;
        }
    }
    has_no_rights(&banks)?;
    let open = async || {
        let is_open = async |called: &str| {
            let metrics = Scrape::read(&host.admin(called, "/metrics").await?).ok()?;
            (metrics.sum("rialto_hop_open", &[]) > 0.0).then_some(())
        };
        is_open("gateway").await?;
        is_open("platform").await
    };
    wait::until("both streams", Duration::from_secs(20), open).await?;

    let ca = host.folder.join("ca.crt");
    fs::copy(crate::manifests::folder().join("development/files/public/ca.crt"), &ca)?;
    let [first, second] = made.map(|made| key(&made).unwrap_or_default());
    let client = Client::new(&Route::to(&address, Some(ca))?, &first)?.approved_by(&second)?;
    let account = client.open_account("account", "Ada Buyer", "EUR", "").await?.id;
    let bank = BANKS[0];
    let deposit = async || client.deposit("deposit", &account, 10_000, "EUR", bank.id).await.ok();
    wait::until("the banks of the directory", Duration::from_secs(10), deposit).await?;
    let payee = payee_by_iban("Blaise Seller", &bank.account(1));
    let answer = client.pay(order("order", &account, payee, 1_234, "EUR"), None).await?;
    assert_eq!(answer.payment.state(), PaymentState::Succeeded);

    for mut process in [gateway, platform, channel, banks] {
        process.signal("TERM")?;
        assert!(process.wait(Duration::from_secs(30))?.success(), "it ends when it is told to");
    }
    let balance = Changes {
        arguments: Some(vec!["trial-balance".to_owned()]),
        files: vec![database()],
        ..Changes::default()
    };
    said(&mut host.command("Deployment", "platform", &balance)?)?;
    Ok(())
}

/// What the Secret of the banks' directory is called, with the hash of what is in it.
fn channel_banks(deployed: &Deployed) -> String {
    deployed.mounts(deployed.one("Deployment", "channel"))["/run/rialto/banks"].concat()
}
