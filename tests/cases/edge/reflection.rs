//! Reflection and health, as tools ask for them.

use std::collections::BTreeSet;

use harness::{
    BenchError,
    system::{Service, System},
};
use tonic::{Code, Status, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::bench::{Alone, Done, channel, run, run_on_system, to};

/// What a service serves for itself.
fn services(service: Service) -> &'static [&'static str] {
    match service {
        Service::Gateway => &[
            "rialto.payments.v1.PaymentService",
            "rialto.accounts.v1.AccountService",
            "rialto.operations.v1.OperationsService",
            "rialto.participants.v1.ParticipantService",
            "rialto.limits.v1.LimitService",
            "rialto.audit.v1.AuditService",
            "rialto.stats.v1.StatsService",
            "rialto.webhooks.v1.WebhookService",
        ],
        Service::Platform => &["rialto.platform.v1.PlatformService"],
        Service::Channel => &["rialto.channel.v1.InstructionService"],
        Service::Bank => &[],
    }
}

/// What a client of any service wants to look up.
const SYMBOLS: [&str; 8] = [
    "grpc.health.v1.Health",
    "grpc.health.v1.HealthCheckRequest",
    "google.rpc.Status",
    "google.rpc.ErrorInfo",
    "google.rpc.BadRequest",
    "google.rpc.RetryInfo",
    "google.protobuf.Timestamp",
    "rialto.common.v1.Money",
];

/// Asks in one version of the protocol: the services, or the file that describes a symbol.
macro_rules! asking {
    ($name:ident, $version:ident) => {
        async fn $name(channel: Channel, symbol: Option<&str>) -> Result<Vec<String>, Status> {
            use tonic_reflection::pb::$version::{
                ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
                server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
            };
            let request = match symbol {
                None => MessageRequest::ListServices(String::new()),
                Some(symbol) => MessageRequest::FileContainingSymbol(symbol.to_owned()),
            };
            let request = ServerReflectionRequest { host: String::new(), message_request: Some(request) };
            let mut client = ServerReflectionClient::new(channel);
            let mut answers =
                client.server_reflection_info(tokio_stream::iter([request])).await?.into_inner();
            match answers.message().await?.and_then(|answer| answer.message_response) {
                Some(MessageResponse::ListServicesResponse(list)) => {
                    Ok(list.service.into_iter().map(|service| service.name).collect())
                }
                Some(MessageResponse::FileDescriptorResponse(files)) => {
                    Ok(vec![format!("{} files", files.file_descriptor_proto.len())])
                }
                other => Err(Status::not_found(format!("{other:?}"))),
            }
        }
    };
}

asking!(ask_v1, v1);
asking!(ask_v1alpha, v1alpha);

async fn look(system: &System, service: Service) -> Done {
    let channel = to(system, service);
    let name = service.name();
    // Each version also lists itself.
    let but_itself = |names: Vec<String>| -> BTreeSet<String> {
        names.into_iter().filter(|name| !name.starts_with("grpc.reflection.")).collect()
    };
    let listed = but_itself(ask_v1(channel.clone(), None).await?);
    assert_eq!(listed, but_itself(ask_v1alpha(channel.clone(), None).await?), "{name}");
    for wanted in services(service).iter().chain(&["grpc.health.v1.Health"]) {
        assert!(listed.contains(*wanted), "{name} does not list {wanted}: {listed:?}");
    }
    for symbol in services(service).iter().chain(&SYMBOLS) {
        ask_v1(channel.clone(), Some(symbol))
            .await
            .map_err(|status| format!("{name}, {symbol}: {status}"))?;
        ask_v1alpha(channel.clone(), Some(symbol))
            .await
            .map_err(|status| format!("{name}, {symbol}: {status}"))?;
    }
    let unknown = ask_v1(channel, Some("rialto.NoSuchThing")).await.map_err(|status| status.code());
    assert_eq!(unknown, Err(Code::NotFound), "{name}");
    Ok(())
}

#[test]
fn reflection_shows_what_is_served_and_what_errors_are_made_of() {
    run_on_system(async |system| {
        for service in [Service::Gateway, Service::Platform, Service::Channel] {
            look(system, service).await?;
        }
        Ok(())
    });
}

#[test]
fn reflection_lists_nothing_that_is_not_served() {
    run_on_system(async |system| {
        for service in [Service::Gateway, Service::Platform, Service::Channel] {
            let listed = ask_v1(to(system, service), None).await?;
            let strange: Vec<_> = listed
                .iter()
                .filter(|name| name.starts_with("rialto.") && !services(service).contains(&name.as_str()))
                .collect();
            assert!(strange.is_empty(), "{} lists {strange:?}", service.name());
        }
        Ok(())
    });
}

#[test]
fn reflection_can_be_switched_off() {
    run(async || {
        let gateway = Alone::gateway(&["--no-reflection"])?;
        for found in [
            ask_v1(channel(&gateway.address), None).await,
            ask_v1alpha(channel(&gateway.address), None).await,
        ] {
            assert_eq!(found.map_err(|status| status.code()), Err(Code::Unimplemented));
        }
        assert_eq!(health(channel(&gateway.address), "").await?, ServingStatus::Serving);
        Ok(())
    });
}

/// What the health service says of `service`; empty is the whole server.
pub async fn health(channel: Channel, service: &str) -> Result<ServingStatus, BenchError> {
    let request = HealthCheckRequest { service: service.to_owned() };
    Ok(HealthClient::new(channel).check(request).await?.into_inner().status())
}

#[test]
fn health_is_told_of_the_whole_server_and_of_nothing_unknown() {
    run_on_system(async |system| {
        for service in [Service::Gateway, Service::Platform, Service::Channel] {
            let channel = to(system, service);
            assert_eq!(health(channel.clone(), "").await?, ServingStatus::Serving);
            let request = HealthCheckRequest { service: "no.such.Service".to_owned() };
            let unknown = HealthClient::new(channel).check(request).await.map_err(|status| status.code());
            assert_eq!(unknown.map(drop), Err(Code::NotFound));
        }
        Ok(())
    });
}
