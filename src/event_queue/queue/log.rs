//! The log files of the queue in the state folder.
//!
//! Each client writes a file of its own, `<installation>.<marker>.events`, and holds it under an
//! exclusive lock. A file that nobody holds was left behind by a process that ended; the next
//! client of the same product, license and server adopts what is in it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use super::event::Event;
use super::record::{self, MAX_RECORD_BYTES, Marker};
use crate::event_queue::config::MAX_MAX_BYTES;
use crate::session::Settings;
use crate::{login_record, state};

/// How the names of log files end.
const EXTENSION: &str = "events";

/// How the names of log files end while they are being made. One of an earlier process is
/// removed: what is in it is in another file, too.
const DRAFT_EXTENSION: &str = "new";

/// How often a new file is begun again because another process took its draft for a forgotten
/// one. That takes a meeting within microseconds; three in a row have another cause.
const ATTEMPTS: usize = 3;

/// How large a log may be beyond twice the bytes of the events in it, before it is rewritten: less
/// is not worth the trouble.
const SLACK_BYTES: u64 = 256 << 10;

/// The most that is read of a file that was left behind: the most that is ever written.
const MAX_READ_BYTES: u64 =
    2 * (MAX_MAX_BYTES as u64 + MAX_RECORD_BYTES as u64) + SLACK_BYTES + MAX_RECORD_BYTES as u64;

/// Where the logs of one product, license and server are.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The state folder.
    pub(crate) folder: PathBuf,
    /// What the names of the files begin with; see [`crate::login_record::file_name`].
    pub(crate) installation: String,
}

impl Place {
    pub(crate) fn of(settings: &Settings) -> Self {
        let config = &settings.config;
        Self {
            folder: settings.state_folder.clone(),
            installation: login_record::file_name(
                settings.url.as_str(),
                &config.product_id,
                &config.license_key,
            ),
        }
    }

    fn path(&self, marker: &Marker) -> PathBuf {
        let marker = hex::encode(marker);
        let name = format!("{}.{marker}.{EXTENSION}", self.installation);
        self.folder.join(name)
    }

    /// The marker and the extension of a file of this place.
    fn parse<'a>(&self, name: &'a str) -> Option<(Marker, &'a str)> {
        let rest = name.strip_prefix(&self.installation)?.strip_prefix('.')?;
        let (marker, extension) = rest.split_once('.')?;
        let mut bytes = Marker::default();
        hex::decode_to_slice(marker, &mut bytes).ok()?;
        Some((bytes, extension))
    }
}

/// One file, locked until the value goes.
#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    marker: Marker,
    file: File,
    /// How many bytes of it are written whole.
    length: u64,
}

