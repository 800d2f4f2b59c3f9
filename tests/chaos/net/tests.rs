use std::time::{Duration, Instant};

use harness::frames::{Conversation, Frames, Mark, Way};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::proxy::{Proxy, Rule};

const SHORT: Duration = Duration::from_millis(150);

/// A server that says back what it hears and tells what that was, behind a proxy.
async fn echo() -> (Proxy, tokio::sync::mpsc::UnboundedReceiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (tell, heard) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut buffer = [0; 1024];
                while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                    tell.send(buffer[..length].to_vec()).unwrap();
                    let _ = stream.write_all(&buffer[..length]).await;
                }
            });
        }
    });
    (Proxy::open(&address, false).unwrap(), heard)
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.address()).await.unwrap()
}

/// What comes back for `text`; None if the connection breaks.
async fn ask(stream: &mut TcpStream, text: &[u8]) -> Option<Vec<u8>> {
    stream.write_all(text).await.ok()?;
    let mut buffer = [0; 1024];
    let length = stream.read(&mut buffer).await.ok().filter(|length| *length > 0)?;
    Some(buffer[..length].to_vec())
}

#[tokio::test]
async fn what_passes_comes_back_and_a_delay_delays_it() {
    let (proxy, _heard) = echo().await;
    let mut stream = connect(&proxy).await;
    assert_eq!(ask(&mut stream, b"hello").await.unwrap(), b"hello");
    assert_eq!(proxy.take_touched(), 0);
    proxy.set(Rule::Delay { ms: 60 });
    let began = Instant::now();
    assert_eq!(ask(&mut stream, b"hello").await.unwrap(), b"hello");
    assert!(began.elapsed() >= Duration::from_millis(120), "both ways wait");
    assert_eq!(proxy.take_touched(), 2);
}

#[tokio::test]
async fn a_connection_is_cut_behind_the_named_byte_of_either_way() {
    let (proxy, mut heard) = echo().await;
    let mut stream = connect(&proxy).await;
    proxy.set(Rule::CutAfter { way: Way::Forward, bytes: 7 });
    assert_eq!(ask(&mut stream, b"hello").await.unwrap(), b"hello");
    assert_ne!(ask(&mut stream, b"hello").await, Some(b"hello".to_vec()), "the server may answer the piece");
    assert_eq!(
        (heard.recv().await.unwrap(), heard.recv().await.unwrap()),
        (b"hello".to_vec(), b"he".to_vec())
    );
    let mut stream = connect(&proxy).await;
    proxy.set(Rule::CutAfter { way: Way::Backward, bytes: 3 });
    assert_eq!(ask(&mut stream, b"hello").await.unwrap(), b"hel");
    assert_eq!(ask(&mut stream, b"hello").await, None);
    assert_eq!(proxy.take_touched(), 2);
    assert_eq!(ask(&mut connect(&proxy).await, b"again").await.unwrap(), b"again");
}

#[tokio::test]
async fn what_is_held_arrives_later_even_when_its_sender_is_gone() {
    let (proxy, mut heard) = echo().await;
    proxy.set(Rule::Hold(Way::Forward));
    let mut stream = connect(&proxy).await;
    stream.write_all(b"held").await.unwrap();
    assert!(timeout(SHORT, heard.recv()).await.is_err());
    drop(stream);
    assert!(timeout(SHORT, heard.recv()).await.is_err());
    proxy.set(Rule::Pass);
    assert_eq!(timeout(SHORT, heard.recv()).await.unwrap().unwrap(), b"held");
}

#[tokio::test]
async fn some_are_held_while_others_pass() {
    let (proxy, mut heard) = echo().await;
    proxy.set(Rule::HoldSome { way: Way::Forward, one_in: 1, ms: 100 });
    let mut held = connect(&proxy).await;
    held.write_all(b"held").await.unwrap();
    tokio::time::sleep(Duration::from_millis(30)).await;
    drop(held);
    proxy.set(Rule::Pass);
    assert_eq!(ask(&mut connect(&proxy).await, b"passes").await.unwrap(), b"passes");
    assert_eq!(heard.recv().await.unwrap(), b"passes");
    assert_eq!(timeout(SHORT, heard.recv()).await.unwrap().unwrap(), b"held");
}

#[tokio::test]
async fn a_black_hole_swallows_and_its_connections_end_with_it() {
    let (proxy, mut heard) = echo().await;
    let mut stream = connect(&proxy).await;
    proxy.set(Rule::BlackHole(Some(Way::Backward)));
    assert!(timeout(SHORT, ask(&mut stream, b"one way")).await.is_err());
    assert_eq!(heard.recv().await.unwrap(), b"one way");
    proxy.set(Rule::BlackHole(None));
    let mut other = connect(&proxy).await;
    assert!(timeout(SHORT, ask(&mut other, b"both ways")).await.is_err());
    assert!(timeout(SHORT, heard.recv()).await.is_err());
    proxy.set(Rule::Pass);
    assert_eq!(timeout(SHORT, ask(&mut other, b"late")).await.unwrap(), None);
}

#[tokio::test]
async fn connections_are_refused_and_then_taken_again() {
    let (proxy, _heard) = echo().await;
    let mut stream = connect(&proxy).await;
    assert!(ask(&mut stream, b"before").await.is_some());
    proxy.set(Rule::Refuse);
    tokio::time::sleep(SHORT).await;
    assert_eq!(ask(&mut stream, b"cut").await, None);
    assert!(TcpStream::connect(proxy.address()).await.is_err());
    proxy.set(Rule::Pass);
    tokio::time::sleep(SHORT).await;
    assert!(ask(&mut connect(&proxy).await, b"after").await.is_some());
}

