//! A TCP proxy that does to what passes what it is told.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use harness::BenchError;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

pub use harness::frames::Way;
use harness::frames::{Conversation, Frames, Mark, Piece};

/// How long bytes that still pass have before their connection is cut behind them.
const BEFORE_A_CUT: Duration = Duration::from_millis(1);

/// What a proxy does. Where a way is named, the other way passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rule {
    /// Everything passes.
    #[default]
    Pass,
    /// Each piece waits this long.
    Delay {
        /// Milliseconds.
        ms: u64,
    },
    /// Each piece waits a random time, so that connections overtake each other.
    Reorder {
        /// Milliseconds at most.
        max_ms: u64,
    },
    /// What comes waits until the rule changes, also when its sender is gone by then.
    Hold(Way),
    /// One piece in so many waits this long, also when its sender is gone by then; the others pass.
    HoldSome {
        /// Which way.
        way: Way,
        /// One in how many.
        one_in: u32,
        /// Milliseconds.
        ms: u64,
    },
    /// What comes is swallowed. The connections are cut when the rule changes.
    BlackHole(Option<Way>),
    /// Connections are refused, and those that there are are cut.
    Refuse,
    /// The connection over which this byte passes is cut behind it; then everything passes.
    CutAfter {
        /// Which way is counted.
        way: Way,
        /// How many bytes still pass.
        bytes: u64,
    },
    /// PostgreSQL only: the connection is cut when a COMMIT is to pass, before the server hears of it; then everything passes.
    CutBeforeCommit {
        /// The how-manieth COMMIT.
        nth: u64,
    },
    /// PostgreSQL only: the connection is cut when the server has committed, before the client hears of it; then everything
    /// passes.
    CutAfterCommit {
        /// The how-manieth COMMIT.
        nth: u64,
    },
}

/// One proxy; dropping it closes it.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
    serving: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    to: String,
    speaks_postgres: bool,
    rule: watch::Sender<Rule>,
    /// Bytes or commits that a rule that counts still lets pass.
    left: Mutex<u64>,
    cuts: watch::Sender<()>,
    touched: AtomicU64,
    commits: AtomicU64,
}

/// The connection is to be cut.
struct Cut;

/// What becomes of a piece.
enum Fate {
    Passes,
    Swallowed,
    /// So many of its bytes pass, then the connection is cut.
    CutAfter(usize),
}

impl Proxy {
    /// Opens a proxy on a free port, which leads to `to`.
    ///
    /// # Errors
    /// When there is no port.
    pub fn open(to: &str, speaks_postgres: bool) -> Result<Self, BenchError> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            to: to.to_owned(),
            speaks_postgres,
            rule: watch::channel(Rule::Pass).0,
            left: Mutex::new(0),
            cuts: watch::channel(()).0,
            touched: AtomicU64::new(0),
            commits: AtomicU64::new(0),
        });
        let serving = tokio::spawn(serve(TcpListener::from_std(listener)?, address, Arc::clone(&state)));
        Ok(Self { address, state, serving })
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Whether this is where it leads.
    pub fn leads_to(&self, address: &str) -> bool {
        self.state.to == address
    }

    /// Gives it another rule.
    pub fn set(&self, rule: Rule) {
        let before = self.state.set(rule);
        if matches!(before, Rule::BlackHole(_)) || rule == Rule::Refuse {
            self.cut();
        }
    }

    /// Cuts every connection at once.
    pub fn cut(&self) {
        if self.state.cuts.receiver_count() > 0 {
            self.state.touch();
        }
        self.state.cuts.send_replace(());
    }

    /// Forgets what was touched, and returns how many pieces or connections were.
    pub fn take_touched(&self) -> u64 {
        self.state.touched.swap(0, Ordering::Relaxed)
    }

    /// How many COMMITs have passed or were to pass.
    pub fn commits(&self) -> u64 {
        self.state.commits.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
        self.state.cuts.send_replace(());
    }
}