impl LogFile {
    /// Makes a file that holds `events`. It gets its name when it is locked and whole, so that no
    /// other process can adopt it before, and a crash leaves no part of it.
    fn create(place: &Place, events: &[Arc<Event>], sync: bool) -> io::Result<Self> {
        state::create_folder(&place.folder)?;
        for _ in 0..ATTEMPTS {
            let (_, random) = Uuid::new_v4().as_u64_pair();
            let marker = random.to_be_bytes();
            let path = place.path(&marker);
            let draft = path.with_extension(DRAFT_EXTENSION);
            let mut options = OpenOptions::new();
            options.read(true).write(true).create_new(true);
            #[cfg(unix)]
            {
                use std::os::unix::fs::OpenOptionsExt;
                options.mode(0o600);
            }
            let file = options.open(&draft)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => {
                    let _ = fs::remove_file(&draft);
                    return Err(error);
                }
            }
            let mut log = Self {
                path,
                marker,
                file,
                length: 0,
            };
            let named = log
                .append(&[], events, sync)
                .and_then(|()| fs::rename(&draft, &log.path));
            match named {
                Ok(()) => {
                    let synced = if sync {
                        state::sync_folder(&place.folder)
                    } else {
                        Ok(())
                    };
                    if let Err(error) = synced {
                        // What failed must not come back as an event of an earlier run.
                        log.remove();
                        return Err(error);
                    }
                    return Ok(log);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    let _ = fs::remove_file(&draft);
                    return Err(error);
                }
            }
        }
        Err(io::Error::other("another process removes the file"))
    }

    /// Appends acknowledgements and events: all of them or, with an error, none.
    fn append(&mut self, done: &[Uuid], events: &[Arc<Event>], sync: bool) -> io::Result<()> {
        let mut bytes = Vec::new();
        for id in done {
            record::encode_done(&mut bytes, &self.marker, *id);
        }
        for event in events {
            record::encode_event(&mut bytes, &self.marker, event);
        }
        let written = self
            .file
            .seek(SeekFrom::Start(self.length))
            .and_then(|_| self.file.write_all(&bytes))
            .and_then(|()| if sync { self.file.sync_data() } else { Ok(()) });
        match written {
            Ok(()) => self.length += bytes.len() as u64,
            // Were this to fail too, the next record would follow a damaged one, which costs
            // nothing but a count.
            Err(_) => drop(self.file.set_len(self.length)),
        }
        written
    }

    /// Forgets all that is in it.
    fn clear(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.length = 0;
        Ok(())
    }

    /// Removes the file. It is emptied before, for another process may have opened it already
    /// and gets the lock now.
    fn remove(mut self) {
        let removed = self.clear().and_then(|()| fs::remove_file(&self.path));
        if let Err(error) = removed {
            tracing::warn!(path = %self.path.display(), %error, "an event log that is done with stays");
        }
    }

    /// Removes a draft. It is not emptied: whoever made it may have given it its name and filled
    /// it before this process got the lock, and then it is a log, and not this one's to remove.
    fn remove_draft(self) {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %self.path.display(), %error, "a forgotten draft of an event log stays");
            }
            _ => {}
        }
    }

    /// Opens and locks a file that an earlier process left behind, and reads it.
    fn adopt(path: &Path, marker: Marker) -> io::Result<Option<(Self, Vec<u8>)>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let mut log = Self {
            path: path.to_owned(),
            marker,
            file,
            length: 0,
        };
        let mut bytes = Vec::new();
        (&log.file).take(MAX_READ_BYTES).read_to_end(&mut bytes)?;
        log.length = log.file.metadata()?.len();
        Ok(Some((log, bytes)))
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        // Closing the file would not do: a process forked meanwhile holds a copy of it, and the
        // lock with it.
        let _ = self.file.unlock();
    }
}

/// What is to be written.
#[derive(Debug)]
pub(super) enum Change {
    /// These events are done with, and those are new.
    Append {
        /// The ids of the events that are done with.
        done: Vec<Uuid>,
        /// The new events.
        events: Vec<Arc<Event>>,
        /// Everything that there is then: a file that has become too large is rewritten with it.
        all: Option<Vec<Arc<Event>>>,
        /// Whether the events have to be on disk when this is done.
        sync: bool,
    },
    /// There is no event.
    Clear,
}

/// What earlier processes left behind.
#[derive(Debug, Default)]
pub(super) struct Adopted {
    /// The events that were not delivered, in their order.
    pub(super) events: Vec<Arc<Event>>,
    /// How many stretches of the files were damaged.
    pub(super) damaged: u64,
}

/// The log of one client.
#[derive(Debug)]
pub(super) struct Log {
    place: Place,
    /// The file that is written to; made when there is something to write.
    current: Option<LogFile>,
    /// The files of earlier processes, kept until what is in them is in `current` or delivered.
    adopted: Vec<LogFile>,
    /// Up to this size the file is not rewritten, since that failed just now.
    rewrite_above: u64,
}

impl Log {
    /// Takes over what earlier processes left behind. What cannot be read is left where it is,
    /// with a warning.
    pub(super) fn open(place: Place) -> (Self, Adopted) {
        let mut log = Self {
            place,
            current: None,
            adopted: Vec::new(),
            rewrite_above: 0,
        };
        let adopted = log.adopt();
        (log, adopted)
    }

