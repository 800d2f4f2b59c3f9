//! Where a hop leads: a stream to each address that the route's names have now.

use std::time::Duration;

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use super::{ask::Hop, stream::Stream};
use crate::rpc_client::{Address, Route};

/// How often names are looked up: how soon a server that was added gets its share.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Looks up where the route leads until nobody asks any more, and has streams accordingly. One to an address that is gone gets no new
/// question, and ends with the last answer.
pub(super) async fn follow<H: Hop>(
    name: String,
    route: Route,
    open: impl Fn(Address) -> Stream<H>,
    streams: watch::Sender<Vec<Stream<H>>>,
) {
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = looks.tick() => {}
            () = streams.closed() => return,
        }
        match route.addresses().await {
            Ok(found) => {
                streams.send_if_modified(|streams| take_over(&name, streams, found, &open));
            }
            // Those that are known may still be there.
            Err(error) => tracing::debug!(to = name, %error, "cannot look up where it is; trying again"),
        }
    }
}

/// Has one stream to each of the addresses found; returns whether anything changed.
fn take_over<H: Hop>(
    name: &str,
    streams: &mut Vec<Stream<H>>,
    found: Vec<Address>,
    open: impl Fn(Address) -> Stream<H>,
) -> bool {
    let before = streams.len();
    streams.retain(|stream| {
        let stays = found.contains(stream.address());
        if !stays {
            tracing::info!(to = name, address = %stream.address(), "no longer asked there");
        }
        stays
    });
    let mut is_changed = streams.len() < before;
    for address in found {
        if !streams.iter().any(|stream| *stream.address() == address) {
            tracing::info!(to = name, %address, "to be asked there");
            streams.push(open(address));
            is_changed = true;
        }
    }
    is_changed
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::net::TcpListener;

    use super::*;
    use crate::exchange::ask::tests::Nowhere;

    #[test]
    fn streams_come_and_go_with_their_addresses() {
        let mut streams: Vec<Stream<Nowhere>> = Vec::new();
        let mut found = |ports: &[u16]| {
            let found = ports.iter().map(|port| Address::imagined(*port)).collect();
            let open = |address: Address| Stream::imagined(address, (true, false, 7));
            let is_changed = take_over("nowhere", &mut streams, found, open);
            // Those that stay are the same as before: what waits on them is not lost.
            streams[0].hand_over((), tokio::sync::oneshot::channel().0).expect("room");
            (
                is_changed,
                streams.iter().map(|stream| stream.address().to_string()).collect::<Vec<_>>(),
                streams[0].waiting(),
            )
        };
        let at =
            |ports: &[u16]| -> Vec<String> { ports.iter().map(|port| format!("127.0.0.1:{port}")).collect() };
        assert_eq!(found(&[1]), (true, at(&[1]), 8));
        assert_eq!(found(&[1]), (false, at(&[1]), 9));
        assert_eq!(found(&[3, 1, 2]), (true, at(&[1, 3, 2]), 10));
        assert_eq!(found(&[3, 2]), (true, at(&[3, 2]), 8));
    }

    #[tokio::test]
    async fn every_address_of_the_route_is_called() {
        let servers = [TcpListener::bind("127.0.0.1:0").await, TcpListener::bind("127.0.0.1:0").await];
        let servers = servers.map(|server| server.expect("a port"));
        let urls =
            servers.each_ref().map(|server| format!("http://{}", server.local_addr().expect("an address")));
        let mut problems = crate::settings::Problems::new();
        let route = Route::check("platform", Some(&urls.join(",")), true, None, &mut problems).expect("good");
        let opened = Arc::new(std::sync::Mutex::new(Vec::new()));
        let heard = Arc::clone(&opened);
        let open = move |address: Address| {
            heard.lock().expect("whole").push(address.to_string());
            Stream::imagined(address, (true, false, 0))
        };
        let (sender, mut streams) = watch::channel(Vec::<Stream<Nowhere>>::new());
        let following = tokio::spawn(follow("nowhere".to_owned(), route, open, sender));
        streams.wait_for(|streams| streams.len() == 2).await.expect("followed");
        assert_eq!(opened.lock().expect("whole").len(), 2);
        drop(streams);
        following.await.expect("it ends when nobody asks any more");
    }
}
