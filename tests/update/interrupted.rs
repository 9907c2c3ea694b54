//! Downloads that are cut, cancelled or damaged, and go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use skyline::{Error, download_update};
use skyline_protocol::identity::IdentityKeyPair;

use crate::site::{Answer, Asked, Release, Site, Then, file, files, manifest_of, partial};
use crate::support::soon;

const BYTES: usize = 600_000;

/// Where a file of [`BYTES`] is cut: at its ends, and at and beside the borders of what the client
/// writes at once.
fn offsets() -> Vec<usize> {
    let mut offsets = vec![
        0,
        1,
        2,
        100,
        1_000,
        BYTES / 3,
        BYTES / 2,
        BYTES - 2,
        BYTES - 1,
    ];
    for border in [1 << 12, 1 << 14, 1 << 16, 1 << 17, 1 << 18, 1 << 19] {
        offsets.extend([border - 1, border, border + 1]);
    }
    offsets
}

#[tokio::test]
async fn a_download_cut_at_any_byte_goes_on_there() {
    let offsets = offsets();
    println!("{} offsets", offsets.len());
    for offset in offsets {
        let site = Site::serving(file(BYTES), move |asked, release| match asked.number {
            0 => release.answer_to(asked).cut(offset),
            _ => release.answer_to(asked),
        })
        .await;
        let update = site.download().await.unwrap();
        assert_eq!(
            std::fs::read(update.path).unwrap(),
            file(BYTES),
            "cut at {offset}"
        );
        let asked = site.asked();
        assert_eq!(asked.len(), 2, "cut at {offset}");
        assert_eq!(asked[1].range_start(), (offset > 0).then_some(offset));
    }
}

#[tokio::test]
async fn a_download_cut_again_and_again_gets_through() {
    // 60 cuts: far more than attempts without progress are allowed.
    let site = Site::serving(file(BYTES), |asked, release| {
        let start = asked.range_start().unwrap_or(0);
        release.answer_to(asked).cut(10_000.min(BYTES - start))
    })
    .await;
    let update = site.download().await.unwrap();
    assert_eq!(std::fs::read(update.path).unwrap(), file(BYTES));
    assert_eq!(site.asked().len(), 60);
}

#[tokio::test]
async fn a_download_that_gets_no_further_is_given_up() {
    let site = Site::serving(file(BYTES), |asked, release| match asked.number {
        0 => release.answer_to(asked).cut(1000),
        _ => release.answer_to(asked).cut(0),
    })
    .await;
    let mut config = site.config();
    config.update.attempts = 4;
    assert_eq!(site.refusal_as(config).await, "CONNECTION");
    assert_eq!(site.asked().len(), 5);
    assert_eq!(partial(site.folder.path()).unwrap(), &file(BYTES)[..1000]);
}

#[tokio::test]
async fn a_server_without_ranges_sends_the_file_again() {
    let site = Site::serving(file(BYTES), |asked, release| match asked.number {
        0 => release.whole().cut(1000),
        _ => release.whole(),
    })
    .await;
    let update = site.download().await.unwrap();
    assert_eq!(std::fs::read(update.path).unwrap(), file(BYTES));
}

#[tokio::test]
async fn without_a_strong_etag_nothing_is_gone_on_with() {
    for etag in [None, Some("W/\"weak\""), Some("unquoted")] {
        let site = Site::serving(file(BYTES), move |asked, release| {
            let answer = match etag {
                Some(etag) => release.whole().with("ETag", etag),
                None => release.whole().without("ETag"),
            };
            if asked.number == 0 {
                answer.cut(1000)
            } else {
                answer
            }
        })
        .await;
        site.download().await.unwrap();
        assert_eq!(site.asked()[1].range_start(), None, "{etag:?}");
    }
}

/// A site whose first file is cut off at its middle, and that has others later.
async fn replacing(releases: usize, cuts: usize) -> Site {
    let key = IdentityKeyPair::generate();
    let releases: Vec<_> = (0..releases)
        .map(|number| {
            let mut file = file(BYTES);
            file[0] = number as u8;
            let mut manifest = manifest_of(&file);
            manifest.version = format!("7.1.{number}");
            Release::of(&key, manifest, file)
        })
        .collect();
    Site::start(key, move |asked| {
        let release = &releases[asked.number.min(releases.len() - 1)];
        let answer = release.answer_to(asked);
        if asked.number < cuts {
            answer.cut(BYTES / 2)
        } else {
            answer
        }
    })
    .await
}

#[tokio::test]
async fn a_file_that_changed_meanwhile_is_fetched_from_its_beginning() {
    let site = replacing(2, 1).await;
    let update = site.download().await.unwrap();
    assert_eq!(update.version, "7.1.1");
    let bytes = std::fs::read(update.path).unwrap();
    assert_eq!((bytes[0], &bytes[1..]), (1, &file(BYTES)[1..]));
    assert_eq!(
        site.asked()[1].range_start(),
        Some(BYTES / 2),
        "the rest was asked for"
    );
}

