//! gRPC: `rialto.stats.v1.StatsService`.

use common::clock::Clock;
use proto::{
    convert,
    platform::{command::Operation, reply},
    stats::{GetStatisticsRequest, GetStatisticsResponse, stats_service_server::StatsService},
};
use tonic::{Request, Response, Status};

use crate::{caller::Action, front::Front};

/// Serves figures of how payments went.
#[derive(Clone, Debug)]
pub struct Stats {
    front: Front,
    clock: Clock,
}

impl Stats {
    /// Serves figures through `front`; windows without an end reach to the clock's present.
    pub fn new(front: Front, clock: Clock) -> Self {
        Self { front, clock }
    }
}

#[tonic::async_trait]
impl StatsService for Stats {
    async fn get_statistics(
        &self,
        request: Request<GetStatisticsRequest>,
    ) -> Result<Response<GetStatisticsResponse>, Status> {
        let now = self.clock.now();
        let check = |request: &GetStatisticsRequest| convert::statistics_order(request, now).map(drop);
        let response = |result| match result {
            reply::Result::GetStatistics(response) => Some(response),
            _ => None,
        };
        self.front.carry(request, Action::Read, check, Operation::GetStatistics, response).await
    }
}
