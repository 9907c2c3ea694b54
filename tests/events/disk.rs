//! Damaged files, a folder that cannot be written to, and the bounds of the file.

use std::fs;

use skyline::{EventDurability, EventOverflow};

use crate::support::{Server, logs as log_text, soon};
use crate::{LONG, buffered, check_stored, connect, logs, name, synced, track};

#[tokio::test]
async fn a_damaged_file_loses_only_the_damaged_event_and_says_so() {
    log_text::keep();
    let mut server = Server::start();
    let owner = server.owner();
    let first = connect(synced(&owner)).await;
    server.kill();
    track(&first, 0..5).await;
    soon(first.shutdown()).await;
    let log = &logs(owner.state.path())[0];
    let mut bytes = fs::read(log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(log, &bytes).unwrap();

    server.restart();
    let second = connect(synced(&owner)).await;
    let sums = second.event_counters();
    assert_eq!((sums.damaged, sums.recovered), (1, 4));
    soon(second.flush_events(LONG)).await.unwrap();
    check_stored(&second, [0, 1, 3, 4].map(name)).await;
    let path = log.display().to_string();
    let warned = |line: &str| line.contains("WARN") && line.contains("is damaged");
    let text = log_text::text();
    let mut lines = text.lines().filter(|line| line.contains(&path));
    assert!(lines.any(warned), "no warning of {path}");
}

#[tokio::test]
async fn a_file_of_another_kind_is_damage_and_harms_nothing() {
    let server = Server::start();
    let owner = server.owner();
    let first = connect(synced(&owner)).await;
    track(&first, 0..1).await;
    soon(first.flush_events(LONG)).await.unwrap();
    let log = logs(owner.state.path()).remove(0);
    let marker = log.file_stem().unwrap().to_str().unwrap().to_owned();
    soon(first.shutdown()).await;
    let garbage: Vec<u8> = (0..100_000u32).map(|n| (n * 31 % 251) as u8).collect();
    fs::write(&log, garbage).unwrap();
    // Neither are these anybody's logs.
    for foreign in ["x.events".to_owned(), format!("{marker}.more.events")] {
        fs::write(owner.state.path().join(foreign), b"x").unwrap();
    }
    let second = connect(synced(&owner)).await;
    let sums = second.event_counters();
    assert_eq!((sums.damaged, sums.recovered), (1, 0));
    assert!(!log.exists());
    track(&second, 1..2).await;
    soon(second.flush_events(LONG)).await.unwrap();
    check_stored(&second, [0, 1].map(name)).await;
    assert_eq!(logs(owner.state.path()).len(), 3);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_to_refuses_synced_events_and_keeps_buffered_ones() {
    for durability in [EventDurability::Synced, EventDurability::Buffered] {
        let mut server = Server::start();
        let owner = server.owner();
        let folder = owner.state.path().join("state");
        let mut config = buffered(&owner);
        config.events.durability = durability;
        config.state_folder = Some(folder.clone());
        let client = connect(config.clone()).await;
        server.kill();
        let away = owner.state.path().join("away");
        fs::rename(&folder, &away).unwrap();
        fs::write(&folder, b"in the way").unwrap();

        let data: &[u8] = &[0x80];
        let tracked = soon(client.track_raw(&name(0), data)).await;
        let kept = usize::from(durability == EventDurability::Buffered);
        assert_eq!(tracked.is_ok(), kept == 1, "{tracked:?}");
        if let Err(error) = tracked {
            assert_eq!(error.code(), "STATE");
            assert!(error.to_string().contains("state"), "{error}");
        }
        assert_eq!(client.event_counters().queued, kept as u64);

        // When the disk is well again, all that waited is stored with the next event.
        fs::remove_file(&folder).unwrap();
        fs::rename(&away, &folder).unwrap();
        track(&client, 1..2).await;
        soon(client.shutdown()).await;
        server.restart();
        let next = connect(config).await;
        soon(next.flush_events(LONG)).await.unwrap();
        check_stored(&next, (1 - kept..2).map(name)).await;
    }
}

#[tokio::test]
async fn events_are_delivered_while_the_disk_fails() {
    let server = Server::start();
    let owner = server.owner();
    let folder = owner.state.path().join("state");
    let mut config = buffered(&owner);
    config.state_folder = Some(folder.clone());
    let client = connect(config).await;
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, b"in the way").unwrap();
    track(&client, 0..20).await;
    soon(client.flush_events(LONG)).await.unwrap();
    check_stored(&client, (0..20).map(name)).await;
}

#[tokio::test]
async fn the_file_stays_below_its_bound_however_many_events_pass() {
    let mut server = Server::start();
    let owner = server.owner();
    let mut config = synced(&owner);
    config.events.max_bytes = 128 << 10;
    let bound = 2 * config.events.max_bytes as u64 + (256 << 10);
    let client = connect(config).await;
    server.kill();
    let mut data = vec![0x81, 0xa0, 0xc5];
    data.extend_from_slice(&8_000u16.to_be_bytes());
    data.resize(data.len() + 8_000, 7);
    let mut largest = 0;
    for number in 0..200 {
        soon(client.track_raw(&name(number), &data)).await.unwrap();
        let size = |path: &std::path::PathBuf| path.metadata().map_or(0, |file| file.len());
        let size: u64 = logs(owner.state.path()).iter().map(size).sum();
        largest = largest.max(size);
    }
    assert!(largest <= bound, "{largest} bytes of at most {bound}");
    let sums = client.event_counters();
    assert!(sums.queued_bytes <= 128 << 10);
    assert_eq!((sums.queued, sums.dropped), (16, 184));
    soon(client.shutdown()).await;
    server.restart();
    let next = connect(synced(&owner)).await;
    soon(next.flush_events(LONG)).await.unwrap();
    check_stored(&next, (184..200).map(name)).await;
}

#[tokio::test]
async fn a_full_queue_that_may_not_drop_refuses_until_there_is_room() {
    let mut server = Server::start();
    for durability in [EventDurability::Synced, EventDurability::Buffered] {
        let mut config = buffered(&server.owner());
        config.events.max_events = 3;
        config.events.durability = durability;
        config.events.overflow = EventOverflow::Refuse;
        let client = connect(config).await;
        server.kill();
        track(&client, 0..3).await;
        let error = soon(client.track_raw("more", &[0x80])).await.unwrap_err();
        assert_eq!(error.code(), "EVENT_QUEUE_FULL");
        assert!(error.to_string().contains("3 events"), "{error}");
        server.restart();
        soon(client.flush_events(LONG)).await.unwrap();
        track(&client, 3..4).await;
        soon(client.flush_events(LONG)).await.unwrap();
        check_stored(&client, (0..4).map(name)).await;
        assert_eq!(client.event_counters().dropped, 0);
    }
}
