//! The platform: owns payments, accounts, transfers and events; decides; the only writer of money.

pub mod audit;
pub mod audit_check;
pub mod broker;
pub mod callers;
pub mod channel_link;
pub mod commands;
pub mod config;
pub mod directory;
pub mod domain;
pub mod encryption;
pub mod event_json;
pub mod fingerprint;
pub mod flow;
pub mod gate;
pub mod metrics;
pub mod page_token;
pub mod platform_service;
pub mod store;
pub mod trial_balance;
pub mod webhook;
pub mod wire;

use std::{error::Error, sync::Arc, time::Duration};

use common::{clock::Clock, lifecycle::Lifecycle, rpc_server};
use proto::platform::platform_service_server::{self, PlatformServiceServer};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};

use crate::{
    callers::Callers,
    commands::Commands,
    config::Config,
    directory::Directory,
    encryption::positions::Positions,
    fingerprint::Fingerprints,
    flow::{Flow, Parts, book::Book},
    page_token::PageTokens,
    platform_service::CommandServer,
    store::{Store, schema, standbys},
};

const CONTRACTS: rpc_server::Contracts = rpc_server::Contracts {
    descriptors: proto::DESCRIPTORS,
    services: &[platform_service_server::SERVICE_NAME],
};
/// The largest message of commands: 256 of at most 16 KiB.
const MAX_MESSAGE_BYTES: usize = 4 << 20;

/// How long to wait for the first directory before commands are taken: whoever has none refuses payments to banks, which another
/// platform could have made.
const LONGEST_WITHOUT_DIRECTORY: Duration = Duration::from_secs(1);

/// Serves until the lifecycle has drained: no new commands, payments under way concluded or left to recovery.
///
/// # Errors
/// When the database is not safe for money or can't be reached, or when serving fails.
pub async fn run(
    config: Config,
    listener: TcpListener,
    lifecycle: Lifecycle,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    if config.migrate {
        schema::migrate(&config.database).await?;
    }
    schema::check(&config.database).await?;
    standbys::check(&config.database, config.require_synchronous_standby).await?;
    let own_settings = commands::own_settings(&config);
    let clock = Clock::system();
    let store = Store::new(config.database.clone(), config.database_connections);
    store.unlock(config.wrapping_keys).await?;
    tokio::spawn(store.clone().follow_data_keys());
    tokio::spawn(store.clone().follow_primary());
    let page_tokens = PageTokens::new(store.page_token_key().await?);
    let fingerprints = Fingerprints::new(store.keys().lookup()?.fingerprint_key());
    let positions = Positions::new(&store.keys().lookup()?.position_key()).ok_or("cannot show positions")?;
    let directory = Directory::default();
    let (channel, news, composer) = channel_link::open(config.channel, config.limits.max_under_way);
    let (first, has_directory) = oneshot::channel();
    let following =
        follow_directory(directory.clone(), news.directories, store.clone(), clock.clone(), first);
    tokio::spawn(following);
    let callers = Callers::watch(store.clone(), clock.clone());
    let (book, submissions) = Book::open(&store, &clock, config.book);
    let (notices, limits, broker) = (news.notices, config.limits, config.broker);
    let parts = Parts {
        store,
        clock,
        directory,
        channel,
        composer,
        book,
        submissions,
        notices,
        fingerprints: fingerprints.clone(),
        limits,
        broker,
    };
    let flow = Flow::start(parts, &lifecycle);

    let signer = config.signer.map(Arc::new);
    let commands =
        Commands::new(flow.clone(), callers.clone(), page_tokens, fingerprints, own_settings, signer);
    let server =
        CommandServer::new(commands, callers, positions, lifecycle.clone(), config.limits.max_under_way);
    let service = PlatformServiceServer::new(server).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let add = |routes: &mut tonic::service::RoutesBuilder| {
        routes.add_service(service);
    };
    let _ = timeout(LONGEST_WITHOUT_DIRECTORY, has_directory).await;
    rpc_server::serve(&config.server, listener, CONTRACTS, add, &lifecycle).await?;
    tokio::select! {
        () = flow.settled() => tracing::info!("every payment that was being settled is concluded"),
        () = lifecycle.stopped() => tracing::warn!("payments under way are left to recovery"),
    }
    Ok(())
}

async fn follow_directory(
    directory: Directory,
    mut updates: mpsc::UnboundedReceiver<proto::channel::Directory>,
    store: Store,
    clock: Clock,
    first: oneshot::Sender<()>,
) {
    let mut first = Some(first);
    while let Some(update) = updates.recv().await {
        while let Err(error) = directory.update(update.clone(), &store, &clock).await {
            tracing::warn!(%error, "cannot open the settlement accounts of the directory; trying again");
            sleep(Duration::from_secs(1)).await;
        }
        // Nobody waits for it any more when it comes late.
        first.take().map(|first| first.send(()));
    }
}
