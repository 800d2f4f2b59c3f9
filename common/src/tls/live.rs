//! Something made of files, made anew when they change.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use super::ends::Ends;

/// How often the files are looked at: small, and rarely changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A file as it was read.
#[derive(Debug, PartialEq, Eq)]
pub struct Contents {
    /// Its name, for complaints.
    pub file: PathBuf,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// Makes it of the files, or says what is wrong with which.
type Make<T> = Box<dyn Fn(&[Contents]) -> Result<T, String> + Send + Sync>;

/// Something made of files. Who holds what was made keeps it; who asks again gets what the files make now.
pub struct Live<T> {
    files: Vec<PathBuf>,
    make: Make<T>,
    now: RwLock<Now<T>>,
}

struct Now<T> {
    /// When the certificates among them end.
    ends: Arc<Ends>,
    /// What the files held when they were last looked at, good or bad.
    seen: Result<Vec<Contents>, String>,
    looked_at: Instant,
    made: Arc<T>,
}

impl<T> fmt::Debug for Live<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("files", &self.files).finish_non_exhaustive()
    }
}

impl<T> Live<T> {
    /// Reads the files, and makes of them what they make.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub fn read(
        files: Vec<PathBuf>,
        make: impl Fn(&[Contents]) -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let contents = read(&files)?;
        let made = Arc::new(make(&contents)?);
        let ends = Ends::shown(&contents);
        let now = Now { ends, seen: Ok(contents), looked_at: Instant::now(), made };
        Ok(Self { files, make: Box::new(make), now: RwLock::new(now) })
    }

    /// What the files make, as of the last look.
    pub fn current(&self) -> Arc<T> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner).made)
    }

    /// What the files make now: for what is rare enough to read them each time, as a connection is.
    pub fn fresh(&self) -> Arc<T> {
        self.look();
        self.current()
    }

    /// What the files made a second ago at the earliest: for what is too frequent to read them each time, as a message is.
    pub fn recent(&self) -> Arc<T> {
        let looked_at = self.now.read().unwrap_or_else(PoisonError::into_inner).looked_at;
        if looked_at.elapsed() >= LOOK_EVERY {
            self.look();
        }
        self.current()
    }

    /// Looks at the files as long as anybody holds what they make. Bad ones change nothing, and are complained of once.
    pub fn keep_current(self: &Arc<Self>)
    where
        T: Send + Sync + 'static,
    {
        let live = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                match live.upgrade() {
                    Some(live) => live.look(),
                    None => return,
                }
            }
        });
    }

    fn look(&self) {
        let seen = read(&self.files);
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        now.looked_at = Instant::now();
        if seen == now.seen {
            return;
        }
        let made = seen.as_deref().map_err(Clone::clone).and_then(|contents| (self.make)(contents));
        now.seen = seen;
        match made {
            Ok(made) => {
                now.ends.set(now.seen.as_deref().unwrap_or_default());
                now.made = Arc::new(made);
                tracing::info!(files = ?self.files, "certificates or keys read again");
            }
            Err(problem) => {
                tracing::error!(%problem, "certificates or keys not read again; the old ones stay")
            }
        }
    }
}

fn read(files: &[PathBuf]) -> Result<Vec<Contents>, String> {
    let read = |file: &PathBuf| match std::fs::read(file) {
        Ok(bytes) => Ok(Contents { file: file.clone(), bytes }),
        Err(error) => Err(format!("cannot read {}: {error}", file.display())),
    };
    files.iter().map(read).collect()
}
