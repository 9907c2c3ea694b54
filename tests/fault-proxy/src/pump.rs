//! One direction of one connection: reads, does what the fault says, writes.

use std::io;
use std::ops::Range;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};

use crate::fault::{Cut, Direction, Fault};
use crate::proxy::Ledger;

/// Bytes read at a time; a session of the tests is smaller.
const CHUNK_BYTES: usize = 16 << 10;

/// How long bytes are kept back for others to overtake them: longer than a sender takes between
/// two writes of one message, shorter than any deadline of the tests.
const OVERTAKING_TIME: Duration = Duration::from_millis(20);

/// How a direction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The sender closed in order, and so did this direction.
    Finished,
    /// The receiver is gone.
    Deaf,
    /// Both directions are to end.
    Cut(Cut),
}

pub(crate) struct Pump<'a> {
    pub(crate) reader: ReadHalf<'a>,
    pub(crate) writer: WriteHalf<'a>,
    pub(crate) direction: Direction,
    pub(crate) fault: Option<Fault>,
    pub(crate) ledger: &'a Ledger,
    /// Bytes handled so far, as the sender counts them.
    passed: u64,
    /// Bytes to be sent once more, or kept back to be overtaken.
    aside: Vec<u8>,
}

impl<'a> Pump<'a> {
    pub(crate) fn new(
        reader: ReadHalf<'a>,
        writer: WriteHalf<'a>,
        direction: Direction,
        fault: Option<Fault>,
        ledger: &'a Ledger,
    ) -> Self {
        Self {
            reader,
            writer,
            direction,
            fault,
            ledger,
            passed: 0,
            aside: Vec::new(),
        }
    }

    /// Forwards until the direction ends.
    pub(crate) async fn run(mut self) -> End {
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            if let Some(Fault::Cut { after, how }) = self.fault
                && self.passed >= after
            {
                self.ledger.strike();
                return End::Cut(how);
            }
            let length = match self.read(&mut buffer).await {
                Ok(0) => {
                    let last = std::mem::take(&mut self.aside);
                    if matches!(self.fault, Some(Fault::Reorder { .. })) {
                        let _ = self.write(&last).await;
                    }
                    let _ = self.writer.shutdown().await;
                    return End::Finished;
                }
                Ok(length) => length,
                // A reset is passed on as one.
                Err(_) => return End::Cut(Cut::Reset),
            };
            self.ledger.read(self.direction, &buffer[..length]);
            if self.forward(&mut buffer[..length]).await.is_err() {
                return End::Deaf;
            }
        }
    }

    /// Reads some bytes. What is kept back to be overtaken is let go when nothing overtakes it.
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if matches!(self.fault, Some(Fault::Reorder { .. })) && !self.aside.is_empty() {
            match tokio::time::timeout(OVERTAKING_TIME, self.reader.read(buffer)).await {
                Ok(read) => return read,
                Err(_) => {
                    let kept = std::mem::take(&mut self.aside);
                    self.fault = None;
                    // A receiver that is gone is noticed at the next write.
                    let _ = self.write(&kept).await;
                }
            }
        }
        self.reader.read(buffer).await
    }

    async fn forward(&mut self, chunk: &mut [u8]) -> io::Result<()> {
        let begin = self.passed;
        self.passed += chunk.len() as u64;
        match self.fault.clone() {
            None => self.write(chunk).await,
            Some(Fault::Cut { after, .. }) => {
                let passing = place(begin, chunk.len(), after);
                self.write(&chunk[..passing]).await
            }
            Some(Fault::Split) => {
                self.ledger.strike();
                for byte in chunk.chunks(1) {
                    self.write(byte).await?;
                    // The receiver gets a turn to read this byte alone.
                    tokio::task::yield_now().await;
                }
                Ok(())
            }
            Some(Fault::Corrupt { at, mask }) => {
                if self.holds(begin, at) {
                    chunk[(at - begin) as usize] ^= mask;
                    self.ledger.strike();
                }
                self.write(chunk).await
            }
            Some(Fault::Delay { at, .. } | Fault::Stall { at } | Fault::Hold { at, .. })
                if self.holds(begin, at) =>
            {
                let (before, after) = chunk.split_at((at - begin) as usize);
                self.write(before).await?;
                self.ledger.strike();
                match self.fault.take() {
                    Some(Fault::Delay { time, .. }) => tokio::time::sleep(time).await,
                    Some(Fault::Hold { gate, .. }) => gate.opened().await,
                    _ => std::future::pending().await,
                }
                self.write(after).await
            }
            Some(Fault::Delay { .. } | Fault::Stall { .. } | Fault::Hold { .. }) => {
                self.write(chunk).await
            }
            Some(Fault::Duplicate { at, length }) => {
                let range = part(begin, chunk.len(), at..at + length);
                self.aside.extend_from_slice(&chunk[range.clone()]);
                self.write(&chunk[..range.end]).await?;
                if self.passed >= at + length && !self.aside.is_empty() {
                    self.ledger.strike();
                    let twice = std::mem::take(&mut self.aside);
                    self.write(&twice).await?;
                    self.fault = None;
                }
                self.write(&chunk[range.end..]).await
            }
            Some(Fault::Reorder { at, length }) => {
                let kept = part(begin, chunk.len(), at..at + length);
                self.write(&chunk[..kept.start]).await?;
                self.aside.extend_from_slice(&chunk[kept.clone()]);
                let rest = &chunk[kept.end..];
                if self.aside.is_empty() || rest.is_empty() {
                    return self.write(rest).await;
                }
                let (overtaking, after) = rest.split_at(rest.len().min(self.aside.len()));
                self.write(overtaking).await?;
                let overtaken = std::mem::take(&mut self.aside);
                // Equal bytes that change places are no change.
                if [overtaking, &overtaken].concat() != [&overtaken, overtaking].concat() {
                    self.ledger.strike();
                }
                self.write(&overtaken).await?;
                self.fault = None;
                self.write(after).await
            }
        }
    }

    /// Whether the chunk that begins at `begin`, the last one read, holds byte `at`.
    fn holds(&self, begin: u64, at: u64) -> bool {
        (begin..self.passed).contains(&at)
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.writer.write_all(bytes).await?;
        self.ledger.wrote(self.direction, bytes.len());
        Ok(())
    }
}

/// Where offset `at` of the stream lies in a chunk of `length` bytes from `begin` on, or the
/// chunk's nearer end.
fn place(begin: u64, length: usize, at: u64) -> usize {
    usize::try_from(at.saturating_sub(begin)).map_or(length, |place| place.min(length))
}

/// The part of a chunk of `length` bytes from `begin` on that lies in `range` of the stream.
fn part(begin: u64, length: usize, range: Range<u64>) -> Range<usize> {
    place(begin, length, range.start)..place(begin, length, range.end)
}
