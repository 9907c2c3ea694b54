//! A byte stream that limits what a stranger may send and notices whether its peer is alive.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// Bytes that a peer may send before its session has started: the HTTP request, the hello and
/// `start-session` take less than 3 KiB, and proxies add headers. What is within the packet limit
/// need not be kept in memory for somebody who has shown no license.
pub(crate) const STRANGER_BYTES: u64 = 64 * 1024;

/// The allowance of a peer that is no stranger any more.
const UNLIMITED: u64 = u64::MAX;

/// What the connection and its byte stream tell each other.
#[derive(Debug)]
pub(crate) struct Meter {
    allowance: AtomicU64,
    alive: AtomicBool,
    /// How long a write may wait, in milliseconds; 0: as long as it likes.
    longest_write: AtomicU64,
}

impl Meter {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            allowance: AtomicU64::new(STRANGER_BYTES),
            alive: AtomicBool::new(false),
            longest_write: AtomicU64::new(0),
        })
    }

    /// The session has started: from here on the packet limit is the bound.
    pub(crate) fn lift_allowance(&self) {
        self.allowance.store(UNLIMITED, Ordering::Relaxed);
    }

    /// From here on a write that waits longer for the peer ends the connection: for bytes that
    /// nobody else watches over.
    pub(crate) fn bound_writes(&self, longest: Duration) {
        let milliseconds = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        self.longest_write.store(milliseconds, Ordering::Relaxed);
    }

    /// Whether there was a sign of life since the last time this was asked.
    pub(crate) fn take_alive(&self) -> bool {
        self.alive.swap(false, Ordering::Relaxed)
    }
}

/// A stream with its meter.
///
/// A sign of life is a byte received, or a byte that could be written after none could: then the
/// peer has acknowledged earlier ones. That some bytes could be written is no sign by itself, for
/// the kernel's buffer takes many for a peer that is long gone.
pub(crate) struct Metered<S> {
    stream: S,
    meter: Arc<Meter>,
    stalled: bool,
    /// Ends the connection when the write that waits has waited too long.
    write_deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> Metered<S> {
    pub(crate) fn new(stream: S, meter: Arc<Meter>) -> Self {
        Self {
            stream,
            meter,
            stalled: false,
            write_deadline: None,
        }
    }

    fn note_write<T>(
        &mut self,
        context: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match result {
            Poll::Pending => {
                self.stalled = true;
                self.check_deadline(context)
            }
            Poll::Ready(Ok(_)) if self.stalled => {
                self.stalled = false;
                self.write_deadline = None;
                self.meter.alive.store(true, Ordering::Relaxed);
                result
            }
            Poll::Ready(_) => result,
        }
    }

    fn check_deadline<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        let longest = self.meter.longest_write.load(Ordering::Relaxed);
        if longest == 0 {
            return Poll::Pending;
        }
        let deadline = self
            .write_deadline
            .get_or_insert_with(|| Box::pin(sleep(Duration::from_millis(longest))));
        deadline
            .as_mut()
            .poll(context)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let stream = Pin::new(&mut this.stream);
        let allowance = this.meter.allowance.load(Ordering::Relaxed);
        let (result, read) = if allowance == UNLIMITED {
            let before = buffer.filled().len();
            let result = stream.poll_read(context, buffer);
            (result, buffer.filled().len() - before)
        } else if allowance == 0 {
            return Poll::Ready(Err(io::Error::other("too many bytes before the session")));
        } else {
            let room = buffer.remaining();
            let granted = usize::try_from(allowance).map_or(room, |allowance| allowance.min(room));
            let mut part = ReadBuf::new(buffer.initialize_unfilled_to(granted));
            let result = stream.poll_read(context, &mut part);
            let read = part.filled().len();
            buffer.advance(read);
            // Only this task lowers it; another one may lift it, once, between two reads.
            let left = allowance - read as u64;
            let _ = this.meter.allowance.compare_exchange(
                allowance,
                left,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            (result, read)
        };
        if read > 0 {
            this.meter.alive.store(true, Ordering::Relaxed);
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.note_write(context, result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.note_write(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_flush(context);
        if result.is_pending() {
            return this.check_deadline(context);
        }
        this.write_deadline = None;
        result
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn a_stranger_is_cut_off_after_its_allowance_and_not_a_byte_before() {
        let (mut peer, stream) = duplex(2 * STRANGER_BYTES as usize);
        let meter = Meter::new();
        let mut stream = Metered::new(stream, Arc::clone(&meter));
        peer.write_all(&vec![1; STRANGER_BYTES as usize + 1])
            .await
            .unwrap();
        let mut all = vec![0; STRANGER_BYTES as usize];
        stream.read_exact(&mut all).await.unwrap();
        assert!(all.iter().all(|byte| *byte == 1));
        assert!(stream.read_u8().await.is_err());
    }

    #[tokio::test]
    async fn a_bounded_write_ends_when_the_peer_takes_nothing_for_that_long() {
        let (mut peer, stream) = duplex(8);
        let meter = Meter::new();
        let mut stream = Metered::new(stream, Arc::clone(&meter));
        meter.bound_writes(Duration::from_millis(300));
        let mut taken = [0; 8];
        for _ in 0..8 {
            // A peer that is slow, and takes something in time.
            let (written, ()) = tokio::join!(stream.write_all(&[0; 8]), async {
                sleep(Duration::from_millis(50)).await;
                peer.read_exact(&mut taken).await.unwrap();
            });
            written.unwrap();
        }
        let error = stream.write_all(&[0; 16]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_session_may_send_as_much_as_it_likes() {
        let (mut peer, stream) = duplex(4 * STRANGER_BYTES as usize);
        let meter = Meter::new();
        let mut stream = Metered::new(stream, Arc::clone(&meter));
        meter.lift_allowance();
        peer.write_all(&vec![1; 3 * STRANGER_BYTES as usize])
            .await
            .unwrap();
        let mut all = vec![0; 3 * STRANGER_BYTES as usize];
        stream.read_exact(&mut all).await.unwrap();
    }

    #[tokio::test]
    async fn only_bytes_that_need_the_peer_are_a_sign_of_life() {
        let (mut peer, stream) = duplex(8);
        let meter = Meter::new();
        let mut stream = Metered::new(stream, Arc::clone(&meter));
        stream.write_all(&[0; 8]).await.unwrap();
        assert!(!meter.take_alive(), "the buffer took it, not the peer");
        let mut all = [0; 16];
        let (written, read) = tokio::join!(
            biased;
            stream.write_all(&[0; 8]),
            peer.read_exact(&mut all),
        );
        written.unwrap();
        read.unwrap();
        assert!(meter.take_alive(), "the peer made room");
        assert!(!meter.take_alive(), "asking takes the sign away");
        peer.write_all(&[1]).await.unwrap();
        stream.read_u8().await.unwrap();
        assert!(meter.take_alive(), "a byte came in");
    }
}
