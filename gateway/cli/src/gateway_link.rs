//! The connection to the gateway, with the caller's key on every call.

use std::time::Duration;

use proto::{
    accounts::account_service_client::AccountServiceClient, audit::audit_service_client::AuditServiceClient,
    operations::operations_service_client::OperationsServiceClient,
    payments::payment_service_client::PaymentServiceClient, stats::stats_service_client::StatsServiceClient,
    webhooks::webhook_service_client::WebhookServiceClient,
};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

use crate::{failure::Failure, settings::Connection};

/// How long what only reads, or is answered at once, may take.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

type Authorized = InterceptedService<Channel, Bearer>;

/// The gateway's services, called with one key.
pub(crate) struct Gateway {
    pub(crate) payments: PaymentServiceClient<Authorized>,
    pub(crate) accounts: AccountServiceClient<Authorized>,
    pub(crate) stats: StatsServiceClient<Authorized>,
    pub(crate) webhooks: WebhookServiceClient<Authorized>,
    pub(crate) audit: AuditServiceClient<Authorized>,
    pub(crate) operations: OperationsServiceClient<Authorized>,
}

impl Gateway {
    /// Connects when the first call is made.
    pub(crate) fn connect(connection: Connection) -> Result<Self, Failure> {
        let bearer = format!("Bearer {}", connection.api_key.expose()).parse();
        let mut bearer: MetadataValue<Ascii> = bearer.map_err(|_| {
            Failure::usage("the API key has characters that no key has: is it the right file?")
        })?;
        bearer.set_sensitive(true);
        let authorized = InterceptedService::new(connection.route.connect(), Bearer(bearer));
        Ok(Self {
            payments: PaymentServiceClient::new(authorized.clone()),
            accounts: AccountServiceClient::new(authorized.clone()),
            stats: StatsServiceClient::new(authorized.clone()),
            webhooks: WebhookServiceClient::new(authorized.clone()),
            audit: AuditServiceClient::new(authorized.clone()),
            operations: OperationsServiceClient::new(authorized),
        })
    }
}

/// A call that is to be answered in this time.
pub(crate) fn within<T>(timeout: Duration, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(timeout);
    request
}

#[derive(Clone)]
pub(crate) struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}
