//! WebSocket messages there and back, by tokio-tungstenite alone: what the socket and the WebSocket
//! cost on this machine, which nothing that stands on them can beat.
//!
//! ```text
//! raw-echo server [--flush all|each]     prints `listening on ws://…`, and serves until it is killed
//! raw-echo client [--flush all|each]     a worker; connects to SKYLINE_URL
//! ```
//!
//! With `--flush all` each end flushes once for everything that it has to write, with `--flush each`
//! after each message.
//!
//! Several callers are tasks that hand their messages to the task that owns the socket and wait for
//! the answer, as whoever calls has to. `client --without-callers` keeps as many messages in flight
//! and wakes nobody: the floor under all of it.

use std::collections::VecDeque;
use std::error::Error;
use std::future::poll_fn;
use std::pin::Pin;
use std::process::ExitCode;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::{Parser, ValueEnum};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use skyline_benches::{Report, Task, message_pack_bin, run};
use skyline_protocol::{Payload, Request};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};

/// As the client's own (src/transport/mod.rs): its default makes tungstenite slower.
const READ_BUFFER_BYTES: usize = 16 << 10;

/// Messages that may wait to be written; more than there are callers.
const QUEUE_LENGTH: usize = 1024;

#[derive(Parser)]
#[command(about = "WebSocket messages there and back, by tokio-tungstenite alone")]
enum Command {
    /// Send every message back
    Server {
        /// When to flush
        #[arg(long, value_enum, default_value_t)]
        flush: Flush,
    },
    /// Do the task of the environment
    Client {
        /// When to flush
        #[arg(long, value_enum, default_value_t)]
        flush: Flush,
        /// Keep messages in flight that no task waits for
        #[arg(long)]
        without_callers: bool,
    },
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Flush {
    /// Once for everything that is to be written
    #[default]
    All,
    /// After each message
    Each,
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build();
    let result = runtime
        .map_err(Into::into)
        .and_then(|runtime| match Command::parse() {
            Command::Server { flush } => runtime.block_on(serve(flush)),
            Command::Client {
                flush,
                without_callers,
            } => runtime.block_on(work(flush, without_callers)),
        });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("raw-echo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn settings() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES)
}

async fn serve(flush: Flush) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on ws://{}/", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            // A client that goes away is no failure of the server's.
            let _ = echo(stream, flush).await;
        });
    }
}

async fn echo(stream: TcpStream, flush: Flush) -> Result<(), tungstenite::Error> {
    stream.set_nodelay(true)?;
    let socket = tokio_tungstenite::accept_async_with_config(stream, Some(settings())).await?;
    let mut bouncer = Bouncer::new(socket, flush, VecDeque::new());
    while poll_fn(|context| bouncer.poll_bounce(context))
        .await?
        .is_some()
    {}
    Ok(())
}

async fn work(flush: Flush, without_callers: bool) -> Result<(), Box<dyn Error>> {
    let task = Task::from_environment()?;
    if task.rate.is_some() && (without_callers || task.callers == 1) {
        return Err("a rate needs several callers".into());
    }
    let url = std::env::var("SKYLINE_URL").map_err(|_| "set SKYLINE_URL")?;
    let begun = Instant::now();
    let address = url
        .strip_prefix("ws://")
        .and_then(|rest| rest.split('/').next())
        .ok_or("SKYLINE_URL must begin with ws://")?;
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (socket, _) =
        tokio_tungstenite::client_async_with_config(&url, stream, Some(settings())).await?;
    let connected_in = begun.elapsed();

    let packet = packet(task.payload_bytes);
    let calls = if task.callers == 1 {
        one_after_another(socket, packet, &task).await?
    } else if without_callers {
        in_flight(socket, packet, &task, flush).await?
    } else {
        let report = by_callers(socket, packet, &task, connected_in, flush).await?;
        report.print();
        return Ok(());
    };
    let report = Report {
        calls,
        seconds: task.measured.as_secs_f64(),
        connect_ms: connected_in.as_secs_f64() * 1e3,
        latency_us: None,
    };
    report.print();
    Ok(())
}

async fn one_after_another(
    mut socket: WebSocketStream<TcpStream>,
    packet: Bytes,
    task: &Task,
) -> Result<u64, Box<dyn Error>> {
    let (begin, end) = times(task);
    let mut calls = 0;
    loop {
        socket.send(Message::Binary(packet.clone())).await?;
        let answer = socket.next().await.ok_or("the server hung up")??;
        check(&answer, packet.len())?;
        let now = Instant::now();
        if now >= end {
            return Ok(calls);
        }
        calls += u64::from(now >= begin);
    }
}

/// A message, and who waits for it to come back.
type Outgoing = (Bytes, oneshot::Sender<Bytes>);

/// Callers as tasks, and two more that own the halves of the socket.
async fn by_callers(
    socket: WebSocketStream<TcpStream>,
    packet: Bytes,
    task: &Task,
    connected_in: Duration,
    flush: Flush,
) -> Result<Report, Box<dyn Error>> {
    let (sink, stream) = socket.split();
    let (outgoing, queue) = mpsc::channel(QUEUE_LENGTH);
    let (sent, waiting) = mpsc::unbounded_channel();
    let writer = tokio::spawn(write(sink, queue, sent, flush));
    let reader = tokio::spawn(read(stream, waiting));
    let call = move || {
        let (outgoing, packet) = (outgoing.clone(), packet.clone());
        async move {
            let (sender, answer) = oneshot::channel();
            let length = packet.len();
            outgoing
                .send((packet, sender))
                .await
                .map_err(|_| "the server hung up".to_owned())?;
            let answer = answer.await.map_err(|_| "the server hung up".to_owned())?;
            check(&Message::Binary(answer), length)
        }
    };
    let report = run(task, connected_in, call).await;
    // What ended the callers early is told by the tasks; otherwise they only wait.
    if report.is_err() {
        writer.await??;
        reader.await??;
    }
    Ok(report?)
}

