//! Power cuts: PostgreSQL's data is on a file system of its own, which loses whatever is not on its disk yet.
//!
//! An ext4 on a loop device is told to shut down without writing its journal (`EXT4_IOC_SHUTDOWN` with `NOLOGFLUSH`), and is
//! mounted again. That takes root, loop devices and Python; where one of them is missing there is no such test.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use harness::{BenchError, wait};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::process::Command;

use crate::{
    bench::{Bench, Part},
    cells::Cell,
    cycle::{Judged, Stage, working},
    load::Load,
};

/// How large the disk is; it takes no more of the real one than is written.
const DISK: u64 = 2 << 30;
/// Cuts the power of the file system that is its argument.
const CUT: &str = "import fcntl, os, struct, sys; \
                   fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', 2))";
/// How long the last process of the old server may take to leave the disk.
const TO_LEAVE: Duration = Duration::from_secs(10);

/// A disk whose power can be cut; dropping it takes it away.
#[derive(Debug)]
pub struct Disk {
    image: PathBuf,
    mounted_at: PathBuf,
}

async fn run(program: &str, arguments: &[&str]) -> Result<(), BenchError> {
    let output = Command::new(program).args(arguments).output().await;
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()).into())
}

fn text(path: &Path) -> Result<&str, BenchError> {
    path.to_str().ok_or_else(|| "a path is not UTF-8".into())
}

impl Disk {
    /// Makes a disk and mounts it at `folder`. It has shown that it forgets what was not synced.
    ///
    /// # Errors
    /// Why there can be none on this machine.
    pub async fn make(image: PathBuf, folder: &Path) -> Result<Self, BenchError> {
        fs::create_dir_all(folder)?;
        fs::File::create(&image)?.set_len(DISK)?;
        run("mkfs.ext4", &["-q", "-F", text(&image)?]).await?;
        let disk = Self { image, mounted_at: folder.to_owned() };
        disk.mount().await?;
        let unsynced = folder.join("unsynced");
        fs::write(&unsynced, "lost")?;
        disk.cut().await?;
        disk.unmount().await?;
        disk.mount().await?;
        if unsynced.exists() {
            return Err("the disk keeps what was not synced".into());
        }
        Ok(disk)
    }

    async fn mount(&self) -> Result<(), BenchError> {
        run("mount", &["-o", "loop", text(&self.image)?, text(&self.mounted_at)?]).await
    }

    async fn unmount(&self) -> Result<(), BenchError> {
        run("umount", &[text(&self.mounted_at)?]).await
    }

    async fn cut(&self) -> Result<(), BenchError> {
        run("python3", &["-c", CUT, text(&self.mounted_at)?]).await
    }

    /// Puts everything on the disk.
    ///
    /// # Errors
    /// When that fails.
    pub async fn sync(&self) -> Result<(), BenchError> {
        run("sync", &["-f", text(&self.mounted_at)?]).await
    }

    /// Cuts the power under PostgreSQL, lets it come up again, and returns.
    async fn cut_under(&self, bench: &Bench) -> Result<(), BenchError> {
        bench.keep_database_down(true);
        self.cut().await?;
        // It may have died of it already.
        let _ = bench.signal(Part::Database, "KILL");
        let left = || async {
            let free = bench.database_has_ended() && self.unmount().await.is_ok();
            free.then_some(())
        };
        wait::until("PostgreSQL has left its disk", TO_LEAVE, left).await?;
        self.mount().await?;
        bench.keep_database_down(false);
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: the last process of the server may not have left yet.
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.mounted_at).output();
    }
}

/// Runs one cycle in which the power is cut at a moment that the seed draws.
///
/// # Errors
/// When the bench itself fails.
pub async fn run_cycle(stage: &mut Stage, disk: &Disk, seed: u64, cycle: u64) -> Result<Judged, BenchError> {
    let mut random = StdRng::seed_from_u64(seed ^ cycle.wrapping_mul(0xA076_1D64_78BD_642F));
    let at = Duration::from_millis(random.random_range(100..1_500));
    stage.bench.outages.measure(true);
    let load = Load::begin(&stage.bench.world, seed, cycle);
    let cut = async {
        tokio::time::sleep(at).await;
        disk.cut_under(&stage.bench).await
    };
    tokio::try_join!(cut, working())?;
    stage.judge(load, vec![Cell::PowerCut]).await
}