#[tokio::test]
async fn a_file_that_changes_again_and_again_is_refused() {
    let site = replacing(10, 10).await;
    assert_eq!(site.refusal().await, "UPDATE_CHANGED");
    assert_eq!(site.asked().len(), 5);
}

/// A site that continues a download wrongly, once.
async fn continued(wrong: impl Fn(&Asked, &Release) -> Answer + Send + Sync + 'static) -> Site {
    Site::serving(file(BYTES), move |asked, release| match asked.number {
        0 => release.answer_to(asked).cut(1000),
        1 => wrong(asked, release),
        _ => release.answer_to(asked),
    })
    .await
}

#[tokio::test]
async fn a_part_that_does_not_fit_is_thrown_away_with_what_there_was() {
    let wrongs: [fn(&Asked, &Release) -> Answer; 10] = [
        |asked, release| release.answer_to(asked).with("ETag", "\"another\""),
        |asked, release| release.answer_to(asked).without("ETag"),
        |asked, release| {
            release
                .answer_to(asked)
                .with("Content-Range", "bytes 1000-1001/1002")
        },
        |_, _| Answer::status("416 Range Not Satisfiable").with("Content-Range", "bytes */7"),
        |asked, release| {
            let other = Release::new(&IdentityKeyPair::generate(), file(BYTES));
            let manifest = other.signed.signature_header();
            release
                .answer_to(asked)
                .with("Skyline-Signature", &manifest)
        },
        |asked, release| release.answer_to(asked).without("Skyline-Signature"),
        |asked, release| release.answer_to(asked).without("Content-Range"),
        |asked, release| {
            release
                .answer_to(asked)
                .with("Content-Range", "bytes 0-599999/600000")
        },
        |asked, release| {
            release
                .answer_to(asked)
                .with("Content-Range", "lines 1000-2000/600000")
        },
        |asked, release| release.answer_to(asked).with("Content-Length", "7"),
    ];
    for (number, wrong) in wrongs.into_iter().enumerate() {
        let site = continued(wrong).await;
        let update = site.download().await.unwrap();
        assert_eq!(
            std::fs::read(update.path).unwrap(),
            file(BYTES),
            "case {number}"
        );
        assert_eq!(site.asked()[2].range_start(), None, "case {number}");
    }
}

#[tokio::test]
async fn a_part_longer_than_what_is_missing_is_refused() {
    let wrongs: [fn(&Asked, &Release) -> Answer; 2] = [
        // As many bytes as are missing, and one.
        |asked, release| {
            let mut answer = release.answer_to(asked).without("Content-Length");
            answer.body.push(0);
            answer
        },
        |asked, release| {
            let answer = release.answer_to(asked).without("Content-Length");
            answer.then(Then::Repeat(vec![0; 1000]))
        },
    ];
    for (number, wrong) in wrongs.into_iter().enumerate() {
        let site = continued(wrong).await;
        assert_eq!(site.refusal().await, "UPDATE_SIZE", "case {number}");
        assert_eq!(partial(site.folder.path()), None, "case {number}");
    }
}

#[tokio::test]
async fn parts_that_never_fit_are_given_up_and_block_no_later_download() {
    let site = Site::serving(file(BYTES), |asked, release| match asked.number {
        0..8 => release
            .answer_to(asked)
            .without("Content-Range")
            .cut(1000 * (asked.number + 1)),
        _ => release.answer_to(asked),
    })
    .await;
    assert_eq!(site.refusal().await, "UPDATE_HTTP");
    // Four parts, each behind a whole file that was cut.
    assert_eq!(site.asked().len(), 8);
    site.download().await.unwrap();
    assert_eq!(site.asked()[8].range_start(), None);
}

#[tokio::test]
async fn a_body_that_only_the_connection_ends_goes_on_where_it_was_cut() {
    let site = Site::serving(file(BYTES), |asked, release| {
        let start = asked.range_start().unwrap_or(0);
        let answer = release.answer_to(asked).without("Content-Length");
        answer.cut(250_000.min(BYTES - start))
    })
    .await;
    let update = site.download().await.unwrap();
    assert_eq!(std::fs::read(update.path).unwrap(), file(BYTES));
    let starts: Vec<_> = site.asked().iter().map(Asked::range_start).collect();
    assert_eq!(starts, [None, Some(250_000), Some(500_000)]);
}

#[tokio::test]
async fn a_cancelled_download_goes_on_where_it_stopped() {
    let site = Site::serving(file(BYTES), |asked, release| match asked.number {
        0 => release.answer_to(asked).cut(400_000).then(Then::Hang),
        _ => release.answer_to(asked),
    })
    .await;
    let download = download_update(site.config(), site.folder.path()).unwrap();
    let mut progress = download.progress();
    while soon(progress.next()).await.unwrap().bytes < 400_000 {}
    download.cancel();
    let error = soon(download.finish()).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Cancelled {
                maybe_executed: false
            }
        ),
        "{error:?}"
    );
    assert_eq!(files(site.folder.path()), Vec::<String>::new());
    site.download().await.unwrap();
    assert_eq!(site.asked()[1].range_start(), Some(400_000));
}