async fn write(
    mut sink: SplitSink<WebSocketStream<TcpStream>, Message>,
    mut queue: mpsc::Receiver<Outgoing>,
    sent: mpsc::UnboundedSender<oneshot::Sender<Bytes>>,
    flush: Flush,
) -> Result<(), tungstenite::Error> {
    while let Some(first) = queue.recv().await {
        let mut next = Some(first);
        while let Some((packet, sender)) = next {
            // The reader ends with the connection only.
            let _ = sent.send(sender);
            sink.feed(Message::Binary(packet)).await?;
            if flush == Flush::Each {
                sink.flush().await?;
            }
            next = queue.try_recv().ok();
        }
        sink.flush().await?;
    }
    Ok(())
}

/// Answers come in the order of what was sent.
async fn read(
    mut stream: SplitStream<WebSocketStream<TcpStream>>,
    mut waiting: mpsc::UnboundedReceiver<oneshot::Sender<Bytes>>,
) -> Result<(), tungstenite::Error> {
    while let Some(message) = stream.next().await {
        if let Message::Binary(answer) = message?
            && let Ok(sender) = waiting.try_recv()
        {
            // The caller may have ended.
            let _ = sender.send(answer);
        }
    }
    Ok(())
}

/// Keeps a message of each caller in flight: what comes back goes out again.
async fn in_flight(
    socket: WebSocketStream<TcpStream>,
    packet: Bytes,
    task: &Task,
    flush: Flush,
) -> Result<u64, Box<dyn Error>> {
    let length = packet.len();
    let first = std::iter::repeat_n(Message::Binary(packet), task.callers).collect();
    let mut bouncer = Bouncer::new(socket, flush, first);
    let (begin, end) = times(task);
    let mut calls = 0;
    loop {
        let bounced = poll_fn(|context| bouncer.poll_bounce(context)).await?;
        let bounced = bounced.ok_or("the server hung up")?;
        for message in bouncer.newest(bounced) {
            check(message, length)?;
        }
        let now = Instant::now();
        if now >= end {
            return Ok(calls);
        }
        if now >= begin {
            calls += bounced as u64;
        }
    }
}

fn times(task: &Task) -> (Instant, Instant) {
    let begin = Instant::now() + task.warmup;
    (begin, begin + task.measured)
}

fn check(message: &Message, length: usize) -> Result<(), String> {
    match message {
        Message::Binary(bytes) if bytes.len() == length => Ok(()),
        other => Err(format!(
            "{} bytes came back of {length}",
            other.clone().into_data().len()
        )),
    }
}

/// A message as long as the Skyline packet of a call with this payload, and as hard to compress.
/// The answer's packet would be some dozens of bytes shorter; the echo has them twice.
fn packet(payload_bytes: usize) -> Bytes {
    let payload = message_pack_bin(payload_bytes);
    let request = Request {
        seq: 100_000,
        timestamp: 1_765_529_203,
        method: "test.echo",
        token: Some("71ee0979-ea57b170"),
        payload: Payload::Binary(&payload),
    };
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let random = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    });
    random.take(request.sealed_len()).collect()
}

/// Sends back whatever comes. Reads on while it cannot write: two ends that both wait for the other
/// to read would wait for ever.
struct Bouncer<S> {
    socket: WebSocketStream<S>,
    flush: Flush,
    waiting: VecDeque<Message>,
    flushed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Bouncer<S> {
    fn new(socket: WebSocketStream<S>, flush: Flush, waiting: VecDeque<Message>) -> Self {
        Self {
            socket,
            flush,
            waiting,
            flushed: true,
        }
    }

    /// Writes what waits, reads what is there, and gives how many messages that was, none when the
    /// peer has gone. They wait for the next call.
    fn poll_bounce(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<usize>, tungstenite::Error>> {
        // A full socket is no reason not to read.
        if let Poll::Ready(Err(error)) = self.poll_write(context) {
            return Poll::Ready(Err(error));
        }
        let mut read = 0;
        loop {
            match Pin::new(&mut self.socket).poll_next(context) {
                Poll::Ready(Some(Ok(message @ Message::Binary(_)))) => {
                    self.waiting.push_back(message);
                    read += 1;
                }
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) => return Poll::Ready(Ok(None)),
                Poll::Pending if read == 0 => return Poll::Pending,
                Poll::Pending => return Poll::Ready(Ok(Some(read))),
            }
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Result<(), tungstenite::Error>> {
        let mut socket = Pin::new(&mut self.socket);
        if self.flush == Flush::Each && !self.flushed {
            ready!(socket.as_mut().poll_flush(context))?;
            self.flushed = true;
        }
        while !self.waiting.is_empty() {
            ready!(socket.as_mut().poll_ready(context))?;
            if let Some(message) = self.waiting.pop_front() {
                socket.as_mut().start_send(message)?;
                self.flushed = false;
            }
            if self.flush == Flush::Each {
                ready!(socket.as_mut().poll_flush(context))?;
                self.flushed = true;
            }
        }
        if !self.flushed {
            ready!(socket.as_mut().poll_flush(context))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    /// The last messages that were read.
    fn newest(&self, count: usize) -> impl Iterator<Item = &Message> {
        self.waiting.iter().rev().take(count)
    }
}
