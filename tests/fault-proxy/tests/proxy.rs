//! Each fault between a real client and a real server on loopback.

use std::io::ErrorKind;
use std::time::Duration;

use skyline_fault_proxy::{Cut, Direction, Fault, FaultProxy, Gate, Script};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

/// What no wait of a test exceeds.
const PATIENCE: Duration = Duration::from_secs(30);

/// Long enough to show that nothing comes.
const A_WHILE: Duration = Duration::from_millis(100);

/// A client and a server with a proxy of that script between them.
struct Pair {
    proxy: FaultProxy,
    client: TcpStream,
    server: TcpStream,
}

async fn pair(script: Script) -> Pair {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = FaultProxy::start(listener.local_addr().unwrap())
        .await
        .unwrap();
    proxy.play(move |_| script.clone());
    let client = TcpStream::connect(proxy.address()).await.unwrap();
    let (server, _) = soon(listener.accept()).await.unwrap();
    Pair {
        proxy,
        client,
        server,
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it hangs")
}

/// All that comes until the end of the stream.
async fn all(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    soon(stream.read_to_end(&mut bytes)).await.unwrap();
    bytes
}

/// What the server gets when the client writes `abcdefghij` and closes.
async fn alphabet(fault: Fault) -> Vec<u8> {
    let mut pair = pair(Script::to_server(fault)).await;
    pair.client.write_all(b"abcdefghij").await.unwrap();
    pair.client.shutdown().await.unwrap();
    let got = all(&mut pair.server).await;
    assert!(pair.proxy.connections()[0].struck);
    assert_eq!(pair.proxy.connections()[0].from_client, b"abcdefghij");
    got
}

#[tokio::test]
async fn without_a_fault_everything_passes_and_is_recorded() {
    let mut pair = pair(Script::default()).await;
    pair.client.write_all(b"question").await.unwrap();
    pair.client.shutdown().await.unwrap();
    assert_eq!(all(&mut pair.server).await, b"question");
    pair.server.write_all(b"answer").await.unwrap();
    drop(pair.server);
    assert_eq!(all(&mut pair.client).await, b"answer");
    soon(pair.proxy.until(|records| records[0].over)).await;
    let record = &pair.proxy.connections()[0];
    assert_eq!(record.from_client, b"question");
    assert_eq!(record.from_server, b"answer");
    assert_eq!((record.to_server, record.to_client), (8, 6));
    assert!(!record.struck);
}

#[tokio::test]
async fn a_cut_lets_exactly_so_many_bytes_pass_either_way() {
    for after in [0, 1, 4, 9] {
        let how = Cut::Finish;
        let mut up = pair(Script::to_server(Fault::Cut { after, how })).await;
        let _ = up.client.write_all(b"abcdefghij").await;
        assert_eq!(all(&mut up.server).await, b"abcdefghij"[..after as usize]);
        assert_eq!(all(&mut up.client).await, b"");

        let mut down = pair(Script::to_client(Fault::Cut { after, how })).await;
        let _ = down.server.write_all(b"abcdefghij").await;
        assert_eq!(all(&mut down.client).await, b"abcdefghij"[..after as usize]);
        assert_eq!(all(&mut down.server).await, b"");
        assert!(down.proxy.connections()[0].struck);
    }
}

#[tokio::test]
async fn a_reset_is_felt_by_both_ends_as_one() {
    let how = Cut::Reset;
    let mut pair = pair(Script::to_server(Fault::Cut { after: 2, how })).await;
    pair.client.write_all(b"abcd").await.unwrap();
    for end in [&mut pair.client, &mut pair.server] {
        let mut bytes = Vec::new();
        let error = soon(end.read_to_end(&mut bytes)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}

#[tokio::test]
async fn a_reset_by_one_end_is_passed_on() {
    let mut pair = pair(Script::default()).await;
    pair.client.set_zero_linger().unwrap();
    drop(pair.client);
    let error = soon(pair.server.read_u8()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_corrupted_byte_is_the_only_one_that_differs() {
    let got = alphabet(Fault::Corrupt { at: 3, mask: 0x20 }).await;
    assert_eq!(got, b"abcDefghij");
}

#[tokio::test]
async fn a_range_is_duplicated_behind_itself() {
    let got = alphabet(Fault::Duplicate { at: 2, length: 3 }).await;
    assert_eq!(got, b"abcdecdefghij");
}

#[tokio::test]
async fn two_ranges_change_places() {
    let got = alphabet(Fault::Reorder { at: 2, length: 3 }).await;
    assert_eq!(got, b"abfghcdeij");
}

#[tokio::test]
async fn a_range_that_nothing_follows_keeps_its_place() {
    let script = Script::to_server(Fault::Reorder { at: 1, length: 5 });
    let mut pair = pair(script).await;
    pair.client.write_all(b"abc").await.unwrap();
    let mut got = [0; 3];
    soon(pair.server.read_exact(&mut got)).await.unwrap();
    assert_eq!(&got, b"abc");
    assert!(!pair.proxy.connections()[0].struck);
}

#[tokio::test]
async fn equal_ranges_that_change_places_are_no_fault() {
    let script = Script::to_server(Fault::Reorder { at: 1, length: 2 });
    let mut pair = pair(script).await;
    pair.client.write_all(b"abababc").await.unwrap();
    pair.client.shutdown().await.unwrap();
    assert_eq!(all(&mut pair.server).await, b"abababc");
    assert!(!pair.proxy.connections()[0].struck);
}

#[tokio::test]
async fn split_bytes_come_in_their_order() {
    assert_eq!(alphabet(Fault::Split).await, b"abcdefghij");
}

#[tokio::test]
async fn a_delay_postpones_the_byte_and_what_follows() {
    let script = Script::to_server(Fault::Delay {
        at: 1,
        time: A_WHILE,
    });
    let begun = Instant::now();
    let mut pair = pair(script).await;
    pair.client.write_all(b"ab").await.unwrap();
    let mut got = [0; 2];
    soon(pair.server.read_exact(&mut got)).await.unwrap();
    assert_eq!(&got, b"ab");
    assert!(begun.elapsed() >= A_WHILE);
}

#[tokio::test]
async fn a_stalled_direction_passes_nothing_more_and_leaves_the_other_alone() {
    let mut pair = pair(Script::to_server(Fault::Stall { at: 2 })).await;
    pair.client.write_all(b"abcd").await.unwrap();
    let mut got = [0; 2];
    soon(pair.server.read_exact(&mut got)).await.unwrap();
    assert_eq!(&got, b"ab");
    pair.server.write_all(b"still here").await.unwrap();
    let mut answer = [0; 10];
    soon(pair.client.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"still here");
    timeout(A_WHILE, pair.server.read_u8())
        .await
        .expect_err("a stalled byte came");
}

#[tokio::test]
async fn held_bytes_are_recorded_and_pass_when_the_gate_opens() {
    let gate = Gate::new();
    let held = Fault::Hold {
        at: 1,
        gate: gate.clone(),
    };
    let mut pair = pair(Script::one(Direction::ToClient, held)).await;
    pair.server.write_all(b"abc").await.unwrap();
    assert_eq!(soon(pair.client.read_u8()).await.unwrap(), b'a');
    soon(pair.proxy.until(|records| records[0].struck)).await;
    assert_eq!(pair.proxy.connections()[0].from_server, b"abc");
    timeout(A_WHILE, pair.client.read_u8())
        .await
        .expect_err("a held byte came");
    gate.open();
    assert_eq!(soon(pair.client.read_u8()).await.unwrap(), b'b');
    assert_eq!(soon(pair.client.read_u8()).await.unwrap(), b'c');
}

#[tokio::test]
async fn another_script_ends_the_connections_and_counts_anew() {
    let mut pair = pair(Script::default()).await;
    pair.proxy.play(|_| Script::default());
    assert_eq!(soon(pair.client.read(&mut [0])).await.unwrap_or(0), 0);
    assert_eq!(soon(pair.server.read(&mut [0])).await.unwrap_or(0), 0);
    assert!(pair.proxy.connections().is_empty());
}

#[tokio::test]
async fn without_a_server_the_client_is_sent_away() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let proxy = FaultProxy::start(nobody).await.unwrap();
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(soon(client.read(&mut [0])).await.unwrap_or(0), 0);
}
