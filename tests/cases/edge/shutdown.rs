//! SIGTERM: what is under way is finished, what comes too late may come again, and nobody can hold the end up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use harness::{
    BenchError,
    client::{Client, may_try_again, order, payee_by_iban},
    system::{BANKS, Service, System},
    wait,
};
use platform::trial_balance::TrialBalance;
use proto::{
    channel::instruction_service_client::InstructionServiceClient, payments::PaymentState,
    platform::platform_service_client::PlatformServiceClient,
};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};
use tonic::{Code, Status};
use tonic_health::pb::health_check_response::ServingStatus;

use crate::{
    bench::{Alone, SLOW, channel, funded, run, setup, shop, to},
    reflection::health,
};

/// Thirty-two callers who pay one after the other and try again with the same request id when they are told to; they
/// return what else they heard.
fn load(system: &System, payer: &str, run: &str, enough: &Arc<AtomicBool>) -> Vec<JoinHandle<Vec<Status>>> {
    let caller = |number: u32| {
        let (shop, payer, run, enough) = (shop(system), payer.to_owned(), run.to_owned(), Arc::clone(enough));
        tokio::spawn(async move {
            let mut heard = Vec::new();
            for count in 0_u32.. {
                if enough.load(Ordering::Relaxed) {
                    break;
                }
                let payee = payee_by_iban("Blaise", &BANKS[0].account(1));
                let request = order(&format!("{run}-{number}-{count}"), &payer, payee, 1, "EUR");
                while let Err(status) = shop.pay(request.clone(), None).await {
                    if !may_try_again(&status) {
                        heard.push(status);
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            heard
        })
    };
    (0..32).map(caller).collect()
}

/// A connection that has begun HTTP/2 and then says nothing, not even to a ping.
async fn silent<S: AsyncWrite + Unpin>(mut stream: S) -> Result<S, BenchError> {
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await?;
    stream.flush().await?;
    Ok(stream)
}

/// An Exchange stream on which nothing is asked.
async fn idle_stream(system: &System, service: Service) -> Result<Option<JoinHandle<()>>, BenchError> {
    let channel = to(system, service);
    let silence = tokio_stream::pending();
    let reading = match service {
        Service::Platform => {
            let mut answers = PlatformServiceClient::new(channel).exchange(silence).await?.into_inner();
            tokio::spawn(async move { while let Ok(Some(_)) = answers.message().await {} })
        }
        Service::Channel => {
            let silence = tokio_stream::pending();
            let mut answers = InstructionServiceClient::new(channel).exchange(silence).await?.into_inner();
            tokio::spawn(async move { while let Ok(Some(_)) = answers.message().await {} })
        }
        Service::Gateway | Service::Bank => return Ok(None),
    };
    Ok(Some(reading))
}

#[test]
fn a_service_that_is_told_to_end_loses_nothing_and_ends_in_time() {
    run(async || {
        let mut system = System::start(setup("shutdown")?).await?;
        let caller = shop(&system);
        let payer = funded(&caller, "shutdown").await?;
        caller.deposit("more", &payer, 100_000_000, "EUR", "aurora").await?;
        for service in [Service::Gateway, Service::Platform, Service::Channel] {
            let name = service.name();
            let enough = Arc::new(AtomicBool::new(false));
            let callers = load(&system, &payer, name, &enough);
            tokio::time::sleep(Duration::from_millis(700)).await;
            let _silent = silent(system.connect(service).await?).await?;
            let idle = idle_stream(&system, service).await?;
            let began = Instant::now();
            system.process(service).signal("TERM")?;
            let status = system.process(service).wait(Duration::from_secs(8))?;
            assert_eq!(status.code(), Some(0), "{name}: {status}");
            // The silent peer never answers the server's farewell: only the drain timeout of 6 s ends that connection.
            assert!(began.elapsed() < Duration::from_millis(7_500), "{name}: {:?}", began.elapsed());
            system.restart(service)?;
            tokio::time::sleep(Duration::from_millis(700)).await;
            enough.store(true, Ordering::Relaxed);
            for caller in callers {
                let heard = caller.await?;
                assert!(heard.is_empty(), "{name}: {heard:?}");
            }
            if let Some(idle) = idle {
                tokio::time::timeout(Duration::from_secs(5), idle).await??;
            }
        }
        let ended = || async {
            let mut database = sqlx::ConnectOptions::connect(&system.database()).await.ok()?;
            let open: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM payments WHERE state NOT IN ('SUCCEEDED', 'FAILED')",
            )
            .fetch_one(&mut database)
            .await
            .ok()?;
            (open == 0).then_some(())
        };
        wait::until("every payment has ended", Duration::from_secs(30), ended).await?;
        let found = TrialBalance::take(&system.database()).await?;
        assert!(found.is_ok(), "{found}");
        let differences = system.compare_with_banks().await?;
        assert!(differences.is_empty(), "{differences:?}");
        Ok(())
    });
}

#[test]
fn what_is_under_way_is_answered_before_the_end() {
    run(async || {
        let mut system = System::start(setup("drain")?).await?;
        for service in [Service::Gateway, Service::Platform, Service::Channel] {
            let name = service.name();
            let caller = shop(&system);
            let payer = funded(&caller, name).await?;
            let payee = payee_by_iban("Blaise", &BANKS[0].account(SLOW));
            let request = order(&format!("{name}-slow"), &payer, payee, 1, "EUR");
            let paying = tokio::spawn(async move { caller.pay(request, None).await });
            tokio::time::sleep(Duration::from_millis(500)).await;
            let began = Instant::now();
            system.process(service).signal("TERM")?;
            let paid = paying.await?.map_err(|status| format!("{name}: {status}"))?.payment;
            assert_eq!(paid.state(), PaymentState::Succeeded, "{name}");
            let status = system.process(service).wait(Duration::from_secs(8))?;
            assert_eq!(status.code(), Some(0), "{name}");
            assert!(began.elapsed() < Duration::from_secs(5), "{name}: idle for {:?}", began.elapsed());
            system.restart(service)?;
            let caller = shop(&system);
            let ready = || async { funded(&caller, &format!("{name}-again")).await.ok() };
            wait::until("ready again", Duration::from_secs(10), ready).await?;
        }
        Ok(())
    });
}

#[test]
fn a_draining_server_is_not_serving_and_a_second_signal_ends_it() {
    run(async || {
        let mut gateway = Alone::gateway(&["--drain-timeout=60s"])?;
        let connection = channel(&gateway.address);
        assert_eq!(health(connection.clone(), "").await?, ServingStatus::Serving);
        let _silent = silent(TcpStream::connect(&gateway.address).await?).await?;
        // Make sure that the silent peer was let in before the drain begins.
        assert_eq!(health(channel(&gateway.address), "").await?, ServingStatus::Serving);
        gateway.process.signal("TERM")?;
        let not_serving = || async {
            match health(connection.clone(), "").await {
                Ok(ServingStatus::Serving) => None,
                Ok(_) | Err(_) => Some(()),
            }
        };
        wait::until("no longer ready", Duration::from_secs(3), not_serving).await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(gateway.process.ended().is_none(), "the silent peer should still hold it");
        assert!(TcpStream::connect(&gateway.address).await.is_err(), "new connections are still accepted");
        let began = Instant::now();
        gateway.process.signal("TERM")?;
        let status = gateway.process.wait(Duration::from_secs(3))?;
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        assert_eq!(status.code(), Some(0));
        Ok(())
    });
}

#[test]
fn an_interrupt_is_a_request_to_end_and_a_broken_pipe_or_hangup_is_none() {
    run(async || {
        let mut gateway = Alone::gateway(&[])?;
        for signal in ["HUP", "PIPE"] {
            gateway.process.signal(signal)?;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(health(channel(&gateway.address), "").await?, ServingStatus::Serving);
        gateway.process.signal("INT")?;
        assert_eq!(gateway.process.wait(Duration::from_secs(5))?.code(), Some(0));
        let nobody = Client::new(&gateway.route(), &gateway.key)?.payment("pay_0").await;
        assert_eq!(nobody.map_err(|status| status.code()).map(drop), Err(Code::Unavailable));
        Ok(())
    });
}
