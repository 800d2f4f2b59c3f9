//! The gateway: knows who is calling, turns a request into a checked one, passes it on, and returns the result.

pub mod account_service;
pub mod audit_service;
pub mod caller;
pub mod cell;
pub mod config;
pub mod console;
pub mod delivery_link;
pub mod front;
pub mod limit_service;
pub mod operations_service;
pub mod participant;
pub mod participant_service;
pub mod payment_service;
pub mod platform_link;
pub mod post;
pub mod quota;
pub mod signature;
pub mod stats_service;
pub mod watch_link;
pub mod webhook_service;

use std::{error::Error, sync::Arc, time::Duration};

use common::{
    admin::{self, AdminConfig},
    clock::Clock,
    lifecycle::Lifecycle,
    rpc_server,
};
use proto::{
    accounts::account_service_server::{self, AccountServiceServer},
    audit::audit_service_server::{self, AuditServiceServer},
    limits::limit_service_server::{self, LimitServiceServer},
    operations::operations_service_server::{self, OperationsServiceServer},
    participants::participant_service_server::{self, ParticipantServiceServer},
    payments::payment_service_server::{self, PaymentServiceServer},
    stats::stats_service_server::{self, StatsServiceServer},
    webhooks::webhook_service_server::{self, WebhookServiceServer},
};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    time::{sleep, timeout},
};
use tokio_util::task::TaskTracker;
use tonic::service::LayerExt;
use tracing::Instrument;

use crate::{
    account_service::Accounts, audit_service::Audit, cell::Cell, config::Config, delivery_link::Deliveries,
    front::Front, limit_service::Limits, operations_service::Operations, participant::Participants,
    participant_service::ParticipantAdministration, payment_service::Payments, post::Poster,
    signature::ReadSignedLayer, stats_service::Stats, watch_link::Watches, webhook_service::Webhooks,
};

const CONTRACTS: rpc_server::Contracts = rpc_server::Contracts {
    descriptors: proto::DESCRIPTORS,
    services: &[
        payment_service_server::SERVICE_NAME,
        account_service_server::SERVICE_NAME,
        limit_service_server::SERVICE_NAME,
        operations_service_server::SERVICE_NAME,
        participant_service_server::SERVICE_NAME,
        audit_service_server::SERVICE_NAME,
        stats_service_server::SERVICE_NAME,
        webhook_service_server::SERVICE_NAME,
    ],
};
/// The largest request that is read.
const MAX_REQUEST_BYTES: usize = 64 << 10;

/// How long to wait for a platform of each cell before calls are taken, and how often to look: whoever has none refuses what another gateway
/// could have passed on.
const LONGEST_WITHOUT_PLATFORM: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Serves until the lifecycle has drained; operators' programs and the console at the address of `admin`, if there is one.
///
/// # Errors
/// When serving fails, an address is taken, or the process cannot listen to signals.
pub async fn run(
    config: Config,
    listener: TcpListener,
    admin: Option<AdminConfig>,
    lifecycle: Lifecycle,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let own_settings = operations_service::own_settings(&config);
    let participants = Arc::new(config.participants);
    tokio::spawn(reload_on_hangup(signal(SignalKind::hangup())?, Arc::clone(&participants)));
    let watched =
        config.platforms.iter().map(|route| route.clone().connect_for_streams(config.watches.in_all));
    let watches = Watches::new(watched, Arc::clone(&participants), config.watches, lifecycle.clone());
    let poster = Poster::new(config.webhooks, Clock::system())?;
    let delivering = TaskTracker::new();
    for (cell, route) in Cell::all().zip(&config.platforms) {
        let deliveries = Deliveries::new(route.clone().connect(), poster.clone());
        delivering
            .spawn(deliveries.run(lifecycle.clone()).instrument(tracing::info_span!("webhooks", %cell)));
    }
    delivering.close();
    let open =
        |(cell, route)| platform_link::open(cell, route, config.max_waiting, Arc::clone(&participants));
    let platforms = Cell::all().zip(config.platforms).map(open).collect();
    let hasher = participants.hasher().clone();
    if let Some(tokens) = participants.tokens() {
        tokio::spawn(Arc::clone(tokens).keep_fresh());
    }
    let quotas = Arc::new(config.quotas);
    tokio::spawn(Arc::clone(&quotas).keep_forgetting());
    let heard = Arc::clone(&participants);
    let front = Front::new(participants, quotas, platforms, watches, Clock::system());
    let more = match config.console {
        Some(reach) => console::router(front.clone(), reach, Clock::system()),
        None => admin::Router::new(),
    };
    admin::serve(admin, more, &lifecycle).await?;
    let payments = PaymentServiceServer::new(Payments::new(front.clone()));
    let accounts = AccountServiceServer::new(Accounts::new(front.clone()));
    let administration = ParticipantAdministration::new(front.clone(), hasher);
    let administration = ParticipantServiceServer::new(administration);
    let operations = OperationsServiceServer::new(Operations::new(front.clone(), own_settings));
    let limits = LimitServiceServer::new(Limits::new(front.clone()));
    let stats = StatsServiceServer::new(Stats::new(front.clone(), Clock::system()));
    let audit = AuditServiceServer::new(Audit::new(front.clone()));
    let webhooks = WebhookServiceServer::new(Webhooks::new(front, config.webhooks));
    let signed = ReadSignedLayer { max_message_bytes: MAX_REQUEST_BYTES };
    let add = |routes: &mut tonic::service::RoutesBuilder| {
        routes.add_service(signed.named_layer(payments.max_decoding_message_size(MAX_REQUEST_BYTES)));
        routes.add_service(signed.named_layer(accounts.max_decoding_message_size(MAX_REQUEST_BYTES)));
        routes.add_service(signed.named_layer(administration.max_decoding_message_size(MAX_REQUEST_BYTES)));
        routes.add_service(signed.named_layer(operations.max_decoding_message_size(MAX_REQUEST_BYTES)));
        routes.add_service(signed.named_layer(limits.max_decoding_message_size(MAX_REQUEST_BYTES)));
        routes.add_service(signed.named_layer(stats.max_decoding_message_size(MAX_REQUEST_BYTES)));
        routes.add_service(signed.named_layer(audit.max_decoding_message_size(MAX_REQUEST_BYTES)));
        routes.add_service(signed.named_layer(webhooks.max_decoding_message_size(MAX_REQUEST_BYTES)));
    };
    let first_word = async {
        while !heard.have_heard() {
            sleep(LOOK_EVERY).await;
        }
    };
    let _ = timeout(LONGEST_WITHOUT_PLATFORM, first_word).await;
    rpc_server::serve(&config.server, listener, CONTRACTS, add, &lifecycle).await?;
    tokio::select! {
        () = delivering.wait() => {}
        () = lifecycle.stopped() => tracing::warn!("webhooks under way are posted again by others"),
    }
    Ok(())
}

async fn reload_on_hangup(mut hangup: Signal, participants: Arc<Participants>) {
    while hangup.recv().await.is_some() {
        match participants.reload().await {
            Ok(keys) => tracing::info!(keys, "API keys read again"),
            Err(problem) => tracing::error!(%problem, "API keys not read again; the old ones stay"),
        }
    }
}
