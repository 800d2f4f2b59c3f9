//! One watch: the log of events from a position to its end, then what comes, as one participant may see it.

use std::{sync::Arc, time::Duration};

use common::{
    fault::{Fault, Violation},
    id::AccountId,
    lifecycle::Lifecycle,
};
use proto::{
    convert,
    payments::{WatchPaymentsRequest, WatchPaymentsResponse},
    platform::WatchResponse,
};
use tokio::{
    sync::{
        Semaphore,
        broadcast::{Receiver, error::RecvError},
        mpsc::{self, error::SendTimeoutError},
    },
    time::{Instant, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::{
    domain::payment::State,
    encryption::positions::Positions,
    flow::{Flow, publish::Reading},
    store::{StoreError, event_log::LoggedEvent},
    wire,
};

/// Where all that is kept begins.
const EARLIEST: &str = "earliest";
/// Responses that may wait for the one who reads them.
const RESPONSES_AHEAD: usize = 64;
/// How long whoever watches may leave all of them unread.
const LONGEST_UNREAD: Duration = Duration::from_secs(10);
/// How long why a watch ended may stay unread; and while the server is going.
const LONGEST_FAREWELL: Duration = Duration::from_secs(60);
const LONGEST_LEAVING: Duration = Duration::from_secs(1);
/// How long nothing may be said.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a watch lasts; then it is made anew, perhaps elsewhere.
const LONGEST_WATCH: Duration = Duration::from_secs(30 * 60);
/// How many steps are read at once by who is behind, and how many watches read at once: payments use the same connections.
const STEPS_AT_ONCE: i64 = 500;
const READERS: usize = 2;
/// How many states a request may name.
const MAX_STATES: usize = 16;

/// What watches share.
#[derive(Clone, Debug)]
pub(super) struct Watches {
    flow: Arc<Flow>,
    positions: Positions,
    lifecycle: Lifecycle,
    readers: Arc<Semaphore>,
}

/// What is let through.
#[derive(Debug)]
struct Filter {
    participant: String,
    /// Any, if there are none.
    states: Vec<State>,
    account: Option<AccountId>,
}

impl Filter {
    fn lets_through(&self, event: &LoggedEvent) -> bool {
        let payment = &event.payment;
        (self.states.is_empty() || self.states.contains(&payment.state))
            && self
                .account
                .is_none_or(|account| account == payment.payer_account || account == payment.credit_account)
    }
}

/// The one who watches, at the end of a queue.
struct Watcher {
    watches: Watches,
    filter: Filter,
    /// Up to where it knows.
    position: i64,
    responses: mpsc::Sender<Result<WatchResponse, Status>>,
    spoke_at: Instant,
}

/// Why a watch ends.
enum End {
    /// Nobody reads any more.
    Left,
    /// It is to be made anew.
    Due,
    /// With this.
    Fault(Fault),
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> Self {
        Self::Fault(error.into())
    }
}

impl Watches {
    pub(super) fn new(flow: Arc<Flow>, positions: Positions, lifecycle: Lifecycle) -> Self {
        Self { flow, positions, lifecycle, readers: Arc::new(Semaphore::new(READERS)) }
    }

    /// Begins a watch.
    pub(super) async fn begin(
        &self,
        participant: String,
        request: &WatchPaymentsRequest,
    ) -> Result<ReceiverStream<Result<WatchResponse, Status>>, Fault> {
        common::text::participant(&participant)
            .map_err(|complaint| Fault::invalid(vec![Violation::new("participant", complaint)]))?;
        let mut violations = Vec::new();
        let filter = filter(participant, request, &mut violations);
        let from = match request.from_position.as_str() {
            "" | EARLIEST => None,
            shown => self.positions.read(shown).or_else(|| {
                let what = "must be the position of an earlier response, or `earliest`, or absent";
                violations.push(Violation::new("from_position", what));
                None
            }),
        };
        if !violations.is_empty() {
            return Err(Fault::invalid(violations));
        }
        let store = self.flow.store();
        if let Some(account) = filter.account {
            let own = store.account(&filter.participant, account).await?;
            own.ok_or_else(|| Fault::not_found("account"))?;
        }
        // Heard of from before the log is read, so that nothing is missed in between.
        let coming = self.flow.published().watch();
        let last = store.last_position().await?;
        let position = match (from, request.from_position.as_str()) {
            (Some(from), _) if from > last || from < store.first_position().await? => {
                return Err(not_kept());
            }
            (Some(from), _) => from,
            (None, EARLIEST) => store.first_position().await?,
            (None, _) => last,
        };
        let (responses, watched) = mpsc::channel(RESPONSES_AHEAD);
        let watches = self.clone();
        let watcher = Watcher { watches, filter, position, responses, spoke_at: Instant::now() };
        tokio::spawn(watcher.run(coming));
        Ok(ReceiverStream::new(watched))
    }
}

fn filter(participant: String, request: &WatchPaymentsRequest, violations: &mut Vec<Violation>) -> Filter {
    let account = match request.account.as_str() {
        "" => None,
        id => convert::id("account", id, "acc_", AccountId::parse, violations),
    };
    if request.states.len() > MAX_STATES {
        violations.push(Violation::new("states", format!("must be at most {MAX_STATES}")));
    }
    let mut states = Vec::new();
    for (at, state) in request.states.iter().take(MAX_STATES).enumerate() {
        match wire::state_filter(*state) {
            Some(wire::StateFilter::Only(state)) => states.push(state),
            _ => violations.push(Violation::new(format!("states[{at}]"), "must be a state")),
        }
    }
    Filter { participant, states, account }
}

fn not_kept() -> Fault {
    Fault::out_of_range(
        "POSITION_NOT_KEPT",
        "what follows this position is not kept here: begin at `earliest`, and read with ListPayments what was missed",
    )
}

impl Watcher {
    async fn run(mut self, mut coming: Receiver<Reading>) {
        let until = Instant::now() + LONGEST_WATCH;
        let lifecycle = self.watches.lifecycle.clone();
        let fault = tokio::select! {
            end = self.watch(&mut coming) => match end {
                End::Left | End::Due => return,
                End::Fault(fault) => fault,
            },
            () = tokio::time::sleep_until(until) => return,
            () = lifecycle.draining() => Fault::unavailable(
                "PLATFORM_LOST",
                "this server is going: call again with the last position",
            ),
        };
        // Behind what is unread; who does not read it in time sees the stream's end.
        let patience = if lifecycle.is_draining() { LONGEST_LEAVING } else { LONGEST_FAREWELL };
        let _ = self.responses.send_timeout(Err(fault.into()), patience).await;
    }

    async fn watch(&mut self, coming: &mut Receiver<Reading>) -> End {
        if let Err(end) = self.say(None).await {
            return end;
        }
        if let Err(end) = self.catch_up().await {
            return end;
        }
        loop {
            let told = match timeout(HEARTBEAT.saturating_sub(self.spoke_at.elapsed()), coming.recv()).await {
                // What is known already, or was read from the log meanwhile.
                Ok(Ok(reading)) if reading.end <= self.position => Ok(()),
                Ok(Ok(reading)) if reading.behind <= self.position => {
                    self.tell(&reading.events, reading.end).await
                }
                Ok(Ok(_) | Err(RecvError::Lagged(_))) => self.catch_up().await,
                Ok(Err(RecvError::Closed)) => Err(End::Due),
                Err(_) => self.say(None).await,
            };
            if let Err(end) = told {
                return end;
            }
        }
    }

    /// Reads the log to its end.
    async fn catch_up(&mut self) -> Result<(), End> {
        let store = self.watches.flow.store().clone();
        loop {
            let (events, end) = {
                let _reader = self.watches.readers.acquire().await.map_err(|_| End::Due)?;
                let stretch = store.stretch_behind(self.position, STEPS_AT_ONCE).await?;
                let Some(end) = stretch.end() else { return Ok(()) };
                if self.position < store.first_position().await? {
                    return Err(End::Fault(not_kept()));
                }
                (store.events(&stretch, Some(&self.filter.participant)).await?, end)
            };
            self.tell(&events, end).await?;
        }
    }

    async fn tell(&mut self, events: &[LoggedEvent], end: i64) -> Result<(), End> {
        let known = self.position;
        for event in events.iter().filter(|event| event.position > known) {
            if self.filter.lets_through(event)
                && let Some(seen) = wire::event(event, &self.filter.participant)
            {
                self.position = event.position;
                self.say(Some(seen)).await?;
            }
        }
        self.position = end;
        Ok(())
    }

    async fn say(&mut self, event: Option<proto::payments::PaymentEvent>) -> Result<(), End> {
        let position = self.watches.positions.show(self.position);
        let response = Some(WatchPaymentsResponse { event, position });
        self.spoke_at = Instant::now();
        match self.responses.send_timeout(Ok(WatchResponse { response }), LONGEST_UNREAD).await {
            Ok(()) => Ok(()),
            Err(SendTimeoutError::Closed(_)) => Err(End::Left),
            Err(SendTimeoutError::Timeout(_)) => Err(End::Fault(Fault::aborted(
                "WATCH_TOO_SLOW",
                "what was said was not read for 10 s: call again with the last position that was read",
            ))),
        }
    }
}