impl State {
    fn left(&self) -> MutexGuard<'_, u64> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn touch(&self) {
        self.touched.fetch_add(1, Ordering::Relaxed);
    }

    fn set(&self, rule: Rule) -> Rule {
        *self.left() = match rule {
            Rule::CutAfter { bytes, .. } => bytes,
            Rule::CutBeforeCommit { nth } | Rule::CutAfterCommit { nth } => nth,
            _ => 0,
        };
        self.rule.send_replace(rule)
    }

    /// Counts down a rule that counts; says where in `many` it ends, if it does.
    fn count_down(&self, many: u64) -> Option<u64> {
        let mut left = self.left();
        let end = *left;
        *left = left.saturating_sub(many);
        let ends = end > 0 && end <= many;
        drop(left);
        if ends {
            self.touch();
            self.set(Rule::Pass);
        }
        ends.then_some(end)
    }

    async fn fate(&self, way: Way, piece: &Piece) -> Fate {
        if piece.mark == Mark::Commit {
            self.commits.fetch_add(1, Ordering::Relaxed);
        }
        let rule = *self.rule.borrow();
        match rule {
            Rule::Delay { ms } => {
                self.touch();
                tokio::time::sleep(Duration::from_millis(ms)).await;
            }
            Rule::Reorder { max_ms } => {
                self.touch();
                tokio::time::sleep(Duration::from_millis(rand::random_range(0..=max_ms))).await;
            }
            Rule::Hold(held) if held == way => {
                self.touch();
                // The sender lives as long as this state does.
                let _ = self.rule.subscribe().wait_for(|now| *now != rule).await;
            }
            Rule::HoldSome { way: held, one_in, ms } if held == way && rand::random_ratio(1, one_in) => {
                self.touch();
                tokio::time::sleep(Duration::from_millis(ms)).await;
            }
            Rule::BlackHole(swallowed) if swallowed.is_none_or(|only| only == way) => {
                self.touch();
                return Fate::Swallowed;
            }
            Rule::CutAfter { way: counted, .. } if counted == way => {
                let length = u64::try_from(piece.bytes.len()).unwrap_or(u64::MAX);
                if let Some(end) = self.count_down(length) {
                    return Fate::CutAfter(usize::try_from(end).unwrap_or(usize::MAX));
                }
            }
            Rule::CutBeforeCommit { .. } if piece.mark == Mark::Commit && self.count_down(1).is_some() => {
                return Fate::CutAfter(0);
            }
            Rule::CutAfterCommit { .. } if piece.mark == Mark::Committed && self.count_down(1).is_some() => {
                return Fate::CutAfter(0);
            }
            _ => {}
        }
        Fate::Passes
    }
}

async fn serve(first: TcpListener, address: SocketAddr, state: Arc<State>) {
    let mut listener = Some(first);
    let mut rules = state.rule.subscribe();
    loop {
        if *rules.borrow_and_update() == Rule::Refuse {
            listener = None;
            state.touch();
            let _ = rules.wait_for(|rule| *rule != Rule::Refuse).await;
        }
        let Some(open) = &listener else {
            match TcpListener::bind(address).await {
                Ok(again) => listener = Some(again),
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
            continue;
        };
        tokio::select! {
            accepted = open.accept() => if let Ok((client, _)) = accepted {
                tokio::spawn(carry(client, Arc::clone(&state)));
            },
            _ = rules.wait_for(|rule| *rule == Rule::Refuse) => {}
        }
    }
}

/// Carries one connection until either side ends it or it is cut.
async fn carry(mut client: TcpStream, state: Arc<State>) {
    let mut cuts = state.cuts.subscribe();
    let mut server = match TcpStream::connect(&state.to).await {
        Ok(server) => server,
        Err(_) => return reset(&client),
    };
    let _ = client.set_nodelay(true).and_then(|()| server.set_nodelay(true));
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let conversation = Conversation::default();
    let cut = {
        let forward = pump(from_client, to_server, Way::Forward, &state, &conversation);
        let backward = pump(from_server, to_client, Way::Backward, &state, &conversation);
        tokio::select! {
            _ = cuts.changed() => true,
            ended = async { tokio::try_join!(forward, backward) } => ended.is_err(),
        }
    };
    if cut {
        reset(&server);
        reset(&client);
    }
}

/// Has the connection end with a RST when it is dropped.
fn reset(stream: &TcpStream) {
    // Fails on a connection that has ended already.
    let _ = stream.set_zero_linger();
}

async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    way: Way,
    state: &State,
    conversation: &Conversation,
) -> Result<(), Cut> {
    let mut frames = state.speaks_postgres.then(|| Frames::new(way, conversation));
    let mut buffer = vec![0; 16 << 10];
    loop {
        let length = from.read(&mut buffer).await.map_err(|_| Cut)?;
        let Some(bytes) = buffer.get(..length).filter(|bytes| !bytes.is_empty()) else {
            // The other way goes on: what was asked may still be answered.
            let _ = to.shutdown().await;
            return Ok(());
        };
        let pieces = match &mut frames {
            Some(frames) => frames.take(bytes),
            None => vec![Piece { mark: Mark::Plain, bytes: bytes.to_vec() }],
        };
        for piece in pieces {
            match state.fate(way, &piece).await {
                Fate::Passes => to.write_all(&piece.bytes).await.map_err(|_| Cut)?,
                Fate::Swallowed => {}
                Fate::CutAfter(count) => {
                    let _ = to.write_all(piece.bytes.get(..count).unwrap_or_default()).await;
                    tokio::time::sleep(BEFORE_A_CUT).await;
                    return Err(Cut);
                }
            }
        }
    }
}
