//! Whether the whole system works.

use std::time::Duration;

use super::System;
use crate::BenchError;

impl System {
    /// Waits until a payment could be made: the gateway has its platform, and that its channel.
    pub(super) async fn wait_for_health(&self) -> Result<(), BenchError> {
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        loop {
            let answer = self.probe().await;
            match answer {
                Ok(()) => return Ok(()),
                Err(error) if std::time::Instant::now() > deadline => {
                    let folder = self.setup.folder.display();
                    return Err(
                        format!("the system does not come up ({error}); see the logs in {folder}").into()
                    );
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Asks for something that needs every hop: a deposit to an account that there is not is NOT_FOUND only once the
    /// directory has come up from the channel.
    async fn probe(&self) -> Result<(), BenchError> {
        use proto::accounts::{DepositRequest, account_service_client::AccountServiceClient};
        let mut client = AccountServiceClient::new(self.gateway()?.connect());
        let mut request = tonic::Request::new(DepositRequest {
            request_id: "probe".to_owned(),
            account: format!("acc_{}", "1".repeat(32)),
            amount: Some(proto::money::Money { minor_units: 1, currency: "EUR".to_owned() }),
            bank_id: self.setup.banks.first().map(|bank| bank.id.to_owned()).unwrap_or_default(),
            reference: String::new(),
        });
        request.metadata_mut().insert("authorization", format!("Bearer {}", self.credential(0)).parse()?);
        match client.deposit(request).await {
            Err(status) if status.code() == tonic::Code::NotFound => Ok(()),
            Err(status) => Err(status.message().to_owned().into()),
            Ok(_) => Err("a deposit to nobody's account was proposed".into()),
        }
    }
}
