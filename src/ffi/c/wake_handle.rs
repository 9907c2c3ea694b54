//! What a host's event loop watches: readable while completions wait.
//!
//! An eventfd on Linux and Android; a pair of connected sockets elsewhere, of which the loop
//! watches one. Only the Linux form is run by CI.

use std::io;

#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    use std::io;
    use std::os::fd::{AsRawFd, OwnedFd};

    use rustix::event::{EventfdFlags, eventfd};

    pub(super) struct Pair(OwnedFd);

    impl Pair {
        pub(super) fn new() -> io::Result<Self> {
            let descriptor = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
            Ok(Self(descriptor))
        }

        pub(super) fn raw(&self) -> isize {
            self.0.as_raw_fd() as isize
        }

        pub(super) fn signal(&self) {
            let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
        }

        pub(super) fn clear(&self) {
            let _ = rustix::io::read(&self.0, &mut [0; 8]);
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod system {
    use std::io::{self, Read, Write};

    #[cfg(windows)]
    use std::net::TcpStream as Stream;
    #[cfg(unix)]
    use std::os::unix::net::UnixStream as Stream;

    pub(super) struct Pair {
        watched: Stream,
        signalling: Stream,
    }

    #[cfg(unix)]
    fn pair() -> io::Result<(Stream, Stream)> {
        Stream::pair()
    }

    /// Windows has no socket pair: a connection of this process with itself is one.
    #[cfg(windows)]
    fn pair() -> io::Result<(Stream, Stream)> {
        let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?;
        let near = Stream::connect(listener.local_addr()?)?;
        loop {
            let (far, peer) = listener.accept()?;
            // Not that of somebody else who found the port.
            if peer == near.local_addr()? {
                near.set_nodelay(true)?;
                far.set_nodelay(true)?;
                return Ok((near, far));
            }
        }
    }

    impl Pair {
        pub(super) fn new() -> io::Result<Self> {
            let (watched, signalling) = pair()?;
            watched.set_nonblocking(true)?;
            signalling.set_nonblocking(true)?;
            Ok(Self {
                watched,
                signalling,
            })
        }

        #[cfg(unix)]
        pub(super) fn raw(&self) -> isize {
            use std::os::fd::AsRawFd;
            self.watched.as_raw_fd() as isize
        }

        #[cfg(windows)]
        pub(super) fn raw(&self) -> isize {
            use std::os::windows::io::AsRawSocket;
            self.watched.as_raw_socket() as isize
        }

        pub(super) fn signal(&self) {
            // A full buffer is readable all the more.
            let _ = (&self.signalling).write(&[1]);
        }

        pub(super) fn clear(&self) {
            let mut bytes = [0; 64];
            while matches!((&self.watched).read(&mut bytes), Ok(read) if read == bytes.len()) {}
        }
    }
}

/// The two ends of the handle.
pub(super) struct WakeHandle(system::Pair);

impl WakeHandle {
    /// A handle that is not readable.
    ///
    /// # Errors
    ///
    /// When the system has no descriptor left.
    pub(super) fn new() -> io::Result<Self> {
        system::Pair::new().map(Self)
    }

    /// The descriptor, or on Windows the socket, that the host watches.
    pub(super) fn raw(&self) -> isize {
        self.0.raw()
    }

    /// Makes it readable.
    pub(super) fn signal(&self) {
        self.0.signal();
    }

    /// Makes it unreadable.
    pub(super) fn clear(&self) {
        self.0.clear();
    }
}
