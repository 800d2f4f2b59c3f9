//! The channel: carries one instruction to one bank over that bank's rail, and says what is known of the result.
//!
//! It decides nothing about money, keeps nothing, and may be run as many times as needed.

pub mod bank;
pub mod breaker;
pub mod bulkhead;
pub mod config;
pub mod directory;
pub mod instruction;
pub mod instruction_service;
pub mod metrics;
pub mod notice_listener;
pub mod notices;
pub mod rails;

use std::error::Error;

use common::{lifecycle::Lifecycle, rpc_server};
use proto::channel::instruction_service_server::{self, InstructionServiceServer};
use tokio::{net::TcpListener, sync::watch};

use bulkhead::Bulkhead;
use config::Config;
use instruction_service::Instructions;
use notice_listener::NoticeDesk;
use notices::Notices;

const CONTRACTS: rpc_server::Contracts = rpc_server::Contracts {
    descriptors: proto::DESCRIPTORS,
    services: &[instruction_service_server::SERVICE_NAME],
};

/// Serves on `listener`, and takes banks' notices on `notice_listener`, until the lifecycle drains and nothing is under
/// way, or it stops.
///
/// # Errors
/// When the server can't be built, or the process can't listen to signals.
pub async fn run(
    config: Config,
    listener: TcpListener,
    notice_listener: Option<TcpListener>,
    lifecycle: Lifecycle,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let Config { server, source, directory, max_in_flight, notices } = config;
    let door = notices.map(|notices| notices.door);
    let (published, directory) = watch::channel(directory);
    let notices = Notices::default();
    let desk = NoticeDesk::new(directory.clone(), notices.clone(), lifecycle.clone());
    let bulkhead = Bulkhead::new(max_in_flight);
    metrics::observe(&directory, bulkhead.clone());
    let instructions = Instructions::new(directory, notices, bulkhead, lifecycle.clone());
    let service = InstructionServiceServer::new(instructions.clone());
    let served = rpc_server::serve(
        &server,
        listener,
        CONTRACTS,
        |routes| {
            routes.add_service(service);
        },
        &lifecycle,
    );
    let noticed = async {
        match notice_listener.zip(door) {
            Some((listener, door)) => desk.serve(listener, &door).await.map_err(Into::into),
            None => Ok(()),
        }
    };
    let work = async {
        tokio::try_join!(served, noticed)?;
        instructions.finish().await;
        Ok(())
    };
    tokio::select! {
        worked = work => worked,
        keeping = source.keep_published(&published) => Ok(keeping?),
    }
}
