//! Every step of payments, as it happens.

use std::time::Duration;

use common::text::printable;
use proto::payments::{PaymentSide, PaymentState, WatchPaymentsRequest, WatchPaymentsResponse};
use tonic::{Code, Request, Status};

use crate::{
    amount,
    failure::{Failure, is_refusal},
    follow::state,
    gateway_link::Gateway,
    payments::parse_state,
    reader,
    screen::{Screen, note, time},
};

/// How long to wait before a watch that was cut off is begun again.
const PAUSE: Duration = Duration::from_secs(1);

/// Tell of every step of payments.
///
/// One line for each step of your payments, and for what others pay to your accounts. A stream that ends is begun again where it
/// ended, so that nothing is missed and nothing comes twice; Ctrl-C prints where to go on (`--from`).
#[derive(clap::Args, Debug)]
pub struct Watch {
    /// Where to begin: a position that an earlier watch printed, or `earliest` for all that is kept. Absent: from now on.
    #[arg(
        long,
        value_name = "POSITION",
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    from: String,
    /// Only steps to this state: succeeded, failed, unknown, … May stand several times.
    #[arg(long = "state", value_parser = parse_state)]
    states: Vec<PaymentState>,
    /// Only what concerns this account: acc_…
    #[arg(long, default_value = "", hide_default_value = true)]
    account: String,
}

impl Watch {
    pub(crate) async fn run(&self, gateway: &Gateway, screen: &Screen) -> Result<(), Failure> {
        let mut position = self.from.clone();
        let watched = tokio::select! {
            watched = self.watch(gateway, screen, &mut position) => watched,
            _ = tokio::signal::ctrl_c() => Ok(()),
            // What was written last may not have been read: where to go on is not known here.
            () = reader::gone() => return Ok(()),
        };
        if position != self.from && !matches!(watched, Err(Failure::Output(_))) {
            note(&format!("→ to go on behind this: rialto watch --from {}", printable(&position)));
        }
        watched
    }

    async fn watch(&self, gateway: &Gateway, screen: &Screen, position: &mut String) -> Result<(), Failure> {
        loop {
            let ended = self.read_to_the_end(gateway, screen, position).await?;
            if let Some(status) = ended {
                // Without a position what follows would begin anew, with a gap.
                if position.is_empty() || !goes_on(&status) {
                    return Err(Failure::read(status));
                }
                note(&format!("cut off ({}): going on in a second", printable(status.message())));
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Reads one stream to its end, and returns what it ended with, if not with OK.
    async fn read_to_the_end(
        &self,
        gateway: &Gateway,
        screen: &Screen,
        position: &mut String,
    ) -> Result<Option<Status>, Failure> {
        let request = WatchPaymentsRequest {
            from_position: position.clone(),
            states: self.states.iter().map(|state| i32::from(*state)).collect(),
            account: self.account.clone(),
        };
        let mut stream = match gateway.payments.clone().watch_payments(Request::new(request)).await {
            Ok(answer) => answer.into_inner(),
            Err(status) => return Ok(Some(status)),
        };
        loop {
            match stream.message().await {
                Ok(Some(response)) => {
                    if response.event.is_some() {
                        screen.show_line(&response, line)?;
                    }
                    *position = response.position;
                }
                Ok(None) => return Ok(None),
                Err(status) => return Ok(Some(status)),
            }
        }
    }
}

/// Whether a watch that ended so can be begun again: the way broke, a server is going, or who reads was too slow.
fn goes_on(status: &Status) -> bool {
    status.code() == Code::ResourceExhausted || !is_refusal(status)
}

fn line(response: &WatchPaymentsResponse) -> String {
    let Some(event) = &response.event else { return String::new() };
    let Some(payment) = &event.payment else { return String::new() };
    let side = if event.side() == PaymentSide::Payee { "received" } else { "paid" };
    let payee = payment.payee.as_ref().map_or("", |payee| payee.name.as_str());
    let debtor = payment.debtor.as_ref().map_or_else(String::new, |debtor| format!(", from {}", debtor.name));
    let reason = payment.reason.as_ref().map_or_else(String::new, |reason| format!("  {}", reason.code));
    format!(
        "{}  {:<11}  {}  {side:<8}  {}  {payee}{debtor}{reason}",
        time(payment.update_time.as_ref()),
        state(payment),
        payment.id,
        amount::shown(payment.amount.as_ref()),
    )
}

#[cfg(test)]
mod tests {
    use common::fault::Fault;

    use super::*;

    #[test]
    fn only_what_passes_is_gone_on_from() {
        for passing in [
            Status::from(Fault::unavailable("PLATFORM_LOST", "a server is going")),
            Status::from(Fault::aborted("WATCH_TOO_SLOW", "read faster")),
            Status::from(Fault::exhausted("TOO_MANY_WATCHES", "others")),
            Status::unknown("transport error"),
        ] {
            assert!(goes_on(&passing), "{passing}");
        }
        for lasting in [
            Fault::unauthenticated(),
            Fault::out_of_range("POSITION_NOT_KEPT", "gone"),
            Fault::invalid(Vec::new()),
            Fault::permission_denied("no"),
        ] {
            assert!(!goes_on(&lasting.clone().into()), "{lasting}");
        }
    }
}
