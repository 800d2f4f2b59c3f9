//! HTTP/2 with banks that keep to it, and banks that don't.

use std::{future::Future, pin::Pin};

use super::frames::{
    CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, GO_AWAY, HEAD, HEADERS, PUSH_PROMISE, Peer,
    REFUSED_STREAM, RST_STREAM, frame, go_away,
};
use super::*;

/// Settings: how many streams a connection may have.
const MAX_STREAMS: u16 = 3;
/// A word of HTTP/2: no error.
const NO_ERROR: u32 = 0;

/// What a bank does with a connection whose first request is there.
type Act = fn(Peer, u32) -> Pin<Box<dyn Future<Output = ()> + Send>>;

macro_rules! act {
    (|$peer:ident, $stream:ident| $act:expr) => {
        |mut $peer: Peer, $stream: u32| Box::pin(async move { $act })
    };
}

fn over_http2(address: &Url, answer_timeout_ms: u64) -> Arc<Iso20022> {
    Arc::new(way_over(HttpVersion::Http2, address, answer_timeout_ms))
}

/// Carries so many instructions at once, and returns the verdicts.
async fn carried_at_once(way: &Arc<Iso20022>, count: usize) -> Vec<String> {
    told_at_once(way, count).await.into_iter().map(|(verdict, _)| verdict).collect()
}

/// Carries so many instructions at once, and returns the verdicts and what each says of the bank.
async fn told_at_once(way: &Arc<Iso20022>, count: usize) -> Vec<(String, Contact)> {
    let carried = |_| {
        let way = Arc::clone(way);
        tokio::spawn(async move {
            let carried = way.carry(&instruction()).await;
            (short(carried.verdict), carried.contact)
        })
    };
    let carried: Vec<_> = (0..count).map(carried).collect();
    let mut told = Vec::new();
    for one in carried {
        told.push(one.await.expect("a verdict"));
    }
    told
}

/// A bank that does `act` on every connection with its first request.
async fn bank_that_acts(act: Act) -> Url {
    bank(move |stream| async move {
        let mut peer = Peer::greet(stream, &[]).await;
        if let Some(stream) = peer.request().await {
            act(peer, stream).await;
        }
    })
    .await
}

async fn until_it_ends(mut peer: Peer) {
    while peer.hear().await.is_some() {}
}

/// A bank that credits whatever it gets; counts its connections.
async fn crediting(settings: &'static [(u16, u32)]) -> (Url, Arc<AtomicUsize>) {
    let connections = Arc::new(AtomicUsize::new(0));
    let opened = Arc::clone(&connections);
    let address = bank(move |stream| {
        opened.fetch_add(1, Ordering::SeqCst);
        async move {
            let mut peer = Peer::greet(stream, settings).await;
            while let Some(stream) = peer.request().await {
                peer.credit(stream).await;
            }
        }
    })
    .await;
    (address, connections)
}