#[tokio::test]
async fn connections_overtake_each_other() {
    let (proxy, mut heard) = echo().await;
    proxy.set(Rule::Reorder { max_ms: 60 });
    let mut streams = Vec::new();
    for number in 0..20_u8 {
        let mut stream = connect(&proxy).await;
        stream.write_all(&[number]).await.unwrap();
        streams.push(stream);
    }
    let mut order = Vec::new();
    while order.len() < 20 {
        order.extend(timeout(Duration::from_secs(2), heard.recv()).await.unwrap().unwrap());
    }
    assert!(!order.is_sorted(), "{order:?}");
}

fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[kind], length.as_slice(), body].concat()
}

#[test]
fn a_commit_and_its_answer_are_seen_however_the_bytes_come() {
    let startup = [&9_u32.to_be_bytes()[..], &196_608_u32.to_be_bytes(), b"\0"].concat();
    let tls = [8_u32.to_be_bytes(), 80_877_103_u32.to_be_bytes()].concat();
    let insert = frame(b'Q', b"INSERT 'COMMIT'\0");
    let forward = [tls, startup, insert, frame(b'Q', b"COMMIT\0"), frame(b'X', b"")].concat();
    let backward =
        [b"N".to_vec(), frame(b'R', b"\0\0\0\0"), frame(b'C', b"COMMIT\0"), frame(b'Z', b"I")].concat();
    for step in [1, 3, 1000] {
        let conversation = Conversation::default();
        for (way, bytes, mark) in
            [(Way::Forward, &forward, Mark::Commit), (Way::Backward, &backward, Mark::Committed)]
        {
            let mut frames = Frames::new(way, &conversation);
            let pieces: Vec<_> = bytes.chunks(step).flat_map(|chunk| frames.take(chunk)).collect();
            let marked: Vec<_> = pieces.iter().filter(|piece| piece.mark != Mark::Plain).collect();
            assert_eq!((marked.len(), marked[0].mark), (1, mark), "{way:?} in steps of {step}");
            let whole: Vec<u8> = pieces.iter().flat_map(|piece| piece.bytes.clone()).collect();
            assert_eq!(&whole, bytes, "nothing is lost");
        }
    }
}

#[test]
fn a_statement_that_commits_by_itself_is_seen() {
    let conversation = Conversation::default();
    let (mut forward, mut backward) =
        (Frames::new(Way::Forward, &conversation), Frames::new(Way::Backward, &conversation));
    forward.take(&[&9_u32.to_be_bytes()[..], &196_608_u32.to_be_bytes(), b"\0"].concat());
    backward.take(&[frame(b'R', b"\0\0\0\0"), frame(b'Z', b"I")].concat());
    let prepare = |name: &str, text: &str| frame(b'P', format!("{name}\0{text}\0\0\0").as_bytes());
    forward.take(&prepare("s1", "SELECT 1"));
    forward.take(&prepare("s2", "WITH x AS (INSERT INTO payments (id) SELECT 1) SELECT CASE WHEN 1 <> 1 THEN changed_meanwhile('x') END"));
    let mut run = |name: &str, answer: &[u8], state: &[u8]| {
        let asked = forward.take(&frame(b'B', format!("\0{name}\0\0\0").as_bytes()))[0].mark;
        let answered = backward.take(&[answer, &frame(b'Z', state)].concat());
        (asked, answered.last().unwrap().mark)
    };
    let done = frame(b'C', b"SELECT 1\0");
    assert_eq!(run("s1", &done, b"I"), (Mark::Plain, Mark::Plain));
    assert_eq!(run("s2", &done, b"I"), (Mark::Commit, Mark::Committed));
    assert_eq!(run("s2", &frame(b'E', b"refused\0"), b"I"), (Mark::Commit, Mark::Plain));
    assert_eq!(run("s1", &done, b"T"), (Mark::Plain, Mark::Plain));
    assert_eq!(run("s2", &done, b"T"), (Mark::Plain, Mark::Plain), "the COMMIT is still to come");
}

/// A server that answers a COMMIT, behind a proxy that knows PostgreSQL.
#[tokio::test]
async fn the_link_is_cut_before_or_after_the_server_committed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::open(&listener.local_addr().unwrap().to_string(), true).unwrap();
    let startup = [&9_u32.to_be_bytes()[..], &196_608_u32.to_be_bytes(), b"\0"].concat();
    for (rule, committed) in
        [(Rule::CutBeforeCommit { nth: 1 }, false), (Rule::CutAfterCommit { nth: 1 }, true)]
    {
        proxy.set(rule);
        let mut client = connect(&proxy).await;
        let (mut server, _) = listener.accept().await.unwrap();
        client.write_all(&[&startup[..], &frame(b'Q', b"COMMIT\0")].concat()).await.unwrap();
        let mut heard = vec![0; startup.len()];
        server.read_exact(&mut heard).await.unwrap();
        let mut commit = vec![0; 12];
        assert_eq!(server.read_exact(&mut commit).await.is_ok(), committed, "{rule:?}");
        let _ = server.write_all(&frame(b'C', b"COMMIT\0")).await;
        assert!(!matches!(client.read(&mut commit).await, Ok(1..)), "{rule:?}: the client hears nothing");
        assert_eq!(proxy.take_touched(), 1);
    }
    assert_eq!(proxy.commits(), 2);
}
