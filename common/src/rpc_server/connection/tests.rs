use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicUsize, Ordering},
};

use prost::bytes::Bytes;
use tokio_util::io::InspectWriter;
use tonic::codegen::http::{Request, Response};

use super::*;
use crate::rpc_server::{Count, Limits};

#[tokio::test]
async fn answers_that_are_ready_together_leave_together() {
    const CALLS: usize = 16;
    let (near, far) = tokio::io::duplex(1 << 20);
    let writes = Arc::new(AtomicUsize::new(0));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let limits = Limits { max_connections: 1, max_connections_per_address: 1, max_new_per_s: None };
    let place = Count::new(limits).take(address.ip()).unwrap();
    let under_way = Arc::clone(place.under_way());
    let peer = Peer { address, identity: None, pace: Arc::default(), under_way };
    let counted = Arc::clone(&writes);
    let wire: Box<dyn Wire> = Box::new(InspectWriter::new(far, move |_: &[u8]| {
        counted.fetch_add(1, Ordering::Relaxed);
    }));
    let connection = Connection { wire, peer, preface: &[], rest: None, _place: place };
    let answered = Arc::clone(&writes);
    let server = tokio::spawn(async move {
        let mut server = h2::server::handshake(connection).await.unwrap();
        let mut calls = Vec::new();
        while calls.len() < CALLS {
            calls.push(server.accept().await.unwrap().unwrap().1);
        }
        let before = answered.load(Ordering::Relaxed);
        for mut call in calls {
            let mut answer = call.send_response(Response::new(()), false).unwrap();
            // As long as a payment.
            answer.send_data(Bytes::from_static(&[0; 700]), true).unwrap();
        }
        assert!(server.accept().await.is_none(), "the caller hangs up");
        before
    });
    let (client, connection) = h2::client::handshake(near).await.unwrap();
    let reading = tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let asked: Vec<_> = (0..CALLS).map(|_| client.send_request(Request::new(()), true).unwrap().0).collect();
    for answer in asked {
        let mut body = answer.await.unwrap().into_body();
        assert_eq!(body.data().await.unwrap().unwrap().len(), 700);
    }
    drop(client);
    reading.await.unwrap().unwrap();
    let made = writes.load(Ordering::Relaxed) - server.await.unwrap();
    assert!(made <= 4, "{CALLS} answers took {made} writes");
}
