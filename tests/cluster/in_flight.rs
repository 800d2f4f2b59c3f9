//! Payments that are under way while versions change: one of each state, made by the one and ended by the other.

use std::time::Duration;

use harness::{
    BenchError,
    client::{Client, insist, order, payee_by_iban},
    system::{BANKS, System},
    wait,
};
use proto::payments::{
    CancelPaymentRequest, CaptureMode, CapturePaymentRequest, CreatePaymentRequest, PaymentState,
};

use crate::stage::PLACES;

/// An account at whose bank payments are executed and never answered.
const SILENT: u32 = 5;
/// An account at whose bank payments are answered late.
const LATE: u32 = 6;
/// How long what is under way may take to come to its end.
const ENDS_WITHIN: Duration = Duration::from_secs(40);

/// What the first bank does for these.
pub fn script() -> String {
    let rule = |account: u32, behaviour: &str| {
        format!("[[aurora]]\naccount = \"{}\"\nbehaviour = {behaviour}\n", BANKS[0].account(account))
    };
    rule(SILENT, "\"silent_executed\"") + &rule(LATE, "{ delay = { ms = 1500 } }")
}

/// Someone who pays, with two payments that nobody has ended yet.
pub struct InFlight {
    clients: Vec<Client>,
    payer: String,
    /// Payments made so far.
    pub made: u64,
}

/// Payments under way.
pub struct Open {
    /// Held, to be captured.
    captured: String,
    /// Held, to be given back.
    cancelled: String,
    /// On the way to a bank that never answers, and to one that answers late.
    sent: [CreatePaymentRequest; 2],
}

impl InFlight {
    /// Someone with an account.
    ///
    /// # Errors
    /// When none can be opened.
    pub async fn begin(system: &System) -> Result<Self, BenchError> {
        let [key, second] = system.operators(0);
        let client = |number| {
            let gateway = system
                .route(harness::system::Replica { service: harness::system::Service::Gateway, number })?;
            Client::new(&gateway, key)?.approved_by(second)
        };
        let clients = (0..PLACES - 1).map(client).collect::<Result<Vec<_>, _>>()?;
        let payer = clients[0].open_account("in-flight", "Ada Buyer", "EUR", "").await?.id;
        clients[0].deposit("in-flight", &payer, 100_000_000, "EUR", BANKS[0].id).await?;
        Ok(Self { clients, payer, made: 0 })
    }

    fn order(&mut self, account: u32) -> CreatePaymentRequest {
        self.made += 1;
        let payee = payee_by_iban("Blaise Seller", &BANKS[0].account(account));
        order(&format!("in-flight-{}", self.made), &self.payer, payee, 100, "EUR")
    }

    /// Makes payments in every state that lasts: authorized twice, and sent twice to where no answer comes in time.
    ///
    /// # Errors
    /// When one can't be made.
    pub async fn open(&mut self) -> Result<Open, BenchError> {
        let mut held = Vec::new();
        for _ in 0..2 {
            let mut request = self.order(1);
            request.set_capture(CaptureMode::Manual);
            let payment = insist(|| self.pay(&request)).await?;
            if payment.state() != PaymentState::Authorized {
                return Err(format!("authorized: {:?}", payment.state()).into());
            }
            held.push(payment.id);
        }
        let sent = [self.order(SILENT), self.order(LATE)];
        for request in &sent {
            let (client, request) = (self.clients[0].clone(), request.clone());
            // What comes of it is asked when the versions have changed.
            tokio::spawn(
                async move { client.pay(request, Some(Duration::from_millis(300))).await.map(drop) },
            );
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        let cancelled = held.pop().unwrap_or_default();
        Ok(Open { captured: held.pop().unwrap_or_default(), cancelled, sent })
    }

    async fn pay(&self, request: &CreatePaymentRequest) -> Result<proto::payments::Payment, tonic::Status> {
        let mut last = tonic::Status::unavailable("nobody was asked");
        for client in &self.clients {
            match client.pay(request.clone(), Some(Duration::from_secs(5))).await {
                Ok(answer) => return Ok(answer.payment),
                Err(status) => last = status,
            }
        }
        Err(last)
    }

    /// Ends what was under way: by capture, by cancelling, and by waiting; says what did not end as it should.
    ///
    /// # Errors
    /// When a call fails for good.
    pub async fn close(&mut self, open: Open) -> Result<Vec<String>, BenchError> {
        let mut wrong = Vec::new();
        let client = self.clients[0].clone();
        self.made += 1;
        let capture = CapturePaymentRequest {
            request_id: format!("in-flight-{}", self.made),
            payment: open.captured.clone(),
            ..CapturePaymentRequest::default()
        };
        insist(|| async {
            client.payments.clone().capture_payment(client.request(capture.clone(), None)).await
        })
        .await?;
        let cancel = CancelPaymentRequest { payment: open.cancelled.clone() };
        insist(|| async {
            client.payments.clone().cancel_payment(client.request(cancel.clone(), None)).await
        })
        .await?;
        let mut ends =
            vec![(open.captured, PaymentState::Succeeded), (open.cancelled, PaymentState::Cancelled)];
        for request in &open.sent {
            ends.push((insist(|| self.pay(request)).await?.id, PaymentState::Succeeded));
        }
        for (id, expected) in ends {
            let what = format!("{id} is {}", expected.as_str_name());
            let end = wait::until(&what, ENDS_WITHIN, || async {
                client.payment(&id).await.ok().filter(wait::is_final)
            });
            let state = end.await?.state();
            if state != expected {
                wrong.push(format!(
                    "{id} was to end {} and ended {}",
                    expected.as_str_name(),
                    state.as_str_name()
                ));
            }
        }
        Ok(wrong)
    }
}