#[tokio::test]
async fn many_requests_share_a_connection() {
    let (address, connections) = crediting(&[]).await;
    let way = over_http2(&address, 2_000);
    for _ in 0..3 {
        assert_eq!(carried_at_once(&way, 100).await, vec!["accepted"; 100]);
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_bank_gets_as_many_requests_on_a_connection_as_it_takes() {
    let (under_way, most, connections) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let counts = Arc::new((under_way, most, connections));
    let counting = Arc::clone(&counts);
    let address = bank(move |stream| {
        let counts = Arc::clone(&counting);
        async move {
            counts.2.fetch_add(1, Ordering::SeqCst);
            let mut peer = Peer::greet(stream, &[(MAX_STREAMS, 1)]).await;
            let mut open = 0;
            while let Some(frame) = peer.hear().await {
                if frame.kind == HEADERS {
                    open += 1;
                    counts.1.fetch_max(open, Ordering::SeqCst);
                    counts.0.fetch_add(1, Ordering::SeqCst);
                } else if frame.kind == DATA && frame.flags & END_STREAM > 0 {
                    sleep(Duration::from_millis(5)).await;
                    open -= 1;
                    peer.credit(frame.stream).await;
                }
            }
        }
    })
    .await;
    let way = over_http2(&address, 4_000);
    assert_eq!(carried_at_once(&way, 60).await, vec!["accepted"; 60]);
    assert_eq!(counts.0.load(Ordering::SeqCst), 60, "every request arrived once");
    assert_eq!(counts.1.load(Ordering::SeqCst), 1, "one at a time on a connection");
    assert!((2..=60).contains(&counts.2.load(Ordering::SeqCst)));
}

#[tokio::test]
async fn what_speaks_something_else_never_sees_a_request() {
    let says_http1 = bank_that_says("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let silent = bank(|mut stream| async move { drop(stream.read_to_end(&mut Vec::new()).await) }).await;
    let slams = bank(|stream| async move { drop(stream) }).await;
    let takes_none = bank(|stream| async move {
        let mut peer = Peer::greet(stream, &[(MAX_STREAMS, 0)]).await;
        while let Some(frame) = peer.hear().await {
            assert_ne!(frame.kind, HEADERS);
        }
    })
    .await;
    for address in [says_http1, silent, slams, takes_none] {
        let verdict = carried_at_once(&over_http2(&address, 600), 3).await;
        assert_eq!(verdict, ["not sent: BANK_UNREACHABLE"; 3], "{address}");
    }
}

#[tokio::test]
async fn what_the_bank_certainly_left_alone_is_sent_again_or_not_sent() {
    let leaves_alone: [Act; 4] = [
        act!(|peer, stream| peer.reset(stream, REFUSED_STREAM).await),
        act!(|peer, _stream| peer.go_away(0, NO_ERROR).await),
        act!(|peer, _stream| peer.go_away(0, REFUSED_STREAM).await),
        // The last word counts, and no later one takes it back.
        act!(|peer, _stream| {
            peer.go_away(0x7fff_ffff, NO_ERROR).await;
            peer.go_away(0, NO_ERROR).await;
            peer.go_away(1, NO_ERROR).await;
            until_it_ends(peer).await;
        }),
    ];
    for (number, act) in leaves_alone.into_iter().enumerate() {
        let always = bank_that_acts(act).await;
        let verdict = short(over_http2(&always, 2_000).carry(&instruction()).await.verdict);
        assert_eq!(verdict, "not sent: BANK_UNREACHABLE", "{number}");

        let is_first = Arc::new(AtomicUsize::new(0));
        let once = bank(move |stream| {
            let is_first = is_first.fetch_add(1, Ordering::SeqCst) == 0;
            async move {
                let mut peer = Peer::greet(stream, &[]).await;
                let Some(request) = peer.request().await else { return };
                if is_first {
                    return act(peer, request).await;
                }
                peer.credit(request).await;
                until_it_ends(peer).await;
            }
        })
        .await;
        let verdict = short(over_http2(&once, 2_000).carry(&instruction()).await.verdict);
        assert_eq!(verdict, "accepted", "{number}");
    }
}

#[tokio::test]
async fn whatever_else_follows_a_request_is_unknown() {
    let broken: [Act; 13] = [
        act!(|peer, _stream| peer.hang_up().await),
        act!(|peer, stream| peer.reset(stream, NO_ERROR).await),
        act!(|peer, stream| peer.reset(stream, CANCEL).await),
        act!(|peer, stream| peer.reset(stream, 2).await),
        // It had begun to answer.
        act!(|peer, stream| {
            peer.say(HEADERS, END_HEADERS, stream, HEAD).await;
            peer.reset(stream, REFUSED_STREAM).await;
        }),
        act!(|peer, stream| {
            peer.say(HEADERS, END_HEADERS, stream, HEAD).await;
            peer.say(DATA, 0, stream, &REPORT.as_bytes()[..100]).await;
        }),
        // It deals with the request.
        act!(|peer, stream| peer.go_away(stream, NO_ERROR).await),
        act!(|peer, stream| peer.go_away(stream, 2).await),
        act!(|peer, _stream| peer.go_away(0x7fff_ffff, NO_ERROR).await),
        act!(|peer, stream| peer.say(HEADERS, END_HEADERS, stream, b"\xff\xff\xff\xff\xff").await),
        act!(|peer, stream| peer.say(DATA, END_STREAM, stream, b"no head").await),
        act!(|peer, _stream| peer.say(GO_AWAY, 0, 0, b"no").await),
        act!(|peer, _stream| peer.say(RST_STREAM, 0, 0, b"1234").await),
    ];
    for (number, act) in broken.into_iter().enumerate() {
        let address = bank_that_acts(act).await;
        let verdict = short(over_http2(&address, 2_000).carry(&instruction()).await.verdict);
        assert_eq!(verdict, "unknown: CONNECTION_BROKEN", "{number}");
    }
    let answered: [(Act, &str); 5] = [
        (
            act!(|peer, stream| {
                peer.say(HEADERS, 5, stream, b"\x8d").await;
            }),
            "unknown: HTTP_STATUS",
        ),
        (
            act!(|peer, stream| {
                peer.say(HEADERS, 5, stream, b"\x8e").await;
            }),
            "unknown: HTTP_STATUS",
        ),
        (
            act!(|peer, stream| {
                peer.say(HEADERS, 5, stream, b"\x88").await;
            }),
            "unknown: ANSWER_UNREADABLE",
        ),
        (
            act!(|peer, stream| {
                peer.say(HEADERS, 5, stream, HEAD).await;
            }),
            "unknown: ANSWER_UNREADABLE",
        ),
        (
            act!(|peer, stream| {
                peer.say(HEADERS, END_HEADERS, stream, b"\x88\x0f\x10\x09text/html").await;
                peer.say(DATA, END_STREAM, stream, REPORT.as_bytes()).await;
            }),
            "unknown: ANSWER_UNREADABLE",
        ),
    ];
    for (act, verdict) in answered {
        let address = bank_that_acts(act).await;
        assert_eq!(short(over_http2(&address, 2_000).carry(&instruction()).await.verdict), verdict);
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_makes_all_that_is_on_it_unknown() {
    let address = bank(|stream| async move {
        let mut peer = Peer::greet(stream, &[]).await;
        for _ in 0..10 {
            peer.request().await;
        }
    })
    .await;
    let way = over_http2(&address, 2_000);
    let told = told_at_once(&way, 10).await;
    assert!(told.iter().all(|(verdict, _)| verdict == "unknown: CONNECTION_BROKEN"), "{told:?}");
    // A bank is not offline for having cut one connection, whatever was on it.
    assert_eq!(told.iter().filter(|(_, contact)| *contact == Contact::Failed).count(), 1, "{told:?}");
}

#[tokio::test]
async fn only_what_came_after_the_last_one_was_left_alone() {
    // Having said that stream 1 is the last, it promises something on stream 3 all the same, which ends the connection: that
    // is not the word that stream 1 was left alone.
    let connections = Arc::new(AtomicUsize::new(0));
    let address = bank(move |stream| {
        let number = connections.fetch_add(1, Ordering::SeqCst);
        async move {
            let mut peer = Peer::greet(stream, &[]).await;
            if number == 0 {
                assert_eq!((peer.request().await, peer.request().await), (Some(1), Some(3)));
                let promise = b"\0\0\0\x02\x82\x86\x84\x41\x01a";
                let promise = frame(PUSH_PROMISE, END_HEADERS, 3, promise);
                peer.write(&[go_away(1, NO_ERROR), promise].concat()).await;
                return until_it_ends(peer).await;
            }
            while let Some(request) = peer.request().await {
                peer.credit(request).await;
            }
        }
    })
    .await;
    let verdicts = carried_at_once(&over_http2(&address, 1_000), 2).await;
    assert!(verdicts[0].starts_with("unknown: ") && verdicts[1] == "accepted", "{verdicts:?}");
}

#[tokio::test]
async fn a_request_that_is_given_up_is_cancelled_and_its_place_is_free() {
    let (sender, mut frames) = tokio::sync::mpsc::unbounded_channel();
    let address = bank(move |stream| {
        let sender = sender.clone();
        async move {
            let mut peer = Peer::greet(stream, &[(MAX_STREAMS, 1)]).await;
            while let Some(frame) = peer.hear().await {
                if frame.kind == HEADERS || frame.kind == RST_STREAM {
                    sender.send((frame.kind, frame.stream, frame.payload)).expect("the test listens");
                }
                // It is there, it only does not answer the first one.
                peer.say(6, 0, 0, b"it lives").await;
                if frame.kind == DATA && frame.stream > 1 {
                    peer.credit(frame.stream).await;
                }
            }
        }
    })
    .await;
    let way = over_http2(&address, 400);
    assert_eq!(short(way.carry(&instruction()).await.verdict), "unknown: ANSWER_TIMED_OUT");
    assert_eq!(short(way.carry(&instruction()).await.verdict), "accepted");
    let mut next = || frames.try_recv().expect("a frame");
    assert_eq!((next().1, next()), (1, (RST_STREAM, 1, CANCEL.to_be_bytes().to_vec())));
    let (kind, stream, _) = next();
    assert_eq!((kind, stream), (HEADERS, 3), "on the same connection");
}

#[tokio::test]
async fn a_connection_on_which_nothing_is_heard_gets_no_more_requests() {
    let connections = Arc::new(AtomicUsize::new(0));
    let opened = Arc::clone(&connections);
    let address = bank(move |stream| {
        let number = opened.fetch_add(1, Ordering::SeqCst);
        async move {
            let mut peer = Peer::greet(stream, &[]).await;
            while let Some(request) = peer.request().await {
                if number > 0 {
                    peer.credit(request).await;
                }
            }
        }
    })
    .await;
    let way = over_http2(&address, 400);
    assert_eq!(carried_at_once(&way, 3).await, ["unknown: ANSWER_TIMED_OUT"; 3]);
    assert_eq!(carried_at_once(&way, 3).await, ["accepted"; 3]);
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn time_runs_out_for_drips_too() {
    let address = bank_that_acts(act!(|peer, stream| {
        peer.say(HEADERS, END_HEADERS, stream, HEAD).await;
        for byte in REPORT.as_bytes().chunks(1) {
            sleep(Duration::from_millis(20)).await;
            peer.say(DATA, 0, stream, byte).await;
        }
    }))
    .await;
    let way = over_http2(&address, 300);
    assert_eq!(short(way.carry(&instruction()).await.verdict), "unknown: ANSWER_TIMED_OUT");
}

#[tokio::test]
async fn answers_and_heads_have_an_end() {
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let endless = bank(move |stream| {
        let count = Arc::clone(&count);
        async move {
            let mut peer = Peer::greet(stream, &[]).await;
            let Some(request) = peer.request().await else { return };
            peer.say(HEADERS, END_HEADERS, request, HEAD).await;
            // No more than the window allows.
            for _ in 0..8 {
                peer.say(DATA, 0, request, &[b' '; 8_192]).await;
                count.fetch_add(8_192, Ordering::SeqCst);
            }
            while let Some(frame) = peer.hear().await {
                if frame.kind == RST_STREAM {
                    return;
                }
                if count.fetch_add(8_192, Ordering::SeqCst) < 1 << 30 {
                    peer.say(DATA, 0, request, &[b' '; 8_192]).await;
                }
            }
        }
    })
    .await;
    let way = over_http2(&endless, 5_000);
    assert_eq!(short(way.carry(&instruction()).await.verdict), "unknown: ANSWER_UNREADABLE");
    assert!(written.load(Ordering::SeqCst) < 1 << 20);

    let huge: [Act; 2] = [
        // One line of 60 KiB.
        act!(|peer, stream| {
            let line = [b"\x00\x01x\x7f\xe1\xd3\x03".to_vec(), vec![b'a'; 60_000]].concat();
            let mut parts = line.chunks(16_000).peekable();
            peer.say(HEADERS, 0, stream, &[HEAD, parts.next().unwrap_or_default()].concat()).await;
            while let Some(part) = parts.next() {
                let flags = if parts.peek().is_none() { END_HEADERS } else { 0 };
                peer.say(CONTINUATION, flags, stream, part).await;
            }
            until_it_ends(peer).await;
        }),
        // A head without end.
        act!(|peer, stream| {
            peer.say(HEADERS, 0, stream, HEAD).await;
            while peer.is_open {
                peer.say(CONTINUATION, 0, stream, b"\x00\x01x\x01y").await;
            }
        }),
    ];
    for act in huge {
        let address = bank_that_acts(act).await;
        let way = over_http2(&address, 5_000);
        assert_eq!(short(way.carry(&instruction()).await.verdict), "unknown: CONNECTION_BROKEN");
    }
}

#[tokio::test]
async fn a_connection_that_the_bank_closed_while_idle_loses_nothing() {
    let (requests, count) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&requests);
    let closing = bank(move |stream| {
        let seen = Arc::clone(&seen);
        let says_so = count.fetch_add(1, Ordering::SeqCst) % 2 == 0;
        async move {
            let mut peer = Peer::greet(stream, &[]).await;
            let Some(request) = peer.request().await else { return };
            seen.fetch_add(1, Ordering::SeqCst);
            peer.credit(request).await;
            if says_so {
                peer.go_away(request, NO_ERROR).await;
            }
        }
    })
    .await;
    let way = over_http2(&closing, 2_000);
    for round in 0..50 {
        assert_eq!(short(way.carry(&instruction()).await.verdict), "accepted", "round {round}");
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(requests.load(Ordering::SeqCst), 50, "every request arrived once");
}

#[tokio::test]
async fn a_connection_that_stays_idle_is_closed() {
    let (sender, mut closed) = tokio::sync::mpsc::unbounded_channel();
    let keeping = bank(move |stream| {
        let sender = sender.clone();
        async move {
            let mut peer = Peer::greet(stream, &[]).await;
            while let Some(request) = peer.request().await {
                peer.credit(request).await;
            }
            sender.send(Instant::now()).expect("the test listens");
        }
    })
    .await;
    let way = over_http2(&keeping, 2_000);
    assert_eq!(short(way.carry(&instruction()).await.verdict), "accepted");
    let answered = Instant::now();
    let closed =
        timeout(Duration::from_secs(6), closed.recv()).await.expect("in time").expect("a connection");
    assert!(closed - answered >= Duration::from_secs(4), "{:?}", closed - answered);
    assert_eq!(short(way.carry(&instruction()).await.verdict), "accepted", "on a new one");
}