    fn adopt(&mut self) -> Adopted {
        let folder = match fs::read_dir(&self.place.folder) {
            Ok(folder) => folder,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    let path = self.place.folder.display();
                    tracing::warn!(%path, %error, "earlier event logs cannot be looked for");
                }
                return Adopted::default();
            }
        };
        let mut logs = Vec::new();
        let mut damaged = 0;
        for entry in folder.flatten() {
            let name = entry.file_name();
            let Some((marker, extension)) = name.to_str().and_then(|name| self.place.parse(name))
            else {
                continue;
            };
            let path = entry.path();
            if ![EXTENSION, DRAFT_EXTENSION].contains(&extension) {
                continue;
            }
            match LogFile::adopt(&path, marker) {
                Ok(Some((file, _))) if extension == DRAFT_EXTENSION => file.remove_draft(),
                Ok(Some((file, bytes))) => {
                    let decoded = record::decode(&marker, &bytes);
                    let unread = file.length.saturating_sub(bytes.len() as u64);
                    let stretches = decoded.damaged_stretches + u64::from(unread > 0);
                    if stretches > 0 {
                        tracing::warn!(
                            path = %path.display(),
                            stretches,
                            bytes = decoded.damaged_bytes + unread,
                            sound_records = decoded.records.len(),
                            "an event log is damaged; the rest of it is kept"
                        );
                    }
                    damaged += stretches;
                    logs.push(decoded.records);
                    self.adopted.push(file);
                }
                // A living process has it.
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "an event log cannot be read");
                }
            }
        }
        let events = record::pending(logs);
        if events.is_empty() {
            self.remove_adopted();
        }
        Adopted { events, damaged }
    }

    /// Whether the next process would find nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes() == 0 && self.adopted.is_empty()
    }

    /// The size of the file.
    fn bytes(&self) -> u64 {
        self.current.as_ref().map_or(0, |log| log.length)
    }

    /// Whether the file will be too large for the events in it when it has grown by `more` bytes
    /// and the events in it have `live` bytes.
    pub(super) fn wants_rewrite(&self, more: usize, live: usize) -> bool {
        let bytes = self.bytes() + more as u64;
        bytes > 2 * live as u64 + SLACK_BYTES && bytes > self.rewrite_above
    }

    /// Carries out a change, whole or, with an error, not at all.
    pub(super) fn apply(&mut self, change: &Change) -> io::Result<()> {
        let (done, events, all, sync) = match change {
            Change::Append {
                done,
                events,
                all,
                sync,
            } => (done, events, all, sync),
            Change::Clear => {
                if let Some(log) = &mut self.current {
                    log.clear()?;
                }
                self.remove_adopted();
                return Ok(());
            }
        };
        if let Some(all) = all {
            match self.rewrite(all) {
                Ok(()) => return Ok(()),
                // The present file goes on growing for a while.
                Err(error) => {
                    tracing::debug!(%error, "the event log cannot be rewritten now");
                }
            }
        }
        // What replaces another file has to be on disk before that one goes.
        let sync = *sync || !self.adopted.is_empty();
        match &mut self.current {
            Some(log) => log.append(done, events, sync)?,
            None => self.current = Some(LogFile::create(&self.place, events, sync)?),
        }
        if all.is_some() {
            self.rewrite_above = self.bytes() + SLACK_BYTES;
        }
        self.remove_adopted();
        Ok(())
    }

    /// Puts a file of these events in the place of the present one.
    fn rewrite(&mut self, events: &[Arc<Event>]) -> io::Result<()> {
        let new = LogFile::create(&self.place, events, true)?;
        if let Some(old) = self.current.replace(new) {
            old.remove();
        }
        self.remove_adopted();
        Ok(())
    }

    fn remove_adopted(&mut self) {
        for file in self.adopted.drain(..) {
            file.remove();
        }
    }

    /// Leaves the log to the next process: on disk when return, or removed when nothing is in it.
    pub(super) fn close(self) -> io::Result<()> {
        match self.current {
            Some(log) if log.length == 0 => {
                log.remove();
                Ok(())
            }
            Some(log) => {
                log.file.sync_all()?;
                state::sync_folder(&self.place.folder)
            }
            None => Ok(()),
        }
    }

    /// Where the files are.
    pub(super) fn folder(&self) -> &Path {
        &self.place.folder
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(folder: &Path) -> Place {
        Place {
            folder: folder.to_owned(),
            installation: "0123456789abcdef".to_owned(),
        }
    }

    fn events(count: usize) -> Vec<Arc<Event>> {
        (0..count)
            .map(|number| {
                let name = format!("event.{number}");
                Arc::new(Event::new(Uuid::now_v7(), &name, &[0x80]).unwrap())
            })
            .collect()
    }

    fn append(events: &[Arc<Event>]) -> Change {
        Change::Append {
            done: Vec::new(),
            events: events.to_vec(),
            all: None,
            sync: false,
        }
    }

    fn done(events: &[Arc<Event>]) -> Change {
        Change::Append {
            done: events.iter().map(|event| event.id()).collect(),
            events: Vec::new(),
            all: None,
            sync: false,
        }
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        let files = fs::read_dir(folder).unwrap();
        files.map(|entry| entry.unwrap().path()).collect()
    }

    /// What the next process finds.
    fn left_behind(folder: &Path) -> Vec<Arc<Event>> {
        let (log, adopted) = Log::open(place(folder));
        assert_eq!(adopted.damaged, 0);
        drop(log);
        adopted.events
    }

    #[test]
    fn what_was_appended_and_not_done_is_left_to_the_next_process() {
        let folder = tempfile::tempdir().unwrap();
        let events = events(5);
        let (mut log, adopted) = Log::open(place(folder.path()));
        assert!(adopted.events.is_empty() && files(folder.path()).is_empty());
        log.apply(&append(&events[..3])).unwrap();
        log.apply(&append(&events[3..])).unwrap();
        log.apply(&done(&events[..2])).unwrap();
        assert_eq!(
            log.bytes(),
            files(folder.path())[0].metadata().unwrap().len()
        );
        drop(log);
        assert_eq!(left_behind(folder.path()), events[2..]);
    }

    #[test]
    fn a_log_that_is_held_is_not_adopted_and_one_of_another_license_neither() {
        let folder = tempfile::tempdir().unwrap();
        let events = events(3);
        let (mut first, _) = Log::open(place(folder.path()));
        first.apply(&append(&events[..2])).unwrap();
        assert!(left_behind(folder.path()).is_empty());
        let (mut second, _) = Log::open(place(folder.path()));
        second.apply(&append(&events[2..])).unwrap();
        assert_eq!(files(folder.path()).len(), 2);
        drop(first);
        let other = Place {
            installation: "fedcba9876543210".to_owned(),
            ..place(folder.path())
        };
        assert!(Log::open(other).1.events.is_empty());
        assert_eq!(left_behind(folder.path()), events[..2]);
        // As a process forked meanwhile would have.
        let _copy = second.current.as_ref().unwrap().file.try_clone().unwrap();
        drop(second);
        assert_eq!(left_behind(folder.path()), events);
    }

    #[test]
    fn adopted_events_move_into_one_file_before_theirs_go() {
        let folder = tempfile::tempdir().unwrap();
        let events = events(4);
        for part in events.chunks(2) {
            let (mut log, adopted) = Log::open(place(folder.path()));
            // Nothing is written here: the next process has to find them where they were.
            log.adopted.clear();
            drop(adopted);
            log.apply(&append(part)).unwrap();
        }
        assert_eq!(files(folder.path()).len(), 2);
        let (mut log, adopted) = Log::open(place(folder.path()));
        assert_eq!(adopted.events, events);
        assert_eq!(files(folder.path()).len(), 2);
        log.apply(&append(&adopted.events)).unwrap();
        assert_eq!(files(folder.path()).len(), 1);
        drop(log);
        assert_eq!(left_behind(folder.path()), events);
    }

    #[test]
    fn a_rewritten_log_holds_what_it_was_given_and_the_old_file_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let events = events(4);
        let (mut log, _) = Log::open(place(folder.path()));
        log.apply(&append(&events)).unwrap();
        let before = log.bytes();
        let rewrite = Change::Append {
            done: Vec::new(),
            events: Vec::new(),
            all: Some(events[3..].to_vec()),
            sync: false,
        };
        log.apply(&rewrite).unwrap();
        assert_eq!(log.bytes() * 4, before);
        assert_eq!(files(folder.path()).len(), 1);
        log.close().unwrap();
        assert_eq!(left_behind(folder.path()), events[3..]);
    }

    #[test]
    fn a_crash_before_the_old_file_of_a_rewrite_is_gone_doubles_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let events = events(4);
        let (mut log, _) = Log::open(place(folder.path()));
        log.apply(&append(&events)).unwrap();
        log.apply(&done(&events[..1])).unwrap();
        let new = LogFile::create(&place(folder.path()), &events[1..], true).unwrap();
        drop((log, new));
        assert_eq!(files(folder.path()).len(), 2);
        assert_eq!(left_behind(folder.path()), events[1..]);
    }

    #[test]
    fn a_log_that_cannot_be_rewritten_goes_on_growing() {
        let outside = tempfile::tempdir().unwrap();
        let folder = outside.path().join("state");
        let events = events(4);
        let (mut log, _) = Log::open(place(&folder));
        log.apply(&append(&events[..2])).unwrap();
        let away = outside.path().join("away");
        fs::rename(&folder, &away).unwrap();
        fs::write(&folder, b"in the way").unwrap();
        assert!(log.wants_rewrite(SLACK_BYTES as usize, 0));
        let rewrite = Change::Append {
            done: vec![events[0].id()],
            events: events[2..].to_vec(),
            all: Some(events[1..].to_vec()),
            sync: true,
        };
        log.apply(&rewrite).unwrap();
        assert!(
            !log.wants_rewrite(SLACK_BYTES as usize, 0),
            "it failed just now"
        );
        drop(log);
        assert_eq!(left_behind(&away), events[1..]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_costs_nothing_that_was_written_before_or_comes_after() {
        let folder = tempfile::tempdir().unwrap();
        let events = events(3);
        let (mut log, _) = Log::open(place(folder.path()));
        log.apply(&append(&events[..1])).unwrap();
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let file = &mut log.current.as_mut().unwrap().file;
        let file = std::mem::replace(file, full);
        let error = log.apply(&append(&events[1..])).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        // As much of a record as found room.
        (&file).write_all(b"torn").unwrap();
        log.current.as_mut().unwrap().file = file;
        log.apply(&append(&events[1..])).unwrap();
        drop(log);
        assert_eq!(left_behind(folder.path()), events);
    }

    #[test]
    fn an_empty_log_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let (mut log, _) = Log::open(place(folder.path()));
        log.apply(&append(&events(3))).unwrap();
        log.apply(&Change::Clear).unwrap();
        assert_eq!(log.bytes(), 0);
        log.close().unwrap();
        assert!(files(folder.path()).is_empty());

        // Neither does one whose process was killed.
        let (mut log, _) = Log::open(place(folder.path()));
        log.apply(&append(&events(3))).unwrap();
        log.apply(&Change::Clear).unwrap();
        drop(log);
        assert_eq!(files(folder.path()).len(), 1);
        assert!(left_behind(folder.path()).is_empty());
        assert!(files(folder.path()).is_empty());
    }

    #[test]
    fn a_forgotten_draft_is_removed_and_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let events = events(2);
        let (mut log, _) = Log::open(place(folder.path()));
        log.apply(&append(&events)).unwrap();
        drop(log);
        let path = &files(folder.path())[0];
        fs::copy(path, path.with_extension(DRAFT_EXTENSION)).unwrap();
        assert_eq!(left_behind(folder.path()), events);
        assert_eq!(files(folder.path()).len(), 1);
    }

    #[test]
    fn a_draft_that_became_a_log_before_it_was_locked_keeps_its_events() {
        let folder = tempfile::tempdir().unwrap();
        let events = events(2);
        let (mut log, _) = Log::open(place(folder.path()));
        log.apply(&append(&events)).unwrap();
        let marker = log.current.as_ref().unwrap().marker;
        drop(log);
        let path = place(folder.path()).path(&marker);
        let draft = path.with_extension(DRAFT_EXTENSION);
        fs::rename(&path, &draft).unwrap();
        let (held, _) = LogFile::adopt(&draft, marker).unwrap().unwrap();
        fs::rename(&draft, &path).unwrap();
        held.remove_draft();
        assert_eq!(left_behind(folder.path()), events);
    }

    #[test]
    fn the_damage_is_counted_and_the_rest_adopted() {
        let folder = tempfile::tempdir().unwrap();
        let events = events(3);
        let (mut log, _) = Log::open(place(folder.path()));
        log.apply(&append(&events)).unwrap();
        drop(log);
        let path = &files(folder.path())[0];
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, &bytes).unwrap();
        let (_log, adopted) = Log::open(place(folder.path()));
        assert_eq!(adopted.damaged, 1);
        assert_eq!(adopted.events, [events[0].clone(), events[2].clone()]);
    }

    #[cfg(unix)]
    #[test]
    fn files_are_for_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (mut log, _) = Log::open(place(&folder.path().join("state")));
        log.apply(&append(&events(1))).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        let path = &log.current.as_ref().unwrap().path;
        assert_eq!(mode(path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
    }
}