#[tokio::test]
async fn a_download_that_is_dropped_stops() {
    let site = Site::serving(file(BYTES), |asked, release| match asked.number {
        0 => release.answer_to(asked).cut(1000).then(Then::Hang),
        _ => release.answer_to(asked),
    })
    .await;
    let download = download_update(site.config(), site.folder.path()).unwrap();
    let mut progress = download.progress();
    while soon(progress.next()).await.unwrap().bytes < 1000 {}
    drop(download);
    assert_eq!(
        soon(progress.next()).await.map(|told| told.bytes),
        Some(1000)
    );
    assert_eq!(soon(progress.next()).await, None);
    site.download().await.unwrap();
}

/// A site with a partial download of 1,000 bytes in its folder.
async fn stopped() -> (Site, Arc<AtomicUsize>) {
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = sent.clone();
    let site = Site::serving(file(BYTES), move |asked, release| {
        let answer = match asked.number {
            0 => release.answer_to(asked).cut(1000),
            _ => release.answer_to(asked),
        };
        counted.fetch_add(answer.body.len(), Ordering::Relaxed);
        answer
    })
    .await;
    let mut config = site.config();
    // The attempt got on, so another would be made, but for the wait before it.
    config.reconnect.initial_delay = Duration::from_secs(3600);
    config.reconnect.max_delay = Duration::from_secs(3600);
    let download = download_update(config, site.folder.path()).unwrap();
    let mut progress = download.progress();
    while soon(progress.next())
        .await
        .is_some_and(|told| told.bytes < 1000)
    {}
    download.cancel();
    assert!(soon(download.finish()).await.is_err());
    assert_eq!(partial(site.folder.path()).unwrap().len(), 1000);
    (site, sent)
}

/// The path of the file that a download keeps for itself with that extension.
fn own(site: &Site, extension: &str) -> std::path::PathBuf {
    let entries = std::fs::read_dir(site.folder.path()).unwrap();
    let mut paths = entries.map(|entry| entry.unwrap().path());
    let found = paths.find(|path| path.extension().is_some_and(|end| end == extension));
    found.unwrap()
}

#[tokio::test]
async fn the_next_download_fetches_only_what_is_missing() {
    let (site, sent) = stopped().await;
    site.download().await.unwrap();
    assert_eq!(sent.load(Ordering::Relaxed), BYTES);
}

#[tokio::test]
async fn a_damaged_partial_file_is_found_out_and_fetched_anew() {
    let (site, sent) = stopped().await;
    let path = own(&site, "partial");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[500] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let update = site.download().await.unwrap();
    assert_eq!(std::fs::read(update.path).unwrap(), file(BYTES));
    assert_eq!(sent.load(Ordering::Relaxed), 2 * BYTES);
}

#[tokio::test]
async fn edited_notes_of_a_partial_file_are_not_believed() {
    let (site, _) = stopped().await;
    let path = own(&site, "notes");
    let notes = std::fs::read_to_string(&path).unwrap();
    let key = IdentityKeyPair::generate();
    let stranger = Release::new(&key, file(BYTES)).signed;
    let lines: Vec<_> = notes.lines().collect();
    let forged = format!(
        "{}\n{}\n{}\n{}\n",
        lines[0],
        lines[1],
        stranger.manifest_header(),
        stranger.signature_header()
    );
    let edits = [
        forged,
        String::new(),
        "x".repeat(100_000),
        notes.replace("-v1", "-v2"),
    ];
    for edited in edits {
        let (site, _) = stopped().await;
        std::fs::write(own(&site, "notes"), &edited).unwrap();
        let update = site.download().await.unwrap();
        assert_eq!(std::fs::read(update.path).unwrap(), file(BYTES));
        assert_eq!(site.asked()[1].range_start(), None);
    }
}

#[tokio::test]
async fn a_partial_file_that_was_whole_is_only_checked() {
    let (site, _) = stopped().await;
    std::fs::write(own(&site, "partial"), file(BYTES)).unwrap();
    site.download().await.unwrap();
    assert_eq!(site.asked().len(), 1);
}

#[tokio::test]
async fn a_partial_file_of_a_version_that_runs_by_now_is_thrown_away() {
    let (site, _) = stopped().await;
    let mut config = site.config();
    config.product_version = "7.1.0".to_owned();
    assert_eq!(site.refusal_as(config).await, "UPDATE_NOT_NEWER");
    assert_eq!(site.asked()[1].range_start(), None);
    assert_eq!(partial(site.folder.path()), None);
}

#[tokio::test]
async fn a_page_of_somebody_in_between_spoils_no_partial_file() {
    let (site, _) = stopped().await;
    let page = Site::start(IdentityKeyPair::generate(), |_| {
        Answer::new("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", *b"login")
    })
    .await;
    let mut config = site.config();
    config.update.url = Some(format!("http://{}/", page.address()));
    assert_eq!(site.refusal_as(config).await, "UPDATE_SIGNATURE_MISSING");
    site.download().await.unwrap();
    assert_eq!(site.asked()[1].range_start(), Some(1000));
}
